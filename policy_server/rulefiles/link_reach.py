"""Which links lead to a rule. Only what is certain is ruled out: a condition that nothing is known of may hold."""

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from policy_server.policy.conditions import AllOf
from policy_server.policy.facts import Supposed
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.names import UNSIGNED, LinkState
from policy_server.policy.ruleset import LinkType, Rule

SIGNED: Final = frozenset(LinkState) - UNSIGNED

_NAME: Final = "abcdefghijklmnopqrstuvwxyz234567"
"""A name of a call as expressions see one: no rule is written for a particular one."""
_DOMAIN_IN_URL: Final = re.compile(r"\{alias\}@([A-Za-z0-9.-]+)")


def questions_of(
    link: LinkType, entrances: Iterable[Entrance] = Entrance, states: AbstractSet[LinkState] = SIGNED
) -> Iterator[Supposed]:
    """What is known of the questions of customers, or of agents, for each alias that they may dial: also that with the
    domain that the URL adds.
    """
    domains = _DOMAIN_IN_URL.findall(link.url.source) if link.url is not None else []
    for entrance in entrances:
        template = link.alias if entrance is Entrance.CUSTOMER else link.agent_alias
        if template is not None:
            alias = _NAME.join(template.literals).lower()
            for form in (alias, *(f"{alias}@{domain.lower()}" for domain in domains)):
                yield Supposed(form, frozenset({link.name}), frozenset({entrance}), frozenset(states))


def leads_to(link: LinkType, rule: Rule) -> bool:
    """Whether a link of ours of this type, or its agents' alias, may match a rule by itself."""
    conditions = AllOf(rule.conditions)
    return any(conditions.supposing(asked) is not False for asked in questions_of(link))


def reached(link: LinkType, entrance: Entrance, rules: Iterable[Rule]) -> list[Rule]:
    """The rules, of some in order, that may answer a customer, or an agent, whose link is valid."""
    found: dict[str, Rule] = {}
    in_order = tuple(rules)
    for asked in questions_of(link, (entrance,), {LinkState.VALID}):
        for rule in in_order:
            holds = AllOf(rule.conditions).supposing(asked)
            if holds is not False:
                found[rule.id] = rule
            if holds:
                break
    return list(found.values())


def needs_link(rule: Rule) -> bool:
    """Whether nobody without a link that we signed matches a rule."""
    return AllOf(rule.conditions).supposing(Supposed(link_states=UNSIGNED)) is False
