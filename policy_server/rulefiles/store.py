"""The rules folder on disk: reading it, and keeping the rules that run up to date (README.md: Reload)."""

import gc
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final

from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.absent import (
    BEGINNING_BYTES,
    RULE_ENDING,
    begins_like_rules,
    gone_rules,
    is_named_like_rules,
    may_be,
    name_to_read,
)
from policy_server.rulefiles.changes import History
from policy_server.rulefiles.document_text import MAX_BYTES
from policy_server.rulefiles.load import Loaded, load_rules
from policy_server.rulefiles.merge import RuleFiles
from policy_server.rulefiles.pages import TEMPLATE_BYTES, TEMPLATE_ENDINGS
from policy_server.rulefiles.pictures import PICTURE_BYTES, PICTURE_ENDINGS
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.rulefiles.tables import TABLE_BYTES, TABLE_ENDINGS
from policy_server.wording.values import shown

TEST_ENDING: Final = ".test.yaml"
PICTURES_LIMIT: Final = 500
PICTURES_BYTES: Final = 64 * 1024 * 1024
"""Pictures that are read: all are looked at whenever somebody might have changed the folder."""
TEMPLATES_LIMIT: Final = 500
TEMPLATES_BYTES: Final = 16 * 1024 * 1024
"""The same for page templates."""
TABLES_LIMIT: Final = 200
TABLES_BYTES: Final = 32 * 1024 * 1024
"""The same for tables."""
MOST_UNREAD: Final = 20
"""Files that look like rules and are not read of which each is told."""
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
    """Reads every rule file, rule test, picture, page template and table of a folder; a file that cannot be read is a problem."""
    problems: list[Problem] = []
    documents: dict[str, bytes] = {}
    tests: dict[str, bytes] = {}
    try:
        entries = sorted(folder.iterdir())
        paths = [path for path in entries if not path.name.startswith(".") and not path.is_dir()]
        tops = [folder, *(path for path in entries if _leads_below(path, folder))]
    except OSError as error:
        message = (
            f"the rules folder cannot be read: {error.strerror or error}; name another with --rules or POLICY_RULES"
        )
        return Folder(RuleFiles({}, {}, _name(folder)), {}, (_problem(folder, message),))
    for path in paths:
        if path.name.endswith(RULE_ENDING):
            data = _read(path, MAX_BYTES, problems, folder)
            if data is not None:
                (tests if path.name.endswith(TEST_ENDING) else documents)[str(path)] = data
    beside = [path for top in tops for path in _files_below(top)]
    problems += _unread(folder, paths, [*beside, *_files_of_linked_folders(entries, folder)])
    pictures = _Beside("pictures", PICTURE_ENDINGS, PICTURE_BYTES, PICTURES_LIMIT, PICTURES_BYTES)
    templates = _Beside("page templates", TEMPLATE_ENDINGS, TEMPLATE_BYTES, TEMPLATES_LIMIT, TEMPLATES_BYTES)
    tables = _Beside("tables", TABLE_ENDINGS, TABLE_BYTES, TABLES_LIMIT, TABLES_BYTES)
    files = RuleFiles(
        documents,
        pictures.read(folder, beside, problems),
        _name(folder),
        # Templates lie in folders of their own; beside the rules there may be their JSON Schema.
        templates.read(folder, [path for path in beside if path.parent != folder], problems),
        tables.read(folder, beside, problems),
    )
    return Folder(files, tests, tuple(problems))


