"""The sections that hold rules, one row for each question that rules answer, and how they are read."""

from collections.abc import Iterable, Mapping
from typing import Final

from policy_server.pexip.request_types import RequestType
from policy_server.policy.ruleset import Rule
from policy_server.rulefiles import outcomes, registrations, serving, upstreams
from policy_server.rulefiles.document_nodes import MappingNode, Node
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, Table, shown_node
from policy_server.rulefiles.rules import Material, RuleSection, Written, read_rule
from policy_server.wording.values import shown

RULE_SECTIONS: Final = (
    RuleSection(
        "service",
        RequestType.SERVICE,
        "protocol: sip",
        (serving.ROOM, serving.SERVICE, outcomes.REDIRECT, outcomes.REJECT_CALL, outcomes.CONTINUE, upstreams.FORWARD),
    ),
    RuleSection(
        "participants",
        RequestType.PARTICIPANT,
        "participant_type: api",
        (outcomes.SET, outcomes.REJECT_PARTICIPANT, outcomes.CONTINUE, upstreams.FORWARD),
    ),
    RuleSection(
        "locations",
        RequestType.LOCATION,
        "remote_address: 10.20.0.0/16",
        (outcomes.LOCATION, outcomes.CONTINUE, upstreams.FORWARD),
    ),
    RuleSection(
        "registrations",
        RequestType.REGISTRATION,
        "alias: 'kiosk-.*'",
        (registrations.ALLOW, registrations.REJECT, outcomes.CONTINUE, upstreams.FORWARD),
    ),
)
"""In the order of a rule file."""

ReadRules = dict[RequestType, list[tuple[Rule, Written]]]
"""The rules that answer each question, as far as they could be read, with what they were read from."""


def read_lists(written: Mapping[str, Iterable[Node]], material: Material) -> ReadRules:
    """Reads what is ``written`` in each section."""
    lists: ReadRules = {section.request: [] for section in RULE_SECTIONS}
    for section in RULE_SECTIONS:
        rules = lists[section.request]
        seen: dict[str, Place] = {}
        for node in written.get(section.name, ()):
            if material.report.is_full:
                return lists
            if not isinstance(node, MappingNode):
                message = f"{section.name} must hold rules with id, when and an outcome, but this is {shown_node(node)}"
                material.report.error(node.place, message)
                continue
            rule_id = _read_id(node, section.name, seen, material.report)
            table = Table(node, f"a rule of {section.name}", material.report, rule_id)
            read = read_rule(table, rule_id, len(rules), section, material)
            if read is not None:
                rules.append(read)
    return lists


def _read_id(node: MappingNode, section: str, seen: dict[str, Place], report: Report) -> str:
    table = Table(node, f"this rule of {section}", report)
    text = table.text("id", required=True)
    if text is None:
        return ""
    words = text.split("-")
    good = all(word and word.isascii() and word.isalnum() and word == word.lower() for word in words)
    if not good or len(text) > 100:
        suggestion = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split())[:100]
        hint = f"; write {shown(suggestion)}" if suggestion else ""
        table.error("id", f"id must be lower-case letters and digits joined by - but is {shown(text)}{hint}")
    elif text in seen:
        table.error("id", f"id {shown(text)} is used twice in this list; the first is at {seen[text]}")
    else:
        seen[text] = node.place
    return text
