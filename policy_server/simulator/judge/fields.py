"""Field tables: the types, ranges and names that fields may have, and the check of a record against a table."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policy_server.simulator.judge.findings import (
    LONGEST_STRING,
    Findings,
    joined,
    listed,
    nearest,
    type_of,
)
from policy_server.simulator.judge.verdict import Deployment

# What "missing" means for the rules that require fields (pexip/README.md: What voids an answer).
_WHY_REQUIRED = {
    "SVC-1": "every service needs name, service_tag and service_type",
    "SVC-7": "a redirect needs the alias that the caller should dial instead",
    "GW-1": "a gateway call needs local_alias, outgoing_protocol and remote_alias",
    "ADP-1": "Pexip does not dial an automatic participant without local_alias, protocol, remote_alias and role,"
    " or discards the whole answer",
    "FIELD": "it is required here",
}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Text:
    """A string; ``longest`` counts characters."""

    longest: int = LONGEST_STRING


@dataclass(frozen=True, slots=True)
class Pin:
    """A string whose content the PIN rules judge."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A JSON boolean."""

    only: bool | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """A JSON integer; ``rule`` is broken outside ``lowest`` to ``highest``, both included.

    ``unit`` follows the bounds in reasons; ``confused_with`` names a unit a thousand times larger.
    """

    lowest: int | None = None
    highest: int | None = None
    rule: str = "FIELD"
    unit: str = ""
    confused_with: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words, compared with case; ``hints`` explain words that people take from elsewhere."""

    words: tuple[str, ...]
    rule: str = "FIELD"
    hints: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """The name of an object configured in Pexip, compared with case; ``blank`` allows "", which is no object."""

    what: str
    known: Callable[[Deployment], frozenset[str] | None]
    rule: str = "SVC-3"
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Uuid:
    """Canonical UUID text."""


@dataclass(frozen=True, slots=True)
class OrNull:
    """A value or JSON null."""

    kind: "Kind"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A JSON list."""

    kind: "Kind"


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object with its own table; ``hint`` helps whoever sent something else."""

    table: "Table"
    hint: str = ""


Kind = Text | Pin | Flag | Whole | Choice | Name | Uuid | OrNull | ListOf | Record


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a table: its kind, the rule broken when it is missing, and whether "" counts as missing."""

    kind: Kind
    required: str | None = None
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The documented fields of an object; ``hints`` explain wrong field names that are often seen."""

    of: str
    fields: Mapping[str, Field]
    hints: Mapping[str, str]
    elsewhere: Mapping[str, str]


def check_record(
    table: Table, record: Mapping[str, object], where: str, findings: Findings, *, complete: bool = True
) -> None:
    """Check the fields of a JSON object; unless ``complete``, the table is not the object's whole table."""
    for name, field in table.fields.items():
        path = joined(where, name)
        if name not in record:
            if field.required:
                findings.refuse(field.required, path, f"{name} is missing; {_WHY_REQUIRED[field.required]}.")
        elif field.required and field.filled and record[name] == "":
            findings.refuse(field.required, path, f"{name} is empty; {_WHY_REQUIRED[field.required]}.")
        else:
            check_value(field.kind, record[name], path, name, findings)
    if complete:
        for name in record:
            if name not in table.fields:
                findings.warn("FIELD", joined(where, name), _undocumented(table, name, findings))


def _undocumented(table: Table, name: str, findings: Findings) -> str:
    shown = findings.shown(name)
    if name in table.hints:
        return f"{shown} is not a field of {table.of}: {table.hints[name]}."
    if name in table.elsewhere:
        return f"{shown} is a field of {table.elsewhere[name]}, not of {table.of}; leave it out."
    if close := nearest(name, table.fields):
        return f"{shown} is not a documented field of {table.of} (did you mean '{close}'?)."
    return f"{shown} is not a documented field of {table.of}; its effect is not known, so leave it out."


def check_value(kind: Kind, value: object, where: str, name: str, findings: Findings) -> None:
    """Check one value; ``name`` is what reasons call it."""
    match kind:
        case OrNull():
            if value is not None:
                check_value(kind.kind, value, where, name, findings)
        case ListOf():
            _check_list(kind, value, where, name, findings)
        case Record():
            _check_object(kind, value, where, name, findings)
        case Flag():
            _check_flag(kind, value, where, name, findings)
        case Whole():
            _check_whole(kind, value, where, name, findings)
        case Choice():
            _check_choice(kind, value, where, name, findings)
        case Text() | Pin() | Name() | Uuid():
            _check_string(kind, value, where, name, findings)


