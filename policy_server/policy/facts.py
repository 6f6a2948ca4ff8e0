"""What one evaluation may look at: the question, the time, and what our own links say."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from policy_server.pexip.aliases import bare_alias, normalise_alias, original_stretch
from policy_server.pexip.parameters import PARAMETERS, PATH_ALIAS, Kind, Parameter
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.calendars import Calendar
from policy_server.policy.link_aliases import AliasForm, Entrance, LinkAlias, ReadAlias, read_alias
from policy_server.policy.link_attributes import Declared, completed
from policy_server.policy.masking import NameMask
from policy_server.policy.names import NAMES, UNSIGNED, Call, Keyring, LinkState, Role
from policy_server.policy.templates import RAW, without_raw
from policy_server.policy.trunk_limits import LoadOf


@dataclass(frozen=True, slots=True)
class Supposed:
    """A question of which no more is known than this; ``None`` is anything.

    ``alias`` is the one that was dialled, in the form in which aliases are compared. ``stranger``: the caller has
    nothing that a node, a trunk or an Identity Provider vouches for.
    """

    alias: str | None = None
    link_types: frozenset[str] | None = None
    entrances: frozenset[Entrance] | None = None
    link_states: frozenset[LinkState] = frozenset(LinkState)
    stranger: bool = False


@dataclass(frozen=True, slots=True)
class ParameterSource:
    """The text of a request parameter; ``raw`` as it came rather than as aliases are compared."""

    parameter: Parameter
    raw: bool = False

    is_clean = True

    @property
    def key(self) -> str:
        """The name that a rule uses for it."""
        return self.parameter.name + RAW if self.raw else self.parameter.name

    @property
    def folds(self) -> bool:
        """Whether what is compared differs from what came."""
        return self.parameter.kind is Kind.ALIAS and not self.raw

    @property
    def is_single(self) -> bool:
        """Whether a question has one text of it at most."""
        return self.raw or (self.parameter.kind is not Kind.LIST and self.parameter != PATH_ALIAS)

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown."""
        return self.parameter.secret

    def texts(self, facts: "Facts") -> tuple[str, ...]:
        """Every text that a pattern may match; empty when the value is missing."""
        parameter = self.parameter
        name, kind = parameter.name, parameter.kind
        if self.raw:
            text = facts.request.text(name)
        elif kind is _ALIAS:
            text = facts.alias(name)
            if text and name == PATH_ALIAS.name:
                # Devices register user@domain, and rules for them are written either way, so both forms count.
                full = bare_alias(facts.request.text(name))
                return (text,) if full == text else (text, full)
        elif kind is _LIST:
            return facts.request.values(name)
        else:
            text = facts.text(parameter)
        return (text,) if text else ()

    def lacks(self, supposed: Supposed) -> bool:
        """Whether such questions certainly have no value that a rule could expect."""
        return supposed.stranger and self.parameter.vouched


@dataclass(frozen=True, slots=True)
class IdpAttributeSource:
    """The values of one Identity Provider attribute, as they came."""

    attribute: str

    folds = False
    is_clean = True
    is_single = False
    secret = False

    @property
    def key(self) -> str:
        """The name that a rule uses for it."""
        return f"idp_attributes.{self.attribute}"

    def texts(self, facts: "Facts") -> tuple[str, ...]:
        """Every text that a pattern may match; empty when the value is missing."""
        return facts.request.idp_attributes.get(self.attribute, ())

    def lacks(self, supposed: Supposed) -> bool:
        """Whether such questions certainly have no value that a rule could expect."""
        return supposed.stranger


@dataclass(frozen=True, slots=True)
class LinkAttributeSource:
    """An attribute that was given to the customer's link, as it was given."""

    attribute: str

    folds = False
    # What our own systems write may have line breaks, where `.` does not match; texts of questions have none.
    is_clean = False
    is_single = True
    secret = False

    @property
    def key(self) -> str:
        """The name that a rule uses for it."""
        return f"link_attributes.{self.attribute}"

    def texts(self, facts: "Facts") -> tuple[str, ...]:
        """Every text that a pattern may match; empty when the value is missing."""
        value = facts.link_attributes.get(self.attribute, "")
        return (value,) if value else ()

    def lacks(self, supposed: Supposed) -> bool:
        """Whether such questions certainly have no value that a rule could expect."""
        return supposed.link_states <= UNSIGNED


