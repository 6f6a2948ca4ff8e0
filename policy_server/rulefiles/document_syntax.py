"""The syntax errors of PyYAML in the words of somebody who writes rules, not parsers."""

import re
from dataclasses import dataclass

from yaml import Mark, MarkedYAMLError

from policy_server.rulefiles.document_text import pasted_character
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.wording.values import shown

_TABS = (
    "there is a tab in the indentation; YAML allows spaces only: replace each tab by spaces "
    "(editors have a setting for that)"
)
_BACKSLASH = (
    "in double quotes a backslash begins an escape, and {escape} is none; write the text in single quotes, "
    "where a backslash is just a backslash (best for regular expressions), or write \\\\ for each"
)


_TYPOGRAPHIC = re.compile("[:,\\[{-]\\s*([\u201c\u201d\u201e\u2018\u201a\u00ab\u00bb\uff02].*)")


@dataclass(frozen=True, slots=True)
class _Fault:
    """How one family of PyYAML's errors is told; both its parsers word them a little differently."""

    problem: str
    context: str
    message: str
    at_context: bool = False


_FAULTS = (
    _Fault("found a tab character", "", _TABS),
    _Fault(
        "unexpected (end of stream|document (indicator|separator))",
        "quoted",
        "the quote {opening} that opens here is never closed",
        at_context=True,
    ),
    _Fault("unknown escape|hexdecimal|hexadecimal|invalid Unicode", "", _BACKSLASH),
    _Fault(
        "expected ':'",
        "simple key",
        "there is no ': ' after this key: write 'key: value', with a space after the colon (and a list item "
        "as '- item', with a space after the '-')",
        at_context=True,
    ),
    _Fault(
        "expected key|<block end>",
        "block mapping",
        "this line does not fit: the keys of one mapping (this one begins in line {context_line}) must all "
        "begin in the same column",
    ),
    _Fault(
        "'-' indicator|<block end>",
        "block (collection|sequence)",
        "this line does not fit: the items of one list (this one begins in line {context_line}) must all "
        "begin with '- ' in the same column",
    ),
    _Fault(
        "expected ','",
        "flow",
        "the bracket {opening} that opens here is not closed, or there is no ',' between two of its items "
        "(noticed in line {line})",
        at_context=True,
    ),
    _Fault(
        "mapping values are not allowed",
        "",
        "this key cannot be here: it is indented too far, or the line before has no ': ' after its key "
        "(a colon and a space)",
    ),
    _Fault(
        "node content",
        "",
        "a value is missing here, before {character}; a text that begins with a bracket, a comma or the like "
        "must be in quotes",
    ),
    _Fault(
        "cannot start any token",
        "",
        "a text cannot begin with {character} unless it is in quotes: write it as '…'",
    ),
    _Fault(
        "sequence entries are not allowed",
        "",
        "a list cannot begin here: put each '- ' on a line of its own below the key (a text that begins with "
        "'- ' must be in quotes)",
    ),
    _Fault("mapping keys are not allowed", "", "a text that begins with '? ' must be in quotes"),
    _Fault(
        "expected alphabetic",
        "alias|anchor",
        "a text that begins with {opening} must be in quotes: write it as '{opening_character}…'",
        at_context=True,
    ),
    _Fault(
        "",
        "block scalar",
        "after '|' or '>' the text must begin on the next line, indented (a text that begins with '|' or '>' "
        "must be in quotes)",
        at_context=True,
    ),
    _Fault("", r"\btag\b", "a text that begins with '!' must be in quotes", at_context=True),
    _Fault("tag handle", "", "a text that begins with '!' must be in quotes", at_context=True),
    _Fault("<document start>", "", "the document has ended before this line: is it indented as it should be?"),
)


