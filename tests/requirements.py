"""What some tests need from the machine, by the marker that says so: without it they are skipped, and fail in CI."""

import os
import shutil
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

import pytest

from policy_server.lab.sip.sipp import HOW_TO_GET_IT as SIPP
from tests.conferences.postgres import PostgresMissingError, find_binaries

CHROMIUM: Final = Path("/usr/bin/chromium")
NGINX: Final = shutil.which("nginx", path=f"{os.defpath}:/usr/sbin:/usr/local/sbin:/usr/local/bin")


def leave_out(reason: str) -> NoReturn:
    """Skips a test, saying why and what to install; in CI fails it."""
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        pytest.skip(reason)
    pytest.fail(reason)


def _browser() -> str:
    missing = [] if CHROMIUM.exists() else [f"{CHROMIUM} is not installed: apt-get install chromium"]
    missing += [] if find_spec("playwright") else ["playwright is not installed: pip install -e '.[dev]'"]
    # People in browsers talk over a real trunk.
    return "; ".join([*missing, *filter(None, [_sipp()])])


def _sipp() -> str:
    return "" if shutil.which("sipp") else SIPP


def _postgresql() -> str:
    try:
        find_binaries()
    except PostgresMissingError as missing:
        return str(missing)
    return ""


def _nginx() -> str:
    return "" if NGINX else "nginx is not installed: apt-get install nginx-light"


def _systemd() -> str:
    return "" if shutil.which("systemd-analyze") else "systemd is not installed: apt-get install systemd"


def _prometheus() -> str:
    return "" if shutil.which("promtool") else "promtool is not installed: apt-get install prometheus"


MISSING: Final[Mapping[str, Callable[[], str]]] = {
    "browser": _browser,
    "sipp": _sipp,
    "postgresql": _postgresql,
    "nginx": _nginx,
    "systemd": _systemd,
    "prometheus": _prometheus,
}
"""For each marker, what has to be installed; nothing where it is there."""
