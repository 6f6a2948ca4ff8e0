"""What the page of the rules shows of trunks: what they are, how much goes through them now, and how their legs ended."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import phonenumbers

from policy_server.pexip.request_types import RequestType
from policy_server.policy.ruleset import Ruleset, ServeOutcome
from policy_server.policy.trunk_limits import excess
from policy_server.telephony.trunks import Limits, Load, Trunk, dial_string
from policy_server.web.leg_counts import LastLegs

LEGS: Final = "legs"
"""What processes ask each other for the ``LastLegs`` that they saw."""

Legs = Mapping[str, LastLegs]
"""By trunk."""


@dataclass(frozen=True, slots=True)
class TrunkRow:
    """A trunk: its number as people write it, the country of that, what a node dials, and the rules that do.

    ``busy`` says how much goes through it, ``limits`` how much may, ``""`` for any; times are ``""`` where there is none, and
    ``is_watched`` says whether anybody looks at its legs. ``warning`` is what is wrong with it now.
    """

    name: str
    number: str
    country: str
    dials: str
    rules: tuple[str, ...]
    place: str
    busy: str
    limits: str
    is_watched: bool
    answered: str
    failed: str
    failure: str
    warning: str


def loads(ruleset: Ruleset, load_of: Callable[[str], Load], most: int) -> Mapping[str, Load]:
    """How much goes through each of the first trunks."""
    return {name: load_of(dial_string(trunk).remote_alias) for name, trunk in islice(ruleset.trunks.items(), most)}


def last_of_all(processes: Iterable[Mapping[str, tuple[float, float, str]] | None]) -> Legs | None:
    """The last legs that any process saw; ``None`` where none looks at legs."""
    found: dict[str, LastLegs] | None = None
    for told in processes:
        if told is not None:
            found = found if found is not None else {}
            for name, last in told.items():
                found[name] = found.get(name, LastLegs()).later(LastLegs(*last))
    return found


def trunk_rows(ruleset: Ruleset, now: Mapping[str, Load], legs: Legs | None) -> list[TrunkRow]:
    """A row for each trunk of which is known what goes through it."""
    users: dict[str, list[str]] = {}
    for rule in ruleset.lists[RequestType.SERVICE].rules:
        if isinstance(rule.outcome, ServeOutcome):
            of_rule = (*rule.outcome.service.legs, *rule.outcome.service.fallbacks)
            names = {leg.trunk.name for leg in of_rule if leg.trunk is not None}.union(*(leg.trunks for leg in of_rule))
            for name in names:
                users.setdefault(name, []).append(rule.id)
    places = ruleset.places["trunks"]
    return [
        _row(ruleset.trunks[name], tuple(users.get(name, ())), places.get(name, ""), load, legs)
        for name, load in now.items()
        if name in ruleset.trunks
    ]


def _row(trunk: Trunk, rules: tuple[str, ...], place: str, load: Load, legs: Legs | None) -> TrunkRow:
    number = phonenumbers.parse(trunk.number)
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    country = phonenumbers.region_code_for_number(number) or f"+{number.country_code}"
    last = (legs or {}).get(trunk.name, LastLegs())
    warnings = []
    if over := excess(trunk, load):
        warnings.append(f"at its limit: {over}; another entry of dial_out is dialled, if there is one")
    if last.failed > last.answered:
        warnings.append("the last leg failed")
    return TrunkRow(
        trunk.name,
        written,
        country,
        dial_string(trunk).remote_alias,
        rules,
        place,
        f"{_counted(load.legs, 'leg')} of rooms that run; {_counted(load.calls, 'call')} began within a minute",
        _limits(trunk.limits),
        legs is not None,
        _time(last.answered),
        _time(last.failed),
        last.failure.replace("_", " "),
        "; ".join(warnings),
    )


def _limits(limits: Limits | None) -> str:
    if limits is None:
        return ""
    parts = [
        *([f"{_counted(limits.legs, 'leg')} at a time"] if limits.legs is not None else []),
        *([f"{_counted(limits.calls_per_minute, 'call')} a minute"] if limits.calls_per_minute is not None else []),
    ]
    return ", ".join(parts)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else ""
