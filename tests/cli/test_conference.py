"""``conference show``: one call as the database knows it."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policy_server.conferences.records import TimelineEntry
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.field_facts import MASK, SECRET_FIELDS
from tests.cli.commands import RULES, printed_json, put_rules, run
from tests.conferences.samples import HOST_PIN as SAMPLE_PIN
from tests.conferences.samples import Place, conference
from tests.rule_sets import NOON, SECRET
from tests.web.calls import (
    AGENT_KEY,
    CALL_ID,
    GUEST_PIN,
    HOST_PIN,
    SESSION,
    a_link,
    a_pin,
    call_of,
    customer,
    ended,
    left,
    started,
    trunk,
)

KEY = {"POLICY_SECRET_KEY": SECRET.decode()}
PLACE = Place("sqlite:///var/policy.db", "sqlite")
VISITS = RULES.replace('name: "{call}"', 'name: "visit of {call}"')
"""Rules whose rooms have names of their own."""


@pytest.fixture(autouse=True)
def rules(folder: Path) -> Path:
    """The rules of these tests."""
    return put_rules(folder)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command runs a minute after NOON, in Chicago."""
    monkeypatch.setattr("policy_server.cli.conferences.utc_now", lambda: NOON + timedelta(minutes=1))
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "America/Chicago")
    time.tzset()
    yield
    if before is None:
        monkeypatch.delenv("TZ")
    else:
        monkeypatch.setenv("TZ", before)
    time.tzset()


async def whole_call(store: ConferenceStore) -> None:
    """A link, its room, and who came, as the event sink keeps it; the contact centre's leg has broken off."""
    await store.create_link(a_link(name="Ada\x1b L"))
    await store.hold(a_pin())
    made = NOON - timedelta(minutes=30)
    await store.add_timeline(
        [
            TimelineEntry(CALL_ID, made, "link.created", {"by": "booking", "type": "visit"}),
            TimelineEntry(
                CALL_ID,
                NOON,
                "policy.answered",
                {"text": "A node asked.", "result": dict.fromkeys(SECRET_FIELDS, HOST_PIN)},
            ),
        ]
    )
    events = (
        started(),
        customer(name="Ada\x1b[31m", destination_alias="mp…"),
        trunk(),
        left("leg", 20, disconnect_reason="Call disconnected"),
    )
    await store.add_events([replace(event, arrived_at=NOON) for event in events])


def shown(alias: str) -> dict[str, Any]:
    """The JSON of a conference, which has no PIN in it."""
    result = run("conference", "show", alias, "--json", environment=KEY)
    assert result.exit_code == 0, result.output
    assert not any(pin in result.output for pin in (HOST_PIN, GUEST_PIN, SAMPLE_PIN))
    return printed_json(result)


def test_what_is_printed() -> None:
    """State, people, leg and attributes a line each, the timeline on the reader's clock, no PIN and no control code."""
    PLACE.run(whole_call)
    result = run("conference", "show", f"mp{SESSION}", environment=KEY)
    assert result.exit_code == 0, result.output
    assert (
        result.stdout
        == f"""\
verdict      waiting: The customer is waiting; Genesys answered after 10 s and hung up; no agent joined.
call         {CALL_ID}
room         {CALL_ID}
state        active
service_tag  contact-centre
customer     Ada L (mp…) joined 2026-11-23 12:00:02 -0600
trunk_leg    +13129998045 ended, answered 2026-11-23 12:00:12 -0600, ended 2026-11-23 12:00:20 -0600, last ended with 'Call disconnected'
attributes   language=es
created_at   2026-11-23 11:30:00 -0600
started_at   2026-11-23 12:00:01 -0600
expires_at   2026-11-23 16:00:00 -0600

what has not happened
  No node asked to dial.
  No agent looked it up.
  No agent joined.

participants
  Ada[31m [guest, webrtc] joined 2026-11-23 12:00:02 -0600

timeline
  2026-11-23 11:30:00 -0600  link.created          by=booking type=visit
  2026-11-23 12:00:00 -0600  policy.answered       A node asked.
  2026-11-23 12:00:01 -0600  conference_started    The conference started.
  2026-11-23 12:00:02 -0600  joined                Ada[31m joined as Guest.
  2026-11-23 12:00:12 -0600  trunk_answered        +13129998045 answered.
  2026-11-23 12:00:20 -0600  trunk_ended           +13129998045 hung up (Call disconnected).
"""
    )


