"""The last answers, kept for whoever looks."""

import gc
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.policy.asked import link_attributes_asked
from policy_server.policy.names import Keyring
from policy_server.settings import Credentials
from policy_server.web.answered import Answered, Decided, Failed
from policy_server.web.decision_records import MADE, read_record
from policy_server.web.recent_decisions import BYTES_LIMIT, MOST_REFUSED, WEIGHT, Kept, RecentDecisions
from tests.servers import SECRET_KEY, InProcess, basic, write_rules
from tests.web.samples import FIXED_PIN, KIOSK_PASSWORD, NOW, RULES, WRITTEN_PASSWORD, sample_folder, sample_link

KEYRING: Final = Keyring.from_text(SECRET_KEY)
ADMIN: Final = Credentials("admin", "the admin's password")
SERVICE: Final = "/service/configuration"


class Opened(InProcess):
    """A server with an admin whose recent decisions can be looked at."""

    recent: RecentDecisions


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """One that logs JSON, at a fixed moment."""
    made: list[RecentDecisions] = []

    def make(*arguments: Any) -> RecentDecisions:
        made.append(RecentDecisions(*arguments))
        return made[-1]

    monkeypatch.setattr("policy_server.app.RecentDecisions", make)
    folder = sample_folder(tmp_path / "rules")
    environment = {"KIOSK_PASSWORD": KIOSK_PASSWORD}
    with Opened(folder, environment=environment, admin=ADMIN, clock=lambda: NOW, log_format="json") as started:
        (started.recent,) = made
        yield started


def answered(number: int, *, query: bytes = b"", ruleset: Any = None) -> Answered:
    """An answer that needs nothing."""
    rules: Any = ruleset or _Rules()
    failed = Failed("misunderstood", "no reason")
    return Answered(rules, RequestType.SERVICE, failed, NOW, f"a-{number}", 0.001, None, "", query, b"{}")


class _Rules:
    revision = "0"
    mask = object()


def test_the_last_are_kept() -> None:
    """Of more than are kept the oldest go; what came after a number is in order."""
    recent, rules = RecentDecisions("p", KEYRING, most=3), _Rules()
    for number in range(1, 6):
        recent.add(answered(number, ruleset=rules))
    assert [kept.decision_id for kept in recent.since()] == ["a-3", "a-4", "a-5"]
    assert [kept.decision_id for kept in recent.since(4)] == ["a-5"]
    assert recent.number == 5
    assert recent.find("a-2") is None
    found = recent.find("a-4")
    assert found is not None
    assert found.number == 4


def test_long_questions_do_not_take_the_memory() -> None:
    """Bytes are bounded as well as answers."""
    recent, rules = RecentDecisions("p", KEYRING, bytes_limit=4 * (WEIGHT + 2 + 3 * 5000)), _Rules()
    for number in range(10):
        recent.add(answered(number, query=b"x" * 5000, ruleset=rules))
    assert [kept.decision_id for kept in recent.since()] == ["a-6", "a-7", "a-8", "a-9"]


def test_refusals_push_out_no_answer() -> None:
    """Whoever tries many passwords is seen, and takes no answer's place."""
    recent = RecentDecisions("p", KEYRING, most=2)
    recent.add(answered(1))
    for number in range(MOST_REFUSED + 5):
        recent.refused(NOW, "the policy paths", f"192.0.2.{number % 250}", "wrong user name or password")
    kept = recent.since()
    assert len(kept) == 1 + MOST_REFUSED
    assert [each.number for each in kept] == sorted(each.number for each in kept)
    assert recent.find(kept[-1].decision_id) == kept[-1]


