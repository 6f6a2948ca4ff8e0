"""Calls over a real SIP trunk: what each side is told, what the trunk records, and that nothing of SIPp stays behind."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from policy_server.lab.sip import sipp, trunk
from policy_server.lab.sip.sipp import SippError, SippMissingError
from policy_server.lab.sip.trunk import NO_ANSWER, Answer, Invite, SipCall, SipTrunk
from policy_server.pexip.leg_ends import LegEnd, leg_class
from tests.waiting import PATIENCE, until

NUMBER = "sip:+13129998045@clinic.byoc.example"
SESSION = "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> "Iterator[list[subprocess.Popen[bytes]]]":
    """All processes that the test starts, none of which may outlive it."""
    started: list[subprocess.Popen[bytes]] = []
    run = sipp._run

    def recorded(*arguments: Any) -> "subprocess.Popen[bytes]":
        started.append(run(*arguments))
        return started[-1]

    monkeypatch.setattr(sipp, "_run", recorded)
    yield started
    assert [process.returncode for process in started if process.returncode is None] == []


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gives up on the other side: who is done in half the time is done by its word."""
    monkeypatch.setattr(trunk, "HANG_UP_SECONDS", PATIENCE)


@dataclass
class Lab:
    """A trunk, what its owner was told, and calls to it."""

    trunk: SipTrunk
    folder: Path
    arrived: list[Invite] = field(default_factory=list)
    ended: list[Invite] = field(default_factory=list)

    async def call(self, told: list[str], uri: str = NUMBER, **further: Any) -> SipCall:
        """A call of a node, which writes into ``told`` what it was told."""
        given: dict[str, Any] = {
            "from_display_name": SESSION,
            "from_user": "node",
            "proxy": self.trunk.address,
            "folder": self.folder,
            "on_ringing": lambda: told.append("ringing"),
            "on_answered": lambda: told.append("answered"),
            "on_ended": told.append,
        }
        return await SipCall.place(uri, **given | further)


def play(scene: Callable[[Lab], Awaitable[None]], folder: Path, answer: Answer = Answer.ANSWER) -> None:
    """Plays a scene at a trunk."""

    async def run() -> None:
        async with SipTrunk(folder, answer) as listening:
            lab = Lab(listening, folder)
            listening.on_invite(lab.arrived.append)
            listening.on_end(lab.ended.append)
            await scene(lab)

    asyncio.run(run())


async def talking(lab: Lab) -> SipCall:
    """A call that is being talked on."""
    told: list[str] = []
    call = await lab.call(told)
    await until(lambda: "answered" in told)
    return call


def bindable(address: str) -> bool:
    """Whether nobody has this UDP port."""
    host, _, port = address.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


def _has_seen(listening: SipTrunk, calls: int) -> bool:
    return len(listening.invites) == calls


# ------------------------------------------------------------------ answered


@pytest.mark.usefixtures("processes")
def test_node_hangs_up(tmp_path: Path) -> None:
    """The call rings, is answered, and the BYE of the node reaches the trunk; the node is told no reason of its own."""

    async def scene(lab: Lab) -> None:
        told: list[str] = []
        call = await lab.call(told)
        await until(lambda: "answered" in told)
        await call.hang_up()
        await until(lambda: lab.ended)
        assert told == ["ringing", "answered"]
        assert lab.trunk.invites == (Invite(NUMBER, SESSION, "node", NUMBER, call.call_id),)
        assert tuple(lab.arrived) == tuple(lab.ended) == lab.trunk.invites
        await call.hang_up()
        await lab.trunk.hang_up(call.call_id)

    play(scene, tmp_path)


@pytest.mark.usefixtures("processes")
def test_contact_centre_hangs_up(tmp_path: Path) -> None:
    """The node is told in Pexip's words that the far end hung up; the trunk is not told what it did itself."""

    async def scene(lab: Lab) -> None:
        told: list[str] = []
        async with await lab.call(told) as call:
            await until(lambda: "answered" in told)
            await lab.trunk.hang_up(call.call_id)
            await lab.trunk.hang_up(call.call_id)
            await until(lambda: len(told) == 3)
        assert told == ["ringing", "answered", "Call disconnected"]
        assert leg_class(told[-1]) is LegEnd.ENDED
        assert lab.ended == []

    play(scene, tmp_path)


