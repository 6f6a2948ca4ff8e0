"""The page Calls in a real browser: a call is found, opened, looked at and copied, on a desk and on a phone."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from tests.rule_sets import SECRET
from tests.servers import RealServer, real_server, write_rules
from tests.system.browser import test_admin as pages
from tests.web.admin import played_calls as played
from tests.web.admin.played_calls import INTERPRETER, NUMBERS, PATIENT, RULES, call_id

if TYPE_CHECKING:
    from playwright.sync_api import Browser

browser = pages.browser
LIST: Final = "calls?since=2026-11-22&until=2026-11-25&zone=America/Chicago"
PATHS: Final = {
    "list": LIST,
    "nothing found": "calls?since=2020-01-01&until=2020-01-02",
    "faults": "calls?since=yesterday&verdict=answerd&zone=CET&attribute=x&nme=2",
    **{name: f"calls/{call_id(name)}?zone=America/Chicago" for name in NUMBERS},
    "interpreter": f"calls/{INTERPRETER.id}",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server on a database with calls of every kind."""
    folder = tmp_path_factory.mktemp("calls")
    write_rules(folder / "rules", RULES)
    url = f"sqlite:///{folder}/policy.db"

    played.fill_database(url)
    own = {"POLICY_DATABASE_URL": url, "POLICY_SECRET_KEY": SECRET.decode()}
    with real_server(folder, environment={**pages.ENVIRONMENT, **own}) as started:
        yield started


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_pages_fit_and_can_be_read(browser: "Browser", server: RealServer, path: str, scheme: str, width: int) -> None:
    """Every kind of call, on a desk and on a phone, by day and by night, as every other page."""
    pages.test_pages_fit_and_can_be_read(browser, server, path, scheme, width)


@pytest.mark.parametrize("name", ["list", "faults", "good"])
def test_pages_are_used_by_keyboard(browser: "Browser", server: RealServer, name: str) -> None:
    """Tab comes by everything that can be used, and by none of the hundred things in a picture."""
    pages.test_pages_are_used_by_keyboard(browser, server, PATHS[name])


@pytest.mark.parametrize("width", [1280, 390])
def test_a_call_is_found_and_opened(browser: "Browser", server: RealServer, width: int) -> None:
    """A customer called at five past nine and waited for nobody: a time that is typed, Enter, and the call says why."""
    with pages.opened(browser, server, LIST, width=width) as page:
        page.get_by_label("From", exact=True).fill("2026-11-23 08:55")
        page.get_by_label("Until", exact=True).fill("2026-11-23 09:05")
        page.keyboard.press("Enter")
        page.wait_for_url("**/calls?since=2026-11-23+08%3A55&until=2026-11-23+09%3A05**")
        (row,) = page.locator(".calls tbody tr").all()
        assert "no agent joined" in row.inner_text()
        row.get_by_role("link").click()
        page.wait_for_url(f"**/calls/room-{NUMBERS['nobody']}?zone=America%2FChicago")
        assert "waited 4 min 20 s and left; no agent joined." in page.locator(".verdict").inner_text()
        lanes = page.locator(".lane:not(.axis)")
        assert lanes.count() == 4
        shapes = page.locator(".timeline .track rect.stays, .timeline .track rect.talks")
        boxes = [box for each in shapes.all() if (box := each.bounding_box()) is not None]
        assert len(boxes) == 3
        assert all(box["width"] > 5 and box["x"] > 0 and box["x"] + box["width"] <= width for box in boxes)
        assert page.locator("figure[aria-labelledby][aria-describedby]").count() == 1
        assert "14:59:59" not in page.locator("main").inner_text()


def test_the_picture_leads_to_the_words(browser: "Browser", server: RealServer) -> None:
    """A click on what is drawn shows the line that tells of it."""
    with pages.opened(browser, server, PATHS["second leg"]) as page:
        page.locator(".leg .vain").first.click()
        line = page.locator(".entries tr:target")
        assert "trunk_dialled" in line.inner_text()
        page.locator(".actions .moment").click()
        assert "The next entry of 'customer' is dialled" in line.inner_text()


def test_the_json_is_copied(browser: "Browser", server: RealServer) -> None:
    """The button puts into the clipboard what the link beside it shows, and says that it did."""
    with pages.opened(browser, server, PATHS["good"]) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        assert page.locator("h1").inner_text() == PATIENT
        page.get_by_role("button", name="Copy as JSON for a support case").click()
        page.get_by_text("Copied.").wait_for()
        copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
        page.get_by_role("link", name="Show the JSON").click()
        page.wait_for_url("**/call.json")
        assert json.loads(page.locator("pre").inner_text()) == copied
        assert copied["call"] == call_id("good")


def test_it_works_without_a_script(browser: "Browser", server: RealServer) -> None:
    """Everything is there, the JSON by a link; no button that would do nothing."""
    context = browser.new_context(java_script_enabled=False, http_credentials=pages.ADMIN, base_url=server.url)
    try:
        page = context.new_page()
        page.goto(f"/admin/{PATHS['good']}")
        assert page.get_by_role("button", name="Copy as JSON").count() == 0
        assert page.get_by_role("link", name="Show the JSON").is_visible()
        assert page.locator(".lane").count() == 7
    finally:
        context.close()


def test_calls_lead_to_one_another(browser: "Browser", server: RealServer) -> None:
    """From a call to the interpreter's, back, and to the list, in the time zone that was chosen."""
    with pages.opened(browser, server, PATHS["joined"]) as page:
        page.get_by_role("link", name="Maria R").click()
        page.wait_for_url(f"**/calls/{INTERPRETER.id}?zone=America/Chicago")
        page.get_by_role("link", name="another call").click()
        page.wait_for_url(f"**/calls/{call_id('joined')}?zone=America/Chicago")
        page.get_by_label("Time zone").fill("Europe/Zurich")
        page.get_by_role("button", name="Show times there").click()
        page.wait_for_url("**?zone=Europe%2FZurich")
        assert "18:00:00" in page.locator(".entries").inner_text()
