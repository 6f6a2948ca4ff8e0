"""A question to try, as it stands in the URL of its page: by the names that Pexip has, and without anything that opens a door.

Whoever gets the URL can try the same. What a question has of a link's names is written as in rule tests, ``{alias}``,
``{session}``, ``{agent}``, …, beside the call id, which is no secret: the server turns it back. A name that no key of ours
signed is ``{invalid}``, for another server may know it, or a room of ours.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl, urlencode

from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.parameters import FOLDED_NAMES, PARAMETERS, PATH_ALIAS, folded
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.policy.conditions import walk
from policy_server.policy.masking import HIDDEN
from policy_server.policy.names import NAME_LENGTH, Keyring, Role
from policy_server.policy.ruleset import Ruleset
from policy_server.web.questions import parse_question, untold, with_names

OURS: Final = ("question", "at", "call", "link_type", "link_state", "link_attribute", "note")
"""The parameters of the URL that are no parameters of Pexip's."""
INVALID: Final = "a" * NAME_LENGTH
"""A name of a call that no key signed, but by a chance that nobody needs to think of."""
PLACEHOLDERS: Final = ("alias", "agent_alias", "session", "agent", "call", "invalid")
_NAMES: Final = "|".join(PLACEHOLDERS)
_PLACEHOLDER: Final = re.compile(rf"\{{\{{+(?:{_NAMES})\}}+\}}|\{{({_NAMES})\}}")
"""A placeholder, or one in further braces, which stands for itself with one pair less."""

MOST_FIELDS: Final = 200
"""Parameters of a question that are kept."""
MOST_OF_OURS: Final = 100
MOST_NOTES: Final = 6
LONGEST_NOTE: Final = 300


