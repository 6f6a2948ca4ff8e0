"""The policy endpoints: a Conferencing Node asks, and gets one well-formed answer whatever happens.

Plain ASGI: a framework's routing and request objects would cost more than the decision.
"""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from time import perf_counter
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

import orjson
from anyio.to_thread import run_sync
from starlette.types import Receive, Scope, Send

from policy_server.pexip.parameters import RequestType
from policy_server.pexip.query import QuestionError
from policy_server.pexip.requests import PolicyRequest, parse_request
from policy_server.policy.answers import Answer, failure_answer, render_answer
from policy_server.policy.decisions import Decision, Fail, ShowPicture
from policy_server.policy.evaluate import evaluate
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.sessions import Keyring
from policy_server.web.avatars import render_avatar
from policy_server.web.basic import CHALLENGE, BasicAuthentication
from policy_server.web.decision_log import DecisionLog, masked
from policy_server.web.metrics import Metrics

log = logging.getLogger(__name__)

ROOT: Final = b"/policy/v1/"

_PATHS: Final[Mapping[bytes, RequestType]] = {
    b"service/configuration": RequestType.SERVICE,
    b"participant/properties": RequestType.PARTICIPANT,
    b"participant/location": RequestType.LOCATION,
    b"registrations": RequestType.DIRECTORY,
}
_ALIAS_PATHS: Final[Mapping[bytes, RequestType]] = {
    b"participant/avatar/": RequestType.AVATAR,
    b"registrations/": RequestType.REGISTRATION,
}

_JSON: Final = (b"content-type", b"application/json")
_JPEG: Final = (b"content-type", b"image/jpeg")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_GET_ONLY: Final = (b"allow", b"GET")

_LOGGED: Final = ("call_direction", "protocol", "location", "local_alias", "remote_alias", "service_name")
_LOGGED_LENGTH: Final = 250


class Rules(Protocol):
    """Whoever has the rules that run."""

    @property
    def ruleset(self) -> Ruleset:
        """The rules of this moment; a request takes them once."""


def route(raw_path: bytes) -> tuple[RequestType, str] | None:
    """The question that a raw path asks, and the alias in it; ``None`` when it is none.

    A profile URL may have a path of its own, so anything may come before ``/policy/v1/``.
    """
    if b"//" in raw_path:
        while b"//" in raw_path:
            raw_path = raw_path.replace(b"//", b"/")
    start = raw_path.find(ROOT)
    if start < 0:
        return None
    tail = raw_path[start + len(ROOT) :]
    found = _PATHS.get(tail)
    if found is not None:
        return found, ""
    for prefix, request_type in _ALIAS_PATHS.items():
        if tail.startswith(prefix) and len(tail) > len(prefix):
            return request_type, unquote_to_bytes(tail[len(prefix) :]).decode("utf-8", "replace")
    found = _PATHS.get(tail.rstrip(b"/"))
    return None if found is None else (found, "")


class PolicyEndpoint:
    """Answers the six questions of the external policy API."""

    def __init__(
        self,
        rules: Rules,
        keyring: Keyring,
        authentication: BasicAuthentication,
        on_failure: str,
        clock: Callable[[], datetime],
        decision_log: DecisionLog,
        metrics: Metrics,
    ) -> None:
        self._rules: Final = rules
        self._keyring: Final = keyring
        self._authentication: Final = authentication
        self._on_failure: Final = on_failure
        self._clock: Final = clock
        self._log: Final = decision_log
        self._metrics: Final = metrics
        self._prefix: Final = os.urandom(6).hex()
        self._numbers: Final = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        started = perf_counter()
        if not self._authentication.accepts(scope["headers"]):
            client = scope.get("client")
            self._metrics.refused(client[0] if client else "unknown")
            await _respond(send, 401, b"", _TEXT, CHALLENGE)
            return
        routed = route(scope.get("raw_path") or scope["path"].encode())
        if routed is None:
            await _respond(send, 404, b"", _TEXT)
        elif scope["method"] != "GET":
            await _respond(send, 405, b"", _TEXT, _GET_ONLY)
        else:
            status, body, content_type = await self._answer(*routed, scope["query_string"], started)
            await _respond(send, status, body, content_type)

    async def _answer(
        self, request_type: RequestType, alias: str, query: bytes, started: float
    ) -> tuple[int, bytes, tuple[bytes, bytes]]:
        decision_id = f"{self._prefix}-{next(self._numbers):x}"
        ruleset = self._rules.ruleset
        extra: Answer = {"rule": None, "revision": ruleset.revision, "decision_id": decision_id}
        request: PolicyRequest | None = None
        try:
            now = self._clock()
            request = parse_request(request_type, query, alias)
            decision = evaluate(ruleset, request, now, self._keyring)
            extra["rule"] = decision.rule
            if isinstance(decision, ShowPicture):
                picture = ruleset.pictures[decision.picture]
                body = await run_sync(render_avatar, picture, decision.width, decision.height)
                content_type, status = _JPEG, 200
            else:
                answer = render_answer(request_type, decision, self._on_failure, extra)
                body, content_type = orjson.dumps(answer), _JSON
                status = 404 if request_type is RequestType.AVATAR else 200
            self._record(request, decision, now, extra, started)
        except QuestionError as error:
            body = self._failed(request_type, "misunderstood", str(error), extra, started)
            return 200, body, _JSON
        except Exception:
            # The one place where everything is caught: a node must get an answer, and the log the reason.
            log.exception("question.failed: %s %s", decision_id, _safe_question(request))
            body = self._failed(request_type, "error", "an error of ours; see the log", extra, started)
            return 200, body, _JSON
        return status, body, content_type

    def _record(self, request: PolicyRequest, decision: Decision, now: datetime, extra: Answer, started: float) -> None:
        outcome = type(decision).__name__.lower()
        seconds = perf_counter() - started
        record: dict[str, object] = {
            "time": now.isoformat(timespec="milliseconds"),
            "event": "decision.made",
            "decision_id": extra["decision_id"],
            "question": request.type.value,
            "outcome": outcome,
            "rule": decision.rule,
            "revision": extra["revision"],
        }
        for name in _LOGGED:
            if value := request.text(name):
                record[name] = value[:_LOGGED_LENGTH]
        if alias := request.text("alias"):
            record["alias"] = alias[:_LOGGED_LENGTH]
        if isinstance(decision, Fail):
            record["reason"] = decision.reason
        service = getattr(decision, "service", None) or getattr(decision, "properties", None)
        if service is not None:
            record["result"] = masked(service)
        record["ms"] = round(seconds * 1000, 3)
        self._log.put(record)
        self._metrics.answered(request.type.value, outcome, decision.rule or "", seconds)

    def _failed(self, request_type: RequestType, outcome: str, reason: str, extra: Answer, started: float) -> bytes:
        seconds = perf_counter() - started
        self._log.put(
            {
                "time": self._clock().isoformat(timespec="milliseconds"),
                "event": "decision.failed",
                "decision_id": extra["decision_id"],
                "question": request_type.value,
                "outcome": outcome,
                "revision": extra["revision"],
                "reason": reason,
                "ms": round(seconds * 1000, 3),
            }
        )
        self._metrics.answered(request_type.value, outcome, "", seconds)
        return orjson.dumps(failure_answer(self._on_failure, extra))


def _safe_question(request: PolicyRequest | None) -> Mapping[str, str]:
    try:
        return request.present() if request is not None else {}
    except Exception:  # The log line about a failure must not become one.
        return {}


async def _respond(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})
