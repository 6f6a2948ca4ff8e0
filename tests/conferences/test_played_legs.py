"""Calls that are played in simulated time: they go as the watch over legs would have them go."""

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policy_server.conferences.played_legs import play_legs
from policy_server.conferences.rehearsal import rehearse
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.policy.assurance import Assurance, Disconnect, Exhausted, Keep, Transfer
from policy_server.policy.decisions import Serve
from policy_server.policy.fates import Answers, Fails, Failure, Fate, LegsOutcome, PlayedLegs
from policy_server.policy.names import Keyring
from tests.conferences.watched_world import Trunk, World
from tests.rulefiles.faults import load
from tests.rulefiles.structures import as_yaml

MONDAY = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
KEYRING = Keyring(b"the secret key of every test of rules")
ON_EXHAUSTED: dict[Exhausted, object] = {
    Keep(): "keep",
    Disconnect(): "disconnect",
    Transfer("desk"): {"transfer": "desk"},
}


def played(fates: list[Fate], assurance: Assurance | None = None, **entry: object) -> PlayedLegs:
    """Play a call of a rule that dials trunks 0, 1, … one after the other; ``entry`` is more of each that waits."""
    assurance = assurance or Assurance()
    names = [f"trunk-{number}" for number in range(len(fates))]
    rules = {
        "trunks": {name: {"number": f"+1312999800{number}"} for number, name in enumerate(names)},
        "calendars": {"never": {"timezone": "UTC", "open": {"sun": ["00:00-00:01"]}}},
        "service": [
            {
                "id": "x",
                "service": {"service_type": "conference", "name": "x", "service_tag": "x"},
                "dial_out": [
                    {"trunk": name, **({"when": "failed", **entry} if number else {})}
                    for number, name in enumerate(names)
                ],
                "assurance": {
                    "answer_within": f"{assurance.answer_within:g}s",
                    "attempts": assurance.attempts,
                    "on_exhausted": ON_EXHAUSTED[assurance.on_exhausted],
                },
            }
        ],
    }
    ruleset = load(as_yaml(rules).decode()).ruleset
    assert ruleset is not None
    decision = rehearse(ruleset, [parse_request(RequestType.SERVICE, b"local_alias=x")], MONDAY, KEYRING, {})
    assert isinstance(decision, Serve)
    found = play_legs(ruleset, decision, lambda called, _: fates[int(called[-1])], MONDAY)
    assert found is not None
    return found


BUSY, SILENT = Fails(Failure.BUSY), Fails(Failure.SILENT)


@pytest.mark.parametrize(
    ("fates", "assurance", "dialled", "outcome", "ends"),
    [
        pytest.param([Answers(3)], None, [0], "answered", False, id="answered"),
        pytest.param([Answers(3, 1)], None, [0], "answered", True, id="a second of talk is an answer"),
        pytest.param([Answers(24)], None, [0], "answered", False, id="just in time"),
        pytest.param([Answers(26), Answers(3)], None, [0, 1], "answered", False, id="late"),
        pytest.param([BUSY, SILENT, Answers(3)], None, [0, 1, 2], "answered", False, id="the third"),
        pytest.param([BUSY, BUSY], None, [0, 1], "kept", False, id="kept"),
        pytest.param([BUSY, BUSY], Assurance(attempts=3), [0, 1, 1, 1], "kept", False, id="attempts"),
        pytest.param([BUSY], Assurance(on_exhausted=Disconnect()), [0], "disconnected", True, id="disconnected"),
        pytest.param([BUSY], Assurance(on_exhausted=Transfer("desk")), [0], "transferred", False, id="transferred"),
        pytest.param([SILENT], None, [0], "kept", False, id="silent"),
    ],
)
def test_a_call_goes_as_its_trunks_and_its_rule_say(
    fates: list[Fate], assurance: Assurance | None, dialled: list[int], outcome: str, ends: bool
) -> None:
    """Entries are dialled in order until one answers; then the customer is where the rule wants them."""
    found = played(fates, assurance)
    assert found.dialled == tuple(f"trunk-{number}" for number in dialled)
    assert (found.outcome, found.ends, found.untold) == (LegsOutcome(outcome), ends, ())


def test_what_happens_is_told_second_by_second() -> None:
    """People read when what was dialled, and what became of it."""
    found = played([SILENT, Fails(Failure.NO_ANSWER)], Assurance(on_exhausted=Transfer("desk")))
    assert [str(each) for each in found.happenings] == [
        "0s: the customer joins",
        "10s: 'trunk-0' is dialled, by the node, with the room",
        "35s: 'trunk-0' was not connected within 25s, and is ended",
        "37s: 'trunk-1' is dialled, because no agent was reached",
        "57s: 'trunk-1' is not answered",
        "57s: nobody could be reached: the customer is transferred to 'desk'",
    ]


def test_an_entry_whose_calendar_is_closed_is_passed_over() -> None:
    """What is dialled depends on the hour at which it would be."""
    assert played([BUSY, Answers(3)], open="never").dialled == ("trunk-0",)


fates = st.one_of(
    st.builds(Fails, st.sampled_from(Failure)),
    st.builds(Answers, st.integers(1, 60).map(float), st.none() | st.integers(1, 100).map(float)),
)
assurances = st.builds(
    Assurance,
    answer_within=st.integers(5, 60).map(float),
    attempts=st.integers(1, 3),
    on_exhausted=st.sampled_from([Keep(), Disconnect(), Transfer("desk")]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(fates, min_size=1, max_size=4), assurances)
def test_a_play_goes_as_the_watch_over_legs_has_calls_go(fates: list[Fate], assurance: Assurance) -> None:
    """What is dialled, and how it ends, is what the real watch does in a world where nothing goes wrong, as far as seconds
    that pass there between word and deed do not decide.
    """
    assume(not any(isinstance(fate, Answers) and abs(fate.after - assurance.answer_within) < 3 for fate in fates))
    found = played(fates, assurance)
    world = World([_trunk(fate) for fate in fates], assurance).run(1500.0)
    dials = [int(whom) for _, what, whom in world.commands if what == "dial"]
    assert [int(called[-1]) for called in found.dialled] == [0, *dials]
    last = [what for _, what, _ in world.commands if what != "drop"][-1:]
    assert found.ends is (last == ["end"])
    assert (found.outcome is LegsOutcome.TRANSFERRED) is (last == ["move"])


def _trunk(fate: Fate) -> Trunk:
    if isinstance(fate, Answers):
        return Trunk(answers_after=fate.after, talks=fate.talks)
    ends_after = fate.how.ends_after
    return Trunk(10_000.0 if ends_after is None else ends_after, fate.how.text)
