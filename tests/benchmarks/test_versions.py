"""Tests of which version is which."""

from pathlib import Path

import pytest

from tests.benchmarks.versions import NOW, NoHistoryError, first_version


def test_now_is_not_the_first() -> None:
    """This checkout reads its rules as they are now."""
    assert not NOW.is_first


def test_the_first_is_taken_from_the_history(tmp_path: Path) -> None:
    """Version 0.1 comes with its package, and a second time from where it is."""
    try:
        first = first_version(tmp_path / "first")
    except NoHistoryError:
        pytest.skip("the history here is shallow")
    assert first.is_first
    (tmp_path / "first" / "policy_server" / "mark").touch()
    assert (first_version(tmp_path / "first").checkout / "policy_server" / "mark").exists()


def test_without_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no history it says so, and leaves nothing behind."""
    monkeypatch.setattr("tests.benchmarks.versions.FIRST", "0" * 40)
    with pytest.raises(NoHistoryError, match="not in the history"):
        first_version(tmp_path / "first")
    assert list(tmp_path.iterdir()) == []
