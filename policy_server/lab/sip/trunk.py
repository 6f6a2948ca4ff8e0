"""A SIP trunk between two ends that are not there: the contact centre and the Conferencing Node, both played by SIPp.

UDP on loopback, audio offered and accepted but not sent. What crosses the wire is kept in a file of the given folder,
one for each call and one for the trunk.
"""

import asyncio
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote
from uuid import uuid4

from policy_server.lab.sip.sipp import HOST, Sipp, SippError

NO_ANSWER: Final = "Connection timed out"
"""Why a call ended that nobody answered: in lists that go round, unconfirmed (pexip/README.md: Disconnect reasons)."""
FAR_END_HUNG_UP: Final = "Call disconnected"
FAILED: Final = "Call failed"

RING_SECONDS: Final = 60.0
"""How long a node waits for an answer unless it is told otherwise; our choice, the reference has no number."""

HANG_UP_SECONDS: Final = 2.0
"""How long a far end may take to confirm that a call is over; after that it is over without it."""

_PORTS_TRIED: Final = 5

# Every other status is an unexpected response (pexip/README.md: Disconnect reasons).
_REFUSALS: Final = {"403": "Call rejected", "404": "404 Not Found", "486": "Call rejected", "603": "Call rejected"}

_URI: Final = re.compile(r"sips?:[!#-;=?-~]+")  # ASCII without space, quotation mark and angle brackets
_PROXY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*:[0-9]{1,5}")
_NAME_ADDR: Final = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^"<]*))\s*<(?P<uri>[^>]*)>')
_CONTROLS: Final = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")


@dataclass(frozen=True, slots=True)
class Invite:
    """A call as the contact centre saw it arrive: what Genesys would show as ``aniName`` and ``dnis``."""

    request_uri: str
    from_display_name: str
    from_user: str
    to: str
    """The URI of the To header."""
    call_id: str


class Answer(StrEnum):
    """What the contact centre does with a call."""

    ANSWER = "answer"
    BUSY = "busy"
    """486"""
    UNAVAILABLE = "unavailable"
    """503"""
    NOT_FOUND = "not_found"
    """404"""
    TIMED_OUT = "timed_out"
    """408"""
    RING = "ring"
    """180, and nothing more until somebody picks up."""
    SILENT = "silent"
    """Nothing after 100 Trying."""


_COMMANDS: Final = {
    Answer.ANSWER: ("RING", "ANSWER"),
    Answer.BUSY: ("BUSY",),
    Answer.UNAVAILABLE: ("UNAVAILABLE",),
    Answer.NOT_FOUND: ("NOTFOUND",),
    Answer.TIMED_OUT: ("TIMEDOUT",),
    Answer.RING: ("RING",),
    Answer.SILENT: (),
}


@dataclass(slots=True)
class _Arrived:
    invite: Invite
    over: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: bool = False


