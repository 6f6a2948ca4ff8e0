"""Where the Management Node is, and who we are there: the operator's choice, checked when the settings are read."""

import ssl
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, TypeAlias

from policy_server.outbound.origins import origin, split_origin
from policy_server.wording.words import listed

_EXAMPLE: Final = "https://manager.example.com"

Field: TypeAlias = Literal["url", "username", "password", "client_id", "key", "ca"]


@dataclass(frozen=True, slots=True)
class Account:
    """An administrator's account, for HTTP Basic."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """An OAuth2 client with its private key in PEM, of the curve P-256 (management/README.md: OAuth2)."""

    client_id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """How the Management Node is reached. ``url`` is scheme and host; ``ca`` a file of certificates, None for the system's."""

    url: str
    login: Account | OAuthClient
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class AccessFault:
    """What is wrong with one of the settings, in words for its author that follow the setting's name."""

    field: Field
    message: str


def parse_access(
    url: str, username: str, password: str, client_id: str, key: str, ca: str
) -> tuple[Access | None, tuple[AccessFault, ...]]:
    """The access that these settings give, or everything that is wrong with them. Reads the file ``ca``."""
    given: dict[Field, str] = {
        "url": url.strip(),
        "username": username,
        "password": password,
        "client_id": client_id.strip(),
        "key": key,
        "ca": ca,
    }
    faults: list[AccessFault] = []
    parts = split_origin(given["url"], _EXAMPLE, "a password or a token is sent there") if given["url"] else ""
    if isinstance(parts, str):
        message = parts or f"is missing; write the address of the Management Node, such as {_EXAMPLE}"
        faults.append(AccessFault("url", message))
    login = _login(given, faults)
    if ca and (unusable := _ca_fault(ca)) is not None:
        faults.append(AccessFault("ca", unusable))
    if faults or login is None or isinstance(parts, str):
        return None, tuple(faults)
    return Access(origin(parts), login, Path(ca) if ca else None), ()


def certificates(ca: Path | None) -> ssl.SSLContext:
    """What a certificate must be signed by: this file alone, or else what the system trusts."""
    return ssl.create_default_context(cafile=ca)


def _login(given: dict[Field, str], faults: list[AccessFault]) -> Account | OAuthClient | None:
    has_account, has_client = (any(given[name] for name in pair) for pair in (_ACCOUNT, _CLIENT))
    if has_account and has_client:
        faults.append(AccessFault("client_id", f"and key go without {listed(_ACCOUNT, 'and')}; remove one pair"))
        return None
    pair = _CLIENT if has_client else _ACCOUNT
    absent = [name for name in pair if not given[name]]
    if len(absent) == len(pair):
        faults.append(
            AccessFault("username", "is missing; write user name and password, or client id and key (OAuth2)")
        )
    elif absent:
        (present,) = (name for name in pair if name not in absent)
        faults.append(AccessFault(absent[0], f"is missing; it goes together with the {present.replace('_', ' ')}"))
    if ":" in given["username"]:
        faults.append(AccessFault("username", "must not hold a colon: HTTP Basic cannot carry one"))
    if given["key"] and (unusable := _key_fault(given["key"])) is not None:
        faults.append(AccessFault("key", unusable))
    if has_client:
        return OAuthClient(given["client_id"], given["key"])
    return Account(given["username"], given["password"])


_ACCOUNT: Final[tuple[Field, ...]] = ("username", "password")
_CLIENT: Final[tuple[Field, ...]] = ("client_id", "key")


def _key_fault(key: str) -> str | None:
    # What it imports takes long, and few have such a key.
    fault: str | None = import_module("policy_server.management.assertions").key_fault(key)
    return fault


def _ca_fault(ca: str) -> str | None:
    try:
        certificates(Path(ca))
    except ssl.SSLError:
        return f"must name a file of certificates in PEM, but {ca!r} has none that can be read"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is none"
        return f"must name a file that can be read, but is {ca!r}: {reason}"
    return None
