"""One life of a room, from its hold to its end, without what was before and after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from policy_server.conferences.derived import dials_of
from policy_server.conferences.ending import Course, phase_of
from policy_server.conferences.fold import Phase
from policy_server.conferences.known import Known
from policy_server.conferences.lines import Lines
from policy_server.conferences.reader import CallSource, Reader
from policy_server.conferences.records import HeldConference, TimelineEntry
from policy_server.conferences.view import Conference, render
from policy_server.conferences.visit import Visit, visit_of
from policy_server.policy.names import Keyring, Role
from policy_server.policy.ruleset import Ruleset


@dataclass(frozen=True, slots=True, repr=False)
class Glimpse:
    """A room, and who came and went, before anything of it is put into words."""

    known: Known
    entries: Sequence[TimelineEntry]
    course: Course
    visit: Visit


@dataclass(frozen=True, slots=True, repr=False)
class Life:
    """A room as it is shown, and who came and went; ``link_type`` is that of its call, ``""`` without one, and ``arrived_at``
    when its nodes were last heard of.
    """

    held: HeldConference
    link_type: str
    answer: Conference
    visit: Visit
    arrived_at: datetime | None


def glimpse_of(reader: CallSource, held: HeldConference, ruleset: Ruleset, keyring: Keyring, now: datetime) -> Glimpse:
    """The life of a room that is held or was, whatever became of it since."""
    link = reader.link(held.call) if held.call else None
    opened = keyring.open(held.call, Role.CALL, dict.fromkeys((*ruleset.links, held.link_type)))
    link_type = ruleset.links.get(opened.type) if opened is not None else None
    is_joined = opened is not None and any(other.joins == opened.type for other in ruleset.links.values())
    joined_by = reader.joining(held.call) if is_joined else ()
    known = Known(held.call or held.name, link, held, opened, link_type, joined_by=joined_by)
    entries = [entry for key in dict.fromkeys(filter(None, (held.call, held.name))) for entry in reader.timeline(key)]
    if not held.call:
        over_at = held.ended_at or held.expires_at
        entries = [entry for entry in entries if held.held_at <= entry.at <= over_at]
    latest = reader.told_of(held).since(held.held_at)
    phase = phase_of(latest.phase, held, now)
    dials = bool(dials_of(known, ruleset, keyring, now))
    visit = visit_of(latest, entries, known.cast(ruleset.domains, dials=dials), is_ended=phase is Phase.ENDED)
    return Glimpse(known, entries, Course(latest, latest, phase), visit)


def life_of(reader: Reader, conference_id: str, ruleset: Ruleset, keyring: Keyring, now: datetime) -> Life | None:
    """The life of a room by the id of its conference, as it is shown; ``None`` if there is none."""
    held = reader.conference(conference_id)
    if held is None:
        return None
    seen = glimpse_of(reader, held, ruleset, keyring, now)
    known = seen.known
    answer = render(
        known,
        held.service,
        seen.entries,
        seen.course,
        seen.visit,
        Lines(),
        node="",
        now=now,
    )
    kind = known.opened.type if known.opened is not None else held.link_type
    return Life(held, kind, answer, seen.visit, seen.course.latest.arrived_at)
