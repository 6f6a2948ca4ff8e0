"""The policy endpoints over HTTP: whatever a node sends, it gets one answer that it can use."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from policy_server.conferences import rooms
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import TimelineEntry
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.request_types import route
from policy_server.simulator.judge import HttpAnswer, judge
from policy_server.web import policy
from policy_server.web.decision_log import DecisionLog
from policy_server.web.metrics import Metrics
from tests.servers import PASSWORD, ROOT, USERNAME, InProcess, basic
from tests.waiting import eventually
from tests.web.samples import FIXED_PIN, KIOSK_PASSWORD, NOW, sample_folder, sample_link

SERVICE: Final = f"{ROOT}/service/configuration"
PARTICIPANT: Final = f"{ROOT}/participant/properties"
LOCATION: Final = f"{ROOT}/participant/location"
AVATAR: Final = f"{ROOT}/participant/avatar/desk%40video.example.com"
DIRECTORY: Final = f"{ROOT}/registrations"
REGISTRATION: Final = f"{ROOT}/registrations/kiosk-7%40video.example.com"
ALL_PATHS: Final = (SERVICE, PARTICIPANT, LOCATION, AVATAR, DIRECTORY, REGISTRATION)
JSON_PATHS: Final = (SERVICE, PARTICIPANT, LOCATION, DIRECTORY, REGISTRATION)
EXTRA: Final = {"rule", "revision", "decision_id"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules of these tests."""
    return sample_folder(tmp_path_factory.mktemp("policy") / "rules")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[InProcess]:
    """A server at a fixed moment in opening hours that logs JSON."""
    environment = {"KIOSK_PASSWORD": KIOSK_PASSWORD}
    with InProcess(folder, clock=lambda: NOW, environment=environment, log_format="json") as running:
        yield running


