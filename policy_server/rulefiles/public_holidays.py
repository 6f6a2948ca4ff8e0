"""Public holidays of a country or a part of it, from the library ``holidays``.

Importing it takes as long as reading hundreds of rules, so this module is imported where a rule file asks for it.
"""

import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from typing import Final

from holidays import country_holidays, list_supported_countries
from holidays.registry import COUNTRIES

from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean, nearest

YEARS_AROUND: Final = 30
"""Holidays are looked up when rules load, for so many years before and after that: no server runs longer without a
restart. `policy-server calendar` loads the rules for the days that it is asked about."""


def country_fault(country: str) -> str | None:
    """What is wrong with a country code, with the nearest and all that there are; ``None`` when it is one."""
    codes = sorted(list_supported_countries(include_aliases=False))
    if country in codes:
        return None
    known = set(codes)
    names = {name: code for words in COUNTRIES.values() for name in words for code in words if code in known}
    return (
        f"country must be a code but is {shown(country)}{_meant(country, codes, names)}; there are {', '.join(codes)}"
    )


def subdivision_fault(country: str, subdivision: str) -> str | None:
    """What is wrong with a part of a country, with the nearest and all that there are; ``None`` when it is one."""
    found = country_holidays(country)
    if subdivision in found.subdivisions:
        return None
    if not found.subdivisions:
        return f"holidays of {country} are the same everywhere, so there is no {shown(subdivision)}; remove subdivision"
    names: Mapping[str, str] = getattr(found, "subdivisions_aliases", {})
    meant = _meant(subdivision, found.subdivisions, names)
    return (
        f"subdivision must be a part of {country} but is {shown(subdivision)}{meant}; "
        f"there are {', '.join(found.subdivisions)}"
    )


@cache
def public_holidays(country: str, subdivision: str | None, year: int) -> tuple[tuple[date, str], ...]:
    """The holidays of the years around one, in order, in English where the library has them in English."""
    empty = country_holidays(country)
    # Without a language the library takes that of the machine.
    language = "en_US" if "en_US" in empty.supported_languages else empty.default_language
    with warnings.catch_warnings():
        # The library says so where it knows some holidays of these years and not others.
        warnings.simplefilter("ignore")
        found = country_holidays(
            country,
            subdiv=subdivision,
            years=range(year - YEARS_AROUND, year + YEARS_AROUND + 1),
            language=language,
        )
    return tuple(sorted(found.items()))


def _meant(word: str, codes: Iterable[str], names: Mapping[str, str]) -> str:
    """Asks for the code that was probably meant by a name in any spelling, or by a code that is nearly right."""
    spelled = {_spelling(name): code for name, code in names.items()} | {_spelling(code): code for code in codes}
    wanted = _spelling(word)
    name = wanted if wanted in spelled else None
    if name is None and len(wanted) > 3:
        name = nearest(wanted, spelled)
    return did_you_mean(word, codes) if name is None else f" (did you mean {shown(spelled[name])}?)"


def _spelling(name: str) -> str:
    """A name without accents, capitals, spaces and signs."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", name).lower() if letter.isalnum())
