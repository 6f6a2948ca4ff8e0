"""What happens in a room, and why people leave it (pexip/README.md: Duplicates and identity, Disconnect reasons)."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from policy_server.lab.node.people import Participant

NOBODY_KEEPS_IT: Final = "No participants can keep conference alive"
HOSTS_GONE: Final = "All conference hosts departed hosted conference"
NO_HOST_CAME: Final = "Timeout waiting for conference host to join or permit access to locked conference"
ENDED_BY_HOST: Final = "API initiated conference termination"
REMOVED_BY_HOST: Final = "Disconnected by another participant"
ENDED_BY_ADMINISTRATOR: Final = "Conference terminated by an administrator"
REMOVED_BY_ADMINISTRATOR: Final = "Disconnected by an administrator"
TRANSFERRED: Final = "Call transferred"
"""Our own words: what nodes say of who was moved to another conference is not known."""
TOKEN_EXPIRED: Final = "Timer expired awaiting token refresh"
LEFT: Final = "User initiated disconnect"
ICE_FAILED: Final = "Ice failure"


@dataclass(frozen=True, slots=True)
class Came:
    """Somebody came."""

    participant: Participant


@dataclass(frozen=True, slots=True)
class Changed:
    """Something about somebody is different now."""

    participant: Participant


@dataclass(frozen=True, slots=True)
class Went:
    """Somebody left; ``reason`` is one of the texts that nodes give (pexip/README.md: Disconnect reasons)."""

    participant: Participant
    reason: str


@dataclass(frozen=True, slots=True)
class RoomStatus:
    """What is said of the conference itself."""

    started_at: float
    is_started: bool = False
    """Whether a Host with media has joined, or one without has started it."""
    guests_muted: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """The conference began."""

    status: RoomStatus


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """Something about the conference is different now."""

    status: RoomStatus


@dataclass(frozen=True, slots=True)
class Closed:
    """The conference is over."""

    status: RoomStatus
    reason: str


Happening: TypeAlias = Came | Changed | Went | Opened | RoomChanged | Closed
