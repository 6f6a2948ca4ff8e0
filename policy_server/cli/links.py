"""Commands about customer links: ``link create``, ``link inspect`` and ``link revoke``."""

import asyncio
import re
import secrets
import sys
from collections.abc import Mapping
from datetime import datetime
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
    pairs,
    print_json,
    required_keyring,
    rules_option,
    settings,
    usable_rules,
    words_of,
)
from policy_server.cli.conferences import lookup_in, missing_database, require_database, told_missing
from policy_server.conferences.customer_links import check_joined, new_link
from policy_server.conferences.errors import CallOverError, CallTakenError, JoinedCallError, StoreUnavailableError
from policy_server.conferences.found import Subject
from policy_server.conferences.link_requests import (
    LinkRequestError,
    WantedLink,
    read_link_request,
    worth_of,
)
from policy_server.conferences.records import Link, TimelineEntry
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.timeline import link_created, link_joined, link_revoked
from policy_server.pexip.aliases import normalise_alias
from policy_server.policy.doors import Door
from policy_server.policy.facts import attributes_of
from policy_server.policy.link_aliases import read_alias
from policy_server.policy.link_attributes import completed
from policy_server.policy.links import TTL, CustomerLink, web_app_url
from policy_server.policy.names import NAME_LENGTH, NONCE_BYTES, Call, Keyring, LinkState, Role
from policy_server.policy.ruleset import Ruleset
from policy_server.settings import Settings
from policy_server.web.links import JOIN_PATH
from policy_server.wording.values import printable, shown
from policy_server.wording.words import one_of

CREATED_BY: Final = "command line"
"""Who made or revoked a link here; no API key can have a name with a space in it."""

_OF_APPOINTMENTS: Final = frozenset({"starts_at", "opens_at"})

_LOOKS_LIKE_A_NAME: Final = re.compile(rf"[a-z2-7]{{{NAME_LENGTH}}}")


@click.group()
def link() -> None:
    """Make, inspect and revoke customer links."""


@link.command("create")
@click.argument("link_type", metavar="TYPE")
@click.option("--name", default="", help="The customer's name, shown to the agent.")
@click.option("--attribute", multiple=True, metavar="K=V", help="Something that rules or the agent shall know.")
@click.option("--ttl", help="How long the link is good, such as 30m, 4h or 7d (default: that of the type).")
@click.option("--starts-at", metavar="TIME", help="The time of an appointment, such as 2026-11-23T10:00:00-06:00.")
@click.option("--joins", metavar="CALL", help="The call into whose room the link leads: for types that join another.")
@rules_option
@json_option
def create_link(
    link_type: str,
    name: str,
    attribute: tuple[str, ...],
    ttl: str | None,
    starts_at: str | None,
    joins: str | None,
    rules_folder: Path | None,
    as_json: bool,
) -> None:
    """Make a customer link of a TYPE that the rules define under links, and keep it in the database of the server.

    The url to send is the server's own join page when POLICY_PUBLIC_URL is set, else that of Pexip's web app, with the
    guest PIN in it.

    While the database of POLICY_DATABASE_URL cannot be reached, a link without --name and --attribute is made all the
    same: it is good by its signature. With them it is refused (exit status 2), since they would be lost; so is one with
    --joins.
    """
    found = settings()
    ruleset = usable_rules(rules_folder or found.rules)
    now, keyring = utc_now(), required_keyring(found)
    asked = {"ttl": ttl, "starts_at": starts_at, "joins": _call_id(ruleset, keyring, joins)}
    wanted = _wanted(ruleset, link_type, name, attribute, asked, now)
    kind = wanted.type
    made, kept = new_link(wanted, keyring, secrets.token_bytes(NONCE_BYTES), now, CREATED_BY)
    known = {kept.call: kept}
    fresh_file = missing_database(found.database_url)
    try:
        joined = asyncio.run(_keep(found, wanted, kept))
        known |= {each.call: each for each in (joined,) if each is not None}
    except CallTakenError as error:
        raise Unusable(f"{error}; run the command again") from None
    except (JoinedCallError, CallOverError) as error:
        raise Unusable(str(error)) from None
    except StoreUnavailableError as error:
        if wanted.joins:
            raise Unusable(
                f"{error}; which call a link joins is kept nowhere else, so none was made. Run the command again when the "
                "database can be reached"
            ) from None
        if wanted.name or wanted.attributes != completed(kind.attributes, {}):
            raise Unusable(
                f"{error}; name and attributes of a link are kept nowhere else, so none was made. Run the command again "
                "when the database can be reached, or without --name and --attribute: such a link is good by its "
                "signature alone"
            ) from None
        click.echo(
            f"warning: {error}; the link is good by its signature, but it is not kept: it cannot be revoked, and its "
            "timeline does not say that it was made",
            err=True,
        )
        is_kept = False
    else:
        is_kept = True
        if fresh_file is not None:
            click.echo(
                f"note: there was no database at {fresh_file}, so one was made; POLICY_DATABASE_URL of the server must "
                "name the same file",
                err=True,
            )
    door = Door(ruleset, keyring, kind, made.call, attributes_of(kept), known.get)
    web_app = web_app_url(kind, made, name=wanted.name, guest_pin=door.guest_pin(now), joins=wanted.joins)
    _print_link(made, _url(found, made, web_app), as_json, wanted, is_kept)


