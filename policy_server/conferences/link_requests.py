"""What a request for a customer's link means: read whole, or refused with everything that is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from typing import Annotated, Any, Final, NotRequired

import orjson
from typing_extensions import TypedDict

from policy_server.conferences.records import Link
from policy_server.conferences.shapes import Time, means
from policy_server.conferences.view import EXAMPLE_CALL
from policy_server.pexip.query import clean
from policy_server.policy.appointments import FURTHEST
from policy_server.policy.link_attributes import (
    ATTRIBUTE_LIMIT,
    ATTRIBUTE_NAME,
    MOST_ATTRIBUTES,
    attribute_faults,
    completed,
)
from policy_server.policy.links import TTL
from policy_server.policy.names import Call, link_state
from policy_server.policy.ruleset import LinkType
from policy_server.policy.services import FIELD_LIMIT
from policy_server.wording.durations import duration
from policy_server.wording.moments import FIRST_YEAR, LAST_YEAR, MOMENT, parse_moment
from policy_server.wording.values import shown
from policy_server.wording.words import one_of, unknown_key

NAME_LIMIT: Final = FIELD_LIMIT
"""Characters of a customer's name: as many as Pexip takes."""

MOST_PROBLEMS: Final = 10
"""Problems of one request that are told."""

_MOMENT_PATTERN: Final = r"(?:Z|[+-]\d{2}(?::?\d{2})?)$"
_TTL_PATTERN: Final = r"^\s*(\d{1,4}[dD])?\s*(\d{1,5}[hH])?\s*(\d{1,6}[mM])?\s*(\d{1,8}[sS])?\s*$"


class LinkRequest(TypedDict):
    """A link as it is asked for."""

    type: Annotated[str, means("One of the types of link in the rules of this server.", "patient")]
    name: Annotated[NotRequired[str], means("The customer's name.", "Ada L", default="", maxLength=NAME_LIMIT)]
    attributes: Annotated[
        NotRequired[dict[str, str]],
        means(
            "What rules may decide by and agents shall see, such as language or queue. A type of link can say which it "
            "takes, which it needs, and what they can be.",
            {"language": "es"},
            maxProperties=MOST_ATTRIBUTES,
            propertyNames={"pattern": f"^(?:{ATTRIBUTE_NAME.pattern})$"},
            additionalProperties={"type": "string", "maxLength": ATTRIBUTE_LIMIT},
        ),
    ]
    ttl: Annotated[
        NotRequired[str],
        means(
            "How long the link is good, from `1m` to `366d`: `90m`, `4h`, `1d 12h`. By default as long as the type of link "
            "says.",
            "2h",
            pattern=_TTL_PATTERN,
            format="link-ttl",
        ),
    ]
    starts_at: Annotated[
        NotRequired[Time],
        means(
            "The time of an appointment, with its offset from UTC: of a type with a `window`, which says when the link opens "
            "before that and expires after it. Not together with `ttl`.",
            pattern=_MOMENT_PATTERN,
        ),
    ]
    joins: Annotated[
        NotRequired[str],
        means(
            "The call id of the link into whose room this one leads: of types that join another, and then required.",
            EXAMPLE_CALL,
        ),
    ]


class LinkMove(TypedDict):
    """Another time for a link."""

    starts_at: Annotated[
        Time,
        means(
            "The time that the appointment is moved to, with its offset from UTC.",
            "2026-11-24T10:00:00-06:00",
            pattern=_MOMENT_PATTERN,
        ),
    ]


FIELDS: Final = tuple(LinkRequest.__annotations__)


@dataclass(frozen=True, slots=True)
class WantedLink:
    """A link of a type of these rules as somebody asks for it; ``ttl`` in seconds, ``None`` for that of the type.
    ``starts_at`` is the time of an appointment, of a type with a window, and ``joins`` the call into whose room it leads,
    ``""`` where it has one of its own.

    ``digest`` is the same for the same request, however its JSON is written.
    """

    type: LinkType
    name: str = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)
    ttl: int | None
    starts_at: datetime | None
    digest: str
    joins: str = field(default="", repr=False)


class LinkWorth(StrEnum):
    """Whether a link lets the customer in."""

    VALID = "valid"
    EARLY = "early"
    EXPIRED = "expired"
    MOVED = "moved"
    INVALID = "invalid"
    REVOKED = "revoked"


