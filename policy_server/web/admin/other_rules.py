"""Rules that somebody pasted or uploaded, as the files of a rules folder. Nothing of them is written to disk.

One text may hold several files: each begins with a line ``# file: NAME``. What stands before the first such line is a file of
its own. Of an uploaded folder the names go on below it.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from policy_server.rulefiles.absent import RULE_ENDING
from policy_server.rulefiles.folder import TEST_ENDING
from policy_server.rulefiles.merge import RuleFiles
from policy_server.rulefiles.pages import TEMPLATE_ENDINGS
from policy_server.rulefiles.pictures import PICTURE_ENDINGS
from policy_server.rulefiles.tables import TABLE_ENDINGS
from policy_server.wording.values import shown

PASTED: Final = f"pasted{RULE_ENDING}"
"""What a text is called that does not say."""

MOST_FILES: Final = 500
LONGEST_NAME: Final = 200

_FILE: Final = re.compile(r"^#[ \t]*file:[ \t]*(.*?)[ \t]*$", re.MULTILINE | re.IGNORECASE)


class Upload(NamedTuple):
    """A file that a browser sent: its name, below a folder with slashes, and what it holds."""

    name: str
    content: bytes


class NoRulesError(ValueError):
    """What was given is no set of files; the message says what is wrong."""


def files_of_text(text: str) -> dict[str, bytes]:
    """The files of one text. Raises NoRulesError."""
    text = text.replace("\r\n", "\n")
    files: dict[str, bytes] = {}
    heads = list(_FILE.finditer(text))
    before = text[: heads[0].start()] if heads else text
    if before.strip():
        files[PASTED] = before.encode("utf-8", "replace")
    for place, head in enumerate(heads):
        end = heads[place + 1].start() if place + 1 < len(heads) else len(text)
        _add(files, head[1], text[head.end() + 1 : end].encode("utf-8", "replace"))
    return files


def files_of_uploads(uploads: Iterable[Upload]) -> dict[str, bytes]:
    """The files of an upload, below the folder that all of them lie in. Raises NoRulesError."""
    named = [(upload.name.strip("/").split("/"), upload.content) for upload in uploads]
    in_one = len({parts[0] for parts, _ in named}) == 1 and all(len(parts) > 1 for parts, _ in named)
    files: dict[str, bytes] = {}
    for parts, content in named:
        below = parts[1:] if in_one else parts
        if not any(part.startswith(".") and part not in {".", ".."} for part in below):
            _add(files, "/".join(below), content)
    return files


def rule_files(files: Mapping[str, bytes]) -> RuleFiles:
    """The files as those of a rules folder are read: rules at its top, and what rules name, wherever it lies. Rule tests,
    and what no rule could name, are left out.
    """
    documents: dict[str, bytes] = {}
    beside: dict[tuple[str, ...], dict[str, bytes]] = {PICTURE_ENDINGS: {}, TEMPLATE_ENDINGS: {}, TABLE_ENDINGS: {}}
    for name, content in sorted(files.items()):
        if "/" not in name and name.endswith(RULE_ENDING) and not name.endswith(TEST_ENDING):
            documents[name] = content
        for endings, kind in beside.items():
            if name.lower().endswith(endings) and (endings != TEMPLATE_ENDINGS or "/" in name):
                kind[name] = content
    return RuleFiles(
        documents,
        beside[PICTURE_ENDINGS],
        "the rules here",
        beside[TEMPLATE_ENDINGS],
        beside[TABLE_ENDINGS],
    )


def _add(files: dict[str, bytes], name: str, content: bytes) -> None:
    path = PurePosixPath(name)
    if not name or len(name) > LONGEST_NAME or path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise NoRulesError(
            f"a file is named as it lies in the rules folder, such as 50-service.yaml or tables/queues.csv, but this one is "
            f"{shown(name[:LONGEST_NAME])}"
        )
    clean = path.as_posix()
    if clean in files:
        raise NoRulesError(f"there are two files {shown(clean)}; give each once")
    if len(files) >= MOST_FILES:
        raise NoRulesError(f"there are more than {MOST_FILES} files; give the rules folder alone")
    files[clean] = content
