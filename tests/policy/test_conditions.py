"""Conditions are three-valued: yes, no (a missing value included), and cannot be read."""

from datetime import timedelta
from typing import Any

import pytest

from policy_server.policy.conditions import AllOf, captured_groups, walk
from policy_server.policy.ruleset import Rule, Ruleset
from tests.rule_sets import AGENT_KEY, CALL_ID, KEYRING, NOON, SESSION, ask, facts, load

CALENDARS = """
calendars:
  hours: { timezone: America/Chicago, open: { mon: ["08:00-18:00"] } }
  nights: { timezone: America/Chicago, open: { mon: ["20:00-22:00"] } }
links:
  patient: { alias: "mp{session}", agent_alias: "hcp{agent}" }
  advice: { alias: "adv{session}", agent_alias: "agt{call}" }
"""


def rules(when: str, kind: str = "service", more: str = CALENDARS) -> Ruleset:
    """Compile one rule with these conditions."""
    section = {"service": "service", "participant": "participants", "location": "locations"}.get(kind, "registrations")
    return load(f"{more}\n{section}:\n  - id: it\n    when: {when}\n    continue: true\n")


def rule(ruleset: Ruleset) -> Rule:
    """The one rule of a rule set."""
    (found,) = (rule for rules in ruleset.lists.values() for rule in rules.rules)
    return found


def holds(when: str, kind: str = "service", **fields: Any) -> bool:
    """Whether a rule with these conditions wins."""
    return ask(rules(when, kind), kind, **fields).rule == "it"


def missed(when: str, kind: str = "service", **fields: Any) -> str:
    """Why a rule with these conditions missed."""
    (finding,) = ask(rules(when, kind), kind, **fields).trace.findings()
    assert finding.outcome == "miss"
    return finding.reason


MISSING, UNPARSABLE, NO, YES = "missing", "unparsable", "no", "yes"
STATES: dict[str, dict[str, str | None]] = {
    "remote_address: 10.0.0.0/8": {MISSING: "", UNPARSABLE: "10.0.0.300", NO: "192.0.2.1", YES: "10.1.2.3"},
    "remote_address: ['2001:db8::/32', 10.0.0.1]": {MISSING: "", UNPARSABLE: "x", NO: "10.0.0.2", YES: "2001:db8::9"},
    "registered: true": {MISSING: "", UNPARSABLE: "maybe", NO: "False", YES: "True"},
    "registered: false": {MISSING: "", UNPARSABLE: "0", NO: "True", YES: "False"},
    "bandwidth: [64, 128]": {MISSING: "", UNPARSABLE: "many", NO: "65", YES: "64"},
    "protocol: [sip, h323]": {MISSING: "", UNPARSABLE: None, NO: "carrier-pigeon", YES: "SIP"},
    "location: London": {MISSING: "", UNPARSABLE: None, NO: "london", YES: "London"},
    "local_alias: mp.*": {MISSING: "", UNPARSABLE: None, NO: "hcp1", YES: "sip:MP1"},
    "vendor: '(?i)cisco.*'": {MISSING: "", UNPARSABLE: None, NO: "Pexip", YES: "Cisco/CE"},
    "ms-subnet: '10\\..*'": {MISSING: "", UNPARSABLE: None, NO: '["11.0.0.0"]', YES: '["11.0.0.0", "10.47.5.0"]'},
}
# What becomes of each state: alone, in not, in any and all beside a condition that holds, and in any beside one
# that does not. An unparsable value satisfies neither a condition nor its negation.
FORMS = {
    "{{ {} }}": {MISSING: False, UNPARSABLE: False, NO: False, YES: True},
    "{{ not: {{ {} }} }}": {MISSING: True, UNPARSABLE: False, NO: True, YES: False},
    "{{ not: {{ not: {{ {} }} }} }}": {MISSING: False, UNPARSABLE: False, NO: False, YES: True},
    "{{ any: [{{ {} }}, {{ trigger: web }}] }}": {MISSING: True, UNPARSABLE: True, NO: True, YES: True},
    "{{ any: [{{ {} }}, {{ trigger: lrq }}] }}": {MISSING: False, UNPARSABLE: False, NO: False, YES: True},
    "{{ all: [{{ {} }}, {{ trigger: web }}] }}": {MISSING: False, UNPARSABLE: False, NO: False, YES: True},
    "{{ all: [{{ {} }}, {{ trigger: lrq }}] }}": {MISSING: False, UNPARSABLE: False, NO: False, YES: False},
    "{{ not: {{ any: [{{ {} }}, {{ trigger: lrq }}] }} }}": {MISSING: True, UNPARSABLE: False, NO: True, YES: False},
    "{{ not: {{ any: [{{ {} }}, {{ trigger: web }}] }} }}": {MISSING: False, UNPARSABLE: False, NO: False, YES: False},
    "{{ not: {{ {}, trigger: web }} }}": {MISSING: True, UNPARSABLE: False, NO: True, YES: False},
    "{{ not: {{ {}, trigger: lrq }} }}": {MISSING: True, UNPARSABLE: True, NO: True, YES: True},
    "{{ not: [{{ {} }}, {{ trigger: lrq }}] }}": {MISSING: True, UNPARSABLE: False, NO: True, YES: False},
}


