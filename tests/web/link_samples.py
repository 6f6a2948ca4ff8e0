"""A desk of customer links for tests: the endpoints over HTTP, a real store in SQLite, and a clock that is set."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import httpx
from starlette.applications import Starlette

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.joining import CustomersDoor
from policy_server.conferences.records import HeldConference, Link
from policy_server.conferences.store import ConferenceStore
from policy_server.policy.names import NONCE_BYTES, Call, Pins, Role
from policy_server.policy.ruleset import Ruleset
from policy_server.web.api_keys import ApiKeys
from policy_server.web.join import JoinEndpoint
from policy_server.web.links import LinkEndpoints
from tests.rule_sets import KEYRING, load

T = TypeVar("T")

NOON: Final = datetime(2026, 11, 23, 18, 0, 0, 250_000, tzinfo=UTC)
"""A Monday, 12:00 in Chicago."""
HOUR: Final = timedelta(hours=1)
KEYS: Final = {"booking": "booking-key-0123456789abcdef", "portal": "portal-key-0123456789abcdef"}
BASE: Final = "https://links.example.com"

RULES: Final = """
trunks:
  clinic: { number: "+1 312 999 8045", dial_prefix: "99" }
calendars:
  hours:
    timezone: America/Chicago
    open: { mon-fri: ["08:00-18:00"] }
    closed: ["2026-11-26"]
rooms:
  visit: { name: "{call}", pin: derived, guest_pin: derived, allow_guests: true }
service:
  - id: spanish
    when: { link_type: patient, door: customer, link: valid, link_attributes: { language: es } }
    room: visit
  - id: patient
    when: { link_type: patient, door: customer, link: valid, open: hours }
    room: visit
  - id: agent
    when: { link_type: patient, door: agent, link: [valid, expired] }
    room: visit
  - { id: refused, when: { local_alias: 'mp.{32}' }, reject: We are closed. }
  - { id: kiosk, when: { link_type: kiosk, link: valid }, room: visit }
links:
  patient:
    alias: "mp{session}"
    agent_alias: "hcp{agent}"
    ttl: 4h
    url: "https://pexip.example.com/webapp3/m/{alias}/express?name={name}&pin={guest_pin}"
  kiosk: { alias: "kiosk-{session}" }
"""

TWO_TYPES: Final[Ruleset] = load(RULES)


@dataclass
class Rules:
    """The rules that run; put others in their place to reload."""

    ruleset: Ruleset


class AwayStore(ConferenceStore):
    """A store whose database can be taken away, or made to hang."""

    is_away = False
    is_stuck = False

    async def link(self, call: str) -> Link | None:
        """The link, if the database is there."""
        await self._reach()
        return await super().link(call)

    async def create_link(self, link: Link, idempotency_key: str | None = None, request_digest: str = "") -> Link:
        """Stores a link, if the database is there."""
        await self._reach()
        return await super().create_link(link, idempotency_key, request_digest)

    async def _reach(self) -> None:
        if self.is_away:
            raise StoreUnavailableError("the database is away")
        if self.is_stuck:
            await asyncio.Event().wait()


@dataclass
class Keeper:
    """What the endpoints need of the conferences; remembers what was noted."""

    store: AwayStore
    now: datetime = NOON
    links: dict[str, Link] = field(default_factory=dict)
    rooms: dict[str, HeldConference] = field(default_factory=dict)
    notes: list[tuple[str, str, Mapping[str, object], datetime]] = field(default_factory=list)

    @property
    def clock(self) -> Callable[[], datetime]:
        """A clock that says ``now``."""
        return lambda: self.now

    def link(self, call: str) -> Link | None:
        """What was put among ``links``."""
        return self.links.get(call)

    def learn(self, link: Link) -> None:
        """Puts it among ``links``."""
        self.links[link.call] = link

    def live_of_call(self, call: str, at: datetime) -> HeldConference | None:
        """What was put among ``rooms``, until it expires."""
        found = self.rooms.get(call)
        return found if found is not None and at < found.expires_at else None

    def note(self, key: str, kind: str, data: Mapping[str, object], at: datetime) -> None:
        """Remembers."""
        self.notes.append((key, kind, data, at))


def call_of(made: Mapping[str, Any]) -> Call:
    """The call of a link that was made."""
    call = KEYRING.open(made["call"], Role.CALL, (made["type"],))
    assert call is not None
    return call


def pins_of(made: Mapping[str, Any]) -> Pins:
    """The derived PINs of the room of a link that was made."""
    return call_of(made).pins


class Desk:
    """The endpoints in this process; use it in ``with``."""

    def __init__(
        self,
        folder: Path,
        *,
        ruleset: Ruleset = TWO_TYPES,
        public_url: str = BASE,
        keys: Mapping[str, str] = KEYS,
        nonces: Iterator[bytes] | None = None,
        own: Iterable[str] = (),
    ) -> None:
        self.rules: Final = Rules(ruleset)
        self._folder: Final = folder
        self._public_url: Final = public_url
        self._keys: Final = ApiKeys(keys, own)
        self._nonces: Final = nonces or (number.to_bytes(NONCE_BYTES, "big") for number in count())
        self._runner: Final = asyncio.Runner()

    def __enter__(self) -> Self:
        async def start() -> AwayStore:
            store = AwayStore(f"sqlite:///{self._folder}/policy.db")
            await store.prepare()
            return store

        self.keeper = Keeper(self.run(start()))
        links = LinkEndpoints(
            self.rules, KEYRING, self.keeper, self._keys, self._public_url, lambda: next(self._nonces)
        )
        join = JoinEndpoint(CustomersDoor(self.rules, KEYRING, self.keeper))
        self.app = Starlette(routes=[*links.routes(), *join.routes()])
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.keeper.store.close())
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something on the loop of the store."""
        return self._runner.run(work)

    def request(self, method: str, path: str, key: str | None = "booking", **further: Any) -> httpx.Response:
        """One request with an API key of ``KEYS`` by name, or with none."""
        headers = {"authorization": f"Bearer {KEYS[key]}"} if key else {}
        headers |= further.pop("headers", {})

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.7:8080") as client:
                return await client.request(method, path, headers=headers, **further)

        return self.run(ask())

    def post(self, body: object, key: str | None = "booking", **headers: str) -> httpx.Response:
        """Asks for a link; underscores of header names become hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/api/v1/links", key, json=body, headers=sent)

    def make(self, link_type: str = "patient", **fields: object) -> dict[str, Any]:
        """A link that was made."""
        response = self.post({"type": link_type, **fields})
        assert response.status_code == 201, response.text
        made = response.json()
        assert isinstance(made, dict)
        self.keeper.notes.clear()
        return made

    def join(self, session: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Opens a customer's link; underscores of header names become hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(method, f"/join/{session}", None, headers=sent)

    @property
    def noted(self) -> list[tuple[str, str, Mapping[str, object]]]:
        """Call, kind and content of what was put on timelines."""
        return [(key, kind, data) for key, kind, data, _ in self.keeper.notes]
