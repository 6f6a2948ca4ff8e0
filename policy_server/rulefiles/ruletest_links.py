"""The link of a rule test: what is written of it, and how it is signed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from policy_server.policy.appointments import Span
from policy_server.policy.link_attributes import attribute_faults
from policy_server.policy.links import CustomerLink, make_link
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import LinkType
from policy_server.rulefiles.document_nodes import MappingNode, ScalarNode
from policy_server.rulefiles.reader import Table, undefined
from policy_server.wording.moments import FIRST_YEAR, LAST_YEAR, MOMENT, parse_moment
from policy_server.wording.values import shown
from policy_server.wording.words import one_of

LINK_KEYS: Final = ("type", "attributes", "state", "name", "starts_at", "joins")
LINK_STATES: Final = ("valid", "early", "expired", "invalid")

_LINK_LIFE: Final = timedelta(hours=1)
_ADD_WINDOW: Final = "add window: {before: 15m, after: 1h} to it under links"


@dataclass(frozen=True, slots=True)
class KeptLink:
    """What is known of a link of a test."""

    attributes: Mapping[str, str]
    joins: str = ""
    name: str = ""
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TestLink:
    """The link of a test: its type, what was signed, and what it was given. ``starts_at`` is the time of an appointment,
    ``joins`` the link into whose room it leads, where it is of a type that joins.
    """

    __test__ = False

    type: str
    state: str = "valid"
    attributes: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    joins: "TestLink | None" = None

    def make(self, kind: LinkType, keyring: Keyring, at: datetime, nonce: bytes) -> CustomerLink:
        """The link, of a test whose question is asked at a time."""
        signer = Keyring(b"another key, so that the link is invalid") if self.state == "invalid" else keyring
        opens_at, expires_at = self._span(at, kind)
        return make_link(kind, signer, expires_at, nonce, opens_at)

    def _span(self, at: datetime, kind: LinkType) -> Span:
        """When it opens and expires: what is early opens an hour after the question, and all else expires within one."""
        if self.starts_at is not None and kind.window is not None:
            return kind.window.around(self.starts_at)
        match self.state:
            case "early":
                return Span(at + _LINK_LIFE, at + 2 * _LINK_LIFE)
            case "expired":
                return Span(None, at - _LINK_LIFE)
            case _:
                return Span(None, at + _LINK_LIFE)


def read_time(key: str, table: Table) -> datetime | None:
    """A moment; ``None`` when the key is absent or has none, which is a problem."""
    node = table.value(key)
    if node is None:
        return None
    text = node.text if isinstance(node, ScalarNode) else ""
    at = parse_moment(text)
    if at is None:
        table.wrong(key, node, MOMENT)
        return None
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        table.error(key, f"{key} must be in a year from {FIRST_YEAR} to {LAST_YEAR} but is {shown(text)}")
        return None
    return at


def read_link(table: Table, links: Mapping[str, LinkType] | None) -> TestLink | None:
    """The link of a test, if it has one; of any type where ``links`` are not known."""
    link = table.table("link", "keys and values such as {type: patient}")
    if link is None:
        return None
    link.finish(LINK_KEYS)
    kind = link.text("type", required=True)
    if kind is not None and links is not None and kind not in links:
        link.error("type", undefined("type", "link type", kind, links, "links"))
    read = _read_link(link, kind, links)
    link_type = links.get(kind) if links is not None and kind is not None else None
    joined = links.get(link_type.joins) if links is not None and link_type is not None else None
    if joined is not None:
        return replace(read, joins=_read_joined(link, joined, links))
    if link_type is not None and "joins" in link:
        link.error("joins", f"link type {shown(link_type.name)} has rooms of its own and joins none; leave joins out")
    return read


def _read_joined(link: Table, kind: LinkType, links: Mapping[str, LinkType] | None) -> TestLink:
    """The link that is joined: a good one of its type, unless more is written of it."""
    written = link.value("joins")
    if isinstance(written, MappingNode):
        below = Table(written, "joins", link.report)
        below.finish([key for key in LINK_KEYS if key != "joins"])
        said, place = below.text("type"), below.value_place("type")
    elif written is None:
        below, said, place = Table(MappingNode((), link.key_place("type")), "joins", link.report), None, link.place
    else:
        below, place = Table(MappingNode((), written.place), "joins", link.report), written.place
        said = link.text("joins", wanted=f"keys and values such as {{type: {kind.name}, name: Ada L}}")
    if said is not None and said != kind.name:
        link.error_at(place, one_of("joins", (kind.name,), said))
    return _read_link(below, kind.name, links)


def _read_link(link: Table, kind: str | None, links: Mapping[str, LinkType] | None) -> TestLink:
    attributes: dict[str, str] = {}
    below = link.table("attributes", "keys and values such as {language: en}")
    for attribute in below or ():
        text = below.text(attribute) if below else None
        if text is not None:
            attributes[attribute] = text
    state = link.choice("state", LINK_STATES, default="valid")
    link_type = links.get(kind) if links is not None and kind is not None else None
    _check_attributes(link, below, attributes, link_type, state)
    # A link's name is one more of its attributes.
    name = link.text("name")
    if name is not None:
        attributes.setdefault("name", name)
    starts_at = read_time("starts_at", link)
    if link_type is not None and link_type.window is None and ("starts_at" in link or state == "early"):
        key = "starts_at" if "starts_at" in link else "state"
        link.error(key, f"link type {shown(link_type.name)} has no window, so its links are for no time; {_ADD_WINDOW}")
    elif "starts_at" in link and "state" in link and state != "invalid":
        link.error("state", "state follows from starts_at and at; leave state out, or write state: invalid")
    return TestLink(kind or "", state, attributes, starts_at)


def _check_attributes(
    link: Table, below: Table | None, attributes: Mapping[str, str], kind: LinkType | None, state: str
) -> None:
    """Reports what no link of its type can be given, or none is without; of one that we did not sign nothing is known."""
    if kind is None:
        return
    for name, fault in attribute_faults(kind.name, kind.attributes, attributes, whole=state != "invalid"):
        if below is None or name not in below:
            link.error("attributes", fault)
        elif name in attributes:
            place = below.value_place(name) if name in (kind.attributes or ()) else below.key_place(name)
            below.error_at(place, fault)
