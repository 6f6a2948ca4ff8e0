"""Link types that the rules forgot: no rule serves their alias, customers meet a PIN that their link does not have, or who
joins others is alone.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from policy_server.policy.conditions import AllOf, Condition, walk
from policy_server.policy.facts import Supposed
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import LinkState
from policy_server.policy.parameter_conditions import TextMatches
from policy_server.policy.ruleset import ContinueOutcome, LinkType, RejectOutcome, Rule, ServeOutcome, SetOutcome
from policy_server.policy.services import ServiceTemplate
from policy_server.policy.templates import Template
from policy_server.rulefiles.link_reach import reached
from policy_server.wording.values import shown
from policy_server.wording.words import listed, nearest

_NO_LINK: Final = Supposed("an-alias-of-nobody", frozenset(), frozenset(), frozenset({LinkState.ABSENT}))


def link_warnings(
    link: LinkType, services: Iterable[Rule], participants: Iterable[Rule], joined: LinkType | None = None
) -> Iterator[tuple[str, str]]:
    """The key of a link type, and a sentence, for all that its customers or agents would run into. ``joined`` is the type
    into whose rooms it leads, if it does.

    Only what is certain is reported: a condition other than one on the alias is taken to hold.
    """
    rules = [rule for rule in services if rule.enabled]
    entrances = [("alias", link.alias, Entrance.CUSTOMER)]
    if link.agent_alias is not None:
        entrances.append(("agent_alias", link.agent_alias, Entrance.AGENT))
    for key, alias, entrance in entrances:
        if not any(map(_serves, reached(link, entrance, rules))):
            yield key, _unserved(key, alias, rules)
    if joined is not None:
        yield from _elsewhere(link, joined, rules)
    customers = [rule for rule in reached(link, Entrance.CUSTOMER, rules) if isinstance(rule.outcome, ServeOutcome)]
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


def _serves(rule: Rule) -> bool:
    """Whether a rule may let somebody in: by itself, or by leaving to Pexip what it names.

    One that leaves all other aliases to Pexip too says no more of a link than the end of the list.
    """
    if isinstance(rule.outcome, ContinueOutcome):
        return AllOf(rule.conditions).supposing(_NO_LINK) is False
    return not isinstance(rule.outcome, RejectOutcome)


def _elsewhere(link: LinkType, joined: LinkType, rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """Whoever joins is in the room only if it has the name that rules give it for those who are joined."""
    theirs = [rule for entrance in Entrance for rule in reached(joined, entrance, rules)]
    names = {_room_name(rule) for rule in theirs} - {""}
    for rule in reached(link, Entrance.CUSTOMER, rules):
        name = _room_name(rule)
        if name and names and name not in names:
            yield (
                "joins",
                (
                    f"rule {shown(rule.id)} serves the room {shown(name)}, and links of {shown(joined.name)} lead to "
                    f"{listed(list(map(shown, sorted(names))), 'or')}, so whoever joins would be alone; serve the same room"
                ),
            )


def _room_name(rule: Rule) -> str:
    """How a rule names its room; ``""`` if it serves none."""
    outcome = rule.outcome
    if not isinstance(outcome, ServeOutcome) or not outcome.service.is_room:
        return ""
    name = outcome.service.fields.template("name")
    return name.source if name is not None else ""


def _unserved(key: str, alias: Template, rules: Iterable[Rule]) -> str:
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
    for condition in walk(conditions, negated=False):
        if isinstance(condition, TextMatches) and condition.is_on_alias:
            yield from (pattern.prefix for pattern in condition.patterns if pattern.prefix)


def _asks_guests(service: ServiceTemplate) -> bool:
    fixed = service.fields.fixed
    return fixed.get("allow_guests") is True and (service.derived_guest_pin or bool(fixed.get("guest_pin")))


def _asks_everybody(service: ServiceTemplate) -> bool:
    fixed = service.fields.fixed
    return fixed.get("allow_guests") is not True and (service.derived_pin or bool(fixed.get("pin")))


def _sets_role(rule: Rule) -> bool:
    """Whether a participant rule may let people in without a PIN."""
    outcome = rule.outcome
    return (
        rule.enabled and isinstance(outcome, SetOutcome) and bool(outcome.properties.fixed.get("preauthenticated_role"))
    )
