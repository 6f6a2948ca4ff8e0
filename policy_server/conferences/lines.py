"""The lines of a timeline, as answers have them: what was noted, and what nodes tell, in order."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import repeat
from operator import itemgetter
from typing import Annotated, Final

from typing_extensions import TypedDict

from policy_server.conferences.finished import Finished
from policy_server.conferences.fold import Chronicle
from policy_server.conferences.records import TimelineEntry
from policy_server.conferences.shapes import Time, believed_until, means, stamp
from policy_server.conferences.timeline import Kind, TimelineEvent, TimelineEvents
from policy_server.pexip.field_facts import masked


class TimelineLine(TypedDict):
    """One thing that happened."""

    at: Annotated[Time, means("When.", "2026-11-23T16:05:02.000+00:00")]
    kind: Annotated[
        str,
        means(
            f"What, in a stable word such as `{Kind.LINK_CREATED}`, `{Kind.POLICY_ANSWERED}`, `{Kind.AGENT_LOOKED_UP}`, "
            f"`{Kind.JOINED}`.",
            Kind.JOINED.value,
        ),
    ]
    text: Annotated[str, means("What, in a sentence; may be empty.", "Ada L joined as Guest.")]
    data: Annotated[
        dict[str, object],
        means("The details, which differ by kind. PINs are masked.", {"uuid": "a0ed2c58-f45b-4d96-a1cb-89812ec938ea"}),
    ]


class Lines:
    """The lines of one conference's timeline, each made once for as long as what it tells of stands."""

    def __init__(self) -> None:
        self._events: Final = TimelineEvents()
        self._of_events: Final = Finished(_happened)
        self._of_entries: Final = Finished(_noted)

    def of(
        self,
        entries: Iterable[TimelineEntry],
        told: Chronicle,
        arrived: datetime,
        joining: Mapping[str, str],
        only: str = "",
    ) -> Sequence[TimelineLine]:
        """All lines in order. Nodes' last message ``arrived`` then; the rest is as ``TimelineEvents.of`` has it."""
        events = self._events.of(told, joining, only)
        latest = believed_until(arrived)
        happened = self._of_events.each((event, arrived if event.time > latest else None) for event in events)
        lines = [*self._of_entries.each(zip(entries, repeat(None), strict=False)), *happened]
        lines.sort(key=_AT)
        return [line for _, line in lines]


_AT: Final = itemgetter(0)


def _noted(entry: TimelineEntry, _: None) -> tuple[datetime, TimelineLine]:
    data = masked(entry.data)
    text = str(data.pop("text", ""))
    return entry.at, {"at": stamp(entry.at), "kind": entry.kind, "text": text, "data": data}


def _happened(event: TimelineEvent, arrived: datetime | None) -> tuple[datetime, TimelineLine]:
    """``arrived`` takes the place of a time that is hours ahead of it. What nodes tell of people and legs has no secrets."""
    at = arrived or datetime.fromtimestamp(event.time, UTC)
    return at, {"at": stamp(at), "kind": event.kind, "text": event.text, "data": dict(event.data)}
