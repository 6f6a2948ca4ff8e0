"""What is wrong is said in a sentence with what to do, the worst first, from the facts of /readyz."""

from typing import Any, get_type_hints

import pytest

from policy_server.web.admin.concerns import LONGEST_PROBLEM, NAMED, Level, concerns_of, headline
from policy_server.web.health import Ready
from tests.conferences.samples import DAY
from tests.web.samples import NOW

AT = "2026-11-23T16:00:00+00:00"
WELL: Ready = {
    "status": "ready",
    "rules": {"revision": "abc", "count": 5},
    "reload": {"at": AT, "refused": False, "problems": []},
    "database": {"name": "sqlite:///var/policy.db", "reachable": True, "waiting": 0, "lost": 0},
    "rooms": {"held": 1, "without_link": 0, "without_link_limit": 2000, "unheld": 0},
    "clocks": [],
    "upstreams": [{"name": "old", "left_alone": False, "reason": ""}],
    "events": {"last_at": AT, "silent_since": None, "unreadable": 0},
    "genesys": {"api": "https://api.example.com", "state": "answers", "problem": "", "since": AT},
    "management": {"url": "https://manager.example.com", "state": "answers", "problem": "", "since": AT},
    "webhooks": [
        {
            "name": "crm",
            "host": "crm.example.com",
            "waiting": 1,
            "next_at": None,
            "dead": 0,
            "failing_since": None,
            "error": "",
        }
    ],
}
TROUBLE: dict[str, tuple[dict[str, Any], str, Level, str]] = {
    "rules refused": (
        {"reload": {"at": AT, "refused": True, "problems": [{"severity": "error"}, {"severity": "warning"}]}},
        "Rules",
        Level.LOOK,
        "refused at 16:00:00 UTC: 1 error. Those from before go on",
    ),
    "database away": (
        {"database": {**WELL["database"], "reachable": False, "waiting": 7}},
        "Database",
        Level.BROKEN,
        "sqlite:///var/policy.db does not answer, and 7 records wait for it",
    ),
    "records lost": ({"database": {**WELL["database"], "lost": 3}}, "Database", Level.LOOK, "3 records were lost"),
    "rooms not held": ({"rooms": {**WELL["rooms"], "unheld": 4}}, "Rooms", Level.LOOK, "4 answers since the start"),
    "sink silent": (
        {"events": {"last_at": None, "silent_since": AT, "unreadable": 0}},
        "Event sink",
        Level.LOOK,
        "Rooms are held since 16:00:00 UTC, and no node has told anything ever",
    ),
    "messages unreadable": (
        {"events": {"last_at": AT, "silent_since": None, "unreadable": 2}},
        "Event sink",
        Level.LOOK,
        "2 messages",
    ),
    "clock off": (
        {"clocks": [{"node": "10.44.1.1", "seconds_ahead": -120.4}]},
        "Clocks of nodes",
        Level.LOOK,
        "10.44.1.1 (120 s behind)",
    ),
    "genesys away": (
        {"genesys": {**WELL["genesys"], "state": "away", "problem": "it answered 503"}},
        "Genesys Cloud",
        Level.BROKEN,
        "has not answered since 16:00:00 UTC: it answered 503.",
    ),
    "manager away": (
        {"management": {**WELL["management"], "state": "away", "problem": "cannot connect"}},
        "Management Node",
        Level.BROKEN,
        "is away since 16:00:00 UTC: cannot connect.",
    ),
    "manager refuses": (
        {"management": {**WELL["management"], "state": "refuses", "problem": "wrong password"}},
        "Management Node",
        Level.BROKEN,
        "refuses us since",
    ),
    "receiver away": (
        {"webhooks": [{**WELL["webhooks"][0], "failing_since": AT, "error": "it answered 500", "waiting": 9}]},
        "Webhooks to crm",
        Level.BROKEN,
        "crm.example.com takes none since 16:00:00 UTC: it answered 500. 9 messages wait.",
    ),
    "dead letters": ({"webhooks": [{**WELL["webhooks"][0], "dead": 2}]}, "Webhooks to crm", Level.LOOK, "2 messages"),
    "upstream left alone": (
        {"upstreams": [{"name": "old", "left_alone": True, "reason": "no answer"}]},
        "Policy server old",
        Level.BROKEN,
        "left alone for the moment: no answer.",
    ),
    "upstream failed": (
        {"upstreams": [{"name": "old", "left_alone": False, "reason": "late"}]},
        "Policy server old",
        Level.LOOK,
        "late",
    ),
}


