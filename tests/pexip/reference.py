"""The tables of the reference, for the tests that compare code with them."""

import re
from typing import Final

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
