"""The fuzzer: a short run of it, and that it would notice."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import orjson
import pytest

from policy_server.conferences.packing import pack
from policy_server.pexip.events import Event, parse_events
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.simulator.judge import HttpAnswer
from tests.fuzz import SECRET_KEY, Report, examine, examine_delivery, fuzz
from tests.fuzz_events import BASIC, MARK, Delivery, DeliveryMaker
from tests.fuzz_ledger import Ledger
from tests.fuzz_questions import QUERY_LIMIT, Question, QuestionMaker, cannot_be_understood, names_of
from tests.golden.exchange import RULES, read_all
from tests.rule_sets import NOON

pytestmark = pytest.mark.slow

GOOD = QuestionMaker(1, [b"/policy/v1/registrations?q=a"], []).make(0).authorization
JSON = "application/json"


def _question(target: bytes, method: bytes = b"GET") -> Question:
    return Question(method, target, GOOD)


def test_a_short_fuzz_run() -> None:
    """2,000 hostile questions and deliveries of events over HTTP: every answer in good time, none that a node would
    discard, and each message that was acknowledged stored once.
    """
    report = fuzz(range(2000), seed=2, seconds=60)
    assert not report.failed, "\n".join(report.lines())
    assert report.sent == 2000
    assert report.statuses[200] > 1500
    assert report.statuses[401] > 20
    assert report.statuses[405] > 20
    assert {"service", "redirect", "reject", "properties", "location", "credentials", "directory", "picture"} <= set(
        report.outcomes
    )
    assert report.deliveries == 200
    assert report.ledger.messages > 500
    assert report.ledger.unreadable > 50
    assert max(report.slowest, report.slowest_delivery) < 5


def test_fuzz_notices_a_server_that_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With other rules than the deployment has names for, the judge refuses answers, and the run fails."""
    rules = copytree(RULES, tmp_path / "rules")
    for path in rules.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("DMZ, London, Oslo", "DMZ, London, Bergen").replace("Oslo", "Bergen"), "utf-8")
    monkeypatch.setattr("tests.fuzz.RULES", rules)
    report = fuzz(range(400), seed=3, seconds=60)
    assert report.failed
    assert set(report.offences) == {"refused by the judge"}
    assert any("no system location of that name" in offence.reason for offence in report.first)


SERVICE = b"/policy/v1/service/configuration?local_alias=x"
CONTINUE = b'{"status": "success", "action": "continue"}'
FAILURE = b'{"status": "failure", "action": "continue", "rule": null}'

