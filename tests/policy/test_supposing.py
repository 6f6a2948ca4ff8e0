"""What conditions say of a question of which little is known is what they say once all of it is."""

from typing import Any, Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from policy_server.pexip.request_types import RequestType
from policy_server.policy.conditions import AllOf
from policy_server.policy.facts import Supposed
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import UNSIGNED, LinkState
from policy_server.policy.ruleset import Ruleset
from tests.rule_sets import AGENT_KEY, CALL_ID, SESSION, facts, load
from tests.rulefiles.structures import as_yaml

LINKS: Final = {"patient": {"alias": "mp{session}", "agent_alias": "hcp{agent}"}, "other": {"alias": "ot{session}"}}
ALIASES: Final = (f"mp{SESSION}", f"hcp{AGENT_KEY}", f"mp{CALL_ID}", f"ot{SESSION}", "desk", "")
_PLAIN: Final[dict[str, st.SearchStrategy[Any]]] = {
    "local_alias": st.sampled_from(["mp.*", "hcp.*", "desk", ".+", "nobody"]),
    "local_alias.raw": st.sampled_from(["mp.*", "desk"]),
    "link": st.lists(st.sampled_from(list(map(str, LinkState))), min_size=1, max_size=4),
    "link_type": st.lists(st.sampled_from(["patient", "other"]), min_size=1),
    "door": st.sampled_from([["customer"], ["agent"], ["customer", "agent"]]),
    "link_attributes": st.just({"language": "no"}),
    "registered": st.booleans(),
    "percent": st.sampled_from([0, 50, 100]),
}
_WHEN: Final = st.recursive(
    st.fixed_dictionaries({}, optional=_PLAIN).filter(bool),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}, optional=_PLAIN),
    ),
    max_leaves=6,
)


def _rules(when: dict[str, Any]) -> tuple[Ruleset, AllOf]:
    ruleset = load(as_yaml({"links": LINKS, "service": [{"id": "it", "when": when, "continue": True}]}).decode())
    return ruleset, AllOf(ruleset.lists[RequestType.SERVICE].rules[0].conditions)


@pytest.mark.slow
@given(when=_WHEN, alias=st.sampled_from(ALIASES), registered=st.sampled_from(["True", "False", "maybe", ""]))
@settings(max_examples=200, deadline=None)
def test_what_is_certain_comes_true(when: dict[str, Any], alias: str, registered: str) -> None:
    """Whatever of a question is supposed as it is, a condition that certainly holds does, and one that does not does not."""
    ruleset, conditions = _rules(when)
    asked = facts("service", ruleset, local_alias=alias, registered=registered)
    link = asked.link
    everything = Supposed(
        asked.alias("local_alias"),
        frozenset({link.type} if link else ()),
        frozenset({link.entrance} if link else ()),
        frozenset({asked.link_state}),
    )
    parts = (
        everything,
        Supposed(alias=everything.alias),
        Supposed(link_types=everything.link_types, entrances=everything.entrances),
        Supposed(link_states=everything.link_states | {LinkState.EARLY}),
        Supposed(),
    )
    for supposed in parts:
        certain = conditions.supposing(supposed)
        event(f"certain: {certain}")
        assert certain is None or conditions.holds(asked) is certain


STRANGER: Final = Supposed(link_states=UNSIGNED, stranger=True)
CUSTOMER: Final = Supposed(None, frozenset({"patient"}), frozenset({Entrance.CUSTOMER}), frozenset({LinkState.VALID}))


@pytest.mark.parametrize(
    ("when", "supposed", "expected"),
    [
        pytest.param({"registered": True}, STRANGER, False, id="vouched"),
        pytest.param({"registered": False}, STRANGER, None, id="not vouched"),
        pytest.param({"remote_address": "10.0.0.0/8"}, STRANGER, False, id="address"),
        pytest.param({"location": "Oslo"}, STRANGER, False, id="location"),
        pytest.param({"teams_tenant_id": "x"}, STRANGER, False, id="text that is vouched for"),
        pytest.param({"vendor": "x"}, STRANGER, None, id="text that anybody may send"),
        pytest.param({"link": "valid"}, STRANGER, False, id="link of ours"),
        pytest.param({"link": ["invalid", "absent"]}, STRANGER, True, id="no link of ours"),
        pytest.param({"not": {"link": ["invalid", "absent"]}}, STRANGER, False, id="not without a link of ours"),
        pytest.param({"link": "absent"}, STRANGER, None, id="no link"),
        pytest.param({"link_attributes": {"a": "b"}}, STRANGER, False, id="attribute of a link"),
        pytest.param({"link_type": "patient"}, STRANGER, None, id="alias like a link's"),
        pytest.param({"any": [{"registered": True}, {"vendor": "x"}]}, STRANGER, None, id="any, one way in"),
        pytest.param({"any": [{"registered": True}, {"link": "valid"}]}, STRANGER, False, id="any, no way in"),
        pytest.param({"not": {"not": {"registered": True}}}, STRANGER, False, id="not not"),
        pytest.param({"link_type": "patient", "door": "customer"}, CUSTOMER, True, id="the customer's door"),
        pytest.param({"link_type": "patient", "door": "agent"}, CUSTOMER, False, id="the agents' door"),
        pytest.param({"not": {"link_type": "patient"}}, CUSTOMER, False, id="not this link type"),
        pytest.param({"link_type": ["patient"], "registered": True}, CUSTOMER, None, id="more than is known"),
    ],
)  # fmt: skip
def test_what_is_certain(when: dict[str, Any], supposed: Supposed, expected: bool | None) -> None:
    """Who is a stranger, and who comes by a link, meets some conditions for certain and others never."""
    assert _rules(when)[1].supposing(supposed) is expected
