"""``conference list`` and ``show``: what the database knows of calls. Also what other commands need to look into the database."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from policy_server.app import utc_now
from policy_server.cli.common import (
    Unusable,
    call_of,
    echo,
    json_option,
    keyring_or_temporary,
    print_json,
    rules_option,
    settings,
    usable_rules,
    words_of,
)
from policy_server.conferences.call_in_words import (
    customer_in_words,
    entry_in_words,
    joined_by_in_words,
    pairs_in_words,
    participant_in_words,
    trunk_leg_in_words,
)
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.fold import Phase
from policy_server.conferences.found import Subject
from policy_server.conferences.live import Conferences
from policy_server.conferences.location import parse_location
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.search import (
    MOST,
    USUAL,
    CallSummary,
    ConferenceSearch,
    Page,
    SearchError,
    Wanted,
    details,
    read_wanted,
)
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.tables import NAME_LENGTH
from policy_server.conferences.verdict import Verdict
from policy_server.conferences.view import CallDetails
from policy_server.pexip.query import clean
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from policy_server.settings import Settings
from policy_server.wording.moments import SAID, parse_said
from policy_server.wording.values import printable, shown

_NAME_WIDTH: Final = 24


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


def require_database(found: Settings) -> None:
    """Unusable where there is no database that a command could look at."""
    missing = missing_database(found.database_url)
    if missing is not None:
        raise Unusable(told_missing(missing))


@click.group()
def conference() -> None:
    """Look at conferences that the server keeps."""


@conference.command("show")
@click.argument("alias")
@rules_option
@json_option
def show_conference(alias: str, rules_folder: Path | None, as_json: bool) -> None:
    """Print the conference of an ALIAS: a call id, the customer's or the agent's alias, the name of a room, or an id of the
    list.

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
    require_database(found)
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


@conference.command("list")
@click.option(
    "--since", metavar="TIME", help="The first moment: 14:05, 2026-11-23, 2026-11-23T14:05 or with an offset."
)
@click.option("--until", metavar="TIME", help="The first moment after.")
@click.option("--name", metavar="TEXT", help="A part of the customer's name, without case and accents.")
@click.option(
    "--attribute", "attributes", metavar="K=V", multiple=True, help="An attribute of the link; may be repeated."
)
@click.option("--rule", metavar="ID", help="The rule that made the room.")
@click.option("--state", type=click.Choice([state.value for state in Phase]), help="Where the call is in its life.")
@click.option("--verdict", metavar="CODE", help="What became of it, such as no_agent.")
@click.option("--limit", type=click.IntRange(1, MOST), default=USUAL, help=f"Calls of a page ({USUAL}).")
@click.option("--cursor", metavar="TEXT", help="The next page, as the page before says.")
@rules_option
@json_option
def list_conferences(
    attributes: tuple[str, ...], limit: int, rules_folder: Path | None, as_json: bool, **texts: str | None
) -> None:
    """Print the calls of a time, the latest first, each with what became of it.

    Times are those of this machine's zone. Reads the database of POLICY_DATABASE_URL. No PIN is printed.
    """
    found = settings()
    ruleset = usable_rules(rules_folder or found.rules)
    keyring = keyring_or_temporary(found)
    times = {name: _time(f"--{name}", texts.pop(name)) for name in ("since", "until")}
    named = {name: text for name, text in (texts | times).items() if text is not None}
    given = list(zip(named, words_of(tuple(named.values())), strict=True))
    given += [("attribute", text) for text in words_of(attributes)]
    try:
        wanted = read_wanted([*given, ("limit", str(limit))])
    except SearchError as error:
        raise Unusable(str(error)) from None
    require_database(found)
    try:
        page = asyncio.run(_search(found, ruleset, keyring, wanted))
    except StoreUnavailableError as error:
        raise Unusable(f"calls cannot be looked up: {error}") from None
    if as_json:
        print_json({"conferences": page.calls, "next": page.next})
        return
    for call in page.calls:
        echo(*_row(call))
    if not page.calls:
        echo("no calls" if page.next is None else "no calls so far")
    if page.next is not None:
        echo("", f"more: --cursor {page.next}")


def _row(call: CallSummary) -> tuple[str, str]:
    who = clean(call["customer"]["name"] or "-")[:_NAME_WIDTH]
    code, text = call["verdict"]["code"], call["verdict"]["text"]
    where = call["call"] or call["name"]
    return f"{_local(call['at'])}  {code:<19}  {who:<{_NAME_WIDTH}}  {clean(where)}", f"    {text}"


def _time(option: str, text: str | None) -> str | None:
    """A time as people say it, with the offset of this machine's zone; a time of day is today's."""
    if text is None:
        return None
    at = parse_said(text, utc_now(), None)
    if at is None:
        raise Unusable(f"{option} must be {SAID} but is {shown(text)}")
    return at.isoformat()


async def _search(found: Settings, ruleset: Ruleset, keyring: Keyring, wanted: Wanted) -> Page:
    async with ConferenceStore(found.database_url) as store:
        return await ConferenceSearch(lookup_in(store, found, ruleset, keyring)).find(wanted)


async def _find(found: Settings, ruleset: Ruleset, keyring: Keyring, alias: str) -> CallDetails | None:
    """The call of an id, an alias or a room name."""
    async with ConferenceStore(found.database_url) as store:
        lookup = lookup_in(store, found, ruleset, keyring)
        listed = await ConferenceSearch(lookup).show(alias)
        if listed is not None:
            return listed
        call = call_of(ruleset, keyring, alias)
        seen = await lookup.look_up(Subject(call.id) if call is not None else lookup.subject_of(alias))
        answer = seen.answer if seen is not None else await lookup.look_up_room(alias)
        return details(answer) if answer is not None else None


def _lines(answer: CallDetails) -> Iterator[str]:
    """The answer for people; names and texts of callers lose what a terminal would obey."""
    first = {
        "verdict": _verdict(answer["verdict"]),
        "call": answer["call"],
        "room": answer["name"],
        "state": answer["state"],
        "service_tag": answer["service_tag"],
        "customer": customer_in_words(answer["customer"], _local),
        "trunk_leg": trunk_leg_in_words(answer["trunk_leg"], _local),
        "attributes": pairs_in_words(answer["attributes"]),
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
        yield f"  {participant_in_words(person, _local)}"
    if not answer["participants"]:
        yield "  none so far"
    if answer["joined_by"]:
        yield ""
        yield "joined by"
    for link in answer["joined_by"]:
        yield f"  {joined_by_in_words(link, _local)}"
    yield ""
    yield "timeline"
    if answer["timeline_left_out"]:
        yield f"  … {answer['timeline_left_out']} earlier"
    for line in answer["timeline"]:
        yield f"  {_local(line['at'])}  {line['kind']:<20}  {entry_in_words(line)}".rstrip()
    if not answer["timeline"]:
        yield "  nothing so far"


def _verdict(verdict: Verdict) -> str:
    return f"{verdict['code']}: {verdict['text']}"


def _fields(fields: Mapping[str, str | None]) -> Iterator[str]:
    for name, value in fields.items():
        if value:
            yield f"{name:<12} {clean(value)}"


def _local(stamp: str) -> str:
    """A time of an answer on the clock of whoever reads it."""
    return f"{datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M:%S %z}"
