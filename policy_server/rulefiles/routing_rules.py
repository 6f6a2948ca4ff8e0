"""``call_routing_rules`` of ``pexip:``, the Call Routing Rules of the deployment, and what rules dial that none of them takes.

Only calls that Pexip places by its Call Routing Rules are looked at (pexip/README.md: Call Routing Rules): those to trunks
without ``termination``, and automatic participants with ``routing: routing_rule``. Where an alias has placeholders, it is
known only when somebody calls, and nothing is said of it. A redirect or a transfer is no call out.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policy_server.policy.patterns import Pattern, PatternError, compile_pattern, is_more_than_re2
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Table, shown_node
from policy_server.rulefiles.schema_parts import NAME, Schema, table
from policy_server.telephony.trunks import Trunk, dial_string
from policy_server.wording.values import shown
from policy_server.wording.words import listed

KEY: Final = "call_routing_rules"
BY_RULE: Final = "routing_rule"

_MOST_TOLD: Final = 5
"""Rules of which one warning says that they were tried."""
_LONGEST: Final = 250
"""Characters that Pexip takes for each field of such a rule."""

_RULE: Final = table(
    "A Call Routing Rule.",
    {
        "name": {**NAME, "description": "Its name, for messages."},
        "match": {
            "type": "string",
            "minLength": 1,
            "maxLength": _LONGEST,
            "description": "Destination alias regex match. It must match the whole of what is dialled, whatever its case.",
            "examples": [r"99(\+\d{7,15})"],
        },
        "replace": {
            "type": "string",
            "maxLength": _LONGEST,
            "description": r"Destination alias regex replace string, with \1 for the first group. Without it: unchanged.",
            "examples": [r"\1@acmevideo.byoc.usw2.pure.cloud"],
        },
        "outgoing": {
            "type": "boolean",
            "default": True,
            "description": "Whether it takes outgoing calls; those out of a room are.",
        },
    },
    required=["name", "match"],
)

SCHEMA: Final[Schema] = {
    "description": "Every Call Routing Rule of the deployment that is enabled. Optional: given, a call out of a room that none "
    "of them takes is a warning.",
    "type": "array",
    "items": _RULE,
}

_REFERENCE: Final = re.compile(r"\\([1-9]\d?)")
_DOLLAR: Final = re.compile(r"\$\d")
_SCHEME: Final = re.compile(r"(?:sips?|h323):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """One of the deployment's Call Routing Rules; without a ``pattern`` its expression is one that is not understood here."""

    name: str
    match: str
    pattern: Pattern | None
    outgoing: bool

    def takes(self, dialled: str) -> bool | None:
        """Whether it matches what is dialled; ``None`` where nobody here can tell."""
        if self.pattern is None:
            return None
        # Pexip leaves out scheme and parameters, unless the rule says not to.
        forms = (dialled, _SCHEME.sub("", dialled, count=1).partition(";")[0])
        return any(self.pattern.match(form) is not None for form in forms)


def read_routing_rules(pexip: Table) -> list[RoutingRule] | None:
    """Those that ``pexip:`` lists; ``None`` where it says nothing of them."""
    if KEY not in pexip:
        return None
    found: list[RoutingRule] = []
    for item in pexip.sequence(KEY, r"a list such as [{name: Genesys, match: '99(\+\d{7,15})'}]"):
        if not isinstance(item, MappingNode):
            pexip.error_at(
                item.place, f"{KEY} must hold entries such as {{name: …, match: …}}, but this is {shown_node(item)}"
            )
            continue
        rule = _read_rule(Table(item, "a Call Routing Rule", pexip.report))
        if rule is not None:
            found.append(rule)
    return found


def _read_rule(entry: Table) -> RoutingRule | None:
    entry.finish(_RULE["properties"])
    name, match = _text("name", entry, required=True), _text("match", entry, required=True)
    replace = _text("replace", entry)
    outgoing = entry.boolean("outgoing", default=True)
    if name is None or match is None:
        return None
    pattern = None
    try:
        pattern = compile_pattern(match, ignore_case=True)
    except PatternError as error:
        reason = str(error).partition("; ")[0]
        if not is_more_than_re2(match):
            entry.error("match", f"match: {shown(match)} is not a regular expression: {reason}")
            return None
        entry.warning(
            "match",
            f"match: {shown(match)} is not understood here ({reason}), so nothing is said of what no other rule of {KEY} "
            "takes",
        )
    if replace is not None:
        _check_replacement(replace, pattern, entry)
    return RoutingRule(name, match, pattern, outgoing)


