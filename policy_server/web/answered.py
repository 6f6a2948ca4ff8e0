"""What became of a question, as the decision log, timelines, metrics and pages hear of it once the answer is out."""

from datetime import datetime
from typing import NamedTuple

from policy_server.conferences.rooms import Settled
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.ruleset import Ruleset
from policy_server.upstreams.client import Carried
from policy_server.web.callers import Client
from policy_server.web.decision_records import LinksAsked


class Decided(NamedTuple):
    """A question that was understood, and what became of it, ``carried`` at an upstream; ``links`` as they were then."""

    request: PolicyRequest
    settled: Settled
    carried: Carried | None = None
    links: LinksAsked = LinksAsked()


class Failed(NamedTuple):
    """A question that was not, or that something of ours went wrong with: ``outcome`` says which."""

    outcome: str
    reason: str


class Answered(NamedTuple):
    """A question and its answer: ``alias`` of the path and ``query`` as they came, the JSON that went out or ``b""`` for a
    picture.
    """

    ruleset: Ruleset
    request_type: RequestType
    about: Decided | Failed
    at: datetime
    decision_id: str
    seconds: float
    client: Client
    alias: str
    query: bytes
    body: bytes
