"""Finding the conference that an agent's widget asks for, whichever of its aliases it has (README.md: Agents)."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from policy_server.conferences.holding import LEGS, entered, held_to, room_of
from policy_server.conferences.live import Conferences
from policy_server.conferences.lives import told_since
from policy_server.conferences.records import HeldConference, Link, alias_key
from policy_server.conferences.store import MANY_EVENTS
from policy_server.conferences.tables import NAME_LENGTH
from policy_server.genesys.results import Agent
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.events import Event
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.decisions import Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.link_aliases import Entrance, read_alias
from policy_server.policy.names import NAME_LENGTH as CALL_LENGTH
from policy_server.policy.names import Call, Keyring, Role
from policy_server.policy.ruleset import LinkType, Ruleset
from policy_server.web.agent_answers import Answer, Material, render_lookup, room_name
from policy_server.web.caller_names import caller_aliases
from policy_server.web.once import OnceAMinute
from policy_server.web.policy import Rules

LOOKED_UP: Final = "agent.looked_up"
"""What the timeline calls a lookup."""

_CALL_ID: Final = re.compile(rf"[a-z2-7]{{{CALL_LENGTH}}}")
_NOTED_LIMIT: Final = 10_000
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_SERVICE: Final[Mapping[str, object]] = {}

Service = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alias is about: a call, by its id, or a room that no link led to, by its name or an alias that leads there.

    ``aliases`` are those by which a call may be known to a telephone system, in lower case and without a domain; a room
    without a call has none, and ``name`` is how it was spelt.
    """

    call: str = field(repr=False)
    aliases: frozenset[str] = field(default=frozenset(), repr=False)
    name: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A conference as it was read. ``keys`` are the call id and room name whose changes concern it; what changes after
    change number ``number`` may be missing from the answer. ``dials`` are the aliases that its room dials,
    ``conference`` what holds the room or held it last, and ``events`` what nodes told of the room.
    """

    call: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    number: int
    answer: Answer = field(repr=False)
    dials: frozenset[str] = field(repr=False)
    conference: HeldConference | None = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)


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
        self._audit: Final = audit

    def subject_of(self, alias: str) -> Subject:
        """What an alias is about: a call id or an agents' alias, however it is spelt, also as a telephone system shows it.

        The customer's names open no lookup. Of what is too long for any alias the subject is ``""``, which nobody has.
        """
        if len(alias) > NAME_LENGTH:
            return Subject("")
        ruleset = self._rules.ruleset
        spelt = [normalise_alias(each, ruleset.domains) for each in (alias, *caller_aliases(alias))]
        forms = [form for form in ruleset.alias_forms if form.entrance is Entrance.AGENT]
        for each in spelt:
            found = read_alias(forms, self._keyring, each)
            call = found.call_id if found is not None else each if _CALL_ID.fullmatch(each) else ""
            if call:
                weak = (f"{form.before}{call}{form.after}".lower() for form in forms if form.role is Role.CALL)
                return Subject(call, frozenset({call, *weak}))
        # A room without a call: by its name, or the alias that was dialled.
        return Subject(spelt[0], name=alias.strip())

    async def look_up(self, subject: Subject) -> Found | None:
        """The conference of a call that we signed or stored, or of a room that we served; ``None`` for any other.

        Raises StoreUnavailableError.
        """
        conferences, ruleset, call = self.conferences, self._rules.ruleset, subject.call
        store, now = conferences.store, conferences.clock()
        # Read before what it stands for, so that whatever is written meanwhile counts as a change.
        number = await store.change_number(call)
        link = await store.link(call)
        if subject.name:
            conference = await self._room(subject, now)
            call = conference.name if conference is not None else call
        else:
            conference = await store.conference_of_call(call) or conferences.live_of_call(call, now)
        types = (
            *ruleset.links,
            *(one.type for one in (link,) if one),
            *(one.link_type for one in (conference,) if one),
        )
        opened = self._keyring.open(call, Role.CALL, dict.fromkeys(types))
        link_type = ruleset.links.get(opened.type) if opened is not None else None
        derived = None
        if opened is not None and link_type is not None:
            derived = self._derive(ruleset, link_type, opened, link, now, conference)
        if conference is not None:
            # The agent's door: as it was held, or as the agent's rule would make it.
            is_here = derived is not None and room_of(derived) == conference.name
            service: Service = held_to(conference, derived).service if derived and is_here else entered(conference)
        else:
            service = derived.service if derived is not None else _NO_SERVICE
        room = room_name(service, call)
        keys = tuple(dict.fromkeys((subject.call, room)))
        if keys[1:]:
            number += await store.change_number(*keys[1:])
        entries = [entry for key in keys for entry in await store.timeline(key)]
        stored = await self._events("" if subject.name else call, room, conference, now)
        if opened is None and link is None and conference is None:
            return None
        material = Material(
            call=call,
            opened=opened,
            link=link,
            conference=conference,
            link_type=link_type,
            service=service,
            entries=entries,
            events=stored,
            domains=ruleset.domains,
            node=self._node,
        )
        if len(stored) > MANY_EVENTS:
            answer = await asyncio.to_thread(render_lookup, material, now)
        else:
            answer = render_lookup(material, now)
        dials = _aliases(conference.legs, conference.fallbacks) if conference is not None else frozenset()
        if not dials:
            # The agent may have come first, whose rule does not dial.
            dials = self._would_dial(ruleset, material, now if conference is None else conference.held_at)
        return Found(call, keys, number, answer, dials, conference, stored)

    def note(self, found: Found, agent: Agent, conversation: str) -> None:
        """Puts on the timeline that an agent looked the conference up, and for which conversation if it said so.

        Once a minute is enough for one agent: widgets ask again and again.
        """
        now = self.conferences.clock()
        join = found.answer["join"]
        if isinstance(join, dict) and join["pin"]:
            self._audit("pin.given", agent=agent.id, name=agent.name, call=found.call)
        if not self._noted.is_first((found.call, agent.id, conversation), now, _NOTED_LIMIT):
            return
        data: dict[str, object] = {
            "text": f"{agent.name or 'An agent without a name'} looked up the conference.",
            "agent": {"id": agent.id, "name": agent.name},
        }
        if conversation:
            data["conversation"] = conversation
        self.conferences.note(found.call, LOOKED_UP, data, now)

    def _derive(
        self,
        ruleset: Ruleset,
        link_type: LinkType,
        call: Call,
        link: Link | None,
        now: datetime,
        conference: HeldConference | None,
    ) -> Serve | None:
        """The room that a browser gets for the call's aliases, the agents' first, as it was when the room began."""
        at = now if conference is None else conference.held_at
        known = link if link is None or conference is None else link.as_of(at)
        for alias in filter(None, (link_type.agents_alias(call), link_type.customers_alias(call))):
            asked = {"call_direction": "dial_in", "protocol": "api", "trigger": "web", "local_alias": alias}
            request = parse_request(RequestType.SERVICE, encode_query(asked).encode())
            decision = evaluate(ruleset, request, at, self._keyring, find_link=lambda _: known)
            if isinstance(decision, Serve):
                return decision
        return None

    async def _room(self, subject: Subject, now: datetime) -> HeldConference | None:
        """A room without a call: the one that runs by this name or alias, or else the latest of this name."""
        conferences = self.conferences
        latest = await conferences.store.conference_of_room(subject.name, subject.call)
        led_to = conferences.nearby("", alias_key(subject.call))
        running = (conferences.live(subject.name, now), *(room for room in led_to if now < room.expires_at))
        return next((room for room in running if room is not None and not room.call), latest)

    def _would_dial(self, ruleset: Ruleset, material: Material, at: datetime) -> frozenset[str]:
        """What the room dials for whoever comes by the customer's alias."""
        alias = ""
        if material.link_type is not None and material.opened is not None:
            alias = material.link_type.customers_alias(material.opened)
        elif material.conference is not None:
            alias = material.conference.alias
        asked = {"call_direction": "dial_in", "protocol": "api", "trigger": "web", "local_alias": alias}
        request = parse_request(RequestType.SERVICE, encode_query(asked).encode())
        known = material.link.as_of(at) if material.link is not None else None
        decision = evaluate(ruleset, request, at, self._keyring, find_link=lambda _: known)
        if not isinstance(decision, Serve):
            return frozenset()
        legs = decision.service.get(LEGS)
        return _aliases(
            [leg for leg in legs if isinstance(leg, dict)] if isinstance(legs, list) else (), decision.fallbacks
        )

    async def _events(
        self, call: str, room: str, conference: HeldConference | None, now: datetime
    ) -> tuple[Event, ...]:
        """What nodes told of the room of a call, ``""`` for none."""
        store = self.conferences.store
        if call and call in room:
            return await store.events(room, _BEGINNING)
        # Others meet in the same room at other times.
        if conference is None:
            return await store.events(room, now - self.conferences.lifetime)
        return told_since(await store.events_of(conference), conference.held_at)


def _aliases(*legs: Iterable[Mapping[str, object]]) -> frozenset[str]:
    """What automatic participants are called by."""
    return frozenset(str(leg.get("remote_alias", "")) for leg in chain(*legs))
