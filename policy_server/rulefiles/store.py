"""The rules folder on disk: reading it, and keeping the rules that run up to date (DESIGN section 9)."""

import logging
import os
from collections.abc import Callable, Mapping
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


def read_folder(folder: Path) -> Folder:
    """Reads every rule file, rule test and picture of a folder; a file that cannot be read is a problem."""
    problems: list[Problem] = []
    documents: dict[str, bytes] = {}
    tests: dict[str, bytes] = {}
    try:
        names = sorted(entry for entry in folder.iterdir() if entry.name.endswith(RULE_ENDINGS) and not entry.is_dir())
    except OSError as error:
        message = (
            f"the rules folder cannot be read: {error.strerror or error}; name another with --rules or POLICY_RULES"
        )
        return Folder(RuleFiles({}, {}, str(folder)), {}, (Problem(Place(str(folder)), Severity.ERROR, message),))
    for path in names:
        if path.name.startswith("."):
            continue
        kind = tests if path.name.endswith(TEST_ENDING) else documents
        data = _read(path, MAX_BYTES, problems)
        if data is not None:
            if path.suffix == ".yml":
                message = f"rule files end in .yaml, so this one is not read; rename it to {path.stem}.yaml"
                problems.append(Problem(Place(str(path)), Severity.WARNING, message))
                continue
            kind[str(path)] = data
    return Folder(RuleFiles(documents, _read_pictures(folder, problems), str(folder)), tests, tuple(problems))


def _read(path: Path, limit: int, problems: list[Problem]) -> bytes | None:
    try:
        # One byte more than allowed lets the checker see that there was more, without reading it all.
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        problems.append(
            Problem(Place(str(path)), Severity.ERROR, f"the file cannot be read: {error.strerror or error}")
        )
        return None


def _read_pictures(folder: Path, problems: list[Problem]) -> dict[str, bytes]:
    pictures: dict[str, bytes] = {}
    for directory, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(PICTURE_ENDINGS) and len(pictures) < PICTURES_LIMIT:
                path = Path(directory, name)
                data = _read(path, PICTURE_BYTES, problems)
                if data is not None:
                    pictures[path.relative_to(folder).as_posix()] = data
    return pictures


def load_folder(
    folder: Path, now: datetime, *, environment: Mapping[str, str] | None = None, deployed: bool = False
) -> tuple[Loaded, Folder]:
    """Reads and compiles a folder."""
    read = read_folder(folder)
    loaded = load_rules(read.rules, now, environment=environment, deployed=deployed)
    problems = (*read.problems, *loaded.problems)
    failed = any(problem.severity is Severity.ERROR for problem in problems)
    if read.problems and not read.rules.documents:
        # That there are no rules only repeats why.
        problems = read.problems
    return Loaded(None if failed else loaded.ruleset, problems), read


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

    def reload(self) -> bool:
        """Takes the folder's content into force if it changed and is good; says whether new rules run now."""
        with self._loading:
            read = read_folder(self._folder)
            revision = read.rules.revision
            unreadable = [problem for problem in read.problems if problem.severity is Severity.ERROR]
            if not unreadable and revision == self.ruleset.revision:
                if self.state.refused:
                    log.info("rules.restored: revision %s, which is the one that runs", revision)
                    self.state = ReloadState(self._now())
                return False
            if revision == self.state.refused_revision:
                return False
            loaded = load_rules(read.rules, self._now(), environment=self._environment, deployed=True)
            problems = (*read.problems, *(() if unreadable else loaded.problems))
            if unreadable or loaded.ruleset is None:
                self._refuse(revision, problems)
                return False
            self.ruleset = loaded.ruleset
            self.state = ReloadState(self._now(), problems)
            self.reloads["loaded"] += 1
            log.info("rules.loaded: revision %s, %d rules", revision, loaded.ruleset.count)
            return True

    def _refuse(self, revision: str, problems: tuple[Problem, ...]) -> None:
        self.reloads["refused"] += 1
        self.state = ReloadState(self._now(), problems, refused_revision=revision)
        listed = "; ".join(str(problem) for problem in problems if problem.severity is Severity.ERROR)
        log.error("rules.refused: revision %s keeps running; %s", self.ruleset.revision, listed)
