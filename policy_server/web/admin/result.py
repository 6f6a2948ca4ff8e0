"""A decision as pages show it (``templates/result.html``): what became of each rule, and the JSON for the node."""

from collections.abc import Callable, Iterable
from typing import Final, TypedDict

from policy_server.conferences.records import HeldConference
from policy_server.pexip.request_types import RequestType
from policy_server.policy.decisions import Decision, Finding
from policy_server.rulefiles.rule_lists import RULE_SECTIONS

MOST_ROWS: Final = 200
"""Rules that missed or were not asked of which each is shown; the one that matched always is."""

_SECTIONS: Final = {section.request: section.name for section in RULE_SECTIONS}


class Held(TypedDict):
    """The conference that held a room before: its name, since when, by which rule of which revision."""

    name: str
    held_at: str
    rule: str
    revision: str


class Result(TypedDict):
    """What the template needs; JSON, since one process may ask another for it.

    ``rows`` are number, rule, outcome, condition and reason of a rule each; ``left_out`` counts those that are not shown.
    ``about`` says what was looked at, and when.
    """

    rule: str | None
    outcome: str
    reason: str
    section: str
    rows: list[tuple[int, str, str, str, str]]
    left_out: int
    answer: str
    about: str
    at: str
    held: Held | None
    notes: list[str]
    forwards: str
    call: str


def result_of(
    decision: Decision,
    request_type: RequestType,
    findings: Iterable[Finding],
    hide: Callable[[str], str],
    *,
    answer: str,
    about: str,
    at: str,
    held: HeldConference | None,
    notes: Iterable[str],
    forwards: str,
    call: str,
) -> Result:
    """A decision in words; ``hide`` takes out of a text what opens doors."""
    all_rows = list(findings)
    rows = [
        (number, row.rule, row.outcome.value, row.condition, hide(row.reason))
        for number, row in enumerate(all_rows, 1)
        if number <= MOST_ROWS or row.rule == decision.rule
    ]
    return {
        "rule": decision.rule,
        "outcome": decision.word,
        "reason": hide(decision.reason),
        "section": _SECTIONS.get(request_type, ""),
        "rows": rows,
        "left_out": len(all_rows) - len(rows),
        "answer": answer,
        "about": about,
        "at": at,
        "held": None if held is None else _held(held, hide),
        "notes": [hide(note) for note in notes],
        "forwards": forwards,
        "call": call,
    }


def _held(held: HeldConference, hide: Callable[[str], str]) -> Held:
    return {
        "name": hide(held.name),
        "held_at": held.held_at.isoformat(),
        "rule": held.rule,
        "revision": held.revision,
    }
