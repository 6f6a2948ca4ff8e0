"""``make fuzz``: sends hostile and random questions and events to a real server over HTTP, and judges every answer.

``python -m tests.fuzz [--count N] [--seed N] [--seconds N] [--only N]``. Exit status 1 when the server answered with a
5xx, did not answer, gave an answer that a Conferencing Node would discard, failed in a way that the question does not
explain, did not store each message that it acknowledged once, or stored a name that opens a door.
"""

import argparse
import asyncio
import re
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from shutil import copyfile, copytree
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic, perf_counter, sleep
from typing import Final
from unicodedata import category
from urllib.parse import quote, unquote_plus

import orjson
import uvloop

from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.simulator.judge import HttpAnswer, judge
from tests.fuzz_events import SINK_PASSWORD, SINK_USERNAME, Delivery, DeliveryMaker
from tests.fuzz_ledger import Ledger
from tests.fuzz_questions import (
    PASSWORD,
    PREFIX,
    QUERY_LIMIT,
    USERNAME,
    Question,
    QuestionMaker,
    cannot_be_understood,
    names_of,
)
from tests.golden.exchange import DEPLOYMENT, KIOSK, RULES, read_all
from tests.servers import clean_environment

COUNT: Final = 200_000
CONNECTIONS: Final = 4
EVENTS_EVERY: Final = 10
PATIENCE: Final = 15.0
"""Seconds to wait for an answer, and for the server to start."""

SECRET_KEY: Final = "the secret key of the fuzzer, long enough"
ROOT: Final = Path(__file__).parent.parent
FUZZ_RULES: Final = Path(__file__).parent / "fuzz_rules.yaml"
"""What the golden rules have no example of."""

LINKS: Final = ("visit", "support")
ENDS: Final = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))
_SHOWN: Final = 10
_NO_SIZE: Final = re.compile(r"0+|[0-9]{19,}", re.ASCII)
_CANONICAL: Final = (
    *("/policy/v1/service/configuration", "/policy/v1/participant/properties", "/policy/v1/participant/location"),
    *("/policy/v1/registrations", "/policy/v1/registrations/x", "/policy/v1/participant/avatar/x"),
)


@dataclass(frozen=True, slots=True)
class Offence:
    """An answer that must not be."""

    number: int
    kind: str
    question: Question | Delivery
    answer: HttpAnswer | None
    reason: str

    def __str__(self) -> str:
        got = "nothing" if self.answer is None else f"HTTP {self.answer.status} {self.answer.body[:500]!r}"
        sent = self.question.wire()[:3000]
        return f"question {self.number}: {self.kind}: {self.reason}\n  sent {sent!r}\n  got  {got}"


