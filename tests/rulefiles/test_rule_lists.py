"""Every question that rules answer has its row, and what messages and editors say of it comes from there."""

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.rules import RuleSection
from policy_server.rulefiles.schema import rule_file_schema
from tests.rulefiles.faults import load
from tests.rulefiles.structures import as_yaml

each_section = pytest.mark.parametrize("section", RULE_SECTIONS, ids=lambda section: section.name)


def test_every_question_that_rules_answer_has_a_section() -> None:
    """Directory and avatar are answered from the directory, all others by the rules of a section."""
    answered = [section.request for section in RULE_SECTIONS]
    assert answered == [kind for kind in RequestType if kind not in {RequestType.DIRECTORY, RequestType.AVATAR}]


@each_section
def test_the_example_of_conditions_is_one(section: RuleSection) -> None:
    """What a message shows to somebody whose `when` is empty can be written there."""
    (empty,) = load(as_yaml({section.name: [{"id": "a", "when": {}, "continue": True}]})).problems
    assert f"{{{section.example}}}" in empty.message
    rules = f"{section.name}: [{{ id: a, when: {{ {section.example} }}, continue: true }}]"
    assert load(rules).problems == ()


@each_section
def test_editors_read_what_each_outcome_means_and_what_goes_with_it(section: RuleSection) -> None:
    """The schema has the meaning of every outcome, and lets companions stand beside their outcomes only."""
    rule = rule_file_schema()["$defs"][f"{section.request}_rule"]  # type: ignore[index]
    for outcome in section.outcomes:
        assert rule["properties"][outcome.key] == outcome.schema
    for key, outcomes in section.companions.items():
        assert rule["properties"][key]["description"].endswith(f"Goes with {' or '.join(outcomes)}.")
        asked = {"required": [key]}, [{"required": [outcome]} for outcome in outcomes]
        assert asked in [(each["if"], each["then"]["anyOf"]) for each in rule["allOf"]]
