"""Rooms read backwards: which rule made the room that a ``dial_out`` question is about.

(README.md: Calls out of a room) What Pexip puts into the other parameters of such a question is not documented, so only
``service_name`` and ``service_tag`` count; the destination serves to choose between rules that share a room.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from policy_server.light import light_dataclass
from policy_server.pexip.aliases import bare_alias, folded
from policy_server.policy.pattern_index import PatternIndex
from policy_server.policy.patterns import Pattern, compile_pattern
from policy_server.policy.services import Leg, ServiceTemplate
from policy_server.policy.templates import Template, backwards, is_blank, recovered, without_raw
from policy_server.telephony.trunks import Trunk


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read the placeholders out of a service's name and tag, the same for all rules that serve one room.

    ``defaults`` are those of the placeholders that may be without a value.
    """

    name: Template
    tag: Template
    pattern: Pattern
    tag_pattern: Pattern
    defaults: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """A rule that serves a service, and how to tell the service's name and tag.

    ``folds`` are the groups that aliases gave, so in lower case. ``legs`` are the destinations with placeholders, each
    with the expression that recognises it: they say what the name does not.
    """

    number: int
    service: ServiceTemplate = field(repr=False)
    reading: Reading
    folds: frozenset[str] = frozenset()
    legs: tuple[tuple[Template, Pattern], ...] = ()


@light_dataclass(frozen=True, slots=True)
class Recalled:
    """The rule, by number, that a room goes back to, and the placeholders read out of its name and tag.

    ``defaulted`` are those that the default of the name may stand for, with that default. ``dials``: a leg of the rule
    goes to the destination that was asked about.
    """

    number: int
    service: ServiceTemplate = field(repr=False)
    placeholders: dict[str, str]
    defaulted: Mapping[str, str] = field(default_factory=dict)
    dials: bool = False


class Recall:
    """Every service that the rules can serve, by name."""

    __slots__ = ("_dialling", "_first", "_index", "_readings")

    def __init__(self, origins: Iterable[Origin]) -> None:
        of_reading: dict[Reading, list[Origin]] = {}
        for origin in origins:
            of_reading.setdefault(origin.reading, []).append(origin)
        self._readings: Final = tuple(of_reading)
        self._first: Final = tuple(alike[0] for alike in of_reading.values())
        self._dialling: Final = tuple(
            tuple(origin for origin in alike if origin.service.legs or origin.service.fallbacks)
            for alike in of_reading.values()
        )
        self._index: Final = PatternIndex((reading.pattern, place) for place, reading in enumerate(self._readings))

    def find(
        self,
        service_name: str,
        service_tag: str,
        remote_alias: str,
        made_it: Callable[[int], bool] = lambda number: False,
    ) -> Recalled | None:
        """The rule that serves a room of this name and tag.

        Of several, one whose leg goes to ``remote_alias`` (as it came), else the first with legs, else the first; before
        others the one, by number, of which it is known that it ``made_it``.
        """
        found = [
            (place, read)
            for place in set(self._index.candidates(service_name))
            if (read := _read(self._readings[place], service_name, service_tag)) is not None
        ]
        dialling = [(origin, read) for place, read in found for origin in self._dialling[place]]
        dialling.sort(key=lambda pair: (not made_it(pair[0].number), pair[0].number))
        for origin, read in dialling:
            recalled = _recalled(origin, *read, remote_alias)
            if recalled.dials:
                return recalled
        others = sorted(((self._first[place], read) for place, read in found), key=lambda pair: pair[0].number)
        for origin, read in (*(pair for pair in dialling if pair[0].service.legs), *others):
            return _recalled(origin, *read, remote_alias)
        return None


def _read(reading: Reading, service_name: str, service_tag: str) -> tuple[dict[str, str], dict[str, str]] | None:
    """The placeholders, and those of them that may be defaults."""
    groups = reading.pattern.match(service_name)
    tag_groups = reading.tag_pattern.match(service_tag)
    if groups is None or tag_groups is None:
        return None
    placeholders = recovered(reading.tag, tag_groups) | recovered(reading.name, groups)
    defaulted = {name: default for name, default in reading.defaults if placeholders[name] == default}
    # Where a text may be a default it is taken for one: a value that is missing is more likely than that very value.
    for values in (placeholders | dict.fromkeys(defaulted, ""), placeholders):
        good = not any(is_blank(values[name]) for name in reading.name.needed)
        if good and reading.name.render(values) == service_name and reading.tag.render(values) == service_tag:
            return values, defaulted
    return None


