"""Operators see whether Genesys Cloud answers."""

from datetime import datetime, timedelta

from policy_server.web.genesys import GenesysStanding
from policy_server.web.metrics import Metrics
from tests.conferences.samples import NOW, SECOND

API = "https://api.usw2.pure.cloud"


def test_whether_it_answers_is_what_came_of_the_last_request() -> None:
    """Since when it is away is since the first request that failed; one that is answered ends that."""
    times = iter([NOW, NOW + 5 * SECOND, NOW + 9 * SECOND, NOW + timedelta(minutes=1)])
    standing, metrics = GenesysStanding(API, lambda: next(times)), Metrics()
    standing.watch_gauges(metrics)
    assert standing.state() == {"api": API, "state": "unknown", "problem": "", "since": None}
    standing.tell("")
    assert standing.state() == {"api": API, "state": "answers", "problem": "", "since": _told(NOW)}
    standing.tell("it answered 503")
    standing.tell("no whole answer within 2 s")
    away = {"api": API, "state": "away", "problem": "no whole answer within 2 s", "since": _told(NOW + 5 * SECOND)}
    assert standing.state() == away
    text = metrics.render().decode()
    for sample in ("policy_genesys_away 1.0", "policy_genesys_requests 3.0", "policy_genesys_failures 2.0"):
        assert f"{sample}\n" in text
    standing.tell("")
    assert standing.state()["state"] == "answers"
    assert "policy_genesys_away 0.0\n" in metrics.render().decode()


def _told(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
