"""A decision explained: the value that ``evaluate`` returned, as rows for a person or JSON for a program."""

from collections.abc import Iterable

from policy_server.policy.answers import Answer
from policy_server.policy.decisions import Decision, Finding, Outcome

MARKS = {Outcome.HIT: "hit ", Outcome.MISS: "miss", Outcome.NOT_EVALUATED: "-   "}


def explain_json(decision: Decision, answer: Answer | None, revision: str) -> dict[str, object]:
    """The JSON of ``explain --json``."""
    return {
        "rule": decision.rule,
        "reason": decision.reason,
        "answer": answer,
        "findings": [
            {
                "rule": finding.rule,
                "outcome": finding.outcome.value,
                "condition": finding.condition or None,
                "reason": finding.reason or None,
            }
            for finding in decision.trace.findings()
        ],
        "revision": revision,
    }


def explain_rows(findings: Iterable[Finding], paint: dict[Outcome, str] | None = None) -> list[str]:
    """A row for each rule: what became of it, its id, and the condition that missed with the reason."""
    rows = list(findings)
    width = max((len(finding.rule) for finding in rows), default=0)
    colours = paint or {}
    reset = "\033[0m" if paint else ""
    return [
        f"  {colours.get(row.outcome, '')}{MARKS[row.outcome]}{reset}  {row.rule:<{width}}  {row.reason}".rstrip()
        for row in rows
    ]
