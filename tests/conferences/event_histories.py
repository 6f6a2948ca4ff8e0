"""Event-sink messages for tests: single ones, and strategies that generate whole conferences."""

import itertools
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from policy_server.conferences.fold import Chronicle, Phase
from policy_server.conferences.participants import Participant, TrunkLeg, as_participant
from policy_server.pexip.events import Event

NODE = "10.0.0.1"
OTHER = "10.0.0.2"
ROOM = "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234"
NUMBER = "+13175551234"
BEGIN = 1_760_000_000.0

_TIMES = {
    "conference_started": ["start_time"],
    "conference_ended": ["end_time"],
    "participant_connected": ["connect_time"],
    "participant_disconnected": ["end_time"],
}
_seqs = itertools.count(1)


def message(event: str, time: float, node: str = NODE, /, **data: Any) -> Event:
    """One message with its data, of which ``...`` takes a field away; its seq goes up with each unless given."""
    seq = data.pop("seq", None) or next(_seqs)
    told = {key: value for key, value in data.items() if value is not ...}
    return Event(node, seq, 2, float(time), event, told, arrived_at=datetime.fromtimestamp(time, UTC))


def started(time: float, node: str = NODE, **data: Any) -> Event:
    """A node starts the conference."""
    return message("conference_started", time, node, **{"name": ROOM, "start_time": time, **data})


def updated(time: float, node: str = NODE, **data: Any) -> Event:
    """A node has something to say about the conference."""
    return message("conference_updated", time, node, **{"name": ROOM, **data})


def ended(time: float, node: str = NODE, **data: Any) -> Event:
    """A node ends the conference."""
    return message("conference_ended", time, node, **{"name": ROOM, "end_time": time, **data})


def joined(uuid: str, time: float, node: str = NODE, **data: Any) -> Event:
    """A caller with media connects."""
    whole = {"uuid": uuid, "conference": ROOM, "protocol": "WebRTC", "call_direction": "in", "has_media": True}
    return message("participant_connected", time, node, **{**whole, "connect_time": time, **data})


def changed(uuid: str, time: float, node: str = NODE, **data: Any) -> Event:
    """A participant's update, with the changed fields alone."""
    return message("participant_updated", time, node, **{"uuid": uuid, "conference": ROOM, **data})


def left(uuid: str, time: float, node: str = NODE, **data: Any) -> Event:
    """A participant disconnects."""
    whole = {"uuid": uuid, "conference": ROOM, "end_time": time, "disconnect_reason": "User initiated disconnect"}
    return message("participant_disconnected", time, node, **{**whole, **data})


def browser(name: str, time: float, node: str = NODE, **data: Any) -> list[Event]:
    """A browser connects: its control half, and a moment later its media half."""
    control, media = f"{name}-control", f"{name}-media"
    return [
        joined(control, time, node, protocol="API", has_media=False, display_name=name, related_uuids=[media], **data),
        joined(media, time + 0.5, node, display_name=name, related_uuids=[control], **data),
    ]


def leg(uuid: str, time: float, **data: Any) -> Event:
    """The contact centre's leg connects."""
    whole = {"protocol": "SIP", "call_direction": "out", "destination_alias": f"{NUMBER}@acme.byoc.usw2.pure.cloud"}
    return joined(uuid, time, **{"role": "chair", **whole, **data})


VISIT = [
    started(100),
    started(101, OTHER),
    *browser("Ada L", 102, role="guest"),
    leg("l", 112, service_type="connecting", connect_time=None),
    changed("l", 115, service_type="conference", connect_time=114.5),
    *browser("Agent: Maria", 120, OTHER, role="chair"),
    changed("Agent: Maria-media", 130, OTHER, is_presenting=True),
    changed("Agent: Maria-media", 140, OTHER, is_presenting=False),
    left("l", 150, disconnect_reason="Call disconnected"),
    left("Agent: Maria-media", 151, OTHER),
    left("Agent: Maria-control", 152, OTHER),
    left("Ada L-media", 153, disconnect_reason="Browser closed"),
    left("Ada L-control", 154, disconnect_reason="Browser closed"),
    ended(155, OTHER),
    ended(156),
]
"""A customer, an agent, and the contact centre's leg between them."""


@dataclass(frozen=True)
class History:
    """A generated conference: its messages in the order in which they happened, and what they were made from."""

    events: tuple[Event, ...]
    people: int
    legs: int
    still_there: int
    """How many of the people are, with media."""
    is_over: bool
    starts_at: float