def explain_syntax_error(file: str, text: str, error: MarkedYAMLError, inside: Place | None) -> Problem:
    """Say in plain words what PyYAML found wrong in `text`, and where an admin should look.

    `inside` is where the innermost list or mapping begins that was being read.
    """
    problem_mark = error.problem_mark or error.context_mark
    if problem_mark is None:
        return _problem(Place(file), f"this is not YAML: {error.problem or 'it cannot be read'}")
    context_mark = error.context_mark or problem_mark
    indentation_tab = _tab_in_indentation(text, problem_mark)
    if indentation_tab is not None and "flow" not in (error.context or ""):
        return _problem(Place(file, problem_mark.line + 1, indentation_tab + 1), _TABS)
    if inside is not None and problem_mark.index >= len(text) and "flow" in (error.context or ""):
        return _problem(inside, "the bracket that opens here is never closed")
    special = _value_with_colon(file, text, error, problem_mark) or _text_that_does_not_fit(
        file, text, error, problem_mark
    )
    if special is not None:
        return special
    for mark in (problem_mark, context_mark):
        line_start = mark.index - mark.column
        line = text[line_start:].partition("\n")[0]
        if (quote := _TYPOGRAPHIC.search(line)) is not None and (pasted := pasted_character(line[quote.start(1) :])):
            return _problem(Place(file, mark.line + 1, quote.start(1) + 1), pasted)
    fault = _fault_of(error)
    mark = context_mark if fault.at_context else problem_mark
    message = fault.message.format(
        line=problem_mark.line + 1,
        context_line=context_mark.line + 1,
        opening=_character(text, context_mark),
        opening_character=text[context_mark.index : context_mark.index + 1],
        character=_character(text, problem_mark),
        escape=_escape(text, problem_mark),
    )
    return _problem(_place(file, mark), message)


def _fault_of(error: MarkedYAMLError) -> _Fault:
    problem, context = error.problem or "", error.context or ""
    for fault in _FAULTS:
        if re.search(fault.problem, problem) and re.search(fault.context, context):
            return fault
    told = ", ".join(part for part in (context, problem) if part)
    return _Fault("", "", f"this is not YAML: {told}".replace("{", "{{").replace("}", "}}"))


def _value_with_colon(file: str, text: str, error: MarkedYAMLError, mark: Mark) -> Problem | None:
    """Tell `name: Ada: desk` from a key that is merely indented wrongly."""
    before = _line_before(text, mark)
    if "mapping values are not allowed" not in (error.problem or ""):
        return None
    if ": " in before:
        return _problem(_place(file, mark), "a text that contains ': ' must be in quotes: write it as '…'")
    key_column = len(before) - len(before.lstrip(" "))
    return _problem(Place(file, mark.line + 1, key_column + 1), _fault_of(error).message)


def _text_that_does_not_fit(file: str, text: str, error: MarkedYAMLError, mark: Mark) -> Problem | None:
    """Tell text after a closing quote, and a bracket too many, from a line that is merely indented wrongly."""
    if not re.search("expected key|<block end>|'-' indicator|expected ','", error.problem or ""):
        return None
    if _line_before(text, mark).rstrip(" ").endswith(("'", '"')):
        message = "there is text after a closing quote; a quote inside single quotes is written twice: 'it''s'"
        return _problem(_place(file, mark), message)
    if "flow" not in (error.context or "") and text[mark.index : mark.index + 1] in ("]", "}"):
        return _problem(_place(file, mark), f"no bracket is open that this {_character(text, mark)} could close")
    return None


def _tab_in_indentation(text: str, mark: Mark) -> int | None:
    start = mark.index - mark.column
    indentation = re.compile(r"[ \t]*").match(text, start)
    tab = indentation.group().find("\t") if indentation else -1
    return tab if tab >= 0 else None


def _line_before(text: str, mark: Mark) -> str:
    return text[mark.index - mark.column : mark.index]


def _character(text: str, mark: Mark) -> str:
    character = text[mark.index : mark.index + 1]
    if character == "":
        return "the end of the file"
    return "the end of the line" if character in "\r\n" else shown(character)


def _escape(text: str, mark: Mark) -> str:
    start = text.rfind("\\", 0, mark.index + 1)
    return shown(text[start : start + 2]) if start >= 0 else "this"


def _place(file: str, mark: Mark) -> Place:
    return Place(file, mark.line + 1, mark.column + 1)


def _problem(place: Place, message: str) -> Problem:
    return Problem(place, Severity.ERROR, message)
