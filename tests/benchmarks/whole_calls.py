"""Whole calls in their real proportions, from the link to the last hang-up, at a steady rate against one process.

A call is a link, its page, nine questions of a node, fourteen messages of an event sink, two lookups of the agent's widget
and its stream, which is open from the agent's answer to the end. Steps come at the times of a real call, made shorter.
"""

import argparse
import asyncio
from pathlib import Path

from tests.benchmarks.contact_centre import contact_centre
from tests.benchmarks.played import play
from tests.benchmarks.servers import take_load_core
from tests.benchmarks.versions import HERE, Version


async def play_at(version: Version, folder: Path, database: str, rates: list[float], seconds: float) -> None:
    """Plays calls at each rate in turn, and prints what they came to."""
    async with contact_centre(version, folder, database=database) as centre:
        with centre.serving() as server:
            for rate in rates:
                played = await play(server, centre.genesys, rate, seconds)
                print(
                    f"{played.rate:5.1f}/s  {played.calls:4} calls  {played.cpu_a_call:6.1f} ms CPU a call  "
                    f"policy p50 {played.policy_p50:6.1f} p99 {played.policy_p99:7.1f} ms  core {played.load:.2f}  "
                    f"{server.resident_mib:.0f} MiB  {'; '.join(played.faults) or 'no faults'}",
                    flush=True,
                )


def main() -> None:
    """Plays calls against a server of a checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", type=Path, default=HERE)
    parser.add_argument("--database", default="")
    parser.add_argument("--rates", type=float, nargs="+", default=[4.0])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    version = Version(options.checkout.name, options.checkout.resolve())
    take_load_core()
    asyncio.run(play_at(version, options.folder, options.database, options.rates, options.seconds))


if __name__ == "__main__":
    main()
