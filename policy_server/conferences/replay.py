"""Questions of a decision log, decided again by other rules: what would be answered differently.

Nothing is read and nobody is asked: lines, rules and a key go in, differences come out. ``Rooms`` decides, as for nodes.
The server of the log is played by what its lines say: links as they were, and rooms from the question that began them to
the one that began the next.

What cannot be known from a line is not guessed. Such a line is ``Unseen``, with the reason. Never compared are values of
PINs and passwords, what an upstream would answer, what comes after the first way of a leg, and pictures beyond their name.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import orjson

from policy_server.conferences.holding import agents_aliases
from policy_server.conferences.records import HeldConference, Link, alias_key
from policy_server.conferences.rehearsal import Stage
from policy_server.conferences.rooms import Rooms
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.field_facts import MASK
from policy_server.pexip.parameters import PATH_ALIAS
from policy_server.pexip.query import QuestionError
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import IDP_PREFIX, PolicyRequest, encode_query, parse_request
from policy_server.policy.answers import answered
from policy_server.policy.asked import LINK_ATTRIBUTE, asked_until
from policy_server.policy.decisions import Decision, Forward
from policy_server.policy.masking import HIDDEN
from policy_server.policy.names import NAME_LENGTH, Call, Keyring, Role
from policy_server.policy.personal import without_people
from policy_server.policy.ruleset import Ruleset
from policy_server.telephony.trunks import Load
from policy_server.wording.values import shown
from policy_server.wording.words import listed

_UNSIGNED: Final = "a" * NAME_LENGTH
"""A name that no key signed: its version is none of ours."""

_LOCAL: Final = "local_alias"
_LEGS: Final = "result.automatic_participants"
_IDP: Final = "idp_attributes."

WITHDRAWN: Final = ("link_revoked", "link_moved", "joins_revoked", "joins_moved")
"""When the link of a call was withdrawn, and when the one of the call that it joins."""

Fields = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Logged:
    """A question as a decision log has it, and what became of it.

    ``fields`` are its parameters, the alias of the path among them; ``answer`` is what ``policy.answers.answered`` said,
    masked. ``held`` is since when ``conference`` held the room, and ``running`` are the ids of others that ran.
    ``link_attributes`` has ``None`` for what the link was not given, and ``joins_attributes`` the same for that of the call that
    it ``joins``. ``withdrawn`` has the times of ``WITHDRAWN``. ``cut`` are parameters that were longer; ``is_masked``: people's
    names and addresses are hidden.
    """

    at: datetime
    decision_id: str
    type: RequestType
    fields: Fields
    outcome: str
    rule: str | None
    revision: str
    answer: Mapping[str, object]
    upstream: str = ""
    call: str = ""
    conference: str = ""
    held: datetime | None = None
    running: frozenset[str] = frozenset()
    link_attributes: Mapping[str, str | None] = field(default_factory=dict)
    joins: str = ""
    joins_attributes: Mapping[str, str | None] = field(default_factory=dict)
    withdrawn: Mapping[str, datetime] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()
    is_masked: bool = False

    @property
    def alias(self) -> str:
        """What was dialled, or registers, as the log shows it."""
        alias = self.fields.get(_LOCAL) or self.fields.get(PATH_ALIAS.name, "")
        return alias if isinstance(alias, str) else ", ".join(alias)


class FieldDifference(NamedTuple):
    """One field of two answers; ``None`` where it is absent."""

    path: str
    then: object
    now: object

    def __str__(self) -> str:
        return f"{self.path}: {_value(self.then)} → {_value(self.now)}"


@dataclass(frozen=True, slots=True)
class Compared:
    """A question that was decided again: rule, outcome, reason and answer of now, masked, and the fields that differ."""

    logged: Logged
    rule: str | None
    outcome: str
    reason: str
    fields: tuple[FieldDifference, ...]
    answer: Mapping[str, object]

    @property
    def differs(self) -> bool:
        """Whether the node would be told something else; that another rule says the same is no difference."""
        return self.outcome != self.logged.outcome or bool(self.fields)

    @property
    def differs_in_legs_alone(self) -> bool:
        """Whether nothing but what is dialled is another."""
        return self.outcome == self.logged.outcome and all(each.path.startswith(_LEGS) for each in self.fields)


@dataclass(frozen=True, slots=True)
class Unseen:
    """A question that could not be decided again as it was, and why."""

    logged: Logged
    why: str


def replay(
    lines: Iterable[Logged], ruleset: Ruleset, keyring: Keyring | None, lifetime: timedelta
) -> list[Compared | Unseen]:
    """Every question in the order of time, decided by the rules. ``lifetime`` is how long a room stays held.

    Without a keyring no link can be dialled again. Not for use inside an event loop.
    """
    replayed = _Replayed(ruleset, keyring, lifetime)

    async def play() -> list[Compared | Unseen]:
        return [await replayed.compare(line) for line in sorted(lines, key=lambda line: line.at)]

    return asyncio.run(play())


class _UnseenError(Exception):
    """A line cannot be decided again; the text says why."""


class _Stage(Stage):
    """Remembers of what it was asked how much goes there: it knows too little to tell."""

    def __init__(self, lifetime: timedelta) -> None:
        super().__init__(lifetime)
        self._loads: Final[dict[str, None]] = {}

    def load(self, remote_alias: str, at: datetime) -> Load:
        """How much goes to what is dialled, by the rooms that the lines tell of."""
        self._loads[remote_alias] = None
        return super().load(remote_alias, at)

    def asked_load(self) -> tuple[str, ...]:
        """Of what that was asked since the last time."""
        asked = tuple(self._loads)
        self._loads.clear()
        return asked


class _Replayed:
    """The server of the log, with other rules."""

    def __init__(self, ruleset: Ruleset, keyring: Keyring | None, lifetime: timedelta) -> None:
        self._ruleset: Final = ruleset
        self._is_signed: Final = keyring is not None
        self._keyring: Final = keyring or Keyring.from_text("a key that signed nothing, for rules without one")
        self._stage: Final = _Stage(lifetime)
        self._conference = ""
        self._rooms: Final = Rooms(self._stage, self._keyring, lambda: self._conference)
        self._began: Final[set[str]] = set()

    async def compare(self, logged: Logged) -> Compared | Unseen:
        """One question; those before it must have been asked."""
        try:
            call = self._call(logged)
            request = self._request(logged, call)
            self._take_link(logged, call)
            self._take_room(logged, request)
            self._conference = logged.conference or f"line {logged.decision_id}"
            settled = await self._rooms.settle(self._ruleset, request, logged.at)
            self._look_for_hidden(logged, settled.decision)
            compared = self._compared(logged, settled.decision)
            if (dialled := self._stage.asked_load()) and compared.differs and compared.differs_in_legs_alone:
                raise _UnseenError(
                    f"how much went to {listed(dialled)} then, of which trunks have limits, is in no line"
                )
        except _UnseenError as unseen:
            return Unseen(logged, str(unseen))
        return compared

    def _call(self, logged: Logged) -> Call | None:
        """The call of the line."""
        if not logged.call:
            return None
        if not self._is_signed:
            raise _UnseenError("it is about a link, and POLICY_SECRET_KEY is not set")
        call = self._keyring.open(logged.call, Role.CALL, self._ruleset.links)
        if call is None:
            raise _UnseenError("it is about a link whose key or type is not known here")
        return call

    def _request(self, logged: Logged, call: Call | None) -> PolicyRequest:
        fields = {name: self._restored(name, value, logged, call) for name, value in logged.fields.items()}
        if HIDDEN in fields.get(_LOCAL, ""):
            raise _UnseenError(
                "the log hides the alias, which has the form of a name of a call and is none of these rules' aliases"
            )
        if logged.type is RequestType.SERVICE and fields.get("call_direction") == "dial_out":
            # The second counts only where the first is missing.
            names = "".join(_texts({"": fields.get("service_name") or fields.get("unique_service_name", "")}))
            if MASK in names or HIDDEN in names:
                raise _UnseenError("the log hides the name of the room that calls out")
        alias = fields.pop(PATH_ALIAS.name, "")
        try:
            return parse_request(logged.type, encode_query(fields).encode(), alias if isinstance(alias, str) else "")
        except QuestionError as error:
            raise _UnseenError(str(error)) from None

    def _restored(
        self, name: str, value: str | tuple[str, ...], logged: Logged, call: Call | None
    ) -> str | tuple[str, ...]:
        """A parameter with the names of calls that the log hides in it."""
        if not isinstance(value, str):
            return tuple(str(self._restored(name, each, logged, call)) for each in value)
        if HIDDEN not in value:
            return value
        if call is not None:
            return with_name(value, call, self._ruleset)
        if logged.conference and (alias := self._agents_alias(value, logged.conference)):
            return alias
        if name == _LOCAL:
            # Whoever keeps the log had the key, and knew no call of this name.
            return _with_names(value, self._ruleset, lambda _type, _role: _UNSIGNED)
        return value

    def _agents_alias(self, shown_alias: str, conference: str) -> str:
        user, at, domain = shown_alias.partition("@")
        for alias in agents_aliases(self._keyring, conference):
            if self._ruleset.mask.text(alias, self._keyring) == user.rpartition(":")[2]:
                return f"{alias}{at}{domain}"
        return ""

    def _take_link(self, logged: Logged, call: Call | None) -> None:
        if call is None:
            return
        self._stage.links[logged.call] = _link(logged, "link", logged.call, call, logged.link_attributes)
        if logged.joins:
            joined = self._keyring.open(logged.joins, Role.CALL, self._ruleset.links)
            if joined is None:
                raise _UnseenError("it is about a link whose key or type is not known here")
            self._stage.links[logged.joins] = _link(logged, "joins", logged.joins, joined, logged.joins_attributes)

    def _take_room(self, logged: Logged, request: PolicyRequest) -> None:
        """Has the rooms that the line is about be held, or not, as they were."""
        begins = False
        if logged.held is not None:
            if logged.held < logged.at and logged.conference not in self._began:
                raise _UnseenError(f"the room was held before the lines that can be looked at: since {logged.held}")
            begins = logged.held >= logged.at
            self._began.add(logged.conference)
        for room in self._led_to(logged, request):
            # What only these rules began goes on, until the server of the log began something in its place.
            if room.id not in {logged.conference, *logged.running} and (begins or room.id in self._began):
                self._stage.forget(room)

    def _led_to(self, logged: Logged, request: PolicyRequest) -> Iterable[HeldConference]:
        """The rooms that the question may lead into."""
        if logged.type is not RequestType.SERVICE:
            return ()
        if request.text("call_direction") == "dial_out":
            calling = self._rooms.calling_out(self._ruleset, request, logged.at)
            return () if calling is None else (calling,)
        alias = alias_key(normalise_alias(request.text(_LOCAL), self._ruleset.domains))
        rooms = (*self._stage.nearby(logged.call, alias), *self._stage.nearby(logged.joins, ""))
        return {room.name: room for room in rooms}.values()

    def _look_for_hidden(self, logged: Logged, decision: Decision) -> None:
        """Raises if what the log does not have may have led elsewhere."""
        asked = asked_until(self._ruleset, logged.type, decision.rule)
        hidden = set(logged.cut)
        for name, value in logged.fields.items():
            texts = (value,) if isinstance(value, str) else value
            is_lost = name != _LOCAL and any(HIDDEN in text for text in texts)
            if MASK in texts or is_lost:
                hidden.add(name)
        named = {_IDP + name.removeprefix(IDP_PREFIX) if name.startswith(IDP_PREFIX) else name for name in hidden}
        of_links = (
            (logged.link_attributes, *((logged.joins_attributes,) if logged.joins else ())) if logged.call else ()
        )
        for key in asked:
            if key.startswith(LINK_ATTRIBUTE):
                name = key.removeprefix(LINK_ATTRIBUTE)
                named |= {key for given in of_links if given.get(name, MASK) == MASK}
        if lost := sorted(asked & named):
            raise _UnseenError(f"the log does not have {listed(lost)}, for which rules ask")

    def _compared(self, logged: Logged, decision: Decision) -> Compared:
        answer: Mapping[str, object] = answered(logged.type, decision)
        then = logged.answer
        word = decision.word
        if logged.upstream and isinstance(decision, Forward) and decision.upstream.name == logged.upstream:
            # Asked again, it may say anything.
            answer, word = then, logged.outcome
        answer = self._rooms.shown(self._ruleset, answer, logged.call)
        if logged.is_masked:
            answer = without_people(answer, logged.call)
        now = orjson.loads(orjson.dumps(answer))
        return Compared(logged, decision.rule, word, decision.reason, tuple(_differences("", dict(then), now)), now)


def _link(logged: Logged, whose: str, name: str, call: Call, given: Mapping[str, str | None]) -> Link:
    return Link(
        call=name,
        type=call.type,
        name="",
        attributes={key: value for key, value in given.items() if value is not None},
        created_at=logged.at,
        expires_at=call.expires_at,
        created_by="",
        revoked_at=logged.withdrawn.get(f"{whose}_revoked"),
        moved_at=logged.withdrawn.get(f"{whose}_moved"),
        joins=logged.joins if whose == "link" else "",
    )


def with_name(text: str, call: Call, ruleset: Ruleset) -> str:
    """A text out of a log with the alias of a call as it was dialled: logs hide the name in it."""
    return _with_names(text, ruleset, lambda link_type, role: call.name(role) if link_type == call.type else "")


def _with_names(text: str, ruleset: Ruleset, name_of: Callable[[str, Role], str]) -> str:
    # The alias that says most first: one without anything around the name looks like any other.
    for form in sorted(ruleset.alias_forms, key=lambda form: len(form.before + form.after), reverse=True):
        if form.role is not Role.CALL and (name := name_of(form.type, form.role)):
            before, after = re.escape(form.before), re.escape(form.after)
            text = re.sub(f"(?<={before}){HIDDEN}(?={after})", name, text, flags=re.IGNORECASE)
    return text


def _differences(path: str, then: object, now: object) -> Iterator[FieldDifference]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in [*then, *(key for key in now if key not in then)]:
            below = f"{path}.{key}" if path else key
            yield from _differences(below, then.get(key), now.get(key))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (before, after) in enumerate(zip(then, now, strict=True)):
            yield from _differences(f"{path}[{number}]", before, after)
    elif type(then) is not type(now) or then != now:
        yield FieldDifference(path, then, now)


def _value(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return f"{len(value)} entr{'y' if len(value) == 1 else 'ies'}"
    return (
        "some fields" if isinstance(value, dict) and value else "no fields" if isinstance(value, dict) else shown(value)
    )


def _texts(fields: Fields) -> Iterator[str]:
    for value in fields.values():
        yield from (value,) if isinstance(value, str) else value