@pytest.mark.usefixtures("_patient")
def test_both_hang_up(processes: "list[subprocess.Popen[bytes]]", tmp_path: Path) -> None:
    """Two BYEs that cross end the call on both sides, and neither side is told that the other did it."""

    async def scene(lab: Lab) -> None:
        told: list[str] = []
        call = await lab.call(told)
        await until(lambda: "answered" in told)
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        both = asyncio.gather(call.hang_up(), lab.trunk.hang_up(call.call_id))
        await asyncio.sleep(0)
        # Now each has its own command before the BYE of the other.
        for process in processes:
            process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(trunk.HANG_UP_SECONDS / 2):
            await both
        assert (told, lab.ended) == (["ringing", "answered"], [])

    play(scene, tmp_path)
    for log in tmp_path.iterdir():
        assert sorted(re.findall(r"message (received|sent) .*\n\nBYE", log.read_text())) == ["received", "sent"]


@pytest.mark.usefixtures("_patient")
def test_node_hangs_up_a_moment_before(processes: "list[subprocess.Popen[bytes]]", tmp_path: Path) -> None:
    """A BYE that came before the hang-up of the contact centre is not told to who has hung up."""

    async def scene(lab: Lab) -> None:
        call = await talking(lab)
        processes[0].send_signal(signal.SIGSTOP)
        leaving = asyncio.create_task(call.hang_up())
        log = tmp_path / f"call-{call.call_id}.log"
        await until(lambda: "\nBYE " in log.read_text())
        hanging_up = asyncio.create_task(lab.trunk.hang_up(call.call_id))
        await asyncio.sleep(0)
        processes[0].send_signal(signal.SIGCONT)
        async with asyncio.timeout(trunk.HANG_UP_SECONDS / 2):
            await asyncio.gather(leaving, hanging_up)
        assert lab.ended == []

    play(scene, tmp_path)


@pytest.mark.usefixtures("processes")
def test_audio_is_agreed(tmp_path: Path) -> None:
    """INVITE and answer carry a description of audio; the folder keeps what crossed the wire."""

    async def scene(lab: Lab) -> None:
        told: list[str] = []
        async with await lab.call(told):
            await until(lambda: "answered" in told)

    play(scene, tmp_path)
    [log] = tmp_path.glob("trunk-*.log")
    messages = re.split(r"-{20,}", log.read_text())
    for start in (f"INVITE {NUMBER}", "SIP/2.0 200 OK"):
        first = next(message for message in messages if start in message)
        assert "Content-Type: application/sdp" in first
        assert "m=audio " in first
    assert [each.name for each in tmp_path.iterdir() if not each.name.startswith(("call-", "trunk-"))] == []


# ------------------------------------------------------------------ not answered


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("answer", "reason", "end"),
    [
        (Answer.BUSY, "Call rejected", LegEnd.REJECTED),
        (Answer.UNAVAILABLE, "Unexpected Response: 503", LegEnd.UNREACHABLE),
        (Answer.NOT_FOUND, "404 Not Found", LegEnd.UNREACHABLE),
        (Answer.TIMED_OUT, "Unexpected Response: 408", LegEnd.NO_ANSWER),
    ],
    ids=str,
)
def test_refused(answer: Answer, reason: str, end: LegEnd, tmp_path: Path) -> None:
    """A refusal is told once, in Pexip's words, and has recorded the call."""

    async def scene(lab: Lab) -> None:
        told: list[str] = []
        async with await lab.call(told) as call:
            await until(lambda: told)
        assert told == [reason]
        assert leg_class(reason) is end
        assert [invite.call_id for invite in lab.trunk.invites] == [call.call_id]
        await lab.trunk.hang_up(call.call_id)
        assert lab.ended == []

    play(scene, tmp_path, answer)


