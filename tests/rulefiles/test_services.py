"""What rooms, services and ``dial_out`` become, and what is said about those that cannot be."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.decisions import Fail, Serve, SetProperties
from policy_server.policy.evaluate import evaluate
from policy_server.policy.names import Keyring
from policy_server.policy.services import FieldsTemplate, Path, caller_name, uri_user
from policy_server.policy.templates import parse_template
from policy_server.rulefiles.services import may_be_uuid
from tests.rulefiles.faults import NOW, Fault, check, each_fault, load
from tests.rulefiles.structures import as_yaml

KEYRING = Keyring(b"the secret key of every test of rules")
TRUNKS = {
    "clinic": {"number": "+1 312 999 8045", "dial_prefix": "99"},
    "backup": {"number": "(312) 555-0100", "region": "US", "termination": "pex.byoc.usw2.pure.cloud"},
    "plain": {"number": "+1 312 999 8046"},
}


@each_fault("services")
def test_services_give_exactly_these_problems(fault: Fault) -> None:
    """Every fault of a room, a service or a leg is told in these words."""
    check(fault)


def serve(sections: Mapping[str, Any], **fields: str) -> Serve:
    """Load rules, ask a service question and give the decision, which must be a service."""
    loaded = load(as_yaml({"trunks": TRUNKS, **sections}))
    assert loaded.ruleset is not None, loaded.problems
    query = encode_query({"call_direction": "dial_in", **fields}).encode()
    decision = evaluate(loaded.ruleset, parse_request(RequestType.SERVICE, query), NOW, KEYRING)
    assert isinstance(decision, Serve), decision
    return decision


def participants(decision: Serve) -> list[Any]:
    """Give the automatic participants of a service."""
    found = decision.service["automatic_participants"]
    assert isinstance(found, list)
    return found


def rule(**outcome: Any) -> dict[str, Any]:
    """A rule whose alias captures who calls."""
    return {"id": "patient", "when": {"local_alias": "mp(?P<visitor>[a-z]+)"}, **outcome}


def test_a_room_is_a_conference_tagged_with_its_name_unless_it_says_otherwise() -> None:
    """``service_type`` and ``service_tag`` need not be written in a room."""
    decision = serve(
        {"rooms": {"telehealth": {"name": "{visitor}"}}, "service": [rule(room="telehealth")]}, local_alias="mpabc"
    )
    assert decision.service == {"service_type": "conference", "service_tag": "telehealth", "name": "abc"}


def test_a_leg_through_a_trunk_has_what_suits_a_contact_centre() -> None:
    """Only the trunk is named: audio by SIP, as Host, not keeping the room alive, and the room as the caller's name."""
    sections = {
        "domains": ["video.example.com"],
        "rooms": {"telehealth": {"name": "{visitor}"}},
        "service": [rule(room="telehealth", dial_out=[{"trunk": "clinic"}])],
    }
    assert participants(serve(sections, local_alias="mpabc")) == [
        {
            "protocol": "sip",
            "call_type": "audio",
            "role": "chair",
            "keep_conference_alive": "keep_conference_alive_never",
            "local_alias": "abc@video.example.com",
            "local_display_name": "abc",
            "routing": "routing_rule",
            "remote_alias": "99+13129998045",
        }
    ]


@pytest.mark.parametrize(
    ("trunk", "routing", "remote_alias"),
    [
        ("clinic", "routing_rule", "99+13129998045"),
        ("backup", "manual", "+13125550100@pex.byoc.usw2.pure.cloud"),
        ("plain", "routing_rule", "+13129998046"),
    ],
)
def test_a_trunk_decides_what_is_dialled_and_how(trunk: str, routing: str, remote_alias: str) -> None:
    """A prefix or a bare number goes by Pexip's Call Routing Rules, a termination is called by the node itself."""
    sections = {"rooms": {"r": {"name": "{visitor}"}}, "service": [rule(room="r", dial_out=[{"trunk": trunk}])]}
    (leg,) = participants(serve(sections, local_alias="mpabc"))
    assert (leg["routing"], leg["remote_alias"]) == (routing, remote_alias)


def test_every_field_of_a_leg_can_be_set() -> None:
    """What the rule says about a leg replaces the defaults; ``display_name`` is short for ``local_display_name``."""
    leg = {
        "trunk": "clinic",
        "display_name": "{visitor}/{vendor}",
        "local_alias": "x",
        "protocol": "rtmp",
        "role": "guest",
        "call_type": "video",
        "keep_conference_alive": "keep_conference_alive",
        "routing": "manual",
        "dtmf_sequence": "1,2",
        "streaming": True,
        "system_location_name": "London",
    }
    sections = {"rooms": {"r": {"name": "{visitor}"}}, "service": [rule(room="r", dial_out=[leg])]}
    expected = {**leg, "local_display_name": "abc/Pexip", "remote_alias": "99+13129998045"}
    del expected["trunk"], expected["display_name"]
    assert participants(serve(sections, local_alias="mpabc", vendor="Pexip")) == [expected]


