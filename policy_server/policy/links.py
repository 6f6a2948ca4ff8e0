"""Customer links: what a link type makes of a session (DESIGN section 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from policy_server.policy.ruleset import LinkType
from policy_server.policy.sessions import Keyring
from policy_server.policy.templates import is_blank


@dataclass(frozen=True, slots=True)
class CustomerLink:
    """A link as its maker gets it."""

    type: str
    session: str
    alias: str
    agent_alias: str
    expires_at: datetime


def make_link(link_type: LinkType, keyring: Keyring, expires_at: datetime, nonce: bytes) -> CustomerLink:
    """Signs a new session and puts it where the link type wants it. ``expires_at`` is rounded up to the minute."""
    session = keyring.sign(expires_at, nonce)
    return link_of(link_type, keyring, session)


def link_of(link_type: LinkType, keyring: Keyring, session: str) -> CustomerLink:
    """The link of a session that was signed before. Raises ValueError when it was not signed by this keyring."""
    opened = keyring.inspect(session)
    if opened is None:
        raise ValueError("the session was not signed with this key")
    values = {"session": session}
    agent_alias = link_type.agent_alias.render(values) if link_type.agent_alias else ""
    return CustomerLink(link_type.name, session, link_type.alias.render(values), agent_alias, opened.expires_at)


def web_app_url(link_type: LinkType, link: CustomerLink, *, name: str = "", guest_pin: str = "") -> str:
    """Where a link leads in Pexip's web app; ``""`` when its type has no ``url``.

    ``guest_pin`` is the one that the room asks for (``Door.guest_pin``): it may be derived, fixed by a rule, or none. The
    host PIN is never part of it.
    """
    values = {
        "session": link.session,
        "name": name,
        "guest_pin": guest_pin,
        "alias": link.alias,
        "agent_alias": link.agent_alias,
    }
    encoded = {placeholder: "" if is_blank(value) else quote(value, safe="") for placeholder, value in values.items()}
    return link_type.url.render(encoded) if link_type.url else ""


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
