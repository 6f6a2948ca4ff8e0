"""What nodes wait while admins have their pages open, and how long the pages take."""

import asyncio
import statistics
from base64 import b64encode
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from threading import Event, Thread
from time import perf_counter
from typing import Final

from policy_server.web.admin.door import PAGES
from tests.benchmarks.bench import Bench
from tests.benchmarks.material import questions, write_questions, write_rules
from tests.benchmarks.questions import ROOMS
from tests.benchmarks.servers import Server, serving
from tests.benchmarks.table import Beside, Goal, Row
from tests.benchmarks.versions import HERE
from tests.benchmarks.wrk import Run, load

OPEN: Final = 10
"""Pages that are open: each of those that there are, in turn."""

RATE: Final = 500
QUESTIONS: Final = 20_000
RENEWED: Final = {"now": 10.0}
"""Seconds after which a page renews itself."""
LOOKED_AT: Final = 30.0
"""Seconds after which somebody opens a page again that does not."""

STREAMS: Final = {"decisions": "decisions/events"}
"""What pages keep open beside, by their paths."""

ADMIN: Final = {"POLICY_ADMIN_USERNAME": "admin", "POLICY_ADMIN_PASSWORD": "the password of the benchmarks"}
_BASIC: Final = b64encode(":".join(ADMIN.values()).encode()).decode()


@dataclass
class Seen:
    """What those who look at pages saw: seconds of each, bytes of streams, and what went wrong."""

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    streamed: int = 0
    faults: list[str] = field(default_factory=list)


async def pages(bench: Bench) -> AsyncIterator[Row]:
    """One server, asked 500 times a second, by turns with ten pages open and without.

    Those that renew themselves do, streams run, and somebody opens each of the others now and then.
    """
    folder = bench.new_folder()
    seconds = bench.effort.page_seconds
    asked = write_questions(folder / "questions.txt", questions(QUESTIONS, ROOMS))
    seen = Seen()
    with serving(write_rules(folder / "rules", 1000), HERE, ADMIN) as server:
        load(server, asked, seconds=2, rate=RATE)
        with _opened(server, Seen()):  # Nobody's first look is measured: templates are compiled then.
            load(server, asked, seconds=2, rate=RATE)

        def watched() -> Run:
            with _opened(server, seen):
                return load(server, asked, seconds=seconds, rate=RATE)

        runs = [(watched(), load(server, asked, seconds=seconds, rate=RATE)) for _ in range(bench.effort.rounds)]
    bench.raw["pages"] = {"runs": [[asdict(run) for run in pair] for pair in runs], "seconds": dict(seen.seconds)}
    ratio = statistics.median(one.p99 / other.p99 for one, other in runs)
    one, other = (statistics.median(run.p99 / 1000 for run in column) for column in zip(*runs, strict=True))
    faults = tuple(fault for pair in runs for run in pair for fault in run.faults)
    rate = statistics.median(run.rate for run, _ in runs)
    name = f"policy p99 at {rate:.0f} a second with {OPEN} admin pages open"
    yield Row(name, one, "ms", Goal(1.2, "at most", "ratio"), Beside("none open", other), ratio, faults)
    slowest, page = max((statistics.median(times), page) for page, times in seen.seconds.items())
    silent = () if seen.streamed else ("the stream of decisions said nothing",)
    name = f"slowest admin page meanwhile: {page}, median"
    yield Row(name, slowest * 1000, "ms", Goal(500, "at most", "figure"), faults=(*seen.faults[:5], *silent))


@contextmanager
def _opened(server: Server, seen: Seen) -> Iterator[None]:
    """Pages that are open in a thread beside."""
    over, ready = Event(), Event()
    thread = Thread(target=lambda: asyncio.run(_look(server, seen, over, ready)))
    thread.start()
    ready.wait(30)
    try:
        yield
    finally:
        over.set()
        thread.join()


async def _look(server: Server, seen: Seen, over: Event, ready: Event) -> None:
    paths = [PAGES[place % len(PAGES)][0] for place in range(OPEN)]
    tasks = [asyncio.create_task(_page(server, path, place, seen)) for place, path in enumerate(paths)]
    tasks += [asyncio.create_task(_stream(server, STREAMS[path], seen)) for path in paths if path in STREAMS]
    ready.set()
    while not over.is_set():  # noqa: ASYNC110  a thread says so
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _page(server: Server, path: str, place: int, seen: Seen) -> None:
    again = RENEWED.get(path, LOOKED_AT)
    await asyncio.sleep(again * place / OPEN)
    while True:
        began = perf_counter()
        head, _ = await _get(server, path, seen, whole=True)
        if head.startswith(b"HTTP/1.1 200"):
            seen.seconds[path].append(perf_counter() - began)
        elif head:
            seen.faults.append(f"{path}: {head.partition(bytes([13]))[0].decode()}")
        await asyncio.sleep(max(0.0, again - (perf_counter() - began)))


async def _stream(server: Server, path: str, seen: Seen) -> None:
    while True:
        await _get(server, path, seen, whole=False)
        await asyncio.sleep(1.0)


async def _get(server: Server, path: str, seen: Seen, *, whole: bool) -> tuple[bytes, int]:
    """The head of an answer and the bytes after it; of a stream they are counted as they come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        request = (
            f"GET /admin/{path} HTTP/1.1\r\nHost: admin\r\nAuthorization: Basic {_BASIC}\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        size = 0
        while piece := await reader.read(65_536):
            size += len(piece)
            if not whole:
                seen.streamed += len(piece)
        return head, size
    except (OSError, asyncio.IncompleteReadError) as error:
        seen.faults.append(f"{path}: {type(error).__name__}")
        return b"", 0
    finally:
        writer.close()
