"""The rules folder on disk: reading all that is rules in it, and what lies beside them."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from policy_server.rulefiles.absent import (
    BEGINNING_BYTES,
    RULE_ENDING,
    begins_like_rules,
    is_named_like_rules,
    name_to_read,
)
from policy_server.rulefiles.document_text import MAX_BYTES
from policy_server.rulefiles.merge import RuleFiles
from policy_server.rulefiles.pages import TEMPLATE_BYTES, TEMPLATE_ENDINGS
from policy_server.rulefiles.pictures import PICTURE_BYTES, PICTURE_ENDINGS
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.rulefiles.tables import TABLE_BYTES, TABLE_ENDINGS

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
        return Folder(RuleFiles({}, {}, shown_path(folder)), {}, (problem_at(folder, message),))
    for path in paths:
        if path.name.endswith(RULE_ENDING):
            data = read_file(path, MAX_BYTES, problems, folder)
            if data is not None:
                (tests if path.name.endswith(TEST_ENDING) else documents)[str(path)] = data
    beside = [path for top in tops for path in files_below(top)]
    problems += _unread(folder, paths, [*beside, *_files_of_linked_folders(entries, folder)])
    pictures = _Beside("pictures", PICTURE_ENDINGS, PICTURE_BYTES, PICTURES_LIMIT, PICTURES_BYTES)
    templates = _Beside("page templates", TEMPLATE_ENDINGS, TEMPLATE_BYTES, TEMPLATES_LIMIT, TEMPLATES_BYTES)
    tables = _Beside("tables", TABLE_ENDINGS, TABLE_BYTES, TABLES_LIMIT, TABLES_BYTES)
    files = RuleFiles(
        documents,
        pictures.read(folder, beside, problems),
        shown_path(folder),
        # Templates lie in folders of their own; beside the rules there may be their JSON Schema.
        templates.read(folder, [path for path in beside if path.parent != folder], problems),
        tables.read(folder, beside, problems),
    )
    return Folder(files, tests, tuple(problems))


def shown_path(path: Path) -> str:
    """A path to show; file names need not be UTF-8."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def problem_at(path: Path, message: str, severity: Severity = Severity.ERROR) -> Problem:
    """A problem with a file as a whole."""
    return Problem(Place(shown_path(path)), severity, message)


def read_file(path: Path, limit: int, problems: list[Problem], folder: Path) -> bytes | None:
    """What a file of the rules folder holds; a link counts as the file that it leads to, which must lie there too."""
    if shown_path(path) != str(path):
        problems.append(problem_at(path, "the name of this file is not UTF-8; rename it"))
        return None
    try:
        real = path.resolve(strict=True) if path.is_symlink() else path
        if real is not path and not real.is_relative_to(folder.resolve()):
            # What it leads to may be a key, of which parts would stand in problems, pages or answers.
            message = "this link leads out of the rules folder, so it is not read; put the file itself here"
            problems.append(problem_at(path, message))
            return None
        # A pipe would never end, or never begin. A link that was put in place of the file just now is not followed.
        with os.fdopen(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                message = "this is not a file that can be read, but a pipe or a device; remove it"
                problems.append(problem_at(path, message))
                return None
            # One byte more than allowed lets the checker see that there was more, without reading it all.
            return file.read(limit + 1)
    except (OSError, RuntimeError) as error:
        # A link in circles is a RuntimeError.
        reason = getattr(error, "strerror", None) or "its link leads in circles"
        problems.append(problem_at(path, f"the file cannot be read: {reason}"))
        return None


def _unread(folder: Path, paths: Iterable[Path], below: Iterable[Path]) -> list[Problem]:
    """Warnings of what looks like a rule file, in the folder and below it, and is not read."""
    found: list[Problem] = []
    names = {path.name for path in paths}
    for path in paths:
        if path.name.endswith(RULE_ENDING) or not (is_named_like_rules(path.name) or _begins_like_rules(path)):
            continue
        good = name_to_read(path.name)
        remedy = f"{shown_path(Path(good))} is there too: delete this one, or move it out of the folder"
        if good not in names:
            remedy = f"rename it to {shown_path(Path(good))}"
        found.append(
            problem_at(path, f"rule files end in {RULE_ENDING}, so this one is not read; {remedy}", Severity.WARNING)
        )
    for path in below:
        if path.parent != folder and not path.name.startswith(".") and is_named_like_rules(path.name):
            message = "rule files lie in the rules folder itself, so this one is not read; move it there, or out of the folder"
            found.append(problem_at(path, message, Severity.WARNING))
    if len(found) > MOST_UNREAD:
        message = f"{len(found) - MOST_UNREAD} more files look like rule files and are not read"
        found[MOST_UNREAD:] = [problem_at(folder, message, Severity.WARNING)]
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
                problems.append(problem_at(path, f"no more than {limits} are read, so not this one", Severity.WARNING))
                break
            data = read_file(path, self.file_bytes, problems, folder)
            if data is not None:
                size += len(data)
                found[path.relative_to(folder).as_posix()] = data
        return found


def _leads_below(path: Path, folder: Path) -> bool:
    """Whether an entry is a link to a folder that lies in this one too, as in a volume that Kubernetes mounts."""
    if path.name.startswith(".") or not path.is_symlink() or not path.is_dir():
        return False
    return path.resolve().is_relative_to(folder.resolve())


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in a folder and below it; hidden folders are left alone."""
    for directory, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (Path(directory, name) for name in sorted(names))
