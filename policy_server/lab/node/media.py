"""WebRTC of a simulated node: each leg's video goes to the others in its room, through aiortc on loopback.

A real node mixes; this one shows each leg the newest other leg that sends. Of a leg that is muted or waits nobody is
shown a frame. Audio is accepted and thrown away: the contact centre's voice is the trunk's.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Self, cast

import aioice.ice
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp
from av import VideoFrame

LOOPBACK: Final = "127.0.0.1"
CLOCK_RATE: Final = 90_000
"""Ticks a second of the stamps on video frames (RFC 3551, section 5)."""
MOST_FRAMES: Final = 15.0
"""Frames a second that are passed on: enough to see movement, and each is coded anew in Python."""
FILL_SECONDS: Final = 0.4
"""After so long without a picture, a leg that is never left without gets a grey one."""
_GREY_SIZE: Final = (320, 180)


class OfferError(ValueError):
    """An offer that cannot be answered."""


class _Shown(VideoStreamTrack):
    """What a leg is shown: a track that has a frame when somebody else's arrives, and none otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self._frame: VideoFrame | None = None
        self._has_frame: Final = asyncio.Event()

    @property
    def is_shut(self) -> bool:
        return self.readyState != "live"

    def offer(self, frame: VideoFrame) -> None:
        self._frame = frame
        self._has_frame.set()

    async def recv(self) -> VideoFrame:
        await self._has_frame.wait()
        self._has_frame.clear()
        if self._frame is None or self.is_shut:
            raise MediaStreamError
        return self._frame

    def stop(self) -> None:
        super().stop()
        self._frame = None
        self._has_frame.set()


@dataclass(slots=True, eq=False)
class _Leg:
    room: str
    connection: RTCPeerConnection
    shown: _Shown
    is_open: bool
    is_filled: bool
    source: Self | None = None
    pumps: list["asyncio.Task[None]"] = field(default_factory=list)
    sends: bool = False
    """Whether a frame of it has arrived."""
    shown_at: float | None = None
    """When it was last shown something, by the clock of the loop."""


