"""The one evaluator: a question, the rules and the time in; a decision with its trace out. No I/O."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Final, assert_never

from policy_server.pexip.properties import accepts_properties
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import PolicyRequest
from policy_server.pexip.services import accepts_service
from policy_server.policy.conditions import captured_groups, recalled_columns
from policy_server.policy.decisions import (
    AllowRegistration,
    Continue,
    Decision,
    Fail,
    Finding,
    Forward,
    ListEntries,
    Outcome,
    PlaceMedia,
    Redirect,
    Reject,
    Serve,
    SetProperties,
    ShowPicture,
    Trace,
    no_rows,
)
from policy_server.policy.facts import Facts, FindLink, filled_in, no_link
from policy_server.policy.faults import faults_of_answer
from policy_server.policy.link_aliases import Entrance, LinkAlias, ReadAlias
from policy_server.policy.names import NAMES, Keyring
from policy_server.policy.ruleset import (
    AllowOutcome,
    ContinueOutcome,
    ForwardOutcome,
    LocationOutcome,
    RedirectOutcome,
    RejectOutcome,
    Rule,
    RuleList,
    Ruleset,
    ServeOutcome,
    SetOutcome,
)
from policy_server.policy.services import FIELD_LIMIT, LEGS, Fields, ServiceTemplate, blank_identity, fill
from policy_server.policy.trunk_limits import Choice, LoadOf, within_limits

DIRECTORY_LIMIT: Final = 10
"""Entries in a directory answer when the question does not say; Pexip always says 10 (pexip/README.md: Parameters)."""

PICTURE_SIZE: Final = 100
PICTURE_SIZE_LIMIT: Final = 2048
"""Pixels of a side of an avatar: when the question does not say, and at most."""

_NO_ATTRIBUTES: Final[Mapping[str, str]] = {}
_MATCHED: Final = "every condition holds"
_UNMATCHED: Final = "no rule matched"
_JOINS_UNKNOWN: Final = "the link leads into the room of another call, and which one is not known here"


def evaluate(
    ruleset: Ruleset,
    request: PolicyRequest,
    now: datetime,
    keyring: Keyring,
    link_attributes: Mapping[str, str] = _NO_ATTRIBUTES,
    find_link: FindLink = no_link,
    dialled: ReadAlias | None = None,
    load_of: LoadOf | None = None,
    made_by: str = "",
) -> Decision:
    """Decides one question at the moment ``now`` (aware).

    ``keyring`` verifies links and derives PINs. ``find_link`` gives what is known of a call's link, by its call id,
    without waiting; ``link_attributes`` go before those that it gives. ``dialled`` is ``local_alias`` where it has been
    read already. ``load_of`` says how much goes through a trunk; without it none is over its limits. ``made_by`` is the id
    of the rule that made the room which calls out, where that is known. The service, properties or text of a decision have
    passed the checks that Pexip will make; if a value of this question spoils them the decision is ``Fail``.
    """
    facts = Facts(request, now, keyring, ruleset, link_attributes, find_link, dialled, load_of)
    match request.type:
        case RequestType.SERVICE if request.text("call_direction") == "dial_out":
            return _recall_service(ruleset, facts, made_by)
        case RequestType.SERVICE | RequestType.PARTICIPANT | RequestType.LOCATION | RequestType.REGISTRATION:
            return _decide(ruleset.lists[request.type], facts)
        case RequestType.DIRECTORY:
            return _search_directory(ruleset, facts)
        case RequestType.AVATAR:
            return _find_picture(ruleset, facts)
        case _:
            assert_never(request.type)


def _decide(rules: RuleList, facts: Facts) -> Decision:
    rule, trace = rules.first_match(facts)
    if rule is None:
        return Continue(None, _UNMATCHED, trace)
    outcome = rule.outcome
    match outcome:
        case ServeOutcome():
            groups = captured_groups(rule.giving, facts, outcome.service.names)
            return _serve(rule.id, _MATCHED, trace, outcome.service, groups, facts)
        case RedirectOutcome():
            return _redirect(rule, outcome, trace, facts)
        case RejectOutcome():
            values = _values(outcome.text.names, rule, facts)
            return Reject(rule.id, _MATCHED, trace, fill("reject_reason", outcome.text, values))
        case SetOutcome():
            values = _values(outcome.properties.names, rule, facts)
            if reason := blank_identity(outcome.properties.needed, values):
                return Fail(rule.id, reason, trace)
            properties, _ = outcome.properties.fill(values)
            if not accepts_properties(properties):
                return Fail(rule.id, faults_of_answer(properties, participant=True), trace)
            return SetProperties(rule.id, _MATCHED, trace, properties)
        case LocationOutcome():
            if outcome.templates:
                return _place(rule, outcome, trace, facts)
            return PlaceMedia(rule.id, _MATCHED, trace, outcome.location, outcome.overflow_locations)
        case AllowOutcome():
            return AllowRegistration(rule.id, _MATCHED, trace, outcome.username, outcome.password)
        case ContinueOutcome():
            return Continue(rule.id, _MATCHED, trace)
        case ForwardOutcome():
            return Forward(rule.id, _MATCHED, trace, outcome.upstream)
        case _:
            assert_never(outcome)


def _redirect(rule: Rule, outcome: RedirectOutcome, trace: Trace, facts: Facts) -> Redirect | Fail:
    values = _values(outcome.new_alias.names, rule, facts)
    if reason := blank_identity((("redirect", name) for name in outcome.new_alias.needed), values):
        return Fail(rule.id, reason, trace)
    new_alias = fill("new_alias", outcome.new_alias, values)
    if not 0 < len(new_alias) <= FIELD_LIMIT:
        return Fail(rule.id, f"the alias to redirect to has {len(new_alias)} characters", trace)
    return Redirect(rule.id, _MATCHED, trace, new_alias)


def _place(rule: Rule, outcome: LocationOutcome, trace: Trace, facts: Facts) -> PlaceMedia:
    """Locations that come from a table; one that is missing or comes twice is no overflow."""
    values = _values(frozenset(name for template in outcome.templates for name in template.names), rule, facts)
    location, *others = (template.render(values) for template in outcome.templates)
    overflow = dict.fromkeys(other for other in others if other and other != location)
    return PlaceMedia(rule.id, _MATCHED, trace, location, tuple(overflow))


def _serve(
    rule: str, reason: str, trace: Trace, template: ServiceTemplate, groups: Mapping[str, str], facts: Facts
) -> Decision:
    if facts.lacks_room and template.is_room:
        return Fail(rule, _JOINS_UNKNOWN, trace)
    values = filled_in(template.names, groups, facts, of_room=True)
    if blank := blank_identity(template.needed, values):
        return Fail(rule, blank, trace)
    service, fits = template.fill(values)
    call = facts.call
    if template.derived_pin or template.derived_guest_pin:
        pins = call.pins if call is not None else facts.keyring.room_pins(str(service.get("name", "")))
        if template.derived_pin:
            service["pin"] = pins.host
        if template.derived_guest_pin:
            service["guest_pin"] = pins.guest
    if not template.accepts(service, fits=fits):
        return Fail(rule, faults_of_answer(service), trace)
    fallbacks = tuple(leg.fields.fill(values)[0] for leg in template.fallbacks) if template.fallbacks else ()
    if template.is_limited and facts.load_of is not None:
        found = _within_limits(template, service, fallbacks, values, facts.load_of, facts)
        if found is not None:
            service, fallbacks, reason = (
                {**service, LEGS: list(found.legs)},
                found.fallbacks,
                f"{reason}; {found.reason}",
            )
    return Serve(rule, reason, trace, service, facts.call_id, fallbacks, template)


def _within_limits(
    template: ServiceTemplate,
    service: Fields,
    fallbacks: tuple[Fields, ...],
    values: Mapping[str, str],
    load_of: LoadOf,
    facts: Facts,
) -> Choice | None:
    """The legs in place of those that would go through trunks over their limits, if Pexip would take them."""
    legs = service[LEGS]
    if not isinstance(legs, list):
        return None
    chosen = within_limits(
        template,
        legs,
        fallbacks,
        values,
        facts.call_id or str(service.get("name", "")),
        load_of,
        lambda name: facts.around.calendars[name].is_open(facts.now),
    )
    return chosen if chosen is not None and accepts_service({**service, LEGS: list(chosen.legs)}) else None


def _recall_service(ruleset: Ruleset, facts: Facts, made_by: str) -> Decision:
    request, rules = facts.request, ruleset.lists[RequestType.SERVICE].rules
    name, tag = request.text("service_name") or request.text("unique_service_name"), request.text("service_tag")
    origin = (
        ruleset.recall.find(name, tag, request.text("remote_alias"), lambda number: rules[number].id == made_by)
        if name
        else None
    )
    named = (
        {}
        if origin is None
        else {role: text for word, role in NAMES.items() if (text := origin.placeholders.get(word))}
    )
    calls = [facts.keyring.open(text, role, ruleset.links) for role, text in named.items()]
    if origin is None or None in calls:
        return _leave_other_room(ruleset, facts)
    rule = rules[origin.number]
    for call in filter(None, calls):
        facts.recall(LinkAlias(call.type, Entrance.CUSTOMER, call))
    trace = Trace(partial(_recall_rows, ruleset, origin.number))
    placeholders = origin.placeholders | {
        name: default
        for name, default in origin.defaulted.items()
        if name.startswith("link.") and facts.link_attributes.get(name[5:]) == default
    }
    placeholders |= recalled_columns(rule.conditions, placeholders, facts)
    # The room exists: a leg whose number nobody can tell any more must not cost it its other calls.
    service = origin.service.without_blank_legs(filled_in(origin.service.names, placeholders, facts))
    return _serve(rule.id, "the room's name and tag are this rule's", trace, service, placeholders, facts)


def _leave_other_room(ruleset: Ruleset, facts: Facts) -> Decision:
    """A call out of a room that no rule of ours makes: somebody else's to answer (README.md: Calls out of a room)."""
    if ruleset.of_other_rooms is not None:
        rule, found = ruleset.of_other_rooms.first_match(facts)
        if rule is not None:
            trace = Trace(partial(_other_room_rows, ruleset, found))
            if isinstance(rule.outcome, ForwardOutcome):
                return Forward(rule.id, _MATCHED, trace, rule.outcome.upstream)
            return Continue(rule.id, _MATCHED, trace)
        return Continue(None, "the room is not one of ours", Trace(partial(_other_room_rows, ruleset, found)))
    return Continue(None, "the room is not one of ours", Trace(partial(_recall_rows, ruleset, None)))


