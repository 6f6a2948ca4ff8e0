"""The policy endpoints: a Conferencing Node asks, and gets one well-formed answer whatever happens.

Plain ASGI: a framework's routing and request objects would cost more than the decision.
"""

import logging
import os
from asyncio import get_running_loop, to_thread
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from itertools import count
from time import perf_counter
from typing import Final, NamedTuple, assert_never

import orjson
from starlette.types import Receive, Scope, Send

from policy_server.conferences.live import Conferences
from policy_server.conferences.rooms import Rooms
from policy_server.conferences.timeline import policy_answered
from policy_server.pexip.query import QuestionError
from policy_server.pexip.request_types import RequestType, path_as_asked, route
from policy_server.pexip.requests import PolicyRequest, parse_request
from policy_server.policy.answers import failure_answer, render_answer
from policy_server.policy.decisions import Forward, Serve, ShowPicture
from policy_server.policy.masking import Hiding
from policy_server.policy.personal import without_people
from policy_server.policy.ruleset import Rules, Ruleset
from policy_server.upstreams.client import Asks, Carried
from policy_server.web.answered import Answered, Decided, Failed
from policy_server.web.avatars import render_avatar
from policy_server.web.basic import CHALLENGE, BasicAuthentication
from policy_server.web.callers import Client, address_of, caller_address
from policy_server.web.decision_log import DecisionLog
from policy_server.web.decision_records import (
    CALLER_NAME,
    FAILED,
    LOGGED_LENGTH,
    LOGGED_OF_CALLER,
    MADE,
    SCHEMA,
    LinksAsked,
    Wholes,
    decision_record,
    links_asked,
    texts_told,
    told_without_people,
)
from policy_server.web.headers import Header, safe_headers, with_safe_headers
from policy_server.web.metrics import Metrics
from policy_server.web.refusals import Door, Refusals
from policy_server.wording.moments import to_the_millisecond

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

NODES_LIMIT: Final = 256
"""Nodes whose text for the log is kept."""


class _Answer(NamedTuple):
    """What goes out, and what it is about."""

    status: int
    content_type: Header
    body: bytes
    about: Decided | Failed


Watch = Callable[[Serve, str, str, datetime], None]
"""Hears of every service that was answered: the room that it is, ``""`` for none, whose timeline it belongs to, and when."""


Count = Callable[[RequestType, str, str, datetime], None]
"""Hears of every answer: to which question, its outcome, the rule whose it is, ``""`` for none, and when."""


Note = Callable[[str, str, datetime], None]
"""Hears of every question with good credentials: the address it came from, the location it named, and when."""


