"""Who asks, and how: the connection's address and scheme, or what a proxy of ours says of them. One place for all."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.types import Scope

from policy_server.wording.values import printable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
"""The caller when a proxy names none: an address that is in no network."""

IPV6_NETWORK: Final = 64
"""Bits of an IPv6 address that make one caller: whoever has an address of such a network has all of them."""

_LONGEST_ADDRESS: Final = 64
_SCHEMES: Final = {b"http": "http", b"https": "https"}


Client = tuple[str, int] | None
"""The far end of a connection as ASGI has it."""


def caller_address(scope: Scope) -> str:
    """The caller's address, for logs and limits."""
    return address_of(scope.get("client"))


def address_of(client: Client) -> str:
    """The address of the far end of a connection."""
    return printable(str(client[0])[:_LONGEST_ADDRESS]) if client else UNKNOWN


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """An address; of a socket for both families, which names an IPv4 peer ``::ffff:192.0.2.1``, the IPv4 one."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def caller_network(scope: Scope) -> str:
    """What limits for an address count by: an IPv4 address, however a socket writes it, or the network of an IPv6 one."""
    told = caller_address(scope)
    address = parse_address(told)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), IPV6_NETWORK), strict=False))
    return told if address is None else str(address)


def is_within(text: str, networks: Iterable[Network]) -> bool:
    """Whether a text is an address of one of the networks."""
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


class Proxies:
    """The networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` count; without any, no header does."""

    __slots__ = ("networks",)

    def __init__(self, networks: tuple[Network, ...] = ()) -> None:
        self.networks: Final = networks

    def see_through(self, scope: Scope) -> None:
        """Puts caller and scheme into the scope of a request that came through a proxy of ours.

        Each hop appends whom it heard, so the caller is the right-most address that is not a proxy of ours; what
        stands left of it is the caller's own invention.
        """
        if not self.networks:
            return
        client = scope.get("client")
        if client is None or not is_within(client[0], self.networks):
            return
        hops: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                hops += value.split(b",")
            elif name == b"x-forwarded-proto":
                last = value.rpartition(b",")[2].strip().lower()
                scope["scheme"] = _SCHEMES.get(last, scope.get("scheme", "http"))
        for hop in reversed(hops):
            address = _hop(hop.decode("latin-1").strip())
            scope["client"] = (UNKNOWN if address is None else str(address), 0)
            if address is None or not any(address in network for network in self.networks):
                return


def _hop(text: str) -> Address | None:
    """One entry: an address, which some proxies write with a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return parse_address(text)
