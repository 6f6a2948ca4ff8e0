"""One room's life: who gets in, who waits, who keeps it running, and what is told of it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.lab.node.happenings import (
    ENDED_BY_HOST,
    HOSTS_GONE,
    LEFT,
    NO_HOST_CAME,
    NOBODY_KEEPS_IT,
    Came,
    Changed,
    Closed,
    Happening,
    Opened,
    RoomChanged,
    Went,
)
from policy_server.lab.node.meeting import HOSTS_GONE_SECONDS, WAITING_SECONDS, Meeting
from policy_server.lab.node.people import KeepAlive, Participant, PinRequired, PinWrong, Presence, Role, check_pin
from policy_server.lab.node.views import View, status_entry

LEG = {"local_alias": "room@example.com", "remote_alias": "99+1", "protocol": "sip", "role": "chair"}
OPEN = {"service_type": "conference", "name": "room", "service_tag": "t"}
CLINIC = {**OPEN, "pin": "123456", "guest_pin": "654321", "allow_guests": True, "automatic_participants": [LEG]}


def person(uuid: str, role: Role = Role.GUEST, **further: Any) -> Participant:
    """Somebody in a browser."""
    return replace(Participant(uuid, uuid.title(), role, "api", 0.0, "alias", uuid), **further)


def leg(uuid: str, role: Role = Role.CHAIR, keep_alive: KeepAlive = KeepAlive.NEVER) -> Participant:
    """Somebody whom the room calls."""
    return Participant(uuid, uuid, role, "sip", 0.0, "room@example.com", "99+1", keep_alive=keep_alive)


def names(happened: Iterable[Happening]) -> list[str]:
    """What happened, in short."""
    told = []
    for each in happened:
        match each:
            case Came(who):
                told.append(f"+{who.uuid}")
            case Changed(who):
                told.append(f"~{who.uuid}")
            case Went(who, _):
                told.append(f"-{who.uuid}")
            case Opened():
                told.append("opened")
            case RoomChanged():
                told.append("changed")
            case Closed(_, reason):
                told.append(f"closed: {reason}")
    return told


@pytest.mark.parametrize(
    ("allow_guests", "host", "guest", "entered", "expected"),
    [
        (False, "", "", None, Role.CHAIR),
        (False, "", "", "1234", Role.CHAIR),
        (False, "1234", "", None, PinRequired(guest=True)),
        (False, "1234", "", "1234", Role.CHAIR),
        (False, "1234", "", "none", PinWrong()),
        (False, "1234", "", "", PinWrong()),
        (True, "1234", "", None, PinRequired(guest=False)),
        (True, "1234", "", "none", Role.GUEST),
        (True, "1234", "", "1234", Role.CHAIR),
        (True, "1234", "", "", PinWrong()),
        (True, "1234", "4321", None, PinRequired(guest=True)),
        (True, "1234", "4321", "4321", Role.GUEST),
        (True, "1234", "4321", "1234", Role.CHAIR),
        (True, "1234", "4321", "none", PinWrong()),
        (True, "1234", "4321", "12345", PinWrong()),
        (True, "123#", "54321#", "123", Role.CHAIR),
        (True, "123#", "54321#", "54321#", Role.GUEST),
        (True, "123#", "54321#", "#", PinWrong()),
    ],
)
def test_pins(allow_guests: bool, host: str, guest: str, entered: str | None, expected: object) -> None:
    """The PIN decides the role; only a Guest of a room without a guest PIN gets in without one."""
    service = {**OPEN, "allow_guests": allow_guests, "pin": host, "guest_pin": guest}
    assert check_pin(service, entered) == expected


def test_a_customers_call() -> None:
    """The customer waits until the contact centre has answered; when all others are gone the room is closed."""
    room = Meeting(CLINIC, 1.0)
    assert names(room.join(person("ada"), 1.0)) == ["opened", "+ada"]
    assert names(room.connect_media("ada", "ada-video", 2.0)) == ["~ada", "+ada-video"]
    assert {each.presence for each in room.participants} == {Presence.WAITING}
    assert room.legs_to_dial() == [LEG]
    assert names(room.dial(leg("trunk"), 11.0)) == ["+trunk"]
    assert room.legs_to_dial() == []
    assert names(room.leg_answered("trunk", 12.0)) == ["~trunk", "changed", "~ada", "~ada-video"]
    assert {each.presence for each in room.participants} == {Presence.IN}
    assert names(room.join(person("maria", Role.CHAIR), 13.0)) == ["+maria"]
    assert names(room.connect_media("maria", "maria-video", 14.0)) == ["~maria", "+maria-video"]
    assert names(room.leave("maria", "Transfer", 15.0)) == ["-maria-video", "-maria"]
    assert names(room.leave("ada", LEFT, 16.0)) == ["-ada-video", "-ada", "-trunk", f"closed: {NOBODY_KEEPS_IT}"]
    assert room.is_over


def test_an_open_room_waits_for_nobody() -> None:
    """Where everybody is Host, everybody is in at once."""
    room = Meeting(OPEN, 1.0)
    room.join(person("ada", Role.CHAIR), 1.0)
    assert [each.presence for each in room.participants] == [Presence.IN]


ALWAYS, SEVERAL, NEVER = KeepAlive.ALWAYS, KeepAlive.IF_MULTIPLE, KeepAlive.NEVER
HOST, GUEST = Role.CHAIR, Role.GUEST


@pytest.mark.parametrize(
    ("legs", "stays"),
    [
        pytest.param([], False, id="nobody"),
        pytest.param([(HOST, NEVER)], False, id="one that never does"),
        pytest.param([(HOST, NEVER), (HOST, NEVER)], False, id="two that never do"),
        pytest.param([(HOST, ALWAYS)], True, id="one that always does"),
        pytest.param([(GUEST, ALWAYS)], False, id="a Guest that always does"),
        pytest.param([(HOST, SEVERAL)], False, id="one of several"),
        pytest.param([(HOST, SEVERAL), (GUEST, SEVERAL)], True, id="several with a Host"),
        pytest.param([(GUEST, SEVERAL), (GUEST, SEVERAL)], False, id="several without a Host"),
        pytest.param([(HOST, SEVERAL), (HOST, NEVER)], False, id="one of several and one that never does"),
    ],
)
def test_which_legs_keep_it_alive(legs: list[tuple[Role, KeepAlive]], stays: bool) -> None:
    """When the people have left, the legs' keep_conference_alive decides."""
    room = Meeting(OPEN, 1.0)
    room.join(person("ada", Role.CHAIR), 1.0)
    for number, (role, keep_alive) in enumerate(legs):
        room.dial(leg(f"leg-{number}", role, keep_alive), 2.0)
        room.leg_answered(f"leg-{number}", 3.0)
    happened = room.leave("ada", LEFT, 4.0)
    assert room.is_over is not stays
    assert isinstance(happened[-1], Closed) is not stays


