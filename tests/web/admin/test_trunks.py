"""What the page of the rules says of trunks: what goes through them, what may, and how their legs ended."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_server.telephony.trunks import Load
from policy_server.web.admin.trunks import last_of_all, loads, trunk_rows
from policy_server.web.leg_counts import LastLegs
from tests.servers import InProcess
from tests.web.admin.test_rules_page import ADMIN, ENVIRONMENT, shown, text_of
from tests.web.samples import NOW, RULES, sample_folder, sample_link

LIMITED = RULES.replace('dial_prefix: "99"', 'dial_prefix: "99", limits: { legs: 2, calls_per_minute: 60 }')


def trunk(html: str) -> str:
    """What a person reads of the trunk."""
    found = re.search(r'<h2 id="trunks">.*?</section>', html, re.DOTALL)
    assert found
    return text_of(found[0])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[InProcess]:
    """A server with an admin whose trunk has limits."""
    folder = sample_folder(tmp_path / "rules", LIMITED)
    with InProcess(folder, environment=ENVIRONMENT, admin=ADMIN, clock=lambda: NOW) as started:
        yield started


def dial(server: InProcess, calls: int) -> None:
    """Has rooms held that dial the trunk."""
    for number in range(calls):
        link = sample_link(server.rules.ruleset, nonce=b"%04d" % number)
        server.ask("/service/configuration", local_alias=link.alias, call_direction="dial_in")


def test_what_goes_through_a_trunk_is_shown_beside_what_may(server: InProcess) -> None:
    """Legs of rooms that run and calls of the last minute, and the limits."""
    assert "now 0 legs of rooms that run; 0 calls began within a minute" in trunk(shown(server))
    dial(server, 1)
    words = trunk(shown(server))
    assert "now 1 leg of rooms that run; 1 call began within a minute" in words
    assert "limits 2 legs at a time, 60 calls a minute" in words
    assert "at its limit" not in words


def test_a_trunk_at_its_limit_is_marked(server: InProcess) -> None:
    """What is dialled then is said."""
    dial(server, 2)
    assert "at its limit: 2 of 2 legs; another entry of dial_out is dialled, if there is one" in trunk(shown(server))


def test_what_is_not_known_is_said(server: InProcess) -> None:
    """Without a Management Node nobody watches legs."""
    words = trunk(shown(server))
    assert "How its legs come out is not known here: that needs a Management Node" in words
    assert "last legs" not in words


def test_how_legs_came_out_is_shown(server: InProcess) -> None:
    """Where legs are watched, the last one of each kind; a trunk whose last leg failed is marked."""
    ruleset = server.rules.ruleset
    now = loads(ruleset, lambda _: Load(), 10)
    (none,) = trunk_rows(ruleset, now, {})
    assert (none.is_watched, none.answered, none.failed, none.warning) == (True, "", "", "")
    (failed,) = trunk_rows(ruleset, now, {"contact-centre": LastLegs(60.0, 120.0, "no_answer")})
    assert (failed.answered, failed.failed) == ("1970-01-01T00:01:00+00:00", "1970-01-01T00:02:00+00:00")
    assert (failed.failure, failed.warning) == ("no answer", "the last leg failed")
    (well,) = trunk_rows(ruleset, now, {"contact-centre": LastLegs(180.0, 120.0, "busy")})
    assert (well.failure, well.warning) == ("busy", "")


def test_the_last_legs_of_all_processes_count() -> None:
    """The latest of each kind, whoever saw it; nothing is known where none watches."""
    first = {"clinic": (100.0, 300.0, "busy"), "north": (0.0, 5.0, "rejected")}
    second = {"clinic": (200.0, 50.0, "unreachable")}
    assert last_of_all([first, None, second]) == {
        "clinic": LastLegs(200.0, 300.0, "busy"),
        "north": LastLegs(0.0, 5.0, "rejected"),
    }
    assert last_of_all([{}]) == {}
    assert last_of_all([None]) is None
