"""What came of each fault, as a table."""

from dataclasses import dataclass
from typing import Final

BEGIN: Final = "<!-- make faults writes this -->\n"
END: Final = "<!-- to here -->\n"


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one fault; ``wrong`` says what is not as it has to be."""

    name: str
    invites: tuple[str, ...]
    double: float
    outcome: str
    seconds: float
    code: str
    wrong: tuple[str, ...] = ()


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| Fault | INVITEs | Two legs | Customer | After | Verdict |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {', '.join(row.invites)} | {row.double:.1f} s | {row.outcome} | {row.seconds:.1f} s | {code} |"
        for row in rows
        for code in [f"`{row.code}`" if row.code else ""]
    ]
    return "\n".join(lines) + "\n"
