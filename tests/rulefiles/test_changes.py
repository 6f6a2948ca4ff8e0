"""What changed with the last reloads."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.changes import MOST_NAMED, REMEMBERED, History, Names
from policy_server.rulefiles.load import load_rules
from policy_server.rulefiles.merge import RuleFiles
from policy_server.rulefiles.problems import Place, Problem, Severity

NOW: Final = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
RULES: Final = """\
calendars:
  hours:
    timezone: Europe/Zurich
    open: { mon-fri: ["08:00-18:00"] }
service:
  - id: a
    when: { local_alias: a, open: hours }
    reject: first
  - id: b
    when: { local_alias: b }
    reject: second
participants:
  - { id: a, when: { protocol: sip }, continue: true }
"""


def loaded(text: str, tables: dict[str, bytes] | None = None) -> tuple[Ruleset, RuleFiles]:
    """Rules and the files that they are of."""
    files = RuleFiles({"rules/a.yaml": text.encode()}, tables=tables or {})
    found = load_rules(files, NOW)
    assert found.ruleset is not None, found.problems
    return found.ruleset, files


@pytest.mark.parametrize(
    ("before", "after", "added", "gone", "reworded"),
    [
        ("reject: second", "reject: other", (), (), ("service b",)),
        ("08:00-18:00", "08:00-17:00", (), (), ("calendars hours",)),
        ("id: b", "id: c", ("service c",), ("service b",), ()),
        ("protocol: sip", "protocol: h323", (), (), ("participants a",)),
        ("  - id: a\n", "\n\n  - id: a\n", (), (), ()),
        ("service:\n", "domains: [example.com]\nservice:\n", (), (), ("calendars hours",)),
    ],
    ids=["outcome", "hours", "renamed", "other-list", "moved-down", "what-stands-below-counts-too"],
)
def test_a_reload_names_what_is_different(
    before: str, after: str, added: tuple[str, ...], gone: tuple[str, ...], reworded: tuple[str, ...]
) -> None:
    """What came, what went and what is written otherwise is told by list and name, and what only moved is not."""
    assert before in RULES
    history = History(NOW, *loaded(RULES))
    history.took(NOW, *loaded(RULES.replace(before, after)))
    (change,) = history.changes
    assert (change.added.first, change.gone.first, change.reworded.first) == (added, gone, reworded)
    assert change.is_plain is not any((added, gone, reworded))
    assert not change.refused


def test_a_table_counts_as_its_file() -> None:
    """A row of a table that is different shows, although no rule is."""
    text = RULES.replace("service:\n", "tables: { q: tables/q.csv }\nservice:\n", 1)
    text = text.replace("when: { local_alias: b }", 'when: { table: { q: "{local_alias}" } }')
    history = History(NOW, *loaded(text, {"tables/q.csv": b"alias,name\nb,one\n"}))
    history.took(NOW, *loaded(text, {"tables/q.csv": b"alias,name\nb,two\n"}))
    assert history.changes[0].reworded == Names(("file tables/q.csv",))


def test_rules_that_were_refused_leave_the_next_comparison_alone() -> None:
    """A refused set is told with its errors, and the next good one is compared with what ran."""
    history = History(NOW, *loaded(RULES))
    error = Problem(Place("rules/a.yaml", 3, 1), Severity.ERROR, "wrong")
    history.refused(NOW, "abc", (error, Problem(Place("rules/a.yaml"), Severity.WARNING, "odd")))
    history.took(NOW + timedelta(seconds=1), *loaded(RULES.replace("second", "third")))
    taken, refused = history.changes
    assert (refused.refused, refused.errors, refused.revision) == (True, ("rules/a.yaml:3:1: error: wrong",), "abc")
    assert taken.reworded == Names(("service b",))


def test_what_is_remembered_is_bounded() -> None:
    """Neither many reloads nor many changed rules in one are kept whole."""
    many = "service:\n" + "".join(
        f"  - {{ id: r{n}, when: {{ local_alias: a{n} }}, reject: no }}\n" for n in range(200)
    )
    history = History(NOW, *loaded(RULES))
    history.took(NOW, *loaded(many))
    assert (len(history.changes[0].added.first), history.changes[0].added.more) == (MOST_NAMED, 200 - MOST_NAMED)
    for _ in range(3 * REMEMBERED):
        history.took(NOW, *loaded(RULES))
    assert len(history.changes) == REMEMBERED