TABLES = "CREATE TABLE events (content BLOB, room TEXT); CREATE TABLE timeline (content BLOB, key TEXT)"
"""What the ledger reads of a database."""


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        (_question(SERVICE), HttpAnswer(200, JSON, CONTINUE), None),
        (_question(SERVICE), HttpAnswer(500, JSON, b"{}"), "5xx"),
        (_question(SERVICE), HttpAnswer(503, "", b""), "5xx"),
        (_question(SERVICE), HttpAnswer(200, "text/html", b"<html>"), "refused by the judge"),
        (_question(SERVICE), HttpAnswer(200, JSON, b'{"status": "success", "action": "x"}'), "refused by the judge"),
        (_question(SERVICE), HttpAnswer(200, JSON, CONTINUE, seconds=6), "refused by the judge"),
        (_question(SERVICE), HttpAnswer(200, JSON, FAILURE), "failure without a reason"),
        (_question(SERVICE), HttpAnswer(200, JSON, FAILURE.replace(b"null", b'"a-rule"')), None),
        (_question(SERVICE + b"&local_alias=y"), HttpAnswer(200, JSON, FAILURE), None),
        (_question(SERVICE + b"&local_alias=y"), HttpAnswer(200, JSON, CONTINUE), "failure without a reason"),
        (_question(SERVICE), HttpAnswer(401, "", b""), "wrong status"),
        (Question(b"GET", SERVICE, None), HttpAnswer(401, "", b""), None),
        (Question(b"GET", SERVICE, b"Basic x"), HttpAnswer(200, JSON, CONTINUE), "wrong status"),
        (_question(SERVICE), HttpAnswer(405, "", b""), "wrong status"),
        (_question(SERVICE, b"POST"), HttpAnswer(405, "", b""), None),
        (_question(SERVICE, b"POST"), HttpAnswer(200, JSON, CONTINUE), "wrong status"),
        (_question(SERVICE), HttpAnswer(400, "", b""), "wrong status"),
        (_question(SERVICE + b" "), HttpAnswer(400, "", b""), None),
        (_question(SERVICE), HttpAnswer(302, "", b""), "wrong status"),
        (_question(b"/healthz"), HttpAnswer(401, "", b""), "wrong status"),
        (_question(b"/policy/v1/participant/avatar/a?width=9&width=9"), HttpAnswer(200, JSON, FAILURE), None),
        (_question(b"/policy/v1/participant/avatar/a"), HttpAnswer(200, JSON, CONTINUE), "refused by the judge"),
        (_question(b"/policy/v1/registrations/a/b"), HttpAnswer(200, JSON, CONTINUE), None),
        (_question(b"/policy/v1/registrations/a/b"), HttpAnswer(200, JSON, b"[]"), "refused by the judge"),
        (Question(b"GET", b"//policy/v1//registrations", None), HttpAnswer(404, "", b""), "wrong status"),
        (Question(b"GET", b"/pexip/policy/v1/registrations", None), HttpAnswer(404, "", b""), "wrong status"),
        (Question(b"GET", b"/a/policy/v1/registrations", None), HttpAnswer(404, "", b""), None),
        (Question(b"GET", b"/policy/v1/registrations/%2e", None), HttpAnswer(404, "", b""), None),
        (_question(b"/a?" + b"x" * QUERY_LIMIT), HttpAnswer(431, "", b""), None),
        (_question(b"/a?x"), HttpAnswer(431, "", b""), "wrong status"),
        (_question(SERVICE + b"x" * QUERY_LIMIT), HttpAnswer(431, "", b""), "wrong status"),
    ],
)
def test_what_counts_as_an_offence(question: Question, answer: HttpAnswer, kind: str | None) -> None:
    """Each kind of bad answer is noticed, and nothing else."""
    report = Report()
    examine(1, question, answer, report)
    assert list(report.offences) == ([] if kind is None else [kind])
    assert report.failed is (kind is not None)
    assert "\n".join(report.lines()).count("question 1: ") == (0 if kind is None else 1)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", False),
        (b"local_alias=a&remote_alias=a", False),
        (b"local_alias=a&local_alias=a", True),
        (b"local_alias&local_alias=", True),
        (b"local_alias=a&LOCAL-ALIAS=b", True),
        (b"local_alias=a&%6Cocal_alias=b", True),
        (b"idp_attribute_q=a&idp_attribute_q=b&zzz=1&zzz=2", False),
        (b"zzz=" + b"x" * (QUERY_LIMIT - 4), False),
        (b"zzz=" + b"x" * (QUERY_LIMIT - 3), True),
    ],
)
def test_what_cannot_be_understood(query: bytes, expected: bool) -> None:
    """A known parameter twice, however it is written, and more than 16 KiB."""
    assert cannot_be_understood(query) is expected


def test_a_seed_is_a_run() -> None:
    """The same seed and number make the same question, so that it can be sent again; another seed makes others."""
    targets = [golden.target.encode() for golden in read_all()]
    one, again, other = (QuestionMaker(seed, targets, [b"mpx"]) for seed in (4, 4, 5))
    made = [one.make(number) for number in range(300)]
    assert made == [again.make(number) for number in range(300)]
    assert made != [other.make(number) for number in range(300)]
    assert len(set(made)) > 280


# ------------------------------------------------------------------ events


def _delivery(*marks: str, unreadable: int | None = 0, method: bytes = b"POST", authorized: bool = True) -> Delivery:
    return Delivery(method, BASIC if authorized else None, b"application/json", b"{}", marks, unreadable)


def _receipt(received: int, new: int, unreadable: int = 0) -> HttpAnswer:
    told = {"received": received, "new": new} | ({"unreadable": unreadable} if unreadable else {})
    return HttpAnswer(200, JSON, orjson.dumps(told))


