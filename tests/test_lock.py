"""`requirements.txt` and `requirements-dev.txt` name, by version and hash, everything that `pyproject.toml` asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
BUILD = PROJECT["build-system"]["requires"]
SERVICE = [*BUILD, *PROJECT["project"]["dependencies"]]
NAME = PROJECT["project"]["name"]
EXTRAS = [
    text
    for texts in PROJECT["project"]["optional-dependencies"].values()
    for text in texts
    if Requirement(text).name != NAME
]
FILES = {"requirements.txt": SERVICE, "requirements-dev.txt": [*SERVICE, *EXTRAS]}


def entries(name: str) -> list[str]:
    """The entries of a lock file, each with its hashes, on one line."""
    text = (ROOT / name).read_text("utf-8").replace("\\\n", "")
    return [line for line in text.splitlines() if not line.startswith("#")]


def locked(name: str) -> list[Requirement]:
    """The entries without their hashes."""
    return [Requirement(entry.partition("--hash")[0].strip()) for entry in entries(name)]


@pytest.mark.parametrize("name", FILES)
def test_everything_that_is_needed_is_locked_within_its_bounds(name: str) -> None:
    """Who adds a dependency, or raises a bound, and forgets `make lock` is told."""
    versions: dict[str, set[str]] = {}
    for requirement in locked(name):
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        versions.setdefault(canonicalize_name(requirement.name), set()).add(pin.version)
    for needed in map(Requirement, FILES[name]):
        found = versions.get(canonicalize_name(needed.name), set())
        good = found and all(needed.specifier.contains(version) for version in found)
        assert good, f"{name} has {needed.name} {sorted(found)}, pyproject.toml asks for {needed}: run make lock"


@pytest.mark.parametrize("name", FILES)
def test_locked_files_are_known_by_hash_from_wherever_they_come(name: str) -> None:
    """Every entry has hashes, and the lock names no registry: a mirror serves as well."""
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries(name))
    assert "://" not in (ROOT / name).read_text("utf-8")


def test_development_runs_what_the_service_runs() -> None:
    """What is tested is what is installed in production, version for version."""
    # Development may need one on more platforms.
    run, tested = (
        {f"{requirement.name}{requirement.specifier}" for requirement in locked(name)}
        for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert run <= tested
