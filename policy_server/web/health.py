"""For operators: is it alive, is it ready, what has it done, and what can be asked of it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Literal, NotRequired, TypedDict

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.store import ConferenceStore
from policy_server.policy.upstreams import Upstream
from policy_server.rulefiles.store import RuleStore
from policy_server.upstreams.client import UpstreamState
from policy_server.web.basic import BasicAuthentication
from policy_server.web.call_gauges import SinkState
from policy_server.web.callers import Network, caller_address, is_within
from policy_server.web.genesys import GenesysState
from policy_server.web.management import ManagementState
from policy_server.web.metrics import CONTENT_TYPE, Metrics
from policy_server.web.openapi import PATH as OPENAPI_PATH
from policy_server.web.openapi import document
from policy_server.web.problem import ProblemResponse
from policy_server.web.refusals import Door, Refusals
from policy_server.web.webhooks import ReceiverState

DATABASE_PATIENCE: Final = 0.5
"""Seconds that ``/readyz`` waits for the database."""


class LoadedRules(TypedDict):
    """The rules in force."""

    revision: str
    count: int


class Reload(TypedDict):
    """The latest attempt to take rules into force, and what is wrong with those that were refused."""

    at: str
    refused: bool
    problems: list[dict[str, object]]


class DatabaseState(TypedDict):
    """Where the database is, whether it answers, how many records wait for it, and how many are lost."""

    name: str
    reachable: bool
    waiting: int
    lost: int


class ClockDifference(TypedDict):
    """A node whose clock differs from ours."""

    node: str
    seconds_ahead: float


class Ready(TypedDict):
    """The answer of ``/readyz``."""

    status: Literal["ready"]
    rules: LoadedRules
    reload: Reload
    database: DatabaseState
    rooms: dict[str, int]
    clocks: list[ClockDifference]
    upstreams: list[UpstreamState]
    events: NotRequired[SinkState]
    genesys: NotRequired[GenesysState]
    management: NotRequired[ManagementState]
    webhooks: NotRequired[list[ReceiverState]]


class OperatorEndpoints:
    """``/healthz``, ``/readyz``, ``/metrics`` and ``/openapi.json``."""

    def __init__(
        self,
        rules: RuleStore,
        store: ConferenceStore,
        metrics: Metrics,
        networks: tuple[Network, ...],
        authentication: BasicAuthentication | None,
        clocks: Callable[[], Mapping[str, float]],
        rooms: Callable[[], Mapping[str, int]],
        upstreams: Callable[[Mapping[str, Upstream]], list[UpstreamState]],
        refusals: Refusals | None = None,
        management: Callable[[], ManagementState] | None = None,
        webhooks: Callable[[], list[ReceiverState]] | None = None,
        records: Callable[[], tuple[int, int]] = lambda: (0, 0),
        events: Callable[[], SinkState] | None = None,
        genesys: Callable[[], GenesysState] | None = None,
    ) -> None:
        self._records: Final = records
        self._events: Final = events
        self._genesys: Final = genesys
        self._rules: Final = rules
        self._store: Final = store
        self._metrics: Final = metrics
        self._networks: Final = networks
        self._authentication: Final = authentication
        self._refusals: Final = refusals or Refusals(Door.OPERATORS)
        self._clocks: Final = clocks
        self._rooms: Final = rooms
        self._upstreams: Final = upstreams
        self._management: Final = management
        self._webhooks: Final = webhooks

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route(OPENAPI_PATH, self.openapi),
        ]

    async def healthz(self, request: Request) -> Response:
        """The process answers."""
        return await self._refusal(request) or PlainTextResponse("ok\n")

    async def readyz(self, request: Request) -> Response:
        """Rules are loaded; also which, whether newer ones were refused, whether the database can be reached, and
        which nodes' clocks differ from ours, how many rooms are held, which upstreams are left alone, whether nodes tell what
        happens, and whether Genesys Cloud, the Management Node and receivers of webhooks answer as far as there are any.

        Ready without it: calls are answered all the same (README.md: Database).
        """
        return await self._refusal(request) or JSONResponse(await self.ready(), headers={"cache-control": "no-store"})

    async def ready(self) -> Ready:
        """What ``/readyz`` says, for whoever says it in other words."""
        ruleset, state = self._rules.ruleset, self._rules.state
        waiting, lost = self._records()
        content: Ready = {
            "status": "ready",
            "rules": {"revision": ruleset.revision, "count": ruleset.count},
            "reload": {
                "at": state.at.isoformat(timespec="seconds"),
                "refused": state.refused,
                "problems": [problem.as_json() for problem in state.problems],
            },
            "database": {
                "name": self._store.name,
                "reachable": await self._is_reachable(),
                "waiting": waiting,
                "lost": lost,
            },
            "rooms": dict(self._rooms()),
            "clocks": [{"node": node, "seconds_ahead": ahead} for node, ahead in self._clocks().items()],
            "upstreams": self._upstreams(ruleset.upstreams),
        }
        if self._events is not None:
            content["events"] = self._events()
        if self._genesys is not None:
            content["genesys"] = self._genesys()
        if self._management is not None:
            content["management"] = self._management()
        if self._webhooks is not None:
            content["webhooks"] = self._webhooks()
        return content

    async def metrics(self, request: Request) -> Response:
        """Everything counted, for Prometheus."""
        return await self._refusal(request) or Response(self._metrics.render(), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """The document for developers, with the types of link that the rules have now."""
        links = self._rules.ruleset.links
        joining = [name for name, link_type in links.items() if link_type.joins]
        return await self._refusal(request) or JSONResponse(document(links, joining))

    async def _is_reachable(self) -> bool:
        try:
            async with asyncio.timeout(DATABASE_PATIENCE):
                await self._store.check()
        except (StoreUnavailableError, TimeoutError):
            return False
        return True

    async def _refusal(self, request: Request) -> Response | None:
        if self._authentication is not None and self._authentication.accepts(request.scope["headers"]):
            return None
        if is_within(caller_address(request.scope), self._networks):
            return None
        if self._authentication is None:
            self._refusals.note(request.scope, "not of POLICY_OPERATOR_NETWORKS, and POLICY_ADMIN_USERNAME is not set")
            detail = "set POLICY_ADMIN_USERNAME and POLICY_ADMIN_PASSWORD, or POLICY_OPERATOR_NETWORKS"
            return ProblemResponse(403, "forbidden", "Only from this machine", detail)
        return await self._authentication.refuse(self._refusals, request.scope)
