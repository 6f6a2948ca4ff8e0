"""Finding calls: by time, customer, attribute, rule, state and verdict, the latest first, page by page.

A link that joins a call is none of its own: it is shown with that.

A page costs so much at the most: what is wanted is looked for among ``LOOKED_AT`` calls, of which ``RENDERED`` are worked
out. Where that is not enough to fill a page it has fewer, and a cursor all the same.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, NamedTuple

import orjson

from policy_server.conferences.connection import Connection
from policy_server.conferences.fold import Phase
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.reader import BEGINNING, Reader
from policy_server.conferences.records import Link
from policy_server.conferences.shapes import Time, means, stamp
from policy_server.conferences.tables import NAME_LENGTH, instant, moment
from policy_server.conferences.verdict import Code
from policy_server.conferences.view import CallDetails, CallOutline, Conference
from policy_server.policy.directory import spellings
from policy_server.policy.ruleset import Ruleset
from policy_server.wording.values import shown
from policy_server.wording.words import one_of, unknown_key

USUAL: Final = 50
MOST: Final = 200
"""Calls of a page, unless another number is asked for, and at the most."""

LOOKED_AT: Final = 2_000
"""Calls that are looked at for a page."""

RENDERED: Final = 400
"""Calls that are worked out for a page."""

_AT_ONCE: Final = 50
FURTHEST: Final = datetime.max.replace(tzinfo=BEGINNING.tzinfo) - timedelta(days=2)
"""The last moment that can be asked for."""

_CONFERENCES: Final = """
    SELECT held_at, id, call, rule, call <> '' AND EXISTS (
        SELECT 1 FROM conferences AS later WHERE later.call = one.call
        AND (later.held_at > one.held_at OR (later.held_at = one.held_at AND later.id > one.id)))
    FROM conferences AS one WHERE held_at >= ? AND held_at < ? AND (held_at < ? OR id < ?)
    ORDER BY held_at DESC, id DESC LIMIT ?"""
_LINKS: Final = """
    SELECT created_at, call, call, '', EXISTS (SELECT 1 FROM conferences WHERE conferences.call = links.call)
    FROM links WHERE created_at >= ? AND created_at < ? AND (created_at < ? OR call < ?) AND joins = ''
    ORDER BY created_at DESC, call DESC LIMIT ?"""


class SearchError(ValueError):
    """A question that cannot be understood; the text has all its faults, ``faults`` each with its parameter."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(fault for _, fault in faults))
        self.faults: Final = tuple(faults)


