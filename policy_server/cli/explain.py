"""``explain``: what the server answers to a question, and why."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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
from policy_server.cli.questions import Question, parse_question, untold, with_names
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.reading import Snapshot, read_snapshot
from policy_server.conferences.records import HeldConference
from policy_server.conferences.rooms import Rooms
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.field_facts import masked
from policy_server.pexip.query import QuestionError
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import PolicyRequest, parse_request
from policy_server.policy.answers import failure_answer, render_answer
from policy_server.policy.conditions import walk
from policy_server.policy.decisions import AllowRegistration, Decision, Fail, Forward, Outcome
from policy_server.policy.explain import explain_json, explain_rows
from policy_server.policy.link_aliases import LinkAlias, read_alias
from policy_server.policy.link_attributes import CUSTOMERS_NAME, attribute_faults
from policy_server.policy.names import Keyring, LinkState
from policy_server.policy.ruleset import Rule, Ruleset, ServeOutcome
from policy_server.settings import Settings
from policy_server.wording.values import printable, shown

COLOURS: Final = {Outcome.HIT: "\033[32m", Outcome.MISS: "\033[33m", Outcome.NOT_EVALUATED: "\033[2m"}

ONE_LINE: Final = 65_536
"""Characters that are read of a line from standard input; no log has longer ones."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When the question is asked; ``is_now`` unless somebody or a line of a log said when."""

    at: datetime
    is_now: bool

    def __str__(self) -> str:
        return self.at.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What is known beside question, rules and time: ``snapshot``, out of ``database``; or ``without``, which says why."""

    snapshot: Snapshot
    database: str | None = None
    without: str | None = None


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
    asked = parse_question(_words(question))
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
    looked_at, decision, held, sent_on = asyncio.run(
        _settle(found, ruleset, request, when, attributes, asked, no_database=no_database, forward=forward)
    )
    told_to_node = render_answer(request.type, decision, found.on_failure)
    answer = told_to_node if sent_on is None else sent_on.answer(request, found.on_failure)
    if isinstance(decision, AllowRegistration) and answer is not None:
        # Unlike a PIN, which is one call's or stands in the rules, it is a device's for good.
        answer = masked(answer)
    dialled = _dialled(ruleset, keyring_or_temporary(found), request)
    notes = [*asked.notes, *_untold(asked, ruleset), *_window(dialled, when), *_joins(dialled, looked_at)]
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
        click.echo(_told(looked_at, when))
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
) -> tuple[LookedAt, Decision, HeldConference | None, Forwarded | None]:
    """What was looked at, the decision as the endpoint makes it, the conference that held the room before, and what becomes of
    a question that is forwarded.
    """
    looked_at = await _look(found, request.type, when, no_database)
    rooms = Rooms(looked_at.snapshot, keyring_or_temporary(found), lambda: "explained", attributes)
    # What the decision itself would hold comes into the snapshot too.
    before = dict(looked_at.snapshot.rooms)
    settled = await rooms.settle(ruleset, request, when.at)
    held = before.get(settled.room)
    sent_on: Forwarded | None = None
    if isinstance(settled.decision, Forward):
        is_ours = partial(rooms.is_ours, ruleset, now=when.at)
        sent_on = await forwarded(settled.decision, request, asked, ruleset, is_ours, asks=forward)
    return looked_at, settled.decision, held if held is not None and when.at < held.expires_at else None, sent_on


async def _look(found: Settings, request_type: RequestType, when: Moment, no_database: bool) -> LookedAt:
    if not request_type.about.is_about_call:
        return LookedAt(Snapshot(), without="such a question is answered by the rules alone")
    if no_database:
        return LookedAt(Snapshot(), without="--no-database")
    try:
        async with ConferenceStore(found.database_url, read_only=True) as store:
            snapshot = await read_snapshot(store, when.at, found.conference_ttl, is_now=when.is_now)
            return LookedAt(snapshot, store.name)
    except StoreUnavailableError as error:
        return LookedAt(Snapshot(), without=f"{error}; what it knows of links and rooms is left out")


def _told(looked_at: LookedAt, when: Moment) -> str:
    """What was looked at, in one line."""
    if looked_at.database is None:
        return f"no database: {looked_at.without}"
    as_of = f"{when.at.astimezone():%H:%M:%S}" if when.is_now else str(when)
    to_come = ", if nothing changes until then" if not when.is_now and when.at > datetime.now(UTC) else ""
    return f"links, revocations and rooms in {looked_at.database} as of {as_of}{to_come}"


def _held_json(held: HeldConference | None) -> dict[str, str] | None:
    if held is None:
        return None
    return {"room": held.name, "since": held.held_at.isoformat(), "rule": held.rule, "revision": held.revision}


def _rules_for(ruleset: Ruleset, request_type: RequestType) -> tuple[Rule, ...]:
    """The rules that answer such a question, disabled ones apart."""
    rules = ruleset.lists.get(request_type)
    return tuple(rule for rule in rules.rules if rule.enabled) if rules is not None else ()


def _untold(asked: Question, ruleset: Ruleset) -> list[str]:
    """A note on what rules ask for and our log does not keep."""
    keys = {condition.key for rule in _rules_for(ruleset, asked.type) for condition in walk(rule.conditions)}
    missing = untold(asked, keys)
    if not missing:
        return []
    return [f"the log does not keep {', '.join(missing)}, for which rules ask; add what it was as NAME=VALUE"]


def _dialled(ruleset: Ruleset, keyring: Keyring, request: PolicyRequest) -> LinkAlias | None:
    """What the alias that was dialled says of a link."""
    alias = normalise_alias(request.text("local_alias"), ruleset.domains)
    return read_alias(ruleset.alias_forms, keyring, alias)


def _joins(link: LinkAlias | None, looked_at: LookedAt) -> list[str]:
    """A note on the call into whose room the alias leads, if it is of a link that joins another."""
    if link is None or link.call is None or not link.joins:
        return []
    known = looked_at.snapshot.link(link.call_id)
    if known is None:
        return [f"the link joins a call of type {shown(link.joins)}, and which one only the database knows"]
    joined = looked_at.snapshot.link(known.joins)
    revoked = ", which is revoked" if joined is not None and joined.revoked_at is not None else ""
    return [
        f"the link joins the call {known.joins} of type {shown(link.joins)}{revoked}: {{call}} and its room are that call's"
    ]


def _window(link: LinkAlias | None, when: Moment) -> list[str]:
    """A note on the window of an appointment, if the alias is of one whose door is not open at that time."""
    if link is None or link.call is None or link.call.opens_at is None:
        return []
    state = link.call.state(when.at)
    if state is LinkState.VALID:
        return []
    opens_at, expires_at = link.call.opens_at.isoformat(), link.call.expires_at.isoformat()
    return [f"the link is {state}: it is of an appointment whose door opens at {opens_at} and is shut at {expires_at}"]


def _needs_key(ruleset: Ruleset, request_type: RequestType) -> bool:
    """Whether an answer can depend on the secret key: rules ask about a link or for a share of calls, or derive PINs."""
    return any(
        any(condition.needs_key for condition in walk(rule.conditions)) or _derives_pins(rule.outcome)
        for rule in _rules_for(ruleset, request_type)
    )


def _derives_pins(outcome: object) -> bool:
    return isinstance(outcome, ServeOutcome) and (outcome.service.derived_pin or outcome.service.derived_guest_pin)
