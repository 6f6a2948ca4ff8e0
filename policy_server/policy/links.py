"""Customer links: what a link type makes of a session (DESIGN section 6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from policy_server.policy.ruleset import LinkType
from policy_server.policy.sessions import Keyring
from policy_server.policy.templates import is_blank


@dataclass(frozen=True, slots=True)
class CustomerLink:
    """A link as its maker gets it. ``url`` holds the guest PIN, never the host PIN; it is ``""`` without a template."""

    type: str
    session: str
    alias: str
    agent_alias: str
    url: str = field(repr=False)
    expires_at: datetime


def make_link(
    link_type: LinkType, keyring: Keyring, expires_at: datetime, nonce: bytes, *, name: str = ""
) -> CustomerLink:
    """Signs a new session and puts it where the link type wants it. ``expires_at`` is rounded up to the minute."""
    session = keyring.sign(expires_at, nonce)
    return link_of(link_type, keyring, session, name=name)


def link_of(link_type: LinkType, keyring: Keyring, session: str, *, name: str = "") -> CustomerLink:
    """The link of a session that was signed before. Raises ValueError when it was not signed by this keyring."""
    opened = keyring.inspect(session)
    if opened is None:
        raise ValueError("the session was not signed with this key")
    values: dict[str, str] = {"session": session, "name": name, "guest_pin": keyring.pins(session).guest}
    values["alias"] = link_type.alias.render(values)
    values["agent_alias"] = link_type.agent_alias.render(values) if link_type.agent_alias else ""
    encoded = {placeholder: "" if is_blank(value) else quote(value, safe="") for placeholder, value in values.items()}
    url = link_type.url.render(encoded) if link_type.url else ""
    return CustomerLink(link_type.name, session, values["alias"], values["agent_alias"], url, opened.expires_at)


def default_expiry(link_type: LinkType, now: datetime, ttl: int | None = None) -> datetime:
    """When a link made now ends; ``ttl`` in seconds overrides that of the type."""
    return now + timedelta(seconds=link_type.ttl if ttl is None else ttl)


def find_session(links: Mapping[str, LinkType], alias: str) -> tuple[LinkType | None, str]:
    """The link type and session of an alias in normal form; a bare session has no type."""
    for link_type in links.values():
        for pattern in link_type.patterns:
            groups = pattern.match(alias)
            if groups is not None:
                return link_type, groups["session"]
    return None, alias