@pytest.mark.parametrize("condition", STATES)
@pytest.mark.parametrize("form", FORMS)
def test_three_values(condition: str, form: str) -> None:
    """A missing value satisfies a condition's negation only; one that cannot be read satisfies neither."""
    ruleset = rules(form.format(condition))
    name = condition.partition(":")[0]
    for state, value in STATES[condition].items():
        if value is not None:
            fields: dict[str, Any] = {name: value}
            decision = ask(ruleset, "service", trigger="web", **fields)
            assert (decision.rule == "it") is FORMS[form][state], (state, form)


@pytest.mark.parametrize(
    ("when", "fields", "expected"),
    [
        ("{ local_alias: [mp.*, hcp.*] }", {"local_alias": "hcp1"}, True),
        ("{ local_alias: mp }", {"local_alias": "mp1"}, False),
        ("{ local_alias: mp.*, protocol: sip }", {"local_alias": "mp1"}, False),
        ("{ local_alias: mp.*, protocol: sip }", {"local_alias": "mp1", "protocol": "sip"}, True),
        ("{ local_alias: DESK }", {"local_alias": "h323:desk;x=y"}, True),
        ("{ remote_display_name: ada }", {"remote_display_name": "Ada"}, False),
        ("{ p_Asserted-Identity: '.*<tel:.*' }", {"P-Asserted-Identity": '["\\"A\\"<sip:a>", "<tel:+47>"]'}, True),
        ("{ remote_address: 10.0.0.0/8 }", {"remote_address": "::ffff:10.0.0.1"}, True),
        ("{ open: hours }", {}, True),
        ("{ closed: hours }", {}, False),
        ("{ open: nights }", {}, False),
        ("{ not: { open: nights } }", {}, True),
    ],
)
def test_conditions(when: str, fields: dict[str, Any], expected: bool) -> None:
    """All conditions must hold; a list holds by any entry; text must match whole, aliases without regard to case."""
    assert holds(when, **fields) is expected


@pytest.mark.parametrize(
    ("values", "expected"), [((), False), (("agents",), True), (("x", "agents"), True), (("x", "y"), False)]
)
def test_identity_provider_attributes(values: tuple[str, ...], expected: bool) -> None:
    """An attribute condition holds if any of the values matches."""
    ruleset = rules("{ idp_attributes: { groups: agents } }", "participant")
    assert (ask(ruleset, "participant", idp_attribute_groups=values).rule == "it") is expected


def test_several_attributes() -> None:
    """Several attributes must all match."""
    ruleset = rules("{ idp_attributes: { groups: agents, site: 'S.*' } }", "participant")
    assert ask(ruleset, "participant", idp_attribute_groups=["agents"], idp_attribute_site=["São"]).rule == "it"
    assert ask(ruleset, "participant", idp_attribute_groups=["agents"]).rule is None


def test_link_attributes() -> None:
    """What the customer's link was given can be matched; a link without it does not."""
    ruleset = rules("{ link_attributes: { language: 'n[bn]' } }")
    assert ask(ruleset, "service", link={"language": "nb"}).rule == "it"
    assert ask(ruleset, "service", link={"language": "en"}).rule is None
    assert ask(ruleset, "service").rule is None


@pytest.mark.parametrize(
    ("alias", "expected"),
    [("kiosk-1@video.example.com", True), ("sip:KIOSK-1@video.example.com", True), ("kiosk-1", True), ("desk", False)],
)
@pytest.mark.parametrize("pattern", [r"kiosk-\d+@video\.example\.com|kiosk-\d+", r"kiosk-\d+(@video\.example\.com)?"])
def test_registered_alias(pattern: str, alias: str, expected: bool) -> None:
    """A registration rule matches the alias of the path, with our domain or without."""
    ruleset = rules(f"{{ alias: '{pattern}' }}", "registration", "domains: [video.example.com]")
    assert (ask(ruleset, "registration", alias=alias).rule == "it") is expected


