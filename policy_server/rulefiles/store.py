"""The rules folder on disk: reading it, and keeping the rules that run up to date (DESIGN section 9)."""

import gc
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Final

from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.document_text import MAX_BYTES
from policy_server.rulefiles.load import Loaded, RuleFiles, load_rules
from policy_server.rulefiles.pictures import PICTURE_BYTES, PICTURE_ENDINGS
from policy_server.rulefiles.problems import Place, Problem, Severity

RULE_ENDINGS: Final = (".yaml", ".yml")
TEST_ENDING: Final = ".test.yaml"
PICTURES_LIMIT: Final = 500
PICTURES_BYTES: Final = 64 * 1024 * 1024
"""Pictures that are read: all are looked at whenever somebody might have changed the folder."""
MOST_LOGGED: Final = 20
"""Problems of refused rules that one line of the log lists."""

log = logging.getLogger(__name__)


class RulesError(Exception):
    """Rules that cannot be used, with every problem."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} problems in the rules")
        self.problems: Final = problems


@dataclass(frozen=True, slots=True)
class Folder:
    """What was read from disk: the rule files, the rule tests, and the problems of reading."""

    rules: RuleFiles
    tests: Mapping[str, bytes]
    problems: tuple[Problem, ...]

    @property
    def unreadable(self) -> bool:
        """Whether something could not be read, so that the rest must not be taken for the whole."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)


def read_folder(folder: Path) -> Folder:
    """Reads every rule file, rule test and picture of a folder; a file that cannot be read is a problem."""
    problems: list[Problem] = []
    documents: dict[str, bytes] = {}
    tests: dict[str, bytes] = {}
    try:
        paths = sorted(
            path for path in folder.iterdir() if path.name.lower().endswith(RULE_ENDINGS) and not path.is_dir()
        )
    except OSError as error:
        message = (
            f"the rules folder cannot be read: {error.strerror or error}; name another with --rules or POLICY_RULES"
        )
        return Folder(RuleFiles({}, {}, _name(folder)), {}, (_problem(folder, message),))
    for path in paths:
        if path.name.startswith("."):
            continue
        if path.suffix != ".yaml":
            message = f"rule files end in .yaml, so this one is not read; rename it to {_name(Path(path.stem))}.yaml"
            problems.append(_problem(path, message, Severity.WARNING))
            continue
        data = _read(path, MAX_BYTES, problems)
        if data is not None:
            (tests if path.name.endswith(TEST_ENDING) else documents)[str(path)] = data
    return Folder(RuleFiles(documents, _read_pictures(folder, problems), _name(folder)), tests, tuple(problems))


def _name(path: Path) -> str:
    """A path to show; file names need not be UTF-8."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _problem(path: Path, message: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(Place(_name(path)), severity, message)


def _read(path: Path, limit: int, problems: list[Problem]) -> bytes | None:
    if _name(path) != str(path):
        problems.append(_problem(path, "the name of this file is not UTF-8; rename it"))
        return None
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # A pipe would never end, or never begin.
            problems.append(_problem(path, "this is not a file that can be read, but a pipe or a device; remove it"))
            return None
        # One byte more than allowed lets the checker see that there was more, without reading it all.
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        problems.append(_problem(path, f"the file cannot be read: {error.strerror or error}"))
        return None


def _read_pictures(folder: Path, problems: list[Problem]) -> dict[str, bytes]:
    pictures: dict[str, bytes] = {}
    size = 0
    for path in _pictures(folder):
        if len(pictures) >= PICTURES_LIMIT or size > PICTURES_BYTES:
            limits = f"{PICTURES_LIMIT} pictures or {PICTURES_BYTES // 1024 // 1024} MiB of them"
            problems.append(_problem(path, f"no more than {limits} are read, so not this one", Severity.WARNING))
            break
        data = _read(path, PICTURE_BYTES, problems)
        if data is not None:
            size += len(data)
            pictures[path.relative_to(folder).as_posix()] = data
    return pictures


def _pictures(folder: Path) -> Iterator[Path]:
    for directory, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (Path(directory, name) for name in sorted(names) if name.lower().endswith(PICTURE_ENDINGS))


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Loading makes a million objects and hardly any garbage; looking for it again and again takes half of the time.

    What there is at the end counts as permanent, so that it is not looked through at the first occasion either.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


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
        return Loaded(loaded.ruleset, (*read.problems, *loaded.problems))
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


class RuleStore:
    """The rules that run. ``reload`` does every fallible thing first and assigns one reference last."""

    def __init__(self, folder: Path, now: Callable[[], datetime], environment: Mapping[str, str]) -> None:
        """Reads the folder; raises RulesError when it cannot be used."""
        self._folder: Final = folder
        self._now: Final = now
        self._environment: Final = environment
        self._loading: Final = Lock()
        loaded, _ = load_folder(folder, now(), environment=environment, deployed=True)
        if loaded.ruleset is None:
            raise RulesError(loaded.problems)
        self.ruleset: Ruleset = loaded.ruleset
        self.state: ReloadState = ReloadState(now(), loaded.problems)
        self.reloads: dict[str, int] = {"loaded": 1, "refused": 0}
        self._warnings = loaded.problems
        self._refused: tuple[str, tuple[Problem, ...]] | None = None

    def reload(self) -> bool:
        """Takes the folder's content into force if it changed and is good; says whether new rules run now."""
        with self._loading:
            read = read_folder(self._folder)
            revision = read.rules.revision
            if not read.unreadable and revision == self.ruleset.revision:
                self._restore(revision)
                return False
            if (revision, read.problems) == self._refused:
                return False
            loaded = _load(read, self._now(), self._environment, deployed=True)
            if read_folder(self._folder) != read:
                # Somebody is still writing; half of a file may well be good rules. The next look sees all of it.
                return False
            if loaded.ruleset is None:
                self._refused = (revision, read.problems)
                self._refuse(revision, loaded.problems)
                return False
            self.ruleset = loaded.ruleset
            self.state = ReloadState(self._now(), loaded.problems)
            self._warnings = loaded.problems
            self._refused = None
            self.reloads["loaded"] += 1
            log.info("rules.loaded: revision %s, %d rules", revision, loaded.ruleset.count)
            return True

    def _restore(self, revision: str) -> None:
        if self.state.refused:
            log.info("rules.restored: revision %s, which is the one that runs", revision)
            self.state = ReloadState(self._now(), self._warnings)
            self._refused = None

    def _refuse(self, revision: str, problems: tuple[Problem, ...]) -> None:
        self.reloads["refused"] += 1
        self.state = ReloadState(self._now(), problems, refused_revision=revision)
        errors = [str(problem) for problem in problems if problem.severity is Severity.ERROR]
        more = f"; and {len(errors) - MOST_LOGGED} more" if len(errors) > MOST_LOGGED else ""
        listed = "; ".join(errors[:MOST_LOGGED]) + more
        log.error("rules.refused: revision %s keeps running; %s", self.ruleset.revision, listed)
