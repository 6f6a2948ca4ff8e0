"""A Conferencing Node with one customer's call: asks on and on, and writes down what came, in a process of its own.

``python -m tests.attack.customer HOST PORT PATH AUTHORIZATION``: a JSON line for each question, with the moment by the
monotonic clock, the seconds that it took, and whether the answer was the call's room. Ends when standard input does.
"""

import asyncio
import json
import sys
import time
from typing import Final

EVERY: Final = 0.02
"""Seconds between two questions, each on a connection of its own."""

PATIENCE: Final = 5.0
"""A node waits no longer."""


async def ask(host: str, port: int, head: bytes) -> bytes:
    """One question; all that came back."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(head)
        return await reader.read()
    finally:
        writer.close()


async def note(host: str, port: int, head: bytes) -> None:
    """Asks, and writes down what became of it."""
    at = time.monotonic()
    try:
        answer = await asyncio.wait_for(ask(host, port, head), PATIENCE)
    except (OSError, TimeoutError):
        answer = b""
    good = answer.startswith(b"HTTP/1.1 200") and b'"service_type":"conference"' in answer
    print(json.dumps({"at": at, "seconds": time.monotonic() - at, "good": good}), flush=True)


async def main(host: str, port: str, path: str, authorization: str) -> None:
    """Asks until standard input ends."""
    head = (
        f"GET {path} HTTP/1.1\r\nHost: policy\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n".encode()
    )
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    asked: set[asyncio.Task[None]] = set()
    while not ended.done():
        task = asyncio.create_task(note(host, int(port), head))
        asked.add(task)
        task.add_done_callback(asked.discard)
        await asyncio.sleep(EVERY)
    await asyncio.gather(*asked)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
