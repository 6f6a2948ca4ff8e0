"""``simulate``: plays a whole call as everybody in it would: customer, node, contact centre and agent."""

import asyncio
import re
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import click
import httpx

from policy_server.app import create_app, utc_now
from policy_server.cli.common import (
    Unusable,
    echo,
    environment,
    json_option,
    keyring_or_temporary,
    print_json,
    refuse,
    rules_option,
    settings,
)
from policy_server.conferences.errors import StoreSetupError, StoreUnavailableError
from policy_server.conferences.holding import ROOMS
from policy_server.conferences.location import parse_location
from policy_server.conferences.store import ConferenceStore
from policy_server.genesys.tenant import Tenant
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.decisions import Decision, Fail, Redirect, Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.links import CustomerLink, make_link
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.policy.ruleset import LinkType, Ruleset
from policy_server.rulefiles.store import RulesError, RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.settings.readers import DURATIONS
from policy_server.simulator.call import (
    AGENT,
    CUSTOMER,
    Agent,
    Cast,
    LeftOut,
    Script,
    Step,
    play_call,
    play_closed_door,
    play_revoked_link,
)
from policy_server.simulator.exchange import Caller, basic, bearer
from policy_server.simulator.genesys import DIVISION, ORGANIZATION, StandIn, User
from policy_server.simulator.node import ConferencingNode, Judged, web_question
from policy_server.web.api_keys import ApiKeys
from policy_server.web.decision_log import DecisionLog
from policy_server.wording.values import shown
from policy_server.wording.words import one_of

LOOK_AHEAD: Final = (
    (timedelta(days=8), timedelta(hours=1)),
    (timedelta(days=400), timedelta(hours=6)),
)
"""How far to look for a moment when the door is open or closed, and in what steps: weeks first, then holidays."""

NO_API_KEY: Final = LeftOut(
    "the link that the organisation's system makes, looks at and revokes", "POLICY_API_KEYS as on the server"
)
NO_SINK: Final = LeftOut(
    "what nodes report, and the end of the call",
    "POLICY_EVENTS_USERNAME and POLICY_EVENTS_PASSWORD as on the server",
)
NO_GENESYS: Final = LeftOut(
    "the agent's lookup", "--genesys PORT, and a server whose POLICY_GENESYS_API is http://127.0.0.1:PORT"
)


@dataclass(frozen=True, slots=True)
class Played:
    """One step, or some that were left out, and where and when it was played."""

    step: Step | LeftOut
    where: str


@dataclass(frozen=True, slots=True)
class Theatre:
    """All that a play needs. ``found`` are the settings of the server, ``api_key`` its first key or ``""``.

    ``genesys_port``: where the server finds what stands in for Genesys Cloud, ``None`` when it does not know of it. ``database_url`` is
    what is played on in this process, ``""`` for one of its own.
    """

    found: Settings
    pexip: Credentials
    rules: RuleStore
    keyring: Keyring
    link_type: LinkType
    url: str | None
    api_key: str = field(repr=False)
    genesys_port: int | None
    database_url: str = field(repr=False)

    def is_at_server(self, at: datetime, now: datetime) -> bool:
        """Whether what happens at a moment can be played against the server, whose clock says ``now``."""
        return self.url is not None and at == now


@dataclass(frozen=True, slots=True)
class Genesys:
    """Genesys Cloud as it is stood in for, and an agent who is logged in to it."""

    stand_in: StandIn
    url: str
    user: User
    token: str = field(repr=False)


@click.command()
@click.option(
    "--url",
    help="Profile URL of a running server (default: play in this process, without a server). What is no policy question "
    "is asked at the root of that address.",
)
@click.option("--link", "link_name", metavar="TYPE", help="Link type to play (default: the first of the rules).")
@click.option(
    "--genesys",
    "genesys_port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    help="Stand in for Genesys Cloud at this port while playing against a server on this machine, whose "
    "POLICY_GENESYS_API is http://127.0.0.1:PORT.",
)
@click.option(
    "--database",
    "database_url",
    metavar="URL",
    default="",
    help="Database for playing in this process (default: one that is thrown away), such as "
    "postgresql://user@host/database. What was played stays in it.",
)
@rules_option
@json_option
def simulate(
    url: str | None,
    link_name: str | None,
    genesys_port: int | None,
    database_url: str,
    rules_folder: Path | None,
    as_json: bool,
) -> None:
    """Play one customer's call from the link to the hang-up, and judge every answer.

    Plays the organisation's system, the customer's browser, the Conferencing Node with its event sink, and the agent's
    widget. Rules and settings (POLICY_SECRET_KEY, POLICY_PEXIP_…, POLICY_API_KEYS, POLICY_EVENTS_…) must be those of the
    server; what is not set is left out, and said. A step for which the server's clock is wrong (the door closed when it
    is open now, or the other way round) is played in this process at a moment that fits.
    """
    found = settings()
    _check_options(found, url, genesys_port, database_url)
    complete = replace(
        found, rules=rules_folder or found.rules, secret_key=found.secret_key or secrets.token_urlsafe(32)
    )
    keyring = keyring_or_temporary(complete)
    try:
        rules = RuleStore(complete.rules, utc_now, environment())
    except RulesError as error:
        refuse(error.problems)
    theatre = Theatre(
        found=complete,
        pexip=found.pexip or Credentials("pexip", secrets.token_urlsafe(18)),
        rules=rules,
        keyring=keyring,
        link_type=_link_type(rules.ruleset, link_name),
        url=url,
        api_key=_first_api_key(),
        genesys_port=genesys_port,
        database_url=database_url,
    )
    _tell(asyncio.run(_play(theatre)), as_json)


