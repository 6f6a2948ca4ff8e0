"""Whoever asks what state a call is in, links API, lookup, stream or command line, is told the same."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final, Literal, NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from policy_server.pexip.events import Event
from policy_server.policy.names import NONCE_BYTES, Call
from policy_server.web.api_keys import ApiKeys
from policy_server.web.links import LinkEndpoints
from tests.cli.commands import run
from tests.conferences import event_histories as told
from tests.genesys.asking import Genesys, tenant
from tests.rule_sets import KEYRING, NOON, SECRET
from tests.servers import write_rules
from tests.web.calls import RULES_TEXT, Desk, a_link, a_pin
from tests.web.test_streams import Stream

KEY: Final = "booking-key-0123456789abcdef"
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
BREAKOUT: Final = "_breakout_5f0d1c2e-8a3b-4c5d-9e6f-0a1b2c3d4e5f"
NODES: Final = ("10.0.0.1", "10.0.0.2")

State = Literal["waiting", "active", "ended"]


class Step(NamedTuple):
    """One thing that happens to a call, so many minutes after NOON.

    ``hold`` and ``breakout`` hold its room and a breakout room of it; the others are messages of a node, whose clock is
    ``lag`` minutes behind. ``again`` is a second sink that tells late of the end of the first life.
    """

    what: Literal["hold", "breakout", "start", "end", "join", "leave", "again", "breakout_start", "breakout_end"]
    after: int
    node: str = NODES[0]
    lag: int = 0


class Readers:
    """Everybody who is told the state of a call, on one database."""

    def __init__(self, desk: Desk, rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk: Final = desk
        self._rules: Final = rules
        monkeypatch.setattr("policy_server.cli.conferences.utc_now", lambda: desk.now)
        keys = ApiKeys({"booking": KEY})
        links = LinkEndpoints(desk.rules, KEYRING, desk.conferences, keys, "", lambda: bytes(NONCE_BYTES))
        transport = httpx.ASGITransport(Starlette(routes=links.routes()))
        self._links: Final = httpx.AsyncClient(transport=transport, base_url="http://policy.example.com")

    def states(self, call: Call) -> dict[str, str]:
        """What each reader is told."""
        return {
            "links": self._link(call),
            "lookup": self.desk.found(call.id)["state"],
            "stream": self.desk.run(self._streamed(call)),
            "conference show": self._shown(call),
        }

    def _link(self, call: Call) -> str:
        headers = {"authorization": f"Bearer {KEY}"}
        answer = self.desk.run(self._links.get(f"/api/v1/links/{call.id}", headers=headers)).json()
        # Before anybody came there is no conference, and everybody waits for one.
        return "waiting" if answer["conference"] is None else str(answer["conference"]["state"])

    async def _streamed(self, call: Call) -> str:
        async with Stream(self.desk, call.id) as stream:
            return str((await stream.event()).data["state"])

    def _shown(self, call: Call) -> str:
        database = f"sqlite:///{self.desk.folder}/policy.db"
        environment = {"POLICY_SECRET_KEY": SECRET.decode(), "POLICY_DATABASE_URL": database}
        result = run("conference", "show", call.id, "--rules", str(self._rules), "--json", environment=environment)
        return str(json.loads(result.stdout)["state"])

    def play(self, call: Call, steps: tuple[Step, ...]) -> None:
        """Plays a history: holds in the database, messages through the event sink."""
        starts: dict[str, float] = {}
        ends: dict[str, Event] = {}
        for number, step in enumerate(steps):
            self.desk.now = max(self.desk.now, NOON + step.after * MINUTE)
            if step.what in ("hold", "breakout"):
                self._hold(call, number, BREAKOUT if step.what == "breakout" else "")
            else:
                event = _event(call, step, self.desk.now, starts, ends)
                if event is not None:
                    self.desk.tell(event)

    def _hold(self, call: Call, number: int, suffix: str) -> None:
        room = a_pin(f"mp{call.session}", call)
        self.desk.store_hold(
            a_pin(
                f"mp{call.session}",
                call,
                id=f"{call.id}-{number}",
                name=room.name + suffix,
                held_at=self.desk.now,
                expires_at=self.desk.now + 12 * HOUR,
            )
        )


def _event(call: Call, step: Step, now: datetime, starts: dict[str, float], ends: dict[str, Event]) -> Event | None:
    """The message of a step; ``None`` for what cannot be: nobody ends what has not begun."""
    at, room = (now - step.lag * MINUTE).timestamp(), call.id + (BREAKOUT if "breakout" in step.what else "")
    place = room + step.node
    if step.what in ("start", "breakout_start"):
        starts[place] = at
        return told.started(at, step.node, name=room)
    if step.what in ("end", "breakout_end") and place in starts:
        ended = told.ended(at, step.node, name=room, start_time=starts[place])
        ends.setdefault(step.node, ended)
        return ended
    if step.what == "again" and step.node in ends:
        first = ends[step.node]
        return told.message("conference_ended", first.time, step.node, **{**first.data, "is_locked": False})
    if step.what == "join":
        return told.joined("customer", at, step.node, conference=room)
    return told.left("customer", at, step.node, conference=room) if step.what == "leave" else None


@pytest.fixture(scope="module")
def readers(served: Genesys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    """Readers of one database; each history is of a call of its own."""
    served.prepare()
    folder = tmp_path_factory.mktemp("states")
    rules = write_rules(folder / "rules", RULES_TEXT)
    with pytest.MonkeyPatch.context() as patch, Desk(folder, tenant(served.url), pause_seconds=0.001) as desk:
        patch.chdir(folder)
        yield Readers(desk, rules, patch)


_numbers: Final = count()


def a_call(readers: Readers) -> Call:
    """A call of its own, whose link was made at NOON."""
    call = KEYRING.sign("visit", NOON + 48 * HOUR, next(_numbers).to_bytes(NONCE_BYTES, "big"))
    readers.desk.now = NOON
    readers.desk.store_link(a_link(call.id, created_at=NOON, expires_at=call.expires_at))
    return call


@pytest.mark.parametrize(
    ("steps", "asked_after", "state"),
    [
        pytest.param((), 0, "waiting", id="nobody came"),
        pytest.param((Step("hold", 0),), 1, "waiting", id="held"),
        pytest.param((Step("hold", 0), Step("start", 1), Step("join", 2)), 3, "active", id="somebody is there"),
        pytest.param(
            (Step("hold", 0), Step("start", 1), Step("join", 2), Step("leave", 9), Step("end", 9)),
            10,
            "ended",
            id="over",
        ),
        pytest.param((Step("hold", 0), Step("start", 1), Step("join", 2)), 12 * 60, "ended", id="its time is up"),
        pytest.param(
            (Step("hold", 0), Step("start", 1), Step("end", 9), Step("hold", 120), Step("again", 121)),
            122,
            "waiting",
            id="held again, and late news of the first life",
        ),
        pytest.param(
            (
                *(Step("hold", 0), Step("start", 1), Step("end", 9), Step("hold", 120)),
                *(Step("start", 121), Step("join", 122), Step("again", 123)),
            ),
            124,
            "active",
            id="somebody is there again, and late news of the first life",
        ),
        pytest.param(
            (
                *(Step("hold", 0), Step("start", 1), Step("breakout", 5), Step("breakout_start", 5)),
                *(Step("join", 6), Step("breakout_end", 8)),
            ),
            9,
            "active",
            id="a breakout room is over",
        ),
        pytest.param(
            (
                *(Step("hold", 0), Step("start", 1), Step("join", 2)),
                *(Step("breakout", 5), Step("breakout_start", 5), Step("breakout_end", 8)),
            ),
            9,
            "active",
            id="a breakout room is over while nothing happens in the main room",
        ),
        pytest.param(
            (Step("hold", 0), Step("start", 1, lag=90), Step("join", 2, lag=90), Step("end", 9, lag=90)),
            10,
            "ended",
            id="a clock is behind",
        ),
    ],
)
def test_the_state_that_everybody_is_told(
    readers: Readers, steps: tuple[Step, ...], asked_after: int, state: State
) -> None:
    """Each history comes to one state, the same for every reader."""
    call = a_call(readers)
    readers.play(call, steps)
    readers.desk.now = NOON + asked_after * MINUTE
    assert readers.states(call) == dict.fromkeys(("links", "lookup", "stream", "conference show"), state)


STEPS: Final = st.lists(
    st.builds(
        Step,
        st.sampled_from(Step.__annotations__["what"].__args__),
        st.integers(0, 300),
        st.sampled_from(NODES),
        st.sampled_from((0, 0, 5, 90)),
    ),
    max_size=14,
).map(lambda steps: tuple(sorted(steps, key=lambda step: step.after)))


@pytest.mark.slow
@given(steps=STEPS, asked_after=st.integers(0, 13 * 60))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_readers_agree(readers: Readers, steps: tuple[Step, ...], asked_after: int) -> None:
    """Whatever nodes tell, in whatever order and by whatever clock, no reader is told another state than the others."""
    call = a_call(readers)
    readers.play(call, (Step("hold", 0), *steps))
    readers.desk.now = max(readers.desk.now, NOON + asked_after * MINUTE)
    assert len(set(readers.states(call).values())) == 1