def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every decision raise from now on."""

    def evaluate(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("the evaluator is broken, and here is a secret: 99887766")

    monkeypatch.setattr(rooms, "evaluate", evaluate)


def last_record(server: InProcess) -> dict[str, Any]:
    """The last line of the decision log."""
    record = json.loads(server.flush()[-1])
    assert isinstance(record, dict)
    return record


def counted(server: InProcess, sample: str) -> float:
    """The value of one sample of the metrics; 0 when it is absent."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", server.metrics(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def without_extra(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer as the node reads it."""
    assert answer.keys() >= EXTRA
    return {name: value for name, value in answer.items() if name not in EXTRA}


# The six questions.


def test_service_of_a_customer(server: InProcess) -> None:
    """A customer on a good link gets the room with its leg, PINs from the key, and who decided."""
    link = sample_link(server.rules.ruleset, nonce=b"once")
    answer = server.ask("/service/configuration", local_alias=link.alias, remote_display_name="Ada L")
    pins = link.call.pins
    assert answer["rule"] == "customer"
    assert answer["revision"] == server.rules.ruleset.revision
    result = answer["result"]
    assert (result["name"], result["pin"], result["guest_pin"]) == (link.call.id, pins.host, pins.guest)
    assert result["description"] == "Visit of Ada L"
    assert [leg["remote_alias"] for leg in result["automatic_participants"]] == ["99+13129998045"]


def test_the_leg_and_the_agent_get_the_same_room(server: InProcess) -> None:
    """The dial_out question is answered with the service, and the agent's alias with the same room without leg."""
    link = sample_link(server.rules.ruleset)
    room = server.ask("/service/configuration", local_alias=link.alias)["result"]
    leg = server.ask(
        "/service/configuration",
        call_direction="dial_out",
        service_name=link.call.id,
        service_tag="contact-centre",
        remote_alias="99+13129998045",
    )
    assert leg["result"] == room
    agent = server.ask("/service/configuration", local_alias=link.agent_alias)
    assert agent["rule"] == "agent"
    assert {**agent["result"], "automatic_participants": room["automatic_participants"]} == room


def test_an_expired_link_is_rejected(server: InProcess) -> None:
    """An expired link gets the reject, with the text for whoever reads the node's log."""
    link = sample_link(server.rules.ruleset, -timedelta(hours=1))
    answer = server.ask("/service/configuration", local_alias=link.alias)
    assert without_extra(answer) == {
        "status": "success",
        "action": "reject",
        "result": {},
        "reason": "We are closed.",
    }
    assert answer["rule"] == "customer-refused"


def test_redirect(server: InProcess) -> None:
    """A redirect names the other alias."""
    assert without_extra(server.ask("/service/configuration", local_alias="sip:MOVED@video.example.com")) == {
        "status": "success",
        "action": "redirect",
        "result": {"new_alias": "elsewhere@video.example.com"},
    }


def test_participant_properties(server: InProcess) -> None:
    """A participant gets properties, a reject with its text, or nothing changed."""
    greeted = server.ask("/participant/properties", remote_display_name="Guest Bob")
    assert without_extra(greeted) == {
        "status": "success",
        "action": "continue",
        "result": {"remote_display_name": "Guest Bob of ours"},
    }
    refused = server.ask("/participant/properties", remote_display_name="Mallory")
    assert without_extra(refused) == {
        "status": "success",
        "action": "reject",
        "result": {"reject_reason": "Not you, Mallory."},
    }
    unchanged = server.ask("/participant/properties", remote_display_name="Alice")
    assert (without_extra(unchanged), unchanged["rule"]) == (
        {"status": "success", "action": "continue", "result": {}},
        None,
    )


def test_media_location(server: InProcess) -> None:
    """Media goes to the location of the rule, with overflow."""
    answer = server.ask("/participant/location", remote_address="10.20.3.4")
    assert without_extra(answer) == {
        "status": "success",
        "result": {"location": "London", "overflow_locations": ["Oslo"]},
    }


def test_registration(server: InProcess) -> None:
    """A device gets the credentials of the rule that its alias matches; another one is Pexip's business."""
    answer = server.get(REGISTRATION).json()
    assert without_extra(answer) == {
        "status": "success",
        "action": "continue",
        "result": {"username": "kiosk", "password": KIOSK_PASSWORD},
    }
    assert server.get(f"{DIRECTORY}/phone-1").json()["rule"] is None


def test_directory(server: InProcess) -> None:
    """A search finds entries, best first."""
    answer = server.ask("/registrations", q="pharm", limit="10")
    assert [entry["alias"] for entry in answer["result"]] == ["pharmacy@video.example.com"]
    assert server.ask("/registrations", q="nobody")["result"] == []


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("?width=100&height=100", (100, 100)),
        ("?width=40&height=90", (40, 90)),
        ("", (100, 100)),
        ("?width=0&height=0", (100, 100)),
        ("?width=50", (50, 100)),
        ("?width=-5&height=many", (100, 100)),
        ("?width=2048&height=1", (2048, 1)),
    ],
)
def test_avatar(server: InProcess, query: str, size: tuple[int, int]) -> None:
    """A picture comes as JPEG in RGB of exactly the size asked for, 100 by 100 where that is missing or no size."""
    response = server.get(AVATAR + query)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")
    picture = Image.open(BytesIO(response.content), formats=["JPEG"])
    assert (picture.size, picture.mode) == (size, "RGB")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"{ROOT}/participant/avatar/pharmacy%40video.example.com?width=9&height=9", id="entry without"),
        pytest.param(f"{ROOT}/participant/avatar/nobody?width=9&height=9", id="unknown alias"),
        pytest.param(f"{ROOT}/participant/avatar/..%2F..%2Frules.yaml", id="a path"),
        pytest.param(f"{AVATAR}?width=2049&height=9", id="too wide"),
        pytest.param(f"{AVATAR}?width=9&height=99999999999", id="too high"),
    ],
)
def test_no_picture_is_404(server: InProcess, path: str) -> None:
    """Without a picture for that alias and size, the answer is 404 and the node shows its own."""
    assert server.get(path).status_code == 404


# Paths.


@pytest.mark.parametrize("path", ALL_PATHS)
def test_a_profile_url_may_have_the_path_of_the_settings(folder: Path, path: str) -> None:
    """Below POLICY_PREFIX and at the root, and nowhere else, there are policy questions."""
    with InProcess(folder, environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}, prefix="/pexip/eu") as server:
        for good in ("", "/pexip/eu", "//pexip//eu/"):
            assert server.get(good + path).status_code == 200, good
        for bad in ("/pexip", "/eu", "/pexip/eu/x", "/x/pexip/eu", "/PEXIP/eu", "/pexip%2Feu", "/pexip/eu/pexip/eu"):
            assert server.get(bad + path).status_code == 404, bad


@pytest.mark.parametrize("path", ALL_PATHS)
@pytest.mark.parametrize("prefix", ["/anything", "/join", "//join", "/agent", "/api", "/mit%20Ümlaut"])
def test_there_are_no_policy_questions_below_another_path(server: InProcess, prefix: str, path: str) -> None:
    """What a proxy lets through for others is no way to the policy questions."""
    assert server.get(prefix + path).status_code == 404


