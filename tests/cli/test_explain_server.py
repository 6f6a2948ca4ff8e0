"""``explain`` beside a server: what its database knows, and lines of its log."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from policy_server.cli import main
from policy_server.web.decision_records import LOGGED_LENGTH
from tests.cli.commands import CREDENTIALS, RULES, printed_json, put_rules, run
from tests.servers import InProcess
from tests.waiting import eventually

ALWAYS_OPEN: Final = RULES.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]').replace(
    "  - id: customer\n",
    "  - id: gold\n    when: { link_type: visit, door: customer, link: valid, link_attributes: { queue: gold } }\n"
    "    room: visit\n  - { id: banned, when: { remote_display_name: Mallory }, reject: No }\n"
    "  - id: customer\n",
)
EXTRA: Final = ("rule", "revision", "decision_id")


class Beside(InProcess):
    """A server with its database in the current folder, and ``explain`` with the same settings."""

    def explain(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """What explain says in JSON."""
        known = {**CREDENTIALS, "POLICY_DATABASE_URL": self.settings.database_url}
        return printed_json(run("explain", "--json", *arguments, environment=known | environment))

    def link(self, *arguments: str) -> dict[str, Any]:
        """A link that the command made."""
        known = {**CREDENTIALS, "POLICY_DATABASE_URL": self.settings.database_url}
        return printed_json(run("link", "create", "visit", "--json", *arguments, environment=known))

    def revoke(self, alias: str) -> None:
        """Takes a link back."""
        known = {**CREDENTIALS, "POLICY_DATABASE_URL": self.settings.database_url}
        assert run("link", "revoke", alias, environment=known).exit_code == 0


@pytest.fixture(params=["text", "json"])
def server(folder: Path, request: pytest.FixtureRequest) -> Iterator[Beside]:
    """A server whose log has either format."""
    put_rules(folder, ALWAYS_OPEN)
    with Beside(folder / "rules", database_url=f"sqlite:///{folder}/policy.db", log_format=request.param) as server:
        yield server


def asked(server: Beside, **parameters: str) -> tuple[str | None, dict[str, Any]]:
    """The rule and the answer that a node gets, without what is for its log."""
    answer = server.ask("/service/configuration", call_direction="dial_in", **parameters)
    return answer["rule"], {name: value for name, value in answer.items() if name not in EXTRA}


def test_links_and_rooms_are_those_of_the_server(server: Beside) -> None:
    """Attributes choose the rule, a room is answered as it is held, and a revoked link shuts its customer out."""
    alias = server.link("--attribute", "queue=gold")["alias"]
    question = ("service", f"local_alias={alias}", "call_direction=dial_in")
    before = server.explain(*question)
    assert (before["rule"], before["held"]) == ("gold", None)
    # The server hears of the link a moment later; what is no call holds no room.
    eventually(
        lambda: server.ask("/service/configuration", call_direction="non_dial", local_alias=alias)["rule"] == "gold"
    )
    assert (before["rule"], before["answer"]) == asked(server, local_alias=alias)
    held = server.explain(*question)
    assert held["held"].keys() == {"room", "since", "rule", "revision"}
    assert (held["held"]["rule"], held["answer"]) == ("gold", before["answer"])
    text = run("explain", *question, environment={**CREDENTIALS, "POLICY_DATABASE_URL": server.settings.database_url})
    lines = text.stdout.splitlines()
    assert any(
        line.startswith(f"links, revocations and rooms in {server.settings.database_url} as of ") for line in lines
    )
    assert any(line.startswith(f"the room '{held['held']['room']}' is held, and the rules decide") for line in lines)
    server.revoke(alias)
    assert server.explain(*question)["rule"] == "customer-refused"


def test_the_database_can_be_left_out(server: Beside) -> None:
    """--no-database goes by the signature alone, and says so."""
    alias = server.link("--attribute", "queue=gold")["alias"]
    server.revoke(alias)
    value = server.explain("service", f"local_alias={alias}", "--no-database")
    assert (value["rule"], value["looked_at"]["database"], value["looked_at"]["without"]) == (
        "customer",
        None,
        "--no-database",
    )


def test_attributes_can_be_given_instead(server: Beside) -> None:
    """--link-attribute goes before what the database has; the others stay."""
    alias = server.link("--attribute", "queue=gold")["alias"]
    question = ("service", f"local_alias={alias}", "--link-attribute")
    assert server.explain(*question, "queue=silver")["rule"] == "customer"
    assert server.explain(*question, "language=es")["rule"] == "gold"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///nowhere/policy.db", "/nowhere/policy.db cannot be read: there is none yet"),
        ("sqlite:///rules", "/rules cannot be read: Is a directory"),
        ("sqlite:///rules/rules.yaml", "is not an SQLite database; name another file"),
        ("postgresql://policy:s3cret-of-ours@127.0.0.1:1/policy", "the database postgresql://127.0.0.1:1/policy"),
    ],
    ids=["not there", "a folder", "another file", "away"],
)
def test_without_its_database_the_rules_are_explained(folder: Path, url: str, said: str) -> None:
    """A database that cannot be looked at is said, without its password, and the status is as without one."""
    put_rules(folder, ALWAYS_OPEN)
    result = run("explain", "service", "local_alias=room-1", environment={**CREDENTIALS, "POLICY_DATABASE_URL": url})
    assert (result.exit_code, "rule named: every condition holds" in result.stdout) == (0, True)
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("no database: "))
    assert said in line
    assert "s3cret" not in result.output
    assert [path.name for path in folder.iterdir()] == ["rules"]


def test_a_question_without_calls_needs_no_database(folder: Path) -> None:
    """Directory, avatars and registrations are answered by the rules alone, and no database is waited for."""
    put_rules(folder, ALWAYS_OPEN)
    result = run("explain", "directory", "q=x", environment={"POLICY_DATABASE_URL": "postgresql://127.0.0.1:1/policy"})
    assert "no database: such a question is answered by the rules alone" in result.stdout


def test_a_time_to_come_is_said_to_be_one(server: Beside) -> None:
    """What will be is told from what is known now, and the line says that."""
    to_come = (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="seconds")
    result = run(
        "explain",
        "service",
        "local_alias=room-1",
        "--at",
        to_come,
        environment={**CREDENTIALS, "POLICY_DATABASE_URL": server.settings.database_url},
    )
    assert f"as of {to_come}, if nothing changes until then\n" in result.stdout


AROUND: Final = {
    "as it is": "{}",
    "of a container": "policy-1  | {}",
    "of syslog": "Nov 26 14:05:11 host policy-server[812]: {}",
}


@pytest.mark.slow
@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize(
    "parameters",
    [
        {"local_alias": "room-1", "protocol": "api"},
        {"local_alias": "room-a b = \"c\" {d} [e] 'f'", "remote_alias": "[1]"},
        {"local_alias": "sip:ROOM-Ü/policy/v1/@video.example.com", "remote_alias": "{}", "location": "null"},
        {"local_alias": "nobody"},
    ],
    ids=["plain", "to be quoted", "like something else", "no rule"],
)
def test_a_line_of_the_log_is_the_question_that_it_tells_of(
    server: Beside, parameters: dict[str, str], around: str
) -> None:
    """Pasted from the log, in either format and whatever a collector put before it, it is explained as it was answered."""
    rule, answer = asked(server, **parameters)
    (line,) = server.flush()
    value = server.explain(around.format(line))
    assert (value["rule"], value["answer"]) == (rule, answer)
    assert value["looked_at"]["at"] == datetime.fromisoformat(value["looked_at"]["at"]).isoformat()
    assert any(note.startswith("the line says: ") for note in value["notes"])


@pytest.mark.parametrize("written", ["{alias}", "sip:{alias}@Video.Example.com;transport=tls", "{agent_alias}"])
def test_a_line_about_a_link_is_explained_by_its_call(server: Beside, written: str) -> None:
    """The line has the call id and no name that opens a door; with the server's key it is the alias that was dialled."""
    link = server.link()
    rule, answer = asked(server, local_alias=written.format(**link))
    assert rule in {"customer", "agent"}
    (line,) = server.flush()
    assert link["call"] in line
    assert not any(name in line for name in (link["session"], link["agent_alias"].removeprefix("hcp")))
    value = server.explain(line)
    assert (value["rule"], value["answer"]) == (rule, answer)
    stranger = server.explain(line, POLICY_SECRET_KEY="another secret key, also long enough")
    assert any("the log hides the names in aliases of links" in note for note in stranger["notes"])


