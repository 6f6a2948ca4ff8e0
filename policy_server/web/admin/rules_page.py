"""What the page of the rules shows: everything that the rules folder says, in words, with what became of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NamedTuple

from policy_server.pexip.request_types import RequestType
from policy_server.policy.in_words import OutcomeInWords, outcome_in_words
from policy_server.policy.ruleset import LinkType, Rule, Ruleset
from policy_server.policy.upstreams import Upstream
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.store import RuleStore
from policy_server.upstreams.client import UpstreamState
from policy_server.web.admin.hits import NO_HITS, Hits
from policy_server.web.admin.trunks import TrunkRow
from policy_server.web.admin.warned import SECTIONS, OfRules, beside_rules, beside_things
from policy_server.web.admin.week import week_of
from policy_server.wording.durations import duration
from policy_server.wording.words import listed

ON_A_PAGE: Final = 100
"""Rules of one list, and things of one kind, that one page shows."""
MOST_WARNINGS: Final = 50
"""Warnings that stand beside no rule of which each is shown."""
LONGEST_FILTER: Final = 100


class Wanted(NamedTuple):
    """What a reader asked for: rules that have a text in id, words or place, and from the how manieth on of each list."""

    text: str = ""
    start: int = 0


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule. ``number`` is its place in its list, from 1; ``last`` when it last answered, ``""`` for never."""

    number: int
    rule: Rule
    when: tuple[str, ...]
    does: OutcomeInWords
    hits: Hits
    last: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleTable:
    """A list of rules: those that are shown, how many there are that fit, and of how many."""

    section: str
    asks: str
    rows: tuple[RuleRow, ...]
    fitting: int
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """A thing with a name: facts about it in pairs, and where it is written. ``warning`` is what is wrong with it now."""

    name: str
    facts: tuple[tuple[str, str], ...]
    place: str
    warning: str = ""


def rules_page(
    rules: RuleStore,
    hits: Mapping[tuple[str, str], Hits],
    upstreams: Callable[[Mapping[str, Upstream]], Iterable[UpstreamState]],
    trunks: Sequence[TrunkRow],
    wanted: Wanted,
    now: datetime,
) -> dict[str, Any]:
    """The values of the page, with ``hits`` by question and rule. Takes time by the number of rules: for a thread of its own."""
    ruleset, state, warnings = rules.ruleset, rules.state, rules.warnings
    beside, things = beside_rules(ruleset, warnings), beside_things(ruleset, warnings)
    # What is not among the first of its kind is not shown, so its warnings stand at the top.
    things = {
        (section, name): problems
        for (section, name), problems in things.items()
        if name in islice(ruleset.places[section], ON_A_PAGE)
    }
    shown = {problem for problems in (*beside.values(), *things.values()) for problem in problems}
    others = [str(problem) for problem in warnings if problem not in shown]
    return {
        "revision": ruleset.revision,
        "count": ruleset.count,
        "began": rules.history.began,
        "refused": [str(problem) for problem in state.problems] if state.refused else [],
        "warnings": others[:MOST_WARNINGS],
        "warned": {
            section: {name: problems for (of, name), problems in things.items() if of == section}
            for section in SECTIONS
        },
        "more_warnings": max(0, len(others) - MOST_WARNINGS),
        "changes": rules.history.changes,
        "tables_of_rules": [_table(ruleset, request, hits, beside, wanted) for request in _REQUESTS],
        "wanted": wanted,
        "page_size": ON_A_PAGE,
        "trunks": trunks,
        "weeks": [
            (week_of(calendar, now), _place(ruleset, "calendars", name)) for name, calendar in _first(ruleset.calendars)
        ],
        "links": [_link(ruleset, link) for _, link in _first(ruleset.links)],
        "lookups": [
            Row(
                table.name,
                (
                    ("rows", f"{len(table.rows):,}"),
                    ("columns", listed(column.partition(".")[2] for column in table.columns)),
                ),
                _place(ruleset, "tables", name),
            )
            for name, table in _first(ruleset.tables)
        ],
        "upstreams": _upstreams(ruleset, upstreams),
        "left_out": {
            kind: len(things) - ON_A_PAGE
            for kind, things in (
                ("trunks", ruleset.trunks),
                ("calendars", ruleset.calendars),
                ("link types", ruleset.links),
                ("tables", ruleset.tables),
                ("other policy servers", ruleset.upstreams),
            )
            if len(things) > ON_A_PAGE
        },
        "now": now,
    }


