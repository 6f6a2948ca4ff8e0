"""``conference show``: what the database knows of one call. Also what other commands need to look into the database."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import orjson

from policy_server.app import utc_now
from policy_server.cli.common import (
    Unusable,
    call_of,
    json_option,
    keyring_or_temporary,
    print_json,
    rules_option,
    settings,
    usable_rules,
    words_of,
)
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.live import Conferences
from policy_server.conferences.lives import told_since
from policy_server.conferences.location import parse_location
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.tables import NAME_LENGTH
from policy_server.pexip.events import Event
from policy_server.pexip.query import clean
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import encode_query, parse_request
from policy_server.policy.decisions import Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from policy_server.settings import Settings
from policy_server.web.agent_answers import Answer, Material, render_lookup
from policy_server.web.lookup import ConferenceLookup, Subject
from policy_server.wording.values import printable, shown

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES: Final = ("created_at", "opened_at", "started_at", "ended_at", "expires_at", "revoked_at")


@dataclass(frozen=True, slots=True)
class _LoadedRules:
    ruleset: Ruleset


def lookup_in(store: ConferenceStore, found: Settings, ruleset: Ruleset, keyring: Keyring) -> ConferenceLookup:
    """The agents' lookup on a store, without a server."""
    return ConferenceLookup(
        Conferences(store, utc_now, found.conference_ttl), _LoadedRules(ruleset), keyring, found.node
    )


def missing_database(url: str) -> Path | None:
    """The file of an SQLite database if there is none yet: a command that only reads must not make one."""
    path = parse_location(url).path
    if path is None:
        return None
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path.absolute()
    except OSError:
        # It may well be there; opening it says what is wrong.
        return None
    return None


def told_missing(path: Path) -> str:
    """What to say about a database that is not there."""
    return f"there is no database at {path} yet; is POLICY_DATABASE_URL the one of the server?"


@click.group()
def conference() -> None:
    """Look at conferences that the server keeps."""


@conference.command("show")
@click.argument("alias")
@rules_option
@json_option
def show_conference(alias: str, rules_folder: Path | None, as_json: bool) -> None:
    """Print the conference of an ALIAS: a call id, the customer's or the agent's alias, or the name of a room.

    Reads the database of POLICY_DATABASE_URL, whether the server runs or not. No PIN is printed. Exit status 1 when no
    such conference is known.
    """
    found = settings()
    ruleset = usable_rules(rules_folder or found.rules)
    keyring = keyring_or_temporary(found)
    (text,) = words_of((alias,))
    if not text.strip() or len(text) > NAME_LENGTH:
        raise Unusable(
            "ALIAS must be a call id, the customer's or the agent's alias, or the name of a room, of 1 to "
            f"{NAME_LENGTH} characters, but is {shown(text)}"
        )
    missing = missing_database(found.database_url)
    if missing is not None:
        raise Unusable(told_missing(missing))
    try:
        answer = asyncio.run(_find(found, ruleset, keyring, text))
    except StoreUnavailableError as error:
        raise Unusable(f"the conference cannot be looked up: {error}") from None
    if answer is None:
        where = parse_location(found.database_url).name
        click.echo(f"No conference is known by {shown(text)} in {where}, and it is no call of ours.", err=True)
        sys.exit(1)
    if as_json:
        print_json(answer)
        return
    for line in _lines(answer):
        click.echo(printable(line))


async def _find(found: Settings, ruleset: Ruleset, keyring: Keyring, alias: str) -> Answer | None:
    """The answer to the lookup of an alias or room name, without what is for the agent's eyes only."""
    async with ConferenceStore(found.database_url) as store:
        lookup = lookup_in(store, found, ruleset, keyring)
        call = call_of(ruleset, keyring, alias)
        seen = await lookup.look_up(Subject(call.id) if call is not None else lookup.subject_of(alias))
        answer = seen.answer if seen is not None else await _find_room(lookup, store, ruleset, keyring, alias)
    if answer is None:
        return None
    return {name: value for name, value in answer.items() if name != "join"}


