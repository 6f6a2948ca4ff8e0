"""Questions that rules forward: the node gets the other server's answer as far as a node would take it, in time."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policy_server.outbound import exchange
from policy_server.policy.names import Keyring
from policy_server.simulator.judge import HttpAnswer, judge
from tests.servers import PASSWORD, ROOT, SECRET_KEY, USERNAME, InProcess, basic, real_server, write_rules
from tests.upstreams.stand_in import Behave, StandIn, cuts, drips, hangs, http, says, sends
from tests.web.test_policy import counted, last_record
from tests.web.test_reload import make_certificates

PIN = "77889911"
ROOM = {"name": "meet.ada", "service_tag": "otj", "service_type": "conference", "pin": PIN}
GOOD = says({"status": "success", "action": "continue", "result": ROOM})
SERVICE = "/service/configuration"
RULES = """
upstreams:
  scheduler: {{ url: "{url}/otj", username: pexip, password_env: OTJ_PASSWORD, timeout: {timeout}, on_failure: {on_failure} }}
rooms:
  ours: {{ name: "{{local_alias}}", service_tag: ours }}
service:
  - {{ id: ours, when: {{ local_alias: 'ours\\..*' }}, room: ours }}
  - {{ id: meet, when: {{ local_alias: ['meet\\..*', 'mp.*'] }}, forward: scheduler }}
  - {{ id: meet-dials, when: {{ call_direction: dial_out, service_tag: otj }}, forward: scheduler }}
participants:
  - {{ id: everybody, forward: scheduler }}
locations:
  - {{ id: everywhere, forward: scheduler }}
registrations:
  - {{ id: kiosks, forward: scheduler }}
links:
  patient: {{ alias: "mp{{session}}" }}