def test_later_legs_wait_for_a_failure() -> None:
    """Entries with ``when: failed`` are kept beside the service, not dialled with it."""
    dial_out = [{"trunk": "clinic"}, {"trunk": "backup", "when": "failed"}, {"remote_alias": "{visitor}@x"}]
    sections = {"rooms": {"r": {"name": "{visitor}"}}, "service": [rule(room="r", dial_out=dial_out)]}
    decision = serve(sections, local_alias="mpabc")
    assert [leg["remote_alias"] for leg in participants(decision)] == ["99+13129998045", "abc@x"]
    assert [leg["remote_alias"] for leg in decision.fallbacks] == ["+13125550100@pex.byoc.usw2.pure.cloud"]


def test_without_a_call_a_leg_carries_the_name_of_the_room() -> None:
    """A rule that no link leads to still gives the far end a name to show."""
    sections = {
        "rooms": {"r": {"name": "Desk {vendor}"}},
        "service": [{"id": "desk", "room": "r", "dial_out": [{"trunk": "clinic"}]}],
    }
    (leg,) = participants(serve(sections, vendor="Pexip"))
    assert (leg["local_alias"], leg["local_display_name"]) == ("Desk%20Pexip", "Desk Pexip")


@pytest.mark.parametrize(
    ("vendor", "user"),
    [
        ("kiosk-007@example.org", "Kiosk%20kiosk-007%40example.org"),
        ('"A" <b>;c', "Kiosk%20%22A%22%20%3Cb%3E%3Bc"),
        ("Zoë 王", "Kiosk%20Zo%C3%AB%20%E7%8E%8B"),
        ("100%~", "Kiosk%20100%25%7E"),
        ("王" * 30 + "1", None),
        ("王" * 30 + "2", None),
    ],
)
def test_the_from_of_a_leg_is_a_valid_uri_whatever_the_room_is_called(vendor: str, user: str | None) -> None:
    """The room's name as the user part of a URI, from which it can be told; a long one keeps a part and a digest."""
    sections = {
        "domains": ["video.example.com"],
        "rooms": {"r": {"name": "Kiosk {vendor}"}},
        "service": [{"id": "desk", "room": "r", "dial_out": [{"trunk": "clinic"}]}],
    }
    (leg,) = participants(serve(sections, vendor=vendor))
    assert leg["local_display_name"] == f"Kiosk {vendor}".replace('"', "'")
    found, _, domain = str(leg["local_alias"]).partition("@")
    assert domain == "video.example.com"
    assert re.fullmatch(r"(?:[A-Za-z0-9._~-]|%[0-9A-F]{2}){1,120}", found)
    if user is not None:
        assert (found, unquote(found)) == (user, f"Kiosk {vendor}")


@pytest.mark.parametrize(
    ("shown", "name", "expected"),
    [
        ("{vendor}", "Zoë 王 👩\u200d⚕\ufe0f", "Zoë 王 👩\u200d⚕\ufe0f"),
        ("{vendor}", ' Bob "the \\ Builder" <b@x> ', "Bob 'the / Builder' <b@x>"),
        ("{vendor}", "\u202eadA\u2066\ufeff\u2028 L", "adA L"),
        ("{vendor}", "x" * 300, "x" * 250),
        ("{vendor}", "", "Room 7"),
        ("{vendor}", "\u200b\u200d \u202e", "Room 7"),
        ("{vendor|Customer}", "", "Customer"),
        ("{vendor|Customer}", "\u200b\u200d \u202e", "Customer"),
        ("{link.name|Video visitor}", "", "Video visitor"),
        ("{link.name}", "", "Room 7"),
    ],
)
def test_the_name_of_a_caller(shown: str, name: str, expected: str) -> None:
    """What customers are called comes out as a name that any far end takes; where nothing of it can be seen, the default does,
    or the room's name; and no name costs the answer.
    """
    sections = {
        "rooms": {"r": {"name": "Room 7"}},
        "service": [{"id": "desk", "room": "r", "dial_out": [{"trunk": "clinic", "display_name": shown}]}],
    }
    (leg,) = participants(serve(sections, vendor=name))
    assert leg["local_display_name"] == expected


@given(text=st.text(max_size=300))
@settings(deadline=None)
def test_any_name_of_a_caller_can_be_quoted(text: str) -> None:
    """What is left has no character that a quoted string cannot hold unescaped (RFC 3261, section 25.1), and stays as it is."""
    name = caller_name(text)
    assert not re.search(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]', name)
    assert caller_name(name) == name == name.strip()
    assert name.encode().decode() == name