async def _find_room(
    lookup: ConferenceLookup, store: ConferenceStore, ruleset: Ruleset, keyring: Keyring, name: str
) -> Answer | None:
    """The conference in a room by its name; by what was noted about the name when no call belongs to it."""
    now = utc_now()
    held = await store.holder(name, now)
    if held is None:
        stored = await store.events(name, _BEGINNING)
    else:
        stored = told_since(await store.events_of(held), held.held_at)
    call = held.call if held is not None else _call_of_room(ruleset, keyring, name, stored, now)
    seen = await lookup.look_up(Subject(call)) if call else None
    if seen is not None and seen.answer["name"] == name:
        return seen.answer
    entries = await store.timeline(name)
    if held is None and not stored and not entries:
        return None
    material = Material(
        call="",
        opened=None,
        link=None,
        conference=held,
        link_type=None,
        service=held.service if held is not None else {"name": name},
        entries=[entry for entry in entries if held is None or entry.at >= held.held_at],
        events=stored,
        domains=ruleset.domains,
        node="",
    )
    return {**render_lookup(material, now), "call": None}


def _call_of_room(ruleset: Ruleset, keyring: Keyring, name: str, stored: Sequence[Event], now: datetime) -> str:
    """The call of a room that is over, read out of its name with the rules, as for a call out of the room."""
    tags = [event.text(key) for event in stored for key in ("service_tag", "tag")]
    for tag in dict.fromkeys((*tags, "")):
        asked = {"call_direction": "dial_out", "service_name": name, "service_tag": tag}
        request = parse_request(RequestType.SERVICE, encode_query(asked).encode())
        decision = evaluate(ruleset, request, now, keyring)
        if isinstance(decision, Serve) and decision.call:
            return decision.call
    return ""


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer for people; names and texts of callers lose what a terminal would obey."""
    yield from _fields(
        {
            "call": answer["call"],
            "room": answer["name"],
            "state": answer["state"],
            "service_tag": answer["service_tag"],
            "customer": _customer(answer["customer"]),
            "trunk_leg": _trunk_leg(answer["trunk_leg"]),
            "attributes": _pairs(answer["attributes"]),
            **{name: _local(answer[name]) for name in _TIMES},
        }
    )
    yield ""
    yield "participants"
    for person in answer["participants"]:
        yield f"  {_participant(person)}"
    if not answer["participants"]:
        yield "  none so far"
    yield ""
    yield "timeline"
    if answer["timeline_left_out"]:
        yield f"  … {answer['timeline_left_out']} earlier"
    for line in answer["timeline"]:
        yield f"  {_local(line['at'])}  {line['kind']:<20}  {clean(line['text'] or _pairs(line['data']))}".rstrip()
    if not answer["timeline"]:
        yield "  nothing so far"


def _fields(fields: Mapping[str, str | None]) -> Iterator[str]:
    for name, value in fields.items():
        if value:
            yield f"{name:<12} {clean(value)}"


def _customer(customer: Mapping[str, Any]) -> str:
    alias = f"({customer['alias']})" if customer["alias"] else ""
    return _joined(customer["name"], alias, _stay(customer))


def _trunk_leg(leg: Mapping[str, Any] | None) -> str:
    if leg is None:
        return ""
    answered = f"answered {_local(leg['connected_at'])}" if leg["connected_at"] else ""
    ended = f"ended {_local(leg['ended_at'])}" if leg["ended_at"] else ""
    reason = f"last ended with {shown(leg['disconnect_reason'])}" if leg["disconnect_reason"] else ""
    attempts = f"{leg['attempts']} attempts" if leg["attempts"] > 1 else ""
    told = ", ".join(filter(None, (leg["state"], answered, ended, reason, attempts)))
    return _joined(leg["number"] or "a number that is not known:", told)


def _participant(person: Mapping[str, Any]) -> str:
    how = ", ".join(filter(None, (person["role"], person["protocol"], person["alias"])))
    reason = f"({person['disconnect_reason']})" if person["disconnect_reason"] else ""
    told = _joined(person["display_name"] or "without a name", f"[{how}]" if how else "", _stay(person), reason)
    return clean(told)


def _stay(who: Mapping[str, Any]) -> str:
    came = f"joined {_local(who['joined_at'])}" if who["joined_at"] else ""
    left = f"left {_local(who['left_at'])}" if who["left_at"] and not who["is_present"] else ""
    return ", ".join(filter(None, (came, left)))


def _pairs(data: Mapping[str, Any]) -> str:
    return _joined(
        *(f"{key}={value if isinstance(value, str) else orjson.dumps(value).decode()}" for key, value in data.items())
    )


def _joined(*parts: str | None) -> str:
    return " ".join(filter(None, parts))


def _local(stamp: str | None) -> str:
    """A time of an answer on the clock of whoever reads it."""
    return "" if stamp is None else f"{datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M:%S %z}"
