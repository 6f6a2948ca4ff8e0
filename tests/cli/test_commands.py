"""Each command is where the table says, and costs only what it needs."""

import subprocess
import sys

import click
import pytest

from policy_server.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_the_name_by_which_it_is_found(name: str) -> None:
    """The table leads to a command that calls itself so, and says in a line what it is for."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


def test_a_word_that_is_no_command_is_refused() -> None:
    """What is not in the table is nothing."""
    assert main.get_command(click.Context(main), "serv") is None


@pytest.mark.parametrize(
    ("command", "others"),
    [
        pytest.param("check", ("aiohttp", "httpx", "uvicorn", "policy_server.app"), id="check runs no server"),
        pytest.param("serve", ("httpx", "rich"), id="serve plays no calls"),
    ],
)
def test_a_command_waits_only_for_what_it_needs(command: str, others: tuple[str, ...]) -> None:
    """An administrator who checks a rule does not load the server first."""
    program = (
        "import sys, click; from policy_server.cli import main; main.get_command(click.Context(main), sys.argv[1]);"
        "print(*sorted(set(sys.argv[2:]) & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program, command, *others], check=True, capture_output=True, text=True
    )
    assert loaded.stdout.split() == []
