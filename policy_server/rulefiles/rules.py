"""Reading the rule lists: one rule of each kind, with its conditions, outcome and placeholders."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from policy_server.pexip.fields import Fault
from policy_server.pexip.parameters import RequestType, parameters_of
from policy_server.pexip.properties import check_properties, check_registration
from policy_server.policy.calendars import Calendar
from policy_server.policy.conditions import Condition
from policy_server.policy.recall import Origin, origin_of
from policy_server.policy.ruleset import (
    AllowOutcome,
    ContinueOutcome,
    LocationOutcome,
    ParticipantOutcome,
    PlacementOutcome,
    RedirectOutcome,
    RegistrationOutcome,
    RejectOutcome,
    Rule,
    ServeOutcome,
    ServiceOutcome,
    SetOutcome,
)
from policy_server.policy.services import FIELD_LIMIT, FieldsTemplate, Leg
from policy_server.policy.templates import Template
from policy_server.rulefiles.conditions import Scope, groups_of, read_conditions
from policy_server.rulefiles.document_nodes import MappingNode, ScalarNode, plain
from policy_server.rulefiles.problems import Place, nearest, shown
from policy_server.rulefiles.reader import Report, Table, node_at
from policy_server.rulefiles.services import (
    Draft,
    Vocabulary,
    check_placeholders,
    complete,
    read_dial_out,
    read_service,
)
from policy_server.telephony.trunks import Trunk

COMMON_KEYS: Final = ("id", "description", "enabled", "when")

OUTCOME_KEYS: Final[Mapping[RequestType, tuple[str, ...]]] = {
    RequestType.SERVICE: ("room", "service", "redirect", "reject", "continue"),
    RequestType.PARTICIPANT: ("set", "reject", "continue"),
    RequestType.LOCATION: ("location", "continue"),
    RequestType.REGISTRATION: ("allow", "reject", "continue"),
}
"""The keys of which a rule has exactly one."""

FURTHER_KEYS: Final[Mapping[RequestType, tuple[str, ...]]] = {
    RequestType.SERVICE: ("dial_out",),
    RequestType.LOCATION: ("overflow_locations",),
}
"""Keys that go with an outcome."""

DISPLAY_TEXT: Final = frozenset(
    {"call_tag", "layout_group", "receive_from_audio_mix", "remote_alias", "remote_display_name"}
)
"""Participant properties in which a placeholder may stand."""

T = TypeVar("T")


@dataclass(slots=True)
class Material:
    """What rules refer to, and what of it they used."""

    report: Report
    vocabulary: Vocabulary
    domains: tuple[str, ...]
    calendars: Mapping[str, Calendar | None]
    trunks: Mapping[str, Trunk | None]
    rooms: Mapping[str, Draft | None]
    link_types: bool
    environment: Mapping[str, str]
    deployed: bool
    used_calendars: set[str] = field(default_factory=set)
    used_trunks: set[str] = field(default_factory=set)
    used_rooms: set[str] = field(default_factory=set)
    origins: list[Origin] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Heading:
    """What every rule has, whatever its outcome."""

    table: Table
    id: str
    enabled: bool
    conditions: tuple[Condition, ...]
    outcome: str
    names: tuple[str, ...]
    sources: Mapping[str, str]

    def rule(self, outcome: T) -> Rule[T]:
        """The rule with its outcome."""
        place = self.table.place
        return Rule(self.id, self.conditions, outcome, self.enabled, f"{place.file}:{place.line}")


def read_heading(table: Table, rule_id: str, request: RequestType, material: Material) -> Heading | None:
    """Id, conditions, and which outcome; ``None`` when there is not exactly one outcome."""
    report = material.report
    table.finish((*COMMON_KEYS, *OUTCOME_KEYS[request], *FURTHER_KEYS.get(request, ())))
    table.text("description")
    enabled = table.boolean("enabled", default=True)
    conditions = _read_when(table, rule_id, request, material)
    names, sources = groups_of(conditions)
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.error(
            "when", f"named group {name!r} stands twice in this rule, so {{{name}}} would be ambiguous; rename one"
        )
    found = [key for key in OUTCOME_KEYS[request] if key in table]
    if len(found) != 1:
        options = ", ".join(OUTCOME_KEYS[request])
        has = f"has {' and '.join(found)}" if found else "has none"
        report.error(table.place, f"a rule needs exactly one outcome ({options}) but this one {has}", rule_id)
        return None
    return Heading(table, rule_id, enabled, conditions, found[0], tuple(names), sources)


def _read_when(table: Table, rule_id: str, request: RequestType, material: Material) -> tuple[Condition, ...]:
    node = table.value("when")
    if node is None or (isinstance(node, MappingNode) and not node.entries):
        if node is not None or "when" in table:
            table.error("when", "when is empty; leave it out if the rule shall always match")
        return ()
    if not isinstance(node, MappingNode):
        hint = "; leave it out if the rule shall always match" if plain(node) is None else ""
        table.error("when", f"when must hold conditions such as {{protocol: sip}} but is {shown(plain(node))}{hint}")
        return ()
    scope = Scope(
        request=request,
        rule=rule_id,
        report=material.report,
        calendars=material.calendars,
        locations=material.vocabulary.names.get("location"),
        domains=frozenset(material.domains),
        link_types=material.link_types,
        used_calendars=material.used_calendars,
    )
    return read_conditions(node, scope)


def _placeholders(heading: Heading, request: RequestType) -> tuple[str, ...]:
    return (*heading.names, *(parameter.name for parameter in parameters_of(request) if not parameter.secret))


def _check(heading: Heading, request: RequestType, templates: Iterable[tuple[Template, Place]]) -> None:
    check_placeholders(templates, _placeholders(heading, request), heading.table.report, heading.id)


def _read_text(heading: Heading, request: RequestType) -> Template | None:
    """The text of ``reject`` or ``redirect``."""
    table, key = heading.table, heading.outcome
    template = table.template(key)
    if template is None:
        return None
    if not template.source.strip():
        table.error(key, f"{key} must be text but is empty")
        return None
    if len("".join(template.literals)) > FIELD_LIMIT:
        table.error(key, f"{key} has {len(template.source)} characters; Pexip takes {FIELD_LIMIT}")
        return None
    _check(heading, request, [(template, _place(table, key))])
    return template


def _place(table: Table, key: str) -> Place:
    node = table.value(key)
    return node.place if node is not None else table.place


def _continue(heading: Heading) -> ContinueOutcome:
    if not heading.table.boolean("continue", default=True):
        heading.table.error("continue", "continue can only be true; to switch a rule off write enabled: false")
    return ContinueOutcome()


def read_service_rule(heading: Heading, number: int, material: Material) -> ServiceOutcome | None:
    """The outcome of a service rule; a room or service is also filed under its name for ``dial_out`` questions."""
    table = heading.table
    if "dial_out" in table and heading.outcome not in ("room", "service"):
        table.error("dial_out", "dial_out goes with room or service: there is no room here to dial from")
    match heading.outcome:
        case "room" | "service":
            return _read_serve(heading, number, material)
        case "redirect":
            alias = _read_text(heading, RequestType.SERVICE)
            return RedirectOutcome(alias) if alias else None
        case "reject":
            text = _read_text(heading, RequestType.SERVICE)
            return RejectOutcome(text) if text else None
        case _:
            return _continue(heading)


def _read_serve(heading: Heading, number: int, material: Material) -> ServeOutcome | None:
    table = heading.table
    draft: Draft | None = None
    if heading.outcome == "room":
        name = table.text("room")
        if name is not None:
            material.used_rooms.add(name)
            if name not in material.rooms:
                near = nearest(name, material.rooms)
                hint = f" (did you mean {shown(near)}?)" if near else ""
                table.error("room", f"room {shown(name)} is not defined under rooms{hint}")
            draft = material.rooms.get(name)
    else:
        service = table.table("service")
        draft = read_service(service, material.vocabulary) if service is not None else None
    legs: tuple[Leg, ...] = ()
    fallbacks: tuple[Leg, ...] = ()
    if "dial_out" in table:
        domain = material.domains[0] if material.domains else ""
        has_session = "session" in heading.names
        legs, fallbacks, templates = read_dial_out(
            table, material.trunks, material.used_trunks, domain, has_session=has_session
        )
        _check(heading, RequestType.SERVICE, templates)
        if draft is not None and draft.fields.fixed.get("service_type") not in ("conference", "lecture"):
            table.error("dial_out", f"a {draft.fields.fixed.get('service_type')} cannot dial automatic participants")
    if draft is None:
        return None
    _check_room(heading, draft, material)
    template = complete(draft, legs, fallbacks)
    if heading.enabled and not material.report.failed:
        origin = origin_of(number, template, heading.sources.get)
        if origin is not None:
            material.origins.append(origin)
    return ServeOutcome(template)


def _check_room(heading: Heading, draft: Draft, material: Material) -> None:
    """Placeholders of a room are filled by the rule, so the problem belongs to the rule as much as to the room."""
    good = _placeholders(heading, RequestType.SERVICE)
    report = material.report
    for template, place in draft.templates:
        unknown = [name for name in template.names if name not in good and not name.startswith("link.")]
        for name in unknown:
            if draft.room:
                message = (
                    f"room {draft.room!r} uses {{{name}}} ({place}), which this rule does not give: it is neither a "
                    f"request parameter nor a named group such as (?P<{name}>…) in its when"
                )
                report.error(_place(heading.table, "room"), message, heading.id)
            else:
                check_placeholders([(replace(template, pieces=("", name, "")), place)], good, report, heading.id)


def read_participant_rule(heading: Heading, material: Material) -> ParticipantOutcome | None:
    """The outcome of a participant rule."""
    match heading.outcome:
        case "set":
            return _read_set(heading, material)
        case "reject":
            text = _read_text(heading, RequestType.PARTICIPANT)
            return RejectOutcome(text) if text else None
        case _:
            return _continue(heading)


def _read_set(heading: Heading, material: Material) -> SetOutcome | None:
    table = heading.table.table("set")
    if table is None:
        return None
    fixed: dict[str, object] = {}
    filled: list[tuple[str, Template]] = []
    sample: dict[str, object] = {}
    for entry in table.node.entries:
        value = plain(entry.value)
        template = None
        if entry.name in DISPLAY_TEXT and isinstance(value, str):
            template = table.template(entry.name)
        if template is not None and template.names:
            filled.append((entry.name, template))
            sample[entry.name] = "".join(template.literals) or "x"
            _check(heading, RequestType.PARTICIPANT, [(template, entry.value.place)])
        else:
            fixed[entry.name] = sample[entry.name] = value
    faults = list(check_properties(sample))
    if "reject_reason" in sample:
        faults.append(
            Fault(("reject_reason",), "rule", "reject_reason goes with a rejection; write reject: TEXT instead of set")
        )
    if not sample:
        heading.table.error("set", "set is empty; write continue: true if nothing shall change")
    _report_faults(faults, table, heading.id)
    return None if faults else SetOutcome(FieldsTemplate(fixed, tuple(filled)))


def _report_faults(faults: Iterable[Fault], table: Table, rule: str) -> None:
    for fault in faults:
        node = node_at(table.node, fault.path)
        place = node.place
        word: object = plain(node)
        if fault.kind == "unknown" and fault.path:
            place = table.key_place(str(fault.path[0])) if len(fault.path) == 1 else place
            word = fault.path[-1]
        near = nearest(word, fault.allowed) if isinstance(word, str) else None
        table.report.error(place, fault.message + (f" (did you mean {shown(near)}?)" if near else ""), rule)


def read_location_rule(heading: Heading, material: Material) -> PlacementOutcome | None:
    """The outcome of a media location rule."""
    table = heading.table
    if heading.outcome == "continue":
        if "overflow_locations" in table:
            table.error("overflow_locations", "overflow_locations goes with location")
        return _continue(heading)
    location = table.text("location")
    named = [] if location is None else [("location", location, _place(table, "location"))]
    overflow = table.texts("overflow_locations")
    named += [("overflow_locations", text, place) for text, place in overflow]
    for key, name, place in named:
        if not 0 < len(name) <= FIELD_LIMIT:
            material.report.error(
                place, f"{key} must be the name of a location but has {len(name)} characters", heading.id
            )
        material.vocabulary.check("location", name, key, place, material.report, heading.id)
    return LocationOutcome(location, tuple(text for text, _ in overflow)) if location else None


def read_registration_rule(heading: Heading, material: Material) -> RegistrationOutcome | None:
    """The outcome of a registration rule."""
    match heading.outcome:
        case "allow":
            return _read_allow(heading, material)
        case "reject":
            node = heading.table.value("reject")
            if not (isinstance(node, ScalarNode) and node.value is True):
                heading.table.error(
                    "reject", "reject can only be true here: Pexip shows no text to a device that registers"
                )
            return RejectOutcome(Template("", ("",)))
        case _:
            return _continue(heading)


def _read_allow(heading: Heading, material: Material) -> AllowOutcome | None:
    node = heading.table.value("allow")
    if isinstance(node, ScalarNode) and node.value is True:
        return AllowOutcome("", "")
    table = heading.table.table("allow")
    if table is None:
        return None
    table.finish(("username", "password", "password_env"))
    username = table.text("username", required=True)
    password = table.written("password")
    variable = table.text("password_env")
    if (password is None) == (variable is None):
        table.error("password_env", "allow needs either password_env (a variable of the environment) or password")
        return None
    if password is not None:
        message = "anybody who can read the rules can read this password; put it into the environment and name the variable in password_env"
        table.report.warning(table.key_place("password"), message, heading.id)
    if variable is not None:
        password = _from_environment(variable, table, heading, material)
    fields = {"username": username or "", "password": password or ""}
    _report_faults(check_registration(fields), table, heading.id)
    return AllowOutcome(fields["username"], fields["password"])


def _from_environment(variable: str, table: Table, heading: Heading, material: Material) -> str:
    value = material.environment.get(variable, "")
    # Whoever checks rules elsewhere does not have the secrets of the server at hand, and need not.
    if not value and material.deployed:
        table.error("password_env", f"password_env: the environment variable {variable} is not set")
    return value