@pytest.mark.parametrize("pattern", [r"kiosk-\d+@video\.example\.com", r"kiosk-\d+"])
def test_registered_alias_either_way(pattern: str) -> None:
    """A device registers user@domain; a rule written with our domain or without it holds."""
    ruleset = rules(f"{{ alias: '{pattern}' }}", "registration", "domains: [video.example.com]")
    assert ask(ruleset, "registration", alias="kiosk-7@video.example.com").rule == "it"


EXPIRED = KEYRING.sign("patient", NOON, b"4321")
EARLY = KEYRING.sign("patient", NOON + timedelta(hours=4), b"4321", NOON + timedelta(minutes=1))
ADVICE = KEYRING.sign("advice", NOON + timedelta(hours=4), b"4321")
FORGED = SESSION[:-1] + ("a" if SESSION[-1] != "a" else "b")
LINK_ALIASES = [
    pytest.param(f"mp{SESSION}", "patient", "customer", "valid", id="customer"),
    pytest.param(f"hcp{AGENT_KEY}", "patient", "agent", "valid", id="agent"),
    pytest.param(f"sip:MP{SESSION.upper()}", "patient", "customer", "valid", id="capitals and a scheme"),
    pytest.param(f"mp{EXPIRED.session}", "patient", "customer", "expired", id="expired"),
    pytest.param(f"hcp{EXPIRED.agent}", "patient", "agent", "expired", id="agent, expired"),
    pytest.param(f"mp{EARLY.session}", "patient", "customer", "early", id="early"),
    pytest.param(f"hcp{EARLY.agent}", "patient", "agent", "early", id="agent, early"),
    pytest.param(f"adv{ADVICE.session}", "advice", "customer", "valid", id="customer of another type"),
    pytest.param(f"agt{ADVICE.id}", "advice", "agent", "valid", id="agent with the call id"),
    pytest.param(f"mp{FORGED}", "patient", "customer", "invalid", id="forged"),
    pytest.param(f"mp{AGENT_KEY}", "patient", "customer", "invalid", id="customer with the agent key"),
    pytest.param(f"mp{CALL_ID}", "patient", "customer", "invalid", id="customer with the call id"),
    pytest.param(f"hcp{SESSION}", "patient", "agent", "invalid", id="agent with the session"),
    pytest.param(f"hcp{CALL_ID}", "patient", "agent", "invalid", id="agent with the call id where the key belongs"),
    pytest.param(f"agt{ADVICE.agent}", "advice", "agent", "invalid", id="agent with the key where the id belongs"),
    pytest.param(f"mp{ADVICE.session}", "patient", "customer", "invalid", id="session of another type"),
    pytest.param(f"adv{SESSION}", "advice", "customer", "invalid", id="session of the first type"),
    pytest.param("mp" + "0" * 32, "patient", "customer", "invalid", id="made up"),
    pytest.param(f"mp{SESSION}a", None, None, "absent", id="too long"),
    pytest.param(SESSION, None, None, "absent", id="session alone"),
    pytest.param("desk", None, None, "absent", id="other alias"),
    pytest.param("", None, None, "absent", id="none"),
]


@pytest.mark.parametrize(("alias", "link_type", "door", "state"), LINK_ALIASES)
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("link", ("valid", "early", "expired", "invalid", "absent")),
        ("link_type", ("patient", "advice")),
        ("door", ("customer", "agent")),
    ],
)
def test_what_an_alias_says(
    alias: str, link_type: str | None, door: str | None, state: str, key: str, words: tuple[str, ...]
) -> None:
    """An alias is of one link type or none, one door or none, and its link is exactly one of five things."""
    actual = {"link": state, "link_type": link_type, "door": door}[key]
    for word in words:
        assert holds(f"{{ {key}: {word} }}", local_alias=alias) is (word == actual)
        assert holds(f"{{ not: {{ {key}: {word} }} }}", local_alias=alias) is (word != actual)
    assert holds(f"{{ {key}: [{', '.join(words)}] }}", local_alias=alias) is (actual is not None)


def test_aliases_that_look_like_two_types_are_told_apart_by_the_signature() -> None:
    """Of several link types that an alias looks like, it is of the one that it was signed for, else of the first."""
    both = """
links:
  after: { alias: "{session}a" }
  before: { alias: "a{session}" }
"""
    ruleset = load(f"{both}service: [{{ id: it, when: {{ link_type: before }}, continue: true }}]")
    calls = (KEYRING.sign("before", NOON, number.to_bytes(4, "big")) for number in range(10_000))
    session = next(call.session for call in calls if call.session.endswith("a"))
    assert ask(ruleset, "service", local_alias=f"a{session}").rule == "it"
    assert ask(ruleset, "service", local_alias="a" * 33).rule is None


