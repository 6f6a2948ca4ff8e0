"""What is special about fields: asked of the models, and the same wherever a field of that name stands."""

from copy import deepcopy

import pytest

from policy_server.pexip.field_facts import DOOR_FIELDS, MASK, SECRET_FIELDS, fields_with, masked
from policy_server.pexip.fields import Fact, Named
from policy_server.pexip.shapes import SHAPES, Shape


@pytest.mark.parametrize("fact", Fact)
def test_a_fact_is_true_of_a_name(fact: Fact) -> None:
    """Whoever has a field's name alone can ask: no two fields of one name differ in a fact."""
    named = fields_with(fact)
    assert named
    missing = [
        f"{name} of {shape.noun}"
        for shape in SHAPES.values()
        for name in named & shape.facets.keys()
        if fact not in shape.facets[name].facts
    ]
    assert missing == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.noun)
def test_every_field_has_a_meaning(shape: Shape) -> None:
    """People are told what each field is for."""
    assert [name for name, meaning in shape.meanings.items() if not meaning] == []


@pytest.mark.parametrize("kind", Named)
def test_every_kind_of_object_is_named_somewhere(kind: Named) -> None:
    """Rules list names of objects that a field can name."""
    facets = [facet for shape in SHAPES.values() for facet in shape.facets.values()]
    assert [facet for facet in facets if kind in (facet.names, facet.item and facet.item.names)]


def test_parts_of_answers_are_asked_too() -> None:
    """A fact counts however deep the field stands."""
    nouns = {shape.noun for shape in SHAPES.values()}
    assert {"an automatic participant", "a transfer", "an entry of send_to_audio_mixes", "a registration"} < nouns


@pytest.mark.parametrize(
    ("names", "some", "not_one"),
    [
        (SECRET_FIELDS, {"pin", "guest_pin", "password", "dtmf_sequence"}, "username"),
        (DOOR_FIELDS, {"pin", "allow_guests", "max_callrate_in"}, "crypto_mode"),
        (fields_with(Fact.PIN), {"pin", "guest_pin"}, "dtmf_sequence"),
        (fields_with(Fact.DISPLAY), {"description", "remote_display_name"}, "name"),
        (fields_with(Fact.IDENTITY), {"name", "remote_alias", "presentation_url"}, "service_tag"),
        (fields_with(Fact.EXPRESSION), {"match_string", "post_replace_string"}, "name"),
    ],
    ids=["secret", "door", "pin", "display", "identity", "expression"],
)
def test_facts(names: frozenset[str], some: set[str], not_one: str) -> None:
    """The fields that the reference describes so, and none that it does not."""
    assert some <= names
    assert not_one not in names


@pytest.mark.parametrize("field", sorted(SECRET_FIELDS))
@pytest.mark.parametrize("secret", ["1234", 1234, ["12", "34"], {"name": "1234"}], ids=repr)
def test_masked(field: str, secret: object) -> None:
    """What is secret becomes stars, however deep it is; nothing else is changed."""
    data: dict[str, object] = {
        "result": {field: secret, "legs": [{field: secret, "role": "chair"}, "x"], "more": ({field: secret},), "n": 1},
        "text": "x",
    }
    before = deepcopy(data)
    assert masked(data) == {
        "result": {field: MASK, "legs": [{field: MASK, "role": "chair"}, "x"], "more": [{field: MASK}], "n": 1},
        "text": "x",
    }
    assert data == before


def test_that_there_is_no_secret_may_be_seen() -> None:
    """An empty PIN is shown as it is: that the room has none explains what callers meet."""
    assert masked(dict.fromkeys(SECRET_FIELDS, "")) == dict.fromkeys(SECRET_FIELDS, "")
