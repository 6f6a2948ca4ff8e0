"""What the server acknowledged of the fuzzer's events, compared with what its database holds in the end."""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import orjson

from policy_server.conferences.packing import unpack
from policy_server.conferences.tables import encode
from policy_server.policy.names import NAME_LENGTH
from policy_server.simulator.judge import HttpAnswer
from tests.fuzz_events import MARK, Delivery

_NAMES: Final = re.compile(rf"[A-Za-z2-7]{{{NAME_LENGTH},}}")

_PACKED: Final = {"events": "SELECT content, room FROM events", "timeline": "SELECT content, key FROM timeline"}


class Ledger:
    """The messages of a run, by their marks. ``doors`` are the names that open a door, which nothing may keep."""

    def __init__(self, doors: Iterable[str] = ()) -> None:
        self._doors: Final = frozenset(doors)
        self.messages = 0
        """Messages that were acknowledged, each as often as it was."""
        self.unreadable = 0
        """Messages that nobody can read."""
        self._acknowledged: set[str] = set()
        self._possible: set[str] = set()
        self._refused: set[str] = set()
        self._new = 0

    def enter(self, delivery: Delivery, answer: HttpAnswer) -> Iterator[str]:
        """Enters a delivery and its answer; says what is wrong with the answer."""
        if delivery.method != b"POST":
            yield from self._refuse(delivery, answer, 405, "only POST delivers")
        elif not delivery.authorized:
            yield from self._refuse(delivery, answer, 401, "the credentials are wrong")
        elif answer.status != 200:
            self._possible.update(delivery.marks)
            yield "whatever a delivery contains, it is taken"
        else:
            yield from self._take(delivery, answer)

    def _refuse(self, delivery: Delivery, answer: HttpAnswer, status: int, why: str) -> Iterator[str]:
        self._refused.update(delivery.marks)
        if answer.status != status:
            yield why

    def _take(self, delivery: Delivery, answer: HttpAnswer) -> Iterator[str]:
        told = orjson.loads(answer.body)
        received, new, unreadable = told["received"], told["new"], told.get("unreadable", 0)
        self.messages += received
        self.unreadable += unreadable
        self._new += new
        self._acknowledged.update(delivery.marks)
        expected = len(delivery.marks)
        if received < expected or (delivery.unreadable is not None and received > expected):
            yield f"{expected} messages can be read, {received} were"
        if delivery.unreadable not in (None, unreadable):
            yield f"{delivery.unreadable} messages cannot be read, {unreadable} were counted"
        if new > received:
            yield f"{new} of {received} messages are new"

    def audit(self, database: Path) -> Iterator[str]:
        """What is wrong with the database that the server has left."""
        stored: Counter[str] = Counter()
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            rows = connection.execute(_PACKED["events"]).fetchall()
            doors = set(self._doors_in(connection))
        for content, room in rows:
            *_, data, envelope = unpack(content, room)
            stored[str(data.get(MARK, "") or envelope.get(MARK, ""))] += 1
        del stored[""]
        if lost := self._acknowledged - stored.keys():
            yield f"{len(lost)} messages are acknowledged and not stored: {_some(lost)}"
        if doubled := {mark for mark, count in stored.items() if count > 1}:
            yield f"{len(doubled)} messages are stored more than once: {_some(doubled)}"
        if strange := (self._refused - self._acknowledged - self._possible) & stored.keys():
            yield f"{len(strange)} messages are stored that were refused: {_some(strange)}"
        if doors:
            yield f"what opens a door is in the table {', '.join(sorted(doors))}"
        if len(rows) != self._new:
            yield f"{self._new} messages were said to be new, and {len(rows)} are stored"

    def _doors_in(self, connection: sqlite3.Connection) -> Iterator[str]:
        """The tables in which a name stands that opens a door."""
        for statement in connection.iterdump():
            if statement.startswith("INSERT") and not self._doors.isdisjoint(_names_in(statement)):
                yield statement.split('"')[1]
        for table, statement in _PACKED.items():
            for content, name in connection.execute(statement):
                if not self._doors.isdisjoint(_names_in(encode(unpack(content, name)))):
                    yield table


def _names_in(text: str) -> Iterator[str]:
    """Every piece of a text that may be a name of a call."""
    for run in _NAMES.findall(text):
        for start in range(len(run) - NAME_LENGTH + 1):
            yield run[start : start + NAME_LENGTH].lower()


def _some(marks: set[str]) -> str:
    return ", ".join(sorted(marks)[:10])
