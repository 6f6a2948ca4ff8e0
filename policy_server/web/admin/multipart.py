"""Forms with files, as browsers send them (RFC 7578): bounded, and without what no browser sends."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

TYPE: Final = "multipart/form-data"
MOST_PARTS: Final = 1000
LONGEST_HEAD: Final = 4096
"""Bytes of the headers of a part."""

_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_PARAMETER: Final = re.compile(r';\s*(name|filename)="([^"]*)"')
_ESCAPES: Final = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"))
"""How browsers write in a name what would end it."""


class Part(NamedTuple):
    """A field of a form; ``filename`` is ``None`` for one that is no file."""

    name: str
    filename: str | None
    content: bytes


class MultipartError(ValueError):
    """A body that no browser would send."""


def read_parts(content_type: str, body: bytes) -> list[Part]:
    """The fields of a form, in order. Raises MultipartError."""
    found = _BOUNDARY.search(content_type)
    if found is None or content_type.partition(";")[0].strip().lower() != TYPE:
        raise MultipartError(f"send {TYPE}")
    mark = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark, MOST_PARTS + 2)
    if len(pieces) > MOST_PARTS + 2:
        raise MultipartError(f"a form has {MOST_PARTS} parts at the most")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise MultipartError("the form does not end")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, blank, content = piece.partition(b"\r\n\r\n")
    if not blank or len(head) > LONGEST_HEAD:
        raise MultipartError("a part of the form has no headers, or too long ones")
    for line in head.decode("utf-8", "replace").split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == "content-disposition":
            given: Mapping[str, str] = dict(_PARAMETER.findall(value))
            if "name" in given:
                filename = given.get("filename")
                return Part(_plain(given["name"]), None if filename is None else _plain(filename), content)
    raise MultipartError("a part of the form has no name")


def _plain(text: str) -> str:
    for written, meant in _ESCAPES:
        text = text.replace(written, meant)
    return text
