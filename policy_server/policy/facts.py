"""What one evaluation may look at: the question, the time, and what our own links say."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from policy_server.pexip.aliases import bare_alias, normalise_alias, original_stretch
from policy_server.pexip.parameters import Kind, Parameter
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.patterns import Pattern
from policy_server.policy.sessions import Keyring, LinkState, OpenedSession, link_state
from policy_server.policy.templates import RAW


@dataclass(frozen=True, slots=True)
class ParameterSource:
    """The text of a request parameter; ``raw`` as it came rather than as aliases are compared."""

    parameter: Parameter
    raw: bool = False

    @property
    def key(self) -> str:
        """The name that a rule uses for it."""
        return self.parameter.name + RAW if self.raw else self.parameter.name

    @property
    def folds(self) -> bool:
        """Whether what is compared differs from what came."""
        return self.parameter.kind is Kind.ALIAS and not self.raw


@dataclass(frozen=True, slots=True)
class IdpAttributeSource:
    """The values of one Identity Provider attribute."""

    attribute: str

    @property
    def key(self) -> str:
        """The name that a rule uses for it."""
        return f"idp_attributes.{self.attribute}"

    @property
    def folds(self) -> bool:
        """Attributes are compared as they came."""
        return False


@dataclass(frozen=True, slots=True)
class LinkAttributeSource:
    """An attribute that was given to the customer's link."""

    attribute: str

    @property
    def key(self) -> str:
        """The name that a rule uses for it."""
        return f"link_attributes.{self.attribute}"

    @property
    def folds(self) -> bool:
        """Attributes are compared as they came."""
        return False


Source = ParameterSource | IdpAttributeSource | LinkAttributeSource

_NO_ATTRIBUTES: Final[Mapping[str, str]] = {}


class KnownLink(Protocol):
    """What somebody wrote down about a customer's link."""

    @property
    def type(self) -> str:
        """The link type that it was made of: at the aliases of any other it is invalid."""

    @property
    def name(self) -> str:
        """The customer's name; one more of the attributes, unless they have one of their own."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """What the link was given."""

    @property
    def revoked_at(self) -> datetime | None:
        """When it was revoked; from then on it is invalid."""


FindLink = Callable[[str], KnownLink | None]


def no_link(_: str) -> KnownLink | None:
    """Nothing is known of any link: attributes are absent, and signatures alone decide."""
    return None


def attributes_of(link: KnownLink | None) -> Mapping[str, str]:
    """What rules may ask about a link."""
    if link is None:
        return _NO_ATTRIBUTES
    return {"name": link.name, **link.attributes} if link.name else link.attributes


class Facts:
    """One question together with all else that rules may depend on; remembers what was worked out once."""

    __slots__ = (
        "_aliases",
        "_find_link",
        "_link_attributes",
        "_link_session",
        "_opened",
        "_states",
        "domains",
        "groups",
        "keyring",
        "link_patterns",
        "now",
        "request",
    )

    def __init__(
        self,
        request: PolicyRequest,
        now: datetime,
        keyring: Keyring,
        *,
        domains: AbstractSet[str] = frozenset(),
        link_patterns: tuple[tuple[str, Pattern], ...] = (),
        link_attributes: Mapping[str, str] = _NO_ATTRIBUTES,
        find_link: FindLink = no_link,
    ) -> None:
        self.request: Final = request
        self.now: Final = now
        self.keyring: Final = keyring
        self.domains: Final = domains
        self.link_patterns: Final = link_patterns
        self._link_attributes: Final = link_attributes
        self._find_link: Final = find_link
        self.groups: Final[dict[int, Mapping[str, str] | None]] = {}
        self._aliases: Final[dict[str, str]] = {}
        self._link_session: str | None = None
        self._opened: Final[dict[str, OpenedSession | None]] = {}
        self._states: Final[dict[str, LinkState]] = {}

    def alias(self, name: str) -> str:
        """An alias parameter in the form in which aliases are compared; ``""`` when missing."""
        alias = self._aliases.get(name)
        if alias is None:
            alias = self._aliases[name] = normalise_alias(self.request.text(name), self.domains)
        return alias

    def text(self, parameter: Parameter) -> str:
        """The text of a parameter as conditions and placeholders see it; ``""`` when missing."""
        if parameter.kind is Kind.ALIAS:
            return self.alias(parameter.name)
        if parameter.kind is Kind.CHOICE:
            return self.request.choice(parameter.name)
        return self.request.text(parameter.name)

    def texts(self, source: Source) -> tuple[str, ...]:
        """Every text that a pattern on ``source`` may match; empty when the value is missing."""
        if isinstance(source, ParameterSource):
            parameter = source.parameter
            if source.raw:
                text = self.request.text(parameter.name)
                return (text,) if text else ()
            if parameter.kind is Kind.LIST:
                return self.request.values(parameter.name)
            text = self.text(parameter)
            if parameter.name == "alias" and text:
                # Devices register user@domain, and rules for them are written either way, so both forms count.
                full = bare_alias(self.request.text("alias"))
                return (text,) if full == text else (text, full)
            return (text,) if text else ()
        if isinstance(source, IdpAttributeSource):
            return self.request.idp_attributes.get(source.attribute, ())
        value = self.link_attributes.get(source.attribute, "")
        return (value,) if value else ()

    def original(self, source: Source, begin: int, end: int) -> str:
        """What stands in the parameter itself from one place of its compared form to another."""
        return original_stretch(self.request.text(source.key), begin, end)

    def link_session(self) -> str:
        """The text that stands where a link type has its session in the alias; ``""`` when no link type fits."""
        if self._link_session is None:
            alias = self.alias("local_alias")
            matches = (pattern.match(alias) for _, pattern in self.link_patterns)
            self._link_session = next((groups["session"] for groups in matches if groups is not None), "")
        return self._link_session

    def recall(self, session: str) -> None:
        """Takes the session from a room's name: what the alias is in a call out of a room is not documented."""
        if session:
            self._link_session = session

    @property
    def link_attributes(self) -> Mapping[str, str]:
        """The attributes of the link that the alias belongs to; none when nothing is known of it."""
        known = attributes_of(self._find_link(self.link_session()))
        return {**known, **self._link_attributes} if self._link_attributes else known

    def opened(self, session: str) -> OpenedSession | None:
        """The session if it was signed by us; verified once, for the state of the link and for PINs."""
        if session not in self._opened:
            self._opened[session] = self.keyring.open(session)
        return self._opened[session]

    def link_state(self, session: str) -> LinkState:
        """Whether ``session`` was signed by us, is still good, and is one for the alias that was dialled."""
        state = self._states.get(session)
        if state is None:
            state = link_state(session, self.opened(session), self.now)
            link = self._find_link(session) if session else None
            if link is not None and (link.revoked_at is not None or self._is_of_another_type(link, session)):
                state = LinkState.INVALID
            self._states[session] = state
        return state

    def _is_of_another_type(self, link: KnownLink, session: str) -> bool:
        """Whether the session stands in an alias of link types that its link is none of."""
        alias = self.alias("local_alias")
        found = ((name, pattern.match(alias)) for name, pattern in self.link_patterns)
        types = {name for name, groups in found if groups is not None and groups["session"] == session}
        return bool(types) and link.type not in types
