"""Writes the answers of the golden files anew: ``python -m tests.golden.write``. Read the difference by eye."""

import asyncio

from tests.golden.exchange import application, ask, read_all, render


async def write() -> int:
    """Writes every file whose answer is another now; returns how many."""
    app = application()
    written = 0
    for golden in read_all():
        answer = render(await ask(app, golden.target))
        if answer != golden.answer:
            golden.path.write_text(golden.text(answer), encoding="utf-8")
            print(f"written: {golden.path.name}")
            written += 1
    return written


if __name__ == "__main__":
    asyncio.run(write())
