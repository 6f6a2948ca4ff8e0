"""What ``explain`` says of a question that is forwarded, and how it asks."""

from dataclasses import dataclass

from policy_server.cli.common import Unusable
from policy_server.pexip.field_facts import masked
from policy_server.pexip.request_types import question_path
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.answers import Answer, render_answer
from policy_server.policy.decisions import Forward
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.upstreams import Upstream
from policy_server.upstreams.client import Carried, IsOurs, Upstreams
from policy_server.upstreams.line import How
from policy_server.web.questions import Question
from policy_server.wording.values import printable, shown


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A question that is for an upstream to answer, and what became of it, if it was asked."""

    upstream: Upstream
    carried: Carried | None

    @property
    def is_unanswered(self) -> bool:
        """Whether it was asked in vain."""
        return self.carried is not None and self.carried.how is not How.ANSWERED

    def answer(self, request: PolicyRequest, on_failure: str) -> Answer | None:
        """What a node would get, without the secrets of the other server; ``None`` when nobody was asked."""
        if self.carried is None:
            return None
        return masked(render_answer(request.type, self.carried.decision, on_failure))

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        told: dict[str, object] = {"upstream": self.upstream.name, "url": self.upstream.url, "outcome": None}
        if self.carried is not None:
            milliseconds = round(self.carried.seconds * 1000, 1)
            told |= {"outcome": self.carried.how.value, "reason": self.carried.detail, "milliseconds": milliseconds}
        return told

    def __str__(self) -> str:
        name = f"{shown(self.upstream.name)} ({self.upstream.url})"
        if self.carried is None:
            return f"would be forwarded to {name}, which was not asked; --forward asks"
        how = self.carried.how.replace("_", " ")
        after = f"after {self.carried.seconds * 1000:.0f} ms"
        if not self.is_unanswered:
            further = f" ({printable(self.carried.detail)})" if self.carried.detail else ""
            return f"forwarded to {name}: {how} {after}; a node can use it{further}"
        instead = f"a node gets on_failure: {self.upstream.on_failure}"
        return f"forwarded to {name}: {how} {after}: {printable(self.carried.detail)}; {instead}"


async def forwarded(
    decision: Forward, request: PolicyRequest, asked: Question, ruleset: Ruleset, is_ours: IsOurs, *, asks: bool
) -> Forwarded:
    """What becomes of a question that a rule forwards; ``asks`` for real."""
    upstream = decision.upstream
    if not asks:
        return Forwarded(upstream, None)
    if upstream.username and not upstream.password:
        raise Unusable(
            f"upstream {shown(upstream.name)} has a password, and the variable that its password_env names is not set here"
        )
    upstreams = Upstreams()
    try:
        path = question_path(request.type, asked.alias).encode()
        return Forwarded(upstream, await upstreams.ask(decision, request, path, ruleset, is_ours))
    finally:
        await upstreams.close()