Source = ParameterSource | IdpAttributeSource | LinkAttributeSource


class Declaring(Protocol):
    """A link type, as far as it says what its links can be given."""

    @property
    def attributes(self) -> Declared | None:
        """Their attributes; ``None``: any."""


class Around(Protocol):
    """What a rules folder says beside its rules."""

    @property
    def domains(self) -> AbstractSet[str]:
        """Those that are ours, in lower case."""

    @property
    def links(self) -> Mapping[str, Declaring]:
        """The types of links."""

    @property
    def alias_forms(self) -> tuple[AliasForm, ...]:
        """The aliases that these make."""

    @property
    def mask(self) -> NameMask:
        """What hides names in them."""

    @property
    def calendars(self) -> Mapping[str, Calendar]:
        """By name."""


_NO_ATTRIBUTES: Final[Mapping[str, str]] = {}

# Whoever looks a member up in its class pays for the look-up of an enumeration's metaclass each time.
_ALIAS: Final = Kind.ALIAS
_CHOICE: Final = Kind.CHOICE
_LIST: Final = Kind.LIST


class KnownLink(Protocol):
    """What somebody wrote down about a customer's link."""

    @property
    def name(self) -> str:
        """The customer's name; one more of the attributes, unless they have one of their own."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """What the link was given."""

    @property
    def withdrawn_at(self) -> datetime | None:
        """When it was revoked, or moved to another time; from then on it is invalid."""

    @property
    def joins(self) -> str:
        """The call id of the link into whose room it leads; ``""`` for one that has a room of its own."""


FindLink = Callable[[str], KnownLink | None]


def no_link(_: str) -> KnownLink | None:
    """Nothing is known of any link: attributes are absent, and signatures alone decide."""
    return None


def attributes_of(link: KnownLink | None) -> Mapping[str, str]:
    """What rules may ask about a link."""
    if link is None:
        return _NO_ATTRIBUTES
    return {"name": link.name, **link.attributes} if link.name else link.attributes


def room_call(link: LinkAlias, find_link: FindLink, keyring: Keyring) -> Call | None:
    """The call whose room an alias leads to: its own, or the one that its link joins.

    ``None`` when that is not known: nobody signed the alias, or it is of a link that joins and nothing is known of it.
    """
    call = link.call
    if call is None or not link.joins:
        return call
    known = find_link(call.id)
    return None if known is None else keyring.open(known.joins, Role.CALL, (link.joins,))


class Facts:
    """One question together with all else that rules may depend on; remembers what was worked out once."""

    __slots__ = (
        "_aliases",
        "_find_link",
        "_given_attributes",
        "_known_link",
        "_link_attributes",
        "_room_link",
        "around",
        "call",
        "call_id",
        "groups",
        "keyring",
        "link",
        "link_state",
        "load_of",
        "now",
        "request",
    )

    link: LinkAlias | None
    """What the alias that was dialled says of a link; ``None`` when it is of no link type."""
    call: Call | None
    """The call that the alias belongs to, of a link that joins the one that it joins; ``None`` without one that we signed."""
    call_id: str
    """The call's name for everybody, ``""`` without one."""
    link_state: LinkState
    """Whether the link was signed by us for this alias, and is still good."""

    def __init__(
        self,
        request: PolicyRequest,
        now: datetime,
        keyring: Keyring,
        around: Around,
        link_attributes: Mapping[str, str] = _NO_ATTRIBUTES,
        find_link: FindLink = no_link,
        dialled: ReadAlias | None = None,
        load_of: LoadOf | None = None,
    ) -> None:
        self.load_of: Final = load_of
        self.request: Final = request
        self.now: Final = now
        self.keyring: Final = keyring
        self.around: Final = around
        self._given_attributes: Final = link_attributes
        self._find_link: Final = find_link
        self.groups: Final[dict[int, Mapping[str, str] | None]] = {}
        if dialled is None:
            alias = normalise_alias(request.text("local_alias"), around.domains)
            dialled = ReadAlias(alias, read_alias(around.alias_forms, keyring, alias))
        self._aliases: Final[dict[str, str]] = {"local_alias": dialled.alias}
        self.recall(dialled.link)

    def alias(self, name: str) -> str:
        """An alias parameter in the form in which aliases are compared; ``""`` when missing."""
        alias = self._aliases.get(name)
        if alias is None:
            alias = self._aliases[name] = normalise_alias(self.request.text(name), self.around.domains)
        return alias

    def text(self, parameter: Parameter) -> str:
        """The text of a parameter as conditions and placeholders see it; ``""`` when missing."""
        kind = parameter.kind
        if kind is _ALIAS:
            return self.alias(parameter.name)
        if kind is _CHOICE:
            return self.request.choice(parameter.name)
        return self.request.text(parameter.name)

    def original(self, source: Source, begin: int, end: int) -> str:
        """What stands in the parameter itself from one place of its compared form to another."""
        return original_stretch(self.request.text(source.key), begin, end)

    def shown(self, text: str) -> str:
        """A text as a finding may quote it: nothing in it opens a door."""
        return self.around.mask.text(text, self.keyring)

    def recall(self, link: LinkAlias | None) -> None:
        """Takes what there is to know of a link. In a call out of a room it comes from the room's name: what the alias is
        there is not documented.
        """
        self.link = link
        self._link_attributes: Mapping[str, str] | None = None
        own = None if link is None else link.call
        self._known_link = self._room_link = known = None if own is None else self._find_link(own.id)
        is_withdrawn = known is not None and known.withdrawn_at is not None
        self.call = call = own
        if link is not None and link.joins:
            self.call = call = room_call(link, self._find_link, self.keyring)
            self._room_link = visit = None if call is None else self._find_link(call.id)
            is_withdrawn = is_withdrawn or (visit is not None and visit.withdrawn_at is not None)
        self.call_id = "" if call is None else call.id
        if link is None:
            self.link_state = LinkState.ABSENT
        elif own is None or is_withdrawn:
            self.link_state = LinkState.INVALID
        else:
            self.link_state = own.state(self.now)

    @property
    def link_attributes(self) -> Mapping[str, str]:
        """The attributes of the link that the alias belongs to, with the defaults of its type; none without a link."""
        found = self._link_attributes
        if found is None:
            known, given = attributes_of(self._known_link), self._given_attributes
            declared = self._declared(self.link.call if self.link is not None else None)
            found = self._link_attributes = completed(declared, {**known, **given} if given else known)
        return found

    @property
    def room_attributes(self) -> Mapping[str, str]:
        """The attributes of the link whose room it is: of a link that joins those of the one that it joins."""
        if self.link is None or not self.link.joins:
            return self.link_attributes
        return completed(self._declared(self.call), attributes_of(self._room_link))

    def _declared(self, call: Call | None) -> Declared | None:
        link_type = self.around.links.get(call.type) if call is not None else None
        return link_type.attributes if link_type is not None else None

    @property
    def lacks_room(self) -> bool:
        """Whether the link joins a call, and it is not known which."""
        return self.link is not None and bool(self.link.joins) and self.call is None


def filled_in(
    names: Iterable[str], groups: Mapping[str, str], facts: Facts, *, of_room: bool = False
) -> dict[str, str]:
    """A value for each placeholder: a named group or a column of a table, an attribute of the link, a parameter; ``""`` when
    missing. ``of_room``: attributes are those of the link whose room it is, so that all who come fill in the same room.
    """
    values: dict[str, str] = {}
    attributes: Mapping[str, str] | None = None
    for name in names:
        if name in groups:
            values[name] = groups[name]
        elif (role := NAMES.get(without_raw(name))) is not None:
            values[name] = facts.call.name(role) if facts.call is not None else ""
        elif name.startswith("link."):
            if attributes is None:
                attributes = facts.room_attributes if of_room else facts.link_attributes
            values[name] = attributes.get(name[5:], "")
        elif name in PARAMETERS:
            values[name] = facts.text(PARAMETERS[name])
        elif name.endswith(RAW):
            values[name] = facts.request.text(without_raw(name))
        else:
            values[name] = facts.alias("alias") if name == PATH_ALIAS.name else ""
    return values
