"""Reading what a telephone system shows as a caller's name or address: quoted, as a URI, or with both in one.

Genesys Cloud hands on what the trunk and its carriers made of the From header (genesys/README.md: How the widget
finds the conference), and widgets hand that on to us.
"""

import re
from typing import Final

from policy_server.conferences.link_reading import undisguised
from policy_server.pexip.aliases import bare_alias

_LONGEST: Final = 1000
_BETWEEN: Final = re.compile(r"[\s<>()\[\]{},;?\\\"'\u2018-\u201e\u00ab\u00bb]+")
_AT_THE_END: Final = ".:!/*~|"


def caller_aliases(text: str) -> tuple[str, ...]:
    """The aliases that may stand in a caller's name or address, in the form in which aliases are compared, the best first.

    The first is the whole text, without quotation marks and the like around it.
    """
    cleaned = undisguised(text[:_LONGEST])
    parts = [part for part in _BETWEEN.split(cleaned) if part]
    whole = " ".join(parts) if len(parts) == 1 else cleaned.strip()
    found = (_bare(part) for part in (whole, *parts))
    return tuple(dict.fromkeys(filter(None, found)))


def _bare(text: str) -> str:
    alias = bare_alias(text)
    return alias.removeprefix("tel:").strip().strip(_AT_THE_END)
