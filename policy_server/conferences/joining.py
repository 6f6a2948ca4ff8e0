"""What opening a customer's link leads to, and what the timeline says of it (README.md: Links)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from anyio.to_thread import run_sync

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.holding import held_to, rule_of_orphan
from policy_server.conferences.keeper import Keeper
from policy_server.conferences.link_reading import read_link
from policy_server.conferences.once import OnceAMinute
from policy_server.conferences.records import HeldConference, Link, alias_key
from policy_server.conferences.timeline import Doorstep, link_opened, link_previewed
from policy_server.policy.decisions import Serve
from policy_server.policy.doors import LETS_IN, Door, guest_pin_of
from policy_server.policy.facts import attributes_of
from policy_server.policy.links import link_of, web_app_url
from policy_server.policy.names import Call, Keyring, LinkState, Role
from policy_server.policy.ruleset import NO_TEMPLATES, LinkType, PageTemplates, Rules

PATIENCE: Final = 1.0
"""Seconds that a customer waits for the database."""

MOST_MOVES: Final = 16
"""Links that the page of a link that was moved looks at; the page of the last leads on."""

NOTED_LIMIT: Final = 4096
"""Openings that are remembered so that none is noted twice within a minute."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who opens a link. ``previews`` is who makes a preview or scans, ``""`` for the customer, ``is_guess`` whether nobody
    has opened it yet: a browser looks ahead, or a mail scanner whether there is something.
    """

    previews: str = ""
    is_guess: bool = False


@dataclass(frozen=True, slots=True)
class NoLink:
    """None of ours, of a type without a page, or revoked."""

    templates: PageTemplates


@dataclass(frozen=True, slots=True)
class Previewed:
    """Whatever the door, a preview gets a page of its own: a messenger keeps it, and shall not have the guest PIN."""

    templates: PageTemplates


@dataclass(frozen=True, slots=True)
class LetIn:
    """The door is open. ``url`` is that of Pexip's web app."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Expired:
    """The link has expired."""

    templates: PageTemplates


@dataclass(frozen=True, slots=True)
class Closed:
    """Outside opening hours. ``opening`` is when it opens, ``None`` when that is not known; ``is_in_time``: before the link
    expires.
    """

    templates: PageTemplates
    opening: datetime | None
    is_in_time: bool


@dataclass(frozen=True, slots=True)
class Early:
    """Before an appointment. ``opening`` is when the customer can come in, in the zone to tell it in; ``starts_at`` is its
    time, ``None`` where only the link is known.
    """

    templates: PageTemplates
    opening: datetime
    starts_at: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """The appointment was moved. ``session`` is that of the link that took its place, and ``starts_at`` its time, in the zone
    to tell it in.
    """

    templates: PageTemplates
    session: str = field(repr=False)
    starts_at: datetime
    now: datetime


Arrival = NoLink | Moved | Early | Previewed | LetIn | Expired | Closed