@pytest.mark.parametrize(
    ("delivery", "answer", "kind"),
    [
        (_delivery("a", "b"), _receipt(2, 2), None),
        (_delivery("a", "b"), _receipt(2, 0), None),
        (_delivery("a", "b"), _receipt(1, 1), "wrong receipt"),
        (_delivery("a"), _receipt(2, 2), "wrong receipt"),
        (_delivery("a"), _receipt(1, 2), "wrong receipt"),
        (_delivery("a", unreadable=2), _receipt(1, 1, 2), None),
        (_delivery("a", unreadable=2), _receipt(1, 1), "wrong receipt"),
        (_delivery("a", unreadable=None), _receipt(2, 2, 7), None),
        (_delivery("a", unreadable=None), _receipt(0, 0, 7), "wrong receipt"),
        (_delivery("a"), HttpAnswer(400, JSON, b"{}"), "wrong status"),
        (_delivery("a"), HttpAnswer(413, JSON, b"{}"), "wrong status"),
        (_delivery("a"), HttpAnswer(503, JSON, b"{}"), "5xx"),
        (_delivery("a", authorized=False), HttpAnswer(401, JSON, b"{}"), None),
        (_delivery("a", authorized=False), _receipt(1, 1), "wrong receipt"),
        (_delivery("a", method=b"PUT"), HttpAnswer(405, JSON, b"{}"), None),
        (_delivery("a", method=b"PUT"), HttpAnswer(401, JSON, b"{}"), "wrong status"),
    ],
)
def test_what_counts_as_an_offence_against_a_delivery(delivery: Delivery, answer: HttpAnswer, kind: str | None) -> None:
    """A delivery is taken whatever it contains, all that can be read counts, and nobody else's is taken."""
    report = Report()
    examine_delivery(1, delivery, answer, report)
    assert list(report.offences) == ([] if kind is None else [kind])
    assert report.failed is (kind is not None)


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        (["a", "b"], None),
        (["a", "b", ""], "3 are stored"),
        (["a"], "1 messages are acknowledged and not stored: b"),
        (["a", "b", "b"], "1 messages are stored more than once: b"),
        (["a", "b", "c"], "1 messages are stored that were refused: c"),
    ],
)
def test_the_database_is_compared_with_what_was_acknowledged(
    stored: list[str], found: str | None, tmp_path: Path
) -> None:
    """A message that is lost, there twice, there although it was refused, or not said to be new is found."""
    ledger = Ledger()
    assert list(ledger.enter(_delivery("a", "b", "a"), _receipt(3, 2))) == []
    assert list(ledger.enter(_delivery("c", "a", authorized=False), HttpAnswer(401, JSON, b"{}"))) == []
    with closing(sqlite3.connect(tmp_path / "policy.db")) as connection, connection:
        connection.executescript(TABLES)
        connection.executemany(
            "INSERT INTO events VALUES (?, 'r')", [(pack(["node", {MARK: mark}, {}], "r"),) for mark in stored]
        )
    problems = "; ".join(ledger.audit(tmp_path / "policy.db"))
    assert (found in problems) if found else problems == ""


@pytest.mark.parametrize(
    ("kept", "found"),
    [("xyz", False), ("a" * 32, False), ("b" * 32, True), (f"mp{'B' * 32}@x", True), (f"a{'b' * 31}", False)],
)
def test_what_opens_a_door_is_found_wherever_it_is_kept(kept: str, found: bool, tmp_path: Path) -> None:
    """A session or an agent key in any table is found, packed, within other text and in capitals too; other names are not."""
    ledger = Ledger(["b" * 32])
    with closing(sqlite3.connect(tmp_path / "policy.db")) as connection, connection:
        connection.executescript(TABLES)
        connection.execute("CREATE TABLE rooms (id INTEGER, name TEXT)")
        connection.execute("INSERT INTO rooms VALUES (1, ?)", (kept,))
        connection.execute("INSERT INTO timeline VALUES (?, 'k')", (pack(["told", {"text": kept}], "k"),))
    said = ["what opens a door is in the table rooms, timeline"]
    assert list(ledger.audit(tmp_path / "policy.db")) == (said if found else [])


def test_the_maker_knows_what_can_be_read_of_a_delivery() -> None:
    """Of every body the messages that it says can be read are read, in order; the others are counted where it says so."""
    maker = DeliveryMaker(6, ["mpx"])
    for number in range(1500):
        delivery = maker.make(number)
        parsed = parse_events(delivery.body, NOON)
        read = [_mark(event) for event in parsed.events]
        if delivery.unreadable is None:
            assert set(delivery.marks) <= set(read), number
        else:
            assert (tuple(read), parsed.unreadable) == (delivery.marks, delivery.unreadable), number


def test_a_message_that_is_sent_again_is_the_same() -> None:
    """Whatever surrounds a message and whatever its counter is, its identity stays."""
    maker = DeliveryMaker(7, ["mpx"])
    identities: dict[str, set[bytes]] = {}
    repeated = 0
    for number in range(1500):
        for event in parse_events(maker.make(number).body, NOON + timedelta(seconds=number)).events:
            seen = identities.setdefault(_mark(event), set())
            repeated += bool(seen)
            seen.add(event.identity)
    identities.pop("", None)
    assert repeated > 100
    assert {mark: seen for mark, seen in identities.items() if len(seen) > 1} == {}


def test_a_seed_is_a_run_of_deliveries() -> None:
    """The same seed and number make the same delivery, another seed others."""
    one, again, other = (DeliveryMaker(seed, ["mpx"]) for seed in (4, 4, 5))
    made = [one.make(number) for number in range(300)]
    assert made == [again.make(number) for number in range(300)]
    assert made != [other.make(number) for number in range(300)]


def test_names_stand_in_each_others_places() -> None:
    """Every name of a call is tried as every alias: its own and those of the other names and link types."""
    call = Keyring.from_text(SECRET_KEY).sign("visit", datetime(2099, 1, 1, tzinfo=UTC), bytes(NONCE_BYTES))
    aliases = names_of([call])
    for name in (call.session, call.agent, call.id):
        assert {f"{prefix}{name}".encode() for prefix in ("mp", "hcp", "sup", "sag")} < set(aliases)


def _mark(event: Event) -> str:
    return str(event.data.get(MARK) or event.envelope.get(MARK, ""))