@given(names=st.lists(st.text(max_size=250), min_size=2, max_size=2, unique=True))
@settings(deadline=None)
def test_two_rooms_do_not_become_one_caller(names: list[str]) -> None:
    """Different names give different users of a URI, long ones too."""
    assert len({uri_user(name) for name in names} | {uri_user("x" * 100 + name) for name in names}) == 4


def test_legs_come_after_the_participants_of_the_room() -> None:
    """A room's own automatic participants are dialled too, with the rule's placeholders in them."""
    recorder = {"local_alias": "rec", "remote_alias": "rec-{visitor}", "protocol": "sip", "role": "guest"}
    sections = {
        "rooms": {"r": {"name": "{visitor}", "automatic_participants": [recorder]}},
        "service": [rule(room="r", dial_out=[{"trunk": "clinic"}])],
    }
    legs = participants(serve(sections, local_alias="mpabc"))
    assert [leg["remote_alias"] for leg in legs] == ["rec-abc", "99+13129998045"]


def test_derived_pins_belong_to_the_call() -> None:
    """``derived`` gives each call PINs of its own, host and guest different, at both of its doors."""
    room = {"name": "{call}", "pin": "derived", "guest_pin": "derived", "allow_guests": True}
    sections = {
        "rooms": {"r": room},
        "service": [{"id": "patient", "when": {"link_type": "patient"}, "room": "r"}],
        "links": {"patient": {"alias": "mp{session}", "agent_alias": "hcp{agent}"}},
    }
    call = KEYRING.sign("patient", NOW, b"1234")
    for alias in (f"mp{call.session}", f"hcp{call.agent}"):
        service = serve(sections, local_alias=alias).service
        assert (service["name"], service["pin"], service["guest_pin"]) == (call.id, *call.pins)


def test_without_a_call_derived_pins_belong_to_the_room() -> None:
    """A room that no link leads to has PINs of its own, by its name."""
    room = {"name": "{visitor}", "pin": "derived", "guest_pin": "derived", "allow_guests": True}
    service = serve({"rooms": {"r": room}, "service": [rule(room="r")]}, local_alias="mpabc").service
    assert (service["pin"], service["guest_pin"]) == KEYRING.room_pins("abc")


def test_a_brace_in_a_regular_expression_of_pexip_is_no_placeholder() -> None:
    """The match strings of a Virtual Reception are handed on as they are."""
    service = {
        "service_type": "two_stage_dialing",
        "name": "Reception",
        "service_tag": "",
        "match_string": r"(\d{4})",
        "replace_string": r"meet.\1",
    }
    assert serve({"service": [{"id": "reception", "service": service}]}).service == service


def test_a_breakout_gets_the_uuid_of_the_question() -> None:
    """Where a field must be a UUID, a placeholder may stand for all of it; a value that is none is never sent."""
    service = {
        "service_type": "conference",
        "name": "{service_name}",
        "service_tag": "",
        "breakout": True,
        "breakout_name": "Group",
        "breakout_uuid": "{breakout_uuid}",
    }
    sections = {"service": [{"id": "breakout", "when": {"breakout_uuid": ".+"}, "service": service}]}
    uuid = "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert serve(sections, service_name="Ward", breakout_uuid=uuid).service["breakout_uuid"] == uuid
    loaded = load(as_yaml(sections))
    assert loaded.ruleset is not None
    question = parse_request(RequestType.SERVICE, b"service_name=Ward&breakout_uuid=1")
    assert isinstance(evaluate(loaded.ruleset, question, NOW, KEYRING), Fail)


PLAYBACK: Final = {"service_type": "media_playback", "name": "Hello", "service_tag": "", "media_playlist_name": "Hello"}


def greeting(conference: str) -> dict[str, Any]:
    """A rule that plays a greeting and moves the caller on."""
    return rule(service=PLAYBACK | {"on_completion": {"transfer": {"conference": conference, "role": "guest"}}})


def test_a_transfer_is_filled_for_each_question() -> None:
    """A text in a field of a field gets its placeholders, and one answer leaves nothing behind for the next."""
    loaded = load(as_yaml({"service": [greeting("{visitor}@in.{local_alias.raw}")]}))
    assert loaded.ruleset is not None
    for alias in ("mpabc", "MPdef", "mpabc"):
        question = parse_request(RequestType.SERVICE, f"local_alias={alias}".encode())
        decision = evaluate(loaded.ruleset, question, NOW, KEYRING)
        assert isinstance(decision, Serve)
        assert decision.service["on_completion"] == {
            "transfer": {"conference": f"{alias[2:].lower()}@in.{alias}", "role": "guest"}
        }


