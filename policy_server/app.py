"""The application: wiring only."""

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from anyio.to_thread import current_default_thread_limiter, run_sync
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from policy_server.admin_pages import AdminPages
from policy_server.call_assurance import CallAssurance
from policy_server.conferences.agenda import Agenda
from policy_server.conferences.clocks import NodeClocks
from policy_server.conferences.customer_status import CustomerStatuses
from policy_server.conferences.ending import Endings
from policy_server.conferences.figures import CallFigures
from policy_server.conferences.joining import CustomersDoor
from policy_server.conferences.kept import kept_of_message
from policy_server.conferences.live import Conferences
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.pace import Limits, Pace
from policy_server.conferences.rooms import Rooms, conference_ids
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.events import Data
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Settings
from policy_server.upstreams.client import Unasked, Upstreams
from policy_server.web.admin.door import PAGES_AT_ONCE
from policy_server.web.admission import Admission
from policy_server.web.audit import AuditLog
from policy_server.web.basic import BasicAuthentication
from policy_server.web.call_gauges import CallGauges
from policy_server.web.callers import Proxies
from policy_server.web.conferences import ConferenceEndpoints
from policy_server.web.cors import AgentCors
from policy_server.web.customer_status import CustomerStatusEndpoint
from policy_server.web.decision_log import DecisionLog, open_decision_log
from policy_server.web.doors import Doors
from policy_server.web.due_gauges import DueGauges
from policy_server.web.events import PATH as EVENTS_PATH
from policy_server.web.events import EventSinkEndpoint
from policy_server.web.gauges import watch_gauges, watch_others
from policy_server.web.genesys import GenesysStanding
from policy_server.web.health import OperatorEndpoints
from policy_server.web.join import JoinEndpoint
from policy_server.web.leg_counts import LegCounts
from policy_server.web.links import LinkEndpoints
from policy_server.web.management import ManagementNode
from policy_server.web.metrics import Metrics
from policy_server.web.nodes_seen import NodesSeen
from policy_server.web.policy import PolicyEndpoint
from policy_server.web.recent_decisions import RecentDecisions
from policy_server.web.refusals import Door, Guesses, Refusals
from policy_server.web.routing import Routing, unset
from policy_server.web.stopping import told_to_stop
from policy_server.web.webhooks import Webhooks
from policy_server.widgets import Widgets

RELOAD_INTERVAL: Final = 1.0
"""Seconds between looks at the rules folder."""

CLOSE_SECONDS: Final = 3.5
"""Seconds that the service has to write what is left when it stops."""

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of the service."""
    return datetime.now(UTC)


class Application:
    """The whole service, for one listener; ``nodes`` and ``public`` are its two parts, for two."""

    def __init__(
        self,
        whole: Doors,
        nodes: Doors,
        public: Doors,
        running: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self.whole: Final = whole
        self.nodes: Final = nodes
        """For Conferencing Nodes, event sinks and operators."""
        self.public: Final = public
        """For customers, agents' widgets and the organisation's own systems."""
        self.running: Final = running
        """What must be entered before the first request when no server does that, and left after the last."""
        self._lifespan: Final = Router(lifespan=lambda _: running()).lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or runs the service while a server does."""
        answer = self._lifespan if scope["type"] == "lifespan" else self.whole
        await answer(scope, receive, send)


