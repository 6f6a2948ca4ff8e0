"""The event sink and the agents' endpoints in this process, on a database of their own, and calls to fill it with."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar
from urllib.parse import quote

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp

from policy_server.conferences.ending import Endings
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.fold import Chronicle
from policy_server.conferences.kept import kept_of_message
from policy_server.conferences.live import Conferences
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.pace import Pace
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import (
    DIALLED,
    Change,
    Door,
    HeldConference,
    Link,
    TimelineEntry,
    alias_key,
)
from policy_server.conferences.store import ConferenceStore
from policy_server.genesys.client import GenesysClient
from policy_server.genesys.tenant import Tenant
from policy_server.pexip.events import Event
from policy_server.pexip.field_facts import DOOR_FIELDS
from policy_server.policy.names import Call
from policy_server.policy.ruleset import Ruleset
from policy_server.simulator.genesys import participant
from policy_server.web.agents import AgentAccess, AgentDesk, AgentEndpoint
from policy_server.web.basic import BasicAuthentication
from policy_server.web.cors import AgentCors
from policy_server.web.events import EventSinkEndpoint
from policy_server.web.streams import AgentStreams
from tests.conferences import event_histories as told
from tests.genesys.asking import MARIA, TOKEN
from tests.rule_sets import KEYRING, NOON, ask, load, served
from tests.servers import basic
from tests.waiting import WHOLE_PATIENCE, until

P = ParamSpec("P")
T = TypeVar("T")

SINK_USER: Final = "sink"
SINK_PASSWORD: Final = "the sink's password"
ORIGIN: Final = "https://widget.example.com"
NODE: Final = "pexip.example.com"
NUMBER: Final = "+13129998045"
BEGIN: Final = NOON.timestamp()
CALL: Final = KEYRING.sign("visit", NOON + timedelta(hours=4), b"1234")
"""A call of link type ``visit`` whose door is open for four hours from NOON."""
SESSION: Final = CALL.session
AGENT_KEY: Final = CALL.agent
CALL_ID: Final = CALL.id
HOST_PIN: Final = CALL.pins.host
GUEST_PIN: Final = CALL.pins.guest

RULES_TEXT: Final = """
domains: [video.example.com]
trunks:
  contact-centre: { number: "+1 312 999 8045", dial_prefix: "99" }
rooms:
  visit:
    name: "{call}"
    service_tag: contact-centre
    pin: derived
    guest_pin: derived
    allow_guests: true
  own: { name: "{visit}", service_tag: contact-centre, pin: derived }
  fixed: { name: "advice {call}", service_tag: advice, pin: "55512345" }
  open: { name: "open {call}" }
  shared: { name: "the shared room", service_tag: shared, pin: "77712345", shared: true }
service:
  - id: customer
    when: { link_type: visit, door: customer, link: valid }
    room: visit
    dial_out: [{ trunk: contact-centre, display_name: "{call}" }]
  - id: agent
    when: { link_type: visit, door: agent, link: [valid, expired] }
    room: visit
  - { id: advice, when: { link_type: advice, link: valid }, room: fixed }
  - { id: open, when: { link_type: open, link: valid }, room: open }
  - { id: shared, when: { link_type: shared, link: valid }, room: shared }
  - { id: weak, when: { link_type: weak, link: valid }, room: visit }
  - { id: unsigned, when: { local_alias: 'old(?P<visit>[a-z0-9]{32})' }, room: own }
links:
  visit: { alias: "mp{session}", agent_alias: "hcp{agent}" }
  advice: { alias: "adv{session}" }
  open: { alias: "opn{session}" }
  shared: { alias: "shr{session}" }
  weak: { alias: "wk{session}", agent_alias: "wka{call}" }
  refused: { alias: "no{session}" }
