"""Settings: environment variables that begin with ``POLICY_``, read once into a typed object (README.md: Settings).

Each has one line, in ``Settings``: from it come what is read, ``serve --help`` and the table for operators.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from policy_server.conferences.pace import OPEN_ROOMS, ROOMS
from policy_server.genesys.tenant import Tenant, check_region, parse_tenant
from policy_server.management.access import Access, parse_access
from policy_server.management.pace import NODE_LIMIT, RATE, SLOWEST
from policy_server.outbound.receivers import Receiver, parse_receivers
from policy_server.settings.readers import (
    SettingsError,
    one_of,
    or_none,
    read_api_keys,
    read_database_url,
    read_duration,
    read_node,
    read_operators,
    read_origins,
    read_path,
    read_prefix,
    read_proxies,
    read_public_url,
    read_text,
    read_truth,
    read_words,
    whole_up_to,
)
from policy_server.web.api_keys import ApiKeys
from policy_server.web.callers import Network
from policy_server.wording.words import nearest

PREFIX: Final = "POLICY_"

MOST_OPEN_ROOMS: Final = ROOMS // 2
"""What leaves half of the places to rooms of signed links."""

UVICORNS_PROXIES: Final = "FORWARDED_ALLOW_IPS"
"""What uvicorn alone would read."""

T = TypeVar("T")
Texts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable, for people: its default as it would be written, and what it is for."""

    variable: str
    default: str
    meaning: str
    is_secret: bool = False

    @property
    def file_variable(self) -> str:
        """The variable that may name a file with the value instead."""
        return f"{self.variable}_FILE"

    @property
    def told(self) -> str:
        """What it is for, in one line, with its default and whether it is secret."""
        notes = [*([f"default: {self.default}"] if self.default else ()), *(["secret"] if self.is_secret else ())]
        return f"{self.meaning} ({', '.join(notes)})" if notes else self.meaning


def _several(read: Callable[[Texts], T], *settings: Setting) -> T:
    """A field that some settings make together; ``read`` gets their texts by variable, in this order."""
    defaults = {setting.variable: setting.default for setting in settings}
    metadata = {"settings": settings, "read": read}
    shows = len(settings) > 1 or not settings[0].is_secret
    return field(default_factory=lambda: read(defaults), repr=shows, metadata=metadata)


def _setting(name: str, read: Callable[[str, str], T], default: str, meaning: str, *, secret: bool = False) -> T:
    """A field that one setting makes; ``read`` gets the variable and its text, or the default where it is not set."""
    variable = PREFIX + name
    return _several(lambda texts: read(variable, texts[variable]), Setting(variable, default, meaning, secret))


def _credentials(door: str, whose: str) -> "Credentials | None":
    """A field that a user name and its password make."""
    username, password = f"{PREFIX}{door}_USERNAME", f"{PREFIX}{door}_PASSWORD"

    def read(texts: Texts) -> Credentials | None:
        faults = []
        if bool(texts[username]) != bool(texts[password]):
            absent = password if texts[username] else username
            faults.append(f"{absent} is missing; user name and password go together")
        if ":" in texts[username]:
            faults.append(f"{username} must not hold a colon: HTTP Basic cannot carry one")
        if faults:
            raise SettingsError(*faults)
        return Credentials(texts[username], texts[password]) if texts[username] else None

    return _several(
        read,
        Setting(username, "", f"user name {whose}"),
        Setting(password, "", f"password {whose}", is_secret=True),
    )


def _tenant(texts: Texts) -> Tenant | None:
    api, organization, divisions = texts.values()
    if not (api or organization or divisions):
        return None
    tenant, faults = parse_tenant(api, organization, read_words("", divisions))
    if faults:
        raise SettingsError(*(f"{PREFIX}GENESYS_{fault.field.upper()} {fault.message}" for fault in faults))
    return tenant


def _management(texts: Texts) -> Access | None:
    if not any(texts.values()):
        return None
    access, faults = parse_access(*texts.values())
    if faults:
        raise SettingsError(*(f"{PREFIX}MANAGEMENT_{fault.field.upper()} {fault.message}" for fault in faults))
    return access


