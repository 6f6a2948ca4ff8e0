"""The outcomes that serve no room: a text for the caller, properties, a location, and Pexip's own configuration."""

from typing import Final

from policy_server.pexip.fields import Named
from policy_server.pexip.properties import (
    MediaLocation,
    ParticipantProperties,
    check_media_location,
    check_properties,
)
from policy_server.pexip.shapes import SHAPES
from policy_server.policy.ruleset import ContinueOutcome, LocationOutcome, RedirectOutcome, RejectOutcome, SetOutcome
from policy_server.policy.services import FIELD_LIMIT, FieldsTemplate
from policy_server.policy.templates import Template, parse_template
from policy_server.rulefiles.document_nodes import plain
from policy_server.rulefiles.placeholders import check_placeholders
from policy_server.rulefiles.rules import Heading, Material, OutcomeKey, report_faults, warn_of_no_call
from policy_server.rulefiles.schema_parts import NAME, TEMPLATE, Schema, described, one_or_list, ref
from policy_server.rulefiles.services import ANY_TEXT, TemplateReader

_TEXT: Final[Schema] = {"type": "string", "pattern": rf"^(?=[\s\S]*\S){TEMPLATE.removeprefix('^')}"}


def _read_text(heading: Heading) -> Template | None:
    """The text of an outcome that is one."""
    table, key = heading.table, heading.outcome
    template = table.template(key)
    if template is None:
        return None
    if not template.source.strip():
        table.error(key, f"{key} is empty; write a text")
        return None
    length = len(template.bare)
    if length > FIELD_LIMIT:
        table.error(key, f"{key} has {length} characters; Pexip takes {FIELD_LIMIT}")
        return None
    check_placeholders([(template, table.value_place(key))], heading.given, table)
    return template


def _read_redirect(heading: Heading, _: Material) -> RedirectOutcome | None:
    alias = _read_text(heading)
    warn_of_no_call(heading, [(heading.outcome, name) for name in alias.needed] if alias else ())
    return RedirectOutcome(alias) if alias else None


def _read_reject(heading: Heading, _: Material) -> RejectOutcome | None:
    text = _read_text(heading)
    return RejectOutcome(text) if text else None


def _read_continue(heading: Heading, _: Material) -> ContinueOutcome:
    if not heading.table.boolean("continue", default=True):
        heading.table.error("continue", "continue can only be true; to switch a rule off write enabled: false")
    return ContinueOutcome()


def _read_set(heading: Heading, _: Material) -> SetOutcome | None:
    table = heading.table.table("set", "keys and values such as {preauthenticated_role: guest}")
    if table is None:
        return None
    before = table.report.errors
    reader = TemplateReader(table)
    values = {entry.name: plain(entry.value) for entry in table.node.entries}
    read = reader.read(values, SHAPES[ParticipantProperties], table.node)
    check_placeholders(reader.templates, heading.given, table)
    if "reject_reason" in table:
        table.error_at(
            table.key_place("reject_reason"), "reject_reason goes with a rejection; write reject: TEXT instead of set"
        )
    if not values:
        heading.table.error("set", "set is empty; write continue: true if nothing shall change")
    report_faults(check_properties(read.sample), table)
    properties = FieldsTemplate(read.fixed, tuple(read.filled))
    warn_of_no_call(heading, properties.needed)
    return None if table.report.errors > before else SetOutcome(properties)


def _read_location(heading: Heading, material: Material) -> LocationOutcome | None:
    table = heading.table
    location = table.text("location")
    named = [] if location is None else [("location", location, table.value_place("location"))]
    overflow = table.texts("overflow_locations")
    named += [("overflow_locations", text, place) for text, place in overflow]
    for key, name, place in named:
        material.vocabulary.check(Named.LOCATION, name, key, place, table, needed=key == "location")
    names = [text for text, _ in overflow]
    if location is None or len(names) < len(table.nodes("overflow_locations")):
        return None
    columns = [(name, place) for _, name, place in named if material.vocabulary.column(name) is not None]
    if not columns:
        report_faults(check_media_location({"location": location, "overflow_locations": names}), table)
        return LocationOutcome(location, tuple(names))
    check_placeholders([(parse_template(name), place) for name, place in columns], heading.given, table)
    written = {name for name in (location, *names) if "{" not in name}
    report_faults(check_media_location({"location": ANY_TEXT, "overflow_locations": sorted(written)}), table)
    return LocationOutcome(location, tuple(names), tuple(_filled(name) for name in (location, *names)))


def _filled(name: str) -> Template:
    return parse_template(name) if "{" in name and "}" in name else Template(name, (name,))


def _reject(whom: str) -> OutcomeKey:
    return OutcomeKey(
        "reject", _read_reject, {**_TEXT, "description": f"Refuses {whom} with this text; may have placeholders."}
    )


REJECT_CALL: Final = _reject("the call")
REJECT_PARTICIPANT: Final = _reject("the participant")
REDIRECT: Final = OutcomeKey(
    "redirect",
    _read_redirect,
    {**_TEXT, "description": "Sends the caller to another alias; may have placeholders."},
)
CONTINUE: Final = OutcomeKey(
    "continue", _read_continue, {"const": True, "description": "true: Pexip's own configuration decides."}
)
SET: Final = OutcomeKey("set", _read_set, ref("participant_set"))
LOCATION: Final = OutcomeKey(
    "location",
    _read_location,
    {**NAME, "description": described(MediaLocation, "location")},
    {"overflow_locations": one_or_list(NAME, described(MediaLocation, "overflow_locations"), may_be_empty=True)},
)