"""
RULES: Final = load(RULES_TEXT)
"""Rooms with every kind of PIN, named after the call in several ways."""


@dataclass
class FixedRules:
    """Rules that stay until a test changes them."""

    ruleset: Ruleset = RULES


def call_of(link_type: str) -> Call:
    """The call of a link of some type, as long and with the same nonce as CALL."""
    return KEYRING.sign(link_type, CALL.expires_at, b"1234")


def a_link(call: str = CALL_ID, **changed: Any) -> Link:
    """The link of a customer, made half an hour before NOON."""
    fields: dict[str, Any] = {
        "type": "visit",
        "name": "Ada L",
        "attributes": {"language": "es"},
        "created_at": NOON - timedelta(minutes=30),
        "expires_at": NOON + timedelta(hours=4),
        "created_by": "booking",
    }
    return Link(call=call, **(fields | changed))


def a_pin(alias: str = f"mp{SESSION}", call: Call | None = CALL, **changed: Any) -> HeldConference:
    """The room that the rules serve for an alias, of a call or of none, held at NOON."""
    service = served(ask(RULES, "service", call_direction="dial_in", protocol="api", local_alias=alias))
    legs = service.pop("automatic_participants", ())
    asked = {"local_alias": alias_key(alias)}
    door = Door({name: service.pop(name) for name in sorted(DOOR_FIELDS & service.keys())}, asked)
    aliases = {DIALLED: alias_key(alias)}
    if call is not None:
        link_type = RULES.links[call.type]
        own = {"customer": link_type.customers_alias(call), "agent": link_type.agents_alias(call)}
        aliases |= {whose: alias_key(text) for whose, text in own.items() if text}
    fields: dict[str, Any] = {
        "id": f"pin-{alias}",
        "name": str(service["name"]),
        "call": call.id if call is not None else "",
        "link_type": call.type if call is not None else "",
        "service_tag": str(service.get("service_tag", "")),
        "service": service,
        "legs": tuple(legs) if isinstance(legs, list) else (),
        "fallbacks": (),
        "rule": "customer",
        "revision": "1",
        "alias": RULES.mask.text(alias, KEYRING),
        "aliases": aliases,
        "held_at": NOON,
        "expires_at": NOON + timedelta(hours=12),
        "doors": {"customer": door},
    }
    return HeldConference(**(fields | changed))


def started(at: float = 1, room: str = CALL_ID, **data: Any) -> Event:
    """The room starts on a node, so many seconds after NOON."""
    return told.started(BEGIN + at, name=room, **data)


def ended(at: float, room: str = CALL_ID, node: str = told.NODE, **data: Any) -> Event:
    """The room ends on a node."""
    return told.ended(BEGIN + at, node, name=room, **data)


def customer(at: float = 2, name: str = "Ada from her phone", uuid: str = "customer", **data: Any) -> Event:
    """The customer comes by the link's alias."""
    whole = {"conference": CALL_ID, "display_name": name, "role": "guest", "destination_alias": f"mp{SESSION}"}
    return told.joined(uuid, BEGIN + at, **{**whole, **data})


def trunk(at: float = 12, uuid: str = "leg", **data: Any) -> Event:
    """The contact centre answers."""
    dialled = f"99{NUMBER}@contact-centre.example.com"
    return told.leg(uuid, BEGIN + at, **{"conference": CALL_ID, "destination_alias": dialled, **data})


def left(uuid: str, at: float, **data: Any) -> Event:
    """A participant goes."""
    return told.left(uuid, BEGIN + at, **{"conference": CALL_ID, **data})


def message(event: Event) -> dict[str, Any]:
    """An event as a node writes it."""
    return {
        "node": event.node,
        "seq": event.seq,
        "version": event.version,
        "time": event.time,
        "event": event.name,
        "data": dict(event.data),
    }


def bulk(events: Iterable[Event]) -> dict[str, Any]:
    """Several events in one message."""
    wrapper = {"event": "eventsink_bulk", "node": "127.0.0.1", "seq": 0, "version": 2, "time": BEGIN}
    return {**wrapper, "data": [message(event) for event in events]}


def on_the_phone(ani_name: str | None = CALL_ID, state: str = "connected", **agent: Any) -> list[dict[str, Any]]:
    """A conversation of a customer with the agent of the tests."""
    named = {} if ani_name is None else {"aniName": ani_name}
    return [participant("customer", **named), participant("agent", state, **{"userId": MARIA.id, **agent})]