@pytest.mark.usefixtures("processes")
def test_each_number_has_its_answer_and_a_call_that_rings_is_picked_up_when_somebody_wants(tmp_path: Path) -> None:
    """What the trunk does may hang on the call; it says of each when nothing of it is left."""

    async def scene(lab: Lab) -> None:
        over: list[str] = []
        lab.trunk.choose = lambda invite: Answer.RING if invite.from_user == "rings" else Answer.BUSY
        lab.trunk.on_over(lambda invite: over.append(invite.from_user))
        told: list[str] = []
        async with await lab.call(told, from_user="busy"):
            await until(lambda: told and over == ["busy"])
        async with await lab.call(told, from_user="rings") as call:
            await until(lambda: len(lab.trunk.invites) == 2)
            assert "answered" not in told
            lab.trunk.pick_up(call.call_id)
            await until(lambda: "answered" in told)
        await until(lambda: over == ["busy", "rings"])

    play(scene, tmp_path)


@pytest.mark.usefixtures("processes")
def test_nobody_answers(tmp_path: Path) -> None:
    """The node gives up after its time, tells why, and the trunk sees the CANCEL."""

    async def scene(lab: Lab) -> None:
        told: list[str] = []
        async with await lab.call(told, ring_seconds=0.2):
            await until(lambda: told and lab.ended)
        assert told == [NO_ANSWER]

    play(scene, tmp_path, Answer.SILENT)


@pytest.mark.usefixtures("processes", "_patient")
def test_node_gives_up_early(tmp_path: Path) -> None:
    """A hang-up before the answer is a CANCEL, at whatever moment of the call it comes."""

    async def scene(lab: Lab) -> None:
        for silent in (False, True) * 10:
            lab.trunk.answer = Answer.SILENT if silent else Answer.ANSWER
            told: list[str] = []
            call = await lab.call(told)
            async with asyncio.timeout(trunk.HANG_UP_SECONDS / 2):
                await call.hang_up()
            assert not silent or told == []
        await until(lambda: len(lab.ended) == 20)

    play(scene, tmp_path)


@pytest.mark.usefixtures("processes")
def test_contact_centre_hangs_up_before_it_answers(tmp_path: Path) -> None:
    """What is ended without an answer is refused with 503."""

    async def scene(lab: Lab) -> None:
        told: list[str] = []
        async with await lab.call(told) as call:
            await until(lambda: lab.arrived)
            await lab.trunk.hang_up(call.call_id)
            await until(lambda: told)
        assert told == ["Unexpected Response: 503"]

    play(scene, tmp_path, Answer.SILENT)


