"""Reading what a rule wants when a leg fails: ``assurance``, second numbers, and shares of calls."""

from collections import Counter
from typing import Any

import pytest

from policy_server.conferences.assuring import watch
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.assurance import Assurance, Assured, Disconnect, Entry, Exhausted, Keep, Transfer
from policy_server.policy.decisions import Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from tests.conferences.samples import conference
from tests.rulefiles.faults import NOW, Fault, check, each_fault, load
from tests.rulefiles.structures import as_yaml

KEYRING = Keyring(b"the secret key of every test of rules")
NORTH, SOUTH = "99+13129998045", "99+13129998046"


@each_fault("assurance")
def test_assurance_gives_exactly_these_problems(fault: Fault) -> None:
    """Every fault of what a rule wants when a leg fails is told in these words."""
    check(fault)


def rules(**rule: Any) -> Ruleset:
    """Rules with one rule, which has these keys too."""
    sections = {
        "trunks": {
            "north": {"number": "+1 312 999 8045", "dial_prefix": "99"},
            "south": {"number": "+1 312 999 8046", "dial_prefix": "99"},
        },
        "calendars": {"hours": {"timezone": "Europe/Zurich", "open": {"mon-fri": ["08:00-18:00"]}}},
        "rooms": {"visit": {"name": "Visit {local_alias}"}},
        "service": [{"id": "visit", "room": "visit", **rule}],
    }
    loaded = load(as_yaml(sections))
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


def served(ruleset: Ruleset, alias: str = "one") -> Serve:
    """What somebody is served who dials an alias."""
    query = encode_query({"call_direction": "dial_in", "local_alias": alias}).encode()
    decision = evaluate(ruleset, parse_request(RequestType.SERVICE, query), NOW, KEYRING)
    assert isinstance(decision, Serve)
    return decision


def numbers(decision: Serve) -> list[str]:
    """Whom a room dials."""
    legs = decision.service["automatic_participants"]
    assert isinstance(legs, list)
    return [leg["remote_alias"] for leg in legs]


EXHAUSTED: dict[str, tuple[object, Exhausted]] = {
    "keep": ("keep", Keep()),
    "disconnect": ("disconnect", Disconnect()),
    "transfer": ({"transfer": "sorry"}, Transfer("sorry")),
}


@pytest.mark.parametrize(("written", "meant"), EXHAUSTED.values(), ids=EXHAUSTED)
def test_what_is_written_is_what_is_meant(written: object, meant: Exhausted) -> None:
    """Each key of assurance has the value that was written; what was left out has its default."""
    says = {"answer_within": "40s", "attempts": 3, "on_exhausted": written, "end_room_with_leg": False}
    decision = served(rules(dial_out=[{"trunk": "north"}], assurance=says))
    assert decision.template is not None
    assert decision.template.assurance == Assurance(
        answer_within=40.0,
        attempts=3,
        pause=2.0,
        on_exhausted=meant,
        end_room_with_leg=None,
    )


def test_what_is_known_of_legs_that_are_watched() -> None:
    """Legs to trunks are watched by what they dial, others are not taken for them, and second numbers stand in order."""
    ruleset = rules(
        dial_out=[
            {"trunk": "north"},
            {"remote_alias": "recorder@example.com"},
            {"trunk": "south", "when": "failed", "open": "hours"},
            {"remote_alias": "+41445556677", "when": "failed"},
        ]
    )
    action = watch(served(ruleset), conference(), "the-timeline", NOW)
    assert action is not None
    trunks = {NORTH: "north", SOUTH: "south", "+41445556677": ""}
    plan = Assured(Assurance(), trunks, ("recorder@example.com",), (Entry("south", "hours"), Entry()))
    assert Assured.of(action.data["plan"]) == plan  # type: ignore[arg-type]
    fallbacks = action.data["fallbacks"]
    assert isinstance(fallbacks, list)
    assert [leg["remote_alias"] for leg in fallbacks] == [SOUTH, "+41445556677"]


NOT_WATCHED: dict[str, dict[str, Any]] = {
    "nobody is dialled": {},
    "a recorder alone": {"dial_out": [{"remote_alias": "recorder@example.com"}]},
}


@pytest.mark.parametrize("rule", NOT_WATCHED.values(), ids=NOT_WATCHED)
def test_a_room_that_dials_no_trunk_is_not_watched(rule: dict[str, Any]) -> None:
    """Without a leg to the contact centre there is nothing to watch."""
    assert watch(served(rules(**rule)), conference(), "the-timeline", NOW) is None


def test_entries_share_calls_by_their_weight() -> None:
    """Of the entries with a weight each call dials one, always the same, and as often as the weights say; others always."""
    ruleset = rules(
        dial_out=[
            {"trunk": "north", "weight": 3},
            {"remote_alias": "recorder@example.com"},
            {"trunk": "south", "weight": 1},
        ]
    )
    found: Counter[str] = Counter()
    for number in range(2000):
        dialled = numbers(served(ruleset, f"call-{number}"))
        assert dialled == numbers(served(ruleset, f"call-{number}"))
        assert len(dialled) == 2
        assert "recorder@example.com" in dialled
        found.update(dialled)
    assert 1400 < found[NORTH] < 1600
    assert found[NORTH] + found[SOUTH] == 2000
