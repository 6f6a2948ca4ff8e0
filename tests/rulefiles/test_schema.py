"""What editors accept and refuse in a rule file, and that the loader agrees."""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from PIL import Image

from policy_server.pexip.parameters import PARAMETERS
from policy_server.pexip.properties import ParticipantProperties
from policy_server.pexip.service_parts import AutomaticParticipant
from policy_server.pexip.services import SERVICE_TYPES
from policy_server.pexip.shapes import SHAPES
from policy_server.policy.services import ROOM_TYPES
from policy_server.policy.templates import TemplateError
from policy_server.rulefiles.conditions import condition_keys
from policy_server.rulefiles.document import parse_document, plain
from policy_server.rulefiles.load import load_rules
from policy_server.rulefiles.merge import SECTIONS, RuleFiles
from policy_server.rulefiles.reader import read_template
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.rules import RuleSection
from policy_server.rulefiles.schema import rule_file_schema
from policy_server.rulefiles.schema_parts import TEMPLATE
from policy_server.rulefiles.schema_services import LEG_KEYS
from policy_server.rulefiles.services import SHARED
from policy_server.wording.durations import parse_duration
from tests.rulefiles.condition_samples import TABLES, samples
from tests.rulefiles.schema_samples import BAD, BASE, DESIGN, GOOD
from tests.strategies import services

RULES = Path(__file__).parents[2] / "rules"
NOW = datetime(2026, 11, 23, 16, tzinfo=UTC)

SCHEMA: Mapping[str, Any] = rule_file_schema()
DEFINITIONS: Mapping[str, Any] = SCHEMA["$defs"]
VALIDATORS = (Draft202012Validator(SCHEMA), Draft7Validator(SCHEMA))
EDITOR = VALIDATORS[0]


def _picture() -> bytes:
    data = BytesIO()
    Image.new("RGB", (4, 4)).save(data, "JPEG")
    return data.getvalue()


PICTURES = {"avatars/desk.jpg": _picture()}
TEMPLATES = {f"{folder}/closed.en.html": b"<h1>Shut</h1>" for folder in ("pages", "pages/..visit")}


def document(text: str) -> object:
    """A rule file as editors see it."""
    node, problems = parse_document("rules/test.yaml", text.encode())
    assert not problems
    assert node is not None
    return plain(node)


def edited(text: str) -> bool:
    """Whether editors take a file."""
    return bool(EDITOR.is_valid(document(text)))


def loaded(text: str) -> bool:
    """Whether the loader takes a file."""
    files = RuleFiles({"rules/test.yaml": text.encode()}, PICTURES, templates=TEMPLATES, tables=TABLES)
    return not load_rules(files, NOW).errors


def yaml(value: object) -> str:
    """A rule file with this content; JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def _with_base(text: str) -> str:
    base = "".join(
        line + "\n"
        for line in dedent(BASE).splitlines()
        if not re.search(rf"^{line.partition(':')[0]}:", text, re.MULTILINE)
    )
    return f"{base}{text}\n" + (
        "" if re.search("^service:", text, re.MULTILINE) else "service: [{id: last, continue: true}]"
    )


# ------------------------------------------------------------------ the schema itself


def test_schema_is_a_valid_json_schema() -> None:
    """Editors of either generation can read the schema."""
    for validator in VALIDATORS:
        validator.check_schema(SCHEMA)


def _fields(schema: object, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(schema, list):
        for place, item in enumerate(schema):
            yield from _fields(item, f"{path}/{place}")
    elif isinstance(schema, dict):
        for name, field in schema.get("properties", {}).items():
            yield f"{path}/{name}", field
        for key, below in schema.items():
            yield from _fields(below, f"{path}/{key}")


def test_every_field_is_described() -> None:
    """Whoever hovers over a key reads what it is for."""
    fields = dict(_fields(SCHEMA))
    assert len(fields) > 300
    silent = [
        path
        for path, field in fields.items()
        if not field.get("description") and not DEFINITIONS[field["$ref"].rpartition("/")[2]].get("description")
    ]
    assert silent == []


# ------------------------------------------------------------------ keys

_PLACES: dict[str, tuple[str, ...]] = {
    **{f"{section.request}_when": condition_keys(section.request) for section in RULE_SECTIONS},
    **{shape.name: tuple(shape.facets) for shape in SERVICE_TYPES.values()},
    **{
        definition: (*SERVICE_TYPES[room].facets, SHARED)
        for room in ROOM_TYPES
        for definition in (SERVICE_TYPES[room].name, f"room_{room}")
    },
    "AutomaticParticipant": tuple(SHAPES[AutomaticParticipant].facets),
    "dial_out_entry": (*LEG_KEYS, *SHAPES[AutomaticParticipant].facets),
    "participant_set": tuple(name for name in SHAPES[ParticipantProperties].facets if name != "reject_reason"),
}


@pytest.mark.parametrize("place", _PLACES)
def test_editors_complete_the_keys_that_the_loader_reads(place: str) -> None:
    """The schema has every key of the loader's table, no other, and refuses others."""
    definition = DEFINITIONS[place]
    assert sorted(definition["properties"]) == sorted(_PLACES[place])
    assert definition["additionalProperties"] is False