@dataclass(slots=True)
class Report:
    """What came of a run."""

    sent: int = 0
    deliveries: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    offences: Counter[str] = field(default_factory=Counter)
    first: list[Offence] = field(default_factory=list)
    slowest: float = 0.0
    slowest_number: int = 0
    slowest_delivery: float = 0.0
    ledger: Ledger = field(default_factory=Ledger)
    unkept: tuple[str, ...] = ()
    server_errors: int = 0
    server_said: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether anything happened that must not."""
        return bool(self.offences or self.unkept) or self.server_errors > 0

    def note(self, offence: Offence) -> None:
        """Counts an offence, and keeps the first ones."""
        self.offences[offence.kind] += 1
        if len(self.first) < _SHOWN:
            self.first.append(offence)

    def lines(self) -> Iterator[str]:
        """The report for people."""
        rate = self.sent / self.seconds if self.seconds else 0.0
        yield f"questions sent                    {self.sent} in {self.seconds:.1f} s ({rate:.0f} a second)"
        yield f"  deliveries of events            {self.deliveries}"
        yield f"  messages acknowledged           {self.ledger.messages}, and {self.ledger.unreadable} that nobody can read"
        for status, count in sorted(self.statuses.items()):
            refused = " (refused by the HTTP parser, as it should)" if status == 400 else ""
            yield f"  HTTP {status}                        {count}{refused}"
        for outcome, count in sorted(self.outcomes.items()):
            yield f"  {outcome:<32}{count}"
        for kind in KINDS:
            yield f"{kind + ' (must be 0)':<44}{self.offences[kind]}"
        yield f"{'exceptions that the server caught (must be 0)':<44} {self.server_errors}"
        yield f"{'faults of the database (must be 0)':<44} {len(self.unkept)}"
        yield f"slowest answer                    {self.slowest * 1000:.1f} ms (question {self.slowest_number})"
        yield f"slowest answer to a delivery      {self.slowest_delivery * 1000:.1f} ms"
        yield from self.unkept
        for offence in self.first:
            yield str(offence)
        for line in self.server_said if self.failed else ():
            yield f"server: {line}"


Offend = Callable[[str, str], None]

NO_ANSWER: Final = (OSError, EOFError, TimeoutError)

KINDS: Final = (
    *("5xx", "no answer", "refused by the judge", "failure without a reason", "wrong status", "wrong receipt"),
)


def examine(number: int, question: Question, answer: HttpAnswer, report: Report) -> None:
    """Judges one answer."""
    report.statuses[answer.status] += 1
    if answer.seconds > report.slowest:
        report.slowest, report.slowest_number = answer.seconds, number

    def offend(kind: str, reason: str) -> None:
        report.note(Offence(number, kind, question, answer, reason))

    if answer.status >= 500:
        offend("5xx", "never, whatever the question")
    elif answer.status == 400:
        if question.well_formed:
            offend("wrong status", "the request is good HTTP")
    elif not question.asks_policy:
        # The server has an answer to a long first line for those alone who ask for policy.
        if answer.status not in ((200, 404, 405, 431) if len(question.target) > QUERY_LIMIT - 100 else (200, 404, 405)):
            offend("wrong status", "the path is no policy question")
    elif (answer.status == 401) is question.authorized:
        offend("wrong status", "the credentials are " + ("good" if question.authorized else "wrong"))
    elif question.authorized and answer.status == 405 and question.method == b"GET":
        offend("wrong status", "the method is GET")
    elif answer.status == 200:
        if question.method != b"GET":
            offend("wrong status", "only GET asks a question")
        else:
            _examine_body(question, answer, report, offend)
    elif answer.status not in (401, 404, 405):
        offend("wrong status", "no endpoint answers with this status")


def examine_delivery(number: int, delivery: Delivery, answer: HttpAnswer, report: Report) -> None:
    """Judges the answer to one delivery of events, and keeps what it promises."""
    report.deliveries += 1
    report.statuses[answer.status] += 1
    report.slowest_delivery = max(report.slowest_delivery, answer.seconds)
    for reason in report.ledger.enter(delivery, answer):
        kind = "5xx" if answer.status >= 500 else "wrong receipt" if answer.status == 200 else "wrong status"
        report.note(Offence(number, kind, delivery, answer, reason))


def _examine_body(question: Question, answer: HttpAnswer, report: Report, offend: Offend) -> None:
    path, query = question.path.decode("latin-1"), _askable(question.query.decode("utf-8", "replace"))
    verdict = judge(path, query, answer, deployment=DEPLOYMENT)
    if not verdict.well_formed:
        reasons = "; ".join(f"{item.rule} {item.field}: {item.reason}" for item in verdict.objections)
        # No node asks a path such as registrations/a/b; the answer must be good for some question all the same. And a
        # failure envelope is deliberate where a picture was asked for, too: the node shows its placeholder.
        foreign = "not a path of the external policy API" in reasons
        others = (judge(canonical, query, answer, deployment=DEPLOYMENT) for canonical in _CANONICAL)
        good = (other for other in others if (other.well_formed if foreign else other.declined))
        found = next(good, None) if foreign or "/avatar/" in path else None
        if found is None:
            offend("refused by the judge", reasons)
            return
        verdict = found
    report.outcomes[verdict.outcome] += 1
    must_fail = cannot_be_understood(question.query)
    if must_fail and not verdict.declined:
        offend("failure without a reason", "the question cannot be understood, and yet there is an answer")
    elif verdict.declined and not must_fail and orjson.loads(answer.body).get("rule") is None:
        offend("failure without a reason", "the question can be understood, and no rule is to blame")


def _askable(query: str) -> str:
    """A query as the server may read it where the reference is silent, so that the judge reads the same.

    For a size that no picture can have it takes its usual one, and values lose control characters and blank ends.
    """
    return "&".join(map(_readable, query.split("&")))


def _readable(pair: str) -> str:
    encoded, _, value = pair.partition("=")
    name = unquote_plus(encoded, "utf-8", "replace")
    if name not in {"service_name", "width", "height"}:
        return pair
    text = unquote_plus(value, "utf-8", "replace")
    kept = "".join(character for character in text if category(character) not in {"Cc", "Zl", "Zp"}).strip()
    return "" if name != "service_name" and _NO_SIZE.fullmatch(kept) else f"{name}={quote(kept, safe='')}"


class Connection:
    """One keep-alive connection; opens again when the server closed it."""

    def __init__(self, port: int) -> None:
        self._port: Final = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, question: Question | Delivery) -> HttpAnswer:
        """Sends one question. Raises OSError, EOFError or TimeoutError when there is no answer."""
        async with asyncio.timeout(PATIENCE):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
            reader, writer = self._streams
            started = perf_counter()
            writer.write(question.wire())
            head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            headers = dict(line.lower().split(b": ", 1) for line in head[1:] if b": " in line)
            status = int(head[0].split(b" ", 2)[1])
            closes = headers.get(b"connection") == b"close"
            if question.method == b"HEAD":
                body = b""
            elif b"content-length" in headers:
                body = await reader.readexactly(int(headers[b"content-length"]))
            else:
                body, closes = await reader.read() if closes else b"", True
            if closes:
                await self.close()
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        return HttpAnswer(status, content_type, body, perf_counter() - started)

    async def close(self) -> None:
        """Closes the connection, if it is open."""
        if self._streams is not None:
            writer, self._streams = self._streams[1], None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


class Maker:
    """Makes the requests of one seed: every tenth delivers events, the others are questions."""

    def __init__(self, questions: QuestionMaker, deliveries: DeliveryMaker) -> None:
        self._questions: Final = questions
        self._deliveries: Final = deliveries

    def make(self, number: int) -> Question | Delivery:
        """Request ``number``."""
        if number % EVENTS_EVERY == EVENTS_EVERY - 1:
            return self._deliveries.make(number // EVENTS_EVERY)
        return self._questions.make(number)


async def _fuzz(port: int, numbers: Iterator[int], maker: Maker, until: float, report: Report) -> None:
    connection = Connection(port)
    for number in numbers:
        if monotonic() > until:
            break
        question = maker.make(number)
        report.sent += 1
        try:
            answer = await connection.ask(question)
        except NO_ANSWER as error:
            await connection.close()
            report.note(Offence(number, "no answer", question, None, f"{type(error).__name__}: {error}"))
            if report.offences["no answer"] > 100:
                break
        else:
            if isinstance(question, Question):
                examine(number, question, answer, report)
            else:
                examine_delivery(number, question, answer, report)
    await connection.close()


async def _run(port: int, numbers: range, maker: Maker, seconds: float, report: Report) -> None:
    started = monotonic()
    shared = iter(numbers)
    await asyncio.gather(*(_fuzz(port, shared, maker, started + seconds, report) for _ in range(CONNECTIONS)))
    report.seconds = monotonic() - started
    question = Question(b"GET", b"/metrics", None, close=True)
    try:
        metrics = await Connection(port).ask(question)
    except NO_ANSWER as error:
        report.note(Offence(-1, "no answer", question, None, f"the server is gone: {error}"))
        return
    report.server_errors = sum(
        int(float(line.rpartition(" ")[2]))
        for line in metrics.body.decode().splitlines()
        if line.startswith("policy_answers_total{") and 'outcome="error"' in line
    )


@contextmanager
def server(rules: Path, environment: dict[str, str]) -> Iterator[tuple[int, deque[str]]]:
    """A server of its own on a free port of loopback: the port, and what it said that is no line of the decision log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    said: deque[str] = deque(maxlen=60)
    command = [sys.executable, "-m", "policy_server", "serve", "--port", str(port), "--rules", str(rules.resolve())]
    # In a folder of its own it finds no .env of somebody else's.
    with (
        TemporaryDirectory() as folder,
        subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment(PYTHONPATH=str(ROOT), POLICY_LOG_FORMAT="json") | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        listener = Thread(target=_listen, args=(process, said), daemon=True)
        listener.start()
        try:
            _wait_for(port, process, said)
            yield port, said
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
            listener.join(PATIENCE)


def _listen(process: "subprocess.Popen[bytes]", said: deque[str]) -> None:
    for line in process.stderr or ():
        if not line.startswith(b'{"time"'):
            said.append(line.decode("utf-8", "replace").rstrip())


def _wait_for(port: int, process: "subprocess.Popen[bytes]", said: deque[str]) -> None:
    until = monotonic() + PATIENCE
    while monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            sleep(0.05)
        else:
            return
    raise RuntimeError("the server does not start:\n" + "\n".join(said))


def fuzz(numbers: range, seed: int, seconds: float) -> Report:
    """Starts a server, asks it the questions of these numbers, and reports."""
    keyring = Keyring.from_text(SECRET_KEY)
    calls = [
        keyring.sign(kind, end, bytes([place]) * NONCE_BYTES) for kind, end, place in product(LINKS, ENDS, range(64))
    ]
    questions = QuestionMaker(seed, [golden.target.encode() for golden in read_all()], names_of(calls))
    rooms = [name for call in calls for name in (call.id, call.id, f"mp{call.session}", f"hcp{call.agent}")]
    maker = Maker(questions, DeliveryMaker(seed, rooms))
    report = Report(ledger=Ledger(name for call in calls for name in (call.session, call.agent)))
    with TemporaryDirectory(prefix="policy-server-fuzz-") as folder:
        database = Path(folder, "policy.db")
        rules = copytree(RULES, Path(folder, "rules"))
        copyfile(FUZZ_RULES, rules / "15-fuzz.yaml")
        environment = {
            "POLICY_PEXIP_USERNAME": USERNAME,
            "POLICY_PEXIP_PASSWORD": PASSWORD,
            "POLICY_EVENTS_USERNAME": SINK_USERNAME,
            "POLICY_EVENTS_PASSWORD": SINK_PASSWORD,
            "POLICY_SECRET_KEY": SECRET_KEY,
            "POLICY_PREFIX": PREFIX.decode(),
            "POLICY_TRUSTED_PROXIES": "127.0.0.1",
            "POLICY_DATABASE_URL": f"sqlite:///{database}",
        }
        with server(rules, environment | KIOSK) as (port, said):
            uvloop.run(_run(port, numbers, maker, seconds, report))
        report.server_said = tuple(said)
        report.unkept = tuple(report.ledger.audit(database))
    return report


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the policy server over HTTP.")
    parser.add_argument(
        "--count", type=int, default=COUNT, help="questions and deliveries to send (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same questions")
    parser.add_argument("--seconds", type=float, default=1800, help="stop after this many seconds")
    parser.add_argument("--only", type=int, metavar="N", help="send nothing but question N, to see it again")
    given = parser.parse_args()
    numbers = range(given.count) if given.only is None else range(given.only, given.only + 1)
    report = fuzz(numbers, given.seed, given.seconds)
    print(f"seed                              {given.seed}")
    for line in report.lines():
        print(line)
    if report.first:
        print(f"again: python -m tests.fuzz --seed {given.seed} --only NUMBER")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
