"""Sessions verify, expire, survive a change of keys, and give PINs that a node accepts."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from policy_server.policy.sessions import (
    MIN_SECRET_LENGTH,
    NONCE_BYTES,
    PIN_DIGITS,
    SESSION_LENGTH,
    Keyring,
    LinkState,
    Session,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEY = b"first secret key of thirty-two b"
OTHER_KEY = b"other secret key of thirty-two b"
RING = Keyring(KEY)
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NONCE = b"\x01\x02\x03\x04\x05"
GOOD = RING.sign(NOON, NONCE)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

keys = st.binary(min_size=MIN_SECRET_LENGTH, max_size=80)
nonces = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)
zones = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439))
minutes_ahead = st.integers(3 * 1440, 4_223_000_000)
moments = st.builds(
    lambda minutes, microseconds, zone: (EPOCH + timedelta(minutes=minutes, microseconds=microseconds)).astimezone(
        zone
    ),
    minutes_ahead,
    st.integers(0, 59_999_999),
    zones,
)


def derived(key: bytes, purpose: bytes) -> bytes:
    """Derive a key for one purpose the way the format prescribes."""
    return hmac.digest(key, b"policy-server/1/" + purpose, "sha256")


def forged(head: int, minutes: int, key: bytes = KEY, nonce: bytes = NONCE) -> str:
    """Write a session by hand, correctly signed, whatever its first byte and expiry."""
    signed = bytes((head,)) + minutes.to_bytes(4, "big") + nonce
    signature = hmac.digest(derived(key, b"session signature"), signed, "sha256")[:10]
    return base64.b32encode(signed + signature).decode().lower()


def test_format_is_pinned() -> None:
    """A session is version, key number, minutes, nonce and HMAC, in base32: links outlive a release."""
    number = derived(KEY, b"key number")[0] & 15
    minutes = int(NOON.timestamp()) // 60
    assert forged(0x10 | number, minutes) == GOOD
    assert GOOD == "cma4rgsqaebagbafstjlcjkeck5mihyz"


def test_pins_are_pinned() -> None:
    """Derived PINs are the same in every release: a room may be open while the server is replaced."""
    digest = hmac.digest(derived(KEY, b"room pins"), GOOD.encode(), "sha256")
    host, guest = int.from_bytes(digest[:16], "big") % 10**8, int.from_bytes(digest[16:], "big") % (10**8 - 1)
    assert RING.pins(GOOD) == (f"{host:08d}", f"{guest + (guest >= host):08d}")
    assert RING.pins(GOOD) == ("78891519", "91330866")


@given(key=keys, nonce=nonces, expires_at=moments)
def test_session_verifies_after_signing(key: bytes, nonce: bytes, expires_at: datetime) -> None:
    """Whatever is signed is read back: 32 characters, and the expiry rounded up to the minute."""
    ring = Keyring(key)
    text = ring.sign(expires_at, nonce)
    session = ring.inspect(text)
    assert len(text) == SESSION_LENGTH
    assert set(text) <= set(ALPHABET)
    assert session is not None
    assert session.text == text
    assert session.expires_at.tzinfo is UTC
    assert timedelta(0) <= session.expires_at - expires_at < timedelta(minutes=1)
    assert (session.expires_at.second, session.expires_at.microsecond) == (0, 0)


@given(key=keys, nonce=nonces, expires_at=moments, zone=zones)
def test_session_is_valid_until_it_expires(key: bytes, nonce: bytes, expires_at: datetime, zone: timezone) -> None:
    """Valid up to the last microsecond before the expiry, expired from then on, in any time zone."""
    ring = Keyring(key)
    text = ring.sign(expires_at, nonce)
    session = ring.inspect(text)
    assert session is not None
    end = session.expires_at.astimezone(zone)
    moment = timedelta.resolution
    assert ring.state(text, end - moment) is LinkState.VALID
    assert ring.state(text, end - timedelta(days=1)) is LinkState.VALID
    assert ring.state(text, end) is LinkState.EXPIRED
    assert ring.state(text, end + timedelta(days=1)) is LinkState.EXPIRED
    assert ring.inspect(text) == session


@given(
    key=keys,
    nonce=nonces,
    place=st.integers(0, SESSION_LENGTH - 1),
    character=st.sampled_from(ALPHABET) | st.characters(),
)
def test_any_changed_character_is_invalid(key: bytes, nonce: bytes, place: int, character: str) -> None:
    """One character changed, in the alphabet or out of it, and the session is not ours any more."""
    ring = Keyring(key)
    text = ring.sign(NOON, nonce)
    assume(text[place] != character)
    changed = text[:place] + character + text[place + 1 :]
    assert ring.inspect(changed) is None
    assert ring.state(changed, NOON - timedelta(hours=1)) is LinkState.INVALID


def test_every_single_byte_change_is_invalid() -> None:
    """All 32 places times all 255 other characters of one byte, whatever a decoder may read them as."""
    changed = [
        GOOD[:place] + chr(byte) + GOOD[place + 1 :]
        for place in range(SESSION_LENGTH)
        for byte in range(256)
        if GOOD[place] != chr(byte)
    ]
    assert len(changed) == 32 * 255
    assert [text for text in changed if RING.inspect(text) is not None] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD.upper(), id="upper case"),
        pytest.param(GOOD[0].upper() + GOOD[1:], id="one capital"),
        pytest.param(GOOD[:-1], id="too short"),
        pytest.param(GOOD + "a", id="too long"),
        pytest.param(f" {GOOD}", id="leading space"),
        pytest.param(f"{GOOD}\n", id="trailing newline"),
        pytest.param(f"{GOOD[:-1]} ", id="space for the last character"),
        pytest.param(f"{GOOD[:8]}_{GOOD[9:]}", id="underscore, which int() skips"),
        pytest.param(f"+{GOOD[1:]}", id="sign, which int() reads"),
        pytest.param(f"{GOOD[:-1]}=", id="padding"),
        pytest.param(f"{GOOD[:-1]}0", id="digit of int() that is not in the alphabet"),
        pytest.param("a" * 32, id="zero"),
        pytest.param("7" * 32, id="all ones"),
        pytest.param("\uff41" * 32, id="full-width letters"),
        pytest.param("\udcff" * 32, id="lone surrogates"),
        pytest.param("\0" * 32, id="null characters"),
        pytest.param("a" * 100_000, id="very long"),
    ],
)
def test_only_the_canonical_text_verifies(text: str) -> None:
    """No other spelling of a session verifies."""
    assert RING.inspect(text) is None
    assert RING.state(text, NOON - timedelta(hours=1)) is LinkState.INVALID


def test_no_session_is_absent() -> None:
    """An empty text is no session at all, which is not the same as a bad one."""
    assert RING.state("", NOON) is LinkState.ABSENT
    assert RING.inspect("") is None


@given(text=st.text(max_size=40) | st.text(ALPHABET, min_size=32, max_size=32))
def test_no_text_raises(text: str) -> None:
    """Strangers' texts are invalid or absent, never an error, and have PINs all the same."""
    assert RING.state(text, NOON) in {LinkState.INVALID, LinkState.ABSENT}
    host, guest = RING.pins(text)
    assert host != guest


