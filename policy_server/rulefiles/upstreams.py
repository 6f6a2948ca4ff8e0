"""Reading other policy servers, and the outcome that has one of them decide."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from policy_server.pexip.request_types import ROOT
from policy_server.policy.ruleset import ForwardOutcome
from policy_server.policy.upstreams import (
    CREDENTIAL_LIMIT,
    DEFAULT_TIMEOUT,
    LONGEST_TIMEOUT,
    ON_FAILURE,
    SHORTEST_TIMEOUT,
    OnFailure,
    Upstream,
)
from policy_server.rulefiles.document_nodes import ScalarNode
from policy_server.rulefiles.passwords import Environment, read_password_env
from policy_server.rulefiles.reader import Table, shown_node, undefined
from policy_server.rulefiles.rules import Heading, Material, OutcomeKey
from policy_server.rulefiles.schema_parts import Schema
from policy_server.rulefiles.schema_sections import UPSTREAM
from policy_server.wording.values import shown, shown_address

_TIMEOUT: Final = re.compile(r"([0-9]{1,4})ms|([0-9](?:\.[0-9]{1,3})?)s")
_EXAMPLE: Final = "SCHEDULER_PASSWORD"


def read_upstream(name: str, table: Table, environment: Environment) -> Upstream | None:
    """One other policy server."""
    table.finish(UPSTREAM["properties"])
    before = table.report.errors
    table.text("description")
    username = _read_username(table)
    password = read_password_env(table, environment, "the upstream", _EXAMPLE) or ""
    url = _read_url(table, with_password="password_env" in table)
    timeout = _read_timeout(table)
    on_failure: OnFailure = (
        "reject" if table.choice("on_failure", ON_FAILURE, default="continue") == "reject" else "continue"
    )
    if table.report.errors > before:
        return None
    return Upstream(name, url, username, password, timeout, on_failure)


def _read_username(table: Table) -> str:
    username = table.text("username")
    for key, other in (("username", "password_env"), ("password_env", "username")):
        if key in table and other not in table:
            table.error_at(table.key_place(key), f"{key} goes with {other}; add it, or remove {key}")
    if username is None:
        return ""
    if not 0 < len(username) <= CREDENTIAL_LIMIT or ":" in username or not username.isprintable():
        table.error("username", f"username must have from 1 to {CREDENTIAL_LIMIT} characters, without a colon")
    return username


def _read_url(table: Table, *, with_password: bool) -> str:
    text = table.text("url", required=True)
    if text is None:
        return ""
    parts = _split(text)
    if "@" in text:
        table.error("url", "url must not hold a user name or password; write username, and password_env")
    elif parts is None:
        table.error(
            "url",
            f"url must be that of a policy profile, such as https://policy.example.com, but is {shown_address(text)}",
        )
    elif "/policy/" in f"{parts.path}/":
        table.error("url", f"url must be without {ROOT.decode().rstrip('/')}, which every question adds")
    elif parts.scheme.lower() == "http" and not _is_loopback(parts.hostname or ""):
        sent = "questions and the password go" if with_password else "questions go"
        table.warning("url", f"{sent} over the network unencrypted, and anybody on the way can answer; write https://")
    return text.rstrip("/")


def _split(text: str) -> SplitResult | None:
    """The parts of a URL that a question can be added to; ``None`` for any other text."""
    try:
        parts = urlsplit(text)
        good = parts.scheme.lower() in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    is_clean = text.isascii() and text.isprintable() and not set(' "<>\\^`{|}?#') & set(text)
    return parts if good and is_clean else None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _read_timeout(table: Table) -> float:
    node = table.value("timeout")
    if node is None:
        return DEFAULT_TIMEOUT
    match = _TIMEOUT.fullmatch(node.text.strip()) if isinstance(node, ScalarNode) else None
    seconds = 0.0 if match is None else int(match[1]) / 1000 if match[1] else float(match[2])
    if not SHORTEST_TIMEOUT <= seconds <= LONGEST_TIMEOUT:
        told = shown(node.text) if isinstance(node, ScalarNode) and node.text else shown_node(node)
        table.error(
            "timeout", f"timeout must be from 100ms to 3s, since a node waits 5s, such as 1500ms or 2s, but is {told}"
        )
        return DEFAULT_TIMEOUT
    return seconds


def _read_forward(heading: Heading, material: Material) -> ForwardOutcome | None:
    table = heading.table
    name = table.text("forward", wanted="the name of an upstream")
    if name is None:
        return None
    material.used_upstreams.add(name)
    if name not in material.upstreams:
        table.error("forward", undefined("forward", "upstream", name, material.upstreams, "upstreams"))
    upstream = material.upstreams.get(name)
    if upstream is None:
        return None
    if upstream.on_failure not in heading.request.about.actions and upstream.on_failure == "reject":
        table.warning(
            "forward",
            f"upstream {shown(name)} has on_failure: reject, and a {heading.request.about.title} question knows no "
            "rejection: Pexip's own configuration will decide",
        )
    return ForwardOutcome(upstream)


_FORWARD_SCHEMA: Final[Schema] = {
    "type": "string",
    "description": "Has the policy server of this name under upstreams answer.",
}
FORWARD: Final = OutcomeKey("forward", _read_forward, _FORWARD_SCHEMA)
