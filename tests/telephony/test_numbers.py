"""Phone numbers as admins write them become E.164, or a message says what to write instead."""

import re
from contextlib import suppress

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.telephony.numbers import NumberFault, parse_number, region_of

REGIONS = st.sampled_from(["US", "GB", "DE", "IT", "BR", "AR", "MX", "FR", "RU", "JP", "AU", "KZ", None])


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        pytest.param("+1 312 999 8045", None, "+13129998045", id="unassigned exchange"),
        pytest.param("(312) 555-0100", "US", "+13125550100", id="fictional 555 number"),
        pytest.param("  +1-312-555-0100 ", None, "+13125550100", id="surrounding space"),
        pytest.param("1 312 555 0100", "US", "+13125550100", id="national prefix"),
        pytest.param("312.555.0100", " us ", "+13125550100", id="region in lower case"),
        pytest.param("+44 (0)20 7946 0958", None, "+442079460958", id="optional trunk zero"),
        pytest.param("(+44) 20 7946 0958", None, "+442079460958", id="plus in brackets"),
        pytest.param("020 7946 0958", "GB", "+442079460958", id="trunk zero"),
        pytest.param("00 1 312 555 0100", "GB", "+13125550100", id="international prefix of the region"),
        pytest.param("+44 20 7946 0958", "US", "+442079460958", id="plus beats the region"),
        pytest.param("+39 06 1234567", None, "+39061234567", id="Italian zero stays"),
        pytest.param("tel:+1-312-555-0100", None, "+13125550100", id="tel URI"),
        pytest.param("٠٢٠ ٧٩٤٦ ٠٩٥٨", "GB", "+442079460958", id="Arabic-Indic digits"),
        pytest.param("\uff0b1 312 555 0100", None, "+13125550100", id="full-width plus"),
        pytest.param("+1 312\u2013555\u20130100", None, "+13125550100", id="en dashes"),
        pytest.param("+800 1234 5678", None, "+80012345678", id="international freephone"),
    ],
)
def test_number_is_read(text: str, region: str | None, expected: str) -> None:
    """Whatever way a dialable number is written, it becomes the same E.164."""
    assert parse_number(text, region) == expected


@pytest.mark.parametrize(
    ("text", "region", "message"),
    [
        pytest.param(
            "(312) 555-0100",
            None,
            "'(312) 555-0100' is in national format, which needs the country: add `region: US` for '+1 312-555-0100', "
            "`region: AT` for '+43 3125 550100', `region: IT` for '+39 312 555 0100' or another, or write the number with "
            "+ and the country code",
            id="national format without region",
        ),
        pytest.param(
            "9",
            None,
            "'9' is not a phone number: write it like '+1 312 555 0100'",
            id="one digit",
        ),
        pytest.param(
            "999 999",
            None,
            "'999 999' is in national format, which needs the country: add `region: US`, `region: GB` or another, or "
            "write the number with + and the country code",
            id="national format of no country",
        ),
        pytest.param(
            "41 44 668 18 00",
            None,
            "'41 44 668 18 00' is in national format, which needs the country: write '+41 44 668 18 00', or add the "
            "region that it is of, such as `region: US`",
            id="country code without plus",
        ),
        pytest.param(
            "+1 312 555 0100 ext. 5",
            None,
            "'+1 312 555 0100 ext. 5' has an extension ('5'), which a trunk number cannot carry: "
            "write the number without it",
            id="extension",
        ),
        pytest.param(
            "312 555 0100 x12",
            "US",
            "'312 555 0100 x12' has an extension ('12'), which a trunk number cannot carry: "
            "write the number without it",
            id="extension after x",
        ),
        pytest.param(
            "1-800-FLOWERS",
            "US",
            "'1-800-FLOWERS' has letters in it: write the digits that they stand for",
            id="vanity number",
        ),
        pytest.param(
            "+999 123 4567", None, "'+999 123 4567' begins with a country code that does not exist", id="country code"
        ),
        pytest.param("+1 312", None, "'+1 312' is too short to be a phone number for country code +1", id="too short"),
        pytest.param(
            "+1 312 555 0100 123",
            None,
            "'+1 312 555 0100 123' is too long to be a phone number for country code +1",
            id="too long for the country",
        ),
        pytest.param("555-0100", "US", "'555-0100' has no area code: write the whole number", id="local number"),
        pytest.param("+", None, "'+' is not a phone number: write it like '+1 312 555 0100'", id="plus alone"),
        pytest.param("", None, "'' is not a phone number: write it like '+1 312 555 0100'", id="empty"),
        pytest.param("clinic", "US", "'clinic' is not a phone number: write it like '+1 312 555 0100'", id="a word"),
        pytest.param(
            "+1 312 555 0100\x00",
            None,
            "'+1 312 555 0100\\x00' has characters that do not belong in a phone number: "
            "write it like '+1 312 555 0100'",
            id="control character",
        ),
        pytest.param(
            "+13125550100;tgrp=x",
            None,
            "'+13125550100;tgrp=x' is an address, not a phone number: write only the number, like '+1 312 555 0100'",
            id="parameters",
        ),
        pytest.param(
            "+46 00 619501",
            None,
            "'+46 00 619501' can be read in more than one way: write '+', the country code and the number, "
            "without trunk prefixes such as a leading 0 or 1",
            id="trunk prefix twice",
        ),
        pytest.param(
            "+49 512345678901234",
            None,
            "'+49 512345678901234' is too long: +49512345678901234 has 17 digits and E.164 allows 15",
            id="too long for E.164",
        ),
        pytest.param("1" * 300, "US", f"'{'1' * 60}…' is too long to be a phone number", id="300 digits"),
    ],
)
def test_fault_says_what_to_write(text: str, region: str | None, message: str) -> None:
    """A text that is no dialable number is refused with the value and the remedy."""
    with pytest.raises(NumberFault) as fault:
        parse_number(text, region)
    assert (str(fault.value), fault.value.field) == (message, "number")