def test_a_leg_that_rings_keeps_nothing_alive() -> None:
    """It is given up with the conference."""
    room = Meeting(OPEN, 1.0)
    room.join(person("ada", Role.CHAIR), 1.0)
    room.dial(leg("trunk", keep_alive=KeepAlive.ALWAYS), 2.0)
    assert names(room.leave("ada", LEFT, 3.0)) == ["-ada", "-trunk", f"closed: {NOBODY_KEEPS_IT}"]
    assert room.leg_answered("trunk", 4.0) == []


def test_guests_are_removed_after_the_last_host() -> None:
    """They have a minute, unless a Host comes back."""
    room = Meeting(CLINIC, 1.0)
    room.join(person("ada"), 1.0)
    room.connect_media("ada", "ada-video", 1.0)
    for came in (10.0, 20.0):
        room.join(person("maria", Role.CHAIR), came)
        room.connect_media("maria", "maria-video", came)
        assert room.deadline is None
        room.leave("maria", LEFT, came + 1)
        assert room.deadline == came + 1 + HOSTS_GONE_SECONDS
    assert room.tick(80.9) == []
    assert names(room.tick(81.0)) == ["-ada-video", "-ada", f"closed: {HOSTS_GONE}"]


def test_a_guest_waits_only_so_long() -> None:
    """Who waits for a Host in vain is removed with the reason."""
    room = Meeting(CLINIC, 1.0)
    room.join(person("ada"), 1.0)
    assert room.deadline == 1.0 + WAITING_SECONDS
    assert room.tick(WAITING_SECONDS) == []
    gone, *_ = room.tick(1.0 + WAITING_SECONDS)
    assert isinstance(gone, Went)
    assert (gone.reason, room.is_over) == (NO_HOST_CAME, True)


