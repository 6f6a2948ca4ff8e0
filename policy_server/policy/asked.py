"""What rules ask a question for, beside the time: parameters, attributes of an Identity Provider, attributes of links."""

from collections.abc import Iterator

from policy_server.pexip.request_types import RequestType
from policy_server.policy.conditions import parameters_in, walk
from policy_server.policy.ruleset import Rule, Ruleset, placeholders_of
from policy_server.policy.templates import without_raw

LINK_ATTRIBUTE = "link_attributes."
_OF_LINK = "link."


def rules_for(ruleset: Ruleset, request_type: RequestType) -> tuple[Rule, ...]:
    """The rules that answer such a question, disabled ones apart."""
    rules = ruleset.lists.get(request_type)
    return tuple(rule for rule in rules.rules if rule.enabled) if rules is not None else ()


def asked_until(ruleset: Ruleset, request_type: RequestType, last: str | None) -> frozenset[str]:
    """The keys of all conditions that may have led to a rule, or past all of them (``None``, or one that is not there).

    Parameters are named as Pexip does, ``idp_attributes.NAME`` and ``link_attributes.NAME`` as rules do.
    """
    keys: set[str] = set()
    for rule in rules_for(ruleset, request_type):
        keys.update(condition.key for condition in walk(rule.conditions))
        keys.update(map(without_raw, parameters_in(rule.conditions)))
        keys.update(_of_links(rule))
        if rule.id == last:
            break
    return frozenset(keys)


def link_attributes_asked(ruleset: Ruleset, request_type: RequestType) -> frozenset[str]:
    """The attributes of links that rules for such a question look at, or write into an answer."""
    keys = asked_until(ruleset, request_type, None)
    return frozenset(key.removeprefix(LINK_ATTRIBUTE) for key in keys if key.startswith(LINK_ATTRIBUTE))


def _of_links(rule: Rule) -> Iterator[str]:
    for name in placeholders_of(rule):
        if name.startswith(_OF_LINK):
            yield LINK_ATTRIBUTE + name.removeprefix(_OF_LINK)