@pytest.mark.parametrize(
    ("region", "hint"),
    [
        pytest.param("USA", " (did you mean 'US'?)", id="three letters"),
        pytest.param("UK", " (did you mean 'GB'?)", id="common mistake"),
        pytest.param("Ruritania", "", id="nothing near"),
        pytest.param("", "", id="empty"),
    ],
)
def test_unknown_region_names_the_nearest(region: str, hint: str) -> None:
    """A region that does not exist is refused even where the number would not need it."""
    with pytest.raises(NumberFault) as fault:
        parse_number("+1 312 555 0100", region)
    expected = f"region must be a two-letter country code such as US or GB but is '{region}'{hint}"
    assert (str(fault.value), fault.value.field) == (expected, "region")


@given(text=st.from_regex(r"\+?[0-9 ().-]{4,20}", fullmatch=True), region=REGIONS)
def test_parsing_is_idempotent(text: str, region: str | None) -> None:
    """A parsed number parses to itself, with and without any region."""
    try:
        number = parse_number(text, region)
    except NumberFault:
        return
    assert parse_number(number) == number
    assert parse_number(number, region) == number


@given(
    country=st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)),
    national=st.integers(min_value=10**5, max_value=10**12),
)
def test_parsing_is_idempotent_for_every_country_code(country: int, national: int) -> None:
    """Numbers of every country code that are accepted stay what they are and fit E.164."""
    try:
        number = parse_number(f"+{country} {national}")
    except NumberFault:
        return
    assert parse_number(number) == number
    assert number[0] == "+"
    assert number[1:].isdecimal()
    assert number.isascii()
    assert len(number) <= 16


@given(text=st.text(max_size=300), region=st.none() | st.text(max_size=4))
def test_any_text_is_a_number_or_a_fault(text: str, region: str | None) -> None:
    """No text makes the parser fail in any other way than with a message."""
    with suppress(NumberFault):
        number = parse_number(text, region)
        assert parse_number(number) == number


@pytest.mark.parametrize(
    ("text", "likely", "first"),
    [
        ("044 668 18 00", ["CH"], "add `region: CH` for '+41 44 668 18 00',"),
        ("089 12345678", ["CH", "DE"], "add `region: DE` for '+49 89 12345678',"),
        ("020 7946 0958", [], "add `region: GB` for '+44 20 7946 0958',"),
    ],
)
def test_the_likely_countries_of_a_number_come_first(text: str, likely: list[str], first: str) -> None:
    """A number without country is shown as it would be in a country that is likely, if it can be one there."""
    with pytest.raises(NumberFault, match=re.escape(first)):
        parse_number(text, likely=likely)


@pytest.mark.parametrize(("number", "region"), [("+13125550100", "US"), ("+41446681800", "CH"), ("+80012345678", "")])
def test_the_country_of_a_number(number: str, region: str) -> None:
    """A number of one country tells which; a freephone number of the world is of none."""
    assert region_of(number) == region
