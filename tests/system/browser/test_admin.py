"""The admin's pages in a real browser: on a desk and on a phone, by day and by night, by keyboard, and for screen readers."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.requirements import CHROMIUM
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, RealServer, real_server
from tests.web.samples import KIOSK_PASSWORD, sample_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, HttpCredentials, Page

ADMIN: "Final[HttpCredentials]" = {"username": "admin", "password": "the admin's password"}
ENVIRONMENT: Final = {
    "POLICY_ADMIN_USERNAME": ADMIN["username"],
    "POLICY_ADMIN_PASSWORD": ADMIN["password"],
    "POLICY_PEXIP_USERNAME": USERNAME,
    "POLICY_PEXIP_PASSWORD": PASSWORD,
    "POLICY_SECRET_KEY": SECRET_KEY,
    "KIOSK_PASSWORD": KIOSK_PASSWORD,
}
PAGES: Final = (
    "now",
    "decisions",
    "decisions?alias=moved&ms=x",
    "rules",
    "try",
    "try?question=service&local_alias=%7Balias%7D&link_type=visit",
    "compare",
)
SCREENSHOTS: Final = os.environ.get("ADMIN_SCREENSHOTS", "")
"""A folder for pictures of every page, for people to look at."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with an admin, which has been asked something."""
    folder = tmp_path_factory.mktemp("admin")
    sample_folder(folder / "rules")
    with real_server(folder, environment=ENVIRONMENT) as started:
        with started.client() as node:
            for alias in ("moved", "room-a", "nobody"):
                node.get("/policy/v1/service/configuration", params={"local_alias": alias, "protocol": "sip"})
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@contextmanager
def opened(
    browser: "Browser", server: RealServer, path: str, *, width: int = 1280, scheme: Any = "light"
) -> Iterator["Page"]:
    """A page, on which nothing may go wrong that a browser would complain of."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, http_credentials=ADMIN, base_url=server.url
    )
    try:
        page = context.new_page()
        complaints: list[str] = []
        requested: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        answer = page.goto(f"/admin/{path}")
        assert answer is not None
        assert answer.ok
        yield page
        assert complaints == []
        assert [url for url in requested if not url.startswith((server.url, "data:"))] == []
    finally:
        context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_and_can_be_read(browser: "Browser", server: RealServer, path: str, scheme: str, width: int) -> None:
    """Nothing hangs over the edge, and axe-core finds nothing that keeps somebody from reading: colours, names, order."""
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, server, path, width=width, scheme=scheme) as page:
        for details in page.locator("details").all():
            details.evaluate("each => each.open = true")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if SCREENSHOTS:
            name = path.partition("&")[0].replace("?", "-").replace("/", "-")
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{scheme}-{width}.png", full_page=True)
        found = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_used_by_keyboard(browser: "Browser", server: RealServer, path: str) -> None:
    """Tab comes by everything that can be used, the first time by a link to the content, and it shows where it is."""
    with opened(browser, server, path) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        wanted = page.evaluate(
            "[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]"
            ".filter(each => each.tabIndex >= 0 && each.checkVisibility()).length"
        )
        seen = 0
        while page.evaluate("document.activeElement !== document.body"):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            seen += 1
            assert seen <= wanted
            page.keyboard.press("Tab")
        assert seen == wanted


def test_nothing_of_the_rules_is_hidden_on_a_phone(browser: "Browser", server: RealServer) -> None:
    """Every rule, calendar, trunk and link type has its place there too."""
    with opened(browser, server, "rules", width=390) as page:
        kinds = (".rule", "table.week", "[aria-labelledby=trunks] .card", "[aria-labelledby=links] .card")
        for kind in kinds:
            found = page.locator(kind).all()
            assert found
            assert all(each.is_visible() for each in found), kind


def test_rules_are_found(browser: "Browser", server: RealServer) -> None:
    """A word that is typed and Enter leave the rules that mention it, with what they did, in a URL that can be sent."""
    with opened(browser, server, "rules") as page:
        page.get_by_label("Rules that mention").fill("elsewhere")
        page.keyboard.press("Enter")
        page.wait_for_url("**/rules?q=elsewhere")
        moved = page.locator("#service-moved")
        assert "1 hit" in moved.inner_text()
        assert page.locator(".rule").count() == 1
        page.get_by_role("link", name="Show all").click()
        page.wait_for_url("**/rules")
        assert page.locator(".rule").count() > 5


def test_a_call_is_tried(browser: "Browser", server: RealServer) -> None:
    """A preset answers at once; a changed question has a URL of its own, and whoever opens that sees the same answer."""
    with opened(browser, server, "try") as page:
        page.get_by_role("link", name="Customer in a browser").click()
        page.wait_for_url("**/try?question=service**")
        assert page.locator(".verdict").count() == 1
        page.get_by_label("Parameters as Pexip names them").fill("local_alias=moved\nprotocol=sip")
        page.get_by_label("Type").select_option("")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.wait_for_url("**/try?question=service&local_alias=moved&protocol=sip#result")
        answer = page.locator(".verdict").inner_text()
        assert "redirect by rule moved" in answer
        assert page.locator("tr.hit").inner_text().startswith("5 moved")
        url = page.url
    with opened(browser, server, url.partition("/admin/")[2], width=390) as page:
        assert page.locator(".verdict").inner_text() == answer


def test_what_is_pasted_leaves_no_session_behind(browser: "Browser", server: RealServer) -> None:
    """A line of Pexip's support log is understood, and neither the URL nor the page has the customer's name of the call."""
    from policy_server.policy.links import make_link
    from policy_server.policy.names import Keyring
    from policy_server.rulefiles.store import load_folder

    ruleset = load_folder(server.folder / "rules", datetime.now(UTC), environment=ENVIRONMENT)[0].ruleset
    assert ruleset is not None
    expiry = datetime.now(UTC) + timedelta(hours=1)
    link = make_link(ruleset.links["visit"], Keyring.from_text(SECRET_KEY), expiry, b"1234")
    line = f'Url="https://p/policy/v1/service/configuration?local_alias={link.alias}&protocol=api" Status="200"'
    with opened(browser, server, "try") as page:
        page.get_by_label("Or paste").fill(line)
        page.get_by_role("button", name="Ask what it asks").click()
        page.wait_for_url("**/try?question=service**")
        assert link.call.id in page.url
        assert link.call.session not in page.url + page.content()
        assert "rule customer" in page.locator(".verdict").inner_text()


def test_decisions_are_watched(browser: "Browser", server: RealServer) -> None:
    """A question that is asked while the page is open appears by itself, not while it is paused, and opens to say why."""
    with opened(browser, server, "decisions") as page, server.client() as node:

        def ask(alias: str) -> str:
            answer = node.get("/policy/v1/service/configuration", params={"local_alias": alias, "protocol": "sip"})
            return str(answer.json()["decision_id"])

        page.locator("#state", has_text="Live").wait_for()
        first = ask("room-watched")
        row = page.locator(f"#d-{first}")
        row.wait_for()
        assert page.locator("#rows tr").first.inner_text().split()[4:] != []
        assert "room-watched" in row.inner_text()
        assert "serve" in row.inner_text()
        page.get_by_role("button", name="Pause").click()
        page.locator("#state", has_text="Paused").wait_for()
        second = ask("room-unwatched")
        assert page.locator(f"#d-{second}").count() == 0
        page.get_by_role("button", name="Resume").click()
        page.locator(f"#d-{second}").wait_for()
        page.get_by_text("Filter", exact=True).click()
        page.get_by_label("Alias or call id has").fill("WATCHED")
        page.get_by_label("Outcome").select_option("serve")
        page.get_by_role("button", name="Show", exact=True).click()
        page.wait_for_url("**/decisions?alias=WATCHED&**")
        page.locator("#state", has_text="Live").wait_for()
        ask("moved")
        third = ask("room-watched")
        page.locator(f"#d-{third}").wait_for()
        assert page.locator("#rows tr").count() == 3
        page.locator(f"#d-{first} a").click()
        page.wait_for_url(f"**/decisions/{first}")
        assert "serve by rule named" in page.locator(".verdict").inner_text()
        page.get_by_role("link", name="Try this question").click()
        page.wait_for_url("**/try?question=service**")
        assert "serve by rule named" in page.locator(".verdict").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_one_decision_can_be_read(browser: "Browser", server: RealServer, scheme: str, width: int) -> None:
    """The page of a decision, found by its id, fits, and axe-core finds nothing on it."""
    from axe_playwright_python.sync_playwright import Axe

    with server.client() as node:
        answer = node.get("/policy/v1/service/configuration", params={"local_alias": "nobody", "location": "London"})
    decision_id = answer.json()["decision_id"]
    with opened(browser, server, "decisions", width=width, scheme=scheme) as page:
        page.get_by_label("Find by decision_id").fill(decision_id)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/decisions/{decision_id}")
        assert page.locator("tr.miss").count() > 3
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        found = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def test_decisions_without_script(browser: "Browser", server: RealServer) -> None:
    """Where no script runs the table is there, and loading the page again brings what came since."""
    context = browser.new_context(http_credentials=ADMIN, base_url=server.url, java_script_enabled=False)
    with server.client() as node:
        page = context.new_page()
        page.goto("/admin/decisions")
        assert page.locator("#pause").is_hidden()
        answer = node.get("/policy/v1/service/configuration", params={"local_alias": "room-plain"})
        page.get_by_role("link", name="Load again").click()
        assert page.locator(f"#d-{answer.json()['decision_id']}").count() == 1
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_rules_are_compared(browser: "Browser", server: RealServer, scheme: str, width: int) -> None:
    """The rules folder is chosen and one changed file pasted: how many questions would be answered differently is said, with
    both answers, and axe-core finds nothing in the way of reading them.
    """
    from axe_playwright_python.sync_playwright import Axe

    folder = server.folder / "rules"
    changed = next(path for path in folder.glob("*.yaml") if "id: moved" in path.read_text(encoding="utf-8"))
    text = changed.read_text(encoding="utf-8").replace("redirect: elsewhere@video.example.com", "reject: Moved away")
    with opened(browser, server, "compare", width=width, scheme=scheme) as page:
        page.get_by_label("Or choose the rules folder").set_input_files(folder)
        page.get_by_label("Paste rules").fill(f"# file: {changed.name}\n{text}")
        page.get_by_role("button", name="Compare").click()
        page.wait_for_url("**/compare#result", timeout=60_000)
        assert re.match(
            r"[1-9]\d* of \d+ questions would be answered differently", page.locator(".verdict").inner_text()
        )
        page.get_by_text("Both answers").first.click()
        assert "Moved away" in page.locator(".both pre").nth(1).inner_text()
        for details in page.locator("details").all():
            details.evaluate("each => each.open = true")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"compared-{scheme}-{width}.png", full_page=True)
        assert [each["id"] for each in Axe().run(page).response["violations"]] == []
        page.get_by_label("Paste rules").fill("service: [{ id: a, when: { locl_alias: x }, reject: No }]")
        page.get_by_role("button", name="Compare").click()
        page.get_by_text("These rules cannot be used").wait_for(timeout=60_000)
        assert "did you mean 'local_alias'?" in page.locator(".said").inner_text()
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"compare-refused-{scheme}-{width}.png", full_page=True)
