"""What became of a call, in a word and in a line."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.fold import Chronicle, Phase
from policy_server.conferences.records import TimelineEntry
from policy_server.conferences.timeline import Step
from policy_server.conferences.verdict import Code, Verdict, absent_of, told_seconds, verdict_of
from policy_server.conferences.visit import Cast, Visit, visit_of
from policy_server.pexip.events import Event
from tests.conferences.event_histories import (
    ROOM,
    History,
    browser,
    changed,
    delivered,
    ended,
    fold,
    histories,
    joined,
    left,
    leg,
    started,
)
from tests.conferences.watched_world import BUSY, Faults, Trunk, World, answers
from tests.conferences.watched_world import SILENT as SILENT_TRUNK
from tests.docs.pages import AGENT_APP, code

CAST = Cast(frozenset({"mp…"}), frozenset({"hcp…"}), frozenset(), dials=True, has_link=True)
"""A call whose room dials, and whose agents have an alias of their own."""
AUDIO = replace(CAST, agents=frozenset())
"""Agents only speak on the telephone."""
OPEN = replace(AUDIO, customers=frozenset({"meet"}), dials=False, has_link=False)
"""A room that no link led to, and that dials nobody."""


def ada(at: float = 100, uuid: str = "ada", **data: Any) -> Event:
    """The customer comes."""
    return joined(uuid, at, **{"destination_alias": "mp…", "display_name": "Ada", **data})


def maria(at: float, uuid: str = "maria", **data: Any) -> Event:
    """An agent comes by video."""
    return joined(uuid, at, **{"destination_alias": "hcp…", "display_name": "Maria", **data})


def ringing(at: float, uuid: str = "leg") -> Event:
    """A leg rings."""
    return leg(uuid, at, service_type="connecting", connect_time=None)


def entry(kind: str, at: float = 90, **data: Any) -> TimelineEntry:
    """Something that was noted."""
    return TimelineEntry(ROOM, datetime.fromtimestamp(at, UTC), kind, data)


def asked(outcome: str = "serve", **data: Any) -> TimelineEntry:
    """A node asked for the room."""
    result = {"result": {"service_type": "conference"}} if outcome == "serve" else {}
    return entry(
        "policy.answered", **{"question": "service", "outcome": outcome, "local_alias": "mp…", **result, **data}
    )


LOOKED_UP = entry("agent.looked_up", 120)
OPENED = entry("link.opened", door="open")


def seen(told: Iterable[Event | TimelineEntry], cast: Cast = CAST) -> Visit:
    """The visit that messages and entries tell of."""
    everything = list(told)
    chronicle = Chronicle([one for one in everything if isinstance(one, Event)])
    entries = [one for one in everything if isinstance(one, TimelineEntry)]
    return visit_of(chronicle, entries, cast, is_ended=chronicle.phase is Phase.ENDED)


def judged(told: Iterable[Event | TimelineEntry], cast: Cast = CAST) -> Verdict:
    """The verdict on it."""
    return verdict_of(seen(told, cast))


NUMBERS = ("waited", "talked", "answered_after", "attempts")


@pytest.mark.parametrize(
    ("told", "cast", "word", "line", "numbers"),
    [
        pytest.param([], CAST, "not_opened", "Nobody has opened the link.", (None, None, None, 0), id="a link"),
        pytest.param(
            [entry("link.previewed", by="WhatsApp")],
            CAST,
            "not_opened",
            "Nobody has opened the link.",
            (None, None, None, 0),
            id="a preview",
        ),
        pytest.param(
            [entry("link.opened", door="closed")],
            CAST,
            "refused_at_the_door",
            "The customer opened the link outside opening hours.",
            (None, None, None, 0),
            id="closed",
        ),
        pytest.param(
            [entry("link.opened", door="expired")],
            CAST,
            "refused_at_the_door",
            "The customer opened the link after it had expired.",
            (None, None, None, 0),
            id="expired",
        ),
        pytest.param(
            [asked("reject")],
            CAST,
            "refused_at_the_door",
            "The customer was refused by the rules.",
            (None, None, None, 0),
            id="refused by a rule",
        ),
        pytest.param(
            [asked(result={"service_type": "media_playback"})],
            CAST,
            "refused_at_the_door",
            "The customer was refused by the rules.",
            (None, None, None, 0),
            id="an announcement",
        ),
        pytest.param(
            [asked("reject", local_alias="hcp…")],
            CAST,
            "not_opened",
            "Nobody has opened the link.",
            (None, None, None, 0),
            id="an agent was refused",
        ),
        pytest.param(
            [entry("link.opened", door="closed"), OPENED],
            CAST,
            "not_joined",
            "The customer was let in and has not come into the room.",
            (None, None, None, 0),
            id="opened again in time",
        ),
        pytest.param(
            [OPENED, asked(), maria(110)],
            CAST,
            "no_customer",
            "The customer has not come into the room; an agent joined.",
            (None, None, None, 0),
            id="the agent alone",
        ),
        pytest.param(
            [ada(service_type="ivr"), left("ada", 130, disconnect_reason="Participant exceeded PIN entry retries")],
            CAST,
            "refused_at_the_door",
            "The customer came no further than the PIN entry or the lobby (Participant exceeded PIN entry retries).",
            (None, None, None, 0),
            id="wrong PINs",
        ),
        pytest.param(
            [ada(service_type="waiting_room")],
            replace(CAST, dials=False),
            "waiting",
            "The customer is at the PIN entry or in the lobby.",
            (None, None, None, 0),
            id="in the lobby",
        ),
        pytest.param(
            [
                ada(service_type="waiting_room"),
                ringing(112),
                left("leg", 113, disconnect_reason="Call rejected", connect_time=None),
                left("ada", 160),
                ended(160),
            ],
            CAST,
            "leg_refused",
            "Genesys refused the leg (Call rejected) after 1 s; the customer waited 60 s and left; no agent joined.",
            (60.0, 0.0, None, 1),
            id="a Guest, until the leg answers that is the Host",
        ),
        pytest.param(
            [asked(), ada()],
            CAST,
            "waiting",
            "The customer is waiting; no leg was dialled; no agent joined.",
            (None, None, None, 0),
            id="just come",
        ),
        pytest.param(
            [ada(), ringing(112)],
            CAST,
            "waiting",
            "The customer is waiting; the leg is ringing; no agent joined.",
            (None, None, None, 1),
            id="ringing",
        ),
        pytest.param(
            [ada(), leg("l", 110)],
            CAST,
            "waiting",
            "The customer is waiting; Genesys answered after 10 s; no agent joined.",
            (None, None, 10.0, 1),
            id="in the queue",
        ),
        pytest.param(
            [ada(), leg("l", 110), maria(116)],
            CAST,
            "in_progress",
            "An agent joined after 16 s; they are talking.",
            (16.0, None, 10.0, 1),
            id="talking",
        ),
        pytest.param(
            [ada(), leg("l", 110), LOOKED_UP],
            CAST,
            "in_progress",
            "Genesys answered, and an agent looked the call up, after 20 s; they are talking.",
            (20.0, None, 10.0, 1),
            id="the agent's browser fails",
        ),
        pytest.param(
            [ada(), leg("l", 110), maria(116), left("maria", 120), left("l", 125)],
            CAST,
            "in_progress",
            "An agent joined after 16 s; the customer is still there, alone.",
            (16.0, None, 10.0, 1),
            id="left alone",
        ),
        pytest.param(
            [ada(), leg("l", 110), maria(116), left("maria", 230), left("l", 236), left("ada", 240), ended(241)],
            CAST,
            "answered",
            "An agent joined after 16 s; they talked for 2 min 0 s.",
            (16.0, 120.0, 10.0, 1),
            id="answered",
        ),
        pytest.param(
            [ada(), leg("l", 110), left("ada", 240)],
            AUDIO,
            "answered",
            "Genesys answered after 10 s; they talked for 2 min 10 s.",
            (10.0, 130.0, 10.0, 1),
            id="agents without an alias",
        ),
        pytest.param(
            [ada(), maria(105), left("ada", 125)],
            replace(CAST, dials=False),
            "answered",
            "An agent joined after 5 s; they talked for 20 s.",
            (5.0, 20.0, None, 0),
            id="by video alone",
        ),
        pytest.param(
            [ada(), leg("l", 110), left("ada", 400)],
            CAST,
            "no_agent",
            "Genesys answered after 10 s; the customer waited 5 min 0 s and left; no agent joined.",
            (300.0, 0.0, 10.0, 1),
            id="gave up in the queue",
        ),
        pytest.param(
            [ada(), leg("l", 110), left("l", 111, disconnect_reason="Call disconnected"), left("ada", 148)],
            CAST,
            "no_agent",
            "Genesys answered after 10 s and hung up; the customer waited 48 s and left; no agent joined.",
            (48.0, 0.0, 10.0, 1),
            id="the flow hangs up",
        ),
        pytest.param(
            [ada(), left("ada", 148)],
            replace(CAST, dials=False),
            "no_agent",
            "The room dials nobody; the customer waited 48 s and left; no agent joined.",
            (48.0, 0.0, None, 0),
            id="nothing to dial",
        ),
        pytest.param(
            [ada(), ringing(112), left("leg", 114, disconnect_reason="Call rejected"), left("ada", 148), ended(149)],
            CAST,
            "leg_refused",
            "Genesys refused the leg (Call rejected) after 2 s; the customer waited 48 s and left; no agent joined.",
            (48.0, 0.0, None, 1),
            id="refused",
        ),
        pytest.param(
            [
                ada(),
                ringing(112),
                left("leg", 114, disconnect_reason="Unexpected Response: 503"),
                ringing(116, "next"),
                left("next", 117, disconnect_reason="Unexpected Response: 486"),
                left("ada", 148),
            ],
            CAST,
            "leg_busy",
            "Genesys was busy (Unexpected Response: 486) after 1 s, the last of 2 legs; the customer waited 48 s and "
            "left; no agent joined.",
            (48.0, 0.0, None, 2),
            id="busy at last",
        ),
        pytest.param(
            [ada(), left("leg", 113, connect_time=None, call_direction="out", protocol="SIP"), left("ada", 148)],
            CAST,
            "leg_failed",
            "The leg ended unanswered (User initiated disconnect); the customer waited 48 s and left; no agent joined.",
            (48.0, 0.0, None, 1),
            id="only its end was told",
        ),
        pytest.param(
            [ada(), ringing(112), left("leg", 113, disconnect_reason="404 Not Found"), left("ada", 148)],
            CAST,
            "leg_unreachable",
            "Genesys could not be reached (404 Not Found) after 1 s; the customer waited 48 s and left; no agent joined.",
            (48.0, 0.0, None, 1),
            id="no such number",
        ),
        pytest.param(
            [ada(), ringing(112), left("leg", 142, disconnect_reason="Unexpected Response: 408"), left("ada", 148)],
            CAST,
            "leg_silent",
            "Genesys did not answer (Unexpected Response: 408) after 30 s; the customer waited 48 s and left; no agent "
            "joined.",
            (48.0, 0.0, None, 1),
            id="not answered",
        ),
        pytest.param(
            [started(99), ada(), ringing(112), left("ada", 148), ended(149)],
            CAST,
            "leg_silent",
            "The leg ended unanswered after 37 s; the customer waited 48 s and left; no agent joined.",
            (48.0, 0.0, None, 1),
            id="it rang to the end",
        ),
        pytest.param(
            [ada(), ringing(112), left("ada", 118), left("leg", 118.1, disconnect_reason="Unexpected Response: 487")],
            CAST,
            "customer_left_early",
            "Genesys did not answer (Unexpected Response: 487) after 6 s; the customer waited 18 s and left; no agent "
            "joined.",
            (18.0, 0.0, None, 1),
            id="left while it rang",
        ),
        pytest.param(
            [ada(), left("ada", 104)],
            CAST,
            "customer_left_early",
            "No leg was dialled; the customer waited 4 s and left; no agent joined.",
            (4.0, 0.0, None, 0),
            id="left at once",
        ),
        pytest.param(
            [ada(), left("ada", 160)],
            CAST,
            "never_dialled",
            "No leg was dialled; the customer waited 60 s and left; no agent joined.",
            (60.0, 0.0, None, 0),
            id="never dialled",
        ),
        pytest.param(
            [ada(), left("ada", 110), ada(130, "again"), leg("l", 141), maria(150), left("again", 200)],
            CAST,
            "answered",
            "An agent joined after 30 s; they talked for 50 s.",
            (30.0, 50.0, 41.0, 1),
            id="the customer comes again",
        ),
        pytest.param(
            [joined("a", 100, destination_alias="meet"), joined("b", 110, destination_alias="meet"), left("b", 120)],
            OPEN,
            "in_progress",
            "People are in the room.",
            (None, None, None, 0),
            id="a meeting",
        ),
        pytest.param(
            [joined("a", 100, destination_alias="meet"), left("a", 400)],
            OPEN,
            "meeting",
            "People were in the room for 5 min 0 s; it dials nobody.",
            (300.0, 0.0, None, 0),
            id="a meeting that is over",
        ),
    ],
)
def test_verdicts(
    told: list[Event | TimelineEntry], cast: Cast, word: str, line: str, numbers: tuple[object, ...]
) -> None:
    """What was told and noted comes to one word, one line and the numbers that matter, in any order."""
    for order in (told, told[::-1]):
        verdict = judged(order, cast)
        assert (verdict["code"], verdict["text"]) == (word, line)
        assert tuple(verdict[name] for name in NUMBERS) == numbers  # type: ignore[literal-required]


def test_every_code_is_explained() -> None:
    """The page of the lookup has every code, and no other."""
    assert {name for names, _ in AGENT_APP.rows("`verdict.code` |") for name in code(names)} == set(Code)


@pytest.mark.parametrize(
    ("told", "absent"),
    [
        pytest.param([], ["No node asked for the room."], id="a link"),
        pytest.param([asked("reject")], [], id="refused"),
        pytest.param(
            [asked()],
            [
                "The customer did not come in.",
                "No node asked to dial.",
                "No leg was dialled.",
                "No agent looked it up.",
                "No agent joined.",
            ],
            id="nobody came",
        ),
        pytest.param(
            [asked(), ada(), asked(call_direction="dial_out"), leg("l", 110), LOOKED_UP],
            ["No agent joined."],
            id="the agent's browser fails",
        ),
        pytest.param(
            [asked(), ada(), asked(call_direction="dial_out"), leg("l", 110), LOOKED_UP, maria(120)], [], id="all"
        ),
    ],
)
def test_what_is_absent(told: list[Event | TimelineEntry], absent: list[str]) -> None:
    """What a call goes through and has not is said, and nothing else."""
    assert list(absent_of(seen(told))) == absent


def test_a_browser_is_one_customer() -> None:
    """Both halves of a browser are one visit, and its end is when the last of them left."""
    halves = browser("Ada", 100, destination_alias="mp…")
    verdict = judged([*halves, left("Ada-media", 130), left("Ada-control", 131)])
    assert (verdict["code"], verdict["waited"]) == (Code.NEVER_DIALLED, 31.0)


def test_a_node_that_does_not_say_what_was_dialled() -> None:
    """Somebody of whom no alias is told is the customer if nobody else is; somebody who joined by another link is not."""
    assert judged([ada(destination_alias=...), left("ada", 160)])["code"] is Code.NEVER_DIALLED
    assert judged([ada(destination_alias="itp…"), left("ada", 160)])["code"] is Code.NO_CUSTOMER


def test_a_reason_is_one_line() -> None:
    """Texts of the far end lose what a terminal or a page would obey, and are cut."""
    told = [
        ada(),
        ringing(112),
        left("leg", 113, disconnect_reason="Call rejected\n\x1b[31m" + "x" * 500),
        left("ada", 148),
    ]
    text = judged(told)["text"]
    assert text.isprintable()
    assert len(text) < 250


ALIASES = st.dictionaries(
    st.integers(0, 8).map(lambda number: f"browser{number}"), st.sampled_from(["mp…", "hcp…", "", "other"])
)
NOTED = st.lists(
    st.sampled_from([OPENED, LOOKED_UP, asked(), asked("reject"), asked(call_direction="dial_out")]), unique_by=id
)


def dialled(history: History, aliases: dict[str, str]) -> list[Event]:
    """The messages of a history with what each browser dialled."""
    found = []
    for event in history.events:
        who = event.text("uuid").partition("-")[0]
        alias = {"destination_alias": aliases.get(who, "mp…")} if who.startswith(("browser", "phone")) else {}
        found.append(replace(event, data={**event.data, **alias}))
    return found


@given(histories(), ALIASES, NOTED, st.sampled_from([CAST, AUDIO, OPEN]), st.randoms(use_true_random=False))
def test_a_verdict_is_of_a_set(
    history: History, aliases: dict[str, str], noted: list[TimelineEntry], cast: Cast, order: random.Random
) -> None:
    """Messages and entries in any order, several times and by two sinks, or one after the other, lead to one verdict."""
    events = dialled(history, aliases)
    jumbled: list[Event | TimelineEntry] = [*delivered(events, order), *noted, *noted]
    order.shuffle(jumbled)
    expected = judged([*events, *noted], cast)
    assert judged(jumbled, cast) == expected
    slow = Chronicle()
    for event in jumbled:
        if isinstance(event, Event):
            slow.tell([event])
    assert verdict_of(visit_of(slow, noted, cast, is_ended=slow.phase is Phase.ENDED)) == expected


OVER_WITHOUT_TALK = frozenset(Code) - {Code.ANSWERED, Code.IN_PROGRESS, Code.MEETING}


@given(histories(), ALIASES, NOTED, st.sampled_from([CAST, AUDIO]))
def test_what_holds_of_every_verdict(
    history: History, aliases: dict[str, str], noted: list[TimelineEntry], cast: Cast
) -> None:
    """Answered is what was talked in, by a leg or an agent who was there; nobody waits longer than the visit."""
    events = dialled(history, aliases)
    visit = seen([*events, *noted], cast)
    verdict = verdict_of(visit)
    legs = fold(events).trunk_legs
    talked, waited = verdict["talked"] or 0.0, verdict["waited"]
    assert verdict["attempts"] == len(legs)
    assert (verdict["code"] == Code.ANSWERED) == (talked > 0.0)
    if verdict["code"] in {Code.ANSWERED, Code.IN_PROGRESS}:
        assert visit.agent or any(one.connected_at is not None for one in legs)
        assert visit.agent or visit.was_looked_up or not cast.agents
    if waited is not None and visit.duration is not None:
        assert 0.0 <= waited <= waited + talked <= visit.duration + 0.2
    assert ("an agent joined" in verdict["text"].lower().replace("no agent joined", "")) <= bool(visit.agent)
    assert verdict["text"].endswith(".")
    assert verdict["text"].isprintable()


def did(step: Step, at: float, **data: Any) -> TimelineEntry:
    """Something that assurance noted."""
    return entry("assurance.acted", at, step=step.value, **data)


DIALS = asked(call_direction="dial_out")
CAME = did(Step.CUSTOMER_SEEN, 100)
ANSWERED = did(Step.ANSWER_SEEN, 120)
SECOND = did(Step.DIALLED, 115, is_first=False, result="done")
DROPPED = did(Step.DROPPED, 113, legs=["leg", "leg at its node"], result="done")
SILENT = left("leg", 138, disconnect_reason="Disconnected by an administrator", connect_time=None)


@pytest.mark.parametrize(
    ("told", "cast", "word", "line", "numbers"),
    [
        pytest.param(
            [asked(), CAME],
            CAST,
            "waiting",
            "The customer is waiting; no leg was dialled; no agent joined.",
            (None, None, None, 0),
            id="seen",
        ),
        pytest.param(
            [asked(), CAME, replace(DIALS, at=datetime.fromtimestamp(110, UTC))],
            CAST,
            "waiting",
            "The customer is waiting; the leg is ringing; no agent joined.",
            (None, None, None, 1),
            id="the node asked before it dialled",
        ),
        pytest.param(
            [asked(), CAME, replace(DIALS, at=datetime.fromtimestamp(110, UTC)), SECOND, ANSWERED, LOOKED_UP],
            CAST,
            "in_progress",
            "Genesys answered, and an agent looked the call up, after 20 s; they are talking.",
            (20.0, None, 20.0, 2),
            id="a talk by the second trunk",
        ),
        pytest.param(
            [asked(), CAME, SECOND, ANSWERED, LOOKED_UP, did(Step.CUSTOMER_MISSED, 200), did(Step.ENDED, 205)],
            CAST,
            "answered",
            "Genesys answered, and an agent looked the call up, after 20 s; they talked for 80 s.",
            (20.0, 80.0, 20.0, 1),
            id="that is over",
        ),
        pytest.param(
            [asked(), CAME, did(Step.DIALLED, 125, is_first=True), ANSWERED, did(Step.END_SEEN, 300)],
            CAST,
            "no_agent",
            "Genesys answered after 20 s, the last of 2 legs; the customer waited 3 min 20 s and left; no agent joined.",
            (200.0, 0.0, 20.0, 2),
            id="an answer to a call of which nothing is known",
        ),
        pytest.param(
            [asked(), CAME, SECOND, ANSWERED, did(Step.END_SEEN, 300)],
            CAST,
            "no_agent",
            "Genesys answered after 20 s; the customer waited 3 min 20 s and left; no agent joined.",
            (200.0, 0.0, 20.0, 1),
            id="a queue",
        ),
        pytest.param(
            [
                asked(),
                CAME,
                SECOND,
                did(Step.DROPPED, 140, legs=["x"]),
                did(Step.EXHAUSTED, 141),
                did(Step.END_SEEN, 190),
            ],
            CAST,
            "leg_silent",
            "Genesys did not answer after 25 s; the customer waited 90 s and left; no agent joined.",
            (90.0, 0.0, None, 1),
            id="a leg that rang too long",
        ),
        pytest.param(
            [asked(), CAME, SECOND, did(Step.EXHAUSTED, 120), did(Step.MOVED, 121), did(Step.CUSTOMER_MISSED, 130)],
            CAST,
            "leg_failed",
            "The leg ended unanswered after 5 s; the customer waited 30 s and was transferred; no agent joined.",
            (30.0, 0.0, None, 1),
            id="moved, unseen by nodes",
        ),
        pytest.param(
            [asked(), CAME, did(Step.REFUSED, 115), did(Step.HINDERED, 116), did(Step.END_SEEN, 190)],
            CAST,
            "never_dialled",
            "No leg was dialled; the customer waited 90 s and left; no agent joined.",
            (90.0, 0.0, None, 0),
            id="a dial that was refused is no leg",
        ),
        pytest.param(
            [ada(), ringing(112), DROPPED, SILENT, left("ada", 160)],
            CAST,
            "leg_silent",
            "Genesys did not answer (Disconnected by an administrator) after 26 s; the customer waited 60 s and left; no "
            "agent joined.",
            (60.0, 0.0, None, 1),
            id="a leg that was ended, by its events",
        ),
        pytest.param(
            [ada(), ringing(112), SILENT, left("ada", 160)],
            CAST,
            "leg_failed",
            "The leg ended unanswered (Disconnected by an administrator) after 26 s; the customer waited 60 s and left; no "
            "agent joined.",
            (60.0, 0.0, None, 1),
            id="a leg that somebody else ended",
        ),
        pytest.param(
            [
                ada(),
                ringing(112),
                left("leg", 113, disconnect_reason="Call rejected"),
                did(Step.MOVED, 116),
                left("ada", 117),
            ],
            CAST,
            "leg_refused",
            "Genesys refused the leg (Call rejected) after 1 s; the customer waited 17 s and was transferred; no agent "
            "joined.",
            (17.0, 0.0, None, 1),
            id="moved",
        ),
        pytest.param(
            [
                ada(),
                ringing(112),
                left("leg", 113, disconnect_reason="Call rejected"),
                did(Step.ENDED, 116, reason="nobody could be reached"),
                left("ada", 117),
            ],
            CAST,
            "leg_refused",
            "Genesys refused the leg (Call rejected) after 1 s; the customer waited 17 s and was released, for the room was "
            "ended; no agent joined.",
            (17.0, 0.0, None, 1),
            id="released",
        ),
        pytest.param(
            [ada(), leg("leg", 112), left("ada", 150), did(Step.ENDED, 160, reason="the customer is gone")],
            CAST,
            "no_agent",
            "Genesys answered after 12 s; the customer waited 50 s and left; no agent joined.",
            (50.0, 0.0, 12.0, 1),
            id="ended when the customer had left",
        ),
        pytest.param(
            [ada(), CAME, did(Step.ANSWER_SEEN, 101), did(Step.DIALLED, 101), left("ada", 104)],
            CAST,
            "customer_left_early",
            "No leg was dialled; the customer waited 4 s and left; no agent joined.",
            (4.0, 0.0, None, 0),
            id="what nodes tell counts",
        ),
    ],
)
def test_verdicts_by_what_assurance_noted(
    told: list[Event | TimelineEntry], cast: Cast, word: str, line: str, numbers: tuple[object, ...]
) -> None:
    """Where no node tells of a call, what the Management Node showed counts; what was done counts always."""
    test_verdicts(told, cast, word, line, numbers)


@given(
    st.lists(st.builds(did, st.sampled_from(Step), st.integers(95, 130), is_first=st.booleans()), max_size=8),
    NOTED,
    st.sampled_from([CAST, AUDIO]),
    st.randoms(use_true_random=False),
)
def test_what_was_noted_is_a_set(
    noted: list[TimelineEntry], others: list[TimelineEntry], cast: Cast, order: random.Random
) -> None:
    """In whatever order notes are read, and however often, they lead to one verdict, and to no more talk than there was."""
    expected = judged([*noted, *others], cast)
    jumbled = [*noted, *others, *noted[:3]]
    order.shuffle(jumbled)
    steps = {note.data["step"] for note in noted}
    assert judged(jumbled, cast) == expected
    if Step.CUSTOMER_SEEN not in steps:
        assert expected["waited"] is None
    assert (expected["talked"] or 0.0) <= 35.0
    assert (expected["code"] in {Code.ANSWERED, Code.IN_PROGRESS}) <= ({Step.CUSTOMER_SEEN, Step.ANSWER_SEEN} <= steps)


@pytest.mark.parametrize(
    ("trunks", "code"),
    [
        pytest.param([answers(5.0)], Code.NO_AGENT, id="answered"),
        pytest.param([BUSY, answers(5.0)], Code.NO_AGENT, id="by the second trunk"),
        pytest.param([SILENT_TRUNK, SILENT_TRUNK], Code.LEG_SILENT, id="silence"),
        pytest.param([BUSY], Code.LEG_FAILED, id="busy"),
    ],
)
def test_a_call_of_which_no_node_tells(trunks: list[Trunk], code: Code) -> None:
    """What whoever watched it noted of it is enough for a verdict, and for how long the customer waited."""
    world = World(trunks, customer_leaves=150.0, faults=Faults(has_sink=False)).run(400)
    verdict = judged([asked(), *world.asked])
    assert verdict["code"] is code
    assert verdict["waited"] is not None
    assert 120 < verdict["waited"] <= 160
    assert verdict["attempts"] == len(trunks)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "0 s"), (0.4, "0 s"), (48, "48 s"), (119.6, "2 min 0 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")],
)
def test_spans_as_people_say_them(seconds: float | None, text: str) -> None:
    """Seconds are told in the unit that people would take."""
    assert told_seconds(seconds) == text


def test_a_muted_leg_changes_nothing() -> None:
    """What nobody asks about does not move a verdict."""
    told = [ada(), leg("l", 110), maria(116), left("ada", 240)]
    assert judged([*told, changed("l", 130, is_muted=True)]) == judged(told)
