"""``/admin/``: who is let in, what a browser may do with its pages, and what pages may take from calls."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_server.settings import Credentials
from policy_server.web.admin.door import PAGES
from policy_server.web.admission import Admission
from policy_server.web.problem import TYPE_ROOT
from tests.servers import InProcess, basic
from tests.web.samples import KIOSK_PASSWORD, sample_folder

PATHS = (
    "/admin",
    "/admin/",
    "/admin/now",
    "/admin/decisions",
    "/admin/rules",
    "/admin/try",
    "/admin/calls",
    "/admin/assets/admin.css",
)
ADMIN = Credentials("admin", "the admin's password")
GOOD = basic(ADMIN.username, ADMIN.password)
ENVIRONMENT = {"KIOSK_PASSWORD": KIOSK_PASSWORD}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good rules."""
    return sample_folder(tmp_path_factory.mktemp("admin") / "rules")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[InProcess]:
    """A server with an admin."""
    with InProcess(folder, environment=ENVIRONMENT, admin=ADMIN) as started:
        yield started


@pytest.mark.parametrize("path", PATHS)
def test_there_are_no_pages_without_an_admin(folder: Path, path: str) -> None:
    """Without POLICY_ADMIN_USERNAME nothing is there, whoever asks from wherever."""
    with InProcess(folder, environment=ENVIRONMENT) as plain:
        for authorization in (None, GOOD, basic(), basic("", "")):
            assert plain.request("GET", path, authorization=authorization).status_code == 404


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.77"])
def test_only_the_admin_is_let_in(server: InProcess, path: str, peer: str) -> None:
    """Nobody sees a page without the admin's password, not from this machine either, and nodes do not with theirs."""
    for authorization in (None, basic(), basic(ADMIN.username, "wrong"), "Bearer x"):
        response = server.request("GET", path, peer=peer, authorization=authorization)
        assert (response.status_code, response.json()["type"]) == (401, f"{TYPE_ROOT}unauthorized")
        assert response.headers["www-authenticate"].startswith("Basic ")
    assert server.request("GET", path, peer=peer, authorization=GOOD).status_code in {200, 303}


@pytest.mark.parametrize("path", ["/admin/decisions/events", "/admin/decisions/0-1"])
def test_what_belongs_to_pages_is_for_the_admin_too(server: InProcess, path: str) -> None:
    """A stream does not begin, and nothing is said of a decision, for anybody else."""
    for authorization in (None, basic(), basic(ADMIN.username, "wrong")):
        assert server.request("GET", path, authorization=authorization).status_code == 401


@pytest.mark.parametrize(("path", "leads"), [("/admin", f"admin/{PAGES[0][0]}"), ("/admin/", PAGES[0][0])])
def test_the_front_leads_to_the_first_page(server: InProcess, path: str, leads: str) -> None:
    """The way on is relative, so it holds below whatever path a proxy has."""
    response = server.request("GET", path, authorization=GOOD)
    assert (response.status_code, response.headers["location"]) == (303, leads)


@pytest.mark.parametrize("path", PATHS)
def test_a_browser_loads_nothing_from_elsewhere(server: InProcess, path: str) -> None:
    """Pages run no script from elsewhere nor any in the text, are shown in no frame, are kept nowhere, and name no referrer."""
    headers = server.request("GET", path, authorization=GOOD).headers
    directives = {part.split()[0]: part.split()[1:] for part in headers["content-security-policy"].split(";")}
    assert directives["default-src"] == ["'none'"]
    assert directives["frame-ancestors"] == ["'none'"]
    allowed = {source for sources in directives.values() for source in sources}
    assert allowed <= {"'none'", "'self'", "data:"}
    assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["endpoints.py", "..%2fendpoints.py", "%2e%2e/endpoints.py", "rules.html", ""])
def test_no_other_file_is_handed_out(server: InProcess, name: str) -> None:
    """Of the files beside the pages browsers get those that pages need, and no other."""
    assert server.request("GET", f"/admin/assets/{name}", authorization=GOOD).status_code == 404


@pytest.mark.parametrize("path", ["/admin/rules", "/admin/"])
def test_pages_are_only_read(server: InProcess, path: str) -> None:
    """Nothing can be posted to a page that is there to be looked at."""
    assert server.request("POST", path, authorization=GOOD).status_code == 405


def test_pages_wait_for_their_turn(server: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """While too many pages are wanted at once, the next is told to come back, and calls are answered."""

    async def refuse(self: Admission) -> None:
        raise self._refusal()

    monkeypatch.setattr(Admission, "__aenter__", refuse)
    response = server.request("GET", "/admin/rules", authorization=GOOD)
    assert (response.status_code, response.json()["type"]) == (503, f"{TYPE_ROOT}busy")
    assert response.headers["retry-after"]
    assert server.ask("/service/configuration", local_alias="moved")["rule"] == "moved"


def test_few_pages_are_made_at_a_time(server: InProcess) -> None:
    """However many ask at once, all get their page and no more than two are made at a time."""
    making, most = 0, 0
    enter, leave = Admission.__aenter__, Admission.__aexit__

    async def entered(self: Admission) -> None:
        nonlocal making, most
        await enter(self)
        making += 1
        most = max(most, making)

    async def left(self: Admission, *_: object) -> None:
        nonlocal making
        making -= 1
        await leave(self)

    async def all_at_once() -> list[int]:
        import httpx

        transport = httpx.ASGITransport(app=server.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://policy.example.com") as client:
            asked = (client.get("/admin/rules", headers={"authorization": GOOD}) for _ in range(10))
            return [response.status_code for response in await asyncio.gather(*asked)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Admission, "__aenter__", entered)
        patch.setattr(Admission, "__aexit__", left)
        assert server.run(all_at_once()) == [200] * 10
    assert most == 2
