"""Whose conversation is it: the number that was dialled, and who came first, beside the caller's name."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policy_server.conferences.bindings import check_dialled
from policy_server.web.problem import TYPE_ROOT
from tests.genesys.asking import CONVERSATION, MARIA, OTHER_TOKEN, TOKEN, Genesys, tenant
from tests.rule_sets import NOON, SESSION
from tests.web.calls import NUMBER, Desk, a_link, a_pin, call_of, ended, left, on_the_phone, started, trunk

ANOTHER = CONVERSATION[:-1] + "1"
A_THIRD = CONVERSATION[:-1] + "2"
OTHER_NUMBER = "+14155550100"


@pytest.fixture
def desk(genesys: Genesys, tmp_path: Path) -> Iterator[Desk]:
    """Agents' endpoints on a database with one link."""
    with Desk(tmp_path, tenant(genesys.url), binding_required=True) as started_desk:
        started_desk.store_link()
        yield started_desk


def call(genesys: Genesys, dialled: str | None = f"tel:{NUMBER}", conversation: str = CONVERSATION) -> str:
    """A caller who is named like the call dialled a number, and the agent answered."""
    people = on_the_phone()
    if dialled is not None:
        people[0]["dnis"] = dialled
    genesys.stand_in.conversations[conversation] = people
    return conversation


def refused(desk: Desk, conversation: str, **options: Any) -> str:
    """The detail of a refusal."""
    response = desk.ask(conversation=conversation, **options)
    assert (response.status_code, response.json()["type"]) == (403, TYPE_ROOT + "not-bound"), response.text
    detail = response.json()["detail"]
    assert isinstance(detail, str)
    return detail


@pytest.mark.parametrize(
    ("dialled", "is_good"),
    [
        ("tel:+13129998045", True),
        ("+13129998045", True),
        ("sip:+13129998045@acme.byoc.usw2.pure.cloud:5061;transport=tls", True),
        ("sip:+13129998045;tgrp=acme;trunk-context=byoc.usw2.pure.cloud@198.51.100.20", True),
        ("TEL:13129998045", True),
        ("99+13129998045", True),
        (None, True),
        ("tel:+13129998046", False),
        ("tel:+1312999804", False),
        ("tel:3129998045", False),
        ("sip:+13129998046@13129998045.example.com", False),
        ("sip:acme@byoc.usw2.pure.cloud", False),
        ("tel:+٣", False),
    ],
)
def test_the_number_must_be_one_that_the_room_dials(dialled: str | None, is_good: bool) -> None:
    """What Genesys shows as dialled is compared with the room's legs by number, however either is written; nothing shown
    proves nothing.
    """
    assert (check_dialled(dialled, ["99+13129998045", "+44 20"]) == "") is is_good
    assert (check_dialled(dialled, ["+13129998045@acme.byoc.usw2.pure.cloud"]) == "") is is_good


def test_a_leg_without_a_number_is_compared_by_its_user() -> None:
    """A room may dial an address that is no number."""
    assert check_dialled("sip:Desk@sbc.example.com", ["desk@clinic.example.com"]) == ""
    assert check_dialled("sip:other@clinic.example.com", ["desk@clinic.example.com"])


@pytest.mark.parametrize("is_held", [True, False], ids=["held", "not held any more"])
def test_a_call_to_another_number_is_not_the_rooms(desk: Desk, genesys: Genesys, is_held: bool) -> None:
    """A caller who has the name and dialled something else is refused, with the number; the right one is let in."""
    if is_held:
        desk.store_hold()
    assert refused(desk, call(genesys, f"tel:{OTHER_NUMBER}", ANOTHER)) == (
        f"the customer of that conversation dialled {OTHER_NUMBER}, which this conference does not"
    )
    assert refused(desk, call(genesys, "sip:<b>@x", A_THIRD)).endswith(
        "dialled another address, which this conference does not"
    )
    assert desk.ask(conversation=call(genesys)).status_code == 200


@pytest.mark.parametrize("field", ["addressNormalized", "addressRaw"])
def test_the_other_end_of_the_call_is_what_was_dialled(desk: Desk, genesys: Genesys, field: str) -> None:
    """Where the participant has no dnis, the other end of its call says what was dialled."""
    people = on_the_phone()
    people[0]["calls"][0]["other"] = {field: f"tel:{OTHER_NUMBER}"}
    genesys.stand_in.conversations[CONVERSATION] = people
    assert OTHER_NUMBER in refused(desk, CONVERSATION)
    people[0]["dnis"] = f"tel:{NUMBER}"
    assert desk.ask(conversation=CONVERSATION[:-1] + "0").status_code == 403
    genesys.stand_in.conversations[ANOTHER] = people
    assert desk.ask(conversation=ANOTHER).status_code == 200


