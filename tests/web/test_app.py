"""The application as a whole: what goes where, errors in one form, and planted secrets that come out nowhere."""

import json
import logging
from base64 import b64encode
from pathlib import Path
from typing import Any, NoReturn

import pytest
from anyio._core import _eventloop
from starlette.types import Scope

from policy_server.app import create_app
from policy_server.genesys.tenant import Tenant
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.web.api_keys import ApiKeys
from policy_server.web.callers import caller_network
from policy_server.web.health import OperatorEndpoints
from policy_server.web.problem import TYPE_ROOT
from policy_server.web.refusals import Guesses
from tests.servers import PASSWORD, SECRET_KEY, InProcess, basic, write_rules
from tests.web.samples import FIXED_PIN, KIOSK_PASSWORD, NOW, RULES, WRITTEN_PASSWORD, sample_folder, sample_link

ENVIRONMENT = {"KIOSK_PASSWORD": KIOSK_PASSWORD}
ADMIN = Credentials("admin", "the-admins-own-password")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good rules."""
    return sample_folder(tmp_path_factory.mktemp("app") / "rules")


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/policy/v1", "/policy/v2/service/configuration", "/healthz/x", "/%2e%2e/etc/passwd"]
)
def test_unknown_paths_are_a_problem(folder: Path, path: str) -> None:
    """Where there is nothing, it is 404 as problem+json with a stable type, with and without credentials."""
    with InProcess(folder, environment=ENVIRONMENT) as server:
        for authorization in (None, basic()):
            response = server.request("GET", path, authorization=authorization)
            assert response.status_code == 404
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json() == {"type": f"{TYPE_ROOT}not-found", "title": "There is nothing here", "status": 404}


def test_nothing_is_loaded_when_a_thread_is_first_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes hundredths of a second to load is there before the first request."""
    monkeypatch.setattr(_eventloop, "loaded_backends", {})
    with InProcess(folder, environment=ENVIRONMENT):
        assert "asyncio" in _eventloop.loaded_backends


def test_the_type_of_problems_is_stable() -> None:
    """Clients compare types, so they do not change."""
    assert TYPE_ROOT == "urn:policy-server:problem:"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_other_methods_are_a_problem(folder: Path, path: str, method: str) -> None:
    """Methods that a path does not have are 405 as problem+json, which says which it has."""
    with InProcess(folder, environment=ENVIRONMENT) as server:
        response = server.request(method, path)
    assert response.status_code == 405
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == f"{TYPE_ROOT}method-not-allowed"
    assert "GET" in response.headers["allow"]


def test_an_exception_beside_the_policy_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of ours is 500 as problem+json, without a word about its cause, and goes on to the server's log."""

    async def fail(*_: object) -> NoReturn:
        raise RuntimeError("a secret cause")

    monkeypatch.setattr(OperatorEndpoints, "readyz", fail)
    sent: list[Any] = []
    with InProcess(folder, environment=ENVIRONMENT) as server:

        async def ask() -> None:
            async def receive() -> dict[str, str]:
                return {"type": "http.request"}

            async def send(message: object) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "method": "GET",
                "path": "/readyz",
                "query_string": b"",
                "headers": [],
                "client": ("127.0.0.1", 1),
            }
            await server.app(scope, receive, send)

        with pytest.raises(RuntimeError, match="a secret cause"):
            server.run(ask())
    start, body = sent
    assert start["status"] == 500
    assert json.loads(body["body"])["type"] == f"{TYPE_ROOT}internal"
    assert b"secret cause" not in body["body"]


def test_policy_paths_are_found_wherever_slashes_are(folder: Path) -> None:
    """Any number of slashes anywhere in a policy path still leads to the policy endpoint."""
    with InProcess(folder, environment=ENVIRONMENT) as server:
        for path in ("/policy////v1/registrations", "///policy/v1//registrations", "//policy///v1///registrations"):
            assert server.get(path).json()["status"] == "success", path