class CustomersDoor:
    """Where customers come with their links.

    Pages about a link are those of its type (``templates``). Whoever has no link of ours has no type either, and gets
    the templates that all link types with a URL share; where they differ, the pages that come with the server.
    """

    def __init__(self, rules: Rules, keyring: Keyring, keeper: Keeper) -> None:
        self._rules: Final = rules
        self._keyring: Final = keyring
        self._keeper: Final = keeper
        self._noted: Final = OnceAMinute()
        self._previewed: Final[set[tuple[str, str]]] = set()

    async def arrive(self, text: str, visitor: Visitor) -> Arrival:
        """What a link leads to; ``text`` is its session, or the customer's alias, as people passed it on."""
        ruleset, now = self._rules.ruleset, self._keeper.clock()
        shared = _shared_templates(ruleset.links)
        session, dialled = read_link(ruleset.links, text)
        types = ruleset.links if dialled is None else (dialled.name,)
        call = self._keyring.open(session, Role.SESSION, types)
        # Asked for a session that nobody signed too, so that the answer takes as long.
        link = await self._find_link(session if call is None else call.id)
        link_type = ruleset.links[call.type] if call is not None else None
        if call is None or link_type is None or link_type.url is None:
            return NoLink(shared)
        joined = await self._find_link(link.joins) if link is not None and link.joins else None
        if any(each is not None and each.revoked_at is not None for each in (link, joined)):
            self._note(call, Doorstep.REVOKED, visitor, now)
            return NoLink(shared)
        templates = link_type.templates
        if visitor.previews:
            self._note(call, Doorstep.OPEN, visitor, now)
            return Previewed(templates)
        known = {each.call: each for each in (link, joined) if each is not None}
        door = Door(ruleset, self._keyring, link_type, call, attributes_of(link), known.get)
        state = call.state(now)
        # Once a conference has begun, every later question gets its room, whatever the hour (README.md: Held rooms).
        name, joins = (link.name, link.joins) if link is not None else ("", "")
        running = self._keeper.live_of_call(joins if link_type.joins else call.id, now)
        if running is not None and not _has_part(running, door, state):
            running = None
        is_good = state is LinkState.VALID and (link is None or link.moved_to is None)
        decision = door.decide(now) if running is None and is_good else None
        if running is not None or isinstance(decision, LETS_IN):
            self._note(call, Doorstep.OPEN, visitor, now)
            made = link_of(link_type, call)
            if running is not None:
                pin = _held_pin(running, door, made.alias, now)
            else:
                pin = guest_pin_of(decision.service) if isinstance(decision, Serve) else ""
            return LetIn(web_app_url(link_type, made, name=name, guest_pin=pin, joins=joins))
        if link is not None and link.moved_to is not None:
            self._note(call, Doorstep.MOVED, visitor, now)
            return await self._follow(link, link_type, shared, now)
        if state is LinkState.EXPIRED:
            self._note(call, Doorstep.EXPIRED, visitor, now)
            return Expired(templates)
        starts_at = link.starts_at if link is not None else None
        if state is LinkState.EARLY:
            self._note(call, Doorstep.EARLY, visitor, now)
            return Early(templates, await run_sync(door.first_opening), starts_at, now)
        self._note(call, Doorstep.CLOSED, visitor, now)
        # Milliseconds, when many calendars open and close in vain: no policy answer shall wait for that.
        opening = await run_sync(door.next_opening, now)
        is_in_time = opening is not None and opening < call.expires_at
        if opening is not None and is_in_time and call.opens_at is not None:
            return Early(templates, opening, starts_at, now)
        return Closed(templates, opening, is_in_time)

    async def _follow(self, link: Link, link_type: LinkType, shared: PageTemplates, now: datetime) -> Arrival:
        """Where the page of a link that was moved leads: to the one that is good in its place."""
        latest: Link | None = link
        for _ in range(MOST_MOVES):
            if latest is None or latest.moved_to is None:
                break
            latest = await self._find_link(latest.moved_to)
        call = self._keyring.open(latest.call, Role.CALL, (latest.type,)) if latest is not None else None
        if latest is None or latest.revoked_at is not None or call is None:
            return NoLink(shared)
        if call.state(now) is LinkState.EXPIRED:
            return Expired(link_type.templates)
        joined = await self._find_link(latest.joins) if latest.joins else None
        known = {each.call: each for each in (latest, joined) if each is not None}
        door = Door(self._rules.ruleset, self._keyring, link_type, call, attributes_of(latest), known.get)
        opening = await run_sync(door.first_opening)
        return Moved(link_type.templates, call.session, (latest.starts_at or opening).astimezone(opening.tzinfo), now)

    async def _find_link(self, call: str) -> Link | None:
        """The link of a call, as far as it is known: in memory, as policy answers know it, or else to the database."""
        known = self._keeper.link(call)
        if known is not None or not call:
            return known
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._keeper.store.link(call)
        except (StoreUnavailableError, TimeoutError):
            return None
        if found is not None and found.joins:
            # The node that asks next must know which room it is, and this process may not have heard of the link yet.
            self._keeper.learn(found)
        return found

    def _note(self, call: Call, door: Doorstep, visitor: Visitor, now: datetime) -> None:
        """Puts on the timeline that a customer opened the link, or that somebody's preview was fetched.

        Once a minute is enough, and of a preview once as far as this server remembers: a timeline is not for whoever
        holds down the key for reloading.
        """
        if visitor.previews:
            if (call.id, visitor.previews) in self._previewed:
                return
            if len(self._previewed) >= NOTED_LIMIT:
                self._previewed.clear()
            self._previewed.add((call.id, visitor.previews))
            self._keeper.note(call.id, *link_previewed(visitor.previews), now)
        elif not visitor.is_guess and self._noted.is_first((call.id, door), now, NOTED_LIMIT):
            self._keeper.note(call.id, *link_opened(door), now)


def _has_part(running: HeldConference, door: Door, state: LinkState) -> bool:
    """Whether a link has a part in what runs: a customer unless somebody prepares the room, and who joins by the rules when
    it began, or by others of which nobody can tell any more.
    """
    joins, is_early = bool(door.link_type.joins), state is LinkState.EARLY
    if not joins and not is_early:
        return True
    is_lost = joins and running.revision != door.ruleset.revision
    return is_lost or isinstance(door.decide(running.held_at), LETS_IN)


def _held_pin(running: HeldConference, door: Door, alias: str, now: datetime) -> str:
    """The guest PIN of a room that runs: of the door that a node would be told for the customer's alias."""
    decision = door.decide(running.held_at)
    if isinstance(decision, Serve):
        return guest_pin_of(held_to(running, decision).service)
    rule = rule_of_orphan(running, {"local_alias": alias_key(alias.lower())})
    if rule is not None:
        return guest_pin_of({**running.service, **running.doors[rule].fields})
    # Somebody may have prepared the room, when the rules gave the customer no part in it yet.
    decision = door.decide(now)
    return guest_pin_of(held_to(running, decision).service) if isinstance(decision, Serve) else ""


def _shared_templates(links: Mapping[str, LinkType]) -> PageTemplates:
    """The templates that every link type with a URL has; of one folder they are one object."""
    (first, *others) = [each.templates for each in links.values() if each.url is not None] or [NO_TEMPLATES]
    return first if all(other is first for other in others) else NO_TEMPLATES
