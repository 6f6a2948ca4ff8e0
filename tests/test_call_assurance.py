"""What the watch over legs knows of the rules of this moment."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from policy_server.call_assurance import WatchedRules
from policy_server.policy.assurance import Entry
from policy_server.policy.names import Keyring
from policy_server.telephony.trunks import Load
from tests.rulefiles.faults import load

MONDAY = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
RULES = """
trunks:
  a: { number: "+13129998041", limits: { legs: 30 } }
  b: { number: "+13129998042" }
calendars: { never: { timezone: UTC, open: { sun: ["00:00-00:01"] } } }
service:
  - id: x
    service: { service_type: conference, name: x, service_tag: x }
    dial_out: [ { trunk: a }, { trunk: b } ]
"""


@pytest.mark.parametrize(
    ("entries", "legs", "dialled"),
    [
        pytest.param([Entry("a"), Entry("b")], 29, [True, True], id="below the limit"),
        pytest.param([Entry("a"), Entry("b")], 30, [False, True], id="over the limit"),
        pytest.param([Entry("b"), Entry("a")], 30, [True, True], id="over the limit, and the last"),
        pytest.param([Entry("a"), Entry("b", "never")], 30, [True, False], id="what is left is closed"),
        pytest.param([Entry("gone", "gone"), Entry("")], 30, [True, True], id="gone from the rules"),
    ],
)
def test_entries_that_may_be_dialled(entries: list[Entry], legs: int, dialled: list[bool]) -> None:
    """A closed entry is not dialled, and one over the limit of its trunk goes behind those that are not."""
    ruleset = load(RULES).ruleset
    assert ruleset is not None
    loads = {"+13129998041": Load(legs)}
    rules = WatchedRules(SimpleNamespace(ruleset=ruleset), Keyring(b"x" * 32), lambda alias, at: loads[alias])
    assert list(rules.may_be_dialled(entries, MONDAY)) == dialled