"""
ENVIRONMENT = {"OTJ_PASSWORD": "the password of the upstream"}


def rules(url: str, timeout: str = "2s", on_failure: str = "continue") -> str:
    """Rules that forward to a server there."""
    return RULES.format(url=url, timeout=timeout, on_failure=on_failure)


@pytest.fixture
def upstream() -> Iterator[StandIn]:
    """The other policy server."""
    with StandIn(GOOD) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path, upstream: StandIn) -> Iterator[InProcess]:
    """A server whose rules forward to it."""
    folder = write_rules(tmp_path / "rules", rules(upstream.url))
    with InProcess(folder, environment=ENVIRONMENT, log_format="json") as running:
        yield running


def test_a_forwarded_question_is_answered_by_the_other_server(server: InProcess, upstream: StandIn) -> None:
    """It gets the question as the node asked it, with its own credentials, and the answer says who decided."""
    query = "protocol=sip&local_alias=sip%3Ameet.ada%40video.example.com&x=1&x=2&call_direction=dial_in"
    answer = server.get(f"{ROOT}{SERVICE}?{query}").json()
    assert (answer["result"], answer["rule"], answer["upstream"]) == (ROOM, "meet", "scheduler")
    assert answer["revision"] == server.rules.ruleset.revision
    (head,) = upstream.asked
    assert head.startswith(f"GET /otj{ROOT}{SERVICE}?{query} HTTP/1.1\r\n".encode())
    sent = head.decode().lower()
    assert basic("pexip", ENVIRONMENT["OTJ_PASSWORD"]).lower() in sent
    assert basic().lower() not in sent


def test_log_and_metrics_say_how_it_came_out_and_no_pin(server: InProcess, upstream: StandIn) -> None:
    """An operator sees which upstream decided, and why an answer of it was not used."""
    server.ask(SERVICE, local_alias="meet.ada")
    record = last_record(server)
    assert (record["outcome"], record["upstream"], record["upstream_outcome"]) == ("serve", "scheduler", "answered")
    assert record["result"]["pin"] == "****"
    upstream.behave = says({"status": "success", "result": {**ROOM, "guest_pin": PIN, "allow_guests": True}})
    server.ask(SERVICE, local_alias="meet.ada")
    record = last_record(server)
    assert (record["outcome"], record["rule"], record["upstream_outcome"]) == ("continue", "meet", "wrong")
    assert "guest_pin" in record["reason"]
    assert PIN not in "\n".join(server.lines)
    for outcome in ("answered", "wrong"):
        assert counted(server, f'policy_forwarded_total{{outcome="{outcome}",upstream="scheduler"}}') == 1
    assert counted(server, 'policy_forwarded_seconds_count{upstream="scheduler"}') == 2


HUGE = http(b'{"status":"success","x":"' + b"x" * 300_000 + b'"}')
TROUBLES: dict[str, Behave] = {
    "it hangs": hangs,
    "it never ends": drips,
    "it cuts": cuts,
    "it is no web server": sends(b"\x00\xff\r\n\r\n"),
    "its JSON is bad": http(b'{"status": "success", "result": NaN}'),
    "it says something else": says(["status", "success"]),
    "it is wrong": says({"status": "success", "result": {**ROOM, "pin": 7}}),
    "401": says({}, "401 Unauthorized"),
    "500": says({"status": "success", "result": ROOM}, "500 Internal Server Error"),
    "302": http(b"", "302 Found", "location: /elsewhere"),
    "it is huge": HUGE,
}
QUESTIONS = {
    "service": f"{ROOT}{SERVICE}?local_alias=meet.ada",
    "call out": f"{ROOT}{SERVICE}?call_direction=dial_out&service_tag=otj&service_name=meet.ada",
    "participant": f"{ROOT}/participant/properties?local_alias=x&remote_display_name=Ada",
    "location": f"{ROOT}/participant/location?remote_address=10.0.0.1",
    "registration": f"{ROOT}/registrations/kiosk%407",
}


@pytest.mark.parametrize("on_failure", ["continue", "reject"])
@pytest.mark.parametrize("name", TROUBLES)
def test_whatever_the_other_server_does_a_node_gets_an_answer_that_it_uses(
    tmp_path: Path, name: str, on_failure: str
) -> None:
    """Late, wrong or away: each question has an answer in time, and it is what the rules say for that."""
    with StandIn(TROUBLES[name]) as upstream:
        folder = write_rules(tmp_path / "rules", rules(upstream.url, "200ms", on_failure))
        with InProcess(folder, environment=ENVIRONMENT) as server:
            for asked, path in QUESTIONS.items():
                response = server.get(path)
                seconds = response.elapsed.total_seconds()
                answer = HttpAnswer(response.status_code, response.headers["content-type"], response.content, seconds)
                verdict = judge(*path.partition("?")[::2], answer)
                assert verdict.used, (asked, verdict.objections)
                wanted = "reject" if on_failure == "reject" and asked != "location" else "continue"
                assert verdict.outcome == wanted, asked
                assert seconds < 3


def test_a_room_of_the_other_server_is_not_held(server: InProcess, upstream: StandIn) -> None:
    """Each question about it is asked anew."""
    server.ask(SERVICE, local_alias="meet.ada")
    upstream.behave = says({"status": "success", "result": {**ROOM, "pin": "11223344"}})
    assert server.ask(SERVICE, local_alias="meet.ada")["result"]["pin"] == "11223344"
    assert counted(server, "policy_rooms_held") == 0


def test_a_call_out_of_a_room_of_the_other_server_is_forwarded(server: InProcess, upstream: StandIn) -> None:
    """A rule may match it by the room's tag; a call out of a room that is held stays ours, and of a strange one Pexip's."""
    out = {"call_direction": "dial_out", "local_alias": "whatever"}
    assert server.ask(SERVICE, **out, service_name="meet.ada", service_tag="otj")["result"] == ROOM
    server.ask(SERVICE, local_alias="ours.1")
    held = server.ask(SERVICE, **out, service_name="ours.1", service_tag="otj")
    assert (held["rule"], held["result"]["service_tag"]) == ("ours", "ours")
    strange = server.ask(SERVICE, **out, service_name="strange", service_tag="strange")
    assert (strange["rule"], strange.get("result")) == (None, None)
    assert len(upstream.asked) == 1


def test_a_room_that_runs_here_is_answered_here(server: InProcess, upstream: StandIn, tmp_path: Path) -> None:
    """Rules that forward from now on take no room apart that was made before."""
    server.ask(SERVICE, local_alias="ours.1")
    own, room = "  - { id: ours, when: { local_alias: 'ours\\..*' }, room: ours }\n", RULES[RULES.index("rooms:") :]
    ours = room[: room.index("service:")].format()
    moved = rules(upstream.url).replace(own, "").replace(ours, "").replace("'mp.*'", "'mp.*', 'ours\\..*'")
    write_rules(tmp_path / "rules", moved)
    assert server.rules.reload(), server.rules.state.problems
    answer = server.ask(SERVICE, local_alias="ours.1")
    assert (answer["rule"], answer["result"]["service_tag"], upstream.asked) == ("ours", "ours", [])
    assert server.ask(SERVICE, local_alias="ours.2")["rule"] == "meet"


def test_nobody_gets_into_a_room_of_ours_by_the_other_server(server: InProcess, upstream: StandIn) -> None:
    """An upstream that names rooms after what strangers dial opens no door here: neither of a held room nor of a call."""
    server.ask(SERVICE, local_alias="ours.1")
    upstream.behave = says({"status": "success", "result": {**ROOM, "name": "ours.1"}})
    refused = server.ask(SERVICE, local_alias="meet.ours.1")
    assert ("result" not in refused, refused["rule"]) == (True, "meet")
    assert last_record(server)["reason"] == "it serves a room that these rules have made"
    assert counted(server, 'policy_forwarded_total{outcome="wrong",upstream="scheduler"}') == 1
    keyring = Keyring.from_text(SECRET_KEY)
    call = keyring.sign("patient", datetime.now(UTC) + timedelta(hours=1), b"1234")
    upstream.behave = says({"status": "success", "result": {**ROOM, "name": call.id}})
    assert "result" not in server.ask(SERVICE, local_alias=f"meet.{call.id}")


def test_readiness_and_a_gauge_say_which_upstream_is_left_alone(server: InProcess, upstream: StandIn) -> None:
    """After failures in a row the server stays ready, and says which upstream is not asked, and why."""
    upstream.behave = says({}, "503 Service Unavailable")
    for _ in range(6):
        server.ask(SERVICE, local_alias="meet.ada")
    assert len(upstream.asked) == 5
    ready = server.request("GET", "/readyz")
    assert ready.status_code == 200
    assert ready.json()["upstreams"] == [{"name": "scheduler", "left_alone": True, "reason": "HTTP 503"}]
    assert counted(server, "policy_upstreams_left_alone") == 1
    assert last_record(server)["upstream_outcome"] == "left_alone"


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool) -> None:
    """An upstream with a certificate of an authority that nobody knows gets no question and no password."""
    make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem") if is_trusted else "")
    exchange._certificates.cache_clear()
    try:
        with StandIn(GOOD, context) as upstream:
            folder = write_rules(tmp_path / "rules", rules(upstream.url))
            with InProcess(folder, environment=ENVIRONMENT, log_format="json") as server:
                answer = server.ask(SERVICE, local_alias="meet.ada")
                assert ("result" in answer) is is_trusted
                assert len(upstream.asked) == is_trusted
                assert ("the certificate is not accepted" in last_record(server).get("reason", "")) is not is_trusted
    finally:
        exchange._certificates.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_with_connections_of_its_own_forwards(tmp_path: Path, upstream: StandIn, workers: str) -> None:
    """Over the server's own HTTP a forwarded question waits in a task of its own, and others go on; stopping is clean."""
    write_rules(tmp_path / "rules", rules(upstream.url))
    environment = {
        "POLICY_PEXIP_USERNAME": USERNAME,
        "POLICY_PEXIP_PASSWORD": PASSWORD,
        "POLICY_SECRET_KEY": SECRET_KEY,
        **ENVIRONMENT,
    }
    with real_server(tmp_path, "--workers", workers, environment=environment) as running, running.client() as client:
        for _ in range(8):
            answer = client.get(f"{ROOT}{SERVICE}", params={"local_alias": "meet.ada"}).json()
            assert (answer["result"], answer["rule"]) == (ROOM, "meet")
        upstream.behave = hangs
        late = client.get(f"{ROOT}{SERVICE}", params={"local_alias": "meet.ada"}).json()
        assert (late["status"], late["action"], late["rule"]) == ("success", "continue", "meet")
        assert client.get(f"{ROOT}{SERVICE}", params={"local_alias": "ours.1"}).json()["rule"] == "ours"
        assert running.stop() == 0
        assert "Traceback" not in running.err
