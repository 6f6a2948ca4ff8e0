"""The decision about a question in the light of what runs already: one room, one service (DESIGN section 7).

The rules decide as they did when the room was pinned, and what they serve is held to what was pinned. So neither closing
time nor an expired link nor a reload takes a running conference apart. The door is each rule's own, and stays too. A
revoked link shuts the customer out, not the agent.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final, Protocol

from policy_server.conferences.pinning import (
    LEGS,
    conference_of,
    door_of,
    held_to,
    recalled,
    room_of,
    rule_of_orphan,
)
from policy_server.conferences.records import Door, Link, PinnedConference
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.parameters import PARAMETERS, Kind, RequestType
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.decisions import Continue, Decision, Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.facts import FindLink
from policy_server.policy.links import find_session
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.sessions import Keyring
from policy_server.policy.templates import RAW

ABOUT_CALLS: Final = frozenset({RequestType.SERVICE, RequestType.PARTICIPANT, RequestType.LOCATION})
"""The questions whose answers depend on links and rooms."""

_NO_ATTRIBUTES: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Basis:
    """What a decision rests on beside question, rules and minute."""

    session: str = ""
    link: Link | None = None
    alias: str = ""
    nearby: tuple[PinnedConference, ...] = ()
    name: str = ""
    pinned: PinnedConference | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """A decision. ``key`` is the session or room name whose timeline it belongs to, ``""`` for none of ours."""

    decision: Decision
    key: str
    basis: Basis


class Known(Protocol):
    """What is known of links and rooms, and where a room is pinned: a replica's ``Conferences``, or a ``Snapshot``."""

    @property
    def lifetime(self) -> timedelta:
        """How long a room stays pinned when nobody says that it ended."""

    def link(self, session: str) -> Link | None:
        """The link of a session."""

    def live(self, name: str, at: datetime) -> PinnedConference | None:
        """The conference that holds a room."""

    def nearby(self, session: str, alias: str) -> tuple[PinnedConference, ...]:
        """The rooms that an alias or a session has led to, the latest first."""

    async def pin(self, conference: PinnedConference) -> PinnedConference:
        """Pins a room and returns the conference that holds it."""

    async def agreed(self, held: PinnedConference, rule: str) -> PinnedConference:
        """The conference that holds a room and the door of a rule, when everybody who may pin it has been heard."""

    async def open_door(self, pinned: PinnedConference, rule: str, door: Door) -> PinnedConference:
        """Holds the door of one more rule of a room; the conference with its doors."""


