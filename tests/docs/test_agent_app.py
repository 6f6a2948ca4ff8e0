"""The page for developers of a widget: the lookup and its stream."""

import json
import re
import shutil
import subprocess
import time
from itertools import takewhile
from pathlib import Path
from threading import Timer
from typing import Final

import pytest

from policy_server.conferences.timeline import Kind
from tests.conferences import event_histories as told
from tests.docs.pages import AGENT_APP, ROOT, blocks, code
from tests.docs.shapes import field_paths
from tests.docs.site import Site
from tests.genesys.asking import TOKEN
from tests.servers import clean_environment

PAGE: Final = AGENT_APP


def test_the_settings_of_the_widget_are_those_of_its_code() -> None:
    """The table has every setting that the widget reads; the example has all but the last, which is optional."""
    source = (ROOT / "examples/agent-app/src/config.ts").read_text(encoding="utf-8")
    read = re.findall(r"readonly (\w+):", source.partition("interface Config {")[2].partition("\n}")[0])
    documented = [name for names, _ in PAGE.rows("setting of the widget |") for name in code(names)]
    example = json.loads((ROOT / "examples/agent-app/public/config.example.json").read_text(encoding="utf-8"))
    assert documented == read
    assert list(example) == documented[:-1]


def test_every_field_of_a_lookup_is_explained() -> None:
    """The table of the lookup's answer has every field of its type, and no other."""
    documented = [name for names, _ in PAGE.rows("field of the answer |") for name in code(names)]
    assert sorted(documented) == sorted(field_paths("Conference"))


@pytest.mark.slow
def test_the_stream_can_be_followed_as_shown(site: Site, tmp_path: Path) -> None:
    """The script shows the conference and each change of it, and gives up with the problem when the token is not good.

    Where there is no node to run it, it is only looked at.
    """
    (block,) = blocks("js")
    assert {name for names, _ in PAGE.rows("event | data") for name in code(names)} == {"conference", "end"}
    assert all(f'"{name}"' in block.text for name in ("conference", "end", "Last-Event-ID"))
    node = shutil.which("node")
    if node is None:
        return
    call = site.play()
    url = f"{site.server.url}/agent/v1/conferences/{call.id}/events?conversation={call.conversation}"
    use = (
        "const [url, token] = process.argv.slice(2);\n"
        "const problem = await follow(url, () => token, (seen) => console.log(seen.state));\n"
        "console.log(problem.type);\n"
    )
    script = tmp_path / "follow.mjs"
    script.write_text(block.text + use, encoding="utf-8")
    with subprocess.Popen(
        [node, script, url, TOKEN], stdout=subprocess.PIPE, text=True, env=clean_environment()
    ) as run:
        too_late = Timer(30, run.kill)
        too_late.start()
        assert run.stdout is not None
        seen = [run.stdout.readline()]
        site.tell(told.ended(time.time() + 2, name=call.id))
        seen += takewhile("ended\n".__ne__, run.stdout)
        too_late.cancel()
        # It goes on for as long as the server does not end the stream; a script that was too late is dead.
        assert run.poll() is None
        run.kill()
    assert set(seen) == {"active\n"}
    refused = subprocess.run([node, script, url, "no-token"], capture_output=True, text=True, check=True, timeout=30)
    assert refused.stdout == "urn:policy-server:problem:unauthorized\n"


def test_kinds_of_entries_are_those_of_the_code() -> None:
    """What a timeline calls things is what the code calls them."""
    kinds = {kind for names, _ in PAGE.rows("kind of entry |") for kind in code(names)}
    assert kinds == set(Kind)
