"""The query string of a policy question, read once and decoded only where somebody looks.

Equal to ``urllib.parse.parse_qsl(keep_blank_values=True, errors="replace")`` for any ASCII query; raw bytes beyond
ASCII, which the documentation's undecoded examples suggest, are read as UTF-8.
"""

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

QUERY_LIMIT = 16 * 1024
"""Longest query string that is read, in bytes; a real question has about 1,000."""

# C0, DEL and C1 controls, and the two separators that Unicode treats as line ends.
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029))


class QuestionError(ValueError):
    """A question that cannot be understood; the text says why and holds no parameter value."""


def decode(raw: bytes) -> str:
    """One form-encoded name or value as text; what is not UTF-8 becomes U+FFFD."""
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "replace")


def clean(text: str) -> str:
    """Text from a caller without control characters and surrounding white space."""
    return (text if text.isprintable() else text.translate(_CONTROLS)).strip()


def pairs(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The encoded names and values of a query, in order; empty pairs are passed over."""
    for pair in raw.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            yield name, value