@pytest.mark.parametrize("path", ALL_PATHS)
def test_double_slashes(server: InProcess, path: str) -> None:
    """Slashes doubled anywhere, as a profile URL that ends in one makes them, do not matter."""
    for odd in (f"/{path}", f"//{path}", path.replace("/", "//"), path.replace("/v1/", "///v1////")):
        assert server.get(odd).status_code == 200, odd


@pytest.mark.parametrize("path", [SERVICE, PARTICIPANT, LOCATION, DIRECTORY])
def test_trailing_slash(server: InProcess, path: str) -> None:
    """A slash at the end does not matter."""
    question = "?remote_display_name=Guest+Bob&remote_address=10.20.0.1&local_alias=moved&q=desk"
    assert server.get(f"{path}/{question}").json()["rule"] == server.get(path + question).json()["rule"]


def test_encoded_alias_decides(server: InProcess) -> None:
    """A slash, a space, a plus and letters beyond ASCII in the alias reach the rule."""
    assert server.get(f"{ROOT}/registrations/old%2Fkiosk%20%C3%BC%2B1").json()["rule"] == "old-kiosks"


@pytest.mark.parametrize("tail", ["", "service", "service/configuration/x", "participant/avatar", "Registrations", "x"])
def test_other_paths_below_the_root_are_404(server: InProcess, tail: str) -> None:
    """What is no question is 404, which a node takes for "not mine"."""
    response = server.get(f"{ROOT}/{tail}")
    assert (response.status_code, response.text) == (404, "")


# What bad input gets.


def test_unknown_alias(server: InProcess) -> None:
    """An alias that no rule knows is left to Pexip's own configuration."""
    answer = server.ask("/service/configuration", local_alias="meet.alice")
    assert without_extra(answer) == {"status": "success", "action": "continue"}
    assert answer["rule"] is None


MISUNDERSTOOD = [
    pytest.param("local_alias=a&local_alias=b", "local_alias is given twice", id="scalar twice"),
    pytest.param("local_alias=a&LOCAL-ALIAS=a", "local_alias is given twice", id="twice in two spellings"),
    pytest.param("local_alias=" + "a" * 16 * 1024, "16396 bytes", id="query over 16 KiB"),
    pytest.param("&" * (16 * 1024 + 1), "16385 bytes", id="nothing but separators"),
]


@pytest.mark.parametrize(("query", "reason"), MISUNDERSTOOD)
@pytest.mark.parametrize("path", JSON_PATHS)
def test_misunderstood(server: InProcess, path: str, query: str, reason: str) -> None:
    """A question that cannot be understood gets the failure envelope, and is logged and counted."""
    question = route(path.encode())
    assert question is not None
    sample = f'policy_answers_total{{outcome="misunderstood",question="{question[0].value}",rule=""}}'
    before = counted(server, sample)
    response = server.get(f"{path}?{query}")
    assert response.status_code == 200
    assert without_extra(response.json()) == {"status": "failure", "action": "continue"}
    record = last_record(server)
    assert (record["outcome"], record["question"]) == ("misunderstood", question[0].value)
    assert reason in record["reason"]
    assert record["decision_id"] == response.json()["decision_id"]
    assert counted(server, sample) == before + 1


def test_a_query_of_16_kib_is_read(server: InProcess) -> None:
    """The limit itself is still answered."""
    query = "local_alias=moved&x="
    response = server.get(f"{SERVICE}?{query}{'y' * (16 * 1024 - len(query))}")
    assert response.json()["rule"] == "moved"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("%FF%FE", id="not UTF-8"),
        pytest.param("%ED%A0%80", id="a surrogate"),
        pytest.param("a%00b%0D%0Ac%1B%5B31m%7F%C2%85", id="control characters"),
        pytest.param("%E2%80%A8", id="line separator"),
        pytest.param("%", id="a percent sign"),
        pytest.param("%ZZ", id="no hexadecimal"),
        pytest.param("A" * 10_000, id="10,000 characters"),
        pytest.param(quote("😀" * 1_000), id="1,000 emoji"),
        pytest.param("", id="empty"),
        pytest.param("{session}", id="a placeholder"),
        pytest.param('%22%7D%2C"', id="quotes and braces"),
    ],
)
def test_a_strange_display_name_costs_nobody_a_call(server: InProcess, name: str) -> None:
    """Whatever a caller is called, the room is served, the text cleaned and cut, and Pexip uses it."""
    link = sample_link(server.rules.ruleset)
    query = f"local_alias={link.alias}&remote_display_name={name}"
    response = server.get(f"{SERVICE}?{query}")
    answer = response.json()
    assert answer["rule"] == "customer"
    description = answer["result"]["description"]
    assert description.isprintable()
    assert len(description) <= 250
    verdict = judge(SERVICE, query, HttpAnswer(200, response.headers["content-type"], response.content))
    assert (verdict.outcome, verdict.objections) == ("service", ())
    assert len(server.flush()[-1]) < 4_000


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize("query", ["", "unknown=1&unknown=2&=&x", "call_direction=sideways&remote_address=nowhere"])
def test_unknown_and_missing_parameters(server: InProcess, path: str, query: str) -> None:
    """Without parameters, or with none that we know, a question is answered."""
    response = server.get(f"{path}?{query}")
    assert response.status_code == 200
    assert response.json()["status"] == "success"


