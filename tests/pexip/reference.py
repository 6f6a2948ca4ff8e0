"""The tables of the reference, for the tests that compare code with them."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from tests.docs.pages import Page, code, page

REFERENCE: Final = page("policy_server/pexip/README.md")


def section(heading: str) -> Page:
    """What stands below a heading, up to the next one."""
    text = re.split(rf"^## {re.escape(heading)}$", REFERENCE.text, flags=re.MULTILINE)[1]
    return Page(REFERENCE.name, re.split(r"^#+ ", text, flags=re.MULTILINE)[0])


def name(cell: str) -> str:
    """The one name in a cell."""
    (found,) = code(cell)
    return found


VIEWS: Final = tuple(code(section("Views").text.partition("\n\n-")[0]))
"""The layouts that every service with a view takes."""


class Field(NamedTuple):
    """What is said of a field: whether it is needed, its type in JSON, and what is allowed (empty and ``None``: all)."""

    is_needed: bool
    type: str
    words: tuple[str, ...]
    range: tuple[int, int] | None
    length: int | None


def fields(rows: Iterable[list[str]]) -> dict[str, Field]:
    """The fields in the rows of a table: name, type, what is allowed; a name in bold is needed."""
    found: dict[str, Field] = {}
    for field, type_, allowed, *_ in rows:
        bounds = re.search(r"(\d+)\.\.(\d+)", allowed)
        length = re.search(r"≤ (\d+)", allowed)
        found[name(field)] = Field(
            field.startswith("**"),
            type_.partition(" ")[0].replace("UUID", "string"),
            (*VIEWS * ("#views" in allowed), *code(allowed)),
            (int(bounds[1]), int(bounds[2])) if bounds else None,
            int(length[1]) if length and "#pins" not in allowed else None,
        )
    return found


def _service(letter: str) -> dict[str, Field]:
    rows = [row for row in section("Service fields").rows("Field") if letter in re.findall(r"[A-Z]", row[1])]
    return fields([f"**{row[0]}**" if f"**{letter}**" in row[1] else row[0], *row[2:]] for row in rows)


_TYPES: Final = ("conference", "lecture", "gateway", "two_stage_dialing", "media_playback", "test_call")
SERVICES: Final = {service_type: _service(letter) for letter, service_type in zip("CLGVMT", _TYPES, strict=True)}
"""The fields of each service, but for ``service_type``."""
LEG: Final = fields(section("Automatic participants").rows("Field"))
"""The fields of an automatic participant."""
