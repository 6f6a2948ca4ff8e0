"""The README is true: its rules load, its commands run and print what it shows, its tables are those of the code.

Conventions of the README:

- A block of YAML names the file it is, in a comment before it: ``<!-- file: tour/10-names.yaml -->``. The files of a folder
  are loaded together and must have no problems, unless the comment ends in ``, with problems``.
- A ``console`` block holds commands after ``$`` and their whole output, where ``…`` stands for anything in a line, and a line
  of it alone for any lines. A command that fails is followed by ``$ echo $?``. A comment before the block may say that it
  runs ``without settings``, that it ``asks a server`` (the one at port 8080 is then a real one), or that it
  ``starts a server``.
"""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from shutil import copytree
from typing import Final, get_args

import click
import httpx
import pytest
from PIL import Image

from policy_server.cli import main
from policy_server.pexip.parameters import RequestType
from policy_server.policy.decisions import Decision
from policy_server.policy.links import make_link
from policy_server.policy.sessions import NONCE_BYTES, Keyring
from policy_server.rulefiles.conditions import condition_keys
from policy_server.rulefiles.load import SECTIONS
from policy_server.rulefiles.sections import DEPLOYMENT_LISTS
from policy_server.rulefiles.store import load_folder
from policy_server.settings import PREFIX, SETTINGS
from policy_server.web.policy import OUTCOMES
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, RealServer, clean_environment, eventually, real_server

ROOT: Final = Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN_URL: Final = "http://127.0.0.1:8080"
ANYTHING: Final = "…"
CREDENTIALS: Final = {
    "POLICY_PEXIP_USERNAME": USERNAME,
    "POLICY_PEXIP_PASSWORD": PASSWORD,
    "POLICY_SECRET_KEY": SECRET_KEY,
}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, the comment before it, and its line in the README."""

    language: str
    text: str
    note: str
    line: int

    @property
    def file(self) -> str:
        """The file that a block of YAML is."""
        return self.note.removeprefix("file: ").removesuffix(", with problems")


def _blocks(language: str) -> list[Block]:
    fence = re.compile(r"^(?:<!-- ([^\n]+) -->\n)?( *)```(\w+)\n(.*?)^\2```$", re.MULTILINE | re.DOTALL)
    return [
        Block(match[3], re.sub(f"^{match[2]}", "", match[4], flags=re.MULTILINE), match[1] or "", _line(match.start(3)))
        for match in fence.finditer(README)
        if match[3] == language
    ]


def _line(offset: int) -> int:
    return README.count("\n", 0, offset) + 1


def _rows(head: str) -> list[list[str]]:
    """The cells of the table whose head begins with this text."""
    start = README.index(f"\n| {head}")
    lines = README[start:].strip("\n").partition("\n\n")[0].split("\n")
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def _code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


YAML: Final = _blocks("yaml")
CONSOLE: Final = _blocks("console")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rules that are shipped and the files that the README shows."""
    path = tmp_path_factory.mktemp("readme")
    copytree(ROOT / "rules", path / "rules")
    for block in YAML:
        file = path / block.file
        file.parent.mkdir(exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        for picture in re.findall(r"avatar: ([\w/.]+)", block.text):
            (file.parent / picture).parent.mkdir(exist_ok=True)
            Image.new("RGB", (20, 20)).save(file.parent / picture)
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RealServer]:
    """A real server with the rules that are shipped."""
    with real_server(folder) as running:
        yield running


def _matches(expected: str, got: str) -> bool:
    def as_regex(line: str) -> str:
        if line.strip() == ANYTHING:
            return r"(?:[^\n]*\n)*?"
        return r"[^\n]*?".join(map(re.escape, line.split(ANYTHING))) + r"\n"

    return (
        re.fullmatch("".join(map(as_regex, expected.splitlines())), got if got.endswith("\n") else got + "\n")
        is not None
    )


