"""Rules in words, for a person who looks at what runs: what one decides, field by field, and nothing that is secret."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

import orjson

from policy_server.pexip.field_facts import masked
from policy_server.policy.assurance import Assurance, Disconnect, Keep, Transfer
from policy_server.policy.ruleset import (
    AllowOutcome,
    ContinueOutcome,
    ForwardOutcome,
    LocationOutcome,
    RedirectOutcome,
    RejectOutcome,
    Rule,
    ServeOutcome,
    SetOutcome,
)
from policy_server.policy.services import FieldsTemplate, Leg, ServiceTemplate, with_text
from policy_server.wording.words import listed


@dataclass(frozen=True, slots=True)
class OutcomeInWords:
    """What a rule decides: a sentence, further ones about its legs, and the fields of its answer by their paths.

    A field's text is a template as it is written; of a secret one no more can be seen than that there is something.
    """

    sentence: str
    further: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


def outcome_in_words(rule: Rule) -> OutcomeInWords:
    """What a rule decides."""
    outcome = rule.outcome
    match outcome:
        case ServeOutcome():
            return _service(outcome.service)
        case RedirectOutcome():
            return OutcomeInWords(f"sends the caller to {outcome.new_alias.source}")
        case RejectOutcome():
            return OutcomeInWords(f"refuses, and says: {outcome.text.source}")
        case ContinueOutcome():
            return OutcomeInWords("leaves the question to Pexip's own configuration")
        case SetOutcome():
            fields = tuple(_fields(outcome.properties))
            return OutcomeInWords(f"lets the participant in, and sets {listed(name for name, _ in fields)}", (), fields)
        case LocationOutcome():
            overflow = f", or else in {listed(outcome.overflow_locations, 'or')}" if outcome.overflow_locations else ""
            return OutcomeInWords(f"places media in {outcome.location}{overflow}")
        case AllowOutcome():
            by = f"as {outcome.username}, with its password" if outcome.username else "without a password"
            return OutcomeInWords(f"lets the device register {by}")
        case ForwardOutcome():
            upstream = outcome.upstream
            return OutcomeInWords(f"asks the policy server {upstream.name}; without an answer: {upstream.on_failure}")
        case _:
            assert_never(outcome)


def _service(service: ServiceTemplate) -> OutcomeInWords:
    name = service.fields.template("name")
    kind = str(service.fields.fixed.get("service_type", "service")).replace("_", " ")
    what = f"room {service.room}" if service.room else f"a {kind}"
    sentence = f"serves {what}, named {name.source}" if name is not None else f"serves {what}"
    legs = [f"dials {_leg(leg)}" for leg in service.legs]
    legs += [f"if a leg fails, dials {_leg(leg)}" for leg in service.fallbacks]
    if service.assurance is not None and (service.fallbacks or service.assurance != Assurance()):
        legs.append(_assurance(service.assurance))
    pins = [("pin", service.derived_pin), ("guest_pin", service.derived_guest_pin)]
    derived = tuple((field, "of each room its own, from the secret key") for field, is_derived in pins if is_derived)
    return OutcomeInWords(sentence, tuple(legs), (*_fields(service.fields), *derived))


def _leg(leg: Leg) -> str:
    if leg.trunk is not None:
        whom = f"trunk {leg.trunk.name} ({leg.trunk.number})"
    elif leg.trunks:
        whom = f"the trunk that the table names ({listed(leg.trunks, 'or')})"
    else:
        alias = leg.fields.template("remote_alias")
        whom = alias.source if alias is not None else "an alias"
    while_open = f", while {leg.open} is open" if leg.open else ""
    share = f", a share of {leg.weight}" if leg.weight else ""
    return f"{whom}{share}{while_open}"


def _assurance(assurance: Assurance) -> str:
    match assurance.on_exhausted:
        case Keep():
            then = "stays in the room"
        case Disconnect():
            then = "is disconnected"
        case Transfer(alias):
            then = f"is moved to {alias}"
        case _:
            assert_never(assurance.on_exhausted)
    within = f"a leg that is not answered within {assurance.answer_within:g} s has failed"
    return f"{within}; where nobody answers, the customer {then}"


def _fields(template: FieldsTemplate) -> Iterator[tuple[str, str]]:
    written: dict[str, object] = dict(template.fixed)
    for path, text in template.filled:
        key = str(path[0])
        written[key] = with_text(written.get(key), path[1:], text.source)
    for name, value in masked(written).items():
        yield name, value if isinstance(value, str) else orjson.dumps(value).decode()
