"""The table of attacks: what it is made from, and that SECURITY.md has one of these attacks."""

import pytest

from tests.attack.attacks import ATTACKS, Attack, Outcome, silent_connections
from tests.attack.run import BEGIN, END, Felt, Row, during, table
from tests.test_lock import ROOT

pytestmark = pytest.mark.slow


def test_the_table_in_the_security_chapter_is_of_these_attacks() -> None:
    """Who adds an attack, or takes one away, runs `make attack`."""
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    rows = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[3:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [attack.name for attack in ATTACKS]


def test_a_call_felt_what_it_asked_within_the_time_of_an_attack() -> None:
    """Questions are counted by when they were asked; the 99th percentile is of them alone."""
    felt = [{"at": float(at), "seconds": at / 1000, "good": at != 7} for at in range(300)]
    assert during(felt, [(0, 100), (200, 300)]) == Felt(200, 1, 0.297)
    assert during(felt, [(1000, 1001)]) == Felt(0, 0, 0.0)


def test_an_attack_is_held_off_when_nothing_was_got_lost_or_slowed_down() -> None:
    """Each of the three alone makes a row bad; some milliseconds more are no matter."""
    attack, held = Attack("Silence", silent_connections), Outcome("nothing", held=True)
    quiet = Felt(100, 0, 0.02)
    assert Row(attack, held, Felt(100, 0, 0.06)).is_good(quiet)
    assert Row(attack, held, Felt(100, 0, 0.04)).is_good(Felt(100, 0, 0.001))
    assert not Row(attack, held, Felt(100, 0, 0.061)).is_good(quiet)
    assert not Row(attack, held, Felt(100, 1, 0.02)).is_good(quiet)
    assert not Row(attack, Outcome("a PIN", held=False), Felt(100, 0, 0.02)).is_good(quiet)


def test_the_table_begins_with_the_quiet() -> None:
    """A reader compares each row with the first."""
    row = Row(Attack("Silence", silent_connections), Outcome("nothing", held=True), Felt(100, 0, 0.06))
    assert table([row], Felt(900, 0, 0.02)).splitlines()[2:] == [
        "| none | | 0 of 900 | 20 ms |",
        "| Silence | nothing | 0 of 100 | 60 ms |",
    ]
