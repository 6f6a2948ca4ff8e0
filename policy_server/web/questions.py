"""Questions as people have them at hand: in words, as a URL or query string, or in a line of a log."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus, unquote_plus, urlencode

from policy_server.conferences.replay import with_name
from policy_server.pexip.field_facts import MASK
from policy_server.pexip.parameters import PARAMETERS, PATH_ALIAS, folded, parameters_of
from policy_server.pexip.request_types import ROOT, RequestType, route
from policy_server.pexip.requests import IDP_PREFIX, encode_query
from policy_server.policy.masking import HIDDEN
from policy_server.policy.names import Keyring, Role
from policy_server.policy.ruleset import Ruleset
from policy_server.web.decision_records import LOGGED, LOGGED_LENGTH, LOGGED_OF_CALLER, VALUE_LENGTH, is_parameter
from policy_server.web.log_lines import read_line
from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean, one_of

CAN_BE_PASTED: Final = (
    "a query string, a URL with /policy/v1/ in it, a line of Pexip's support log with such a URL, or a line of this "
    "server's log with event=decision.made"
)

_CUT: Final = ("…", "...")
_AMPERSANDS: Final = ("&amp;", "\\u0026")
"""How pages and JSON write ``&``."""

_NAME: Final = re.compile(r"[\w.~-]+")
_PARAMETER: Final = re.compile(r"&[\w.~-]+=")
_TYPES: Final = tuple(kind.value for kind in RequestType)
_ROOT: Final = ROOT.decode()


class NoQuestionError(ValueError):
    """A text in which there is no question that can be understood; the message says what can be given instead."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a node asked, or would: its type, the alias of its path, its query string.

    ``at`` is when, if that was with it; ``is_logged`` if it comes from our own log, which does not keep everything, and
    ``call`` the call id that the log has beside it; ``masked`` are the parameters that a line for programs hides, which has all
    others.
    ``notes`` and ``warnings`` are for the reader.
    """

    type: RequestType
    alias: str
    query: str
    at: datetime | None = None
    is_logged: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    call: str = ""
    masked: frozenset[str] | None = None


def parse_question(words: tuple[str, ...]) -> Question:
    """The question in some words; raises NoQuestionError."""
    first, *others = words
    if first not in _TYPES:
        return _with_fields(*_pasted_words(words))
    request_type = RequestType(first)
    if len(words) == 2:
        pasted = _pasted_url(words[1]) or _pasted_line(words[1])
        if pasted is not None:
            if pasted.type is not request_type:
                raise NoQuestionError(
                    f"the first word is {first!r}, but what follows is a question of type {pasted.type.value!r}"
                )
            return pasted
        if "&" in words[1] or words[1].startswith("?"):
            pasted = _pasted_query(words[1], request_type)
            if pasted is not None:
                return pasted
    return _with_fields(Question(request_type, "", ""), tuple(others))


def _pasted_words(words: tuple[str, ...]) -> tuple[Question, tuple[str, ...]]:
    """The question pasted as the first word, and the parameters after it; or pasted without quotes."""
    attempts: tuple[Callable[[str], Question | None], ...] = (_pasted_line, _pasted_url, _pasted_query)
    for text, others in ((words[0], words[1:]), (" ".join(words), ())):
        for attempt in attempts:
            found = attempt(text)
            if found is not None:
                return found, others
    if len(words) == 1 and not _NAME.fullmatch(words[0]):
        raise NoQuestionError(f"{shown(words[0])} is no question; what can be pasted is {CAN_BE_PASTED}")
    raise NoQuestionError(
        f"{one_of('the first word', _TYPES, words[0])}; what can be pasted instead is {CAN_BE_PASTED}"
    )


def _pasted_url(text: str) -> Question | None:
    """A URL somewhere in a text, such as a line of Pexip's support log or of a web server."""
    url = next((word for word in re.split(r"[\s\"'<>]+", text) if _ROOT in word), None)
    if url is None:
        return None
    path, _, query = url.partition("?")
    # Whatever prefix the server of that log has, or a proxy took away.
    routed = route(path[path.find(_ROOT) :].encode())
    if routed is None:
        raise NoQuestionError(f"{shown(path)} is none of the paths at which Pexip asks a policy server")
    for ampersand in _AMPERSANDS:
        query = query.replace(ampersand, "&")
    notes: list[str] = []
    if query.endswith(_CUT):
        query = query.rstrip(".…")
        notes.append("the URL was cut: what stood at its end is missing")
    if _PARAMETER.search(text.partition(url)[2]):
        notes.append(
            "the URL ends at the first space, quotation mark or < in it, and the parameters after that are left out"
        )
    return Question(*routed, query, notes=tuple(notes))


