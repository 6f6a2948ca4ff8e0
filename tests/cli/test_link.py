"""``link create``, ``link inspect`` and ``link revoke``: by the signature and by the database."""

import asyncio
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from policy_server.cli.links import CREATED_BY
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import Link, TimelineEntry
from policy_server.conferences.store import ConferenceStore
from policy_server.policy.names import Call, Keyring, Role
from tests.cli.commands import BARE_RULES, CREDENTIALS, RULES, printed_json, put_rules, run
from tests.servers import ROOT, SECRET_KEY, real_server
from tests.waiting import eventually

KEY = {"POLICY_SECRET_KEY": SECRET_KEY}
KEYRING = Keyring.from_text(SECRET_KEY)
DATABASE = "var/policy.db"
PASSWORD = "planted-password-of-the-database"
TIMES = {"starts_at", "opens_at", "expires_at"}
SIGNED = {"type", "call", "session", "alias", "agent_alias", "url", "name", "attributes", "joins", *TIMES}


@pytest.fixture(autouse=True)
def rules(folder: Path) -> Path:
    """The rules of these tests."""
    return put_rules(folder)


def created(*arguments: str) -> dict[str, Any]:
    """The JSON of a new link."""
    result = run("link", "create", "visit", "--json", *arguments, environment=KEY)
    assert result.exit_code == 0, result.output
    return printed_json(result)


@pytest.fixture
def away() -> Iterator[dict[str, str]]:
    """Settings with a database where nobody answers."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield {**KEY, "POLICY_DATABASE_URL": f"postgresql://u:{PASSWORD}@127.0.0.1:{nobody.getsockname()[1]}/x"}


def signed(ended: datetime) -> Call:
    """A call that nobody stored."""
    return KEYRING.sign("visit", ended, b"once")


def stored(call: str) -> tuple[Link | None, tuple[TimelineEntry, ...]]:
    """The record of a link, and its timeline."""

    async def read() -> tuple[Link | None, tuple[TimelineEntry, ...]]:
        async with ConferenceStore(f"sqlite:///{DATABASE}") as store:
            return await store.link(call), await store.read(Reader.timeline, call)

    return asyncio.run(read())


def store_link(call: Call, **further: Any) -> None:
    """Stores a link as another process does it."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {"name": "", "attributes": {}, "created_at": now, "created_by": "booking", **further}
    made = Link(call=call.id, type=call.type, expires_at=call.expires_at, **fields)

    async def write() -> None:
        async with ConferenceStore(f"sqlite:///{DATABASE}") as store:
            await store.create_link(made)

    asyncio.run(write())


def test_create(rules: Path) -> None:
    """A new link has three names, aliases, URL with guest PIN, and the expiry of its type."""
    put_rules(rules.parent, RULES.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]'))
    before = datetime.now(UTC)
    link = created("--name", "Ada L")
    after = datetime.now(UTC)
    assert link.keys() == {*SIGNED, "kept"}
    call = KEYRING.open(link["call"], Role.CALL, ("visit",))
    assert call is not None
    assert (link["session"], link["alias"], link["agent_alias"]) == (
        call.session,
        f"mp{call.session}",
        f"hcp{call.agent}",
    )
    expires_at = datetime.fromisoformat(link["expires_at"])
    assert before <= expires_at - timedelta(hours=4) < after + timedelta(minutes=1)
    pins = call.pins
    assert parse_qs(urlsplit(link["url"]).query) == {"name": ["Ada L"], "pin": [pins.guest]}
    assert pins.host not in str(link)
    assert SECRET_KEY not in str(link)