class Position(NamedTuple):
    """Where a page ends: the time, whether it is a link that led to no room, and the id."""

    at: int
    is_link: bool
    id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls are looked for. ``since`` is the first moment and ``until`` the first one after; texts are empty where
    all will do. ``made_by`` is the name of the API key whose links alone are seen, if not all.
    """

    since: datetime = BEGINNING
    until: datetime = FURTHEST
    name: str = ""
    attributes: frozenset[tuple[str, str]] = frozenset()
    rule: str = ""
    state: str = ""
    verdict: str = ""
    limit: int = USUAL
    after: Position | None = None
    made_by: str | None = None


class CallSummary(CallOutline):
    """A call, or a meeting in a room that no link led to."""

    id: Annotated[str, means("What `GET /api/v1/conferences/{id}` takes.", "01k5-7f3e9a12")]
    at: Annotated[
        Time,
        means("When somebody first came, of a link that nobody used when it was made.", "2026-11-23T16:05:00+00:00"),
    ]
    rule: Annotated[str | None, means("The rule that made the room; `null` before there is one.", "customer")]


class Page(NamedTuple):
    """Some calls, the latest first, and the cursor of the next page if there may be one."""

    calls: list[CallSummary]
    next: str | None


class _Found(NamedTuple):
    position: Position
    call: str
    rule: str
    is_another: bool
    """A later row stands for the same call."""

    @property
    def at(self) -> datetime:
        return moment(self.position.at)


class ConferenceSearch:
    """Finds calls in the store, and works each out as the lookup does."""

    def __init__(self, lookup: ConferenceLookup) -> None:
        self._lookup: Final = lookup

    async def find(self, wanted: Wanted) -> Page:
        """A page of calls. Raises StoreUnavailableError."""
        calls: list[CallSummary] = []
        after, looked_at, rendered = wanted.after, 0, 0
        while True:
            some, worked_out, after, is_end = await self._lookup.read(
                self._some, wanted, after, wanted.limit - len(calls)
            )
            calls += some
            looked_at, rendered = looked_at + _AT_ONCE, rendered + worked_out
            if is_end:
                return Page(calls, None)
            if len(calls) >= wanted.limit or looked_at >= LOOKED_AT or rendered >= RENDERED:
                return Page(calls, cursor_of(after) if after is not None else None)

    async def show(self, call_id: str, made_by: str | None = None) -> CallDetails | None:
        """All of one call, by its ``id`` here or its call id; without what joins it. Raises StoreUnavailableError."""
        answer = await self._lookup.read(self._show, call_id, made_by)
        return details(answer) if answer is not None else None

    def _some(
        self, reader: Reader, ruleset: Ruleset, now: datetime, wanted: Wanted, after: Position | None, room: int
    ) -> tuple[list[CallSummary], int, Position | None, bool]:
        """Those of the next calls that are wanted, ``room`` at the most; how many were worked out, the last that was looked
        at, and whether there are no more.
        """
        found = _next(reader.connection, wanted, after)
        links = {link.call: link for link in reader.links([one.call for one in found if one.call])}
        calls: list[CallSummary] = []
        worked_out = 0
        for one in found:
            after = one.position
            if one.is_another or not _may_be(one, links.get(one.call), wanted):
                continue
            worked_out += 1
            answer = self._answer(reader, ruleset, now, one.call, one.position.id)
            if answer is not None and _is_wanted(answer, wanted):
                calls.append(_summary(answer, one))
                if len(calls) == room:
                    return calls, worked_out, after, False
        return calls, worked_out, after, len(found) < _AT_ONCE

    def _answer(self, reader: Reader, ruleset: Ruleset, now: datetime, call: str, held_id: str) -> Conference | None:
        if call:
            return self._lookup.of_call(reader, call, ruleset, now)
        held = reader.conference(held_id)
        return self._lookup.of_room(reader, held, ruleset, now) if held is not None else None

    def _show(
        self, reader: Reader, ruleset: Ruleset, now: datetime, call_id: str, made_by: str | None
    ) -> Conference | None:
        held = reader.conference(call_id)
        call = held.call if held is not None else call_id
        link = reader.link(call) if call else None
        if made_by is not None and (link is None or link.created_by != made_by):
            return None
        return self._answer(reader, ruleset, now, call, call_id)


def _next(connection: Connection, wanted: Wanted, after: Position | None) -> list[_Found]:
    """The next calls at a time, whatever is wanted of them: of both kinds, the latest first."""
    since, until = instant(wanted.since), instant(wanted.until)
    found: list[_Found] = []
    for is_link, statement in ((False, _CONFERENCES), (True, _LINKS)):
        # Where two have one time, rooms come before links.
        at, name = until, ""
        if after is not None:
            at, name = (after.at, after.id) if after.is_link == is_link else (after.at + (not after.is_link), "")
        rows = connection.execute(statement, since, min(until, at + bool(name)), at, name, _AT_ONCE)
        found += (_Found(Position(row[0], is_link, row[1]), row[2], row[3], bool(row[4])) for row in rows)
    return sorted(found, key=lambda one: (-one.position.at, one.position.is_link))[:_AT_ONCE]


def _may_be(one: _Found, link: Link | None, wanted: Wanted) -> bool:
    """Whether a call may be wanted, by what is known of it before it is worked out."""
    if wanted.made_by is not None and (link is None or link.created_by != wanted.made_by):
        return False
    attributes = link.attributes if link is not None else {}
    return (not wanted.rule or one.rule == wanted.rule) and wanted.attributes <= attributes.items()


def _is_wanted(answer: Conference, wanted: Wanted) -> bool:
    is_so = wanted.state in ("", answer["state"]) and wanted.verdict in ("", answer["verdict"]["code"])
    names = spellings(answer["customer"]["name"] or "")
    return is_so and any(typed in name for typed in spellings(wanted.name) for name in names)


def _summary(answer: Conference, one: _Found) -> CallSummary:
    return {
        "id": one.position.id,
        "at": stamp(one.at),
        "rule": one.rule or None,
        "verdict": answer["verdict"],
        "call": answer["call"],
        "name": answer["name"],
        "service_tag": answer["service_tag"],
        "state": answer["state"],
        "customer": answer["customer"],
        "attributes": answer["attributes"],
        "started_at": answer["started_at"],
        "ended_at": answer["ended_at"],
    }


def details(answer: Conference) -> CallDetails:
    """What people and systems may know who do not join."""
    return {
        "verdict": answer["verdict"],
        "call": answer["call"],
        "name": answer["name"],
        "service_tag": answer["service_tag"],
        "state": answer["state"],
        "customer": answer["customer"],
        "trunk_leg": answer["trunk_leg"],
        "participants": answer["participants"],
        "attributes": answer["attributes"],
        "joins": answer["joins"],
        "joined_by": answer["joined_by"],
        "timeline": answer["timeline"],
        "absent": answer["absent"],
        "timeline_left_out": answer["timeline_left_out"],
        "created_at": answer["created_at"],
        "opened_at": answer["opened_at"],
        "started_at": answer["started_at"],
        "ended_at": answer["ended_at"],
        "starts_at": answer["starts_at"],
        "opens_at": answer["opens_at"],
        "expires_at": answer["expires_at"],
        "revoked_at": answer["revoked_at"],
        "moved_at": answer["moved_at"],
        "moved_to": answer["moved_to"],
    }


# ------------------------------------------------------------------ questions


def read_wanted(parameters: Sequence[tuple[str, str]], made_by: str | None = None) -> Wanted:
    """Reads the parameters of a question. Raises SearchError with everything that is wrong."""
    given: dict[str, list[str]] = {}
    for name, text in parameters:
        given.setdefault(name, []).append(text)
    faults = list(_faults(given))
    if faults:
        raise SearchError(faults)
    texts = {name: values[0] for name, values in given.items()}
    since, until = _time(texts.get("since")), _time(texts.get("until"))
    return Wanted(
        since=since or BEGINNING,
        until=until or FURTHEST,
        name=texts.get("name", ""),
        attributes=frozenset(_pair(text) for text in given.get("attribute", ())),
        rule=texts.get("rule", ""),
        state=texts.get("state", ""),
        verdict=texts.get("verdict", ""),
        limit=int(texts.get("limit", USUAL)),
        after=_position(texts["cursor"]) if texts.get("cursor") else None,
        made_by=made_by,
    )


PARAMETERS: Final = ("since", "until", "name", "attribute", "rule", "state", "verdict", "limit", "cursor")


def _faults(given: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for name, values in given.items():
        if name not in PARAMETERS:
            yield name, unknown_key(name, PARAMETERS, "a question for calls")
        elif len(values) > 1 and name != "attribute":
            yield name, f"{name} may be given once"
        else:
            yield from ((name, fault) for text in values if (fault := _fault(name, text)))


def _fault(name: str, text: str) -> str | None:
    if len(text) > NAME_LENGTH:
        return f"{name} may have {NAME_LENGTH} characters"
    words: Mapping[str, Iterable[str]] = {"state": Phase, "verdict": Code}
    if name in words and text not in set(words[name]):
        return one_of(name, list(words[name]), text)
    if name in {"since", "until"} and _time(text) is None:
        return f"{name} must be a time with an offset such as 2026-11-23T14:05:00Z but is {shown(text)}"
    if name == "attribute" and "=" not in text:
        return f"attribute must be a name and a value such as language=es but is {shown(text)}"
    if name == "limit" and not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= MOST):
        return f"limit must be a number from 1 to {MOST} but is {shown(text)}"
    if name == "cursor" and text and _position(text) is None:
        return "cursor must be the `next` of a page before, as it was"
    return None


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _time(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat((text or "").strip())
        return min(max(at, BEGINNING), FURTHEST) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def cursor_of(position: Position) -> str:
    """A position as clients send it."""
    return urlsafe_b64encode(orjson.dumps(list(position))).decode().rstrip("=")


def _position(cursor: str) -> Position | None:
    try:
        match orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))):
            case [int(at), bool(is_link), str(name)] if 0 <= at <= instant(FURTHEST) and name and "\0" not in name:
                return Position(at, is_link, name)
            case _:
                return None
    except (ValueError, binascii.Error):
        return None
