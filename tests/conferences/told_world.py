"""A call that others are told of: a store or two, the rules, and an agenda that is carried out by hand at simulated times."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from policy_server.conferences.agenda import Done, Handler
from policy_server.conferences.deliveries import Deliveries
from policy_server.conferences.due import DueAction
from policy_server.conferences.records import HeldConference
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.telling import KIND, WAKES, Telling, delivery_kind
from policy_server.conferences.timeline import Note
from policy_server.outbound.webhooks import Refused, Taken
from policy_server.pexip.events import Event
from policy_server.policy.ruleset import Ruleset
from tests.conferences.event_histories import BEGIN, ended, joined, left, leg, started
from tests.conferences.samples import conference, link
from tests.rule_sets import KEYRING, load

RULES: Final = load(
    """
    trunks:
      clinic: { number: "+13175551234" }
    links:
      patient: { alias: "mp{session}", agent_alias: "hcp{agent}", ttl: 4h }
    service:
      - id: customer
        when: { link_type: patient, door: customer, link: valid }
        service: { service_type: conference, name: "{call}", service_tag: telehealth }
        dial_out: [{ trunk: clinic }]
      - id: agent
        when: { link_type: patient, door: agent, link: [valid, expired] }
        service: { service_type: conference, name: "{call}", service_tag: telehealth }
    """
)
ENDS: Final = datetime.fromtimestamp(BEGIN, UTC) + timedelta(hours=4)
CALL: Final = KEYRING.sign("patient", ENDS, b"told")
ATTRIBUTES: Final = {"case": "4711", "language": "es"}
LEASE: Final = timedelta(seconds=20)


def at(seconds: float) -> datetime:
    """So many seconds after the room was held."""
    return datetime.fromtimestamp(BEGIN + seconds, UTC)


def held(number: int = 0, call: str = CALL.id, **changed: Any) -> HeldConference:
    """The room of the call."""
    fields = {"id": f"conference{number}", "held_at": at(0), "expires_at": at(43200), "rule": "customer", **changed}
    return conference(call, **fields)


def told(*events: Event, room: str = CALL.id) -> list[Event]:
    """Messages of a room."""
    return [replace(event, data={**event.data, _named(event): room}) for event in events]


def _named(event: Event) -> str:
    return "name" if event.name.startswith("conference_") else "conference"


def visit(answered: float | None = 12, leaves: float = 60) -> list[Event]:
    """A customer comes after a second, Genesys answers or is busy, and it ends."""
    rings = leg("leg", BEGIN + 11, service_type="connecting", connect_time=None)
    took = [] if answered is None else [leg("leg", BEGIN + answered, service_type="conference")]
    reason = "Call rejected: 486 Busy Here" if answered is None else "Call disconnected"
    return told(
        started(BEGIN + 1),
        joined("ada", BEGIN + 1, destination_alias="mp…", display_name="Ada"),
        rings,
        *took,
        left("leg", BEGIN + (13 if answered is None else leaves), disconnect_reason=reason),
        left("ada", BEGIN + leaves),
        ended(BEGIN + leaves + 1),
    )


@dataclass
class Rules:
    """The rules of this moment."""

    ruleset: Ruleset = RULES


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: datetime = field(default_factory=lambda: at(0))

    def __call__(self) -> datetime:
        """What it shows."""
        return self.now


@dataclass
class Box:
    """A receiver that is told without a network; ``answer`` is what it says to a message of that id at that time."""

    answer: Callable[[str, datetime], Taken | Refused] = lambda message, now: Taken(204)
    got: list[tuple[str, str, datetime]] = field(default_factory=list)
    """Id, body and time of each try."""
    taken: list[str] = field(default_factory=list)

    async def send(self, message: str, body: str, at: datetime) -> Taken | Refused:
        """Takes it, or does not."""
        self.got.append((message, body, at))
        answer = self.answer(message, at)
        if isinstance(answer, Taken):
            self.taken.append(message)
        return answer

    @property
    def events(self) -> list[str]:
        """What was taken, without whose it was."""
        return [message.partition("_conference")[2].partition("_")[2] for message in self.taken]


class Office:
    """One process that tells: ``work`` carries out all that is due."""

    def __init__(
        self,
        store: ConferenceStore,
        boxes: Mapping[str, Box],
        clock: Clock,
        owner: str = "a",
        chance: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self.store: Final = store
        self.clock: Final = clock
        self.notes: Final[list[tuple[str, Note]]] = []
        """What was put on timelines."""
        self._owner: Final = owner
        store.wake_by(WAKES)
        self.handlers: Final[dict[str, Handler]] = {
            KIND: Telling(store, Rules(), KEYRING, list(boxes), clock),
            **{
                delivery_kind(name): Deliveries(
                    name, box, clock, lambda key, note: self.notes.append((key, note)), chance
                )
                for name, box in boxes.items()
            },
        }

    async def begin(self, *conferences: HeldConference) -> None:
        """Holds the room of a call that a link led to."""
        await self.store.create_link(link(CALL.id, attributes=ATTRIBUTES, created_at=at(-60), expires_at=ENDS))
        await self.store.hold_all(conferences or [held()])

    async def hear(self, events: Sequence[Event]) -> None:
        """Messages arrive at their times, and what is due then is carried out."""
        for event in sorted(events, key=lambda one: one.time):
            await self.wait(event.arrived_at)
            await self.store.add_events([event])
            await self.work()

    async def wait(self, until: datetime) -> None:
        """Time passes, and whatever becomes due meanwhile is carried out when it is."""
        await self.work()
        while (due := await self._next_due()) is not None and due <= until:
            self.clock.now = due
            await self.work()
        self.clock.now = max(self.clock.now, until)

    async def _next_due(self) -> datetime | None:
        """When something is due that is not yet; what is and was not carried out waits for another of its lane."""
        waiting = [action for kind in self.handlers for action in await self.store.waiting_due(kind)]
        return min((action.due_at for action in waiting if action.due_at > self.clock.now), default=None)

    async def work(self, crash: Callable[[], bool] = lambda: False) -> None:
        """Carries out what is due, until nothing is. Where ``crash`` says so, nobody hears what became of it."""
        is_idle = False
        while not is_idle:
            is_idle = True
            for kind, handler in self.handlers.items():
                now = self.clock.now
                for action in await self.store.take_due(kind, self._owner, now, now + LEASE, 5):
                    is_idle = False
                    result = await handler.carry_out(action, _remember(self.store, action))
                    if crash():
                        continue
                    if isinstance(result, Done):
                        await self.store.finish_due(action, self.clock.now, result.outcome, result.data)
                    else:
                        await self.store.postpone_due(action, result.at, result.data)


def _remember(store: ConferenceStore, action: DueAction) -> Callable[[Mapping[str, object]], Awaitable[bool]]:
    async def remember(data: Mapping[str, object]) -> bool:
        return await store.remember_due(action, action.due_at + LEASE, data)

    return remember
