"""Time zones by the place whose clocks count, and the place that people mean who write something else.

Only places (and UTC) are taken. ``EST`` and ``Etc/GMT+5`` are zones of the database too, but without summer time, and
with the sign the other way round: calendars would be an hour off for half of the year.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

_MAX_SHOWN: Final = 60
_CONTINENTS: Final = frozenset({"africa", "america", "asia", "australia", "europe", "pacific"})
_LONGEST: Final = 120
"""Characters of what is looked at for a place: Outlook's names of zones have 60 and more."""

_NO_PLACES: Final = frozenset({"localtime", "posixrules", "Factory"})
_OFFSET: Final = re.compile(
    r"\(?(Etc/)?(?:UTC|GMT|Z)?\s*([+\N{MINUS SIGN}\N{EN DASH}-])\s*(\d{1,2})(?::?([0-5]\d))?h?\)?", re.IGNORECASE
)
_WORDS: Final = re.compile(r"[^\W\d_]+")
_PHRASES: Final = re.compile(rf"{_WORDS.pattern}(?:[ ._'-]{_WORDS.pattern})*")

_MEANT: Final[dict[str, str]] = {
    word: zone
    for zone, words in {
        "UTC": "z uct universal zulu",
        "Europe/London": "gmt bst greenwich uk britain england edinburgh manchester birmingham glasgow",
        "Europe/Dublin": "ireland",
        "Europe/Lisbon": "wet west western_european_time porto",
        "Europe/Berlin": "cet cest met mez mesz central_europe "
        "central_european_time mitteleuropaische_zeit germany deutschland munich munchen hamburg cologne koln frankfurt "
        "stuttgart dusseldorf leipzig",
        "Europe/Zurich": "switzerland schweiz suisse bern berne basel bale geneva geneve genf lausanne lugano luzern",
        "Europe/Vienna": "austria osterreich wien graz linz",
        "Europe/Paris": "france lyon marseille",
        "Europe/Rome": "italy roma rom milan milano mailand",
        "Europe/Madrid": "spain barcelona",
        "Europe/Amsterdam": "netherlands rotterdam hague",
        "Europe/Brussels": "belgium antwerp bruxelles brussel",
        "Europe/Copenhagen": "denmark kobenhavn",
        "Europe/Stockholm": "sweden gothenburg goteborg",
        "Europe/Oslo": "norway bergen",
        "Europe/Warsaw": "krakow warszawa",
        "Europe/Prague": "praha",
        "Europe/Athens": "eet eest eastern_european_time greece",
        "Europe/Moscow": "msk",
        "America/New_York": "et est edt est5edt eastern boston washington miami atlanta philadelphia",
        "America/Chicago": "ct cst cdt cst6cdt central dallas houston austin minneapolis",
        "America/Denver": "mt mst mdt mst7mdt mountain",
        "America/Los_Angeles": "pt pst pdt pst8pdt pacific seattle san_francisco san_diego las_vegas portland",
        "America/Anchorage": "akst akdt",
        "Pacific/Honolulu": "hst hawaii",
        "America/Toronto": "montreal ottawa",
        "America/Sao_Paulo": "brt brasilia rio rio_de_janeiro",
        "Africa/Johannesburg": "sast pretoria cape_town",
        "Asia/Dubai": "gst abu_dhabi",
        "Asia/Kolkata": "ist india mumbai delhi new_delhi bangalore bengaluru chennai hyderabad",
        "Asia/Shanghai": "china beijing shenzhen",
        "Asia/Hong_Kong": "hkt",
        "Asia/Singapore": "sgt",
        "Asia/Tokyo": "jst osaka",
        "Asia/Seoul": "kst",
        "Australia/Sydney": "aest aedt canberra",
        "Australia/Perth": "awst",
        "Australia/Adelaide": "acst acdt",
        "Pacific/Auckland": "nzst nzdt wellington",
    }.items()
    for word in words.split()
}
"""What people write for a place: abbreviations, countries, and cities that the database does not have."""

