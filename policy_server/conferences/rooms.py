"""The decision about a question in the light of what runs already: one room, one service (README.md: Held rooms).

The rules decide as they did when the room was held, and what they serve is held to what the room keeps. So neither closing
time nor an expired link nor a reload takes a running conference apart. The door is each rule's own, and stays too. A
revoked link shuts the customer out, not the agent.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote

from policy_server.conferences.holding import (
    AGENTS_REASON,
    agents_aliases,
    conference_of,
    door_of,
    held_to,
    recalled,
    room_of,
    rule_of_orphan,
)
from policy_server.conferences.records import DIALLED, Door, HeldConference, Link, alias_key
from policy_server.pexip.aliases import normalise_alias, original_stretch
from policy_server.pexip.field_facts import SECRET_FIELDS
from policy_server.pexip.parameters import PARAMETERS, Kind
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.decisions import Continue, Decision, Forward, Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.facts import FindLink, room_call
from policy_server.policy.link_aliases import Entrance, ReadAlias, read_alias
from policy_server.policy.masking import Hiding
from policy_server.policy.names import Call, Keyring, Role
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.services import LEGS
from policy_server.policy.templates import RAW
from policy_server.policy.trunk_limits import LoadOf
from policy_server.telephony.trunks import Load

_NO_ATTRIBUTES: Final[Mapping[str, str]] = {}
_CUSTOMER: Final = Entrance.CUSTOMER.value
_AGENT: Final = Entrance.AGENT.value


class Settled(NamedTuple):
    """A decision, and what it is about: each is ``""`` for none of ours.

    ``key`` is the call or room name whose timeline it belongs to, ``call`` the call whose alias was dialled, ``room`` the
    name of the room that is served. ``joining`` is that call again where its link joins another call, which is ``key`` then
    as far as it is known: what is said of it belongs on both timelines. ``held`` is the conference that holds the room, since
    then or before; ``running`` are the ids of the others that ran and to which alias or call have led.
    """

    decision: Decision
    key: str = ""
    call: str = ""
    room: str = ""
    joining: str = ""
    held: HeldConference | None = None
    running: tuple[str, ...] = ()


class _Dialled(NamedTuple):
    """An alias that was dialled, also as ``alias_key`` writes it, its call, whether it lets in nobody any more, and the
    rooms that it has led to.
    """

    read: ReadAlias
    alias: str
    call: str
    is_shut: bool
    nearby: tuple[HeldConference, ...]


class Known(Protocol):
    """What is known of links and rooms, and where a room is held: a replica's ``Conferences``, or a ``Snapshot``."""

    @property
    def lifetime(self) -> timedelta:
        """How long a room stays held when nobody says that it ended."""

    def link(self, call: str) -> Link | None:
        """The link of a call."""

    def live(self, name: str, at: datetime) -> HeldConference | None:
        """The conference that holds a room."""

    def nearby(self, call: str, alias: str) -> tuple[HeldConference, ...]:
        """The rooms that an alias or a call has led to, the latest first."""

    def load(self, remote_alias: str, at: datetime) -> Load:
        """How much goes to what is dialled, by the rooms that are held."""

    async def hold(self, conference: HeldConference) -> HeldConference:
        """Pins a room and returns the conference that holds it."""

    async def agreed(self, held: HeldConference, rule: str) -> HeldConference:
        """The conference that holds a room and the door of a rule, when everybody who may hold it has been heard."""

    async def open_door(self, held: HeldConference, rule: str, door: Door) -> HeldConference:
        """Holds the door of one more rule of a room; the conference with its doors."""


