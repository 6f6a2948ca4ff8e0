"""Link types that the rules forgot: no rule serves their alias, or customers meet a PIN that their link does not have."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from policy_server.policy.conditions import AllOf, AnyOf, Condition, DoorIs, LinkTypeIs, TextMatches
from policy_server.policy.facts import ParameterSource
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.ruleset import LinkType, RejectOutcome, Rule, ServeOutcome, SetOutcome
from policy_server.policy.services import ServiceTemplate
from policy_server.policy.templates import Template
from policy_server.wording.values import shown
from policy_server.wording.words import nearest

_NAME: Final = "abcdefghijklmnopqrstuvwxyz234567"
"""A name of a call as expressions see one: no rule is written for a particular one."""

_DOMAIN_IN_URL: Final = re.compile(r"\{alias\}@([A-Za-z0-9.-]+)")


def link_warnings(
    link: LinkType, services: Iterable[Rule[object]], participants: Iterable[Rule[object]]
) -> Iterator[tuple[str, str]]:
    """The key of a link type, and a sentence, for all that its customers or agents would run into.

    Only what is certain is reported: a condition other than one on the alias is taken to hold.
    """
    rules = [rule for rule in services if rule.enabled]
    entrances = [("alias", link.alias, Entrance.CUSTOMER)]
    if link.agent_alias is not None:
        entrances.append(("agent_alias", link.agent_alias, Entrance.AGENT))
    for key, alias, entrance in entrances:
        if all(isinstance(rule.outcome, RejectOutcome) for rule in _about(alias, entrance, link, rules)):
            yield key, _unserved(key, alias, rules)
    about = _about(link.alias, Entrance.CUSTOMER, link, rules)
    customers = [rule for rule in about if isinstance(rule.outcome, ServeOutcome)]
    if link.url is None or not customers or any(_sets_role(rule) for rule in participants):
        return
    carries = "guest_pin" in link.url.names
    guests = [
        rule for rule in customers if isinstance(rule.outcome, ServeOutcome) and _asks_guests(rule.outcome.service)
    ]
    for rule in customers:
        if isinstance(rule.outcome, ServeOutcome) and _asks_everybody(rule.outcome.service):
            yield (
                "url",
                (
                    f"rule {shown(rule.id)} asks everybody for its pin, which no customer's link carries, so they are stopped "
                    "by it; write allow_guests: true and guest_pin: derived beside it"
                ),
            )
    if carries and not guests:
        yield "url", "url has {guest_pin}, which stays empty: no room that these links lead to has a guest_pin"
    elif guests and not carries:
        yield (
            "url",
            (
                f"rule {shown(guests[0].id)} asks customers for a guest_pin, and url does not carry it; write pin={{guest_pin}} "
                "into it"
            ),
        )


def _about(alias: Template, entrance: Entrance, link: LinkType, rules: Iterable[Rule[object]]) -> list[Rule[object]]:
    """The rules that may answer an alias, the customer's also with a domain that the URL adds."""
    text = _NAME.join(alias.literals).lower()
    domains = _DOMAIN_IN_URL.findall(link.url.source) if link.url is not None else []
    forms = [text, *(f"{text}@{domain.lower()}" for domain in domains)]
    asked = [_Asked(form, link.name, entrance) for form in forms]
    return [rule for rule in rules if any(_may_hold(rule.conditions, one) for one in asked)]


class _Asked(NamedTuple):
    """A link's alias as rules see it."""

    alias: str
    type: str
    entrance: Entrance


def _may_hold(conditions: Iterable[Condition], asked: _Asked) -> bool:
    return all(_condition_may_hold(condition, asked) for condition in conditions)


def _condition_may_hold(condition: Condition, asked: _Asked) -> bool:
    match condition:
        case LinkTypeIs():
            return asked.type in condition.types
        case DoorIs():
            return asked.entrance in condition.entrances
        case TextMatches() if _is_about_alias(condition):
            return any(pattern.match(asked.alias) is not None for pattern in condition.patterns)
        case AllOf():
            return _may_hold(condition.conditions, asked)
        case AnyOf():
            return any(_condition_may_hold(branch, asked) for branch in condition.conditions)
        case _:
            return True


def _is_about_alias(condition: TextMatches) -> bool:
    return isinstance(condition.source, ParameterSource) and condition.key == "local_alias"


def _unserved(key: str, alias: Template, rules: Iterable[Rule[object]]) -> str:
    around = max(alias.literals, key=len).lower()
    written: dict[str, str] = {}
    for rule in rules:
        for prefix in _prefixes(rule.conditions):
            written.setdefault(prefix, rule.id)
    near = nearest(around, (prefix for prefix in written if prefix != around))
    hint = f"; rule {shown(written[near])} has {shown(near)}: is it the same?" if near is not None else ""
    who = "customers" if key == "alias" else "agents"
    return f"no service rule serves {shown(alias.source)}, so no {who} get into a room{hint}"


def _prefixes(conditions: Iterable[Condition]) -> Iterator[str]:
    for condition in conditions:
        match condition:
            case TextMatches() if _is_about_alias(condition):
                yield from (pattern.prefix for pattern in condition.patterns if pattern.prefix)
            case AllOf() | AnyOf():
                yield from _prefixes(condition.conditions)
            case _:
                pass


def _asks_guests(service: ServiceTemplate) -> bool:
    fixed = service.fields.fixed
    return fixed.get("allow_guests") is True and (service.derived_guest_pin or bool(fixed.get("guest_pin")))


def _asks_everybody(service: ServiceTemplate) -> bool:
    fixed = service.fields.fixed
    return fixed.get("allow_guests") is not True and (service.derived_pin or bool(fixed.get("pin")))


def _sets_role(rule: Rule[object]) -> bool:
    """Whether a participant rule may let people in without a PIN."""
    outcome = rule.outcome
    return (
        rule.enabled and isinstance(outcome, SetOutcome) and bool(outcome.properties.fixed.get("preauthenticated_role"))
    )
