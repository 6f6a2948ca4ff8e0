"""``explain``: what the server answers to a question, and why."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from policy_server.cli.common import (
    Unusable,
    echo,
    json_option,
    keyring_or_temporary,
    moment,
    pairs,
    print_json,
    rules_option,
    settings,
    usable_rules,
    words_of,
)
from policy_server.cli.forwarding import Forwarded, forwarded
from policy_server.conferences.explaining import Explained, LookedAt, Moment, decide, look
from policy_server.conferences.reading import Snapshot
from policy_server.conferences.records import HeldConference
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.field_facts import masked
from policy_server.pexip.query import QuestionError
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import PolicyRequest, parse_request
from policy_server.policy.answers import failure_answer, render_answer
from policy_server.policy.asked import rules_for
from policy_server.policy.conditions import walk
from policy_server.policy.decisions import AllowRegistration, Fail, Forward, Outcome
from policy_server.policy.explain import explain_json, explain_rows
from policy_server.policy.link_aliases import read_alias
from policy_server.policy.link_attributes import CUSTOMERS_NAME, attribute_faults
from policy_server.policy.ruleset import Ruleset, ServeOutcome
from policy_server.settings import Settings
from policy_server.web.questions import (
    CAN_BE_PASTED,
    NoQuestionError,
    Question,
    parse_question,
    untold,
    with_names,
)
from policy_server.wording.values import printable, shown

COLOURS: Final = {Outcome.HIT: "\033[32m", Outcome.MISS: "\033[33m", Outcome.NOT_EVALUATED: "\033[2m"}

ONE_LINE: Final = 65_536
"""Characters that are read of a line from standard input; no log has longer ones."""


@click.command()
@click.argument("question", nargs=-1, required=True, metavar="TYPE NAME=VALUE… | QUERY | URL | LINE | -")
@click.option(
    "--at", help="The moment of the question, such as 2026-11-23T10:00:00-06:00 (default: that of the line, or now)."
)
@click.option(
    "--link-attribute",
    multiple=True,
    metavar="K=V",
    help="An attribute of the customer's link, instead of the one that the database has.",
)
@click.option("--forward", is_flag=True, help="Ask the policy server to which a rule forwards the question.")
@click.option("--no-database", is_flag=True, help="Go by rules and signatures alone, whatever the database knows.")
@rules_option
@json_option
def explain(
    question: tuple[str, ...],
    at: str | None,
    link_attribute: tuple[str, ...],
    forward: bool,
    no_database: bool,
    rules_folder: Path | None,
    as_json: bool,
) -> None:
    """Show what the server answers to a question, by which rule, and why not by the others.

    The question is a type (service, participant, location, avatar, directory, registration) with parameters, or what can
    be copied from a log: a query string, a URL, a line of Pexip's support log, a line of this server's own log. With - it
    is read from standard input. Parameters after it are added to it.

    \b
        policy-server explain service local_alias=mp… protocol=api
        policy-server explain 'https://…/policy/v1/service/configuration?local_alias=mp…'
        journalctl -u policy-server | grep decision_id=… | policy-server explain -

    Links with their attributes, which of them are revoked, and the rooms that are held are read from the database of
    POLICY_DATABASE_URL, in which nothing is changed. Where a rule forwards the question nobody is asked, unless --forward
    says so. Exit status 1 when the node gets no decision.
    """
    found = settings()
    asked = _question(_words(question))
    attributes = pairs(link_attribute, "--link-attribute")
    for warning in asked.warnings:
        echo(f"warning: {warning}", err=True)
    ruleset = usable_rules(rules_folder or found.rules)
    asked = with_names(asked, ruleset, keyring_or_temporary(found))
    when = Moment(asked.at, False) if at is None and asked.at else Moment(moment(at), at is None)
    try:
        request = parse_request(asked.type, asked.query.encode(), asked.alias)
    except QuestionError as error:
        failure = failure_answer(found.on_failure)
        if as_json:
            failed: dict[str, Any] = {
                "rule": None,
                "reason": str(error),
                "answer": failure,
                "findings": [],
                "revision": ruleset.revision,
            }
            print_json({**failed, "looked_at": None, "held": None, "forwarded": None, "notes": asked.notes})
        else:
            echo(f"The question cannot be understood: {error}", "")
            print_json(failure)
        sys.exit(1)
    _check_attributes(attributes, ruleset, request, found)
    explained, sent_on = asyncio.run(
        _settle(found, ruleset, request, when, attributes, asked, no_database=no_database, forward=forward)
    )
    looked_at, decision, held = explained.looked_at, explained.decision, explained.held
    told_to_node = render_answer(request.type, decision, found.on_failure)
    answer = told_to_node if sent_on is None else sent_on.answer(request, found.on_failure)
    if isinstance(decision, AllowRegistration) and answer is not None:
        # Unlike a PIN, which is one call's or stands in the rules, it is a device's for good.
        answer = masked(answer)
    notes = [*asked.notes, *_untold(asked, ruleset), *explained.notes]
    if as_json:
        told = explain_json(decision, answer, ruleset.revision)
        seen = {"database": looked_at.database, "without": looked_at.without, "at": when.at.isoformat()}
        further = {"held": _held_json(held), "forwarded": sent_on.as_json() if sent_on else None, "notes": notes}
        print_json({**told, "looked_at": seen, **further})
    else:
        paint = COLOURS if sys.stdout.isatty() else None
        findings = (replace(row, reason=printable(row.reason)) for row in decision.trace.findings())
        click.echo("\n".join(explain_rows(findings, paint)))
        winner = f"rule {decision.rule}" if decision.rule else "no rule"
        echo("", f"{winner}: {decision.reason}  (revision {ruleset.revision}, at {when})")
        click.echo(looked_at.told(when))
        if sent_on is not None:
            echo(str(sent_on))
        if held is not None:
            click.echo(
                f"the room {shown(held.name)} is held, and the rules decide as they did when it was first served: "
                f"{held.held_at.isoformat(timespec='seconds')}, rule {held.rule}, revision {held.revision}"
            )
        for note in notes:
            echo(f"note: {note}")
        if found.secret_key is None and _needs_key(ruleset, request.type):
            click.echo(
                "POLICY_SECRET_KEY is not set: links count as invalid, and derived PINs are not the server's.", err=True
            )
        if answer is not None:
            click.echo()
            print_json(answer)
    sys.exit(1 if isinstance(decision, Fail) or (sent_on is not None and sent_on.is_unanswered) else 0)


def _check_attributes(attributes: Mapping[str, str], ruleset: Ruleset, request: PolicyRequest, found: Settings) -> None:
    """Unusable where no link of the type that was dialled can be given such attributes."""
    alias = normalise_alias(request.text("local_alias"), ruleset.domains)
    link = read_alias(ruleset.alias_forms, keyring_or_temporary(found), alias)
    if link is not None:
        given = {name: value for name, value in attributes.items() if name != CUSTOMERS_NAME}
        faults = attribute_faults(link.type, ruleset.links[link.type].attributes, given, whole=False)
        if told := "; ".join(fault for _, fault in faults):
            raise Unusable(f"--link-attribute: {told}")


def _question(words: tuple[str, ...]) -> Question:
    try:
        return parse_question(words)
    except NoQuestionError as error:
        how = "; put it in quotes, or give - and paste it" if str(error).endswith(CAN_BE_PASTED) else ""
        raise Unusable(f"{error}{how}") from None


def _words(question: tuple[str, ...]) -> tuple[str, ...]:
    """The words of the question; for ``-`` the line that standard input has."""
    words = words_of(question)
    if words[0] != "-":
        return words
    text = sys.stdin.buffer.read(ONE_LINE).decode("utf-8", "replace")
    # Not splitlines: names of callers may have what Unicode takes for the end of a line.
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) != 1:
        raise Unusable(f"standard input must have one line with a question, but has {len(lines) or 'none'}")
    return (lines[0], *words[1:])


async def _settle(
    found: Settings,
    ruleset: Ruleset,
    request: PolicyRequest,
    when: Moment,
    attributes: Mapping[str, str],
    asked: Question,
    *,
    no_database: bool,
    forward: bool,
) -> tuple[Explained, Forwarded | None]:
    """What the endpoint would decide, and what becomes of a question that is forwarded."""
    if no_database and request.type.about.is_about_call:
        looked_at = LookedAt(Snapshot(), without="--no-database")
    else:
        looked_at = await look(
            lambda: ConferenceStore(found.database_url, read_only=True), request.type, when, found.conference_ttl
        )
    explained = await decide(ruleset, request, when, keyring_or_temporary(found), looked_at, attributes)
    if not isinstance(explained.decision, Forward):
        return explained, None
    is_ours = partial(explained.rooms.is_ours, ruleset, now=when.at)
    return explained, await forwarded(explained.decision, request, asked, ruleset, is_ours, asks=forward)


def _held_json(held: HeldConference | None) -> dict[str, str] | None:
    if held is None:
        return None
    return {"room": held.name, "since": held.held_at.isoformat(), "rule": held.rule, "revision": held.revision}


def _untold(asked: Question, ruleset: Ruleset) -> list[str]:
    """A note on what rules ask for and our log does not keep."""
    keys = {condition.key for rule in rules_for(ruleset, asked.type) for condition in walk(rule.conditions)}
    missing = untold(asked, keys)
    if not missing:
        return []
    return [f"the log does not keep {', '.join(missing)}, for which rules ask; add what it was as NAME=VALUE"]


def _needs_key(ruleset: Ruleset, request_type: RequestType) -> bool:
    """Whether an answer can depend on the secret key: rules ask about a link or for a share of calls, or derive PINs."""
    return any(
        any(condition.needs_key for condition in walk(rule.conditions)) or _derives_pins(rule.outcome)
        for rule in rules_for(ruleset, request_type)
    )


def _derives_pins(outcome: object) -> bool:
    return isinstance(outcome, ServeOutcome) and (outcome.service.derived_pin or outcome.service.derived_guest_pin)
