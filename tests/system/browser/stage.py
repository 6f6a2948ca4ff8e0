"""A call on stage: people in a real browser, a real SIP trunk, and all else of the lab on loopback.

Everything runs in one event loop, so that a scene can look behind the curtain: at the room, the trunk and the
conversations themselves.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from policy_server.lab.examples import EXAMPLES
from policy_server.lab.node.people import Presence
from policy_server.lab.sip.trunk import Invite
from policy_server.lab.wiring import LINK_TYPE, Lab
from policy_server.simulator.exchange import bearer
from policy_server.web.links import PATH as LINKS
from tests.requirements import CHROMIUM
from tests.waiting import PATIENCE, WHOLE_PATIENCE

if TYPE_CHECKING:
    from playwright.async_api import Browser, FrameLocator, Locator, Page, Playwright

ARGUMENTS: Final = (
    "--use-fake-device-for-media-stream=fps=10",
    "--use-fake-ui-for-media-stream",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Addresses as they are: nobody here resolves names of mDNS.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)

SCREENSHOTS: Final = EXAMPLES / "screenshots"

CUSTOMER: Final = "Ada L"
MARIA: Final = "Maria Silva"
TOM: Final = "Tom Becker"
TRUNK_LEG: Final = "Contact centre"
NUMBER: Final = "+13129998045"
REQUEST_URI: Final = f"sip:{NUMBER}@clinic.byoc.example"

POLL_SECONDS: Final = 0.02
ADP_DELAY: Final = 0.4
PICTURES: Final = 5
"""How many pictures of somebody must arrive."""

Act = Callable[["Scene"], Awaitable[None]]


class Theatre:
    """A browser for the tests of a module. Close it, however far ``open`` came."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner: Final = runner
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    @property
    def browser(self) -> "Browser":
        """The browser that was opened."""
        assert self._browser is not None
        return self._browser

    async def open(self) -> None:
        """Starts it."""
        from playwright.async_api import async_playwright

        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

    async def close(self) -> None:
        """Ends it and its processes."""
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a test plays its scene."""

    theatre: Theatre
    logs: Path

    def play(self, act: Act, **options: Any) -> None:
        """Plays one scene in a lab of its own; ``options`` are those of ``Lab.running``."""
        self.theatre.runner.run(self._play(act, {"adp_delay": ADP_DELAY, "examples": EXAMPLES, **options}))

    async def _play(self, act: Act, options: dict[str, Any]) -> None:
        async with (
            asyncio.timeout(WHOLE_PATIENCE),
            Lab.running(self.logs, **options) as lab,
            AsyncExitStack() as people,
        ):
            scene = Scene(lab, self.theatre.browser, people)
            lab.trunk.on_end(scene.ended.append)
            lab.calls.ring_at = "maria"
            try:
                await act(scene)
            except Exception as error:
                error.add_note(await scene.describe())
                raise
            assert scene.faults == []


@dataclass(frozen=True, slots=True)
class Scene:
    """What a test sees and does."""

    lab: Lab
    browser: "Browser"
    people: AsyncExitStack
    ended: list[Invite] = field(default_factory=list)
    """The calls that the room ended, by BYE or CANCEL."""
    faults: list[str] = field(default_factory=list)
    """Errors that no page caught."""
    pages: "dict[str, Page]" = field(default_factory=dict)

    async def customer(self) -> "Customer":
        """A customer who asks for a visit at the customer page, and is led into the room."""
        assert self.lab.pages is not None
        page = await self.page("customer")
        await page.goto(self.lab.pages.customer_url)
        await page.get_by_test_id("name").fill(CUSTOMER)
        await page.get_by_test_id("language").select_option("es")
        await page.get_by_test_id("start").click()
        return Customer(page)

    async def agent(self, word: str = "maria") -> "Agent":
        """An agent who sits before the desktop."""
        assert self.lab.pages is not None
        page = await self.page(word)
        await page.goto(f"{self.lab.pages.desktop_url}/?agent={word}")
        await page.get_by_test_id("idle").wait_for()
        return Agent(word, page)

    async def page(self, who: str) -> "Page":
        """A page in a browser that nobody else uses."""
        context = await self.browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
        self.people.push_async_callback(context.close)
        context.set_default_timeout(PATIENCE * 1000)
        context.on("weberror", lambda fault: self.faults.append(f"{who}: {fault.error}"))
        page = await context.new_page()
        self.pages[who] = page
        return page

    async def make_link(self) -> tuple[str, str]:
        """Call id and URL of a link that nobody has opened yet."""
        async with httpx.AsyncClient(trust_env=False) as http:
            wanted = {"type": LINK_TYPE, "name": CUSTOMER, "attributes": {"language": "es"}}
            answer = await http.post(
                self.lab.policy_url + LINKS, json=wanted, headers={"authorization": bearer(self.lab.api_key)}
            )
        made = answer.json()
        return str(made["call"]), str(made["url"])

    async def call(self) -> "tuple[Customer, Agent]":
        """A call that goes on: the customer and Maria see each other."""
        agent, customer = await self.agent(), await self.customer()
        await agent.answer()
        await agent.expect_seen()
        await customer.expect_pictures()
        return customer, agent

    @property
    def call_id(self) -> str:
        """The call id of the only call, as the trunk was told it."""
        (invite,) = self.lab.trunk.invites
        return invite.from_user

    @property
    def room(self) -> list[str]:
        """Who is in the only room, in the order in which they came; nobody when there is none. Not those on the way."""
        people = [one for meeting in self.lab.node.meetings.values() for one in meeting.participants]
        return [one.display_name for one in people if one.is_on_roster and one.presence is Presence.IN]

    async def expect_room(self, *names: str) -> None:
        """Waits until these and no others are in the room."""
        await until(lambda: self.room == list(names), lambda: f"the room {names}, but it is {self.room}")

    def expect_one_invite(self) -> None:
        """The trunk saw one call, named like the customer, with the call id as its address."""
        (invite,) = self.lab.trunk.invites
        assert (invite.request_uri, invite.to) == (REQUEST_URI, REQUEST_URI)
        assert invite.from_display_name == CUSTOMER
        (name,) = self.lab.node.meetings or (self.call_id,)
        assert name == self.call_id

    async def story(self, call_id: str) -> list[str]:
        """The texts of the timeline that agents get with a lookup, without what nodes asked.

        Of an agent's lookups only the first: further ones are noted when another minute has begun.
        """
        found = await self.lab.look_up(call_id)
        assert found is not None
        lines: Any = found["timeline"]
        texts = [line["text"] for line in lines if line["kind"] != "policy.answered"]
        return [text for at, text in enumerate(texts) if "looked up" not in text or text not in texts[:at]]

    async def expect_story(self, *texts: str, call_id: str = "") -> None:
        """Waits until the timeline is this one."""
        told: list[str] = []

        async def is_told() -> bool:
            told[:] = await self.story(call_id or self.call_id)
            return told == list(texts)

        with suppress(AssertionError):
            await until(is_told, lambda: "the timeline")
        assert told == list(texts)

    def change_rules(self, written: str, instead: str) -> None:
        """Puts something else in the rules of the clinic, and has the server load them."""
        rules = self.lab.settings.rules / "clinic.yaml"
        text = rules.read_text(encoding="utf-8")
        assert written in text
        rules.write_text(text.replace(written, instead, 1), encoding="utf-8")
        assert self.lab.rules.reload()

    async def shoot(self, name: str, page: "Page", height: int) -> None:
        """Takes a picture of a page of this height: for the README when ``POLICY_SCREENSHOTS`` is set, else for whoever looks."""
        folder = SCREENSHOTS if os.environ.get("POLICY_SCREENSHOTS") else self.lab.logs
        folder.mkdir(exist_ok=True)
        await page.set_viewport_size({"width": 1280, "height": height})
        await page.screenshot(path=folder / f"{name}.png", animations="disabled")

    async def describe(self) -> str:
        """What there is to see when something went wrong."""
        lines = [f"room: {self.room}", f"invites: {self.lab.trunk.invites}", f"faults: {self.faults}"]
        for who, page in self.pages.items():
            for frame in page.frames if not page.is_closed() else []:
                try:
                    text = await frame.inner_text("body", timeout=1000)
                except Exception as error:
                    text = str(error)
                lines.append(f"{who} at {frame.url.partition('?')[0]}: {text!r}")
        for invite in self.lab.trunk.invites:
            lines += await self.story(invite.from_user)
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer and the page that the link leads to."""

    page: "Page"

    async def expect_state(self, state: str) -> None:
        """Waits until the page is so: ``waiting``, ``connected``, ``ended``…"""
        await expect_state(self.page.get_by_test_id("state"), state)

    async def frames(self) -> int:
        """How many pictures of the agent have come."""
        stats = await self.page.evaluate("labStats()")
        return int(stats["framesReceived"])

    async def expect_pictures(self) -> None:
        """Waits until pictures come."""
        await expect_more(self.frames)

    async def last_picture(self, seconds: float) -> float:
        """Watches for some time; when the last picture came, in seconds from now, 0 for none."""
        loop = asyncio.get_running_loop()
        begin, count, last = loop.time(), await self.frames(), 0.0
        while (now := loop.time() - begin) < seconds:
            if (frames := await self.frames()) > count:
                count, last = frames, now
            await asyncio.sleep(POLL_SECONDS)
        return last

    async def first_picture(self) -> float:
        """Waits for the next picture; after how many seconds it came."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await expect_more(self.frames, 1)
        return loop.time() - begin


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent, the desktop, and the widget in the interaction."""

    word: str
    page: "Page"

    @property
    def widget(self) -> "FrameLocator":
        """The widget that the desktop embeds."""
        return self.page.frame_locator("[data-testid=widget]")

    def told(self, name: str) -> "Locator":
        """An element of the widget."""
        return self.widget.get_by_test_id(name)

    async def found_by(self) -> str | None:
        """By what of the customer the widget found the conference."""
        return await self.widget.locator("body").get_attribute("data-found-by")

    async def press(self, command: str) -> None:
        """Presses a button of the desktop and waits until the command is done."""
        async with self.page.expect_response(lambda response: response.url.endswith(f"/{command}")) as done:
            await self.page.get_by_test_id(command).click()
        answer = await done.value
        assert answer.ok, await answer.text()

    async def answer(self) -> None:
        """Takes the call that rings."""
        await self.press("answer")

    async def expect_state(self, state: str, message: str = "") -> None:
        """Waits until the widget is in this state and says this sentence."""
        from playwright.async_api import expect

        await expect_state(self.widget.locator("body"), state)
        await expect(self.told("message")).to_have_text(message, timeout=PATIENCE * 1000)

    async def expect_seen(self) -> None:
        """Waits until the widget is in the room, shown to the customer, and says so."""
        from playwright.async_api import expect

        await self.expect_state("joined")
        await expect(self.told("seen")).to_have_text("The customer can see you", timeout=PATIENCE * 1000)

    async def expect_people(self, *people: str) -> None:
        """Waits until the widget lists these in the room."""
        from playwright.async_api import expect

        await expect(self.told("participants").locator("li")).to_have_text(people, timeout=PATIENCE * 1000)

    async def expect_picture(self) -> None:
        """Waits until the widget plays moving pictures of the customer."""
        video = self.told("customer-video")
        await expect_more(lambda: video.evaluate("video => video.getVideoPlaybackQuality().totalVideoFrames"))

    async def neighbour(self) -> Self:
        """The same agent's desktop in another tab of the same browser."""
        page = await self.page.context.new_page()
        await page.goto(self.page.url)
        return type(self)(self.word, page)


