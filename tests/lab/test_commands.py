"""The lab's commands as the command line finds them: only when they are asked for, and also where their extra is missing."""

import subprocess
import sys

import pytest

from tests.cli.commands import run
from tests.servers import clean_environment

SAID = "needs aiortc, which is not installed: pip install 'policy-server[lab]'"


def python(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs a program in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def without_aiortc(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """``policy-server`` where aiortc is not installed."""
    return python(
        "import sys; sys.modules['aiortc'] = None; from policy_server.cli import main; main(prog_name='policy-server')",
        *arguments,
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", [["demo", "--port", "9000"], ["selftest", "--json"]], ids=["demo", "selftest"])
def test_a_missing_extra(command: list[str]) -> None:
    """One line says which to install, whatever the options, with status 2."""
    ended = without_aiortc(*command)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"Error: {command[0]} {SAID}\n"


@pytest.mark.parametrize("command", ["demo", "selftest"])
def test_without_sipp(command: str) -> None:
    """Where SIPp is not installed, it says how to get it, with status 2."""
    result = run(command, environment={"PATH": ""})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "sip-tester" in result.stderr


@pytest.mark.slow
def test_help_without_the_extra() -> None:
    """The commands are listed all the same, with what they need."""
    ended = without_aiortc("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for name in ("demo", "selftest"):
        assert f"  {name} " in ended.stdout
    assert ended.stdout.count("Needs pip install 'policy-server[lab]'.") == 2


@pytest.mark.slow
def test_a_fault_of_ours_is_no_missing_extra() -> None:
    """A module of our own that is not there is not passed off as something to install."""
    ended = python(
        "import sys; sys.modules['policy_server.lab.wiring'] = None; from policy_server.cli import main; main()", "demo"
    )
    assert ended.returncode == 1
    assert "ModuleNotFoundError" in ended.stderr


@pytest.mark.slow
def test_nobody_else_loads_the_lab() -> None:
    """The command line and the server do without the lab and what only the lab needs."""
    ended = python(
        "import sys, policy_server.cli, policy_server.app; "
        "print(sorted({'policy_server.lab', 'aiortc', 'av'} & set(sys.modules)))"
    )
    assert (ended.stdout, ended.stderr) == ("[]\n", "")