CALLS = [KEYRING.sign("patient", NOON, number.to_bytes(4, "big")) for number in range(2_000)]


def shares(percent: float, rule_id: str = "it") -> set[str]:
    """The calls of 2,000 that fall into a share, by their ids."""
    ruleset = load(f"{CALENDARS}\nservice: [{{ id: {rule_id}, when: {{ percent: {percent} }}, continue: true }}]")
    condition = rule(ruleset).conditions[0]
    return {call.id for call in CALLS if condition.holds(facts("service", ruleset, local_alias=f"mp{call.session}"))}


@pytest.mark.parametrize(("percent", "least", "most"), [(0, 0, 0), (10, 150, 250), (50, 900, 1100), (100, 2000, 2000)])
def test_share(percent: float, least: int, most: int) -> None:
    """About N percent of calls are in the share; none at 0, all at 100."""
    assert least <= len(shares(percent)) <= most


def test_share_grows() -> None:
    """Calls that are in a share stay in when it is made larger."""
    assert shares(5) < shares(20) < shares(60)


def test_shares_of_rules_are_independent() -> None:
    """Two rules with the same percentage choose different calls: about a quarter are in both halves."""
    assert 400 <= len(shares(50, "one") & shares(50, "two")) <= 600


def test_share_is_stable_per_call() -> None:
    """Customer and agent, with or without domain and scheme, now or later, fall on the same side."""
    ruleset = load(
        f"domains: [example.org]\n{CALENDARS}\nservice: [{{ id: it, when: {{ percent: 50 }}, continue: true }}]"
    )
    for call in CALLS[:50]:
        sides = {
            ask(ruleset, "service", local_alias=alias).rule
            for alias in (f"mp{call.session}", f"hcp{call.agent}", f"sip:MP{call.session}@example.org;x=y")
        }
        assert len(sides) == 1


def test_share_of_nobody() -> None:
    """A question that names neither call nor room is in no share, not even in all of it."""
    assert not holds("{ percent: 100 }", protocol="sip")
    assert missed("{ percent: 100 }") == "the question names no call or room, outside 100 percent"


