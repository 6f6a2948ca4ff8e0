"""Writes the answers of the golden files anew: ``python -m tests.golden.write``. Read the difference by eye."""

import asyncio

from tests.golden.exchange import ask, read_all, render, store


async def write() -> int:
    """Writes every file whose answer is another now; returns how many."""
    rules = store()
    written = 0
    for golden in read_all():
        answer = render(await ask(rules, golden.target))
        if answer != golden.answer:
            golden.path.write_text(golden.text(answer), encoding="utf-8")
            print(f"written: {golden.path.name}")
            written += 1
    return written


if __name__ == "__main__":
    asyncio.run(write())
