"""Settings: environment variables with the prefix ``POLICY_``, read once into a typed object (README.md: Settings)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from policy_server.conferences.errors import StoreSetupError
from policy_server.conferences.location import parse_location
from policy_server.conferences.pace import OPEN_ROOMS, ROOMS
from policy_server.genesys.tenant import Tenant, check_region, parse_tenant
from policy_server.web.api_keys import ApiKeys, ApiKeysError, parse_api_keys
from policy_server.web.callers import Network
from policy_server.web.cors import check_origin
from policy_server.web.doors import PUBLIC
from policy_server.wording.durations import DAY, Durations
from policy_server.wording.values import shown, shown_address
from policy_server.wording.words import listed, nearest

PREFIX: Final = "POLICY_"

SETTINGS: Final[Mapping[str, str]] = {
    "RULES": "folder of the rule files (default: rules)",
    "PEXIP_USERNAME": "user name of Pexip's policy profile",
    "PEXIP_PASSWORD": "password of Pexip's policy profile",
    "SECRET_KEY": "signs customer links and derives PINs; 32 characters or more",
    "PREVIOUS_SECRET_KEYS": "keys that still verify links, separated by commas",
    "API_KEYS": "keys of your own systems, which make customer links: name:key,name:key",
    "PUBLIC_URL": "what customers reach this server by, such as https://join.example.com (default on loopback: what the caller used)",
    "DATABASE_URL": "where links and conferences are kept (default: sqlite:///var/policy.db), or postgresql://…",
    "CONFERENCE_TTL": "how long a room keeps its service when no event says that it ended (default: 12h)",
    "OPEN_ROOMS": "how many rooms may be held at a time that no signed link led to (default: 2000, at most 10000)",
    "RETENTION": "how long links, conferences, events and timelines are kept after their end (default: 30d)",
    "EVENTS_USERNAME": "user name of Pexip's event sink",
    "EVENTS_PASSWORD": "password of Pexip's event sink",
    "NODE": "address of the Conferencing Node that the agents' widget joins, such as pexip.example.com",
    "GENESYS_API": "API of your Genesys Cloud region, such as https://api.usw2.pure.cloud",
    "GENESYS_ORGANIZATION": "id of your Genesys Cloud organisation; agents of others are refused",
    "GENESYS_DIVISIONS": "ids of the divisions whose agents may ask, separated by commas (default: all)",
    "WIDGET_ORIGINS": "origins of the pages that may ask for agents, separated by commas",
    "AGENT_BINDING": "required (default): an agent must name the conversation it is on; optional",
    "AGENT_CACHE_SECONDS": "how long a verified token of an agent is good without asking Genesys again (default: 60)",
    "ADMIN_USERNAME": "user name for operators who are not on this machine",
    "ADMIN_PASSWORD": "password for operators who are not on this machine",
    "OPERATOR_NETWORKS": "networks beside this machine that may read /healthz, /readyz and /metrics without a password",
    "PREFIX": "a path below which policy questions are answered too, such as /pexip (default: at the root alone)",
    "TRUSTED_PROXIES": "addresses of the proxies whose X-Forwarded-For and X-Forwarded-Proto count (default: none)",
    "ON_FAILURE": "what a node shall do when there is no decision: continue (default) or reject",
    "AUDIT_LOG": "file for who was given a host PIN, who used links and who was refused (default: none)",
    "LOG_FORMAT": "text (default) or json",
}
"""Every setting with what it is for; each can also be given as the path of a file, in ``POLICY_<NAME>_FILE``."""

SECRETS: Final = frozenset(
    {
        "PEXIP_PASSWORD",
        "SECRET_KEY",
        "PREVIOUS_SECRET_KEYS",
        "ADMIN_PASSWORD",
        "API_KEYS",
        "DATABASE_URL",
        "EVENTS_PASSWORD",
    }
)
"""Those whose value is never shown; the URL of a database may hold its password."""

DURATIONS: Final = Durations(60, 3660 * DAY, "90m, 12h or 30d")
"""What a duration among the settings may be: at most ten years."""

MOST_CACHE_SECONDS: Final = 3600

MOST_OPEN_ROOMS: Final = ROOMS // 2
"""What leaves half of the places to rooms of signed links."""

UVICORNS_PROXIES: Final = "FORWARDED_ALLOW_IPS"
"""What uvicorn alone would read."""

DATABASE_URL: Final = "sqlite:///var/policy.db"

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[1-9][0-9]{{0,4}})?")
_PUBLIC_URL: Final = re.compile(r"(?i:https?)://([^/]+)(?:/[A-Za-z0-9._~-]+)*")

_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_-]+)+")

LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class SettingsError(ValueError):
    """Settings that cannot be used; the text lists every reason and holds no secret."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service needs to know about where it runs. Absent credentials and keys are ``None``."""

    rules: Path = Path("rules")
    pexip: Credentials | None = None
    admin: Credentials | None = None
    secret_key: str | None = field(default=None, repr=False)
    previous_secret_keys: tuple[str, ...] = field(default=(), repr=False)
    api_keys: ApiKeys = field(default_factory=lambda: ApiKeys({}))
    public_url: str = ""
    database_url: str = field(default=DATABASE_URL, repr=False)
    conference_ttl: timedelta = timedelta(hours=12)
    open_rooms: int = OPEN_ROOMS
    retention: timedelta = timedelta(days=30)
    events: Credentials | None = None
    node: str = ""
    tenant: Tenant | None = None
    widget_origins: tuple[str, ...] = ()
    agent_binding: str = "required"
    agent_cache_seconds: int = 60
    operator_networks: tuple[Network, ...] = LOOPBACK
    prefix: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    on_failure: str = "continue"
    audit_log: Path | None = None
    log_format: str = "text"


