"""Aliases have one form in which they are compared."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.pexip.aliases import bare_alias, folded, normalise_alias, original_stretch
from tests.policy.strategies import aliases

OURS = frozenset({"video.example.com", "example.org"})


@pytest.mark.parametrize(
    ("text", "alias"),
    [
        ("", ""),
        ("meet.bob", "meet.bob"),
        ("Meet.Bob", "meet.bob"),
        ("sip:meet.bob", "meet.bob"),
        ("SIPS:meet.bob", "meet.bob"),
        ("h323:meet.bob", "meet.bob"),
        ("sip:sip:meet.bob", "meet.bob"),
        ("sip: meet.bob ", "meet.bob"),
        ("tel:+1312", "tel:+1312"),
        ("sip:meet.bob@video.example.com;transport=tls", "meet.bob"),
        ("meet.bob;x=a?y", "meet.bob"),
        ("meet.bob?subject=a;b", "meet.bob"),
        ("Meet.Bob@VIDEO.Example.com", "meet.bob"),
        ("bob@example.org", "bob"),
        ("bob@example.com", "bob@example.com"),
        ("bob@sub.video.example.com", "bob@sub.video.example.com"),
        ("bob@video.example.com@example.org", "bob"),
        ("bob@example.org@other.com", "bob@example.org@other.com"),
        ("@video.example.com", ""),
        ("sip:bob@example.org:5060", "bob"),
        ("sip:bob@example.com:5061;transport=tls", "bob@example.com"),
        ("room:1", "room:1"),
        ("sip:", ""),
        (";transport=tls", ""),
        ("sip:99+13175551234@example.org", "99+13175551234"),
        ("ZOË", "zoë"),
        ("sip:bob@example.com:5060@example.org", "bob@example.com"),
        ("bob@example.com :5060", "bob@example.com"),
        ("İSTANBUL", "istanbul"),
        ("ΟΔΟΣ", "οδοσ"),
        ("οδος", "οδοσ"),
        ("\N{KELVIN SIGN}i\N{LATIN SMALL LETTER LONG S}", "kis"),
    ],
)
def test_normal_form(text: str, alias: str) -> None:
    """Scheme, parameters, case and our own domains do not count; a domain that is not ours does."""
    assert normalise_alias(text, OURS) == alias


def test_bare_alias_keeps_the_domain() -> None:
    """Without scheme and parameters, but with its domain: what a device registers."""
    assert bare_alias("sip:Kiosk-1@Video.Example.com;transport=tls") == "kiosk-1@video.example.com"
    assert normalise_alias("sip:Kiosk-1@Video.Example.com") == "kiosk-1@video.example.com"


@pytest.mark.slow
def test_folding_keeps_every_character_in_its_place() -> None:
    """Each character becomes one, the same whatever stands beside it, and folding again changes nothing."""
    for number in range(0x110000):
        character = chr(number)
        assert len(folded(character)) == 1
        assert folded(f"a{character} {character}b") == f"a{folded(character)} {folded(character)}b"
        assert folded(folded(character)) == folded(character)


@given(text=aliases | st.text(), data=st.data())
@settings(deadline=None)
def test_the_original_of_every_stretch_of_an_alias_is_known(text: str, data: st.DataObject) -> None:
    """Folding the original of a stretch gives the stretch."""
    alias = normalise_alias(text, OURS)
    begin = data.draw(st.integers(0, len(alias)))
    end = data.draw(st.integers(begin, len(alias)))
    assert folded(original_stretch(text, begin, end)) == alias[begin:end]


@given(text=aliases | st.text())
@settings(deadline=None)
def test_normalising_is_idempotent(text: str) -> None:
    """What is in normal form stays as it is, with and without domains."""
    assert bare_alias(bare_alias(text)) == bare_alias(text)
    assert normalise_alias(normalise_alias(text, OURS), OURS) == normalise_alias(text, OURS)
