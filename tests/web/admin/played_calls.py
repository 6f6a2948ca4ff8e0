"""Calls of every kind in a database, for the page Calls: each is called after what became of it."""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from policy_server.conferences.kept import JOINING_CALL
from policy_server.conferences.records import Link, TimelineEntry
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.events import Event
from policy_server.policy.names import Call
from tests.conferences import event_histories as told
from tests.rule_sets import KEYRING, NOON
from tests.web.calls import (
    BEGIN,
    RULES_TEXT,
    a_link,
    a_pin,
    call_of,
    customer,
    ended,
    left,
    started,
    trunk,
)

RULES: Final = (
    RULES_TEXT.replace(
        "links:\n",
        "  - { id: interpreter, when: { link_type: interpreter, link: valid }, room: visit }\nlinks:\n",
    )
    + '  interpreter: { alias: "itp{session}", joins: visit }\n'
)
HOUR: Final = timedelta(hours=1)
PATIENT: Final = "Ana <b>María</b> & Søn"
"""The customer of the good call, in whose name is what a page must not take for its own."""
MEETING: Final = "meet alice"
"""A room that no link led to."""


def signed(number: int, kind: str = "visit") -> Call:
    """One of the calls."""
    return KEYRING.sign(kind, NOON + 4 * HOUR, number.to_bytes(4, "big"))


NUMBERS: Final = {
    name: number
    for number, name in enumerate(("good", "second leg", "nobody", "running", "transfer", "joined", "busy"), 1)
}
LINKS: Final = {name: signed(number) for name, number in NUMBERS.items()}
INTERPRETER: Final = signed(99, "interpreter")


def call_id(name: str) -> str:
    """The id of a call."""
    return LINKS[name].id


class Played:
    """One call as it is played: its messages and what is noted of it, in seconds after it began."""

    def __init__(self, name: str, minutes: int, customers_name: str = "") -> None:
        self.number: Final = NUMBERS[name]
        self.call: Final = LINKS[name]
        self.offset: Final = minutes * 60.0
        self.link: Final = a_link(self.call.id, name=customers_name or name, created_at=self.at(-7200))
        self.events: Final[list[Event]] = []
        self.entries: Final[list[TimelineEntry]] = []
        self.note(-7200, "link.created", "The link was made by 'booking'.")
        self.note(-4, "link.opened", "A customer opened the link and was let in.", door="open")
        self.answer(-1, "customer")
        self.tell(started, 0)

    def at(self, seconds: float) -> datetime:
        """A moment of the call."""
        return NOON + timedelta(seconds=self.offset + seconds)

    def note(self, seconds: float, kind: str, text: str, **data: Any) -> None:
        """Something that the server noted."""
        self.entries.append(TimelineEntry(self.call.id, self.at(seconds), kind, {"text": text, **data}))

    def answer(self, seconds: float, rule: str, **data: Any) -> None:
        """A node asks."""
        noted: Mapping[str, Any] = {
            "question": "service",
            "outcome": "serve",
            "rule": rule,
            "decision_id": f"d-{rule}-{seconds:g}",
            "result": {"service_type": "conference"},
            **data,
        }
        is_own = data.get("call_direction") == "dial_out"
        asks = "The node asked before dialling the trunk" if is_own else "A node asked for the service of an alias"
        self.note(seconds, "policy.answered", f"{asks}: served, by rule '{rule}'.", **noted)

    def tell(self, what: Any, seconds: float, *names: Any, **data: Any) -> None:
        """A node tells something."""
        room = {"room": self.call.id} if what in (started, ended) else {"conference": self.call.id}
        at = self.offset + seconds
        given = (*names, at) if what is left else (at, *names)
        self.events.append(replace(what(*given, **room, **data), arrived_at=self.at(seconds)))

    def come(self, seconds: float, name: str) -> None:
        """The customer comes in."""
        self.tell(customer, seconds, display_name=name, uuid="customer", destination_alias="mp…")

    def agent(self, seconds: float, name: str) -> None:
        """An agent comes in."""
        self.note(seconds - 3, "agent.looked_up", f"{name} looked up the conference.", agent={"id": name, "name": name})
        self.answer(seconds - 1, "agent", local_alias="hcp…")
        self.tell(customer, seconds, display_name=name, uuid=name, destination_alias="hcp…", role="chair")

    def leg(self, seconds: float, uuid: str, answered: float | None, over: float | None, reason: str = "") -> None:
        """A leg is dialled, perhaps answered, perhaps over."""
        self.answer(seconds - 0.5, "customer", call_direction="dial_out")
        self.tell(trunk, seconds, uuid=uuid, connect_time=None, service_type="connecting")
        if answered is not None:
            self.tell(trunk, answered, uuid=uuid, connect_time=BEGIN + self.offset + answered)
        if over is not None:
            self.tell(left, over, uuid, disconnect_reason=reason)

    def go(self, seconds: float, *who: str) -> None:
        """Some leave, and the room ends a second later."""
        for each in who:
            self.tell(left, seconds, each)
        self.tell(ended, seconds + 1)


