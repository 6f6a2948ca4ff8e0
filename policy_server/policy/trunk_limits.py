"""Which legs a room dials where trunks have limits: one over its limit is passed over for an entry that is not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from policy_server.policy.services import Fields, Leg, ServiceTemplate, share_of
from policy_server.telephony.trunks import Load, Trunk
from policy_server.wording.values import shown
from policy_server.wording.words import listed

LoadOf = Callable[[str], Load]
"""How much goes through a trunk now, by what is dialled for it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The legs that a room dials, those for when one of them fails, and why these."""

    legs: Sequence[Fields]
    fallbacks: tuple[Fields, ...]
    reason: str


class _Room:
    """A room that is about to be served."""

    def __init__(self, load_of: LoadOf) -> None:
        self._load_of = load_of
        self.over: dict[str, str] = {}

    def is_over(self, leg: Leg, fields: Mapping[str, object]) -> bool:
        """Whether the trunk of a leg has as much as it may."""
        alias = str(fields.get("remote_alias", ""))
        trunk = leg.trunk_of(alias)
        why = excess(trunk, self._load_of(alias)) if trunk is not None and trunk.limits is not None else ""
        if trunk is not None and why:
            self.over[trunk.name] = why
        return bool(why)


def excess(trunk: Trunk, load: Load) -> str:
    """Which limit of a trunk is reached, in words; ``""`` if none is."""
    limits = trunk.limits
    if limits is None:
        return ""
    if limits.legs is not None and load.legs >= limits.legs:
        return f"{load.legs} of {limits.legs} legs"
    if limits.calls_per_minute is not None and load.calls >= limits.calls_per_minute:
        return f"{load.calls} of {limits.calls_per_minute} calls a minute"
    return ""


def within_limits(
    template: ServiceTemplate,
    legs: Sequence[Fields],
    fallbacks: tuple[Fields, ...],
    values: Mapping[str, str],
    call: str,
    load_of: LoadOf,
    is_open: Callable[[str], bool],
) -> Choice | None:
    """What a room dials in place of the ``legs`` that it would dial; ``None`` if these stay.

    Of those that share the calls another takes the place of one that is over; else what is left is dialled alone; and where
    nothing is left that reaches the contact centre, the first entry for when a leg failed that is not over, nor closed.
    """
    room = _Room(load_of)
    dialled = list(zip(template.dialled(call), legs, strict=True))
    kept = [(leg, fields) for leg, fields in dialled if not room.is_over(leg, fields)]
    if len(kept) == len(dialled):
        return None
    if template.is_weighted and not any(leg.weight for leg, _ in kept):
        others = [(leg, leg.fields.fill(values)[0]) for leg in template.legs if leg.weight]
        free = [(leg, fields) for leg, fields in others if not room.is_over(leg, fields)]
        if free:
            chosen = share_of([leg for leg, _ in free], call)
            kept += [(leg, fields) for leg, fields in free if leg is chosen]
    left = fallbacks
    if not any(leg.is_to_trunk for leg, _ in kept):
        for number, (leg, fields) in enumerate(zip(template.fallbacks, fallbacks, strict=True)):
            if (not leg.open or is_open(leg.open)) and not room.is_over(leg, fields):
                kept.append((leg, fields))
                left = fallbacks[number + 1 :]
                break
        else:
            return Choice(legs, fallbacks, f"{_told(room.over)}, and nothing else is left to dial")
    return Choice([fields for _, fields in kept], left, f"passed over: {_told(room.over)}")


def _told(over: Mapping[str, str]) -> str:
    return listed(f"trunk {shown(name)} has {why}" for name, why in over.items())


def may_be_dialled(are_open: Sequence[bool], are_over: Sequence[bool]) -> list[bool]:
    """Which entries may be dialled, of some in order: those that are open, without those that are over the limits of their
    trunks while a later one is not.
    """
    return [
        is_open
        and not (is_over and any(o and not f for o, f in zip(are_open[n + 1 :], are_over[n + 1 :], strict=True)))
        for n, (is_open, is_over) in enumerate(zip(are_open, are_over, strict=True))
    ]
