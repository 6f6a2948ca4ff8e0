"""How problems are told."""

import json

import pytest

from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.wording.words import one_of

TRUNKS = ("clinic", "clinic-backup")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        pytest.param(
            Problem(
                Place("rules/genesys.yaml", 14, 7),
                Severity.ERROR,
                one_of("trunk", TRUNKS, "clinc"),
                "patient",
            ),
            "rules/genesys.yaml:14:7: error: rule 'patient': trunk must be one of 'clinic', 'clinic-backup' "
            "but is 'clinc' (did you mean 'clinic'?)",
            id="in a rule",
        ),
        pytest.param(
            Problem(Place("rules/genesys.yaml", 3, 1), Severity.WARNING, "trunk 'x' is not used"),
            "rules/genesys.yaml:3:1: warning: trunk 'x' is not used",
            id="outside a rule",
        ),
        pytest.param(
            Problem(Place("rules/genesys.yaml"), Severity.ERROR, "the file is too large"),
            "rules/genesys.yaml: error: the file is too large",
            id="the whole file",
        ),
    ],
)
def test_a_problem_is_told_on_one_line_with_its_place(problem: Problem, text: str) -> None:
    """A problem reads file:line:column, severity, rule, message; what it has not is left out."""
    assert str(problem) == text


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        pytest.param(
            Problem(Place("a.yaml", 2, 3), Severity.WARNING, "odd", "patient"),
            {
                "file": "a.yaml",
                "line": 2,
                "column": 3,
                "severity": "warning",
                "rule": "patient",
                "message": "odd",
            },
            id="in a rule",
        ),
        pytest.param(
            Problem(Place("a.yaml"), Severity.ERROR, "bad"),
            {
                "file": "a.yaml",
                "line": None,
                "column": None,
                "severity": "error",
                "rule": None,
                "message": "bad",
            },
            id="the whole file",
        ),
    ],
)
def test_a_problem_as_json_has_null_for_what_it_has_not(problem: Problem, expected: dict[str, object]) -> None:
    """A machine finds the same keys in every problem."""
    assert json.loads(json.dumps(problem.as_json())) == expected


def test_places_sort_as_an_admin_reads() -> None:
    """Places sort by file, then by line and column as numbers, the whole file first."""
    ordered = [Place("a", 0, 0), Place("a", 2, 9), Place("a", 2, 10), Place("a", 10, 1), Place("b", 1, 1)]
    assert sorted(set(ordered)) == ordered
