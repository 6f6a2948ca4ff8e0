"""Rule tests: how they are read, what they ask, and what a failure says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_server.conferences.played_legs import play_legs
from policy_server.conferences.rehearsal import rehearse
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.expectations import compare
from policy_server.rulefiles.problems import Severity
from policy_server.rulefiles.ruletests import RuleTest, TestOutcome, parse_tests, run_test
from tests.rulefiles.faults import NOW, Fault, load, read_faults, without_keys
from tests.rulefiles.structures import anything, as_yaml, test_structures

NO_LINKS = load("service: [{ id: a, continue: true }]").ruleset
KEYRING = Keyring(b"the secret key of every test of rules")
RULES = """
trunks: { clinic: { number: "+1 312 999 8045", dial_prefix: "99" } }
rooms: { visit: { name: "{call}", pin: derived, description: "{link.queue} {link.name}" } }
links:
  visit: { alias: "mp{session}", agent_alias: "hcp{agent}" }
  short: { alias: "s{session}" }
  declared:
    alias: "d{session}"
    attributes: { language: { values: [de, fr], default: de }, booking: { required: true, pattern: "[A-Z0-9]{6,12}" } }
  booked: { alias: "b{session}", window: { before: 15m, after: 1h } }
  helper: { alias: "h{session}", joins: visit }
  adviser: { alias: "i{session}", joins: declared }
calendars: { hours: { timezone: America/Chicago, open: { mon: ["08:00-18:00"] } } }
service:
  - id: customer
    when: { link_type: visit, door: customer, link: valid, open: hours }
    room: visit
    dial_out: [ { trunk: clinic } ]
  - { id: agent, when: { link_type: visit, door: agent }, room: visit }
  - { id: early, when: { link: early }, reject: Your appointment is later }
  - { id: german-helper, when: { link_type: helper, link: valid, link_attributes: { language: de } }, room: visit }
  - { id: helper, when: { link_type: helper, link: valid }, room: visit }
  - { id: adviser, when: { link_type: [adviser, declared], link: valid }, room: visit }
  - { id: booked, when: { link_type: booked, link: valid }, room: visit }
  - { id: expired, when: { link: expired }, reject: The link is not valid any more }
  - { id: made-up, when: { link: invalid, local_alias: 'mp.*' }, reject: Closed }
  - { id: lucky, when: { percent: 50, local_alias: 'x.*' }, redirect: lucky }
  - { id: spoilt, when: { local_alias: long }, service: { service_type: conference, name: "{vendor}", service_tag: x } }
participants:
  - { id: nurse, when: { idp_attributes: { groups: nurses }, registered: true }, set: { preauthenticated_role: chair } }
locations:
  - { id: london, when: { remote_address: 10.0.0.0/8 }, location: London }
registrations:
  - { id: kiosk, when: { alias: kiosk }, allow: { username: kiosk, password_env: KIOSK } }
