"""A played call of a room system: what it asks, how agents find its room, and what each answer must give."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import httpx
import pytest

from policy_server.simulator.room_system import Dialled, play_room_system
from policy_server.simulator.scenes import part
from policy_server.simulator.steps import Cast, LeftOut, Script, Step
from tests.cli.commands import RULES
from tests.genesys.asking import MARIA, standing_in, tenant
from tests.servers import InProcess, write_rules
from tests.simulator.test_call import ABSENT, EVENTS, Change, Stage, alias_of, answer, failed, policy, told_events

KIOSKS: Final = r"""
  - id: kiosk
    when: { local_alias: advisor, remote_alias: 'kiosk-(?P<kiosk>\d+)', protocol: [sip, h323] }
    room: kiosk
    dial_out: [{ trunk: contact-centre, display_name: "Branch {kiosk}" }]
participants:
  - { id: kiosk, when: { service_tag: kiosk, protocol: [sip, h323] }, set: { preauthenticated_role: guest } }
"""
DIALLED: Final = Dialled("sip", "advisor", "Kiosk", {"remote_alias": "sip:kiosk-7@video.example.com"})


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One server for all tests, which knows kiosks; each call ends its room."""
    folder: Path = tmp_path_factory.mktemp("kiosks")
    rules = RULES.replace(
        "rooms:", "rooms:\n  kiosk: { name: 'Kiosk {kiosk}', service_tag: kiosk, pin: derived, allow_guests: true }"
    )
    write_rules(folder / "rules", rules.replace("registrations:", KIOSKS.strip("\n") + "\nregistrations:"))
    with standing_in() as genesys:
        settings: dict[str, Any] = {"events": EVENTS, "tenant": tenant(genesys.url)}
        with InProcess(folder / "rules", **settings) as server:
            yield Stage(server, genesys.stand_in, MARIA)


def play(
    stage: Stage, change: Change | None = None, dialled: Dialled = DIALLED, **cast: Any
) -> tuple[list[Step], list[LeftOut], list[httpx.Request]]:
    """The steps of a room system's call, what was left out, and what was asked."""

    def played(cast: Cast, _: Script) -> AsyncIterator[Step | LeftOut]:
        return play_room_system(cast, dialled)

    return stage.play(change, play=played, **cast)


@pytest.mark.parametrize("protocol", ["sip", "h323"])
def test_a_good_call(stage: Stage, protocol: Any) -> None:
    """A room system gets in without a PIN, the agent finds its room through the conversation, and all are gone at the end."""
    dialled = Dialled(protocol, "advisor", "Kiosk", {"remote_alias": f"{protocol}:kiosk-7@video.example.com"})
    steps, left_out, asked = play(stage, dialled=dialled)
    assert (failed(steps), left_out, all(step.passed for step in steps)) == ([], [], True)
    assert [(request.method, request.url.path) for request in asked] == [
        ("GET", "/policy/v1/service/configuration"),
        ("GET", "/policy/v1/participant/properties"),
        ("GET", "/policy/v1/participant/location"),
        ("POST", "/events/v1/pexip"),
        ("POST", "/events/v1/pexip"),
        ("GET", "/policy/v1/service/configuration"),
        ("POST", "/events/v1/pexip"),
        ("GET", "/agent/v1/conferences/Kiosk%207"),
        ("GET", "/policy/v1/service/configuration"),
        ("POST", "/events/v1/pexip"),
        ("POST", "/events/v1/pexip"),
        ("POST", "/events/v1/pexip"),
        ("GET", "/agent/v1/conferences/Kiosk%207"),
    ]
    assert {parse_qs(request.url.query.decode())["protocol"][0] for request in asked[:3]} == {protocol}
    assert alias_of(asked[8]).startswith("room-agent.")
    assert told_events(asked)[-2:] == [["participant_disconnected"] * 4, ["conference_ended"]]
    told = [check.text for step in steps for check in step.checks]
    assert "the room system may join, and is not asked for a PIN" in told
    assert "by the address that Genesys Cloud shows of the caller (ani)" in told