_WINDOWS: Final[dict[str, str]] = {
    f"{name} standard time".lower(): zone
    for name, zone in {
        "W. Europe": "Europe/Berlin",
        "Central Europe": "Europe/Budapest",
        "Central European": "Europe/Warsaw",
        "Romance": "Europe/Paris",
        "GMT": "Europe/London",
        "Greenwich": "Atlantic/Reykjavik",
        "E. Europe": "Europe/Chisinau",
        "FLE": "Europe/Kyiv",
        "GTB": "Europe/Bucharest",
        "Turkey": "Europe/Istanbul",
        "Russian": "Europe/Moscow",
        "Israel": "Asia/Jerusalem",
        "Arab": "Asia/Riyadh",
        "Arabian": "Asia/Dubai",
        "South Africa": "Africa/Johannesburg",
        "Egypt": "Africa/Cairo",
        "Eastern": "America/New_York",
        "US Eastern": "America/Indiana/Indianapolis",
        "Central": "America/Chicago",
        "Mountain": "America/Denver",
        "US Mountain": "America/Phoenix",
        "Pacific": "America/Los_Angeles",
        "Alaskan": "America/Anchorage",
        "Hawaiian": "Pacific/Honolulu",
        "Atlantic": "America/Halifax",
        "Newfoundland": "America/St_Johns",
        "Canada Central": "America/Regina",
        "Central Standard Time (Mexico)": "America/Mexico_City",
        "E. South America": "America/Sao_Paulo",
        "Argentina": "America/Argentina/Buenos_Aires",
        "SA Pacific": "America/Bogota",
        "Pacific SA": "America/Santiago",
        "India": "Asia/Kolkata",
        "China": "Asia/Shanghai",
        "Singapore": "Asia/Singapore",
        "Tokyo": "Asia/Tokyo",
        "Korea": "Asia/Seoul",
        "SE Asia": "Asia/Bangkok",
        "AUS Eastern": "Australia/Sydney",
        "E. Australia": "Australia/Brisbane",
        "W. Australia": "Australia/Perth",
        "Cen. Australia": "Australia/Adelaide",
        "New Zealand": "Pacific/Auckland",
    }.items()
}
"""Zones as Windows names them (Unicode CLDR, windowsZones)."""

_WELL_KNOWN: Final = (
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Europe/Moscow",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Halifax",
    "America/Sao_Paulo",
    "Pacific/Honolulu",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Sydney",
    "Pacific/Auckland",
)
"""Places that stand for an offset from UTC."""


def parse_zone(text: str) -> ZoneInfo | None:
    """The zone of a place by its name in the database, or UTC; ``None`` for anything else."""
    return ZoneInfo(text) if text in _places() else None


@cache
def zone_names() -> tuple[str, ...]:
    """All places that there are, by name."""
    return tuple(sorted(_places() - {"Etc/UTC"}))


def zone_fault(text: str) -> tuple[str, tuple[str, ...]]:
    """What is wrong with a text that is no place, for whoever wrote it, and the places that may be meant."""
    nearest = _nearest_zones(text)
    message = f"timezone must be a place like 'America/Chicago' but is {_show(text)}"
    if nearest and _OFFSET.fullmatch(text.strip()):
        message += ", which knows no summer time"
        others = f", or {nearest[1]!r} in summer" if nearest[1:] else ""
        return f"{message} (did you mean {nearest[0]!r}{others}?)", nearest
    return message + (f" (did you mean {nearest[0]!r}?)" if nearest else ""), nearest


def _show(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")


def _nearest_zones(text: str) -> tuple[str, ...]:
    """Up to three places that somebody may mean who writes a city, an abbreviation, an offset or a name of Windows."""
    if len(text) > _LONGEST:
        return ()
    if (offset := _OFFSET.fullmatch(text.strip())) is not None:
        inverted, sign, hours, minutes = offset.groups(default="")
        east = (sign == "+") is not bool(inverted)
        return _at_offset((1 if east else -1) * timedelta(hours=int(hours), minutes=int(minutes or 0)))
    wanted = _spelling(text)
    if (windows := _WINDOWS.get(text.strip().lower())) is not None:
        return (windows,)
    known = _spelled()
    # Outlook writes "(UTC+01:00) Amsterdam, Berlin, Bern", and others "CET/CEST".
    words = [*_PHRASES.findall(text), *_WORDS.findall(text)]
    for word in (wanted, wanted.rpartition("/")[2], *map(_spelling, words)):
        if word in known and not (word in {"utc", "gmt"} and word != wanted):
            return (known[word],)
    if wanted in _CONTINENTS:
        return ()
    found = (known[match] for match in get_close_matches(wanted, known, n=3, cutoff=0.65))
    return tuple(dict.fromkeys(found))


def _at_offset(offset: timedelta) -> tuple[str, ...]:
    """A place that has an offset in winter, or all year, and one that has it in summer."""
    winter, summer = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)
    found: list[str] = []
    for day in (winter, summer):
        found += [zone for zone in _WELL_KNOWN if day.astimezone(ZoneInfo(zone)).utcoffset() == offset][:1]
    return tuple(dict.fromkeys(found))


def _spelling(text: str) -> str:
    """A name without accents, capitals and spaces, ü and ue alike as u."""
    folded = unicodedata.normalize("NFKD", text.strip().replace(" ", "_").lower())
    letters = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return re.sub("(?<=[aou])e(?=[^aeiou])", "", letters.replace("ø", "o").replace("ß", "ss"))


@cache
def _places() -> frozenset[str]:
    places = (zone for zone in available_timezones() - _NO_PLACES if _spelling(zone) not in _MEANT)
    return frozenset(zone for zone in places if not zone.startswith(("Etc/", "GMT"))) | {"UTC", "Etc/UTC"}


@cache
def _spelled() -> dict[str, str]:
    """Every spelling of a place that is understood, and the place."""
    spelled: dict[str, str] = {}
    for zone in sorted(_places() - {"Etc/UTC"}):
        spelled.setdefault(_spelling(zone), zone)
        spelled.setdefault(_spelling(zone.rpartition("/")[2]), zone)
    return spelled | {_spelling(word): zone for word, zone in _MEANT.items()}
