"""``test``: the rule tests beside the rules."""

from pathlib import Path

import pytest

from tests.cli.commands import TESTS, printed_json, put_rules, run

FAILING = """
  - name: a wrong expectation
    at: 2026-11-23T10:00:00-06:00
    link: { type: visit }
    request: { type: service, call_direction: dial_in, local_alias: "{alias}" }
    expect: { rule: agent, result: { service_tag: somewhere } }
"""


def test_passing(folder: Path) -> None:
    """Tests that pass are status 0, a line for each and the count."""
    put_rules(folder)
    put_rules(folder, TESTS, "visit.test.yaml")
    result = run("test")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "pass  a customer in opening hours\n1 passed, 0 failed\n"


def test_failing(folder: Path) -> None:
    """A test that fails is status 1, with its place and the difference field by field."""
    put_rules(folder)
    put_rules(folder, TESTS + FAILING, "visit.test.yaml")
    result = run("test")
    assert result.exit_code == 1
    assert "FAIL  a wrong expectation  (rules/visit.test.yaml:9)" in result.stdout
    assert "rule: expected 'agent' but got 'customer'" in result.stdout
    assert "result.service_tag: expected 'somewhere' but got 'contact-centre'" in result.stdout
    assert result.stdout.endswith("1 passed, 1 failed\n")


def test_json(folder: Path) -> None:
    """--json gives each test with place, verdict and differences."""
    put_rules(folder)
    put_rules(folder, TESTS + FAILING, "visit.test.yaml")
    result = run("test", "--json")
    value = printed_json(result)
    assert (result.exit_code, value["ok"]) == (1, False)
    good, bad = value["tests"]
    assert good == {
        "name": "a customer in opening hours",
        "file": "rules/visit.test.yaml",
        "line": 3,
        "passed": True,
        "differences": [],
    }
    assert (bad["passed"], len(bad["differences"])) == (False, 2)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_no_tests(folder: Path, options: tuple[str, ...]) -> None:
    """Rules without tests are status 0, and it is said that there are none."""
    put_rules(folder)
    result = run("test", *options)
    assert result.exit_code == 0
    assert "There are no rule tests" in result.stderr
    if options:
        assert printed_json(result) == {"ok": True, "tests": []}


def test_tests_that_cannot_be_read(folder: Path) -> None:
    """A mistake in a test file is unusable input, status 2, at its place."""
    put_rules(folder)
    put_rules(folder, TESTS.replace("expect:", "expects:"), "visit.test.yaml")
    result = run("test")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "rules/visit.test.yaml:7:5: error: " in result.stderr
    assert "(did you mean 'expect'?)" in result.stderr


def test_no_secret_is_needed(folder: Path) -> None:
    """Tests come out the same whatever the server's key is, so that they pass everywhere or nowhere."""
    put_rules(folder)
    put_rules(folder, TESTS, "visit.test.yaml")
    outputs = {run("test", environment={"POLICY_SECRET_KEY": key}).stdout for key in ("", "k" * 40, "another key " * 4)}
    assert len(outputs) == 1
