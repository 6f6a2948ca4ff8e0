"""A call's three names verify in their own role, expire, survive a change of keys, and give PINs that a node accepts."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from policy_server.policy.names import (
    MIN_SECRET_LENGTH,
    NAME_LENGTH,
    NONCE_BYTES,
    PIN_DIGITS,
    Call,
    Keyring,
    LinkState,
    Role,
    link_state,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEY = b"first secret key of thirty-two b"
OTHER_KEY = b"other secret key of thirty-two b"
RING = Keyring(KEY)
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NONCE = b"\x01\x02\x03\x04"
TYPE = "visit"
TYPES = ("advice", TYPE, "interpreter")
GOOD = RING.sign(TYPE, NOON, NONCE)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
LAST_EXPIRY = EPOCH + timedelta(minutes=2**28 - 1)
LETTERS = {Role.SESSION: b"s", Role.AGENT: b"a", Role.CALL: b"c"}

keys = st.binary(min_size=MIN_SECRET_LENGTH, max_size=80)
nonces = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)
roles = st.sampled_from(Role)
link_types = st.text(max_size=20)
zones = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439))
minutes_ahead = st.integers(3 * 1440, 2**28 - 2)
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
    return hmac.digest(key, b"policy-server/2/" + purpose, "sha256")


def key_number(key: bytes) -> int:
    """The number that stands for a key in every name."""
    return derived(key, b"key number")[0] & 15


def packed(head: int, minutes: int, span: int = 0, nonce: bytes = NONCE) -> bytes:
    """What all names of a call begin with, written by hand."""
    return (head << 72 | minutes << 44 | span << 32 | int.from_bytes(nonce, "big")).to_bytes(10, "big")


def forged(
    head: int,
    minutes: int = 1_000_000,
    key: bytes = KEY,
    role: Role = Role.SESSION,
    link_type: str = TYPE,
    span: int = 0,
) -> str:
    """Write a name by hand, correctly signed, whatever its first byte and expiry."""
    signed = packed(head, minutes, span)
    message = LETTERS[role] + signed + link_type.encode("utf-8", "surrogatepass")
    return encoded(signed + hmac.digest(derived(key, b"name signature"), message, "sha256")[:10])


def encoded(content: bytes) -> str:
    """Bytes as a name has them."""
    return base64.b32encode(content).decode().lower()


def opened(ring: Keyring, text: str, role: Role = Role.SESSION, *types: str) -> Call | None:
    """What a keyring makes of a text; of the link types of these tests unless told otherwise."""
    return ring.open(text, role, types or TYPES)


def test_format_is_pinned() -> None:
    """A name is version, key number, minutes, span, nonce and HMAC, in base32: links outlive a release."""
    minutes = int(NOON.timestamp()) // 60
    for role in Role:
        assert forged(0x20 | key_number(KEY), minutes, role=role) == GOOD.name(role)
    assert GOOD.session == "euoitjiaaaaqeaye776olylcusc6jiqo"
    assert GOOD.agent == "euoitjiaaaaqeayeps37ewgebfbh7ejd"
    assert GOOD.id == "euoitjiaaaaqeayeby3cbw4wa2qfsqn6"


def test_pins_are_pinned() -> None:
    """Derived PINs are the same in every release: a room may be open while the server is replaced.

    They come from what the HMAC of the call id has beyond the part that is written in the call id.
    """
    signed = packed(0x20 | key_number(KEY), int(NOON.timestamp()) // 60)
    digest = hmac.digest(derived(KEY, b"name signature"), b"c" + signed + TYPE.encode(), "sha256")
    assert GOOD.id == encoded(signed + digest[:10])
    host, guest = int.from_bytes(digest[10:21], "big") % 10**8, int.from_bytes(digest[21:], "big") % (10**8 - 1)
    assert GOOD.pins == (f"{host:08d}", f"{guest + (guest >= host):08d}")
    assert GOOD.pins == ("80964407", "04274223")


def test_pins_of_a_room_are_pinned() -> None:
    """So are those of a room that no call belongs to, which come from its name."""
    digest = hmac.digest(derived(KEY, b"room pins"), b"lobby", "sha256")
    host, guest = int.from_bytes(digest[:16], "big") % 10**8, int.from_bytes(digest[16:], "big") % (10**8 - 1)
    assert RING.room_pins("lobby") == (f"{host:08d}", f"{guest + (guest >= host):08d}")


@given(key=keys, nonce=nonces, expires_at=moments, link_type=link_types)
def test_names_verify_after_signing(key: bytes, nonce: bytes, expires_at: datetime, link_type: str) -> None:
    """Each name leads to the whole call: its type, its other names, its PINs, the expiry rounded up to the minute."""
    ring = Keyring(key)
    call = ring.sign(link_type, expires_at, nonce)
    assert call.expires_at.tzinfo is UTC
    assert timedelta(0) <= call.expires_at - expires_at < timedelta(minutes=1)
    assert (call.expires_at.second, call.expires_at.microsecond) == (0, 0)
    assert call.opens_at is None
    for role in Role:
        text = call.name(role)
        assert len(text) == NAME_LENGTH
        assert set(text) <= set(ALPHABET)
        found = ring.open(text, role, (link_type,))
        assert found == call
        assert found is not None
        assert (found.session, found.agent, found.id, found.pins) == (call.session, call.agent, call.id, call.pins)
        assert (found.type, found.expires_at, found.opens_at) == (link_type, call.expires_at, None)


@given(key=keys, nonce=nonces, expires_at=moments, zone=zones)
def test_a_call_is_valid_until_it_expires(key: bytes, nonce: bytes, expires_at: datetime, zone: timezone) -> None:
    """Valid up to the last microsecond before the expiry, expired from then on, in any time zone."""
    call = Keyring(key).sign(TYPE, expires_at, nonce)
    end = call.expires_at.astimezone(zone)
    moment = timedelta.resolution
    assert call.state(end - moment) is LinkState.VALID
    assert call.state(end - timedelta(days=1)) is LinkState.VALID
    assert call.state(end) is LinkState.EXPIRED
    assert call.state(end + timedelta(days=1)) is LinkState.EXPIRED


@given(expires_at=moments, before=st.timedeltas(timedelta(minutes=1), timedelta(days=22)), zone=zones)
def test_a_door_opens_when_it_was_told_to(expires_at: datetime, before: timedelta, zone: timezone) -> None:
    """Early until the opening, rounded down to the minute up to 34 hours before the expiry, to 15 minutes beyond."""
    assume(expires_at - before > EPOCH + timedelta(days=1))
    opens_at = (expires_at - before).astimezone(zone)
    call = RING.sign(TYPE, expires_at, NONCE, opens_at)
    assert call.opens_at is not None
    assert call.opens_at.tzinfo is UTC
    step = timedelta(minutes=1) if before < timedelta(hours=34) else timedelta(minutes=16)
    assert timedelta(0) <= opens_at - call.opens_at < step
    assert call.state(call.opens_at - timedelta.resolution) is LinkState.EARLY
    assert call.state(call.opens_at) is LinkState.VALID
    assert call.state(opens_at) is LinkState.VALID
    assert call.state(call.expires_at) is LinkState.EXPIRED
    for role in Role:
        assert opened(RING, call.name(role), role) == call


@pytest.mark.parametrize(
    ("minutes", "held"),
    [
        pytest.param(1, 1, id="shortest"),
        pytest.param(2047, 2047, id="last exact minute"),
        pytest.param(2048, 2048, id="first of the longer steps"),
        pytest.param(2049, 2063, id="rounded up to a quarter of an hour"),
        pytest.param(2063, 2063, id="a whole step"),
        pytest.param(2064, 2078, id="the next step"),
        pytest.param(2048 + 2047 * 15, 2048 + 2047 * 15, id="longest"),
    ],
)
def test_how_long_a_door_is_open(minutes: int, held: int) -> None:
    """A door never opens later than it was told to, and less than a quarter of an hour earlier."""
    call = RING.sign(TYPE, NOON, NONCE, NOON - timedelta(minutes=minutes))
    assert call.opens_at == NOON - timedelta(minutes=held)


@pytest.mark.parametrize(
    "opens_at",
    [
        pytest.param(NOON, id="when it closes"),
        pytest.param(NOON + timedelta(hours=1), id="after it closes"),
        pytest.param(NOON - timedelta(minutes=2048 + 2047 * 15, microseconds=1), id="too long before"),
    ],
)
def test_an_opening_that_no_name_holds_is_refused(opens_at: datetime) -> None:
    """A door opens before it closes, and three weeks before at most; nothing wraps around."""
    with pytest.raises(ValueError, match="it opens before it closes, 22 days at most"):
        RING.sign(TYPE, NOON, NONCE, opens_at)


@given(
    key=keys,
    nonce=nonces,
    role=roles,
    place=st.integers(0, NAME_LENGTH - 1),
    character=st.sampled_from(ALPHABET) | st.characters(),
)
def test_any_changed_character_is_invalid(key: bytes, nonce: bytes, role: Role, place: int, character: str) -> None:
    """One character changed, in the alphabet or out of it, and the name is not ours any more, in no role."""
    ring = Keyring(key)
    text = ring.sign(TYPE, NOON, nonce).name(role)
    assume(text[place] != character)
    changed = text[:place] + character + text[place + 1 :]
    assert [other for other in Role if opened(ring, changed, other) is not None] == []


@pytest.mark.parametrize("role", Role)
def test_every_single_byte_change_is_invalid(role: Role) -> None:
    """All 32 places times all 255 other characters of one byte, whatever a decoder may read them as."""
    good = GOOD.name(role)
    changed = [
        good[:place] + chr(byte) + good[place + 1 :]
        for place in range(NAME_LENGTH)
        for byte in range(256)
        if good[place] != chr(byte)
    ]
    assert len(changed) == 32 * 255
    assert [text for text in changed if opened(RING, text, role) is not None] == []


@given(key=keys, nonce=nonces, expires_at=moments)
def test_a_name_opens_its_own_door_alone(key: bytes, nonce: bytes, expires_at: datetime) -> None:
    """No name of a call is another's, and none is taken in another role."""
    ring = Keyring(key)
    call = ring.sign(TYPE, expires_at, nonce)
    assert len({call.name(role) for role in Role}) == len(Role)
    for role in Role:
        assert [other for other in Role if opened(ring, call.name(role), other) is not None] == [role]