def test_an_agent_who_came_first(desk: Desk, genesys: Genesys) -> None:
    """A room that was held for the agent, whose rule dials nobody, is dialled from by the customer's rule."""
    desk.store_hold(a_pin(legs=()))
    assert desk.ask(conversation=call(genesys)).status_code == 200
    assert refused(desk, call(genesys, f"tel:{OTHER_NUMBER}", ANOTHER))


def test_a_room_that_dials_nobody(desk: Desk, genesys: Genesys) -> None:
    """No call can be one of a room whose rule dials nobody."""
    one = call_of("open")
    desk.store_link(a_link(one.id, type="open"))
    people = on_the_phone(one.id)
    people[0]["dnis"] = f"tel:{NUMBER}"
    genesys.stand_in.conversations[CONVERSATION] = people
    assert refused(desk, CONVERSATION, alias=one.id) == "this conference dials nobody, so that call is not its own"


def test_the_first_conversation_that_fits_is_the_calls(desk: Desk, genesys: Genesys) -> None:
    """Whoever calls the same number under the same name later finds the call taken; the first goes on, also after a
    transfer to another agent, and after a restart.
    """
    desk.store_hold()
    assert desk.ask(conversation=call(genesys)).status_code == 200
    call(genesys, conversation=ANOTHER)
    assert (
        refused(desk, ANOTHER) == "another conversation came first for this conference: that caller only has its name"
    )
    # The stream is refused as well.
    path = f"/agent/v1/conferences/{SESSION}/events"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert desk.request("GET", path, headers=headers, params={"conversation": ANOTHER}).status_code == 403
    genesys.stand_in.users[OTHER_TOKEN] = tom = type(MARIA)("Tom")
    handed_over = on_the_phone(userId=tom.id)
    genesys.stand_in.conversations[CONVERSATION] = handed_over
    with Desk(desk.folder, tenant(genesys.url)) as restarted:
        assert restarted.ask(token=OTHER_TOKEN, conversation=CONVERSATION).status_code == 200
        assert refused(restarted, ANOTHER)


def test_a_conversation_that_does_not_fit_takes_nothing(desk: Desk, genesys: Genesys) -> None:
    """A call to another number, or one before the room is held, does not take the place of the room's own."""
    assert desk.ask(conversation=call(genesys, conversation=ANOTHER)).status_code == 200
    desk.store_hold()
    refused(desk, call(genesys, f"tel:{OTHER_NUMBER}", A_THIRD))
    assert desk.ask(conversation=call(genesys)).status_code == 200
    assert refused(desk, ANOTHER)


def test_a_leg_that_is_dialled_again_has_a_conversation_of_its_own(desk: Desk, genesys: Genesys) -> None:
    """A conference has as many conversations as legs of it were connected."""
    desk.store_hold()
    desk.tell(started(), trunk(12, "first"))
    assert desk.ask(conversation=call(genesys)).status_code == 200
    call(genesys, conversation=ANOTHER)
    refused(desk, ANOTHER)
    desk.tell(left("first", 30), trunk(40, "second"))
    assert desk.ask(conversation=ANOTHER).status_code == 200
    assert refused(desk, call(genesys, conversation=A_THIRD))
    assert desk.ask(conversation=CONVERSATION).status_code == 200


def test_the_next_conference_of_a_link_begins_anew(desk: Desk, genesys: Genesys) -> None:
    """When the customer comes again, the room's new call is another conversation."""
    desk.store_hold()
    assert desk.ask(conversation=call(genesys)).status_code == 200
    desk.tell(started(), ended(60))
    later = NOON + timedelta(minutes=10)
    desk.now = later + timedelta(minutes=1)
    desk.store_hold(a_pin(id="again", held_at=later, expires_at=later + timedelta(hours=12)))
    assert desk.ask(conversation=call(genesys, conversation=ANOTHER)).status_code == 200
    assert refused(desk, CONVERSATION)


def test_a_database_that_takes_nothing_keeps_no_agent_out(desk: Desk, genesys: Genesys) -> None:
    """Where it cannot be remembered whose conversation it is, what Genesys says is enough."""
    desk.store_hold()
    desk.store.away.add("bind")
    assert desk.ask(conversation=call(genesys)).status_code == 200
    # It is not taken for the conference's own either: who comes first once it can be remembered is.
    desk.store.away.clear()
    assert desk.ask(conversation=call(genesys, conversation=ANOTHER)).status_code == 200
    assert refused(desk, CONVERSATION)


def test_a_conversation_that_was_its_own_is_not_asked_about_again(
    desk: Desk, genesys: Genesys, caplog: pytest.LogCaptureFixture
) -> None:
    """The database is not needed for an agent who asks again."""
    desk.store_hold()
    assert desk.ask(conversation=call(genesys)).status_code == 200
    desk.store.away.add("bind")
    assert desk.ask(conversation=CONVERSATION).status_code == 200
    assert "conversations.unwritten" not in caplog.text
    assert desk.ask(conversation=call(genesys, conversation=ANOTHER)).status_code == 200
    assert "conversations.unwritten" in caplog.text
