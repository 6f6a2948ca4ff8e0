"""Rules by which anybody makes rooms that call somebody: nothing says who may, and callers choose the room's name."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from policy_server.pexip.parameters import PARAMETERS
from policy_server.policy.conditions import AllOf, Condition, table_conditions, text_matches
from policy_server.policy.facts import Supposed
from policy_server.policy.names import NAMES, UNSIGNED
from policy_server.policy.ruleset import Rule, ServeOutcome
from policy_server.policy.templates import without_raw
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.rules import Written

_STRANGER: Final = Supposed(link_states=UNSIGNED, stranger=True)

# From four repetitions on there are thousands of values, or any number.
_MANY: Final = re.compile(r"(?<!\\)(?:\\\\)*(?:[*+]|\{\d*,\}|\{(?:\d+,)?(?:[4-9]|\d{2,})\})")


def open_room_warnings(rules: Iterable[tuple[Rule, Written]]) -> Iterator[tuple[str, Place, str]]:
    """The id, the place and a sentence for every rule by which strangers can have any number of calls made.

    Only what is certain is reported: a rule that asks who the caller is, in whatever way a stranger cannot make up, is
    taken to know what it does.
    """
    for rule, written in rules:
        outcome = rule.outcome
        if not rule.enabled or not isinstance(outcome, ServeOutcome) or not outcome.service.legs:
            continue
        name = outcome.service.fields.template("name")
        if name is None or AllOf(rule.conditions).supposing(_STRANGER) is False:
            continue
        chosen = [each for each in name.names if _is_chosen(each, rule.conditions, written.sources)]
        if chosen:
            yield (
                rule.id,
                written.place,
                f"whoever dials makes as many rooms as they like, since {{{chosen[0]}}} in the name is theirs to choose, and each "
                "dials out; add a condition that strangers cannot meet, such as link: valid, registered: true or remote_address",
            )


def _is_chosen(placeholder: str, conditions: tuple[Condition, ...], sources: Mapping[str, str]) -> bool:
    """Whether callers put any of thousands of values in the place of a placeholder."""
    name = without_raw(placeholder)
    if name in NAMES:
        return False  # A name of a call that we signed.
    if any(name in table.names or placeholder in table.wanted.names for table in table_conditions(conditions)):
        return False  # No more than there are rows.
    if name in sources:
        return _MANY.search(sources[name]) is not None
    if name not in PARAMETERS or not PARAMETERS[name].chosen:
        return False
    asked = [condition for condition in text_matches(conditions) if without_raw(condition.key) == name]
    return all(any(_MANY.search(pattern.text) for pattern in condition.patterns) for condition in asked)
