"""What is asked of the page Calls: read as the API reads a question, with times by the clock of a place, and faults beside
the fields that have them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Final
from urllib.parse import urlencode

from policy_server.conferences.reader import BEGINNING
from policy_server.conferences.search import FURTHEST, PARAMETERS, SearchError, Wanted, read_wanted
from policy_server.policy.zones import parse_zone, zone_fault
from policy_server.wording.moments import SAID, parse_said
from policy_server.wording.values import shown

USUAL_TIME: Final = timedelta(hours=24)
"""How far back calls are looked for, unless somebody says."""

MOST_FIELDS: Final = 40
"""Parameters of a URL that are read."""

_SPANS: Final = (
    ("the last hour", timedelta(hours=1)),
    ("the last 24 hours", USUAL_TIME),
    ("the last 7 days", timedelta(days=7)),
    ("the last 30 days", timedelta(days=30)),
)
_TIMES: Final = ("since", "until")


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as it was asked for. ``texts`` are the fields as they were filled in, ``faults`` what is wrong with each;
    those of ``""`` belong to no field.
    """

    texts: Mapping[str, tuple[str, ...]]
    zone: tzinfo | None
    since: datetime
    until: datetime | None
    wanted: Wanted | None
    pairs: tuple[tuple[str, str], ...] = ()
    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """What a field has, ``""`` for nothing."""
        return next(iter(self.texts.get(name, ())), "")

    def blamed(self, name: str) -> tuple[str, ...]:
        """What is wrong with a field; with none of them by ``""``."""
        return self.faults.get(name, ())

    def url(self, **changed: str) -> str:
        """The query of this search with something else; an empty text takes a parameter away."""
        kept = [(name, text) for name, text in self.pairs if name not in changed]
        return urlencode([*kept, *((name, text) for name, text in changed.items() if text)])

    def spans(self, now: datetime) -> list[tuple[str, str]]:
        """Usual spans of time, each with the query of this search in it."""
        return [
            (name, self.url(since=_minute(now - length, self.zone), until="", cursor="")) for name, length in _SPANS
        ]


def read_zone(text: str) -> tuple[tzinfo | None, str]:
    """The zone of a page, ``None`` for this machine's, and what is wrong with it."""
    zone = parse_zone(text) if text else None
    return zone, zone_fault(text)[0] if text and zone is None else ""


def read_asked(parameters: Iterable[tuple[str, str]], now: datetime) -> Asked:
    """Reads the parameters of the page's URL. Fields that are empty ask for nothing."""
    given = [(name, text.strip()) for name, text in parameters if text.strip()][:MOST_FIELDS]
    texts: dict[str, tuple[str, ...]] = {}
    for name, text in given:
        texts[name] = (*texts.get(name, ()), text)
    faults: dict[str, tuple[str, ...]] = {}

    def blame(name: str, fault: str) -> None:
        faults[name] = (*faults.get(name, ()), fault)

    zone, fault = read_zone(next(iter(texts.get("zone", ())), ""))
    if fault:
        blame("zone", fault)
    read: dict[str, datetime] = {}
    for name in _TIMES:
        for text in texts.get(name, ())[:1]:
            at = parse_said(text, now, zone)
            if at is None:
                blame(name, f"must be {SAID} but is {shown(text)}")
            else:
                read[name] = min(max(at, BEGINNING), FURTHEST)
    since = read.get("since") or (read.get("until") or now) - USUAL_TIME
    if "until" in read and not faults and read["until"] <= since:
        blame("until", "must be later than the time from which on calls are looked for")
    question = [(name, text) for name, text in given if name != "zone" and name not in _TIMES]
    question += [(name, at.isoformat()) for name, at in {**read, "since": since}.items()]
    wanted = None
    try:
        wanted = read_wanted(question)
    except SearchError as error:
        for name, fault in error.faults:
            blame(name if name in PARAMETERS else "", fault.removeprefix(f"{name} "))
    kept = [*question, *(("zone", text) for text in texts.get("zone", ())[:1])]
    return Asked(texts, zone, since, read.get("until"), None if faults else wanted, tuple(kept), faults)


def _minute(at: datetime, zone: tzinfo | None) -> str:
    return at.astimezone(zone).replace(second=0, microsecond=0, tzinfo=None).isoformat(timespec="minutes")
