"""The door before Pexip: what the rules would answer a customer, and when they would first let them in."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.policy.decisions import Reject, Serve
from policy_server.policy.doors import Door
from policy_server.policy.names import Call
from policy_server.policy.ruleset import Ruleset
from tests.rule_sets import CALL, KEYRING, NOON, load

WEEK = timedelta(days=7)
OLD_CALL = KEYRING.sign("patient", NOON - timedelta(hours=1), b"door")

CALENDARS = """
calendars:
  hours: { timezone: America/Chicago, open: { mon-fri: ["08:00-18:00"] }, closed: ["2026-11-26"] }
  lunch: { timezone: America/Chicago, open: { mon-sun: ["11:30-12:30"] } }
  holidays:
    timezone: America/Chicago
    open: { mon-fri: ["08:00-18:00"] }
    closed: ["11-24 12:00-24:00", "2026-11-25..2026-11-27", "2026-11-30 08:00-10:00"]
    instead: { "2026-11-28": ["07:00-08:00"] }
  london: { timezone: Europe/London, open: { mon-fri: ["09:00-17:00"] } }
  nights: { timezone: America/Chicago, open: { mon-sun: ["22:00-06:00"] } }
  always: { timezone: UTC, open: { mon-sun: ["00:00-24:00"] }, closed: ["2026-11-25"] }
  shift: { timezone: America/Chicago, open: { mon-sun: ["22:00-06:00"] }, closed: ["2026-11-25"] }
  never: { timezone: UTC, open: {} }
  sunday-night: { timezone: America/Chicago, open: { sun: ["01:15-01:45", "03:00-03:10"] } }
links: { patient: { alias: "mp{session}" } }
rooms: { visit: { name: "{call}" } }
"""


def door(when: str, call: Call = CALL, attributes: dict[str, str] | None = None, also: str = "") -> Door:
    """A door whose rule has some conditions beside the alias; ``also`` are rules that come after it."""
    rule = f"  - {{ id: in, when: {{ link_type: patient, {when} }}, room: visit }}"
    ruleset = load(f"{CALENDARS}\nservice:\n{rule}\n{also}\n  - {{ id: out, reject: closed }}\n")
    return Door(ruleset, KEYRING, ruleset.links["patient"], call, attributes or {})


def local(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("when", "now", "opening"),
    [
        pytest.param("open: hours", "2026-11-23T19:00-06:00", "2026-11-24T08:00-06:00", id="tomorrow"),
        pytest.param("open: hours", "2026-11-24T07:59:59-06:00", "2026-11-24T08:00-06:00", id="in a second"),
        pytest.param("open: hours", "2026-11-28T07:00-06:00", "2026-11-30T08:00-06:00", id="after the weekend"),
        pytest.param("open: hours", "2026-11-25T18:00-06:00", "2026-11-27T08:00-06:00", id="after a closed date"),
        pytest.param("open: hours, link: valid", "2026-11-24T19:00-06:00", "2026-11-25T08:00-06:00", id="link ends"),
        pytest.param("closed: lunch", "2026-11-23T12:00-06:00", "2026-11-23T12:30-06:00", id="when another closes"),
        pytest.param("closed: nights", "2026-11-23T23:00-06:00", "2026-11-24T06:00-06:00", id="closes past midnight"),
        pytest.param("closed: always", "2026-11-23T23:00+00:00", "2026-11-25T00:00+00:00", id="on a closed date"),
        pytest.param("closed: shift", "2026-11-24T23:00-06:00", "2026-11-25T00:00-06:00", id="cut off at midnight"),
        pytest.param(
            "open: hours, closed: lunch", "2026-11-23T12:00-06:00", "2026-11-23T12:30-06:00", id="both within hours"
        ),
        pytest.param(
            "all: [{ open: hours }, { open: london }]", "2026-11-23T12:00-06:00", "2026-11-24T08:00-06:00", id="both"
        ),
        pytest.param(
            "any: [{ open: hours }, { open: london }]", "2026-11-23T20:00-06:00", "2026-11-24T09:00+00:00", id="either"
        ),
        pytest.param("not: { open: lunch }", "2026-11-23T12:00-06:00", "2026-11-23T12:30-06:00", id="not"),
        pytest.param(
            "not: { any: [{ open: always }, { open: nights }] }",
            "2026-11-23T12:00-06:00",
            "2026-11-24T18:00-06:00",
            id="not within any",
        ),
        pytest.param("closed: sunday-night", "2026-11-01T01:20-05:00", "2026-11-01T01:45-05:00", id="first 1:45"),
        pytest.param("closed: sunday-night", "2026-11-01T01:20-06:00", "2026-11-01T01:45-06:00", id="second 1:45"),
        pytest.param("open: holidays", "2026-11-24T12:00-06:00", "2026-11-28T07:00-06:00", id="other hours on a date"),
        pytest.param("open: holidays", "2026-11-28T08:00-06:00", "2026-11-30T10:00-06:00", id="a closed morning ends"),
        pytest.param("closed: holidays", "2026-11-24T09:00-06:00", "2026-11-24T12:00-06:00", id="a half day begins"),
        pytest.param("closed: holidays", "2026-11-28T07:30-06:00", "2026-11-28T08:00-06:00", id="other hours end"),
        pytest.param("open: never", "2026-11-23T12:00-06:00", None, id="never"),
        pytest.param("open: hours, link: expired", "2026-11-23T19:00-06:00", None, id="for another link"),
        pytest.param("open: hours, protocol: sip", "2026-11-23T19:00-06:00", None, id="for another protocol"),
        pytest.param("open: hours, link_attributes: { vip: 'yes' }", "2026-11-23T19:00-06:00", None, id="for others"),
        pytest.param("protocol: sip", "2026-11-23T12:00-06:00", None, id="no calendar"),
    ],
)
def test_the_next_opening_is_when_the_rules_let_in(when: str, now: str, opening: str | None) -> None:
    """It is the first change of any calendar after which the rule would answer, even if the link ends before."""
    shut = door(when)
    assert not isinstance(shut.decide(local(now)), Serve)
    found = shut.next_opening(local(now))
    assert (found and found.astimezone(UTC)) == (opening and local(opening))


def test_the_opening_is_told_in_the_zone_of_its_calendar() -> None:
    """Of two calendars, the zone is that of the one that opens."""
    shut = door("any: [{ open: hours }, { open: london }]")
    for now, zone, wall in (
        ("2026-11-24T00:00+00:00", "Europe/London", "2026-11-24T09:00:00+00:00"),
        ("2026-11-27T23:59-06:00", "Europe/London", "2026-11-30T09:00:00+00:00"),
    ):
        found = shut.next_opening(local(now))
        assert found is not None
        assert (str(found.tzinfo), found.isoformat()) == (zone, wall)
    found = door("open: hours").next_opening(local("2026-11-24T06:00+00:00"))
    assert found is not None
    assert (str(found.tzinfo), found.isoformat()) == ("America/Chicago", "2026-11-24T08:00:00-06:00")


def test_an_earlier_rule_may_keep_the_door_shut() -> None:
    """An opening counts only if the rule that then answers lets in."""
    also = "  - { id: later, when: { link_type: patient, open: hours }, room: visit }"
    ruleset = load(
        CALENDARS
        + "service:\n  - { id: first, when: { open: hours, closed: lunch }, reject: full }\n"
        + also
        + "\n  - { id: out, reject: closed }\n"
    )
    shut = Door(ruleset, KEYRING, ruleset.links["patient"], CALL, {})
    assert shut.next_opening(local("2026-11-23T09:00-06:00")) == local("2026-11-23T11:30-06:00")


@pytest.mark.parametrize(("language", "rule"), [("es", "spanish"), ("en", "out"), (None, "out")])
def test_attributes_of_the_link_decide(language: str | None, rule: str) -> None:
    """What the link was given is known to the rules, for the decision and for the opening."""
    spanish = "  - { id: spanish, when: { link_type: patient, link_attributes: { language: es } }, room: visit }"
    attributes = {"language": language} if language else {}
    decision = door("open: never", attributes=attributes, also=spanish).decide(NOON)
    assert decision.rule == rule
    assert isinstance(decision, Serve if rule == "spanish" else Reject)


@pytest.mark.parametrize(("language", "opening"), [("es", "2026-11-24T08:00-06:00"), ("en", None)])
def test_a_table_decides_with_the_attributes_of_the_link(language: str, opening: str | None) -> None:
    """A door that no row lets in never opens; one with a row opens as its calendar does."""
    rule = "{ id: in, when: { link_type: patient, open: hours, table: { t: '{link.language}' } }, room: visit }"
    text = f"{CALENDARS}tables: {{ t: t.csv }}\nservice: [{rule}, {{ id: out, reject: closed }}]"
    ruleset = load(text, tables={"t.csv": "language\nES\n"})
    shut = Door(ruleset, KEYRING, ruleset.links["patient"], CALL, {"language": language})
    expected = None if opening is None else local(opening)
    assert shut.next_opening(local("2026-11-23T19:00-06:00")) == expected


def test_the_question_is_a_browsers() -> None:
    """The rules see what a node will ask when a browser dials the customer's alias."""
    asked = "protocol: api, call_direction: dial_in, trigger: web"
    assert isinstance(door(asked).decide(NOON), Serve)