def test_a_line_in_the_json_of_a_container(server: Beside) -> None:
    """Docker and journald keep lines as JSON, with ours inside."""
    rule, _ = asked(server, local_alias="room-1")
    (line,) = server.flush()
    assert server.explain(json.dumps({"log": line + "\n", "stream": "stderr"}))["rule"] == rule
    assert server.explain(json.dumps({"MESSAGE": line, "PRIORITY": "6"}))["rule"] == rule


def test_a_line_is_explained_for_its_own_moment(server: Beside) -> None:
    """The moment of the line is that of the question, unless --at says otherwise."""
    asked(server, local_alias="room-1")
    (line,) = server.flush()
    at = server.explain(line)["looked_at"]["at"]
    assert abs(datetime.fromisoformat(at) - datetime.now(UTC)) < timedelta(minutes=1)
    assert server.explain(line, "--at", "2026-11-23T10:00:00-06:00")["looked_at"]["at"] == "2026-11-23T10:00:00-06:00"


def test_what_the_log_does_not_keep_is_said(server: Beside) -> None:
    """Values that were cut, and parameters that rules ask for and a line for people never has; they can be added to the line.

    A line for programs has them.
    """
    answer = asked(server, local_alias="room-1", remote_alias="x" * 400, remote_display_name="Mallory")
    assert answer[0] == "banned"
    (line,) = server.flush()
    value = server.explain(line)
    if server.decision_log.is_json:
        assert value["rule"] == "banned"
        assert len(value["notes"]) == 1
        return
    assert any("remote_alias may have been longer" in note for note in value["notes"])
    assert any(note.startswith("the log does not keep remote_display_name,") for note in value["notes"])
    added = server.explain(line, "remote_display_name=Mallory")
    assert added["rule"] == "banned"
    assert not any("does not keep" in note for note in added["notes"])
    assert LOGGED_LENGTH < 400