def _other_room_rows(ruleset: Ruleset, trace: Trace) -> Iterator[Finding]:
    """The rows of the rules that are asked, and why the others did not come into it."""
    for rule, found in zip(ruleset.lists[RequestType.SERVICE].rules, trace.findings(), strict=True):
        if rule.enabled and not isinstance(rule.outcome, ForwardOutcome | ContinueOutcome):
            yield Finding(rule.id, Outcome.MISS, "service_name", "the room is not one that this rule serves")
        else:
            yield found


def _recall_rows(ruleset: Ruleset, winner: int | None) -> Iterator[Finding]:
    for number, rule in enumerate(ruleset.lists[RequestType.SERVICE].rules):
        if number == winner:
            yield Finding(rule.id, Outcome.HIT, "service_name", "the room's name and tag are this rule's")
        elif not rule.enabled:
            yield Finding(rule.id, Outcome.NOT_EVALUATED, reason="the rule is disabled")
        elif winner is not None:
            yield Finding(rule.id, Outcome.NOT_EVALUATED, reason="the room was made by another rule")
        else:
            yield Finding(rule.id, Outcome.MISS, "service_name", "the room is not one that this rule serves")


def _search_directory(ruleset: Ruleset, facts: Facts) -> ListEntries:
    directory = ruleset.directory
    limit = facts.request.integer("limit")
    found = directory.search(facts.request.text("q"), DIRECTORY_LIMIT if limit is None else limit)
    return ListEntries(
        "directory",
        f"{len(found)} of {len(directory.entries)} entries",
        Trace(no_rows),
        tuple(entry.answer() for entry in found),
        directory.ignore_local,
    )


def _find_picture(ruleset: Ruleset, facts: Facts) -> ShowPicture | Continue:
    picture = ruleset.directory.pictures.get(facts.alias("alias"))
    width, height = (facts.request.integer(name) or PICTURE_SIZE for name in ("width", "height"))
    if picture is None:
        return Continue(None, "no picture for this alias", Trace(no_rows))
    if max(width, height) > PICTURE_SIZE_LIMIT:
        return Continue(None, f"a picture of {width} by {height} pixels is too large", Trace(no_rows))
    return ShowPicture("directory", "the entry has a picture", Trace(no_rows), picture, width, height)


def _values(names: Collection[str], rule: Rule, facts: Facts) -> dict[str, str]:
    """What the placeholders of a rule's text stand for."""
    return filled_in(names, captured_groups(rule.giving, facts, names), facts) if names else {}
