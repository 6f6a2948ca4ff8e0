"""What the Management Node is told and what it answers: closed unions, each answer with its reason.

None of them holds a password or a token.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

TEXT_LIMIT: Final = 250
NODE_LIMIT: Final = 255
ID_LIMIT: Final = 200
"""Characters of texts, of the address of a node, and of ids (management/README.md: Dial a participant, Other commands)."""

Reason: TypeAlias = Literal[
    "timeout",
    "connection",
    "too_large",
    "status",
    "malformed",
    "refused",
    "credentials",
    "forbidden",
    "busy",
    "pace",
    "away",
]
"""``timeout``, ``connection``: no whole answer. ``too_large``: of more bytes or pages than are read. ``status``: an HTTP
status that the reference does not have here. ``malformed``: a body that is not of the reference. ``refused``: the node
says no. ``credentials``: 401. ``forbidden``: 403, the account may not. ``busy``: 429. ``pace``: our own limit.
``away``: not asked, because the node did not answer before. All of them serve as a metric's label."""

Role: TypeAlias = Literal["chair", "guest"]


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant of a conference that runs (management/README.md: Status).

    ``id`` is for commands. ``is_outgoing``: Pexip called it. ``protocol`` and ``service_type`` are Pexip's words, empty
    where it gave none. ``role`` is None for one who has none yet. ``signalling_node`` is the address of the Conferencing
    Node that handles the call. ``has_media``: media flow; of a leg, it was answered. ``connect_time`` is aware, None if
    nobody has said one.
    """

    id: str
    conference: str
    display_name: str
    is_outgoing: bool
    source_alias: str
    destination_alias: str
    protocol: str
    role: Role | None
    service_type: str
    service_tag: str
    call_uuid: str
    signalling_node: str
    has_media: bool
    connect_time: datetime | None


@dataclass(frozen=True, slots=True)
class Conference:
    """A conference that runs, with everybody who is in it, as the node knew it a moment ago.

    ``id`` is for commands. ``is_started``: a Host is or was there. The conference and its participants are asked about one
    after the other, so somebody may have come or gone between.
    """

    id: str
    name: str
    service_type: str
    tag: str
    is_started: bool
    is_locked: bool
    start_time: datetime | None
    participants: tuple[Participant, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """The node knows no such conference or participant."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nothing is known. ``detail`` is for people; ``retry_after`` seconds until asking again makes sense, None: any time."""

    reason: Reason
    detail: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The node has taken the command; whether a call is answered, events and the status tell.

    ``participant_id`` is the new participant of a dial, empty if the node did not say it.
    """

    participant_id: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """Who was to be disconnected was not there any more."""


@dataclass(frozen=True, slots=True)
class NotDone:
    """The command was surely not carried out, and may be given again. Fields as those of ``Unanswered``."""

    reason: Reason
    detail: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The command may have been carried out or may be yet: ask for the status before giving it again."""

    reason: Reason
    detail: str


ConferenceResult: TypeAlias = Conference | Absent | Unanswered
ParticipantResult: TypeAlias = Participant | Absent | Unanswered
CommandResult: TypeAlias = Accepted | NotDone | Unknown
DisconnectResult: TypeAlias = Accepted | Gone | NotDone | Unknown


@dataclass(frozen=True, slots=True)
class Call:
    """Whom a conference shall call (management/README.md: Dial a participant).

    ``conference_alias`` is an alias of the conference, and ``destination`` whom it calls. Exactly one of ``system_location``
    (a location's name) and ``node`` (a Conferencing Node's address) says from where. ``keep_conference_alive`` has no
    default: Pexip's own differs between a dial and an automatic participant. Raises ValueError for what a node refuses.
    """

    conference_alias: str
    destination: str
    keep_conference_alive: Literal[
        "keep_conference_alive", "keep_conference_alive_if_multiple", "keep_conference_alive_never"
    ]
    system_location: str = ""
    node: str = ""
    role: Role = "guest"
    protocol: Literal["sip", "h323", "mssip", "rtmp", "gms", "teams"] = "sip"
    routing: Literal["manual", "routing_rule"] = "manual"
    call_type: Literal["audio", "video", "video-only"] = "video"
    local_display_name: str = ""
    remote_display_name: str = ""
    dtmf_sequence: str = ""

    def __post_init__(self) -> None:
        if not self.conference_alias or not self.destination:
            raise ValueError("conference_alias and destination must be given")
        if bool(self.system_location) == bool(self.node):
            raise ValueError("exactly one of system_location and node must be given")
        texts = (self.conference_alias, self.destination, self.system_location, self.local_display_name)
        if any(len(text) > TEXT_LIMIT for text in (*texts, self.remote_display_name, self.dtmf_sequence)):
            raise ValueError(f"texts must have {TEXT_LIMIT} characters at most")
        if len(self.node) > NODE_LIMIT:
            raise ValueError(f"node must have {NODE_LIMIT} characters at most")