def test_those_who_wait_are_not_without_hosts() -> None:
    """Where no Host has been yet, nobody is removed because the last one left."""
    room = Meeting(CLINIC, 1.0)
    room.join(person("ada"), 1.0)
    room.join(person("bob"), 2.0)
    room.leave("bob", LEFT, 3.0)
    assert room.deadline == 1.0 + WAITING_SECONDS


def test_a_host_without_media_who_started_it() -> None:
    """They keep it alive as one with media does; one who did not start it does not."""
    for is_started in (True, False):
        room = Meeting(CLINIC, 1.0)
        room.join(person("maria", Role.CHAIR), 1.0)
        room.join(person("ada"), 1.0)
        assert names(room.start("maria") if is_started else []) == (["changed", "~ada"] if is_started else [])
        room.leave("ada", LEFT, 2.0)
        assert room.is_over is not is_started


def test_mute_flags_are_those_of_both_halves() -> None:
    """What is set for a browser holds for its media, and is not told twice."""
    room = Meeting(OPEN, 1.0)
    room.join(person("ada", Role.CHAIR), 1.0)
    room.connect_media("ada", "ada-video", 1.0)
    assert names(room.update("ada", is_video_muted=True)) == ["~ada", "~ada-video"]
    assert room.update("ada", is_video_muted=True) == []
    assert all(each.is_video_muted for each in room.participants)
    assert room.update("nobody", is_muted=True) == []


def test_guests_who_are_muted_as_they_join() -> None:
    """mute_all_guests mutes Guests and nobody else."""
    room = Meeting({**CLINIC, "mute_all_guests": True}, 1.0)
    room.join(person("ada"), 1.0)
    room.join(person("maria", Role.CHAIR), 1.0)
    assert [each.is_muted for each in room.participants] == [True, False]
    assert status_entry(room.status)["guests_muted"] is True


def test_the_limit_counts_people_and_not_halves() -> None:
    """A browser is one however many halves it has."""
    room = Meeting({**OPEN, "participant_limit": 2}, 1.0)
    room.join(person("ada", Role.CHAIR), 1.0)
    room.connect_media("ada", "ada-video", 1.0)
    assert not room.is_full
    room.join(person("bob", Role.CHAIR), 1.0)
    assert room.is_full


@pytest.mark.parametrize("legs", [None, "x", [{"remote_alias": "99+1"}], [5]])
def test_legs_that_are_not_dialled(legs: object) -> None:
    """An entry without local alias is not dialled, and what is no entry is none."""
    assert Meeting({**OPEN, "automatic_participants": legs}, 1.0).legs_to_dial() == []


def test_entries_of_the_roster() -> None:
    """Hosts are told all, Guests not who the others are; a browser with a call is a video call, a leg an audio call."""
    room = Meeting(CLINIC, 1.0)
    room.join(person("ada", vendor="Mozilla", call_tag="tag"), 1.5)
    room.connect_media("ada", "ada-video", 2.0)
    room.dial(leg("trunk"), 3.0)
    room.leg_answered("trunk", 4.0)
    ada, _, trunk = room.participants
    host, guest = View.of(room, Role.CHAIR), View.of(room, Role.GUEST)
    told = {"protocol": "api", "vendor": "Mozilla", "uri": "ada", "is_video_call": "YES", "is_audio_only_call": "NO"}
    assert told.items() <= host.entry(ada).items()
    assert {"call_tag": "tag", "start_time": 1, "call_direction": "in", "has_media": True}.items() <= host.entry(
        ada
    ).items()
    assert [guest.entry(ada)[key] for key in ("protocol", "vendor", "uri")] == ["", "", ""]
    told = {"protocol": "sip", "call_direction": "out", "is_video_call": "NO", "is_audio_only_call": "YES"}
    assert told.items() <= host.entry(trunk).items()


# ------------------------------------------------------------------ properties

UUIDS = st.sampled_from(["ada", "bob", "maria", "leg-1", "leg-2", "nobody"])
ROLES = st.sampled_from(list(Role))


def _deed(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *arguments)


