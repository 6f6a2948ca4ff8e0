"""``link create`` and ``link inspect``: customer links without a database."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from policy_server.policy.sessions import Keyring
from tests.cli.commands import CREDENTIALS, RULES, printed_json, put_rules, run
from tests.servers import SECRET_KEY

KEY = {"POLICY_SECRET_KEY": SECRET_KEY}


@pytest.fixture(autouse=True)
def rules(folder: Path) -> Path:
    """The rules of these tests."""
    return put_rules(folder)


def created(*arguments: str) -> dict[str, Any]:
    """The JSON of a new link."""
    result = run("link", "create", "visit", "--json", *arguments, environment=KEY)
    assert result.exit_code == 0, result.output
    return printed_json(result)


def test_create() -> None:
    """A new link has session, aliases, URL with guest PIN, and the expiry of its type."""
    before = datetime.now(UTC)
    link = created("--name", "Ada L")
    assert link.keys() == {"type", "session", "alias", "agent_alias", "url", "expires_at", "name", "attributes"}
    assert re.fullmatch("[a-z2-7]{32}", link["session"])
    assert (link["alias"], link["agent_alias"]) == (f"mp{link['session']}", f"hcp{link['session']}")
    expires_at = datetime.fromisoformat(link["expires_at"])
    assert timedelta(hours=4) <= expires_at - before <= timedelta(hours=4, minutes=1)
    pins = Keyring.from_text(SECRET_KEY).pins(link["session"])
    assert parse_qs(urlsplit(link["url"]).query) == {"name": ["Ada L"], "pin": [pins.guest]}
    assert pins.host not in str(link)
    assert SECRET_KEY not in str(link)


def test_links_differ() -> None:
    """No two links are the same."""
    assert len({created()["session"] for _ in range(5)}) == 5


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
    assert life <= expires_at - before <= life + timedelta(minutes=1, seconds=5)


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
    put_rules(rules.parent, RULES.partition("\nlinks:")[0])
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


def test_attributes() -> None:
    """Attributes are repeated in the output, with a warning that nothing keeps them; one that is no pair is status 2."""
    result = run(
        "link", "create", "visit", "--attribute", "queue=gold", "--attribute", "x=a=b", "--json", environment=KEY
    )
    assert printed_json(result)["attributes"] == {"queue": "gold", "x": "a=b"}
    assert result.stderr.startswith("warning: attributes are not in the link itself")
    wrong = run("link", "create", "visit", "--attribute", "gold", environment=KEY)
    assert (wrong.exit_code, "--attribute is written K=V but is 'gold'" in wrong.stderr) == (2, True)


def test_the_text_form() -> None:
    """Without --json: a field a line, absent ones left out."""
    result = run("link", "create", "visit", environment=KEY)
    fields = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert list(fields) == ["type", "session", "alias", "agent_alias", "url", "expires_at"]
    assert fields["url"].startswith("https://pexip.example.com/webapp3/m/mp")


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("mp{}", "visit"),
        ("hcp{}", "visit"),
        ("{}", None),
        ("sip:MP{}@Video.Example.com;transport=tls", "visit"),
    ],
)
def test_inspect_a_good_link(written: str, kind: str | None) -> None:
    """The customer's alias, the agent's, the bare session, and any way to dial it are the same session."""
    link = created()
    result = run("link", "inspect", written.format(link["session"]), "--json", environment=KEY)
    assert result.exit_code == 0
    assert printed_json(result) == {
        "state": "valid",
        "type": kind,
        "session": link["session"],
        "expires_at": link["expires_at"],
    }


def test_inspect_an_expired_link() -> None:
    """An expired link is status 1 and shows when it ended."""
    ended = datetime(2026, 1, 1, tzinfo=UTC)
    session = Keyring.from_text(SECRET_KEY).sign(ended, b"nonce")
    result = run("link", "inspect", f"mp{session}", environment=KEY)
    assert result.exit_code == 1
    assert re.sub(" +", " ", result.stdout) == (
        f"state expired\ntype visit\nsession {session}\nexpires_at 2026-01-01T00:00:00+00:00\n"
    )


@pytest.mark.parametrize("alias", ["mp" + "a" * 32, "meet.alice", "", "ü", "mp" + "A" * 32, "x" * 10_000])
def test_inspect_what_is_no_link(alias: str) -> None:
    """Anything that the key did not sign is status 1, and nothing of it is taken for a session."""
    result = run("link", "inspect", alias, "--json", environment=KEY)
    value = printed_json(result)
    assert (result.exit_code, value["session"], value["expires_at"]) == (1, None, None)
    assert value["state"] in {"invalid", "absent"}


def test_another_key_and_a_previous_one() -> None:
    """A link of another key is invalid, unless that key is among the previous ones."""
    link = created()
    other = {"POLICY_SECRET_KEY": "another secret key, also long enough"}
    assert run("link", "inspect", link["alias"], environment=other).exit_code == 1
    rotated = {**other, "POLICY_PREVIOUS_SECRET_KEYS": SECRET_KEY}
    assert run("link", "inspect", link["alias"], environment=rotated).exit_code == 0


def test_a_created_link_is_served() -> None:
    """The rules serve a created link's agent alias with the room of its session."""
    link = created()
    value = printed_json(
        run("explain", "service", f"local_alias={link['agent_alias']}", "--json", environment=CREDENTIALS)
    )
    assert (value["rule"], value["answer"]["result"]["name"]) == ("agent", link["session"])
