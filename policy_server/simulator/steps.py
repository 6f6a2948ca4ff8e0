"""What a played call consists of: who plays, by which script, and each step with what was expected of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from policy_server.policy.links import CustomerLink
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import LinkType
from policy_server.simulator.exchange import Caller, Exchange
from policy_server.simulator.genesys import StandIn, User
from policy_server.simulator.node import ConferencingNode, Judged

CUSTOMER: Final = "Ada L"
AGENT: Final = "Maria Silva"
MARK: Final[Mapping[str, str]] = {"simulated": "yes"}
"""What a played link is marked with, for whoever finds it in a database."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that the call needs, and whether the answer gave it."""

    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange of the call with what was expected of it."""

    title: str
    exchange: Exchange
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether a node would use the answer if it was for a node, and the call goes on as it should."""
        used = self.exchange.verdict.used if isinstance(self.exchange, Judged) else not self.exchange.unreachable
        return used and all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Steps that cannot be played here, and what would have them played."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent who is logged in to Genesys Cloud, which is stood in for."""

    widget: Caller
    genesys: StandIn
    user: User


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays, and who cannot. ``clock`` is that of the nodes, which should agree with the server's."""

    node: ConferencingNode
    customer: Caller
    organisation: Caller | LeftOut
    sink: Caller | LeftOut
    agent: Agent | LeftOut
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Script:
    """What is played. ``link`` stands in where the organisation's system cannot make one; ``attributes`` are those that
    it gives a link, ``name`` the customer's.
    """

    link_type: LinkType
    keyring: Keyring = field(repr=False)
    link: CustomerLink
    attributes: Mapping[str, str] = field(default_factory=lambda: MARK)
    name: str = CUSTOMER