DEEDS = st.lists(
    st.one_of(
        _deed("join", st.sampled_from(["ada", "bob", "maria"]), ROLES),
        _deed("connect", UUIDS),
        _deed("disconnect", UUIDS),
        _deed("dial", st.sampled_from(["leg-1", "leg-2"]), ROLES, st.sampled_from(list(KeepAlive))),
        _deed("answer", UUIDS),
        _deed("leave", UUIDS),
        _deed("mute", UUIDS, st.booleans()),
        _deed("start", UUIDS),
        _deed("wait", st.sampled_from([1.0, 61.0, 901.0])),
        _deed("end"),
    ),
    max_size=40,
)


class Play:
    """Deeds one after the other, and what happened."""

    def __init__(self, service: dict[str, Any]) -> None:
        self.room = Meeting(service, 0.0)
        self.now = 0.0
        self.count = 0

    def do(self, deed: tuple[Any, ...]) -> list[Happening]:
        """One deed, a second after the one before; nobody comes twice."""
        self.now += 1.0
        self.count += 1
        room, now = self.room, self.now
        here = {each.uuid for each in room.participants}
        deeds: dict[str, Callable[..., list[Happening]]] = {
            "join": lambda uuid, role: [] if uuid in here else room.join(person(uuid, role), now),
            "connect": lambda uuid: room.connect_media(uuid, f"{uuid}-{self.count}", now),
            "disconnect": lambda uuid: room.disconnect_media(uuid, LEFT, now),
            "dial": lambda uuid, role, alive: [] if uuid in here else room.dial(leg(uuid, role, alive), now),
            "answer": lambda uuid: room.leg_answered(uuid, now),
            "leave": lambda uuid: room.leave(uuid, LEFT, now),
            "mute": lambda uuid, flag: room.update(uuid, is_video_muted=flag),
            "start": room.start,
            "wait": self._wait,
            "end": lambda: room.disconnect_all(ENDED_BY_HOST),
        }
        return deeds[deed[0]](*deed[1:])

    def _wait(self, seconds: float) -> list[Happening]:
        self.now += seconds
        return self.room.tick(self.now)


@given(st.sampled_from([OPEN, CLINIC, {**OPEN, "pin": "1234", "allow_guests": True}]), DEEDS)
def test_what_is_told_is_what_is(service: dict[str, Any], deeds: list[tuple[Any, ...]]) -> None:
    """Whoever follows the happenings knows at every moment who is there and how; all of it ends with the conference."""
    play, known, is_over = Play(service), dict[str, Participant](), False
    for deed in deeds:
        happened = play.do(deed)
        assert not (is_over and happened)
        for each in happened:
            assert not is_over
            match each:
                case Came(who):
                    assert who.uuid not in known
                    known[who.uuid] = who
                case Changed(who):
                    assert who.uuid in known
                    known[who.uuid] = who
                case Went(who, reason):
                    assert reason
                    del known[who.uuid]
                case Closed():
                    is_over = True
                case Opened() | RoomChanged():
                    pass
        assert list(known.values()) == list(play.room.participants)
        assert is_over is play.room.is_over
        assert not (is_over and known)


@given(st.sampled_from([OPEN, CLINIC]), DEEDS)
def test_halves_waiting_and_deadlines(service: dict[str, Any], deeds: list[tuple[Any, ...]]) -> None:
    """No media half without its control half; nobody waits in a room that has started; a tick past the deadline works."""
    play = Play(service)
    for deed in deeds:
        play.do(deed)
        here = {each.uuid: each for each in play.room.participants}
        for each in here.values():
            assert all(here[half].related == (each.uuid,) for half in each.related)
            assert each.has_call is bool(each.is_control and each.related)
            assert each.protocol != "webrtc" or here[each.related[0]].is_control
            assert not (each.presence is Presence.WAITING and play.room.status.is_started)
            assert each.role is not Role.CHAIR or each.presence is not Presence.WAITING
        if play.room.deadline is not None:
            assert not play.room.is_over
    while (deadline := play.room.deadline) is not None:
        assert play.room.tick(deadline)


@given(DEEDS)
def test_nobody_is_left_alone_with_a_leg_that_never_counts(deeds: list[tuple[Any, ...]]) -> None:
    """After somebody has left, a conference that goes on has somebody in it who keeps it going."""
    play = Play(CLINIC)
    for deed in deeds:
        happened = play.do(deed)
        left = any(isinstance(each, Went) for each in happened)
        if left and not play.room.is_over:
            assert any(each.keep_alive is not KeepAlive.NEVER for each in play.room.participants)
