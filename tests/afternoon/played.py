"""A believable afternoon of the bank whose rules are in ``examples/rules/bank``, for whoever wants to look at it."""

import asyncio
import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from policy_server.pexip.request_types import RequestType
from policy_server.simulator.node import room_system_question
from tests.afternoon.bank import COUNT_SECONDS, PATIENCE, Bank
from tests.afternoon.rooms import BRANCHES, TICINO, ZURICH, ZURICH_2, Node
from tests.afternoon.visits import Fate, Guest, Kiosk, Steps, Visit, asked, too_late

PLACE: Final = ZoneInfo("Europe/Zurich")
DAY: Final = datetime(2026, 11, 24, tzinfo=PLACE)
BEGINS: Final = DAY + timedelta(hours=9, minutes=35)
NOW: Final = DAY + timedelta(hours=15, minutes=42)
"""A Tuesday."""

VISITS: Final = 80

AGENTS: Final = ("Maria Silva", "Tom Becker", "Nina Favre", "Luca Riva", "Eva Moser", "Jan Keller")
FEATURED: Final = "Ada L"
"""The customer whose first leg was busy, at 14:05."""

_GUESTS: Final = {
    "de": "Lea B,Noah K,Mia S,Emma W,Leon F,Anna M,Jonas R,Lina H,Elias G,Nora Z,Tim A,Sofia E",
    "fr": "Chloé D,Hugo P,Louise V,Gabriel C,Alice J,Inès T",
    "it": "Giulia N,Matteo L,Chiara P,Davide O",
}
_VENDORS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36",
)
_KIOSKS: Final[tuple[tuple[str, str, Node], ...]] = (
    ("kiosk-101", "10.20.1.11", BRANCHES),
    ("kiosk-102", "10.20.1.12", BRANCHES),
    ("kiosk-201", "10.20.21.11", BRANCHES),
    ("kiosk-301", "10.20.31.11", TICINO),
)
_LUNCH: Final = (timedelta(hours=12), timedelta(hours=13, minutes=30))


async def play(bank: Bank, visits: int = VISITS, seed: int = 1) -> None:
    """Plays the afternoon up to ``NOW``, with so many visits beside those that there always are."""
    numbers = count()
    to_do = [(at, next(numbers), steps) for at, steps in _plan(bank, visits, Random(seed))]
    heapq.heapify(to_do)
    while to_do and to_do[0][0] <= NOW:
        at, _, steps = heapq.heappop(to_do)
        bank.clock.now = at
        await bank.agenda.look()
        seconds = await anext(steps, None)
        await bank.agenda.look()
        if seconds is not None:
            heapq.heappush(to_do, (at + timedelta(seconds=seconds), next(numbers), steps))
    bank.clock.now = NOW
    for _, _, steps in to_do:
        await steps.aclose()
    await _are_counted(bank)