def test_what_is_masked_in_a_line_is_said(folder: Path) -> None:
    """Of a passcode, and with POLICY_LOG_PII=false of names, explain says that the line hides what rules ask for."""
    put_rules(folder, ALWAYS_OPEN.replace("Mallory }", "Mallory, third_party_passcode: '1' }"))
    with Beside(
        folder / "rules", database_url=f"sqlite:///{folder}/policy.db", log_format="json", log_pii=False
    ) as server:
        answer = asked(server, local_alias="room-1", remote_display_name="Mallory", third_party_passcode="1")
        (line,) = server.flush()
        value = server.explain(line)
        assert (answer[0], value["rule"]) == ("banned", "named")
        assert any(
            note.startswith("the log does not keep remote_display_name, third_party_passcode,")
            for note in value["notes"]
        )
        added = server.explain(line, "remote_display_name=Mallory", "third_party_passcode=1")
    assert added["rule"] == "banned"
    assert not any("does not keep" in note for note in added["notes"])


def test_a_line_about_a_question_that_was_not_understood_holds_none(server: Beside) -> None:
    """It does not tell what was asked, so it is refused."""
    server.get("/policy/v1/service/configuration?local_alias=a&local_alias=b")
    (line,) = server.flush()
    result = run("explain", line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'decision.failed') does not tell what was asked" in result.stderr


@pytest.mark.parametrize(
    "pasted",
    [
        "2026-11-26T14:05:11 INFO store.prepared: sqlite:///var/policy.db",
        '{"time":"2026-11-26T14:05:11","level":"info","message":"rules.reloaded"}',
        "https://policy.example.com/other?local_alias=room-1",
        "https://policy.example.com/policy/v1/other?local_alias=room-1",
        "Nov 26 14:05:11 pexip administrator.conference: Participant=x Conference=y",
        "a=b&c=d",
        '{"status":"success","action":"continue"}',
        "2026-11-26T14:05:11 decision_id=ab-1 ms=0.4 question=service local_alias=room-1",
        "2026-11-26T14:05:11 decision_id=ab-1 event=decision.made question=service remote_alias=a b",
        "{" * 5000,
    ],
)
def test_what_cannot_be_understood_is_refused(folder: Path, pasted: str) -> None:
    """Another line, URL or text is status 2, and the message says what can be pasted."""
    put_rules(folder, ALWAYS_OPEN)
    result = run("explain", pasted)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "policy" in result.stderr