@pytest.mark.parametrize(
    ("conference", "question", "reason"),
    [
        ("room-{vendor}", "", "on_completion.transfer.conference needs {vendor}, which is empty in this question"),
        ("room-{vendor}", "x" * 246, "conference must have at most 250 characters but has 251"),
        ("{vendor|}", "", "conference is empty; it needs at least one character"),
    ],
    ids=["a value is missing", "too long", "nothing is left"],
)
def test_a_transfer_to_nowhere_is_no_answer(conference: str, question: str, reason: str) -> None:
    """A destination that cannot be named fails the decision, with the field and the reason."""
    loaded = load(as_yaml({"service": [greeting(conference)]}))
    assert loaded.ruleset is not None
    query = encode_query({"local_alias": "mpabc", "vendor": question}).encode()
    decision = evaluate(loaded.ruleset, parse_request(RequestType.SERVICE, query), NOW, KEYRING)
    assert isinstance(decision, Fail)
    assert reason in decision.reason


def test_a_list_of_breakouts_is_filled() -> None:
    """Placeholders stand in items of a list; a value that is no UUID is never sent."""
    fixed = "0f8fad5b-d9cb-469f-a165-70867728950e"
    service = {"service_type": "conference", "name": "Ward", "service_tag": "", "breakout_uuids": [fixed, "{call_tag}"]}
    sections = {"service": [rule(service=service)]}
    assert serve(sections, local_alias="mpabc", call_tag=fixed).service["breakout_uuids"] == [fixed, fixed]
    loaded = load(as_yaml(sections))
    assert loaded.ruleset is not None
    question = parse_request(RequestType.SERVICE, b"local_alias=mpabc&call_tag=ward-7")
    decision = evaluate(loaded.ruleset, question, NOW, KEYRING)
    assert isinstance(decision, Fail)
    assert "item 2 of breakout_uuids must be a UUID" in decision.reason


def test_audio_mixes_are_filled() -> None:
    """A participant is heard in the mix that the question tells; without it the decision fails."""
    mixes = [{"mix_name": "main"}, {"mix_name": "mix-{call_tag}", "prominent": True}]
    loaded = load(as_yaml({"participants": [{"id": "interpreter", "set": {"send_to_audio_mixes": mixes}}]}))
    assert loaded.ruleset is not None
    question = parse_request(RequestType.PARTICIPANT, b"call_tag=de")
    decision = evaluate(loaded.ruleset, question, NOW, KEYRING)
    assert isinstance(decision, SetProperties)
    assert decision.properties == {
        "send_to_audio_mixes": [{"mix_name": "main"}, {"mix_name": "mix-de", "prominent": True}]
    }
    nobody = evaluate(loaded.ruleset, parse_request(RequestType.PARTICIPANT, b"call_tag="), NOW, KEYRING)
    assert isinstance(nobody, Fail)
    assert nobody.reason == "send_to_audio_mixes[1].mix_name needs {call_tag}, which is empty in this question"


_UUIDS: Final = st.uuids().map(str)


@given(uuid=_UUIDS, cuts=st.lists(st.integers(0, 36), min_size=2, max_size=6).map(sorted))
def test_whatever_is_cut_out_of_a_uuid_may_be_filled_in(uuid: str, cuts: list[int]) -> None:
    """What is left of a UUID around placeholders, case aside, is never said to be part of none."""
    ends = [0, *cuts[1:-1], 36]
    literals = [uuid[start:end] for start, end in zip(ends[::2], ends[1::2], strict=False)]
    tail = [""] if len(ends) % 2 else []
    assert may_be_uuid([*literals, *tail])
    assert may_be_uuid([text.upper() for text in (*literals, *tail)])


@given(
    st.recursive(
        st.sampled_from(["{a}", "x{b}y", "{a|d}{b}", "plain"]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["k", "m", "n"]), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    st.fixed_dictionaries({"a": st.sampled_from(["", "1", "22"]), "b": st.sampled_from(["", "3"])}),
)
def test_texts_are_filled_wherever_they_stand(part: Any, values: dict[str, str]) -> None:
    """A filled object is what replacing every text of it by itself gives, and the template stays as it was."""
    paths = tuple(_texts(part, ("field",)))
    template = FieldsTemplate(
        {"field": part}, tuple((path, parse_template(text)) for path, text in paths if "{" in text)
    )
    before = deepcopy(part)
    assert template.fill(values)[0] == {"field": _replaced(part, values)}
    assert part == before


def _texts(part: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(part, str):
        yield path, part
    for key, below in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield from _texts(below, (*path, key))


def _replaced(part: Any, values: dict[str, str]) -> Any:
    if isinstance(part, dict):
        return {key: _replaced(below, values) for key, below in part.items()}
    if isinstance(part, list):
        return [_replaced(below, values) for below in part]
    return parse_template(part).render(values) if "{" in part else part
