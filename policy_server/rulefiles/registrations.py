"""Reading registration rules: which devices may register, and with which credentials."""

from collections.abc import Mapping
from typing import Final

from policy_server.pexip.properties import Registration, check_registration
from policy_server.policy.ruleset import AllowOutcome, RejectOutcome
from policy_server.policy.templates import Template
from policy_server.rulefiles.document_nodes import MappingNode, ScalarNode
from policy_server.rulefiles.passwords import read_password_env
from policy_server.rulefiles.reader import Table
from policy_server.rulefiles.rules import Heading, Material, OutcomeKey, report_faults
from policy_server.rulefiles.schema_parts import LINE, WRITTEN, Schema, described, table
from policy_server.wording.words import nearest, unknown_key

_ALLOW_FIELDS: Final[Mapping[str, Schema]] = {
    "username": {**LINE, "description": described(Registration, "username")},
    "password": {
        **WRITTEN,
        "maxLength": 250,
        "description": f"{described(Registration, 'password')} Whoever can read the rules can read it: password_env is "
        "better.",
    },
    "password_env": {
        "type": "string",
        "description": "The environment variable that holds the expected password.",
    },
}


def _read_reject(heading: Heading, _: Material) -> RejectOutcome:
    node = heading.table.value("reject")
    if not (isinstance(node, ScalarNode) and node.value is True):
        heading.table.error("reject", "reject can only be true here: Pexip shows no text to a device that registers")
    return RejectOutcome(Template("", ("",)))


def _read_allow(heading: Heading, material: Material) -> AllowOutcome | None:
    node = heading.table.value("allow")
    if isinstance(node, ScalarNode) and node.value is True:
        return AllowOutcome("", "")
    if not isinstance(node, MappingNode):
        # What stands here may be the password, so it is not shown.
        heading.table.error("allow", "allow must be true or credentials, such as {username: …, password_env: …}")
        return None
    table = Table(node, "allow", heading.table.report, heading.id)
    _finish(table)
    username = table.text("username", required=True)
    if username == "":
        table.error("username", "username is empty; write allow: true if devices shall register without credentials")
    password = _read_password(table, material)
    if username is None or password is None:
        return None
    report_faults(check_registration({"username": username, "password": password}), table)
    return AllowOutcome(username, password)


def _finish(table: Table) -> None:
    """Reports unknown keys; one that is like none that there are may be a password that lost its key."""
    for key in table:
        if key not in _ALLOW_FIELDS:
            hidden = f"this is not a key of allow; it can have {', '.join(_ALLOW_FIELDS)}"
            table.error_at(
                table.key_place(key),
                unknown_key(key, _ALLOW_FIELDS, table.where) if nearest(key, _ALLOW_FIELDS) else hidden,
            )


def _read_password(table: Table, material: Material) -> str | None:
    if "password" in table and "password_env" in table:
        table.error_at(table.key_place("password"), "allow has both password and password_env; remove password")
        return None
    if "password" not in table:
        return _read_password_env(table, material)
    node = table.value("password")
    if not isinstance(node, ScalarNode) or node.value is None or not node.text:
        table.error("password", "password must be text; better, name a variable of the environment in password_env")
        return None
    message = (
        "anybody who can read the rules can read this password; put it into the environment and name the variable "
        "in password_env"
    )
    table.report.warning(table.key_place("password"), message, table.rule)
    return node.text


def _read_password_env(table: Table, material: Material) -> str | None:
    if "password_env" not in table:
        table.error_at(
            table.place, "password_env is missing in allow: the environment variable that holds the password"
        )
        return None
    return read_password_env(table, material.environment, "the device", "KIOSK_PASSWORD")


ALLOW: Final = OutcomeKey(
    "allow",
    _read_allow,
    {
        "description": "Lets the device register, with these credentials or (true) with any.",
        "anyOf": [
            {"const": True},
            table(
                "The credentials that the device must show.",
                _ALLOW_FIELDS,
                required=["username"],
                oneOf=[{"required": ["password_env"]}, {"required": ["password"]}],
            ),
        ],
    },
)
REJECT: Final = OutcomeKey("reject", _read_reject, {"const": True, "description": "true refuses the device."})
