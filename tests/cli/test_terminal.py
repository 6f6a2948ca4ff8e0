"""What callers, files and links bring along commands no terminal and begins no line of its own in what a command prints."""

import json
from pathlib import Path

import pytest

from policy_server.cli.common import echo, print_json
from tests.cli.commands import RULES, printed_json, put_rules, run

HOSTILE = "Ada\u202e\x9b2J\x1b]0;title\x07\u2066"
"""Turns the direction of writing, clears the screen and names the window."""

SHOWN = r"Ada\u202e\x9b2J\x1b]0;title\x07\u2066"

QUESTION = ("service", f"local_alias={HOSTILE}\npass  all is well", f"remote_display_name={HOSTILE}", "protocol=api")


def assert_tame(text: str) -> None:
    """Each line can be read by a terminal without its obeying anything, and none is a forged one."""
    for line in text.splitlines():
        assert line.isprintable(), line
        assert not line.startswith("pass  all is well")


def test_a_terminal_finds_nothing_to_obey_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Control and direction characters are shown as escapes, a line break too; letters of any language stay."""
    echo(f"{HOSTILE}\nZoë", "and זואי")
    assert capsys.readouterr().out == f"{SHOWN}\\nZoë\nand זואי\n"


def test_json_means_the_same_and_shows_what_a_terminal_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads the very text; a person who looks at it sees the characters."""
    print_json({"name": HOSTILE, "plain": "Zoë 🙂"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"name": HOSTILE, "plain": "Zoë 🙂"}
    assert_tame(printed)
    assert '"plain": "Zoë 🙂"' in printed


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["for people", "for programs"])
def test_explain_of_a_hostile_question(folder: Path, options: tuple[str, ...]) -> None:
    """Rows, winner and answer of a question that strangers wrote."""
    put_rules(
        folder,
        """
        service:
          - { id: named, when: { local_alias: (?P<who>Ada.*), protocol: sip }, reject: No }
          - { id: told, when: { remote_display_name: (?P<who>.*) }, reject: "Not you, {who}" }
        """,
    )
    result = run("explain", *QUESTION, *options)
    assert result.exit_code == 0, result.output
    assert_tame(result.output)
    assert "Ada" in result.stdout


@pytest.mark.parametrize("command", ["check", "test", "serve", "explain"])
def test_problems_of_hostile_files(folder: Path, command: str) -> None:
    """Names of files, and what stands in them, in the problems that refuse the rules."""
    rules = put_rules(
        folder,
        'service: [{ id: x, when: { local_alias: a }, room: "' + HOSTILE.encode("unicode_escape").decode() + '" }]',
    )
    (rules / f"a{HOSTILE.replace('/', '')}.yaml").write_text("servce: []\n", encoding="utf-8")
    (rules / f"b{HOSTILE}.yml").write_text("service: []\n", encoding="utf-8")
    result = run(command, *(QUESTION if command == "explain" else ()))
    assert result.exit_code in {1, 2}
    assert_tame(result.output)
    assert SHOWN in result.output


def test_a_rule_test_with_a_hostile_name(folder: Path) -> None:
    """Names, places and differences of rule tests."""
    rules = put_rules(folder, RULES)
    name = json.dumps(f"{HOSTILE}\npass  all is well")
    (rules / f"{HOSTILE}.test.yaml").write_text(
        f"tests: [{{ name: {name}, request: {{ type: service, local_alias: {name} }}, expect: {{ rule: {name} }} }},"
        f" {{ name: {name}, request: {{ type: service, local_alias: {name} }}, expect: {{ action: reject }} }}]",
        encoding="utf-8",
    )
    result = run("test")
    assert_tame(result.output)
    assert SHOWN in result.output


def test_json_of_check_keeps_the_names_of_files(folder: Path) -> None:
    """A program that annotates files gets the very name."""
    rules = put_rules(folder, RULES)
    (rules / f"{HOSTILE}.yml").write_text("service: []\n", encoding="utf-8")
    result = run("check", "--json")
    assert_tame(result.output)
    assert any(HOSTILE in problem["file"] for problem in printed_json(result)["problems"])
