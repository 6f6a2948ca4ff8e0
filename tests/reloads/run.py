"""``make reloads``: a server reloads its rules again and again, a third of them broken, while nodes ask.

Each revision writes its number into every field that its rules give, out of several files. So an answer in which two numbers
meet was made by two revisions, and one of a broken revision by what must not run.
"""

import argparse
import asyncio
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

import orjson

from tests.fuzz import NO_ANSWER, Connection
from tests.fuzz_questions import Question
from tests.servers import RealServer, basic, real_server
from tests.waiting import eventually

RELOADS: Final = 1000
CONNECTIONS: Final = 6
PATIENCE: Final = 60.0
"""Seconds for one reload."""

ROOMS: Final = """
domains: [video.example.com]
trunks: {{ desk: {{ number: "+1 312 999 8045", dial_prefix: "99" }} }}
rooms:
  visit: {{ name: "{{key}} n{n}n", service_tag: "n{n}n", description: "n{n}n", ivr_theme_name: "n{n}n", pin: "1234{n:06}" }}
pexip: {{ themes: [n{n}n] }}
"""
SERVICE: Final = """
service:
  - {{ id: rejected-n{n}n, when: {{ local_alias: 'no-.*' }}, reject: "n{n}n" }}
  - id: served-n{n}n
    when: {{ local_alias: '(?P<key>q-.*)' }}
    room: visit
    dial_out: [{{ trunk: desk, display_name: "n{n}n" }}]
"""
PEOPLE: Final = """
participants:
  - {{ id: person-n{n}n, when: {{ local_alias: '.*' }}, set: {{ remote_display_name: "n{n}n", call_tag: "n{n}n" }} }}
locations:
  - {{ id: place-n{n}n, when: {{ local_alias: '.*' }}, location: "n{n}n", overflow_locations: ["n{n}n"] }}
"""
FILES: Final = {"10-rooms.yaml": ROOMS, "20-service.yaml": SERVICE, "30-people.yaml": PEOPLE}

BREAKS: Final = ("syntax", "key", "room", "empty file", "no files", "not utf-8", "renamed")
"""What is wrong with a revision."""

PATHS: Final = ("service/configuration", "participant/properties", "participant/location")
_NUMBER: Final = re.compile(rb"n(\d+)n")
_PIN: Final = re.compile(rb'"pin":"1234(\d{6})"')
_AUTHORIZATION: Final = basic().encode()


@dataclass
class Report:
    """What came of a run."""

    reloads: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    revisions: set[int] = field(default_factory=set)
    """Those that answered."""
    offences: list[str] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0

    def lines(self) -> Iterator[str]:
        """The report."""
        yield f"reloads              {', '.join(f'{what}: {number}' for what, number in self.reloads.most_common())}"
        yield f"answers              {self.answers}, of {len(self.revisions)} revisions"
        yield f"slowest answer       {self.slowest * 1000:.0f} ms"
        yield f"failed or mixed      {len(self.offences)}"
        yield from (f"    {offence}" for offence in self.offences[:20])
        yield f"seconds              {self.seconds:.0f}"


