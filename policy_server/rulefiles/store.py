"""The rules that run: loading what is in the rules folder, and keeping up with it (README.md: Reload)."""

import gc
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final

from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.absent import gone_rules, may_be
from policy_server.rulefiles.changes import History
from policy_server.rulefiles.document_text import MAX_BYTES
from policy_server.rulefiles.folder import (
    TEST_ENDING,
    Folder,
    files_below,
    problem_at,
    read_file,
    read_folder,
    shown_path,
)
from policy_server.rulefiles.load import Loaded, load_rules
from policy_server.rulefiles.problems import Problem, Severity
from policy_server.wording.values import shown

MOST_LOGGED: Final = 20
"""Problems of refused rules that one line of the log lists."""

SHORT_TURN: Final = 0.0005
"""Seconds after which a thread that loads rules lets another one go on, if it asks."""

log = logging.getLogger(__name__)


class RulesError(Exception):
    """Rules that cannot be used, with every problem."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} problems in the rules")
        self.problems: Final = problems


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Loading makes a million objects and hardly any garbage; looking for it again and again takes half of the time.

    What there is at the end counts as permanent: looking through 10,000 rules for garbage would hold up answers for 100 ms,
    once soon and then now and again. They are freed without that when others replace them. So is what requests had in hand,
    but for some dozens of objects in circles, which stay.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _giving_way() -> Iterator[None]:
    """Lets answers have their turn while this thread loads rules beside them.

    A thread that wants to go on waits for the interpreter as long as the switch interval, usually 5 ms, and an answer wants
    to a dozen times: whenever something arrives, goes out, or comes back from another thread.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SHORT_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def load_folder(
    folder: Path, now: datetime, *, environment: Mapping[str, str] | None = None, deployed: bool = False
) -> tuple[Loaded, Folder]:
    """Reads and compiles a folder."""
    read = read_folder(folder)
    return _load(read, now, environment or {}, deployed=deployed), read


def _load(read: Folder, now: datetime, environment: Mapping[str, str], *, deployed: bool) -> Loaded:
    with _without_garbage_collection():
        loaded = load_rules(read.rules, now, environment=environment, deployed=deployed)
    if not read.unreadable:
        return Loaded(loaded.ruleset, (*read.problems, *loaded.problems), loaded.notes)
    # That there are no rules then only repeats why.
    return Loaded(None, (*read.problems, *(loaded.problems if read.rules.documents else ())))


@dataclass(frozen=True, slots=True)
class ReloadState:
    """How the last look at the folder went."""

    at: datetime
    problems: tuple[Problem, ...] = ()
    refused_revision: str = ""

    @property
    def refused(self) -> bool:
        """Whether files lie there that are not in force, because they have errors."""
        return bool(self.refused_revision)


@dataclass(frozen=True, slots=True)
class _Running:
    """What the rules that run came from: the digests of their files by name, and the warnings of reading and of rules."""

    files: Mapping[str, str]
    of_reading: tuple[Problem, ...]
    of_rules: tuple[Problem, ...]


def _digests(read: Folder) -> dict[str, str]:
    return {Path(path).name: sha256(data).hexdigest() for path, data in read.rules.documents.items()}


def _not_rules(folder: Path, read: Folder) -> Iterator[Path]:
    """Every file in the folder and below it that is not read as rules; hidden folders are left alone."""
    yield from (path for path in files_below(folder) if str(path) not in read.rules.documents)


def _is_like(path: Path, missing: str, digest: str, folder: Path) -> bool:
    if not path.name.endswith(TEST_ENDING) and may_be(missing, path.name):
        return True
    data = read_file(path, MAX_BYTES, [], folder)
    return data is not None and sha256(data).hexdigest() == digest


