"""``simulate``: a whole call, in this process and against a running server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policy_server.cli.common import Unusable
from tests.cli.commands import CREDENTIALS, RULES, printed_json, put_rules, run
from tests.servers import RealServer, clean_environment, real_server, write_rules

ALWAYS_OPEN = RULES.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A running server that is always open."""
    folder = tmp_path_factory.mktemp("simulated")
    write_rules(folder / "rules", ALWAYS_OPEN)
    with real_server(folder, environment=CREDENTIALS) as running:
        yield running


def played(*arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a simulation."""
    result = run("simulate", "--json", *arguments, environment=environment)
    return result.exit_code, printed_json(result)


def test_in_process(folder: Path) -> None:
    """Without a server the call is played in this process, at moments when the door is open and closed: status 0."""
    put_rules(folder)
    result = run("simulate")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("8 steps, 0 failed\n")
    for said in (
        "1. ok   The customer opens the link",
        "with the contact centre's number as automatic participant",
        "the room dials 99+13129998045",
        "The agent's widget joins by video",
        "A customer with an expired link",
        "outside opening hours",
        "judge: Pexip uses it (service)",
        "judge: Pexip uses it (reject)",
    ):
        assert said in result.stdout


def test_json(folder: Path) -> None:
    """--json gives every exchange with its verdict and checks."""
    put_rules(folder)
    status, value = played()
    assert (status, value["ok"], len(value["steps"])) == (0, True, 8)
    for step in value["steps"]:
        assert step["path"].startswith("/policy/v1/")
        assert (step["status"], step["error"], step["used"], step["passed"]) == (200, None, True, True)
        assert step["objections"] == []
        assert all(check["passed"] for check in step["checks"])
        assert 0 < step["milliseconds"] < 5_000


def test_rules_that_break_the_call(folder: Path) -> None:
    """Rules under which the call does not work are status 1, and the failed checks say what is missing."""
    put_rules(folder, RULES.replace('    dial_out: [{ trunk: contact-centre, display_name: "{session}" }]\n', ""))
    status, value = played()
    assert (status, value["ok"]) == (1, False)
    failed = [check["text"] for step in value["steps"] for check in step["checks"] if not check["passed"]]
    assert failed == ["with the contact centre's number as automatic participant"]
    result = run("simulate")
    assert "NO : with the contact centre's number" in result.stdout
    assert "1. FAIL" in result.stdout


def test_a_room_of_their_own_for_agents(folder: Path) -> None:
    """An agent who lands in another room, or with another PIN, fails the check."""
    other = RULES.replace(
        "link: [valid, expired] }\n    room: visit",
        'link: [valid, expired] }\n    service: { service_type: conference, name: "other-{session}", service_tag: x }',
    )
    put_rules(folder, other)
    status, value = played()
    failed = [check["text"] for step in value["steps"] for check in step["checks"] if not check["passed"]]
    assert (status, failed) == (1, ["the same room", "with the same host PIN"])


def test_rules_that_let_nobody_in(folder: Path) -> None:
    """Rules without a link type, and rules that never serve its alias, are unusable: status 2, said why."""
    put_rules(folder, RULES.partition("\nlinks:")[0])
    nothing = run("simulate")
    assert (nothing.exit_code, nothing.stdout) == (2, "")
    assert "the rules define no link type" in nothing.stderr
    put_rules(folder, RULES.replace("link: valid, open", "link: expired, open"))
    nobody = run("simulate")
    assert (nobody.exit_code, nobody.stdout) == (2, "")
    assert "no customer gets in within a year" in nobody.stderr
    assert Unusable.exit_code == 2


def test_which_link(folder: Path) -> None:
    """--link names the link type; an unknown one is status 2 with those there are."""
    put_rules(folder)
    assert played("--link", "visit")[0] == 0
    result = run("simulate", "--link", "vist")
    assert (result.exit_code, "--link must be 'visit' but is 'vist'" in result.stderr) == (2, True)


def test_against_a_server(server: RealServer, folder: Path) -> None:
    """Against a running server with its credentials and key: status 0, every step but the closed door over HTTP."""
    put_rules(folder, ALWAYS_OPEN)
    status, value = played("--url", server.url, **CREDENTIALS)
    assert (status, value["ok"]) == (0, True)
    assert {step["where"] for step in value["steps"]} == {server.url}
    assert played("--url", f"{server.url}/a/prefix/", **CREDENTIALS)[0] == 0


def test_against_a_server_with_another_key(server: RealServer, folder: Path) -> None:
    """With another secret key the server refuses the link: status 1, and the first check says so."""
    put_rules(folder, ALWAYS_OPEN)
    other = {**CREDENTIALS, "POLICY_SECRET_KEY": "another secret key which is long enough"}
    result = run("simulate", "--url", server.url, environment=other)
    assert result.exit_code == 1
    assert "1. FAIL" in result.stdout
    assert "judge: Pexip uses it (reject)" in result.stdout
    assert "NO : a meeting room" in result.stdout


def test_against_a_server_with_another_password(server: RealServer, folder: Path) -> None:
    """With another password the server answers 401: status 1, and the judge says what a node makes of it."""
    put_rules(folder, ALWAYS_OPEN)
    other = {**CREDENTIALS, "POLICY_PEXIP_PASSWORD": "wrong"}
    result = run("simulate", "--url", server.url, environment=other)
    assert result.exit_code == 1
    assert "judge: ENV-4: HTTP 401" in result.stdout
    assert "yes:" not in result.stdout, "a refused question passed a check"
    status, value = played("--url", server.url, **other)
    assert status == 1
    assert {step["status"] for step in value["steps"]} == {401}
    assert all("HTTP 401" in step["objections"][0] for step in value["steps"])


def test_against_nobody(folder: Path) -> None:
    """A URL where nobody answers is status 1 after one question, and the message names it."""
    put_rules(folder, ALWAYS_OPEN)
    url = "http://127.0.0.1:1"
    result = run("simulate", "--url", url, environment=CREDENTIALS)
    assert result.exit_code == 1
    assert f"No answer from {url} (ConnectError: " in result.stderr
    assert "Is the server running" in result.stderr
    assert result.stdout.endswith("1 steps, 1 failed\n")
    status, value = played("--url", url, **CREDENTIALS)
    assert (status, value["ok"], len(value["steps"])) == (1, False, 1)
    assert value["steps"][0]["error"].startswith("ConnectError: ")


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://[bad", "127.0.0.1:8080", ""])
def test_a_url_that_is_none(folder: Path, url: str) -> None:
    """What is no URL of a policy profile is status 2."""
    put_rules(folder)
    result = run("simulate", "--url", url, environment=CREDENTIALS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--url must be the URL of the policy profile" in result.stderr


def test_a_server_needs_its_credentials(folder: Path) -> None:
    """Against a server, credentials and key must be given: status 2, naming the variables."""
    put_rules(folder)
    result = run("simulate", "--url", "http://127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "POLICY_PEXIP_USERNAME, POLICY_PEXIP_PASSWORD and POLICY_SECRET_KEY" in result.stderr


def test_json_is_clean_in_a_process_of_its_own(server: RealServer, folder: Path) -> None:
    """Standard output is the JSON alone; warnings go to standard error."""
    put_rules(folder, ALWAYS_OPEN)
    real = subprocess.run(
        [sys.executable, "-m", "policy_server", "simulate", "--json", "--url", server.url],
        env=clean_environment(**CREDENTIALS, POLICY_RULE="x"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert real.returncode == 0
    assert real.stdout.startswith('{\n  "ok": true')
    assert real.stderr == "warning: POLICY_RULE is not a setting (did you mean POLICY_RULES?)\n"