@dataclass(frozen=True, slots=True)
class Tried:
    """A question: its type, its parameters, and when; of which call, or of which supposed link. ``notes`` are for the reader."""

    type: RequestType
    fields: tuple[tuple[str, str], ...] = ()
    at: str = ""
    call: str = ""
    link_type: str = ""
    link_state: str = ""
    attributes: tuple[str, ...] = ()
    """Those of the link, each as ``NAME=VALUE``."""
    notes: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The query of its URL."""
        pairs = [("question", self.type.value), *self.fields, ("at", self.at), ("call", self.call)]
        pairs += [("link_type", self.link_type), ("link_state", self.link_state)]
        pairs += [("link_attribute", text) for text in self.attributes]
        pairs += [("note", text) for text in self.notes]
        return urlencode([(name, value) for name, value in pairs if value])

    @property
    def lines(self) -> str:
        """The parameters as a person writes them, one a line."""
        return "\n".join(f"{name}={' '.join(value.split())}" for name, value in self.fields)

    def filled(self, names: Mapping[str, str]) -> tuple[str, str]:
        """The query and the alias of the path that a node would send, with the names of the link in place of placeholders."""
        fields = [(name, _fill(value, names)) for name, value in self.fields]
        alias = next((value for name, value in fields if name == PATH_ALIAS.name), "")
        return urlencode([pair for pair in fields if pair[0] != PATH_ALIAS.name], errors="replace"), alias

    @property
    def placeholders(self) -> frozenset[str]:
        """Those that its parameters have."""
        return frozenset(match[1] for _, value in self.fields for match in _PLACEHOLDER.finditer(value) if match[1])


def _fill(text: str, names: Mapping[str, str]) -> str:
    def filled(match: re.Match[str]) -> str:
        return match[0][1:-1] if match[1] is None else names.get(match[1], match[0])

    return _PLACEHOLDER.sub(filled, text) if "{" in text else text


def _literal(text: str) -> str:
    """A value as it came, in which what looks like a placeholder is none."""
    return _PLACEHOLDER.sub(lambda match: f"{{{match[0]}}}", text) if "{" in text else text


def from_url(pairs: Iterable[tuple[str, str]]) -> Tried | None:
    """The question of a URL; ``None`` where none is named."""
    given = list(islice(pairs, MOST_FIELDS + MOST_OF_OURS))
    ours: dict[str, list[str]] = {name: [] for name in OURS}
    for name, value in given:
        if name in ours:
            ours[name].append(value.strip())
    kind = _type(ours["question"])
    if kind is None:
        return None
    told = {name: (texts or [""])[0] for name, texts in ours.items()}
    return Tried(
        kind,
        tuple((name, value) for name, value in given if name not in ours and value)[:MOST_FIELDS],
        at=told["at"],
        call=told["call"],
        link_type=told["link_type"],
        link_state=told["link_state"],
        attributes=tuple(filter(None, ours["link_attribute"])),
        notes=tuple(text[:LONGEST_NOTE] for text in filter(None, ours["note"]))[:MOST_NOTES],
    )


def from_form(form: Mapping[str, str]) -> Tried | None:
    """The question that a person wrote into the form: parameters and attributes stand one a line."""
    kind = _type([form.get("question", "")])
    if kind is None:
        return None
    fields: list[tuple[str, str]] = []
    notes: list[str] = []
    for line in _lines(form.get("fields", ""))[:MOST_FIELDS]:
        name, equals, value = line.partition("=")
        if not equals or name.strip() in OURS:
            notes.append(f"a parameter is written NAME=VALUE, so this line is left out: {line}"[:LONGEST_NOTE])
        elif value.strip():
            fields.append((name.strip(), value.strip()))
    told = {name: form.get(name, "").strip() for name in OURS}
    return Tried(
        kind,
        tuple(fields),
        at=told["at"],
        call=told["call"],
        link_type=told["link_type"],
        link_state=told["link_state"] if told["link_type"] else "",
        attributes=tuple(_lines(form.get("link_attributes", ""))),
        notes=tuple(notes[:MOST_NOTES]),
    )


def from_pasted(text: str, ruleset: Ruleset, keyring: Keyring) -> Tried:
    """The question in what was copied from a log. Raises NoQuestionError, and QuestionError for one that is no better
    understood by the endpoint: its URL could not say so, since it has each parameter once.
    """
    asked = with_names(parse_question((text,)), ruleset, keyring)
    parse_request(asked.type, asked.query.encode(), asked.alias)
    rules = ruleset.lists.get(asked.type)
    conditions = (
        [condition for rule in rules.rules if rule.enabled for condition in walk(rule.conditions)] if rules else []
    )
    missing = untold(asked, {condition.key for condition in conditions})
    notes = list(asked.notes)
    if missing:
        notes.append(f"the log does not keep {', '.join(missing)}, for which rules ask; add what it was")
    fields = [(PATH_ALIAS.name, _literal(asked.alias))] if asked.alias else []
    fields += [(name, _literal(value)) for name, value in parse_qsl(asked.query, errors="replace")]
    if len(fields) > MOST_FIELDS:
        notes.insert(0, f"the question has {len(fields)} parameters, of which the first {MOST_FIELDS} are looked at")
    at = asked.at.isoformat(timespec="milliseconds") if asked.at is not None else ""
    return Tried(
        asked.type, tuple(fields[:MOST_FIELDS]), at, notes=tuple(text[:LONGEST_NOTE] for text in notes)[:MOST_NOTES]
    )


def without_secrets(tried: Tried, ruleset: Ruleset, keyring: Keyring) -> Tried:
    """The same question as it may stand in a URL; asked of what it gives it changes nothing."""
    fields: list[tuple[str, str]] = []
    notes = list(tried.notes)
    call = tried.call if keyring.open(tried.call, Role.CALL, ruleset.links) is not None else ""
    if tried.call and not call:
        notes.append("the call that was named is none that this server signed")
    for name, value in tried.fields:
        parameter = PARAMETERS.get(FOLDED_NAMES.get(folded(name), ""))
        if parameter is not None and parameter.secret:
            notes.append(f"{parameter.name} is left out, since the question stands in the URL")
            continue
        hidden, found = _concealed(value, ruleset, keyring)
        if found and found != (call or found):
            notes.append(f"{name} is of another call than the rest, and counts as invalid")
            hidden = re.sub(r"\{(session|agent)\}", "{invalid}", hidden)
        elif found:
            call = found
        if hidden != value and not found:
            notes.append(
                f"{name} had what looks like a name of a call, but is of no link by this key: it counts as invalid, and the "
                "agents' alias of a room without a link cannot be tried"
            )
        fields.append((_masked(name, ruleset, keyring), hidden))
    return replace(
        tried,
        fields=tuple(fields),
        call=call,
        link_type="" if call else tried.link_type,
        link_state="" if call else tried.link_state,
        at=_masked(tried.at, ruleset, keyring),
        attributes=tuple(_masked(text, ruleset, keyring) for text in tried.attributes),
        notes=tuple(dict.fromkeys(_masked(text, ruleset, keyring) for text in notes))[:MOST_NOTES],
    )


def _concealed(text: str, ruleset: Ruleset, keyring: Keyring) -> tuple[str, str]:
    """A value without names that open doors, and the id of the call of which it had one."""
    alias = normalise_alias(text, ruleset.domains)
    for form in ruleset.alias_forms:
        name = form.name_in(alias)
        place = text.lower().find(name) if name and form.role is not Role.CALL else -1
        call = keyring.open(name, form.role, (form.type,)) if place >= 0 else None
        if call is not None:
            return f"{text[:place]}{{{form.role.value}}}{text[place + NAME_LENGTH :]}", call.id
    masked = ruleset.mask.text(text, keyring)
    return (masked.replace(HIDDEN, "{invalid}"), "") if masked != text else (text, "")


def _masked(text: str, ruleset: Ruleset, keyring: Keyring) -> str:
    return ruleset.mask.text(text, keyring)


def _type(texts: list[str]) -> RequestType | None:
    return next((kind for kind in RequestType if texts and kind.value == texts[0].strip()), None)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]
