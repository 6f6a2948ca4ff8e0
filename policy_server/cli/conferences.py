"""``conference show``: what the database knows of one call. Also what other commands need to look into the database."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

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
from policy_server.conferences.location import parse_location
from policy_server.conferences.lookup import ConferenceLookup, Subject
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.tables import NAME_LENGTH
from policy_server.conferences.verdict import Verdict
from policy_server.conferences.view import Conference, Customer, Participant, TrunkLeg
from policy_server.pexip.query import clean
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from policy_server.settings import Settings
from policy_server.wording.values import printable, shown


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
        print_json({name: value for name, value in answer.items() if name != "join"})
        return
    for line in _lines(answer):
        click.echo(printable(line))


async def _find(found: Settings, ruleset: Ruleset, keyring: Keyring, alias: str) -> Conference | None:
    """The answer to the lookup of an alias or room name,"""
    async with ConferenceStore(found.database_url) as store:
        lookup = lookup_in(store, found, ruleset, keyring)
        call = call_of(ruleset, keyring, alias)
        seen = await lookup.look_up(Subject(call.id) if call is not None else lookup.subject_of(alias))
        return seen.answer if seen is not None else await lookup.look_up_room(alias)


def _lines(answer: Conference) -> Iterator[str]:
    """The answer for people; names and texts of callers lose what a terminal would obey."""
    first = {
        "verdict": _verdict(answer["verdict"]),
        "call": answer["call"],
        "room": answer["name"],
        "state": answer["state"],
        "service_tag": answer["service_tag"],
        "customer": _customer(answer["customer"]),
        "trunk_leg": _trunk_leg(answer["trunk_leg"]),
        "attributes": _pairs(answer["attributes"]),
    }
    others = {name: value for name, value in answer.items() if name not in {*first, "name", "node"}}
    texts = {name: value for name, value in others.items() if isinstance(value, str)}
    times = {name: _local(value) for name, value in texts.items() if name.endswith("_at")}
    yield from _fields({**first, **texts, **times})
    if answer["absent"]:
        yield ""
        yield "what has not happened"
        for text in answer["absent"]:
            yield f"  {text}"
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


def _verdict(verdict: Verdict) -> str:
    return f"{verdict['code']}: {verdict['text']}"


def _fields(fields: Mapping[str, str | None]) -> Iterator[str]:
    for name, value in fields.items():
        if value:
            yield f"{name:<12} {clean(value)}"


def _customer(customer: Customer) -> str:
    alias = f"({customer['alias']})" if customer["alias"] else ""
    return _joined(customer["name"], alias, _stay(customer))


def _trunk_leg(leg: TrunkLeg | None) -> str:
    if leg is None:
        return ""
    answered = f"answered {_local(leg['connected_at'])}" if leg["connected_at"] else ""
    ended = f"ended {_local(leg['ended_at'])}" if leg["ended_at"] else ""
    reason = f"last ended with {shown(leg['disconnect_reason'])}" if leg["disconnect_reason"] else ""
    attempts = f"{leg['attempts']} attempts" if leg["attempts"] > 1 else ""
    told = ", ".join(filter(None, (leg["state"], answered, ended, reason, attempts)))
    return _joined(leg["number"] or "a number that is not known:", told)


def _participant(person: Participant) -> str:
    how = ", ".join(filter(None, (person["role"], person["protocol"], person["alias"])))
    reason = f"({person['disconnect_reason']})" if person["disconnect_reason"] else ""
    told = _joined(person["display_name"] or "without a name", f"[{how}]" if how else "", _stay(person), reason)
    return clean(told)


def _stay(who: Customer | Participant) -> str:
    came = f"joined {_local(who['joined_at'])}" if who["joined_at"] else ""
    left = f"left {_local(who['left_at'])}" if who["left_at"] and not who["is_present"] else ""
    return ", ".join(filter(None, (came, left)))


def _pairs(data: Mapping[str, object]) -> str:
    return _joined(
        *(f"{key}={value if isinstance(value, str) else orjson.dumps(value).decode()}" for key, value in data.items())
    )


def _joined(*parts: str | None) -> str:
    return " ".join(filter(None, parts))


def _local(stamp: str | None) -> str:
    """A time of an answer on the clock of whoever reads it."""
    return "" if stamp is None else f"{datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M:%S %z}"
