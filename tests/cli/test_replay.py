"""``replay``: a decision log of a server against rules, the server's own and others."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from click.testing import Result

from policy_server.conferences.holding import agents_aliases
from policy_server.pexip.field_facts import MASK
from policy_server.policy.links import CustomerLink, make_link
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.settings import Credentials
from policy_server.web.decision_records import SCHEMA, VALUE_LENGTH
from tests.cli.commands import CREDENTIALS, printed_json, put_rules, run
from tests.cli.test_explain_server import ALWAYS_OPEN, Beside
from tests.cli.test_joins import JOINING
from tests.servers import SECRET_KEY, InProcess, basic
from tests.waiting import eventually

CLOCK: Final = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
RULES: Final = (
    ALWAYS_OPEN
    + """
participants:
  - id: customers
    when: { link_type: visit, door: customer }
    set: { remote_display_name: "{remote_display_name|Customer}" }
  - id: signed-on
    when: { idp_attributes: { team: [nurses, doctors] } }
    set: { preauthenticated_role: chair }
locations:
  - id: branches
    when: { remote_address: 10.20.0.0/16 }
    location: London
directory:
  - { alias: desk@video.example.com, description: Telehealth desk }
"""
)


class Log:
    """A server whose log is replayed, at a time that the test sets."""

    def __init__(self, folder: Path, rules: str = RULES, **settings: Any) -> None:
        self.folder: Final = folder
        self.now = CLOCK
        put_rules(folder, rules)
        self.server: Final = InProcess(folder / "rules", clock=lambda: self.now, log_format="json", **settings)

    def link(self, nonce: int = 0, life: timedelta = timedelta(hours=1)) -> CustomerLink:
        """A link of these rules."""
        link_type = self.server.rules.ruleset.links["visit"]
        return make_link(link_type, Keyring.from_text(SECRET_KEY), self.now + life, nonce.to_bytes(NONCE_BYTES))

    def ask(self, path: str = "/service/configuration", **parameters: str) -> dict[str, Any]:
        """One question, a second after the one before."""
        self.now += timedelta(seconds=1)
        return self.server.ask(path, **parameters)

    def replay(self, *options: str, environment: Mapping[str, str] = CREDENTIALS) -> Result:
        """The command, on what the log has so far."""
        (self.folder / "decisions.jsonl").write_text("\n".join(self.server.flush()) + "\n", encoding="utf-8")
        return run("replay", "decisions.jsonl", *options, environment=environment)

    def told(self, *options: str, environment: Mapping[str, str] = CREDENTIALS) -> dict[str, Any]:
        """What it says in JSON."""
        return printed_json(self.replay("--json", *options, environment=environment))


@pytest.fixture
def log(folder: Path) -> Iterator[Log]:
    """A server with nothing in its log."""
    log = Log(folder)
    with log.server:
        yield log


def other_rules(folder: Path, change: Callable[[str], str]) -> str:
    """Rules of tomorrow; the name of their folder."""
    changed = change(RULES)
    assert changed != RULES
    put_rules(folder / "tomorrow", changed)
    return "tomorrow/rules"


def random_questions(log: Log, seed: int, count: int = 150) -> None:
    """Asks for links, rooms, participants, locations and registrations, good ones and bad ones, in any order."""
    random = Random(seed)
    links = [log.link(number, timedelta(minutes=random.choice((-1, 1, 60)))) for number in range(6)]
    for _ in range(count):
        link = random.choice(links)
        aliases = (
            link.alias,
            link.agent_alias,
            link.alias[:-1] + "a",
            link.alias.upper(),
            "room-1",
            "room-ü &=2",
            "vip",
            "x",
        )
        question = {
            "local_alias": random.choice(aliases),
            "call_direction": random.choice(("dial_in", "dial_in", "non_dial", "dial_out")),
            "remote_display_name": random.choice(("Ada L", "Mallory", "", "Zoë \u2028 x", "y" * 300)),
            "remote_address": random.choice(("10.20.3.4", "203.0.113.9", "nonsense")),
            "service_name": random.choice(("", link.call.id, "1", "elsewhere")),
            "idp_attribute_team": random.choice(("nurses", "cooks", "")),
            "third_party_passcode": random.choice(("", "31337")),
            "vendor": "friendly" * random.choice((1, 40)),
        }
        path = random.choice(("/service/configuration",) * 4 + ("/participant/properties", "/participant/location"))
        if random.random() < 0.1:
            path = f"/registrations/kiosk%2F{random.randrange(20)}%20%C3%BC%40video.example.com"
        log.ask(path, **{name: value for name, value in question.items() if value})
        log.now += timedelta(seconds=random.choice((0, 0, 5, 90)))


@pytest.mark.parametrize("seed", range(4))
def test_the_rules_of_the_log_answer_the_same(log: Log, seed: int) -> None:
    """Whatever was asked, the same rules give the same answers again, and every line is looked at."""
    random_questions(log, seed)
    told = log.told()
    assert (told["compared"], told["differences"], told["unseen"], told["skipped"]) == (150, [], [], {})
    assert log.replay().exit_code == 0


@pytest.mark.parametrize("seed", range(2))
def test_a_log_without_people_is_compared_as_well(folder: Path, seed: int) -> None:
    """Where names and addresses are masked, what rules ask of them is not guessed, and nothing else differs."""
    log = Log(folder, log_pii=False)
    with log.server:
        random_questions(log, seed)
        told = log.told()
    assert told["differences"] == []
    assert 0 < len(told["unseen"]) < 150
    assert all(
        "the log does not have" in each["why"] or "hides the name" in each["why"] or "was held before" in each["why"]
        for each in told["unseen"]
    )


def test_a_change_is_told_with_the_fields_that_differ(log: Log) -> None:
    """Exit status 1: time, alias without the session, rule and outcome then and now, each field that differs."""
    link = log.link()
    log.ask(local_alias=link.alias, call_direction="dial_in")
    log.ask(local_alias="room-1", call_direction="dial_in")
    log.ask(local_alias="nobody", call_direction="dial_in")
    changed = lambda text: text.replace("service_tag: named", "service_tag: open").replace(  # noqa: E731
        "  - id: gold\n", "  - { id: shut, when: { link_type: visit }, reject: Not today }\n  - id: gold\n"
    )
    folder = other_rules(log.folder, changed)
    result, told = log.replay("--rules", folder), log.told("--rules", folder)
    assert result.exit_code == 1
    first, second = told["differences"]
    assert (first["alias"], first["then"]["rule"], first["now"]["rule"]) == ("mp…", "customer", "shut")
    assert (first["then"]["outcome"], first["now"]["outcome"]) == ("serve", "reject")
    assert {"path": "reason", "then": None, "now": "Not today"} in first["fields"]
    assert second["fields"] == [{"path": "result.service_tag", "then": "named", "now": "open"}]
    lines = result.stdout.splitlines()
    assert lines[0].startswith("2026-11-23T16:00:01+00:00  service mp…  rule customer → shut  serve → reject  (")
    assert "    result.service_tag: 'named' → 'open'" in lines
    assert any(line.startswith("3 questions decided again with revision ") for line in lines)
    assert link.call.session not in result.output + json.dumps(told)
    assert link.call.id not in "".join(line for line in lines if "mp…" in line)


def test_another_rule_with_the_same_answer_is_no_difference(log: Log) -> None:
    """A rule that is called something else now changes nothing for a node, and is counted."""
    log.ask(local_alias="room-1")
    folder = other_rules(log.folder, lambda text: text.replace("id: named", "id: renamed"))
    result = log.replay("--rules", folder)
    assert result.exit_code == 0
    assert "1 would be answered the same by another rule" in result.stdout


def test_a_room_is_held_from_its_first_question_to_its_last(folder: Path) -> None:
    """Who comes second gets the room as it was held, after its end a new one begins, under the rules of tomorrow too."""
    log = Log(folder, conference_ttl=timedelta(minutes=5))
    with log.server:
        for display_name in ("Ada", "Bob"):
            log.ask(local_alias="room-1", remote_display_name=display_name)
            log.ask(local_alias="room-1", remote_display_name="Cy")
            log.now += timedelta(minutes=6)
        greeting = lambda text: text.replace(  # noqa: E731
            "service_tag: named }", 'service_tag: named, description: "{remote_display_name}" }'
        )
        told = log.told("--rules", other_rules(folder, greeting))
    assert [each["fields"] for each in told["differences"]] == [
        [{"path": "result.description", "then": None, "now": name}] for name in ("Ada", "Ada", "Bob", "Bob")
    ]


def test_the_agents_alias_of_a_room_without_a_call(log: Log) -> None:
    """Whoever came by the alias of the lookup comes in again, though the log hides it."""
    log.ask(local_alias="room-1")
    conference = json.loads(log.server.flush()[0])["conference"]
    alias = next(agents_aliases(Keyring.from_text(SECRET_KEY), conference))
    assert log.ask(local_alias=f"sip:{alias}@video.example.com")["result"]["name"] == "1"
    told = log.told()
    assert (told["compared"], told["differences"], told["unseen"]) == (2, [], [])
    assert alias not in "".join(log.server.flush())


def test_a_room_that_was_over_leads_nobody_in(folder: Path) -> None:
    """That a room ended is in no line, but those after it do not say that it ran: they are decided without it. While it ran,
    somebody whom the old rules refused comes into it by new ones.
    """
    sink = Credentials("sink", "the password of the sink")
    log = Log(folder, events=sink)
    with log.server:
        link = log.link()
        assert log.ask(local_alias=link.alias, call_direction="dial_in")["rule"] == "customer"
        asked = {"call_direction": "dial_out", "service_name": link.call.id}
        assert log.ask(**asked)["rule"] == "customer"
        told = [
            {
                "node": "10.0.0.1",
                "seq": seq,
                "version": 1,
                "time": log.now.timestamp() + seq,
                "event": event,
                "data": data,
            }
            for seq, event, data in (
                (1, "conference_started", {"name": link.call.id}),
                (2, "conference_ended", {"name": link.call.id}),
            )
        ]
        log.now += timedelta(hours=2)
        for message in told:
            sent = log.server.request(
                "POST", "/events/v1/pexip", authorization=basic(sink.username, sink.password), json=message
            )
            assert sent.status_code == 200
        assert log.ask(local_alias=link.alias, call_direction="dial_in")["rule"] == "customer-refused"
        assert (log.told()["compared"], log.told()["differences"]) == (3, [])


def test_a_room_that_was_held_before_the_log_begins_is_not_guessed(log: Log) -> None:
    """Who made the room and how is in no line, so what it gives others is not compared."""
    log.ask(local_alias="room-1")
    log.server.flush()
    log.server._written.clear()
    log.ask(local_alias="room-1")
    log.ask(local_alias="nobody")
    told = log.told()
    assert told["compared"] == 1
    assert [each["why"][:28] for each in told["unseen"]] == ["the room was held before the"]


def test_without_the_key_links_are_not_looked_at(log: Log) -> None:
    """What is about a link needs the key; everything else is compared."""
    log.ask(local_alias=log.link().alias)
    log.ask(local_alias="room-1")
    keyless = {name: value for name, value in CREDENTIALS.items() if name != "POLICY_SECRET_KEY"}
    told = log.told(environment=keyless)
    assert (told["compared"], told["different"]) == (1, 0)
    assert [(each["alias"], each["why"]) for each in told["unseen"]] == [
        ("mp…", "it is about a link, and POLICY_SECRET_KEY is not set")
    ]
    other = log.told(environment={**CREDENTIALS, "POLICY_SECRET_KEY": SECRET_KEY[::-1]})
    assert [each["why"] for each in other["unseen"]] == ["it is about a link whose key or type is not known here"]


@pytest.mark.parametrize(
    ("question", "change", "why"),
    [
        pytest.param(
            {"third_party_passcode": "31337"},
            lambda text: text.replace("{ remote_display_name: Mallory }", "{ third_party_passcode: '31.*' }"),
            "the log does not have third_party_passcode, for which rules ask",
            id="secret",
        ),
        pytest.param(
            {"vendor": "v" * (VALUE_LENGTH + 1)},
            lambda text: text.replace("{ remote_display_name: Mallory }", "{ vendor: '.*scanner' }"),
            "the log does not have vendor, for which rules ask",
            id="cut",
        ),
    ],
)
def test_what_the_log_does_not_have_is_not_guessed(
    log: Log, question: dict[str, str], change: Callable[[str], str], why: str
) -> None:
    """A line is set apart if rules ask for what it hides or cuts before they decide, and only then."""
    log.ask(local_alias="room-1", **question)
    assert log.told()["unseen"] == []
    told = log.told("--rules", other_rules(log.folder, change))
    assert [each["why"] for each in told["unseen"]] == [why]


def test_attributes_of_links_are_those_of_the_line(folder: Path) -> None:
    """What a link was given decides again; what the rules of the log never asked for is not known, and said so."""
    put_rules(folder, RULES)
    with Beside(folder / "rules", database_url=f"sqlite:///{folder}/policy.db", log_format="json") as server:
        alias = server.link("--attribute", "queue=gold", "--attribute", "language=es")["alias"]

        # The server hears of the link a moment later.
        def is_gold() -> bool:
            question = {"call_direction": "non_dial", "local_alias": alias}
            return bool(server.ask("/service/configuration", **question)["rule"] == "gold")

        eventually(is_gold)
        server.revoke(alias)
        eventually(lambda: not is_gold())
        lines = server.flush()
    (folder / "decisions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    same = printed_json(run("replay", "decisions.jsonl", "--json", environment=CREDENTIALS))
    assert (same["differences"], same["unseen"]) == ([], [])
    assert any(json.loads(line).get("link_attributes") == {"queue": "gold"} for line in lines)
    changed = other_rules(folder, lambda text: text.replace("{ queue: gold }", "{ language: es }", 1))
    told = printed_json(run("replay", "decisions.jsonl", "--json", "--rules", changed, environment=CREDENTIALS))
    assert {each["why"] for each in told["unseen"]} == {
        "the log does not have link_attributes.language, for which rules ask"
    }


def test_who_joins_a_call_joins_it_again(folder: Path) -> None:
    """A link into the room of another one leads there in the replay too, and no further than it did once that was revoked."""
    put_rules(folder, JOINING)
    known = {**CREDENTIALS, "POLICY_DATABASE_URL": f"sqlite:///{folder}/policy.db"}
    with Beside(folder / "rules", database_url=known["POLICY_DATABASE_URL"], log_format="json") as server:
        visit = server.link()
        made = ("link", "create", "helper", "--json", "--joins", visit["call"])
        helper = printed_json(run(*made, environment=known))["alias"]

        def joins() -> bool:
            question = {"call_direction": "non_dial", "local_alias": helper}
            return bool(server.ask("/service/configuration", **question)["rule"] == "helper")

        eventually(joins)
        for alias in (helper, visit["alias"], visit["agent_alias"]):
            server.ask("/service/configuration", call_direction="dial_in", local_alias=alias)
        server.revoke(visit["alias"])
        eventually(lambda: not joins())
        lines = server.flush()
    (folder / "decisions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    told = printed_json(run("replay", "decisions.jsonl", "--json", environment=CREDENTIALS))
    assert (told["differences"], told["unseen"]) == ([], [])
    assert told["compared"] == len(lines)


def test_other_lines_are_skipped_and_counted(log: Log) -> None:
    """Refusals, other logs, lines for people, other versions and rubbish are no decisions to compare."""
    log.ask(local_alias="room-1")
    log.server.request("GET", "/policy/v1/service/configuration?local_alias=a")
    log.server.get("/policy/v1/service/configuration?local_alias=a&local_alias=b")
    (line,) = [line for line in log.server.flush() if '"decision.made"' in line]
    others = [
        line.replace(f'"schema":{SCHEMA}', f'"schema":{SCHEMA + 1}'),
        line.replace(f'"schema":{SCHEMA},', ""),
        line.replace('"question":"service"', '"question":"nonsense"'),
        "2026-11-23T16:00:00.000+00:00 decision_id=a-1 ms=0.1 event=decision.made question=service outcome=continue",
        "2026-11-23T16:00:00.000+00:00 WARNING rules.loaded",
        "{",
        "",
    ]
    log.server._written.append("\n".join([*others, json.dumps({"log": line, "stream": "stdout"}), ""]).encode())
    told = log.told()
    assert told["compared"] == 2
    assert told["skipped"] == {
        "no decision": 1,
        "somebody refused": 1,
        "another version of the log": 1,
        "a line for people": 2,
        "a damaged line": 1,
        "no line of this server's decision log": 2,
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "'decisions.jsonl' cannot be read: No such file or directory", id="absent"),
        pytest.param(
            b"", "'decisions.jsonl' has no decision that can be decided again; set POLICY_DECISION_LOG", id="empty"
        ),
        pytest.param(b"\xff\x00\nhello\n", "(no line of this server's decision log: 2)", id="something else"),
    ],
)
def test_unusable_input(folder: Path, content: bytes | None, said: str) -> None:
    """A log without a decision is status 2, with what it has instead and how to get one."""
    put_rules(folder, RULES)
    if content is not None:
        (folder / "decisions.jsonl").write_bytes(content)
    result = run("replay", "decisions.jsonl", environment=CREDENTIALS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_secrets_are_masked_on_both_sides(log: Log) -> None:
    """That a PIN came or went is a difference; which it was is never shown."""
    log.ask(local_alias="room-1")
    pinned = other_rules(
        log.folder, lambda text: text.replace("service_tag: named }", 'service_tag: named, pin: "730195" }')
    )
    result = log.replay("--rules", pinned)
    assert f"result.pin: nothing → '{MASK}'" in result.stdout
    assert "730195" not in result.output
