"""Rules in words."""

from typing import Final

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.policy.in_words import OutcomeInWords, outcome_in_words
from policy_server.policy.ruleset import Rule
from policy_server.rulefiles.conditions import condition_keys
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from tests.rule_sets import load
from tests.rulefiles.condition_samples import TABLES, samples
from tests.rulefiles.structures import as_yaml

AROUND: Final = """
trunks:
  clinic: { number: "+1 312 999 8045", dial_prefix: "99" }
  north: { number: "+1 312 555 0100", dial_prefix: "99" }
calendars: { hours: { timezone: Europe/Zurich, open: { mon: ["08:00-18:00"] } } }
rooms:
  visit: { name: "{local_alias}", pin: "73019582", guest_pin: derived, allow_guests: true }
upstreams: { other: { url: "https://other.example.com", username: us, password_env: SECRET, on_failure: reject } }
"""


def first(section: str, outcome: str, when: str = "{ protocol: sip }") -> Rule:
    """The one rule of some rules."""
    text = f"{AROUND}{section}:\n  - id: a\n    when: {when}\n    {outcome}\n"
    rules = load(text, environment={"SECRET": "a planted secret"})
    request = next(each.request for each in RULE_SECTIONS if each.name == section)
    return rules.lists[request].rules[0]


@pytest.mark.parametrize(
    ("section", "outcome", "sentence", "further"),
    [
        ("service", "room: visit", "serves room visit, named {local_alias}", ()),
        (
            "service",
            "{room: visit, dial_out: [{trunk: clinic}, {trunk: north, when: failed, open: hours}]}",
            "serves room visit, named {local_alias}",
            (
                "dials trunk clinic (+13129998045)",
                "if a leg fails, dials trunk north (+13125550100), while hours is open",
                "a leg that is not answered within 25 s has failed; where nobody answers, the customer stays in the room",
            ),
        ),
        ("service", "redirect: '{local_alias}@example.com'", "sends the caller to {local_alias}@example.com", ()),
        ("service", "reject: Not today.", "refuses, and says: Not today.", ()),
        ("service", "continue: true", "leaves the question to Pexip's own configuration", ()),
        ("service", "forward: other", "asks the policy server other; without an answer: reject", ()),
        (
            "participants",
            "set: { preauthenticated_role: guest }",
            "lets the participant in, and sets preauthenticated_role",
            (),
        ),
        (
            "locations",
            "{location: Oslo, overflow_locations: [Bergen, London]}",
            "places media in Oslo, or else in Bergen or London",
            (),
        ),
    ],
    ids=["room", "legs", "redirect", "reject", "continue", "forward", "set", "location"],
)
def test_what_a_rule_decides(section: str, outcome: str, sentence: str, further: tuple[str, ...]) -> None:
    """Every outcome is a sentence that says what becomes of the caller."""
    when = "{ location: Oslo }" if section == "locations" else "{ protocol: sip }"
    lines = outcome.strip("{}").replace(", dial_out", "\n    dial_out").replace(", overflow", "\n    overflow")
    told = outcome_in_words(first(section, lines if outcome.startswith("{") else outcome, when))
    assert (told.sentence, told.further) == (sentence, further)


@pytest.mark.parametrize(
    ("allow", "sentence"),
    [
        ("{ username: kiosk, password: planted-secret }", "lets the device register as kiosk, with its password"),
        ("true", "lets the device register without a password"),
    ],
)
def test_a_registration_has_no_password_in_words(allow: str, sentence: str) -> None:
    """That there is a password may be seen, and not which."""
    assert outcome_in_words(first("registrations", f"allow: {allow}", "{ alias: kiosk }")) == OutcomeInWords(sentence)


def test_fields_are_as_they_are_written() -> None:
    """Placeholders stay placeholders, deep ones too; of a secret no more is seen than that there is one."""
    service = (
        'service: { service_type: media_playback, name: "Wait {local_alias|nobody}", service_tag: t, media_playlist_name: queue, '
        'on_completion: { transfer: { conference: "{local_alias}" } } }'
    )
    fields = dict(outcome_in_words(first("service", service)).fields)
    assert fields["name"] == "Wait {local_alias|nobody}"
    assert fields["on_completion"] == '{"transfer":{"conference":"{local_alias}"}}'
    room = dict(outcome_in_words(first("service", "room: visit")).fields)
    assert (room["pin"], room["guest_pin"]) == ("****", "of each room its own, from the secret key")


@pytest.mark.parametrize("key", condition_keys(RequestType.SERVICE))
def test_every_condition_has_words(key: str) -> None:
    """Each key says what it asks for: more than its name, and of a secret parameter not the value."""
    around = {
        "calendars": {"hours": {"timezone": "Europe/Zurich", "open": {"mon": ["08:00-18:00"]}}},
        "tables": {"offices": "tables/offices.csv"},
        "links": {"patient": {"alias": "mp{session}", "agent_alias": "hcp{agent}", "ttl": "4h"}},
    }
    tables = {name: data.decode() for name, data in TABLES.items()}
    for value in samples(key):
        rule = {"id": "a", "when": {key: value}, "reject": "no"}
        rules = load(as_yaml({**around, "service": [rule]}).decode(), tables=tables)
        (condition,) = rules.lists[RequestType.SERVICE].rules[0].conditions
        assert len(condition.words.split()) >= 3
        if key == "pin":
            assert str(value) not in condition.words


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("{ not: [{ protocol: sip, location: Oslo }] }", "it is not so that protocol is sip and location is Oslo"),
        (
            "{ any: [{ protocol: [sip, h323] }, { remote_address: [10.0.0.0/8] }] }",
            "(protocol is h323 or sip) or remote_address is in 10.0.0.0/8",
        ),
        ("{ closed: hours }", "calendar hours is closed"),
        ("{ percent: 10 }", "the call is among 10 percent of all"),
        ("{ local_alias: ['a.*', b] }", "local_alias matches a.* or b"),
    ],
    ids=["not", "any", "closed", "percent", "texts"],
)
def test_conditions_read_as_sentences(when: str, words: str) -> None:
    """What is made of several has brackets around what is itself made of several."""
    (condition,) = first("service", "reject: no", when).conditions
    assert condition.words == words
