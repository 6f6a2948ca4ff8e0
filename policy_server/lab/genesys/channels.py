"""Notification channels of the stand-in of Genesys Cloud: topics in, messages out over a WebSocket.

(genesys/README.md: Notifications) Nothing is replayed: what happens while no socket is open on a channel is lost to it.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from starlette.websockets import WebSocket, WebSocketDisconnect

CALLS: Final = "conversations.calls"

_METADATA: Final = "channel.metadata"
_HEARTBEAT: Final = json.dumps({"topicName": _METADATA, "eventBody": {"message": "WebSocket Heartbeat"}})
_PONG: Final = json.dumps({"topicName": _METADATA, "eventBody": {"message": "pong"}})
_CLOSE: Final = ""
_GOING_AWAY: Final = 1001


@dataclass(slots=True)
class _Outbox:
    """What an open socket is to send: text, ``_CLOSE``, or None when the other side is gone."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    queue: "asyncio.Queue[str | None]" = field(default_factory=asyncio.Queue)

    def put(self, message: str | None) -> None:
        """From any thread."""
        self.loop.call_soon_threadsafe(self.queue.put_nowait, message)


@dataclass(slots=True)
class Channel:
    """One channel of one user."""

    user_id: str
    id: str = field(default_factory=lambda: str(uuid4()))
    topics: dict[str, None] = field(default_factory=dict)
    """In the order in which they were subscribed to."""
    outbox: _Outbox | None = None


class Channels:
    """All channels. ``heartbeat_seconds`` lie between two heartbeats of a socket."""

    def __init__(self, heartbeat_seconds: float) -> None:
        self._heartbeat_seconds: Final = heartbeat_seconds
        self._channels: Final[dict[str, Channel]] = {}
        self._deaf: Final[set[str]] = set()

    def open(self, user_id: str) -> Channel:
        """Makes a channel."""
        channel = Channel(user_id)
        self._channels[channel.id] = channel
        return channel

    def find(self, channel_id: str, user_id: str) -> Channel | None:
        """A channel, if it is this user's."""
        channel = self._channels.get(channel_id)
        return channel if channel is not None and channel.user_id == user_id else None

    def is_listening(self, user_id: str) -> bool:
        """Whether a socket of this user is open and subscribed to the user's calls."""
        return any(True for _ in self._listening(user_id))

    def publish(self, user_id: str, body: Mapping[str, Any]) -> None:
        """Tells a user of a call, on every channel that is subscribed to the user's calls."""
        if user_id in self._deaf:
            return
        topic = calls_topic(user_id)
        message = {"topicName": topic, "version": "2", "eventBody": body, "metadata": {"CorrelationId": str(uuid4())}}
        for outbox in self._listening(user_id):
            outbox.put(json.dumps(message))

    def deafen(self, user_id: str, deaf: bool) -> None:
        """A user's channels, those too that are made later, stay open, send heartbeats and deliver nothing."""
        (self._deaf.add if deaf else self._deaf.discard)(user_id)

    def drop(self, user_id: str) -> None:
        """Closes a user's sockets. The channels stay and may be connected to again."""
        for channel in self._channels.values():
            if channel.user_id == user_id and channel.outbox is not None:
                channel.outbox.put(_CLOSE)

    def reset(self) -> None:
        """Closes all sockets and forgets all channels."""
        for channel in self._channels.values():
            if channel.outbox is not None:
                channel.outbox.put(_CLOSE)
        self._channels.clear()
        self._deaf.clear()

    async def serve(self, socket: WebSocket) -> None:
        """One connection to a channel, which takes the place of an earlier one; an unknown channel is refused."""
        channel = self._channels.get(socket.path_params["id"])
        if channel is None:
            await socket.close()
            return
        await socket.accept()
        outbox = _Outbox()
        if channel.outbox is not None:
            channel.outbox.put(_CLOSE)
        channel.outbox = outbox
        reading = asyncio.create_task(_read(socket, outbox))
        try:
            with suppress(WebSocketDisconnect):
                await self._write(socket, outbox)
        finally:
            if channel.outbox is outbox:
                channel.outbox = None
            reading.cancel()
            await asyncio.wait((reading,))

    def _listening(self, user_id: str) -> Iterable[_Outbox]:
        topic = calls_topic(user_id)
        for channel in tuple(self._channels.values()):
            if topic in channel.topics and channel.user_id == user_id and channel.outbox is not None:
                yield channel.outbox

    async def _write(self, socket: WebSocket, outbox: _Outbox) -> None:
        beat = outbox.loop.time() + self._heartbeat_seconds
        while True:
            try:
                async with asyncio.timeout_at(beat):
                    message = await outbox.queue.get()
            except TimeoutError:
                message, beat = _HEARTBEAT, beat + self._heartbeat_seconds
            if message is None:
                return
            if message == _CLOSE:
                await socket.close(_GOING_AWAY)
                return
            await socket.send_text(message)


def calls_topic(user_id: str) -> str:
    """The topic of a user's calls."""
    return f"v2.users.{user_id}.{CALLS}"


async def _read(socket: WebSocket, outbox: _Outbox) -> None:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        with suppress(json.JSONDecodeError):
            if json.loads(message.get("text") or "null") == {"message": "ping"}:
                outbox.put(_PONG)
    outbox.put(None)