def conference_ids(process: str) -> Callable[[], str]:
    """Makes ids of conferences for a process of that name, which no other has. They are in order, so that those of one
    time stand side by side in an index.
    """
    numbers = count(1)
    return lambda: f"{process}{next(numbers):012x}"


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

    def shown(self, ruleset: Ruleset, value: Mapping[str, object], call: str = "") -> dict[str, object]:
        """Values as logs and timelines may show them: no PIN or password, no session and no agent key in them."""
        return self.hiding(ruleset, call).fields(value)

    def hiding(self, ruleset: Ruleset, call: str = "") -> Hiding:
        """What hides the same in all that is told of one question."""
        return ruleset.mask.hiding(self._keyring, call, SECRET_FIELDS)

    def is_ours(self, ruleset: Ruleset, decision: Decision, now: datetime) -> bool:
        """Whether what somebody else decided leads into a room that is held, or into that of a call which we signed."""
        name = room_of(decision) if isinstance(decision, Serve) else ""
        if not name:
            return False
        is_held = self._conferences.live(name, now) is not None
        return is_held or self._keyring.open(name, Role.CALL, ruleset.links) is not None

    async def settle(self, ruleset: Ruleset, request: PolicyRequest, now: datetime) -> Settled:
        """Decides one question, and holds the room that it is the first to be served.

        Waits for the database as long as ``Conferences.hold`` does, and only when it holds.
        """
        if not request.type.about.is_about_call:
            return Settled(self._evaluate(ruleset, request, now))
        if request.type is RequestType.SERVICE and request.text("call_direction") == "dial_out":
            return await self._settle_call_out(ruleset, request, now)
        alias = normalise_alias(request.text("local_alias"), ruleset.domains)
        read = ReadAlias(alias, read_alias(ruleset.alias_forms, self._keyring, alias))
        if request.type is RequestType.SERVICE:
            settled = await self._settle_alias(ruleset, request, read, now)
        else:
            call = read.link.call_id if read.link is not None else ""
            decision = self._evaluate(ruleset, request, now, read)
            held = self._conferences.live(_room_asked_for(request), now)
            key = call if held is None else held.call or held.name
            settled = Settled(decision, key, call)
        if read.link is not None and read.link.joins and settled.call:
            joined = room_call(read.link, self._conferences.link, self._keyring)
            key = joined.id if joined is not None and settled.key == settled.call else settled.key
            return settled._replace(key=key, joining=settled.call)
        return settled

    def _evaluate(
        self,
        ruleset: Ruleset,
        request: PolicyRequest,
        at: datetime,
        read: ReadAlias | None = None,
        find_link: FindLink | None = None,
        load_of: LoadOf | None = None,
        made_by: str = "",
    ) -> Decision:
        links = find_link or self._conferences.link
        return evaluate(ruleset, request, at, self._keyring, self._link_attributes, links, read, load_of, made_by)

    async def _settle_call_out(self, ruleset: Ruleset, request: PolicyRequest, now: datetime) -> Settled:
        """A call out of a room that exists: that room's service, whatever else the question says.

        (README.md: Calls out of a room)
        """
        name, held = _room_asked_for(request), self.calling_out(ruleset, request, now)
        decision = self._evaluate(ruleset, request, now, made_by=held.rule if held is not None else "")
        if held is not None:
            name = held.name
            held = await self._conferences.agreed(held, held.rule)
            decision = (
                held_to(held, decision)
                if isinstance(decision, Serve) and LEGS in decision.service
                else recalled(held, decision.trace, rule=held.rule, dials=True)
            )
        if not isinstance(decision, Serve):
            return Settled(decision, room=name)
        return Settled(decision, _timeline_of(decision, held), decision.call, name, held=held)

    def calling_out(self, ruleset: Ruleset, request: PolicyRequest, now: datetime) -> HeldConference | None:
        """The room that is held of which a question about a call out is."""
        name = _room_asked_for(request)
        return self._conferences.live(name, now) if name else self._room_calling(ruleset, request, now)

    def _room_calling(self, ruleset: Ruleset, request: PolicyRequest, now: datetime) -> HeldConference | None:
        """The room that calls out under ``local_alias``: so a dial of the Management API names it, if a node asks about the
        alias that does the calling (management/README.md: Dial a participant). It opens no door: who comes in asks otherwise.
        """
        alias = request.text("local_alias")
        caller = normalise_alias(alias, ruleset.domains).partition("@")[0]
        if not caller:
            return None
        of_call = (room for room in self._conferences.nearby(caller, "") if now < room.expires_at)
        # Without a call it is the room's name, as ``uri_user`` wrote it.
        return next(of_call, None) or self._conferences.live(unquote(original_stretch(alias, 0, len(caller))), now)

    async def _settle_alias(self, ruleset: Ruleset, request: PolicyRequest, read: ReadAlias, now: datetime) -> Settled:
        alias, link = read
        known, key = self._conferences, alias_key(alias)
        call = link.call_id if link is not None else ""
        leads_to = link.call if link is not None else None
        if link is not None and link.joins:
            leads_to = room_call(link, known.link, self._keyring)
        of_room = leads_to.id if leads_to is not None else ""
        nearby = known.nearby(of_room, key)
        is_agents = link is not None and link.entrance is Entrance.AGENT
        if nearby and link is None and nearby[0].call:
            # The rules of today may not know the type of link any more.
            call, is_agents = nearby[0].call, nearby[0].aliases.get(_AGENT) == key
            nearby = known.nearby(call, key)
        is_shut = not is_agents and (self._is_revoked(call) or (of_room != call and self._is_revoked(of_room)))
        dialled = _Dialled(read, key, call, is_shut, nearby)
        settled = await self._settle_nearby(ruleset, request, dialled, now)
        if settled is None:
            settled = await self._settle_anew(ruleset, request, dialled, leads_to, now)
        others = [room for room in nearby if room is not settled.held and now < room.expires_at]
        return settled._replace(running=tuple({room.id: None for room in others})) if others else settled

    async def _settle_anew(
        self, ruleset: Ruleset, request: PolicyRequest, dialled: _Dialled, leads_to: Call | None, now: datetime
    ) -> Settled:
        """By the rules of now: a room begins, or one that runs is entered by another way, or there is none."""
        read, key, call, _, nearby = dialled
        known, alias = self._conferences, read.alias
        # No room, or one that the rules gave this caller no part in when it began. Only a room that begins chooses its legs.
        decision = self._evaluate(ruleset, request, now, read, load_of=lambda dialled: known.load(dialled, now))
        for room in nearby:
            if not room.call and now < room.expires_at and room.aliases.get(_AGENT) == key:
                agreed = await known.agreed(room, room.rule)
                entry = recalled(agreed, decision.trace, rule=agreed.rule, dials=False, reason=AGENTS_REASON)
                return self._served(entry, "", agreed)
        if not isinstance(decision, Serve):
            return Settled(decision, call, call)
        name = room_of(decision)
        if not name:
            return Settled(decision, decision.call, call)
        held = known.live(name, now)
        # What is not a call begins no conference (pexip/README.md: Order during a call).
        if held is None and request.text("call_direction") == "non_dial":
            return Settled(decision, decision.call, call, name)
        if held is not None:
            agreed = await known.agreed(held, decision.rule)
        else:
            conference_id = self._new_id()
            aliases = _aliases(key, leads_to, ruleset)
            if not decision.call:
                aliases[_AGENT] = alias_key(next(agents_aliases(self._keyring, conference_id)))
            agreed = await known.hold(
                conference_of(
                    decision,
                    conference_id=conference_id,
                    alias=ruleset.mask.text(alias, self._keyring),
                    aliases=aliases,
                    link_type=leads_to.type if leads_to is not None else "",
                    revision=ruleset.revision,
                    at=now,
                    lifetime=known.lifetime,
                    asked=_asked(request, ruleset, ruleset.lists[RequestType.SERVICE].looked_at[decision.rule], key),
                )
            )
        return await self._enter(agreed, decision, dialled, ruleset, request)

    async def _settle_nearby(
        self, ruleset: Ruleset, request: PolicyRequest, dialled: _Dialled, now: datetime
    ) -> Settled | None:
        """The room that runs already and that this caller has a part in; ``None`` if there is none.

        A link that was moved still leads into a room that began before.
        """
        if dialled.is_shut:
            return None
        running = {room.name: room for room in dialled.nearby if now < room.expires_at}
        orphan: Settled | None = None
        for held in running.values():
            decision = self._evaluate(ruleset, request, held.held_at, dialled.read, self._links_of(held.held_at))
            if isinstance(decision, Serve) and room_of(decision) == held.name:
                agreed = await self._conferences.agreed(held, decision.rule)
                return await self._enter(agreed, decision, dialled, ruleset, request)
            # These rules may have lost the one that made the room, which must not cost anybody the call. Without a
            # call everybody dials the same alias, and whoever is refused or sent elsewhere today is meant.
            is_elsewhere = isinstance(decision, Continue | Forward)
            is_lost = held.revision != ruleset.revision and (held.call or is_elsewhere)
            if is_lost and orphan is None:
                agreed = await self._conferences.agreed(held, held.rule)
                names = {name for door in agreed.doors.values() for name in door.asked}
                rule = rule_of_orphan(agreed, _asked(request, ruleset, names, dialled.alias))
                if rule is not None:
                    served = recalled(agreed, decision.trace, rule=rule, dials=dialled.alias == agreed.dialled)
                    orphan = self._served(served, dialled.call, agreed)
        return orphan

    async def _enter(
        self, held: HeldConference, decision: Serve, dialled: _Dialled, ruleset: Ruleset, request: PolicyRequest
    ) -> Settled:
        """The decision held to a room that runs, by the door of its rule, which from now on is held too."""
        rule = decision.rule
        if rule not in held.doors and request.text("call_direction") != "non_dial":
            asked = _asked(request, ruleset, ruleset.lists[RequestType.SERVICE].looked_at[rule], dialled.alias)
            held = await self._conferences.open_door(held, rule, door_of(decision, asked))
        return self._served(held_to(held, decision), dialled.call, held)

    def _served(self, decision: Serve, call: str, held: HeldConference) -> Settled:
        # Where there were too many rooms, nobody holds this one.
        holder = self._conferences.live(held.name, held.held_at)
        return Settled(decision, _timeline_of(decision, holder), call, held.name, held=holder)

    def _is_revoked(self, call: str) -> bool:
        link = self._conferences.link(call)
        return link is not None and link.revoked_at is not None

    def _links_of(self, at: datetime) -> FindLink:
        """The links as they were."""

        def find(call: str) -> Link | None:
            link = self._conferences.link(call)
            return None if link is None else link.as_of(at)

        return find