def create_app(
    settings: Settings,
    rules: RuleStore,
    decision_log: DecisionLog | None = None,
    clock: Clock = utc_now,
    pace: Pace | None = None,
    limits: Limits | None = None,
    *,
    forwards: bool = True,
) -> Application:
    """The service. ``settings`` must have the credentials of the policy profile and a secret key. Unless it ``forwards``,
    no upstream is asked, and each is as good as away.
    """
    if settings.pexip is None or settings.secret_key is None:
        raise ValueError("the settings have no credentials for Pexip or no secret key")
    decisions = decision_log or open_decision_log(settings.log_format, settings.decision_log, settings.log_pii)
    keyring = Keyring.from_text(settings.secret_key, settings.previous_secret_keys)
    store = ConferenceStore(settings.database_url)
    conferences = Conferences(
        store,
        clock,
        settings.conference_ttl,
        settings.retention,
        pace=pace,
        limits=limits or Limits(open_rooms=settings.open_rooms),
    )
    metrics = Metrics()
    upstreams = Upstreams(metrics.forwarded)
    upstreams.keep(rules.ruleset.upstreams.values())
    guesses = Guesses()
    audit = AuditLog(settings.audit_log, clock)
    recent = RecentDecisions(secrets.token_hex(4), keyring)
    refusals = partial(
        Refusals,
        guesses=guesses,
        count=metrics.refused_at,
        audit=audit.put,
        decisions=decisions,
        keep=recent.refused if settings.admin is not None else None,
        clock=clock,
    )
    access = settings.management
    node = ManagementNode(access, settings.management_rate, clock) if access is not None else None
    assurance = CallAssurance(conferences, rules, keyring, node, LegCounts(metrics)) if node is not None else None
    webhooks = Webhooks(settings.receivers, conferences, rules, keyring) if settings.receivers else None
    beside = [each for each in (assurance, webhooks) if each is not None]
    handlers = {kind: handler for each in beside for kind, handler in each.handlers.items()}
    agenda = Agenda(store, handlers, secrets.token_hex(8), clock)
    dues = [DueGauges(store, agenda, tuple(handlers), clock, webhooks.count if webhooks else None)] if handlers else []
    calls_counted = CallGauges(figures := CallFigures(store, conferences.running, rules, keyring, clock))
    nodes = NodesSeen()
    genesys = GenesysStanding(settings.tenant.api, clock) if settings.tenant else None
    admin = BasicAuthentication(settings.admin.username, settings.admin.password) if settings.admin else None
    endings = Endings(conferences)
    events = _event_sink(
        settings,
        conferences,
        endings,
        refusals(Door.EVENTS),
        lambda data: kept_of_message(data, rules.ruleset, keyring, lambda room: conferences.live(room, clock())),
    )
    clocks = events.clocks if events is not None else NodeClocks()
    operators = OperatorEndpoints(
        rules,
        store,
        metrics,
        settings.operator_networks,
        admin,
        lambda: clocks.notable(clock().timestamp()),
        lambda: {
            "held": conferences.live_count,
            "without_link": conferences.open_count,
            "without_link_limit": conferences.limits.open_rooms,
            "unheld": conferences.unheld,
        },
        upstreams.states,
        refusals(Door.OPERATORS),
        assurance.node.state if assurance is not None else None,
        webhooks.state if webhooks is not None else None,
        lambda: (conferences.waiting, conferences.dropped),
        (lambda: calls_counted.sink_state(events.unreadable)) if events is not None else None,
        genesys.state if genesys is not None else None,
    )
    admissions = systems, customers, widgets, admins = Admission(), Admission(), Admission(), Admission(PAGES_AT_ONCE)
    lookup = ConferenceLookup(conferences, rules, keyring, settings.node, audit.put)
    pages = AdminPages(
        settings,
        admin,
        refusals(Door.ADMIN),
        admins,
        rules,
        keyring,
        store,
        lookup,
        upstreams,
        conferences.load,
        assurance.legs if assurance is not None else None,
        recent,
        metrics.folder,
        audit.put,
        clock,
        figures,
        nodes,
        operators.ready,
    )
    policy = PolicyEndpoint(
        rules,
        Rooms(conferences, keyring, conference_ids(secrets.token_hex(10))),
        conferences,
        upstreams if forwards else Unasked(),
        BasicAuthentication(settings.pexip.username, settings.pexip.password),
        settings.on_failure,
        clock,
        decisions,
        metrics,
        refusals(Door.POLICY),
        settings.prefix,
        assurance.hear if assurance is not None else None,
        pages.count if settings.admin is not None else None,
        nodes.note,
        recent.add if settings.admin is not None else None,
    )
    links = LinkEndpoints(
        rules,
        keyring,
        conferences,
        settings.api_keys,
        settings.public_url,
        lambda: secrets.token_bytes(NONCE_BYTES),
        refusals(Door.API),
        audit.put,
        systems,
    )
    join = JoinEndpoint(CustomersDoor(rules, keyring, conferences), customers)
    status = CustomerStatusEndpoint(CustomerStatuses(rules, keyring, lookup), customers)
    calls = ConferenceEndpoints(lookup, settings.api_keys, refusals(Door.API), audit.put, systems)
    agents = Widgets(settings, lookup, refusals(Door.AGENTS), widgets, genesys)
    watch_gauges(metrics, rules, decisions, audit, conferences, lambda: agents.stream_count, admissions)
    known = [nodes, genesys] if genesys is not None else [nodes]
    watch_others(metrics, rules, upstreams, clocks, events, clock, (*beside, calls_counted, *dues, *known))

    sink_routes = [unset(EVENTS_PATH, "POLICY_EVENTS_USERNAME and POLICY_EVENTS_PASSWORD")]
    for_nodes = [*operators.routes(), *pages.routes(), *(events.routes() if events is not None else sink_routes)]
    for_public = [*links.routes(), *calls.routes(), *status.routes(), *join.routes(), *agents.routes()]
    proxies = Proxies(settings.trusted_proxies)

    def behind(routes: list[Route], asked: ASGIApp | None, door: Door) -> Doors:
        return Doors(
            asked, AgentCors(Routing(routes), settings.widget_origins), settings.prefix, proxies, refusals(door)
        )

    return Application(
        behind([*for_nodes, *for_public], policy, Door.LISTENER),
        behind(for_nodes, policy, Door.NODES_LISTENER),
        behind(for_public, None, Door.PUBLIC_LISTENER),
        partial(
            _running,
            rules,
            metrics,
            (decisions, audit),
            conferences,
            endings,
            agents,
            (*beside, calls_counted, *dues),
            agenda,
            upstreams,
            pages,
        ),
    )