@pytest.mark.parametrize(
    "written",
    [CALL_ID, SESSION, f"mp{SESSION}", f"HCP{AGENT_KEY.upper()}", f"sip:mp{SESSION}@video.example.com"],
    ids=["call id", "session", "customer's alias", "agents' alias", "address"],
)
def test_every_alias_shows_the_conference(written: str) -> None:
    """Call id, session, customer's and agents' alias are one conference; the answer is the lookup's without what joins.

    Nothing in it opens a door.
    """
    PLACE.run(whole_call)
    answer = shown(written)
    assert (answer["call"], answer["state"]) == (CALL_ID, "active")
    assert not any(name in str(answer) for name in (SESSION, AGENT_KEY))
    assert answer["trunk_leg"]["number"] == "+13129998045"
    assert answer["attributes"] == {"language": "es"}
    assert "join" not in answer
    assert answer["timeline"][1]["data"] == {"result": dict.fromkeys(SECRET_FIELDS, MASK)}


@pytest.mark.parametrize("is_over", [False, True], ids=["live", "over"])
def test_a_room_by_its_name(rules: Path, is_over: bool) -> None:
    """A room that is named after its call leads to the conference of that call, also when it is over."""
    put_rules(rules.parent, VISITS)
    name = f"visit of {CALL_ID}"
    pin = a_pin(name=name, service={**a_pin().service, "name": name})

    async def play(store: ConferenceStore) -> None:
        await store.create_link(a_link())
        await store.hold(pin)
        events = [started(room=name, tag="contact-centre"), customer(conference=name, destination_alias="mp…")]
        if is_over:
            events += [left("customer", 30, conference=name), ended(31, room=name)]
            await store.end(name, NOON + timedelta(seconds=31))
        await store.add_events([replace(event, arrived_at=NOON) for event in events])

    PLACE.run(play)
    answer = shown(name)
    assert (answer["call"], answer["name"]) == (CALL_ID, name)
    assert answer["state"] == ("ended" if is_over else "active")
    assert answer["customer"]["name"] == "Ada L"


@pytest.mark.parametrize("is_over", [False, True], ids=["live", "over"])
def test_a_room_without_a_call(is_over: bool) -> None:
    """A room that no link led to is shown by its name, with what was noted about it."""
    name = "Board Room"
    pin = conference(name, call="", held_at=NOON, expires_at=NOON + timedelta(hours=12))

    async def play(store: ConferenceStore) -> None:
        await store.hold(pin)
        await store.add_timeline([TimelineEntry(name, NOON, "policy.answered", {"text": "A node asked."})])
        await store.add_events([replace(started(room=name), arrived_at=NOON)])
        if is_over:
            await store.add_events([replace(ended(9, room=name), arrived_at=NOON)])
            await store.end(name, NOON + timedelta(seconds=9))

    PLACE.run(play)
    answer = shown(name)
    assert (answer["call"], answer["name"]) == (None, name)
    assert answer["state"] == ("ended" if is_over else "waiting")
    assert [line["kind"] for line in answer["timeline"]][:2] == ["policy.answered", "conference_started"]
    assert run("conference", "show", "board room", environment=KEY).exit_code == 1


def test_a_call_of_which_nothing_is_kept() -> None:
    """Of a call that only our signature vouches for, the state is waiting and nobody came so far."""
    PLACE.run(ConferenceStore.prepare)
    result = run("conference", "show", CALL_ID, environment=KEY)
    assert result.exit_code == 0
    assert result.stdout.endswith("participants\n  none so far\n\ntimeline\n  nothing so far\n")


@pytest.mark.parametrize("alias", ["meet.alice", "mp" + "a" * 32, "ü\x1b🎥", "%2e", "x" * 500])
def test_what_is_not_known(alias: str) -> None:
    """What nobody knows is status 1, naming what was asked for and the database."""
    PLACE.run(whole_call)
    result = run("conference", "show", alias, environment=KEY)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No conference is known by" in result.stderr
    assert "in sqlite:///var/policy.db" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("alias", ["", " ", "x" * 501, "x" * 100_000], ids=["empty", "space", "long", "endless"])
def test_what_is_no_alias(alias: str) -> None:
    """What cannot be an alias is status 2, and the message says what can."""
    result = run("conference", "show", alias, environment=KEY)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ALIAS must be a call id, the customer's or the agent's alias, or the name of a room" in result.stderr


