"""``simulate``: plays a whole call as everybody in it would: customer, node, contact centre and agent."""

import asyncio
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import urlsplit

import click
import httpx

from policy_server.app import utc_now
from policy_server.cli.common import (
    Unusable,
    call_of,
    echo,
    environment,
    json_option,
    keyring_or_temporary,
    moment,
    pairs,
    refuse,
    rules_option,
    settings,
    words_of,
)
from policy_server.cli.faulted import play_with_fault
from policy_server.cli.parts import Customer, RoomSystem
from policy_server.cli.played import tell
from policy_server.cli.theatre import Theatre, play
from policy_server.conferences.errors import StoreSetupError, StoreUnavailableError
from policy_server.conferences.location import parse_location
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.parameters import Kind, Parameter, parameters_of
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import IDP_PREFIX
from policy_server.policy.link_attributes import attribute_faults
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import LinkType, Ruleset
from policy_server.rulefiles.store import RulesError, RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.simulator.leg_faults import Fault
from policy_server.simulator.room_system import Dialled, Protocol
from policy_server.simulator.steps import CUSTOMER, MARK
from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean, listed, one_of

ROOM_SYSTEM_NAME: Final = "Kiosk"
PLAYED: Final = frozenset(
    {"call_direction", "local_alias", "protocol", "remote_display_name", "previous_service_name"}
    | {"unique_service_name", "service_name", "service_tag", "participant_type", "preauthenticated_role"}
)
"""Parameters that follow from what is played."""


@click.command()
@click.option(
    "--url",
    help="Profile URL of a running server (default: play in this process, without a server). What is no policy question "
    "is asked at the root of that address.",
)
@click.option("--link", "link_name", metavar="TYPE", help="Link type to play (default: the first of the rules).")
@click.option(
    "--as",
    "protocol",
    type=click.Choice(("sip", "h323")),
    help="Play a room system or kiosk that calls by this protocol and has no link; --alias says what it dials.",
)
@click.option("--alias", metavar="ALIAS", help="What the room system dials.")
@click.option(
    "--parameter",
    multiple=True,
    metavar="NAME=VALUE",
    help="What nodes ask of the room system with, such as remote_alias=kiosk-7, remote_address=10.20.0.7 or registered=True.",
)
@click.option(
    "--name", metavar="TEXT", help=f"The caller's name (default: {CUSTOMER}, or {ROOM_SYSTEM_NAME} with --as)."
)
@click.option(
    "--at",
    metavar="TIME",
    help="Play in this process at that moment, such as 2026-11-23T10:00:00-06:00, be the door open then or not (default: "
    "now, or a moment at which it is open).",
)
@click.option(
    "--attribute",
    multiple=True,
    metavar="K=V",
    help="What the link is given (default: what its type requires, as far as the rules say what that can be).",
)
@click.option(
    "--fault",
    metavar="|".join(Fault),
    help="Play only what is done when the first leg fails so, in simulated time: which entry of dial_out is dialled when, "
    "and what becomes of the customer. late: it answers after answer_within; drops: it answers, and is gone a second later.",
)
@click.option(
    "--genesys",
    "genesys_port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    help="Stand in for Genesys Cloud at this port while playing against a server on this machine, whose "
    "POLICY_GENESYS_API is http://127.0.0.1:PORT.",
)
@click.option(
    "--database",
    "database_url",
    metavar="URL",
    default="",
    help="Database for playing in this process (default: one that is thrown away), such as "
    "postgresql://user@host/database. What was played stays in it.",
)
@rules_option
@json_option
def simulate(
    url: str | None,
    link_name: str | None,
    protocol: Protocol | None,
    alias: str | None,
    parameter: tuple[str, ...],
    attribute: tuple[str, ...],
    name: str | None,
    at: str | None,
    fault: str | None,
    genesys_port: int | None,
    database_url: str,
    rules_folder: Path | None,
    as_json: bool,
) -> None:
    """Play one call from the link, or the alias that is dialled, to the hang-up, and judge every answer.

    Plays the organisation's system, the customer's browser, the Conferencing Node with its event sink, and the agent's
    widget. Rules and settings (POLICY_SECRET_KEY, POLICY_PEXIP_…, POLICY_API_KEYS, POLICY_EVENTS_…) must be those of the
    server; what is not set is left out, and said. A step for which the server's clock is wrong (the door closed when it
    is open now, or the other way round) is played in this process at a moment that fits. A playlist that ends with a
    transfer is followed to where it leads; one that leads in a circle is said.

    With --as a room system dials --alias, the agent finds its room by the conversation alone, and nothing is asked of the
    organisation's system. Against a server that room is a real one: choose one that nobody is in.
    """
    found = settings()
    if at is not None and url is not None:
        raise Unusable(
            f"--at goes without --url: a server plays by its own clock; leave --url out, or --at {shown(at)}"
        )
    if fault is not None:
        _check_fault(fault, url, database_url)
    _check_caller(link_name, protocol, alias, parameter, attribute)
    _check_options(found, url, genesys_port, database_url)
    complete = replace(
        found, rules=rules_folder or found.rules, secret_key=found.secret_key or secrets.token_urlsafe(32)
    )
    keyring = keyring_or_temporary(complete)
    try:
        rules = RuleStore(complete.rules, utc_now, environment())
    except RulesError as error:
        refuse(error.problems)
    part: Customer | RoomSystem
    if protocol is not None and alias is not None:
        part = RoomSystem(_dialled(rules.ruleset, keyring, protocol, alias, name, parameter))
    else:
        link_type = _link_type(rules.ruleset, link_name)
        attributes = _attributes(link_type, pairs(attribute, "--attribute"))
        part = Customer(link_type, attributes, words_of((name or CUSTOMER,))[0])
    theatre = Theatre(
        found=complete,
        pexip=found.pexip or Credentials("pexip", secrets.token_urlsafe(18)),
        rules=rules,
        keyring=keyring,
        part=part,
        url=url,
        api_key=_first_api_key(),
        genesys_port=genesys_port,
        database_url=database_url,
        at=None if at is None else moment(at),
    )
    if fault is not None:
        play_with_fault(theatre, Fault(fault), as_json)
    tell(asyncio.run(play(theatre)), as_json)