@asynccontextmanager
async def _running(
    rules: RuleStore,
    metrics: Metrics,
    logs: Sequence[DecisionLog | AuditLog],
    conferences: Conferences,
    endings: Endings,
    agents: Widgets,
    beside: Sequence[CallAssurance | Webhooks | CallGauges | DueGauges],
    agenda: Agenda,
    upstreams: Upstreams,
    pages: AdminPages,
) -> AsyncIterator[None]:
    """What runs beside the answers."""
    for log_file in logs:
        log_file.start()
    # Has anyio load what it needs for a thread, which takes some hundredths of a second, before anybody waits for an answer.
    current_default_thread_limiter()
    await conferences.start()
    metrics.update()
    watching = asyncio.create_task(_watch(rules, metrics, upstreams))
    for each in beside:
        each.start()
    agenda.start()
    await pages.start()

    async def close() -> None:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await pages.close()
        await agents.close()
        await agenda.close()
        for each in beside:
            await each.close()
        await upstreams.close()
        await endings.close()
        await conferences.stop()

    try:
        with told_to_stop(agents.stop, pages.stop):
            yield
    finally:
        # In a task: what does not end is left behind, and keeps nobody from writing the logs.
        closing = asyncio.create_task(close())
        done, _ = await asyncio.wait((closing,), timeout=CLOSE_SECONDS)
        if not done:
            log.warning("stop.unfinished: after %g s %d records are not written", CLOSE_SECONDS, conferences.waiting)
        for log_file in logs:
            log_file.stop()
        for finished in done:
            finished.result()


def _event_sink(
    settings: Settings,
    conferences: Conferences,
    endings: Endings,
    refusals: Refusals,
    kept: Callable[[Data], Data],
) -> EventSinkEndpoint | None:
    if settings.events is None:
        return None
    authentication = BasicAuthentication(settings.events.username, settings.events.password)
    return EventSinkEndpoint(conferences, endings, authentication, refusals, kept)


async def _watch(rules: RuleStore, metrics: Metrics, upstreams: Upstreams) -> None:
    """Reloads on SIGHUP, and when the content of the folder changes; also keeps the gauges current."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Only the main thread may handle signals; in a test's thread the folder is watched all the same.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGHUP, asked.set)
    while True:
        # Not wait_for: in Python 3.11 that forgets that it was cancelled where it is woken at the same moment.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELOAD_INTERVAL):
                await asked.wait()
        asked.clear()
        try:
            await run_sync(rules.reload)
        except Exception:
            log.exception("rules.unreadable: the rules that run stay")
        upstreams.keep(rules.ruleset.upstreams.values())
        metrics.update()