def _pasted_query(text: str, request_type: RequestType = RequestType.SERVICE) -> Question | None:
    parts = text.lstrip("?").split("&")
    names = [unquote_plus(part.partition("=")[0]) for part in parts]
    is_query = all("=" in part for part in parts) and all(map(_NAME.fullmatch, names))
    if not is_query or not any(is_parameter(name) for name in names):
        return None
    alias = next((unquote_plus(part[6:]) for part in parts if part.startswith("alias=")), "")
    return Question(request_type, alias, "&".join(part for part in parts if not part.startswith("alias=")))


def _pasted_line(text: str) -> Question | None:
    """A line of our own log."""
    record = read_line(text)
    if record is None:
        return None
    event = record["event"]
    if event != "decision.made" or record.get("question") not in _TYPES:
        raise NoQuestionError(
            f"this line of the log ({shown(event)}) does not tell what was asked; a line with event=decision.made does"
        )
    is_whole = "schema" in record
    longest = VALUE_LENGTH if is_whole else LOGGED_LENGTH
    fields = {name: value for name, value in record.items() if isinstance(value, str | list) and is_parameter(name)}
    cut = [name for name, value in fields.items() if len(value) >= longest]
    masked = frozenset(folded(name) for name, value in fields.items() if MASK in (value, *value))
    fields = {name: value for name, value in fields.items() if folded(name) not in masked}
    alias = str(fields.pop(PATH_ALIAS.name, ""))
    notes = [_told_decision(record)]
    if cut:
        notes.append(f"the log cuts values after {longest} characters: {', '.join(cut)} may have been longer")
    return Question(
        RequestType(record["question"]),
        alias,
        encode_query(fields),
        at=_moment(record.get("time")),
        is_logged=True,
        notes=tuple(notes),
        call=str(record.get("call", "")),
        masked=masked if is_whole else None,
    )


def _told_decision(record: Mapping[str, Any]) -> str:
    rule = record.get("rule")
    by = f"by rule {shown(rule)}" if isinstance(rule, str) else "by no rule"
    return f"the line says: {record.get('outcome')} {by}, with revision {record.get('revision')}"


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _with_fields(question: Question, words: tuple[str, ...]) -> Question:
    """A question with parameters in words, which go before its own.

    One that Pexip does not have is more likely a slip than wanted.
    """
    known = {*PARAMETERS, *(parameter.name for parameter in parameters_of(question.type))}
    fields: dict[str, list[str]] = {}
    warnings: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise NoQuestionError(f"a parameter is written NAME=VALUE, but this is {shown(word)}")
        if name not in known and not name.startswith(IDP_PREFIX):
            warnings.append(f"{shown(name)} is no parameter of Pexip's{did_you_mean(name, known)}")
        fields.setdefault(name, []).append(value)
    alias = fields.pop(PATH_ALIAS.name, [question.alias])[0]
    kept = [part for part in question.query.split("&") if _name_in(part) not in set(map(folded, fields))]
    query = "&".join(filter(None, (*kept, encode_query(fields))))
    return replace(question, alias=alias, query=query, warnings=tuple(warnings))


def with_names(question: Question, ruleset: Ruleset, keyring: Keyring) -> Question:
    """A question out of our log with the link's alias as it was dialled: the log hides the name in it."""
    hidden = quote_plus(HIDDEN)
    if not question.is_logged or hidden not in question.query:
        return question
    call = keyring.open(question.call, Role.CALL, ruleset.links)
    if call is None:
        note = "the log hides the names in aliases of links, and by this key and these rules it cannot be told which they were"
        return replace(question, notes=(*question.notes, note))
    fields = parse_qsl(question.query, keep_blank_values=True)
    return replace(question, query=urlencode([(name, with_name(text, call, ruleset)) for name, text in fields]))


def _name_in(part: str) -> str:
    return folded(unquote_plus(part.partition("=")[0]))


def untold(question: Question, keys: Iterable[str]) -> list[str]:
    """What our log never holds of the parameters among the keys of conditions, as one would add it to a line of it."""
    if not question.is_logged:
        return []
    given = set(map(_name_in, question.query.split("&")))
    told = {*map(folded, (*LOGGED, *LOGGED_OF_CALLER)), *given}
    names = {key.replace("idp_attributes.", IDP_PREFIX) for key in keys}
    if question.masked is not None:
        return sorted(name for name in names if folded(name) in question.masked - given)
    return sorted(name for name in names if is_parameter(name) and folded(name) not in told)