directory: [ { alias: desk } ]
"""


def rules() -> Ruleset:
    """The rules that the tests here are about."""
    ruleset = load(RULES, environment={"KIOSK": "hunter2"}).ruleset
    assert ruleset is not None
    return ruleset


def run(fields: dict[str, Any]) -> TestOutcome:
    """Read and run one rule test."""
    test = {"name": "x", "at": "2026-11-23T10:00:00-06:00", **fields}
    ruleset = rules()
    tests, problems = parse_tests({"x.test.yaml": as_yaml({"tests": [test]})}, ruleset, NOW)
    assert [str(problem) for problem in problems if problem.severity is Severity.ERROR] == []
    (parsed,) = tests
    return run_test(parsed, ruleset, KEYRING, rehearse, play_legs)


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in read_faults("ruletests").items()])
def test_test_files_give_exactly_these_problems(fault: Fault) -> None:
    """Every fault of a file of rule tests is told in these words, and a test with an error does not run."""
    documents = {name: text.encode() for name, text in fault.files.items()}
    tests, problems = parse_tests(documents, rules(), NOW)
    assert [without_keys(problem) for problem in problems] == list(fault.expected)
    lines = {problem.place.line for problem in problems if problem.severity is Severity.ERROR}
    assert not [test for test in tests if test.place.line in lines]


def test_tests_of_several_files_come_in_the_order_of_their_names() -> None:
    """A test knows where it is written; an empty file has none."""
    one = b"tests: [ { name: %s, request: { type: service }, expect: { rule: null } } ]"
    documents = {"b.test.yaml": one % b"second", "a.test.yaml": one % b"first", "c.test.yaml": b""}
    tests, problems = parse_tests(documents, NO_LINKS, NOW)
    assert problems == ()
    assert [(test.name, str(test.place)) for test in tests] == [
        ("first", "a.test.yaml:1:10"),
        ("second", "b.test.yaml:1:10"),
    ]


def test_without_rules_any_link_type_may_be_meant() -> None:
    """Where the rules cannot be used, a test file is held against itself only."""
    text = b"tests: [ { name: x, link: { type: y }, request: { type: service, local_alias: '{alias}' }, expect: { rule: a } } ]"
    assert parse_tests({"x.test.yaml": text}, None, NOW)[1] == ()
    (problem,) = parse_tests({"x.test.yaml": text}, NO_LINKS, NOW)[1]
    assert "link type 'y' is not defined" in problem.message


def test_attributes_of_the_link_decide() -> None:
    """A test says which attributes the link was given, and a rule that sends Spanish speakers elsewhere sees them."""
    loaded = load(
        """
        service:
          - id: spanish
            when: { link_type: patient, link: valid, link_attributes: { language: 'es(-.*)?' } }
            redirect: "hola-{link.language}"
          - { id: other, when: { local_alias: 'mp.{32}' }, redirect: hello }
        links: { patient: { alias: "mp{session}" } }
        """
    ).ruleset
    assert loaded is not None
    text = b"""
tests:
  - name: Spanish
    link: { type: patient, attributes: { language: es } }
    request: { type: service, local_alias: "{alias}" }
    expect: { rule: spanish, result: { new_alias: hola-es } }
  - name: none
    link: { type: patient }
    request: { type: service, local_alias: "{alias}" }
    expect: { rule: other }
"""
    tests, problems = parse_tests({"x.test.yaml": text}, loaded, NOW)
    assert problems == ()
    assert [run_test(test, loaded, KEYRING, rehearse, play_legs).differences for test in tests] == [(), ()]


def test_an_expected_rule_that_does_not_exist_is_named_where_the_test_fails() -> None:
    """Whoever misspelt the id of a rule reads which one was meant beside the difference."""
    outcome = run({**CUSTOMER, "expect": {"rule": "custmer"}})
    assert outcome.differences == (
        "rule: expected 'custmer' but got 'customer'",
        "there is no rule 'custmer' for service questions (did you mean 'customer'?)",
    )


STARTS_AT = "2026-11-23T16:00:00+00:00"
BOOKED = {"request": {"type": "service", "local_alias": "{alias}"}}


@pytest.mark.parametrize(
    ("at", "rule"),
    [
        pytest.param("2026-11-23T15:44:59+00:00", "early", id="before the window"),
        pytest.param("2026-11-23T15:45:00+00:00", "booked", id="the door opens"),
        pytest.param("2026-11-23T09:59:59-06:00", "booked", id="before its time"),
        pytest.param("2026-11-23T16:59:59+00:00", "booked", id="the last second"),
        pytest.param("2026-11-23T17:00:00+00:00", "expired", id="it is shut"),
    ],
)
def test_a_link_with_a_time_is_good_in_its_window(at: str, rule: str) -> None:
    """The state of an appointment's link follows from its time and from when the question is asked."""
    link = {"type": "booked", "starts_at": STARTS_AT}
    assert run({**BOOKED, "at": at, "link": link, "expect": {"rule": rule}}).differences == ()