@given(key=keys, nonce=nonces, one=roles, other=roles)
def test_a_signature_of_another_role_is_invalid(key: bytes, nonce: bytes, one: Role, other: Role) -> None:
    """Halves of two names of one call do not make a third."""
    assume(one is not other)
    ring = Keyring(key)
    call = ring.sign(TYPE, NOON, nonce)
    moved = call.name(one)[:16] + call.name(other)[16:]
    assert opened(ring, moved, one) is None


@given(key=keys, nonce=nonces, role=roles, link_type=link_types, others=st.lists(link_types, max_size=4))
def test_the_link_type_is_signed(key: bytes, nonce: bytes, role: Role, link_type: str, others: list[str]) -> None:
    """A name is good for its own link type alone, which is found among several."""
    assume(link_type not in others)
    ring = Keyring(key)
    call = ring.sign(link_type, NOON, nonce)
    assert ring.open(call.name(role), role, others) is None
    assert ring.open(call.name(role), role, [*others, link_type]) == call


@given(role=roles, other=roles, moved=st.text(min_size=1, max_size=3))
def test_role_and_type_are_not_glued_together(role: Role, other: Role, moved: str) -> None:
    """No link type makes the names of one role those of another."""
    call = RING.sign(moved + TYPE, NOON, NONCE)
    assert RING.open(call.name(role), other, (TYPE, moved, TYPE + moved, LETTERS[role].decode() + moved + TYPE)) is None


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda good: good.upper(), id="upper case"),
        pytest.param(lambda good: "A" + good[1:], id="one capital"),
        pytest.param(lambda good: good[:-1], id="too short"),
        pytest.param(lambda good: good + "a", id="too long"),
        pytest.param(lambda good: f" {good}", id="leading space"),
        pytest.param(lambda good: f"{good}\n", id="trailing newline"),
        pytest.param(lambda good: f"{good[:-1]} ", id="space for the last character"),
        pytest.param(lambda good: f"{good[:8]}_{good[9:]}", id="underscore, which int() skips"),
        pytest.param(lambda good: f"+{good[1:]}", id="sign, which int() reads"),
        pytest.param(lambda good: f"{good[:-1]}=", id="padding"),
        pytest.param(lambda good: f"{good[:-1]}0", id="digit of int() that is not in the alphabet"),
        pytest.param(lambda _: "a" * 32, id="zero"),
        pytest.param(lambda _: "7" * 32, id="all ones"),
        pytest.param(lambda _: "\uff41" * 32, id="full-width letters"),
        pytest.param(lambda _: "\udcff" * 32, id="lone surrogates"),
        pytest.param(lambda _: "\0" * 32, id="null characters"),
        pytest.param(lambda _: "a" * 100_000, id="very long"),
        pytest.param(lambda _: "", id="empty"),
    ],
)
def test_only_the_canonical_text_verifies(change: Callable[[str], str], role: Role) -> None:
    """No other spelling of a name verifies."""
    assert opened(RING, change(GOOD.name(role)), role) is None


