"""``replay``: a decision log against a rule set."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import click

from policy_server.cli.common import (
    Unusable,
    checked_keyring,
    echo,
    json_option,
    print_json,
    rules_option,
    settings,
    usable_rules,
)
from policy_server.conferences.replay import Logged, replay
from policy_server.conferences.replayed import Replayed
from policy_server.policy.ruleset import Ruleset
from policy_server.web.decision_records import read_record
from policy_server.web.log_lines import read_line
from policy_server.wording.values import shown

LONGEST_LINE: Final = 1024 * 1024
"""Characters of a line that are read; the server writes none that is longer."""

MOST_LISTED: Final = 100
"""Differences that are listed for people; programs get all."""

NO_LINE: Final = "no line of this server's decision log"


@click.command("replay")
@click.argument("log", metavar="LOG | -")
@rules_option
@json_option
def replay_log(log: str, rules_folder: Path | None, as_json: bool) -> None:
    """Compare what a decision log says with what the rules would answer today.

    The log is what POLICY_DECISION_LOG or POLICY_LOG_FORMAT=json makes, of one server or of several, as it is or as a
    collector of logs kept it; with - it is read from standard input. Each question is decided again at its time, with the
    link and the room that it was about, and the answers are compared field by field, values of PINs and passwords apart.

    \b
        policy-server replay /var/log/policy-server/decisions.jsonl --rules rules-of-tomorrow

    Aliases of links are hidden in the log, and POLICY_SECRET_KEY tells them again. Exit status 1 when anything would be
    answered differently, 2 when there is nothing to compare.
    """
    found = settings()
    ruleset = usable_rules(rules_folder or found.rules)
    keyring = checked_keyring(found.secret_key, found.previous_secret_keys) if found.secret_key else None
    lines, skipped = _read(log)
    if not lines:
        raise Unusable(
            f"{_named(log)} has no decision that can be decided again{_why(skipped)}; set POLICY_DECISION_LOG, or "
            "POLICY_LOG_FORMAT=json, on the server"
        )
    replayed = Replayed(replay(lines, ruleset, keyring, found.conference_ttl))
    if as_json:
        print_json(_json(ruleset, replayed, skipped))
    else:
        _print(ruleset, replayed, skipped)
    if not replayed.compared:
        sys.exit(2)
    sys.exit(1 if replayed.different else 0)


def _read(log: str) -> tuple[list[Logged], Counter[str]]:
    """The decisions of a log, and how many lines of which other kinds it has."""
    lines: list[Logged] = []
    skipped: Counter[str] = Counter()
    try:
        with sys.stdin.buffer if log == "-" else Path(log).open("rb") as file:
            while raw := file.readline(LONGEST_LINE):
                # Only `\n` ends a line: names of callers may have what Unicode takes for an end.
                if not (text := raw.decode("utf-8", "replace").strip()):
                    continue
                record = read_line(text)
                read = NO_LINE if record is None else read_record(record)
                if isinstance(read, Logged):
                    lines.append(read)
                else:
                    skipped[read] += 1
    except OSError as error:
        raise Unusable(f"{_named(log)} cannot be read: {error.strerror}") from None
    return lines, skipped


def _named(log: str) -> str:
    return "standard input" if log == "-" else shown(log)


def _why(skipped: Counter[str]) -> str:
    return f" ({_counted(skipped)})" if skipped else ""


def _counted(skipped: Counter[str]) -> str:
    return ", ".join(f"{kind}: {count}" for kind, count in skipped.most_common())


def _print(ruleset: Ruleset, replayed: Replayed, skipped: Counter[str]) -> None:
    compared, different = replayed.compared, replayed.different
    for each in different[:MOST_LISTED]:
        logged = each.logged
        rules, outcomes = _change(logged.rule or "-", each.rule or "-"), _change(logged.outcome, each.outcome)
        echo(f"{_time(logged)}  {logged.type} {logged.alias or '-'}  rule {rules}  {outcomes}  ({logged.decision_id})")
        for difference in each.fields:
            echo(f"    {difference}")
    if len(different) > MOST_LISTED:
        echo(f"… and {len(different) - MOST_LISTED} more, which --json lists")
    if different:
        echo("")
    echo(
        f"{len(compared)} question{'s' * (len(compared) != 1)} decided again with revision {ruleset.revision}: "
        f"{len(different)} would be answered differently"
    )
    for move, count in replayed.moves:
        echo(f"    {count:>5}  {move.then} → {move.now}")
    if replayed.by_another_rule:
        echo(f"{replayed.by_another_rule} would be answered the same by another rule")
    if replayed.unseen:
        echo(f"{len(replayed.unseen)} could not be looked at:")
        for why, count in replayed.reasons:
            echo(f"    {count:>5}  {why}")
    if skipped:
        echo(f"skipped: {_counted(skipped)}")


def _change(then: str, now: str) -> str:
    return then if then == now else f"{then} → {now}"


def _time(logged: Logged) -> str:
    return logged.at.isoformat(timespec="seconds")


def _json(ruleset: Ruleset, replayed: Replayed, skipped: Counter[str]) -> dict[str, Any]:
    return {
        "revision": ruleset.revision,
        "compared": len(replayed.compared),
        "different": len(replayed.different),
        "other_rule": replayed.by_another_rule,
        "differences": [
            {
                **_line(each.logged),
                "then": {"rule": each.logged.rule, "outcome": each.logged.outcome, "revision": each.logged.revision},
                "now": {"rule": each.rule, "outcome": each.outcome, "reason": each.reason},
                "fields": [field._asdict() for field in each.fields],
            }
            for each in replayed.different
        ],
        "unseen": [{**_line(each.logged), "why": each.why} for each in replayed.unseen],
        "skipped": dict(skipped),
    }


def _line(logged: Logged) -> dict[str, str]:
    return {
        "time": logged.at.isoformat(timespec="milliseconds"),
        "decision_id": logged.decision_id,
        "question": logged.type.value,
        "alias": logged.alias,
    }
