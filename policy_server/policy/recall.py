"""Rooms read backwards: which rule made the room that a ``dial_out`` question is about (DESIGN section 3).

What Pexip puts into the other parameters of such a question is not documented, so only ``service_name`` and
``service_tag`` count; the destination serves to choose between rules that share a room.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from policy_server.pexip.aliases import bare_alias
from policy_server.policy.patterns import Pattern, PatternIndex, compile_pattern
from policy_server.policy.services import ServiceTemplate
from policy_server.policy.templates import Template, backwards, recovered


@dataclass(frozen=True, slots=True)
class Origin:
    """A rule that serves a service, and how to tell the service's name and tag."""

    number: int
    service: ServiceTemplate = field(repr=False)
    name: Template
    tag: Template
    pattern: Pattern
    tag_pattern: Pattern


@dataclass(frozen=True, slots=True)
class Recalled:
    """The rule, by number, that a room goes back to, and the placeholders read out of its name and tag."""

    number: int
    service: ServiceTemplate = field(repr=False)
    placeholders: Mapping[str, str]


class Recall:
    """Every service that the rules can serve, by name."""

    __slots__ = ("_index", "_origins")

    def __init__(self, origins: Sequence[Origin]) -> None:
        self._origins: Final = tuple(origins)
        self._index: Final = PatternIndex((origin.pattern, place) for place, origin in enumerate(self._origins))

    def find(self, service_name: str, service_tag: str, remote_alias: str) -> Recalled | None:
        """The rule that serves a room of this name and tag.

        Of several, one whose leg goes to ``remote_alias``, else the first with legs, else the first.
        """
        found = [
            recalled
            for place in sorted(set(self._index.candidates(service_name)))
            if (recalled := _read(self._origins[place], service_name, service_tag)) is not None
        ]
        return (
            next((origin for origin in found if _dials(origin.service, remote_alias)), None)
            or next((origin for origin in found if origin.service.legs), None)
            or next(iter(found), None)
        )


def _read(origin: Origin, service_name: str, service_tag: str) -> Recalled | None:
    groups = origin.pattern.match(service_name)
    tag_groups = origin.tag_pattern.match(service_tag)
    if groups is None or tag_groups is None:
        return None
    placeholders = recovered(origin.tag, tag_groups) | recovered(origin.name, groups)
    if origin.name.render(placeholders) != service_name or origin.tag.render(placeholders) != service_tag:
        return None
    return Recalled(origin.number, origin.service, placeholders)


def _dials(service: ServiceTemplate, remote_alias: str) -> bool:
    # Before or after the Call Routing Rule changed the alias (unconfirmed): the number is in it either way.
    for leg in (*service.legs, *service.fallbacks):
        if leg.trunk is None:
            if (
                leg.fields.fixed.get("remote_alias")
                and bare_alias(str(leg.fields.fixed["remote_alias"])) == remote_alias
            ):
                return True
        else:
            _, number, rest = remote_alias.partition(leg.trunk.number)
            if number and not rest[:1].isdigit():
                return True
    return False


def origin_of(number: int, service: ServiceTemplate, source_of: Callable[[str], str | None]) -> Origin | None:
    """The origin for a rule's service; ``source_of`` gives the expression behind a placeholder of the rule."""
    name = service.fields.template("name")
    if name is None:
        return None
    tag = service.fields.template("service_tag") or Template("", ("",))
    pattern = compile_pattern(backwards(name, source_of), ignore_case=False)
    tag_pattern = compile_pattern(backwards(tag, source_of), ignore_case=False)
    return Origin(number, service, name, tag, pattern, tag_pattern)
