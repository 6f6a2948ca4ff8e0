"""The one place where a written phone number becomes E.164."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

_MAX_SHOWN = 60
_E164_DIGITS = 15
# Digits of any script, plus signs and the punctuation people group digits with.
_WRITTEN = re.compile(
    r"[\s(\[\uFF08]*[+\uFF0B]?[\d\s().\[\]/~\u2010-\u2015\u2212\u2060\u30FC\uFF08\uFF09\uFF0D-\uFF0F-]+"
)
_DIALLED = re.compile(r"\+[1-9][0-9]{1,14}(?![0-9])")
# What people write for a country whose ISO code is another.
# Countries that are tried for a number in national format, and how many a message names.
_OFTEN_MEANT = (
    *("US", "GB", "DE", "FR", "CH", "AT", "IT", "ES", "NL", "BE", "IE", "SE", "NO", "DK", "FI", "PL", "PT"),
    *("AU", "NZ", "IN", "JP", "SG", "BR", "MX", "ZA"),
)
_MOST_COUNTRIES = 3
_COMMON_MISTAKES = {"UK": "GB", "EL": "GR", "SU": "RU"}


class NumberFault(ValueError):  # noqa: N818  a fault is a finding about what an admin wrote
    """A text that is no dialable number; `field` says which value is to be corrected."""

    def __init__(self, message: str, field: Literal["number", "region"] = "number") -> None:
        super().__init__(message)
        self.field: Literal["number", "region"] = field


def parse_number(text: str, region: str | None = None, likely: Iterable[str] = ()) -> str:
    """Return a phone number as E.164, for example `+13129998045`.

    `region` is the two-letter country (ISO 3166) whose national format the text may use; a number that
    begins with `+` does not need it. Numbers must be *possible*, that is, have a length that their
    country uses. They need not be assigned to anybody: fictional 555 numbers and ranges opened after
    the number tables were published are accepted.

    Raises `NumberFault` with a message for the person who wrote the number. `likely` are countries that
    the message tries first where the text needs one.
    """
    country = None if region is None else parse_region(region)
    shown = _show(text)
    written = text.strip()
    if written[:4].lower() == "tel:":
        written = written[4:]
    try:
        number = phonenumbers.parse(written, country)
    except NumberParseException as fault:
        raise NumberFault(_explain_unreadable(fault, written, shown, country, likely)) from None
    if number.extension:
        raise NumberFault(
            f"{shown} has an extension ('{number.extension}'), which a trunk number cannot carry: "
            "write the number without it"
        )
    if not _WRITTEN.fullmatch(written):
        raise NumberFault(_explain_characters(written, shown))
    _check_length(number, shown)
    parsed = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if len(parsed) - 1 > _E164_DIGITS:
        raise NumberFault(f"{shown} is too long: {parsed} has {len(parsed) - 1} digits and E.164 allows {_E164_DIGITS}")
    if not _reads_as_itself(parsed):
        raise NumberFault(
            f"{shown} can be read in more than one way: write '+', the country code and the number, "
            "without trunk prefixes such as a leading 0 or 1"
        )
    return parsed


@lru_cache(maxsize=1024)
def number_in(user: str) -> str:
    """Return the E.164 number in the user part of what was dialled, also behind a dial prefix: `99+13129998045`.

    `""` where there is none, and where it would have to be guessed because the `+` is missing. Calls go to few numbers again and
    again, and reading one takes long: those that were read lately are remembered.
    """
    found = _DIALLED.search(user)
    try:
        return parse_number(found[0]) if found else ""
    except NumberFault:
        return ""


def parse_region(region: str, what: str = "region") -> str:
    """Return a country as ISO 3166 writes it. Raises `NumberFault`, with the nearest; `what` is what it calls the value."""
    country = region.strip().upper()
    if country in phonenumbers.SUPPORTED_REGIONS:
        return country
    nearest = _COMMON_MISTAKES.get(country)
    if nearest is None:
        found = get_close_matches(country, sorted(phonenumbers.SUPPORTED_REGIONS), n=1)
        nearest = found[0] if found else None
    hint = f" (did you mean '{nearest}'?)" if nearest else ""
    raise NumberFault(
        f"{what} must be a two-letter country code such as US or GB but is {_show(region)}{hint}", "region"
    )


def _check_length(number: phonenumbers.PhoneNumber, shown: str) -> None:
    of_country = f"for country code +{number.country_code}"
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.IS_POSSIBLE:
            return
        case ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            raise NumberFault(f"{shown} has no area code: write the whole number")
        case ValidationResult.TOO_SHORT:
            raise NumberFault(f"{shown} is too short to be a phone number {of_country}")
        case ValidationResult.TOO_LONG:
            raise NumberFault(f"{shown} is too long to be a phone number {of_country}")
        case _:
            raise NumberFault(f"{shown} does not have the length of a phone number {of_country}")


def region_of(number: str) -> str:
    """Return the country of an E.164 number, or `""` where it has none or many."""
    found = phonenumbers.region_code_for_number(phonenumbers.parse(number, None))
    return found if found in phonenumbers.SUPPORTED_REGIONS else ""


def possible_regions(number: str) -> tuple[str, ...]:
    """Return the countries that an E.164 number may be of: its own, or where the tables do not know it all of its code."""
    region = region_of(number)
    if region:
        return (region,)
    code = phonenumbers.parse(number, None).country_code
    return tuple(each for each in phonenumbers.region_codes_for_country_code(code or 0) if each != "001")


def is_premium_rate(number: str) -> bool:
    """Return whether calls to an E.164 number are charged for by whoever is called."""
    return phonenumbers.number_type(phonenumbers.parse(number, None)) == phonenumbers.PhoneNumberType.PREMIUM_RATE


def _explain_unreadable(
    fault: NumberParseException, written: str, shown: str, country: str | None, likely: Iterable[str]
) -> str:
    kind = fault.error_type
    international = written.lstrip().startswith(("+", "\uff0b"))
    if kind == NumberParseException.INVALID_COUNTRY_CODE and country is None and not international:
        return f"{shown} is in national format, which needs the country: {_countries(written, likely)}"
    if kind == NumberParseException.INVALID_COUNTRY_CODE:
        return f"{shown} begins with a country code that does not exist"
    if kind == NumberParseException.TOO_LONG:
        return f"{shown} is too long to be a phone number"
    if kind in (NumberParseException.TOO_SHORT_AFTER_IDD, NumberParseException.TOO_SHORT_NSN):
        return f"{shown} is too short to be a phone number"
    if _is_address(written):
        return _explain_characters(written, shown)
    return f"{shown} is not a phone number: write it like '+1 312 555 0100'"


def _countries(written: str, likely: Iterable[str]) -> str:
    """Say how a number without country may be meant: with a country code that lacks its +, or in which countries."""
    whole = _international(f"+{written.strip()}", None)
    if whole:
        return f"write '{whole}', or add the region that it is of, such as `region: US`"
    found: list[str] = []
    for country in dict.fromkeys((*likely, *_OFTEN_MEANT)):
        number = _international(written, country)
        if number and len(found) < _MOST_COUNTRIES:
            found.append(f"`region: {country}` for '{number}'")
    regions = ", ".join(found or ["`region: US`", "`region: GB`"])
    return f"add {regions} or another, or write the number with + and the country code"


def _international(written: str, country: str | None) -> str:
    """Return a number as people write it abroad; `""` unless it is one that can be given out in that country."""
    try:
        number = phonenumbers.parse(written, country)
    except NumberParseException:
        return ""
    good = phonenumbers.is_valid_number(number) and not number.extension and _WRITTEN.fullmatch(written)
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL) if good else ""


def _explain_characters(written: str, shown: str) -> str:
    if _is_address(written):
        return f"{shown} is an address, not a phone number: write only the number, like '+1 312 555 0100'"
    if any(character.isalpha() for character in written):
        return f"{shown} has letters in it: write the digits that they stand for"
    return f"{shown} has characters that do not belong in a phone number: write it like '+1 312 555 0100'"


def _is_address(written: str) -> bool:
    return ";" in written or "@" in written


def _reads_as_itself(number: str) -> bool:
    try:
        again = phonenumbers.parse(number, None)
    except NumberParseException:
        return False
    return phonenumbers.is_possible_number(again) and (
        phonenumbers.format_number(again, PhoneNumberFormat.E164) == number
    )


def _show(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")
