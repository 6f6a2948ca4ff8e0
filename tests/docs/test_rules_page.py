"""The page for Pexip administrators: the language of rules."""

import re
from itertools import chain
from typing import Final

from policy_server.pexip.request_types import RequestType
from policy_server.rulefiles.conditions import condition_keys
from policy_server.rulefiles.merge import SECTIONS
from policy_server.rulefiles.sections import DEPLOYMENT_LISTS
from tests.docs.pages import RULES, YAML, code

PAGE: Final = RULES


def test_the_tour_shows_every_section() -> None:
    """There is no section of a rule file without an example."""
    shown = {section for block in YAML for section in re.findall(r"^(\w+):", block.text, re.MULTILINE)}
    assert shown >= {*SECTIONS, "tests"}


def test_conditions_and_name_lists_are_documented() -> None:
    """Every condition that is no parameter is in the table, and the table names no condition that does not exist."""
    named = {name.partition(":")[0] for cell, _ in PAGE.rows("key |") for name in code(cell)}
    keys = set(chain.from_iterable(condition_keys(request) for request in RequestType))
    assert named <= keys
    assert {"open", "closed", "link", "link_attributes", "percent", "any", "all", "not", "idp_attributes"} <= named
    kinds = PAGE.text.partition("The kinds: ")[2].partition("\n\n")[0]
    assert code(kinds) == list(DEPLOYMENT_LISTS)
