"""What can be decided, as a closed union; each decision names its rule and carries its trace.

``word`` is what logs and metrics call a kind of decision.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NamedTuple

from policy_server.policy.services import Fields, ServiceTemplate
from policy_server.policy.upstreams import Upstream


class Outcome(StrEnum):
    """What became of one rule of the list."""

    HIT = "hit"
    MISS = "miss"
    NOT_EVALUATED = "not_evaluated"


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's row: how it came out, and which condition missed and why."""

    rule: str
    outcome: Outcome
    condition: str = ""
    reason: str = ""


class Trace(NamedTuple):
    """How a decision was reached. Rows are made when somebody reads them, out of what the evaluation recorded."""

    rows: Callable[[], Iterator[Finding]]

    def findings(self) -> tuple[Finding, ...]:
        """A row for every rule of the list, in order."""
        return tuple(self.rows())


def no_rows() -> Iterator[Finding]:
    """The rows of a question for which there is no rule list."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Serve:
    """A service: the room, gateway, reception … that the alias leads to; ``template`` is what the rule says of it."""

    word: ClassVar[str] = "serve"
    rule: str
    reason: str
    trace: Trace = field(repr=False)
    service: Fields = field(repr=False)
    call: str = field(repr=False)
    fallbacks: tuple[Fields, ...] = field(default=(), repr=False)
    template: ServiceTemplate | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Redirect:
    """The endpoint shall call another alias (SIP 302)."""

    word: ClassVar[str] = "redirect"
    rule: str
    reason: str
    trace: Trace = field(repr=False)
    new_alias: str


@dataclass(frozen=True, slots=True)
class Reject:
    """The call, participant or registration is refused; ``text`` is for the person, where Pexip shows it."""

    word: ClassVar[str] = "reject"
    rule: str
    reason: str
    trace: Trace = field(repr=False)
    text: str


@dataclass(frozen=True, slots=True)
class SetProperties:
    """A participant joins with these properties changed."""

    word: ClassVar[str] = "set"
    rule: str
    reason: str
    trace: Trace = field(repr=False)
    properties: Fields


@dataclass(frozen=True, slots=True)
class PlaceMedia:
    """Media goes to a location, or overflows to others in order."""

    word: ClassVar[str] = "locate"
    rule: str
    reason: str
    trace: Trace = field(repr=False)
    location: str
    overflow_locations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllowRegistration:
    """A device registers with these credentials; both empty: without authentication."""

    word: ClassVar[str] = "allow"
    rule: str
    reason: str
    trace: Trace = field(repr=False)
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ListEntries:
    """Directory entries, best first."""

    word: ClassVar[str] = "list"
    rule: str
    reason: str
    trace: Trace = field(repr=False)
    entries: tuple[Mapping[str, str], ...]
    ignore_local: bool


@dataclass(frozen=True, slots=True)
class ShowPicture:
    """A picture of the rules folder, to be cut to the size asked for, in pixels."""

    word: ClassVar[str] = "picture"
    rule: str
    reason: str
    trace: Trace = field(repr=False)
    picture: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Continue:
    """Pexip's own configuration decides. ``rule`` is ``None`` when no rule matched."""

    word: ClassVar[str] = "continue"
    rule: str | None
    reason: str
    trace: Trace = field(repr=False)


@dataclass(frozen=True, slots=True)
class Forward:
    """Another policy server decides; whoever has connections asks it, and makes a decision of its answer."""

    word: ClassVar[str] = "forward"
    rule: str
    reason: str
    trace: Trace = field(repr=False)
    upstream: Upstream


@dataclass(frozen=True, slots=True)
class Fail:
    """A rule matched but what it would answer is not valid for this question, so nothing of it is sent."""

    word: ClassVar[str] = "fail"
    rule: str
    reason: str
    trace: Trace = field(repr=False)


Decision = (
    Serve
    | Redirect
    | Reject
    | SetProperties
    | PlaceMedia
    | AllowRegistration
    | ListEntries
    | ShowPicture
    | Continue
    | Forward
    | Fail
)
