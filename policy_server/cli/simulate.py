"""``simulate``: plays a whole call as a Conferencing Node would."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click
import httpx

from policy_server.app import create_app, utc_now
from policy_server.cli.common import (
    Unusable,
    environment,
    json_option,
    keyring_or_temporary,
    print_json,
    refuse,
    rules_option,
    settings,
)
from policy_server.pexip.parameters import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.decisions import Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.links import CustomerLink, make_link
from policy_server.policy.ruleset import LinkType, Ruleset
from policy_server.policy.sessions import NONCE_BYTES, Keyring
from policy_server.rulefiles.problems import one_of, shown
from policy_server.rulefiles.store import RulesError, RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.simulator.call import Step, play_call, play_closed_door
from policy_server.simulator.node import ConferencingNode, web_question
from policy_server.web.decision_log import DecisionLog

LOOK_AHEAD: Final = (
    (timedelta(days=8), timedelta(hours=1)),
    (timedelta(days=400), timedelta(hours=6)),
)
"""How far to look for a moment when the door is open or closed, and in what steps: weeks first, then holidays."""


@dataclass(frozen=True, slots=True)
class Played:
    """One step, and where and when it was played."""

    step: Step
    where: str


@click.command()
@click.option("--url", help="Profile URL of a running server (default: play in this process, without a server).")
@click.option("--link", "link_name", metavar="TYPE", help="Link type to play (default: the first of the rules).")
@rules_option
@json_option
def simulate(url: str | None, link_name: str | None, rules_folder: Path | None, as_json: bool) -> None:
    """Play one customer's call as a Conferencing Node would, and judge every answer.

    The rules and POLICY_SECRET_KEY must be those of the server. A step for which the server's clock is wrong (the door
    closed when it is open now, or the other way round) is played in this process at a moment that fits.
    """
    found = settings()
    if url is not None and not _is_profile_url(url):
        raise Unusable(f"--url must be the URL of the policy profile, such as https://host:8080, but is {shown(url)}")
    if url is not None and (found.pexip is None or found.secret_key is None):
        raise Unusable("POLICY_PEXIP_USERNAME, POLICY_PEXIP_PASSWORD and POLICY_SECRET_KEY must be those of the server")
    complete = replace(
        found,
        rules=rules_folder or found.rules,
        pexip=found.pexip or Credentials("pexip", secrets.token_urlsafe(18)),
        secret_key=found.secret_key or secrets.token_urlsafe(32),
    )
    keyring = keyring_or_temporary(complete)
    try:
        rules = RuleStore(complete.rules, utc_now, environment())
    except RulesError as error:
        refuse(error.problems)
    link_type = _link_type(rules.ruleset, link_name)
    played = asyncio.run(_play(complete, rules, keyring, link_type, url))
    if as_json:
        print_json({"ok": all(item.step.passed for item in played), "steps": [_json(item) for item in played]})
    else:
        for number, item in enumerate(played, 1):
            _print(number, item)
        failed = sum(not item.step.passed for item in played)
        click.echo(f"{len(played)} steps, {failed} failed")
    silent = next((item for item in played if item.step.exchange.unreachable), None)
    if silent is not None:
        click.echo(
            f"No answer from {silent.where} ({silent.step.exchange.unreachable}). Is the server running, and is that the "
            "URL of its policy profile?",
            err=True,
        )
    sys.exit(0 if played and all(item.step.passed for item in played) else 1)


def _is_profile_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname)


def _link_type(ruleset: Ruleset, name: str | None) -> LinkType:
    if not ruleset.links:
        raise Unusable("the rules define no link type under links, so there is no call to play")
    if name is None:
        return next(iter(ruleset.links.values()))
    if name not in ruleset.links:
        raise Unusable(one_of("--link", ruleset.links, name))
    return ruleset.links[name]


async def _play(
    found: Settings, rules: RuleStore, keyring: Keyring, link_type: LinkType, url: str | None
) -> list[Played]:
    ruleset = rules.ruleset

    def new_link(at: datetime, life: timedelta) -> CustomerLink:
        return make_link(link_type, keyring, at + life, secrets.token_bytes(NONCE_BYTES), name="Ada L")

    now = utc_now()
    # A link that is good at all these moments, so that only the calendars say when the door is open.
    lasting = new_link(now, LOOK_AHEAD[-1][0] + timedelta(hours=1))
    question = encode_query(web_question(lasting.alias, "Ada L")).encode()

    def lets_in(at: datetime) -> bool:
        decision = evaluate(ruleset, parse_request(RequestType.SERVICE, question), at, keyring)
        return isinstance(decision, Serve)

    opened = next((at for at in _moments(now) if lets_in(at)), None)
    closed = next((at for at in _moments(now) if not lets_in(at)), None)
    if opened is None:
        raise Unusable("no customer gets in within a year: no rule serves the alias of this link type")
    played: list[Played] = []
    async with _node(found, rules, url, opened, now) as (node, where):
        link = new_link(opened, timedelta(hours=1))
        played += [Played(step, where) async for step in play_call(node, link)]
    if any(item.step.exchange.unreachable for item in played):
        return played
    async with _node(found, rules, url, now, now) as (node, where):
        expired = new_link(now, -timedelta(minutes=2))
        step = await play_closed_door(node, expired, "A customer with an expired link")
        played.append(Played(step, where))
    if closed is not None:
        async with _node(found, rules, url, closed, now) as (node, where):
            link = new_link(closed, timedelta(hours=1))
            step = await play_closed_door(node, link, "A customer with a good link outside opening hours")
            played.append(Played(step, where))
    return played


def _moments(now: datetime) -> Iterator[datetime]:
    yield now
    half_past = now.replace(minute=30, second=0, microsecond=0)
    for distance, step in LOOK_AHEAD:
        for number in range(1, distance // step):
            yield half_past + number * step


@asynccontextmanager
async def _node(
    found: Settings, rules: RuleStore, url: str | None, at: datetime, now: datetime
) -> AsyncIterator[tuple[ConferencingNode, str]]:
    """A node that asks the server if its clock fits, else the same application in this process at ``at``."""
    if found.pexip is None:
        raise ValueError("no credentials")
    if url is not None and at == now:
        async with httpx.AsyncClient() as client:
            yield ConferencingNode(client, url, found.pexip.username, found.pexip.password), url
        return
    app = create_app(found, rules, DecisionLog("text", write=len), clock=lambda: at)
    local = "http://in-process"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), verify=False) as client:  # noqa: S501
        where = f"in this process, at {at.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC"
        yield ConferencingNode(client, local, found.pexip.username, found.pexip.password), where


def _json(item: Played) -> dict[str, object]:
    step = item.step
    return {
        "title": step.title,
        "where": item.where,
        "path": step.exchange.path,
        "status": step.exchange.answer.status,
        "error": step.exchange.unreachable or None,
        "milliseconds": round(step.exchange.answer.seconds * 1000, 1),
        "outcome": step.exchange.verdict.outcome,
        "used": step.exchange.verdict.used,
        "objections": [objection.reason for objection in step.exchange.verdict.objections],
        "checks": [{"passed": check.passed, "text": check.text} for check in step.checks],
        "passed": step.passed,
    }


def _print(number: int, item: Played) -> None:
    step = item.step
    exchange = step.exchange
    mark = click.style("ok  ", fg="green") if step.passed else click.style("FAIL", fg="red")
    click.echo(f"{number}. {mark} {step.title}")
    shown = exchange.query if len(exchange.query) <= 90 else exchange.query[:89] + "…"
    click.echo(f"     GET {exchange.path}?{shown}")
    if exchange.unreachable:
        click.echo(f"     {item.where}; no answer: {exchange.unreachable}")
        return
    click.echo(f"     {item.where}; HTTP {exchange.answer.status}, {exchange.answer.seconds * 1000:.1f} ms")
    if exchange.verdict.used:
        click.echo(f"     judge: Pexip uses it ({exchange.verdict.outcome})")
    for objection in exchange.verdict.objections:
        click.echo(f"     judge: {' '.join(filter(None, (objection.rule, objection.field)))}: {objection.reason}")
    for check in step.checks:
        click.echo(f"     {'yes' if check.passed else 'NO '}: {check.text}")
