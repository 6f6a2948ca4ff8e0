"""What is looked at before the service starts: credentials that can be guessed, files that others can read.

What is certainly wrong where others can reach the server refuses the start; what may be meant is a warning.
"""

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from policy_server.conferences.location import parse_location
from policy_server.settings import SETTINGS, Credentials, Settings
from policy_server.wording.words import listed

SHORTEST_PASSWORD: Final = 12
"""Characters below which a password can be found by trying."""

WELL_KNOWN: Final = frozenset(
    {"admin", "administrator", "changeme", "default", "letmein", "password", "passw0rd", "pexip", "policy", "qwerty"}
    | {"secret", "test", "welcome"}
)
"""What people try first, also with digits and signs behind it."""

_MAKE_ONE: Final = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(24))'"


def check_credentials(found: Settings) -> Iterator[str]:
    """Passwords and keys that can be guessed; each message names the setting and the remedy."""
    for name, credentials in _credentials(found).items():
        password = credentials.password
        bare = password.lower().rstrip("0123456789!?.#$*_-")
        if password.lower() == credentials.username.lower():
            yield f"POLICY_{name}_PASSWORD is the user name; {_MAKE_ONE}"
        elif bare in WELL_KNOWN or (not bare and len(password) < SHORTEST_PASSWORD):
            yield f"POLICY_{name}_PASSWORD is one of the first that people try; {_MAKE_ONE}"
        elif len(password) < SHORTEST_PASSWORD:
            yield f"POLICY_{name}_PASSWORD has {len(password)} characters, {SHORTEST_PASSWORD} are needed; {_MAKE_ONE}"
    if found.secret_key is not None and len(set(found.secret_key)) < 8:
        yield "POLICY_SECRET_KEY repeats a few characters, so it can be guessed; " + _MAKE_ONE.replace("24", "32")


def check_shared(found: Settings) -> Iterator[str]:
    """Passwords that open two doors: who learns one at the sink, say, could act as a node."""
    doors: dict[str, list[str]] = {}
    for name, credentials in _credentials(found).items():
        doors.setdefault(credentials.password, []).append(f"POLICY_{name}_PASSWORD")
    for names in doors.values():
        if len(names) > 1:
            yield f"{listed(names)} are the same; give each door a password of its own"


def check_reach(found: Settings, *, is_plain: bool) -> tuple[list[str], list[str]]:
    """What is wrong, and what may be, with a server that others can reach; ``is_plain``: somewhere without https."""
    wrong, doubtful = [], []
    if found.api_keys and not found.public_url:
        wrong.append(
            "POLICY_PUBLIC_URL must be set: links would be made from whatever host the caller names; "
            "write what customers reach this server by, such as https://join.example.com"
        )
    if is_plain and not found.trusted_proxies:
        doubtful.append(
            "passwords, PINs and links cross the network in clear text: give --tls-cert and --tls-key, or put a proxy "
            "with https before the server and name its network in POLICY_TRUSTED_PROXIES"
        )
    return wrong, doubtful


def check_files(found: Settings, environment: Mapping[str, str], further: Iterable[str]) -> Iterator[str]:
    """Files with secrets that every user of this machine can read: ``.env``, secrets, the database, ``further``."""
    named = (environment.get(setting.file_variable) for setting in SETTINGS if setting.is_secret)
    database = parse_location(found.database_url).path
    files = [Path(".env"), *(Path(name) for name in (*named, *further) if name), *([database] if database else [])]
    for path in dict.fromkeys(files):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            yield f"every user of this machine can read {path}, which holds secrets: chmod o-rwx {path}"


def _credentials(found: Settings) -> dict[str, Credentials]:
    all_of_them = {"PEXIP": found.pexip, "EVENTS": found.events, "ADMIN": found.admin}
    return {name: credentials for name, credentials in all_of_them.items() if credentials is not None}
