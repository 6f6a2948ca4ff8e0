"""The page "Compare rules": what rules that are pasted or uploaded would have answered to the last questions.

Nothing comes into force from here. What is given is bounded, read in a process of its own (``web.admin.comparing``), one at a
time, which has to be done in time.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from policy_server.pexip.request_types import RequestType
from policy_server.web.admin import comparing
from policy_server.web.admin.door import ROOT, AdminDoor, cross_site_refusal, read_body
from policy_server.web.admin.multipart import TYPE, MultipartError, read_parts
from policy_server.web.admin.other_rules import NoRulesError, Upload, files_of_text, files_of_uploads
from policy_server.web.admin.siblings import Siblings
from policy_server.web.problem import ProblemResponse, Refused
from policy_server.web.recent_decisions import RecentDecisions

BODY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of rules that are read."""

MOST_QUESTIONS: Final = 1000
"""Questions that are decided again: the last."""

DEADLINE: Final = 20.0
"""Seconds in which a comparison must be done."""

RECORDS: Final = "records"
"""What the processes of a server ask each other: their last decisions, as lines of the decision log."""
RECORDS_SECONDS: Final = 3.0

KEPT_TEXT: Final = 256 * 1024
"""Characters of a pasted text that stand in the form again."""

_ANSWER_LIMIT: Final = 16 * 1024 * 1024


class OfServer(NamedTuple):
    """What a comparison has to know of the server: its keys, how long it holds a room, whether it has a Management Node."""

    key: str
    previous_keys: tuple[str, ...]
    lifetime: timedelta
    has_management: bool


class ComparePages:
    """The page, for one process; the last questions are those of all."""

    def __init__(
        self,
        door: AdminDoor,
        recent: RecentDecisions,
        siblings: Siblings,
        server: OfServer,
    ) -> None:
        self._door: Final = door
        self._siblings: Final = siblings
        self._server: Final = server
        self._is_busy = False
        siblings.answers(RECORDS, partial(_records, recent))

    def routes(self) -> list[Route]:
        """The routes, for the door."""
        return [Route(ROOT + "/compare", self.compare, methods=["GET", "POST"])]

    async def compare(self, request: Request) -> Response:
        """The form, or what came of one. The time that a comparison takes is taken from no other page."""
        if refusal := await self._door.refusal(request):
            return refusal
        values: Mapping[str, Any] = {}
        if request.method == "POST":
            if refusal := cross_site_refusal(request):
                return refusal
            if self._is_busy:
                values = {"fault": "another comparison is under way; try again in a moment"}
            else:
                self._is_busy = True
                try:
                    values = await self._found(request)
                except Refused as refused:
                    return refused.problem
                finally:
                    self._is_busy = False
        page: Callable[[], Mapping[str, Any]] = lambda: {**_NOTHING, **values}  # noqa: E731
        return await self._door.answer(request, partial(self._door.page, "compare.html", "Compare rules", page))

    async def _found(self, request: Request) -> Mapping[str, Any]:
        detail = f"at most {BODY_LIMIT // 1024 // 1024} MiB are read; choose the rules folder alone"
        body = await read_body(request, BODY_LIMIT, ProblemResponse(413, "too-large", "Too many rules", detail))
        try:
            files, text = await run_sync(_read_form, request.headers.get("content-type", ""), body)
        except (MultipartError, NoRulesError) as error:
            return {"fault": str(error)}
        told: dict[str, Any] = {"text": text if len(text) <= KEPT_TEXT else ""}
        if not files:
            return {**told, "fault": "there are no rules in the form: paste some, or choose the rules folder"}
        try:
            async with asyncio.timeout(DEADLINE):
                return {**told, **await self._compared(files)}
        except TimeoutError:
            return {**told, "fault": f"it took longer than {DEADLINE:g} s and was given up"}

    async def _compared(self, files: Mapping[str, bytes]) -> Mapping[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", comparing.__name__),
            stdin=PIPE,
            stdout=PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_ANSWER_LIMIT,
            # No variable of the server's: it has passwords in them.
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"},
        )
        try:
            return await self._talk(process, files)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _talk(self, process: Process, files: Mapping[str, bytes]) -> Mapping[str, Any]:
        server = self._server
        await _say(
            process,
            {
                "files": {name: b64encode(content).decode() for name, content in files.items()},
                "has_management": server.has_management,
                "lifetime": server.lifetime.total_seconds(),
                "key": server.key,
                "previous_keys": server.previous_keys,
            },
        )
        loaded = await _hear(process)
        if loaded is None:
            return {"fault": "the rules could not be read: they take more time or memory than a comparison may have"}
        told = {"problems": loaded["problems"], "more_problems": loaded["more"]}
        if loaded["asked"] is None:
            return {**told, "is_refused": True}
        heard = await self._siblings.ask(RECORDS, loaded["asked"], RECORDS_SECONDS)
        records = sorted((record for answer in heard.answers for record in answer), key=lambda each: str(each["time"]))
        await _say(process, records[-MOST_QUESTIONS:])
        result = await _hear(process)
        if result is None:
            return {**told, "fault": "the comparison takes more time or memory than it may have"}
        return {**told, "result": result, "silent": heard.silent}


_NOTHING: Final[Mapping[str, Any]] = {
    "text": "",
    "fault": "",
    "problems": (),
    "more_problems": 0,
    "is_refused": False,
    "result": None,
    "silent": 0,
}


def _records(recent: RecentDecisions, asked: Mapping[str, list[str]]) -> list[dict[str, object]]:
    """The last decisions of this process as lines of the decision log; ``asked`` are attributes of links for each question."""
    known = {kind: tuple(islice(map(str, asked.get(kind.value, ())), 200)) for kind in RequestType}
    return recent.records(known)


def _read_form(content_type: str, body: bytes) -> tuple[dict[str, bytes], str]:
    """The files of the form, and the text that was pasted. Raises MultipartError and NoRulesError."""
    if content_type.partition(";")[0].strip().lower() != TYPE:
        raise MultipartError(f"send {TYPE}")
    parts = read_parts(content_type, body)
    text = next((part.content.decode("utf-8", "replace") for part in parts if part.name == "text"), "")
    uploads = [Upload(part.filename, part.content) for part in parts if part.name == "files" and part.filename]
    files = files_of_text(text)
    for name, content in files_of_uploads(uploads).items():
        # What is pasted goes before what lies in the folder: so one file of many can be tried.
        files.setdefault(name, content)
    return files, text


async def _say(process: Process, value: object) -> None:
    if process.stdin is None:
        raise RuntimeError("the process has no input")
    line = await run_sync(orjson.dumps, value)
    with suppress(ConnectionError):
        process.stdin.write(line + b"\n")
        await process.stdin.drain()


async def _hear(process: Process) -> dict[str, Any] | None:
    """One line of the process; ``None`` of one that ended."""
    if process.stdout is None:
        raise RuntimeError("the process has no output")
    try:
        line = await process.stdout.readline()
    except ValueError:  # A line that is longer than any that it should write.
        return None
    if not line.endswith(b"\n"):
        return None
    value: dict[str, Any] = orjson.loads(line)
    return value
