"""Who receives webhooks, as the settings name them (``POLICY_WEBHOOKS``, ``POLICY_WEBHOOK_SECRET``)."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from policy_server.outbound.origins import is_host, is_loopback

KEY_BYTES: Final = range(24, 65)
"""How many bytes the key of a signature has, by the specification."""

RECEIVERS: Final = 10
"""Receivers that there may be."""

_PREFIX: Final = "whsec_"
_EXAMPLE: Final = "crm=https://crm.example.com/hooks/calls"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
_OWN: Final = re.compile(rf"({_NAME.pattern})=(.*[^=].*)")
_URL_TEXT: Final = re.compile(r"[!-~]{1,2000}")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A system that is told. ``keys`` are what its messages are signed with, each alone; the URL may hold a secret too."""

    name: str
    url: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)

    @property
    def host(self) -> str:
        """Where it is, for people."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class ReceiverFault:
    """What is wrong with a setting, in words that follow its name; nothing secret is quoted."""

    field: Literal["webhooks", "webhook_secret"]
    message: str


def parse_receivers(webhooks: str, secrets: str) -> tuple[tuple[Receiver, ...], tuple[ReceiverFault, ...]]:
    """The receivers of ``NAME=URL,…``, and all that is wrong with them.

    ``secrets`` are those of all receivers, separated by commas, and ``NAME=SECRET`` one of that receiver's own, for which
    the others do not count. Of several each signs, so that a receiver can change from one to the next.
    """
    faults: list[ReceiverFault] = []
    urls: dict[str, str] = {}
    for number, word in enumerate(_words(webhooks), 1):
        name, _, url = word.partition("=")
        if fault := _receiver_fault(name, url, urls):
            # Not by its text: where a name is missing it may begin with what is secret.
            faults.append(ReceiverFault("webhooks", f"receiver {number} {fault}"))
        urls[name] = url
    if len(urls) > RECEIVERS:
        faults.append(ReceiverFault("webhooks", f"must name {RECEIVERS} receivers at the most, but names {len(urls)}"))
    common: list[bytes] = []
    own: dict[str, list[bytes]] = {}
    for number, word in enumerate(_words(secrets), 1):
        found = _OWN.fullmatch(word)
        name, secret = found.groups() if found is not None else ("", word)
        key = _key(secret)
        if name and name not in urls:
            faults.append(
                ReceiverFault("webhook_secret", f"entry {number} is for a receiver that POLICY_WEBHOOKS lacks")
            )
        elif key is None:
            least, most = KEY_BYTES[0], KEY_BYTES[-1]
            faults.append(
                ReceiverFault(
                    "webhook_secret",
                    f"entry {number} must be whsec_ and {least} to {most} bytes in base64; make one with: "
                    'echo "whsec_$(openssl rand -base64 32)"',
                )
            )
        else:
            (own.setdefault(name, []) if name else common).append(key)
    if urls and not faults:
        without = [name for name in urls if not own.get(name, common)]
        if without:
            message = f"is missing for {', '.join(without)}; a receiver must be able to see that a message is yours"
            faults.append(ReceiverFault("webhook_secret", message))
    if secrets and not urls:
        faults.append(ReceiverFault("webhooks", f"is missing; write who receives them, such as {_EXAMPLE}"))
    if faults:
        return (), tuple(faults)
    return tuple(Receiver(name, url, tuple(own.get(name, common))) for name, url in urls.items()), ()


def _words(text: str) -> list[str]:
    return [word for word in map(str.strip, text.split(",")) if word]


def _receiver_fault(name: str, url: str, others: dict[str, str]) -> str:
    if not url or not _NAME.fullmatch(name):
        return f"must be NAME=URL, the name in lower-case letters, digits and hyphens, such as {_EXAMPLE}"
    if name in others:
        return f"has the name {name!r}, which another has; give each a name of its own"
    parts = _parts(url)
    if parts is None or parts.scheme not in {"https", "http"} or parts.fragment:
        return f"({name}) must have an address such as https://crm.example.com/hooks/calls, without spaces or #"
    if "@" in parts.netloc:
        return f"({name}) must have an address without user name and password"
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return f"({name}) must begin with https://, because names of customers are sent there"
    return ""


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        is_good = bool(_URL_TEXT.fullmatch(url)) and is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        return None
    return parts if is_good else None


def _key(secret: str) -> bytes | None:
    """The key of a secret, as every library of Standard Webhooks reads it; ``None`` if it is no such secret."""
    text = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) in KEY_BYTES else None