@pytest.mark.parametrize(
    ("link", "rule"),
    [
        pytest.param({"state": "early"}, "early", id="early, whenever it is for"),
        pytest.param({}, "booked", id="without a time"),
        pytest.param({"state": "invalid", "starts_at": STARTS_AT}, None, id="signed by nobody"),
    ],
)
def test_a_test_says_what_its_link_is_worth(link: dict[str, str], rule: str | None) -> None:
    """A link is early because the test says so, and invalid whatever its time."""
    assert run({**BOOKED, "link": {"type": "booked", **link}, "expect": {"rule": rule}}).differences == ()


def test_a_test_without_a_moment_happens_now() -> None:
    """``at`` is needed only where the time matters."""
    (test,), _ = parse_tests(
        {"x.test.yaml": b"tests: [ { name: x, request: { type: service }, expect: { rule: null } } ]"}, NO_LINKS, NOW
    )
    assert test.at == NOW


CUSTOMER = {"link": {"type": "visit"}, "request": {"type": "service", "local_alias": "{alias}"}}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({**CUSTOMER, "expect": {"rule": "customer", "action": "continue"}}, id="a valid link"),
        pytest.param(
            {
                **CUSTOMER,
                "link": {"type": "visit", "state": "expired"},
                "expect": {"rule": "expired", "action": "reject"},
            },
            id="an expired link",
        ),
        pytest.param(
            {**CUSTOMER, "link": {"type": "visit", "state": "invalid"}, "expect": {"rule": "made-up"}},
            id="a link signed by somebody else",
        ),
        pytest.param(
            {
                **CUSTOMER,
                "at": "2026-11-24T10:00:00-06:00",
                "expect": {"rule": None, "action": "continue", "result": None},
            },
            id="outside opening hours",
        ),
        pytest.param(
            {
                "link": {"type": "visit"},
                "request": {"type": "service", "local_alias": "sip:{agent_alias}@x"},
                "expect": {"rule": None},
            },
            id="an alias of another domain",
        ),
        pytest.param(
            {
                "link": {"type": "visit", "name": "Ada", "attributes": {"queue": "eyes"}},
                "request": {"type": "service", "local_alias": "{agent_alias}"},
                "expect": {
                    "rule": "agent",
                    "result": {"name": "{call}", "description": "eyes Ada", "automatic_participants": None},
                },
            },
            id="words of the link in the expectation",
        ),
        pytest.param(
            {
                "link": {"type": "visit"},
                "request": {
                    "type": "service",
                    "call_direction": "dial_out",
                    "service_name": "{call}",
                    "service_tag": "visit",
                },
                "expect": {
                    "rule": "customer",
                    "result": {"automatic_participants": [{"local_display_name": "{call}"}]},
                },
            },
            id="the leg of the room",
        ),
        pytest.param(
            {"request": {"type": "service", "local_alias": "long"}, "expect": {"rule": "spoilt", "action": "failure"}},
            id="an answer that Pexip would discard",
        ),
        pytest.param(
            {
                "request": {"type": "participant", "idp_attribute_groups": ["doctors", "nurses"], "registered": True},
                "expect": {"rule": "nurse", "result": {"preauthenticated_role": "chair"}},
            },
            id="lists and booleans",
        ),
        pytest.param(
            {
                "request": {"type": "location", "remote_address": "10.1.2.3"},
                "expect": {"rule": "london", "action": "continue", "result": {"location": "London"}},
            },
            id="a location, whose answer has no action",
        ),
        pytest.param(
            {
                "request": {"type": "registration", "alias": "kiosk"},
                "expect": {"rule": "kiosk", "result": {"username": "kiosk", "password": "hunter2"}},
            },
            id="a registration",
        ),
        pytest.param(
            {
                "request": {"type": "directory", "q": "desk"},
                "expect": {"rule": "directory", "result": [{"alias": "desk", "description": "desk"}]},
            },
            id="the directory",
        ),
        pytest.param(
            {"request": {"type": "avatar", "alias": "desk"}, "expect": {"rule": None, "action": "continue"}},
            id="no picture",
        ),
    ],
)
def test_a_test_that_expects_what_happens_passes(fields: dict[str, Any]) -> None:
    """The question is asked at its moment, with its link, and only what is expected is compared."""
    outcome = run(fields)
    assert outcome.differences == ()
    assert outcome.passed
    assert outcome.findings == ()