@pytest.mark.parametrize(
    ("when", "fields", "reason"),
    [
        ("{ local_alias: mp.* }", {}, "local_alias is missing"),
        ("{ local_alias: mp.* }", {"local_alias": "x"}, "local_alias is 'x', which does not match mp.*"),
        ("{ local_alias: [a, b] }", {"local_alias": "x"}, "local_alias is 'x', which does not match a or b"),
        ("{ vendor: a }", {"vendor": "x" * 100}, f"vendor is '{'x' * 59}…', which does not match a"),
        ("{ protocol: [sip, api] }", {"protocol": "h323"}, "protocol is 'h323', not api or sip"),
        ("{ location: London }", {}, "location is missing, not London"),
        ("{ registered: true }", {"registered": "maybe"}, "registered is 'maybe', not True"),
        ("{ bandwidth: 64 }", {"bandwidth": "x"}, "bandwidth is 'x', not 64"),
        ("{ remote_address: 10.0.0.0/8 }", {"remote_address": "x"}, "remote_address is 'x', not in 10.0.0.0/8"),
        ("{ open: nights }", {}, "calendar nights is closed at Mon 2026-11-23 12:00 (America/Chicago)"),
        ("{ closed: hours }", {}, "calendar hours is open at Mon 2026-11-23 12:00 (America/Chicago)"),
        ("{ link: [valid, expired] }", {"local_alias": "desk"}, "the link is absent, not expired or valid"),
        ("{ link_type: [patient, advice] }", {"local_alias": "desk"}, "the alias is of no link type, not advice or patient"),
        ("{ link_type: patient }", {"local_alias": f"adv{SESSION}"}, "the alias is one of link type advice, not patient"),
        ("{ door: agent }", {"local_alias": "desk"}, "the alias is of no link type, not for the agent"),
        ("{ door: agent }", {"local_alias": f"mp{SESSION}"}, "the alias is for the customer, not for the agent"),
        ("{ not: { protocol: sip, trigger: web } }", {"protocol": "sip", "trigger": "web"}, "protocol, trigger holds"),
        ("{ not: { registered: true } }", {"registered": "x"}, "registered cannot be read"),
        ("{ all: [{ protocol: sip }, { trigger: web }] }", {"protocol": "sip"}, "trigger is missing, not web"),
        ("{ any: [{ protocol: sip }, { trigger: web }] }", {}, "protocol is missing, not sip; trigger is missing, not web"),
        ("{ third_party_passcode: '445566' }", {"third_party_passcode": "778899"}, "third_party_passcode is missing or another value"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("{") else "",
)  # fmt: skip
def test_misses_are_explained(when: str, fields: dict[str, Any], reason: str) -> None:
    """A miss says what the value is and what it had to be; a secret is shown neither way."""
    assert missed(when, **fields) == reason


def test_misses_of_attributes_are_explained() -> None:
    """Every value of an attribute is named, up to three."""
    ruleset = rules("{ idp_attributes: { groups: agents } }", "participant")
    (finding,) = ask(ruleset, "participant", idp_attribute_groups=["a", "b", "c", "d"]).trace.findings()
    assert finding.condition == "idp_attributes.groups"
    assert finding.reason == "idp_attributes.groups is 'a', 'b', 'c', which does not match agents"


@pytest.mark.parametrize(
    ("when", "fields", "groups"),
    [
        ("{ local_alias: 'mp(?P<n>.)', vendor: '(?P<v>.*)' }", {"local_alias": "MPX", "vendor": "É"}, {"n": "x", "v": "É"}),
        ("{ all: [{ local_alias: 'mp(?P<n>.)' }] }", {"local_alias": "mp1"}, {"n": "1"}),
        ("{ any: [{ local_alias: 'a(?P<n>.)' }, { local_alias: 'b(?P<n>.)' }] }", {"local_alias": "b7"}, {"n": "7"}),
        ("{ any: [{ local_alias: '(?P<n>.)b' }, { local_alias: 'a(?P<n>.)' }] }", {"local_alias": "ab"}, {"n": "a"}),
        ("{ not: { local_alias: 'a(?P<n>.)' } }", {"local_alias": "b7"}, {}),
        ("{ local_alias: ['a(?P<n>.)', 'b(?P<n>..)'] }", {"local_alias": "b77"}, {"n": "77"}),
        ("{ local_alias: 'mp(?P<n>x)?' }", {"local_alias": "mp"}, {"n": ""}),
    ],
    ids=["several", "all", "any", "the first branch", "not", "list", "absent"],
)  # fmt: skip
def test_captured_groups(when: str, fields: dict[str, Any], groups: dict[str, str]) -> None:
    """Named groups of the conditions that hold; in any those of the first branch that holds, in not none."""
    found = rule(rules(when)).conditions
    assert captured_groups(found, facts("service", **fields)) == groups


@pytest.mark.parametrize(
    ("when", "captured"),
    [
        ("{ vendor: '(?P<n>a)', all: [{ local_alias: '(?P<m>b)' }] }", {"n": "(?:a)", "m": "(?:(?i)b)"}),
        ("{ vendor: ['(?P<n>a)(?P<m>b)', '(?P<n>c)'] }", {"n": "(?:a)|(?:c)"}),
        ("{ any: [{ vendor: '(?P<n>a)(?P<m>b)' }, { vendor: '(?P<n>c)' }] }", {"n": "(?:(?:a))|(?:(?:c))"}),
        ("{ not: { vendor: '(?P<n>a)' } }", {}),
        ("{ vendor: '(?P<n>a)?' }", {"n": "(?:a)?"}),
    ],
    ids=["all", "list", "any", "not", "absent"],
)
def test_groups_that_are_always_captured(when: str, captured: dict[str, str]) -> None:
    """Groups that conditions give however they come to hold, with the expression behind each."""
    assert dict(AllOf(rule(rules(when)).conditions).captures()) == captured


@pytest.mark.parametrize(
    ("negated", "keys"),
    [
        (True, ["any", "vendor", "not", "local_alias", "all", "not", "protocol"]),
        (False, ["any", "vendor", "not", "all", "not"]),
    ],
)
def test_walk(negated: bool, keys: list[str]) -> None:
    """Every condition, however deep; those inside of ``not`` too, unless they are of no interest."""
    when = "{ any: [{ vendor: a }, { not: { local_alias: b } }], all: [{ not: { protocol: sip } }, { open: hours }] }"
    walked = [condition.key for condition in walk(rule(rules(when)).conditions, negated=negated)]
    assert walked == [*keys, "open"]


def test_share_without_a_link() -> None:
    """An alias of no link type has a share of its own, the same each time, however it is typed."""
    ruleset = load("service: [{ id: some, when: { percent: 50 }, continue: true }]")
    aliases = [f"desk{number}" for number in range(100)]
    sides = [ask(ruleset, "service", local_alias=alias).rule for alias in aliases]
    assert sides == [ask(ruleset, "service", local_alias=f"sip:{alias.upper()}").rule for alias in aliases]
    assert set(sides) == {None, "some"}
