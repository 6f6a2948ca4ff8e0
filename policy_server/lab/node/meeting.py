"""One room's life on a Conferencing Node: who gets in, who waits, who is seen in the roster, and when it is over.

Pure: time and uuids are arguments. It keeps to what is known of nodes (pexip/README.md: PINs, When Pexip dials,
What keeps a conference alive, Duplicates and identity, Disconnect reasons) and of their client API (lab/README.md:
Token functions, Conference functions).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self, TypeAlias

HOSTS_GONE_SECONDS: Final = 60.0
"""How long Guests stay when the last Host has left."""
WAITING_SECONDS: Final = 900.0
"""How long a Guest waits for a Host."""

NOBODY_KEEPS_IT: Final = "No participants can keep conference alive"
HOSTS_GONE: Final = "All conference hosts departed hosted conference"
NO_HOST_CAME: Final = "Timeout waiting for conference host to join or permit access to locked conference"
ENDED_BY_HOST: Final = "API initiated conference termination"
REMOVED_BY_HOST: Final = "Disconnected by another participant"
TOKEN_EXPIRED: Final = "Timer expired awaiting token refresh"
LEFT: Final = "User initiated disconnect"
ICE_FAILED: Final = "Ice failure"

Entry: TypeAlias = dict[str, object]
"""A participant as the client API tells of it (lab/README.md: Conference functions)."""


class Role(StrEnum):
    """What somebody may do in a room; ``chair`` is the Host."""

    CHAIR = "chair"
    GUEST = "guest"


class KeepAlive(StrEnum):
    """Whether an automatic participant alone keeps the conference running."""

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
    """Of automatic participants alone."""
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


class Meeting:
    """A conference from its first participant to its end; after that, methods do nothing and return nothing.

    Each method returns what happened, in the order in which a node tells it.
    """

    def __init__(self, service: Mapping[str, object], now: float) -> None:
        self.service: Final = service
        self.name: Final = str(service.get("name", ""))
        self.is_over = False
        self._people: Final[dict[str, Participant]] = {}
        self._has_opened = False
        self._hosts_left_at: float | None = None
        self._starters: Final[set[str]] = set()
        self._status = RoomStatus(now, guests_muted=service.get("mute_all_guests") is True)

    @property
    def participants(self) -> tuple[Participant, ...]:
        """Everybody who is there, in the order in which they came."""
        return tuple(self._people.values())

    @property
    def status(self) -> RoomStatus:
        """The conference itself."""
        return self._status

    @property
    def service_type(self) -> str:
        """``conference`` or ``lecture``."""
        return str(self.service.get("service_type", "conference"))

    @property
    def is_full(self) -> bool:
        """Whether the service's participant limit is reached."""
        limit = self.service.get("participant_limit")
        listed = sum(participant.is_on_roster for participant in self._people.values())
        return isinstance(limit, int) and listed >= limit

    def get(self, uuid: str) -> Participant | None:
        """Who that is, if they are there."""
        return self._people.get(uuid)

    def legs_to_dial(self) -> list[Mapping[str, object]]:
        """The service's automatic participants without those whose alias is in the conference already."""
        legs = self.service.get("automatic_participants")
        here = {participant.remote_alias for participant in self._people.values()}
        found = [leg for leg in legs if isinstance(leg, dict)] if isinstance(legs, list) else []
        return [leg for leg in found if leg.get("local_alias") and leg.get("remote_alias") not in here]

    def join(self, newcomer: Participant, now: float) -> list[Happening]:
        """Somebody's control half comes. A Guest of a room with Hosts waits for one."""
        if self.is_over:
            return []
        happened: list[Happening] = []
        if not self._has_opened:
            self._has_opened = True
            happened.append(Opened(self._status))
        is_muted = newcomer.is_muted or (self._status.guests_muted and newcomer.role is Role.GUEST)
        arrived = replace(
            newcomer, came_at=now, connected_at=now, presence=self._presence_of(newcomer.role), is_muted=is_muted
        )
        return [*happened, self._come(arrived)]

    def connect_media(self, uuid: str, media_uuid: str, now: float) -> list[Happening]:
        """Somebody who is there has a call from now on: the media half comes. One who has one keeps it."""
        control = self._people.get(uuid)
        if control is None or not control.is_control or control.has_call:
            return []
        media = replace(
            control,
            uuid=media_uuid,
            protocol="webrtc",
            came_at=now,
            connected_at=now,
            has_media=True,
            call_id=media_uuid,
            related=(uuid,),
        )
        happened: list[Happening] = [self._change(uuid, has_call=True, related=(media_uuid,)), self._come(media)]
        return [*happened, *self._start_if_host(media)]

    def disconnect_media(self, uuid: str, reason: str, now: float) -> list[Happening]:
        """Somebody's call ends; the control half stays."""
        control = self._people.get(uuid)
        if control is None or not control.has_call:
            return []
        gone = Went(self._people.pop(control.related[0]), reason)
        return [gone, self._change(uuid, has_call=False, related=()), *self._end_if_nobody_keeps_it(now)]

    def dial(self, leg: Participant, now: float) -> list[Happening]:
        """The room calls somebody."""
        if self.is_over:
            return []
        return [self._come(replace(leg, came_at=now, is_outgoing=True, presence=Presence.CONNECTING))]

    def leg_answered(self, uuid: str, now: float) -> list[Happening]:
        """Somebody whom the room called has answered, and waits for nobody."""
        leg = self._people.get(uuid)
        if leg is None or leg.presence is not Presence.CONNECTING:
            return []
        changed = self._change(uuid, presence=Presence.IN, has_media=True, connected_at=now)
        return [changed, *self._start_if_host(changed.participant)]

    def update(self, uuid: str, **flags: bool) -> list[Happening]:
        """Sets ``is_muted``, ``is_client_muted`` or ``is_video_muted`` of somebody and of their media half."""
        found = self._people.get(uuid)
        before = [self._people[half] for half in (uuid, *found.related)] if found is not None else []
        return [change for was in before if (change := self._change(was.uuid, **flags)).participant != was]

    def start(self, uuid: str) -> list[Happening]:
        """A Host starts the conference without media, and keeps it alive like one who has some."""
        if uuid not in self._people:
            return []
        self._starters.add(uuid)
        return self._start()

    def leave(self, uuid: str, reason: str, now: float) -> list[Happening]:
        """Somebody leaves, with their media half; the conference may end with them."""
        if uuid not in self._people:
            return []
        return [*self._go(uuid, reason), *self._end_if_nobody_keeps_it(now)]

    def disconnect_all(self, reason: str) -> list[Happening]:
        """Everybody leaves."""
        return [] if self.is_over else self._end(reason)

    @property
    def deadline(self) -> float | None:
        """When ``tick`` has something to do if nothing else happens."""
        waiting = [person.came_at + WAITING_SECONDS for person in self._people.values() if _waits(person)]
        if self._hosts_left_at is not None:
            waiting.append(self._hosts_left_at + HOSTS_GONE_SECONDS)
        return min(waiting, default=None)

    def tick(self, now: float) -> list[Happening]:
        """What happens because time has passed."""
        if self._hosts_left_at is not None and now >= self._hosts_left_at + HOSTS_GONE_SECONDS:
            return self._end(HOSTS_GONE)
        late = [each.uuid for each in self.participants if _waits(each) and now >= each.came_at + WAITING_SECONDS]
        return [happening for uuid in late for happening in self.leave(uuid, NO_HOST_CAME, now)]

    def _presence_of(self, role: Role) -> Presence:
        waits = role is Role.GUEST and self.service.get("allow_guests") is True and not self._status.is_started
        return Presence.WAITING if waits else Presence.IN

    def _come(self, participant: Participant) -> Came:
        self._people[participant.uuid] = participant
        return Came(participant)

    def _change(self, uuid: str, **fields: object) -> Changed:
        changed = self._people[uuid] = replace(self._people[uuid], **fields)  # type: ignore[arg-type]
        return Changed(changed)

    def _go(self, uuid: str, reason: str) -> Iterator[Happening]:
        gone = self._people.pop(uuid, None)
        if gone is None:
            return
        for half in gone.related:
            if half in self._people:
                yield Went(self._people.pop(half), reason)
        yield Went(gone, reason)

    def _start_if_host(self, participant: Participant) -> list[Happening]:
        if participant.role is not Role.CHAIR:
            return []
        self._hosts_left_at = None
        return self._start()

    def _start(self) -> list[Happening]:
        if self._status.is_started:
            return []
        self._status = replace(self._status, is_started=True)
        waiting = [person.uuid for person in self._people.values() if person.presence is Presence.WAITING]
        return [RoomChanged(self._status), *(self._change(uuid, presence=Presence.IN) for uuid in waiting)]

    def _end_if_nobody_keeps_it(self, now: float) -> list[Happening]:
        if not self._is_kept_alive():
            return self._end(NOBODY_KEEPS_IT)
        hosts = [person for person in self._people.values() if person.role is Role.CHAIR]
        has_hosts = any(person.has_media or person.uuid in self._starters for person in hosts)
        if self._status.is_started and not has_hosts and self._hosts_left_at is None:
            self._hosts_left_at = now
        return []

    def _is_kept_alive(self) -> bool:
        people = [person for person in self._people.values() if person.keep_alive is None]
        # Of Hosts without media it is known that they do not count, of Guests nothing: they may be about to have some.
        if any(person.has_media or person.role is Role.GUEST or person.uuid in self._starters for person in people):
            return True
        legs = [leg for leg in self._people.values() if leg.has_media and leg.keep_alive is not None]
        if any(leg.keep_alive is KeepAlive.ALWAYS and leg.role is Role.CHAIR for leg in legs):
            return True
        several = [leg for leg in legs if leg.keep_alive is KeepAlive.IF_MULTIPLE]
        return len(several) > 1 and any(leg.role is Role.CHAIR for leg in several)

    def _end(self, reason: str) -> list[Happening]:
        self.is_over = True
        self._hosts_left_at = None
        everybody = [person for person in self.participants if person.is_on_roster]
        gone = [happening for person in everybody for happening in self._go(person.uuid, reason)]
        return [*gone, Closed(self._status, reason)]


