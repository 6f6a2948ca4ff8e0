"""``selftest``: a whole call passes, each of its stages can fail and says why, and nothing is left of either."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from policy_server.lab import stages
from policy_server.lab.genesys.conversations import Conversation
from policy_server.lab.node.errors import RefusedError
from policy_server.lab.node.happenings import Closed, Happening
from policy_server.lab.node.infinity import PARTICIPANT_LIMIT
from policy_server.lab.node.media import Media
from policy_server.lab.node.meeting import Meeting
from policy_server.lab.node.sink import EventSink
from policy_server.lab.selftest import ADP_DELAY
from policy_server.lab.sip.trunk import Answer
from policy_server.lab.stages import TOLD, Report, Stage, play
from policy_server.lab.wiring import Lab
from policy_server.pexip.request_types import RequestType, question_path
from policy_server.simulator.judge import HttpAnswer, judge
from policy_server.simulator.node import Judged
from tests.cli.commands import printed_json, run
from tests.system.sipp.processes import children, is_alive, started
from tests.waiting import PATIENCE, eventually

STAGES = (
    "The organisation's system makes a link",
    "The link leads the customer to the node",
    "The customer joins by video, and waits",
    "The room dials the SIP trunk, which answers",
    "Genesys Cloud gets the call, with the customer's name, and the call id as the address",
    "An agent signs in and answers",
    "The agent's widget looks the conference up",
    "The widget joins by video only, and both see each other",
    "The agent hangs up in Genesys Cloud, and the trunk's leg ends",
    "The widget ends the conference for everybody",
    "The policy server knows how it went",
)
DEADLINE = 4.0
"""Seconds that the stage gets that will not happen."""

Patch = pytest.MonkeyPatch


def test_a_whole_call(folder: Path) -> None:
    """Every stage happens, and is printed with what was seen; below is the timeline; the logs are kept."""
    result = run("selftest", "--keep-logs", "logs/of/it")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    lines = result.stdout.splitlines()
    assert [line[9:] for line in lines if line[4:6] == "ok"] == list(STAGES)
    after = lines[lines.index("timeline") + 1 :]
    assert {line.split()[1] for line in after if line.startswith("  ")} == TOLD | {"trunk_dialled"}
    assert after[-2:] == ["11 stages, 11 happened, 0 did not", "Logs are in logs/of/it."]
    names = {path.name.partition("-")[0] for path in (folder / "logs/of/it").iterdir()}
    assert names == {"decisions.log", "trunk", "call"}


def test_as_json() -> None:
    """With --json the same comes as one object."""
    result = run("selftest", "--json")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    value = printed_json(result)
    assert value["ok"] is True
    assert [stage["title"] for stage in value["stages"]] == list(STAGES)
    assert all(stage["passed"] is True and stage["observed"] for stage in value["stages"])
    assert {line["kind"] for line in value["timeline"]} >= TOLD


def test_a_call_that_fails(monkeypatch: Patch) -> None:
    """The stage that failed, those that were not played, and the timeline so far are printed; the status is 1."""
    monkeypatch.setattr(Lab, "running", partial(Lab.running, answer=Answer.BUSY))
    result = run("selftest")
    assert (result.exit_code, result.stderr) == (1, ""), result.output
    assert " 4. FAIL The room dials the SIP trunk, which answers\n" in result.stdout
    assert (
        " 5. --   Genesys Cloud gets the call, with the customer's name, and the call id as the address: not played\n"
        in result.stdout
    )
    assert "(Call rejected)" in result.stdout
    assert result.stdout.endswith("\n11 stages, 3 happened, 8 did not\n")


def wrong_key(lab: Lab, patch: Patch) -> Lab:
    """The organisation's system has a key that the server does not know."""
    return replace(lab, api_key="of-somebody-else-altogether")


def other_node(lab: Lab, patch: Patch) -> Lab:
    """The link leads elsewhere."""
    return replace(lab, node_url="http://127.0.0.1:9")


def full_room(lab: Lab, patch: Patch) -> Lab:
    """The node lets nobody in."""

    async def refuse(*_: object) -> None:
        raise RefusedError(PARTICIPANT_LIMIT)

    patch.setattr(lab.node, "request_token", refuse)
    return lab


def discarded_answer(lab: Lab, patch: Patch) -> Lab:
    """The node could not use an answer."""
    path, answer = question_path(RequestType.LOCATION, ""), HttpAnswer(200, "application/json", b"{")
    lab.node.exchanges.append(Judged("GET", path, "", answer, {}, "", judge(path, "", answer)))
    return lab


def busy_trunk(lab: Lab, patch: Patch) -> Lab:
    """The contact centre refuses the call."""
    lab.trunk.answer = Answer.BUSY
    return lab


def renamed_caller(lab: Lab, patch: Patch) -> Lab:
    """Something on the way changes the caller's name."""

    def rename(conversation: Conversation) -> None:
        if conversation.customer.ani_name != "ADA L":
            lab.calls.rename_caller(conversation.id, "ADA L")

    lab.calls.on_change(rename)
    return lab