def _check_options(found: Settings, url: str | None, genesys_port: int | None, database_url: str) -> None:
    if url is None:
        if genesys_port:
            raise Unusable("--genesys goes with --url: in this process Genesys Cloud is stood in for anyway")
        if database_url:
            asyncio.run(_prepare(database_url))
        return
    if not _is_profile_url(url):
        raise Unusable(f"--url must be the URL of the policy profile, such as https://host:8080, but is {shown(url)}")
    if "@" in urlsplit(url).netloc:
        raise Unusable(
            "--url must not hold a user name or password; set POLICY_PEXIP_USERNAME and POLICY_PEXIP_PASSWORD"
        )
    if database_url:
        raise Unusable("--database goes without --url: a running server has its own in POLICY_DATABASE_URL")
    if found.pexip is None or found.secret_key is None:
        raise Unusable("POLICY_PEXIP_USERNAME, POLICY_PEXIP_PASSWORD and POLICY_SECRET_KEY must be those of the server")
    if genesys_port and (found.tenant is None or found.tenant.api not in _stand_in_urls(genesys_port)):
        told = "is not set" if found.tenant is None else f"is {shown(found.tenant.api)}"
        raise Unusable(
            f"--genesys {genesys_port} is for a server whose POLICY_GENESYS_API is http://127.0.0.1:{genesys_port}, "
            f"but here POLICY_GENESYS_API {told}; set it and POLICY_GENESYS_ORGANIZATION to the same here and there"
        )


def _stand_in_urls(port: int) -> tuple[str, ...]:
    return tuple(f"http://{host}:{port}" for host in ("127.0.0.1", "localhost"))


def _is_profile_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname)


async def _prepare(database_url: str) -> None:
    """Brings the database of ``--database`` up to date."""
    try:
        location = parse_location(database_url, "--database")
    except StoreSetupError as error:
        raise Unusable(str(error)) from None
    if "password" in location.parameters:
        warning = "every user of this machine sees the password in --database while this runs"
        echo(f"warning: {warning}; leave it out, and put it into PGPASSWORD or ~/.pgpass", err=True)
    try:
        async with ConferenceStore(database_url) as store:
            await store.prepare()
    except StoreUnavailableError as error:
        raise Unusable(f"--database: {error}") from None


def _first_api_key() -> str:
    """The first of POLICY_API_KEYS, which were read before and are good; the settings keep no key."""
    given = environment()
    path = given.get("POLICY_API_KEYS_FILE")
    text = Path(path).read_text(encoding="utf-8-sig") if path else given.get("POLICY_API_KEYS", "")
    first = next(filter(None, map(str.strip, re.split(r"[,\n]", text))), "")
    # Behind the key there may be :own.
    return first.split(":")[1].strip() if ":" in first else ""


def _link_type(ruleset: Ruleset, name: str | None) -> LinkType:
    if not ruleset.links:
        raise Unusable("the rules define no link type under links, so there is no call to play")
    if name is None:
        return next(iter(ruleset.links.values()))
    if name not in ruleset.links:
        raise Unusable(one_of("--link", ruleset.links, name))
    return ruleset.links[name]