@pytest.mark.parametrize("version", [version for version in range(16) if version != 1])
def test_other_versions_are_invalid(version: int) -> None:
    """A well-signed session of another version is not read as if it were of this one."""
    number = derived(KEY, b"key number")[0] & 15
    assert RING.inspect(forged(version << 4 | number, 1_000_000)) is None
    assert RING.inspect(forged(1 << 4 | number, 1_000_000)) is not None


@pytest.mark.parametrize("number", range(16))
def test_key_number_is_signed_for(number: int) -> None:
    """A session verifies only under the key whose number it carries."""
    own = derived(KEY, b"key number")[0] & 15
    assert (RING.inspect(forged(1 << 4 | number, 1_000_000)) is not None) == (number == own)


def test_signing_key_signs_nothing_else() -> None:
    """The secret itself, and the key for PINs, are not keys for signatures."""
    number = derived(KEY, b"key number")[0] & 15
    signed = bytes((1 << 4 | number,)) + (1_000_000).to_bytes(4, "big") + NONCE
    for key in (KEY, derived(KEY, b"room pins"), derived(KEY, b"key number")):
        text = base64.b32encode(signed + hmac.digest(key, signed, hashlib.sha256)[:10]).decode().lower()
        assert RING.inspect(text) is None


@given(old=keys, new=keys, later=keys, nonce=nonces)
def test_sessions_and_pins_survive_rotation(old: bytes, new: bytes, later: bytes, nonce: bytes) -> None:
    """With the old key among the previous ones, its sessions keep their expiry, their state and their PINs."""
    before = Keyring(old)
    text = before.sign(NOON, nonce)
    for ring in (Keyring(new, (old,)), Keyring(later, (new, old)), Keyring(old, (new, later)), Keyring(old, (old,))):
        assert ring.inspect(text) == Session(text, NOON)
        assert ring.state(text, NOON - timedelta(minutes=1)) is LinkState.VALID
        assert ring.state(text, NOON) is LinkState.EXPIRED
        assert ring.pins(text) == before.pins(text)