def test_what_nobody_signed_is_invalid() -> None:
    """An alias that looks like a link's and opens nothing is invalid; one that does is what its call is."""
    assert link_state(None, NOON) is LinkState.INVALID
    assert link_state(GOOD, NOON - timedelta(minutes=1)) is LinkState.VALID
    assert link_state(GOOD, NOON) is LinkState.EXPIRED


@given(text=st.text(max_size=40) | st.text(ALPHABET, min_size=32, max_size=32), role=roles, link_type=link_types)
def test_no_text_raises(text: str, role: Role, link_type: str) -> None:
    """Strangers' texts are no call, never an error, and have PINs as a room's name all the same."""
    assert RING.open(text, role, (link_type,)) is None
    host, guest = RING.room_pins(text)
    assert host != guest


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("version", [version for version in range(16) if version != 2])
def test_other_versions_are_invalid(version: int, role: Role) -> None:
    """A well-signed name of another version is not read as if it were of this one."""
    assert opened(RING, forged(version << 4 | key_number(KEY), role=role), role) is None
    assert opened(RING, forged(2 << 4 | key_number(KEY), role=role), role) is not None


@pytest.mark.parametrize("number", range(16))
def test_key_number_is_signed_for(number: int) -> None:
    """A name verifies only under the key whose number it carries."""
    for role in Role:
        assert (opened(RING, forged(2 << 4 | number, role=role), role) is not None) == (number == key_number(KEY))


