"""/healthz, /readyz and /metrics: what they say, and to whom."""

import asyncio
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from policy_server.conferences.pace import Pace
from policy_server.conferences.store import ConferenceStore
from policy_server.settings import Credentials
from policy_server.settings.readers import LOOPBACK
from policy_server.web.problem import TYPE_ROOT
from tests.servers import InProcess, basic, write_rules
from tests.web.samples import KIOSK_PASSWORD, RULES, sample_folder

PATHS = ("/healthz", "/readyz", "/metrics")
ENVIRONMENT = {"KIOSK_PASSWORD": KIOSK_PASSWORD}
FAR = "192.0.2.77"
ADMIN = Credentials("admin", "the admin's password")
GOOD = basic(ADMIN.username, ADMIN.password)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good rules."""
    return sample_folder(tmp_path_factory.mktemp("health") / "rules")


def started(folder: Path, **settings: Any) -> InProcess:
    """A server of these tests."""
    return InProcess(folder, environment=ENVIRONMENT, **settings)


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[InProcess]:
    """A server without admin credentials."""
    with started(folder) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[InProcess]:
    """A server with admin credentials."""
    with started(folder, admin=ADMIN) as server:
        yield server


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_always(plain: InProcess, guarded: InProcess, path: str, peer: str) -> None:
    """From loopback everything is open, with and without admin credentials configured."""
    for server in (plain, guarded):
        assert server.request("GET", path, peer=peer).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("peer", [FAR, "2001:db8::1", "::ffff:192.0.2.1", "unix", "128.0.0.1"])
def test_others_may_not_without_configuration(plain: InProcess, path: str, peer: str) -> None:
    """From elsewhere, with nothing configured, it is 403 whatever credentials come, and says what to set."""
    for authorization in (None, GOOD, basic()):
        response = plain.request("GET", path, peer=peer, authorization=authorization)
        assert response.status_code == 403
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert (problem["type"], problem["status"]) == (f"{TYPE_ROOT}forbidden", 403)
        assert "POLICY_ADMIN_USERNAME" in problem["detail"]
        assert "POLICY_OPERATOR_NETWORKS" in problem["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_admin_credentials_open_from_elsewhere(guarded: InProcess, path: str) -> None:
    """With admin credentials configured, those are let in from elsewhere and nobody else, nodes neither."""
    for authorization in (None, basic(), basic(ADMIN.username, "wrong"), "Bearer x"):
        response = guarded.request("GET", path, peer=FAR, authorization=authorization)
        assert (response.status_code, response.json()["type"]) == (401, f"{TYPE_ROOT}unauthorized")
        assert response.headers["www-authenticate"].startswith("Basic ")
    assert guarded.request("GET", path, peer=FAR, authorization=GOOD).status_code == 200


def test_admin_credentials_are_not_those_of_nodes(guarded: InProcess) -> None:
    """The admin's password opens no policy path."""
    assert guarded.request("GET", "/policy/v1/service/configuration", authorization=GOOD).status_code == 401


@pytest.mark.parametrize(
    ("peer", "status"),
    [("10.20.0.1", 200), ("::ffff:10.20.0.1", 200), ("2001:db8::5", 200), ("10.21.0.1", 403), ("127.0.0.1", 200)],
)
def test_operator_networks(folder: Path, peer: str, status: int) -> None:
    """POLICY_OPERATOR_NETWORKS opens further networks, also when a socket for both families names the peer."""
    networks = (*LOOPBACK, ip_network("10.20.0.0/16"), ip_network("2001:db8::/32"))
    with started(folder, operator_networks=networks) as server:
        assert {server.request("GET", path, peer=peer).status_code for path in PATHS} == {status}


def test_healthz(plain: InProcess) -> None:
    """/healthz says ok."""
    response = plain.request("GET", "/healthz")
    assert (response.text, response.headers["content-type"]) == ("ok\n", "text/plain; charset=utf-8")


def test_readyz(plain: InProcess) -> None:
    """/readyz says which rules run, and how the last look at the folder went."""
    response = plain.request("GET", "/readyz")
    ruleset, state = plain.rules.ruleset, plain.rules.state
    body = response.json()
    assert body["status"] == "ready"
    assert body["rules"] == {"revision": ruleset.revision, "count": ruleset.count}
    assert (body["reload"]["refused"], body["reload"]["at"]) == (False, state.at.isoformat(timespec="seconds"))
    assert {problem["severity"] for problem in body["reload"]["problems"]} == {"warning"}
    assert body["database"] == {
        "name": plain.settings.database_url,
        "reachable": True,
        "waiting": 0,
        "lost": 0,
    }
    assert {"events", "genesys", "management", "webhooks"}.isdisjoint(body)
    assert body["rooms"] == {"held": 0, "without_link": 0, "without_link_limit": 2000, "unheld": 0}
    assert response.headers["cache-control"] == "no-store"


