"""What other systems are told of a call, and when: found in one place, whichever replica heard what, in whatever order.

Each room that is held has one action on the agenda, which is due whenever its nodes tell of somebody who comes or leaves.
Whoever has it looks how the call goes, and what has happened and was not told yet becomes a delivery for each receiver,
under an id that only one can store. The message is made then, and sent as it is however often it must be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from policy_server.conferences.agenda import Done, Later, Remember, Result
from policy_server.conferences.assurance_memory import Memory
from policy_server.conferences.assuring import CHANGES, watched_id
from policy_server.conferences.batches import Wakes
from policy_server.conferences.due import DueAction, find_of
from policy_server.conferences.fold import Phase
from policy_server.conferences.life import Life, life_of
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import HeldConference
from policy_server.conferences.shapes import stamp
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.tables import encode
from policy_server.conferences.webhook_messages import Event, answered, message_of, outcome_of
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

LATE: Final = timedelta(hours=1)
"""For how long after that news may still change what a call came to, which is then told once more."""

ENDS: Final = 5
"""How often the end of a call is told at the most."""

SECONDS: Final = 10.0
AT_ONCE: Final = 10


_PLACES: Final = {event: place for place, event in enumerate(Event)}
"""The order in which a receiver gets them: a call that failed may be answered after all, never the other way round."""


# ------------------------------------------------------------------ what has happened


@dataclass(frozen=True, slots=True)
class News:
    """What has happened to a call that was not told yet, in order, and when to look again: ``None`` never, for it is over."""

    events: Sequence[Event]
    again_at: datetime | None


def news_of(life: Life, told: frozenset[Event], now: datetime, *, is_tried: bool, ends: Sequence[str] = ()) -> News:
    """The news of a call. ``is_tried``: somebody may still have a further leg dialled. ``ends`` are the outcomes with which its
    end was told.
    """
    visit, until = life.visit, life.held.expires_at
    is_ended = life.answer["state"] == Phase.ENDED
    # Late news may still say that it goes on, or why a leg ended.
    settled_at = until if life.arrived_at is None else min(until, life.arrived_at + SETTLE)
    is_over = is_ended and settled_at <= now
    if is_over:
        closed_at = settled_at + LATE
        is_owed = bool(visit.customer or life.held.call)
        again_at = closed_at if is_owed and now < closed_at else None
        is_new = is_owed and len(ends) < ENDS and outcome_of(life) not in ends[-1:]
        last = [Event.ENDED] if is_new else []
    else:
        again_at, last = settled_at if is_ended else until, []
    if ends:
        return News(last, again_at)
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
    return News([*(event for event in found if event not in told), *last], again_at)


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
    counts how often it was, and ``error`` says what came of the last. ``outcome`` is what the end of a call tells.
    """

    event: str
    message: str
    body: str = field(repr=False)
    since: str
    sends: int = 0
    error: str = ""
    outcome: str = ""

    @property
    def fact(self) -> str:
        """What it tells, as the end of a sentence."""
        return Event(self.event).fact

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
        life, news, number = found
        # Written before it is said that it was: whoever comes after a crash finds the same, and stores nothing twice.
        deliveries = [
            self._delivery(event, life, receiver, now, number) for event in news.events for receiver in self._receivers
        ]
        if deliveries:
            await self._store.schedule(deliveries)
        kept = {"told": [event.value for event in Event if event in {*told, *news.events}]}
        return Done("over", kept) if news.again_at is None else Later(news.again_at, kept)

    def _look(
        self, reader: Reader, action: DueAction, told: frozenset[Event], now: datetime
    ) -> tuple[Life, News, int] | None:
        life = life_of(reader, action.id.partition(":")[2], self._rules.ruleset, self._keyring, now)
        if life is None:
            return None
        # By what is to be sent: whoever died before saying so may have noted an end that is another by now.
        ends = _ends(reader, life.held) if life.answer["state"] == Phase.ENDED or Event.ENDED in told else ()
        news = news_of(life, told, now, is_tried=_is_tried(reader, life.held), ends=ends)
        return life, news, len(ends)

    def _delivery(self, event: Event, life: Life, receiver: str, now: datetime, number: int) -> DueAction:
        held = life.held
        again = number + 1 if event is Event.ENDED and number else 0
        # Without a full stop, which stands between id and time in what is signed.
        message = f"msg_{held.id}_{event.name.lower()}{f'_{again}' if again else ''}"
        body = encode(message_of(event, life, now))
        outcome = outcome_of(life) if event is Event.ENDED else ""
        parcel = Parcel(event.value, message, body, stamp(now, "seconds"), outcome=outcome)
        kind = delivery_kind(receiver)
        return DueAction(
            f"{_delivery_id(kind, held, event)}{f':{again}' if again else ''}",
            kind,
            held.call or held.name,
            now,
            parcel.plain(),
            lane=f"{kind}:{held.id}",
            place=_PLACES[event] + again,
        )


def _delivery_id(kind: str, held: HeldConference, event: Event) -> str:
    return f"{kind}:{held.id}:{event}"


def _ends(reader: Reader, held: HeldConference) -> Sequence[str]:
    """With which outcomes the end of a conference is told, in order; of one receiver, for all are told the same."""
    found: dict[str, list[tuple[int, str]]] = {}
    for action in find_of(reader.connection, held.call or held.name):
        if action.id.startswith(_delivery_id(action.kind, held, Event.ENDED)):
            found.setdefault(action.kind, []).append((action.place, str(action.data.get("outcome", ""))))
    most = max(found.values(), key=len, default=[])
    return [outcome for _, outcome in sorted(most)]


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