def changed(change: dict[str, Any]) -> Ready:
    """The facts when something is wrong."""
    return {**WELL, **change}  # type: ignore[typeddict-item]


def test_all_is_well() -> None:
    """Where nothing is wrong, everything is said to be well, and nothing is to be done."""
    concerns = concerns_of(WELL, NOW)
    assert [concern for concern in concerns if concern.level is not Level.WELL or concern.remedy] == []
    assert headline(concerns) == (Level.WELL, "All is well.")


@pytest.mark.parametrize("trouble", TROUBLE)
def test_what_is_wrong_comes_first_with_what_to_do(trouble: str) -> None:
    """The sentence says what is wrong, the remedy what to do, and the headline names it."""
    change, name, level, words = TROUBLE[trouble]
    concerns = concerns_of(changed(change), NOW)
    first = concerns[0]
    assert (first.name, first.level) == (name, level)
    assert words in first.sentence
    assert first.remedy
    assert headline(concerns) == (level, f"{'Broken' if level is Level.BROKEN else 'Needs a look'}: {name}.")


def test_the_worst_comes_first() -> None:
    """What is broken stands before what somebody should look at, that before what is well, and last what is not set up."""
    facts = changed(TROUBLE["rules refused"][0] | TROUBLE["database away"][0] | TROUBLE["genesys away"][0])
    del facts["webhooks"]
    concerns = concerns_of(facts, NOW)
    levels = [concern.level for concern in concerns]
    assert levels == sorted(levels, key=list(Level).index)
    assert headline(concerns)[1] == "Broken: Database and Genesys Cloud. Needs a look: Rules."


@pytest.mark.parametrize("missing", ["events", "genesys", "management", "webhooks"])
def test_what_is_not_set_up_is_no_trouble(missing: str) -> None:
    """It says what is not possible without it and which settings it takes, and the headline is of other things."""
    facts = changed({})
    del facts[missing]  # type: ignore[misc]
    concerns = concerns_of(facts, NOW)
    (unset,) = [concern for concern in concerns if concern.level is Level.UNSET]
    assert "POLICY_" in unset.remedy
    assert concerns[-1] is unset
    assert headline(concerns)[0] is Level.WELL


@pytest.mark.parametrize("name", ["Genesys Cloud", "Management Node", "Event sink"])
def test_what_is_not_known_is_not_called_well(name: str) -> None:
    """Whoever was not asked yet, and what is in a database that is away, is neither well nor broken."""
    unknown = {"state": "unknown", "since": None}
    facts = {
        "Genesys Cloud": {"genesys": {**WELL["genesys"], **unknown}},
        "Management Node": {"management": {**WELL["management"], **unknown}},
        "Event sink": TROUBLE["database away"][0],
    }
    (concern,) = [one for one in concerns_of(changed(facts[name]), NOW) if one.name == name]
    assert concern.level is Level.UNKNOWN


def test_every_fact_of_readyz_can_be_trouble() -> None:
    """Nothing that /readyz tells of is left out: for each there is a trouble above."""
    told = {key for change, _, _, _ in TROUBLE.values() for key in change}
    assert told | {"status", "rules"} == set(get_type_hints(Ready))


def test_there_is_an_end_to_what_strangers_say() -> None:
    """However much another system says is wrong, and however many clocks are off, a sentence is short."""
    facts = changed(
        {
            "management": {**WELL["management"], "state": "away", "problem": "x" * 10_000},
            "clocks": [{"node": f"10.44.1.{number}", "seconds_ahead": 9.0} for number in range(200)],
        }
    )
    concerns = concerns_of(facts, NOW)
    assert max(len(concern.sentence) for concern in concerns) < 2 * LONGEST_PROBLEM
    assert any(f"{200 - NAMED} more" in concern.sentence for concern in concerns)


def test_a_time_of_another_day_has_its_date() -> None:
    """What began today has its time alone."""
    sentences = [concerns_of(changed(TROUBLE["manager away"][0]), now)[0].sentence for now in (NOW, NOW + DAY)]
    assert "since 16:00:00 UTC" in sentences[0]
    assert "since 2026-11-23 16:00:00 UTC" in sentences[1]
