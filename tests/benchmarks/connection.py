"""One HTTP/1.1 connection, cheaper than a client library: whoever asks must not be what is slow."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Final

Headers = Mapping[str, str]


class Connection:
    """A connection to a server on loopback that is opened when it is used, and kept alive."""

    def __init__(self, port: int) -> None:
        self._port: Final = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, method: str, target: str, headers: Headers, body: bytes = b"") -> tuple[int, Headers]:
        """Sends a request; the status and the headers of its answer, whose body ``body`` reads. Raises OSError and EOFError.

        Once more where the server closed the connection because nobody used it, as every client does.
        """
        request = written(method, target, headers, body)
        if self._writer is not None:
            with suppress(OSError, asyncio.IncompleteReadError):
                return await self._exchange(request)
            self.close()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return await self._exchange(request)

    async def _exchange(self, request: bytes) -> tuple[int, Headers]:
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(request)
        status_line, *header_lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in header_lines)}
        return int(status_line.split()[1]), found

    async def body(self, headers: Headers) -> bytes:
        """The body of an answer."""
        assert self._reader is not None
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return b"".join([chunk async for chunk in self.chunks()]) if "transfer-encoding" in headers else b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of an answer as they come."""
        assert self._reader is not None
        while size := int((await self._reader.readline()).strip() or b"0", 16):
            chunk = await self._reader.readexactly(size)
            await self._reader.readline()
            yield chunk
        await self._reader.readline()

    def close(self) -> None:
        """Closes it; the next request opens it again."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def written(method: str, target: str, headers: Headers, body: bytes = b"") -> bytes:
    """A request as it is sent; a body is JSON."""
    lines = [f"{method} {target} HTTP/1.1", "Host: policy.example.com", *(f"{k}: {v}" for k, v in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def as_json(body: object) -> bytes:
    """A body to send; None is none."""
    return b"" if body is None else json.dumps(body).encode()