def test_editors_complete_the_sections_that_the_loader_reads() -> None:
    """The same at the top of a file, where each section is described."""
    assert tuple(SCHEMA["properties"]) == SECTIONS
    assert all(DEFINITIONS[f"{section}_section"]["description"] for section in SECTIONS)


def _ask(section: RuleSection, when: dict[str, object]) -> str:
    base: Any = document(dedent(BASE))
    return yaml(base | {section.name: [{"id": "a", "when": when, "continue": True}]})


def _conditions() -> Iterator[Any]:
    for section in RULE_SECTIONS:
        for key in condition_keys(section.request):
            for value in samples(key):
                yield pytest.param(section, key, value, id=f"{section.name} {key} {value}"[:50])


@pytest.mark.slow
@pytest.mark.parametrize(("section", "key", "value"), list(_conditions()))
def test_conditions_are_taken_where_the_question_carries_them(section: RuleSection, key: str, value: object) -> None:
    """A condition is good for editor and loader, and bad for both when its key is misspelt or its value odd."""
    good = _ask(section, {key: value})
    assert (edited(good), loaded(good)) == (True, True)
    bad_ones: list[dict[str, object]] = [{f"{key}x": value}, {key: None}, {key: {"x": []}}]
    for bad in bad_ones:
        text = _ask(section, bad)
        assert (edited(text), loaded(text)) == (False, False)


@pytest.mark.parametrize("section", RULE_SECTIONS, ids=lambda section: section.name)
def test_conditions_on_parameters_of_other_questions_are_refused(section: RuleSection) -> None:
    """A parameter that this question does not carry is no key here, for editor and loader."""
    others = PARAMETERS.keys() - set(condition_keys(section.request))
    assert others
    for key in others:
        text = _ask(section, {key: "x"})
        assert (edited(text), loaded(text)) == (False, False)


# ------------------------------------------------------------------ whole files


@pytest.mark.parametrize(
    "text",
    [
        pytest.param((RULES / "genesys.yaml").read_text(), id="shipped"),
        pytest.param(DESIGN, id="every section"),
    ],
)
def test_good_files_are_good_for_editors(text: str) -> None:
    """What we ship and what the documentation shows is not underlined by any editor."""
    for validator in VALIDATORS:
        assert [error.message for error in validator.iter_errors(document(text))] == []
    assert loaded(text)


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_less_common_forms_are_good_for_editor_and_loader(text: str) -> None:
    """Every form that the loader takes is taken while typing, too."""
    text = _with_base(text)
    assert (edited(text), loaded(text)) == (True, True)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_files_are_refused_while_typing(text: str) -> None:
    """What is wrong by itself is underlined in every editor, and the loader refuses it as well."""
    text = _with_base(text)
    assert [validator.is_valid(document(text)) for validator in VALIDATORS] == [False, False]
    assert not loaded(text)


# ------------------------------------------------------------------ properties


def _paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        yield (*path, key)
        yield from _paths(item, (*path, key))


_WHOLE: Any = document(DESIGN)
_ODD: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    7,
    1.5,
    "x",
    "x y",
    "derived",
    "8h",
    {},
    {"x": "y"},
    ["x"],
    [{}],
    [["x"]],
)


@st.composite
def _changed(draw: st.DrawFn) -> str:
    """The file with every section, in which a value was replaced, removed, or moved to another key."""
    changed = deepcopy(_WHOLE)
    *above, last = draw(st.sampled_from(list(_paths(_WHOLE))))
    parent = changed
    for step in above:
        parent = parent[step]
    match draw(st.sampled_from(["replace", "remove", "rename"])):
        case "replace":
            parent[last] = draw(st.sampled_from(_ODD))
        case "rename" if isinstance(parent, dict):
            parent[draw(st.sampled_from(["x", "when", "name"]))] = parent.pop(last)
        case _:
            del parent[last]
    return yaml(changed)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(_changed())
def test_editors_underline_nothing_that_the_loader_takes(text: str) -> None:
    """An admin never has to live with a file that works and is red all over."""
    if loaded(text):
        assert [error.message for error in EDITOR.iter_errors(document(text))] == []


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(services())
def test_editors_underline_no_service_that_the_loader_takes(service: dict[str, object]) -> None:
    """The same for every field of every service type."""
    text = yaml({"service": [{"id": "a", "service": service}]})
    if loaded(text):
        assert [error.message for error in EDITOR.iter_errors(document(text))] == []


@given(
    st.text(alphabet="{}a1. \n", max_size=12)
    | st.from_regex(r"x?\{(link\.)?[a_1]?[a1_.~-]{0,3} ?\}{1,2}x?", fullmatch=True)
)
def test_placeholders_read_the_same_in_editor_and_loader(text: str) -> None:
    """The expression for text with placeholders takes exactly the templates."""
    try:
        read_template(text)
    except TemplateError:
        assert re.search(TEMPLATE.replace("$", r"\Z"), text) is None
    else:
        assert re.search(TEMPLATE, text)


@given(st.text(alphabet="0127dDhHmMsS ", max_size=12) | st.from_regex(r"(1d)? ?(2h)? ?(3M)? ?(4s)?", fullmatch=True))
def test_durations_read_the_same_in_editor_and_loader(text: str) -> None:
    """The expression for ttl takes exactly the durations."""
    pattern = DEFINITIONS["link"]["properties"]["ttl"]["pattern"]
    assert (re.search(pattern, text) is not None) == (parse_duration(text) is not None)