class WatchedReader(Reader):
    """What is read of a store that is watched."""

    def __init__(self, reader: Reader, store: "WatchedStore") -> None:
        super().__init__(reader.connection)
        self._store: Final = store

    def _enter(self, name: str) -> None:
        self._store.asked.append(name)
        if name in self._store.away:
            raise StoreUnavailableError("the database is away")

    def link(self, call: str) -> Link | None:
        """As the store does it."""
        self._enter("link")
        return super().link(call)

    def holder(self, name: str, at: datetime) -> HeldConference | None:
        """As the store does it."""
        self._enter("holder")
        return super().holder(name, at)

    def conference_of_call(self, call: str) -> HeldConference | None:
        """As the store does it."""
        self._enter("conference_of_call")
        return super().conference_of_call(call)

    def conference_of_room(self, *names: str) -> HeldConference | None:
        """As the store does it; it is asked in place of the other, for as much."""
        self._enter("conference_of_call")
        return super().conference_of_room(*names)

    def told(self, room: str, since: datetime) -> Chronicle:
        """As the store does it."""
        self._enter("events")
        return super().told(room, since)

    def told_of(self, conference: HeldConference) -> Chronicle:
        """As the store does it."""
        self._enter("events")
        return super().told_of(conference)

    def timeline(self, key: str) -> tuple[TimelineEntry, ...]:
        """As the store does it."""
        self._enter("timeline")
        return super().timeline(key)

    def change_number(self, keys: Sequence[str]) -> int:
        """As the store does it."""
        self._enter("change_number")
        return super().change_number(keys)


