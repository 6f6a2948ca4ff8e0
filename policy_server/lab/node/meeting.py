"""One room's life on a Conferencing Node: who waits, who is in, and when it is over.

Pure: time and uuids are arguments. It keeps to what is known of nodes (pexip/README.md: When Pexip dials, What keeps
a conference alive).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from policy_server.lab.node.happenings import (
    HOSTS_GONE,
    NO_HOST_CAME,
    NOBODY_KEEPS_IT,
    Came,
    Changed,
    Closed,
    Happening,
    Opened,
    RoomChanged,
    RoomStatus,
    Went,
)
from policy_server.lab.node.people import KeepAlive, Participant, Presence, Role

HOSTS_GONE_SECONDS: Final = 60.0
"""How long Guests stay when the last Host has left."""
WAITING_SECONDS: Final = 900.0
"""How long a Guest waits for a Host."""


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
        is_muted = newcomer.is_muted or (self._status.guests_muted and newcomer.role is Role.GUEST)
        arrived = replace(
            newcomer, came_at=now, connected_at=now, presence=self._presence_of(newcomer.role), is_muted=is_muted
        )
        return [*self._open(), self._come(arrived)]

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
        return [*self._open(), self._come(replace(leg, came_at=now, is_outgoing=True, presence=Presence.CONNECTING))]

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

    def _open(self) -> list[Happening]:
        if self._has_opened:
            return []
        self._has_opened = True
        return [Opened(self._status)]

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