@given(key=keys, others=st.lists(keys, min_size=1, max_size=20), nonce=nonces)
def test_no_other_key_verifies(key: bytes, others: list[bytes], nonce: bytes) -> None:
    """Without the key that signed it a session is invalid, however many other keys there are."""
    assume(key not in others)
    text = Keyring(key).sign(NOON, nonce)
    assert Keyring(others[0], tuple(others[1:])).inspect(text) is None


def test_keys_that_share_a_number_both_verify() -> None:
    """Key numbers are only four bits: a shared one costs a second look, not a session."""
    number = derived(KEY, b"key number")[0] & 15
    candidates = (b"%032d" % count for count in range(10_000))
    twin = next(key for key in candidates if derived(key, b"key number")[0] & 15 == number)
    for ring in (Keyring(KEY, (twin,)), Keyring(twin, (KEY,))):
        for key in (KEY, twin):
            text = Keyring(key).sign(NOON, NONCE)
            assert ring.inspect(text) == Session(text, NOON)
            assert ring.pins(text) == Keyring(key).pins(text)


def test_new_sessions_are_signed_by_the_current_key() -> None:
    """After a change of keys nothing new is signed by a previous key."""
    assert Keyring(OTHER_KEY, (KEY,)).sign(NOON, NONCE) == Keyring(OTHER_KEY).sign(NOON, NONCE)


@given(key=keys, text=st.text(max_size=60))
def test_pins_obey_pexips_rules(key: bytes, text: str) -> None:
    """Digits only, equally long, within Pexip's 4 to 20, different, and always the same ones."""
    pins = Keyring(key).pins(text)
    for pin in pins:
        assert pin.isascii()
        assert pin.isdecimal()
        assert len(pin) == PIN_DIGITS
    assert 4 <= PIN_DIGITS <= 20
    assert pins.host != pins.guest
    assert pins == Keyring(key).pins(text)


def test_pins_differ_between_rooms_and_keys() -> None:
    """The PINs of one room say nothing about those of another, or about another key's."""
    rings = [Keyring(b"%032d" % count) for count in range(50)]
    pins = [pin for ring in rings for room in ("lobby", "desk", GOOD) for pin in ring.pins(room)]
    assert len(set(pins)) > 295
    assert {pin[0] for pin in pins} == set("0123456789")


def test_host_and_guest_differ_even_if_drawn_alike() -> None:
    """Where both halves of the digest point at the same PIN, the guest's moves on; none is out of range."""
    pairs = [RING.pins(str(room)) for room in range(2_000)]
    digests = [hmac.digest(derived(KEY, b"room pins"), str(room).encode(), "sha256") for room in range(2_000)]
    moved = 0
    for (host, guest), digest in zip(pairs, digests, strict=True):
        drawn = int.from_bytes(digest[16:], "big") % (10**8 - 1)
        assert int(guest) == drawn + (drawn >= int(host))
        moved += int(guest) != drawn
    assert 500 < moved < 1_500


def test_pins_of_a_text_that_is_no_session_come_from_the_current_key() -> None:
    """A room's name has no key of its own, so its PINs change with the current key."""
    assert Keyring(KEY, (OTHER_KEY,)).pins("lobby") == RING.pins("lobby")
    assert Keyring(OTHER_KEY, (KEY,)).pins("lobby") != RING.pins("lobby")


@pytest.mark.parametrize("length", [0, 4, 6, 32])
def test_nonce_of_another_length_is_refused(length: int) -> None:
    """A nonce that is too short would repeat, and one that is too long would not fit."""
    with pytest.raises(ValueError, match=f"a session's nonce has 5 bytes, not {length}"):
        RING.sign(NOON, bytes(length))