def good() -> Played:
    """The customer comes, Genesys answers, an agent joins, they talk for half an hour."""
    call = Played("good", -300, PATIENT)
    call.come(2, PATIENT)
    call.leg(12, "leg", 16, 1830, "Call disconnected")
    call.agent(24, "Maria Rossi")
    call.go(1832, "Maria Rossi", "customer")
    return call


def second_leg() -> Played:
    """The first leg is busy; the second is answered."""
    call = Played("second leg", -240)
    call.come(2, "second leg")
    call.leg(12, "first", None, 14, "User busy")
    call.note(16, "assurance.acted", "The next entry of 'customer' is dialled: +1 312 555 0100.", step="dial")
    call.leg(17, "second", 25, 140, "Call disconnected")
    call.agent(33, "Maria Rossi")
    call.go(142, "Maria Rossi", "customer")
    return call


def nobody() -> Played:
    """Genesys answers, and the customer waits for nobody."""
    call = Played("nobody", -180)
    call.come(2, "nobody")
    call.leg(12, "leg", 15, 260, "Call disconnected")
    call.go(262, "customer")
    return call


def running() -> Played:
    """It goes on."""
    call = Played("running", -3)
    call.come(2, "running")
    call.leg(12, "leg", 20, None)
    call.agent(31, "Maria Rossi")
    return call


def transfer() -> Played:
    """Three agents, one after the other, the last of whom has a second device; somebody shows something."""
    call = Played("transfer", -120)
    call.come(2, "transfer")
    call.leg(12, "leg", 16, 900, "Call disconnected")
    call.agent(24, "Maria Rossi")
    call.agent(200, "Grace H")
    call.tell(left, 230, "Maria Rossi")
    call.agent(420, "Jo van der Berg-Ólafsdóttir with quite a long name")
    call.tell(left, 450, "Grace H", disconnect_reason="Transferred")
    call.go(905, "Jo van der Berg-Ólafsdóttir with quite a long name", "customer")
    return call


def joined() -> Played:
    """An interpreter joins by a link of their own."""
    call = Played("joined", -60)
    call.note(
        -3600,
        "link.joined",
        "A link of type 'interpreter' into this room was made for Maria R by 'booking'.",
        call=INTERPRETER.id,
    )
    call.come(2, "joined")
    call.leg(12, "leg", 16, 300, "Call disconnected")
    call.agent(24, "Grace H")
    call.tell(
        customer,
        60,
        display_name="somebody",
        uuid="interpreter",
        destination_alias="itp…",
        **{JOINING_CALL: INTERPRETER.id},
    )
    call.go(302, "interpreter", "Grace H", "customer")
    return call


def busy() -> Played:
    """So many things that they hardly fit: people come and go, forty legs fail, nodes ask."""
    call = Played("busy", -30)
    call.come(2, "busy")
    for number in range(40):
        call.leg(
            10 + 20 * number,
            f"leg {number}",
            None,
            14 + 20 * number,
            ("User busy", "Call rejected", "No answer")[number % 3],
        )
    for number in range(30):
        call.tell(
            customer,
            30 + 25 * number,
            display_name=f"guest {number}",
            uuid=f"guest {number}",
            destination_alias="other@example.com",
        )
        call.tell(left, 90 + 25 * number, f"guest {number}")
    call.go(860, "customer")
    return call


def played() -> Iterator[Played]:
    """All of them."""
    for each in (good, second_leg, nobody, running, transfer, joined, busy):
        yield each()


def interpreters_link() -> Link:
    """The link that joins a call."""
    return a_link(
        INTERPRETER.id, type="interpreter", name="Maria R", joins=call_id("joined"), created_at=NOON - HOUR - HOUR
    )


async def fill(store: ConferenceStore) -> None:
    """Puts all of them into a database."""
    for each in played():
        await store.create_link(each.link)
        await store.hold(
            a_pin(
                f"mp{each.call.session}",
                each.call,
                id=f"room-{each.number}",
                held_at=each.at(-1),
                expires_at=each.at(12 * 3600),
            )
        )
        await store.add_events(each.events)
        await store.add_timeline(each.entries)
        if each.events[-1].name == "conference_ended":
            await store.end(each.call.id, each.events[-1].arrived_at)
    room = replace(
        a_pin(), id="meeting", call="", link_type="", name=MEETING, service={"name": MEETING}, legs=(), rule="rooms"
    )
    await store.hold(replace(room, held_at=NOON - 23 * HOUR, expires_at=NOON - 11 * HOUR))
    at = BEGIN - 23 * 3600
    here = {"conference": MEETING, "destination_alias": "alice"}
    met = [told.started(at, name=MEETING), told.joined("alice", at + 2, display_name="Alice", **here)]
    met += [told.left("alice", at + 60, conference=MEETING), told.ended(at + 61, name=MEETING)]
    await store.add_events(met)
    await store.end(MEETING, NOON - 22 * HOUR)
    await store.create_link(interpreters_link())
    await store.create_link(a_link(call_of("advice").id, type="advice", name="never came", created_at=NOON - HOUR))


def fill_database(url: str) -> None:
    """Puts all of them into a new database, also where an event loop runs already."""

    async def open_and_fill() -> None:
        async with ConferenceStore(url) as store:
            await fill(store)

    with ThreadPoolExecutor(1) as beside:
        beside.submit(asyncio.run, open_and_fill()).result()