def test_an_expired_link_stays_shut_but_its_opening_is_told() -> None:
    """The link is what the rules say it is now; only the opening is that of a link which is good then."""
    shut = door("open: hours, link: valid", call=OLD_CALL)
    assert isinstance(shut.decide(NOON), Reject)
    assert shut.next_opening(local("2026-11-23T19:00-06:00")) == local("2026-11-24T08:00-06:00")


minutes = st.integers(0, 2 * 7 * 1440).map(lambda count: local("2026-10-26T00:00-05:00") + timedelta(minutes=count))


WHENS = (
    "open: hours, closed: lunch",
    "any: [{ open: nights, closed: lunch }, { open: london, closed: hours }]",
    "closed: sunday-night, open: sunday-night",
    "not: { any: [{ open: hours }, { open: nights }] }",
)
DOORS = {when: door(f"link: valid, {when}") for when in WHENS}


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(st.sampled_from(WHENS), minutes)
def test_nothing_opens_before_the_next_opening(when: str, now: datetime) -> None:
    """Looking every five minutes, the rules let nobody in before the opening, and let everybody in at it."""
    shut = DOORS[when]
    life = KEYRING.sign("patient", now + 2 * WEEK, b"1234")
    shut = Door(shut.ruleset, KEYRING, shut.link_type, life, {})
    if isinstance(shut.decide(now), Serve):
        return
    opening = shut.next_opening(now)
    until = now + timedelta(hours=30) if opening is None else min(opening, now + timedelta(hours=30))
    minute = now
    while minute < until:
        assert not isinstance(shut.decide(minute), Serve)
        minute += timedelta(minutes=5)
    if opening is not None:
        assert isinstance(shut.decide(opening), Serve)
        assert not isinstance(shut.decide(opening - timedelta(seconds=1)), Serve)


def test_looking_for_an_opening_ends() -> None:
    """A door that calendars open and shut all the time but that never lets in is given up, soon."""
    ruleset: Ruleset = door("open: hours, closed: lunch, protocol: sip").ruleset
    assert Door(ruleset, KEYRING, ruleset.links["patient"], CALL, {}).next_opening(NOON) is None
