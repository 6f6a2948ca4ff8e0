"""Commands about rules: ``check``, ``test`` and ``schema``."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from policy_server.cli.common import (
    Unusable,
    echo,
    environment,
    folder,
    json_option,
    print_json,
    refuse,
    rules_option,
)
from policy_server.cli.sarif import sarif
from policy_server.conferences.played_legs import play_legs
from policy_server.conferences.rehearsal import rehearse
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.problems import Problem, Severity
from policy_server.rulefiles.ruletests import TestOutcome, parse_tests, run_test
from policy_server.rulefiles.schema import rule_file_schema
from policy_server.rulefiles.store import load_folder


@click.command()
@rules_option
@json_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    help="text for people (default), json as with --json, or SARIF 2.1.0 for code hosts.",
)
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
def check(rules_folder: Path | None, as_json: bool, form: str | None, strict: bool) -> None:
    """Load the rules and the rule tests, and print every problem; nothing is run."""
    if as_json and form not in {None, "json"}:
        raise Unusable(f"--json and --format {form} exclude each other")
    path = folder(rules_folder)
    now = datetime.now(UTC)
    loaded, read = load_folder(path, now, environment=environment())
    _, of_tests = parse_tests(read.tests, loaded.ruleset, now)
    problems = (*loaded.problems, *of_tests)
    failed = any(strict or problem.severity is Severity.ERROR for problem in problems)
    if form == "sarif":
        print_json(sarif((*problems, *loaded.notes)))
    elif as_json or form == "json":
        print_json(
            {
                "ok": not failed,
                "rules": loaded.ruleset.count if loaded.ruleset else None,
                "revision": loaded.ruleset.revision if loaded.ruleset else None,
                "problems": [problem.as_json() for problem in problems],
                "notes": [note.as_json() for note in loaded.notes],
            }
        )
    else:
        for problem in problems:
            echo(str(problem), fg="red" if problem.severity is Severity.ERROR else "yellow")
        for note in loaded.notes:
            echo(str(note))
        click.echo(_verdict(problems, loaded.ruleset))
    if not path.is_dir():
        sys.exit(2)
    sys.exit(1 if failed else 0)


def _verdict(problems: tuple[Problem, ...], ruleset: Ruleset | None) -> str:
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    warnings = len(problems) - errors
    counted = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    if ruleset is None:
        return f"The rules cannot be used: {counted}."
    return f"{ruleset.count} rules, revision {ruleset.revision}: {counted}."


@click.command("test")
@rules_option
@json_option
def run_tests(rules_folder: Path | None, as_json: bool) -> None:
    """Run the rule tests (*.test.yaml beside the rules)."""
    now = datetime.now(UTC)
    loaded, read = load_folder(folder(rules_folder), now, environment=environment())
    if loaded.ruleset is None:
        refuse(loaded.problems)
    tests, problems = parse_tests(read.tests, loaded.ruleset, now)
    if any(problem.severity is Severity.ERROR for problem in problems):
        refuse(problems)
    # No test may depend on a secret, or it would pass in one place and fail in another.
    keyring = Keyring.from_text("rule tests sign their links with this public key")
    outcomes = [run_test(test, loaded.ruleset, keyring, rehearse, play_legs) for test in tests]
    failed = sum(not outcome.passed for outcome in outcomes)
    if as_json:
        print_json({"ok": not failed, "tests": [_outcome_json(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            _print_outcome(outcome)
        click.echo(f"{len(outcomes) - failed} passed, {failed} failed")
    if not outcomes:
        click.echo(
            "There are no rule tests; they belong into files that end in .test.yaml, beside the rules.", err=True
        )
    sys.exit(1 if failed else 0)


def _outcome_json(outcome: TestOutcome) -> dict[str, object]:
    place = outcome.test.place
    return {
        "name": outcome.test.name,
        "file": place.file,
        "line": place.line,
        "passed": outcome.passed,
        "differences": list(outcome.differences),
    }


def _print_outcome(outcome: TestOutcome) -> None:
    mark = click.style("pass", fg="green") if outcome.passed else click.style("FAIL", fg="red")
    place = f"{outcome.test.place.file}:{outcome.test.place.line}"
    click.echo(f"{mark}  ", nl=False)
    echo(outcome.test.name + ("" if outcome.passed else f"  ({place})"))
    for difference in outcome.differences:
        echo(f"        {difference}")
    for finding in outcome.findings:
        echo(f"          {finding}")


@click.command()
def schema() -> None:
    """Print the JSON Schema of a rule file, for editors."""
    print_json(rule_file_schema())
