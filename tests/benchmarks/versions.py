"""The versions that are measured: this checkout, and 0.1 beside it, from the history of the repository."""

import io
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parents[2]
FIRST: Final = "0bd62976f129f493c44339326a73b9b977a9c292"
"""The commit that is version 0.1."""

LIBRARIES: Final = "libraries"
"""In the folder of a version: what it needs beside what this one does."""

_NEEDED_BY_FIRST: Final = ("sqlalchemy==2.1.9", "greenlet==3.5.6")


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the service, installed in a folder. Both run in the virtual environment of this process, with libraries of
    their own before it.
    """

    name: str
    checkout: Path

    @property
    def is_first(self) -> bool:
        """Whether it is version 0.1, which had one name for a call and reads its rules in other words."""
        return not (self.checkout / "policy_server" / "policy" / "names.py").exists()


NOW: Final = Version("now", HERE)


class NoHistoryError(Exception):
    """There is no version 0.1: the repository is no clone, or a shallow one, or what it needs cannot be had."""


def first_version(folder: Path) -> Version:
    """Version 0.1, put into a folder unless it is there. Raises NoHistoryError."""
    if not (folder / "policy_server").exists():
        command = ["git", "-C", str(HERE), "archive", FIRST, "policy_server"]
        try:
            archive = subprocess.run(command, check=True, capture_output=True).stdout
        except (OSError, subprocess.CalledProcessError):
            raise NoHistoryError("version 0.1 is not in the history here (git fetch --unshallow gets it)") from None
        fresh = folder.with_name(folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(fresh, filter="data")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        try:
            subprocess.run([*install, "--target", fresh / LIBRARIES, *_NEEDED_BY_FIRST], check=True)
        except subprocess.CalledProcessError:
            raise NoHistoryError("what version 0.1 needs cannot be installed") from None
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return Version("0.1", folder)