def test_a_kept_decision_is_what_the_log_says(server: Opened) -> None:
    """Every kind of answer becomes the very line of the decision log for programs, and so can be decided again."""
    ruleset = server.rules.ruleset
    link = sample_link(ruleset, timedelta(hours=1))
    server.ask(SERVICE, local_alias=link.alias, protocol="api", remote_display_name="Ada", third_party_passcode="4711")
    server.ask(SERVICE, local_alias=link.agent_alias, call_direction="dial_in")
    server.ask(SERVICE, local_alias="room-a", pin_code="1", idp_attribute_group="nurses")
    server.ask(SERVICE, local_alias="moved", remote_alias="x" * 3000)
    server.ask("/participant/properties", local_alias="room-a", remote_display_name="Guest 1")
    server.ask("/participant/location", remote_address="10.20.1.1")
    server.ask("/registrations/kiosk-7%40video.example.com", protocol="sip")
    server.ask("/registrations", q="desk")
    server.get("/policy/v1/participant/avatar/desk%40video.example.com")
    server.get("/policy/v1/service/configuration?local_alias=a&local_alias=b")
    asked = {kind: link_attributes_asked(ruleset, kind) for kind in RequestType}
    logged = [json.loads(line) for line in server.flush()]
    made = [{name: value for name, value in line.items() if name != "node"} for line in logged if line["event"] == MADE]
    assert len(made) == 9
    records = server.recent.records(asked)[::-1]
    for record, line in zip(records, made, strict=True):
        # The line rounds otherwise.
        assert record.pop("ms") == pytest.approx(line.pop("ms"), abs=0.002)
        assert record == line
        assert read_record(record) == read_record(line)
        assert not isinstance(read_record(record), str)
    whole = json.dumps(records)
    for secret in (link.call.session, link.call.agent, FIXED_PIN, KIOSK_PASSWORD, WRITTEN_PASSWORD, "4711"):
        assert secret not in whole


def test_questions_that_nobody_understood_are_kept(server: Opened) -> None:
    """They are decisions too that somebody wants to see; so are wrong passwords, at whatever door."""
    server.get("/policy/v1/service/configuration?local_alias=a&local_alias=b")
    server.request("GET", "/policy/v1/service/configuration", authorization=basic("pexip", "wrong"))
    server.request("GET", "/admin/rules", authorization=basic("admin", "wrong"))
    failed, *refused = server.recent.since()
    assert isinstance(failed, Kept)
    assert isinstance(failed.about, Failed)
    assert [getattr(each, "door", "") for each in refused] == ["the policy paths", "the admin pages"]


def test_old_rule_sets_are_let_go_of(server: Opened) -> None:
    """After two reloads nothing holds the first rules any more; the answers by them stay, without a row per rule."""
    lists = [server.rules.ruleset.lists[RequestType.SERVICE]]
    before = [sys.getrefcount(lists[0])]
    for number in range(3):
        server.ask(SERVICE, local_alias="moved", protocol="sip")
        write_rules(server.settings.rules, RULES.replace("elsewhere@", f"elsewhere{number}@"))
        server.rules.reload()
        lists.append(server.rules.ruleset.lists[RequestType.SERVICE])
        before.append(sys.getrefcount(lists[-1]))
    server.ask(SERVICE, local_alias="moved", protocol="sip")
    rows = []
    for kept in server.recent.since():
        assert isinstance(kept, Kept)
        assert isinstance(kept.about, Decided)
        rows.append((kept.are_gone, len(kept.about.settled.decision.trace.findings())))
        assert kept.about.settled.decision.rule == "moved"
    assert rows == [(True, 0), (True, 0), (False, 5), (False, 5)]
    gc.collect()
    after = [sys.getrefcount(lists[number]) for number in range(4)]
    # Whatever ran has let go of all but the fourth; the trace of an answer holds the third.
    assert [now > then for now, then in zip(after, before, strict=True)] == [False, False, True, True], (before, after)


def test_nothing_is_kept_without_an_admin(tmp_path: Path) -> None:
    """Where nobody can look an answer costs nothing."""
    with InProcess(sample_folder(tmp_path / "rules"), environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}) as plain:
        plain.ask(SERVICE, local_alias="moved")
        kept = [each for each in gc.get_objects() if isinstance(each, RecentDecisions)]
        assert all(not each.since() for each in kept)


def test_the_limits_agree() -> None:
    """As many answers of the usual size as are kept have room in the bytes."""
    assert BYTES_LIMIT > 1000 * (WEIGHT + 8_000)