class Media:
    """The peer connections of a node. Close it, or they stay. From the first on, all in this process stay on loopback."""

    def __init__(self) -> None:
        self._legs: Final[dict[str, _Leg]] = {}
        self._filler: asyncio.Task[None] | None = None
        self._started: Final = asyncio.get_running_loop().time()
        # aioice leaves loopback out; nothing here is for other machines.
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [LOOPBACK]

    async def answer(
        self,
        leg: str,
        room: str,
        offer: str,
        *,
        is_open: bool,
        is_filled: bool = False,
        on_over: Callable[[bool], None] = lambda _: None,
    ) -> str:
        """Answers the offer of a new leg with an SDP that holds all candidates. Raises OfferError.

        A leg that ``is_filled`` gets grey pictures once others' stop, as a node's mix never stops: @pexip/infinity
        restarts ICE after a second without packets. ``on_over`` is called when the leg's connection ends, but not here,
        and told whether it failed or else was closed by the browser.
        """
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        made = _Leg(room, connection, _Shown(), is_open, is_filled)

        @connection.on("track")
        def take(track: MediaStreamTrack) -> None:
            pump = self._show(made, track) if track.kind == "video" else _throw_away(track)
            made.pumps.append(asyncio.create_task(pump))

        @connection.on("connectionstatechange")
        def watch() -> None:
            if connection.connectionState in {"failed", "closed"} and self._legs.get(leg) is made:
                on_over(connection.connectionState == "failed")

        try:
            sdp = await self._negotiate(made, offer)
        except BaseException:
            await _close(made)
            raise
        self._legs[leg] = made
        self._route(room)
        if is_filled and self._filler is None:
            self._filler = asyncio.create_task(self._fill())
        return sdp

    async def update(self, leg: str, offer: str) -> str:
        """Answers another offer of a leg. Raises OfferError, KeyError."""
        return await self._negotiate(self._legs[leg], offer)

    async def add_candidate(self, leg: str, candidate: str, mid: str) -> None:
        """Takes a remote candidate; the empty one is the last. One that cannot be read is ignored."""
        connection = self._legs[leg].connection
        if not candidate:
            with suppress(ValueError):
                await connection.addIceCandidate(None)
            return
        with suppress(ValueError, IndexError, AssertionError):
            parsed = candidate_from_sdp(candidate.removeprefix("candidate:"))
            parsed.sdpMid = mid
            await connection.addIceCandidate(parsed)

    def set_open(self, leg: str, is_open: bool) -> None:
        """Whether a leg's pictures are shown to others: not while it is muted or waits."""
        found = self._legs.get(leg)
        if found is not None and found.is_open is not is_open:
            found.is_open = is_open
            self._route(found.room)

    async def close(self, leg: str) -> None:
        """Ends a leg, if there is one."""
        found = self._legs.pop(leg, None)
        if found is not None:
            self._route(found.room)
            await _close(found)

    async def close_all(self) -> None:
        """Ends every leg."""
        for leg in tuple(self._legs):
            await self.close(leg)
        if self._filler is not None:
            self._filler.cancel()
            await asyncio.gather(self._filler, return_exceptions=True)
            self._filler = None

    async def _negotiate(self, leg: _Leg, offer: str) -> str:
        connection = leg.connection
        if offer.count("\nm=") < max(1, len(connection.getTransceivers())):
            raise OfferError("the offer cannot be answered: it has too few media descriptions (m= lines)")
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            self._give_video(leg)
            await connection.setLocalDescription(await connection.createAnswer())
        except Exception as error:  # what an SDP can be wrong in has no common name in aiortc
            raise OfferError(f"the offer cannot be answered: {type(error).__name__}: {error}".rstrip(": ")) from error
        return str(connection.localDescription.sdp)

    def _give_video(self, leg: _Leg) -> None:
        """The first video that is offered gets what the leg is shown; a second is for presentations, which are none."""
        videos = [each for each in leg.connection.getTransceivers() if each.kind == "video"]
        if videos and videos[0].sender.track is None:
            videos[0].sender.replaceTrack(leg.shown)
            videos[0].direction = "sendrecv"

    def _route(self, room: str) -> None:
        legs = [leg for leg in self._legs.values() if leg.room == room]
        for viewer in legs:
            others = [leg for leg in legs if leg is not viewer and leg.is_open and leg.sends]
            viewer.source = others[-1] if others and not viewer.shown.is_shut else None

    async def _show(self, leg: _Leg, track: MediaStreamTrack) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0
        with suppress(MediaStreamError):
            while True:
                frame = cast("VideoFrame", await track.recv())
                now = loop.time()
                if now < due:
                    continue
                due = max(due, now - 1 / MOST_FRAMES) + 1 / MOST_FRAMES
                if not leg.sends:
                    leg.sends = True
                    self._route(leg.room)
                for viewer in self._legs.values():
                    if viewer.source is leg:
                        self._offer(viewer, frame)

    async def _fill(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(FILL_SECONDS / 2)
            for leg in self._legs.values():
                if leg.is_filled and leg.shown_at is not None and loop.time() - leg.shown_at >= FILL_SECONDS:
                    frame = VideoFrame(*_GREY_SIZE, "yuv420p")
                    for plane in frame.planes:
                        plane.update(b"\x80" * plane.buffer_size)
                    self._offer(leg, frame)

    def _offer(self, viewer: _Leg, frame: VideoFrame) -> None:
        now = viewer.shown_at = asyncio.get_running_loop().time()
        # One clock for all legs, so that a viewer whose source changes never sees time run backwards.
        frame.pts, frame.time_base = int((now - self._started) * CLOCK_RATE), Fraction(1, CLOCK_RATE)
        viewer.shown.offer(frame)


async def _throw_away(track: MediaStreamTrack) -> None:
    with suppress(MediaStreamError):
        while True:
            await track.recv()


async def _close(leg: _Leg) -> None:
    leg.shown.stop()
    await leg.connection.close()
    for pump in leg.pumps:
        pump.cancel()
    await asyncio.gather(*leg.pumps, return_exceptions=True)