def _check_fault(fault: str, url: str | None, database_url: str) -> None:
    if fault not in tuple(Fault):
        raise Unusable(one_of("--fault", Fault, fault))
    if url is not None:
        raise Unusable(
            f"--fault goes without --url: no call of a running server is made to fail; leave --url out, and play its rules "
            f"here with --rules and --fault {fault}"
        )
    if database_url:
        raise Unusable("--fault goes without --database: nothing of it is written down; leave --database out")


def _check_caller(
    link_name: str | None,
    protocol: str | None,
    alias: str | None,
    parameters: tuple[str, ...],
    attributes: tuple[str, ...],
) -> None:
    """Refuses what goes with a customer for a room system, and the other way round."""
    if protocol is None:
        for option, given in (("--alias", alias), ("--parameter", parameters)):
            if given:
                raise Unusable(
                    f"{option} goes with --as sip or --as h323, since customers dial the alias of their link; "
                    f"add --as, or leave {option} out"
                )
        return
    if not alias:
        raise Unusable(f"--as {protocol} needs --alias, what the room system dials")
    for option, given in (("--link", link_name), ("--attribute", attributes)):
        if given:
            raise Unusable(f"{option} goes without --as, since a room system has no link; leave one of the two out")


def _dialled(
    ruleset: Ruleset, keyring: Keyring, protocol: Protocol, alias: str, name: str | None, parameters: tuple[str, ...]
) -> Dialled:
    """What the room system dials, and what nodes ask of it with."""
    alias, name = words_of((alias, name or ROOM_SYSTEM_NAME))
    if (call := call_of(ruleset, keyring, alias)) is not None:
        raise Unusable(f"--alias is that of a link; leave --as and --alias out, and play it with --link {call.type}")
    given = pairs(parameters, "--parameter")
    known = {parameter.name: parameter for parameter in parameters_of(RequestType.SERVICE)}
    for parameter, value in given.items():
        if parameter in PLAYED:
            instead = {"local_alias": "--alias", "protocol": "--as", "remote_display_name": "--name"}.get(parameter)
            remedy = f"write {instead} instead" if instead else "leave it out"
            raise Unusable(f"--parameter {parameter} is said by the call that is played; {remedy}")
        if parameter not in known and not parameter.startswith(IDP_PREFIX):
            raise Unusable(f"--parameter {shown(parameter)} is none of Pexip's{did_you_mean(parameter, known)}")
        if parameter in known and (wanted := _wanted(known[parameter], value)):
            raise Unusable(f"--parameter {parameter} must be {wanted} but is {shown(value)}")
    return Dialled(protocol, alias, name, given)


