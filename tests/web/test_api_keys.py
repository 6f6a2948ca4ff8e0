"""API keys: how they are written, and whom they let in."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.web.api_keys import ApiKeys, ApiKeysError, parse_api_keys

KEY = "k3y-0123456789._~+/A=="
OTHER = "another-key-0123456789"

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", fullmatch=True)
keys = st.from_regex(r"[A-Za-z0-9._~+/-]{20,60}={0,2}", fullmatch=True)
texts = st.text(max_size=60) | st.lists(st.sampled_from([":", ",", "\n", " ", "a", KEY]), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        pytest.param(f"Bearer {KEY}", "booking", id="the first"),
        pytest.param(f"Bearer {OTHER}", "portal", id="the second"),
        pytest.param(f"bEARER  {KEY} ", "booking", id="scheme in any case, spaces around"),
        pytest.param(f"Basic {KEY}", None, id="another scheme"),
        pytest.param(KEY, None, id="no scheme"),
        pytest.param(f"Bearer {KEY[:-1]}", None, id="shorter"),
        pytest.param(f"Bearer {KEY}x", None, id="longer"),
        pytest.param(f"Bearer {KEY.upper()}", None, id="in capitals"),
        pytest.param("Bearer booking", None, id="the name"),
        pytest.param(f"Bearer booking:{KEY}", None, id="name and key"),
        pytest.param("Bearer ", None, id="nothing"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_key_is_known_by_its_name(header: str, name: str | None) -> None:
    """A Bearer token that is one of the keys gives that key's name, and nothing else gives one."""
    assert parse_api_keys(f"booking:{KEY},portal:{OTHER}").name_of(header.encode()) == name


def test_without_header_or_keys_nobody_is_known() -> None:
    """No header is nobody, and without keys every header is, an empty token too."""
    assert parse_api_keys(f"booking:{KEY}").name_of(None) is None
    nothing = parse_api_keys(" , \n")
    assert len(nothing) == 0
    assert [nothing.name_of(header) for header in (None, b"", b"Bearer", b"Bearer ", f"Bearer {KEY}".encode())] == (
        [None] * 5
    )


def test_every_key_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request compares as many texts of one length as there are keys, wherever the right one stands."""
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr("policy_server.web.api_keys.compare_digest", compare)
    found = ApiKeys({"first": KEY, "second": OTHER, "third": KEY + OTHER})
    for token in (KEY, OTHER, KEY + OTHER, "wrong", "", "x" * 10_000):
        compared.clear()
        found.name_of(f"Bearer {token}".encode())
        assert compared == [(32, 32)] * 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(KEY, "entry 1 of 1 must be a name, a colon and a key", id="no name"),
        pytest.param(f"booking:{KEY},portal", "entry 2 of 2 must be a name, a colon and a key", id="no key"),
        pytest.param(f":{KEY}", "entry 1 of 1 must be a name", id="empty name"),
        pytest.param("booking:", "entry 1 of 1 must be a name", id="empty key"),
        pytest.param("booking:nineteen-characters", "entry 1 of 1 has a key of 19 characters and needs 20", id="short"),
        pytest.param(f"bo oking:{KEY}", "entry 1 of 1 has a name that cannot be used", id="name with a space"),
        pytest.param(f"{'n' * 41}:{KEY}", "entry 1 of 1 has a name that cannot be used", id="name and key swapped"),
        pytest.param("booking:0123456789ü0123456789", "a header cannot carry", id="key not for headers"),
        pytest.param(f"booking:{KEY}:{OTHER}", "entry 1 of 1 has a second colon", id="two keys"),
        pytest.param(f"booking:{KEY}:all", "entry 1 of 1 has a second colon", id="another scope"),
        pytest.param(f"booking:{KEY}:", "entry 1 of 1 has a second colon", id="no scope"),
        pytest.param(f"booking:{KEY}:own:own", "entry 1 of 1 has a second colon", id="two scopes"),
        pytest.param(f"a:{KEY},b:{OTHER},a:{KEY}x", "entries 1, 3 have the same name", id="name twice"),
        pytest.param(f"a:{KEY},b:{OTHER},c:{OTHER}", "entries 2, 3 have the same key", id="key twice"),
    ],
)
def test_what_is_wrong_is_told_without_the_secret(text: str, expected: str) -> None:
    """Entries that cannot be used are named by their place; neither names nor keys are repeated."""
    with pytest.raises(ApiKeysError) as raised:
        parse_api_keys(text)
    message = str(raised.value)
    assert "POLICY_API_KEYS: entr" in message
    assert expected in message
    for secret in text.replace(",", ":").split(":"):
        assert len(secret) < 8 or secret not in message


def test_twenty_characters_are_enough() -> None:
    """A key of exactly twenty characters is good."""
    assert parse_api_keys(f"booking:{'k' * 20}").name_of(b"Bearer " + b"k" * 20) == "booking"


def test_a_key_may_be_for_its_own_links_alone() -> None:
    """Behind a second colon it says so; such a key is another setting than one without."""
    found = parse_api_keys(f"booking:{KEY}:own, portal : {OTHER}")
    assert (set(found.own), found.name_of(f"Bearer {KEY}".encode())) == ({"booking"}, "booking")
    assert found != parse_api_keys(f"booking:{KEY}, portal:{OTHER}")


def test_everything_wrong_is_told_at_once() -> None:
    """Each fault of each entry has a line."""
    with pytest.raises(ApiKeysError) as raised:
        parse_api_keys("!:x,booking")
    assert [line.split(" has ")[0].split(" must ")[0] for line in str(raised.value).splitlines()] == [
        "POLICY_API_KEYS: entry 1 of 2",
        "POLICY_API_KEYS: entry 1 of 2",
        "POLICY_API_KEYS: entry 2 of 2",
    ]


@given(st.dictionaries(names, keys, max_size=5), st.sampled_from([",", ", ", "\n", " ,\n "]))
def test_written_keys_are_read_again(pairs: dict[str, str], separator: str) -> None:
    """Every key of any good entry is known by its name, and shown nowhere."""
    unique = {key: name for name, key in pairs.items()}
    found = parse_api_keys(separator.join(f"{name}:{key}" for key, name in unique.items()))
    assert len(found) == len(unique)
    for key, name in unique.items():
        assert found.name_of(f"Bearer {key}".encode()) == name
    assert repr(found) == f"<ApiKeys {', '.join(unique.values()) or 'none'}>"


@given(texts, st.binary(max_size=80))
def test_any_text_is_read_or_refused(text: str, header: bytes) -> None:
    """No text raises anything but ApiKeysError, and no header that nobody made is let in."""
    found = ApiKeys({})
    with suppress(ApiKeysError):
        found = parse_api_keys(text)
    assert found.name_of(header) is None
    assert found.name_of(f"Bearer {text}".encode("utf-8", "surrogatepass")) is None
