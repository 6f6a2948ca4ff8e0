"""What ``simulate`` prints of the steps that were played."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click

from policy_server.cli.common import echo, print_json
from policy_server.simulator.node import Judged
from policy_server.simulator.steps import LeftOut, Step
from policy_server.wording.values import shown

HERE: Final = "in this process"
"""What begins ``where`` of a step for which there is no server."""


@dataclass(frozen=True, slots=True)
class Played:
    """One step, or some that were left out, and where and when it was played."""

    step: Step | LeftOut
    where: str

    @property
    def silence(self) -> str:
        """Why a request got no answer at all; ``""`` if it got one."""
        return self.step.exchange.unreachable if isinstance(self.step, Step) else ""


def tell(played: Sequence[Played], as_json: bool) -> None:
    """Prints what was played and ends with the status."""
    steps = [(item.step, item.where) for item in played if isinstance(item.step, Step)]
    left_out = [item.step for item in played if isinstance(item.step, LeftOut)]
    failed = sum(not step.passed for step, _ in steps)
    if as_json:
        print_json(
            {
                "ok": not failed,
                "steps": [_json(step, where) for step, where in steps],
                "left_out": [{"what": each.what, "needs": each.remedy} for each in left_out],
            }
        )
    else:
        number = 0
        for item in played:
            if isinstance(item.step, LeftOut):
                echo(f"-. left out: {item.step.what} (needs {item.step.remedy})")
            else:
                number += 1
                _print(number, item.step, item.where)
        click.echo(f"{len(steps)} steps, {failed} failed" + (f", some left out: {len(left_out)}" if left_out else ""))
    silent = next((item for item in played if item.silence), None)
    if silent is not None:
        click.echo(
            f"No answer from {silent.where} ({silent.silence}). Is the server running, and is that the URL of its "
            "policy profile?",
            err=True,
        )
    sys.exit(1 if failed else 0)


def _json(step: Step, where: str) -> dict[str, object]:
    exchange = step.exchange
    verdict = exchange.verdict if isinstance(exchange, Judged) else None
    return {
        "title": step.title,
        "where": where,
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "error": exchange.unreachable or None,
        "milliseconds": round(exchange.answer.seconds * 1000, 1),
        "outcome": verdict.outcome if verdict else None,
        "forwarded_to": (exchange.forwarded_to or None) if isinstance(exchange, Judged) else None,
        "used": verdict.used if verdict else None,
        "objections": [objection.reason for objection in verdict.objections] if verdict else [],
        "problem": exchange.problem or None,
        "checks": [{"passed": check.passed, "text": check.text} for check in step.checks],
        "passed": step.passed,
    }


def _print(number: int, step: Step, where: str) -> None:
    exchange = step.exchange
    mark = click.style("ok  ", fg="green") if step.passed else click.style("FAIL", fg="red")
    click.echo(f"{number}. {mark} ", nl=False)
    echo(step.title)
    query = exchange.query if len(exchange.query) <= 90 else exchange.query[:89] + "…"
    echo(f"     {exchange.method} {exchange.path}{'?' if query else ''}{query}")
    if exchange.unreachable:
        echo(f"     {where}; no answer: {exchange.unreachable}")
        return
    echo(f"     {where}; HTTP {exchange.status}, {exchange.answer.seconds * 1000:.1f} ms")
    if isinstance(exchange, Judged):
        if exchange.forwarded_to:
            not_asked = ", which nobody asks when a call is played here" if where.startswith(HERE) else ""
            echo(f"     forwarded to {shown(exchange.forwarded_to)}{not_asked}")
        if exchange.verdict.used:
            echo(f"     judge: Pexip uses it ({exchange.verdict.outcome})")
        for objection in exchange.verdict.objections:
            echo(f"     judge: {' '.join(filter(None, (objection.rule, objection.field)))}: {objection.reason}")
    if exchange.problem:
        echo(f"     the server says: {exchange.problem}")
    for check in step.checks:
        echo(f"     {'yes' if check.passed else 'NO '}: {check.text}")
