"""The pages of decisions: what was asked and answered, found by what it was, with all that led to it and nothing secret."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.policy.links import CustomerLink
from policy_server.web.admin.decision_rows import OUTCOMES, Row, Wanted, read_wanted, sampled
from tests.servers import PASSWORD, ROOT, SECRET_KEY, USERNAME, InProcess, basic, real_server, write_rules
from tests.waiting import eventually
from tests.web.admin.test_rules_page import ADMIN, ENVIRONMENT, GOOD, text_of
from tests.web.samples import FIXED_PIN, KIOSK_PASSWORD, NOW, RULES, WRITTEN_PASSWORD, sample_folder, sample_link

SERVICE: Final = "/service/configuration"
PASSCODE: Final = "4711998"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[InProcess]:
    """A server with an admin, at a fixed moment."""
    folder = sample_folder(tmp_path / "rules")
    with InProcess(folder, environment=ENVIRONMENT, admin=ADMIN, clock=lambda: NOW) as started:
        yield started


def page(server: InProcess, path: str, status: int = 200) -> str:
    """A page as it is."""
    response = server.request("GET", f"/admin/{path}", authorization=GOOD)
    assert response.status_code == status
    return response.text


def rows(html: str) -> list[list[str]]:
    """The table as a person reads it: what is in each cell."""
    found = re.findall(r"<tr id=.*?</tr>", html, re.DOTALL)
    return [[text_of(cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in found]


def customer(server: InProcess) -> tuple[CustomerLink, str]:
    """A customer who comes in, and the id of the decision about that."""
    link = sample_link(server.rules.ruleset)
    answer = server.ask(
        SERVICE,
        local_alias=link.alias,
        call_direction="dial_in",
        protocol="api",
        location="London",
        remote_display_name="Ada",
        third_party_passcode=PASSCODE,
    )
    return link, answer["decision_id"]


def test_who_looked_is_in_the_audit_log(tmp_path: Path) -> None:
    """Callers' names are on the page of a decision, so whoever opens one leaves a line; nobody does by the table alone."""
    folder = sample_folder(tmp_path / "rules")
    log = tmp_path / "audit.jsonl"
    with InProcess(folder, environment=ENVIRONMENT, admin=ADMIN, clock=lambda: NOW, audit_log=log) as server:
        link, decision_id = customer(server)
        page(server, "decisions")
        page(server, f"decisions/{decision_id}")
        page(server, "decisions/0123-1", 404)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [(line["event"], line["decision"], line["call"]) for line in lines] == [
        ("decision.read", decision_id, link.call.id)
    ]


def test_decisions_are_listed(server: InProcess) -> None:
    """The newest first: time, node, location, question, direction, alias, rule, outcome, milliseconds."""
    link, _ = customer(server)
    server.ask(SERVICE, local_alias="nobody", protocol="sip")
    server.get(f"{ROOT}{SERVICE}?local_alias=a&local_alias=b")
    server.request("GET", f"{ROOT}{SERVICE}", authorization=basic("pexip", "wrong"), peer="192.0.2.9")
    refused, misunderstood, nobody, served = rows(page(server, "decisions"))
    assert served[:-1] == [
        "16:00:00.000", "127.0.0.1", "London", "service", "dial_in", f"mp… {link.call.id[:10]}…", "customer", "serve"
    ]  # fmt: skip
    assert float(served[-1]) > 0
    assert nobody[5:8] == ["nobody", "none", "continue"]
    assert misunderstood[7] == "misunderstood parameter local_alias is given twice"
    assert refused[1:] == [
        "192.0.2.9",
        "",
        "",
        "",
        "",
        "",
        "refused wrong user name or password, at the policy paths",
        "",
    ]


