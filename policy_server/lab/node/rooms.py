"""The conferences that run on the node, and who holds a token for them: event sink and clients are told what happens."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias, assert_never
from uuid import uuid4

from policy_server.lab.node.errors import RefusedError
from policy_server.lab.node.happenings import TOKEN_EXPIRED, Came, Changed, Closed, Happening, Opened, RoomChanged, Went
from policy_server.lab.node.media import Media
from policy_server.lab.node.meeting import Meeting
from policy_server.lab.node.people import Participant, Presence, Role
from policy_server.lab.node.sink import EventSink
from policy_server.lab.node.tasks import Tasks
from policy_server.lab.node.views import View, status_entry

INVALID_TOKEN: Final = "Invalid token"

Told: TypeAlias = tuple[str, object]
"""A server-sent event: its name and its data."""


class Leg(Protocol):
    """An outgoing call that was placed."""

    async def hang_up(self) -> None:
        """Ends it. Nothing happens when it is over."""


@dataclass(slots=True, eq=False)
class Room:
    """A meeting with those who take part in it from outside."""

    meeting: Meeting
    sessions: "dict[str, Session]" = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)
    """The uuid of a call to that of the control half."""
    dialling: "asyncio.Task[None] | None" = None
    deadline: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class Session:
    """Somebody who holds a token. ``streams`` are the event streams that are open; ``None`` ends one."""

    room: Room
    uuid: str
    asked: dict[str, str]
    """The parameters of the questions about this caller."""
    view: View
    streams: "set[asyncio.Queue[Told | None]]" = field(default_factory=set)
    expiry: asyncio.TimerHandle | None = None
    token: str = field(default="", repr=False)

    @property
    def is_host(self) -> bool:
        """Whether it may do what Hosts may."""
        return self.view.role is Role.CHAIR

    def tell(self, *told: Told | None) -> None:
        """Sends events to its streams."""
        for stream in self.streams:
            for each in told:
                stream.put_nowait(each)


class Rooms:
    """Times are epoch seconds of ``clock``; a token lasts ``token_seconds``. Without a sink nothing is reported."""

    def __init__(
        self, media: Media, sink: EventSink | None, tasks: Tasks, clock: Callable[[], float], token_seconds: float
    ) -> None:
        self.token_seconds: Final = token_seconds
        self._media: Final = media
        self._sink: Final = sink
        self._tasks: Final = tasks
        self._clock: Final = clock
        self._rooms: Final[dict[str, Room]] = {}
        self._tokens: Final[dict[str, Session]] = {}

    @property
    def meetings(self) -> Mapping[str, Meeting]:
        """The conferences that run, by name."""
        return {name: room.meeting for name, room in self._rooms.items()}

    def find(self, name: str) -> Room | None:
        """The room of a conference that runs."""
        return self._rooms.get(name)

    def room_of(self, uuid: str) -> Room | None:
        """The room in which somebody is."""
        return next((room for room in self._rooms.values() if room.meeting.get(uuid) is not None), None)

    def room_dialled_by(self, alias: str) -> Room | None:
        """The room into which somebody came by an alias, or that calls from it."""
        wanted = alias.lower()
        return next(
            (
                room
                for room in self._rooms.values()
                if any(each.local_alias.lower() == wanted for each in room.meeting.participants)
            ),
            None,
        )

    def open(self, service: Mapping[str, object]) -> Room:
        """A room for a service that does not run yet."""
        meeting = Meeting(service, self._clock())
        room = self._rooms[meeting.name] = Room(meeting)
        return room

    def disconnect_all(self, reason: str) -> None:
        """Ends every conference."""
        for room in tuple(self._rooms.values()):
            self.apply(room, room.meeting.disconnect_all(reason))

    def leave(self, room: Room, uuid: str, reason: str) -> None:
        """Somebody leaves the room."""
        self.apply(room, room.meeting.leave(uuid, reason, self._clock()))

    # ------------------------------------------------------------------ tokens

    def renew_token(self, session: Session) -> str:
        """A token in place of the one before, and the time begins anew. Event streams that are open stay so."""
        self._forget_token(session)
        token = session.token = uuid4().hex + uuid4().hex
        self._tokens[token] = session
        loop = asyncio.get_running_loop()
        session.expiry = loop.call_later(self.token_seconds, self.leave, session.room, session.uuid, TOKEN_EXPIRED)
        return token

    def session(self, token: str) -> Session:
        """Whose token that is. Raises RefusedError."""
        if token not in self._tokens:
            raise RefusedError(INVALID_TOKEN)
        return self._tokens[token]

    def _forget_token(self, session: Session) -> None:
        self._tokens.pop(session.token, None)
        if session.expiry is not None:
            session.expiry.cancel()

    # ------------------------------------------------------------------ what happened

    def apply(self, room: Room, happenings: Iterable[Happening]) -> None:
        """Tells event sink and clients what happened, and ends what must end."""
        for happening in happenings:
            if self._sink is not None:
                self._sink.tell(room.meeting, happening)
            match happening:
                case Came(participant):
                    self._announce(room, "participant_create", participant)
                case Changed(participant):
                    self._announce(room, "participant_update", participant)
                case Went(participant, reason):
                    self._part(room, participant, reason)
                case RoomChanged(status):
                    _broadcast(room, "conference_update", status_entry(status))
                case Closed():
                    self._close(room)
                case Opened():
                    pass
                case _:
                    assert_never(happening)
        self._schedule(room)

    def _announce(self, room: Room, event: str, participant: Participant) -> None:
        if participant.is_on_roster:
            for session in room.sessions.values():
                session.tell((event, session.view.entry(participant)))
        else:
            self._media.set_open(participant.uuid, is_shown(participant))

    def _part(self, room: Room, participant: Participant, reason: str) -> None:
        if not participant.is_on_roster:
            room.calls.pop(participant.uuid, None)
            self._tasks.start(self._media.close(participant.uuid))
            return
        session = room.sessions.pop(participant.uuid, None)
        if session is not None:
            session.tell(("disconnect", {"reason": reason}), None)
            self._forget_token(session)
        if (leg := room.legs.pop(participant.uuid, None)) is not None:
            self._tasks.start(leg.hang_up())
        _broadcast(room, "participant_delete", {"uuid": participant.uuid})

    def _close(self, room: Room) -> None:
        if room.dialling is not None:
            room.dialling.cancel()
        if self._rooms.get(room.meeting.name) is room:
            del self._rooms[room.meeting.name]

    def _schedule(self, room: Room) -> None:
        if room.deadline is not None:
            room.deadline.cancel()
            room.deadline = None
        deadline = room.meeting.deadline
        if deadline is not None and not room.meeting.is_over:
            loop = asyncio.get_running_loop()
            room.deadline = loop.call_later(max(0.0, deadline - self._clock()), self._tick, room)

    def _tick(self, room: Room) -> None:
        self.apply(room, room.meeting.tick(self._clock()))


def is_shown(participant: Participant) -> bool:
    """Whether others see the participant's pictures."""
    return participant.presence is Presence.IN and not participant.is_video_muted


def _broadcast(room: Room, event: str, data: object) -> None:
    for session in room.sessions.values():
        session.tell((event, data))
