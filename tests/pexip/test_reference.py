"""The models and the table of parameters hold what the reference says, field by field."""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
import pytest

from policy_server.pexip.parameters import PARAMETERS, Kind
from policy_server.pexip.properties import AudioMix, DirectoryEntry, MediaLocation, ParticipantProperties, Registration
from policy_server.pexip.request_types import ROOT, RequestType
from policy_server.pexip.service_parts import AutomaticParticipant, OnCompletion, OnCompletionTransfer
from policy_server.pexip.services import SERVICE_TYPES, check_service
from policy_server.pexip.shapes import SHAPES
from policy_server.simulator.judge import Deployment
from tests.docs.pages import code
from tests.pexip.reference import SERVICES, Field, fields, name, section
from tests.pexip.samples import room
from tests.simulator.judge_samples import SERVICE, judged, judged_service

KINDS: Final[Mapping[str, Kind]] = {
    "alias": Kind.ALIAS,
    "boolean": Kind.BOOLEAN,
    "enum": Kind.CHOICE,
    "integer": Kind.INTEGER,
    "ip": Kind.ADDRESS,
    "json-list": Kind.LIST,
    "name": Kind.CHOICE,
}


def test_questions() -> None:
    """Every question has its letter, its name, its path, and the actions of its answers."""
    about = [kind.about for kind in RequestType]
    asked = [(letter, title, name(path)) for letter, title, path, *_ in section("The six questions").rows("Letter")]
    paths = [ROOT.decode() + each.path + "<alias>" * each.has_alias for each in about]
    assert [(each.letter, each.title, path) for each, path in zip(about, paths, strict=True)] == asked
    actions = {title: actions for title, actions, *_ in section("Status and action").rows("Question")}
    assert {each.title: ", ".join(each.actions) or "none" for each in about} == actions


def test_parameters() -> None:
    """Every parameter is known, with the questions that carry it, how it reads and its words."""
    found = {
        key: ({kind.about.letter for kind in each.requests}, each.kind, set(each.choices))
        for key, each in PARAMETERS.items()
    }
    rows = section("Parameters").rows("Parameter")
    assert found == {
        name(parameter): (
            set(re.sub(r"[^A-Z]", "", questions)),
            KINDS.get(reads, Kind.TEXT),
            set(code(values)) - {"None"} if reads == "enum" else set(),
        )
        for parameter, questions, reads, values, _ in rows
        if parameter != "`idp_attribute_<name>`"
    }


@pytest.mark.parametrize("service_type", SERVICES)
def test_service_fields(service_type: str) -> None:
    """A service has the fields of its type, those that it needs, and of each the words, range and length."""
    schema = SERVICE_TYPES[service_type].adapter.json_schema()
    assert schema["properties"].pop("service_type")["const"] == service_type
    assert _facts(schema) == SERVICES[service_type]


@pytest.mark.parametrize(
    ("model", "heading", "head"),
    [
        (AutomaticParticipant, "Automatic participants", "Field | Type"),
        (OnCompletion, "Playback", "Field | Type"),
        (OnCompletionTransfer, "Playback", "Field | Type | Allowed | Meaning |\n|---|---|---|---|\n| **"),
        (ParticipantProperties, "Participant properties", "Field | Type"),
        (
            AudioMix,
            "Participant properties",
            "Field | Type | Allowed | Default | Meaning |\n|---|---|---|---|---|\n| **",
        ),
        (MediaLocation, "Media location", "Field | Type"),
        (Registration, "Registration", "Field | Type"),
        (DirectoryEntry, "Directory", "Field of an entry"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_fields(model: type, heading: str, head: str) -> None:
    """So has every part of a service, and every other answer."""
    assert _facts(SHAPES[model].adapter.json_schema()) == fields(section(heading).rows(head))


def _facts(schema: Mapping[str, Any]) -> dict[str, Field]:
    """What a JSON Schema says of its fields."""
    facts: dict[str, Field] = {}
    for field, own in schema["properties"].items():
        (fact,) = [each for each in own.get("anyOf", [own]) if each != {"type": "null"}]
        words = fact.get("enum", [fact["const"]] if "const" in fact else [])
        facts[field] = Field(
            field in schema.get("required", ()),
            "object" if "$ref" in fact else fact["type"].replace("array", "list"),
            tuple("true" if word is True else word for word in words),
            (fact["minimum"], fact["maximum"]) if abs(fact.get("minimum", 2**63)) < 2**63 else None,
            fact.get("maxLength"),
        )
    return facts


@pytest.mark.parametrize(
    "row", section("PINs").rows("allow_guests"), ids=lambda row: " ".join(row[:3]).replace("`", "")
)
def test_pins(row: list[str]) -> None:
    """Models and judge accept and refuse the combinations of PINs that the reference does."""
    allow_guests, pin, guest_pin = row[0] == "true", *("".join(code(cell)) for cell in row[1:3])
    service = room(allow_guests=allow_guests, pin=pin, guest_pin=guest_pin)
    is_accepted = row[3] == "accepted"
    assert (not check_service(service), judged_service(service).used) == (is_accepted, is_accepted)


@pytest.mark.parametrize(
    "answer",
    [
        text
        for block in section("Example answers").blocks
        for text in ([block.text] if block.text.startswith("{\n") else block.text.splitlines())
    ],
    ids=lambda text: re.sub(r'.*"service_type": "(\w+)".*', r"\1", text, flags=re.DOTALL),
)
def test_example_answers(answer: str) -> None:
    """Models and judge have not a word against an example answer."""
    document = orjson.loads(answer)
    assert check_service(document["result"]) == ()
    exists = Deployment(
        locations=frozenset({"DMZ"}),
        sip_proxies=frozenset({"Contact centre"}),
        media_playlists=frozenset({"Holding"}),
        themes=frozenset(),
    )
    verdict = judged(SERVICE, document, "call_direction=dial_in", deployment=exists)
    assert (verdict.outcome, verdict.objections, verdict.warnings) == ("service", (), ())