class RuleStore:
    """The rules that run. ``reload`` does every fallible thing first and assigns one reference last."""

    def __init__(self, folder: Path, now: Callable[[], datetime], environment: Mapping[str, str]) -> None:
        """Reads the folder; raises RulesError when it cannot be used."""
        self._folder: Final = folder
        self._now: Final = now
        self._environment: Final = environment
        self._loading: Final = Lock()
        loaded, read = load_folder(folder, now(), environment=environment, deployed=True)
        if loaded.ruleset is None:
            raise RulesError(loaded.problems)
        self.ruleset: Ruleset = loaded.ruleset
        self.state: ReloadState = ReloadState(now(), loaded.problems)
        self.reloads: dict[str, int] = {"loaded": 1, "refused": 0}
        self.history: Final = History(self.state.at, loaded.ruleset, read.rules)
        self._running = _Running(_digests(read), read.problems, loaded.problems[len(read.problems) :])
        self._refused: tuple[str, tuple[Problem, ...]] | None = None

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is to be said of the rules that run, whatever lies in the folder now."""
        return (*self._running.of_reading, *self._running.of_rules)

    def reload(self) -> bool:
        """Takes the folder's content into force if it changed and is good; says whether new rules run now.

        For a thread of its own beside the one that answers: reading, checking and compiling are Python in small steps,
        between which it gives way. A process of its own would have to hand over what cannot be sent, compiled expressions,
        and taking in the rest would again hold answers up.
        """
        with self._loading, _giving_way():
            read = read_folder(self._folder)
            revision = read.rules.revision
            if not read.unreadable and revision == self.ruleset.revision:
                self._restore(revision, read.problems)
                return False
            renamed = self._renamed(read)
            seen = (revision, (*renamed, *read.problems))
            if seen == self._refused:
                return False
            loaded = _load(read, self._now(), self._environment, deployed=True)
            if read_folder(self._folder) != read:
                # Somebody is still writing; half of a file may well be good rules. The next look sees all of it.
                return False
            if loaded.ruleset is None or renamed:
                self._refused = seen
                self._refuse(revision, (*renamed, *loaded.problems))
                return False
            gone = gone_rules(self.ruleset, loaded.ruleset, read.rules.folder)
            self.history.took(self._now(), loaded.ruleset, read.rules)
            self.ruleset = loaded.ruleset
            self._refused = None
            self.reloads["loaded"] += 1
            log.info("rules.loaded: revision %s, %d rules", revision, loaded.ruleset.count)
            for problem in gone:
                log.warning("rules.gone: %s", problem)
            told, self._running = (
                self._running,
                _Running(_digests(read), read.problems, (*gone, *loaded.problems[len(read.problems) :])),
            )
            self._take_warnings(told.of_reading)
            return True

    def _restore(self, revision: str, of_reading: tuple[Problem, ...]) -> None:
        """The files are those of the rules that run; what lies beside them may be new."""
        told = self._running.of_reading
        if self.state.refused:
            log.info("rules.restored: revision %s, which is the one that runs", revision)
            self._refused = None
        elif of_reading == told:
            return
        self._running = replace(self._running, of_reading=of_reading)
        self._take_warnings(told)

    def _take_warnings(self, told: tuple[Problem, ...]) -> None:
        """Shows the warnings of the rules that run, and logs those of reading that have not been told."""
        running = self._running
        self.state = ReloadState(self._now(), (*running.of_reading, *running.of_rules))
        for problem in running.of_reading:
            if problem not in told:
                log.warning("rules.unread: %s", problem)

    def _renamed(self, read: Folder) -> tuple[Problem, ...]:
        """Rule files that are gone while something like each lies there unread: a name changed by accident must not
        open a door.
        """
        files = self._running.files
        missing = files.keys() - _digests(read).keys()
        if not missing or read.unreadable:
            return ()
        found: list[Problem] = []
        for name in sorted(missing):
            like = next(
                (path for path in _not_rules(self._folder, read) if _is_like(path, name, files[name], self._folder)),
                None,
            )
            if like is not None:
                message = (
                    f"this file is gone, and {shown(shown_path(like.relative_to(self._folder)))} lies there, which is not read: "
                    f"rename it to {name} again, or delete it, or move it out of the folder, if its rules are meant to go"
                )
                found.append(problem_at(self._folder / name, message))
        return tuple(found)

    def _refuse(self, revision: str, problems: tuple[Problem, ...]) -> None:
        self.reloads["refused"] += 1
        self.history.refused(self._now(), revision, problems)
        self.state = ReloadState(self._now(), problems, refused_revision=revision)
        errors = [str(problem) for problem in problems if problem.severity is Severity.ERROR]
        more = f"; and {len(errors) - MOST_LOGGED} more" if len(errors) > MOST_LOGGED else ""
        listed = "; ".join(errors[:MOST_LOGGED]) + more
        log.error("rules.refused: revision %s keeps running; %s", self.ruleset.revision, listed)
