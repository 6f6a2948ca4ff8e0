"""Where ``simulate`` plays, and with whom: against a server, or in this process at a moment when the door is open."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import httpx

from policy_server.app import create_app, utc_now
from policy_server.cli.arrivals import Arrivals
from policy_server.cli.common import Unusable
from policy_server.cli.parts import Customer, RoomSystem
from policy_server.cli.played import HERE, Played
from policy_server.genesys.tenant import Tenant
from policy_server.policy.names import Keyring
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.settings.readers import DURATIONS
from policy_server.simulator.doors import play_closed_door
from policy_server.simulator.exchange import Caller, basic, bearer
from policy_server.simulator.genesys import DIVISION, ORGANIZATION, StandIn, User
from policy_server.simulator.node import ConferencingNode
from policy_server.simulator.steps import AGENT, Agent, Cast, LeftOut
from policy_server.web.api_keys import ApiKeys
from policy_server.web.decision_log import DecisionLog

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
class Theatre:
    """All that a play needs. ``part`` is whoever calls, ``found`` are the settings of the server, ``api_key`` its first key or ``""``.

    ``genesys_port``: where the server finds what stands in for Genesys Cloud, ``None`` when it does not know of it. ``database_url`` is
    what is played on in this process, ``""`` for one of its own. ``at`` is the moment to play at whether the door is open
    then or not, ``None`` for one that fits.
    """

    found: Settings
    pexip: Credentials
    rules: RuleStore
    keyring: Keyring
    part: Customer | RoomSystem
    url: str | None
    api_key: str = field(repr=False)
    genesys_port: int | None
    database_url: str = field(repr=False)
    at: datetime | None = None

    def arrivals(self, now: datetime) -> Arrivals:
        """The callers who may come from now on."""
        return Arrivals(self.rules.ruleset, self.keyring, self.part, now)

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


async def play(theatre: Theatre) -> list[Played]:
    """Plays a call, and callers for whom the door is closed: with an expired link or a revoked one, and outside opening
    hours.
    """
    keyring, part = theatre.keyring, theatre.part
    now = utc_now()
    arrivals = theatre.arrivals(now)
    opened = arrivals.opening(theatre.at)
    closed = arrivals.closing() if theatre.at is None else None
    played: list[Played] = []
    with _genesys(theatre, opened, now) as genesys:
        async with _stage(theatre, opened, now, genesys) as (cast, where):
            played += [Played(step, where) async for step in part.play(cast, keyring, opened)]
    if any(item.silence for item in played):
        return played
    if isinstance(part, Customer):
        then = theatre.at or now
        async with _stage(theatre, then, now) as (cast, where):
            played += [Played(step, where) async for step in part.play_bad_links(cast, keyring, then)]
    if closed is not None:
        async with _stage(theatre, closed, now) as (cast, where):
            question = part.question(keyring, closed + timedelta(hours=1))
            steps = play_closed_door(cast.node, question, part.after_hours)
            played += [Played(step, where) async for step in steps]
    return played


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
            # The deployment knows nothing of a played call.
            management=None,
        )
        app = create_app(here, theatre.rules, DecisionLog("text", write=len), clock=clock, forwards=False)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with app.running(), httpx.AsyncClient(transport=transport, verify=False) as client:  # noqa: S501
            where = f"{HERE}, at {at.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC"
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