def _waits(person: Participant) -> bool:
    return person.is_control and person.presence is Presence.WAITING


@dataclass(frozen=True, slots=True)
class View:
    """How participants of a service are told to one of them: Guests do not learn who the others are."""

    service_type: str
    role: Role

    @classmethod
    def of(cls, meeting: Meeting, role: Role) -> Self:
        """What somebody with a role is told of a meeting."""
        return cls(meeting.service_type, role)

    def entry(self, participant: Participant) -> Entry:
        """The complete participant object of the client API, as @pexip/infinity-api 20.0.0 has it.

        (lab/README.md: Conference functions)
        """
        is_host = self.role is Role.CHAIR
        has_media = participant.has_media or participant.has_call
        is_phone = participant.protocol == "sip"
        return {
            "uuid": participant.uuid,
            "api_url": f"/participants/{participant.uuid}",
            "display_name": participant.display_name,
            "overlay_text": participant.display_name,
            "role": str(participant.role),
            "protocol": participant.protocol if is_host else "",
            "call_direction": "out" if participant.is_outgoing else "in",
            "call_tag": participant.call_tag,
            "service_type": service_type_of(participant, self.service_type),
            "start_time": int(participant.came_at),
            "has_media": has_media,
            "encryption": "On",
            "local_alias": participant.local_alias,
            "uri": participant.remote_alias if is_host else "",
            "vendor": participant.vendor if is_host else "",
            "external_node_uuid": "",
            "is_external": False,
            "is_idp_authenticated": False,
            "is_conjoined": False,
            "is_muted": _yes(participant.is_muted),
            "is_client_muted": participant.is_client_muted,
            "is_video_muted": participant.is_video_muted,
            "is_video_silent": False,
            "is_presenting": _yes(False),
            "is_streaming_conference": False,
            "is_transferring": False,
            "is_audio_only_call": _yes(has_media and is_phone),
            "is_video_call": _yes(has_media and not is_phone),
            "buzz_time": 0,
            "spotlight": 0,
            "disconnect_supported": _yes(True),
            "mute_supported": _yes(True),
            "transfer_supported": _yes(False),
            "fecc_supported": _yes(False),
            "presentation_supported": _yes(False),
            "rx_presentation_policy": "ALLOW",
            "supports_direct_chat": False,
            "can_receive_personal_mix": False,
            "receive_from_video_mix": {"mix_name": "main", "timestamp": int(participant.came_at)},
        }


def service_type_of(participant: Participant, service_type: str) -> str:
    """Where somebody is: in the service, or still on the way."""
    return service_type if participant.presence is Presence.IN else str(participant.presence)


def status_entry(status: RoomStatus) -> Entry:
    """The conference status object of the client API (lab/README.md: Conference functions)."""
    return {
        "locked": False,
        "guests_muted": status.guests_muted,
        "all_muted": False,
        "started": status.is_started,
        "guests_can_unmute": False,
        "guests_can_present": False,
        "presentation_allowed": False,
        "direct_media": False,
        "live_captions_available": False,
        "breakout_rooms": False,
    }


def _yes(flag: bool) -> str:
    return "YES" if flag else "NO"
