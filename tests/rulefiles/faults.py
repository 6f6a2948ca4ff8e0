"""Faulty rule files with the problems that they must give, kept as text in ``data/*.faults``.

A fault begins with a line ``=== NAME``, followed by the rule file and then by the expected problems, each after ``! ``.
Several files begin with ``FILE path`` each; those that are not YAML are page templates. A name that ends in
``(deployed)`` is checked as where the server runs. A list of keys that no message shows as a whole is ``…``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from policy_server.rulefiles.load import Loaded, load_rules
from policy_server.rulefiles.merge import RuleFiles

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
"""A Monday, 10:00 in Chicago."""

DATA = Path(__file__).with_name("data")


@dataclass(frozen=True)
class Fault:
    """Rule files, and the lines that checking them must give."""

    files: Mapping[str, str]
    expected: tuple[str, ...]
    deployed: bool


def picture(kind: str = "JPEG", size: tuple[int, int] = (32, 24)) -> bytes:
    """Make a small picture."""
    written = BytesIO()
    Image.new("RGB", size, "teal").save(written, kind)
    return written.getvalue()


def load(
    text: str | bytes | Mapping[str, str],
    *,
    pictures: Mapping[str, bytes] | None = None,
    templates: Mapping[str, bytes] | None = None,
    tables: Mapping[str, bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    deployed: bool = False,
) -> Loaded:
    """Load one file, or several by name."""
    files = text if isinstance(text, Mapping) else {"rules/x.yaml": text}
    documents = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    read = RuleFiles(documents, pictures or {}, templates=templates or {}, tables=tables or {})
    return load_rules(read, NOW, environment=environment, deployed=deployed)


def problems(text: str | Mapping[str, str], **options: object) -> list[str]:
    """Check one file, or several by name: the problems as lines."""
    return [str(problem) for problem in load(text, **options).problems]  # type: ignore[arg-type]


def read_faults(name: str) -> dict[str, Fault]:
    """Read a file of faults."""
    faults: dict[str, Fault] = {}
    for part in (DATA / f"{name}.faults").read_text(encoding="utf-8").split("=== ")[1:]:
        title, _, rest = part.partition("\n")
        lines = rest.splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith("! "))
        expected = tuple(line[2:].rstrip("\n") for line in lines if line.startswith("! "))
        if title in faults:
            raise ValueError(f"{name}: there are two faults {title!r}")
        faults[title] = Fault(_files(text), expected, title.endswith("(deployed)"))
    return faults


def _files(text: str) -> dict[str, str]:
    if not text.startswith("FILE "):
        return {"rules/x.yaml": text}
    parts = (part.partition("\n") for part in text.split("FILE ")[1:])
    return {name: content for name, _, content in parts}


def each_fault(name: str) -> pytest.MarkDecorator:
    """Run a test with every fault of a file, as ``fault``."""
    return pytest.mark.parametrize(
        "fault", [pytest.param(fault, id=title) for title, fault in read_faults(name).items()]
    )


def without_keys(problem: object) -> str:
    """A problem as a line, without a list of keys that is too long to be whole: every new key would change it."""
    return re.sub(r"it can have '.*, … \d+ more$", "it can have …", str(problem))


def check(fault: Fault) -> None:
    """Check that loading gives exactly the problems of a fault, and rules only if none is an error."""
    documents = {name: text for name, text in fault.files.items() if name.endswith(".yaml")}
    beside = {name: text.encode() for name, text in fault.files.items() if name not in documents}
    tables = {name: data for name, data in beside.items() if name.endswith(".csv")}
    templates = {name: data for name, data in beside.items() if name not in tables}
    loaded = load(documents, templates=templates, tables=tables, deployed=fault.deployed)
    assert [without_keys(problem) for problem in loaded.problems] == list(fault.expected)
    assert (loaded.ruleset is None) == any(": error: " in line for line in fault.expected)