class Rooms:
    """Decides questions by what is known. ``new_id`` makes the id of a conference.

    ``link_attributes`` go before those that are known of the link which a question is about.
    """

    def __init__(
        self,
        conferences: Known,
        keyring: Keyring,
        new_id: Callable[[], str],
        link_attributes: Mapping[str, str] = _NO_ATTRIBUTES,
    ) -> None:
        self._conferences: Final = conferences
        self._link_attributes: Final = link_attributes
        self._keyring: Final = keyring
        self._new_id: Final = new_id

    def still_holds(self, basis: Basis, now: datetime) -> bool:
        """Whether a decision that rests on ``basis`` would be the same now."""
        known = self._conferences
        return (
            (not basis.session or known.link(basis.session) is basis.link)
            and (not basis.alias or known.nearby(basis.session, basis.alias) == basis.nearby)
            and (not basis.name or known.live(basis.name, now) is basis.pinned)
        )

    async def settle(self, ruleset: Ruleset, request: PolicyRequest, now: datetime) -> Settled:
        """Decides one question, and pins the room that it is the first to be served.

        Waits for the database as long as ``Conferences.pin`` does, and only when it pins.
        """
        if request.type not in ABOUT_CALLS:
            return Settled(self._evaluate(ruleset, request, now), "", Basis())
        if request.type is RequestType.SERVICE and request.text("call_direction") == "dial_out":
            return await self._settle_call_out(ruleset, request, now)
        alias = normalise_alias(request.text("local_alias"), ruleset.domains)
        link_type, session = find_session(ruleset.links, alias)
        if link_type is None:
            session = ""
        if request.type is RequestType.SERVICE:
            return await self._settle_alias(ruleset, request, alias, session, now)
        basis = Basis(session, self._conferences.link(session))
        decision = self._evaluate(ruleset, request, now)
        pinned = self._conferences.live(_room_asked_for(request), now)
        return Settled(decision, self._own(session) if pinned is None else pinned.session or pinned.name, basis)

    def _evaluate(
        self, ruleset: Ruleset, request: PolicyRequest, at: datetime, find_link: FindLink | None = None
    ) -> Decision:
        links = find_link or self._conferences.link
        return evaluate(ruleset, request, at, self._keyring, self._link_attributes, links)

    async def _settle_call_out(self, ruleset: Ruleset, request: PolicyRequest, now: datetime) -> Settled:
        """A call out of a room that exists: that room's service, whatever else the question says (DESIGN section 3)."""
        name = _room_asked_for(request)
        pinned = self._conferences.live(name, now)
        decision = self._evaluate(ruleset, request, now)
        basis = Basis(name=name)
        if pinned is not None:
            pinned = await self._conferences.agreed(pinned, pinned.rule)
            basis = Basis(name=name, pinned=pinned)
            decision = (
                held_to(pinned, decision)
                if isinstance(decision, Serve) and LEGS in decision.service
                else recalled(pinned, decision.trace, rule=pinned.rule, dials=True)
            )
        elif isinstance(decision, Serve):
            # What is derived again may name attributes of the link.
            alias = normalise_alias(request.text("local_alias"), ruleset.domains)
            session = decision.session or find_session(ruleset.links, alias)[1]
            basis = Basis(session, self._conferences.link(session), name=name)
        return Settled(decision, self._key(decision, pinned) if isinstance(decision, Serve) else "", basis)

    async def _settle_alias(
        self, ruleset: Ruleset, request: PolicyRequest, alias: str, session: str, now: datetime
    ) -> Settled:
        known = self._conferences
        nearby = known.nearby(session, alias)
        if nearby and not session:
            # The rules of today may not know the type of link any more.
            session = nearby[0].session
            nearby = known.nearby(session, alias)
        basis = Basis(session, known.link(session), alias, nearby)
        held = await self._settle_nearby(ruleset, request, basis, now)
        if held is not None:
            return held
        # No room, or one that the rules gave this caller no part in when it began.
        decision = self._evaluate(ruleset, request, now)
        if not isinstance(decision, Serve):
            return Settled(decision, self._own(session), basis)
        name = room_of(decision)
        if not name:
            return Settled(decision, self._own(decision.session), basis)
        pinned = known.live(name, now)
        # What is not a call begins no conference (reference: pexip-policy-requests.md, call_direction non_dial).
        if pinned is None and request.text("call_direction") == "non_dial":
            return Settled(decision, self._own(decision.session), replace(basis, name=name))
        if pinned is not None:
            agreed = await known.agreed(pinned, decision.rule)
        else:
            agreed = await known.pin(
                conference_of(
                    decision,
                    conference_id=self._new_id(),
                    alias=alias,
                    revision=ruleset.revision,
                    at=now,
                    lifetime=known.lifetime,
                    asked=_asked(request, ruleset, ruleset.services.looked_at[decision.rule]),
                )
            )
        return await self._enter(agreed, decision, basis, ruleset, request)

    async def _settle_nearby(
        self, ruleset: Ruleset, request: PolicyRequest, basis: Basis, now: datetime
    ) -> Settled | None:
        """The room that runs already and that this caller has a part in; ``None`` if there is none."""
        if _is_shut_out(basis, ruleset):
            return None
        running = {room.name: room for room in basis.nearby if now < room.expires_at}
        orphan: Settled | None = None
        for pinned in running.values():
            decision = self._evaluate(ruleset, request, pinned.pinned_at, self._links_of(pinned.pinned_at))
            if isinstance(decision, Serve) and room_of(decision) == pinned.name:
                agreed = await self._conferences.agreed(pinned, decision.rule)
                return await self._enter(agreed, decision, basis, ruleset, request)
            # These rules may have lost the one that made the room, which must not cost anybody the call. Without a
            # session everybody dials the same alias, and whoever is refused or sent elsewhere today is meant.
            is_lost = pinned.revision != ruleset.revision and (pinned.session or isinstance(decision, Continue))
            if is_lost and orphan is None:
                agreed = await self._conferences.agreed(pinned, pinned.rule)
                names = {name for door in agreed.doors.values() for name in door.asked}
                rule = rule_of_orphan(agreed, _asked(request, ruleset, names))
                if rule is not None:
                    served = recalled(agreed, decision.trace, rule=rule, dials=basis.alias == agreed.alias)
                    orphan = self._held(served, basis, agreed)
        return orphan

    async def _enter(
        self, pinned: PinnedConference, decision: Serve, basis: Basis, ruleset: Ruleset, request: PolicyRequest
    ) -> Settled:
        """The decision held to a room that runs, by the door of its rule, which from now on is held too."""
        rule = decision.rule
        if rule not in pinned.doors and request.text("call_direction") != "non_dial":
            asked = _asked(request, ruleset, ruleset.services.looked_at[rule])
            pinned = await self._conferences.open_door(pinned, rule, door_of(decision, asked))
        return self._held(held_to(pinned, decision), basis, pinned)

    def _held(self, decision: Serve, basis: Basis, pinned: PinnedConference) -> Settled:
        """A decision about a room that is pinned, perhaps just now."""
        nearby = self._conferences.nearby(basis.session, basis.alias)
        if nearby != basis.nearby and _others(nearby, pinned) != _others(basis.nearby, pinned):
            nearby = basis.nearby
        held = Basis(basis.session, basis.link, basis.alias, nearby, pinned.name, pinned)
        # Where there were too many rooms, nobody holds this one.
        return Settled(decision, self._key(decision, self._conferences.live(pinned.name, pinned.pinned_at)), held)

    def _key(self, decision: Serve, held: PinnedConference | None) -> str:
        """The timeline of a room: that of the signed link, or else of what holds it."""
        return self._own(decision.session) or ((held.session or held.name) if held is not None else "")

    def _links_of(self, at: datetime) -> FindLink:
        """The links as they were."""

        def find(session: str) -> Link | None:
            link = self._conferences.link(session)
            return None if link is None else link.as_of(at)

        return find

    def _own(self, session: str) -> str:
        """A session that was signed by us, else ``""``: strangers must not fill timelines."""
        return session if session and self._keyring.open(session) is not None else ""


