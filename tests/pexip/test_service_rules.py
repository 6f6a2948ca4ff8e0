"""The rules that join several fields, and faults of several kinds at once."""

import pytest

from policy_server.pexip.services import accepts_service, check_service
from tests.pexip.samples import ADP, GUARDED, ROOMS, UUID, messages, only_fault, room, service

BREAKOUT = {"breakout": True, "breakout_uuid": UUID, "breakout_name": "Group 1"}


@pytest.mark.parametrize("service_type", ROOMS)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(BREAKOUT, [], id="a breakout"),
        pytest.param({"breakout": True}, [("breakout_uuid", "BRK-1"), ("breakout_name", "BRK-1")], id="bare"),
        pytest.param({"breakout": True, "breakout_uuid": UUID}, [("breakout_name", "BRK-1")], id="no name"),
        pytest.param({"breakout": False}, [], id="no breakout"),
        pytest.param({**BREAKOUT, "breakout_rooms": False}, [], id="rooms off"),
        pytest.param({**BREAKOUT, "breakout_rooms": True}, [("breakout_rooms", "BRK-2")], id="rooms on"),
        pytest.param({"breakout_rooms": True, "direct_media": "always"}, [("direct_media", "BRK-3")], id="always"),
        pytest.param(
            {"breakout_rooms": True, "direct_media": "best_effort"},
            [("direct_media", "BRK-3")],
            id="best effort",
        ),
        pytest.param({"breakout_rooms": True, "direct_media": "never"}, [], id="never"),
        pytest.param({"breakout_rooms": False, "direct_media": "always"}, [], id="direct media alone"),
        pytest.param({**BREAKOUT, "allow_guests": True}, [("pin", "PIN-1")], id="guests need a pin here too"),
    ],
)
def test_breakout_rules(service_type: str, fields: dict[str, object], expected: list[tuple[str, str]]) -> None:
    """A breakout has uuid and name, no breakout rooms; and breakout rooms exclude direct media."""
    faults = check_service(service(service_type, **fields))
    assert [(fault.path[-1], fault.rule) for fault in faults] == expected
    assert accepts_service(service(service_type, **fields)) == (expected == [])


@pytest.mark.parametrize("service_type", GUARDED)
def test_pin_rules_of_services(service_type: str) -> None:
    """Rooms and playback services obey the PIN rules."""
    good = service(service_type, allow_guests=True, pin="1234", guest_pin="4321")
    bad = service(service_type, allow_guests=True, pin="1234", guest_pin="54321")
    assert accepts_service(good)
    assert check_service(good) == ()
    assert not accepts_service(bad)
    assert only_fault(bad).rule == "PIN-4"


@pytest.mark.parametrize("view", ["teams", "teams_focus"])
@pytest.mark.parametrize(
    ("fields", "good"),
    [
        pytest.param({}, False, id="SIP"),
        pytest.param({"outgoing_protocol": "gms"}, False, id="Meet"),
        pytest.param({"outgoing_protocol": "teams"}, True, id="Teams"),
        pytest.param({"called_device_type": "teams_conference"}, False, id="Teams meeting"),
        pytest.param({"called_device_type": "teams_user"}, False, id="Teams user"),
        pytest.param({"called_device_type": "external"}, False, id="external"),
    ],
)
def test_teams_views(view: str, fields: dict[str, object], good: bool) -> None:
    """The layouts of Teams are for gateway calls to Teams only."""
    gateway = service("gateway", view=view, **fields)
    assert accepts_service(gateway) is good
    assert [(fault.path, fault.kind, fault.rule) for fault in check_service(gateway)] == (
        [] if good else [(("view",), "rule", "SVC-4")]
    )


@pytest.mark.parametrize(
    ("on_completion", "kinds"),
    [
        pytest.param({"disconnect": True}, [], id="disconnect"),
        pytest.param({"transfer": {"conference": "meet.alice"}}, [], id="transfer"),
        pytest.param({"transfer": {"conference": "meet.alice", "role": "chair"}}, [], id="with role"),
        pytest.param({}, ["rule"], id="neither"),
        pytest.param({"disconnect": True, "transfer": {"conference": "a"}}, ["rule"], id="both"),
        pytest.param({"disconnect": False}, ["enum"], id="false"),
        pytest.param({"disconnect": 1}, ["type"], id="one"),
        pytest.param({"transfer": {}}, ["missing"], id="nowhere"),
        pytest.param({"transfer": {"conference": "a", "role": "host"}}, ["enum"], id="role of another API"),
        pytest.param('{"disconnect": true}', ["type"], id="JSON in a string"),
    ],
)
def test_on_completion(on_completion: object, kinds: list[str]) -> None:
    """A playlist ends in a disconnect or in a transfer, in the form of the policy API."""
    fields = service("media_playback", on_completion=on_completion)
    assert [fault.kind for fault in check_service(fields)] == kinds
    assert accepts_service(fields) == (kinds == [])


def test_all_faults_at_once() -> None:
    """Faults of fields, of nested fields, and of rules that join fields are reported together."""
    faults = check_service(
        {
            "service_type": "conference",
            "name": "Room",
            "view": "ac",
            "locked": "yes",
            "pin": "12",
            "guest_pin": "4321",
            "breakout": True,
            "theme": "x",
            "automatic_participants": [{**ADP, "role": "host"}],
        }
    )
    assert {(fault.path, fault.kind) for fault in faults} == {
        (("service_tag",), "missing"),
        (("view",), "enum"),
        (("locked",), "type"),
        (("pin",), "length"),
        (("guest_pin",), "rule"),
        (("breakout_uuid",), "rule"),
        (("breakout_name",), "rule"),
        (("theme",), "unknown"),
        (("automatic_participants", 0, "role"), "enum"),
    }
    assert [fault.rule for fault in faults if fault.path == ("guest_pin",)] == ["PIN-2", "PIN-4"]


def test_a_value_of_the_wrong_type_has_one_fault() -> None:
    """Rules that join fields do not pile up on a PIN that is a number."""
    assert messages(room(allow_guests=True, pin=1234, guest_pin="4321")) == [
        "pin must be text (put it in quotes) but is a number"
    ]
