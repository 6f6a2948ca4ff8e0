"""What code and tests cite is there: pages, headings, rule ids, and the names that the maintainer's page leads to."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import ROOT

PACKAGE: Final = ROOT / "policy_server"
PAGES: Final = {str(page.relative_to(PACKAGE)): page.read_text(encoding="utf-8") for page in PACKAGE.rglob("README.md")}
MAINTAINERS: Final = PAGES["README.md"]

_CITING: Final = (".py", ".md", ".html", ".ts", ".js", ".xml", ".yaml", ".yml", ".faults")
_BUILT: Final = {"dist", "node_modules", "questions"}
_CITATION: Final = re.compile(r"\(((?:\w+/)*README\.md): ([^()]+)\)")
_OLD: Final = re.compile(
    r"\(reference: |DESIGN section|\w\.md, sections? |\(section \d|\(B\d|(?:requests|responses) reference"
)
_RULE_ID: Final = re.compile(r"\b(?:ENV|SVC|PIN|BRK|ADP|GW|LOC|PRT|AVA)-\d\b")
_NAME: Final = re.compile(r"`([a-z_]+(?:\.\w+)+)`")


def _sources() -> Iterator[tuple[Path, str]]:
    """The files that may cite, without the line ends and comment marks that may part a citation."""
    folders = (PACKAGE, ROOT / "tests", ROOT / "examples")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in _CITING]
    for path in sorted([*files, ROOT / "Makefile"]):
        if not _BUILT & set(path.relative_to(ROOT).parts) and path != Path(__file__):
            yield (
                path.relative_to(ROOT),
                re.sub(r"\s*\n[ \t]*(?:#|//|\*)?[ \t]*", " ", path.read_text(encoding="utf-8")),
            )


SOURCES: Final = dict(_sources())
CITATIONS: Final = [
    (path, page, heading.strip())
    for path, text in SOURCES.items()
    for page, headings in _CITATION.findall(text)
    for heading in headings.split(",")
]


def _headings(page: str) -> list[str]:
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^#+ (.+)$", prose, re.MULTILINE)


def test_every_citation_leads_somewhere() -> None:
    """Each cited page is there and has the cited heading."""
    assert len(CITATIONS) > 100
    assert not [each for each in CITATIONS if each[2] not in _headings(PAGES.get(each[1], ""))]


def test_no_citation_has_another_form() -> None:
    """Nobody cites a text that is not in the repository, or by a number that the next edition changes."""
    assert not [(path, found.group()) for path, text in SOURCES.items() for found in _OLD.finditer(text)]


@pytest.mark.parametrize("name", PAGES)
def test_headings_can_be_cited(name: str) -> None:
    """A heading stands once on its page and has no comma and no parenthesis."""
    headings = _headings(PAGES[name])
    assert len(headings) == len(set(headings))
    assert not [heading for heading in headings if re.search(r"[,()]", heading)]


@pytest.mark.parametrize("name", PAGES)
def test_files_of_pages_exist(name: str) -> None:
    """A file that a page names is there, seen from the page or from the root of the repository."""
    named = re.findall(r"`((?:tests/[\w./-]*|[\w-]+/[\w./-]+\.(?:py|md|xml|yaml)))`", PAGES[name])
    seen_from = ((PACKAGE / name).parent, ROOT)
    assert not [path for path in named if not any((folder / path).exists() for folder in seen_from)]


def test_every_rule_id_is_explained() -> None:
    """The ids by which code and tests name what voids an answer are rows of the reference."""
    table = PAGES["pexip/README.md"].partition("## What voids an answer")[2].partition("\n## ")[0]
    explained = set(re.findall(r"^\| ([A-Z]+-\d) \|", table, re.MULTILINE))
    assert {rule for text in SOURCES.values() for rule in _RULE_ID.findall(text)} == explained


def test_names_of_the_walks_exist() -> None:
    """Each module, class, function and constant that the maintainer's page names is where it says."""
    names = _NAME.findall(MAINTAINERS)
    assert len(names) > 40
    assert not [name for name in names if name.partition(".")[2] not in {"py", "toml", "txt"} and _found(name) is None]


def test_limits_are_those_of_the_code() -> None:
    """Each row of the table of limits has the value of its constant."""
    rows = re.findall(r"^\| ([\d.]+) \| .* \| `([\w.]+)` \|$", MAINTAINERS, re.MULTILINE)
    assert len(rows) > 5
    assert [(name, _found(name)) for _, name in rows] == [(name, float(value)) for value, name in rows]


def _found(name: str) -> object:
    """What a dotted name below the package stands for, ``None`` if there is nothing; of a dataclass's field the default."""
    found: object = import_module("policy_server")
    for part in name.split("."):
        if part in getattr(found, "__dataclass_fields__", {}):
            found = found.__dataclass_fields__[part].default  # type: ignore[attr-defined]
        elif hasattr(found, part):
            found = getattr(found, part)
        else:
            try:
                found = import_module(f"{found.__name__}.{part}")  # type: ignore[attr-defined]
            except (AttributeError, ModuleNotFoundError):
                return None
    return found
