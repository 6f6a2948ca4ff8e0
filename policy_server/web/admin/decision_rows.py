"""Decisions as rows of a table, and which of them somebody wants to see."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar, get_args
from urllib.parse import urlencode

from policy_server.pexip.parameters import PARAMETERS, PATH_ALIAS
from policy_server.pexip.request_types import RequestType
from policy_server.policy.decisions import Decision
from policy_server.web.answered import Failed
from policy_server.web.callers import address_of
from policy_server.web.recent_decisions import Kept, RecentDecisions, RefusedCaller
from policy_server.wording.moments import parse_moment
from policy_server.wording.values import shown

ROWS: Final = 100
"""Decisions that the table begins with."""

LONGEST: Final = 250
"""Characters of a cell."""

LONGEST_FILTER: Final = 100

REFUSED: Final = "refused"
OUTCOMES: Final = (*dict.fromkeys(kind.word for kind in get_args(Decision)), "misunderstood", "error", REFUSED)
DIRECTIONS: Final = PARAMETERS["call_direction"].choices
QUESTIONS: Final = tuple(kind.value for kind in RequestType)

_CHOICES: Final = {"question": QUESTIONS, "direction": DIRECTIONS, "outcome": OUTCOMES}
_TIMES: Final = ("%H:%M", "%H:%M:%S")

T = TypeVar("T")


class Row(NamedTuple):
    """One decision, nothing in it that opens a door: ``call`` is the id of its call, ``time`` is ISO 8601 in UTC, ``detail`` why
    there is no better outcome.
    """

    id: str
    time: str
    node: str
    location: str
    question: str
    direction: str
    alias: str
    call: str
    rule: str
    outcome: str
    ms: float | None
    detail: str


def row_of(recent: RecentDecisions, kept: Kept | RefusedCaller) -> Row:
    """The row of what was kept."""
    time = kept.at.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(kept, RefusedCaller):
        detail = f"{kept.reason}, at {kept.door}"
        return Row(kept.decision_id, time, kept.address, "", "", "", "", "", "", REFUSED, None, detail)
    about, node, ms = kept.about, address_of(kept.client), round(kept.seconds * 1000, 2)
    if isinstance(about, Failed):
        alias, reason = (recent.text(kept, text)[:LONGEST] for text in (kept.alias, about.reason))
        return Row(kept.decision_id, time, node, "", kept.type.value, "", alias, "", "", about.outcome, ms, reason)
    request, decision = about.request, about.settled.decision
    alias = request.text("local_alias") or request.text(PATH_ALIAS.name) or request.text("remote_alias")
    carried = about.carried
    return Row(
        kept.decision_id,
        time,
        node,
        request.text("location")[:LONGEST],
        kept.type.value,
        request.text("call_direction")[:LONGEST],
        recent.text(kept, alias)[:LONGEST],
        about.settled.call,
        decision.rule or "",
        decision.word,
        ms,
        f"by {carried.upstream}: {carried.how.value}" if carried is not None else "",
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions somebody wants to see: those that have each text somewhere in its column, without case (the alias also in
    their call id), are of what is chosen, took so many milliseconds or more, and were made between two times.
    """

    node: str = ""
    location: str = ""
    alias: str = ""
    rule: str = ""
    question: str = ""
    direction: str = ""
    outcome: str = ""
    ms: str = ""
    since: str = ""
    until: str = ""

    @property
    def is_all(self) -> bool:
        """Whether every decision is wanted."""
        return not any(self.told().values())

    @property
    def url(self) -> str:
        """The query of the page that shows them."""
        return urlencode({name: text for name, text in self.told().items() if text})

    def told(self) -> dict[str, str]:
        """As JSON, for another process."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def fits(self, row: Row) -> bool:
        """Whether a decision is one of these."""
        return (
            all(not (text := getattr(self, name)) or text == getattr(row, name) for name in _CHOICES)
            and (not self.ms or (row.ms is not None and row.ms >= float(self.ms)))
            and (not self.since or row.time >= self.since)
            and (not self.until or row.time <= self.until)
            and all(not (text := getattr(self, name)) or text in getattr(row, name).lower() for name in _TEXTS)
            and (not self.alias or self.alias in row.alias.lower() or self.alias in row.call)
        )


_TEXTS: Final = ("node", "location", "rule")


def read_wanted(query: Mapping[str, str], now: datetime) -> tuple[Wanted, dict[str, str]]:
    """What a query asks for, and beside the names of parameters what is wrong with them; those count as absent."""
    faults: dict[str, str] = {}
    told = {each.name: query.get(each.name, "").strip()[:LONGEST_FILTER] for each in fields(Wanted)}
    for name in (*_TEXTS, "alias"):
        told[name] = told[name].lower()
    for name, choices in _CHOICES.items():
        if told[name] and told[name] not in choices:
            faults[name] = f"{shown(told[name])} is none of these"
    if told["ms"]:
        try:
            told["ms"] = f"{max(0.0, float(told['ms'])):g}"
        except ValueError:
            faults["ms"] = f"milliseconds are a number, and {shown(told['ms'])} is none"
    for name in ("since", "until"):
        if told[name]:
            moment = _moment(told[name], now)
            if moment is None:
                faults[name] = "a time is written 14:05, 14:05:30 (in UTC, today) or 2026-11-23T14:05:00Z"
            else:
                told[name] = moment.isoformat(timespec="milliseconds")
    return Wanted(**{name: text for name, text in told.items() if name not in faults}), faults


def _moment(text: str, now: datetime) -> datetime | None:
    for form in _TIMES:
        try:
            clock = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return datetime.combine(now.astimezone(UTC).date(), clock.timetz())
    moment = parse_moment(text)
    return moment.astimezone(UTC) if moment is not None else None


def fitting(recent: RecentDecisions, kept: Iterable[Kept | RefusedCaller], wanted: Wanted) -> Iterator[Row]:
    """The rows of those that are wanted."""
    for each in kept:
        row = row_of(recent, each)
        if wanted.is_all or wanted.fits(row):
            yield row


def sampled(things: Sequence[T], most: int) -> list[T]:
    """So many of some things at the most, evenly spread, the last one among them."""
    count = len(things)
    if count <= most:
        return list(things)
    return [things[(number + 1) * count // most - 1] for number in range(most)]