def test_no_database_yet() -> None:
    """Where no database is, none is made: status 2, with the question whether the server has another."""
    result = run("conference", "show", CALL_ID, environment=KEY)
    assert (result.exit_code, result.stdout) == (2, "")
    path = Path("var/policy.db").absolute()
    assert f"there is no database at {path} yet; is POLICY_DATABASE_URL the one of the server?" in result.stderr
    assert not path.parent.exists()


def test_a_file_that_is_no_database() -> None:
    """Something else in the place of the database is status 2, and stays as it is."""
    before = Path("rules/rules.yaml").read_bytes()
    environment = {**KEY, "POLICY_DATABASE_URL": "sqlite:///rules/rules.yaml"}
    result = run("conference", "show", CALL_ID, environment=environment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "rules/rules.yaml is not an SQLite database" in result.stderr
    assert Path("rules/rules.yaml").read_bytes() == before


def test_without_a_secret_key() -> None:
    """What is kept is shown without the server's key."""
    PLACE.run(whole_call)
    result = run("conference", "show", CALL_ID, "--json")
    assert (result.exit_code, printed_json(result)["state"]) == (0, "active")


# ------------------------------------------------------------------ conference list


def listed(*words: str, exit_code: int = 0) -> str:
    """What ``conference list`` prints."""
    result = run("conference", "list", *words, environment=KEY)
    assert result.exit_code == exit_code, result.output
    return result.output


def test_calls_are_listed() -> None:
    """A call has two lines: when, what became of it, who, its id; and the verdict. Texts of callers hold no control code."""
    PLACE.run(whole_call)
    assert listed() == (
        f"2026-11-23 12:00:00 -0600  waiting              Ada L                     {CALL_ID}\n"
        "    The customer is waiting; Genesys answered after 10 s and hung up; no agent joined.\n"
    )


@pytest.mark.parametrize(
    ("words", "count"),
    [
        pytest.param(["--since", "12:00"], 1, id="since a time of today"),
        pytest.param(["--since", "12:01"], 0, id="since a minute later"),
        pytest.param(["--since", "2026-11-23", "--until", "2026-11-24"], 1, id="a day"),
        pytest.param(["--until", "2026-11-23T12:00"], 0, id="until, in the zone of the machine"),
        pytest.param(["--since", "2026-11-23T18:00:00Z"], 1, id="with an offset"),
        pytest.param(["--name", "ÁDA"], 1, id="name"),
        pytest.param(["--attribute", "language=es", "--state", "active", "--verdict", "waiting"], 1, id="all of it"),
        pytest.param(["--attribute", "language=de"], 0, id="another attribute"),
        pytest.param(["--rule", "customer"], 1, id="rule"),
    ],
)
def test_a_call_is_found(words: list[str], count: int) -> None:
    """Times are those of the reader's zone, names are compared without case and accents; all must be so."""
    PLACE.run(whole_call)
    assert len(json.loads(listed(*words, "--json"))["conferences"]) == count
    assert (listed(*words) == "no calls\n") == (count == 0)


def test_pages_of_calls() -> None:
    """A page says how the next is asked for, and an id of the list is shown."""
    PLACE.run(whole_call)
    PLACE.run(lambda store: store.create_link(a_link(call_of("advice").id, type="advice", created_at=NOON)))
    first = listed("--limit", "1")
    assert CALL_ID in first
    cursor = first.rpartition("--cursor ")[2].strip()
    page = json.loads(listed("--cursor", cursor, "--json"))
    assert ([call["call"] for call in page["conferences"]], page["next"]) == ([call_of("advice").id], None)
    (call,) = json.loads(listed("--limit", "1", "--json"))["conferences"]
    assert shown(call["id"])["call"] == CALL_ID


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--since", "noon"], "--since must be a time such as 14:05, 2026-11-23 or 2026-11-23T14:05 but is 'noon'"),
        (["--since", "31:99"], "--since must be a time"),
        (["--attribute", "language"], "attribute must be a name and a value"),
        (["--cursor", "x"], "cursor must be the `next` of a page before"),
        (["--state", "over"], "'over'"),
    ],
)
def test_what_cannot_be_asked(words: list[str], told: str) -> None:
    """Unusable options are told with the value and what to write."""
    PLACE.run(whole_call)
    assert told in listed(*words, exit_code=2)


def test_no_database_no_list() -> None:
    """A command that only reads makes no database."""
    assert "there is no database at" in listed(exit_code=2)
