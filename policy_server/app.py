"""The application: wiring only."""

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from policy_server.policy.sessions import Keyring
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Settings
from policy_server.web.basic import BasicAuthentication
from policy_server.web.decision_log import DecisionLog
from policy_server.web.health import OperatorEndpoints
from policy_server.web.metrics import Metrics
from policy_server.web.policy import ROOT, PolicyEndpoint
from policy_server.web.problem import ProblemResponse

RELOAD_INTERVAL: Final = 1.0
"""Seconds between looks at the rules folder."""

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of the service."""
    return datetime.now(UTC)


class Application:
    """Policy paths go to the plain endpoint, all else to Starlette."""

    def __init__(self, policy: ASGIApp, others: ASGIApp) -> None:
        self._policy: Final = policy
        self._others: Final = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request, or the lifespan, on."""
        if scope["type"] == "http":
            path = scope.get("raw_path") or scope["path"].encode()
            if ROOT in path or (b"//" in path and _is_policy_path(path)):
                await self._policy(scope, receive, send)
                return
        await self._others(scope, receive, send)


def _is_policy_path(raw_path: bytes) -> bool:
    while b"//" in raw_path:
        raw_path = raw_path.replace(b"//", b"/")
    return ROOT in raw_path


def create_app(
    settings: Settings, rules: RuleStore, decision_log: DecisionLog | None = None, clock: Clock = utc_now
) -> Application:
    """The service. ``settings`` must have the credentials of the policy profile and a secret key."""
    if settings.pexip is None or settings.secret_key is None:
        raise ValueError("the settings have no credentials for Pexip or no secret key")
    decisions = decision_log or DecisionLog(settings.log_format)
    metrics = Metrics()
    metrics.watch("policy_rules", "Rules in force", lambda: rules.ruleset.count)
    metrics.watch(
        "policy_rules_refused", "1 while newer rules lie in the folder that have errors", lambda: rules.state.refused
    )
    metrics.watch("policy_rules_reloads", "Times that rules were taken into force", lambda: rules.reloads["loaded"])
    metrics.watch("policy_rules_refusals", "Times that rules were refused", lambda: rules.reloads["refused"])
    metrics.watch("policy_log_lines_dropped", "Log lines that nobody could write", lambda: decisions.dropped, "sum")
    keyring = Keyring.from_text(settings.secret_key, settings.previous_secret_keys)
    policy = PolicyEndpoint(
        rules,
        keyring,
        BasicAuthentication(settings.pexip.username, settings.pexip.password),
        settings.on_failure,
        clock,
        decisions,
        metrics,
    )
    admin = BasicAuthentication(settings.admin.username, settings.admin.password) if settings.admin else None
    operators = OperatorEndpoints(rules, metrics, settings.operator_networks, admin)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        decisions.start()
        metrics.update()
        watching = asyncio.create_task(_watch(rules, metrics))
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            decisions.stop()

    others = Starlette(
        routes=operators.routes(),
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_problem, Exception: _own_problem},
    )
    return Application(policy, others)


async def _watch(rules: RuleStore, metrics: Metrics) -> None:
    """Reloads on SIGHUP, and when the content of the folder changes; also keeps the gauges current."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Only the main thread may handle signals; in a test's thread the folder is watched all the same.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGHUP, asked.set)
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), RELOAD_INTERVAL)
        asked.clear()
        try:
            await run_sync(rules.reload)
        except Exception:
            log.exception("rules.unreadable: the rules that run stay")
        metrics.update()


async def _http_problem(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kinds = {404: ("not-found", "There is nothing here"), 405: ("method-not-allowed", "Method not allowed")}
    kind, title = kinds.get(status, ("http", "The request was refused"))
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else None
    return ProblemResponse(status, kind, title, headers=headers)


async def _own_problem(_: Request, error: Exception) -> Response:
    return ProblemResponse(500, "internal", "An error of ours", "it is in the log")


def temporary_secret() -> str:
    """A secret for a first start on loopback."""
    return secrets.token_urlsafe(32)