@pytest.mark.usefixtures("processes")
def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A proxy that does not exist is one that stays silent; nobody waits for its word that the call is over."""
    monkeypatch.setattr(trunk, "HANG_UP_SECONDS", 0.1)

    async def run() -> None:
        told: list[str] = []
        nobody = f"127.0.0.1:{trunk._free_port()}"
        call = await Lab(SipTrunk(tmp_path), tmp_path).call(told, proxy=nobody, ring_seconds=0.05)
        await until(lambda: told)
        await call.hang_up()
        assert told == [NO_ANSWER]

    asyncio.run(run())


@pytest.mark.usefixtures("processes")
def test_answer_changes(tmp_path: Path) -> None:
    """Another answer holds from the next call on; a call that is being talked on stays."""

    async def scene(lab: Lab) -> None:
        first: list[str] = []
        async with await lab.call(first):
            await until(lambda: "answered" in first)
            lab.trunk.answer = Answer.BUSY
            second: list[str] = []
            async with await lab.call(second):
                await until(lambda: second)
            assert (first, second) == (["ringing", "answered"], ["Call rejected"])

    play(scene, tmp_path)


def test_unknown_call(tmp_path: Path) -> None:
    """Nobody can hang up a call that never arrived."""
    with pytest.raises(
        LookupError, match="no call with the Call-ID 'x' arrived at the trunk, which has seen no call yet"
    ):
        asyncio.run(SipTrunk(tmp_path).hang_up("x"))


# ------------------------------------------------------------------ several calls


@pytest.mark.usefixtures("processes")
def test_several_calls_at_once(tmp_path: Path) -> None:
    """Each of twelve calls has its own Call-ID and name, and ends for itself, whichever side hangs up."""

    async def scene(lab: Lab) -> None:
        told: list[list[str]] = [[] for _ in range(12)]
        calls = await asyncio.gather(
            *(lab.call(each, f"sip:+1312999{n:04}@x", from_display_name=f"n{n}") for n, each in enumerate(told))
        )
        await until(lambda: all("answered" in each for each in told))
        await asyncio.gather(
            *(call.hang_up() if n % 2 else lab.trunk.hang_up(call.call_id) for n, call in enumerate(calls))
        )
        await until(lambda: len(lab.ended) == 6 and all(len(each) == 3 for each in told[::2]))
        await asyncio.gather(*(call.hang_up() for call in calls))
        assert told == [["ringing", "answered", "Call disconnected"], ["ringing", "answered"]] * 6
        recorded = {invite.call_id: (invite.request_uri, invite.from_display_name) for invite in lab.trunk.invites}
        assert recorded == {call.call_id: (f"sip:+1312999{n:04}@x", f"n{n}") for n, call in enumerate(calls)}
        assert {end.call_id for end in lab.ended} == {call.call_id for call in calls[1::2]}

    play(scene, tmp_path)


# ------------------------------------------------------------------ names and addresses


@pytest.mark.usefixtures("processes")
def test_display_names(tmp_path: Path) -> None:
    """A name arrives as it is, however hostile; only what would end the header, or cannot be sent, is replaced."""
    same = (
        "Ada L",
        "",
        'say "hi" \\ bye\\',
        "<sip:mallory@evil.example>;tag=1",
        "Zoë 会議 \U0001f600",
        "[call_id] [$uri] [last_Via:] [field0] ]]> %s%n &amp; $(id)",
        "-key",
        "a, b; c=d",
        "x" * 250,
        "\U0001f600" * 250,
    )
    names = {name: name for name in same} | {
        'a\r\nX-Evil: 1\r\n\r\nBYE "': 'a  X-Evil: 1    BYE "',
        "tab\tnul\0del\x7fnel\x85": "tab nul del nel ",
        "half \ud800": "half ?",
    }

    async def scene(lab: Lab) -> None:
        for number, name in enumerate(names, 1):
            async with await lab.call([], from_display_name=name):
                await until(partial(_has_seen, lab.trunk, number))
        assert [invite.from_display_name for invite in lab.trunk.invites] == list(names.values())
        assert {(invite.request_uri, invite.from_user) for invite in lab.trunk.invites} == {(NUMBER, "node")}

    play(scene, tmp_path, Answer.BUSY)
    [log] = tmp_path.glob("trunk-*.log")
    assert not re.search(r"^X-Evil", log.read_text(errors="replace"), re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "user", "header"),
    [
        ("Ada", "+13175551234", '"Ada" <sip:+13175551234@127.0.0.1>'),
        ("", "ada@clinic.example", "<sip:ada@clinic.example>"),
        ("", "sip:ada@clinic.example", "<sip:ada@clinic.example>"),
        ("", 'a b>"\r\n@x\r\n>', "<sip:a%20b%3E%22%0D%0A@x%0D%0A%3E>"),
        ("", "a@b@c", "<sip:a%40b@c>"),
    ],
    ids=["number", "address", "uri", "hostile", "two-ats"],
)
def test_from_header(name: str, user: str, header: str) -> None:
    """A user gets the node's address unless it has a domain; nothing of it ends the header."""
    assert trunk._write_name_addr(name, user) == header


