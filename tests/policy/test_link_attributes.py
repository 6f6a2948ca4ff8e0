"""What a link can be given, and what rules see of it."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.policy.decisions import Reject
from policy_server.policy.evaluate import evaluate
from policy_server.policy.link_attributes import LinkAttribute, attribute_faults, completed
from policy_server.policy.links import make_link
from policy_server.policy.patterns import compile_pattern
from tests.rule_sets import KEYRING, NOON, load, request

DECLARED = {
    "language": LinkAttribute("language", values=("de", "fr"), default="de"),
    "booking": LinkAttribute("booking", pattern=compile_pattern("[A-Z0-9]{6,12}", ignore_case=False), required=True),
    "segment": LinkAttribute("segment"),
}
NO = "is not declared for links of type 'advice'"


@pytest.mark.parametrize(
    ("attributes", "faults"),
    [
        pytest.param({"booking": "ABC123"}, [], id="what is required"),
        pytest.param({"booking": "ABC123", "segment": "x y", "language": "fr"}, [], id="all"),
        pytest.param({"booking": "ABC123", "segment": "", "language": " "}, [], id="blank values are missing"),
        pytest.param(
            {}, [("booking", "attribute 'booking' is missing; every link of type 'advice' has it")], id="missing"
        ),
        pytest.param({"booking": " "}, [("booking", "attribute 'booking' is missing")], id="blank and required"),
        pytest.param(
            {"booking": "abc123"}, [("booking", "attribute 'booking' must match [A-Z0-9]{6,12} but")], id="case"
        ),
        pytest.param(
            {"booking": "ABC123", "language": "DE"},
            [("language", "attribute 'language' must be one of 'de', 'fr' but is 'DE' (did you mean 'de'?)")],
            id="case of a value",
        ),
        pytest.param(
            {"langauge": "xx", "name": "Ada", "language": "xx"},
            [
                ("langauge", f"attribute 'langauge' {NO} (did you mean 'language'?); there are 'language', 'booking'"),
                ("name", f"attribute 'name' {NO}; the customer's name is no attribute, and is given as name"),
                ("language", "attribute 'language' must be one of"),
                ("booking", "attribute 'booking' is missing"),
            ],
            id="every fault at once",
        ),
    ],
)
def test_every_fault_of_what_a_link_is_given_is_told(
    attributes: Mapping[str, str], faults: list[tuple[str, str]]
) -> None:
    """Undeclared names, values that cannot be and what is missing are told together, each with its attribute."""
    told = list(attribute_faults("advice", DECLARED, attributes))
    assert [name for name, _ in told] == [name for name, _ in faults]
    assert all(one.startswith(start) for (_, one), (_, start) in zip(told, faults, strict=True)), told


def test_a_type_that_declares_nothing_takes_all_and_one_that_declares_none_takes_none() -> None:
    """Without declarations every attribute is good and none is added; an empty declaration refuses each."""
    assert list(attribute_faults("advice", None, {"x": "y"})) == []
    assert completed(None, {"x": ""}) == {"x": ""}
    assert list(attribute_faults("advice", {}, {"x": "y"})) == [
        ("x", "attribute 'x' is not declared for links of type 'advice'; it takes none")
    ]


_given = st.dictionaries(
    st.sampled_from([*DECLARED, "other"]), st.sampled_from(["", " ", "de", "fr", "xx", "ABC123", "ABCDEFGH"])
)


@given(_given)
def test_a_link_that_can_be_made_lacks_nothing_that_is_never_missing(attributes: Mapping[str, str]) -> None:
    """What is stored of a link without faults is without faults itself, complete, and stays the same when completed again."""
    stored = completed(DECLARED, attributes)
    assert completed(DECLARED, stored) == stored
    if not list(attribute_faults("advice", DECLARED, attributes)):
        assert list(attribute_faults("advice", DECLARED, stored)) == []
        assert all(stored[name].strip() for name, each in DECLARED.items() if each.is_never_missing)


RULES = """
service:
  - { id: german, when: { link_attributes: { language: de } }, reject: "{link.language}" }
  - { id: other, when: { link_type: advice }, reject: "{link.language|none}" }
links:
  advice: { alias: "adv{session}", attributes: { language: { values: [de, fr], default: de } } }
"""


@pytest.mark.parametrize(
    ("attributes", "signed", "expected"),
    [
        pytest.param({}, True, ("german", "de"), id="made before, or known by its signature alone"),
        pytest.param({"language": ""}, True, ("german", "de"), id="made with nothing"),
        pytest.param({"language": "it"}, True, ("other", "it"), id="made when that was declared"),
        pytest.param({}, False, ("other", "none"), id="not signed by us"),
    ],
)
def test_a_default_holds_for_every_link_of_ours(
    attributes: Mapping[str, str], signed: bool, expected: tuple[str, str]
) -> None:
    """Rules see the default of a link that lacks the attribute, what an older link was given, and nothing of a forged one."""
    ruleset = load(RULES)
    link = make_link(ruleset.links["advice"], KEYRING, NOON + timedelta(hours=1), b"1234")
    alias = link.alias if signed else link.alias[:-1] + ("a" if link.alias[-1] != "a" else "b")
    decision = evaluate(ruleset, request("service", {"local_alias": alias}), NOON, KEYRING, attributes)
    assert isinstance(decision, Reject)
    assert (decision.rule, decision.text) == expected
