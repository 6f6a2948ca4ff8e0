"""``simulate --fault``: what is done for a customer when a leg fails."""

import sys
from datetime import UTC
from typing import Final, NoReturn, assert_never

import click

from policy_server.app import utc_now
from policy_server.cli.common import Unusable, echo, print_json
from policy_server.cli.theatre import Theatre
from policy_server.policy.fates import LegsOutcome, PlayedLegs
from policy_server.rulefiles.assurance import MANAGEMENT
from policy_server.simulator.leg_faults import Fault, play_faulty
from policy_server.wording.values import shown
from policy_server.wording.words import listed

UNSET: Final = f"Without a Management Node nothing of this is done: {MANAGEMENT} is not set."


def play_with_fault(theatre: Theatre, fault: Fault, as_json: bool) -> NoReturn:
    """Plays and prints, and ends with the status: 1 if a customer reaches nobody because the first leg fails."""
    now = utc_now()
    at = theatre.arrivals(now).opening(theatre.at)
    decision = theatre.arrivals(at).room(at)
    plays = play_faulty(theatre.rules.ruleset, decision, fault, at)
    if not plays:
        raise Unusable(f"rule {shown(decision.rule)} dials no trunk, so no leg of it can fail; add dial_out to it")
    is_watched = theatre.found.management is not None
    ok = plays[0].legs.outcome is LegsOutcome.ANSWERED
    if as_json:
        print_json(
            {
                "ok": ok,
                "rule": decision.rule,
                "at": at.isoformat(),
                "fault": fault.value,
                "has_management": is_watched,
                "plays": [{"title": play.title, **_json(play.legs)} for play in plays],
            }
        )
    else:
        echo(
            f"Rule {shown(decision.rule)} lets the {theatre.part.who} in at {at.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC."
        )
        for play in plays:
            click.echo()
            echo(play.title)
            for happening in play.legs.happenings:
                echo(f"  {happening.at:>6g}s  {happening.text}")
            echo(f"  {_told(play.legs)}")
    if not is_watched:
        click.echo(UNSET, err=True)
    sys.exit(0 if ok else 1)


def _told(legs: PlayedLegs) -> str:
    dialled = listed(map(shown, legs.dialled))
    match legs.outcome:
        case LegsOutcome.ANSWERED:
            told = "An agent was reached"
        case LegsOutcome.KEPT:
            told = "Nobody was reached; the customer waits in the room"
        case LegsOutcome.DISCONNECTED:
            told = "Nobody was reached; the customer is disconnected"
        case LegsOutcome.TRANSFERRED:
            told = "Nobody was reached; the customer is transferred"
        case _:
            assert_never(legs.outcome)
    return f"{told}. Dialled: {dialled}."


def _json(legs: PlayedLegs) -> dict[str, object]:
    return {
        "dialled": list(legs.dialled),
        "outcome": legs.outcome.value,
        "ends": legs.ends,
        "steps": [{"at": each.at, "text": each.text} for each in legs.happenings],
    }
