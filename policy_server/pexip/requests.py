"""A question of a Conferencing Node, parsed at the door (pexip/README.md: Questions)."""

import json
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlencode

from policy_server.pexip.parameters import FOLDED_NAMES, PARAMETERS, PATH_ALIAS, SECRET_PARAMETERS, folded
from policy_server.pexip.query import QUERY_LIMIT, QuestionError, clean, decode
from policy_server.pexip.request_types import RequestType

Address = IPv4Address | IPv6Address

IDP_PREFIX: Final = "idp_attribute_"

_EXACT_NAMES: Final = {name.encode(): name for name in PARAMETERS}
_IDP_PREFIX_BYTES: Final = IDP_PREFIX.encode()
_BOOLEANS: Final = {"true": True, "false": False}
_NO_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {}


class PolicyRequest:
    """What a node asked: its type, the alias of its path, and its parameters, each read as its kind.

    An absent, empty or all-control-character value reads as missing: ``""``, ``None`` or ``()``. ``texts`` has all that came,
    by name, as clean text.
    """

    __slots__ = ("idp_attributes", "query", "texts", "type")

    def __init__(
        self,
        request_type: RequestType,
        texts: Mapping[str, str],
        *,
        idp_attributes: Mapping[str, tuple[str, ...]] = _NO_ATTRIBUTES,
        query: bytes = b"",
    ) -> None:
        self.type: Final = request_type
        self.texts: Final = texts
        self.idp_attributes: Final = idp_attributes
        self.query: Final = query

    def text(self, name: str) -> str:
        """A parameter as clean text, ``""`` when missing; ``alias`` is the alias of the path."""
        return self.texts.get(name, "")

    def choice(self, name: str) -> str:
        """An enumerated value, ``""`` when missing.

        Quotes are dropped, since ``auth_type`` was published with them; ``None`` and ``null`` are how a role without
        value may be written (pexip/README.md: Parameters, Encoding).
        """
        value = self.text(name).strip('"')
        return "" if name == "preauthenticated_role" and value in {"None", "null"} else value

    def boolean(self, name: str) -> bool | None:
        """``True`` or ``False``; ``None`` when missing or neither."""
        return _BOOLEANS.get(self.text(name).lower())

    def integer(self, name: str) -> int | None:
        """Decimal digits as a number; ``None`` when missing or anything else."""
        value = self.text(name)
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None

    def address(self, name: str) -> Address | None:
        """An IP address; ``None`` when missing or not one. An IPv4 address written as IPv6 is the IPv4 address."""
        text = self.text(name)
        try:
            # A call that Pexip places has none, and to find that out from the library costs two exceptions.
            address = ip_address(text) if text else None
        except ValueError:
            return None
        return getattr(address, "ipv4_mapped", None) or address

    def values(self, name: str) -> tuple[str, ...]:
        """A header parameter: a JSON list, a single-quoted list, or (v16) the bare text (pexip/README.md: Encoding)."""
        value = self.text(name)
        if not value.startswith("["):
            return (value,) if value else ()
        for candidate in (value, value.replace("'", '"')):
            try:
                items = json.loads(candidate)
            except (ValueError, RecursionError):
                continue
            if isinstance(items, list) and all(isinstance(item, str) for item in items):
                return tuple(filter(None, map(clean, items)))
        return (value,)

    def present(self) -> dict[str, str]:
        """Every parameter that has a value, secrets apart, for logs and pages."""
        return {name: text for name, text in self.texts.items() if text and name not in SECRET_PARAMETERS}


def parse_request(request_type: RequestType, query: bytes, path_alias: str = "") -> PolicyRequest:
    """Reads a raw query string.

    Raises QuestionError when a known parameter is given twice or the query is longer than ``QUERY_LIMIT``.
    Unknown parameters are ignored, repeated or not: every Pexip version brings new ones.
    """
    if len(query) > QUERY_LIMIT:
        raise QuestionError(f"the query has {len(query)} bytes; the limit is {QUERY_LIMIT}")
    texts = {PATH_ALIAS.name: clean(path_alias)} if path_alias else {}
    attributes: dict[str, tuple[str, ...]] = {}
    exact_name = _EXACT_NAMES.get
    for pair in query.split(b"&"):
        encoded, _, value = pair.partition(b"=")
        name = exact_name(encoded)
        if name is None:
            decoded = decode(encoded)
            if encoded.startswith(_IDP_PREFIX_BYTES) or decoded.startswith(IDP_PREFIX):
                attribute = decoded[len(IDP_PREFIX) :]
                if text := clean(decode(value)):
                    attributes[attribute] = (*attributes.get(attribute, ()), text)
                continue
            name = FOLDED_NAMES.get(folded(decoded))
            if name is None:
                continue
        if name in texts:
            raise QuestionError(f"parameter {name} is given twice")
        # Most values need no decoding, and this is the hottest place of all.
        texts[name] = value.decode() if not value or value.isalnum() else clean(decode(value))
    return PolicyRequest(request_type, texts, idp_attributes=attributes, query=query)


def encode_query(fields: Mapping[str, str | Iterable[str]]) -> str:
    """Parameters as a node would send them; a list repeats its key."""
    return urlencode(
        [(name, item) for name, value in fields.items() for item in ((value,) if isinstance(value, str) else value)]
    )
