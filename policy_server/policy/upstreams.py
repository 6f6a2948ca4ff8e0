"""Other policy servers, to which rules forward questions."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

OnFailure: TypeAlias = Literal["continue", "reject"]
ON_FAILURE: Final[tuple[OnFailure, ...]] = ("continue", "reject")

DEFAULT_TIMEOUT: Final = 1.5
SHORTEST_TIMEOUT: Final = 0.1
LONGEST_TIMEOUT: Final = 3.0
"""Seconds that a question may wait for its answer. A node waits five (pexip/README.md: Transport)."""

CREDENTIAL_LIMIT: Final = 100
"""Characters of a user name or password in a policy profile (pexip/README.md: Transport)."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One of them: its profile URL without a slash at the end, our credentials there, both ``""`` for none, how many
    seconds it has, and what a node is told when it has not answered by then, or nothing that a node would take.
    """

    name: str
    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    timeout: float = DEFAULT_TIMEOUT
    on_failure: OnFailure = "continue"