def _aliases(key: str, call: Call | None, ruleset: Ruleset) -> dict[str, str]:
    """The aliases that lead into the room of a call which begins now, ``key`` being the one that was dialled."""
    aliases = {DIALLED: key} if key else {}
    if call is not None:
        link_type = ruleset.links[call.type]
        own = {_CUSTOMER: link_type.customers_alias(call), _AGENT: link_type.agents_alias(call)}
        aliases |= {whose: alias_key(alias.lower()) for whose, alias in own.items() if alias}
    return aliases


def _timeline_of(decision: Serve, held: HeldConference | None) -> str:
    """The timeline of a room: that of the signed link, or else of what holds it."""
    return decision.call or ((held.call or held.name) if held is not None else "")


def _room_asked_for(request: PolicyRequest) -> str:
    return request.text("service_name") or request.text("unique_service_name")


def _asked(request: PolicyRequest, ruleset: Ruleset, names: Iterable[str], dialled: str) -> dict[str, str]:
    """What a question has in some parameters, of what may open a door a digest; always with the alias that was dialled, as
    ``alias_key`` writes it.
    """
    asked = {"local_alias": dialled}
    for name in sorted(names):
        parameter = PARAMETERS.get(name.removesuffix(RAW))
        # Some may be of a version that this one has forgotten.
        if parameter is None or name in asked:
            continue
        text = request.text(parameter.name)
        if parameter.kind is Kind.ALIAS and not name.endswith(RAW):
            text = normalise_alias(text, ruleset.domains)
        asked[name] = alias_key(text) if parameter.secret or parameter.name == "local_alias" else text
    return asked
