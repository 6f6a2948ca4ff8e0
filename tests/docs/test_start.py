"""The first evening: what a first start prints, and the settings that are made for it."""

import re
import subprocess
from pathlib import Path
from shutil import copytree

import pytest
from dotenv import dotenv_values

from policy_server.settings import read_settings
from tests.docs.pages import CONSOLE, ROOT, START, blocks
from tests.docs.running import SHOWN_URL, commands, matches
from tests.servers import real_server


def test_the_first_page_is_short() -> None:
    """Whoever comes here for the first time reads one page, which leads to the others."""
    assert START.text.count("\n") <= 250


@pytest.mark.slow
def test_a_first_start_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """`make run` serves, makes up credentials, and says what to paste into Pexip."""
    (block,) = [block for block in CONSOLE if block.note == "starts a server"]
    ((command, expected),) = commands(block)
    assert command == "make run"
    assert re.search(
        r"^run:.*\n\t\$\(BIN\)/policy-server serve$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    copytree(ROOT / "rules", tmp_path / "rules")
    with real_server(tmp_path, environment={}) as running:
        got = running.out.replace(running.url, SHOWN_URL)
    assert matches(expected, got), got


@pytest.mark.slow
def test_the_settings_of_the_first_evening_are_good(tmp_path: Path) -> None:
    """The commands that write `.env` make settings that a server takes, in a file that nobody else can read."""
    (script,) = [block.text for block in blocks("sh") if "> .env" in block.text]
    writing = [line for line in script.splitlines(keepends=True) if not line.startswith("policy-server ")]
    subprocess.run(["bash", "-e"], input="".join(writing), text=True, cwd=tmp_path, check=True)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    written = {name: value or "" for name, value in dotenv_values(tmp_path / ".env").items()}
    settings, warnings = read_settings(written)
    assert warnings == ()
    assert settings.pexip
    assert settings.events
    assert settings.secret_key
    assert len(settings.api_keys) == 1
