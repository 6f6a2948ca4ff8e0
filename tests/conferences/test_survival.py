"""``kill -9`` in the middle of many calls: what was answered is answered the same again, what was taken is there."""

import asyncio
import os
import random
import signal
import sqlite3
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import httpx
import pytest

from policy_server.conferences.pace import Pace
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import HeldConference
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.events import Event
from policy_server.policy.names import Call, Keyring, Role
from policy_server.simulator.node import dial_out_question, web_question
from tests.conferences import event_histories as told
from tests.conferences.samples import Place
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, RealServer, real_server, write_rules
from tests.web.calls import bulk, message

pytestmark = pytest.mark.slow

CALLS: Final = 200
AT_ONCE: Final = 12
"""Calls that are under way at a time."""

REQUESTS: Final = 7 * CALLS
"""What the calls ask and send at least."""

SINK: Final = ("sink", "the sink's password")
API_KEY: Final = "k3y-of_the.booking~system"
SERVICE: Final = "/policy/v1/service/configuration"

RULES: Final = r"""
trunks:
  contact-centre: { number: "+1 312 999 8045", dial_prefix: "99" }
  backup: { number: "+1 312 999 8046", dial_prefix: "99" }
rooms:
  visit:
    name: "{call}"
    service_tag: contact-centre
    description: "Visit in {link.language}"
    pin: derived
    guest_pin: derived
    allow_guests: true
service:
  - id: customer
    when: { link_type: visit, door: customer, link: valid }
    room: visit
    dial_out: [{ trunk: contact-centre, display_name: "{call}" }, { trunk: backup, when: failed }]
  - id: agent
    when: { link_type: visit, door: agent, link: [valid, expired] }
    room: visit
links:
  visit: { alias: "mp{session}", agent_alias: "hcp{agent}", ttl: 4h }
"""
OTHER_ROOM: Final = (
    RULES.replace("312 999", "317 555")
    .replace("Visit in {link.language}", "Another room")
    .replace("\n    pin: derived", '\n    pin: "24681357"')
)
NO_ROOM: Final = r"""
service:
  - { id: closed, when: { local_alias: '.*' }, reject: We have closed for ever. }
links:
  visit: { alias: "mp{session}", agent_alias: "hcp{agent}", ttl: 4h }
"""
"""Rules that would not make the rooms of the others, so that only their records can."""

PROGRAM: Final = """
import asyncio, sys
from functools import partial
from policy_server.app import create_app
from policy_server.cli import main, serve
from policy_server.conferences.database import Database
from policy_server.conferences.pace import Pace

serve.create_app = partial(create_app, pace=Pace(hold={patience}))
write = Database.write

async def write_slowly(database, work):
    await asyncio.sleep(0.03)
    return await write(database, work)

Database.write = write_slowly
main(sys.argv[1:])
"""
"""The server, with a disk so slow that at any moment something is not written yet."""

Json = dict[str, Any]


