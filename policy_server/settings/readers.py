"""How the text of one setting is read; what cannot be used is told with what to write instead."""

import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from policy_server.conferences.errors import StoreSetupError
from policy_server.conferences.location import parse_location
from policy_server.pexip.request_types import ROOT
from policy_server.web.api_keys import ApiKeys, ApiKeysError, parse_api_keys
from policy_server.web.callers import Network
from policy_server.web.cors import check_origin
from policy_server.wording.durations import DAY, Durations
from policy_server.wording.values import shown, shown_address
from policy_server.wording.words import listed

DURATIONS: Final = Durations(60, 3660 * DAY, "90m, 12h or 30d")
"""What a duration among the settings may be: at most ten years."""

T = TypeVar("T")

PUBLIC: Final = ("join", "agent", "api")
"""First segments of the paths for customers, agents' widgets and the organisation's own systems."""

LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[1-9][0-9]{{0,4}})?")
_PUBLIC_URL: Final = re.compile(r"(?i:https?)://([^/]+)(?:/[A-Za-z0-9._~-]+)*")

_ROOT: Final = ROOT.decode().rstrip("/")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_-]+)+")


class SettingsError(ValueError):
    """Settings that cannot be used; the text lists every reason and holds no secret."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("\n".join(reasons))


def read_text(variable: str, text: str) -> str:
    """Text as it is."""
    return text


def read_path(variable: str, text: str) -> Path:
    """A file or folder."""
    return Path(text)


def or_none(read: Callable[[str, str], T]) -> Callable[[str, str], T | None]:
    """The same reader, with ``None`` for no text."""
    return lambda variable, text: read(variable, text) if text else None


def read_words(variable: str, text: str) -> tuple[str, ...]:
    """Words separated by commas."""
    return tuple(filter(None, map(str.strip, text.split(","))))


def read_duration(variable: str, text: str) -> timedelta:
    """A duration of a minute or more."""
    seconds = DURATIONS.seconds(text)
    if seconds is None:
        raise SettingsError(DURATIONS.fault(variable, shown(text)))
    return timedelta(seconds=seconds)


def whole_up_to(most: int, what: str = "", least: int = 0) -> Callable[[str, str], int]:
    """Reads a whole number; ``what`` says of what."""

    def read(variable: str, text: str) -> int:
        digits = text.strip()
        if not digits.isascii() or not digits.isdigit() or len(digits) > 9 or not least <= int(digits) <= most:
            raise SettingsError(f"{variable} must be a number{what} from {least} to {most} but is {shown(text)}")
        return int(digits)

    return read


def one_of(*words: str) -> Callable[[str, str], str]:
    """Reads one of some words."""

    def read(variable: str, text: str) -> str:
        if text not in words:
            raise SettingsError(f"{variable} must be {listed(words, 'or')} but is {shown(text)}")
        return text

    return read


def read_truth(variable: str, text: str) -> bool:
    """``true`` or ``false``."""
    return one_of("true", "false")(variable, text) == "true"


def read_networks(variable: str, text: str) -> tuple[Network, ...]:
    """Networks and addresses, separated by commas."""
    found: list[Network] = []
    faults: list[str] = []
    for word in read_words(variable, text):
        try:
            found.append(ip_network(word))
        except ValueError:
            faults.append(f"{variable}: {shown(word)} is not a network; {_network_hint(word)}")
    if faults:
        raise SettingsError(*faults)
    return tuple(found)


def _network_hint(word: str) -> str:
    try:
        return f"write {ip_interface(word).network} for all of that network, or one address without /"
    except ValueError:
        return "write networks such as 10.20.0.0/16, separated by commas"


def read_operators(variable: str, text: str) -> tuple[Network, ...]:
    """This machine and further networks."""
    return (*LOOPBACK, *read_networks(variable, text))


def read_proxies(variable: str, text: str) -> tuple[Network, ...]:
    """Networks that are not everybody's."""
    everybody = [word for word in read_words(variable, text) if word == "*" or word.endswith("/0")]
    if everybody:
        raise SettingsError(
            f"{variable}: {everybody[0]!r} would let anybody say that they are somebody else; write the addresses of "
            "your own proxies, such as 127.0.0.1 or 10.20.0.5"
        )
    return read_networks(variable, text)


def read_prefix(variable: str, text: str) -> str:
    """The path before that of policy questions."""
    prefix = text.strip().rstrip("/")
    if not text.strip():
        return ""
    if not _PREFIX.fullmatch(prefix) or prefix.endswith(_ROOT):
        but = f"but is {shown(text)}; it ends before {_ROOT}"
        raise SettingsError(f"{variable} must be a path of letters, digits, - and _, such as /pexip, {but}")
    if (first := prefix.split("/")[1]).lower() in PUBLIC:
        raise SettingsError(f"{variable} must not be below /{first}, which strangers can reach; write /pexip")
    return prefix


def read_api_keys(variable: str, text: str) -> ApiKeys:
    """Names with their keys."""
    try:
        return parse_api_keys(text)
    except ApiKeysError as error:
        raise SettingsError(str(error)) from None


def read_database_url(variable: str, text: str) -> str:
    """The place of a database."""
    try:
        parse_location(text)
    except StoreSetupError as error:
        raise SettingsError(str(error)) from None
    return text


def read_public_url(variable: str, text: str) -> str:
    """A web address without a slash at its end."""
    url = text.strip().rstrip("/")
    match = _PUBLIC_URL.fullmatch(url)
    if text and (match is None or not _is_address(match[1])):
        but = "without user name and password" if "@" in text else f"but is {shown_address(text)}"
        raise SettingsError(f"{variable} must be an address such as https://join.example.com, {but}")
    return url


def read_node(variable: str, text: str) -> str:
    """The address of a host, perhaps with a port."""
    node = text.strip()
    if node and not _is_address(node):
        hint = "write the host name alone, such as pexip.example.com, or with a port, pexip.example.com:8443"
        raise SettingsError(
            f"{variable} must be the address of a Conferencing Node but is {shown_address(text)}; {hint}"
        )
    return node


def _is_address(text: str) -> bool:
    """A host name, an IPv4 address, or an IPv6 address in brackets; each perhaps with a port."""
    try:
        # Refuses numbers that are no port, and brackets around no address.
        _ = urlsplit(f"//{text}").port
    except ValueError:
        return False
    return _ADDRESS.fullmatch(text) is not None


def read_origins(variable: str, text: str) -> tuple[str, ...]:
    """Origins as browsers send them."""
    if not {"@", "?", "#"}.isdisjoint(text):
        # Before the commas are looked at: there may be one in a password.
        but = "without user name, password and query"
        raise SettingsError(f"{variable} must be origins such as https://widget.example.com, {but}")
    origins = tuple(dict.fromkeys(read_words(variable, text)))
    if faults := [f"{variable} {fault}" for fault in filter(None, map(check_origin, origins))]:
        raise SettingsError(*faults)
    return origins
