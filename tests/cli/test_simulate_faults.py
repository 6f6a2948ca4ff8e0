"""``simulate --fault``: what rules do when a leg fails."""

from pathlib import Path
from typing import Final

import pytest

from tests.cli.commands import CREDENTIALS, RULES, printed_json, put_rules, run

OPEN: Final = "2026-11-23T10:00:00-06:00"
MANAGEMENT: Final = {
    "POLICY_MANAGEMENT_URL": "https://manager.example.com",
    "POLICY_MANAGEMENT_USERNAME": "policy",
    "POLICY_MANAGEMENT_PASSWORD": "a password",
}
ONE_LEG: Final = "    dial_out: [{ trunk: contact-centre, "
TWO_LEGS: Final = RULES.replace(
    ONE_LEG,
    "    assurance: { on_exhausted: disconnect }\n"
    '    dial_out: [{ trunk: contact-centre }, { remote_alias: "99+13129998046", when: failed, ',
)


@pytest.mark.parametrize(
    ("fault", "first", "every"),
    [
        pytest.param("busy", ("answered", 16.0), ("disconnected", 14.0), id="busy"),
        pytest.param("rejected", ("answered", 16.0), ("disconnected", 14.0), id="rejected"),
        pytest.param("silent", ("answered", 40.0), ("disconnected", 62.0), id="silent"),
        pytest.param("late", ("answered", 40.0), ("disconnected", 62.0), id="late"),
        pytest.param("drops", ("answered", 24.0), None, id="drops"),
    ],
)
def test_a_leg_fails(folder: Path, fault: str, first: tuple[str, float], every: tuple[str, float] | None) -> None:
    """The next entry is dialled where the first leg fails, and where every leg does the customer gets what the rule says."""
    put_rules(folder, TWO_LEGS)
    result = run("simulate", "--fault", fault, "--at", OPEN, "--json", environment=MANAGEMENT)
    value = printed_json(result)
    assert (result.exit_code, result.stderr, value["ok"], value["rule"]) == (0, "", True, "customer")
    assert [(play["outcome"], play["steps"][-1]["at"]) for play in value["plays"]] == [
        first,
        *([every] if every else []),
    ]
    assert value["plays"][0]["dialled"] == ["contact-centre", *(["99+13129998046"] if fault != "drops" else [])]


def test_a_customer_who_reaches_nobody_is_a_failure(folder: Path) -> None:
    """Without an entry for when the first failed the customer waits for nobody, and the status is 1; what is told is so for a
    Management Node alone.
    """
    put_rules(folder)
    result = run("simulate", "--fault", "busy", "--at", OPEN)
    assert result.exit_code == 1
    assert result.stdout == (
        "Rule 'customer' lets the customer in at Mon 2026-11-23 16:00 UTC.\n\n"
        "The first leg: busy. Those that are dialled later answer.\n"
        "       0s  the customer joins\n"
        "      10s  'contact-centre' is dialled, by the node, with the room\n"
        "      11s  'contact-centre' is busy\n"
        "      11s  nobody could be reached: the customer stays in the room\n"
        "  Nobody was reached; the customer waits in the room. Dialled: 'contact-centre'.\n"
    )
    assert result.stderr == "Without a Management Node nothing of this is done: POLICY_MANAGEMENT_URL is not set.\n"


def test_it_is_played_when_the_door_is_open(folder: Path) -> None:
    """Without a moment a customer comes when one would get in."""
    put_rules(folder, TWO_LEGS)
    assert run("simulate", "--fault", "busy", environment=MANAGEMENT).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "rules", "reason"),
    [
        pytest.param(
            ("--fault", "buzy"),
            RULES,
            "--fault must be one of 'busy', 'rejected', 'silent', 'late', 'drops' but is 'buzy' (did you mean 'busy'?)",
            id="another word",
        ),
        pytest.param(
            ("--fault", "busy", "--url", "http://127.0.0.1:1"),
            RULES,
            "leave --url out, and play its rules here with --rules and --fault busy",
            id="a server",
        ),
        pytest.param(
            ("--fault", "busy", "--database", "sqlite:///x.db"),
            RULES,
            "--fault goes without --database: nothing of it is written down; leave --database out",
            id="a database",
        ),
        pytest.param(
            ("--fault", "busy", "--at", "2026-11-22T10:00:00-06:00"),
            RULES,
            "no customer gets in at that moment",
            id="closed",
        ),
        pytest.param(
            ("--fault", "busy", "--at", OPEN),
            RULES.replace(ONE_LEG, "    # dial_out: [{ trunk: contact-centre, "),
            "rule 'customer' dials no trunk, so no leg of it can fail; add dial_out to it",
            id="no leg",
        ),
    ],
)
def test_what_cannot_be_played(folder: Path, arguments: tuple[str, ...], rules: str, reason: str) -> None:
    """Options that do not fit are status 2, with the remedy."""
    put_rules(folder, rules)
    result = run("simulate", *arguments, environment=CREDENTIALS)
    assert (result.exit_code, result.stdout, reason in result.stderr) == (2, "", True), result.stderr
