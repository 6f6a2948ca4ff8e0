"""What is seen of a call's legs and people: by events, and by the Management Node, whose word counts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from policy_server.conferences.assurance import Leg, LegState, Picture
from policy_server.conferences.fold import Chronicle, Phase
from policy_server.conferences.parties import party
from policy_server.pexip.aliases import normalise_alias
from policy_server.policy.assurance import Assured


@dataclass(frozen=True, slots=True)
class Somebody:
    """A participant as the Management Node knows it. ``ids`` are all by which it may be named: the first is for commands.
    ``node`` is the one that handles the call, ``""`` if that is not known.
    """

    ids: tuple[str, ...]
    is_outgoing: bool
    protocol: str
    destination_alias: str
    has_media: bool
    connected_at: float | None
    node: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A conference as the Management Node knows it; ``id`` is for commands."""

    id: str
    people: Sequence[Somebody]


def to_move(seen: Seen, customers: frozenset[str]) -> list[str]:
    """By which ids customers are moved: a browser is two participants, and moves by that which is no media."""
    there = [(one.ids[0], one.protocol.lower()) for one in seen.people if one.ids[0] in customers]
    return sorted(name for name, protocol in there if protocol != "webrtc") or sorted(customers)


def seen_by_events(
    told: Chronicle, phase: Phase, ways: frozenset[str], known: Assured, domains: frozenset[str]
) -> Picture:
    """What events show of a call."""
    trunks, companions = (frozenset(map(party, aliases)) for aliases in (known.trunks, known.companions))
    customers: set[str] = set()
    others = 0
    for somebody in told.people:
        person = somebody.whole
        is_there = person.is_present
        if normalise_alias(person.destination_alias, domains) in ways and person.call_direction != "out":
            customers |= {half.uuid for half in somebody.halves if half.is_present}
        elif is_there and not (person.call_direction == "out" and party(person.destination_alias) in companions):
            others += 1
    legs: list[Leg] = []
    for attendance, leg in told.trunk_legs:
        called = party(attendance.text("destination_alias"))
        is_live = leg.ended_at is None
        if called in trunks:
            connected = leg.connected_at
            state = LegState.GONE if not is_live else LegState.RINGING if connected is None else LegState.CONNECTED
            since = attendance.stints[0].seen_at if connected is None else connected
            legs.append(Leg(attendance.uuid, state, since, connected is not None))
        elif is_live and called not in companions:
            others += 1
    return Picture(phase is Phase.ENDED, frozenset(customers), others, tuple(legs))


def seen_by_node(
    seen: Seen | None,
    events: Picture,
    elsewhere: frozenset[str],
    ways: frozenset[str],
    known: Assured,
    domains: frozenset[str],
) -> Picture:
    """What the Management Node shows of a call. Its word counts for who is there; events tell of what is gone, and of
    whoever is in a breakout room (``elsewhere``), which is a conference of its own there.
    """
    trunks, companions = (frozenset(map(party, aliases)) for aliases in (known.trunks, known.companions))
    customers = {uuid for uuid in events.customers if uuid in elsewhere}
    others = 0
    by_events = {leg.id: leg for leg in events.legs}
    legs: dict[str, Leg] = {}
    for somebody in seen.people if seen is not None else ():
        called = party(somebody.destination_alias)
        if not somebody.is_outgoing:
            if normalise_alias(somebody.destination_alias, domains) in ways:
                customers.add(somebody.ids[0])
            else:
                others += 1
        elif called in trunks:
            told = next((by_events.pop(name) for name in somebody.ids if name in by_events), None)
            connected_at = somebody.connected_at
            is_connected = somebody.has_media or (told is not None and told.state is LegState.CONNECTED)
            since = connected_at or (told.since if told is not None else 0.0)
            state = LegState.CONNECTED if is_connected else LegState.RINGING
            was_connected = is_connected or (told is not None and told.was_connected)
            legs[somebody.ids[0]] = Leg(somebody.ids[0], state, since, was_connected)
        elif called not in companions:
            others += 1
    gone = [replace(leg, state=LegState.GONE) for leg in by_events.values()]
    is_over = events.is_over or (seen is None and not customers)
    return Picture(is_over, frozenset(customers), others, (*legs.values(), *gone), events.dialled_at)


def in_breakouts(told: Chronicle) -> frozenset[str]:
    """Who is in a breakout room: to the Management Node that is a conference of its own."""
    there = (one for one in told.everybody if one.is_present)
    return frozenset(one.uuid for one in there if one.is_in_another(told.room))