def _commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown."""
    pieces = re.split(r"^\$ (.+)\n", block.text, flags=re.MULTILINE)
    assert pieces[0] == "", f"line {block.line}: output without a command"
    return list(zip(pieces[1::2], pieces[2::2], strict=True))


def _run(commands: list[str], folder: Path, environment: dict[str, str]) -> list[tuple[str, int]]:
    """Runs commands in one shell; the output and exit status of each."""
    after = "\n__status=$?; printf '\\036%d\\036' $__status; (exit $__status)\n"
    path = f"{Path(sys.executable).parent}:{clean_environment()['PATH']}"
    done = subprocess.run(
        ["bash"],
        input="".join(command + after for command in commands),
        cwd=folder,
        env=clean_environment(PATH=path, LC_ALL="C.UTF-8", no_proxy="*", **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    pieces = re.split("\x1e(\\d+)\x1e", done.stdout)
    return list(zip(pieces[0::2], map(int, pieces[1::2]), strict=False))


def test_every_yaml_block_says_which_file_it_is() -> None:
    """No rules stand in the README that nothing loads."""
    assert YAML
    for block in YAML:
        assert block.note.startswith("file: "), f"line {block.line}: say which file this is"
    assert len({block.file for block in YAML}) == len(YAML)


@pytest.mark.parametrize("name", sorted({Path(block.file).parts[0] for block in YAML}))
def test_rules_load_without_problems_unless_the_readme_says_so(name: str, folder: Path) -> None:
    """Rules of the README are used as they stand, and those shown for their problems have some."""
    loaded, _ = load_folder(folder / name, datetime.now(UTC))
    with_problems = any(block.note.endswith(", with problems") for block in YAML if Path(block.file).parts[0] == name)
    assert bool(loaded.problems) is with_problems, "\n".join(map(str, loaded.problems))


def test_the_tour_shows_every_section() -> None:
    """There is no section of a rule file without an example."""
    shown = {section for block in YAML for section in re.findall(r"^(\w+):", block.text, re.MULTILINE)}
    assert shown >= {*SECTIONS, "tests"}


@pytest.mark.parametrize(
    "block",
    [block for block in CONSOLE if block.note != "starts a server"],
    ids=lambda block: f"line-{block.line}",
)
def test_commands_print_what_the_readme_shows(block: Block, folder: Path, request: pytest.FixtureRequest) -> None:
    """Every command of a console block runs, and its output is the one shown."""
    assert block.note in {"", "without settings", "asks a server"}
    url = SHOWN_URL
    if block.note == "asks a server":
        running = request.getfixturevalue("server")
        assert isinstance(running, RealServer)
        url = running.url
    commands = _commands(block)
    environment = {} if block.note == "without settings" else CREDENTIALS
    results = _run([command.replace(SHOWN_URL, url) for command, _ in commands], folder, environment)
    assert len(results) == len(commands)
    following = [command for command, _ in commands[1:]] + [""]
    for (command, expected), (got, status), follows in zip(commands, results, following, strict=True):
        assert _matches(expected, got.replace(url, SHOWN_URL) if got else "") or got == expected, f"$ {command}\n{got}"
        assert status == 0 or follows == "echo $?", f"$ {command} fails with status {status}, and the README hides it"


def test_a_first_start_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """`make run` serves, makes up credentials, and says what to paste into Pexip."""
    (block,) = [block for block in CONSOLE if block.note == "starts a server"]
    ((command, expected),) = _commands(block)
    assert command == "make run"
    assert re.search(r"^run:.*\n\t\$\(BIN\)/policy-server serve$", _makefile(), re.MULTILINE)
    copytree(ROOT / "rules", tmp_path / "rules")
    with real_server(tmp_path, environment={}) as running:
        got = running.out.replace(running.url, SHOWN_URL)
    assert _matches(expected, got), got


def test_the_decision_log_looks_as_shown(folder: Path, server: RealServer) -> None:
    """A decision is one line, with the PINs masked."""
    (block,) = [block for block in _blocks("text") if block.note == "logged by a server"]
    loaded, _ = load_folder(folder / "rules", datetime.now(UTC))
    assert loaded.ruleset is not None
    ends = datetime.now(UTC) + timedelta(hours=1)
    link = make_link(loaded.ruleset.links["visit"], Keyring.from_text(SECRET_KEY), ends, bytes(NONCE_BYTES))
    question = {"call_direction": "dial_in", "protocol": "api", "location": "DMZ", "local_alias": link.alias}
    with server.client() as client:
        answer = client.get("/policy/v1/service/configuration", params=question).json()
    line = eventually(lambda: next((line for line in server.err.splitlines() if answer["decision_id"] in line), ""))
    assert _matches(block.text, line), line
    assert answer["result"]["pin"] not in line
    assert answer["result"]["guest_pin"] not in line


def test_the_metrics_are_those_of_the_table(server: RealServer) -> None:
    """Every metric is documented with its labels, and no other is."""
    with server.client() as client:
        client.get("/policy/v1/service/configuration")
        httpx.get(f"{server.url}/policy/v1/service/configuration", trust_env=False)
        text = client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE):
        if not name.endswith("_created"):
            labels = re.findall(rf"^{name}(?:_count)?\{{(.*)\}}", text, re.MULTILINE)
            found[name] = set(re.findall(r"(\w+)=", " ".join(labels))) - {"le"}
    documented = {_code(name)[0]: set(_code(labels)) for name, labels, _ in _rows("metric |")}
    assert documented == found


def test_the_outcomes_of_metrics_are_those_of_decisions() -> None:
    """The README names every value of the label `outcome`."""
    start = README.index("`outcome` is ")
    named = set(_code(README[start:].partition("\n\n")[0])) - {"outcome", "policy_rules_refused"}
    assert set(OUTCOMES) == set(get_args(Decision))
    assert named == {*OUTCOMES.values(), "misunderstood", "error"}


def test_every_setting_is_documented_and_no_other_is_named() -> None:
    """The table of settings is that of the code, and every POLICY_ variable in the README exists."""
    assert {_code(name)[0]: text for name, text in _rows("variable |")} == {
        PREFIX + name: text for name, text in SETTINGS.items()
    }
    exist = {PREFIX + name + ending for name in SETTINGS for ending in ("", "_FILE")}
    assert set(re.findall(r"\bPOLICY_[A-Z_]+\b", README)) <= exist


def _leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for word, below in command.commands.items():
            yield from _leaves(below, f"{name} {word}")
    else:
        yield name, command


COMMANDS: Final = dict(_leaves(main, "policy-server"))


def _options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def test_every_command_and_option_is_in_the_table() -> None:
    """What `--help` lists is what the table of commands lists."""
    documented = {
        _code(name)[0]: {option.split()[0] for option in _code(options)}
        for name, _, options in _rows("command | what it does | options")
    }
    assert documented == {name: _options(command) for name, command in COMMANDS.items()}
    assert "`policy-server --version`" in README


def test_commands_in_prose_and_units_exist() -> None:
    """Every mention of a command names one that exists, with options that it has."""
    code = re.findall(r"`(policy-server[^`]*)`", README)
    lines = [
        line for language in ("sh", "console", "ini") for block in _blocks(language) for line in block.text.splitlines()
    ]
    code += [
        found[0]
        for line in lines
        if (found := re.search(r"(?<!/)\bpolicy-server (?!listens).*|/policy-server .*", line))
    ]
    assert len(code) > 10
    for text in code:
        words = shlex.split(re.split(r" (?:\||>|&&|#) ?", text)[0].strip("/"))
        if words[1:] in ([], ["--version"], ["link"]):
            continue
        name = " ".join(words[:3] if words[1] == "link" else words[:2])
        assert name in COMMANDS, text
        used = {word for word in words if word.startswith("--")}
        assert used <= _options(COMMANDS[name]), text


def test_conditions_and_name_lists_are_documented() -> None:
    """Every condition that is no parameter is in the table, and the table names no condition that does not exist."""
    named = {name.partition(":")[0] for cell, _ in _rows("key |") for name in _code(cell)}
    keys = set(chain.from_iterable(condition_keys(request) for request in RequestType))
    assert named <= keys
    assert {"open", "closed", "link", "link_attributes", "percent", "any", "all", "not", "idp_attributes"} <= named
    kinds = README.partition("The kinds: ")[2].partition("\n\n")[0]
    assert _code(kinds) == list(DEPLOYMENT_LISTS)


def test_links_lead_somewhere() -> None:
    """Files and headings that the README links to exist, and its contents list every chapter in order."""
    targets = re.findall(r"\]\(([^)]+)\)", README)
    headings = {_slug(text) for text in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    for target in targets:
        assert target[1:] in headings if target.startswith("#") else (ROOT / target).exists(), target
    contents = re.findall(r"\]\(#([^)]+)\)", README[README.index("**Contents:**") :].partition("\n## ")[0])
    assert contents == [_slug(text) for text in re.findall(r"^## (.+)$", README, re.MULTILINE)]


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_table_of_packages_is_that_of_the_code() -> None:
    """Every package that the program uses is listed with the floor that the import contracts give it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = [re.findall(r"\w+", layer) for layer in reversed(contracts[0]["layers"])]
    floors = {name: str(floor) for floor, layer in enumerate(layers) for name in layer}
    program = (
        "import sys, policy_server.cli; print(*(name for name in sys.modules if name.startswith('policy_server.')))"
    )
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    packages = {name for module in modules if (ROOT / "policy_server" / (name := module.split(".")[1])).is_dir()}
    roof = {"cli": "roof"}
    documented = {Path(_code(name)[0]).name: floor for name, floor, _ in _rows("package |")}
    assert documented == {name: roof.get(name, floors[name]) for name in packages}


def test_make_targets_and_shell_blocks_are_good() -> None:
    """Every `make` target that is named exists, every target is named, and shell blocks can be read by a shell."""
    targets = set(re.findall(r"^(\w+):", _makefile(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^|\$ )make (\w+)", README, re.MULTILINE))
    assert named == targets
    for block in _blocks("sh"):
        subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
