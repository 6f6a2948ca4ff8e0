"""The policy endpoints: a Conferencing Node asks, and gets one well-formed answer whatever happens.

Plain ASGI: a framework's routing and request objects would cost more than the decision.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from time import perf_counter
from typing import Final, NamedTuple

import orjson
from anyio.to_thread import run_sync
from starlette.types import Receive, Scope, Send

from policy_server.conferences.live import Conferences
from policy_server.conferences.rooms import Rooms
from policy_server.conferences.timeline import policy_answered
from policy_server.pexip.field_facts import masked
from policy_server.pexip.query import QuestionError
from policy_server.pexip.request_types import RequestType, route
from policy_server.pexip.requests import PolicyRequest, parse_request
from policy_server.policy.answers import failure_answer, render_answer
from policy_server.policy.decisions import (
    Decision,
    Fail,
    Serve,
    SetProperties,
    ShowPicture,
)
from policy_server.policy.ruleset import Rules, Ruleset
from policy_server.web.avatars import render_avatar
from policy_server.web.basic import CHALLENGE, BasicAuthentication
from policy_server.web.callers import caller_address
from policy_server.web.decision_log import DecisionLog
from policy_server.web.metrics import Metrics
from policy_server.web.refusals import Door, Refusals

log = logging.getLogger(__name__)

_JSON: Final = (b"content-type", b"application/json")
_JPEG: Final = (b"content-type", b"image/jpeg")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_GET_ONLY: Final = (b"allow", b"GET")


NOTES_A_MINUTE: Final = 30
"""Answers about one call that its timeline takes within a minute; further ones are only logged. A call needs some twenty
in all, and nobody shall fill the database by asking."""

OPEN_NOTES_A_MINUTE: Final = 1000
"""Answers within a minute about all rooms together that no signed link led to; strangers make as many as they like."""

LOGGED: Final = ("call_direction", "protocol", "location", "local_alias", "remote_alias", "service_name", "alias")
LOGGED_LENGTH: Final = 250
"""Parameters of a question that the log shows, each cut to so many characters."""

LOGGED_OF_CALLER: Final = ("remote_address", "vendor")
"""Further ones that only the log shows: operators look for a scanner; agents, who read timelines, need no addresses."""

CALLERS_LIMIT: Final = 256
"""Addresses of nodes whose text for the log is kept."""


class _Response(NamedTuple):
    """What one question leads to: the answer, and what log and metrics say of it."""

    status: int
    content_type: tuple[bytes, bytes]
    body: bytes
    log_fields: bytes
    outcome: str
    rule: str


class PolicyEndpoint:
    """Answers the six questions of the external policy API."""

    def __init__(
        self,
        rules: Rules,
        rooms: Rooms,
        conferences: Conferences,
        authentication: BasicAuthentication,
        on_failure: str,
        clock: Callable[[], datetime],
        decision_log: DecisionLog,
        metrics: Metrics,
        refusals: Refusals | None = None,
        prefix: str = "",
    ) -> None:
        self._rules: Final = rules
        self._rooms: Final = rooms
        self._conferences: Final = conferences
        self._authentication: Final = authentication
        self._on_failure: Final = on_failure
        self._clock: Final = clock
        self._log: Final = decision_log
        self._metrics: Final = metrics
        self._path_prefix: Final = prefix.encode()
        self._prefix: Final = os.urandom(6).hex()
        self._numbers: Final = count(1)
        self._last_resort: Final = orjson.dumps(failure_answer(on_failure))
        self._noted: Final[defaultdict[str, set[int]]] = defaultdict(set)
        self._noted_in = 0
        self._callers: Final[dict[str, bytes]] = {}
        self._refusals: Final = refusals or Refusals(Door.POLICY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        started = perf_counter()
        if not self._authentication.accepts(scope["headers"]):
            self._metrics.refused(caller_address(scope))
            refused = await self._authentication.refuse(self._refusals, scope)
            if refused.status_code == 401:
                await _respond(send, 401, b"", _TEXT, CHALLENGE)
            else:
                await refused(scope, receive, send)
            return
        raw_path = scope.get("raw_path") or scope["path"].encode()
        routed = route(raw_path, self._path_prefix)
        if routed is None:
            await _respond(send, 404, b"", _TEXT)
            return
        if scope["method"] != "GET":
            await _respond(send, 405, b"", _TEXT, _GET_ONLY)
            return
        decision_id = f"{self._prefix}-{next(self._numbers):x}"
        try:
            now = self._clock()
            response = await self._respond_to(*routed, scope["query_string"], now, decision_id)
        except Exception:
            # What makes the answer to a failure failed itself: a clock, or the log's renderer.
            log.exception("question.failed: %s", decision_id)
            await _respond(send, 200, self._last_resort, _JSON)
            return
        seconds = perf_counter() - started
        # The answer first: no call depends on whether it could be logged or counted.
        await _respond(send, response.status, response.body, response.content_type)
        try:
            self._log.put(_stamp(now), decision_id.encode(), seconds, response.log_fields + self._caller(scope))
            self._metrics.answered(routed[0].value, response.outcome, response.rule, seconds)
        except Exception:
            log.exception("question.unrecorded: %s", decision_id)

    async def _respond_to(
        self, request_type: RequestType, alias: str, query: bytes, now: datetime, decision_id: str
    ) -> _Response:
        ruleset = self._rules.ruleset
        request: PolicyRequest | None = None
        try:
            request = parse_request(request_type, query, alias)
            settled = await self._rooms.settle(ruleset, request, now)
            decision = settled.decision
            if isinstance(decision, ShowPicture):
                picture = ruleset.pictures[decision.picture]
                body = await run_sync(render_avatar, picture, decision.width, decision.height)
                logged = self._logged(request, _record(request, decision, ruleset), ruleset)
                return _Response(200, _JPEG, body, logged, *_names(decision))
            named = {"call": settled.call} if settled.call else {}
            record = self._rooms.shown(ruleset, {**_record(request, decision, ruleset), **named}, settled.call)
            response = self._rendered(request, decision, ruleset, record, decision_id)
        except QuestionError as error:
            return self._failed(request_type, "misunderstood", str(error), ruleset, decision_id)
        except Exception:
            # The one place where everything is caught: a node must get an answer, and the log the reason.
            log.exception("question.failed: %s %s", decision_id, self._safe_question(request, ruleset))
            return self._failed(request_type, "error", "an error of ours; see the log", ruleset, decision_id)
        if settled.key:
            caller = {"remote_display_name": request.text("remote_display_name")[:LOGGED_LENGTH]}
            noted = {"decision_id": decision_id, **record, **self._rooms.shown(ruleset, caller)}
            self._note(settled.key, request, query, decision, noted, now)
        return response

    def _note(
        self,
        key: str,
        request: PolicyRequest,
        query: bytes,
        decision: Decision,
        record: Mapping[str, object],
        now: datetime,
    ) -> None:
        """Puts an answer on the timeline. The same one to the same question within the minute is only logged."""
        minute = int(now.timestamp()) // 60
        if minute != self._noted_in:
            self._noted.clear()
            self._noted_in = minute
        asked = hash((key, request.type, query, record["outcome"], decision.rule, record["revision"]))
        noted = self._noted[key]
        if asked in noted or len(noted) >= NOTES_A_MINUTE:
            return
        if self._conferences.is_open(key):
            # Counted together under the key that no timeline has.
            together = self._noted[""]
            if len(together) >= OPEN_NOTES_A_MINUTE:
                return
            together.add(asked)
        noted.add(asked)
        self._conferences.note(key, *policy_answered(request.type, decision, record), now)

    def _rendered(
        self,
        request: PolicyRequest,
        decision: Decision,
        ruleset: Ruleset,
        record: Mapping[str, object],
        decision_id: str,
    ) -> _Response:
        extra = {"rule": decision.rule, "revision": ruleset.revision, "decision_id": decision_id}
        answer = orjson.dumps(render_answer(request.type, decision, self._on_failure, extra))
        status = 404 if request.type is RequestType.AVATAR else 200
        return _Response(status, _JSON, answer, self._logged(request, record, ruleset), *_names(decision))

    def _logged(self, request: PolicyRequest, record: Mapping[str, object], ruleset: Ruleset) -> bytes:
        caller = {name: value[:LOGGED_LENGTH] for name in LOGGED_OF_CALLER if (value := request.text(name))}
        return self._log.render({"event": "decision.made", **record, **self._rooms.shown(ruleset, caller)})

    def _caller(self, scope: Scope) -> bytes:
        """The node that asked, to be put behind other fields of the log; nodes are few."""
        address = caller_address(scope)
        rendered = self._callers.get(address)
        if rendered is None:
            if len(self._callers) >= CALLERS_LIMIT:
                self._callers.clear()
            rendered = self._callers[address] = self._log.separator + self._log.render({"node": address})
        return rendered

    def _safe_question(self, request: PolicyRequest | None, ruleset: Ruleset) -> Mapping[str, object]:
        try:
            return self._rooms.shown(ruleset, request.present()) if request is not None else {}
        except Exception:  # The log line about a failure must not become one.
            return {}

    def _failed(
        self, request_type: RequestType, outcome: str, reason: str, ruleset: Ruleset, decision_id: str
    ) -> _Response:
        extra = {"rule": None, "revision": ruleset.revision, "decision_id": decision_id}
        answer = orjson.dumps(failure_answer(self._on_failure, extra))
        fields = self._log.render(
            {
                "event": "decision.failed",
                "question": request_type.value,
                "outcome": outcome,
                "revision": ruleset.revision,
                "reason": reason,
            }
        )
        return _Response(200, _JSON, answer, fields, outcome, "")


def _record(request: PolicyRequest, decision: Decision, ruleset: Ruleset) -> dict[str, object]:
    """What log and timeline say of a decision; nothing secret is in it."""
    outcome, _ = _names(decision)
    record: dict[str, object] = {
        "question": request.type.value,
        "outcome": outcome,
        "rule": decision.rule,
        "revision": ruleset.revision,
    }
    for name in LOGGED:
        if value := request.text(name):
            record[name] = value[:LOGGED_LENGTH]
    if isinstance(decision, Serve):
        record["result"] = masked(decision.service)
    elif isinstance(decision, SetProperties):
        record["result"] = masked(decision.properties)
    elif isinstance(decision, Fail):
        record["reason"] = decision.reason
    return record


def _names(decision: Decision) -> tuple[str, str]:
    return decision.word, decision.rule or ""


def _stamp(now: datetime) -> bytes:
    return now.isoformat(timespec="milliseconds").encode()


async def _respond(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})