def test_incomplete_settings_are_refused(folder: Path) -> None:
    """There is no application without credentials and secret key."""
    rules = RuleStore(folder, lambda: NOW, ENVIRONMENT)
    for settings in (Settings(secret_key=SECRET_KEY), Settings(pexip=Credentials("a", "b"))):
        with pytest.raises(ValueError, match="no credentials for Pexip or no secret key"):
            create_app(settings, rules)


PIN_LINE = f'pin: "{FIXED_PIN}"'
PASSWORD_PAIR = f"password: {WRITTEN_PASSWORD}"
SPOILT = [
    RULES.replace(PIN_LINE, f'{PIN_LINE}\n      guest_pin: "{FIXED_PIN}"'),
    RULES.replace(PIN_LINE, f'pin: "{FIXED_PIN}X"'),
    RULES.replace(PIN_LINE, f'pin: "{FIXED_PIN * 5}"'),
    RULES.replace(PIN_LINE, f"pin: [{FIXED_PIN}]"),
    RULES.replace(PIN_LINE, f"pin: {{a: {FIXED_PIN}}}"),
    RULES.replace(PIN_LINE, f"pin: {FIXED_PIN}.5"),
    RULES.replace(PIN_LINE, f"{PIN_LINE}\n      {PIN_LINE}"),
    RULES.replace(PIN_LINE, f'pim: "{FIXED_PIN}"'),
    RULES.replace(PIN_LINE, f'pin: "{FIXED_PIN}'),
    RULES.replace(PIN_LINE, f'pin: "{{{FIXED_PIN}}}"'),
    RULES.replace(PASSWORD_PAIR, f"password: [{WRITTEN_PASSWORD}]"),
    RULES.replace(PASSWORD_PAIR, f"password: {WRITTEN_PASSWORD * 20}"),
    RULES.replace(PASSWORD_PAIR, f"pass: {WRITTEN_PASSWORD}"),
    RULES.replace(PASSWORD_PAIR, f"{PASSWORD_PAIR}, {PASSWORD_PAIR}"),
    RULES.replace(PASSWORD_PAIR, f"{PASSWORD_PAIR}, password_env: KIOSK_PASSWORD"),
    RULES.replace("kiosk, password_env: KIOSK_PASSWORD", "[kiosk], password_env: KIOSK_PASSWORD"),
]
"""The sample rules, each with one mistake on or beside a secret."""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_planted_secrets_come_out_nowhere(
    tmp_path: Path, log_format: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """PINs, passwords, keys and passcodes are in no log line, metric, problem, error or representation."""
    folder = sample_folder(tmp_path / "rules")
    previous = "a previous secret key of these tests"
    passcode = "passcode-of-a-third-party"
    with InProcess(
        folder,
        clock=lambda: NOW,
        environment=ENVIRONMENT,
        log_format=log_format,
        admin=ADMIN,
        previous_secret_keys=(previous,),
    ) as server:
        link = sample_link(server.rules.ruleset)
        room = server.ask("/service/configuration", local_alias=link.alias, third_party_passcode=passcode)["result"]
        secrets = [room["pin"], room["guest_pin"], FIXED_PIN, KIOSK_PASSWORD, WRITTEN_PASSWORD]
        secrets += [PASSWORD, SECRET_KEY, previous, ADMIN.password, passcode, basic().split()[1]]
        seen = []
        with caplog.at_level(logging.DEBUG), caplog.at_level(logging.WARNING, logger="httpx"):
            # Served, refused, failed, misunderstood and raised; each with everything that could leak at hand.
            server.ask("/service/configuration", local_alias="room-1", third_party_passcode=passcode)
            server.ask("/service/configuration", local_alias="room-" + "x" * 300, third_party_passcode=passcode)
            server.ask("/participant/properties", third_party_passcode=passcode)
            for alias in ("kiosk-7%40video.example.com", "old%2Fkiosk%20%C3%BC%2B1"):
                assert server.get(f"/policy/v1/registrations/{alias}").json()["result"]["password"]
            twice = f"third_party_passcode={passcode}&third_party_passcode={passcode}"
            seen.append(server.get(f"/policy/v1/participant/properties?{twice}").text)
            seen.append(server.request("GET", "/policy/v1/registrations", authorization=basic("pexip", "no")).text)
            with monkeypatch.context() as broken:
                broken.setattr("policy_server.conferences.rooms.evaluate", lambda *_, **__: 1 / 0)
                seen.append(server.get(f"/policy/v1/participant/properties?third_party_passcode={passcode}&x=1").text)
            for spoilt in SPOILT:
                write_rules(folder, spoilt)
                assert not server.rules.reload()
                assert server.rules.state.refused
                seen += [server.request("GET", path).text for path in ("/readyz", "/metrics", "/healthz", "/nothing")]
        seen += [caplog.text, repr(server.settings), repr(server.rules.ruleset), repr(server.rules.state)]
    seen += server.lines
    assert len(server.lines) >= 8
    for secret in secrets:
        for text in seen:
            assert secret not in text


SECRET = "planted-secret"
BASIC = "Basic " + b64encode(f"{SECRET}:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    ("method", "path", "authorization", "told"),
    [
        ("GET", "/policy/v1/service/configuration", BASIC, "the policy paths: wrong user name or password"),
        ("GET", "/policy/v1/registrations", "", "the policy paths: no user name and password"),
        ("POST", "/events/v1/pexip", BASIC, "the event sink: wrong user name or password"),
        ("POST", "/api/v1/links", f"Bearer {SECRET}", "the API: wrong API key"),
        ("GET", "/api/v1/links/abc", "", "the API: no API key"),
        ("GET", "/metrics", BASIC, "the operators' paths: wrong user name or password"),
        ("GET", "/agent/v1/conferences/abc", "", "the agents' lookup: send the agent's Genesys Cloud access token"),
    ],
)
def test_who_is_refused_at_a_door_is_logged(
    tmp_path: Path, method: str, path: str, authorization: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong password at any door leaves one line with door, address and reason, and nothing of what was sent."""
    tenant = Tenant("https://api.usw2.pure.cloud", "0f1e2d3c-4b5a-4697-8877-665544332211")
    credentials = Credentials("operator", "right-password")
    rules = sample_folder(tmp_path)
    with InProcess(rules, environment=ENVIRONMENT, tenant=tenant, events=credentials, admin=credentials) as server:
        headers = {"authorization": authorization} if authorization else {}
        answer = server.request(method, path, headers=headers, peer="198.51.100.7")
    assert answer.status_code == 401
    (line,) = [message for message in caplog.messages if message.startswith("access.refused: ")]
    assert line.startswith(f"access.refused: 198.51.100.7 at {told}")
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "wrong", "right", "door"),
    [
        ("GET", "/policy/v1/service/configuration", BASIC, basic("pexip", "right-password"), "policy"),
        ("POST", "/events/v1/pexip", BASIC, basic("operator", "right-password"), "events"),
        ("GET", "/api/v1/links/abc", f"Bearer {SECRET}", f"Bearer {'k' * 20}", "api"),
        ("GET", "/metrics", BASIC, basic("operator", "right-password"), "operators"),
    ],
    ids=["nodes", "event sinks", "systems", "operators"],
)
def test_who_guesses_is_held_up_at_every_door(
    tmp_path: Path, method: str, path: str, wrong: str, right: str, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong credentials are counted by door and, when too many wait, told to come back; right ones from the same address
    are taken all the while, and no credentials are no guess.
    """

    async def too_many(_: Guesses, scope: Scope) -> bool:
        assert caller_network(scope) == "198.51.100.7"
        return False

    monkeypatch.setattr(Guesses, "hold_up", too_many)
    operator = Credentials("operator", "right-password")
    settings: dict[str, Any] = {
        "pexip": Credentials("pexip", "right-password"),
        "events": operator,
        "admin": operator,
        "api_keys": ApiKeys({"booking": "k" * 20}),
    }
    with InProcess(sample_folder(tmp_path), environment=ENVIRONMENT, **settings) as server:

        def status(**headers: str) -> int:
            return server.request(method, path, headers=headers, peer="198.51.100.7").status_code

        assert [status(authorization=wrong), status(authorization=right) < 429, status()] == [429, True, 401]
        text = server.request("GET", "/metrics").text
    assert f'policy_refused_total{{door="{door}"}} 2.0' in text
