"""A warning stands beside the rule or the thing that it is about, and beside no other."""

from pathlib import Path

from policy_server.web.admin.warned import beside_things
from tests.rulefiles.faults import load
from tests.servers import InProcess, write_rules
from tests.web.admin.test_rules_page import ADMIN, shown, text_of

WARNED = r"""
trunks:
  spare: { number: "+1 312 999 8046" }
  clinic:
    number: "+1 312 999 8045"
    dial_prefix: "98"
pexip:
  call_routing_rules:
    - { name: clinic, match: '99\+\d+', replace: '\1@x' }
calendars:
  never: { timezone: UTC, open: {} }
rooms:
  spare: { name: x, service_tag: x }
service:
  - id: one
    when: { local_alias: one, open: never }
    service: { service_type: conference, name: one, service_tag: x }
    dial_out: [{ trunk: clinic }]
"""


def test_a_warning_belongs_to_what_it_names_and_is_written_in() -> None:
    """A trunk, a calendar: what is written below them and is about something else is not theirs."""
    loaded = load(WARNED)
    assert loaded.ruleset is not None
    found = beside_things(loaded.ruleset, loaded.problems)
    told = {key: [problem.message for problem in problems] for key, problems in found.items()}
    assert told.keys() == {("trunks", "spare"), ("trunks", "clinic"), ("calendars", "never")}
    assert told["trunks", "spare"][0].startswith("trunk 'spare'")
    (clinic,) = told["trunks", "clinic"]
    assert "no Call Routing Rule takes '98+13129998045'" in clinic
    assert any("replace has" in problem.message for problem in loaded.problems)
    assert any("room 'spare'" in problem.message for problem in loaded.problems)


def test_each_warning_is_on_the_page_once(tmp_path: Path) -> None:
    """Beside its trunk or calendar, or at the top."""
    with InProcess(write_rules(tmp_path / "rules", WARNED), admin=ADMIN) as server:
        page = text_of(shown(server))
        assert len(server.rules.warnings) >= 5
        for problem in server.rules.warnings:
            assert page.count(problem.message) == 1
        assert page.index("Other warnings") < page.index("replace has")
        assert page.index("Trunks spare") < page.index("no Call Routing Rule takes")
