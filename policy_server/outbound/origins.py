"""Addresses of other systems, as operators write them: scheme and host, encrypted unless on this machine."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from policy_server.wording.values import shown_address

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def split_origin(text: str, example: str, reason: str) -> SplitResult | str:
    """The parts of a good address, or what is wrong with it in words that follow the name of the setting.

    ``reason`` says why it must be encrypted.
    """
    if "@" in text:
        return f"must hold neither a user name nor a password; write the address alone, such as {example}"
    shown = shown_address(text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return f"must be an address such as {example} but is {shown}"
    if "://" not in text:
        return f"must begin with https:// but is {shown}; write an address such as {example}"
    if parts.scheme not in {"https", "http"} or not is_host(host) or port == 0:
        return f"must be an address such as {example} but is {shown}"
    if parts.scheme == "http" and not is_loopback(host):
        return f"must begin with https:// because {reason}, but is {shown}"
    if parts.path.strip("/") or "?" in text or "#" in text:
        return f"must be scheme and host alone, {origin(parts)}, but is {shown}"
    return parts


def origin(parts: SplitResult) -> str:
    """Scheme, host and port, without a slash at the end."""
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{parts.port}" if parts.port else "")


def is_host(host: str) -> bool:
    """Whether it is a host name or an IP address, in lower case."""
    return _is_address(host) or (len(host) <= 253 and all(map(_LABEL.fullmatch, host.split("."))))


def is_loopback(host: str) -> bool:
    """Whether it is this machine."""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host