@pytest.mark.parametrize(
    ("header", "name", "uri"),
    [
        ('"a \\"b\\" \\\\" <sip:u@h>;tag=1', 'a "b" \\', "sip:u@h"),
        ("Ada L <sip:u@h;x=y>;tag=1", "Ada L", "sip:u@h;x=y"),
        ("<sip:u@h>", "", "sip:u@h"),
        ("sip:u@h;tag=1", "", "sip:u@h"),
        ('"never ends <sip:u@h>', "", '"never ends <sip:u@h>'),
    ],
    ids=["quoted", "plain", "no-name", "no-brackets", "broken"],
)
def test_headers_of_others(header: str, name: str, uri: str) -> None:
    """All forms in which a header may write a name and an address are read."""
    assert trunk._read_name_addr(header) == (name, uri)


@pytest.mark.parametrize(
    ("uri", "proxy", "message"),
    [
        ("", "127.0.0.1:5060", "cannot call ''"),
        ("+13129998045", "127.0.0.1:5060", "cannot call '+13129998045': a SIP URI is needed, such as sip:"),
        ("sip:a b@c", "127.0.0.1:5060", "cannot call 'sip:a b@c'"),
        ("sip:a@c\r\nX: y", "127.0.0.1:5060", "cannot call 'sip:a@c\\r\\nX: y'"),
        ("sip:a@c>;x=<", "127.0.0.1:5060", "cannot call 'sip:a@c>;x=<'"),
        ("sip:ä@c", "127.0.0.1:5060", "cannot call 'sip:ä@c'"),
        (NUMBER, "127.0.0.1", "cannot call through '127.0.0.1': host and port are needed, such as 127.0.0.1:5060"),
        (NUMBER, "-bg:1", "cannot call through '-bg:1'"),
    ],
)
def test_what_cannot_be_called(uri: str, proxy: str, message: str, tmp_path: Path) -> None:
    """A URI or proxy that SIP cannot carry is refused before anything is started."""
    with pytest.raises(ValueError, match=re.escape(message)):
        asyncio.run(Lab(SipTrunk(tmp_path), tmp_path).call([], uri, proxy=proxy))


# ------------------------------------------------------------------ nothing stays behind


def test_failure_leaves_nothing(processes: "list[subprocess.Popen[bytes]]", tmp_path: Path) -> None:
    """An exception in the middle of a call ends both processes and frees the port."""
    addresses: list[str] = []

    async def scene(lab: Lab) -> None:
        addresses.append(lab.trunk.address)
        assert not bindable(lab.trunk.address)
        async with await talking(lab):
            raise RuntimeError("in mid-call")

    with pytest.raises(RuntimeError, match="in mid-call"):
        play(scene, tmp_path)
    assert [process.returncode is None for process in processes] == [False, False]
    assert bindable(addresses[0])


def test_cancellation_leaves_nothing(processes: "list[subprocess.Popen[bytes]]", tmp_path: Path) -> None:
    """A task that is cancelled in the middle of a call, and again while it hangs up, leaves nothing."""
    addresses: list[str] = []

    async def scene(lab: Lab) -> None:
        addresses.append(lab.trunk.address)

        async def talk() -> None:
            async with await talking(lab):
                running.set()
                await asyncio.Event().wait()

        running = asyncio.Event()
        task = asyncio.create_task(talk())
        await running.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert processes[-1].returncode is not None

    play(scene, tmp_path)
    assert bindable(addresses[0])


