"""The page Now: whether something is wrong, how many customers wait, and what the last hours were like."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any, get_args

import pytest

from policy_server.conferences.figures import LEG_OUTCOMES, CallFigures, Over
from policy_server.conferences.pace import Pace
from policy_server.conferences.verdict import Code, Outcome
from policy_server.policy.decisions import Decision
from policy_server.web.admin.concerns import concerns_of
from policy_server.web.admin.now_page import (
    ANSWER_SERIES,
    CALL_SERIES,
    LEG_SERIES,
    METRICS,
    MOST_NODES,
    now_page,
    strips,
)
from policy_server.web.admin.siblings import Heard
from tests.docs.pages import DEPLOY, code
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, InProcess, real_server, write_rules
from tests.waiting import eventually
from tests.web.admin.test_concerns import TROUBLE, WELL, changed
from tests.web.admin.test_rules_page import ADMIN, ENVIRONMENT, GOOD, Clock, text_of
from tests.web.samples import FIXED_PIN, KIOSK_PASSWORD, NOW, RULES, sample_folder, sample_link

LAST_HOUR = [
    *(Over(NOW, Code.ANSWERED, ("answered",)) for _ in range(5)),
    Over(NOW, Code.LEG_BUSY, ("busy", "busy")),
    Over(NOW, Code.LEG_BUSY, ("busy",)),
    Over(NOW, Code.NO_AGENT, ("answered",)),
    Over(NOW, Code.CUSTOMER_LEFT_EARLY, ()),
    Over(NOW, Code.NOT_JOINED, ()),
]


@pytest.fixture
def clock() -> Clock:
    """Monday morning in Chicago."""
    return Clock(NOW)


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[InProcess]:
    """A server with an admin."""
    folder = sample_folder(tmp_path / "rules")
    with InProcess(folder, environment=ENVIRONMENT, admin=ADMIN, clock=clock) as started:
        yield started


def shown(server: InProcess) -> str:
    """The page as it is."""
    response = server.request("GET", "/admin/now", authorization=GOOD)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return response.text


def figure(page: str, name: str) -> str:
    """What a person reads of a figure."""
    found = re.search(rf'<(\w+)[^>]* data-figure="{name}"[^>]*>(.*?)</\1>', page, re.DOTALL)
    assert found, name
    return text_of(found[2])


def test_every_figure_of_the_page_is_a_metric(server: InProcess) -> None:
    """What the page shows is in /metrics under the name that the page says, and no name is said for what it does not show."""
    assert set(re.findall(r'data-figure="([^"]+)"', shown(server))) == set(METRICS)
    documented = {code(name)[0] for name, _, _ in DEPLOY.rows("metric |")}
    facts = [WELL, *(changed(change) for change, _, _, _ in TROUBLE.values())]
    concerned = {concern.metric for each in facts for concern in concerns_of(each, NOW)}
    assert {*METRICS.values(), *concerned} <= documented


def test_figures_are_those_of_the_metrics(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Customers who wait and talk, the longest wait, and calls of the last hour are what Prometheus reads at that moment."""
    monkeypatch.setattr(CallFigures, "running", lambda _: {Outcome.WAITING: 3, Outcome.TALKING: 1234})
    monkeypatch.setattr(CallFigures, "longest_wait", lambda _: 250.0)
    monkeypatch.setattr(CallFigures, "over", lambda *_: LAST_HOUR)
    with InProcess(sample_folder(tmp_path / "rules"), environment=ENVIRONMENT, admin=ADMIN, clock=clock) as server:
        eventually_counted(server)
        page, metrics = shown(server), server.metrics()
    assert (figure(page, "waiting"), 'policy_calls{state="waiting"} 3.0' in metrics) == ("3", True)
    assert (figure(page, "talking"), 'policy_calls{state="talking"} 1234.0' in metrics) == ("1,234", True)
    assert figure(page, "longest-wait") == "the first for 4 min 10 s"
    assert "policy_calls_longest_wait_seconds 250.0" in metrics
    assert (figure(page, "failed"), figure(page, "over")) == ("3", "9")
    assert "2 leg busy, 1 no agent" in text_of(page)
    for sample in ('{verdict="leg_busy"} 2.0', '{verdict="no_agent"} 1.0', '{verdict="answered"} 5.0'):
        assert f"policy_calls_last_hour{sample}" in metrics
    assert 'policy_calls_legs_last_hour{outcome="busy"} 3.0' in metrics
    assert "6 answered 0 ended before 3 failed" in figure(page, "legs")


