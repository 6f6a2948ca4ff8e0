"""The decision log: one line for each decision, nothing secret in it, and never in the way."""

import json
import os
import re
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.field_facts import MASK
from policy_server.settings import Credentials
from policy_server.web import decision_log
from policy_server.web.api_keys import parse_api_keys
from policy_server.web.decision_log import LINES_LIMIT, DecisionLog, render_text
from policy_server.web.decision_records import FIELDS, VALUE_LENGTH, is_parameter
from tests.servers import InProcess
from tests.waiting import eventually
from tests.web.samples import FIXED_PIN, KIOSK_PASSWORD, NOW, sample_folder, sample_link

ENVIRONMENT = {"KIOSK_PASSWORD": KIOSK_PASSWORD}


def put(log: DecisionLog, **fields: object) -> None:
    """Puts one line into a log."""
    log.put(b"2026-11-23T16:00:00.000+00:00", b"abc-1", 0.0005, log.render(dict(fields)))


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_one_line_for_each_decision(tmp_path: Path, log_format: str) -> None:
    """Every question leaves exactly one line, whatever its values hold."""
    with InProcess(
        sample_folder(tmp_path), clock=lambda: NOW, environment=ENVIRONMENT, log_format=log_format
    ) as server:
        ids = [
            server.ask("/service/configuration", local_alias="a\nb\r\u2028c \x1b[31m", remote_alias=f'"{number}" = x')[
                "decision_id"
            ]
            for number in range(5)
        ]
        ids.append(server.get("/policy/v1/service/configuration?local_alias=a&local_alias=b").json()["decision_id"])
        assert server.get("/policy/v1/participant/avatar/desk%40video.example.com").status_code == 200
    assert len(server.lines) == 7
    for line, decision_id in zip(server.lines, ids, strict=False):
        assert decision_id in line
        assert line.isprintable()


def test_json_lines(tmp_path: Path) -> None:
    """A JSON line says when, what was asked and by which node, who calls, who decided, what came out, and how long it took."""
    with InProcess(sample_folder(tmp_path), clock=lambda: NOW, environment=ENVIRONMENT, log_format="json") as server:
        link = sample_link(server.rules.ruleset)
        question = {"local_alias": link.alias, "call_direction": "dial_in", "protocol": "api", "location": "DMZ"}
        caller = {"remote_address": "203.0.113.9", "vendor": "friendly-scanner"}
        query = urlencode({**question, **caller})
        answer = server.get(f"/policy/v1/service/configuration?{query}", peer="198.51.100.20").json()
    record = json.loads(server.lines[0])
    milliseconds = record.pop("ms")
    assert 0 < milliseconds < 5_000
    assert record == {
        "time": "2026-11-23T16:00:00.000+00:00",
        "decision_id": answer["decision_id"],
        "event": "decision.made",
        "schema": 1,
        "question": "service",
        "outcome": "serve",
        "rule": "customer",
        "revision": answer["revision"],
        "action": "continue",
        "call_direction": "dial_in",
        "protocol": "api",
        "location": "DMZ",
        "local_alias": "mp…",
        "call": link.call.id,
        "conference": record["conference"],
        "held": "2026-11-23T16:00:00.000+00:00",
        "result": {**answer["result"], "pin": MASK, "guest_pin": MASK},
        "remote_address": "203.0.113.9",
        "vendor": "friendly-scanner",
        "node": "198.51.100.20",
    }


