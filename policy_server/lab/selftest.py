"""``selftest``: a whole call on this machine without a person: real server, real SIP, real video, no browser."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Final

import click

from policy_server.cli.common import Unusable, echo, json_option, print_json
from policy_server.lab.stages import Report, Stage, play
from policy_server.lab.wiring import Lab, run_until_stopped

ADP_DELAY: Final = 1.0
"""Seconds before the room dials: enough for the customer to be in on a slow machine."""


@click.command()
@click.option(
    "--keep-logs",
    "logs",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep what the trunk sent and received, and the decisions of the policy server, in this folder.",
)
@json_option
def selftest(logs: Path | None, as_json: bool) -> None:
    """Play one call on this machine, from the link to the hang-up, and say what happened.

    Starts a policy server with rules of its own, a Conferencing Node, a SIP trunk (SIPp) and Genesys Cloud on loopback,
    and plays customer and agent, whose video goes through the node. Settings and rules of yours are not used. Exit
    status 0 only if every stage happened, 2 when SIPp (sip-tester) is not installed.
    """
    with TemporaryDirectory(prefix="policy-server-") as temporary:
        folder = logs or Path(temporary)
        _make_writable(folder)
        report = run_until_stopped(_run(folder, _say_nothing if as_json else _print_stage))
    if report is None:
        click.echo("Stopped before the end.", err=True)
        sys.exit(1)
    if as_json:
        print_json({"ok": report.passed, **asdict(report)})
    else:
        _print_rest(report, logs)
    sys.exit(0 if report.passed else 1)


def _make_writable(logs: Path) -> None:
    try:
        logs.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=logs).close()
    except OSError as error:
        raise Unusable(f"--keep-logs {logs} must be a folder to write to: {error.strerror or error}") from None


async def _run(logs: Path, told: Callable[[int, Stage], None]) -> Report:
    async with Lab.running(logs, adp_delay=ADP_DELAY) as lab:
        return await play(lab, told)


def _print_stage(number: int, stage: Stage) -> None:
    if stage.passed is None:
        click.echo(f"{number:2}. --   {stage.title}: not played")
        return
    mark = click.style("ok  ", fg="green") if stage.passed else click.style("FAIL", fg="red")
    click.echo(f"{number:2}. {mark} {stage.title}")
    echo(f"         {stage.observed}; {stage.seconds:.1f} s")


def _print_rest(report: Report, logs: Path | None) -> None:
    click.echo("\ntimeline")
    for line in report.timeline:
        at = datetime.fromisoformat(line["at"]).astimezone()
        text = line["text"] or " ".join(f"{name}={value}" for name, value in line["data"].items())
        echo(f"  {at:%H:%M:%S}.{at.microsecond // 1000:03}  {line['kind']:<20}  {text}".rstrip())
    if not report.timeline:
        click.echo("  nothing")
    failed = sum(stage.passed is not True for stage in report.stages)
    click.echo(f"\n{len(report.stages)} stages, {len(report.stages) - failed} happened, {failed} did not")
    if logs is not None:
        click.echo(f"Logs are in {logs}.")


def _say_nothing(number: int, stage: Stage) -> None:
    """For JSON, which comes at the end."""
