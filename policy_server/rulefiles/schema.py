"""The JSON Schema of a rule file, so that editors complete and check while an admin types.

It is made from the tables that the loader reads by, and from the models of what a node accepts. It knows keys, kinds
and words; what needs more (names that exist, PIN rules, regular expressions, ids used twice) is for
``policy-server check``. Of draft 2020-12 it has only what draft-07 has too, ``$defs`` apart, which every editor knows.
"""

from policy_server.rulefiles.conditions import when_schema
from policy_server.rulefiles.merge import SECTIONS
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.rules import COMMON, RuleSection
from policy_server.rulefiles.schema_parts import Schema, ref, table
from policy_server.rulefiles.schema_sections import section_definitions
from policy_server.rulefiles.schema_services import service_definitions
from policy_server.wording.words import listed


def rule_file_schema() -> dict[str, object]:
    """The schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of the policy server",
        "description": "What the policy server answers to Conferencing Nodes. All rule files of a folder count as one.",
        "type": "object",
        "properties": {name: ref(f"{name}_section") for name in SECTIONS},
        "additionalProperties": False,
        "$defs": {
            **section_definitions(),
            **{f"{section.name}_section": _rules(section) for section in RULE_SECTIONS},
            **{f"{section.request}_rule": _rule(section) for section in RULE_SECTIONS},
            **{f"{section.request}_when": when_schema(section.request, _when(section)) for section in RULE_SECTIONS},
            **service_definitions(),
        },
    }


def _when(section: RuleSection) -> Schema:
    return ref(f"{section.request}_when")


def _rules(section: RuleSection) -> Schema:
    return {
        "description": f"Rules that say {section.request.about.asks}: the first one whose conditions all hold answers; if "
        "none does, Pexip's own configuration decides.",
        "type": ["array", "null"],
        "items": ref(f"{section.request}_rule"),
    }


def _rule(section: RuleSection) -> Schema:
    fields: dict[str, Schema] = {**COMMON, "when": _when(section)}
    for outcome in section.outcomes:
        fields[outcome.key] = outcome.schema
        for key, schema in outcome.companions.items():
            goes_with = f"Goes with {listed(section.companions[key], 'or')}."
            fields[key] = {**schema, "description": f"{schema['description']} {goes_with}"}
    companions = [
        {"if": {"required": [key]}, "then": {"anyOf": [{"required": [outcome]} for outcome in outcomes]}}
        for key, outcomes in section.companions.items()
    ]
    return table(
        f"Says {section.request.about.asks}. A rule has an id, conditions (when) and one outcome: "
        f"{', '.join(section.outcome_keys)}.",
        {key: fields[key] for key in section.keys},
        required=["id"],
        oneOf=[{"required": [outcome]} for outcome in section.outcome_keys],
        **({"allOf": companions} if companions else {}),
    )
