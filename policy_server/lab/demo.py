"""``demo``: the whole call on this machine, for a person with a browser."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from policy_server.lab.examples import EXAMPLES
from policy_server.lab.wiring import ADP_DELAY, PORTS, Lab, Pages, run_until_stopped


@click.command()
@click.option(
    "--port",
    "first_port",
    metavar="PORT",
    default=0,
    type=click.IntRange(0, 65536 - len(PORTS)),
    help=f"First of {len(PORTS)} ports in a row to listen on (default: free ones).",
)
@click.option(
    "--adp-delay",
    metavar="SECONDS",
    default=ADP_DELAY,
    show_default=True,
    type=click.FloatRange(0, 600),
    help="How long after the customer the room dials; ten or more on a real node.",
)
@click.option(
    "--examples",
    metavar="DIR",
    default=EXAMPLES,
    type=click.Path(path_type=Path),
    help="Folder with customer-app and agent-app (default: examples, beside the program).",
)
def demo(first_port: int, adp_delay: float, examples: Path) -> None:
    """Run a whole contact centre on this machine, to play a call in a browser.

    Starts a policy server with rules of its own, a Conferencing Node, a SIP trunk (SIPp), Genesys Cloud, and the pages of
    customer and agent, all on loopback, and stops with Ctrl+C. Settings and rules of yours are not used. Exit status 2
    when SIPp (sip-tester) is not installed.
    """
    with TemporaryDirectory(prefix="policy-server-") as logs:
        run_until_stopped(_run(Path(logs), examples, adp_delay, first_port))
    click.echo("Stopped.")


async def _run(logs: Path, examples: Path, adp_delay: float, first_port: int) -> None:
    async with Lab.running(logs, adp_delay=adp_delay, examples=examples, first_port=first_port) as lab:
        if lab.pages is not None:
            _announce(lab, lab.pages, adp_delay)
        await asyncio.Event().wait()


def _announce(lab: Lab, pages: Pages, adp_delay: float) -> None:
    click.echo(
        f"""\
Everything runs. Open these in a browser with a camera, on this machine:

  customer       {pages.customer_url}/
  agent desktop  {pages.desktop_url}/?agent=maria
  trunk          {lab.trunk_url}/

1. The customer gives a name, joins, and waits.
2. {adp_delay:g} s later the room dials the trunk, and the call rings at Maria Silva's desktop. Answer it: her widget opens,
   finds the conference and shows the customer. Other agents, to transfer to: ?agent=tom, ?agent=aiko.
3. Somebody hangs up.

While it runs, {lab.logs} holds what went over the trunk and what the policy server decided.
Ctrl+C stops it."""
    )