def _call_id(ruleset: Ruleset, keyring: Keyring, alias: str | None) -> str | None:
    """The call id of what was given for one: an alias of the call does as well."""
    if alias is None:
        return None
    call = call_of(ruleset, keyring, alias)
    return call.id if call is not None else alias.strip()


def _wanted(
    ruleset: Ruleset,
    link_type: str,
    name: str,
    attribute: tuple[str, ...],
    asked: Mapping[str, str | None],
    now: datetime,
) -> WantedLink:
    """The link that the options ask for, held to the same limits as one that the API is asked for."""
    (name,) = words_of((name,))
    if link_type not in ruleset.links:
        raise Unusable(one_of("TYPE", ruleset.links, link_type))
    fields: dict[str, object] = {"type": link_type, "name": name, "attributes": pairs(attribute, "--attribute")}
    fields |= {key: text for key, text in asked.items() if text is not None}
    ttl = fields.get("ttl")
    if isinstance(ttl, str) and TTL.seconds(ttl) is None:
        raise Unusable(TTL.fault("--ttl", shown(ttl)))
    try:
        return read_link_request(fields, ruleset.links, now)
    except LinkRequestError as error:
        raise Unusable(str(error)) from None


async def _keep(found: Settings, wanted: WantedLink, kept: Link) -> Link | None:
    """Keeps a link; the one that it joins, if it does."""
    entries = [TimelineEntry(kept.call, kept.created_at, *link_created(CREATED_BY, kept.type))]
    joined: Link | None = None
    async with ConferenceStore(found.database_url) as store:
        if kept.joins:
            joined = await store.link(kept.joins)
            check_joined(wanted, joined, kept.created_at)
            note = link_joined(CREATED_BY, kept.type, kept.call, kept.name)
            entries.append(TimelineEntry(kept.joins, kept.created_at, *note))
        await store.create_link(kept)
        await store.add_timeline(entries)
    return joined


def _url(found: Settings, made: CustomerLink, web_app: str) -> str:
    """What the customer opens: our own door, for link types that lead anywhere (README.md: Links)."""
    if not found.public_url or not web_app:
        return web_app
    return f"{found.public_url}{JOIN_PATH}{made.call.session}"


def _print_link(made: CustomerLink, url: str, as_json: bool, wanted: WantedLink, is_kept: bool) -> None:
    fields: dict[str, object] = {
        "type": made.type,
        "call": made.call.id,
        "session": made.call.session,
        "alias": made.alias,
        "agent_alias": made.agent_alias or None,
        "url": url or None,
        "starts_at": wanted.starts_at.isoformat() if wanted.starts_at else None,
        "opens_at": made.call.opens_at.isoformat() if made.call.opens_at else None,
        "expires_at": made.expires_at.isoformat(),
        "name": wanted.name,
        "attributes": dict(wanted.attributes),
        "joins": wanted.joins or None,
    }
    if as_json:
        print_json({**fields, "kept": is_kept})
    else:
        _print_fields({name: value for name, value in fields.items() if value})


