"""A real server in a process of its own: rules change under it, and it stops when told."""

import json
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import PASSWORD, SECRET_KEY, RealServer, clean_environment, real_server, write_rules
from tests.waiting import eventually

pytestmark = pytest.mark.slow

RULES = """
service:
  - id: {rule}
    when: {{ local_alias: 'meet' }}
    service: {{ service_type: conference, name: meet, service_tag: t, pin: "730195" }}
"""
QUESTION = "/policy/v1/service/configuration?local_alias=meet"


def rules(rule: str) -> str:
    """A rules file with one rule of that id."""
    return RULES.format(rule=rule)


def ask(server: RealServer) -> dict[str, Any]:
    """The server's answer to the one question of these tests."""
    with server.client() as client:
        answer = client.get(QUESTION).json()
    assert isinstance(answer, dict)
    return answer


def metric(server: RealServer, name: str) -> float:
    """One sample of the server's metrics."""
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server of one process, with settings and a decoy in .env files, that logs JSON."""
    folder = tmp_path_factory.mktemp("server") / "current"
    write_rules(folder / "rules", rules("first"))
    (folder / ".env").write_text(
        f"POLICY_PEXIP_USERNAME=pexip\nPOLICY_PEXIP_PASSWORD='{PASSWORD}'\nPOLICY_SECRET_KEY={SECRET_KEY}\n",
        encoding="utf-8",
    )
    (folder.parent / ".env").write_text("POLICY_LOG_FORMAT=nonsense\nPOLICY_ON_FAILURE=reject\n", encoding="utf-8")
    with real_server(folder, environment={"POLICY_LOG_FORMAT": "json"}) as running:
        yield running


def test_settings_come_from_the_current_folder_only(server: RealServer) -> None:
    """.env of the current folder is read, that of the folder above is not."""
    answer = ask(server)
    assert (answer["rule"], answer["status"]) == ("first", "success")
    with server.client() as client:
        assert client.get(f"{QUESTION}&local_alias=b").json()["action"] == "continue"


def test_the_start_says_what_runs(server: RealServer) -> None:
    """The start says where it listens, which rules run, and shows no credentials that were configured."""
    assert server.out.startswith(f"policy-server listens on {server.url}\nRules: 1 from rules, revision ")
    assert ask(server)["revision"] in server.out
    assert PASSWORD not in server.out + server.err
    assert SECRET_KEY not in server.out + server.err


def test_a_change_is_taken_a_mistake_is_not(server: RealServer) -> None:
    """Good rules answer soon after they are written; a mistake keeps them and shows; a good file ends that."""
    first = ask(server)["revision"]
    write_rules(server.folder / "rules", rules("second"))
    eventually(lambda: ask(server)["rule"] == "second")
    second = ask(server)["revision"]
    assert second != first
    refused = metric(server, "policy_rules_refusals")

    write_rules(server.folder / "rules", rules("third") + "surprise: 1\n")
    eventually(lambda: metric(server, "policy_rules_refused") == 1.0)
    with server.client() as client:
        ready = client.get("/readyz").json()
    assert ready["rules"]["revision"] == second
    assert (ready["status"], ready["reload"]["refused"]) == ("ready", True)
    assert [problem["message"][:10] for problem in ready["reload"]["problems"]] == ["'surprise'"]
    assert ask(server)["rule"] == "second"
    assert metric(server, "policy_rules_refusals") == refused + 1

    write_rules(server.folder / "rules", rules("fourth"))
    eventually(lambda: ask(server)["rule"] == "fourth")
    assert metric(server, "policy_rules_refused") == 0.0
    messages = [json.loads(line).get("message", "") for line in server.err.splitlines()]
    assert any(message.startswith("rules.loaded: revision ") for message in messages)
    assert any(message.startswith("rules.refused: ") and "'surprise'" in message for message in messages)


def test_an_empty_folder_is_refused(server: RealServer) -> None:
    """Rules that disappear do not take the running ones with them."""
    before = ask(server)["rule"]
    file = server.folder / "rules" / "rules.yaml"
    text = file.read_text(encoding="utf-8")
    file.unlink()
    eventually(lambda: metric(server, "policy_rules_refused") == 1.0)
    assert ask(server)["rule"] == before
    write_rules(server.folder / "rules", text)
    eventually(lambda: metric(server, "policy_rules_refused") == 0.0)


def test_the_log_is_json_line_by_line(server: RealServer) -> None:
    """With POLICY_LOG_FORMAT=json every line is JSON, and every answer has its line, without the PIN."""
    answer = ask(server)
    eventually(lambda: answer["decision_id"] in server.err)
    records = [json.loads(line) for line in server.err.splitlines()]
    record = next(record for record in records if record.get("decision_id") == answer["decision_id"])
    assert (record["event"], record["rule"]) == ("decision.made", answer["rule"])
    assert answer["result"]["pin"] == "730195"
    assert "730195" not in server.err


def test_port_in_use(server: RealServer) -> None:
    """A second server on the same port says so and ends with status 2, without a traceback."""
    port = server.url.rpartition(":")[2]
    again = subprocess.run(
        [sys.executable, "-m", "policy_server", "serve", "--port", port],
        cwd=server.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert again.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in again.stderr
    assert "--port" in again.stderr
    assert "Traceback" not in again.stderr
    assert again.stdout == ""


def test_sigterm_ends_well(server: RealServer) -> None:
    """SIGHUP does no harm; SIGTERM writes the log's last lines and ends with status 0 and without traceback."""
    server.process.send_signal(signal.SIGHUP)
    answer = ask(server)
    assert server.stop(signal.SIGTERM) == 0
    assert answer["decision_id"] in server.err
    assert "Traceback" not in server.err