class WatchedStore(ConferenceStore):
    """A store that knows what it was asked, and whose methods can be away or take their time.

    ``unwatched`` are tasks that ask on their own and are not meant. While ``is_silent`` nobody hears of changes.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[str] = []
        self.away: set[str] = set()
        self.slow: dict[str, asyncio.Event] = {}
        self.unwatched: set[asyncio.Task[Any] | None] = set()
        self.is_silent = False

    async def _enter(self, name: str) -> None:
        if asyncio.current_task() in self.unwatched:
            return
        self.asked.append(name)
        if name in self.slow:
            await self.slow[name].wait()
        if name in self.away:
            raise StoreUnavailableError("the database is away")

    async def changes(self) -> AsyncGenerator[Change, None]:
        """As the store hears of them, or not."""
        async with aclosing(super().changes()) as changes:
            async for change in changes:
                if not self.is_silent:
                    yield change

    async def hold_all(self, conferences: Sequence[HeldConference]) -> tuple[HeldConference, ...]:
        """As the store does it, but away for everybody."""
        if "hold_all" in self.away:
            raise StoreUnavailableError("the database is away")
        return await super().hold_all(conferences)

    async def read(self, work: Callable[Concatenate[Reader, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        """As the store does it, with somebody who watches."""
        await self._enter("read")
        is_watched = asyncio.current_task() not in self.unwatched

        def watched(reader: Reader, /, *given: P.args, **further: P.kwargs) -> T:
            return work(WatchedReader(reader, self) if is_watched else reader, *given, **further)

        return await super().read(watched, *arguments, **options)

    async def bind(self, conference_id: str, conversation: str, places: int) -> bool:
        """As the store does it, but away for everybody."""
        if "bind" in self.away:
            raise StoreUnavailableError("the database is away")
        return await super().bind(conference_id, conversation, places)

    async def add_events(self, events: Sequence[Event]) -> int:
        """As the store does it."""
        await self._enter("add_events")
        return await super().add_events(events)

    async def end(self, name: str, at: datetime, number: int = 0) -> bool:
        """As the store does it."""
        await self._enter("end")
        return await super().end(name, at, number)


class Desk:
    """Everything behind ``/agent/`` and ``/events/``, in this process; use it in ``with``.

    The clock stands at ``now``. ``run`` runs something on the loop of the service.
    """

    def __init__(
        self,
        folder: Path,
        tenant: Tenant,
        *,
        node: str = NODE,
        binding_required: bool = False,
        client: Mapping[str, Any] | None = None,
        **streams: Any,
    ) -> None:
        self.now = NOON
        self.folder: Final = folder
        self._tenant: Final = tenant
        self._node: Final = node
        self._binding_required: Final = binding_required
        self._client: Final = {"timeout": 20.0, **(client or {})}
        self._options: Final = streams
        self._runner: Final = asyncio.Runner()

    def __enter__(self) -> Self:
        self.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.run(self._stop())
        finally:
            # Its threads would keep the process of the tests from ending.
            self.run(self.store.close())
            self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something on the loop of the service, in bounded time."""

        async def bounded() -> T:
            async with asyncio.timeout(WHOLE_PATIENCE):
                return await work

        return self._runner.run(bounded())

    async def _start(self) -> None:
        self.store = WatchedStore(f"sqlite:///{self.folder}/policy.db")
        await self.store.prepare()
        self.conferences = Conferences(self.store, lambda: self.now, timedelta(hours=12), pace=Pace(retry=0.02))
        before = asyncio.all_tasks()
        await self.conferences.start()
        self.store.unwatched.update(asyncio.all_tasks() - before)
        self.genesys = GenesysClient(self._tenant, **self._client)
        self.rules = FixedRules()
        self.lookup = ConferenceLookup(self.conferences, self.rules, KEYRING, self._node)
        desk = AgentDesk(self.lookup, AgentAccess(self.genesys, binding_required=self._binding_required))
        self.streams = AgentStreams(desk, **self._options)
        self.endings = Endings(self.conferences)
        self.sink = EventSinkEndpoint(
            self.conferences,
            self.endings,
            BasicAuthentication(SINK_USER, SINK_PASSWORD),
            kept=lambda data: kept_of_message(data, self.rules.ruleset, KEYRING),
        )
        agents = AgentEndpoint(desk)
        routes = [*self.streams.routes(), *agents.routes(), *self.sink.routes()]
        self.app: ASGIApp = AgentCors(Starlette(routes=routes), [ORIGIN])
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://policy.example.com")

    async def _stop(self) -> None:
        self.store.away.clear()
        self.streams.close()
        await self.client.aclose()
        await self.endings.close()
        await self.genesys.close()
        await self.conferences.stop()

    async def written(self) -> None:
        """Waits until everything is in the database."""
        await until(lambda: not self.conferences.waiting)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Sends a request; ``options`` are those of httpx."""
        return self.run(self.client.request(method, path, **options))

    def ask(self, alias: str = CALL_ID, *, token: str | None = TOKEN, **parameters: Any) -> httpx.Response:
        """Looks a conference up."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.request("GET", f"/agent/v1/conferences/{quote(alias)}", headers=headers, params=parameters)

    def found(self, alias: str = CALL_ID, **parameters: Any) -> dict[str, Any]:
        """The answer to a lookup that succeeds."""
        response = self.ask(alias, **parameters)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert isinstance(answer, dict)
        return answer

    def post(self, body: object, password: str = SINK_PASSWORD, **headers: str) -> httpx.Response:
        """Sends a body to the event sink; what is neither bytes nor an iterator of them goes as JSON."""
        content = body if isinstance(body, bytes) or hasattr(body, "__aiter__") else json.dumps(body)
        given = {"Content-Type": "application/json", "Authorization": basic(SINK_USER, password), **headers}
        return self.request("POST", "/events/v1/pexip", content=content, headers=given)

    def tell(self, *events: Event) -> None:
        """Sends messages to the event sink, which takes them."""
        response = self.post(bulk(events))
        assert response.status_code == 200, response.text

    def store_link(self, link: Link | None = None) -> None:
        """Stores a customer's link."""
        self.run(self.store.create_link(link or a_link()))

    def store_hold(self, conference: HeldConference | None = None) -> None:
        """Stores a room that was served."""
        self.run(self.store.hold(conference or a_pin()))

    def note(self, key: str, kind: str, data: Mapping[str, object], at: datetime = NOON) -> None:
        """Puts something on a timeline."""

        async def note() -> None:
            self.conferences.note(key, kind, data, at)

        self.run(note())

    def noted(self, kind: str, call: str = CALL_ID) -> list[TimelineEntry]:
        """The timeline entries of a kind, once all are written."""

        async def read() -> list[TimelineEntry]:
            await self.written()
            return [entry for entry in await self.store.read(Reader.timeline, call) if entry.kind == kind]

        return self.run(read())