def _wanted(parameter: Parameter, value: str) -> str:
    """What the value of a parameter must be where this one is not; ``""`` where it may be."""
    match parameter.kind:
        case Kind.ALIAS | Kind.TEXT | Kind.LIST:
            return ""
        case Kind.CHOICE:
            return "" if value in (parameter.choices or (value,)) else listed(parameter.choices, "or")
        case Kind.BOOLEAN:
            return "" if value in {"True", "False"} else "True or False"
        case Kind.INTEGER:
            return "" if value.isascii() and value.isdecimal() else "a whole number"
        case Kind.ADDRESS:
            return "" if _is_address(value) else "an IP address"
        case _:
            assert_never(parameter.kind)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _attributes(link_type: LinkType, given: Mapping[str, str]) -> Mapping[str, str]:
    """What the played link is given: a mark where it takes any, else what no link of its type is without."""
    declared = link_type.attributes
    required = {name: each.values[0] for name, each in (declared or {}).items() if each.required and each.values}
    attributes = {**(MARK if declared is None else required), **given}
    if told := "; ".join(fault for _, fault in attribute_faults(link_type.name, declared, attributes)):
        raise Unusable(f"--attribute: {told}")
    return attributes


def _check_options(found: Settings, url: str | None, genesys_port: int | None, database_url: str) -> None:
    if url is None:
        if genesys_port:
            raise Unusable("--genesys goes with --url: in this process Genesys Cloud is stood in for anyway")
        if database_url:
            asyncio.run(_prepare(database_url))
        return
    if not _is_profile_url(url):
        raise Unusable(f"--url must be the URL of the policy profile, such as https://host:8080, but is {shown(url)}")
    if "@" in urlsplit(url).netloc:
        raise Unusable(
            "--url must not hold a user name or password; set POLICY_PEXIP_USERNAME and POLICY_PEXIP_PASSWORD"
        )
    if database_url:
        raise Unusable("--database goes without --url: a running server has its own in POLICY_DATABASE_URL")
    if found.pexip is None or found.secret_key is None:
        raise Unusable("POLICY_PEXIP_USERNAME, POLICY_PEXIP_PASSWORD and POLICY_SECRET_KEY must be those of the server")
    if genesys_port and (found.tenant is None or found.tenant.api not in _stand_in_urls(genesys_port)):
        told = "is not set" if found.tenant is None else f"is {shown(found.tenant.api)}"
        raise Unusable(
            f"--genesys {genesys_port} is for a server whose POLICY_GENESYS_API is http://127.0.0.1:{genesys_port}, "
            f"but here POLICY_GENESYS_API {told}; set it and POLICY_GENESYS_ORGANIZATION to the same here and there"
        )


def _stand_in_urls(port: int) -> tuple[str, ...]:
    return tuple(f"http://{host}:{port}" for host in ("127.0.0.1", "localhost"))


def _is_profile_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname)


async def _prepare(database_url: str) -> None:
    """Brings the database of ``--database`` up to date."""
    try:
        location = parse_location(database_url, "--database")
    except StoreSetupError as error:
        raise Unusable(str(error)) from None
    if "password" in location.parameters:
        warning = "every user of this machine sees the password in --database while this runs"
        echo(f"warning: {warning}; leave it out, and put it into PGPASSWORD or ~/.pgpass", err=True)
    try:
        async with ConferenceStore(database_url) as store:
            await store.prepare()
    except StoreUnavailableError as error:
        raise Unusable(f"--database: {error}") from None


def _first_api_key() -> str:
    """The first of POLICY_API_KEYS, which were read before and are good; the settings keep no key."""
    given = environment()
    path = given.get("POLICY_API_KEYS_FILE")
    text = Path(path).read_text(encoding="utf-8-sig") if path else given.get("POLICY_API_KEYS", "")
    first = next(filter(None, map(str.strip, re.split(r"[,\n]", text))), "")
    # Behind the key there may be :own.
    return first.split(":")[1].strip() if ":" in first else ""


def _link_type(ruleset: Ruleset, name: str | None) -> LinkType:
    if not ruleset.links:
        raise Unusable(
            "the rules define no link type under links, so there is no call to play; --as sip --alias ALIAS plays that of "
            "a room system, which has no link"
        )
    if name is None:
        # What joins comes into the room of another, which there always is.
        return next(link for link in ruleset.links.values() if not link.joins)
    if name not in ruleset.links:
        raise Unusable(one_of("--link", ruleset.links, name))
    link_type = ruleset.links[name]
    if link_type.joins:
        joined = shown(link_type.joins)
        raise Unusable(
            f"--link: links of type {shown(name)} lead into the room of one of type {joined}, and no call begins with them; "
            f"play --link {link_type.joins}"
        )
    return link_type