_CHANGES = st.one_of(
    st.fixed_dictionaries({"is_muted": st.booleans()}),
    st.fixed_dictionaries({"is_presenting": st.booleans()}),
    st.fixed_dictionaries({"display_name": st.sampled_from(["Ada", "Ada L", "Grace", ""])}),
    st.fixed_dictionaries({"role": st.sampled_from(["chair", "guest", "unknown"])}),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Conferences over several nodes: browsers (two participants each), phones and trunk legs come, change, go."""
    nodes = draw(st.lists(st.sampled_from([NODE, OTHER, "10.0.0.3"]), min_size=1, unique=True))
    raw: list[tuple[str, str, dict[str, Any]]] = [(node, "conference_started", {"name": ROOM}) for node in nodes]
    there: list[tuple[str, str, str]] = []
    counts: Counter[str] = Counter()
    for number in range(draw(st.integers(0, 8))):
        action = draw(st.sampled_from(["browser", "phone", "leg", "change", "lock", "go"]))
        node = draw(st.sampled_from(nodes))
        if action in {"browser", "phone", "leg"}:
            counts[action] += 1
            there.append((action, f"{action}{number}", node))
            raw += [(node, "participant_connected", data) for data in _halves(action, f"{action}{number}")]
        elif action == "lock":
            raw.append((node, "conference_updated", {"name": ROOM, "is_locked": draw(st.booleans())}))
        elif there and action == "change":
            kind, name, node = draw(st.sampled_from(there))
            half = draw(st.sampled_from(_halves(kind, name)))
            raw.append((node, "participant_updated", {"uuid": half["uuid"], "conference": ROOM, **draw(_CHANGES)}))
        elif there:
            raw += _goodbye(there.pop(draw(st.integers(0, len(there) - 1))))
    is_over = draw(st.booleans())
    if is_over:
        for who in there:
            raw += _goodbye(who)
        raw += [(node, "conference_ended", {"name": ROOM}) for node in nodes]
    return History(
        events=tuple(_stamp(draw, raw)),
        people=counts["browser"] + counts["phone"],
        legs=counts["leg"],
        still_there=0 if is_over else sum(kind != "leg" for kind, _, _ in there),
        is_over=is_over,
        starts_at=BEGIN,
    )


def _halves(kind: str, name: str) -> list[dict[str, Any]]:
    whole = {"conference": ROOM, "display_name": name, "role": "guest", "call_direction": "in"}
    if kind == "browser":
        control, media = f"{name}-control", f"{name}-media"
        return [
            {**whole, "uuid": control, "protocol": "api", "has_media": False, "related_uuids": [media]},
            {**whole, "uuid": media, "protocol": "WebRTC", "has_media": True, "related_uuids": [control]},
        ]
    if kind == "phone":
        return [{**whole, "uuid": name, "protocol": "SIP", "has_media": True, "related_uuids": []}]
    out = {"call_direction": "out", "destination_alias": f"99{NUMBER}", "role": "chair"}
    return [{**whole, "uuid": name, "protocol": "sip", "has_media": True} | out]


def _goodbye(who: tuple[str, str, str]) -> list[tuple[str, str, dict[str, Any]]]:
    kind, name, node = who
    return [
        (node, "participant_disconnected", {**half, "disconnect_reason": "Call disconnected", "related_uuids": []})
        for half in _halves(kind, name)
    ]


def _stamp(draw: st.DrawFn, raw: Iterable[tuple[str, str, dict[str, Any]]]) -> Iterable[Event]:
    """Give messages their times and seqs; the sinks restart now and then, and messages share a moment."""
    clock = BEGIN
    seqs: Counter[str] = Counter()
    steps = draw(st.randoms(use_true_random=False))
    for node, name, data in raw:
        if steps.random() < 0.1:
            seqs[node] = 0
        seqs[node] += 1
        times = dict.fromkeys(_TIMES.get(name, ()), clock)
        told = {**data, **times}
        yield replace(message(name, clock, node, seq=seqs[node], **told), version=steps.choice([1, 2]))
        clock += steps.choice([0.0, 0.25, 1.0, 30.0])


def delivered(events: Iterable[Event], order: random.Random) -> list[Event]:
    """What two sinks that count differently, and begin again now and then, send of some messages, in any order."""
    copies: list[Event] = []
    for ahead in (0, order.choice([1, 7])):
        seq = 0
        for event in events:
            seq = 1 if order.random() < 0.1 else seq + 1
            copies.append(replace(event, seq=seq + ahead))
    return jumbled(copies, order)


@dataclass(frozen=True, slots=True)
class ConferenceState:
    """All that a chronicle says of a conference. Times are epoch seconds by the nodes' clocks."""

    phase: Phase
    started_at: float | None
    """The smallest start_time of any node, of its first life when it had several."""
    ended_at: float | None
    """When its last node ended it; ``None`` unless the phase is ended."""
    is_locked: bool
    participants: tuple[Participant, ...]
    """All of them, legs and halves of browsers included, by when they came."""
    people: tuple[Participant, ...]
    """Without trunk legs, and siblings as one: a browser's control half and media half are one person."""
    trunk_legs: tuple[TrunkLeg, ...]
    nodes: tuple[str, ...]
    """The nodes that sent the messages, sorted."""
    left_out: int = 0
    """How many participants came beyond ``MAX_PARTICIPANTS``."""


def fold(events: Iterable[Event]) -> ConferenceState:
    """The state of the conference that the messages are about."""
    return state_of(Chronicle(events))


def state_of(told: Chronicle) -> ConferenceState:
    """All that a chronicle says."""
    return ConferenceState(
        phase=told.phase,
        started_at=told.started_at,
        ended_at=told.ended_at,
        is_locked=bool(told.runs) and told.runs[-1].is_locked,
        participants=tuple(map(as_participant, told.kept)),
        people=tuple(person.whole for person in told.people),
        trunk_legs=tuple(leg for _, leg in told.trunk_legs),
        nodes=tuple(sorted({event.node for event in told.events})),
        left_out=len(told.everybody) - len(told.kept),
    )


def jumbled(events: Iterable[Event], order: random.Random) -> list[Event]:
    """The same set of messages in another order, some of them several times."""
    heap = list(events)
    heap += [event for event in heap for _ in range(order.choice([0, 0, 1, 2]))]
    order.shuffle(heap)
    return heap