def _name(path: Path) -> str:
    """A path to show; file names need not be UTF-8."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _problem(path: Path, message: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(Place(_name(path)), severity, message)


def _read(path: Path, limit: int, problems: list[Problem], folder: Path) -> bytes | None:
    """What a file of the rules folder holds; a link counts as the file that it leads to, which must lie there too."""
    if _name(path) != str(path):
        problems.append(_problem(path, "the name of this file is not UTF-8; rename it"))
        return None
    try:
        real = path.resolve(strict=True) if path.is_symlink() else path
        if real is not path and not real.is_relative_to(folder.resolve()):
            # What it leads to may be a key, of which parts would stand in problems, pages or answers.
            message = "this link leads out of the rules folder, so it is not read; put the file itself here"
            problems.append(_problem(path, message))
            return None
        # A pipe would never end, or never begin. A link that was put in place of the file just now is not followed.
        with os.fdopen(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                message = "this is not a file that can be read, but a pipe or a device; remove it"
                problems.append(_problem(path, message))
                return None
            # One byte more than allowed lets the checker see that there was more, without reading it all.
            return file.read(limit + 1)
    except (OSError, RuntimeError) as error:
        # A link in circles is a RuntimeError.
        reason = getattr(error, "strerror", None) or "its link leads in circles"
        problems.append(_problem(path, f"the file cannot be read: {reason}"))
        return None


def _unread(folder: Path, paths: Iterable[Path], below: Iterable[Path]) -> list[Problem]:
    """Warnings of what looks like a rule file, in the folder and below it, and is not read."""
    found: list[Problem] = []
    names = {path.name for path in paths}
    for path in paths:
        if path.name.endswith(RULE_ENDING) or not (is_named_like_rules(path.name) or _begins_like_rules(path)):
            continue
        good = name_to_read(path.name)
        remedy = f"{_name(Path(good))} is there too: delete this one, or move it out of the folder"
        if good not in names:
            remedy = f"rename it to {_name(Path(good))}"
        found.append(
            _problem(path, f"rule files end in {RULE_ENDING}, so this one is not read; {remedy}", Severity.WARNING)
        )
    for path in below:
        if path.parent != folder and not path.name.startswith(".") and is_named_like_rules(path.name):
            message = "rule files lie in the rules folder itself, so this one is not read; move it there, or out of the folder"
            found.append(_problem(path, message, Severity.WARNING))
    if len(found) > MOST_UNREAD:
        message = f"{len(found) - MOST_UNREAD} more files look like rule files and are not read"
        found[MOST_UNREAD:] = [_problem(folder, message, Severity.WARNING)]
    return found


def _begins_like_rules(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return begins_like_rules(file.read(BEGINNING_BYTES))
    except OSError:
        return False


def _files_of_linked_folders(entries: Iterable[Path], folder: Path) -> Iterator[Path]:
    """What lies in folders elsewhere to which links in this one lead."""
    for path in entries:
        if path.is_symlink() and not path.name.startswith(".") and path.is_dir() and not _leads_below(path, folder):
            try:
                yield from sorted(each for each in path.iterdir() if not each.is_dir())
            except OSError:
                continue


@dataclass(frozen=True, slots=True)
class _Beside:
    """A kind of files beside the rules: what it is called, how names end, and limits: bytes of a file, files, bytes."""

    noun: str
    endings: tuple[str, ...]
    file_bytes: int
    most: int
    most_bytes: int

    def read(self, folder: Path, paths: Iterable[Path], problems: list[Problem]) -> dict[str, bytes]:
        """Those of this kind among the paths, by their path below the folder."""
        found: dict[str, bytes] = {}
        size = 0
        for path in paths:
            if not path.name.lower().endswith(self.endings):
                continue
            if len(found) >= self.most or size > self.most_bytes:
                limits = f"{self.most} {self.noun} or {self.most_bytes // 1024 // 1024} MiB of them"
                problems.append(_problem(path, f"no more than {limits} are read, so not this one", Severity.WARNING))
                break
            data = _read(path, self.file_bytes, problems, folder)
            if data is not None:
                size += len(data)
                found[path.relative_to(folder).as_posix()] = data
        return found


def _leads_below(path: Path, folder: Path) -> bool:
    """Whether an entry is a link to a folder that lies in this one too, as in a volume that Kubernetes mounts."""
    if path.name.startswith(".") or not path.is_symlink() or not path.is_dir():
        return False
    return path.resolve().is_relative_to(folder.resolve())


def _files_below(folder: Path) -> Iterator[Path]:
    for directory, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (Path(directory, name) for name in sorted(names))


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
    yield from (path for path in _files_below(folder) if str(path) not in read.rules.documents)


def _is_like(path: Path, missing: str, digest: str, folder: Path) -> bool:
    if not path.name.endswith(TEST_ENDING) and may_be(missing, path.name):
        return True
    data = _read(path, MAX_BYTES, [], folder)
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
                    f"this file is gone, and {shown(_name(like.relative_to(self._folder)))} lies there, which is not read: "
                    f"rename it to {name} again, or delete it, or move it out of the folder, if its rules are meant to go"
                )
                found.append(_problem(self._folder / name, message))
        return tuple(found)

    def _refuse(self, revision: str, problems: tuple[Problem, ...]) -> None:
        self.reloads["refused"] += 1
        self.history.refused(self._now(), revision, problems)
        self.state = ReloadState(self._now(), problems, refused_revision=revision)
        errors = [str(problem) for problem in problems if problem.severity is Severity.ERROR]
        more = f"; and {len(errors) - MOST_LOGGED} more" if len(errors) > MOST_LOGGED else ""
        listed = "; ".join(errors[:MOST_LOGGED]) + more
        log.error("rules.refused: revision %s keeps running; %s", self.ruleset.revision, listed)