def _check_list(kind: ListOf, value: object, where: str, name: str, findings: Findings) -> None:
    if not isinstance(value, list):
        findings.refuse("FIELD", where, f"{name} must be a list but is {type_of(value)}.")
        return
    for index, item in enumerate(value):
        check_value(kind.kind, item, f"{where}[{index}]", f"Entry {index + 1} of {name}", findings)


def _check_object(kind: Record, value: object, where: str, name: str, findings: Findings) -> None:
    if isinstance(value, Mapping):
        check_record(kind.table, value, where, findings)
    else:
        findings.refuse("FIELD", where, f"{name} must be an object but is {type_of(value)}{kind.hint}.")


def _check_flag(kind: Flag, value: object, where: str, name: str, findings: Findings) -> None:
    if not isinstance(value, bool):
        hint = " without quotes" if isinstance(value, str) else ""
        findings.refuse("FIELD", where, f"{name} must be a boolean but is {type_of(value)}; write true or false{hint}.")
    elif kind.only is not None and value is not kind.only:
        must = "true" if kind.only else "false"
        findings.refuse("FIELD", where, f"{name} may only be {must}; leave it out otherwise.")


def _check_whole(kind: Whole, value: object, where: str, name: str, findings: Findings) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        is_what = f"{type_of(value)} with a fraction or exponent" if isinstance(value, float) else type_of(value)
        hint = "; write it without quotes" if isinstance(value, str) else ""
        findings.refuse("FIELD", where, f"{name} must be a whole number but is {is_what}{hint}.")
    elif not _within(kind, value):
        unit = f" {kind.unit}" if kind.unit else ""
        reason = f"{name} must be from {kind.lowest} to {kind.highest}{unit} but is {findings.shown(value)}"
        if kind.confused_with and _within(kind, value * 1000):
            reason += f", which looks like {kind.confused_with}"
        findings.refuse(kind.rule, where, reason + ".")


def _within(kind: Whole, value: int) -> bool:
    return (kind.lowest is None or value >= kind.lowest) and (kind.highest is None or value <= kind.highest)


def _check_choice(kind: Choice, value: object, where: str, name: str, findings: Findings) -> None:
    if isinstance(value, str) and value in kind.words:
        return
    if not isinstance(value, str):
        is_what = type_of(value)
    else:
        is_what = findings.shown(value)
        if kind.hints and value in kind.hints:
            is_what += f" ({kind.hints[value]})"
        elif close := nearest(value, kind.words):
            is_what += f" (did you mean '{close}'?)"
    must = f"'{kind.words[0]}'" if len(kind.words) == 1 else f"one of {listed(kind.words)}"
    findings.refuse(kind.rule, where, f"{name} must be {must} but is {is_what}.")


def _check_string(kind: Text | Pin | Name | Uuid, value: object, where: str, name: str, findings: Findings) -> None:
    if not isinstance(value, str):
        hint = ""
        if isinstance(kind, Pin):
            hint = "; write it in quotes" if value is not None else '; write "" for no PIN'
        elif value is None:
            hint = "; leave it out instead"
        findings.refuse("FIELD", where, f"{name} must be text but is {type_of(value)}{hint}.")
        return
    match kind:
        case Text() if kind.longest < len(value) <= LONGEST_STRING:
            findings.refuse(
                "FIELD", where, f"{name} is {len(value)} characters long; at most {kind.longest} are allowed."
            )
        case Uuid() if not _UUID.fullmatch(value):
            findings.refuse(
                "FIELD",
                where,
                f"{name} must be a UUID such as '5b0c7d1e-2f3a-4b4c-8d5e-6f7a8b9c0d1e' but is {findings.shown(value)}.",
            )
        case Name():
            _check_name(kind, value, where, name, findings)
        case _:
            pass


def _check_name(kind: Name, value: str, where: str, name: str, findings: Findings) -> None:
    known = kind.known(findings.deployment)
    if not value and not kind.blank:
        findings.refuse(kind.rule, where, f"{name} is empty, which names no {kind.what}; leave it out instead.")
        return
    if known is None or value in known or not value:
        return
    reason = f"{name} is {findings.shown(value)}, but the Pexip deployment has no {kind.what} of that name"
    close = nearest(value, known)
    if close is None:
        reason += "; one unknown name voids the whole answer"
    elif close.casefold() == value.casefold():
        reason += f"; upper and lower case count: it is '{close}'"
    else:
        reason += f" (did you mean '{close}'?)"
    findings.refuse(kind.rule, where, reason + ".")
