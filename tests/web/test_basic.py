"""HTTP Basic: who is let in, however the header is written, and how the comparison is made."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.web import basic
from policy_server.web.basic import CHALLENGE, BasicAuthentication

USERNAME = "pexip"
PASSWORD = "pass:wörd with spaces"
ENCODED = b64encode(f"{USERNAME}:{PASSWORD}".encode())
GOOD = BasicAuthentication(USERNAME, PASSWORD)


def headers(value: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a request with this Authorization."""
    return [(b"host", b"policy.example.com"), (b"authorization", value), (b"accept", b"*/*")]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"Basic " + ENCODED, id="as Pexip sends it"),
        pytest.param(b"basic " + ENCODED, id="scheme in lower case"),
        pytest.param(b"BASIC " + ENCODED, id="scheme in capitals"),
        pytest.param(b"Basic   " + ENCODED, id="more spaces"),
        pytest.param(b"Basic " + ENCODED + b"  ", id="spaces at the end"),
    ],
)
def test_spellings_of_the_header(value: bytes) -> None:
    """Good credentials are let in however the header is written; the password may hold colons and any letters."""
    assert GOOD.accepts(headers(value))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Basic", id="scheme alone"),
        pytest.param(b"Basic ", id="nothing after the scheme"),
        pytest.param(ENCODED, id="no scheme"),
        pytest.param(b"Bearer " + ENCODED, id="another scheme"),
        pytest.param(b"Basic " + ENCODED[:-4], id="cut"),
        pytest.param(b"Basic " + ENCODED + b"=", id="more padding"),
        pytest.param(b"Basic !" + ENCODED, id="a character that base64 has not"),
        pytest.param(b"Basic \xff\xfe", id="bytes beyond ASCII"),
        pytest.param(b"Basic " + b64encode(b"\xff\xfe\x00"), id="not UTF-8 inside"),
        pytest.param(b"Basic " + b64encode(b"pexip"), id="no colon inside"),
        pytest.param(b"Basic " + b64encode(b":"), id="both empty"),
        pytest.param(b"Basic " + b64encode(f"PEXIP:{PASSWORD}".encode()), id="user name in capitals"),
        pytest.param(b"Basic " + b64encode(f"{USERNAME}:{PASSWORD}x".encode()), id="longer password"),
        pytest.param(b"Basic " + b64encode(f"{USERNAME}:{PASSWORD[:-1]}".encode()), id="shorter password"),
        pytest.param(b"Basic " + b64encode(f"{USERNAME}:{PASSWORD}".encode("latin-1")), id="password in Latin-1"),
        pytest.param(b"x" * 100_000, id="very long"),
    ],
)
def test_refused_headers(value: bytes) -> None:
    """Anything else is refused, and none of it raises."""
    assert not GOOD.accepts(headers(value))


def test_no_header() -> None:
    """A request without the header is refused."""
    assert not GOOD.accepts([(b"host", b"policy.example.com")])


def test_first_header_counts() -> None:
    """Of two headers the first counts, so that a second one cannot be smuggled in."""
    wrong = (b"authorization", b"Basic " + b64encode(b"a:b"))
    assert not GOOD.accepts([wrong, *headers(b"Basic " + ENCODED)])


def test_the_challenge_asks_for_utf_8() -> None:
    """The challenge names the scheme, and UTF-8 for what is not ASCII."""
    assert CHALLENGE == (b"www-authenticate", b'Basic realm="policy-server", charset="UTF-8"')


def test_compares_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is only ever looked at by compare_digest, whole, whether the guess is near or far."""
    compared: list[tuple[bytes, bytes]] = []

    def spy(given_text: bytes, expected: bytes) -> bool:
        compared.append((given_text, expected))
        return False

    monkeypatch.setattr(basic, "compare_digest", spy)
    assert not GOOD.accepts(headers(b"Basic " + ENCODED)), "another comparison let it in"
    assert [expected for _, expected in compared] == [b"Basic " + ENCODED, f"{USERNAME}:{PASSWORD}".encode()]


@given(st.text(max_size=20).filter(lambda text: ":" not in text), st.text(max_size=20), st.binary(max_size=40))
def test_only_the_credentials_open(username: str, password: str, other: bytes) -> None:
    """Whatever the credentials are, they open, and other bytes do not."""
    authentication = BasicAuthentication(username, password)
    plain = f"{username}:{password}".encode()
    assert authentication.accepts(headers(b"Basic " + b64encode(plain)))
    assert authentication.accepts(headers(b"Basic " + b64encode(other))) is (other == plain)
    assert authentication.accepts(headers(other)) is (other == b"Basic " + b64encode(plain))