def test_signing_key_signs_nothing_else() -> None:
    """The secret itself, and the key for PINs, are not keys for signatures; neither is a name without its role."""
    signed = packed(2 << 4 | key_number(KEY), 1_000_000)
    for key in (KEY, derived(KEY, b"room pins"), derived(KEY, b"key number")):
        for role in Role:
            message = LETTERS[role] + signed + TYPE.encode()
            assert opened(RING, encoded(signed + hmac.digest(key, message, hashlib.sha256)[:10]), role) is None
    right = derived(KEY, b"name signature")
    for message in (signed, signed + TYPE.encode()):
        text = encoded(signed + hmac.digest(right, message, hashlib.sha256)[:10])
        assert [role for role in Role if opened(RING, text, role) is not None] == []


@given(old=keys, new=keys, later=keys, nonce=nonces)
def test_names_and_pins_survive_rotation(old: bytes, new: bytes, later: bytes, nonce: bytes) -> None:
    """With the old key among the previous ones, its calls keep their times, their names and their PINs."""
    before = Keyring(old).sign(TYPE, NOON, nonce, NOON - timedelta(hours=1))
    for ring in (Keyring(new, (old,)), Keyring(later, (new, old)), Keyring(old, (new, later)), Keyring(old, (old,))):
        for role in Role:
            call = opened(ring, before.name(role), role)
            assert call is not None
            assert (call.expires_at, call.opens_at, call.type) == (NOON, NOON - timedelta(hours=1), TYPE)
            assert [call.name(other) for other in Role] == [before.name(other) for other in Role]
            assert call.state(NOON - timedelta(minutes=1)) is LinkState.VALID
            assert call.state(NOON) is LinkState.EXPIRED
            assert call.pins == before.pins


