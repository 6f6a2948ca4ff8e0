"""SARIF: whatever ``check`` may say is what the JSON Schema of SARIF 2.1.0 takes."""

import json
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from policy_server.cli.sarif import sarif
from policy_server.rulefiles.problems import Place, Problem, Severity
from tests.cli.commands import printed_json, put_rules, run
from tests.rulefiles.faults import DATA, load, read_faults

SCHEMA: Final[Any] = json.loads((Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json").read_bytes())
VALIDATOR: Final = jsonschema.Draft4Validator(SCHEMA)

UNDECIDED: Final = r"""
service:
  - { id: letters, when: { local_alias: 'desk-\pL+' }, reject: Closed }
  - { id: one, when: { local_alias: 'desk-[a-z]+' }, reject: Closed }
"""
NOTE: Final = (
    "whether an earlier rule matches everything that a later one would could not be decided, because their expressions are "
    r"too large or too many, or have \p or \b: 'one' (line 4) after 'letters'"
)


def test_the_schema_is_one() -> None:
    """What is held against it can fail."""
    jsonschema.Draft4Validator.check_schema(SCHEMA)
    broken = sarif([Problem(Place("rules/x.yaml", 1, 1), Severity.ERROR, "x")])
    broken["runs"][0]["results"][0]["level"] = "fatal"
    assert not VALIDATOR.is_valid(broken)


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.faults")))
def test_every_problem_that_rules_can_have(name: str) -> None:
    """All kinds of problems of rule files, of the rules as a whole and of what lies beside them, make a valid log."""
    found: list[Problem] = []
    for fault in read_faults(name).values():
        documents = {path: text for path, text in fault.files.items() if path.endswith(".yaml")}
        beside = {path: text.encode() for path, text in fault.files.items() if path not in documents}
        loaded = load(documents, templates=beside, tables=beside, deployed=fault.deployed)
        found += (*loaded.problems, *loaded.notes)
    VALIDATOR.validate(sarif(found))
    assert found


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize(
    "place",
    [Place("rules"), Place("ü 1%/x:y.yaml", 3), Place("rules/x.yaml", 3, 7), Place("\N{REPLACEMENT CHARACTER}", 1, 1)],
    ids=["folder", "line", "column", "name"],
)
def test_every_severity_and_place(severity: Severity, place: Place) -> None:
    """Each has a kind of its own, and places without a column or a line are places too."""
    written = sarif([Problem(place, severity, "x")])
    VALIDATOR.validate(written)
    (result,) = written["runs"][0]["results"]
    assert (result["level"], result["ruleId"]) == (severity.value, list(written_rules(written))[result["ruleIndex"]])


def written_rules(log: dict[str, Any]) -> list[str]:
    """The ids of the kinds of problems of a log."""
    return [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]]


def test_no_problems() -> None:
    """Good rules make a valid log too."""
    VALIDATOR.validate(sarif([]))


def test_what_was_not_decided(folder: Path) -> None:
    """A note is told once for each file in every format, and is no problem, not even with --strict."""
    put_rules(folder, UNDECIDED, "a.yaml")
    text = run("check", "--strict")
    assert text.exit_code == 0
    assert text.stdout.splitlines()[0] == f"rules/a.yaml: note: {NOTE}"
    assert text.stdout.endswith(": 0 errors, 0 warnings.\n")
    told = printed_json(run("check", "--json"))
    assert (told["ok"], told["problems"]) == (True, [])
    (note,) = told["notes"]
    assert (note["severity"], note["message"]) == ("note", NOTE)
    log = printed_json(run("check", "--format", "sarif"))
    VALIDATOR.validate(log)
    assert [result["level"] for result in log["runs"][0]["results"]] == ["note"]
