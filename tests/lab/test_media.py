"""Video through the simulated node: two browsers that are aiortc, and how many pictures each of them gets."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from policy_server.lab.node.happenings import ICE_FAILED, LEFT
from policy_server.lab.node.media import Media, OfferError
from tests.lab.lab_node import Client, Lab, lab
from tests.waiting import until

SIZE = (64, 48)
GREY = (320, 180)
FRAMES_A_SECOND = 20


class Camera(VideoStreamTrack):
    """Small pictures, many a second."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    async def recv(self) -> VideoFrame:
        """The next picture."""
        await asyncio.sleep(1 / FRAMES_A_SECOND)
        self.sent += 1
        frame = VideoFrame(*SIZE, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([self.sent % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = self.sent * 90_000 // FRAMES_A_SECOND, Fraction(1, 90_000)
        return frame


@dataclass
class Browser:
    """A peer connection with a camera that counts what it is shown."""

    peer: RTCPeerConnection = field(default_factory=RTCPeerConnection)
    camera: Camera = field(default_factory=Camera)
    shown: int = 0
    """Pictures of somebody."""
    grey: int = 0
    reading: list["asyncio.Task[None]"] = field(default_factory=list)

    async def offer(self, *, with_audio: bool = True) -> str:
        """What it offers."""

        @self.peer.on("track")
        def take(track: MediaStreamTrack) -> None:
            if track.kind == "video":
                self.reading.append(asyncio.create_task(self._count(track)))

        if with_audio:
            self.peer.addTransceiver("audio", direction="sendrecv")
        self.peer.addTrack(self.camera)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Takes the node's answer."""
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self) -> None:
        """Ends it."""
        await self.peer.close()
        for task in self.reading:
            task.cancel()
        await asyncio.gather(*self.reading, return_exceptions=True)

    async def _count(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                if (frame.width, frame.height) == GREY:
                    self.grey += 1
                else:
                    self.shown += 1
        except MediaStreamError:
            return


@asynccontextmanager
async def browsers(count: int) -> AsyncIterator[list[Browser]]:
    """Some of them, which are closed at the end."""
    made = [Browser() for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            await each.close()


@asynccontextmanager
async def node_media() -> AsyncIterator[Media]:
    """The media of a node, which is closed at the end."""
    media = Media()
    try:
        yield media
    finally:
        await media.close_all()


async def none_more(count: Callable[[], int], camera: Camera) -> None:
    """Waits until what was under way has come, then sees that nothing more comes while the camera goes on."""
    for _ in range(6):
        before, sent = count(), camera.sent
        await until(lambda sent=sent: camera.sent >= sent + FRAMES_A_SECOND // 2)  # type: ignore[misc]
        if count() == before:
            return
    pytest.fail(f"pictures still come, {count()} so far")


async def call(client: Client, browser: Browser) -> str:
    """A call as a web app makes it; returns its uuid."""
    body = {"call_type": "WEBRTC", "sdp": await browser.offer(), "media_type": "video", "fecc_supported": False}
    answer = await client.post(f"/participants/{client.uuid}/calls", body)
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    await browser.accept(result["sdp"])
    path = f"/participants/{client.uuid}/calls/{result['call_uuid']}"
    assert (await client.post(f"{path}/ack", {})).json() == {"status": "success", "result": True}
    done = await client.post(f"{path}/new_candidate", {"candidate": "", "mid": "0"})
    assert done.json() == {"status": "success", "result": None}
    return str(result["call_uuid"])


def run(scenario: Callable[[Lab], Coroutine[Any, Any, None]]) -> None:
    """Plays a scenario with a node."""

    async def play() -> None:
        async with lab() as it:
            await scenario(it)

    asyncio.run(play())


def test_a_call_between_customer_and_agent() -> None:
    """Each sees the other; none of the agent's pictures arrive while the agent is muted, and they do again afterwards."""

    async def scenario(it: Lab) -> None:
        async with browsers(2) as (hers, his):
            customer, agent = await it.join(), await it.join("agent", "123456", display_name="Agent: Maria")
            await call(customer, hers)
            await call(agent, his)
            await until(lambda: hers.shown > 5 and his.shown > 5)
            people = await agent.roster()
            assert {(each["protocol"], each["has_media"], each["is_video_call"]) for each in people} == {
                ("api", True, "YES")
            }

            assert (await agent.post(f"/participants/{agent.uuid}/video_muted")).status_code == 200
            await none_more(lambda: hers.shown + hers.grey, his.camera)
            seen = his.shown
            await until(lambda: his.shown > seen + 3)

            await agent.post(f"/participants/{agent.uuid}/video_unmuted")
            seen = hers.shown
            await until(lambda: hers.shown > seen + 3)
            assert hers.grey == 0

    run(scenario)


def test_who_joins_muted_is_never_seen() -> None:
    """An agent who is muted before the call begins sends nothing until unmuted."""

    async def scenario(it: Lab) -> None:
        async with browsers(2) as (hers, his):
            customer, agent = await it.join(), await it.join("agent", "123456")
            await agent.post(f"/participants/{agent.uuid}/video_muted")
            await call(agent, his)
            await call(customer, hers)
            await until(lambda: his.shown > 3)
            await none_more(lambda: hers.shown, his.camera)
            assert hers.shown == 0

    run(scenario)


def test_who_waits_for_a_host_is_not_seen() -> None:
    """Guests in the lobby see nobody and nobody sees them; once a Host is there they do."""

    async def scenario(it: Lab) -> None:
        async with browsers(2) as (hers, other):
            first, second = await it.join(), await it.join()
            await call(first, hers)
            await call(second, other)
            await none_more(lambda: hers.shown + other.shown, hers.camera)
            assert hers.shown + other.shown == 0
            agent = await it.join("agent", "123456")
            await agent.post("/start_conference")
            await until(lambda: hers.shown > 1 and other.shown > 1)

    run(scenario)


def test_hanging_up() -> None:
    """When a call is ended the other sees grey if Host, its half leaves the room, and a new call may be made."""

    async def scenario(it: Lab) -> None:
        async with browsers(3) as (hers, his, again):
            customer, agent = await it.join(), await it.join("agent", "123456")
            uuid = await call(customer, hers)
            await call(agent, his)
            await until(lambda: his.shown > 1)
            ended = await customer.post(f"/participants/{customer.uuid}/calls/{uuid}/disconnect")
            assert ended.json() == {"status": "success", "result": None}
            await until(lambda: his.grey > 1)
            assert {each["uuid"]: each["has_media"] for each in await agent.roster()}[customer.uuid] is False
            gone = await customer.post(f"/participants/{customer.uuid}/calls/{uuid}/new_candidate", {"candidate": ""})
            assert (gone.status_code, gone.json()["result"]) == (403, "Call not found")
            seen = his.shown
            await call(customer, again)
            await until(lambda: his.shown > seen + 1)

    run(scenario)


def test_the_newest_agent_is_shown() -> None:
    """In a transfer the customer sees the agent who came last, and the one before again when that one leaves."""

    async def scenario() -> None:
        async with node_media() as media, browsers(3) as (hers, first, second):
            for name, each in (("customer", hers), ("first", first), ("second", second)):
                await each.accept(await media.answer(name, "room", await each.offer(), is_open=True))
            await until(lambda: hers.shown > 1 and first.shown > 1 and second.shown > 1)
            await media.close("second")
            seen = hers.shown
            await until(lambda: hers.shown > seen + 3)
            await media.close("first")
            await none_more(lambda: hers.shown, hers.camera)

    asyncio.run(scenario())


def test_rooms_are_apart() -> None:
    """Nobody is shown somebody of another room."""

    async def scenario() -> None:
        async with node_media() as media, browsers(2) as (one, other):
            await one.accept(await media.answer("one", "here", await one.offer(), is_open=True))
            await other.accept(await media.answer("other", "there", await other.offer(), is_open=True))
            await none_more(lambda: one.shown + other.shown, one.camera)
            assert one.shown + other.shown == 0

    asyncio.run(scenario())


def test_a_browser_that_closes_its_connection() -> None:
    """Its media half leaves the room without another word, and the customer stays."""

    async def scenario(it: Lab) -> None:
        async with browsers(1) as (hers,):
            customer = await it.join()
            await call(customer, hers)
            await until(lambda: hers.peer.connectionState == "connected")
            await hers.peer.close()
            gone = await until(
                lambda: [each for each in it.world.events if each["event"] == "participant_disconnected"]
            )
            assert (gone[0]["data"]["protocol"], gone[0]["data"]["disconnect_reason"]) == ("WebRTC", LEFT)
            assert [each["has_media"] for each in await customer.roster()] == [False]
            await customer.post("/release_token", {})
            await until(lambda: "conference_ended" in it.world.names())
            # That the control half has no call any more is for the client API alone.
            told = ["conference_started", *["participant_connected", "participant_updated", "participant_connected"]]
            assert it.world.names() == [*told, *["participant_disconnected"] * 2, "conference_ended"]

    run(scenario)


def test_a_connection_that_fails() -> None:
    """A browser whose fingerprint is another one is cut off and told, and its media half leaves."""

    async def scenario(it: Lab) -> None:
        async with browsers(1) as (hers,):
            customer = await it.join()
            offer = re.sub(r"(a=fingerprint:\S+ )..", r"\g<1>00", await hers.offer())
            async with customer.listening() as stream:
                body = {"call_type": "WEBRTC", "sdp": offer}
                answer = await customer.post(f"/participants/{customer.uuid}/calls", body)
                await hers.accept(answer.json()["result"]["sdp"])
                (told,) = await until(lambda: stream.told("call_disconnected"))
                assert told == {"call_uuid": answer.json()["result"]["call_uuid"], "reason": ICE_FAILED}
            assert [each["has_media"] for each in await customer.roster()] == [False]

    run(scenario)


@pytest.mark.parametrize("offer", ["", "v=0\r\n", "not an offer"])
def test_an_offer_that_cannot_be_answered(offer: str) -> None:
    """The caller is told, with 400, and no leg stays."""

    async def scenario(it: Lab) -> None:
        customer = await it.join()
        refused = await customer.post(f"/participants/{customer.uuid}/calls", {"call_type": "WEBRTC", "sdp": offer})
        assert (refused.status_code, refused.text.partition(":")[0]) == (400, "the offer cannot be answered")
        assert (await customer.roster())[0]["has_media"] is False

    run(scenario)


def test_another_offer() -> None:
    """A call is renegotiated, and goes on."""

    async def scenario() -> None:
        async with node_media() as media, browsers(2) as (one, other):
            for name, each in (("one", one), ("other", other)):
                await each.accept(await media.answer(name, "room", await each.offer(), is_open=True))
            await until(lambda: one.shown > 1)
            await one.peer.setLocalDescription(await one.peer.createOffer())
            await one.accept(await media.update("one", one.peer.localDescription.sdp))
            seen = one.shown
            await until(lambda: one.shown > seen + 3)
            with pytest.raises(OfferError, match="the offer cannot be answered"):
                await media.update("one", "nonsense")

    asyncio.run(scenario())