async def _are_counted(bank: Bank) -> None:
    """Waits until the server has counted all calls up to now."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await asyncio.sleep(COUNT_SECONDS)
            lines = (await bank.client().get("/metrics")).text.splitlines()
            if "policy_calls_uncounted 0.0" in lines:
                break
    await asyncio.sleep(COUNT_SECONDS)


def _plan(bank: Bank, visits: int, chance: Random) -> Iterator[tuple[datetime, Steps]]:
    """What begins when."""
    for _ in range(visits):
        visit = _visit(chance)
        yield _some_time(chance, visit), visit.play(bank)
    for at, visit in _special(chance):
        yield at, visit.play(bank)
    yield from _from_branches(bank, chance)
    yield from _strangers(bank, chance)
    yield _at("13:12:00"), too_late(bank, _guest(chance, "fr"))


def _some_time(chance: Random, visit: Visit) -> datetime:
    """When somebody comes: less often at lunch, and so early that they are gone at the end."""
    latest = NOW - BEGINS - timedelta(seconds=90 + visit.rings + visit.wait + visit.talk)
    while True:
        at = BEGINS + latest * chance.random()
        if not (_LUNCH[0] < at - DAY < _LUNCH[1]) or chance.random() < 0.6:
            return at


def _guest(chance: Random, language: str) -> Guest:
    """A customer who speaks a language."""
    name = chance.choice(_GUESTS[language].split(","))
    number = chance.randrange(2, 250)
    address = f"203.0.113.{number}" if number % 5 else f"2001:db8:{number:x}::{number + 7:x}"
    return Guest(name, address, chance.choice(_VENDORS), chance.choice((ZURICH, ZURICH, ZURICH_2)))


def _visit(chance: Random) -> Visit:
    """A visit that nothing is special about, or next to nothing."""
    (language,) = chance.choices(list(_GUESTS), (6, 3, 2))
    kind = "advice" if chance.random() < 0.25 else "help"
    attributes = {"language": language}
    if kind == "advice":
        attributes["booking"] = f"ZH{chance.randrange(100_000, 999_999)}"
    elif chance.random() < 0.15:
        attributes["segment"] = "vip"
    return Visit(
        kind,
        _guest(chance, language),
        chance.choice(AGENTS),
        attributes,
        Fate.LEFT if chance.random() < 0.07 else Fate.ANSWERED,
        rings=chance.uniform(2, 7),
        wait=chance.expovariate(1 / 18) + 4,
        talk=chance.uniform(90, 420) * (2.4 if kind == "advice" else 1),
    )


def _special(chance: Random) -> Sequence[tuple[datetime, Visit]]:
    """The visits that somebody may want to look at, and those that still go on."""

    def visit(language: str, agent: str, fate: Fate = Fate.ANSWERED, **further: Any) -> Visit:
        attributes = {"language": language, **further.pop("attributes", {})}
        kind = "advice" if "booking" in attributes else "help"
        return Visit(kind, further.pop("guest", None) or _guest(chance, language), agent, attributes, fate, **further)

    vip = {"segment": "vip"}
    ada, rui = Guest(FEATURED, "203.0.113.45", _VENDORS[0]), Guest("Rui P", "198.51.100.77", _VENDORS[2])
    found = (
        ("10:48:10", visit("de", "Eva Moser", Fate.BUSY_FIRST, attributes=vip, talk=410)),
        ("11:26:00", visit("it", "", Fate.BUSY)),
        (
            "14:04:20",
            visit("de", "Maria Silva", Fate.BUSY_FIRST, attributes=vip, guest=ada, rings=6.2, wait=11, talk=236),
        ),
        ("14:31:00", visit("fr", "Nina Favre", attributes={"booking": "ZH482913"}, talk=1260, interpreter=rui)),
        ("15:06:00", visit("fr", "", Fate.NOBODY)),
        ("15:31:20", visit("de", "Tom Becker", talk=1800)),
        ("15:37:05", visit("it", "Luca Riva", attributes={"booking": "TI204417"}, talk=1800)),
        ("15:39:50", visit("de", "Jan Keller", wait=400)),
    )
    return [(_at(time) + timedelta(milliseconds=chance.randrange(1000)), visit) for time, visit in found]


def _from_branches(bank: Bank, chance: Random) -> Iterator[tuple[datetime, Steps]]:
    """What screens in branches do: they register, call advisers, and two call at lunch."""
    for name, address, node in _KIOSKS:
        fields = {
            "location": node.location,
            "node_ip": node.address,
            "protocol": "sip",
            "registration_alias": f"{name}@bank.example.com",
            "remote_address": address,
            "username": "kiosk",
        }
        for hour in range(10, 16):
            at = _at(f"{hour}:{chance.randrange(0, 40):02}:17")
            yield at, asked(bank, RequestType.REGISTRATION, fields, f"{name}@bank.example.com")
    for time in ("9:58:00", "10:31:40", "11:12:05", "12:14:30", "12:51:10", "13:47:00", "14:22:40", "15:12:30"):
        name, address, node = chance.choice(_KIOSKS)
        kiosk = Kiosk(name, address, node, chance.choice(AGENTS), chance.uniform(150, 500))
        yield _at(time), kiosk.play(bank)


def _strangers(bank: Bank, chance: Random) -> Iterator[tuple[datetime, Steps]]:
    """Who dials what is not for them, and whom these rules leave to Pexip."""

    def dials(alias: str, who: str, **further: str) -> Steps:
        fields = room_system_question("sip", alias, who, **{**ZURICH_2.fields, **further})
        return asked(bank, RequestType.SERVICE, fields)

    for number in range(12):
        scanner = {
            "vendor": "friendly-scanner",
            "remote_address": "198.51.100.200",
            "remote_alias": "sip:100@198.51.100.200",
        }
        at = _at("11:07:00") + timedelta(seconds=7 * number)
        yield at, dials(f"sip:{100 + number}@10.144.101.22", "100", **scanner)
    for number, time in enumerate(("10:19:30", "13:20:10", "13:20:14", "15:24:08")):
        stranger = {"remote_address": "198.51.100.31", "remote_alias": "sip:+1@198.51.100.31", "vendor": "pbx"}
        yield _at(time), dials(f"sip:+4479460009{number:02}@bank.example.com", "pbx", **stranger)
    for time in ("10:05:00", "11:40:00", "13:35:00", "14:58:00", "15:28:00"):
        desk = f"desk-{chance.randrange(1000, 1020)}"
        own = {"remote_alias": f"sip:{desk}@bank.example.com", "remote_address": "10.30.2.14", "registered": "True"}
        yield _at(time), dials("sip:+41446681800@bank.example.com", desk, **own)
    for time in ("10:44:00", "12:03:00", "14:11:00", "15:19:00", "15:36:00"):
        own = {"remote_alias": "sip:partner-room@example.com", "remote_address": "198.51.100.90"}
        yield _at(time), dials("sip:board-room@bank.example.com", "Partner room", **own)


def _at(time: str) -> datetime:
    hours, minutes, seconds = map(int, time.split(":"))
    return DAY + timedelta(hours=hours, minutes=minutes, seconds=seconds)