def test_no_secret_is_in_what_may_be_printed(stage: Stage) -> None:
    """Neither the room's PIN nor the alias that agents dial is in a step as Python shows it, nor in its path."""
    steps, _, asked = play(stage)
    pins = {str(part(step.exchange.fields, "result").get("pin")) for step in steps} - {"None"}
    assert pins
    shown = "".join(repr(step.checks) + step.title + step.exchange.path + step.exchange.problem for step in steps)
    assert not [secret for secret in (*pins, alias_of(asked[8])) if secret in shown]


@pytest.mark.parametrize(("absent", "paths"), [("sink", {"policy", "agent"}), ("agent", {"policy", "events"})])
def test_who_is_absent_is_left_out(stage: Stage, absent: str, paths: set[str]) -> None:
    """Without one of them the others play, nothing fails, and it is said once what was left out."""
    number = {"sink": "31", "agent": "32"}[absent]
    dialled = Dialled("sip", "advisor", "Kiosk", {"remote_alias": f"kiosk-{number}"})
    away: dict[str, Any] = {absent: ABSENT}
    steps, left_out, asked = play(stage, dialled=dialled, **away)
    assert (failed(steps), left_out) == ([], [ABSENT])
    assert {request.url.path.split("/")[1] for request in asked} == paths


def test_a_pin_to_type(stage: Stage) -> None:
    """Where rules give the room system no role, the step says that it is asked for a PIN."""

    def change(request: httpx.Request, told: dict[str, Any]) -> None:
        if request.url.path.endswith("properties"):
            told["json"]["result"] = {}

    steps, _, _ = play(stage, change)
    assert failed(steps) == []
    assert "the room system may join when it has given a PIN" in [check.text for step in steps for check in step.checks]


def refused(request: httpx.Request, told: dict[str, Any]) -> None:
    """Lets no participant in."""
    if request.url.path.endswith("properties"):
        told["json"] = {"status": "success", "action": "reject", "result": {"reject_reason": "no"}}


LOOKUP: Final = "/agent/v1/conferences/"
FOUND_BY: Final = "by what Genesys Cloud shows of the caller"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            policy("advisor", automatic_participants=[]),
            ["with the contact centre's number as automatic participant"],
            id="nobody to dial",
        ),
        pytest.param(refused, ["the room system may join when it has given a PIN"], id="refused at the door"),
        pytest.param(policy("dial_out", name="other"), ["the same room"], id="another room when dialled"),
        pytest.param(answer(LOOKUP, json={"name": "Kiosk 8"}), ["with the room's name"], id="another room found"),
        pytest.param(answer(LOOKUP, json={"call": "x", "found_by": None}), [FOUND_BY], id="a call where there is none"),
        pytest.param(
            answer(LOOKUP, json={"join": {"alias": None, "pin": None}}),
            ["its host PIN for the agent alone", "and an alias to join by"],
            id="no way in",
        ),
        pytest.param(policy("room-agent.", name="other"), ["the same room"], id="agent in another room"),
        pytest.param(answer(LOOKUP, number=2, json={"state": "active"}), ["it is ended"], id="never ends"),
    ],
)
def test_what_breaks_a_call(stage: Stage, change: Change, expected: list[str]) -> None:
    """Each way to break the call fails the checks that name it, and no other."""
    steps, _, _ = play(stage, change)
    assert failed(steps) == expected


def test_no_room(stage: Stage) -> None:
    """A room system that gets no room ends the play after its question."""
    steps, _, asked = play(stage, dialled=Dialled("sip", "advisor", "Kiosk", {"remote_alias": "stranger"}))
    assert failed(steps) == ["a meeting room", "with the contact centre's number as automatic participant"]
    assert len(asked) == 1