_REQUESTS: Final = tuple(section.request for section in RULE_SECTIONS)
_SECTIONS: Final = {section.request: section.name for section in RULE_SECTIONS}


def _first(things: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(things.items())[:ON_A_PAGE]


def _place(ruleset: Ruleset, section: str, name: str) -> str:
    return ruleset.places[section].get(name, "")


def _table(
    ruleset: Ruleset,
    request: RequestType,
    hits: Mapping[tuple[str, str], Hits],
    beside: OfRules,
    wanted: Wanted,
) -> RuleTable:
    rules = ruleset.lists[request].rules
    fitting = [number for number, rule in enumerate(rules) if _fits(rule, wanted.text)]
    rows = []
    for number in fitting[wanted.start : wanted.start + ON_A_PAGE]:
        rule = rules[number]
        counted = hits.get((request.value, rule.id), NO_HITS)
        last = datetime.fromtimestamp(counted.last, UTC).isoformat(timespec="seconds") if counted.total else ""
        rows.append(
            RuleRow(
                number + 1,
                rule,
                tuple(condition.words for condition in rule.conditions),
                outcome_in_words(rule),
                counted,
                last,
                tuple(problem.message for problem in beside.get((request, rule.id), ())),
            )
        )
    return RuleTable(_SECTIONS[request], request.about.asks, tuple(rows), len(fitting), len(rules))


def _fits(rule: Rule, text: str) -> bool:
    if not text:
        return True
    outcome = outcome_in_words(rule)
    words = (rule.id, rule.place, rule.description, outcome.sentence, *outcome.further)
    return any(text in each.lower() for each in (*words, *(condition.words for condition in rule.conditions)))


def _link(ruleset: Ruleset, link: LinkType) -> Row:
    facts = [("customers dial", link.alias.source)]
    if link.agent_alias is not None:
        facts.append(("agents dial", link.agent_alias.source))
    if link.joins:
        facts.append(("leads into rooms of", link.joins))
    facts.append(("good for", duration(link.ttl)))
    if link.window is not None:
        before, after = duration(link.window.before), duration(link.window.after)
        facts.append(("door open", f"from {before} before its time to {after} after it"))
    if link.url is not None:
        facts.append(("leads to", link.url.source))
    for attribute in (link.attributes or {}).values():
        about = [
            *(["required"] if attribute.required else ()),
            *([f"default {attribute.default}"] if attribute.default else ()),
        ]
        values = (
            listed(attribute.values, "or")
            if attribute.values
            else (attribute.pattern.text if attribute.pattern else "any text")
        )
        facts.append((f"attribute {attribute.name}", ", ".join((values, *about))))
    return Row(link.name, tuple(facts), _place(ruleset, "links", link.name))


def _upstreams(ruleset: Ruleset, states: Callable[[Mapping[str, Upstream]], Iterable[UpstreamState]]) -> list[Row]:
    known = {state["name"]: state for state in states(ruleset.upstreams)}
    found = []
    for name, upstream in _first(ruleset.upstreams):
        state = known.get(name)
        warning = (
            f"left alone for some seconds, because it kept failing: {state['reason']}"
            if state and state["left_alone"]
            else ""
        )
        facts = (("at", upstream.url), ("waits", f"{upstream.timeout:g} s"), ("without an answer", upstream.on_failure))
        found.append(Row(name, facts, _place(ruleset, "upstreams", name), warning))
    return found
