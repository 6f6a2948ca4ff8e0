"""Limits of trunks: which legs a room dials when one has as much as it may."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.assured import assured
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.policy.assurance import Entry
from policy_server.policy.decisions import Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.names import Keyring
from policy_server.policy.services import LEGS
from policy_server.policy.trunk_limits import may_be_dialled
from policy_server.telephony.trunks import Load
from tests.rulefiles.faults import load

KEYRING = Keyring(b"the secret key of every test of rules")
MONDAY = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
ALIASES = {"a": "+13129998041", "b": "+13129998042", "c": "+13129998043", "desk": "desk@example.com"}
NAMES = {alias: name for name, alias in ALIASES.items()}
FULL = Load(legs=30)


def served(dial_out: str, loads: Mapping[str, Load]) -> Serve:
    """The decision of a rule whose trunks a, b, c may have 30 legs and 60 calls a minute each."""
    ruleset = load(
        f"""
        trunks:
          a: {{ number: "+13129998041", limits: {{ legs: 30, calls_per_minute: 60 }} }}
          b: {{ number: "+13129998042", limits: {{ legs: 30, calls_per_minute: 60 }} }}
          c: {{ number: "+13129998043", limits: {{ legs: 30, calls_per_minute: 60 }} }}
        calendars: {{ never: {{ timezone: UTC, open: {{ sun: ["00:00-00:01"] }} }} }}
        service:
          - id: x
            service: {{ service_type: conference, name: x, service_tag: x }}
            dial_out: [{dial_out}]
        """
    ).ruleset
    assert ruleset is not None
    question = parse_request(RequestType.SERVICE, b"local_alias=x")
    by_alias = {ALIASES[name]: load for name, load in loads.items()}
    decision = evaluate(ruleset, question, MONDAY, KEYRING, load_of=lambda alias: by_alias.get(alias, Load()))
    assert isinstance(decision, Serve)
    return decision


def names(legs: object) -> list[str]:
    """The trunks of legs."""
    assert isinstance(legs, list | tuple)
    return [NAMES[leg["remote_alias"]] for leg in legs]


THREE = "{ trunk: a }, { trunk: b, when: failed }, { trunk: c, when: failed }"
CLOSED = "{ trunk: a }, { trunk: b, when: failed, open: never }, { trunk: c, when: failed }"
SHARED = "{ trunk: a, weight: 1 }, { trunk: b, weight: 1 }, { trunk: c, when: failed }"
BESIDE = "{ trunk: a }, { remote_alias: desk@example.com }, { trunk: c, when: failed }"
DESK = "{ trunk: a }, { remote_alias: desk@example.com, when: failed }, { trunk: c, when: failed }"
TOLD = "passed over: trunk 'a' has 30 of 30 legs"
ALL_FULL = dict.fromkeys(ALIASES, FULL)


@pytest.mark.parametrize(
    ("dial_out", "loads", "dialled", "waiting", "reason"),
    [
        pytest.param(THREE, {"a": Load(29, 59)}, ["a"], ["b", "c"], "", id="below the limits"),
        pytest.param(THREE, {"a": FULL}, ["b"], ["c"], TOLD, id="legs"),
        pytest.param(
            THREE,
            {"a": Load(0, 60)},
            ["b"],
            ["c"],
            "passed over: trunk 'a' has 60 of 60 calls a minute",
            id="calls in a minute",
        ),
        pytest.param(THREE, {"a": FULL, "b": FULL}, ["c"], [], f"{TOLD} and trunk 'b' has 30 of 30 legs", id="two"),
        pytest.param(CLOSED, {"a": FULL}, ["c"], [], TOLD, id="an entry that is closed"),
        pytest.param(BESIDE, {"a": FULL}, ["desk", "c"], [], TOLD, id="a recorder stays"),
        pytest.param(DESK, {"a": FULL}, ["desk"], ["c"], TOLD, id="an entry without a trunk"),
        pytest.param("{ trunk: a }, { trunk: b }", {"a": FULL}, ["b"], [], TOLD, id="one of two at once"),
        pytest.param(
            THREE,
            ALL_FULL,
            ["a"],
            ["b", "c"],
            "trunk 'a' has 30 of 30 legs, trunk 'b' has 30 of 30 legs and trunk 'c' has 30 of 30 legs, and nothing "
            "else is left to dial",
            id="all: as if there were no limits",
        ),
    ],
)
def test_a_trunk_over_its_limit_is_passed_over(
    dial_out: str, loads: Mapping[str, Load], dialled: list[str], waiting: list[str], reason: str
) -> None:
    """The next entry that may be dialled is dialled in its place, and the decision says why; what was dialled waits no more."""
    decision = served(dial_out, loads)
    assert (names(decision.service[LEGS]), names(decision.fallbacks)) == (dialled, waiting)
    assert decision.reason == "; ".join(filter(None, ("every condition holds", reason)))


@pytest.mark.parametrize(("full", "left"), [("a", "b"), ("b", "a")])
def test_those_that_share_calls_stand_in_for_each_other(full: str, left: str) -> None:
    """Whoever a call would have got by weight, one that is over its limit gets none, before any entry that waits."""
    decision = served(SHARED, {full: FULL})
    assert (names(decision.service[LEGS]), names(decision.fallbacks)) == ([left], ["c"])


def test_what_is_dialled_in_place_is_watched() -> None:
    """The watch over legs knows what the room dials, and what waits, by their trunks."""
    found = assured(served(DESK, {"a": FULL}))
    assert found is not None
    assert (dict(found.trunks), found.companions) == ({ALIASES["desk"]: "", ALIASES["c"]: "c"}, ())
    assert found.entries == (Entry("c"),)
    found = assured(served(THREE, {"a": FULL}))
    assert found is not None
    assert (dict(found.trunks), found.entries) == ({ALIASES["b"]: "b", ALIASES["c"]: "c"}, (Entry("c"),))


def test_rules_without_limits_ask_for_no_load() -> None:
    """How much goes through trunks is asked only where it matters."""
    ruleset = load(
        """
        trunks: { a: { number: "+13129998041" } }
        service:
          - { id: x, service: { service_type: conference, name: x, service_tag: x }, dial_out: [ { trunk: a } ] }
        """
    ).ruleset
    assert ruleset is not None

    def refuse(alias: str) -> Load:
        raise AssertionError(alias)

    decision = evaluate(ruleset, parse_request(RequestType.SERVICE, b""), MONDAY, KEYRING, load_of=refuse)
    assert isinstance(decision, Serve)


loads = st.builds(Load, st.integers(0, 40), st.integers(0, 80))


@given(st.sampled_from([THREE, CLOSED, SHARED, BESIDE, DESK]), st.dictionaries(st.sampled_from("abc"), loads))
def test_somebody_is_always_dialled(dial_out: str, loads: Mapping[str, Load]) -> None:
    """Limits never leave a room without a leg to the contact centre, and dial one over its limit only if none is left."""
    decision = served(dial_out, loads)
    dialled = [name for name in names(decision.service[LEGS]) if dial_out is not BESIDE or name != "desk"]
    assert dialled
    over = {name for name, load in loads.items() if load.legs >= 30 or load.calls >= 60}
    if set(dialled) & over:
        waiting = [name for name in names(decision.fallbacks) if (dial_out, name) != (CLOSED, "b")]
        assert set(waiting) <= over


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_of_entries_that_wait_one_over_its_limit_goes_behind(entries: Sequence[tuple[bool, bool]]) -> None:
    """An entry is passed over for a later one alone, and a closed one is never dialled."""
    may = may_be_dialled([is_open for is_open, _ in entries], [is_over for _, is_over in entries])
    for number, (is_open, is_over) in enumerate(entries):
        has_better = any(later_open and not later_over for later_open, later_over in entries[number + 1 :])
        assert may[number] is (is_open and not (is_over and has_better))
