"""Four who say what is answered agree: a short run of ``make agree``, and that it would notice."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policy_server.conferences.reading import Snapshot
from policy_server.web.admin.question import Tried
from tests.agree.four import Report, agree

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What came of some hundred questions, over three revisions of the rules."""
    return agree(tmp_path_factory.mktemp("agree"), 200, seed=5, every=50)


def test_the_endpoint_and_those_who_explain_it_agree(report: Report) -> None:
    """Rule and answer are the same for ``explain``, the page and ``replay``, or they say what they could not look at."""
    assert not report.unlike, "\n".join(map(str, report.unlike))
    assert (report.asked, report.replayed > 150, report.held > 5) == (200, True, True), "\n".join(report.lines())
    assert {"serve", "reject without result", "failure"} <= report.outcomes.keys()
    # Whether a room was over too is left to chance in so few questions.
    assert {"link", "revoked", "the"} <= report.happened.keys()
    assert sum(report.not_looked_at.values()) < 60


def _no_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Snapshot, "nearby", lambda self, call, alias: ())
    monkeypatch.setattr(Snapshot, "live", lambda self, name, at: None)


def _a_page_that_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    filled = Tried.filled

    def without_address(self: Tried, names: Any) -> Any:
        kept = tuple(pair for pair in self.fields if pair[0] != "remote_address")
        return filled(replace(self, fields=kept), names)

    monkeypatch.setattr(Tried, "filled", without_address)


def _a_replay_without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policy_server.conferences.replay._Replayed._take_link", lambda *_: None)


@pytest.mark.parametrize(
    ("spoil", "who"),
    [
        (_no_rooms, {"explain", "the page"}),
        (_a_page_that_forgets, {"the page"}),
        (_a_replay_without_links, {"replay"}),
    ],
    ids=["no-rooms", "a-page-that-forgets", "replay-without-links"],
)
def test_who_is_wrong_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spoil: Callable[[pytest.MonkeyPatch], None], who: set[str]
) -> None:
    """Where one of them looks at less, the question and both answers are told."""
    spoil(monkeypatch)
    report = agree(tmp_path, 100, seed=5, every=50)
    assert who <= {each.who for each in report.unlike}
    assert "the endpoint: " in str(report.unlike[0])