def test_text_lines(tmp_path: Path) -> None:
    """A text line begins with the time and goes on with key=value, quoted where a value has spaces."""
    with InProcess(sample_folder(tmp_path), clock=lambda: NOW, environment=ENVIRONMENT) as server:
        answer = server.ask("/service/configuration", local_alias="moved", service_name="Two words")
    assert re.fullmatch(
        rf"2026-11-23T16:00:00\.000\+00:00 decision_id={answer['decision_id']} ms=\d+\.\d{{3}} event=decision\.made "
        rf"question=service outcome=redirect rule=moved revision={answer['revision']} local_alias=moved "
        r'service_name="Two words" node=127\.0\.0\.1',
        server.lines[0],
    )


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_pins_and_passwords_are_masked(tmp_path: Path, log_format: str) -> None:
    """PINs, derived and fixed, and passwords of registrations stand in no line."""
    with InProcess(
        sample_folder(tmp_path), clock=lambda: NOW, environment=ENVIRONMENT, log_format=log_format
    ) as server:
        link = sample_link(server.rules.ruleset)
        room = server.ask("/service/configuration", local_alias=link.alias)["result"]
        server.ask("/service/configuration", local_alias="room-1", third_party_passcode="31337-passcode")
        registration = server.get("/policy/v1/registrations/kiosk-7%40video.example.com").json()["result"]
    assert registration["password"] == KIOSK_PASSWORD
    text = "\n".join(server.lines)
    for secret in (room["pin"], room["guest_pin"], FIXED_PIN, KIOSK_PASSWORD, "31337-passcode"):
        assert secret not in text
    # Programs are told more: that there was a passcode, and what the registration was answered.
    assert text.count(MASK) == {"text": 3, "json": 5}[log_format]


_VALUES: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(0, 2**40) | st.text(max_size=20)
_VALUES |= st.text('a =".é\n\x7f\N{RIGHT-TO-LEFT OVERRIDE}\N{LINE SEPARATOR}', max_size=3)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), _VALUES, min_size=1))
def test_any_value_stays_on_its_line(fields: dict[str, object]) -> None:
    """No value begins a new line, looks like another field, in either format, or has something in it that a terminal obeys;
    JSON reads back as it was.
    """
    lines: list[bytes] = []
    text, as_json = DecisionLog("text", lines.append), DecisionLog("json", lines.append)
    for log in (text, as_json):
        put(log, **fields)
        log.flush()
    assert [line.count(b"\n") for line in lines] == [1, 1]
    assert {name: value for name, value in json.loads(lines[1]).items() if name in fields} == fields
    assert render_text(fields).decode().isprintable()
    words = re.findall(r' (\w+)=("(?:[^"\\]|\\.)*"|\S+)', " " + render_text(fields).decode())
    shown = {name: value for name, value in fields.items() if value is not None and value != ""}
    assert [name for name, _ in words] == list(shown)
    for name, word in words:
        assert (json.loads(word) if word[0] == '"' or not isinstance(shown[name], str) else word) == shown[name]


def test_lines_are_written_without_being_asked() -> None:
    """Started, the log writes by itself."""
    written: list[bytes] = []
    log = DecisionLog("text", written.append)
    log.start()
    put(log, rule="a")
    eventually(lambda: written)
    log.stop()
    assert written == [b"2026-11-23T16:00:00.000+00:00 decision_id=abc-1 ms=0.500 rule=a\n"]


def test_a_log_that_slept_writes_the_next_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that comes while nothing was queued is written, each time; and while nothing is queued, nobody looks."""
    monkeypatch.setattr(decision_log, "INTERVAL", 0.0)
    written: list[bytes] = []
    log = DecisionLog("text", written.append)
    looks, flush = count(), log.flush

    def look() -> None:
        next(looks)
        flush()

    monkeypatch.setattr(log, "flush", look)
    log.start()
    for number in range(1, 101):
        put(log, number=number)
        eventually(lambda: len(b"".join(written).splitlines()) == number)  # noqa: B023  asked before the next
    log.stop()
    assert next(looks) <= 100 * 2 + 1


def test_stop_writes_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is queued when the server stops is written before it ends, in order and once."""
    monkeypatch.setattr(decision_log, "INTERVAL", 3_600.0)
    written: list[bytes] = []
    log = DecisionLog("json", written.append)
    log.start()
    for number in range(1_000):
        put(log, number=number)
    assert written == []
    log.stop()
    assert [json.loads(line)["number"] for line in b"".join(written).splitlines()] == list(range(1_000))