@pytest.mark.parametrize("path", ALL_PATHS)
def test_an_exception_inside(
    server: InProcess, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure of ours gets the failure envelope; the log has the question and the traceback, the answer neither."""
    failing(monkeypatch)
    question = route(path.encode())
    assert question is not None
    sample = f'policy_answers_total{{outcome="error",question="{question[0].value}",rule=""}}'
    before = counted(server, sample)
    with caplog.at_level(logging.ERROR):
        response = server.get(f"{path}?local_alias=boom&third_party_passcode=55667788")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert without_extra(response.json()) == {"status": "failure", "action": "continue"}
    for revealed in ("Traceback", "evaluator", "99887766", ".py"):
        assert revealed not in response.text
    assert "boom" in caplog.text
    assert "RuntimeError: the evaluator is broken" in caplog.text
    assert "55667788" not in caplog.text
    record = last_record(server)
    assert record["outcome"] == "error"
    assert record["decision_id"] == response.json()["decision_id"]
    assert record["decision_id"] in caplog.text
    assert counted(server, sample) == before + 1


@pytest.mark.parametrize("broken", ["put", "answered", "clock", "render", "hiding"])
def test_an_exception_beside_the_decision(
    folder: Path, broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A log or a metric that raises changes no answer, and a clock that does costs nobody a call: 200 and an envelope."""

    def fail(*_: object) -> NoReturn:
        raise RuntimeError("broken")

    clock = [lambda: NOW]

    def now() -> datetime:
        return clock[-1]()

    with InProcess(folder, clock=now, environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}) as server:
        if broken == "clock":
            clock.append(fail)
        else:
            owners = {"answered": Metrics, "hiding": rooms.Rooms}
            if broken == "render":
                monkeypatch.setattr(server.decision_log, "render", fail)
            else:
                monkeypatch.setattr(owners.get(broken, DecisionLog), broken, fail)
        response = server.get(f"{SERVICE}?local_alias=moved")
        clock.append(lambda: NOW)
    assert response.status_code == 200
    assert response.json()["status"] == ("failure" if broken == "clock" else "success")
    assert ("question.failed" if broken == "clock" else "question.unrecorded") in caplog.text


