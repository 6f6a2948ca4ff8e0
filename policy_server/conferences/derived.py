"""What rules make of a call whose room was not held by the alias in question, or is not held yet; without a database."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import chain

from policy_server.conferences.known import Known
from policy_server.policy.decisions import Serve, Trace, no_rows
from policy_server.policy.doors import asked_by_browser
from policy_server.policy.evaluate import evaluate
from policy_server.policy.names import Keyring, Role
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.services import LEGS


def derived(known: Known, ruleset: Ruleset, keyring: Keyring, now: datetime) -> Serve | None:
    """The room that a browser gets for the call's aliases, the agents' first, as it was when the room began."""
    call, link_type = known.opened, known.link_type
    if call is None or link_type is None:
        return None
    aliases = filter(None, (link_type.agents_alias(call), link_type.customers_alias(call)))
    decisions = (decided(known, ruleset, keyring, alias, now) for alias in aliases)
    return next((decision for decision in decisions if decision is not None), None)


def decided(known: Known, ruleset: Ruleset, keyring: Keyring, alias: str, now: datetime) -> Serve | None:
    """What a browser was served for an alias when the room began, or would be now if it has not; without the trace, which
    has all of the question.
    """
    at = now if known.conference is None else known.conference.held_at
    kept = [each for each in (known.link, known.joined) if each is not None]
    links = {each.call: each if known.conference is None else each.as_of(at) for each in kept}
    decision = evaluate(ruleset, asked_by_browser(alias), at, keyring, find_link=links.get)
    return replace(decision, trace=Trace(no_rows)) if isinstance(decision, Serve) else None


def dials_of(known: Known, ruleset: Ruleset, keyring: Keyring, now: datetime) -> frozenset[str]:
    """The aliases that the room dials."""
    held = known.conference
    dials = _aliases(held.legs, held.fallbacks) if held is not None else frozenset()
    if dials:
        return dials
    # The agent may have come first, whose rule does not dial: what it dials for whoever comes by the customer's alias.
    alias = held.alias if held is not None else ""
    link_type, call = known.link_type, known.opened
    if known.joined_type is not None:
        link_type = known.joined_type
        call = keyring.open(known.joins, Role.CALL, (link_type.name,))
    if link_type is not None and call is not None:
        alias = link_type.customers_alias(call)
    decision = decided(known, ruleset, keyring, alias, now)
    if decision is None:
        return frozenset()
    legs = decision.service.get(LEGS)
    listed = [leg for leg in legs if isinstance(leg, dict)] if isinstance(legs, list) else ()
    return _aliases(listed, decision.fallbacks)


def _aliases(*legs: Iterable[Mapping[str, object]]) -> frozenset[str]:
    """What automatic participants are called by."""
    return frozenset(str(leg.get("remote_alias", "")) for leg in chain(*legs))