@given(key=keys, others=st.lists(keys, min_size=1, max_size=20), nonce=nonces, role=roles)
def test_no_other_key_verifies(key: bytes, others: list[bytes], nonce: bytes, role: Role) -> None:
    """Without the key that signed it a name is invalid, however many other keys there are."""
    assume(key not in others)
    text = Keyring(key).sign(TYPE, NOON, nonce).name(role)
    assert opened(Keyring(others[0], tuple(others[1:])), text, role) is None


def test_keys_that_share_a_number_both_verify() -> None:
    """Key numbers are only four bits: a shared one costs a second look, not a call."""
    candidates = (b"%032d" % count for count in range(10_000))
    twin = next(key for key in candidates if key_number(key) == key_number(KEY))
    for ring in (Keyring(KEY, (twin,)), Keyring(twin, (KEY,))):
        for key in (KEY, twin):
            signed = Keyring(key).sign(TYPE, NOON, NONCE)
            for role in Role:
                call = opened(ring, signed.name(role), role)
                assert call is not None
                assert (call.expires_at, call.pins, call.id) == (NOON, signed.pins, signed.id)


def test_new_calls_are_signed_by_the_current_key() -> None:
    """After a change of keys nothing new is signed by a previous key."""
    assert Keyring(OTHER_KEY, (KEY,)).sign(TYPE, NOON, NONCE) == Keyring(OTHER_KEY).sign(TYPE, NOON, NONCE)


@given(key=keys, text=st.text(max_size=60), nonce=nonces)
def test_pins_obey_pexips_rules(key: bytes, text: str, nonce: bytes) -> None:
    """Digits only, equally long, within Pexip's 4 to 20, different, and always the same ones."""
    for pins in (Keyring(key).room_pins(text), Keyring(key).sign(text, NOON, nonce).pins):
        for pin in pins:
            assert pin.isascii()
            assert pin.isdecimal()
            assert len(pin) == PIN_DIGITS
        assert pins.host != pins.guest
    assert 4 <= PIN_DIGITS <= 20
    assert Keyring(key).room_pins(text) == Keyring(key).room_pins(text)
    assert Keyring(key).sign(text, NOON, nonce).pins == Keyring(key).sign(text, NOON, nonce).pins


def test_pins_differ_between_rooms_and_keys() -> None:
    """The PINs of one room say nothing about those of another, or about another key's."""
    rings = [Keyring(b"%032d" % count) for count in range(50)]
    pins = [pin for ring in rings for room in ("lobby", "desk", GOOD.id) for pin in ring.room_pins(room)]
    assert len(set(pins)) > 295
    assert {pin[0] for pin in pins} == set("0123456789")


def test_host_and_guest_differ_even_if_drawn_alike() -> None:
    """Where both halves of the digest point at the same PIN, the guest's moves on; none is out of range."""
    pairs = [RING.room_pins(str(room)) for room in range(2_000)]
    digests = [hmac.digest(derived(KEY, b"room pins"), str(room).encode(), "sha256") for room in range(2_000)]
    moved = 0
    for (host, guest), digest in zip(pairs, digests, strict=True):
        assert int(host) == int.from_bytes(digest[:16], "big") % 10**8
        drawn = int.from_bytes(digest[16:], "big") % (10**8 - 1)
        assert int(guest) == drawn + (drawn >= int(host))
        moved += int(guest) != drawn
    assert 500 < moved < 1_500


def test_pins_of_a_room_without_a_call_come_from_the_current_key() -> None:
    """A room's name has no key of its own, so its PINs change with the current key."""
    assert Keyring(KEY, (OTHER_KEY,)).room_pins("lobby") == RING.room_pins("lobby")
    assert Keyring(OTHER_KEY, (KEY,)).room_pins("lobby") != RING.room_pins("lobby")


@pytest.mark.parametrize("length", [0, 3, 5, 32])
def test_nonce_of_another_length_is_refused(length: int) -> None:
    """A nonce that is too short would repeat, and one that is too long would not fit."""
    with pytest.raises(ValueError, match=f"a call's nonce has 4 bytes, not {length}"):
        RING.sign(TYPE, NOON, bytes(length))


