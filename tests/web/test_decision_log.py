"""The decision log: one line for each decision, nothing secret in it, and never in the way."""

import json
import re
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.field_facts import MASK
from policy_server.web import decision_log
from policy_server.web.decision_log import LINES_LIMIT, DecisionLog, render_text
from tests.servers import InProcess, eventually
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
        "question": "service",
        "outcome": "serve",
        "rule": "customer",
        "revision": answer["revision"],
        "call_direction": "dial_in",
        "protocol": "api",
        "location": "DMZ",
        "local_alias": "mp…",
        "call": link.call.id,
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
    assert text.count(MASK) == 3


_VALUES: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(0, 2**40) | st.text(max_size=20)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), _VALUES, min_size=1))
def test_any_value_stays_on_its_line(fields: dict[str, object]) -> None:
    """No value begins a new line or looks like another field, in either format; JSON reads back as it was."""
    lines: list[bytes] = []
    text, as_json = DecisionLog("text", lines.append), DecisionLog("json", lines.append)
    for log in (text, as_json):
        put(log, **fields)
        log.flush()
    assert [line.count(b"\n") for line in lines] == [1, 1]
    assert {name: value for name, value in json.loads(lines[1]).items() if name in fields} == fields
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