def test_ready_without_a_database(folder: Path) -> None:
    """A database that nobody reaches shows, without its password; calls are answered, so the server stays ready."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"postgresql://policy:planted-secret@127.0.0.1:{port}/policy"
    with started(folder, database_url=url, pace=Pace(start=0.01)) as server:
        response = server.request("GET", "/readyz")
        assert (response.status_code, response.json()["status"]) == (200, "ready")
        name = f"postgresql://127.0.0.1:{port}/policy"
        database = response.json()["database"]
        assert (database["name"], database["reachable"]) == (name, False)
        assert server.ask("/service/configuration", local_alias="room-a")["rule"] == "named"
        text = server.metrics()
        # The room and its line on the timeline.
        for sample in (
            "policy_rooms_held 1.0",
            "policy_holds_late 1.0",
            "policy_records_waiting 2.0",
            "policy_database_away 1.0",
        ):
            assert f"{sample}\n" in text
        assert server.request("GET", "/readyz").json()["database"]["waiting"] == 2


def test_a_database_that_does_not_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks /readyz does not wait for a database that hangs."""

    async def hang(_: ConferenceStore) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(ConferenceStore, "check", hang)
    with started(folder) as server:
        begun = time.monotonic()
        assert server.request("GET", "/readyz").json()["database"]["reachable"] is False
        assert time.monotonic() - begun < 10


def test_refused_rules_show(tmp_path: Path) -> None:
    """While bad rules lie in the folder, /readyz lists every problem, the metric is 1, and the old rules answer."""
    folder = sample_folder(tmp_path / "rules")
    with started(folder) as server:
        revision = server.rules.ruleset.revision
        assert "policy_rules_refused 0.0\n" in server.metrics()
        write_rules(folder, RULES.replace("room: visit", "room: vist").replace("calendars:", "calendar:"))
        assert not server.rules.reload()
        body = server.request("GET", "/readyz").json()
        assert (body["status"], body["rules"]["revision"]) == ("ready", revision)
        assert body["reload"]["refused"] is True
        errors = [problem for problem in body["reload"]["problems"] if problem["severity"] == "error"]
        assert len(errors) >= 3
        assert any("did you mean 'visit'?" in error["message"] and error["rule"] == "customer" for error in errors)
        assert all(error["file"].endswith("rules.yaml") and error["line"] for error in errors)
        metrics = server.metrics()
        assert "policy_rules_refused 1.0\n" in metrics
        assert "policy_rules_refusals 1.0\n" in metrics
        assert server.ask("/service/configuration", local_alias="moved")["revision"] == revision
        write_rules(folder, RULES)
        server.rules.reload()
        assert server.request("GET", "/readyz").json()["reload"]["refused"] is False
        assert "policy_rules_refused 0.0\n" in server.metrics()


def test_a_renamed_rule_file_and_rules_that_are_gone_show(tmp_path: Path) -> None:
    """A file that lost its name is a refused reload; rules that went on purpose are named."""
    folder = sample_folder(tmp_path / "rules")
    (folder / "z.yaml").write_text("service: [ { id: barred, when: { protocol: h323 }, reject: No } ]", "utf-8")
    with started(folder) as server:
        (folder / "z.yaml").rename(folder / "z.yaml.txt")
        assert not server.rules.reload()
        reload = server.request("GET", "/readyz").json()["reload"]
        assert reload["refused"] is True
        assert "this file is gone, and 'z.yaml.txt' lies there" in reload["problems"][0]["message"]
        assert "policy_rules_refused 1.0\n" in server.metrics()
        (folder / "z.yaml.txt").unlink()
        assert server.rules.reload()
        reload = server.request("GET", "/readyz").json()["reload"]
        assert reload["refused"] is False
        assert any("are gone: 'barred' of service" in problem["message"] for problem in reload["problems"])
        assert "policy_rules_refused 0.0\n" in server.metrics()


def test_metrics(plain: InProcess) -> None:
    """/metrics has the basic set in the text format of Prometheus."""
    plain.ask("/service/configuration", local_alias="moved")
    plain.request("GET", "/policy/v1/service/configuration", peer=FAR)
    response = plain.request("GET", "/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    count = plain.rules.ruleset.count
    for sample in (
        'policy_answers_total{outcome="redirect",question="service",rule="moved"} 1.0',
        'policy_answer_seconds_count{question="service"} 1.0',
        f'policy_unauthorized_total{{node="{FAR}"}} 1.0',
        f"policy_rules {count}.0",
        "policy_rules_refused 0.0",
        "policy_rules_reloads 1.0",
        "policy_rooms_held 0.0",
        "policy_holds_late 0.0",
        "policy_records_waiting 0.0",
        "policy_records_dropped 0.0",
        "policy_agent_streams 0.0",
    ):
        assert f"{sample}\n" in response.text


def test_rooms_are_counted(folder: Path) -> None:
    """Each room that runs counts once, however many questions were about it, and waits for nothing when it is written."""
    with started(folder) as server:
        for alias in ("room-a", "room-b", "ROOM-A", "moved"):
            server.ask("/service/configuration", local_alias=alias)
        text = server.metrics()
        assert "policy_rooms_held 2.0\n" in text
        assert "policy_holds_late 0.0\n" in text