@pytest.mark.parametrize(
    ("fields", "differences"),
    [
        pytest.param(
            {
                **CUSTOMER,
                "expect": {"rule": "agent", "action": "reject", "result": {"name": "{call}", "service_tag": "x"}},
            },
            (
                "rule: expected 'agent' but got 'customer'",
                "action: expected 'reject' but got 'continue'",
                "result.service_tag: expected 'x' but got 'visit'",
            ),
            id="field by field",
        ),
        pytest.param(
            {**CUSTOMER, "expect": {"rule": None, "result": {"pin": "1234", "guest_pin": "4321", "view": "x"}}},
            (
                "rule: expected nothing but got 'customer'",
                "result.pin: not as expected (the values are secret)",
                "result.guest_pin: expected a value but it is absent",
                "result.view: expected 'x' but it is absent",
            ),
            id="no PIN is shown",
        ),
        pytest.param(
            {**CUSTOMER, "expect": {"result": {"automatic_participants": [{"role": "guest"}, {}]}}},
            ("result.automatic_participants: expected 2 entries but got 1",),
            id="another number of legs",
        ),
        pytest.param(
            {
                **CUSTOMER,
                "expect": {
                    "result": {"automatic_participants": [{"role": "guest", "streaming": True, "protocol": "sip"}]}
                },
            },
            (
                "result.automatic_participants[0].role: expected 'guest' but got 'chair'",
                "result.automatic_participants[0].streaming: expected true but it is absent",
            ),
            id="a field of a leg",
        ),
        pytest.param(
            {"request": {"type": "service", "local_alias": "x1"}, "expect": {"result": {"new_alias": {"a": 1}}}},
            ("result.new_alias: expected fields a but got 'lucky'",),
            id="a mapping in place of a text",
        ),
        pytest.param(
            {"request": {"type": "service", "local_alias": "nobody"}, "expect": {"result": {"name": "x"}}},
            ("result: expected fields name but got nothing",),
            id="no result",
        ),
        pytest.param(
            {
                "request": {"type": "registration", "alias": "kiosk"},
                "expect": {"result": {"username": "hall", "password": "hunter3"}},
            },
            (
                "result.username: expected 'hall' but got 'kiosk'",
                "result.password: not as expected (the values are secret)",
            ),
            id="no password is shown",
        ),
        pytest.param(
            {"request": {"type": "service", "vendor": "x" * 17_000}, "expect": {"rule": None}},
            ("the question cannot be understood: the query has 17007 bytes; the limit is 16384",),
            id="a question that is too long",
        ),
        pytest.param(
            {"request": {"type": "service", "vendor": ["a", "b"]}, "expect": {"rule": None}},
            ("the question cannot be understood: parameter vendor is given twice",),
            id="a parameter twice",
        ),
    ],
)
def test_a_failure_says_what_differs(fields: dict[str, Any], differences: tuple[str, ...]) -> None:
    """Each difference is one line that names the field, what was expected and what came."""
    outcome = run(fields)
    assert outcome.differences == differences
    assert not outcome.passed


def test_a_failure_shows_which_rules_missed_and_why() -> None:
    """Below the differences stands what each rule said, up to the one that answered."""
    outcome = run({"request": {"type": "location", "remote_address": "192.0.2.1"}, "expect": {"rule": "london"}})
    assert outcome.differences == ("rule: expected 'london' but got nothing",)
    assert outcome.findings == ("london: miss (remote_address is '192.0.2.1', not in 10.0.0.0/8)",)