class PolicyEndpoint:
    """Answers the six questions of the external policy API. ``watch`` watches over the calls that are answered,
    ``count_answer`` counts what is answered, ``nodes`` notes who asks, ``keep`` keeps all that is answered for whoever looks at
    it later.
    """

    def __init__(
        self,
        rules: Rules,
        rooms: Rooms,
        conferences: Conferences,
        upstreams: Asks,
        authentication: BasicAuthentication,
        on_failure: str,
        clock: Callable[[], datetime],
        decision_log: DecisionLog,
        metrics: Metrics,
        refusals: Refusals | None = None,
        prefix: str = "",
        watch: Watch | None = None,
        count_answer: Count | None = None,
        nodes: Note | None = None,
        keep: Callable[[Answered], None] | None = None,
    ) -> None:
        self._note_node: Final = nodes
        self._wholes: Final = Wholes()
        self._watch: Final = watch
        self._count: Final = count_answer
        self._keep: Final = keep
        self._looks_at_links: Final = decision_log.is_json or keep is not None
        self._rules: Final = rules
        self._rooms: Final = rooms
        self._conferences: Final = conferences
        self._upstreams: Final = upstreams
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
        self._untold: Final[deque[Answered]] = deque()
        self._nodes: Final[dict[str, tuple[str, bytes]]] = {}
        self._refusals: Final = refusals or Refusals(Door.POLICY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        started = perf_counter()
        if not self._authentication.accepts(scope["headers"]):
            await self._refuse(scope, receive, send)
            return
        routed = route(scope.get("raw_path") or scope["path"].encode(), self._path_prefix)
        if routed is None:
            await _respond(scope, send, 404, b"", _TEXT)
            return
        if scope["method"] != "GET":
            await _respond(scope, send, 405, b"", _TEXT, _GET_ONLY)
            return
        request_type, alias = routed
        decision_id = f"{self._prefix}-{next(self._numbers):x}"
        try:
            now, ruleset = self._clock(), self._rules.ruleset
            answer = await self._answer(ruleset, request_type, alias, scope, now, decision_id)
        except Exception:
            # What makes the answer to a failure failed itself: a clock, or the rules.
            log.exception("question.failed: %s", decision_id)
            await _respond(scope, send, 200, self._last_resort, _JSON)
            return
        seconds = perf_counter() - started
        await _respond(scope, send, answer.status, answer.body, answer.content_type)
        # No call depends on whether its answer could be logged, counted or noted, and those that ask now come first.
        if not self._untold:
            get_running_loop().call_soon(self._tell_all)
        self._untold.append(
            Answered(
                ruleset,
                request_type,
                answer.about,
                now,
                decision_id,
                seconds,
                scope.get("client"),
                alias,
                scope["query_string"],
                answer.body if answer.content_type is _JSON else b"",
            )
        )

    def _tell_all(self) -> None:
        while self._untold:
            untold = self._untold.popleft()
            try:
                if self._keep is not None:
                    self._keep(untold)
                outcome, rule, fields = self._tell(untold)
                node, of_node = self._node(untold.client)
                fields += of_node
                self._log.put(
                    to_the_millisecond(untold.at).encode(), untold.decision_id.encode(), untold.seconds, fields
                )
                self._metrics.answered(untold.request_type, outcome, rule, untold.seconds)
                if self._count is not None:
                    self._count(untold.request_type, outcome, rule, untold.at)
                if self._note_node is not None:
                    location = untold.about.request.text("location") if isinstance(untold.about, Decided) else ""
                    self._note_node(node, location, untold.at)
            except Exception:
                log.exception("question.unrecorded: %s", untold.decision_id)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.refused(caller_address(scope))
        refused = await self._authentication.refuse(self._refusals, scope)
        if refused.status_code == 401:
            await _respond(scope, send, 401, b"", _TEXT, CHALLENGE)
        else:
            await refused(scope, receive, with_safe_headers(scope, send))

    async def _answer(
        self, ruleset: Ruleset, request_type: RequestType, alias: str, scope: Scope, now: datetime, decision_id: str
    ) -> _Answer:
        request: PolicyRequest | None = None
        carried: Carried | None = None
        try:
            request = parse_request(request_type, scope["query_string"], alias)
            settled = await self._rooms.settle(ruleset, request, now)
            links = links_asked(settled, self._conferences.link) if self._looks_at_links else LinksAsked()
            if isinstance(settled.decision, Forward):
                raw_path = scope.get("raw_path") or scope["path"].encode()
                path = path_as_asked(request_type, alias, raw_path, self._path_prefix)
                is_ours = partial(self._rooms.is_ours, ruleset, now=now)
                carried = await self._upstreams.ask(settled.decision, request, path, ruleset, is_ours)
                settled = settled._replace(decision=carried.decision)
            decision = settled.decision
            if isinstance(decision, ShowPicture):
                picture = ruleset.pictures[decision.picture]
                body = await to_thread(render_avatar, picture, decision.width, decision.height)
                return _Answer(200, _JPEG, body, Decided(request, settled, None, links))
            extra = {"rule": decision.rule, "revision": ruleset.revision, "decision_id": decision_id}
            if carried is not None:
                extra["upstream"] = carried.upstream
            body = orjson.dumps(render_answer(request_type, decision, self._on_failure, extra))
            status = 404 if request_type is RequestType.AVATAR else 200
            return _Answer(status, _JSON, body, Decided(request, settled, carried, links))
        except QuestionError as error:
            failed = Failed("misunderstood", str(error))
        except Exception:
            # The one place where everything is caught: a node must get an answer, and the log the reason.
            log.exception("question.failed: %s %s", decision_id, self._safe_question(request, ruleset))
            failed = Failed("error", "an error of ours; see the log")
        extra = {"rule": None, "revision": ruleset.revision, "decision_id": decision_id}
        return _Answer(200, _JSON, orjson.dumps(failure_answer(self._on_failure, extra)), failed)

    def _tell(self, untold: Answered) -> tuple[str, str, bytes]:
        """Puts an answer on the timeline; returns its outcome, its rule and the fields of its log line."""
        ruleset, about = untold.ruleset, untold.about
        match about:
            case Decided(request, settled, carried, _):
                decision = settled.decision
                hiding = self._rooms.hiding(ruleset, settled.call)
                record = decision_record(request, settled, carried, ruleset.revision, hiding)
                fields = self._rendered(about, ruleset, record, hiding)
                if self._watch is not None and isinstance(decision, Serve):
                    self._watch(decision, settled.room, settled.key, untold.at)
                if settled.key and self._is_news(ruleset, about, untold.at):
                    record[CALLER_NAME] = hiding.text(request.text(CALLER_NAME)[:LOGGED_LENGTH])
                    note = policy_answered(request.type, decision, untold.decision_id, record)
                    # A link that joins a call has a timeline of its own.
                    for key in dict.fromkeys((settled.key, settled.joining or settled.key)):
                        self._conferences.note(key, *note, untold.at)
                return decision.word, decision.rule or "", fields
            case Failed(outcome, reason):
                failure = {
                    "event": FAILED,
                    **({"schema": SCHEMA} if self._log.is_json else {}),
                    "question": untold.request_type.value,
                    "outcome": outcome,
                    "revision": ruleset.revision,
                    "reason": reason,
                }
                return outcome, "", self._log.render(failure)
            case _:
                assert_never(about)

    def _rendered(self, about: Decided, ruleset: Ruleset, record: Mapping[str, object], hiding: Hiding) -> bytes:
        """The fields of a line about a decision; ``record`` is what people are told of it."""
        request, settled = about.request, about.settled
        told = {"event": MADE, **record, **texts_told(LOGGED_OF_CALLER, request, hiding)}
        if self._log.is_json:
            told |= self._wholes.further(request, settled, ruleset, about.links, hiding)
        return self._log.render(told if self._log.shows_people else told_without_people(told, settled.call))

    def _is_news(self, ruleset: Ruleset, about: Decided, now: datetime) -> bool:
        """Whether an answer is for the timeline. The same one to the same question within the minute is only logged."""
        request, settled = about.request, about.settled
        decision, key = settled.decision, settled.key
        minute = int(now.timestamp()) // 60
        if minute != self._noted_in:
            self._noted.clear()
            self._noted_in = minute
        asked = hash((key, request.type, request.query, decision.word, decision.rule, ruleset.revision))
        noted = self._noted[key]
        if asked in noted or len(noted) >= NOTES_A_MINUTE:
            return False
        if self._conferences.is_open(key):
            # Counted together under the key that no timeline has.
            together = self._noted[""]
            if len(together) >= OPEN_NOTES_A_MINUTE:
                return False
            together.add(asked)
        noted.add(asked)
        return True

    def _node(self, client: Client) -> tuple[str, bytes]:
        """The node that asked, also to be put behind other fields of the log; nodes are few."""
        address = client[0] if client else ""
        known = self._nodes.get(address)
        if known is None:
            if len(self._nodes) >= NODES_LIMIT:
                self._nodes.clear()
            node = address_of(client)
            known = self._nodes[address] = (node, self._log.separator + self._log.render({"node": node}))
        return known

    def _safe_question(self, request: PolicyRequest | None, ruleset: Ruleset) -> Mapping[str, object]:
        try:
            shown = self._rooms.shown(ruleset, request.present()) if request is not None else {}
            return shown if self._log.shows_people else without_people(shown)
        except Exception:  # The log line about a failure must not become one.
            return {}


async def _respond(scope: Scope, send: Send, status: int, body: bytes, *headers: Header) -> None:
    length = (b"content-length", b"%d" % len(body))
    safe = [*headers, length, *safe_headers(scope)]
    await send({"type": "http.response.start", "status": status, "headers": safe})
    await send({"type": "http.response.body", "body": body})
