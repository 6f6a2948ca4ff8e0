"""A query string reads as the standard library reads it, and never raises."""

from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.pexip.parameters import FOLDED_NAMES, folded
from policy_server.pexip.query import QUERY_LIMIT, QuestionError, clean, decode
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import IDP_PREFIX, parse_request
from tests.policy.strategies import ascii_queries, queries


@given(raw=st.text(st.characters(max_codepoint=127)))
@settings(deadline=None)
def test_decoding_equals_the_standard_library(raw: str) -> None:
    """Any ASCII text decodes as unquote_plus decodes it."""
    assert decode(raw.encode()) == unquote_plus(raw, errors="replace")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a+b", "a b"),
        (b"a%20b", "a b"),
        (b"a%2Bb", "a+b"),
        (b"%2B1+%28317%29", "+1 (317)"),
        (b"%252B", "%2B"),
        (b"%c3%ab%C3%AB", "ëë"),
        (b"100%", "100%"),
        (b"%zz%4", "%zz%4"),
        (b"%FF%00x", "\ufffd\x00x"),
        (b"%ED%A0%80", "\ufffd\ufffd\ufffd"),
        ("é".encode(), "é"),
        (b"\xff", "\ufffd"),
        (b"", ""),
    ],
    ids=[
        "plus is a space",
        "percent 20",
        "encoded plus",
        "number",
        "decoded once",
        "hex case",
        "lone percent",
        "no hex",
        "not UTF-8",
        "encoded surrogate",
        "raw UTF-8",
        "raw byte",
        "empty",
    ],
)
def test_decoding(raw: bytes, text: str) -> None:
    """Plus signs first, then percent signs, once; what is not UTF-8 becomes U+FFFD."""
    assert decode(raw) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Zoë 王 😀", "Zoë 王 😀"),
        ("  Ada\t", "Ada"),
        ("a\x00b\r\nc\x7f\x85\u2028d", "abcd"),
        ("\x00\x01", ""),
        ("\ufffd", "\ufffd"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        ("a\u00a0b\u200db", "a\u00a0b\u200db"),
    ],
    ids=["letters", "surrounding space", "controls", "only controls", "replaced", "surrogates", "other space"],
)
def test_cleaning(text: str, cleaned: str) -> None:
    """Control characters and surrounding space go, half surrogate pairs are replaced, all else stays."""
    assert clean(text) == cleaned


@given(text=st.text(st.characters()) | st.text(st.characters(categories=("Cc", "Cs", "Zl", "Zp", "Zs"))))
@settings(deadline=None)
def test_clean_text_stays_as_it_is(text: str) -> None:
    """Cleaning twice is cleaning once, and clean text can be encoded."""
    once = clean(text)
    assert clean(once) == once
    assert once.encode().decode() == once
    assert not any(character in once for character in "\x00\r\n\t\x1b\x7f\x85\u2028\u2029")


def expected(query: str) -> tuple[dict[str, str], dict[str, tuple[str, ...]], bool]:
    """Parameters, attributes, and whether a parameter stands twice, by way of parse_qsl."""
    texts: dict[str, str] = {}
    attributes: dict[str, tuple[str, ...]] = {}
    twice = False
    for name, value in parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="replace"):
        known = FOLDED_NAMES.get(folded(name))
        if name.startswith(IDP_PREFIX):
            attribute = name.removeprefix(IDP_PREFIX)
            if clean(value):
                attributes[attribute] = (*attributes.get(attribute, ()), clean(value))
        elif known is not None:
            twice = twice or known in texts
            texts[known] = clean(value)
    return texts, attributes, twice


@given(query=ascii_queries)
@settings(deadline=None)
def test_parser_equals_parse_qsl(query: str) -> None:
    """For any ASCII query every parameter reads as parse_qsl reads it; one given twice is refused."""
    texts, attributes, twice = expected(query)
    if twice:
        with pytest.raises(QuestionError, match="is given twice"):
            parse_request(RequestType.SERVICE, query.encode())
        return
    request = parse_request(RequestType.SERVICE, query.encode())
    assert {name: request.text(name) for name in FOLDED_NAMES.values()} == dict.fromkeys(
        FOLDED_NAMES.values(), ""
    ) | texts
    assert request.idp_attributes == attributes


@given(query=queries, alias=st.text(st.characters()), kind=st.sampled_from(RequestType))
@settings(deadline=None)
def test_no_bytes_raise(query: bytes, alias: str, kind: RequestType) -> None:
    """Whatever the bytes, the parser gives a question or says that it cannot be understood."""
    try:
        request = parse_request(kind, query, alias)
    except QuestionError:
        return
    for name in ("alias", *FOLDED_NAMES.values()):
        text = request.text(name)
        assert text == clean(text)
        assert all(part.encode().decode() == part for part in (text, request.choice(name), *request.values(name)))
        assert request.boolean(name) in {True, False, None}
        assert (request.integer(name) or 0) >= 0
        assert request.address(name) is None or text


@pytest.mark.parametrize(("length", "accepted"), [(QUERY_LIMIT, True), (QUERY_LIMIT + 1, False)], ids=["at", "over"])
def test_limit(length: int, accepted: bool) -> None:
    """A query of 16 KiB is read; with one byte more it is refused, and nothing of it is quoted."""
    assert QUERY_LIMIT == 16_384
    query = b"local_alias=mp1&call_tag=".ljust(length, b"x")
    if accepted:
        assert parse_request(RequestType.SERVICE, query).text("local_alias") == "mp1"
    else:
        with pytest.raises(QuestionError, match=r"^the query has 16385 bytes; the limit is 16384$"):
            parse_request(RequestType.SERVICE, query)