@pytest.mark.parametrize(
    ("expected", "got", "differences"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, [], id="more fields"),
        pytest.param({"a": None}, {}, [], id="absent as expected"),
        pytest.param({"a": None}, {"a": 1}, ["x.a: expected nothing but got 1"], id="present and not expected"),
        pytest.param({"a": 1}, {"a": None}, ["x.a: expected 1 but got nothing"], id="null"),
        pytest.param({"a": 1}, {"a": True}, ["x.a: expected 1 but got true"], id="true is not 1"),
        pytest.param({"a": 1.0}, {"a": 1}, ["x.a: expected 1.0 but got 1"], id="1 is not 1.0"),
        pytest.param({"a": "1"}, {"a": 1}, ["x.a: expected '1' but got 1"], id="text is no number"),
        pytest.param([1, 2], [1, 3], ["x[1]: expected 2 but got 3"], id="an item"),
        pytest.param([1], [1, 2], ["x: expected 1 entries but got 2"], id="more items"),
        pytest.param([], None, ["x: expected 0 entries but got nothing"], id="no list"),
        pytest.param([{"a": 1}], [{"a": 1, "b": 2}], [], id="more fields in an item"),
        pytest.param({"a": {"b": 1}}, {"a": 5}, ["x.a: expected fields b but got 5"], id="no mapping"),
        pytest.param({}, {"a": 1}, [], id="any mapping"),
        pytest.param({}, None, ["x: expected fields  but got nothing"], id="no mapping at all"),
        pytest.param("a", ["a"], ["x: expected 'a' but got a list"], id="a list in place of a text"),
    ],
)
def test_expectations_match_a_part(expected: object, got: object, differences: list[str]) -> None:
    """Fields that are not expected may hold anything; everything else must be the same, of the same type."""
    assert list(compare("x", expected, got)) == differences


@given(anything)
def test_everything_matches_itself(value: object) -> None:
    """An answer fits the expectation that says all of it."""
    assert list(compare("x", value, value)) == []


def test_a_link_is_the_same_on_every_run() -> None:
    """``percent`` and PINs come out alike each time, since the call is made from the name of the test."""
    outcomes = {run({**CUSTOMER, "expect": {"result": {"name": "x"}}}).differences for _ in range(3)}
    assert len(outcomes) == 1


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(test_structures | anything, st.datetimes(timezones=st.just(UTC)).filter(lambda at: 1971 <= at.year <= 2479))
def test_any_test_file_gives_problems_or_tests_that_run(structure: object, now: datetime) -> None:
    """Whatever a test file says, reading it and running what came out of it never fails."""
    ruleset = rules()
    more = replace(ruleset, links={**ruleset.links, "l": ruleset.links["visit"]})
    tests, problems = parse_tests({"x.test.yaml": as_yaml(structure)}, more, now)
    assert all(str(problem).isprintable() for problem in problems)
    for test in tests:
        if test.link is None or test.link.type in more.links:
            assert isinstance(run_test(test, more, KEYRING, rehearse, play_legs), TestOutcome)


@pytest.mark.parametrize("state", ["valid", "expired", "invalid"])
@pytest.mark.parametrize("year", [1971, 2026, 2479])
def test_a_link_can_be_made_in_every_year_that_is_allowed(state: str, year: int) -> None:
    """The moments that a test may name are those for which a link can be signed."""
    for at in (datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC) + timedelta(0)):
        fields = {
            **CUSTOMER,
            "link": {"type": "visit", "state": state},
            "at": at.isoformat(),
            "expect": {"action": "continue"},
        }
        assert isinstance(run(fields).test, RuleTest)


HELD = """
service:
  - id: own
    when: { local_alias: 'meet(?P<n>[0-9]+)', registered: true }
    service: { service_type: conference, name: "VMR {n}", service_tag: vmr, view: one_main_zero_pips }
  - id: everybody
    when: { local_alias: 'meet(?P<n>[0-9]+)' }
    service: { service_type: conference, name: "VMR {n}", service_tag: vmr, pin: "482913", view: one_main_seven_pips }
"""