def test_trunk_dies(
    processes: "list[subprocess.Popen[bytes]]", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The calls of a trunk whose process dies are over for it, and a node can still hang up."""
    monkeypatch.setattr(trunk, "HANG_UP_SECONDS", 0.1)

    async def scene(lab: Lab) -> None:
        async with await talking(lab) as call:
            processes[0].kill()
            await until(lambda: processes[0].returncode is not None)
            await lab.trunk.hang_up(call.call_id)

    play(scene, tmp_path)


def test_call_dies(processes: "list[subprocess.Popen[bytes]]", tmp_path: Path) -> None:
    """A call whose process dies is told to have failed."""

    async def scene(lab: Lab) -> None:
        told: list[str] = []
        async with await lab.call(told):
            await until(lambda: "answered" in told)
            processes[-1].kill()
            await until(lambda: len(told) == 3)
        assert told[-1] == "Call failed"

    play(scene, tmp_path)


@pytest.mark.usefixtures("processes")
def test_forgotten_trunk(tmp_path: Path) -> None:
    """A program that ends without leaving the trunk's context leaves no process behind."""
    program = (
        "import asyncio, pathlib\n"
        "from policy_server.lab.sip.trunk import SipTrunk\n"
        f"trunk = SipTrunk(pathlib.Path({str(tmp_path)!r}))\n"
        "asyncio.run(trunk.__aenter__())\n"
        "print(trunk.address)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert bindable(ended.stdout.strip())


def test_port_is_taken_by_another(
    processes: "list[subprocess.Popen[bytes]]", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A port that somebody takes between the choice and the start costs an attempt and nothing else."""

    async def scene(lab: Lab) -> None:
        await (await talking(lab)).hang_up()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        ports = [taken.getsockname()[1], trunk._free_port()]
        monkeypatch.setattr(trunk, "_free_port", lambda: ports.pop(0))
        play(scene, tmp_path)
    assert len(processes) == 3


# ------------------------------------------------------------------ without SIPp, and with one that is broken


@dataclass(frozen=True)
class Impostor:
    """A folder for PATH with a program named sipp."""

    folder: Path

    def does(self, script: str) -> None:
        """Makes the program do this."""
        program = self.folder / "sipp"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.fixture
def impostor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Impostor:
    """A PATH in which there is nothing, at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Impostor(folder)


async def enter(folder: Path) -> None:
    """Opens a trunk."""
    async with SipTrunk(folder):
        pass


async def place(folder: Path) -> None:
    """Places a call to nobody."""
    await Lab(SipTrunk(folder), folder).call([])


both = pytest.mark.parametrize("start", [enter, place], ids=["trunk", "call"])


@both
@pytest.mark.usefixtures("impostor")
def test_sipp_is_missing(start: Callable[[Path], Awaitable[None]], tmp_path: Path) -> None:
    """Without SIPp the error says which package has it."""
    with pytest.raises(SippMissingError, match=r"SIPp, .* is not in PATH: apt-get install sip-tester"):
        asyncio.run(_run(start(tmp_path)))


@both
@pytest.mark.usefixtures("processes")
def test_sipp_fails(start: Callable[[Path], Awaitable[None]], impostor: Impostor, tmp_path: Path) -> None:
    """What SIPp complains of is in the error."""
    impostor.does(r"printf '2026-01-01\t00:00:00.1\t1.1: Unknown element\n' >&2; exit 255")
    with pytest.raises(SippError, match=r"^SIPp ended: Unknown element$"):
        asyncio.run(_run(start(tmp_path)))


@both
@pytest.mark.usefixtures("processes")
def test_sipp_hangs(
    start: Callable[[Path], Awaitable[None]], impostor: Impostor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A SIPp that neither starts nor ends is given up and ended."""
    monkeypatch.setattr(sipp, "_START_SECONDS", 0.1)
    impostor.does("exec /bin/sleep 600")
    with pytest.raises(SippError, match=r"^SIPp does not start within 0\.1 s"):
        asyncio.run(_run(start(tmp_path)))


@both
def test_cancelled_while_it_starts(
    start: Callable[[Path], Awaitable[None]],
    impostor: Impostor,
    processes: "list[subprocess.Popen[bytes]]",
    tmp_path: Path,
) -> None:
    """Whoever is cancelled before SIPp is ready leaves no process behind."""
    impostor.does("exec /bin/sleep 600")

    async def run() -> None:
        task = asyncio.create_task(_run(start(tmp_path)))
        await until(lambda: processes)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert processes[0].returncode is not None

    asyncio.run(run())


async def _run(awaitable: Awaitable[None]) -> None:
    await awaitable