def test_sighup_reloads_at_once_and_sigint_ends_well(tmp_path: Path) -> None:
    """SIGHUP takes new rules before the next look at the folder; Ctrl+C ends with status 0 and without traceback.

    The look at the folder is put off to an hour, and so is whatever the server does by the clock: only the signals can have
    done it.
    """
    write_rules(tmp_path / "rules", rules("first"))
    (tmp_path / "slow.py").write_text(
        "import sys, policy_server.app, policy_server.cli.server, policy_server.cli.stopping\n"
        "policy_server.app.RELOAD_INTERVAL = policy_server.cli.server.DATE_SECONDS = 3600.0\n"
        "policy_server.cli.stopping.LATEST = 3600.0\n"
        "from policy_server.cli import main\nmain(sys.argv[1:])\n",
        encoding="utf-8",
    )
    with real_server(tmp_path, program=("slow.py",)) as running:
        write_rules(tmp_path / "rules", rules("second"))
        assert ask(running)["rule"] == "first"
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: ask(running)["rule"] == "second")
        assert running.stop(signal.SIGINT) == 0
        assert "Traceback" not in running.err
        assert "Aborted" not in running.err


def test_several_processes(tmp_path: Path) -> None:
    """--workers 2: both answer alike, made-up credentials included; counts add up; both reload; both end."""
    write_rules(tmp_path / "rules", rules("first"))
    with real_server(tmp_path, "--workers", "2", environment={}) as running:
        made = re.search(r"^  POLICY_PEXIP_USERNAME=(\S+)\n  POLICY_PEXIP_PASSWORD=(\S+)$", running.out, re.MULTILINE)
        assert made is not None
        credentials = (made[1], made[2])
        with running.client(auth=credentials) as client:
            processes: set[str] = set()
            asked = 0

            def both_answered() -> bool:
                nonlocal asked
                response = client.get(QUESTION)
                asked += 1
                assert response.status_code == 200, "a process has other credentials"
                processes.add(response.json()["decision_id"].partition("-")[0])
                return len(processes) == 2

            eventually(both_answered)
            assert client.get(QUESTION, auth=("pexip", "wrong")).status_code == 401
            sample = f'policy_answers_total{{outcome="serve",question="service",rule="first"}} {asked}.0\n'
            eventually(lambda: sample in client.get("/metrics").text)
            for _ in range(6):
                text = client.get("/metrics").text
                assert sample in text
                assert 'policy_unauthorized_total{node="127.0.0.1"} 1.0\n' in text
                assert "policy_rules 1.0\n" in text
                assert "policy_log_lines_dropped 0.0\n" in text

            write_rules(tmp_path / "rules", rules("second"))
            running.process.send_signal(signal.SIGHUP)
            seen: dict[str, str] = {}

            def both_reloaded() -> bool:
                answer = client.get(QUESTION).json()
                seen[answer["decision_id"].partition("-")[0]] = answer["rule"]
                return seen.keys() == processes and set(seen.values()) == {"second"}

            eventually(both_reloaded)
        assert running.stop(signal.SIGTERM) == 0
        assert "Traceback" not in running.err


def make_certificates(folder: Path) -> None:
    """An authority that signs the server for 127.0.0.1 and one client."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
    for name, usage in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        (folder / f"{name}.ext").write_text(usage, encoding="utf-8")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)


def test_tls_with_client_certificates(tmp_path: Path) -> None:
    """With --tls-client-ca the server speaks https, and only to clients with a certificate of that authority."""
    make_certificates(tmp_path)
    write_rules(tmp_path / "rules", rules("first"))
    options = ("--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "ca.pem")
    stranger = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    known = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    known.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    with ExitStack() as stack:
        running = stack.enter_context(real_server(tmp_path, *options, verify=known))
        assert running.url.startswith("https://127.0.0.1:")
        assert ask(running)["rule"] == "first"
        with running.client(verify=stranger) as client, pytest.raises(httpx.TransportError):
            client.get(QUESTION)
        # Plain HTTP gets no answer either.
        port = int(running.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in plain.recv(100)
        assert ask(running)["rule"] == "first"
        assert running.stop() == 0