@pytest.mark.parametrize(
    ("before", "request_", "rule", "result"),
    [
        pytest.param([], {}, "everybody", {"pin": "482913", "view": "one_main_seven_pips"}, id="the first"),
        pytest.param(
            [{"registered": True}],
            {},
            "everybody",
            {"pin": "482913", "view": "one_main_zero_pips"},
            id="after a device",
        ),
        pytest.param(
            [{}, {}], {"registered": True}, "own", {"pin": None, "view": "one_main_seven_pips"}, id="a device after all"
        ),
        pytest.param(
            [{"local_alias": "meet6"}], {"registered": True}, "own", {"view": "one_main_zero_pips"}, id="apart"
        ),
    ],
)
def test_who_came_before_holds_the_room(
    before: list[dict[str, object]], request_: dict[str, object], rule: str, result: dict[str, object]
) -> None:
    """What is the same for everybody is that of the first; the door is the caller's own."""
    ruleset = load(HELD).ruleset
    assert ruleset is not None
    asked = {"type": "service", "call_direction": "dial_in", "local_alias": "meet5"}
    test = {"name": "x", "before": [{**asked, **fields} for fields in before], "request": {**asked, **request_}}
    document = as_yaml({"tests": [{**test, "expect": {"rule": rule, "result": result}}]})
    (parsed,), problems = parse_tests({"x.test.yaml": document}, ruleset, NOW)
    assert problems == ()
    assert run_test(parsed, ruleset, KEYRING, rehearse, play_legs).differences == ()


BUSY_THEN_DESK = """
trunks: { clinic: { number: "+1 312 999 8045" }, other: { number: "+1 312 999 8046" } }
service:
  - id: caller
    when: { local_alias: front }
    service: { service_type: conference, name: "front", service_tag: x }
    dial_out: [ { trunk: clinic }, { remote_alias: desk@example.com, when: failed } ]
  - id: alone
    when: { local_alias: alone }
    service: { service_type: conference, name: "alone", service_tag: y }
  - id: back
    when: { local_alias: back }
    service: { service_type: conference, name: "back", service_tag: z }
    dial_out: [ { trunk: other } ]
"""


@pytest.mark.parametrize(
    ("alias", "legs", "expect", "differences"),
    [
        pytest.param(
            "front",
            [{"trunk": "clinic", "fails": "busy"}, {"remote_alias": "desk@example.com", "answers": True}],
            {"dialled": ["clinic", "desk@example.com"], "outcome": "answered", "ends": False},
            (),
            id="as expected",
        ),
        pytest.param(
            "front",
            [{"trunk": "clinic", "fails": "busy"}, {"remote_alias": "desk@example.com", "fails": "busy"}],
            {"dialled": ["clinic"], "outcome": "answered", "ends": True},
            (
                "dialled: expected 'clinic' but got 'clinic' and 'desk@example.com'",
                "outcome: expected 'answered' but got 'kept'",
                "ends: expected true but got false",
            ),
            id="all otherwise",
        ),
        pytest.param(
            "front",
            [{"trunk": "clinic", "fails": "busy"}],
            {"outcome": "kept"},
            ("legs: 'desk@example.com' is dialled; say what becomes of that, as in fails: busy",),
            id="not said",
        ),
        pytest.param(
            "front",
            [{"trunk": "clinic", "answers": True}, {"trunk": "other", "answers": True}],
            {"outcome": "answered"},
            ("legs: rule 'caller' never dials 'other'; it dials 'clinic'",),
            id="never dialled",
        ),
        pytest.param(
            "alone",
            [{"trunk": "clinic", "answers": True}],
            {"outcome": "answered"},
            ("legs: rule 'alone' dials no trunk",),
            id="no trunk",
        ),
        pytest.param(
            "nowhere",
            [{"trunk": "clinic", "answers": True}],
            {"outcome": "answered"},
            ("legs: nobody is dialled, as the answer is no room",),
            id="no room",
        ),
    ],
)
def test_what_trunks_do_is_played(
    alias: str, legs: list[object], expect: dict[str, object], differences: tuple[str, ...]
) -> None:
    """What is dialled and what becomes of the customer is compared, and what a test does not or cannot say is told."""
    ruleset = load(BUSY_THEN_DESK).ruleset
    assert ruleset is not None
    test = {"name": "x", "request": {"type": "service", "local_alias": alias}, "legs": legs, "expect": expect}
    tests, problems = parse_tests({"x.test.yaml": as_yaml({"tests": [test]})}, ruleset, NOW)
    assert problems == ()
    outcome = run_test(tests[0], ruleset, KEYRING, rehearse, play_legs)
    assert outcome.differences == differences
    assert ("0s: the customer joins" in outcome.findings) is (bool(differences) and alias in {"front", "back"})