def worth_of(link: Link, call: Call | None, now: datetime) -> LinkWorth:
    """What a link is worth whose call is ``None`` once no key of ours has signed it."""
    if link.revoked_at is not None:
        return LinkWorth.REVOKED
    return LinkWorth.MOVED if link.moved_to is not None else LinkWorth(link_state(call, now))


class LinkRequestError(ValueError):
    """A link that cannot be made; ``problems`` are the first ``MOST_PROBLEMS`` reasons, and the text has them all."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems: Final = problems


class UnknownLinkTypeError(LinkRequestError):
    """A link of a type that there is not."""


class NotMovableError(Exception):
    """A link that was revoked, or moved to another time already."""


# ------------------------------------------------------------------ reading


def read_link_request(fields: object, links: Mapping[str, LinkType], now: datetime) -> WantedLink:
    """Reads the JSON of a request for a link of one of some types, made ``now``. Raises LinkRequestError."""
    if not isinstance(fields, dict):
        raise LinkRequestError(f'the body must be an object such as {{"type": "patient"}} but is {_kind(fields)}')
    problems = tuple(islice(_problems(fields, links, now), MOST_PROBLEMS))
    if problems:
        raise LinkRequestError(*problems)
    if fields["type"] not in links:
        raise UnknownLinkTypeError(one_of("type", links, fields["type"]))
    link_type = links[fields["type"]]
    return WantedLink(
        type=link_type,
        name=clean(fields.get("name", "")),
        attributes=completed(link_type.attributes, _given(fields.get("attributes", {}))),
        ttl=TTL.seconds(fields["ttl"]) if "ttl" in fields else None,
        starts_at=_moment(fields["starts_at"]) if "starts_at" in fields else None,
        digest=sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        joins=fields.get("joins", ""),
    )


def read_link_move(fields: object, link_type: LinkType, now: datetime) -> datetime:
    """Reads the JSON of a request to move a link of a type; the time to move it to. Raises LinkRequestError."""
    if not isinstance(fields, dict):
        raise LinkRequestError(
            f'the body must be an object such as {{"starts_at": "2026-11-24T10:00:00-06:00"}} but is {_kind(fields)}'
        )
    known = tuple(LinkMove.__annotations__)
    problems = [unknown_key(key, known, "what moves a link") for key in fields if key not in known]
    if "starts_at" in fields:
        problems += _time_problems(fields["starts_at"], link_type, now)
    else:
        problems.append("starts_at is missing; write the time that the link is moved to")
    starts_at = _moment(fields["starts_at"]) if not problems else None
    if starts_at is None:
        raise LinkRequestError(*problems[:MOST_PROBLEMS])
    return starts_at


def _problems(fields: Mapping[str, Any], links: Mapping[str, LinkType], now: datetime) -> Iterator[str]:
    for key in fields:
        if key not in FIELDS:
            yield unknown_key(key, FIELDS, "a link")
    if "type" not in fields:
        yield (
            f"type is missing; write one of {', '.join(map(shown, islice(links, 12)))}" if links else "type is missing"
        )
    elif not isinstance(fields["type"], str):
        yield f"type {_not_text(fields['type'])}"
    name = fields.get("name", "")
    if not isinstance(name, str):
        yield f"name {_not_text(name)}"
    elif len(name) > NAME_LIMIT:
        yield f"name has {len(name)} characters; the limit is {NAME_LIMIT}"
    attributes = fields.get("attributes", {})
    if isinstance(attributes, dict):
        yield from _attribute_problems(attributes)
        if isinstance(fields.get("type"), str) and len(attributes) <= MOST_ATTRIBUTES:
            yield from _undeclared(attributes, links.get(fields["type"]))
    else:
        hint = "; leave attributes out" if attributes is None else ""
        yield f'attributes must be an object of texts such as {{"language": "es"}} but is {_kind(attributes)}{hint}'
    if "ttl" in fields:
        yield from _ttl_problems(fields["ttl"])
    kind = fields.get("type")
    link_type = links.get(kind) if isinstance(kind, str) else None
    if "starts_at" in fields:
        yield from _time_problems(fields["starts_at"], link_type, now)
        if "ttl" in fields:
            yield "ttl and starts_at exclude each other: an appointment expires when its type's window says; leave ttl out"
    if link_type is not None:
        yield from _joins_problems(fields, link_type)


def _attribute_problems(attributes: Mapping[str, Any]) -> Iterator[str]:
    if len(attributes) > MOST_ATTRIBUTES:
        yield f"there are {len(attributes)} attributes; the limit is {MOST_ATTRIBUTES}"
        return
    for name, value in attributes.items():
        if not ATTRIBUTE_NAME.fullmatch(name):
            yield f"the name of an attribute must be 1 to 64 letters, digits, '_' and '-' but is {shown(name)}"
        elif not isinstance(value, str):
            yield f"attribute {shown(name)} {_not_text(value)}"
        elif len(value) > ATTRIBUTE_LIMIT:
            yield f"attribute {shown(name)} has {len(value)} characters; the limit is {ATTRIBUTE_LIMIT}"


def _undeclared(attributes: Mapping[str, Any], link_type: LinkType | None) -> Iterator[str]:
    """What is wrong with attributes of such a link, but for those of which more is wrong."""
    if link_type is not None:
        for name, fault in attribute_faults(link_type.name, link_type.attributes, _given(attributes)):
            if isinstance(attributes.get(name, ""), str) and ATTRIBUTE_NAME.fullmatch(name):
                yield fault


def _given(attributes: Mapping[str, Any]) -> dict[str, str]:
    """The attributes that are texts, as they are kept."""
    return {name: clean(value) for name, value in attributes.items() if isinstance(value, str)}


def _ttl_problems(ttl: object) -> Iterator[str]:
    if not isinstance(ttl, str) or TTL.seconds(ttl) is None:
        is_number = isinstance(ttl, int) and not isinstance(ttl, bool) and TTL.shortest <= ttl <= TTL.longest
        hint = f'; for seconds write "{ttl}s"' if is_number else ""
        told = shown(ttl) if isinstance(ttl, str | int) and not isinstance(ttl, bool) else _kind(ttl)
        yield TTL.fault("ttl", told) + hint


def _time_problems(value: object, link_type: LinkType | None, now: datetime) -> Iterator[str]:
    """What is wrong with the time of an appointment; ``link_type`` is ``None`` for one that there is not."""
    if not isinstance(value, str):
        yield f"starts_at {_not_text(value)}"
        return
    starts_at = _moment(value)
    if starts_at is None:
        yield f"starts_at must be {MOMENT} but is {shown(value)}"
        return
    if link_type is None:
        return
    if link_type.window is None:
        yield (
            f"starts_at is for types of link with a window, and {shown(link_type.name)} has none; add window: {{before: 15m, "
            "after: 1h} to it in the rules, or leave starts_at out"
        )
        return
    if link_type.window.around(starts_at).expires_at <= now:
        yield (
            f"starts_at is {shown(value)}, and links of type {shown(link_type.name)} are good until "
            f"{duration(link_type.window.after)} after that, which is over"
        )
    if starts_at > now + timedelta(seconds=FURTHEST):
        yield f"starts_at is {shown(value)}, and may be {duration(FURTHEST)} ahead at the most"


def _moment(text: str) -> datetime | None:
    """The time of an appointment, in UTC; ``None`` for what is none."""
    moment = parse_moment(text)
    return moment.astimezone(UTC) if moment is not None and FIRST_YEAR <= moment.year <= LAST_YEAR else None


def _joins_problems(fields: Mapping[str, Any], link_type: LinkType) -> Iterator[str]:
    kind = shown(link_type.name)
    if "joins" not in fields:
        if link_type.joins:
            yield f"joins is missing; links of type {kind} lead into the room of one of type {shown(link_type.joins)}: give its call id"
    elif not link_type.joins:
        yield f"links of type {kind} have a room of their own; leave joins out, or write joins into that type in the rules"
    elif not isinstance(fields["joins"], str):
        yield f"joins {_not_text(fields['joins'])}"
    elif not fields["joins"]:
        yield f"joins is empty; give the call id of a link of type {shown(link_type.joins)}"


def _not_text(value: object) -> str:
    hint = "; leave it out" if value is None else "; put it in quotes" if isinstance(value, bool | int | float) else ""
    return f"must be text but is {_kind(value)}{hint}"


def _kind(value: object) -> str:
    """What JSON calls a value, which may be a customer's and is not repeated."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else "text" if isinstance(value, str) else "an object"