def test_decisions_and_nodes_are_counted(server: InProcess, clock: Clock) -> None:
    """Decisions a minute are the mean of five whole ones, and a node is known by its address, location and last question."""
    for _ in range(8):
        server.ask("/service/configuration", local_alias="moved", location="DMZ")
    server.ask("/service/configuration", local_alias="nobody")
    assert figure(shown(server), "decisions") == "0"
    clock.now += timedelta(minutes=1)
    page = shown(server)
    assert figure(page, "decisions") == "1.8"
    assert "8 decided 1 left to Pexip 0 rejected 0 gone wrong" in figure(page, "answers")
    assert "127.0.0.1 DMZ asked 60 s ago 9 questions" in figure(page, "nodes")
    assert "Answers to nodes in the last six hours: 8 decided, 1 left to Pexip; at the most 9 in five minutes." in page


def test_nothing_that_a_node_says_is_obeyed(server: InProcess) -> None:
    """A location is text, however it is spelt."""
    server.ask("/service/configuration", local_alias="moved", location="<script>alert(1)</script>{{ 7 * 7 }}")
    page = shown(server)
    assert "<script>alert" not in page
    assert "<script>alert(1)</script>{{ 7 * 7 }}" in re.sub(r"\s+", " ", figure_of_node(page))


def figure_of_node(page: str) -> str:
    """The location of the only node."""
    found = re.search(r"<td>(.*?)</td>", page[page.index('data-figure="nodes"') :], re.DOTALL)
    assert found
    return unescape(found[1])


def test_refused_rules_are_told(server: InProcess) -> None:
    """The first sentence of the page says that they need a look, and then what to do."""
    assert text_of(shown(server)).count("All is well.") == 1
    write_rules(server.settings.rules, RULES.replace("room: visit", "room: vist"))
    assert not server.rules.reload()
    page = text_of(shown(server))
    assert "Needs a look: Rules." in page
    assert "Newer rules were refused at 16:00:00 UTC" in page
    assert "Correct the files: the page Rules lists the errors" in page


def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    """The page is there without it, says so first, without its password, and counts no call."""
    folder = sample_folder(tmp_path / "rules")
    url = "postgresql://policy:planted-secret@127.0.0.1:9/policy"
    with InProcess(
        folder, environment=ENVIRONMENT, admin=ADMIN, database_url=url, pace=Pace(start=0.01, stop=0.01)
    ) as server:
        page = shown(server)
    assert "planted-secret" not in page
    assert "Broken: Database." in text_of(page)
    assert "See whether the database runs" in text_of(page)
    assert "Calls are counted as soon as the database answers" in text_of(page)
    assert (figure(page, "waiting"), figure(page, "longest-wait"), figure(page, "failed")) == (
        "\u2013",
        "not known",
        "\u2013",
    )


def test_old_figures_are_called_so(server: InProcess, clock: Clock) -> None:
    """Where calls could not be counted for a minute, the page says that what it shows is of then."""
    eventually_counted(server)
    assert "last counted" not in text_of(shown(server))
    clock.now += timedelta(seconds=61)
    assert "Calls were last counted 61 s ago" in text_of(shown(server))


def eventually_counted(server: InProcess) -> None:
    """Waits until calls were counted once."""
    eventually(lambda: "Calls are counted as soon" not in text_of(shown(server)))


