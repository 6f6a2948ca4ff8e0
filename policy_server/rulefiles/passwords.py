"""Passwords that rules name by a variable of the environment, and never hold themselves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from policy_server.rulefiles.reader import Table
from policy_server.wording.values import shown

_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,99}\Z", re.IGNORECASE)
_OF_THE_SERVER: Final = re.compile(r"(POLICY_|PG(PASSWORD|PASSFILE|SERVICEFILE|SSLKEY)\Z)", re.IGNORECASE)
"""Variables that the server reads for itself, those of PostgreSQL's client among them: nobody else may be given one."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables that ``password_env`` may name. Whoever checks rules elsewhere does not have the secrets of the server at
    hand, and need not: only where it is ``deployed`` a missing one is an error.
    """

    variables: Mapping[str, str]
    deployed: bool


def read_password_env(table: Table, environment: Environment, whose: str, example: str) -> str | None:
    """The password in the variable that ``password_env`` names, ``""`` where nobody has it; ``None`` and a problem if that is
    no name of one. ``whose`` it is and an ``example`` of a name are for messages.
    """
    variable = table.text("password_env")
    if variable is None:
        return None
    if not _VARIABLE.match(variable):
        # It may be the password itself, so it is not shown.
        table.error("password_env", f"password_env must be the name of an environment variable, such as {example}")
        return None
    if _OF_THE_SERVER.match(variable):
        # Whoever writes rules could have it sent to themselves.
        table.error(
            "password_env",
            f"password_env cannot name {shown(variable)}, which is the server's own; give {whose} a password of its own, "
            f"in a variable such as {example}",
        )
        return None
    value = environment.variables.get(variable, "")
    if not value and environment.deployed:
        table.error("password_env", f"the environment variable {variable} is not set, or empty; it holds the password")
    return value