def test_links_differ() -> None:
    """No two links are the same."""
    assert len({created()["call"] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("ttl", "life"),
    [
        ("30m", timedelta(minutes=30)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        ("1m", timedelta(minutes=1)),
    ],
)
def test_ttl(ttl: str, life: timedelta) -> None:
    """--ttl replaces the life of the type."""
    before = datetime.now(UTC)
    expires_at = datetime.fromisoformat(created("--ttl", ttl)["expires_at"])
    assert before <= expires_at - life < datetime.now(UTC) + timedelta(minutes=1)


@pytest.mark.parametrize("ttl", ["soon", "", "4", "-1h", "0m", "30s", "367d", "1h30", "9999999999999999999d"])
def test_a_wrong_ttl(ttl: str) -> None:
    """A life that is none is status 2, and the message shows what one looks like."""
    result = run("link", "create", "visit", "--ttl", ttl, environment=KEY)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--ttl must be a duration from 1m to 366d, such as 30m, 4h or 7d, but is" in result.stderr


def test_an_unknown_type() -> None:
    """An unknown type is status 2 with the types there are and the nearest."""
    result = run("link", "create", "vist", environment=KEY)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "TYPE must be 'visit' but is 'vist' (did you mean 'visit'?)" in result.stderr


def test_rules_without_links(rules: Path) -> None:
    """Rules that define no links say so."""
    put_rules(rules.parent, BARE_RULES)
    result = run("link", "create", "visit", environment=KEY)
    assert result.exit_code == 2
    assert "there is none to choose from" in result.stderr


@pytest.mark.parametrize("command", [("create", "visit"), ("inspect", "mp" + "a" * 32)], ids=["create", "inspect"])
def test_no_secret_key(command: tuple[str, ...]) -> None:
    """Without the server's key a link is worth nothing: status 2, naming the variable."""
    result = run("link", *command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "POLICY_SECRET_KEY is not set" in result.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"POLICY_SECRET_KEY": "short-planted"}, "POLICY_SECRET_KEY: the secret key has 13 characters and needs 32"),
        (
            {**KEY, "POLICY_PREVIOUS_SECRET_KEYS": f"{'k' * 40},short-planted"},
            "POLICY_PREVIOUS_SECRET_KEYS: previous secret key number 2 has 13 characters and needs 32",
        ),
    ],
    ids=["current", "previous"],
)
def test_short_keys(environment: dict[str, str], said: str) -> None:
    """Keys that are too short are status 2, with how to make one and without the key."""
    result = run("link", "create", "visit", environment=environment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "secrets.token_urlsafe(32)" in result.stderr
    assert "short-planted" not in result.stderr


def test_a_link_is_kept() -> None:
    """A link is in the database as its maker asked for it, without control characters, and its timeline says so."""
    link = created("--name", "Ada\x1b L", "--attribute", "queue=gold", "--attribute", "x=a=b")
    assert (link["name"], link["attributes"], link["kept"]) == ("Ada L", {"queue": "gold", "x": "a=b"}, True)
    kept, timeline = stored(link["call"])
    assert kept == Link(
        call=link["call"],
        type="visit",
        name="Ada L",
        attributes=link["attributes"],
        created_at=timeline[0].at,
        expires_at=datetime.fromisoformat(link["expires_at"]),
        created_by=CREATED_BY,
    )
    told = {"text": "The link was made by 'command line'.", "by": CREATED_BY, "type": "visit"}
    assert [(entry.kind, entry.data) for entry in timeline] == [("link.created", told)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--attribute", "gold"), "--attribute is written K=V but is 'gold'"),
        (
            ("--attribute", "a b=c"),
            "the name of an attribute must be 1 to 64 letters, digits, '_' and '-' but is 'a b'",
        ),
        (("--attribute", "a=" + "x" * 501), "attribute 'a' has 501 characters; the limit is 500"),
        (("--name", "x" * 251), "name has 251 characters; the limit is 250"),
    ],
    ids=["no-pair", "name-of-attribute", "value-of-attribute", "name"],
)
def test_what_a_link_cannot_hold(options: tuple[str, ...], said: str) -> None:
    """Names and attributes have the limits that they have over HTTP; beyond them is status 2, and nothing is made."""
    result = run("link", "create", "visit", *options, environment=KEY)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert not Path(DATABASE).exists()


def test_a_first_link_makes_the_database() -> None:
    """Where there is no database yet, one is made and told of, once: the server may look for it elsewhere."""
    first, second = (run("link", "create", "visit", environment=KEY) for _ in range(2))
    assert f"note: there was no database at {Path(DATABASE).absolute()}, so one was made" in first.stderr
    assert (first.exit_code, second.exit_code, second.stderr) == (0, 0, "")


@pytest.mark.parametrize("options", [("--name", "Ada L"), ("--attribute", "a=b")], ids=["name", "attribute"])
def test_nothing_is_lost_without_a_word(away: dict[str, str], options: tuple[str, ...]) -> None:
    """While the database is away, a link with a name or attributes is refused, since they would reach nobody."""
    result = run("link", "create", "visit", *options, environment=away)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "name and attributes of a link are kept nowhere else, so none was made" in result.stderr
    assert PASSWORD not in result.stderr