@pytest.mark.slow
def test_every_process_counts(tmp_path: Path) -> None:
    """With --workers 2 the page has what nodes asked both, whichever is asked."""
    environment = {
        "POLICY_PEXIP_USERNAME": USERNAME,
        "POLICY_PEXIP_PASSWORD": PASSWORD,
        "POLICY_SECRET_KEY": SECRET_KEY,
        "POLICY_ADMIN_USERNAME": ADMIN.username,
        "POLICY_ADMIN_PASSWORD": ADMIN.password,
        **ENVIRONMENT,
    }
    sample_folder(tmp_path / "rules")
    with real_server(tmp_path, "--workers", "2", environment=environment) as running, running.client() as client:
        asked = 60
        for _ in range(asked):
            client.get("/policy/v1/service/configuration", params={"local_alias": "moved", "location": "DMZ"})

        def page() -> str:
            return client.get("/admin/now", auth=(ADMIN.username, ADMIN.password)).text

        for _ in range(10):
            eventually(lambda: f"{asked} questions" in figure(page(), "nodes"))
        eventually(lambda: "by 2 processes together" in text_of(page()))
        eventually(lambda: f"{asked} decided" in figure(page(), "answers"))


def test_nothing_secret_is_shown(server: InProcess) -> None:
    """No PIN, password or key is on the page, nor a name of a link that was dialled."""
    link = sample_link(server.rules.ruleset)
    server.ask("/service/configuration", local_alias=link.alias, call_direction="dial_in")
    page = shown(server)
    secrets = (FIXED_PIN, KIOSK_PASSWORD, SECRET_KEY, PASSWORD, ADMIN.password, link.call.session, link.call.id)
    assert [secret for secret in secrets if secret in page] == []


def page_of(*processes: dict[str, Any], silent: int = 0) -> dict[str, Any]:
    """The values of the page that several processes tell."""
    return now_page({}, [], Heard(list(processes), silent), WELL, NOW)


def test_processes_are_added_up() -> None:
    """Answers of all processes count together, and a node's last question is the last that any of them heard."""
    minute = int(NOW.timestamp() // 60) - 1
    found = page_of(
        {"outcomes": {"serve": [[minute, 3]]}, "nodes": {"a": ["Oslo", NOW.timestamp() - 9, 2], "b": ["", 5.0, 1]}},
        {"outcomes": {"serve": [[minute, 4]], "reject": [[minute, 3]]}, "nodes": {"a": ["DMZ", NOW.timestamp(), 5]}},
        {"outcomes": {}, "nodes": {"a": ["Bergen", NOW.timestamp() - 99, 1]}},
    )
    assert found["decisions"] == "2"
    first, second = found["nodes"]
    assert (first.address, first.location, first.ago, first.count) == ("a", "DMZ", "0 s", 8)
    assert second.address == "b"
    assert found["processes"] == 3


def test_there_is_an_end_to_the_nodes() -> None:
    """Of many nodes those that asked last are shown, and how many more there are."""
    nodes = {f"10.44.1.{number}": ["", NOW.timestamp() - number, 1] for number in range(200)}
    found = page_of({"outcomes": {}, "nodes": nodes})
    assert [row.address for row in found["nodes"]] == [f"10.44.1.{number}" for number in range(MOST_NODES)]
    assert found["more_nodes"] == 200 - MOST_NODES


def test_every_outcome_is_drawn_once() -> None:
    """Whatever becomes of a question, a leg or a call with a customer is part of one series of its strip."""
    outcomes = [*(kind.word for kind in get_args(Decision) if kind.word != "forward"), "misunderstood", "error"]
    calls = set(Outcome) - {Outcome.WAITING, Outcome.TALKING, Outcome.NO_CALL}
    for series, words in ((ANSWER_SERIES, outcomes), (LEG_SERIES, LEG_OUTCOMES), (CALL_SERIES, calls)):
        assert sorted(word for drawn in series.values() for word in drawn) == sorted(words)
    names = {name for series in (ANSWER_SERIES, LEG_SERIES, CALL_SERIES) for name in series}
    drawn = [piece for _, strip in strips(_answers(outcomes), LAST_HOUR, NOW) for piece in strip.series]
    assert {each.name for each in drawn} == names


def _answers(outcomes: list[str]) -> Counter[tuple[str, int]]:
    return Counter({(outcome, int(NOW.timestamp() // 60)): 1 for outcome in outcomes})
