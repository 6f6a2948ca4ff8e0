"""Commands, their options and the targets of `make` are those of the code, on every page."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Final

import click

from policy_server.cli import main
from tests.docs.pages import MAINTAINERS, PAGES, ROOT, START, blocks, code

PAGE: Final = START


def _leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            yield from _leaves(below, f"{name} {word}")
    else:
        yield name, command


COMMANDS: Final = dict(_leaves(main, "policy-server"))


def _options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def test_every_command_and_option_is_in_the_table() -> None:
    """What `--help` lists is what the table of commands lists."""
    documented = {
        code(name)[0]: {option.split()[0] for option in code(options)}
        for name, _, options in PAGE.rows("command | what it does | options")
    }
    assert documented == {name: _options(command) for name, command in COMMANDS.items()}
    assert "`policy-server --version`" in PAGE.text


def test_commands_in_prose_and_units_exist() -> None:
    """Every mention of a command names one that exists, with options that it has."""
    named = [text for page in PAGES for text in re.findall(r"`(policy-server[^`]*)`", page.text)]
    texts = [block.text.replace("\\\n", "") for language in ("sh", "console", "ini") for block in blocks(language)]
    lines = [line for text in texts for line in text.splitlines()]
    named += [
        found[0]
        for line in lines
        if (found := re.search(r"(?<!/)\bpolicy-server (?!listens).*|/policy-server .*", line))
    ]
    assert len(named) > 10
    for text in named:
        words = shlex.split(re.split(r" (?:\||>|&&|#) ?", text)[0].strip("/"))
        if words[1:] in ([], ["--version"], ["link"]):
            continue
        name = " ".join(words[:3] if words[1] in {"link", "conference", "webhook"} else words[:2])
        assert name in COMMANDS, text
        used = {word for word in words if word.startswith("--")}
        assert used <= _options(COMMANDS[name]), text


def test_the_table_of_packages_is_that_of_the_code() -> None:
    """Every package is listed with the floor that the import contracts give it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = [re.findall(r"\w+", layer) for layer in reversed(contracts[0]["layers"])]
    assert layers[0] == ["light"]  # The ground, which is a module.
    floors = {name: str(floor) for floor, layer in enumerate(layers[1:]) for name in layer}
    packages = {path.parent.name for path in (ROOT / "policy_server").glob("*/__init__.py")}
    roof = {"settings": "roof", "cli": "roof", "lab": "above"}
    rows = MAINTAINERS.rows("floor | package")
    documented = {name.strip("/"): floor for floor, names, _ in rows for name in code(names) if name.endswith("/")}
    assert documented == {name: roof.get(name, floors[name]) for name in packages}


def test_make_targets_exist_and_are_explained() -> None:
    """Every `make` target that a page names exists, and `make help` explains every one."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    named = {name for page in (*PAGES, MAINTAINERS) for name in re.findall(r"`make (\w+)", page.text)}
    scripts = (*blocks("sh"), *blocks("console"))
    named |= {name for block in scripts for name in re.findall(r"^(?:\$ )?make (\w+)", block.text, re.MULTILINE)}
    assert named <= targets
    assert set(re.findall(r"^(\w+):.*## \w", makefile, re.MULTILINE)) == targets


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    """`make` without a target does nothing but say what there is to do."""
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  make (\w+) +\S.*$", told, re.MULTILINE)
    assert listed == re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