@pytest.mark.parametrize(
    "expires_at",
    [
        pytest.param(datetime(1969, 12, 31, 23, 59, tzinfo=UTC), id="before 1970"),
        pytest.param(datetime(9999, 12, 31, 23, 59, 0, 1, tzinfo=UTC), id="after 9999"),
        pytest.param(
            datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-5))), id="after 9999 in another zone"
        ),
    ],
)
def test_expiry_out_of_range_is_refused(expires_at: datetime) -> None:
    """A session holds expiries from 1970 to 9999 and never wraps around."""
    with pytest.raises(ValueError, match="choose a time from 1970 to 9999"):
        RING.sign(expires_at, NONCE)


@pytest.mark.parametrize(
    "expires_at", [datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)], ids=["first", "last"]
)
def test_ends_of_the_range_are_held(expires_at: datetime) -> None:
    """The first and the last minute can be signed and read."""
    text = RING.sign(expires_at, NONCE)
    assert RING.inspect(text) == Session(text, expires_at)


def test_times_without_zone_are_refused() -> None:
    """A time without zone would mean another moment on every machine."""
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="needs a time zone"):
        RING.sign(naive, NONCE)
    with pytest.raises(ValueError, match="needs a time zone"):
        RING.state(GOOD, naive)


@pytest.mark.parametrize(
    ("current", "previous", "which"),
    [
        pytest.param("short", (), "the secret key has 5 characters", id="current"),
        pytest.param("x" * 31 + " \n", (), "the secret key has 31 characters", id="white space does not count"),
        pytest.param("x" * 32, ("y" * 32, "brief"), "previous secret key number 2 has 5 characters", id="previous"),
        pytest.param("x" * 32, ("",), "previous secret key number 1 has 0 characters", id="empty previous"),
    ],
)
def test_short_secret_is_refused(current: str, previous: tuple[str, ...], which: str) -> None:
    """A secret that could be guessed is refused; the message says which and how to make one, never the secret."""
    with pytest.raises(ValueError, match=which) as fault:
        Keyring.from_text(current, previous)
    assert "python -c 'import secrets; print(secrets.token_urlsafe(32))'" in str(fault.value)
    assert "brief" not in str(fault.value)


def test_short_key_is_refused() -> None:
    """Keys given as bytes are held to the same length."""
    with pytest.raises(ValueError, match="the secret key has 31 bytes and needs 32 or more"):
        Keyring(b"x" * 31)


def test_secrets_lose_surrounding_white_space() -> None:
    """A secret read from a file ends in a newline, and one from the environment does not: both are one key."""
    text = KEY.decode()
    assert Keyring.from_text(f"{text}\n", [f" {OTHER_KEY.decode()}"]).sign(NOON, NONCE) == GOOD
    assert Keyring.from_text(OTHER_KEY.decode(), [f"{text}\n"]).inspect(GOOD) is not None


def test_keyring_never_shows_keys() -> None:
    """Its text form has key numbers, which every session carries in the clear, and nothing else."""
    ring = Keyring(KEY, (OTHER_KEY,))
    current, other = (derived(key, b"key number")[0] & 15 for key in (KEY, OTHER_KEY))
    assert repr(ring) == str(ring) == f"<Keyring signs with key {current}, also verifies [{other}]>"


def test_keyring_is_immutable() -> None:
    """Nobody changes keys under a running request."""
    with pytest.raises(AttributeError, match="immutable"):
        RING._current = RING._current
    with pytest.raises(AttributeError, match="immutable"):
        del RING._current


@given(key=keys, message=st.binary(max_size=200))
def test_hmac_is_the_standard_one(key: bytes, message: bytes) -> None:
    """The HMAC with a key hashed beforehand equals the standard library's, for messages of any length."""
    text = message.decode("latin-1")
    digest = hmac.digest(derived(key, b"room pins"), text.encode(), "sha256")
    assert int(Keyring(key).pins(text).host) == int.from_bytes(digest[:16], "big") % 10**8


def test_refusing_an_unknown_key_number_is_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session with a key number that nobody has is compared like any forgery, not refused at a glance."""
    compared: list[int] = []
    compare = hmac.compare_digest

    def count(expected: bytes, given: bytes) -> bool:
        compared.append(len(expected))
        return compare(expected, given)

    monkeypatch.setattr(hmac, "compare_digest", count)
    for number in range(16):
        RING.inspect(forged(1 << 4 | number, 1_000_000, key=OTHER_KEY))
    assert compared == [10] * 16
