"""What other systems are told of a call, and when: found in one place, whichever replica heard what, in whatever order.

Each room that is held has one action on the agenda, which is due whenever its nodes tell of somebody who comes or leaves.
Whoever has it looks how the call goes, and what has happened and was not told yet becomes a delivery for each receiver,
under an id that only one can store. The message is made then, and sent as it is however often it must be.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from typing_extensions import TypedDict

from policy_server.conferences.agenda import Done, Later, Remember, Result
from policy_server.conferences.assurance_memory import Memory
from policy_server.conferences.assuring import CHANGES, watched_id
from policy_server.conferences.batches import Wakes
from policy_server.conferences.due import DueAction, find_of
from policy_server.conferences.fold import Phase
from policy_server.conferences.life import Life, life_of
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import HeldConference
from policy_server.conferences.shapes import Time, means, stamp
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.tables import encode
from policy_server.conferences.verdict import Verdict
from policy_server.conferences.view import moment
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Rules

KIND: Final = "webhooks"
"""What the agenda calls the look at one call; a delivery is ``webhook:`` and the name of its receiver."""

SETTLE: Final = timedelta(seconds=10)
"""How long news of one moment may be on their way: before that nobody is told that a call is over, or that nobody answers."""

FIRST: Final = timedelta(seconds=15)
"""When a room is looked at of which no event was heard."""

POLL: Final = timedelta(seconds=5)
"""How often it is asked whether a further leg is tried, while none rings and the customer waits."""

SECONDS: Final = 10.0
AT_ONCE: Final = 10


class Event(StrEnum):
    """What others are told of."""

    STARTED = "call.started"
    """The customer is in the room for the first time."""
    FAILED = "call.failed"
    """Nobody has answered, and nobody is called any more."""
    ANSWERED = "call.answered"
    """The contact centre and the customer are together for the first time."""
    ENDED = "call.ended"
    """The conference is over."""


_PLACES: Final = {event: place for place, event in enumerate(Event)}
"""The order in which a receiver gets them: a call that failed may be answered after all, never the other way round."""


# ------------------------------------------------------------------ what is said


class Told(TypedDict):
    """The `data` of a message. Times are those of the nodes' clocks."""

    call: Annotated[str | None, means("The call id, as the links API gives it; `null` where no link led to the room.")]
    conference: Annotated[
        str, means("The conference: a call has another one when the customer comes back after everybody left.")
    ]
    room: Annotated[str, means("The name of the room, as Pexip shows it.")]
    link_type: Annotated[str, means("The type of the link, empty without one.")]
    service_tag: Annotated[str, means("The room's service tag.")]
    rule: Annotated[str, means("The id of the rule that made the room.")]
    customer: Annotated[str | None, means("The name that the link was made for, or under which the customer came.")]
    attributes: Annotated[dict[str, str], means("The attributes that the link was given.")]
    verdict: Annotated[Verdict, means("What has become of the call so far, as the lookup says it.")]
    created_at: Annotated[Time | None, means("When the link was made.")]
    joined_at: Annotated[Time | None, means("When the customer came into the room.")]
    answered_at: Annotated[Time | None, means("When the contact centre and the customer were first together.")]
    ended_at: Annotated[Time | None, means("When the conference was over; `null` while it runs.")]


class Message(TypedDict):
    """The body of a webhook."""

    type: Annotated[str, means("The event.")]
    timestamp: Annotated[Time, means("When it happened.")]
    data: Annotated[Told, means("The call, as it was known when the message was made.")]


def message_of(event: Event, life: Life, now: datetime) -> Message:
    """The message that tells of an event."""
    answer, visit = life.answer, life.visit
    arrived = life.arrived_at or now
    joined_at, answered_at = (moment(_finite(at), arrived) for at in (visit.came_at, answered(life)))
    ended_at = answer["ended_at"]
    failed_at = moment(max((leg.ended_at for leg in visit.legs if leg.ended_at is not None), default=None), arrived)
    happened: dict[Event, str | None] = {
        Event.STARTED: stamp(joined_at),
        Event.ANSWERED: stamp(answered_at),
        Event.FAILED: ended_at or stamp(failed_at),
        Event.ENDED: ended_at,
    }
    return {
        "type": event.value,
        "timestamp": happened[event] or stamp(now),
        "data": {
            "call": answer["call"],
            "conference": life.held.id,
            "room": answer["name"],
            "link_type": life.link_type,
            "service_tag": answer["service_tag"],
            "rule": life.held.rule,
            "customer": answer["customer"]["name"],
            "attributes": answer["attributes"],
            "verdict": answer["verdict"],
            "created_at": answer["created_at"],
            "joined_at": stamp(joined_at),
            "answered_at": stamp(answered_at),
            "ended_at": ended_at,
        },
    }


def answered(life: Life) -> float | None:
    """When the contact centre and the customer were first together, by telephone or by video."""
    talk = (begin for begin, _ in life.visit.talk)
    return min((at for at in (life.visit.met_at, next(talk, None)) if at is not None), default=None)


def _finite(at: float | None) -> float | None:
    return at if at is not None and math.isfinite(at) else None


# ------------------------------------------------------------------ what has happened