class Rules:
    """A rules folder that is another at once: it is a link, which is put in place of the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder
        self.path: Final = folder / "rules"
        self._before: list[Path] = []

    def put(self, n: int, broken: str = "") -> None:
        """Puts a revision into force, as far as the folder goes."""
        made = self._folder / f"revision-{n}"
        made.mkdir()
        for name, text in FILES.items():
            (made / name).write_text(text.format(n=n), encoding="utf-8")
        _break(made, broken)
        fresh = self._folder / "fresh"
        fresh.symlink_to(made)
        fresh.replace(self.path)
        self._before.append(made)
        if len(self._before) > 3:
            shutil.rmtree(self._before.pop(0))


def _break(folder: Path, how: str) -> None:
    service = folder / "20-service.yaml"
    match how:
        case "":
            pass
        case "syntax":
            service.write_text(service.read_text(encoding="utf-8") + "  - { id: x", encoding="utf-8")
        case "key":
            service.write_text(
                service.read_text(encoding="utf-8").replace("local_alias", "locl_alias"), encoding="utf-8"
            )
        case "room":
            service.write_text(
                service.read_text(encoding="utf-8").replace("room: visit", "room: vist"), encoding="utf-8"
            )
        case "empty file":
            for path in folder.iterdir():
                path.write_text("", encoding="utf-8")
        case "no files":
            for path in folder.iterdir():
                path.unlink()
        case "not utf-8":
            service.write_bytes(service.read_bytes() + b"\xff\xfe")
        case "renamed":
            service.rename(service.with_suffix(".yaml.txt"))
        case _:
            raise ValueError(how)


class Load:
    """Nodes that ask without a pause, and look at each answer. ``good`` are the revisions that may answer."""

    def __init__(self, port: int, good: set[int], report: Report) -> None:
        self._port: Final = port
        self._good: Final = good
        self._numbers: Final = count()
        self._report: Final = report
        self.is_over = False

    async def ask(self) -> None:
        """One connection, until it is over."""
        connection, latest = Connection(self._port), 0
        while not self.is_over:
            number = next(self._numbers)
            alias = f"no-{number}" if number % 5 == 4 else f"q-{number}"
            query = f"local_alias={alias}&call_direction=dial_in&protocol=sip&remote_display_name=Ada"
            path = PATHS[0] if number % 3 else PATHS[number // 3 % 3]
            question = Question(b"GET", f"/policy/v1/{path}?{query}".encode(), _AUTHORIZATION)
            began = monotonic()
            try:
                answer = await connection.ask(question)
            except NO_ANSWER as error:
                self._report.offences.append(f"{alias}: no answer: {type(error).__name__} {error}")
                await connection.close()
                continue
            self._report.slowest = max(self._report.slowest, monotonic() - began)
            self._report.answers += 1
            latest = self._look(alias, answer.status, answer.body, latest)
        await connection.close()

    def _look(self, alias: str, status: int, body: bytes, latest: int) -> int:
        """Notes what is wrong with an answer; the revision that made it."""
        found = {int(each) for each in (*_NUMBER.findall(body), *_PIN.findall(body))}
        fault = ""
        if status != 200 or orjson.loads(body)["status"] != "success":
            fault = f"status {status}"
        elif len(found) != 1:
            fault = f"revisions {sorted(found)}"
        elif not found <= self._good:
            fault = f"revision {found}, which is broken"
        elif max(found) < latest:
            fault = f"revision {found} after {latest}"
        if fault:
            self._report.offences.append(f"{alias}: {fault}: {body[:400]!r}")
            return latest
        self._report.revisions |= found
        return max(found)


async def _reload(server: RealServer, rules: Rules, times: int, random: Random, good: set[int], report: Report) -> None:
    load = Load(int(server.url.rpartition(":")[2]), good, report)
    asking = [asyncio.create_task(load.ask()) for _ in range(CONNECTIONS)]
    try:
        broken = ""
        for n in range(1, times + 1):
            # The same nothing twice is no news.
            broken = random.choice([each for each in BREAKS if each != broken]) if random.random() < 1 / 3 else ""
            refused = _refused(server)
            if not broken:
                good.add(n)
            await asyncio.to_thread(rules.put, n, broken)
            server.process.send_signal(signal.SIGHUP)
            report.reloads[broken or "good"] += 1
            async with asyncio.timeout(PATIENCE):
                while n not in report.revisions if not broken else _refused(server) == refused:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)  # Another process is looked at.
    except TimeoutError:
        report.offences.append(f"revision {n} ({broken or 'good'}) was not taken within {PATIENCE:g} s")
    finally:
        load.is_over = True
        await asyncio.gather(*asking)


def _refused(server: RealServer) -> int:
    """How many reloads the server said that it refused."""
    return server.err.count("rules.refused: ")


def reloads(folder: Path, times: int, seed: int) -> Report:
    """So many reloads of a server of its own, made in an empty folder."""
    report, rules, good = Report(), Rules(folder), {0}
    rules.put(0)
    began = monotonic()
    with real_server(folder) as server:
        asyncio.run(_reload(server, rules, times, Random(seed), good, report))
        # The last word is the server's: it runs on, whatever it was given.
        assert eventually(lambda: server.process.poll() is None)
    report.seconds = monotonic() - began
    return report


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.reloads.run", description=__doc__)
    parser.add_argument("--count", type=int, default=RELOADS, help="reloads (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="policy-server-reloads-") as folder:
        report = reloads(Path(folder), given.count, given.seed)
    print("\n".join(report.lines()))
    return 1 if report.offences else 0


if __name__ == "__main__":
    sys.exit(main())
