"""What is explained is what the live endpoint answers, in whatever state a call is; and explaining changes nothing."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar, assert_never

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policy_server.conferences.errors import StoreSetupError, StoreUnavailableError
from policy_server.conferences.live import Conferences
from policy_server.conferences.reading import Snapshot, read_snapshot
from policy_server.conferences.records import alias_key
from policy_server.conferences.rooms import Rooms
from policy_server.conferences.store import ConferenceStore
from policy_server.policy.answers import Answer, render_answer
from policy_server.policy.ruleset import Ruleset
from tests.conferences.samples import Place, link
from tests.conferences.test_rooms import (
    AGENT,
    CHANGED,
    CUSTOMER,
    LEG,
    LINK,
    LOST,
    NO_CUSTOMERS,
    OTHERS,
    RENAMED,
    RULES,
    TEXT,
)
from tests.rule_sets import CALL_ID, KEYRING, NOON, SESSION, load, request
from tests.waiting import WHOLE_PATIENCE

T = TypeVar("T")

LIFETIME: Final = timedelta(hours=12)
HOUSE: Final = load(
    TEXT.replace(
        'lobby: { name: "the lobby"', 'own: { name: "the lobby" }\n  lobby: { name: "the lobby", pin: "4711"'
    ).replace(
        "  - { id: lobby,",
        "  - { id: own, when: { local_alias: lobby, remote_alias: desk7 }, room: own }\n  - { id: lobby,",
    )
)
"""A device of the house enters the lobby by a rule of its own."""

RULESETS: Final = (RULES, HOUSE, CHANGED, RENAMED, NO_CUSTOMERS, LOST, OTHERS)
UNSIGNED: Final = f"mp{'a' * 32}"
ALIASES: Final = (CUSTOMER, AGENT, f"adv{SESSION}", "lobby", "desk", "call-bob", UNSIGNED, "nobody")
NAMES: Final = (CALL_ID, f"new {CALL_ID}", f"advice {CALL_ID}", "the lobby", "desk of desk7")


@dataclass(frozen=True)
class Ask:
    """A node asks something."""

    kind: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Make:
    """The organisation makes the link, with these attributes."""

    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Revoke:
    """The organisation takes the link back."""


@dataclass(frozen=True)
class End:
    """A room ends."""

    name: str


@dataclass(frozen=True)
class Wait:
    """Time passes."""

    time: timedelta


@dataclass(frozen=True)
class Reload:
    """Other rules come into force."""

    ruleset: Ruleset = field(repr=False)


Step = Ask | Make | Revoke | End | Wait | Reload

CALLERS: Final = st.fixed_dictionaries(
    {"remote_alias": st.sampled_from(["ada", "desk7"]), "remote_display_name": st.sampled_from(["Ada", "Bob"])},
    optional={"remote_address": st.just("203.0.113.9")},
)
CALLS: Final = st.builds(
    lambda kind, direction, alias, caller: Ask(kind, {"call_direction": direction, "local_alias": alias, **caller}),
    st.sampled_from(["service", "service", "service", "participant", "location"]),
    st.sampled_from(["dial_in", "dial_in", "dial_in", "non_dial"]),
    st.sampled_from(ALIASES),
    CALLERS,
)
CALLS_OUT: Final = st.builds(
    lambda name, tag: Ask(
        "service", {"call_direction": "dial_out", "service_name": name, "service_tag": tag, "remote_alias": LEG}
    ),
    st.sampled_from(NAMES),
    st.sampled_from(["telehealth", ""]),
)
STEPS: Final = st.lists(
    st.one_of(
        CALLS,
        CALLS,
        CALLS_OUT,
        st.builds(Make, st.sampled_from([{}, {"language": "es"}])),
        st.just(Revoke()),
        st.builds(End, st.sampled_from(NAMES)),
        st.builds(Wait, st.sampled_from([timedelta(minutes=5), timedelta(hours=5), timedelta(hours=13)])),
        st.builds(Reload, st.sampled_from(RULESETS)),
    ),
    min_size=3,
    max_size=10,
)


def call(alias: str = CUSTOMER, **caller: str) -> Ask:
    """Somebody dials an alias."""
    return Ask("service", {"call_direction": "dial_in", "protocol": "api", "local_alias": alias, **caller})


async def play(url: str, steps: Sequence[Step]) -> None:
    """Plays the steps on a server that is started for each question, and has each explained before it is asked."""
    now, ruleset = NOON, RULES
    async with ConferenceStore(url) as store:
        await store.prepare()
        for step in steps:
            now += timedelta(seconds=1)
            match step:
                case Ask():
                    told = await explained(url, ruleset, step, now)
                    assert told == await answered(url, ruleset, step, now), step
                case Make():
                    await store.create_link(replace(LINK, attributes=step.attributes))
                case Revoke():
                    await store.revoke_link(CALL_ID, now)
                case End():
                    await store.end(step.name, now)
                case Wait():
                    now += step.time
                case Reload():
                    ruleset = step.ruleset
                case _:
                    assert_never(step)


async def explained(
    url: str, ruleset: Ruleset, asked: Ask, now: datetime, **options: bool
) -> tuple[str | None, Answer]:
    """Rule and answer by what can be read of the store."""
    async with ConferenceStore(url, read_only=True) as store:
        snapshot = await read_snapshot(store, now, LIFETIME, **({"is_now": True} | options))
    settled = await Rooms(snapshot, KEYRING, lambda: "explained").settle(
        ruleset, request(asked.kind, asked.fields), now
    )
    return settled.decision.rule, render_answer(request(asked.kind, {}).type, settled.decision, "continue")


IDS: Final = count(1)


async def answered(url: str, ruleset: Ruleset, asked: Ask, now: datetime) -> tuple[str | None, Answer]:
    """Rule and answer of a server."""
    conferences = Conferences(ConferenceStore(url), lambda: now, LIFETIME)
    await conferences.start()
    try:
        rooms = Rooms(conferences, KEYRING, lambda: f"live-{next(IDS)}")
        settled = await rooms.settle(ruleset, request(asked.kind, asked.fields), now)
    finally:
        await conferences.stop()
    return settled.decision.rule, render_answer(request(asked.kind, {}).type, settled.decision, "continue")


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(STEPS)
@example([call(), Wait(timedelta(hours=13)), call(AGENT), call()])
@example([Make({"language": "es"}), call(), Reload(LOST), call(AGENT), call(), End(CALL_ID), call()])
@example([Make({}), call(), Revoke(), call(), call(AGENT), Wait(timedelta(hours=5)), call(AGENT), call()])
@example([Reload(HOUSE), call("lobby", remote_alias="desk7"), call("lobby"), call("lobby", remote_alias="desk7")])
def test_explaining_agrees_with_the_answer_in_every_state(steps: list[Step]) -> None:
    """Whatever happened before (rooms held or ended, links revoked or expired, rules reloaded): the same rule and JSON."""
    with TemporaryDirectory() as folder:
        asyncio.run(play(f"sqlite:///{folder}/policy.db", steps))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_explaining_agrees_with_the_answer_on_postgresql(postgres_place: Place, steps: list[Step]) -> None:
    """It is the same with a server's database; what earlier examples left there is one more state."""
    asyncio.run(play(postgres_place.url, steps))


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Runs something."""

    async def bounded() -> T:
        async with asyncio.timeout(WHOLE_PATIENCE):
            return await work()

    return asyncio.run(bounded())


def test_another_time_is_explained_by_what_was_so_then(place: Place) -> None:
    """A room is there from when it was served until it ended, and a link is good until it was revoked."""
    hour = timedelta(hours=1)

    async def scenario() -> None:
        async with ConferenceStore(place.url) as store:
            await store.create_link(LINK)
            first = await answered(place.url, RULES, call(remote_display_name="Ada"), NOON + hour)
            await store.end(CALL_ID, NOON + 2 * hour)
            await store.revoke_link(CALL_ID, NOON + 3 * hour)
        later = call(remote_display_name="Bob")
        told = [await explained(place.url, RULES, later, NOON + n * hour / 2, is_now=False) for n in (1, 3, 5, 7)]
        assert [rule for rule, _ in told] == ["patient", "patient", "patient", "refused"]
        assert told[1] == first
        assert ["Bob" in str(answer) for _, answer in told] == [True, False, True, False]

    run(scenario)


def test_reading_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    """Neither file nor folder is changed or added to, whether a server has the database open or not."""
    path = tmp_path / "policy.db"
    url = f"sqlite:///{path}"

    def seen() -> dict[str, bytes]:
        # What readers and writers share of a log changes with every reader.
        return {name: data for name, data in all_files().items() if not name.endswith("-shm")}

    def all_files() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    async def scenario() -> None:
        async with ConferenceStore(url) as store:
            await store.create_link(LINK)
            before = seen()
            assert set(before) == {"policy.db", "policy.db-wal"}
            assert await explained(url, RULES, call(), NOON)
            assert seen() == before
        before = seen()
        assert set(before) == {"policy.db"}
        assert (await explained(url, RULES, call(), NOON))[0] == "patient"
        assert all_files() == before

    run(scenario)


def test_a_writer_is_not_waited_for(tmp_path: Path) -> None:
    """A server that is writing at this moment neither delays the reading nor is delayed."""
    url = f"sqlite:///{tmp_path}/policy.db"

    async def scenario() -> None:
        async with ConferenceStore(url) as store:
            await store.create_link(LINK)
            with closing(sqlite3.connect(tmp_path / "policy.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                other.execute("UPDATE links SET name = 'changing'")
                assert (await explained(url, RULES, call(), NOON))[0] == "patient"

    run(scenario)


def test_a_store_that_only_reads_cannot_write(place: Place) -> None:
    """Writing through it fails, and leaves nothing."""

    async def scenario() -> None:
        async with ConferenceStore(place.url) as store, ConferenceStore(place.url, read_only=True) as reader:
            await store.prepare()
            with pytest.raises(StoreUnavailableError, match=r"read.?only"):
                await reader.create_link(link(CALL_ID))
            assert await store.link(CALL_ID) is None

    run(scenario)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE schema_version SET version = 99", "has version 99, and this policy-server knows version"),
        ("DROP TABLE schema_version", "was never used by policy-server"),
    ],
    ids=["of another version", "of somebody else"],
)
def test_a_database_that_is_not_ours_is_refused_and_left_alone(place: Place, statement: str, said: str) -> None:
    """Nothing is migrated or made in it."""

    async def scenario() -> None:
        async with ConferenceStore(place.url) as store:
            await store._database.write(lambda connection: connection.execute(statement))
        with pytest.raises(StoreSetupError, match=said):
            await explained(place.url, RULES, call(), NOON)

    run(scenario)


def test_a_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    """The error says where it was looked for."""
    with pytest.raises(StoreSetupError, match=r"var/policy\.db cannot be read: there is none yet"):
        run(lambda: explained(f"sqlite:///{tmp_path}/var/policy.db", RULES, call(), NOON))
    assert not list(tmp_path.iterdir())


def test_a_snapshot_holds_nothing() -> None:
    """A room that would be held is answered with, and forgotten."""
    snapshot = Snapshot()

    async def scenario() -> None:
        rooms = Rooms(snapshot, KEYRING, lambda: "explained")
        settled = await rooms.settle(RULES, request("service", call().fields), NOON)
        assert settled.decision.rule == "patient"

    run(scenario)
    assert snapshot.live(CALL_ID, NOON) is None
    assert snapshot.nearby(CALL_ID, alias_key(CUSTOMER)) == ()
