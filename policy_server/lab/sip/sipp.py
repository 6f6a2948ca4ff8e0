"""SIPp, which speaks SIP for the lab: one process with one scenario of the folder ``scenarios``.

A scenario tells what happens in lines that begin with @, which arrive here through a pipe, and takes commands: requests
that carry the Call-ID of a call and that it does not answer. So nothing has to be polled, and a call that runs can be
told to hang up, which SIPp has no other means for.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
HOW_TO_GET_IT: Final = (
    "SIPp, which plays the SIP trunk, is not in PATH: apt-get install sip-tester (Debian, Ubuntu) or brew install sipp"
)

_SCENARIOS: Final = Path(__file__).with_name("scenarios")
_CHUNK: Final = 65_536
_START_SECONDS: Final = 10.0
_ASK_SECONDS: Final = 0.02
_COMMAND: Final = """\
{command} sip:{host} SIP/2.0
Via: SIP/2.0/UDP {host};branch=z9hG4bK{command}
From: <sip:{host}>
To: <sip:{host}>
Call-ID: {call_id}
CSeq: 1 {command}
Content-Length: 0

"""


class SippMissingError(Exception):
    """SIPp is not installed; says how to install it."""

    def __init__(self) -> None:
        super().__init__(HOW_TO_GET_IT)


class SippError(Exception):
    """SIPp ended of itself or does not start; says what it complained of."""


class Sipp:
    """One process, in a group of its own. Whoever starts it calls ``stop``, which needs no waiting, in every case.

    ``on_event`` gets the name of an event and the rest of its line, and ``exit`` when the process ends of itself.
    Raises SippMissingError.
    """

    def __init__(self, scenario: str, log: Path, on_event: Callable[[str, str], None], *arguments: str) -> None:
        found = shutil.which("sipp")
        if found is None:
            raise SippMissingError
        log.parent.mkdir(parents=True, exist_ok=True)
        self.over: Final = asyncio.Event()
        """Set when the process has ended."""
        self._on_event = on_event
        self._complaints: list[str] = []
        self._rest = b""
        self._loop: Final = asyncio.get_running_loop()
        self._events, write = os.pipe()
        try:
            process = _run(Path(found).absolute(), scenario, log, arguments, write)
        except BaseException:
            os.close(self._events)
            raise
        finally:
            os.close(write)
        # Whoever forgets to stop it leaves nothing behind either when the interpreter ends.
        self._kill: Final = weakref.finalize(self, _kill, process)
        os.set_blocking(self._events, False)
        self._loop.add_reader(self._events, self._read)

    async def wait_for(self, sign: asyncio.Event, ask: Callable[[], None] | None = None) -> None:
        """Returns when ``sign`` is set, for which ``ask`` asks again and again.

        Raises SippError when the process ends before that or takes too long, and leaves none behind when it raises.
        """
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not sign.is_set():
                    if self.over.is_set():
                        raise SippError(f"SIPp ended: {self._complaint() or 'it does not say why'}")
                    if ask is not None:
                        ask()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_ASK_SECONDS):
                            await sign.wait()
        except TimeoutError:
            self.stop()
            raise SippError(f"SIPp does not start within {_START_SECONDS:g} s: {self._complaint()}") from None
        except BaseException:
            self.stop()
            raise

    def command(self, command: str, call_id: str, port: int) -> None:
        """Sends a command for a call to the port that the process listens on; a process that has ended does nothing."""
        request = _COMMAND.format(command=command, call_id=call_id, host=HOST).replace("\n", "\r\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(request.encode(), (HOST, port))

    def stop(self) -> None:
        """Ends the process at once, unless it has ended."""
        if not self.over.is_set():
            self._kill()
            self._loop.remove_reader(self._events)
            os.close(self._events)
            self.over.set()

    def _complaint(self) -> str:
        return "; ".join(dict.fromkeys(self._complaints))

    def _read(self) -> None:
        chunk = os.read(self._events, _CHUNK)
        if not chunk:
            self.stop()
            self._on_event("exit", "")
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            if text.startswith("@"):
                event, _, rest = text[1:].partition(" ")
                self._on_event(event, rest)
            elif text.strip() and not text.startswith("Resolving remote host"):
                # Its own lines begin with the date, the time and the time again.
                self._complaints.append(text.rpartition("\t")[2].partition(": ")[2] or text)


def _run(program: Path, scenario: str, log: Path, arguments: tuple[str, ...], write: int) -> "subprocess.Popen[bytes]":
    """Starts SIPp without a terminal, on loopback alone, and never in the background."""
    here = ["-i", HOST, "-bind_local", "-mi", HOST, "-ci", HOST, "-t", "u1", "-nostdin"]
    # What a scenario does not expect at that moment, such as a command that comes too late, changes nothing.
    calm = ["-default_behaviors", "none", "-deadcall_wait", "0"]
    told = ["-trace_logs", "-log_file", "/dev/stderr", "-trace_msg", "-message_file", str(log.absolute())]
    return subprocess.Popen(  # noqa: S603 (no shell, and nothing in it is a program but what PATH names)
        # UTF-8 whatever the locale.
        [
            argument.encode()
            for argument in (str(program), *arguments, "-sf", str(_SCENARIOS / scenario), *here, *calm, *told)
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=write,
        cwd=log.parent,
        start_new_session=True,
    )


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