async def until(probe: Callable[[], object], what: Callable[[], str]) -> None:
    """Asks until the answer, which may be awaited, is yes; after the deadline says what it waited for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        answer = probe()
        if isawaitable(answer):
            answer = await answer
        if answer:
            return
        assert loop.time() < deadline, f"waited for {what()}"
        await asyncio.sleep(POLL_SECONDS)


async def expect_more(count: Callable[[], Awaitable[int]], more: int = PICTURES) -> None:
    """Waits until there are so many more pictures."""
    before = await count()

    async def have_come() -> bool:
        return await count() >= before + more

    await until(have_come, lambda: f"{more} pictures")


async def expect_state(body: "Locator", state: str) -> None:
    """Waits until a page says that it is in this state."""
    from playwright.async_api import expect

    await expect(body).to_have_attribute("data-state", state, timeout=PATIENCE * 1000)


_OPENED: Final = (
    "The link was made by 'lab'.",
    "A customer opened the link and was let in.",
    "The conference started.",
)

UNHEARD: Final = (*_OPENED, f"{CUSTOMER} joined.", f"{NUMBER} was dialled.")
"""The timeline of a call that nobody has answered."""

ANSWERED: Final = (
    *_OPENED,
    f"{CUSTOMER} joined as Guest.",
    f"{NUMBER} was dialled.",
    f"{NUMBER} answered.",
    f"{MARIA} looked up the conference.",
    f"{MARIA} joined as Host.",
)
"""The timeline of a call in which Maria is in the room."""

HUNG_UP: Final = (
    f"{NUMBER} hung up (Call disconnected).",
    f"{CUSTOMER} left (API initiated conference termination).",
    f"{MARIA} left (API initiated conference termination).",
    "The conference ended.",
)
"""How the timeline goes on when Maria hangs up."""