class SipTrunk:
    """The contact centre's end: listens while it is entered. ``answer``, or for each call what ``choose`` says of it, holds from
    the next call on.
    """

    def __init__(self, folder: Path, answer: Answer = Answer.ANSWER) -> None:
        self.answer = answer
        self.choose: Callable[[Invite], Answer] | None = None
        self._folder: Final = folder
        self._calls: Final[dict[str, _Arrived]] = {}
        self._invited: Final[list[Callable[[Invite], None]]] = []
        self._ended: Final[list[Callable[[Invite], None]]] = []
        self._over: Final[list[Callable[[Invite], None]]] = []
        self._to = ""
        self._port = 0
        self._sipp: Sipp | None = None
        self._ready: Final = asyncio.Event()

    @property
    def address(self) -> str:
        """Where it listens: host and port."""
        return f"{HOST}:{self._port}"

    @property
    def invites(self) -> tuple[Invite, ...]:
        """All calls that arrived, in their order."""
        return tuple(call.invite for call in self._calls.values())

    def on_invite(self, callback: Callable[[Invite], None]) -> None:
        """Tells of each call that arrives."""
        self._invited.append(callback)

    def on_end(self, callback: Callable[[Invite], None]) -> None:
        """Tells of each call that the far end ends or gives up: BYE or CANCEL. Not of those that ``hang_up`` ended."""
        self._ended.append(callback)

    def on_over(self, callback: Callable[[Invite], None]) -> None:
        """Tells of each call of which nothing is left, whoever ended or refused it."""
        self._over.append(callback)

    def pick_up(self, call_id: str) -> None:
        """Answers a call that rings. Nothing happens when it is answered or over."""
        self._command("ANSWER", call_id)

    async def hang_up(self, call_id: str) -> None:
        """Ends a call; one that is not answered yet is refused with 503. Nothing happens when it is over.

        Raises LookupError when there was no such call.
        """
        call = self._calls.get(call_id)
        if call is None:
            known = ", ".join(self._calls) or "no call yet"
            raise LookupError(f"no call with the Call-ID {call_id!r} arrived at the trunk, which has seen {known}")
        if call.over.is_set():
            return
        if not call.hung_up:
            call.hung_up = True
            self._command("HANGUP", call_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_SECONDS):
                await call.over.wait()

    async def __aenter__(self) -> Self:
        for left in reversed(range(_PORTS_TRIED)):
            self._port = _free_port()
            log = self._folder / f"trunk-{self._port}.log"
            self._sipp = Sipp("trunk.xml", log, self._on_event, "-p", str(self._port))
            try:
                # Proves that it is this process that listens, and not one that took the port in the meantime.
                await self._sipp.wait_for(self._ready, partial(self._command, "HELLO", uuid4().hex))
                break
            except SippError as error:
                if not left or "Unable to bind" not in str(error):
                    raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sipp is not None:
            self._sipp.stop()
        self._on_event("exit", "")

    def _command(self, command: str, call_id: str) -> None:
        if self._sipp is not None:
            self._sipp.command(command, call_id, self._port)

    def _on_event(self, event: str, rest: str) -> None:
        call_id, _, rest_of_invite = rest.partition(" ")
        match event:
            case "hello":
                self._ready.set()
            case "to":
                self._to = rest
            case "invite":
                self._invite(call_id, *rest_of_invite.split(" ", 1))
            case "end" if call_id in self._calls and not self._calls[call_id].hung_up:
                self._tell(self._ended, self._calls[call_id].invite)
            case "over" if call_id in self._calls:
                self._calls[call_id].over.set()
                self._tell(self._over, self._calls[call_id].invite)
            case "exit":
                for call in self._calls.values():
                    call.over.set()
            case _:
                pass

    def _invite(self, call_id: str, request_uri: str, sender: str) -> None:
        name, uri = _read_name_addr(sender)
        user = uri.partition(":")[2].partition("@")[0]
        invite = Invite(request_uri, name, user, _read_name_addr(self._to)[1], call_id)
        self._calls[call_id] = _Arrived(invite)
        answer = self.answer if self.choose is None else self.choose(invite)
        for command in _COMMANDS[answer]:
            self._command(command, call_id)
        self._tell(self._invited, invite)

    @staticmethod
    def _tell(callbacks: list[Callable[[Invite], None]], invite: Invite) -> None:
        loop = asyncio.get_running_loop()
        for callback in callbacks:
            loop.call_soon(callback, invite)