def test_a_link_without_a_database(away: dict[str, str]) -> None:
    """While the database is away, a bare link is made, is good by its signature, and the warning says what it lacks."""
    result = run("link", "create", "visit", "--json", environment=away)
    link = printed_json(result)
    assert (result.exit_code, link["kept"]) == (0, False)
    assert result.stderr.startswith("warning: the database postgresql://127.0.0.1:")
    assert "it is not kept: it cannot be revoked" in result.stderr
    assert PASSWORD not in result.stderr
    inspected = run("link", "inspect", link["alias"], "--json", environment=away)
    assert (inspected.exit_code, printed_json(inspected)["state"]) == (0, "valid")
    assert "what follows is what the signature tells, not whether it was revoked" in inspected.stderr


def test_the_url_is_our_own_door(away: dict[str, str]) -> None:
    """With POLICY_PUBLIC_URL the url is the join page, whether a record is kept or not."""
    public = {"POLICY_PUBLIC_URL": "https://join.example.com/"}
    kept = printed_json(run("link", "create", "visit", "--json", environment={**KEY, **public}))
    assert kept["url"] == f"https://join.example.com/join/{kept['session']}"
    unkept = printed_json(run("link", "create", "visit", "--json", environment={**away, **public}))
    assert unkept["url"] == f"https://join.example.com/join/{unkept['session']}"


def test_a_type_without_url_has_no_door(rules: Path) -> None:
    """A link type that leads to no web app has no url, with or without POLICY_PUBLIC_URL."""
    put_rules(rules.parent, re.sub(r"\n +url: .*", "", RULES))
    environment = {**KEY, "POLICY_PUBLIC_URL": "https://join.example.com"}
    assert printed_json(run("link", "create", "visit", "--json", environment=environment))["url"] is None


def test_the_text_form() -> None:
    """Without --json: a field a line, absent ones left out."""
    result = run("link", "create", "visit", environment=KEY)
    fields = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert list(fields) == ["type", "call", "session", "alias", "agent_alias", "url", "expires_at"]
    assert fields["url"].startswith("https://pexip.example.com/webapp3/m/mp")


@pytest.mark.parametrize(
    "written",
    ["{alias}", "{agent_alias}", "{session}", "{call}", "sip:{alias}@Video.Example.com;transport=tls"],
)
def test_inspect_a_good_link(written: str) -> None:
    """The customer's alias, the agents', session and call id, and any way to dial it are the same call.

    What is printed opens no door.
    """
    link = created("--name", "Ada L", "--attribute", "language=es")
    result = run("link", "inspect", written.format(**link), "--json", environment=KEY)
    assert (result.exit_code, result.stderr) == (0, "")
    assert link["session"] not in result.stdout
    assert link["agent_alias"].removeprefix("hcp") not in result.stdout
    found = printed_json(result)
    assert datetime.now(UTC) - datetime.fromisoformat(found.pop("created_at")) < timedelta(minutes=1)
    assert found == {
        "state": "valid",
        "type": "visit",
        "call": link["call"],
        "starts_at": None,
        "opens_at": None,
        "expires_at": link["expires_at"],
        "name": "Ada L",
        "attributes": {"language": "es"},
        "created_by": "command line",
        "revoked_at": None,
        "moved_to": None,
        "joins": None,
        "conference": "waiting",
    }


BOOKED = RULES.replace("ttl: 4h\n", "ttl: 4h\n    window: { before: 15m, after: 1h }\n")
"""The rules with appointments."""


