"""Placeholders are filled by plain substitution, and read backwards."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policy_server.policy.patterns import compile_pattern
from policy_server.policy.templates import TemplateError, backwards, parse_template, recovered, unknown_names


@pytest.mark.parametrize(
    ("text", "names", "literals"),
    [
        ("", (), ("",)),
        ("Room 1", (), ("Room 1",)),
        ("{session}", ("session",), ("", "")),
        ("Visit {session} of {link.name}!", ("session", "link.name"), ("Visit ", " of ", "!")),
        ("{a}{a}", ("a", "a"), ("", "", "")),
        ("{ms-subnet}{receive_from_video_mix~mix_name}", ("ms-subnet", "receive_from_video_mix~mix_name"), ("",) * 3),
    ],
)
def test_reading(text: str, names: tuple[str, ...], literals: tuple[str, ...]) -> None:
    """A text is literals around placeholder names."""
    template = parse_template(text)
    assert (template.source, template.names, template.literals) == (text, names, literals)


@pytest.mark.parametrize(
    ("text", "names", "needed", "bare"),
    [
        ("{a|b}", ("a",), (), "b"),
        ("{a|}", ("a",), (), ""),
        ("{a|b|c} {d}", ("a", "d"), ("d",), "b|c "),
        ("x{a| b }y", ("a",), (), "x b y"),
        ("{a.raw|{", None, None, None),
        ("{a|b}}", None, None, None),
        ("{|b}", None, None, None),
        ("{a |b}", None, None, None),
    ],
)
def test_defaults(text: str, names: tuple[str, ...] | None, needed: tuple[str, ...], bare: str) -> None:
    """What follows the first bar is the default, white space and further bars included; it cannot hold a brace."""
    if names is None:
        with pytest.raises(TemplateError, match="is not a placeholder"):
            parse_template(text)
    else:
        template = parse_template(text)
        assert (template.names, template.needed, template.bare) == (names, needed, bare)


@pytest.mark.parametrize(
    "text", ["{", "}", "a}b", "{}", "{ session }", "{session", "{{session}}", "{1}", "{a b}", "{é}"]
)
def test_braces_that_are_no_placeholder(text: str) -> None:
    """Any other brace is an error that shows a good placeholder."""
    with pytest.raises(TemplateError, match=r"is not a placeholder.*such as \{call\}"):
        parse_template(text)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("Room", "Room"),
        ("{a}", "1"),
        ("x{a}", "x1"),
        ("{a}{b}{a}", "1{a}1"),
        ("[{b}]", "[{a}]"),
    ],
)
def test_rendering(text: str, rendered: str) -> None:
    """Substitution is plain: what a caller sends is not read as a placeholder again."""
    assert parse_template(text).render({"a": "1", "b": "{a}"}) == rendered


_LITERALS = st.text("abc.-+(){}[]|\\ é王^$*?".replace("{", "").replace("}", ""), max_size=4)


@given(
    literals=st.lists(_LITERALS, min_size=2, max_size=4),
    values=st.lists(st.text("ab.é1", min_size=1), min_size=3, max_size=3),
)
@settings(deadline=None)
def test_reading_backwards(literals: list[str], values: list[str]) -> None:
    """What a template became is matched, and the values read out of it make the same text again."""
    names = [f"name_{place}" for place in range(len(literals) - 1)]
    source = "".join(f"{literal}{{{name}}}" for literal, name in zip(literals, names, strict=False)) + literals[-1]
    template = parse_template(source)
    filled = template.render(dict(zip(names, values, strict=False)))
    assume("\n" not in filled)
    groups = compile_pattern(backwards(template, lambda _: None), ignore_case=False).match(filled)
    assert groups is not None
    assert template.render(recovered(template, dict(groups))) == filled


def test_reading_backwards_by_the_expression_that_filled_it() -> None:
    """A placeholder is matched by the expression of its group, where the rule has one."""
    pattern = compile_pattern(
        backwards(parse_template("v-{session}.{link.name}"), {"session": "[0-9]{2}|x"}.get), ignore_case=False
    )
    template = parse_template("v-{session}.{link.name}")
    for text, values in (
        ("v-42.Ada", {"session": "42", "link.name": "Ada"}),
        ("v-x.B", {"session": "x", "link.name": "B"}),
        ("v-421.Ada", None),
        ("v-42xAda", None),
        ("w-42.Ada", None),
    ):
        groups = pattern.match(text)
        assert (None if groups is None else recovered(template, dict(groups))) == values


def test_unknown_names() -> None:
    """A placeholder must be known; attributes of the link are whatever the link was given."""
    template = parse_template("{session}{sesion}{link.name}{link}{session.raw}{sesion.raw|x}{room.name.raw}")
    known = ["session", "local_alias", "room.name"]
    assert unknown_names(template, known) == ("sesion", "link", "sesion.raw", "room.name.raw")
