"""The page of the rules: what runs, in words, what it did, and nothing that is secret."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from policy_server.settings import Credentials
from tests.servers import PASSWORD, SECRET_KEY, InProcess, basic, write_rules
from tests.web.samples import FIXED_PIN, KIOSK_PASSWORD, NOW, RULES, WRITTEN_PASSWORD, sample_folder, sample_link

ADMIN = Credentials("admin", "the admin's password")
GOOD = basic(ADMIN.username, ADMIN.password)
ENVIRONMENT = {"KIOSK_PASSWORD": KIOSK_PASSWORD}


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time."""
        return self.now


def shown(server: InProcess, query: str = "") -> str:
    """The page as it is."""
    response = server.request("GET", f"/admin/rules{query}", authorization=GOOD)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return response.text


def text_of(html: str) -> str:
    """What a person reads of it."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def rule(html: str, rule_id: str) -> str:
    """What a person reads of one rule, by list and id."""
    found = re.search(rf'<li class="rule[^"]*" id="{rule_id}">.*?</li>', html, re.DOTALL)
    assert found, f"{rule_id} is not shown"
    return text_of(found[0])


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


def test_rules_stand_in_order_of_evaluation(server: InProcess) -> None:
    """Every rule of every list is there, in order, each with its file and line."""
    page = shown(server)
    for request, rules in server.rules.ruleset.lists.items():
        assert request
        positions = [page.index(each.place + "<") for each in rules.rules]
        assert positions == sorted(positions)
    assert "rules.yaml:" in rule(page, "service-customer")


def test_a_rule_says_what_it_matches_and_does(server: InProcess) -> None:
    """Conditions and outcome are there in words, with the trunk and its number."""
    words = rule(shown(server), "service-customer")
    for part in (
        "the alias is one of link type visit and the alias is for the customer and the link is valid",
        "calendar opening-hours is open",
        "serves room visit, named {call}",
        "dials trunk contact-centre (+13129998045)",
    ):
        assert part in words


def test_hits_are_counted(server: InProcess, clock: Clock) -> None:
    """Hits since the start and within the hour, and the last; a rule that never answered is marked."""
    assert "never hit" in rule(shown(server), "service-moved")
    for _ in range(3):
        server.ask("/service/configuration", local_alias="moved")
    clock.now += timedelta(minutes=90)
    server.ask("/service/configuration", local_alias="moved")
    page = shown(server)
    assert "4 hits 1 in the last hour last 2026-11-23 17:30:00 UTC" in rule(page, "service-moved")
    assert "never hit" in rule(page, "service-agent")
    assert "one of several processes" not in page


def test_warnings_stand_beside_their_rule(server: InProcess) -> None:
    """What the checker says of a rule is there; what it says of none is at the top."""
    page = shown(server)
    warned = [problem for problem in server.rules.warnings if problem.rule]
    assert warned
    for problem in warned:
        assert any(
            problem.message in rule(page, f"{section}-{problem.rule}")
            for section in ("service", "participants", "locations", "registrations")
            if f'id="{section}-{problem.rule}"' in page
        )


def test_the_rest_of_the_rules_is_there(server: InProcess) -> None:
    """Trunks with number and country, link types, and a calendar as a week with the state of now."""
    page = text_of(shown(server))
    assert "+1 312-999-8045 (US)" in page
    assert "a node dials 99+13129998045" in page
    assert "opening-hours open" in page
    assert "open now (America/Chicago)" in page
    assert "Mon 23 today 08:00-18:00" in page
    assert "Sun 29 closed" in page
    assert "customers dial mp{session}" in page


def test_nothing_secret_is_shown(server: InProcess) -> None:
    """No PIN, password or key is on the page, nor the name of a link that was dialled."""
    link = sample_link(server.rules.ruleset)
    server.ask("/service/configuration", local_alias=link.alias, call_direction="dial_in")
    page = shown(server)
    secrets = (FIXED_PIN, KIOSK_PASSWORD, WRITTEN_PASSWORD, SECRET_KEY, PASSWORD, ADMIN.password, link.call.session)
    assert [secret for secret in secrets if secret in page] == []
    assert "1 hit" in rule(page, "service-customer")
    assert "pin ****" in rule(page, "service-named")


def test_reloads_say_what_changed(server: InProcess) -> None:
    """New, gone and changed rules and things with names are told of each reload, and the errors of refused ones."""
    folder = server.settings.rules
    assert "None since the server began" in text_of(shown(server))
    changed = RULES.replace("redirect: elsewhere@", "redirect: somewhere@").replace("id: unwelcome", "id: unloved")
    write_rules(folder, changed)
    assert server.rules.reload()
    told = text_of(shown(server))
    assert "new participants unloved" in told
    assert "gone participants unwelcome" in told
    assert "written otherwise service moved" in told
    write_rules(folder, RULES.replace("room: visit", "room: vist"))
    assert not server.rules.reload()
    page = shown(server)
    assert "Newer rules were refused; those below keep running" in text_of(page)
    assert "(did you mean 'visit'?)" in text_of(page)
    assert "unloved" in rule(page, "participants-unloved")


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x>', "{{ 7 * 7 }}"], ids=["tag", "attribute", "template"]
)
def test_texts_are_only_shown(server: InProcess, hostile: str) -> None:
    """Whatever an author or a reader writes is text on the page, and nothing that a browser or a template obeys."""
    quoted = hostile.replace('"', '\\"')
    write_rules(server.settings.rules, RULES.replace("  - id: moved", f'  - description: "{quoted}"\n    id: moved'))
    assert server.rules.reload()
    assert hostile in rule(shown(server), "service-moved")
    page = shown(server, f"?q={hostile.replace(' ', '+')}")
    assert "<script>" not in page
    assert "<img" not in page


def test_a_text_is_searched_for(server: InProcess) -> None:
    """Only rules that mention it are shown, under their numbers, and how many there are of all."""
    page = shown(server, "?q=ELSEWHERE")
    assert rule(page, "service-moved").startswith("5 moved")
    assert 'id="service-customer"' not in page
    assert "1 of 5 mention “elsewhere”" in page


@pytest.mark.parametrize("start", ["-1", "x", "1" * 5000, "٣", ""], ids=["negative", "word", "long", "digit", "empty"])
def test_a_strange_beginning_is_the_first(server: InProcess, start: str) -> None:
    """A page that begins nowhere begins at the beginning."""
    assert 'id="service-customer"' in shown(server, f"?from={start}")


def test_a_page_is_bounded(tmp_path: Path) -> None:
    """Of a thousand rules a page has a hundred, and leads on to the next and back."""
    rules = "service:\n" + "".join(
        f"  - {{ id: r{number}, when: {{ local_alias: a{number} }}, reject: no }}\n" for number in range(1000)
    )
    with InProcess(write_rules(tmp_path / "rules", rules), admin=ADMIN) as server:
        first, middle = shown(server), shown(server, "?from=500")
        assert (first.count('<li class="rule'), middle.count('<li class="rule')) == (100, 100)
        assert 'id="service-r99"' in first
        assert 'id="service-r100"' not in first
        assert "from=100#list-service" in first
        assert 'id="service-r500"' in middle
        assert "from=400#list-service" in middle
        assert len(first) < 200_000