def _recalled(
    origin: Origin, placeholders: dict[str, str], defaulted: Mapping[str, str], remote_alias: str
) -> Recalled:
    """With what the room's own leg says that its name does not, and with both forms of what is known in one."""
    placeholders = dict(placeholders)  # Other rules that serve the room have their own.
    dials = _dials(origin.service, bare_alias(remote_alias))
    for template, pattern in origin.legs:
        groups = pattern.match(remote_alias)
        read = recovered(template, groups) if groups is not None else {}
        if read and template.render(read | placeholders) == remote_alias and _agree(read, placeholders):
            placeholders = read | placeholders
            dials = True
    for name in tuple(placeholders):
        base = without_raw(name)
        if base != name and base not in placeholders:
            placeholders[base] = folded(placeholders[name]) if base in origin.folds else placeholders[name]
    # Of what came in another form than is written in the name only that form is known.
    for name in origin.service.names:
        base = without_raw(name)
        if base != name and name not in placeholders and base in placeholders:
            placeholders[name] = placeholders[base]
    return Recalled(origin.number, origin.service, placeholders, defaulted, dials)


def _agree(read: Mapping[str, str], placeholders: Mapping[str, str]) -> bool:
    """Whether originals fold to what is known of them."""
    return all(folded(text) == folded(placeholders.get(without_raw(name), text)) for name, text in read.items())


def _dials(service: ServiceTemplate, remote_alias: str) -> bool:
    # Before or after the Call Routing Rule changed the alias (pexip/README.md: Calls that Pexip places): the number is in
    # it either way.
    for leg in (*service.legs, *service.fallbacks):
        trunks = (*leg.trunks.values(),) if leg.trunk is None else (leg.trunk,)
        if any(_is_through(trunk, remote_alias) for trunk in trunks):
            return True
        fixed = "" if trunks else str(leg.fields.fixed.get("remote_alias") or "")
        if fixed and bare_alias(fixed) == remote_alias:
            return True
    return False


def _is_through(trunk: Trunk, remote_alias: str) -> bool:
    _, number, rest = remote_alias.partition(trunk.number)
    return bool(number) and not rest[:1].isdigit()


def destinations(service: ServiceTemplate) -> tuple[Template, ...]:
    """Whom its legs dial, where that has placeholders; not those whose trunk a table names."""
    legs: tuple[Leg, ...] = (*service.legs, *service.fallbacks)
    found = (leg.fields.template("remote_alias") for leg in legs if not leg.trunks)
    return tuple(template for template in found if template is not None and template.names)


def _source(source_of: Callable[[str], str | None], name: str) -> str | None:
    """The expression behind a placeholder; the original of what an expression matched it matches in any case."""
    base = without_raw(name)
    found = source_of(base)
    return f"(?i:{found})" if found and base != name else found


def origin_of(
    number: int,
    service: ServiceTemplate,
    source_of: Callable[[str], str | None],
    folds: frozenset[str] = frozenset(),
) -> Origin | None:
    """The origin for a rule's service; ``source_of`` gives the expression behind a placeholder of the rule, ``folds``
    are the groups that aliases give.
    """
    name = service.fields.template("name")
    if name is None:
        return None
    tag = service.fields.template("service_tag") or Template("", ("",))

    def reader(template: Template) -> Pattern:
        return compile_pattern(backwards(template, partial(_source, source_of)), ignore_case=False)

    defaults = tuple(
        (placeholder, default)
        for template in (tag, name)
        for placeholder, default in zip(template.names, template.defaults, strict=False)
        if default is not None and _may_be_blank(source_of(without_raw(placeholder)))
    )
    legs = tuple((template, reader(template)) for template in destinations(service))
    return Origin(number, service, Reading(name, tag, reader(name), reader(tag), defaults), folds, legs)


def _may_be_blank(source: str | None) -> bool:
    return source is None or any(
        compile_pattern(source, ignore_case=True).match(text) is not None for text in ("", " ")
    )