async def _play(theatre: Theatre) -> list[Played]:
    keyring, link_type = theatre.keyring, theatre.link_type

    def new_link(at: datetime, life: timedelta) -> CustomerLink:
        return make_link(link_type, keyring, at + life, secrets.token_bytes(NONCE_BYTES))

    now = utc_now()
    # A link that is good at all these moments, so that only the calendars say when the door is open.
    lasting = new_link(now, LOOK_AHEAD[-1][0] + timedelta(hours=1))
    question = encode_query(web_question(lasting.alias, CUSTOMER)).encode()

    def decide(at: datetime) -> Decision:
        return evaluate(theatre.rules.ruleset, parse_request(RequestType.SERVICE, question), at, keyring)

    def lets_in(at: datetime) -> bool:
        return _is_room(decide(at))

    opened = next((at for at in _moments(now) if lets_in(at)), None)
    closed = next((at for at in _moments(now) if not lets_in(at)), None)
    if opened is None:
        raise Unusable(f"no customer gets in within a year: {_told_instead(decide(now))}")
    played: list[Played] = []
    with _genesys(theatre, opened, now) as genesys:
        async with _stage(theatre, opened, now, genesys) as (cast, where):
            script = Script(link_type, keyring, new_link(opened, timedelta(hours=1)))
            played += [Played(step, where) async for step in play_call(cast, script)]
    if any(_silence(item) for item in played):
        return played
    async with _stage(theatre, now, now) as (cast, where):
        expired = new_link(now, -timedelta(minutes=2))
        played.append(Played(await play_closed_door(cast.node, expired, "A customer with an expired link"), where))
        script = Script(link_type, keyring, new_link(now, timedelta(hours=1)))
        played += [Played(step, where) async for step in play_revoked_link(cast, script)]
    if closed is not None:
        async with _stage(theatre, closed, now) as (cast, where):
            link = new_link(closed, timedelta(hours=1))
            step = await play_closed_door(cast.node, link, "A customer with a good link outside opening hours")
            played.append(Played(step, where))
    return played


def _is_room(decision: Decision) -> bool:
    return isinstance(decision, Serve) and decision.service.get("service_type") in ROOMS


def _told_instead(decision: Decision) -> str:
    """What becomes of a customer who gets no room."""
    if isinstance(decision, Serve):
        service = decision.service
        return f"rule {shown(decision.rule)} serves a {service.get('service_type')}, which is no room"
    if isinstance(decision, Redirect):
        return f"rule {shown(decision.rule)} sends them on to {shown(decision.new_alias)}"
    if isinstance(decision, Fail):
        return f"rule {shown(decision.rule)} fails: {decision.reason}"
    return "no rule serves the alias of this link type"


