"""What is wrong with a rule file, where, and how badly."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from policy_server.wording.values import shown


class Severity(StrEnum):
    """Whether a problem refuses the rules (`error`), deserves a look (`warning`), or only says what was not looked at
    (`note`).
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Place(NamedTuple):
    """A position in a rule file: line and column count from 1; line 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the rules; `rule` is the id of the rule it is in, or empty."""

    place: Place
    severity: Severity
    message: str
    rule: str = ""

    @property
    def said(self) -> str:
        """The message, after the rule that it is about."""
        return f"rule {shown(self.rule)}: {self.message}" if self.rule else self.message

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}: {self.said}"

    def as_json(self) -> dict[str, object]:
        """Give the problem as a JSON object; `line`, `column` and `rule` are null where there is none."""
        return {
            "file": self.place.file,
            "line": self.place.line or None,
            "column": (self.place.column or None) if self.place.line else None,
            "severity": self.severity.value,
            "rule": self.rule or None,
            "message": self.message,
        }