def _text(key: str, entry: Table, *, required: bool = False) -> str | None:
    text = entry.text(key, required=required)
    if text is not None and not (key == "replace" or text):
        entry.error(key, f"{key} is empty")
        return None
    if text is not None and len(text) > _LONGEST:
        entry.error(key, f"{key} has {len(text)} characters, and Pexip takes {_LONGEST} at most")
        return None
    return text


def _check_replacement(replace: str, pattern: Pattern | None, entry: Table) -> None:
    if dollar := _DOLLAR.search(replace):
        entry.warning(
            "replace", f"Pexip puts no group in place of {dollar[0]}; write \\{dollar[0][1:]}, in Pexip and here"
        )
    if pattern is None:
        return
    count = pattern.count_groups()
    if missing := [number for number in _REFERENCE.findall(replace) if int(number) > count]:
        has = f"{count} group{'s' * (count != 1)}" if count else "no group"
        entry.warning(
            "replace",
            f"replace has \\{missing[0]}, and match has {has}, so Pexip gets no alias to call; correct one of them, in Pexip "
            "and here",
        )


def routing_warnings(
    rules: Collection[RoutingRule],
    trunks: Mapping[str, Trunk | None],
    written: Mapping[str, tuple[Node, Place]],
    serving: Iterable[Node],
) -> Iterator[tuple[Place, str]]:
    """The place and a sentence for what is dialled and none of the ``rules`` takes.

    ``written`` are the trunks as they stand in the files, ``serving`` the rooms and rules.
    """
    legs = [leg for node in serving for leg in _legs(node)]
    named: dict[str, list[MappingNode]] = {}
    for leg in legs:
        if name := _word(leg, "trunk"):
            named.setdefault(name, []).append(leg)
    for name, trunk in trunks.items():
        if trunk is None:
            continue
        dialled, users = dial_string(trunk), named.get(name, [])
        routings = {_word(leg, "routing") or dialled.routing for leg in users} or {dialled.routing}
        node, place = written[name]
        if BY_RULE in routings and (message := _untaken(dialled.remote_alias, rules)):
            key = "dial_prefix" if trunk.dial_prefix else "number"
            found = node.get(key) if isinstance(node, MappingNode) else None
            yield place if found is None else found.place, f"trunk {shown(name)}: {message}"
    for leg in legs:
        alias = leg.get("remote_alias")
        if (
            isinstance(alias, ScalarNode)
            and "{" not in alias.text
            and _word(leg, "routing") == BY_RULE
            and (message := _untaken(alias.text, rules))
        ):
            yield alias.place, message


def _untaken(dialled: str, rules: Collection[RoutingRule]) -> str:
    """That no rule takes what is dialled; ``""`` where one does, or may."""
    found = [(rule, rule.takes(dialled)) for rule in rules]
    if any(takes is not False and rule.outgoing for rule, takes in found):
        return ""
    message = f"no Call Routing Rule takes {shown(dialled)}, so Pexip would not place the call"
    closed = next((rule for rule, takes in found if takes), None)
    if closed is not None:
        return (
            f"{message}: {shown(closed.name)} matches it, and takes no outgoing calls; switch them on in Pexip, and write "
            "outgoing: true here"
        )
    tried = [f"{shown(rule.name)} ({rule.match})" for rule in rules if rule.outgoing]
    more = [f"{len(tried) - _MOST_TOLD} more"] if len(tried) > _MOST_TOLD else []
    of = f"tried {listed([*tried[:_MOST_TOLD], *more])}" if tried else f"{KEY} has none for outgoing calls"
    return f"{message}: {of}; add one that does, or correct what is dialled"


def _legs(node: Node) -> Iterator[MappingNode]:
    """The mappings below a node that may be somebody to dial."""
    match node:
        case ScalarNode():
            return
        case SequenceNode():
            for item in node.items:
                yield from _legs(item)
        case MappingNode():
            if node.get("trunk") is not None or node.get("routing") is not None:
                yield node
            for entry in node.entries:
                yield from _legs(entry.value)


def _word(leg: MappingNode, key: str) -> str:
    node = leg.get(key)
    return node.text if isinstance(node, ScalarNode) else ""