def read_settings(environment: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """The settings, and warnings about variables that look like one but are none.

    Reads the files that ``…_FILE`` names. Raises SettingsError listing everything that is wrong.
    """
    errors: list[str] = []
    values = {name: _value(name, environment, errors) for name in SETTINGS}
    settings = Settings(
        rules=Path(values["RULES"] or "rules"),
        pexip=_credentials("PEXIP", values, errors),
        admin=_credentials("ADMIN", values, errors),
        secret_key=values["SECRET_KEY"] or None,
        previous_secret_keys=tuple(_listed(values["PREVIOUS_SECRET_KEYS"])),
        api_keys=_api_keys(values["API_KEYS"], errors),
        public_url=_public_url(values["PUBLIC_URL"], errors),
        database_url=_database_url(values["DATABASE_URL"], errors),
        conference_ttl=_duration("CONFERENCE_TTL", values, timedelta(hours=12), errors),
        open_rooms=_whole("OPEN_ROOMS", "", values, (OPEN_ROOMS, MOST_OPEN_ROOMS), errors),
        retention=_duration("RETENTION", values, timedelta(days=30), errors),
        events=_credentials("EVENTS", values, errors),
        node=_node(values["NODE"], errors),
        tenant=_tenant(values, errors),
        widget_origins=_origins(values["WIDGET_ORIGINS"], errors),
        agent_binding=_choice("AGENT_BINDING", values, ("required", "optional"), errors),
        agent_cache_seconds=_whole("AGENT_CACHE_SECONDS", " of seconds", values, (60, MOST_CACHE_SECONDS), errors),
        operator_networks=(*LOOPBACK, *_networks("OPERATOR_NETWORKS", values, errors)),
        prefix=_prefix(values["PREFIX"], errors),
        trusted_proxies=_proxies(values, errors),
        on_failure=_choice("ON_FAILURE", values, ("continue", "reject"), errors),
        audit_log=Path(values["AUDIT_LOG"]) if values["AUDIT_LOG"] else None,
        log_format=_choice("LOG_FORMAT", values, ("text", "json"), errors),
    )
    if errors:
        raise SettingsError("\n".join(errors))
    warnings = [*_unknown(environment)]
    if environment.get(UVICORNS_PROXIES):
        warnings.append(f"{UVICORNS_PROXIES} is not read; name your proxies in POLICY_TRUSTED_PROXIES")
    if settings.tenant is not None and (warning := check_region(settings.tenant)) is not None:
        warnings.append(f"POLICY_GENESYS_API: {warning}")
    return settings, tuple(warnings)


def _value(name: str, environment: Mapping[str, str], errors: list[str]) -> str:
    variable = PREFIX + name
    path = environment.get(f"{variable}_FILE")
    if not path:
        return environment.get(variable, "")
    if environment.get(variable):
        errors.append(f"{variable} and {variable}_FILE are both set; remove one")
    try:
        value = Path(path).read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        errors.append(f"{variable}_FILE must name a file that can be read, but {_told_path(path, reason)}")
        return ""
    if not value:
        errors.append(f"{variable}_FILE: the file {path!r} is empty")
    return value


def _told_path(path: str, reason: str) -> str:
    """A path, unless it may be a secret that was meant for the variable without ``_FILE``."""
    folder = Path(path).parent
    is_path = "/" in path and folder != Path("/") and folder.is_dir()
    return f"is {path!r}: {reason}" if is_path else "it names none: write the path of the file that holds the value"


def _listed(text: str) -> Iterable[str]:
    return filter(None, map(str.strip, text.split(",")))


def _networks(name: str, values: Mapping[str, str], errors: list[str]) -> tuple[Network, ...]:
    return tuple(_network(name, text, errors) for text in _listed(values[name]))


def _network(name: str, text: str, errors: list[str]) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        hint = f"write {ip_interface(text).network} for all of that network, or one address without /"
    except ValueError:
        hint = "write networks such as 10.20.0.0/16, separated by commas"
    errors.append(f"POLICY_{name}: {shown(text)} is not a network; {hint}")
    return LOOPBACK[0]


def _proxies(values: Mapping[str, str], errors: list[str]) -> tuple[Network, ...]:
    everybody = [text for text in _listed(values["TRUSTED_PROXIES"]) if text == "*" or text.endswith("/0")]
    if everybody:
        errors.append(
            f"POLICY_TRUSTED_PROXIES: {everybody[0]!r} would let anybody say that they are somebody else; write the "
            "addresses of your own proxies, such as 127.0.0.1 or 10.20.0.5"
        )
        return ()
    return _networks("TRUSTED_PROXIES", values, errors)


def _prefix(text: str, errors: list[str]) -> str:
    prefix = text.strip().rstrip("/")
    if not text.strip():
        return ""
    if not _PREFIX.fullmatch(prefix) or prefix.endswith("/policy/v1"):
        but = f"but is {shown(text)}; it ends before /policy/v1"
        errors.append(f"POLICY_PREFIX must be a path of letters, digits, - and _, such as /pexip, {but}")
    elif prefix.split("/")[1].lower() in PUBLIC:
        errors.append(
            f"POLICY_PREFIX must not be below /{prefix.split('/')[1]}, which strangers can reach; write /pexip"
        )
    return prefix


def _credentials(kind: str, values: Mapping[str, str], errors: list[str]) -> Credentials | None:
    username, password = values[f"{kind}_USERNAME"], values[f"{kind}_PASSWORD"]
    if bool(username) != bool(password):
        absent = "PASSWORD" if username else "USERNAME"
        errors.append(f"POLICY_{kind}_{absent} is missing; user name and password go together")
    if ":" in username:
        errors.append(f"POLICY_{kind}_USERNAME must not hold a colon: HTTP Basic cannot carry one")
    return Credentials(username, password) if username and password else None


def _api_keys(text: str, errors: list[str]) -> ApiKeys:
    try:
        return parse_api_keys(text)
    except ApiKeysError as error:
        errors.append(str(error))
        return ApiKeys({})


def _database_url(text: str, errors: list[str]) -> str:
    try:
        parse_location(text or DATABASE_URL)
    except StoreSetupError as error:
        errors.append(str(error))
    return text or DATABASE_URL


def _public_url(text: str, errors: list[str]) -> str:
    url = text.strip().rstrip("/")
    match = _PUBLIC_URL.fullmatch(url)
    if text and (match is None or not _is_address(match[1])):
        but = "without user name and password" if "@" in text else f"but is {shown_address(text)}"
        errors.append(f"POLICY_PUBLIC_URL must be an address such as https://join.example.com, {but}")
    return url


def _node(text: str, errors: list[str]) -> str:
    node = text.strip()
    if node and not _is_address(node):
        hint = "write the host name alone, such as pexip.example.com, or with a port, pexip.example.com:8443"
        errors.append(f"POLICY_NODE must be the address of a Conferencing Node but is {shown_address(text)}; {hint}")
    return node


def _is_address(text: str) -> bool:
    """A host name, an IPv4 address, or an IPv6 address in brackets; each perhaps with a port."""
    try:
        # Refuses numbers that are no port, and brackets around no address.
        _ = urlsplit(f"//{text}").port
    except ValueError:
        return False
    return _ADDRESS.fullmatch(text) is not None


def _tenant(values: Mapping[str, str], errors: list[str]) -> Tenant | None:
    api, organization = values["GENESYS_API"], values["GENESYS_ORGANIZATION"]
    divisions = tuple(_listed(values["GENESYS_DIVISIONS"]))
    if not (api or organization or divisions):
        return None
    tenant, faults = parse_tenant(api, organization, divisions)
    errors.extend(f"POLICY_GENESYS_{fault.field.upper()} {fault.message}" for fault in faults)
    return tenant


def _origins(text: str, errors: list[str]) -> tuple[str, ...]:
    if not {"@", "?", "#"}.isdisjoint(text):
        # Before the commas are looked at: there may be one in a password.
        but = "without user name, password and query"
        errors.append(f"POLICY_WIDGET_ORIGINS must be origins such as https://widget.example.com, {but}")
        return ()
    origins = tuple(dict.fromkeys(_listed(text)))
    errors.extend(f"POLICY_WIDGET_ORIGINS {fault}" for fault in filter(None, map(check_origin, origins)))
    return origins


def _duration(name: str, values: Mapping[str, str], default: timedelta, errors: list[str]) -> timedelta:
    text = values[name]
    if not text:
        return default
    seconds = DURATIONS.seconds(text)
    if seconds is None:
        errors.append(DURATIONS.fault(PREFIX + name, shown(text)))
        return default
    return timedelta(seconds=seconds)


def _whole(name: str, what: str, values: Mapping[str, str], limits: tuple[int, int], errors: list[str]) -> int:
    """A whole number; ``limits`` are its default and the largest."""
    default, most = limits
    text = values[name].strip() or str(default)
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > most:
        errors.append(f"POLICY_{name} must be a number{what} from 0 to {most} but is {shown(text)}")
        return default
    return int(text)


def _choice(name: str, values: Mapping[str, str], words: tuple[str, ...], errors: list[str]) -> str:
    value = values[name] or words[0]
    if value not in words:
        errors.append(f"POLICY_{name} must be {listed(words, 'or')} but is {shown(value)}")
    return value


def _unknown(environment: Mapping[str, str]) -> Iterable[str]:
    known = {name + ending for name in SETTINGS for ending in ("", "_FILE")}
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            # Without the prefix, which would make all of them look alike.
            near = nearest(name, sorted(known))
            yield f"{variable} is not a setting" + (f" (did you mean {PREFIX}{near}?)" if near else "")