@pytest.mark.parametrize(
    ("query", "aliases"),
    [
        pytest.param("alias=ROOM", ["room-b", "room-a"], id="alias, without case"),
        pytest.param("rule=move", ["moved"], id="rule"),
        pytest.param("outcome=redirect", ["moved"], id="outcome"),
        pytest.param("question=location", ["room-a"], id="question"),
        pytest.param("direction=dial_in&alias=a", ["room-a"], id="direction and alias"),
        pytest.param("location=oslo", ["room-b"], id="location"),
        pytest.param("node=127.0.0&outcome=redirect", ["moved"], id="node"),
        pytest.param("node=10.", [], id="no such node"),
        pytest.param("ms=60000", [], id="nothing takes a minute"),
        pytest.param("since=16:00&until=16:00:01&rule=moved", ["moved"], id="a time of today"),
        pytest.param("since=2026-11-23T16:00:01Z", [], id="later"),
        pytest.param("until=15:59", [], id="earlier"),
    ],
)
def test_decisions_are_filtered(server: InProcess, query: str, aliases: list[str]) -> None:
    """Each column has its filter, which stands in the URL; those that fit all of them are shown."""
    server.ask(SERVICE, local_alias="room-a", call_direction="dial_in", location="London")
    server.ask(SERVICE, local_alias="room-b", call_direction="non_dial", location="Oslo")
    server.ask(SERVICE, local_alias="moved")
    server.ask("/participant/location", local_alias="room-a")
    wanted = [row[5] for row in rows(page(server, f"decisions?{query}"))]
    if query.startswith("alias=ROOM"):
        assert wanted.pop(0) == "room-a", "the question about media"
    assert wanted == aliases


def test_decisions_of_a_call_are_found(server: InProcess) -> None:
    """Many customers dial aliases of one form, whose names are hidden: their calls tell them apart."""
    link, _ = customer(server)
    other = sample_link(server.rules.ruleset, nonce=b"5678")
    server.ask(SERVICE, local_alias=other.alias)
    server.ask("/participant/properties", local_alias=link.alias)
    assert len(rows(page(server, f"decisions?alias={link.call.id}"))) == 2
    assert len(rows(page(server, f"decisions?alias={other.call.id[:12]}"))) == 1


def test_a_browser_that_asks_for_the_password_is_no_news(server: InProcess) -> None:
    """Its first request has none, each time somebody opens the pages; a wrong one is worth a row."""
    server.request("GET", "/admin/decisions")
    assert rows(page(server, "decisions")) == []
    server.request("GET", "/admin/decisions", authorization=basic("admin", "wrong"))
    assert len(rows(page(server, "decisions"))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [("ms", "soon"), ("since", "25:00"), ("until", "yesterday"), ("outcome", "fun"), ("decision_id", "x")],
)
def test_a_filter_that_is_none_is_said(server: InProcess, name: str, text: str) -> None:
    """What is wrong stands beside its field, and the rest is shown."""
    server.ask(SERVICE, local_alias="moved")
    html = page(server, f"decisions?{name}={text}")
    assert f'id="{name}-fault"' in html
    assert len(rows(html)) == 1


def test_one_decision_is_explained(server: InProcess) -> None:
    """Its page has every parameter, the row of each rule, the very JSON that went out, and the question to try."""
    _, decision_id = customer(server)
    server.ask(SERVICE, local_alias="nobody", protocol="sip")
    html = page(server, f"decisions/{decision_id}")
    words = text_of(html)
    for part in (
        f"decision_id {decision_id}",
        "127.0.0.1, location London",
        f"revision {server.rules.ruleset.revision}",
        "serve by rule customer : every condition holds",
        "1 customer hit every condition holds",
        "2 agent not evaluated an earlier rule matched",
        "remote_display_name Ada",
        "third_party_passcode ****",
        '"pin": "****"',
        f'"decision_id": "{decision_id}"',
        "99+13129998045",
    ):
        assert part in words
    attempt = re.search(r'href="../(try\?[^"]*)#result"', html)
    assert attempt is not None
    tried = text_of(page(server, unescape(attempt[1])))
    assert "serve by rule customer" in tried


def test_a_rule_that_missed_says_why(server: InProcess) -> None:
    """The condition that missed is there with the value that it saw."""
    answer = server.ask(SERVICE, local_alias="nobody", protocol="sip")
    words = text_of(page(server, f"decisions/{answer['decision_id']}"))
    assert "continue by no rule: no rule matched" in words
    assert re.search(r"5 moved miss local_alias : .*'nobody'", words)


def test_a_decision_is_found_by_its_id(server: InProcess) -> None:
    """What is copied out of a log leads to the page, spaces and all."""
    _, decision_id = customer(server)
    found = server.request("GET", f"/admin/decisions?decision_id=%20{decision_id}%20", authorization=GOOD)
    assert (found.status_code, found.headers["location"]) == (303, f"decisions/{decision_id}")