def _others(rooms: tuple[PinnedConference, ...], pinned: PinnedConference) -> tuple[PinnedConference, ...]:
    return tuple(room for room in rooms if room.name != pinned.name)


def _is_shut_out(basis: Basis, ruleset: Ruleset) -> bool:
    """Whether the link was revoked and this is not the alias that it has for agents."""
    link = basis.link
    if link is None or link.revoked_at is None:
        return False
    agents, customers = (normalise_alias(alias, ruleset.domains) for alias in (link.agent_alias, link.alias))
    return not agents or basis.alias != agents or agents == customers


def _room_asked_for(request: PolicyRequest) -> str:
    return request.text("service_name") or request.text("unique_service_name")


def _asked(request: PolicyRequest, ruleset: Ruleset, names: Iterable[str]) -> dict[str, str]:
    """What a question has in some parameters, of what is secret a digest; always with the alias that was dialled."""
    asked: dict[str, str] = {}
    for name in sorted({"local_alias", *names}):
        parameter = PARAMETERS.get(name.removesuffix(RAW))
        if parameter is None:
            continue  # A parameter of a version that this one has forgotten.
        text = request.text(parameter.name)
        if parameter.kind is Kind.ALIAS and not name.endswith(RAW):
            text = normalise_alias(text, ruleset.domains)
        asked[name] = blake2b(text.encode(), digest_size=16).hexdigest() if parameter.secret and text else text
    return asked
