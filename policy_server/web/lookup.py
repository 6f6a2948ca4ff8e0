"""Finding the conference that an agent's widget asks for, whichever of its aliases it has (DESIGN section 5)."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from policy_server.conferences.live import Conferences
from policy_server.conferences.lives import told_since
from policy_server.conferences.pinning import LEGS, entered, held_to, room_of
from policy_server.conferences.records import Link, PinnedConference, StoredEvent
from policy_server.conferences.store import MANY_EVENTS
from policy_server.conferences.tables import NAME_LENGTH
from policy_server.genesys.results import Agent
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.parameters import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.decisions import Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.links import find_session
from policy_server.policy.ruleset import LinkType, Ruleset
from policy_server.policy.sessions import SESSION_LENGTH, Keyring
from policy_server.web.agent_answers import Answer, Material, render_lookup, room_name
from policy_server.web.audit import audit_id
from policy_server.web.caller_names import caller_aliases
from policy_server.web.once import OnceAMinute
from policy_server.web.policy import Rules

LOOKED_UP: Final = "agent.looked_up"
"""What the timeline calls a lookup."""

_SESSION: Final = re.compile(rf"[a-z2-7]{{{SESSION_LENGTH}}}")
_NOTED_LIMIT: Final = 10_000
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_SERVICE: Final[Mapping[str, object]] = {}

Service = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alias is about: a session, and the type of link that the alias shows, ``""`` if it shows none.

    ``aliases`` are those by which the call of a session may be known to a telephone system, in lower case and without a
    domain; a room without a session has none.
    """

    session: str = field(repr=False)
    link_type: str = ""
    aliases: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A conference as it was read. ``keys`` are the session and room name whose changes concern it; what changes after
    change number ``number`` may be missing from the answer. ``dials`` are the aliases that its room dials,
    ``conference`` what holds the room or held it last, and ``events`` what nodes told of the room.
    """

    session: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    number: int
    answer: Answer = field(repr=False)
    dials: frozenset[str] = field(repr=False)
    conference: PinnedConference | None = field(repr=False)
    events: tuple[StoredEvent, ...] = field(repr=False)


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
        """What an alias is about: the session itself, the customer's alias or the agent's, however it is spelt, also as
        a telephone system shows it.

        The session of one that is too long for any alias is ``""``, which nobody has.
        """
        if len(alias) > NAME_LENGTH:
            return Subject("")
        ruleset = self._rules.ruleset
        spelt = [normalise_alias(each, ruleset.domains) for each in (alias, *caller_aliases(alias))]
        for each in spelt:
            link_type, session = find_session(ruleset.links, each)
            if link_type is not None or _SESSION.fullmatch(session):
                types = ruleset.links.values() if link_type is None else (link_type,)
                templates = [template for one in types for template in (one.alias, one.agent_alias) if template]
                aliases = {template.render({"session": session}).lower() for template in templates}
                return Subject(session, link_type.name if link_type else "", frozenset({session, *aliases}))
        # A room without a session: by its name, or the alias that was dialled.
        return Subject(spelt[0])

    async def look_up(self, subject: Subject) -> Found | None:
        """The conference of a session that we signed, stored or served; ``None`` for any other.

        Raises StoreUnavailableError.
        """
        conferences, ruleset, session = self.conferences, self._rules.ruleset, subject.session
        store, now = conferences.store, conferences.clock()
        # Read before what it stands for, so that whatever is written meanwhile counts as a change.
        number = await store.change_number(session)
        link = await store.link(session)
        conference = await store.conference_of_session(session) or conferences.live_of_session(session, now)
        opened = self._keyring.open(session)
        link_type = _link_type(ruleset, subject, link, conference)
        derived_type, derived = self._derive(ruleset, link_type, session, link, now, conference)
        if conference is not None:
            # The agent's door: as it was held, or as the agent's rule would make it.
            is_here = derived is not None and room_of(derived) == conference.name
            service: Service = held_to(conference, derived).service if derived and is_here else entered(conference)
        else:
            link_type, service = derived_type, derived.service if derived is not None else _NO_SERVICE
        room = room_name(service, session)
        keys = tuple(dict.fromkeys((session, room)))
        if keys[1:]:
            number += await store.change_number(*keys[1:])
        entries = [entry for key in keys for entry in await store.timeline(key)]
        stored = await self._events(session, room, conference, now)
        if opened is None and link is None and conference is None:
            return None
        material = Material(
            session=session,
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
            dials = self._would_dial(ruleset, material, now if conference is None else conference.pinned_at)
        return Found(session, keys, number, answer, dials, conference, stored)

    def note(self, found: Found, agent: Agent, conversation: str) -> None:
        """Puts on the timeline that an agent looked the conference up, and for which conversation if it said so.

        Once a minute is enough for one agent: widgets ask again and again.
        """
        now = self.conferences.clock()
        join = found.answer["join"]
        if isinstance(join, dict) and join["pin"]:
            self._audit("pin.given", agent=agent.id, name=agent.name, call=audit_id(found.session))
        if not self._noted.is_first((found.session, agent.id, conversation), now, _NOTED_LIMIT):
            return
        data: dict[str, object] = {
            "text": f"{agent.name or 'An agent without a name'} looked up the conference.",
            "agent": {"id": agent.id, "name": agent.name},
        }
        if conversation:
            data["conversation"] = conversation
        self.conferences.note(found.session, LOOKED_UP, data, now)

    def _derive(
        self,
        ruleset: Ruleset,
        link_type: LinkType | None,
        session: str,
        link: Link | None,
        now: datetime,
        conference: PinnedConference | None,
    ) -> tuple[LinkType | None, Serve | None]:
        """The room that a browser gets for the session's aliases, the agent's first, as it was when the room began.

        Without a type of link the first that gets one.
        """
        at = now if conference is None else conference.pinned_at
        known = link if link is None or conference is None else link.as_of(at)
        for likely in (link_type,) if link_type is not None else ruleset.links.values():
            for template in filter(None, (likely.agent_alias, likely.alias)):
                alias = template.render({"session": session})
                asked = {"call_direction": "dial_in", "protocol": "api", "trigger": "web", "local_alias": alias}
                request = parse_request(RequestType.SERVICE, encode_query(asked).encode())
                decision = evaluate(ruleset, request, at, self._keyring, find_link=lambda _: known)
                if isinstance(decision, Serve):
                    return likely, decision
        return link_type, None

    def _would_dial(self, ruleset: Ruleset, material: Material, at: datetime) -> frozenset[str]:
        """What the room dials for whoever comes by the customer's alias."""
        asked = {"call_direction": "dial_in", "protocol": "api", "trigger": "web", "local_alias": material.alias or ""}
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
        self, session: str, room: str, conference: PinnedConference | None, now: datetime
    ) -> tuple[StoredEvent, ...]:
        """What nodes told of a session's room."""
        store = self.conferences.store
        if session in room:
            return await store.events(room, _BEGINNING)
        # Others meet in the same room at other times.
        if conference is None:
            return await store.events(room, now - self.conferences.lifetime)
        return told_since(await store.events_of(conference), conference.pinned_at)


def _aliases(*legs: Iterable[Mapping[str, object]]) -> frozenset[str]:
    """What automatic participants are called by."""
    return frozenset(str(leg.get("remote_alias", "")) for leg in chain(*legs))


def _link_type(
    ruleset: Ruleset, subject: Subject, link: Link | None, conference: PinnedConference | None
) -> LinkType | None:
    """The type of a session's link: by the link itself, the alias that was asked for, the alias that was dialled."""
    dialled = normalise_alias(conference.alias, ruleset.domains) if conference is not None else ""
    found = find_session(ruleset.links, dialled)[0] if dialled else None
    names = (link.type if link is not None else "", subject.link_type, found.name if found else "")
    return next((ruleset.links[name] for name in names if name in ruleset.links), None)