@pytest.mark.parametrize(
    "expires_at",
    [
        pytest.param(datetime(1969, 12, 31, 23, 59, tzinfo=UTC), id="before 1970"),
        pytest.param(LAST_EXPIRY + timedelta(microseconds=1), id="after the last minute"),
        pytest.param(LAST_EXPIRY.replace(tzinfo=timezone(timedelta(hours=-5))), id="too late in another zone"),
        pytest.param(datetime(9999, 12, 31, 23, 59, tzinfo=UTC), id="year 9999"),
    ],
)
def test_expiry_out_of_range_is_refused(expires_at: datetime) -> None:
    """A name holds expiries of five centuries from 1970 on and never wraps around."""
    with pytest.raises(ValueError, match="choose a time from 1970 to 2479"):
        RING.sign(TYPE, expires_at, NONCE)


@pytest.mark.parametrize(
    "expires_at",
    [datetime(1970, 1, 1, tzinfo=UTC), datetime(2479, 12, 31, 23, 59, tzinfo=UTC), LAST_EXPIRY],
    ids=["first", "last of the years that messages name", "last"],
)
def test_ends_of_the_range_are_held(expires_at: datetime) -> None:
    """The first and the last minute can be signed and read."""
    call = opened(RING, RING.sign(TYPE, expires_at, NONCE).session)
    assert call is not None
    assert (call.expires_at, call.opens_at) == (expires_at, None)


def test_times_without_zone_are_refused() -> None:
    """A time without zone would mean another moment on every machine."""
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="needs a time zone"):
        RING.sign(TYPE, naive, NONCE)
    with pytest.raises(ValueError, match="needs a time zone"):
        RING.sign(TYPE, NOON, NONCE, naive)
    with pytest.raises(ValueError, match="needs a time zone"):
        GOOD.state(naive)


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
    assert Keyring.from_text(f"{text}\n", [f" {OTHER_KEY.decode()}"]).sign(TYPE, NOON, NONCE) == GOOD
    assert opened(Keyring.from_text(OTHER_KEY.decode(), [f"{text}\n"]), GOOD.session) is not None


def test_keyring_never_shows_keys() -> None:
    """Its text form has key numbers, which every name carries in the clear, and nothing else."""
    ring = Keyring(KEY, (OTHER_KEY,))
    assert (
        repr(ring)
        == str(ring)
        == f"<Keyring signs with key {key_number(KEY)}, also verifies [{key_number(OTHER_KEY)}]>"
    )


def test_a_call_shows_no_name_that_opens_a_door() -> None:
    """The text form of a call, which may reach a log, has neither key, session nor agent key, nor a PIN."""
    shown = f"{GOOD!r} {GOOD} {GOOD._key!r}"
    for secret in (GOOD.session, GOOD.agent, *GOOD.pins, repr(derived(KEY, b"name signature")), repr(GOOD._signed)):
        assert secret not in shown


def test_keyring_is_immutable() -> None:
    """Nobody changes keys under a running request."""
    with pytest.raises(AttributeError, match="immutable"):
        RING._current = RING._current
    with pytest.raises(AttributeError, match="immutable"):
        del RING._current


def test_refusing_an_unknown_key_number_is_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a key number that nobody has is compared like any forgery, not refused at a glance."""
    compared: list[int] = []
    compare = hmac.compare_digest

    def count(expected: bytes, given: bytes) -> bool:
        compared.append(len(expected))
        return compare(expected, given)

    monkeypatch.setattr(hmac, "compare_digest", count)
    for number in range(16):
        for role in Role:
            opened(RING, forged(2 << 4 | number, key=OTHER_KEY, role=role), role, TYPE)
    assert compared == [10] * 16 * len(Role)


def test_refusing_is_the_same_work_whatever_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every link type is compared, the one that fits first or last."""
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def count(expected: bytes, given: bytes) -> bool:
        compared.append(given)
        return compare(expected, given)

    monkeypatch.setattr(hmac, "compare_digest", count)
    for types in ((TYPE, "b", "c"), ("b", "c", TYPE), ("b", "c", "d")):
        opened(RING, GOOD.session, Role.SESSION, *types)
    assert len(compared) == 9
