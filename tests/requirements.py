"""What some tests need from the machine: without it they are left out on a developer's, and fail in CI."""

import os
import shutil
from typing import NoReturn

import pytest

from policy_server.lab.sip.sipp import HOW_TO_GET_IT


def leave_out(reason: str) -> NoReturn:
    """Skips a test, saying why and what to install; in CI fails it."""
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        pytest.skip(reason)
    pytest.fail(reason)


def require_sipp() -> None:
    """Leaves a test out without SIPp."""
    if shutil.which("sipp") is None:
        leave_out(HOW_TO_GET_IT)