def _print_fields(fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        click.echo(f"{name:<12} {printable(value if isinstance(value, str) else orjson.dumps(value).decode())}")


@link.command("inspect")
@click.argument("alias")
@rules_option
@json_option
def inspect_link(alias: str, rules_folder: Path | None, as_json: bool) -> None:
    """Say whether the link of an ALIAS is good: the customer's or the agents', or a call id. Exit status 1 when it is not.

    The signature tells a good link from any other; the database of POLICY_DATABASE_URL tells what it was made with,
    whether it was revoked, and the state of its conference.
    """
    found = settings()
    ruleset = usable_rules(rules_folder or found.rules)
    keyring = required_keyring(found)
    opened, call_id = _call_and_id(ruleset, keyring, alias)
    kept, conference_state = None, None
    if call_id:
        try:
            kept, conference_state = asyncio.run(_look_up(found, ruleset, keyring, call_id))
        except StoreUnavailableError as error:
            click.echo(
                f"warning: {error}; what follows is what the signature tells, not whether it was revoked", err=True
            )
    if opened is None and kept is not None:
        # Its type may be gone from the rules.
        opened = keyring.open(kept.call, Role.CALL, (kept.type,))
    revoked_at = kept.revoked_at if kept is not None else None
    state = (
        worth_of(kept, opened, utc_now()).value if kept is not None else _state(ruleset, keyring, alias, opened).value
    )
    signed: dict[str, Any] = {
        "state": state,
        "type": kept.type if kept is not None else opened.type if opened else None,
        "call": opened.id if opened else None,
        "starts_at": kept.starts_at.isoformat(timespec="seconds") if kept is not None and kept.starts_at else None,
        "opens_at": opened.opens_at.isoformat() if opened and opened.opens_at else None,
        "expires_at": opened.expires_at.isoformat() if opened else None,
    }
    known: dict[str, Any] = {
        "name": kept.name if kept is not None else None,
        "attributes": dict(kept.attributes) if kept is not None else None,
        "created_at": kept.created_at.isoformat(timespec="seconds") if kept is not None else None,
        "created_by": kept.created_by if kept is not None else None,
        "revoked_at": revoked_at.isoformat(timespec="seconds") if revoked_at is not None else None,
        "moved_to": kept.moved_to if kept is not None else None,
        "joins": kept.joins or None if kept is not None else None,
        "conference": conference_state,
    }
    if as_json:
        print_json({**signed, **known})
    else:
        _print_fields({name: value or "-" for name, value in signed.items() if value or name not in _OF_APPOINTMENTS})
        _print_fields({name: value for name, value in known.items() if value})
    sys.exit(0 if state == "valid" else 1)


async def _look_up(found: Settings, ruleset: Ruleset, keyring: Keyring, call: str) -> tuple[Link | None, str | None]:
    """The link as it is kept, and the state of its conference."""
    missing = missing_database(found.database_url)
    if missing is not None:
        raise StoreUnavailableError(told_missing(missing))
    async with ConferenceStore(found.database_url) as store:
        lookup = lookup_in(store, found, ruleset, keyring)
        seen = await lookup.look_up(Subject(call))
        return await store.link(call), str(seen.answer["state"]) if seen is not None else None


@link.command("revoke")
@click.argument("alias")
@rules_option
def revoke_link(alias: str, rules_folder: Path | None) -> None:
    """Revoke the link of an ALIAS, the customer's or the agents', or of a call id.

    The rules take it for invalid from their next question on. Exit status 1 when there is no such link, or it is revoked
    or expired already.
    """
    found = settings()
    ruleset = usable_rules(rules_folder or found.rules)
    keyring = keyring_or_temporary(found)
    opened, call_id = _call_and_id(ruleset, keyring, alias)
    require_database(found)
    if not call_id and found.secret_key is None:
        raise Unusable(
            "POLICY_SECRET_KEY is not set, so only a call id tells which link is meant; set that of the server"
        )
    try:
        obstacle = asyncio.run(_revoke(found, opened, call_id or words_of((alias,))[0]))
    except StoreUnavailableError as error:
        raise Unusable(f"{error}; try again when the database can be reached, and inspect the link") from None
    if obstacle:
        click.echo(obstacle, err=True)
        sys.exit(1)
    click.echo(f"The link of call {call_id} is revoked.")


async def _revoke(found: Settings, opened: Call | None, call: str) -> str:
    """Revokes a link; why that cannot be, or ``""``."""
    now = utc_now()
    async with ConferenceStore(found.database_url) as store:
        kept = await store.link(call)
        if kept is None:
            ending = f"; it was signed with our key and ends at {opened.expires_at.isoformat()}" if opened else ""
            return f"There is no link {shown(call)} in {store.name}{ending}."
        if kept.revoked_at is not None:
            return f"The link was revoked already, at {kept.revoked_at.isoformat(timespec='seconds')}."
        if kept.expires_at <= now:
            return f"The link has expired, at {kept.expires_at.isoformat(timespec='seconds')}."
        await store.revoke_link(call, now)
        await store.add_timeline([TimelineEntry(call, now, *link_revoked(CREATED_BY))])
    return ""


def _state(ruleset: Ruleset, keyring: Keyring, alias: str, opened: Call | None) -> LinkState:
    """What a link is worth that is not kept: absent for what does not look like one."""
    if opened is not None:
        return opened.state(utc_now())
    (text,) = words_of((alias,))
    spelt = normalise_alias(text, ruleset.domains)
    is_like_one = read_alias(ruleset.alias_forms, keyring, spelt) is not None or _LOOKS_LIKE_A_NAME.fullmatch(spelt)
    return LinkState.INVALID if is_like_one else LinkState.ABSENT


def _call_and_id(ruleset: Ruleset, keyring: Keyring, alias: str) -> tuple[Call | None, str]:
    """The call of an alias or name, and its call id: as it was given where nobody signed it for a link type of today."""
    (text,) = words_of((alias,))
    call = call_of(ruleset, keyring, text)
    if call is not None:
        return call, call.id
    given = text.strip().lower()
    return None, given if _LOOKS_LIKE_A_NAME.fullmatch(given) else ""
