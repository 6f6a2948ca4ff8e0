"""The bytes of a rule file as text that a YAML parser can be given, or why not."""

import codecs
import re

from policy_server.rulefiles.problems import Place, Problem, Severity

MAX_BYTES = 10 * 1024 * 1024
MAX_PROBLEMS = 100

_UTF_16 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PASTED_QUOTE = re.compile("([\u201c\u201d\u201e\u00ab\u00bb\uff02]|[\u2018\u201a](?=.*[\u2018\u2019]$))")
_SPACES = "\u00a0\u2000-\u200b\u202f\u3000"
_PASTED_SPACE = re.compile(f"^[{_SPACES}]|[{_SPACES}]$|^(?:-|[A-Za-z_]+:)[{_SPACES}]")
_PASTED_DASH = re.compile("([\u2010-\u2015\u2212]) ")
_PASTED_COLON = re.compile("[a-z_]+\uff1a")
_LINE_BREAK = re.compile(r"[\r\n]+")
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
# libyaml compares every %TAG directive with every other: a file of them would take hours.
_TAG_DIRECTIVE = re.compile(r"(?:\A|[\r\n])(%TAG)[ \t]")
# A search in all of a long file would hold up whoever else has something to do.
_PIECE = 64 * 1024


def decode_document(file: str, data: bytes) -> tuple[str | None, tuple[Problem, ...]]:
    """Decode a rule file: its text without byte order mark, or None and the problems that prevent it."""
    if len(data) > MAX_BYTES:
        size = len(data) / (1024 * 1024)
        message = f"the file is too large: {size:.1f} MiB where at most 10 MiB are read; split it"
        return None, (_error(Place(file), message),)
    text, problems = decode_utf_8(file, data)
    if text is not None:
        found = [*_unreadable_characters(file, text), *_tag_directives(file, text)]
        problems = tuple(sorted(found, key=lambda problem: problem.place))
    return (None if problems else text), problems


def decode_utf_8(file: str, data: bytes) -> tuple[str | None, tuple[Problem, ...]]:
    """Decode any text file beside the rules: its text without byte order mark, or None and why it is none."""
    whole = Place(file)
    if data.startswith(_UTF_16):
        message = "the file is saved as UTF-16 or UTF-32 (Windows calls it 'Unicode'); save it as UTF-8"
        return None, (_error(whole, message),)
    if 0 in data:
        message = "the file is not text but binary, or it is saved as UTF-16 (it has NUL bytes); save it as UTF-8"
        return None, (_error(whole, message),)
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8"), ()
    except UnicodeDecodeError as error:
        return None, (_not_utf_8(file, data, error),)


def find_unreadable_character(text: str) -> str | None:
    """Find the first character that no text in a rule file may have (control characters and their like)."""
    found = _NOT_TEXT.search(text)
    return found.group() if found else None


def without_unreadable_characters(text: str) -> str:
    """Replace such characters by U+FFFD, so that what follows has only text to deal with."""
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def name_of_character(character: str) -> str:
    """Name an invisible character in a message, as `U+0007`."""
    return f"U+{ord(character):04X}"


def pasted_character(text: str) -> str | None:
    """Say what a word processor made of a quote, a space, a dash or a colon at the edge of a text without quotes."""
    if text.isascii():
        return None
    if found := _PASTED_QUOTE.match(text):
        return f"{found[1]} is a typographic quote, as word processors write it; write a straight one, ' or \", at both ends"
    if _PASTED_SPACE.search(text):
        return "there is a space here that only looks like one (a no-break space, say); delete it and type a space"
    if found := _PASTED_DASH.match(text):
        return f"{found[1]} is a dash, as word processors write it; a list item begins with '- '"
    if _PASTED_COLON.match(text):
        return "\N{FULLWIDTH COLON} is a full-width colon; after a key write ': '"
    return None


def _not_utf_8(file: str, data: bytes, error: UnicodeDecodeError) -> Problem:
    before = error.object[: error.start].decode("utf-8")
    offset = error.start + len(data) - len(error.object)
    return _error(
        place_at(file, before, len(before)),
        f"the file is not UTF-8: byte 0x{error.object[error.start]:02X} at offset {offset} is no part of any "
        "character; save the file as UTF-8 (it may be saved as Windows-1252 or Latin-1)",
    )


def _unreadable_characters(file: str, text: str) -> list[Problem]:
    """Report the first such character of each line that has one."""
    problems: list[Problem] = []
    offset = 0
    while len(problems) < MAX_PROBLEMS and (found := _next_unreadable(text, offset)):
        problems.append(
            _error(
                place_at(file, text, found.start()),
                f"there is an invisible character here that YAML does not allow "
                f"({name_of_character(found.group())}); delete it",
            )
        )
        end_of_line = _LINE_BREAK.search(text, found.end())
        if end_of_line is None:
            break
        offset = end_of_line.end()
    return problems


def _next_unreadable(text: str, offset: int) -> re.Match[str] | None:
    pieces = (_NOT_TEXT.search(text, begin, begin + _PIECE) for begin in range(offset, len(text), _PIECE))
    return next(filter(None, pieces), None)


def _tag_directives(file: str, text: str) -> list[Problem]:
    found = _TAG_DIRECTIVE.search(text) if "%TAG" in text else None
    if found is None:
        return []
    return [_error(place_at(file, text, found.start(1)), "%TAG is not supported here; remove the line")]


def place_at(file: str, text: str, offset: int) -> Place:
    """Find the line and column of a character; lines may end in any of the three ways."""
    breaks = text.count("\n", 0, offset) + text.count("\r", 0, offset) - text.count("\r\n", 0, offset)
    line_start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    return Place(file, breaks + 1, offset - line_start + 1)


def _error(place: Place, message: str) -> Problem:
    return Problem(place, Severity.ERROR, message)
