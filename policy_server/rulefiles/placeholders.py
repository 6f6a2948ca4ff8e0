"""The placeholders that a rule can fill, and the problems of those that it cannot."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Final

from policy_server.pexip.parameters import parameters_of
from policy_server.pexip.request_types import RequestType
from policy_server.policy.conditions import Condition, walk
from policy_server.policy.names import NAMES, Role
from policy_server.policy.templates import Template, unknown_names, without_raw
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Table
from policy_server.rulefiles.tables import Tables, unknown_column
from policy_server.wording.values import shown
from policy_server.wording.words import nearest

_SECRET_NAMES: Final = {Role.SESSION.value: "the customer", Role.AGENT.value: "agents"}
_NO_NAMES: Final = "it is a name of a link's call, so define a link type under links"


@dataclass(frozen=True, slots=True)
class Given:
    """What fills the placeholders of one rule.

    ``groups`` are the named groups that its conditions always capture; ``partly`` also those that only some of their
    alternatives capture; ``others`` are request parameters and the like. Attributes of a link are whatever it was given.
    ``doubtful``: some of the conditions could not be read, and nobody knows what they would capture. ``tables`` are all that
    there are, whether the rule looks something up in them or not.
    """

    groups: tuple[str, ...]
    partly: frozenset[str]
    others: frozenset[str]
    doubtful: bool = False
    tables: Tables = field(default_factory=dict)

    def unknown(self, template: Template) -> tuple[str, ...]:
        """The placeholders of a template that nothing fills, each once."""
        # Nearly always nothing is unknown, and there are many rules.
        if all(name in self.others or name in self.groups for name in template.names):
            return ()
        names = dict.fromkeys(unknown_names(template, self.others.union(self.groups)))
        return tuple(name for name in names if not self._may_come(name))

    def _may_come(self, name: str) -> bool:
        """Whether nobody knows if something gives it, since that could not be read."""
        table, dot, _ = name.partition(".")
        if dot and table in self.tables and self.tables[table] is None:
            return True
        return self.doubtful and (without_raw(name).isidentifier() or table in self.tables)

    def column(self, name: str) -> str | None:
        """Why a placeholder that begins like a column gives nothing, and what to do; ``None`` for any other."""
        table, dot, column = name.partition(".")
        known = self.tables.get(table) if dot else None
        if known is None:
            return None
        if name not in known.lookup.columns:
            return unknown_column(column, known)
        if name in self.partly:
            return f"only some of this rule's alternatives look up table {shown(table)}; do it in each of them"
        return f"this rule does not look up table {shown(table)}; write table: {{{table}: KEY}} into its when"


@cache
def parameter_names(request: RequestType) -> frozenset[str]:
    """The parameters of a question that may fill placeholders."""
    return frozenset(parameter.name for parameter in parameters_of(request) if not parameter.secret)


@cache
def fillable(request: RequestType, *, has_names: bool) -> frozenset[str]:
    """What fills placeholders beside groups: parameters, and the names of a link's call if there are links."""
    names = parameter_names(request)
    return names | NAMES.keys() if has_names else names


def groups_of(conditions: tuple[Condition, ...]) -> tuple[list[str], Mapping[str, str]]:
    """The names that a rule's conditions always capture, one that they capture twice twice, and for each the expression
    behind it.
    """
    captured = [pair for condition in conditions for pair in condition.captures()]
    return [name for name, _ in captured], dict(captured)


def folded_groups(conditions: tuple[Condition, ...]) -> frozenset[str]:
    """The names whose values are in the form in which aliases are compared."""
    return frozenset(chain.from_iterable(condition.folded_names for condition in walk(conditions, negated=False)))


def named_anywhere(conditions: tuple[Condition, ...]) -> frozenset[str]:
    """The names that some part of the conditions can capture, be it one alternative of several."""
    return frozenset(chain.from_iterable(condition.names for condition in walk(conditions, negated=False)))


def check_placeholders(templates: Iterable[tuple[Template, Place]], given: Given, table: Table) -> None:
    """Reports placeholders that nothing fills in this rule."""
    for template, place in templates:
        for message in _secrets(template, given):
            table.report.warning(place, message, table.rule)
        for name in given.unknown(template):
            if without_raw(name) in NAMES:
                message = f"placeholder {{{name}}} is unknown: {_NO_NAMES}"
            elif (reason := given.column(name)) is not None:
                message = f"placeholder {{{name}}} is unknown: {reason}"
            elif without_raw(name) in given.partly:
                message = f"only some of this rule's alternatives capture {{{name}}}; capture it in each of them"
            else:
                near = nearest(name, (*given.groups, *sorted(given.others)))
                message = (
                    f"placeholder {{{name}}} is unknown{f' (did you mean {{{near}}}?)' if near else ''}; it can be a "
                    f"named group of this rule, a request parameter, {'{TABLE.COLUMN}, ' if given.tables else ''}or "
                    "{link.ATTRIBUTE}"
                )
            table.error_at(place, message)


def _secrets(template: Template, given: Given) -> Iterator[str]:
    """A sentence for each name of the call that opens a door and stands where others see it."""
    for name in dict.fromkeys(map(without_raw, template.names)):
        if name in _SECRET_NAMES and name in given.others:
            yield f"{{{name}}} opens the door of {_SECRET_NAMES[name]}, and others see it here; write {{call}}"


def check_placeholders_of_room(
    room: str, templates: Iterable[tuple[Template, Place]], given: Given, table: Table
) -> None:
    """Reports what a room needs and the rule that serves it does not give, at the rule, which fills the placeholders."""
    for template, place in templates:
        # Without the rule, so that it is said once of all rules that serve the room.
        for message in _secrets(template, given):
            table.report.warning(place, f"room {room!r}: {message}")
        for name in given.unknown(template):
            if without_raw(name) in NAMES:
                remedy = f"this rule does not give: {_NO_NAMES}"
            elif (reason := given.column(name)) is not None:
                remedy = f"is unknown here: {reason}"
            elif without_raw(name) in given.partly:
                remedy = "only some of this rule's alternatives capture; capture it in each of them"
            else:
                own = f" (its groups: {', '.join(given.groups)})" if given.groups else ""
                remedy = (
                    f"this rule does not give; capture it in its when, as in '(?P<{without_raw(name)}>[a-z0-9]+)'{own}"
                )
            table.error("room", f"room {room!r} uses {{{name}}} ({place}), which {remedy}")