def named(call: str) -> Call:
    """The call of an id, whose other names the servers' key gives."""
    found = Keyring.from_text(SECRET_KEY).open(call, Role.CALL, ("visit",))
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node got for a question."""

    question: Mapping[str, str]
    result: Json


@dataclass
class Heard:
    """What callers know when the server is dead: all that was answered, in that order, and all that was not."""

    links: dict[str, Json] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    taken: list[Event] = field(default_factory=list)
    untaken: list[Event] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)


class Callers:
    """Nodes, event sinks and the organisation's system at one server, which they kill after so many answers."""

    def __init__(self, server: RealServer, heard: Heard, dice: random.Random, kill_after: int | None = None) -> None:
        self._server: Final = server
        self._heard: Final = heard
        self._dice: Final = dice
        self._kill_after: Final = kill_after
        self._answers = 0
        self._dead = False
        self._turn: Final = asyncio.Semaphore(AT_ONCE)
        self._client: Final = httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    def kill(self) -> None:
        """``kill -9``."""
        self._dead = True
        os.killpg(self._server.process.pid, signal.SIGKILL)

    async def all_of(self, work: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Does everything, some at a time, as far as the server lives."""

        async def one(part: Coroutine[Any, Any, None]) -> None:
            async with self._turn:
                try:
                    await part
                except httpx.TransportError:
                    assert self._dead, "the server ended by itself"

        for outcome in await asyncio.gather(*map(one, work), return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def play(self, number: int) -> None:
        """One call, from the link to the customer's hang-up; every fifth is over then."""
        call = await self.make_link(number)
        room = {"conference": call}
        await asyncio.gather(self.come_in(call), self.tell(told.started(time.time(), name=call)))
        uuid = f"{number}-leg"
        leg = [told.leg(uuid, time.time(), **room), told.changed(uuid, time.time(), is_muted=True, **room)]
        await self.tell(*told.browser(str(number), time.time(), **room), *leg)
        if number % 5 == 0:
            self._heard.ended.add(call)
            await self.tell(told.ended(time.time(), name=call))

    async def come_in(self, call: str) -> None:
        """The questions about a room: the customer's, of two nodes at once, and then the trunk's and the agent's."""
        customer = [web_question(f"mp{named(call).session}", "Ada", node_ip=node) for node in ("10.0.0.1", "10.0.0.2")]
        await asyncio.gather(*(self.ask(call, question) for question in customer))
        service = self._heard.answers[call][0].result
        await asyncio.gather(
            self.ask(call, web_question(f"hcp{named(call).agent}", "Maria")),
            self.ask(call, dial_out_question(service["automatic_participants"][0], service)),
        )

    async def make_link(self, number: int) -> str:
        """Makes a link and returns its call id."""
        wanted = {
            "type": "visit",
            "name": f"Caller {number}",
            "attributes": {"language": self._dice.choice(["en", "es", "pl"])},
        }
        headers = {"Authorization": f"Bearer {API_KEY}"}
        response = await self._send("POST", "/api/v1/links", json=wanted, headers=headers)
        assert response.status_code == 201, response.text
        call = str(response.json()["call"])
        self._heard.links[call] = wanted
        return call

    async def ask(self, call: str, question: Mapping[str, str]) -> None:
        """Asks for a service, which must be one."""
        response = await self._send("GET", SERVICE, params=question, auth=(USERNAME, PASSWORD))
        body = response.json()
        assert "result" in body, (question, body)
        self._heard.answers.setdefault(call, []).append(Answer(question, body["result"]))

    async def tell(self, *events: Event) -> None:
        """Sends one message, or several in bulk."""
        body = message(events[0]) if len(events) == 1 else bulk(events)
        self._heard.untaken.extend(events)
        response = await self._send("POST", "/events/v1/pexip", json=body, auth=SINK)
        assert response.status_code == 200, response.text
        self._heard.taken.extend(events)
        for event in events:
            self._heard.untaken.remove(event)

    async def compare(self, answer: Answer) -> None:
        """Asks again what was answered once."""
        response = await self._send("GET", SERVICE, params=answer.question, auth=(USERNAME, PASSWORD))
        body = response.json()
        assert body.get("result") == answer.result, f"the answer was {answer} and is {body}"

    async def metric(self, name: str) -> float:
        """A number without labels on ``/metrics``."""
        lines = (await self._send("GET", "/metrics")).text.splitlines()
        (found,) = (float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
        return found

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = await self._client.request(method, path, **options)
        self._answers += 1
        if self._answers == self._kill_after:
            # Not at an answer, but at any point of those that are under way.
            asyncio.get_running_loop().call_later(self._dice.random() * 0.02, self.kill)
        return response


@contextmanager
def serving(place: Place, folder: Path, rules: str, patience: float) -> Iterator[RealServer]:
    """A server with these rules on this database, which lets answers wait so many seconds until they are written."""
    write_rules(folder / "rules", rules)
    (folder / "server.py").write_text(PROGRAM.format(patience=patience), encoding="utf-8")
    environment = {
        "POLICY_PEXIP_USERNAME": USERNAME,
        "POLICY_PEXIP_PASSWORD": PASSWORD,
        "POLICY_SECRET_KEY": SECRET_KEY,
        "POLICY_API_KEYS": f"booking:{API_KEY}",
        "POLICY_EVENTS_USERNAME": SINK[0],
        "POLICY_EVENTS_PASSWORD": SINK[1],
        "POLICY_DATABASE_URL": place.url,
    }
    with real_server(folder, program=("server.py",), environment=environment) as server:
        yield server


@pytest.mark.parametrize(
    ("place", "afterwards", "seed"),
    [("sqlite", OTHER_ROOM, 2), ("sqlite", NO_ROOM, 7), ("postgresql", NO_ROOM, 1)],
    ids=["SQLite, other rooms", "SQLite, no rooms", "PostgreSQL, no rooms"],
    indirect=["place"],
)
def test_killed_in_the_middle_of_200_calls(place: Place, afterwards: str, seed: int, tmp_path: Path) -> None:
    """Killed at any moment and started again: the same services, every message and link that was acknowledged, and a
    sound database. No answer goes out before it is written here, so all are the same whatever the rules are by then.
    """
    dice = random.Random(seed)
    kill_after = dice.randrange(REQUESTS)
    heard = Heard()

    async def call() -> None:
        async with Callers(first, heard, dice, kill_after) as callers:
            await callers.all_of([callers.play(number) for number in range(CALLS)])

    async def call_again() -> None:
        answers = [answer for call in heard.answers.keys() - heard.ended for answer in heard.answers[call]]
        assert answers
        repeated = list(heard.untaken)
        async with Callers(second, heard, dice) as callers:
            await callers.all_of([callers.compare(answer) for answer in answers])
            await callers.all_of([callers.tell(event) for event in repeated])

    try:
        with serving(place, tmp_path, RULES, 20) as first:
            asyncio.run(call())
            assert first.process.wait(20) == -signal.SIGKILL
            assert "Traceback" not in first.err
        with serving(place, tmp_path, afterwards, 20) as second:
            asyncio.run(call_again())
            assert second.stop() == 0
            assert "Traceback" not in second.err
        place.run(lambda store: _look_for(store, heard))
        _check_soundness(place)
    except AssertionError as error:
        said = f"seed {seed}, killed after {kill_after} answers, {len(heard.answers)} rooms"
        raise AssertionError(f"{said}: {error}") from error


async def _look_for(store: ConferenceStore, heard: Heard) -> None:
    """Whether everything that was acknowledged is in the store."""
    for call, wanted in heard.links.items():
        link = await store.link(call)
        assert link is not None, "a link is lost"
        assert (link.type, link.name, dict(link.attributes)) == (wanted["type"], wanted["name"], wanted["attributes"])
    since = datetime.now(UTC) - timedelta(hours=1)
    stored = {call: await store.read(Reader.events, call, since) for call in heard.links}
    kept = {told.identity for some in stored.values() for told in some}
    lost = [event for event in heard.taken if event.identity not in kept]
    assert not lost, f"{len(lost)} of {len(heard.taken)} messages are lost"


def _check_soundness(place: Place) -> None:
    if place.kind == "sqlite":
        with closing(sqlite3.connect(_file(place))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _file(place: Place) -> str:
    return place.url.removeprefix("sqlite:///")


@contextmanager
def busy(place: Place) -> Iterator[None]:
    """Keeps an SQLite database from being written."""
    with closing(sqlite3.connect(_file(place), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def test_rooms_without_a_record_are_made_again(sqlite_place: Place, tmp_path: Path) -> None:
    """Answers that went out before they were written are counted; after ``kill -9`` the rules make them again, whoever
    asks first.
    """
    heard = Heard()
    dice = random.Random(5)
    count = 12

    async def call() -> None:
        async with Callers(first, heard, dice) as callers:
            calls = [await callers.make_link(number) for number in range(count)]
            with busy(sqlite_place):
                await callers.all_of([callers.come_in(call) for call in calls])
                assert await callers.metric("policy_holds_late") >= count
                callers.kill()
                first.process.wait(20)

    async def live(store: ConferenceStore) -> Sequence[HeldConference]:
        return await store.live(datetime.now(UTC))

    async def call_again() -> None:
        answers = [answer for of_room in heard.answers.values() for answer in of_room]
        dice.shuffle(answers)
        async with Callers(second, heard, dice) as callers:
            await callers.all_of([callers.compare(answer) for answer in answers])

    with serving(sqlite_place, tmp_path, RULES, Pace().hold) as first:
        asyncio.run(call())
    assert not sqlite_place.run(live)
    with serving(sqlite_place, tmp_path, RULES, Pace().hold) as second:
        asyncio.run(call_again())
    assert len(sqlite_place.run(live)) == count
