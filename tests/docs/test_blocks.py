"""What stands in blocks: rules load, commands run and print what is shown, scripts can be read by a shell."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policy_server.rulefiles.store import load_folder
from tests.docs.pages import CONSOLE, FILES, QUOTES, ROOT, YAML, Block, blocks
from tests.docs.running import SHOWN_URL, check_output
from tests.docs.site import CREDENTIALS, Site

ELSEWHERE = {"starts a server", "asks over https", "backs up SQLite"}
"""Blocks for which there are tests of their own."""


def test_every_block_of_a_file_says_which_it_is() -> None:
    """No rules stand in a page that nothing loads."""
    assert YAML
    for block in FILES:
        assert block.note.startswith("file: "), f"{block}: say which file this is"
    assert len({block.file for block in FILES}) == len(FILES)


@pytest.mark.parametrize("block", QUOTES, ids=str)
def test_what_pages_quote_stands_in_the_file(block: Block) -> None:
    """Whoever reads a page and then the file finds the same lines."""
    assert f"\n{block.text}" in "\n" + (ROOT / block.quoted).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted({Path(block.file).parts[0] for block in YAML}))
def test_rules_load_without_problems_unless_the_page_says_so(name: str, folder: Path) -> None:
    """Rules of a page are used as they stand, and those shown for their problems have some."""
    loaded, _ = load_folder(folder / name, datetime.now(UTC))
    with_problems = any(block.note.endswith(", with problems") for block in YAML if Path(block.file).parts[0] == name)
    assert bool(loaded.problems) is with_problems, "\n".join(map(str, loaded.problems))


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in CONSOLE if block.note not in ELSEWHERE], ids=str)
def test_commands_print_what_the_page_shows(block: Block, folder: Path, request: pytest.FixtureRequest) -> None:
    """Every command of a console block runs, and its output is the one shown."""
    assert block.note in {"", "without settings", "asks a server"}
    environment: Mapping[str, str] = {} if block.note == "without settings" else CREDENTIALS
    url = SHOWN_URL
    if block.note == "asks a server":
        site = request.getfixturevalue("site")
        assert isinstance(site, Site)
        url = site.server.url
        environment = {**site.settings, **site.play().variables}
    check_output(block, folder, environment, url)


def test_shell_blocks_can_be_read_by_a_shell() -> None:
    """No script has an open quotation mark."""
    for block in blocks("sh"):
        subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