def deaf_channel(lab: Lab, patch: Patch) -> Lab:
    """Notifications do not come."""
    lab.cloud.deaf_channel("maria")
    return lab


def no_conversation(lab: Lab, patch: Patch) -> Lab:
    """Genesys Cloud does not tell of the conversation."""
    lab.cloud.trouble(status=503, only="/api/v2/conversations")
    return lab


def no_pictures(lab: Lab, patch: Patch) -> Lab:
    """The node passes no video on."""
    patch.setattr(Media, "_offer", lambda *_: None)
    return lab


def no_bye(lab: Lab, patch: Patch) -> Lab:
    """The trunk does not end its leg."""

    async def nothing(_: str) -> None:
        pass

    patch.setattr(lab.trunk, "hang_up", nothing)
    return lab


def endless_room(lab: Lab, patch: Patch) -> Lab:
    """The node does not end the conference."""
    patch.setattr(lab.node, "end", lambda _: None)
    return lab


def untold_end(lab: Lab, patch: Patch) -> Lab:
    """The node does not report the end."""
    tell = EventSink.tell

    def keep_back(sink: EventSink, meeting: Meeting, happening: Happening) -> None:
        if not isinstance(happening, Closed):
            tell(sink, meeting, happening)

    patch.setattr(EventSink, "tell", keep_back)
    return lab


SPOILED: tuple[tuple[Callable[[Lab, Patch], Lab], int, str], ...] = (
    (wrong_key, 1, "POST /api/v1/links: HTTP 401 Wrong or no API key"),
    (other_node, 2, "the door answers HTTP 303, to http://127.0.0.1:"),
    (full_room, 3, f"the node did not give a token, but HTTP 403: {PARTICIPANT_LIMIT}"),
    (discarded_answer, 3, "the node did not use the answer to /policy/v1/participant/location: "),
    (busy_trunk, 4, "INVITE sip:+13129998045@clinic.byoc.example from '"),
    (renamed_caller, 5, "aniName 'ADA L', ani sip:"),
    (deaf_channel, 6, "not within 4 s: a notification that the agent is connected"),
    (no_conversation, 7, "GET /conversations/"),
    (no_pictures, 8, "not within 4 s: the customer's pictures at the agent"),
    (no_bye, 9, "not within 4 s: the end of the trunk's leg"),
    (endless_room, 10, "not within 4 s: the customer is told"),
    (untold_end, 11, "not within 4 s: the conference is ended"),
)
"""What goes wrong, the number of the stage that fails by it, and how what is said of it begins."""


@pytest.mark.parametrize(("spoil", "failed", "observed"), SPOILED, ids=[spoil.__name__ for spoil, *_ in SPOILED])
def test_each_stage_can_fail(
    folder: Path,
    monkeypatch: Patch,
    spoil: Callable[[Lab, Patch], Lab],
    failed: int,
    observed: str,
) -> None:
    """What goes wrong fails the stage that is about it; those before have happened, those after are not played."""
    play_stage = stages._play_stage

    async def patient(call: Any, title: str, work: Callable[[], Awaitable[str]], _: float) -> Stage:
        return await play_stage(call, title, work, DEADLINE if title == STAGES[failed - 1] else PATIENCE)

    monkeypatch.setattr(stages, "_play_stage", patient)
    report, told = _played(folder, lambda lab: spoil(lab, monkeypatch))
    assert [stage.passed for stage in report.stages] == [True] * (failed - 1) + [False] + [None] * (11 - failed)
    assert report.stages[failed - 1].observed.startswith(observed)
    assert told == list(enumerate(report.stages, 1))
    assert bool(report.timeline) is (failed > 1)


def _played(folder: Path, spoil: Callable[[Lab], Lab]) -> tuple[Report, list[tuple[int, Stage]]]:
    told: list[tuple[int, Stage]] = []

    async def work() -> Report:
        async with Lab.running(folder, adp_delay=ADP_DELAY) as lab:
            return await play(spoil(lab), lambda number, stage: told.append((number, stage)))

    return asyncio.run(work()), told


def test_logs_that_cannot_be_written(folder: Path) -> None:
    """A folder that cannot be made is named, with status 2."""
    (folder / "file").touch()
    result = run("selftest", "--keep-logs", "file/logs")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--keep-logs file/logs must be a folder to write to: " in result.stderr


def test_stopped_in_the_middle(folder: Path) -> None:
    """SIGTERM ends it with status 1, and every process that it started."""
    with started(folder, "selftest") as process:
        eventually(lambda: b" 3. ok" in (folder / "out.txt").read_bytes())
        left = children(process.pid)
        assert left
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 1
        assert not any(map(is_alive, left))
    assert (folder / "err.txt").read_text(encoding="utf-8") == "Stopped before the end.\n"


def test_the_readme_shows_the_stages() -> None:
    """The README lists what a selftest plays, stage by stage."""
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    listed = "".join(f"{number:>2}. ok   {title}\n" for number, title in enumerate(STAGES, 1))
    assert listed in readme