@pytest.mark.parametrize("decision_id", ["0123456789ab-1", "%3Cscript%3E", "a" * 300, "x-1"])
def test_one_that_is_gone_says_where_to_look(server: InProcess, decision_id: str) -> None:
    """404 and words: what is not in memory is in the decision log."""
    html = page(server, f"decisions/{decision_id}", 404)
    assert "policy-server replay" in html
    assert "<script>" not in html


def test_a_question_that_nobody_understood_has_a_page(server: InProcess) -> None:
    """It has the reason, what was in it apart from secrets, and the failure that went out."""
    query = f"local_alias=a&local_alias=b&third_party_passcode={PASSCODE}&pin={FIXED_PIN}&remote_alias=%3Cb%3E"
    answer = server.get(f"{ROOT}{SERVICE}?{query}").json()
    html = page(server, f"decisions/{answer['decision_id']}")
    words = text_of(html)
    for part in (
        "misunderstood : parameter local_alias is given twice",
        "local_alias b",
        "pin ****",
        '"status": "failure"',
    ):
        assert part in words
    assert PASSCODE not in html
    assert FIXED_PIN not in html
    assert "<b>" not in html


def test_a_refusal_has_a_page(server: InProcess) -> None:
    """It says at which door and why, and nothing of what was tried."""
    server.request("GET", f"{ROOT}{SERVICE}?pin={FIXED_PIN}", authorization=basic("pexip", "a wrong password"))
    html = page(server, "decisions?outcome=refused")
    (path,) = re.findall(r'href="(decisions/[^"?]*)"', html)
    words = text_of(page(server, path))
    assert "refused : wrong user name or password, at the policy paths" in words
    assert "a wrong password" not in words
    assert FIXED_PIN not in words


def test_rules_that_are_gone_are_said(server: InProcess) -> None:
    """After two reloads the page of an older decision has its answer, and says why it has no row per rule."""
    answer = server.ask(SERVICE, local_alias="moved")
    for number in range(2):
        write_rules(server.settings.rules, RULES.replace("elsewhere@", f"elsewhere{number}@"))
        server.rules.reload()
        server.ask(SERVICE, local_alias="moved")
    words = text_of(page(server, f"decisions/{answer['decision_id']}"))
    assert "are not in memory any more" in words
    assert "elsewhere@video.example.com" in words
    assert "redirect by rule moved" in words
    assert "not evaluated" not in words


def test_nothing_secret_is_shown(server: InProcess) -> None:
    """No PIN, password, session or agent key is on any of these pages, and a filter does not find one either."""
    link, first = customer(server)
    ids = [first]
    ids.append(server.ask(SERVICE, local_alias=link.agent_alias, call_direction="dial_in")["decision_id"])
    ids.append(server.ask(SERVICE, local_alias=f"sip:{link.alias}@x", remote_alias=link.alias)["decision_id"])
    ids.append(server.ask(SERVICE, local_alias="room-a", remote_alias=link.call.agent)["decision_id"])
    ids.append(server.ask("/registrations/kiosk-7%40video.example.com")["decision_id"])
    ids.append(server.ask("/registrations/old%2Fkiosk%20%C3%BC%2B1")["decision_id"])
    served = server.ask(SERVICE, local_alias=link.alias)["result"]
    shown = page(server, "decisions") + "".join(page(server, f"decisions/{each}") for each in ids)
    secrets = (FIXED_PIN, KIOSK_PASSWORD, WRITTEN_PASSWORD, PASSCODE, served["pin"], served["guest_pin"])
    for secret in (*secrets, link.call.session, link.call.agent):
        assert secret not in shown
    assert len(rows(page(server, "decisions?alias=mp"))) > 0
    assert rows(page(server, f"decisions?alias=mp{link.call.session[0]}")) == []


def test_texts_are_only_shown(server: InProcess) -> None:
    """What a caller calls himself is text, wherever it comes up."""
    hostile = "<script>alert(1)</script>\"'"
    answer = server.ask(
        SERVICE, local_alias=hostile, remote_display_name=hostile, location=hostile, call_direction=hostile
    )
    query = urlencode({"alias": hostile, "outcome": hostile, "since": hostile})
    for path in ("decisions", f"decisions?{query}", f"decisions/{answer['decision_id']}"):
        assert "<script>alert" not in page(server, path)


