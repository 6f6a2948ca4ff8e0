"""The headers that every answer has, whoever made it."""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.servers import InProcess, basic
from tests.web.samples import KIOSK_PASSWORD, sample_folder

OTHERS = [
    "/policy/v1/service/configuration?local_alias=meet.anybody&call_direction=dial_in",
    "/policy/v1/participant/properties",
    "/policy/v1/participant/avatar/desk",
    "/policy/v1/registrations",
    "/join/x",
    "/join/x/status",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
]
METHODS = ("GET", "POST", "DELETE", "OPTIONS")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """The whole service."""
    folder = sample_folder(tmp_path_factory.mktemp("headers") / "rules")
    with InProcess(folder, environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}) as running:
        yield running


@pytest.fixture(scope="module")
def paths(server: InProcess) -> list[str]:
    """Every path that there is, and some that there are not."""
    described = server.request("GET", "/openapi.json").json()["paths"]
    return (
        [re.sub(r"\{\w+\}", "x", path) for path in described]
        + OTHERS
        + [
            "/",
            "/nothing",
            "/healthz/",
            "/policy/v1/x",
            "/a/../b",
        ]
    )


def test_no_answer_is_kept_or_guessed_at(server: InProcess, paths: list[str]) -> None:
    """Whatever is asked, with and without credentials, an answer says that nobody may keep it or guess its type."""
    for path in paths:
        for method in METHODS:
            for authorization in (None, basic()):
                answer = server.request(method, path, authorization=authorization)
                told = {name: answer.headers.get(name) for name in ("cache-control", "x-content-type-options")}
                assert told == {"cache-control": "no-store", "x-content-type-options": "nosniff"}, (method, path)
                assert "strict-transport-security" not in answer.headers


def test_no_answer_names_the_host_of_the_caller(server: InProcess, paths: list[str]) -> None:
    """Before anybody is known, no redirect leads to a host that the caller wrote."""
    for path in paths:
        for changed in (path, f"{path}/", path.rstrip("/")):
            answer = server.request("GET", changed or "/", headers={"host": "evil.example.org"})
            assert "evil.example.org" not in f"{answer.headers}{answer.text}", changed


@pytest.mark.parametrize(
    ("proto", "peer", "told"), [("https", "10.9.9.9", True), ("http", "10.9.9.9", False), ("https", "192.0.2.1", False)]
)
def test_https_stays_https(tmp_path: Path, proto: str, peer: str, told: bool) -> None:
    """Browsers that came by https, by the word of a proxy of ours, are told to come by nothing else."""
    folder = sample_folder(tmp_path / "rules")
    trusted = (ip_network("10.0.0.0/8"),)
    with InProcess(folder, environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}, trusted_proxies=trusted) as server:
        for path in ("/join/x", "/healthz", "/policy/v1/service/configuration"):
            answer = server.request("GET", path, headers={"x-forwarded-proto": proto}, peer=peer)
            assert ("strict-transport-security" in answer.headers) is told
