"""Carrying out what rules forward: another policy server is asked, and its answer becomes a decision of ours."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from time import monotonic, perf_counter
from typing import Final, NamedTuple, Protocol, TypeAlias, TypedDict

from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.decisions import Decision, Forward
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.upstream_answers import AnswerError, instead, read_answer
from policy_server.policy.upstreams import Upstream
from policy_server.upstreams.line import How, Line, NoAnswer

DETAIL_LIMIT: Final = 500
"""Characters that are told of what is wrong with an answer."""


class Carried(NamedTuple):
    """What became of a question that was forwarded: the decision for the node, how it came out at the upstream in how many
    seconds, and what was wrong with it, ``""`` for nothing. No secret is in ``detail``.
    """

    decision: Decision
    upstream: str
    how: How
    detail: str
    seconds: float


class UpstreamState(TypedDict):
    """An upstream, whether it is left alone at the moment, and why it failed the last time, ``""`` if it did not."""

    name: str
    left_alone: bool
    reason: str


IsOurs: TypeAlias = Callable[[Decision], bool]
"""Whether a decision of an upstream leads into a room of ours."""


class Asks(Protocol):
    """Whoever carries out what rules forward."""

    async def ask(
        self, forward: Forward, request: PolicyRequest, path: bytes, ruleset: Ruleset, is_ours: IsOurs
    ) -> Carried:
        """Asks the upstream of a decision. ``path`` is that of the question, from ``/policy/v1/`` on, as it came. What
        leads into a room of ours by ``is_ours`` is not used.
        """


class Upstreams:
    """Asks other policy servers. ``tell`` hears of each question: the upstream, how it came out, and seconds."""

    def __init__(
        self,
        tell: Callable[[str, str, float], None] = lambda *_: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._tell: Final = tell
        self._clock: Final = clock
        # By all that rules say of it: one that is described anew begins anew.
        self._lines: Final[dict[Upstream, Line]] = {}
        self._closing: Final[set[asyncio.Task[None]]] = set()

    async def ask(
        self, forward: Forward, request: PolicyRequest, path: bytes, ruleset: Ruleset, is_ours: IsOurs
    ) -> Carried:
        """Asks the upstream of a decision; what is late, away or wrong becomes what ``on_failure`` says."""
        started = perf_counter()
        line = self._lines.get(forward.upstream)
        if line is None:
            line = self._lines[forward.upstream] = Line(forward.upstream, self._clock)
        reply = await line.ask(path + (b"?" + request.query if request.query else b""))
        if isinstance(reply, NoAnswer):
            carried = _failed(forward, request, reply.how, reply.detail, started)
        else:
            try:
                decision, left_out = read_answer(forward, request, reply.status, reply.body, ruleset.names)
                if is_ours(decision):
                    # Nobody gets into a room of ours by what another server says of it.
                    raise AnswerError("it serves a room that these rules have made")
                detail = _cut(f"left out, as Pexip does not know it: {', '.join(left_out)}") if left_out else ""
                carried = Carried(decision, forward.upstream.name, How.ANSWERED, detail, perf_counter() - started)
            except AnswerError as error:
                carried = _failed(forward, request, How.WRONG, str(error), started)
        self._tell(carried.upstream, carried.how, carried.seconds)
        return carried

    def states(self, upstreams: Mapping[str, Upstream]) -> list[UpstreamState]:
        """How the upstreams of some rules are, as far as this process has asked them."""
        found: list[UpstreamState] = []
        for name, upstream in upstreams.items():
            line = self._lines.get(upstream)
            is_open = line is not None and line.is_left_alone
            found.append({"name": name, "left_alone": is_open, "reason": line.trouble if line else ""})
        return found

    def keep(self, upstreams: Iterable[Upstream]) -> None:
        """Lets go of all others, as soon as no question waits for them, and gets ready for these."""
        kept = set(upstreams)
        for upstream in kept - self._lines.keys():
            # Made now, since the certificates that it trusts are read from disk.
            self._lines[upstream] = Line(upstream, self._clock)
        for upstream, line in tuple(self._lines.items()):
            if upstream not in kept and line.is_idle:
                del self._lines[upstream]
                closing = asyncio.get_running_loop().create_task(line.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Lets go of all."""
        lines = tuple(self._lines.values())
        self._lines.clear()
        await asyncio.gather(*(line.close() for line in lines), *self._closing)


class Unasked:
    """Stands in where nobody shall be asked: each question comes out as if its upstream were away."""

    async def ask(
        self, forward: Forward, request: PolicyRequest, path: bytes, ruleset: Ruleset, is_ours: IsOurs
    ) -> Carried:
        """Asks nobody."""
        return _failed(forward, request, How.NOT_ASKED, "nobody was asked", perf_counter())


def _failed(forward: Forward, request: PolicyRequest, how: How, detail: str, started: float) -> Carried:
    cut = _cut(detail)
    decision = instead(forward, request.type, _reason(forward, how, cut))
    return Carried(decision, forward.upstream.name, how, cut, perf_counter() - started)


def _cut(detail: str) -> str:
    return detail if len(detail) <= DETAIL_LIMIT else f"{detail[:DETAIL_LIMIT]}…"


def _reason(forward: Forward, how: How, detail: str) -> str:
    return f"upstream '{forward.upstream.name}' {how.replace('_', ' ')}: {detail}"
