"""The query string of a policy question, read once and decoded only where somebody looks.

Equal to ``urllib.parse.parse_qsl(keep_blank_values=True, errors="replace")`` for any ASCII query; raw bytes beyond
ASCII, which the documentation's undecoded examples suggest (pexip/README.md: Encoding), are read as UTF-8.
"""

from typing import Final
from urllib.parse import unquote_to_bytes

QUERY_LIMIT = 16 * 1024
"""Longest query string that is read, in bytes; a real question has about 1,000."""

# C0, DEL and C1 controls, and the two separators that Unicode treats as line ends; half a surrogate pair, which the
# JSON of a header parameter can spell, is no text and becomes what bytes become that are not UTF-8.
_CONTROLS: dict[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}


# As numbers: to look for a byte takes a third of the time that looking for bytes does.
_PLUS: Final = ord("+")
_PERCENT: Final = ord("%")


class QuestionError(ValueError):
    """A question that cannot be understood; the text says why and holds no parameter value."""


def decode(raw: bytes) -> str:
    """One form-encoded name or value as text; what is not UTF-8 becomes U+FFFD."""
    if _PLUS in raw:
        raw = raw.replace(b"+", b" ")
    if _PERCENT in raw:
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "replace")


def clean(text: str) -> str:
    """Text from a caller without control characters and surrounding white space."""
    return (text if text.isprintable() else text.translate(_CONTROLS)).strip()
