"""Customer links: what a link type makes of a call (README.md: Links)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from policy_server.policy.appointments import Span
from policy_server.policy.names import Call, Keyring
from policy_server.policy.ruleset import LinkType
from policy_server.policy.templates import is_blank
from policy_server.wording.durations import DAY, Durations

TTL: Final = Durations(60, 366 * DAY, "30m, 4h or 7d")
"""How long a link may be valid."""
DEFAULT_TTL: Final = 4 * 3600
"""How long it is valid unless its type or its maker says otherwise, in seconds."""


@dataclass(frozen=True, slots=True)
class CustomerLink:
    """A link as its maker gets it. The agents' alias is for agents who have been let in, and for nobody else."""

    link_type: LinkType = field(repr=False)
    call: Call

    @property
    def alias(self) -> str:
        """What the customer dials."""
        return self.link_type.customers_alias(self.call)

    @property
    def agent_alias(self) -> str:
        """What the agents dial; ``""`` where they have no alias of their own."""
        return self.link_type.agents_alias(self.call)

    @property
    def type(self) -> str:
        """The name of its link type."""
        return self.call.type

    @property
    def expires_at(self) -> datetime:
        """When it ends."""
        return self.call.expires_at


def make_link(
    link_type: LinkType, keyring: Keyring, expires_at: datetime, nonce: bytes, opens_at: datetime | None = None
) -> CustomerLink:
    """Signs a new call and puts its names where the link type wants them. ``expires_at`` is rounded up to the minute, and
    ``opens_at`` down, as ``Keyring.sign`` says.
    """
    return link_of(link_type, keyring.sign(link_type.name, expires_at, nonce, opens_at))


def link_of(link_type: LinkType, call: Call) -> CustomerLink:
    """The link of a call of this type that was signed before."""
    return CustomerLink(link_type, call)


def web_app_url(
    link_type: LinkType, link: CustomerLink, *, name: str = "", guest_pin: str = "", joins: str = ""
) -> str:
    """Where a link leads in Pexip's web app; ``""`` when its type has no ``url``. ``joins`` is the call that it joins.

    ``guest_pin`` is the one that the room asks for (``Door.guest_pin``): it may be derived, fixed by a rule, or none. The
    host PIN and the agents' alias are never part of it.
    """
    if link_type.url is None:
        return ""
    values = {
        "session": link.call.session,
        "call": joins or link.call.id,
        "name": name,
        "guest_pin": guest_pin,
        "alias": link.alias,
    }
    wanted = {placeholder: values[placeholder] for placeholder in link_type.url.names}
    encoded = {placeholder: "" if is_blank(value) else quote(value, safe="") for placeholder, value in wanted.items()}
    return link_type.url.render(encoded)


def default_expiry(link_type: LinkType, now: datetime, ttl: int | None = None) -> datetime:
    """When a link made now ends; ``ttl`` in seconds overrides that of the type."""
    return now + timedelta(seconds=link_type.ttl if ttl is None else ttl)


def span_of(link_type: LinkType, now: datetime, ttl: int | None = None, starts_at: datetime | None = None) -> Span:
    """When a link made now opens and ends. ``starts_at`` is the time of an appointment, of a type with a window."""
    if starts_at is not None and link_type.window is not None:
        return link_type.window.around(starts_at)
    return Span(None, default_expiry(link_type, now, ttl))
