"""Commands of a page: run in a shell, their output compared with the one that is shown."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.docs.pages import Block, blocks
from tests.servers import clean_environment

SHOWN_URL: Final = "http://127.0.0.1:8080"
ANYTHING: Final = "…"
BEFORE: Final = "before every command of this page"


def matches(expected: str, got: str) -> bool:
    """Whether an output is the one that is shown."""

    def as_regex(line: str) -> str:
        if line.strip() == ANYTHING:
            return r"(?:[^\n]*\n)*?"
        return r"[^\n]*?".join(map(re.escape, line.split(ANYTHING))) + r"\n"

    return (
        re.fullmatch("".join(map(as_regex, expected.splitlines())), got if got.endswith("\n") else got + "\n")
        is not None
    )


def commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown."""
    pieces = re.split(r"^\$ ((?:.*\\\n)*.+)\n", block.text, flags=re.MULTILINE)
    assert pieces[0] == "", f"{block}: output without a command"
    return list(zip(pieces[1::2], pieces[2::2], strict=True))


def check_output(block: Block, folder: Path, environment: Mapping[str, str], url: str) -> None:
    """Runs the commands of a block, for which the server is at ``url``, after what goes before every command of its page."""
    before = [(each.text, "") for each in blocks("sh") if each.page == block.page and each.note == BEFORE]
    shown = before + commands(block)
    results = _run([command.replace(SHOWN_URL, url) for command, _ in shown], folder, environment)
    assert len(results) == len(shown)
    following = [command for command, _ in shown[1:]] + [""]
    for (command, expected), (got, status), follows in zip(shown, results, following, strict=True):
        same = matches(expected, got.replace(url, SHOWN_URL) if got else "") or got == expected
        assert same, f"{block}\n$ {command}\n{got}"
        assert status == 0 or follows == "echo $?", f"{block}\n$ {command} fails with status {status}"


def _run(lines: list[str], folder: Path, environment: Mapping[str, str]) -> list[tuple[str, int]]:
    """Runs commands in one shell; the output and exit status of each."""
    after = "\n__status=$?; printf '\\036%d\\036' $__status; (exit $__status)\n"
    path = f"{Path(sys.executable).parent}:{clean_environment()['PATH']}"
    done = subprocess.run(
        ["bash"],
        input="".join(line + after for line in lines),
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
