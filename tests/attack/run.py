"""Plays every attack while a customer's call goes on, and prints what came of it: ``make attack``.

``python -m tests.attack.run [--only WORD] [--write SECURITY.md]``. Exit status 1 when an attack got what it wanted, a
policy answer was lost, or the answers' 99th percentile was more than three times that of the quiet between the attacks.
It means nothing on a machine that is busy with other things.
"""

import argparse
import asyncio
import json
import math
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.attack.attacks import ATTACKS, Attack, Outcome
from tests.attack.stage import Stage, cores, customer, keep_to, staged

QUIET: Final = 2.0
ATTACKED: Final = 5.0
SETTLE: Final = 0.5
"""Seconds before an attack, of it, and after it."""

MOST_SLOWER: Final = 3.0
AT_LEAST: Final = 0.05
"""Seconds below which no 99th percentile is a slow one, whatever the quiet was like: a node waits five."""

BEGIN, END = "<!-- make attack writes this -->\n", "<!-- to here -->\n"


@dataclass(frozen=True)
class Felt:
    """What the customer's call felt: questions, answers lost, and the seconds of the 99th percentile."""

    asked: int
    lost: int
    p99: float


@dataclass(frozen=True)
class Row:
    """One attack and what became of it."""

    attack: Attack
    outcome: Outcome
    meanwhile: Felt

    def is_good(self, quiet: Felt) -> bool:
        """Whether the attacker got nothing, and the call felt nothing."""
        bound = max(AT_LEAST, quiet.p99 * MOST_SLOWER)
        return self.outcome.held and self.meanwhile.lost == 0 and self.meanwhile.p99 <= bound


def main() -> int:
    """Runs the attacks."""
    parser = argparse.ArgumentParser(description="Attacks a server of its own on loopback.")
    parser.add_argument("--only", default="", help="attacks with this word in their name")
    parser.add_argument("--write", type=Path, help="a file with a table to replace")
    options = parser.parse_args()
    attacks = [attack for attack in ATTACKS if options.only in attack.name]
    inside, outside = cores()
    keep_to(inside)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with staged(folder) as stage, customer(stage, folder / "felt"):
            windows = asyncio.run(play(stage, attacks, outside))
            log = stage.server.err
        felt = [json.loads(line) for line in (folder / "felt").read_text().splitlines()]
    rows = [Row(attack, outcome, during(felt, [(started, ended)])) for attack, outcome, started, ended in windows]
    quiet = during(felt, [(started - QUIET, started) for _, _, started, _ in windows])
    if options.write is not None:
        text = options.write.read_text(encoding="utf-8")
        pattern = re.compile(f"(?<={re.escape(BEGIN)}).*(?={re.escape(END)})", re.DOTALL)
        options.write.write_text(pattern.sub(lambda _: f"\n{table(rows, quiet)}\n", text), encoding="utf-8")
    print(table(rows, quiet))
    failures = [row.attack.name for row in rows if not row.is_good(quiet)]
    if "Traceback" in log:
        failures.append("the server logged a traceback")
        print(log[-5000:], file=sys.stderr)
    print(f"{len(rows)} attacks; not as it should be: {'; '.join(failures) or 'nothing'}")
    return 1 if failures else 0


async def play(stage: Stage, attacks: list[Attack], outside: set[int]) -> list[tuple[Attack, Outcome, float, float]]:
    """Each attack after some quiet, with the moments at which it began and ended."""
    # Attackers have machines of their own: they must not take the processor from server and node.
    os.nice(19)
    keep_to(outside)
    played = []
    for attack in attacks:
        await asyncio.sleep(QUIET)
        started = time.monotonic()
        stage.until = started + ATTACKED
        outcome = await attack.play(stage)
        ended = max(time.monotonic(), started + 1)
        played.append((attack, outcome, started, ended))
        print(f"{'ok  ' if outcome.held else 'FAIL'} {attack.name}: {outcome.happened}", file=sys.stderr, flush=True)
        await asyncio.sleep(SETTLE)
    return played


def during(felt: list[dict[str, float]], windows: list[tuple[float, float]]) -> Felt:
    """What the call felt of the questions that it asked within some times."""
    asked = [each for each in felt if any(since <= each["at"] < until for since, until in windows)]
    seconds = sorted(each["seconds"] for each in asked)
    p99 = seconds[math.ceil(len(seconds) * 0.99) - 1] if seconds else 0.0
    return Felt(len(asked), sum(not each["good"] for each in asked), p99)


def table(rows: list[Row], quiet: Felt) -> str:
    """The rows as Markdown."""
    lines = ["| Attack | What happened | Answers lost | p99 |", "|---|---|---|---|"]
    lines.append(f"| none | | {told(quiet)} |")
    lines += [f"| {row.attack.name} | {row.outcome.happened} | {told(row.meanwhile)} |" for row in rows]
    return "\n".join(lines) + "\n"


def told(felt: Felt) -> str:
    """The last two columns of the table."""
    return f"{felt.lost} of {felt.asked} | {felt.p99 * 1000:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
