"""Finding the conference that somebody asks for, whichever of its names they have (README.md: Agents)."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Concatenate, Final, ParamSpec, TypeVar

from policy_server.conferences.caller_names import caller_aliases, shown_users
from policy_server.conferences.derived import decided, derived, dials_of
from policy_server.conferences.ending import Course, course_in, course_of
from policy_server.conferences.fold import Phase
from policy_server.conferences.found import Found, Subject
from policy_server.conferences.holding import agents_aliases, entered, held_to, room_of
from policy_server.conferences.keeper import latest_of_call
from policy_server.conferences.known import Known
from policy_server.conferences.lines import Lines
from policy_server.conferences.live import Conferences
from policy_server.conferences.once import OnceAMinute
from policy_server.conferences.reader import BEGINNING, CallSource, Reader
from policy_server.conferences.records import HeldConference, TimelineEntry, alias_key
from policy_server.conferences.running import NotKept, RunningCalls
from policy_server.conferences.tables import NAME_LENGTH
from policy_server.conferences.timeline import agent_looked_up
from policy_server.conferences.view import Conference, render, room_name
from policy_server.conferences.visit import Cast, visit_of
from policy_server.light import light_dataclass
from policy_server.pexip.aliases import folded, normalise_alias
from policy_server.pexip.events import Event
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.decisions import Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.link_aliases import Entrance, read_alias
from policy_server.policy.names import NAME_LENGTH as CALL_LENGTH
from policy_server.policy.names import Keyring, Role
from policy_server.policy.ruleset import Rules, Ruleset
from policy_server.policy.services import LEGS

_CALL_ID: Final = re.compile(rf"[a-z2-7]{{{CALL_LENGTH}}}")
_NOTED_LIMIT: Final = 10_000

AT_ONCE: Final = 2
"""Lookups that are under way at a time; others wait their turn. All agents may ask at once, after a restart, and what nodes
ask comes first.
"""

SHOWN_LIMIT: Final = 1000
"""Conferences whose latest answer is kept for the others who watch them."""

FEW: Final = 30
"""Of these, how many may be kept although they do not run and nobody watches them: somebody may be about to."""

_NO_SERVICE: Final[Mapping[str, object]] = {}

Service = Mapping[str, object]

P = ParamSpec("P")
T = TypeVar("T")


@light_dataclass(frozen=True, slots=True)
class _Shown:
    """A conference as it was shown, and what that came from: what was known of it, the room by these rules (``made`` is what
    they decided when it began), who is who, and the lines of its timeline.
    """

    found: Found
    ruleset: Ruleset
    known: Known
    made: Serve | None
    service: Service
    cast: Cast
    lines: Lines

    def holds(self, running: RunningCalls, ruleset: Ruleset, now: datetime) -> bool:
        """Whether it would be shown so again. Raises NotKept when that is not known."""
        # What nobody holds depends on the hour.
        held = self.known.conference
        is_same = self.found.number == running.change_number(self.found.keys) and self.ruleset is ruleset
        return is_same and held is not None and now < held.expires_at

    def began_so(self, known: Known, ruleset: Ruleset) -> bool:
        """Whether what was decided when the room began is known by this already."""
        held, before = known.conference, self.known
        is_room = held is not None and before.conference is not None and held.id == before.conference.id
        of_rules = self.ruleset is ruleset and before.opened == known.opened
        return is_room and of_rules and before.link == known.link and before.joined == known.joined


class ConferenceLookup:
    """Looks conferences up. ``node`` is the Conferencing Node that widgets join, ``""`` when that is not configured.

    Takes the same steps for a conference that is not known as for one that is.
    """

    def __init__(
        self,
        conferences: Conferences,
        rules: Rules,
        keyring: Keyring,
        node: str,
        audit: Callable[..., None] = lambda *_, **__: None,
    ) -> None:
        self.conferences: Final = conferences
        self._rules: Final = rules
        self._keyring: Final = keyring
        self._node: Final = node
        self._noted: Final = OnceAMinute()
        self._turns: Final = asyncio.Semaphore(AT_ONCE)
        self._audit: Final = audit
        # What was looked up longest ago comes first.
        self._shown: Final[dict[Subject, _Shown]] = {}

    def subject_of(self, alias: str) -> Subject:
        """What an alias is about: a call id or an agents' alias, however it is spelt, also as a telephone system shows it.

        The customer's names open no lookup. Of what is too long for any alias the subject is ``""``, which nobody has.
        """
        if len(alias) > NAME_LENGTH:
            return Subject("")
        ruleset = self._rules.ruleset
        written = normalise_alias(alias, ruleset.domains)
        forms = [form for form in ruleset.alias_forms if form.entrance is Entrance.AGENT]
        # Nearly always it is written as it is.
        shown = (normalise_alias(each, ruleset.domains) for each in caller_aliases(alias))
        for each in chain((written,), shown):
            found = read_alias(forms, self._keyring, each)
            call = found.call_id if found is not None else each if _CALL_ID.fullmatch(each) else ""
            if call:
                weak = (f"{form.before}{call}{form.after}".lower() for form in forms if form.role is Role.CALL)
                return Subject(call, frozenset({call, *weak}))
        # A room without a call: by its name, or the alias that was dialled.
        return Subject(written, name=alias.strip())

    async def look_up(self, subject: Subject) -> Found | None:
        """The conference of a call that we signed or stored, or of a room that we served; ``None`` for any other.

        Raises StoreUnavailableError.
        """
        ruleset, now = self._rules.ruleset, self.conferences.clock()
        running, before = self.conferences.running, self._shown.pop(subject, None)
        try:
            # Worked out once for all who watch the conference.
            same = before is not None and before.holds(running, ruleset, now)
            shown = before if same else self._look_up(running, subject, ruleset, now, before)
        except NotKept:
            async with self._turns:
                with running.reading() as reading:
                    shown = await self.conferences.store.read(
                        lambda reader: self._look_up(reading.of(reader), subject, ruleset, now, before)
                    )
        if shown is None:
            return None
        self._shown[subject] = shown
        self._forget_oldest()
        return shown.found

    def _forget_oldest(self) -> None:
        """Forgets what was shown long ago of calls that are over, or of too many."""
        for _ in range(2 if len(self._shown) > FEW else 0):
            oldest = next(iter(self._shown))
            shown = self._shown.pop(oldest)
            if len(self._shown) < SHOWN_LIMIT and self.conferences.is_wanted(oldest.call):
                self._shown[oldest] = shown

    async def look_up_room(self, name: str) -> Conference | None:
        """The conference in a room by its name, also of a call that is over and whose names nobody has; else what was noted
        and told about the name. Raises StoreUnavailableError.
        """
        ruleset, now = self._rules.ruleset, self.conferences.clock()
        async with self._turns:
            return await self.conferences.store.read(self._look_up_room, name, ruleset, now)

    def _look_up(
        self, reader: CallSource, subject: Subject, ruleset: Ruleset, now: datetime, before: _Shown | None = None
    ) -> _Shown | None:
        # Read before what it stands for, so that whatever is written meanwhile counts as a change.
        number = reader.change_number((subject.call,))
        known = self._known(reader, subject, ruleset, now, before)
        if before is not None and before.ruleset is ruleset and before.known == known and known.conference is not None:
            # As it was when the room began.
            made, service, dials, cast = before.made, before.service, before.found.dials, before.cast
        else:
            is_known = before is not None and before.began_so(known, ruleset)
            made = before.made if before is not None and is_known else derived(known, ruleset, self._keyring, now)
            service, dials = self._service(known, made, ruleset, now), dials_of(known, ruleset, self._keyring, now)
            cast = known.cast(ruleset.domains, dials=bool(dials))
        room = room_name(service, known.call)
        keys = tuple(dict.fromkeys((subject.call, room)))
        if keys[1:]:
            number += reader.change_number(keys[1:])
        # What happened in the room of another call is on that one's timeline.
        entries = [entry for key in (keys[:1] if known.joins else keys) for entry in reader.timeline(key)]
        course = self._course(reader, subject, known, room, now)
        if known.opened is None and known.link is None and known.conference is None:
            return None
        # A link that joins a call is about the visit of that one's customer.
        keys_of_visit = dict.fromkeys((known.joins, room)) if known.joins else ()
        of_visit = [entry for key in keys_of_visit for entry in reader.timeline(key)] if known.joins else entries
        lines = before.lines if before is not None else Lines()
        answer = self._render(known, service, entries, course, of_visit, cast, lines, now)
        connected = sum(leg.connected_at is not None for _, leg in course.latest.trunk_legs)
        found = Found(known.call, keys, number, answer, dials, known.conference, connected)
        return _Shown(found, ruleset, known, made, service, cast, lines)

    def _look_up_room(self, reader: CallSource, name: str, ruleset: Ruleset, now: datetime) -> Conference | None:
        held = reader.holder(name, now)
        course = course_of(reader, held, now) if held is not None else course_in(reader, name, BEGINNING)
        call = held.call if held is not None else self._call_of_room(ruleset, name, course.whole.events, now)
        shown = self._look_up(reader, Subject(call), ruleset, now) if call else None
        if shown is not None and shown.found.answer["name"] == name:
            return shown.found.answer
        if held is not None:
            return self.of_room(reader, held, ruleset, now)
        entries = reader.timeline(name)
        if course.whole.arrived_at is None and not entries:
            return None
        unknown = Known("", None, None, None, None)
        cast = unknown.cast(ruleset.domains, dials=False)
        rendered = self._render(unknown, {"name": name}, entries, course, entries, cast, Lines(), now)
        return {**rendered, "call": None, "node": None}

    # -------------------------------------------------------------- for those who do not join

    async def read(
        self, work: Callable[Concatenate[Reader, Ruleset, datetime, P], T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """What ``work`` makes of the store by the rules of now, in its turn. Raises StoreUnavailableError."""
        ruleset, now = self._rules.ruleset, self.conferences.clock()
        async with self._turns:
            return await self.conferences.store.read(work, ruleset, now, *arguments, **options)

    def of_call(self, reader: CallSource, call: str, ruleset: Ruleset, now: datetime) -> Conference | None:
        """The conference of a call that we signed or stored; within a read."""
        shown = self._look_up(reader, Subject(call), ruleset, now)
        return shown.found.answer if shown is not None else None

    def of_room(self, reader: CallSource, held: HeldConference, ruleset: Ruleset, now: datetime) -> Conference:
        """What held a room by its name alone; within a read."""
        course = course_of(reader, held, now)
        over_at = held.ended_at or held.expires_at
        entries = [entry for entry in reader.timeline(held.name) if held.held_at <= entry.at <= over_at]
        known = Known("", None, held, None, None)
        cast = known.cast(ruleset.domains, dials=bool(held.legs or held.fallbacks))
        rendered = self._render(known, held.service, entries, course, entries, cast, Lines(), now)
        return {**rendered, "call": None, "node": None}

    def note(self, found: Found, agent_id: str, agent_name: str, conversation: str) -> None:
        """Puts on the timeline that an agent looked the conference up, and for which conversation if it said so.

        Once a minute is enough for one agent: widgets ask again and again.
        """
        now = self.conferences.clock()
        if found.answer["join"]["pin"]:
            self._audit("pin.given", agent=agent_id, name=agent_name, call=found.call)
        if self._noted.is_first((found.call, agent_id, conversation), now, _NOTED_LIMIT):
            self.conferences.note(found.call, *agent_looked_up(agent_id, agent_name, conversation), now)

    def _known(
        self, reader: CallSource, subject: Subject, ruleset: Ruleset, now: datetime, before: _Shown | None
    ) -> Known:
        call = subject.call
        link = reader.link(call)
        joined = reader.link(link.joins) if link is not None and link.joins else None
        if subject.name:
            conference = self._room(reader, subject, now)
            call = conference.name if conference is not None else call
        else:
            of_room = link.joins if link is not None and link.joins else call
            conference = latest_of_call(self.conferences, reader, of_room, now)
        types = (
            *ruleset.links,
            *(one.type for one in (link,) if one),
            *(one.link_type for one in (conference,) if one),
        )
        # What one of our keys signed it has signed.
        opened = before.known.opened if before is not None and before.ruleset is ruleset else None
        if opened is None or opened.id != call:
            opened = self._keyring.open(call, Role.CALL, dict.fromkeys(types))
        link_type = ruleset.links.get(opened.type) if opened is not None else None
        room_alias = ""
        if subject.name and conference is not None:
            room_alias, _ = self._room_entered(conference, ruleset, now)
        is_joined = opened is not None and any(other.joins == opened.type for other in ruleset.links.values())
        joined_by = reader.joining(call) if is_joined else ()
        joined_type = ruleset.links.get(link_type.joins) if link_type is not None else None
        return Known(call, link, conference, opened, link_type, room_alias, joined, joined_type, joined_by)

    def _room(self, reader: CallSource, subject: Subject, now: datetime) -> HeldConference | None:
        """A room without a call: the one that runs by this name or alias, or else the latest of this name."""
        conferences = self.conferences
        latest = reader.conference_of_room(subject.name, subject.call)
        running: list[HeldConference | None] = [conferences.live(subject.name, now)]
        if not subject.is_identified:
            led_to = conferences.nearby("", alias_key(subject.call))
            running += (room for room in led_to if now < room.expires_at)
            running += chain.from_iterable(
                conferences.of_caller(folded(user), now) for user in shown_users(subject.name)
            )
        return next((room for room in running if room is not None and not room.call), latest)

    def _room_entered(self, held: HeldConference, ruleset: Ruleset, now: datetime) -> tuple[str, Service]:
        """What an agent dials for a room without a call, ``""`` for the alias that was dialled first, and the room by it.

        That alias may lead each caller to a room of their own, or begin the room anew and have it dial again: then agents
        have one that leads here while the room runs.
        """
        decision = decided(Known("", None, held, None, None), ruleset, self._keyring, held.alias, now)
        if decision is not None and room_of(decision) == held.name and LEGS not in decision.service:
            return "", held_to(held, decision).service
        kept = held.aliases.get(Entrance.AGENT)
        own = (alias for alias in agents_aliases(self._keyring, held.id) if alias_key(alias) == kept)
        return next(own, ""), entered(held)

    def _service(self, known: Known, made: Serve | None, ruleset: Ruleset, now: datetime) -> Service:
        """The room as the agent enters it: by the door that was held, or as the agent's rule would make it (``made``)."""
        held = known.conference
        if held is None:
            return made.service if made is not None else _NO_SERVICE
        if not held.call and known.opened is None:
            return self._room_entered(held, ruleset, now)[1]
        if made is not None and room_of(made) == held.name:
            return held_to(held, made).service
        return entered(held)

    def _course(self, reader: CallSource, subject: Subject, known: Known, room: str, now: datetime) -> Course:
        """How it goes in the room."""
        if known.conference is not None:
            return course_of(reader, known.conference, now)
        # Others meet in a room of another name at other times.
        is_own = bool(known.call) and not subject.name and known.call in room
        return course_in(reader, room, BEGINNING if is_own else now - self.conferences.lifetime)

    def _render(
        self,
        known: Known,
        service: Service,
        entries: Sequence[TimelineEntry],
        course: Course,
        of_visit: Iterable[TimelineEntry],
        cast: Cast,
        lines: Lines,
        now: datetime,
    ) -> Conference:
        visit = visit_of(course.whole, of_visit, cast, is_ended=course.phase is Phase.ENDED)
        return render(known, service, entries, course, visit, lines, node=self._node, now=now)

    def _call_of_room(self, ruleset: Ruleset, name: str, events: Iterable[Event], now: datetime) -> str:
        """The call of a room that is over, read out of its name with the rules, as for a call out of the room."""
        tags = [event.text(key) for event in events for key in ("service_tag", "tag")]
        for tag in dict.fromkeys((*tags, "")):
            asked = {"call_direction": "dial_out", "service_name": name, "service_tag": tag}
            request = parse_request(RequestType.SERVICE, encode_query(asked).encode())
            decision = evaluate(ruleset, request, now, self._keyring)
            if isinstance(decision, Serve) and decision.call:
                return decision.call
        return ""