def test_lines_are_dropped_and_counted_when_nobody_can_write() -> None:
    """A writer that is stuck holds up nobody: so many lines wait, further ones are dropped and counted."""
    stuck, free = Event(), Event()
    written: list[bytes] = []

    def write(data: bytes) -> None:
        stuck.set()
        assert free.wait(30)
        written.append(data)

    log = DecisionLog("text", write)
    log.start()
    put(log, rule="first")
    assert stuck.wait(30)
    for _ in range(LINES_LIMIT + 7):
        put(log, rule="more")
    assert log.dropped == 7
    free.set()
    log.stop()
    assert len(b"".join(written).splitlines()) == LINES_LIMIT + 1


def test_dropped_lines_are_a_metric(tmp_path: Path) -> None:
    """What was dropped can be seen in the metrics."""
    with InProcess(sample_folder(tmp_path), environment=ENVIRONMENT) as server:
        assert "policy_log_lines_dropped 0.0\n" in server.metrics()
        server.decision_log.dropped = 12
        assert "policy_log_lines_dropped 12.0\n" in server.metrics()


def test_standard_error_is_the_default(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Without another place, lines go to standard error, and nothing to standard output."""
    log = DecisionLog("text")
    put(log, rule="a")
    log.flush()
    captured = capfdbinary.readouterr()
    assert (captured.out, captured.err.count(b"rule=a\n")) == (b"", 1)


def test_a_writer_that_fails_is_asked_again() -> None:
    """A full disk loses lines, which are counted, and not the log: when there is room again it writes."""
    written: list[bytes] = []

    def write(data: bytes) -> None:
        if log.dropped == 0:
            raise OSError(28, "No space left on device")
        written.append(data)

    log = DecisionLog("text", write)
    log.start()
    put(log, rule="lost")
    eventually(lambda: log.dropped == 1)
    put(log, rule="kept")
    eventually(lambda: written)
    log.stop()
    assert len(written) == 1
    assert b"rule=kept" in written[0]


def test_stop_does_not_wait_for_a_stuck_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose log is stuck can be stopped all the same."""
    monkeypatch.setattr(decision_log, "STOP_SECONDS", 0.05, raising=False)
    stuck, free = Event(), Event()

    def write(_: bytes) -> None:
        stuck.set()
        free.wait(30)

    log = DecisionLog("text", write)
    log.start()
    put(log, rule="first")
    assert stuck.wait(30)
    put(log, rule="second")
    stopping = Thread(target=log.stop, daemon=True)
    stopping.start()
    stopping.join(5)
    ended = not stopping.is_alive()
    free.set()
    assert ended
    assert log.dropped == 1


def test_a_text_line_shows_what_would_turn_it_round() -> None:
    """Characters that change the direction of writing, or are not seen, stand in a text line as JSON writes them."""
    line = render_text({"local_alias": "a\u202eb\u200b", "remote_alias": "a\nb\U000e0001"}).decode()
    assert line == r'local_alias="a\u202eb\u200b" remote_alias="a\nb\udb40\udc01"'
    assert json.loads(line.partition(" ")[0].partition("=")[2]) == "a\u202eb\u200b"


def test_a_json_line_has_the_whole_question(tmp_path: Path) -> None:
    """Every parameter is there under Pexip's name, a passcode masked, and what is endless is cut and named."""
    question = {
        "local_alias": "room-1",
        "remote_display_name": "Ada L",
        "bandwidth": "0",
        "third_party_passcode": "31337-passcode",
        "idp_attribute_team": "nurses",
        "call_tag": "t" * (VALUE_LENGTH + 1),
    }
    with InProcess(sample_folder(tmp_path), environment=ENVIRONMENT, log_format="json") as server:
        server.ask("/service/configuration", **question)
    record = json.loads(server.lines[0])
    shown = {**question, "third_party_passcode": MASK, "idp_attribute_team": ["nurses"], "call_tag": "t" * VALUE_LENGTH}
    assert {name: record[name] for name in question} == shown
    assert record["cut"] == ["call_tag"]


def test_every_answer_is_in_its_line(tmp_path: Path) -> None:
    """What was answered stands in a line for programs, whatever kind of answer it was, and under documented names alone."""
    paths: dict[str, dict[str, Any]] = {
        "/service/configuration?local_alias=moved": {
            "action": "redirect",
            "result": {"new_alias": "elsewhere@video.example.com"},
        },
        f"/service/configuration?local_alias=mp{'x' * 32}": {
            "action": "reject",
            "result": {},
            "reason": "We are closed.",
        },
        "/service/configuration?local_alias=unknown": {"action": "continue"},
        "/participant/properties?remote_display_name=Guest+1": {
            "action": "continue",
            "result": {"remote_display_name": "Guest 1 of ours"},
        },
        "/participant/location?remote_address=10.20.0.1": {
            "result": {"location": "London", "overflow_locations": ["Oslo"]}
        },
        "/registrations/kiosk-7%40video.example.com": {
            "action": "continue",
            "result": {"username": "kiosk", "password": MASK},
        },
        "/participant/avatar/desk%40video.example.com": {"picture": "avatars/desk.png"},
        "/registrations?q=pharm": {"ignore_local": False},
        "/service/configuration?local_alias=a&local_alias=b": {"reason": "parameter local_alias is given twice"},
    }
    with InProcess(sample_folder(tmp_path), environment=ENVIRONMENT, log_format="json") as server:
        for path in paths:
            server.get(f"/policy/v1{path}")
        server.request("GET", "/policy/v1/service/configuration?local_alias=a")
    records = list(map(json.loads, server.lines))
    told = ("action", "result", "reason", "picture", "ignore_local")
    for record, (path, answer) in zip(records, paths.items(), strict=False):
        assert {name: record[name] for name in told if name in record} | answer == {
            name: record[name] for name in told if name in record
        }, path
    assert len(records) == len(paths) + 1
    for record in records:
        assert record["schema"] == 1
        assert {name for name in record if not is_parameter(name)} <= FIELDS.keys()
    assert not [name for name in FIELDS if is_parameter(name)]


@pytest.mark.parametrize(
    ("path", "door"),
    [
        ("/policy/v1/service/configuration", "policy"),
        ("/events/v1/pexip", "events"),
        ("/api/v1/links/x", "api"),
        ("/api/v1/conferences", "api"),
    ],
)
def test_every_401_is_a_line(tmp_path: Path, path: str, door: str) -> None:
    """Whoever has no or wrong credentials leaves a line at every try, however many there are, and nothing that was tried."""
    events = Credentials("sink", "the password of the sink")
    keys = parse_api_keys("portal:k3y-of_the.portal~system")
    with InProcess(
        sample_folder(tmp_path), environment=ENVIRONMENT, log_format="json", events=events, api_keys=keys
    ) as server:
        method = "POST" if door == "events" else "GET"
        for _ in range(15):
            assert server.request(method, path, peer="203.0.113.9").status_code == 401
        assert server.request(method, path, authorization="Bearer planted", peer="203.0.113.9").status_code == 401
    records = list(map(json.loads, server.lines))
    assert len(records) == 16
    for record in records:
        assert (record["event"], record["door"], record["address"]) == ("access.refused", door, "203.0.113.9")
    assert "planted" not in "".join(server.lines)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_without_people(tmp_path: Path, log_format: str, caplog: pytest.LogCaptureFixture) -> None:
    """With POLICY_LOG_PII=false names and addresses of people are in no line, wherever an answer put them; call ids are."""
    planted = {
        "remote_display_name": "Guest Planted",
        "remote_alias": "planted@home.example.net",
        "remote_address": "203.0.113.77",
        "p_Asserted-Identity": '["sip:planted@home.example.net"]',
        "ms-subnet": '["203.0.113.0"]',
        "idp_attribute_mail": "planted@example.net",
    }
    with InProcess(
        sample_folder(tmp_path), clock=lambda: NOW, environment=ENVIRONMENT, log_format=log_format, log_pii=False
    ) as server:
        link = sample_link(server.rules.ruleset)
        room = server.ask("/service/configuration", local_alias=link.alias, **planted)
        # The agent's answer has in it what the customer brought.
        server.ask("/service/configuration", local_alias=link.agent_alias)
        named = server.ask("/participant/properties", local_alias=link.alias, **planted)
        server.ask("/participant/properties", service_name="Room of Planted", remote_display_name="Mallory")
        server.get("/policy/v1/registrations/planted%40video.example.com")
        server.get("/policy/v1/registrations?q=planted")
        server.request("GET", "/policy/v1/service/configuration", peer="203.0.113.77")
    assert "Planted" in room["result"]["description"]
    assert "Planted" in named["result"]["remote_display_name"]
    written = "\n".join([*server.lines, caplog.text])
    assert "planted" not in written.lower()
    assert "203.0.113" not in written
    assert link.call.id in written


def test_rotation(tmp_path: Path) -> None:
    """Once the file is moved away, lines go into a new one that others cannot read, and none is lost."""
    path = tmp_path / "decisions.jsonl"
    log = decision_log.open_decision_log("text", path)
    for number in range(3):
        put(log, number=number)
        log.flush()
        path.rename(tmp_path / f"decisions.{number}")
    rotated = [(tmp_path / f"decisions.{number}").read_bytes() for number in range(3)]
    assert [json.loads(each)["number"] for each in rotated] == [0, 1, 2]
    assert (tmp_path / "decisions.0").stat().st_mode & 0o077 == 0


def test_several_write_one_file(tmp_path: Path) -> None:
    """Lines of several processes stand whole in one file."""
    path = tmp_path / "decisions.jsonl"
    logs = [decision_log.open_decision_log("json", path) for _ in range(4)]
    threads = []

    def fill(writer: int) -> None:
        for number in range(200):
            put(logs[writer], writer=writer, text="x" * 3000, number=number)

    for writer, log in enumerate(logs):
        log.start()
        threads.append(Thread(target=fill, args=(writer,)))
    for thread in threads:
        thread.start()
    for thread, log in zip(threads, logs, strict=True):
        thread.join(30)
        log.stop()
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert sorted((each["writer"], each["number"]) for each in records) == [
        (w, n) for w in range(4) for n in range(200)
    ]


def test_what_a_full_disk_broke_off_spoils_no_other_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After half a line the next one begins on a line of its own."""
    path = tmp_path / "decisions.jsonl"
    log = decision_log.open_decision_log("json", path)
    write = os.write
    left = [40]

    def short_write(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        written = write(descriptor, bytes(data)[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", short_write)
    put(log, rule="lost")
    log.flush()
    assert log.dropped == 1
    monkeypatch.setattr(os, "write", write)
    put(log, rule="kept")
    log.flush()
    first, second = path.read_bytes().splitlines()
    assert len(first) == 40
    assert json.loads(second)["rule"] == "kept"


def test_bytes_that_wait_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines fill no memory: so many bytes wait, further lines are dropped and counted, and then there is room again."""
    monkeypatch.setattr(decision_log, "BYTES_LIMIT", 1_000)
    written: list[bytes] = []
    log = DecisionLog("json", written.append)
    for _ in range(5):
        put(log, text="x" * 500)
    assert log.dropped == 3
    log.flush()
    put(log, text="again")
    log.flush()
    assert (len(b"".join(written).splitlines()), log.dropped) == (3, 3)


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """``-`` is standard output, and JSON whatever the format of other logs."""
    log = decision_log.open_decision_log("text", decision_log.STANDARD_OUTPUT)
    put(log, rule="a")
    log.flush()
    captured = capfdbinary.readouterr()
    assert (json.loads(captured.out)["rule"], captured.err) == ("a", b"")
