"""Settings: environment variables with the prefix ``POLICY_``, read once into a typed object (DESIGN section 8)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from pathlib import Path
from typing import Final

PREFIX: Final = "POLICY_"

Network = IPv4Network | IPv6Network

SETTINGS: Final[Mapping[str, str]] = {
    "RULES": "folder of the rule files (default: rules)",
    "PEXIP_USERNAME": "user name of Pexip's policy profile",
    "PEXIP_PASSWORD": "password of Pexip's policy profile",
    "SECRET_KEY": "signs customer links and derives PINs; 32 characters or more",
    "PREVIOUS_SECRET_KEYS": "keys that still verify links, separated by commas",
    "ADMIN_USERNAME": "user name for operators who are not on this machine",
    "ADMIN_PASSWORD": "password for operators who are not on this machine",
    "OPERATOR_NETWORKS": "networks beside this machine that may read /healthz, /readyz and /metrics without a password",
    "ON_FAILURE": "what a node shall do when there is no decision: continue (default) or reject",
    "LOG_FORMAT": "text (default) or json",
}
"""Every setting with what it is for; each can also be given as the path of a file, in ``POLICY_<NAME>_FILE``."""

SECRETS: Final = frozenset({"PEXIP_PASSWORD", "SECRET_KEY", "PREVIOUS_SECRET_KEYS", "ADMIN_PASSWORD"})

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
    operator_networks: tuple[Network, ...] = LOOPBACK
    on_failure: str = "continue"
    log_format: str = "text"


def read_settings(environment: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """The settings, and warnings about variables that look like one but are none.

    Reads the files that ``…_FILE`` names. Raises SettingsError listing everything that is wrong.
    """
    errors: list[str] = []
    values = {name: _value(name, environment, errors) for name in SETTINGS}
    networks = [_network(text, errors) for text in _listed(values["OPERATOR_NETWORKS"])]
    settings = Settings(
        rules=Path(values["RULES"] or "rules"),
        pexip=_credentials("PEXIP", values, errors),
        admin=_credentials("ADMIN", values, errors),
        secret_key=values["SECRET_KEY"] or None,
        previous_secret_keys=tuple(_listed(values["PREVIOUS_SECRET_KEYS"])),
        operator_networks=(*LOOPBACK, *networks),
        on_failure=_choice("ON_FAILURE", values, ("continue", "reject"), errors),
        log_format=_choice("LOG_FORMAT", values, ("text", "json"), errors),
    )
    if errors:
        raise SettingsError("\n".join(errors))
    return settings, tuple(_unknown(environment))


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
        errors.append(f"{variable}_FILE must name a file that can be read, but is {path!r}: {reason}")
        return ""
    if not value:
        errors.append(f"{variable}_FILE: the file {path!r} is empty")
    return value


def _listed(text: str) -> Iterable[str]:
    return filter(None, map(str.strip, text.split(",")))


def _network(text: str, errors: list[str]) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        hint = f"write {ip_interface(text).network} for all of that network, or one address without /"
    except ValueError:
        hint = "write networks such as 10.20.0.0/16, separated by commas"
    errors.append(f"POLICY_OPERATOR_NETWORKS: {text!r} is not a network; {hint}")
    return LOOPBACK[0]


def _credentials(kind: str, values: Mapping[str, str], errors: list[str]) -> Credentials | None:
    username, password = values[f"{kind}_USERNAME"], values[f"{kind}_PASSWORD"]
    if bool(username) != bool(password):
        absent = "PASSWORD" if username else "USERNAME"
        errors.append(f"POLICY_{kind}_{absent} is missing; user name and password go together")
    if ":" in username:
        errors.append(f"POLICY_{kind}_USERNAME must not hold a colon: HTTP Basic cannot carry one")
    return Credentials(username, password) if username and password else None


def _choice(name: str, values: Mapping[str, str], words: tuple[str, ...], errors: list[str]) -> str:
    value = values[name] or words[0]
    if value not in words:
        errors.append(f"POLICY_{name} must be {' or '.join(words)} but is {value!r}")
    return value


def _unknown(environment: Mapping[str, str]) -> Iterable[str]:
    known = {name + ending for name in SETTINGS for ending in ("", "_FILE")}
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            # Without the prefix, which would make all of them look alike.
            near = get_close_matches(name.upper(), sorted(known), n=1)
            yield f"{variable} is not a setting" + (f" (did you mean {PREFIX}{near[0]}?)" if near else "")