def test_an_appointment(rules: Path) -> None:
    """--starts-at makes a link for a time; what was printed is what inspect finds, and until its door opens it is no good."""
    put_rules(rules.parent, BOOKED)
    starts_at = (datetime.now(UTC) + timedelta(days=2)).replace(second=0, microsecond=0)
    link = created("--starts-at", starts_at.astimezone(timezone(timedelta(hours=-6))).isoformat())
    times = {name: datetime.fromisoformat(link[name]) - starts_at for name in TIMES}
    assert times == {
        "starts_at": timedelta(0),
        "opens_at": timedelta(minutes=-15),
        "expires_at": timedelta(hours=1),
    }
    result = run("link", "inspect", link["alias"], "--json", environment=KEY)
    found = printed_json(result)
    assert (result.exit_code, found["state"]) == (1, "early")
    assert {name: found[name] for name in TIMES} == {name: link[name] for name in TIMES}
    told = run("link", "inspect", link["alias"], environment=KEY).stdout
    assert [line.split()[0] for line in told.splitlines()][3:6] == ["starts_at", "opens_at", "expires_at"]
    shown = run("conference", "show", link["call"], environment=KEY).stdout
    assert {line.split()[0] for line in shown.splitlines() if line} >= TIMES


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--starts-at", "2099-01-01"), "starts_at must be a moment with its offset from UTC"),
        (("--starts-at", "2099-01-01T10:00:00Z"), "and may be 366d ahead at the most"),
        (("--starts-at", "2099-01-01T10:00:00Z", "--ttl", "1h"), "ttl and starts_at exclude each other"),
    ],
)
def test_no_appointment(rules: Path, arguments: tuple[str, ...], said: str) -> None:
    """A time that cannot be is status 2, with what to write."""
    put_rules(rules.parent, BOOKED)
    result = run("link", "create", "visit", *arguments, environment=KEY)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_inspect_without_a_database() -> None:
    """Where no database is, none is made: a warning, and what the signature tells."""
    call = signed(datetime.now(UTC) + timedelta(hours=1))
    result = run("link", "inspect", call.session, environment=KEY)
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()][:2] == [["state", "valid"], ["type", "visit"]]
    assert f"there is no database at {Path(DATABASE).absolute()} yet" in result.stderr
    assert not Path(DATABASE).exists()


def test_inspect_an_expired_link() -> None:
    """An expired link is status 1 and shows when it ended."""
    ended = datetime(2026, 1, 1, tzinfo=UTC)
    call = signed(ended)
    result = run("link", "inspect", f"mp{call.session}", environment=KEY)
    assert result.exit_code == 1
    assert re.sub(" +", " ", result.stdout) == (
        f"state expired\ntype visit\ncall {call.id}\nexpires_at 2026-01-01T00:00:00+00:00\n"
    )


@pytest.mark.parametrize("alias", ["mp" + "a" * 32, "meet.alice", "", "ü", "mp" + "A" * 32, "x" * 10_000])
def test_inspect_what_is_no_link(alias: str) -> None:
    """Anything that the key did not sign is status 1, and nothing of it is taken for a call."""
    result = run("link", "inspect", alias, "--json", environment=KEY)
    value = printed_json(result)
    assert (result.exit_code, value["call"], value["expires_at"]) == (1, None, None)
    assert value["state"] in {"invalid", "absent"}


def test_another_key_and_a_previous_one() -> None:
    """A link of another key is invalid, unless that key is among the previous ones."""
    link = created()
    other = {"POLICY_SECRET_KEY": "another secret key, also long enough"}
    assert run("link", "inspect", link["alias"], environment=other).exit_code == 1
    rotated = {**other, "POLICY_PREVIOUS_SECRET_KEYS": SECRET_KEY}
    assert run("link", "inspect", link["alias"], environment=rotated).exit_code == 0


def test_a_created_link_is_served() -> None:
    """The rules serve a created link's agent alias with the room of its call."""
    link = created()
    value = printed_json(
        run("explain", "service", f"local_alias={link['agent_alias']}", "--json", environment=CREDENTIALS)
    )
    assert (value["rule"], value["answer"]["result"]["name"]) == ("agent", link["call"])


@pytest.mark.parametrize(
    "written", ["{alias}", "{agent_alias}", "{session}", "{call}", "sip:{agent_alias}@Video.Example.com"]
)
def test_revoke(written: str) -> None:
    """A link is revoked by any of its aliases, once; its timeline says so, and inspect shows it with status 1."""
    link = created("--name", "Ada L")
    result = run("link", "revoke", written.format(**link), environment=KEY)
    assert (result.exit_code, result.stdout) == (0, f"The link of call {link['call']} is revoked.\n")
    kept, timeline = stored(link["call"])
    assert kept is not None
    assert kept.revoked_at == timeline[1].at
    told = {"text": "The link was revoked by 'command line'.", "by": CREATED_BY}
    assert [(entry.kind, entry.data) for entry in timeline[1:]] == [("link.revoked", told)]
    again = run("link", "revoke", link["call"])
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == f"The link was revoked already, at {kept.revoked_at.isoformat(timespec='seconds')}.\n"
    assert stored(link["call"]) == (kept, timeline)
    inspected = run("link", "inspect", link["alias"], "--json", environment=KEY)
    assert (inspected.exit_code, printed_json(inspected)["state"]) == (1, "revoked")


