"""Commands about customer links: ``link create`` and ``link inspect``."""

import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from policy_server.cli.common import (
    Unusable,
    json_option,
    pairs,
    print_json,
    required_keyring,
    rules_option,
    settings,
    usable_rules,
    words_of,
)
from policy_server.pexip.aliases import normalise_alias
from policy_server.policy.links import CustomerLink, default_expiry, find_session, make_link
from policy_server.policy.ruleset import LinkType, Ruleset
from policy_server.policy.sessions import NONCE_BYTES
from policy_server.rulefiles.problems import one_of, shown
from policy_server.rulefiles.sections import LONGEST_TTL, parse_duration


@click.group()
def link() -> None:
    """Make and inspect customer links."""


@link.command("create")
@click.argument("link_type", metavar="TYPE")
@click.option("--name", default="", help="The customer's name, shown to the agent.")
@click.option("--attribute", multiple=True, metavar="K=V", help="Something that rules or the agent shall know.")
@click.option("--ttl", help="How long the link is good, such as 30m, 4h or 7d (default: that of the type).")
@rules_option
@json_option
def create_link(
    link_type: str, name: str, attribute: tuple[str, ...], ttl: str | None, rules_folder: Path | None, as_json: bool
) -> None:
    """Make a customer link of a TYPE that the rules define under links."""
    found = settings()
    (name,) = words_of((name,))
    kind = _link_type(usable_rules(rules_folder or found.rules), link_type)
    attributes = pairs(attribute, "--attribute")
    seconds = None if ttl is None else parse_duration(ttl)
    if ttl is not None and (seconds is None or not 60 <= seconds <= LONGEST_TTL):
        raise Unusable(f"--ttl must be a duration from 1m to 366d, such as 30m, 4h or 7d, but is {shown(ttl)}")
    expires_at = default_expiry(kind, datetime.now(UTC), seconds)
    made = make_link(kind, required_keyring(found), expires_at, secrets.token_bytes(NONCE_BYTES), name=name)
    if attributes:
        click.echo("warning: attributes are not in the link itself; without a database they are not kept", err=True)
    _print_link(made, as_json, {"name": name, "attributes": attributes})


def _link_type(ruleset: Ruleset, name: str) -> LinkType:
    if name not in ruleset.links:
        raise Unusable(one_of("TYPE", ruleset.links, name))
    return ruleset.links[name]


def _print_link(made: CustomerLink, as_json: bool, further: Mapping[str, object]) -> None:
    fields: dict[str, object] = {
        "type": made.type,
        "session": made.session,
        "alias": made.alias,
        "agent_alias": made.agent_alias or None,
        "url": made.url or None,
        "expires_at": made.expires_at.isoformat(),
        **further,
    }
    if as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        if value:
            click.echo(f"{name:<12} {value if isinstance(value, str) else orjson.dumps(value).decode()}")


@link.command("inspect")
@click.argument("alias")
@rules_option
@json_option
def inspect_link(alias: str, rules_folder: Path | None, as_json: bool) -> None:
    """Say whether the link of an ALIAS (or a bare session) is good. Exit status 1 when it is not."""
    found = settings()
    ruleset = usable_rules(rules_folder or found.rules)
    keyring = required_keyring(found)
    (text,) = words_of((alias,))
    kind, session = find_session(ruleset.links, normalise_alias(text, ruleset.domains))
    state = keyring.state(session, datetime.now(UTC))
    opened = keyring.inspect(session)
    fields: dict[str, Any] = {
        "state": state.value,
        "type": kind.name if kind else None,
        "session": session if opened else None,
        "expires_at": opened.expires_at.isoformat() if opened else None,
    }
    if as_json:
        print_json(fields)
    else:
        for name, value in fields.items():
            click.echo(f"{name:<12} {value or '-'}")
    sys.exit(0 if state == "valid" else 1)