def _receivers(texts: Texts) -> tuple[Receiver, ...]:
    receivers, faults = parse_receivers(*texts.values())
    if faults:
        raise SettingsError(*(f"{PREFIX}{fault.field.upper()} {fault.message}" for fault in faults))
    return receivers


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password."""

    username: str
    password: str = field(repr=False)


# A table: each setting is one line, or two where it is long.
# fmt: off
@dataclass(frozen=True, slots=True)
class Settings:
    """What the service needs to know about where it runs. Absent credentials and keys are ``None``."""

    rules: Path = _setting("RULES", read_path, "rules", "folder of the rule files")
    pexip: Credentials | None = _credentials("PEXIP", "of Pexip's policy profile")
    secret_key: str | None = _setting(
        "SECRET_KEY", or_none(read_text), "", "signs customer links and derives PINs; 32 characters or more", secret=True)
    previous_secret_keys: tuple[str, ...] = _setting(
        "PREVIOUS_SECRET_KEYS", read_words, "", "keys that still verify links, separated by commas", secret=True)
    api_keys: ApiKeys = _setting(
        "API_KEYS", read_api_keys, "", "keys of your own systems, which make customer links: name:key,name:key", secret=True)
    public_url: str = _setting("PUBLIC_URL", read_public_url, "",
        "what customers reach this server by, such as https://join.example.com; if not set, on loopback, what the caller used")
    database_url: str = _setting("DATABASE_URL", read_database_url, "sqlite:///var/policy.db",
        "where links and conferences are kept: sqlite:///… or postgresql://…", secret=True)
    conference_ttl: timedelta = _setting(
        "CONFERENCE_TTL", read_duration, "12h", "how long a room keeps its service when no event says that it ended")
    open_rooms: int = _setting("OPEN_ROOMS", whole_up_to(MOST_OPEN_ROOMS), str(OPEN_ROOMS),
        f"how many rooms may be held at a time that no signed link led to; at most {MOST_OPEN_ROOMS}")
    retention: timedelta = _setting(
        "RETENTION", read_duration, "30d", "how long links, conferences, events and timelines are kept after their end")
    events: Credentials | None = _credentials("EVENTS", "of Pexip's event sink")
    node: str = _setting(
        "NODE", read_node, "", "address of the Conferencing Node that the agents' widget joins, such as pexip.example.com")
    tenant: Tenant | None = _several(_tenant,
        Setting("POLICY_GENESYS_API", "", "API of your Genesys Cloud region, such as https://api.usw2.pure.cloud"),
        Setting("POLICY_GENESYS_ORGANIZATION", "", "id of your Genesys Cloud organisation; agents of others are refused"),
        Setting("POLICY_GENESYS_DIVISIONS", "", "ids of the divisions whose agents may ask, separated by commas; if not set, all"))
    widget_origins: tuple[str, ...] = _setting(
        "WIDGET_ORIGINS", read_origins, "", "origins of the pages that may ask for agents, separated by commas")
    agent_binding: str = _setting("AGENT_BINDING", one_of("required", "optional"), "required",
        "whether an agent must name the conversation it is on: required or optional")
    agent_cache_seconds: int = _setting("AGENT_CACHE_SECONDS", whole_up_to(3600, " of seconds"), "60",
        "how long a verified token of an agent is good without asking Genesys again")
    management: Access | None = _several(_management,
        Setting("POLICY_MANAGEMENT_URL", "", "address of Pexip's Management Node, such as https://manager.example.com"),
        Setting("POLICY_MANAGEMENT_USERNAME", "", "user name of an administrator there who may use the API"),
        Setting("POLICY_MANAGEMENT_PASSWORD", "", "that administrator's password", is_secret=True),
        Setting("POLICY_MANAGEMENT_CLIENT_ID", "", "instead of user name and password: id of an OAuth2 client there"),
        Setting("POLICY_MANAGEMENT_KEY", "", "that client's private key, in PEM", is_secret=True),
        Setting("POLICY_MANAGEMENT_CA", "", "file of the certificates that sign the node's own; if not set, the system's"))
    management_rate: int = _setting("MANAGEMENT_RATE", whole_up_to(NODE_LIMIT, " of requests", SLOWEST), str(RATE),
        f"how many requests a minute one process sends there; the node takes {NODE_LIMIT} in all")
    receivers: tuple[Receiver, ...] = _several(_receivers,
        Setting("POLICY_WEBHOOKS", "", "who is told of calls: name=https://…,name=https://…", is_secret=True),
        Setting("POLICY_WEBHOOK_SECRET", "",
            "what these messages are signed with: whsec_…, or name=whsec_… for one receiver", is_secret=True))
    admin: Credentials | None = _credentials(
        "ADMIN", "for the admin pages, and for operators who are not on this machine")
    operator_networks: tuple[Network, ...] = _setting("OPERATOR_NETWORKS", read_operators, "",
        "networks beside this machine that may read /healthz, /readyz and /metrics without a password")
    prefix: str = _setting("PREFIX", read_prefix, "",
        "a path below which policy questions are answered too, such as /pexip; if not set, at the root alone")
    trusted_proxies: tuple[Network, ...] = _setting("TRUSTED_PROXIES", read_proxies, "",
        "addresses of the proxies whose X-Forwarded-For and X-Forwarded-Proto count; if not set, none")
    on_failure: str = _setting("ON_FAILURE", one_of("continue", "reject"), "continue",
        "what a node shall do when there is no decision: continue or reject")
    audit_log: Path | None = _setting(
        "AUDIT_LOG", or_none(read_path), "",
        "file for who was given a host PIN, who used links, who looked at calls and who was refused")
    log_format: str = _setting("LOG_FORMAT", one_of("text", "json"), "text", "text or json")
    decision_log: Path | None = _setting("DECISION_LOG", or_none(read_path), "",
        "file for decisions as JSON, or - for standard output; if not set, they are among the other logs, in POLICY_LOG_FORMAT")
    log_pii: bool = _setting("LOG_PII", read_truth, "true", "whether logs have names and addresses of people: true or false")
# fmt: on


SETTINGS: Final[tuple[Setting, ...]] = tuple(
    setting for made in fields(Settings) for setting in made.metadata["settings"]
)
"""Every setting, in the order in which people read about them."""


def read_settings(environment: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """The settings, and warnings about variables that look like one but are none.

    Reads the files that ``…_FILE`` names. Raises SettingsError listing everything that is wrong.
    """
    errors: list[str] = []
    texts = {setting.variable: _text_of(setting, environment, errors) for setting in SETTINGS}
    values: dict[str, object] = {}
    for made in fields(Settings):
        own = {setting.variable: texts[setting.variable] for setting in made.metadata["settings"]}
        try:
            values[made.name] = made.metadata["read"](own)
        except SettingsError as error:
            errors.append(str(error))
    if errors:
        raise SettingsError(*errors)
    settings = Settings(**values)  # type: ignore[arg-type]  # Each is what its own field's reader made.
    warnings = [*_unknown(environment)]
    if environment.get(UVICORNS_PROXIES):
        warnings.append(f"{UVICORNS_PROXIES} is not read; name your proxies in POLICY_TRUSTED_PROXIES")
    if settings.tenant is not None and (warning := check_region(settings.tenant)) is not None:
        warnings.append(f"POLICY_GENESYS_API: {warning}")
    return settings, tuple(warnings)


def _text_of(setting: Setting, environment: Mapping[str, str], errors: list[str]) -> str:
    """What a variable, or the file that it names, says; else the default."""
    variable, value = setting.variable, environment.get(setting.variable, "")
    path = environment.get(setting.file_variable)
    if not path:
        return value or setting.default
    if value:
        errors.append(f"{variable} and {variable}_FILE are both set; remove one")
    try:
        value = Path(path).read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        errors.append(f"{variable}_FILE must name a file that can be read, but {_told_path(path, reason)}")
        return setting.default
    if not value:
        errors.append(f"{variable}_FILE: the file {path!r} is empty")
    return value or setting.default


def _told_path(path: str, reason: str) -> str:
    """A path, unless it may be a secret that was meant for the variable without ``_FILE``."""
    folder = Path(path).parent
    is_path = "/" in path and folder != Path("/") and folder.is_dir()
    return f"is {path!r}: {reason}" if is_path else "it names none: write the path of the file that holds the value"


def _unknown(environment: Mapping[str, str]) -> Iterable[str]:
    known = [name for setting in SETTINGS for name in (setting.variable, setting.file_variable)]
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable not in known:
            # Without the prefix, which would make all of them look alike.
            near = nearest(variable.removeprefix(PREFIX), sorted(name.removeprefix(PREFIX) for name in known))
            yield f"{variable} is not a setting" + (f" (did you mean {PREFIX}{near}?)" if near else "")