def test_revoke_without_a_secret_key() -> None:
    """Without the server's key a call id is enough, and no other name tells the link."""
    link = created()
    for name in ("alias", "agent_alias"):
        result = run("link", "revoke", link[name])
        assert (result.exit_code, result.stdout) == (2, "")
        assert "POLICY_SECRET_KEY is not set, so only a call id tells which link is meant" in result.stderr
    assert run("link", "revoke", link["call"]).exit_code == 0


def test_a_link_whose_type_is_gone(rules: Path) -> None:
    """A link of a type that the rules do not have any more is found by its call id, inspected and revoked."""
    link = created("--name", "Ada L")
    put_rules(
        rules.parent,
        RULES.replace("visit:\n    alias", "stay:\n    alias").replace("link_type: visit", "link_type: stay"),
    )
    found = printed_json(run("link", "inspect", link["call"], "--json", environment=KEY))
    assert (found["state"], found["type"], found["call"]) == ("valid", "visit", link["call"])
    assert run("link", "inspect", link["session"], environment=KEY).exit_code == 1
    assert run("link", "revoke", link["call"], environment=KEY).exit_code == 0


def test_revoke_what_has_expired() -> None:
    """An expired link lets nobody in, so there is nothing to revoke: status 1."""
    ended = datetime(2026, 1, 1, tzinfo=UTC)
    call = signed(ended)
    store_link(call, created_at=ended - timedelta(hours=1))
    result = run("link", "revoke", call.id, environment=KEY)
    assert (result.exit_code, result.stderr) == (1, "The link has expired, at 2026-01-01T00:00:00+00:00.\n")
    kept, _ = stored(call.id)
    assert kept is not None
    assert kept.revoked_at is None


def test_revoke_what_is_not_there() -> None:
    """A link that is not in the database is status 1; of one that we signed it says when it ends."""
    created()
    unkept = signed(datetime(2030, 1, 1, tzinfo=UTC)).session
    for alias, said in (
        (unkept, "it was signed with our key and ends at 2030-01-01"),
        ("", "no link ''"),
        ("a", "'a'"),
    ):
        result = run("link", "revoke", alias, environment=KEY)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "There is no link" in result.stderr
        assert said in result.stderr


def test_revoke_without_a_database(away: dict[str, str]) -> None:
    """A database that is away, or was never made, is status 2, and none is made."""
    result = run("link", "revoke", "mp" + "a" * 32, environment=away)
    assert (result.exit_code, result.stdout) == (2, "")
    assert PASSWORD not in result.stderr
    missing = run("link", "revoke", "mp" + "a" * 32)
    assert missing.exit_code == 2
    assert "yet; is POLICY_DATABASE_URL the one of the server?" in missing.stderr
    assert not Path(DATABASE).exists()


@pytest.mark.slow
def test_a_running_server_obeys(folder: Path) -> None:
    """Attributes reach the rules of a server that runs, and so does a revocation."""
    gold = """
  - id: gold
    when: { link_type: visit, door: customer, link: valid, link_attributes: { queue: gold } }
    room: visit
"""
    put_rules(folder, RULES.replace("service:\n", f"service:{gold}", 1))
    with real_server(folder) as server, server.client() as client:
        alias = created("--attribute", "queue=gold")["alias"]

        def rule() -> object:
            parameters = {"call_direction": "dial_in", "protocol": "api", "local_alias": alias}
            return client.get(f"{ROOT}/service/configuration", params=parameters).json()["rule"]

        eventually(lambda: rule() == "gold")
        assert run("link", "revoke", alias, environment=KEY).exit_code == 0
        eventually(lambda: rule() == "customer-refused")


def test_a_name_cannot_command_the_terminal() -> None:
    """Characters that change the direction of writing are shown, not obeyed; in JSON they are as they came."""
    name = "Ada \u202eevil"
    assert r"Ada \u202eevil" in run("link", "create", "visit", "--name", name, environment=KEY).stdout
    assert created("--name", name)["name"] == name
