"""The pictures of the admin's pages in the READMEs: ``make pictures``.

An afternoon of the bank is played in this process, and Chromium takes pictures of its pages. Look at each before it is kept.
``--folder`` puts them elsewhere.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from PIL import Image
from starlette.types import Receive, Scope, Send

from policy_server.lab.serving import serving
from policy_server.simulator.exchange import basic
from tests.afternoon.bank import ADMIN, RULES, Bank, Clock, running_bank
from tests.afternoon.played import AGENTS, BEGINS, FEATURED, VISITS, play
from tests.requirements import CHROMIUM
from tests.system.browser.stage import SCREENSHOTS

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

WIDTH: Final = 1280
PHONE: Final = 390, 844
LARGE: Final = 100_000
"""Bytes of a picture from which on it is made of fewer colours."""
COLOURS: Final = 256
MARGIN: Final = 8
"""Pixels that are kept below what is worth seeing."""

HOURS: Final = "20-hours.yaml"
LUNCH: Final = '["09:00-12:00", "13:30-17:00"]', '["09:00-17:00"]'
"""What the hours of branches are, and what they are in the rules that are compared."""


@dataclass(frozen=True, slots=True)
class Photographer:
    """Opens pages of a server, and puts pictures of them into a folder."""

    browser: "Browser"
    url: str
    folder: Path

    @asynccontextmanager
    async def opened(self, path: str, width: int = WIDTH, *, dark: bool = False) -> "AsyncIterator[Page]":
        """A page."""
        context = await self.browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            # Not by being asked first, which the server would note as somebody without a password.
            extra_http_headers={"authorization": basic(*ADMIN)},
            base_url=self.url,
            locale="en-GB",
        )
        page = await context.new_page()
        answer = await page.goto(f"/admin/{path}")
        if answer is None or not answer.ok:
            raise RuntimeError(f"/admin/{path} is not answered")
        yield page
        await context.close()

    async def shoot(self, page: "Page", name: str, height: float) -> None:
        """Takes a picture of a page from its top to a height."""
        path = self.folder / f"{name}.png"
        width = await page.evaluate("innerWidth")
        await page.screenshot(
            path=path, clip={"x": 0, "y": 0, "width": width, "height": height}, full_page=True, animations="disabled"
        )
        if path.stat().st_size > LARGE:
            with Image.open(path) as taken:
                of_few_colours(taken.convert("RGB")).save(path, optimize=True)
        print(f"{path}: {width} x {height:.0f}, {path.stat().st_size // 1000} kB")


def of_few_colours(picture: Image.Image) -> Image.Image:
    """A picture of its most frequent colours, and the others as the nearest of these: a red that marks one thing must not become
    the mean of it and others.
    """
    counted: list[tuple[int, Any]] = picture.getcolors(picture.width * picture.height) or []
    kept = [colour for _, colour in sorted(counted, reverse=True)[:COLOURS]]
    place = {
        colour: min(
            range(len(kept)), key=lambda number: sum((a - b) ** 2 for a, b in zip(kept[number], colour, strict=True))
        )
        for _, colour in counted
    }
    parts = picture.tobytes()
    pixels = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    found = Image.frombytes("P", picture.size, bytes(place[colour] for colour in pixels))
    found.putpalette([part for colour in kept for part in colour])
    return found


async def below(page: "Page", selector: str, place: int = 0) -> float:
    """Where the first element of a selector ends, or another one, in pixels from the top of the page."""
    box = await page.locator(selector).nth(place).bounding_box()
    if box is None:
        raise RuntimeError(f"there is no {selector} to be seen")
    scrolled: float = await page.evaluate("scrollY")
    return scrolled + box["y"] + box["height"] + MARGIN


def hours_without_lunch() -> str:
    """The rules' file of hours, if branches were open at lunch."""
    text = Path(RULES, HOURS).read_text(encoding="utf-8")
    if LUNCH[0] not in text:
        raise RuntimeError("the hours of branches are other ones by now")
    return text.replace(*LUNCH)


async def take(bank: Bank, at: Photographer) -> None:
    """Takes all pictures."""
    async with at.opened("now") as page:
        await at.shoot(page, "admin-now", await below(page, "[data-figure=legs]"))
    async with at.opened("now", PHONE[0], dark=True) as page:
        await at.shoot(page, "admin-now-phone", PHONE[1])
    async with at.opened("decisions") as page:
        await page.locator("#state", has_text="Live").wait_for()
        await at.shoot(page, "admin-decisions", await below(page, "#rows tr", 15) - MARGIN)
    refused = next(each for each in reversed(bank.judged) if each.fields.get("rule") == "help-refused")
    async with at.opened(f"decisions/{refused.fields['decision_id']}") as page:
        await at.shoot(page, "admin-decision", await below(page, "pre"))
    async with at.opened(f"calls?name={quote(FEATURED)}") as page:
        await page.locator("main table a").first.click()
        await page.wait_for_url("**/calls/*")
        await page.goto(f"{page.url.partition('?')[0]}?zone=Europe/Zurich")
        await at.shoot(page, "admin-call", await below(page, "main table tr", 12) - MARGIN)
    async with at.opened("rules") as page:
        await at.shoot(page, "admin-rules", await below(page, ".rule", 2) - MARGIN)
    async with at.opened("compare") as page:
        await page.get_by_label("Or choose the rules folder").set_input_files(RULES)
        await page.get_by_label("Paste rules").fill(f"# file: {HOURS}\n{hours_without_lunch()}")
        await page.get_by_role("button", name="Compare").click()
        await page.wait_for_url("**/compare#result", timeout=60_000)
        await page.get_by_text("Both answers").first.click()
        await at.shoot(page, "admin-compare", await below(page, ".both"))


async def main(folder: Path, visits: int = VISITS) -> int:
    """Plays the afternoon, and takes the pictures of it."""
    from playwright.async_api import async_playwright

    with TemporaryDirectory(prefix="policy-server-pictures-") as place:
        async with running_bank(Path(place), Clock(BEGINS), AGENTS) as bank:
            await play(bank, visits)
            if bank.faults:
                print(*bank.faults, sep="\n", file=sys.stderr)
                return 1

            async def pages(scope: Scope, receive: Receive, send: Send) -> None:
                if scope["type"] != "http":  # It runs already.
                    raise RuntimeError("only requests are answered")
                await bank.app(scope, receive, send)

            async with serving(pages) as url, async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
                )
                await take(bank, Photographer(browser, url, folder))
                await browser.close()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Takes the pictures of the admin's pages that are in the READMEs.")
    parser.add_argument("--folder", type=Path, default=SCREENSHOTS, help="where they are put (default: %(default)s)")
    sys.exit(asyncio.run(main(parser.parse_args().folder.resolve())))
