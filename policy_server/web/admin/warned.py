"""Which rule, and which other thing with a name, a warning of the checker is about, so that it stands beside it."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from policy_server.pexip.request_types import RequestType
from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.problems import Problem
from policy_server.wording.values import shown

SECTIONS: Final = ("trunks", "calendars", "links", "tables", "upstreams")
"""Those whose things the page shows."""

OfRules = Mapping[tuple[RequestType, str], list[Problem]]
OfThings = Mapping[tuple[str, str], list[Problem]]


def beside_rules(ruleset: Ruleset, problems: Iterable[Problem]) -> OfRules:
    """The warnings that are about a rule. Two lists may have a rule of one name: the one that is written next above is meant."""
    written: dict[str, list[tuple[str, int, RequestType]]] = {}
    about = [problem for problem in problems if problem.rule]
    names = {problem.rule for problem in about}
    for request, rules in ruleset.lists.items():
        for rule in rules.rules:
            if rule.id in names:
                written.setdefault(rule.id, []).append((*_position(rule.place), request))
    found: dict[tuple[RequestType, str], list[Problem]] = {}
    for problem in about:
        above = [
            (line, request)
            for file, line, request in written.get(problem.rule, ())
            if file == problem.place.file and line <= problem.place.line
        ]
        if above:
            found.setdefault((max(above, key=lambda each: each[0])[1], problem.rule), []).append(problem)
    return found


def beside_things(ruleset: Ruleset, problems: Collection[Problem]) -> OfThings:
    """The warnings that are about no rule, and name what is written next above, by section and name."""
    about = [problem for problem in problems if not problem.rule and problem.place.line]
    files = {problem.place.file for problem in about}
    begun: dict[str, list[tuple[int, str, str]]] = {file: [] for file in files}
    for section, name, place in _things(ruleset):
        file, line = _position(place)
        if file in files:
            begun[file].append((line, section, name))
    for starts in begun.values():
        starts.sort()
    found: dict[tuple[str, str], list[Problem]] = {}
    for problem in about:
        starts = begun[problem.place.file]
        number = bisect_right(starts, problem.place.line, key=lambda start: start[0])
        if number:
            _, section, name = starts[number - 1]
            if section in SECTIONS and shown(name) in problem.message:
                found.setdefault((section, name), []).append(problem)
    return found


def _things(ruleset: Ruleset) -> Iterator[tuple[str, str, str]]:
    for rules in ruleset.lists.values():
        yield from (("", rule.id, rule.place) for rule in rules.rules)
    for section, named in ruleset.places.items():
        yield from ((section, name, place) for name, place in named.items())


def _position(place: str) -> tuple[str, int]:
    file, _, line = place.rpartition(":")
    return file, int(line)