def test_a_trunk_is_called_once_and_again() -> None:
    """Entries of one trunk are for its first call, its second and so on; the last is for all that follow."""
    ruleset = load(
        """
        trunks: { a: { number: "+1 312 999 8045" }, b: { number: "+1 312 999 8046" } }
        service:
          - id: x
            service: { service_type: conference, name: x, service_tag: x }
            dial_out: [ { trunk: a }, { trunk: b, when: failed } ]
            assurance: { attempts: 4 }
        """
    ).ruleset
    assert ruleset is not None
    legs = [{"trunk": "a", "fails": "busy"}, {"trunk": "b", "fails": "busy"}, {"trunk": "b", "fails": "rejected"}]
    for more, dialled, outcome in (([], 4, "kept"), ([{"trunk": "b", "answers": True}], 3, "answered")):
        expect = {"dialled": ["a", *["b"] * dialled], "outcome": outcome}
        test = {"name": "x", "request": {"type": "service"}, "legs": [*legs, *more], "expect": expect}
        tests, _ = parse_tests({"x.test.yaml": as_yaml({"tests": [test]})}, ruleset, NOW)
        assert run_test(tests[0], ruleset, KEYRING, rehearse, play_legs).differences == ()


_HELPER: dict[str, Any] = {"type": "helper", "name": "Maria"}


@pytest.mark.parametrize(
    ("fields", "local_alias", "rule"),
    [
        pytest.param({"link": _HELPER}, "{alias}", "helper", id="a good link of the type that it joins"),
        pytest.param({"link": {**_HELPER, "joins": "visit"}}, "{alias}", "helper", id="by its type"),
        pytest.param({"link": {**_HELPER, "joins": {}}}, "{alias}", "helper", id="nothing said of it"),
        pytest.param(
            {"link": {**_HELPER, "attributes": {"language": "de"}}}, "{alias}", "german-helper", id="its own attributes"
        ),
        pytest.param(
            {"link": {**_HELPER, "joins": {"attributes": {"language": "de"}}}},
            "{alias}",
            "helper",
            id="not the other's",
        ),
        pytest.param(
            {"link": {**_HELPER, "joins": {"state": "expired"}}}, "{alias}", "helper", id="joins what expired"
        ),
        pytest.param({"link": {**_HELPER, "state": "expired"}}, "{alias}", "expired", id="has expired itself"),
        pytest.param({"link": _HELPER}, "{joins.alias}", "customer", id="the customer"),
        pytest.param({"link": _HELPER}, "{joins.agent_alias}", "agent", id="the agent"),
    ],
)
def test_a_link_that_joins_another(fields: dict[str, Any], local_alias: str, rule: str) -> None:
    """A test's link may join another, of which as much can be said; as in rules {call} is the call that it joins."""
    request = {"type": "service", "local_alias": local_alias}
    expect = {"rule": rule} if rule == "expired" else {"rule": rule, "result": {"name": "{call}"}}
    assert run({**fields, "request": request, "expect": expect}).differences == ()


def test_what_is_filled_into_a_joined_room_is_the_other_links() -> None:
    """All who come are in one room, as the link says that is joined; whoever came first."""
    link = {"type": "helper", "name": "Maria", "joins": {"name": "Ada", "attributes": {"queue": "a"}}}
    aliases = ("{alias}", "{joins.alias}", "{joins.agent_alias}")
    for first in aliases:
        for second in aliases:
            before = [{"type": "service", "local_alias": first}]
            request = {"type": "service", "local_alias": second}
            expect = {"result": {"description": "a Ada", "name": "{call}"}}
            outcome = run({"link": link, "before": before, "request": request, "expect": expect})
            assert outcome.differences == (), (first, second)