@dataclass(frozen=True, slots=True)
class News:
    """What has happened to a call that was not told yet, in order, and when to look again: ``None`` never, for it is over."""

    events: Sequence[Event]
    again_at: datetime | None


def news_of(life: Life, told: frozenset[Event], now: datetime, *, is_tried: bool) -> News:
    """The news of a call. ``is_tried``: somebody may still have a further leg dialled."""
    visit, until = life.visit, life.held.expires_at
    is_ended = life.answer["state"] == Phase.ENDED
    # Late news may still say that it goes on, or why a leg ended.
    settled_at = until if life.arrived_at is None else min(until, life.arrived_at + SETTLE)
    is_over = is_ended and settled_at <= now
    again_at = settled_at if is_ended else until
    found = [Event.STARTED] if visit.customer else []
    if answered(life) is not None:
        found.append(Event.ANSWERED)
    elif visit.customer and Event.ANSWERED not in told:
        if is_over:
            found.append(Event.FAILED)
        elif _is_without_leg(life) and settled_at > now:
            again_at = settled_at
        elif _is_without_leg(life) and is_tried:
            again_at = min(until, now + POLL)
        elif _is_without_leg(life):
            found.append(Event.FAILED)
    if is_over and (visit.customer or life.held.call):
        found.append(Event.ENDED)
    return News([event for event in found if event not in told], None if is_over else again_at)


def _is_without_leg(life: Life) -> bool:
    """Whether the customer waits and every leg that was dialled is over."""
    legs, visit = life.visit.legs, life.visit
    return bool(legs) and not visit.is_over and all(leg.end is not None for leg in legs)


# ------------------------------------------------------------------ on the agenda


def delivery_kind(receiver: str) -> str:
    """What the agenda calls a delivery to a receiver."""
    return f"webhook:{receiver}"


def first_look(held: HeldConference) -> DueAction | None:
    """The action by which a room is looked at that is held now; ``None`` for one that dials nobody and that no link led to:
    that is a meeting, of which there may be any number.
    """
    if not (held.call or held.legs or held.fallbacks):
        return None
    return DueAction(f"{KIND}:{held.id}", KIND, held.name, held.held_at + FIRST, {"told": []})


WAKES: Final = Wakes(KIND, CHANGES | {"participant_updated"}, first_look)
"""What has the looks be due: a leg may be answered with an update."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """The data of a delivery. ``message`` is its id for the receiver, and ``since`` when it was to be sent first; ``sends``
    counts how often it was, and ``error`` says what came of the last.
    """

    event: str
    message: str
    body: str = field(repr=False)
    since: str
    sends: int = 0
    error: str = ""

    def plain(self) -> dict[str, object]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class Telling:
    """Looks at calls, and has what happened to them delivered: a handler of the agenda."""

    seconds: Final = SECONDS
    at_once: Final = AT_ONCE

    def __init__(
        self,
        store: ConferenceStore,
        rules: Rules,
        keyring: Keyring,
        receivers: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._store: Final = store
        self._rules: Final = rules
        self._keyring: Final = keyring
        self._receivers: Final = receivers
        self._clock: Final = clock

    async def carry_out(self, action: DueAction, remember: Remember) -> Result:
        """Looks at one call."""
        now = self._clock()
        told = frozenset(map(Event, _texts(action.data.get("told"))))
        found = await self._store.read(self._look, action, told, now)
        if found is None:
            return Done("not held", {})
        life, news = found
        # Written before it is said that it was: whoever comes after a crash finds the same, and stores nothing twice.
        deliveries = [
            self._delivery(event, life, receiver, now) for event in news.events for receiver in self._receivers
        ]
        if deliveries:
            await self._store.schedule(deliveries)
        kept = {"told": [event.value for event in Event if event in {*told, *news.events}]}
        return Done("over", kept) if news.again_at is None else Later(news.again_at, kept)

    def _look(
        self, reader: Reader, action: DueAction, told: frozenset[Event], now: datetime
    ) -> tuple[Life, News] | None:
        life = life_of(reader, action.id.partition(":")[2], self._rules.ruleset, self._keyring, now)
        if life is None:
            return None
        return life, news_of(life, told, now, is_tried=_is_tried(reader, life.held))

    def _delivery(self, event: Event, life: Life, receiver: str, now: datetime) -> DueAction:
        held = life.held
        # Without a full stop, which stands between id and time in what is signed.
        message = f"msg_{held.id}_{event.name.lower()}"
        parcel = Parcel(event.value, message, encode(message_of(event, life, now)), stamp(now, "seconds"))
        kind = delivery_kind(receiver)
        return DueAction(
            f"{kind}:{held.id}:{event}",
            kind,
            held.call or held.name,
            now,
            parcel.plain(),
            lane=f"{kind}:{held.id}",
            place=_PLACES[event],
        )


def _is_tried(reader: Reader, held: HeldConference) -> bool:
    """Whether somebody watches the legs of a room and has not given up."""
    watched = (action for action in find_of(reader.connection, held.name) if action.id == watched_id(held))
    action = next(watched, None)
    if action is None or action.done_at is not None:
        return False
    remembered = action.data.get("memory")
    return not Memory.of(remembered if isinstance(remembered, dict) else {}).is_exhausted


def _texts(found: object) -> list[str]:
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []
