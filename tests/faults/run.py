"""Plays every fault with real SIP, in real time, and prints what came of each: ``make faults``.

``python -m tests.faults.run [--only WORD] [--write README.md]``. Needs SIPp, and PostgreSQL for what has replicas. Exit
status 1 when a row is not as it has to be.
"""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.conferences.postgres import Postgres, running_postgres
from tests.faults.cases import CASES, Case
from tests.faults.plays import PATIENCE
from tests.faults.races import RACES
from tests.faults.replicas import replicated
from tests.faults.stage import overlap, staged, until
from tests.faults.table import BEGIN, END, Row, table

AT_ONCE: Final = 8
"""Rows that are played at a time; they share nothing."""
WATCHED: Final = 3.0
"""Seconds for which a call is watched after its outcome: would another trunk ring?"""


async def play(case: Case, folder: Path, postgres: Postgres | None, starting: asyncio.Lock) -> Row:
    """Plays one."""
    async with AsyncExitStack() as stack:
        if case.killed is None:
            staging = staged(
                folder,
                case.dial_out,
                case.assurance,
                case.lines,
                has_sink=case.has_sink,
                adp_delay=case.adp_delay,
            )
        elif postgres is not None:
            kill = case.killed, case.killed_after
            staging = replicated(folder, postgres, case.dial_out, case.assurance, case.lines, *kill)
        # One after the other: a node waits no longer than usual because the next row begins.
        async with starting:
            stage = await stack.enter_async_context(staging)
            customer = await stage.customer()
        outcome, seconds = await case.play(stage, customer)
        await asyncio.sleep(WATCHED)
        if any(one.uuid == customer.session.uuid for one in customer.session.room.meeting.participants):
            stage.node.leave(customer.session)
        await until(lambda: not stage.is_running(customer.call), PATIENCE)
        found = await stage.ended(customer.call)
        rings = stage.of(customer.call)
        wrong = []
        if case.killed is not None and stage.management.strikes:
            wrong.append("nobody was killed")
        if len({(ring.invite.from_display_name, ring.invite.from_user) for ring in rings}) != 1:
            wrong.append("the caller was not the same")
    invites, double, code = tuple(ring.trunk for ring in rings), overlap(rings), found["verdict"]["code"]
    wrong += [
        f"{what}: {was} instead of {should}"
        for what, was, should in (
            ("INVITEs", invites, case.invites),
            ("customer", outcome, case.outcome),
            ("verdict", code, case.code),
        )
        if was != should
    ]
    wrong += [f"took more than {case.within:g} s"] if seconds > case.within else []
    wrong += [f"two legs for {double:.2f} s"] if double > case.two_legs else []
    return Row(case.name, invites, double, outcome, seconds, code, tuple(wrong))


async def told(name: str, playing: Awaitable[Row]) -> Row:
    """What came of a row; what goes wrong is told in it."""
    started = time.monotonic()
    try:
        row = await playing
    except Exception as error:
        row = Row(name, (), 0.0, "", time.monotonic() - started, "", (f"{type(error).__name__}: {error}",))
    print(f"{'FAIL' if row.wrong else 'ok  '} {row.name}: {'; '.join(row.wrong)}", file=sys.stderr, flush=True)
    return row


async def play_all(word: str, folder: Path, postgres: Postgres | None) -> list[Row]:
    """Plays the rows with a word in their name: side by side, and those of many calls one after the other."""
    turn, starting = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def in_turn(case: Case, number: int) -> Row:
        async with turn:
            return await told(case.name, play(case, folder / str(number), postgres, starting))

    chosen = [(case, number) for number, case in enumerate(CASES) if word in case.name]
    rows = list(await asyncio.gather(*(in_turn(case, number) for case, number in chosen)))
    for number, (name, race) in enumerate(RACES.items()):
        if word in name:
            rows.append(await told(name, race(name, folder / f"race-{number}")))
    return rows


def main() -> int:
    """Plays the rows."""
    parser = argparse.ArgumentParser(description="Plays calls whose legs fail, on loopback, with real SIP.")
    parser.add_argument("--only", default="", help="rows with this word in their name")
    parser.add_argument("--write", type=Path, help="a file with a table to replace")
    options = parser.parse_args()
    started = time.monotonic()
    with ExitStack() as stack:
        has_replicas = any(case.killed for case in CASES if options.only in case.name)
        postgres = stack.enter_context(running_postgres("fsync=off")) if has_replicas else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rows = asyncio.run(play_all(options.only, folder, postgres))
    text = f"{table(rows)}\nPlayed on {datetime.now(UTC):%d %B %Y} in {time.monotonic() - started:.0f} s.\n"
    if options.write is not None:
        page = options.write.read_text(encoding="utf-8")
        pattern = re.compile(f"(?<={re.escape(BEGIN)}).*(?={re.escape(END)})", re.DOTALL)
        options.write.write_text(pattern.sub(lambda _: f"\n{text}\n", page), encoding="utf-8")
    print(text)
    for row in rows:
        for each in row.wrong:
            print(f"{row.name}: {each}")
    return 1 if any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