def test_a_page_is_bounded(server: InProcess) -> None:
    """Of a thousand long questions the table has a hundred, each cut, and the page of one has what fits."""
    for number in range(120):
        answer = server.ask(SERVICE, local_alias=f"{number}-" + "x" * 4000, remote_display_name="y" * 4000)
    html = page(server, "decisions")
    assert len(rows(html)) == 100
    assert len(html) < 200_000
    assert len(page(server, f"decisions/{answer['decision_id']}")) < 60_000


texts = st.sampled_from(["", "a", "B", "serve", "redirect", "dial_in"])


@given(st.builds(Wanted, alias=texts, rule=texts, node=texts, outcome=st.sampled_from(["", *OUTCOMES])), texts, texts)
def test_a_filter_is_read_as_it_is_told(wanted: Wanted, alias: str, rule: str) -> None:
    """A filter that goes through a URL, or to another process, chooses the same."""
    lower = Wanted(**{name: text.lower() for name, text in wanted.told().items()})
    again, faults = read_wanted(dict(each.split("=") for each in wanted.url.split("&") if each), NOW)
    assert faults == {}
    row = Row("1", "", "b", "", "service", "", alias, "", rule, "serve", 1.0, "")
    assert lower.fits(row) == again.fits(row) == Wanted(**again.told()).fits(row)


@given(st.lists(st.integers()), st.integers(1, 60))
def test_a_sample_is_evenly_spread(things: list[int], most: int) -> None:
    """It has all where there is room, else as many as there may be, in order, the last among them."""
    places = sampled(range(len(things)), most)
    assert len(places) == min(most, len(things))
    assert places == sorted(set(places))
    if places:
        assert places[-1] == len(things) - 1
        gaps = [after - before for before, after in pairwise(places)]
        assert not gaps or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("text", ["14:05", "14:05:00", "2026-11-23T14:05:00Z", "2026-11-23T08:05:00-06:00"])
def test_times_are_understood(text: str) -> None:
    """A time of today in UTC, or a moment with its offset."""
    wanted, faults = read_wanted({"since": text}, datetime(2026, 11, 23, 20, tzinfo=UTC))
    assert (wanted.since, faults) == ("2026-11-23T14:05:00.000+00:00", {})


@pytest.mark.slow
def test_decisions_of_several_processes(tmp_path: Path) -> None:
    """With --workers 2 every decision is listed and found, whichever process is asked; a page that watches one hears of both,
    and keeps neither from ending.
    """
    sample_folder(tmp_path / "rules")
    environment = {
        "POLICY_ADMIN_USERNAME": ADMIN.username,
        "POLICY_ADMIN_PASSWORD": ADMIN.password,
        "POLICY_PEXIP_USERNAME": USERNAME,
        "POLICY_PEXIP_PASSWORD": PASSWORD,
        "POLICY_SECRET_KEY": SECRET_KEY,
        **ENVIRONMENT,
    }
    with real_server(tmp_path, "--workers", "2", environment=environment) as running, running.client() as client:
        ids: list[str] = []

        def both_answered() -> bool:
            ids.append(client.get(f"{ROOT}{SERVICE}?local_alias=moved").json()["decision_id"])
            return len({each.partition("-")[0] for each in ids}) == 2

        eventually(both_answered)
        admin = (ADMIN.username, ADMIN.password)
        for _ in range(4):
            html = client.get("/admin/decisions", auth=admin).text
            assert "by 2 processes" in html
            assert set(re.findall(r'href="decisions/([0-9a-f]+-[0-9a-f]+)"', html)) == set(ids)
            for each in (ids[0], ids[-1]):
                assert "redirect" in client.get(f"/admin/decisions/{each}", auth=admin).text
        with client.stream("GET", "/admin/decisions/events?rule=moved", auth=admin, timeout=60) as stream:
            lines = stream.iter_lines()
            assert "decisions/" in next(line for line in lines if line.startswith("data: "))
            ids.clear()
            eventually(both_answered)
            missing = set(ids)
            while missing:
                told = next(lines)
                missing = {each for each in missing if each not in told}
            assert running.stop() == 0
        assert "Traceback" not in running.err