def _moments(now: datetime) -> Iterator[datetime]:
    yield now
    half_past = now.replace(minute=30, second=0, microsecond=0)
    for distance, step in LOOK_AHEAD:
        for number in range(1, distance // step):
            yield half_past + number * step


@contextmanager
def _genesys(theatre: Theatre, at: datetime, now: datetime) -> Iterator[Genesys | None]:
    """Stands in for Genesys Cloud, unless the server would not know."""
    port = (theatre.genesys_port or 0) if theatre.is_at_server(at, now) else 0
    tenant = theatre.found.tenant if port else None
    if theatre.is_at_server(at, now) and tenant is None:
        yield None
        return
    organization = tenant.organization_id if tenant else ORGANIZATION
    user = User(
        AGENT, organization_id=organization, division_id=min(tenant.division_ids if tenant else (), default=DIVISION)
    )
    stand_in, token = StandIn(), secrets.token_urlsafe(32)
    stand_in.users[token] = user
    with ExitStack() as stack:
        try:
            url = stack.enter_context(stand_in.serving(port))
        except OSError as error:
            raise Unusable(f"--genesys {port}: cannot listen on 127.0.0.1:{port}: {error.strerror or error}") from None
        yield Genesys(stand_in, url, user, token)


@asynccontextmanager
async def _stage(
    theatre: Theatre, at: datetime, now: datetime, genesys: Genesys | None = None
) -> AsyncIterator[tuple[Cast, str]]:
    """Those who play, against the server if its clock fits, else against the application in this process at ``at``."""
    found = theatre.found
    if theatre.url is not None and theatre.is_at_server(at, now):
        async with httpx.AsyncClient() as client:
            yield (
                _cast(client, theatre.url, theatre.pexip, found.events, theatre.api_key, genesys, utc_now),
                theatre.url,
            )
        return
    api_key, events = secrets.token_urlsafe(32), Credentials("events", secrets.token_urlsafe(18))
    ahead = at - now

    def clock() -> datetime:
        return utc_now() + ahead

    with TemporaryDirectory(prefix="policy-server-") as folder:
        here = replace(
            found,
            pexip=theatre.pexip,
            api_keys=ApiKeys({"simulate": api_key}),
            database_url=theatre.database_url or f"sqlite:///{folder}/policy.db",
            # At a moment to come, what is kept now would look old.
            retention=timedelta(seconds=DURATIONS.longest),
            events=events,
            tenant=Tenant(genesys.url, genesys.user.organization_id) if genesys else None,
        )
        app = create_app(here, theatre.rules, DecisionLog("text", write=len), clock=clock)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with app.running(), httpx.AsyncClient(transport=transport, verify=False) as client:  # noqa: S501
            where = f"in this process, at {at.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC"
            yield _cast(client, "http://in-process", theatre.pexip, events, api_key, genesys, clock), where


def _cast(
    client: httpx.AsyncClient,
    profile_url: str,
    pexip: Credentials,
    events: Credentials | None,
    api_key: str,
    genesys: Genesys | None,
    clock: Callable[[], datetime],
) -> Cast:
    # A profile URL may have a path of its own, which is for policy questions alone.
    root = f"{urlsplit(profile_url).scheme}://{urlsplit(profile_url).netloc}"
    return Cast(
        node=ConferencingNode(client, profile_url, pexip.username, pexip.password),
        customer=Caller(client, root),
        organisation=Caller(client, root, bearer(api_key)) if api_key else NO_API_KEY,
        sink=Caller(client, root, basic(events.username, events.password)) if events else NO_SINK,
        agent=(
            Agent(Caller(client, root, bearer(genesys.token)), genesys.stand_in, genesys.user)
            if genesys
            else NO_GENESYS
        ),
        clock=clock,
    )


def _silence(item: Played) -> str:
    """Why a request got no answer at all."""
    return item.step.exchange.unreachable if isinstance(item.step, Step) else ""


def _tell(played: Sequence[Played], as_json: bool) -> None:
    """Prints what was played and ends with the status."""
    steps = [(item.step, item.where) for item in played if isinstance(item.step, Step)]
    left_out = [item.step for item in played if isinstance(item.step, LeftOut)]
    failed = sum(not step.passed for step, _ in steps)
    if as_json:
        print_json(
            {
                "ok": not failed,
                "steps": [_json(step, where) for step, where in steps],
                "left_out": [{"what": each.what, "needs": each.remedy} for each in left_out],
            }
        )
    else:
        number = 0
        for item in played:
            if isinstance(item.step, LeftOut):
                echo(f"-. left out: {item.step.what} (needs {item.step.remedy})")
            else:
                number += 1
                _print(number, item.step, item.where)
        click.echo(f"{len(steps)} steps, {failed} failed" + (f", some left out: {len(left_out)}" if left_out else ""))
    silent = next(filter(_silence, played), None)
    if silent is not None:
        click.echo(
            f"No answer from {silent.where} ({_silence(silent)}). Is the server running, and is that the URL of its "
            "policy profile?",
            err=True,
        )
    sys.exit(1 if failed else 0)


def _json(step: Step, where: str) -> dict[str, object]:
    exchange = step.exchange
    verdict = exchange.verdict if isinstance(exchange, Judged) else None
    return {
        "title": step.title,
        "where": where,
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "error": exchange.unreachable or None,
        "milliseconds": round(exchange.answer.seconds * 1000, 1),
        "outcome": verdict.outcome if verdict else None,
        "used": verdict.used if verdict else None,
        "objections": [objection.reason for objection in verdict.objections] if verdict else [],
        "problem": exchange.problem or None,
        "checks": [{"passed": check.passed, "text": check.text} for check in step.checks],
        "passed": step.passed,
    }


def _print(number: int, step: Step, where: str) -> None:
    exchange = step.exchange
    mark = click.style("ok  ", fg="green") if step.passed else click.style("FAIL", fg="red")
    click.echo(f"{number}. {mark} ", nl=False)
    echo(step.title)
    query = exchange.query if len(exchange.query) <= 90 else exchange.query[:89] + "…"
    echo(f"     {exchange.method} {exchange.path}{'?' if query else ''}{query}")
    if exchange.unreachable:
        echo(f"     {where}; no answer: {exchange.unreachable}")
        return
    echo(f"     {where}; HTTP {exchange.status}, {exchange.answer.seconds * 1000:.1f} ms")
    if isinstance(exchange, Judged):
        if exchange.verdict.used:
            echo(f"     judge: Pexip uses it ({exchange.verdict.outcome})")
        for objection in exchange.verdict.objections:
            echo(f"     judge: {' '.join(filter(None, (objection.rule, objection.field)))}: {objection.reason}")
    if exchange.problem:
        echo(f"     the server says: {exchange.problem}")
    for check in step.checks:
        echo(f"     {'yes' if check.passed else 'NO '}: {check.text}")
