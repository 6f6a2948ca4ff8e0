"""The page Now in a real browser: quiet, busy and with things broken, and renewed while somebody looks at it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.site import SETTINGS
from tests.servers import RealServer, real_server, write_rules
from tests.system.browser.busy_day import CALLS, fill
from tests.system.browser.test_admin import ENVIRONMENT, SCREENSHOTS, browser, opened
from tests.waiting import eventually
from tests.web.samples import RULES, sample_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]

READ_BY = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server after a busy day. Its Management Node is away, and so is who is told of calls; its rules are spoilt later."""
    folder = tmp_path_factory.mktemp("now")
    sample_folder(folder / "rules")
    fill(folder, datetime.now(UTC))
    with real_server(folder, environment={**SETTINGS, **ENVIRONMENT}) as started:
        ask(started, 40)
        write_rules(folder / "rules", RULES.replace("room: visit", "room: vist"))
        with started.client() as client:
            eventually(lambda: client.get("/readyz").json()["reload"]["refused"])
            eventually(lambda: client.get("/readyz").json()["management"]["state"] == "away")
        yield started


def ask(server: RealServer, times: int) -> None:
    """Questions of a node."""
    with server.client() as node:
        for number in range(times):
            alias = ("moved", "room-a", "nobody", f"mp{'a' * 32}")[number % 4]
            node.get("/policy/v1/service/configuration", params={"local_alias": alias, "location": "DMZ"})


@pytest.mark.parametrize(("scheme", "width"), READ_BY)
def test_a_busy_page_with_things_broken_can_be_read(
    browser: "Browser", server: RealServer, scheme: str, width: int
) -> None:
    """What is broken comes first, in words; nothing hangs over the edge, and axe-core finds nothing."""
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, server, "now", width=width, scheme=scheme) as page:
        headline = page.locator(".headline").inner_text()
        assert headline == "Broken: Management Node. Needs a look: Rules."
        assert page.locator(".state").first.inner_text().startswith("Management Node broken")
        box = page.locator(".headline").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 300
        for details in page.locator("details").all():
            details.evaluate("each => each.open = true")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"now-busy-{scheme}-{width}.png", full_page=True)
        found = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def test_the_page_shows_the_day(browser: "Browser", server: RealServer) -> None:
    """Customers who wait and talk, and the calls of six hours as bars and as a table, are those of the database."""
    with opened(browser, server, "now") as page:
        assert page.locator("[data-figure=waiting]").inner_text() == "3"
        assert page.locator("[data-figure=talking]").inner_text() == "1"
        calls = page.locator("[data-figure=calls]")
        assert "50 answered" in calls.inner_text()
        assert "10 failed" in calls.inner_text()
        calls.get_by_text("As a table").click()
        numbers = [int(text) for text in calls.locator("td").all_inner_texts()]
        assert sum(numbers) == CALLS


def test_words_about_nodes_stay_whole(browser: "Browser", server: RealServer) -> None:
    """On a phone the table of nodes breaks its lines between words, also where a location has a long name."""
    with server.client() as node:
        where = {"local_alias": "room-a", "location": "Branches in the north"}
        node.get("/policy/v1/service/configuration", params=where)
    with opened(browser, server, "now", width=390) as page:
        lines = page.evaluate(
            """() => [...document.querySelectorAll(".nodes td:last-child")].map(cell => {
              const range = document.createRange();
              range.setStart(cell.firstChild, cell.textContent.indexOf("question"));
              range.setEnd(cell.firstChild, cell.textContent.trimEnd().length);
              return range.getClientRects().length;
            })"""
        )
        assert lines == [1]
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_page_renews_itself(browser: "Browser", server: RealServer) -> None:
    """What changes is put in where it is: what is folded out, the focus and the place on the page stay."""
    with opened(browser, server, "now") as page:
        before = page.locator("[data-figure=nodes] td").nth(2).inner_text()
        folded = page.locator("#table-legs summary")
        folded.click()
        folded.focus()
        page.evaluate("scrollTo(0, 400)")
        ask(server, 4)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_function(
            "before => document.querySelectorAll('[data-figure=nodes] td')[2].textContent !== before", arg=before
        )
        assert page.evaluate("scrollY") == 400
        assert page.locator("#table-legs").evaluate("each => each.open")
        assert page.evaluate("document.activeElement.closest('details').id") == "table-legs"


def test_a_page_that_is_not_answered_says_so(browser: "Browser", server: RealServer) -> None:
    """Nobody takes figures of before for those of now."""
    with opened(browser, server, "now") as page:
        assert not page.locator("#stale").is_visible()
        page.evaluate("() => { window.fetch = () => Promise.reject(new Error('away')) }")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.locator("#stale").wait_for(state="visible")


def test_the_page_is_renewed_without_scripts_too(browser: "Browser", server: RealServer) -> None:
    """Whoever lets no script run has the browser load it again."""
    with opened(browser, server, "now") as page:
        assert page.locator("noscript").inner_html().strip() == '<meta http-equiv="refresh" content="10">'
