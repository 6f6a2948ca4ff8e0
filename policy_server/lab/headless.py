"""Customer and agent without browsers, by what their pages would send: a participant of a room, and the agents' widget.

It speaks Pexip's client API (lab/README.md: Client API v2) and Genesys Cloud's (genesys/README.md: Access tokens,
Conversations, Notifications). Video is generated, each participant's of one brightness, by which a viewer tells whose
it is.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Final, Self, cast
from urllib.parse import parse_qs, quote, urlsplit

import httpx
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from policy_server.simulator.exchange import Caller, Exchange, bearer

SIZE: Final = (320, 180)
"""Of the generated pictures, in pixels."""
NEAR: Final = 16
"""How far the brightness of a picture (16 to 235) may be off when it arrives."""
_NO_COLOUR: Final = 128

Json = dict[str, Any]


class NotGivenError(Exception):
    """Somebody asked for something and did not get it; says what, and how it was answered."""


class Attendee:
    """Somebody in a room, from ``joining`` to the end of the block.

    ``roster`` is who is there by the event stream, by uuid, and ``gone`` who was; ``ended`` why the node ended it, ``""``
    while it has not.
    """

    def __init__(self, http: httpx.AsyncClient, root: str, granted: Json, brightness: int) -> None:
        self.roster: Final[dict[str, Json]] = {}
        self.gone: Final[list[Json]] = []
        self.ended = ""
        self.role: Final = str(granted["role"])
        self.uuid: Final = str(granted["participant_uuid"])
        self._http: Final = http
        self._root: Final = root
        self._token: Final = str(granted["token"])
        self._brightness: Final = brightness
        self._seen: Final[Counter[int]] = Counter()
        self._places: Final[list[str]] = []
        self._has_roster: Final = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def joining(
        cls, http: httpx.AsyncClient, node: str, alias: str, name: str, *, pin: str, call_tag: str = "", brightness: int
    ) -> AsyncIterator[Self]:
        """Gets in by a PIN, listens, and sends and receives video. Raises NotGivenError."""
        root = f"{node}/api/client/v2/conferences/{quote(alias, safe='')}"
        asked = {"display_name": name, "call_tag": call_tag}
        granted = _result("a token", await http.post(f"{root}/request_token", json=asked, headers={"pin": pin}))
        one = cls(http, root, granted, brightness)
        listening = asyncio.create_task(one._listen())
        try:
            # What happens while there is no stream is told to nobody.
            await one._has_roster.wait()
            async with one._sending_video():
                yield one
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    @property
    def has_waited(self) -> bool:
        """Whether it waits for a Host or has done so, by the event stream."""
        return "waiting_room" in self._places

    @property
    def is_in(self) -> bool:
        """Whether it is in the room, by the event stream."""
        return bool(self._places) and self._places[-1] not in {"waiting_room", "connecting"}

    def seen(self, brightness: int) -> int:
        """How many pictures of this brightness have arrived."""
        return sum(count for level, count in self._seen.items() if abs(level - brightness) <= NEAR)

    async def end_for_all(self) -> None:
        """Ends the conference. Raises NotGivenError."""
        _result("the end of the conference", await self._post("/disconnect"))

    async def leave(self) -> None:
        """Leaves the room. Raises NotGivenError."""
        _result("to leave", await self._post("/release_token", {"reason": "User initiated disconnect"}))

    async def _post(self, path: str, body: object = None) -> httpx.Response:
        return await self._http.post(self._root + path, json=body or {}, headers={"token": self._token})

    async def _listen(self) -> None:
        async with self._http.stream(
            "GET", f"{self._root}/events", params={"token": self._token}, timeout=None
        ) as events:
            name = ""
            async for line in events.aiter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    self._hear(name, json.loads(value))

    def _hear(self, event: str, data: Any) -> None:
        match event:
            case "participant_create" | "participant_update":
                self.roster[data["uuid"]] = data
                if data["uuid"] == self.uuid:
                    self._places.append(str(data["service_type"]))
            case "participant_sync_end":
                self._has_roster.set()
            case "participant_delete":
                gone = self.roster.pop(data["uuid"], None)
                if gone is not None:
                    self.gone.append(gone)
            case "disconnect":
                self.ended = str(data["reason"])
            case _:
                pass

    @asynccontextmanager
    async def _sending_video(self) -> AsyncIterator[None]:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        watching: list[asyncio.Task[None]] = []
        connection.addTrack(_Camera(self._brightness))
        connection.on("track", lambda track: watching.append(asyncio.create_task(self._watch(track))))
        try:
            await connection.setLocalDescription(await connection.createOffer())
            asked = {"call_type": "WEBRTC", "sdp": connection.localDescription.sdp, "media_type": "video"}
            calls = f"/participants/{self.uuid}/calls"
            call = _result("a call", await self._post(calls, asked))
            await connection.setRemoteDescription(RTCSessionDescription(call["sdp"], "answer"))
            _result("the acknowledgement", await self._post(f"{calls}/{call['call_uuid']}/ack"))
            yield
        finally:
            await connection.close()
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _watch(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = cast("VideoFrame", await track.recv())
                self._seen[memoryview(frame.planes[0])[0]] += 1


class _Camera(VideoStreamTrack):
    """Pictures of one brightness."""

    def __init__(self, brightness: int) -> None:
        super().__init__()
        self._levels: Final = (brightness, _NO_COLOUR, _NO_COLOUR)

    async def recv(self) -> VideoFrame:
        frame = VideoFrame(*SIZE, "yuv420p")
        for plane, level in zip(frame.planes, self._levels, strict=True):
            plane.update(bytes([level]) * plane.buffer_size)
        frame.pts, frame.time_base = await self.next_timestamp()
        return frame


class Widget:
    """The agents' widget: who is signed in, what Genesys Cloud told of the agent's calls, and the lookup."""

    def __init__(self, http: httpx.AsyncClient, genesys: str, policy: str, token: str) -> None:
        self.events: Final[list[Json]] = []
        """Bodies of the notifications that came, in their order."""
        self._genesys: Final = Caller(http, f"{genesys}/api/v2", bearer(token))
        self._policy: Final = Caller(http, policy, bearer(token))

    @classmethod
    async def signed_in(
        cls, http: httpx.AsyncClient, genesys: str, policy: str, agent: str, client_id: str, redirect_uri: str
    ) -> Self:
        """A widget with a token, by Authorization Code with PKCE. Raises NotGivenError."""
        verifier = token_urlsafe(48)
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        client = {"client_id": client_id, "redirect_uri": redirect_uri}
        asked = {"response_type": "code", "code_challenge": challenge, "code_challenge_method": "S256", "agent": agent}
        led = await http.get(f"{genesys}/oauth/authorize", params={**client, **asked}, follow_redirects=False)
        code = parse_qs(urlsplit(led.headers.get("location", "")).query).get("code", [""])[0]
        if not code:
            raise NotGivenError(f"the login gave no code, but HTTP {led.status_code}")
        form = {**client, "grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        answer = await http.post(f"{genesys}/oauth/token", data=form)
        if answer.status_code != 200:
            raise NotGivenError(f"the login gave no token for its code, but HTTP {answer.status_code}")
        return cls(http, genesys, policy, str(answer.json()["access_token"]))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hears of the agent's calls while the block lasts. Raises NotGivenError."""
        me = _given("the user", await self._genesys.send("GET", "/users/me"))
        channel = _given("a notification channel", await self._genesys.send("POST", "/notifications/channels"))
        path = f"/notifications/channels/{channel['id']}/subscriptions"
        topics = [{"id": f"v2.users.{me['id']}.conversations.calls"}]
        _given("the subscription", await self._genesys.send("POST", path, body=topics))
        async with connect(str(channel["connectUri"]), proxy=None) as socket:
            # What was sent before the answer to this would be lost.
            await socket.send('{"message": "ping"}')
            await socket.recv()
            hearing = asyncio.create_task(self._hear(socket))
            try:
                yield
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)

    async def caller_address(self, conversation: str) -> str:
        """``ani`` of the customer of a conversation, ``""`` without. Raises NotGivenError."""
        found = _given("the conversation", await self._genesys.send("GET", f"/conversations/{conversation}"))
        people = found.get("participants")
        found_addresses = (one.get("ani") for one in people if one.get("purpose") == "customer") if people else ()
        return str(next(filter(None, found_addresses), ""))

    async def look_up(self, call: str, conversation: str) -> Mapping[str, Any]:
        """The conference of a call, as the policy server tells it to this agent. Raises NotGivenError."""
        path = f"/agent/v1/conferences/{quote(call, safe='')}"
        query = f"conversation={quote(conversation, safe='')}"
        return _given("the conference", await self._policy.send("GET", path, query))

    async def _hear(self, socket: Any) -> None:
        with suppress(ConnectionClosed):
            async for text in socket:
                message = json.loads(text)
                if message["topicName"] != "channel.metadata":
                    self.events.append(message["eventBody"])


def _result(what: str, answer: httpx.Response) -> Any:
    """``result`` of an answer of the client API."""
    if answer.status_code != 200:
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        said = answer.json().get("result") if is_json else answer.text
        raise NotGivenError(f"the node did not give {what}, but HTTP {answer.status_code}: {said}")
    return answer.json()["result"]


def _given(what: str, exchange: Exchange) -> Mapping[str, Any]:
    if exchange.status != 200:
        said = exchange.unreachable or exchange.problem
        got = f"HTTP {exchange.status}" + (f": {said}" if said else "")
        raise NotGivenError(f"{exchange.method} {exchange.path} did not give {what}, but {got}")
    return exchange.fields
