"""Who is in a room, as Pexip counts them, and which role a PIN gives (pexip/README.md: PINs)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do in a room; ``chair`` is the Host."""

    CHAIR = "chair"
    GUEST = "guest"


class KeepAlive(StrEnum):
    """Whether somebody whom the room called keeps the conference running alone."""

    ALWAYS = "keep_conference_alive"
    IF_MULTIPLE = "keep_conference_alive_if_multiple"
    NEVER = "keep_conference_alive_never"


class Presence(StrEnum):
    """How far somebody has come."""

    CONNECTING = "connecting"
    """Called, and has not answered."""
    WAITING = "waiting_room"
    """A Guest whom no Host has joined yet."""
    IN = "in"


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant as Pexip counts them: a browser is two, the control half and, during a call, the media half."""

    uuid: str
    display_name: str
    role: Role
    protocol: str
    """``api`` for the control half, ``webrtc`` for the media half, ``sip`` for a leg."""
    came_at: float
    local_alias: str
    """The conference's side: what was dialled, or what the room calls from."""
    remote_alias: str
    is_outgoing: bool = False
    has_media: bool = False
    has_call: bool = False
    """Of a control half: whether its media half is there."""
    connected_at: float | None = None
    presence: Presence = Presence.IN
    keep_alive: KeepAlive | None = None
    """Of those whom the room called."""
    call_id: str = ""
    conversation_id: str = ""
    related: tuple[str, ...] = ()
    call_tag: str = ""
    vendor: str = ""
    remote_address: str = ""
    is_muted: bool = False
    is_client_muted: bool = False
    is_video_muted: bool = False

    @property
    def is_control(self) -> bool:
        """Whether it is the control half of a browser."""
        return self.protocol == "api"

    @property
    def is_on_roster(self) -> bool:
        """Whether the client API lists it: a browser's media half is not listed apart."""
        return self.protocol != "webrtc"


@dataclass(frozen=True, slots=True)
class PinRequired:
    """A PIN must be entered; ``guest`` tells whether Guests need one, too."""

    guest: bool


@dataclass(frozen=True, slots=True)
class PinWrong:
    """The PIN that was entered is none of the room's."""


def check_pin(service: Mapping[str, object], pin: str | None) -> Role | PinRequired | PinWrong:
    """Which role a PIN gives; ``None`` is no PIN yet, ``"none"`` a Guest who has none.

    ``service`` is the answer to the question about this caller: PINs may differ from caller to caller.
    """
    host, guest = _pin(service, "pin"), _pin(service, "guest_pin")
    has_guests = service.get("allow_guests") is True
    if not host:
        return Role.CHAIR
    takes_guests_without = has_guests and not guest
    if pin is None:
        return PinRequired(guest=not takes_guests_without)
    entered = pin.removesuffix("#")
    if entered == host:
        return Role.CHAIR
    if (guest and has_guests and entered == guest) or (pin == "none" and takes_guests_without):
        return Role.GUEST
    return PinWrong()


def _pin(service: Mapping[str, object], field: str) -> str:
    return str(service.get(field) or "").removesuffix("#")