class SipCall:
    """The node's end of one call. After ``hang_up``, or when its context is left, nothing of it remains."""

    def __init__(
        self,
        folder: Path,
        arguments: tuple[str, ...],
        ring_seconds: float,
        on_ringing: Callable[[], None],
        on_answered: Callable[[], None],
        on_ended: Callable[[str], None],
    ) -> None:
        self.call_id: Final = uuid4().hex
        self._on_ringing: Final = on_ringing
        self._on_answered: Final = on_answered
        self._on_ended: Final = on_ended
        self._ring_seconds: Final = ring_seconds
        self._rang = False
        self._ended = False
        self._loop: Final = asyncio.get_running_loop()
        self._sent: Final = asyncio.Event()
        self._port = 0
        log = folder / f"call-{self.call_id}.log"
        self._sipp: Final = Sipp("call.xml", log, self._on_event, "-cid_str", self.call_id, *arguments)
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def place(
        cls,
        uri: str,
        *,
        from_display_name: str,
        from_user: str,
        proxy: str,
        folder: Path,
        on_ringing: Callable[[], None],
        on_answered: Callable[[], None],
        on_ended: Callable[[str], None],
        ring_seconds: float = RING_SECONDS,
    ) -> Self:
        """Calls ``uri`` through ``proxy`` (host and port) and returns when the INVITE is on its way.

        ``from_user`` may have a domain. ``on_ended`` gets the reason in Pexip's words, once, and not after ``hang_up``.
        Raises ValueError for a URI or proxy that cannot be called, SippMissingError, SippError.
        """
        if not _URI.fullmatch(uri):
            raise ValueError(f"cannot call {uri!r}: a SIP URI is needed, such as sip:+13175551234@trunk.example")
        if not _PROXY.fullmatch(proxy):
            raise ValueError(f"cannot call through {proxy!r}: host and port are needed, such as 127.0.0.1:5060")
        sender = _write_name_addr(from_display_name, from_user)
        keys = ("-key", "uri", uri, "-key", "from", sender)
        once = ("-m", "1", "-r", "1000", proxy)
        call = cls(folder, (*keys, *once), ring_seconds, on_ringing, on_answered, on_ended)
        await call._sipp.wait_for(call._sent)
        return call

    async def hang_up(self) -> None:
        """Ends the call: BYE, or CANCEL before it is answered. Nothing happens when it is over."""
        if not self._ended:
            self._leave()
        await self._sipp.over.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.hang_up()
        finally:
            self._stop()

    def _on_event(self, event: str, rest: str) -> None:
        if event == "sent":
            self._port = int(rest)
            self._sent.set()
            self._after(self._ring_seconds, self._give_up)
        elif self._sent.is_set() and not self._ended:
            self._hear(event, rest)

    def _hear(self, event: str, rest: str) -> None:
        match event:
            case "ringing" if not self._rang:
                self._rang = True
                self._loop.call_soon(self._on_ringing)
            case "answered":
                self._stop_timer()
                self._loop.call_soon(self._on_answered)
            case "bye":
                self._end(FAR_END_HUNG_UP)
            case "refused":
                self._end(_REFUSALS.get(rest, f"Unexpected Response: {rest}"))
            case "exit":
                self._end(FAILED)
            case _:
                pass

    def _give_up(self) -> None:
        self._loop.call_soon(self._on_ended, NO_ANSWER)
        self._leave()

    def _leave(self) -> None:
        self._over_soon()
        self._sipp.command("HANGUP", self.call_id, self._port)

    def _end(self, reason: str) -> None:
        self._over_soon()
        self._loop.call_soon(self._on_ended, reason)

    def _over_soon(self) -> None:
        """The far end is owed a last message; this one does not wait for it for ever."""
        self._ended = True
        self._after(HANG_UP_SECONDS, self._sipp.stop)

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        """Sets the one timer of the call, which holds one thing at a time."""
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _stop(self) -> None:
        self._stop_timer()
        self._sipp.stop()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _write_name_addr(display_name: str, user: str) -> str:
    """A From header's display name and URI (RFC 3261, section 25.1); what would end the header becomes a space."""
    name = display_name.translate(_CONTROLS).encode(errors="replace").decode()
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    local, _, domain = user.removeprefix("sip:").rpartition("@") if "@" in user else (user, "", HOST)
    address = quote(local, safe="+-_.!~*'()&=$,;?/", errors="replace") + "@" + quote(domain, safe=".:[]-")
    return f'"{quoted}" <sip:{address}>' if quoted else f"<sip:{address}>"


def _read_name_addr(header: str) -> tuple[str, str]:
    """Display name and URI of a From or To header."""
    match = _NAME_ADDR.match(header)
    if match is None:
        return "", header.partition(";")[0].strip()
    if match["quoted"] is None:
        return match["plain"].strip(), match["uri"]
    return re.sub(r"\\(.)", r"\1", match["quoted"]), match["uri"]
