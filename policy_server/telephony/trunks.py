"""Trunks: where the contact centre's phone number is reached, and what a node dials for it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from policy_server.telephony.numbers import NumberFault, parse_number

Form: TypeAlias = Literal["fqdn", "tgrp"]
Routing: TypeAlias = Literal["routing_rule", "manual"]

FORMS: tuple[Form, ...] = ("fqdn", "tgrp")
MAX_REMOTE_ALIAS = 250
"""Characters Pexip accepts in `remote_alias` (pexip/README.md: Automatic participants)."""

_MAX_SHOWN = 60
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_DIAL_PREFIX = re.compile(r"[0-9*#]{1,20}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_EXAMPLE_HOST = "'example.byoc.usw2.pure.cloud'"


@dataclass(frozen=True, slots=True)
class TrunkFault:
    """What is wrong with a trunk: the field, a message for its author, and the words allowed there."""

    path: tuple[str | int, ...]
    message: str
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DialString:
    """The `remote_alias` and `routing` of an automatic participant that calls a trunk."""

    remote_alias: str
    routing: Routing


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may go through a trunk: legs at a time, and calls in a minute; ``None`` for any number."""

    legs: int | None = None
    calls_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How much goes through a trunk: legs at this moment, and calls in the minute before it."""

    legs: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Trunk:
    """A phone number (E.164) and the way to it.

    With `dial_prefix`, Pexip's Call Routing Rule for that prefix decides. With `termination` (the host
    name of a Genesys BYOC Cloud trunk, whose first label is its Inbound SIP Termination Identifier) the
    node calls the trunk itself, in the form the trunk expects. With neither, the number alone is given
    to Pexip's Call Routing Rules.

    Raises `ValueError` for values that `parse_trunk` would report.
    """

    name: str
    number: str
    dial_prefix: str = ""
    termination: str = ""
    form: Form = "fqdn"
    limits: Limits | None = None

    def __post_init__(self) -> None:
        faults = [] if _E164.fullmatch(self.number) else [f"number {self.number!r} is not E.164"]
        faults += [fault.message for fault in check_trunk(self)]
        if faults:
            raise ValueError(f"trunk {self.name!r}: " + "; ".join(faults))


def parse_trunk(
    name: str,
    number: str,
    *,
    region: str | None = None,
    dial_prefix: str = "",
    termination: str = "",
    form: str | None = None,
    likely: Iterable[str] = (),
) -> tuple[Trunk | None, tuple[TrunkFault, ...]]:
    """Build a trunk from what an admin wrote, or report everything that is wrong with it.

    `form` is None when it was not written, which means `fqdn`. `likely` are countries that a number without
    one may be of.
    """
    faults: list[TrunkFault] = []
    e164 = ""
    try:
        e164 = parse_number(number, region, likely)
    except NumberFault as fault:
        faults.append(TrunkFault((fault.field,), str(fault)))
    faults += _check_way(dial_prefix, termination)
    faults += _check_form(form, termination)
    if not faults:
        faults += _check_length(e164, termination, form)
    if faults:
        return None, tuple(faults)
    return Trunk(name, e164, dial_prefix, termination, "tgrp" if form == "tgrp" else "fqdn"), ()


def check_trunk(trunk: Trunk) -> tuple[TrunkFault, ...]:
    """Return everything that is wrong with the way to a trunk's number."""
    form = None if trunk.form == "fqdn" else trunk.form
    faults = _check_way(trunk.dial_prefix, trunk.termination) + _check_form(form, trunk.termination)
    return tuple(faults or _check_length(trunk.number, trunk.termination, trunk.form))


def dial_string(trunk: Trunk) -> DialString:
    """Return what an automatic participant has to dial to reach a trunk.

    With a termination the alias has no `sip:` scheme and no transport. Pexip takes the protocol from the
    participant's `protocol` field whatever the scheme, the transport from DNS or from the location's SIP
    proxy, and `+NUMBER@HOST` is what the field-tested Call Routing Rule makes of a number
    (pexip/README.md: Gateway calls, Call Routing Rules). Nodes report the leg later as `sip:+NUMBER@HOST`. The
    two forms are those of Genesys (genesys/README.md: The INVITE to a BYOC trunk); `tgrp` is RFC 4904.
    """
    if trunk.termination:
        return DialString(_direct_alias(trunk.number, trunk.termination, trunk.form), "manual")
    return DialString(trunk.dial_prefix + trunk.number, "routing_rule")


def _direct_alias(number: str, termination: str, form: str | None) -> str:
    if form == "tgrp":
        identifier, _, context = termination.partition(".")
        return f"{number};tgrp={identifier};trunk-context={context}@{context}"
    return f"{number}@{termination}"


def _check_way(dial_prefix: str, termination: str) -> list[TrunkFault]:
    faults: list[TrunkFault] = []
    if dial_prefix and not _DIAL_PREFIX.fullmatch(dial_prefix):
        message = f"dial_prefix must be 1 to 20 digits (or * and #) but is {_show(dial_prefix)}"
        faults.append(TrunkFault(("dial_prefix",), message))
    if termination:
        faults += _check_termination(termination)
    if dial_prefix and termination:
        message = (
            "a trunk has either dial_prefix or termination, not both: remove termination to let Pexip's Call "
            "Routing Rule find the way, or remove dial_prefix to call the Genesys trunk itself"
        )
        faults.append(TrunkFault(("dial_prefix",), message))
    return faults


def _check_termination(termination: str) -> list[TrunkFault]:
    shown = _show(termination)
    labels = termination.split(".")
    if ":" in termination or "@" in termination or "/" in termination or ";" in termination:
        message = (
            f"termination is a host name alone, like {_EXAMPLE_HOST}, without scheme, number, port or "
            f"parameters, but is {shown}"
        )
    elif not all(_LABEL.fullmatch(label) for label in labels) or len(termination) > 253:
        message = f"termination must be a host name like {_EXAMPLE_HOST} but is {shown}"
    elif labels[-1].isdigit():
        message = f"termination must be a host name, because its first part identifies the trunk, but is {shown}"
    elif len(labels) < 2:
        message = (
            f"termination must be the whole host name, like {_EXAMPLE_HOST}, but is {shown}: copy it from the "
            "trunk's page in Genesys"
        )
    else:
        return []
    return [TrunkFault(("termination",), message)]


def _check_form(form: str | None, termination: str) -> list[TrunkFault]:
    if form is None:
        return []
    if form not in FORMS:
        return [TrunkFault(("form",), f"form must be one of 'fqdn', 'tgrp' but is {_show(form)}", FORMS)]
    if not termination:
        message = f"form {form!r} says how to call a termination, but there is none: add termination or remove form"
        return [TrunkFault(("form",), message)]
    return []


def _check_length(number: str, termination: str, form: str | None) -> list[TrunkFault]:
    if not termination:
        return []
    length = len(_direct_alias(number, termination, form))
    if length <= MAX_REMOTE_ALIAS:
        return []
    message = f"termination is too long: Pexip would have to dial {length} characters and takes {MAX_REMOTE_ALIAS}"
    return [TrunkFault(("termination",), message)]


def _show(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")
