"""``postgresql://…`` as libpq writes it: read by libpq itself, and refused when it can never work.

Nothing of a URL that is refused is repeated, not even the name of a parameter: where a password has an ``@``, ``/``, ``&``
or ``?`` that is not escaped, any part of the URL may be a part of the password.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from psycopg import Error
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo, ConnStatus, PGconn

from policy_server.conferences.errors import StoreSetupError
from policy_server.wording.values import printable
from policy_server.wording.words import did_you_mean, listed

SCHEMES: Final = ("postgresql://", "postgres://")
EXAMPLE: Final = "postgresql://user:password@host/database"
ESCAPES: Final = "in user and password write @ as %40, / as %2F, & as %26, % as %25 and a space as %20"

Parameters = Mapping[str, str]
"""What libpq is told, by the names of its parameters; ``host`` and ``port`` may be lists with commas."""

_NUMBERS: Final = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_DEFAULT_ROOT: Final = Path("~/.postgresql/root.crt")
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# libpq says that a value is wrong, but not which are right (PostgreSQL manual, section 34.1.2).
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "channel_binding": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "gssencmode": ("disable", "prefer", "require"),
}
_HOST: Final = re.compile(r"[\w.-]*|[0-9A-Fa-f:.]+(%[\w.-]+)?|[/@].+")
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_LARGEST_PORT: Final = 65_535
# No server is there, so that libpq says what it thinks of the parameters and goes no further.
_NOWHERE: Final = {"host": "/nonexistent", "port": "1", "user": "nobody", "password": "none"}


def parse_postgresql(url: str, setting: str) -> Parameters:
    """Reads a URL that begins with one of ``SCHEMES``. Raises StoreSetupError, which names ``setting``.

    Asks no server, and looks at no file but that of a ``service``.
    """
    _check_escapes(url, setting)
    parameters = _read(url)
    if parameters is None:
        _check_names(url, setting)
        raise StoreSetupError(f"{setting} is not a database URL; write {EXAMPLE}, and {ESCAPES}")
    faults = [*_address_faults(parameters), *_value_faults(parameters)] or [*_libpq_faults(parameters)]
    if faults:
        raise StoreSetupError(f"{setting}: {'; '.join(faults)}")
    return parameters


def told_postgresql(parameters: Parameters) -> str:
    """Which database it is, for messages: hosts and name, without user and password."""
    hosts = _hosts(parameters)
    ports = parameters.get("port", "").split(",")
    places = zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True)
    listed = ",".join(
        f"{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
        for host, port in places
        if host[:1] != "/"
    )
    return printable(f"postgresql://{listed}/{parameters.get('dbname', '')}")


def redact(message: str, parameters: Parameters) -> str:
    """A message without the passwords, should a driver ever repeat one."""
    for option in Conninfo.get_defaults():
        # What libpq itself says to hide.
        secret = parameters.get(option.keyword.decode()) if option.dispchar == b"*" else None
        if secret:
            message = message.replace(secret, "***")
    return message


def host_count(parameters: Parameters) -> int:
    """How many servers are tried one after the other."""
    return len(_hosts(parameters))


def check_files(parameters: Parameters) -> None:
    """Raises StoreSetupError for a certificate or key that is needed and cannot be read."""
    mode = parameters.get("sslmode", "")
    is_told = "sslrootcert" in parameters or "PGSSLROOTCERT" in os.environ or _DEFAULT_ROOT.expanduser().exists()
    if mode.startswith("verify-") and not is_told and not all(host[:1] == "/" for host in _hosts(parameters)):
        raise StoreSetupError(
            f"sslmode={mode} needs to know whom to trust: add sslrootcert=system for the certificates of this machine, "
            f"or sslrootcert=<file>, or put the file at {_DEFAULT_ROOT}"
        )
    for name in _FILES:
        path = parameters.get(name)
        # "system" is libpq's word for the certificates of the machine.
        if not path or (name == "sslrootcert" and path == "system"):
            continue
        try:
            # libpq would go on without a root certificate, and verify nobody.
            Path(path).open("rb").close()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no path"
            raise StoreSetupError(f"{name} must name a file that this user can read: {reason}") from None


def _read(url: str) -> Parameters | None:
    # None and no error: libpq's own quotes what it does not understand.
    try:
        found = Conninfo.parse(url.encode())
        return {option.keyword.decode(): option.val.decode() for option in found if option.val is not None}
    except (Error, UnicodeError):
        return None


def _check_escapes(url: str, setting: str) -> None:
    authority, slash, rest = url.partition("://")[2].partition("/")
    if not url.isprintable():
        raise StoreSetupError(f"{setting} has a line break or another character that cannot be seen; {ESCAPES}")
    if authority.count("@") > 1 or "@" in slash + rest:
        raise StoreSetupError(
            f"{setting} has an @ or / in its user, password or parameters that must be escaped: write @ as %40 and / as "
            "%2F, as in postgresql://user:p%40ssword@host/database"
        )
    if re.search(r"%(?![0-9A-Fa-f]{2})", url) or " " in url:
        raise StoreSetupError(f"{setting} has a % or a space that must be escaped: {ESCAPES}")


def _check_names(url: str, setting: str) -> None:
    """Raises for a parameter that libpq does not know: by its place, for its name may be a piece of a password."""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()} | {"ssl"}
    query = url.partition("?")[2]
    for number, pair in enumerate(query.split("&") if query else (), 1):
        name, equals, _ = pair.partition("=")
        if unquote(name) in known and equals:
            continue
        hint = did_you_mean(unquote(name), sorted(known))
        raise StoreSetupError(f"{setting}: PostgreSQL does not know parameter {number} behind the ?{hint}; {ESCAPES}")


def _hosts(parameters: Parameters) -> list[str]:
    return (parameters.get("host") or parameters.get("hostaddr") or "").split(",")


def _address_faults(parameters: Parameters) -> Iterator[str]:
    hosts, ports = _hosts(parameters), parameters.get("port", "").split(",")
    if not all(map(_HOST.fullmatch, hosts)):
        yield f"a host in it is no host name, no address and no path; {ESCAPES}"
    if not all(not port or _is_port(port) for port in ports):
        yield f"a port in it is not a number from 1 to {_LARGEST_PORT}; {ESCAPES}"
    if len(ports) not in {1, len(hosts)}:
        yield f"it has {len(ports)} ports for {len(hosts)} hosts; write one for all, or one for each"


def _is_port(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and 1 <= int(text) <= _LARGEST_PORT


def _value_faults(parameters: Parameters) -> Iterator[str]:
    for name in _NUMBERS:
        if name in parameters and not _NUMBER.fullmatch(parameters[name]):
            yield f"{name} must be a whole number"
    if parameters.get("client_encoding", "utf8").lower().replace("-", "") not in {"utf8", "auto"}:
        yield "client_encoding must be utf8, or be left out: no other can hold every name"
    if "replication" in parameters:
        yield "replication must be left out: such a connection takes no statements"


def _libpq_faults(parameters: Parameters) -> Iterator[str]:
    """What libpq refuses before it looks for a server."""
    asked = {name: value for name, value in parameters.items() if name not in {*_NOWHERE, "hostaddr", "dbname"}}
    if asked.get("gssencmode") == "require":
        # Right for a server, and wrong for a socket.
        del asked["gssencmode"]
    refused = _refusal(asked)
    # Compared, for libpq may speak the language of the machine; names of parameters are the same in all of them.
    if refused == _refusal({}):
        return
    wrong = [name for name in asked if re.search(rf"\b{name}\b", refused)] or [*asked]
    yield listed(f"{name} {_expected(name, asked[name])}" for name in wrong)


def _expected(name: str, value: str) -> str:
    words: Iterable[str] = _CHOICES.get(name, ())
    if not words or value in words:
        return "has a value that PostgreSQL does not take"
    return f"must be one of {', '.join(words)}{did_you_mean(value, words)}"


def _refusal(parameters: Parameters) -> str:
    connection = PGconn.connect_start(make_conninfo("", **{**parameters, **_NOWHERE}).encode())
    try:
        return connection.error_message.decode(errors="replace") if connection.status == ConnStatus.BAD else ""
    finally:
        connection.finish()
