"""What is installed is what the code reads: every file that is no Python is named in `pyproject.toml`."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"][
    "package-data"
]


def test_every_file_is_packed() -> None:
    """No page, rule file or scenario is left out of a wheel, and no pattern is for nothing."""
    found = {
        (package, pattern): set((ROOT / package.replace(".", "/")).glob(pattern))
        for package, patterns in DATA.items()
        for pattern in patterns
    }
    assert all(found.values()), found
    read = {path for path in (ROOT / "policy_server").rglob("*") if path.suffix not in {"", ".py", ".pyc", ".md"}}
    assert set().union(*found.values()) == read