@pytest.mark.parametrize(
    "pasted",
    [
        '2026-11-26 14:05:11,123 Level="INFO" Name="support.externalpolicy" Message="External policy request" '
        'Method="GET" Url="https://policy.example.com/policy/v1/service/configuration?local_alias=room-1&protocol=api" '
        'Timeout="5" Request-id="8ae5"',
        '{"request":"GET /policy/v1/service/configuration?protocol=api\\u0026local_alias=room-1 HTTP/1.1"}',
        "<a href='/policy/v1/service/configuration?protocol=api&amp;local_alias=room-1'>",
    ],
    ids=["Pexip's support log", "the log of a proxy", "a page"],
)
def test_a_url_is_found_in_any_line(folder: Path, pasted: str) -> None:
    """Whatever stands around it."""
    put_rules(folder, ALWAYS_OPEN)
    assert printed_json(run("explain", "--json", pasted))["rule"] == "named"


def test_a_url_that_was_cut_is_said_to_be(folder: Path) -> None:
    """As where a log or a screen had no room for the rest."""
    put_rules(folder, ALWAYS_OPEN)
    value = printed_json(run("explain", "--json", "/policy/v1/service/configuration?local_alias=room-1&remote_al…"))
    assert (value["rule"], value["notes"]) == ("named", ["the URL was cut: what stood at its end is missing"])


def test_the_type_must_be_that_of_the_url(folder: Path) -> None:
    """A type before a URL of another question is a contradiction."""
    put_rules(folder, ALWAYS_OPEN)
    result = run("explain", "service", "https://p/policy/v1/participant/properties?local_alias=room-1")
    assert (result.exit_code, "of type 'participant'" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "status"), [("local_alias=room-1\n", 0), ("", 2), ("local_alias=a\nlocal_alias=b\n", 2)]
)
def test_standard_input(folder: Path, text: str, status: int) -> None:
    """- reads the one line that is there."""
    put_rules(folder, ALWAYS_OPEN)
    result = CliRunner().invoke(main, ["explain", "-", "--json"], input=text)
    assert result.exit_code == status
    assert status or json.loads(result.stdout)["rule"] == "named"


def test_nothing_is_written(server: Beside) -> None:
    """Explaining neither holds a room nor notes anything."""
    alias = server.link()["alias"]
    path = Path(server.settings.database_url.removeprefix("sqlite:///"))

    def counted() -> list[int]:
        with closing(sqlite3.connect(path)) as connection:
            statement = "SELECT (SELECT count(*) FROM conferences), (SELECT count(*) FROM timeline)"
            return list(connection.execute(statement).fetchone())

    before = counted()
    assert server.explain("service", f"local_alias={alias}", "call_direction=dial_in")["rule"] == "customer"
    assert counted() == before


def test_a_trunk_that_is_passed_over_is_told(folder: Path) -> None:
    """By the rooms that the server holds a trunk has as much as it may: the next is dialled, and the reason says so."""
    more = 'limits: { legs: 1 } }\n  spare: { number: "+1 312 999 8047", dial_prefix: "99" }\n'
    before, _, after = ALWAYS_OPEN.partition("  contact-centre: {")
    trunk, _, after = after.partition("}\n")
    limited = f"{before}  contact-centre: {{{trunk}, {more}{after}".replace(
        '[{ trunk: contact-centre, display_name: "{call}" }]',
        "[{ trunk: contact-centre }, { trunk: spare, when: failed }]",
    )
    put_rules(folder, limited)
    with Beside(folder / "rules", database_url=f"sqlite:///{folder}/policy.db") as server:
        first, second = (server.link()["alias"] for _ in range(2))
        assert server.explain("service", f"local_alias={second}")["reason"] == "every condition holds"
        assert asked(server, local_alias=first)[0] == "customer"
        value = server.explain("service", f"local_alias={second}")
        assert value["reason"] == "every condition holds; passed over: trunk 'contact-centre' has 1 of 1 legs"
        (leg,) = value["answer"]["result"]["automatic_participants"]
        assert leg["remote_alias"] == "99+13129998047"