def test_the_next_question_is_answered_again(server: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is not remembered: the same question is answered once the cause is gone."""
    query = f"{SERVICE}?local_alias=moved&call_tag=after-a-failure"
    with monkeypatch.context() as broken:
        failing(broken)
        assert server.get(query).json()["status"] == "failure"
    assert server.get(query).json()["rule"] == "moved"


def test_a_room_name_over_250_characters(server: InProcess) -> None:
    """A substituted name that would void the answer is never sent: failure envelope, rule id in answer and log."""
    sample = 'policy_answers_total{outcome="fail",question="service",rule="named"}'
    before = counted(server, sample)
    answer = server.ask("/service/configuration", local_alias="room-" + "n" * 251)
    assert without_extra(answer) == {"status": "failure", "action": "continue"}
    assert answer["rule"] == "named"
    record = last_record(server)
    assert (record["rule"], record["outcome"], record["decision_id"]) == ("named", "fail", answer["decision_id"])
    assert "name" in record["reason"]
    assert FIXED_PIN not in server.lines[-1]
    assert counted(server, sample) == before + 1
    assert server.ask("/service/configuration", local_alias="room-" + "n" * 250)["status"] == "success"


def test_an_empty_room_name(server: InProcess) -> None:
    """A name of which nothing is left does not reach Pexip either."""
    assert server.ask("/service/configuration", local_alias="room-")["status"] == "failure"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
@pytest.mark.parametrize("path", ALL_PATHS)
def test_other_methods(server: InProcess, path: str, method: str) -> None:
    """Only GET asks."""
    response = server.request(method, path, authorization=basic())
    assert (response.status_code, response.headers["allow"], response.content) == (405, "GET", b"")


def test_on_failure_reject(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """POLICY_ON_FAILURE=reject is the action of every kind of failure, and of nothing else."""
    environment = {"KIOSK_PASSWORD": KIOSK_PASSWORD}
    with InProcess(folder, clock=lambda: NOW, environment=environment, on_failure="reject") as server:
        twice = server.get(f"{SERVICE}?local_alias=a&local_alias=b").json()
        long = server.ask("/service/configuration", local_alias="room-" + "n" * 251)
        unknown = server.ask("/service/configuration", local_alias="meet.alice")
        failing(monkeypatch)
        broken = server.ask("/service/configuration", local_alias="meet.bob")
    assert without_extra(twice) == without_extra(long) == without_extra(broken)
    assert without_extra(twice) == {"status": "failure", "action": "reject"}
    assert unknown["action"] == "continue"


# Credentials.


@pytest.mark.parametrize("path", [*ALL_PATHS, f"{ROOT}/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(None, id="none"),
        pytest.param(basic(password="wrong"), id="wrong password"),
        pytest.param(basic(username="wrong"), id="wrong user name"),
        pytest.param("Bearer x", id="another scheme"),
        pytest.param("Basic %%%", id="no base64"),
    ],
)
def test_wrong_credentials(server: InProcess, path: str, method: str, authorization: str | None) -> None:
    """Without the credentials every path and method gets the same 401 and nothing else."""
    # Whoever guesses again and again is slowed down.
    peer = f"192.0.{len(path)}.{len(method)}"
    response = server.request(method, path, authorization=authorization, peer=peer)
    assert (response.status_code, response.content) == (401, b"")
    assert response.headers["www-authenticate"] == 'Basic realm="policy-server", charset="UTF-8"'
    always = {"cache-control", "x-content-type-options"}
    assert set(response.headers) == {"content-type", "content-length", "www-authenticate", *always}


def test_wrong_credentials_are_counted_by_node(folder: Path) -> None:
    """Refusals are counted under the address of the node, of which only so many have a label."""
    with InProcess(folder, environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}) as server:
        for number in range(3):
            server.request("GET", f"{SERVICE}?local_alias={number}", peer="192.0.2.7")
        for number in range(250):
            server.request("GET", SERVICE, peer=f"198.51.{number}.1")
        assert counted(server, 'policy_unauthorized_total{node="192.0.2.7"}') == 3
        assert counted(server, 'policy_unauthorized_total{node="other"}') == 250 - 199
        assert server.flush() == [], "a stranger can fill the log"


# Who decided.


def test_extra_keys_tie_answer_and_log(server: InProcess) -> None:
    """Rule, revision and decision id stand in the answer and in the log line; ids are never used twice."""
    ids = set()
    for number in range(50):
        alias = f"room-{number % 5}"
        answer = server.ask("/service/configuration", local_alias=alias)
        record = last_record(server)
        assert {name: record[name] for name in EXTRA} == {name: answer[name] for name in EXTRA}
        assert (record["local_alias"], record["rule"], record["outcome"]) == (alias, "named", "serve")
        ids.add(answer["decision_id"])
    assert len(ids) == 50


def test_two_servers_use_different_ids(server: InProcess, folder: Path) -> None:
    """Ids of another process, or of the same one after a restart, are different too."""
    with InProcess(folder, environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}) as other:
        first, second = (one.ask("/service/configuration")["decision_id"] for one in (server, other))
    assert first.partition("-")[0] != second.partition("-")[0]


def test_a_caller_cannot_forge_who_decided(server: InProcess) -> None:
    """A display name that looks like our own keys or marks stays inside its field."""
    name = '\N{SYMBOL FOR SUBSTITUTE}","decision_id":"forged","rule":"forged'
    answer = server.ask("/participant/properties", remote_display_name=f"Guest {name}")
    assert answer["result"] == {"remote_display_name": f"Guest {name} of ours"}
    assert answer["rule"] == "greeted"
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", answer["decision_id"])


def test_the_same_question_is_decided_anew_when_time_or_rules_change(folder: Path) -> None:
    """What a question got a minute ago, or under other rules, is not repeated."""
    moments = [NOW]
    environment = {"KIOSK_PASSWORD": KIOSK_PASSWORD}
    with InProcess(folder, clock=lambda: moments[-1], environment=environment) as server:
        link = sample_link(server.rules.ruleset, timedelta(minutes=1))
        # Not a call, so that no room is held.
        asked = {"local_alias": link.alias, "call_direction": "non_dial"}
        assert server.ask("/service/configuration", **asked)["rule"] == "customer"
        moments.append(NOW + timedelta(seconds=59.999))
        assert server.ask("/service/configuration", **asked)["rule"] == "customer"
        moments.append(NOW + timedelta(minutes=1))
        assert server.ask("/service/configuration", **asked)["rule"] == "customer-refused"
        moments.append(NOW)
        first = server.ask("/service/configuration", local_alias="moved")
        changed = (folder / "rules.yaml").read_text(encoding="utf-8").replace("- id: moved", "- id: gone")
        extra = folder / "rules.yaml"
        kept = extra.read_text(encoding="utf-8")
        try:
            extra.write_text(changed, encoding="utf-8")
            assert server.rules.reload()
            second = server.ask("/service/configuration", local_alias="moved")
        finally:
            extra.write_text(kept, encoding="utf-8")
    assert (first["rule"], second["rule"]) == ("moved", "gone")
    assert first["revision"] != second["revision"]


def test_repeated_questions_are_logged_and_counted_each(server: InProcess) -> None:
    """A node that repeats itself gets the same decision under a new id, each with its line and its count."""
    sample = 'policy_answers_total{outcome="redirect",question="service",rule="moved"}'
    before, lines = counted(server, sample), len(server.flush())
    answers = [server.ask("/service/configuration", local_alias="moved", call_tag="repeated") for _ in range(3)]
    assert without_extra(answers[0]) == without_extra(answers[1]) == without_extra(answers[2])
    assert counted(server, sample) == before + 3
    records = [json.loads(line) for line in server.flush()[lines:]]
    assert [record["decision_id"] for record in records] == [answer["decision_id"] for answer in answers]


_QUERIES = st.binary(max_size=60) | st.lists(
    st.tuples(
        st.sampled_from(
            ["local_alias", "remote_display_name", "call_direction", "service_name", "remote_address", "q"]
        ),
        st.sampled_from(["moved", "room-1", "Guest x", "dial_out", "10.20.0.1", ""]) | st.text(max_size=8),
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={quote(value.encode('utf-8', 'replace'))}" for name, value in pairs).encode())


@given(st.sampled_from(JSON_PATHS), _QUERIES)
def test_any_query_gets_one_answer_that_the_judge_accepts(server: InProcess, path: str, query: bytes) -> None:
    """Whatever the query is, raw bytes included, there is one answer and Pexip would use it or was told to go on."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("a body was asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(b"authorization", basic(USERNAME, PASSWORD).encode())],
        "client": ("192.0.2.1", 4711),
    }
    server.run(server.app(scope, receive, send))
    start, body = sent
    assert start["status"] == 200
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    verdict = judge(path, "", HttpAnswer(200, headers[b"content-type"].decode(), body["body"]))
    assert verdict.used or verdict.declined, verdict.objections
    json.loads(server.flush()[-1])


def test_a_timeline_is_not_filled_by_asking(folder: Path) -> None:
    """Of many different questions about one call within a minute, its timeline takes only so many."""
    moments = [NOW]
    with InProcess(folder, clock=lambda: moments[-1], environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}) as server:
        link = sample_link(server.rules.ruleset)
        noted: list[int] = []
        for _ in range(2):
            for number in range(policy.NOTES_A_MINUTE + 5):
                server.ask("/service/configuration", local_alias=link.alias, remote_display_name=f"Guest {number}")
            noted.append(len(written(server, link.call.id)))
            moments.append(NOW + timedelta(minutes=1))
    assert noted == [policy.NOTES_A_MINUTE, 2 * policy.NOTES_A_MINUTE]


def written(server: InProcess, call: str) -> tuple[TimelineEntry, ...]:
    """The timeline of a call, once everything is written."""

    async def read() -> tuple[TimelineEntry, ...]:
        async with ConferenceStore(server.settings.database_url) as store:
            return await store.read(Reader.timeline, call)

    eventually(lambda: "policy_records_waiting 0.0" in server.metrics())
    return server.run(read())
