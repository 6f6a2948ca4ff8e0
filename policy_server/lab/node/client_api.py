"""The client API v2 of the node, as far as browsers use it, and the lab's customer page.

Paths, fields and types are those that @pexip/infinity 20.0.0 sends and insists on; what they mean is in
(lab/README.md: Client API v2).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from policy_server.lab.node.errors import NotFoundError, PinNeededError, RefusedError
from policy_server.lab.node.happenings import LEFT
from policy_server.lab.node.infinity import Infinity
from policy_server.lab.node.media import OfferError
from policy_server.lab.node.people import Role
from policy_server.lab.node.questions import NOT_FOUND, Caller
from policy_server.lab.node.rooms import Session
from policy_server.lab.node.views import status_entry

ROOT: Final = "/api/client/v2/conferences/{alias}"
PAGES: Final = "/webapp3"
VERSION: Final = {"version_id": "39", "pseudo_version": "83120.0.0"}

KEEP_ALIVE_SECONDS: Final = 15.0
"""After so long without an event, a comment is sent."""

_PAGES: Final = Path(__file__).with_name("pages")
_FLAGS: Final = {
    "mute": {"is_muted": True},
    "unmute": {"is_muted": False},
    "client_mute": {"is_client_muted": True},
    "client_unmute": {"is_client_muted": False},
    "video_muted": {"is_video_muted": True},
    "video_unmuted": {"is_video_muted": False},
}
_MEDIA_TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
_PAGE_HEADERS: Final = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


def client_api(node: Infinity) -> Starlette:
    """The node's application. Every origin may use it, as Pexip's default is."""
    served = _ClientApi(node)
    return Starlette(
        routes=served.routes(),
        # Beacons carry credentials, for which "*" is not good enough: the origin is echoed.
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origin_regex=".*",
                allow_credentials=True,
                allow_methods=["GET", "POST"],
                allow_headers=["content-type", "pin", "token"],
            )
        ],
        exception_handlers={RefusedError: _refuse, OfferError: _explain},
    )


class _ClientApi:
    def __init__(self, node: Infinity) -> None:
        self._node: Final = node

    def routes(self) -> list[Route]:
        person, call = ROOT + "/participants/{uuid}", ROOT + "/participants/{uuid}/calls/{call}"
        asked: dict[str, Callable[[Request], Awaitable[Response]]] = {
            f"{ROOT}/participants": self._participants,
            f"{ROOT}/conference_status": self._status,
            f"{ROOT}/events": self._events,
            f"{ROOT}/theme/": self._theme,
            PAGES + "/m/{alias}": self._page,
            PAGES + "/m/{alias}/{rest:path}": self._page,
            PAGES + "/lab/{name}": self._page,
        }
        told: dict[str, Callable[[Request], Awaitable[Response]]] = {
            f"{ROOT}/request_token": self._request_token,
            f"{ROOT}/refresh_token": self._refresh_token,
            f"{ROOT}/release_token": self._release_token,
            f"{ROOT}/disconnect": self._end,
            f"{ROOT}/start_conference": self._start,
            f"{person}/calls": self._calls,
            f"{person}/disconnect": self._remove,
            f"{call}/ack": self._ack,
            f"{call}/new_candidate": self._new_candidate,
            f"{call}/update": self._update,
            f"{call}/update_sdp": self._update,
            f"{call}/disconnect": self._end_call,
            f"{call}/statistics": self._statistics,
            # Last, because anything may stand in the last place.
            f"{person}/{{flag}}": self._set_flag,
        }
        return [
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in asked.items()),
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in told.items()),
        ]

    def _session(self, request: Request) -> Session:
        token = request.headers.get("token") or request.query_params.get("token", "")
        return self._node.session(token)

    async def _request_token(self, request: Request) -> Response:
        body = await _body(request)
        client = request.client
        caller = Caller(
            _text(body, "display_name"),
            _text(body, "call_tag"),
            request.headers.get("user-agent", ""),
            *((client.host, client.port) if client is not None else ()),
        )
        token, session = await self._node.request_token(
            request.path_params["alias"], caller, request.headers.get("pin"), _text(body, "token")
        )
        me, meeting = session.room.meeting.get(session.uuid), session.room.meeting
        if me is None:
            raise NotFoundError(NOT_FOUND)
        entry = session.view.entry(me)
        granted = {
            "token": token,
            "expires": self._expires,
            "participant_uuid": session.uuid,
            "role": "HOST" if session.view.role is Role.CHAIR else "GUEST",
            "display_name": me.display_name,
            "conference_name": meeting.name,
            "service_name": meeting.name,
            "service_type": meeting.service_type,
            "current_service_type": entry["service_type"],
            "call_type": str(meeting.service.get("call_type") or "video"),
            "call_tag": me.call_tag,
            "chat_enabled": False,
            "guests_can_present": False,
            "direct_media": False,
            "breakout_rooms": False,
            "fecc_enabled": False,
            "rtmp_enabled": False,
            "analytics_enabled": False,
            "allow_1080p": False,
            "vp9_enabled": False,
            "trickle_ice_enabled": True,
            "version": VERSION,
        }
        return _success(granted)

    @property
    def _expires(self) -> str:
        return f"{self._node.token_seconds:g}"

    async def _refresh_token(self, request: Request) -> Response:
        token = self._node.refresh_token(self._session(request))
        return _success({"token": token, "expires": self._expires})

    async def _release_token(self, request: Request) -> Response:
        body = await _body(request)
        self._node.leave(self._session(request), _text(body, "reason") or LEFT)
        return _success(True)

    async def _participants(self, request: Request) -> Response:
        return _success(self._node.roster(self._session(request)))

    async def _status(self, request: Request) -> Response:
        return _success(status_entry(self._session(request).room.meeting.status))

    async def _theme(self, request: Request) -> Response:
        self._session(request)
        return Response(status_code=204)

    async def _events(self, request: Request) -> Response:
        session = self._session(request)
        return StreamingResponse(
            _stream(self._node, session), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _end(self, request: Request) -> Response:
        self._node.end(self._session(request))
        return _success(True)

    async def _start(self, request: Request) -> Response:
        self._node.start(self._session(request))
        return _success(True)

    async def _remove(self, request: Request) -> Response:
        self._node.remove(self._session(request), request.path_params["uuid"])
        return _success(True)

    async def _set_flag(self, request: Request) -> Response:
        session = self._session(request)
        flag = request.path_params["flag"]
        if flag in _FLAGS:
            self._node.set_flags(session, request.path_params["uuid"], **_FLAGS[flag])
        elif flag != "preferred_aspect_ratio":
            raise NotFoundError(f"the simulated node does not know {flag!r}")
        return _success(True)

    async def _calls(self, request: Request) -> Response:
        session, body = self._session(request), await _body(request)
        call, answer = await self._node.start_call(session, request.path_params["uuid"], _text(body, "sdp"))
        return _success({"call_uuid": call, "sdp": answer})

    async def _ack(self, request: Request) -> Response:
        self._session(request)
        return _success(True)

    async def _new_candidate(self, request: Request) -> Response:
        session, body = self._session(request), await _body(request)
        candidate, mid = _text(body, "candidate"), _text(body, "mid")
        await self._node.add_candidate(session, request.path_params["call"], candidate, mid)
        return _success(None)

    async def _update(self, request: Request) -> Response:
        session, body = self._session(request), await _body(request)
        call = request.path_params["call"]
        return _success({"call_uuid": call, "sdp": await self._node.update_call(session, call, _text(body, "sdp"))})

    async def _end_call(self, request: Request) -> Response:
        self._node.end_call(self._session(request), request.path_params["call"])
        return _success(None)

    async def _statistics(self, request: Request) -> Response:
        self._session(request)
        return _success(None)

    async def _page(self, request: Request) -> Response:
        name = request.path_params.get("name", "customer.html")
        media_type = _MEDIA_TYPES.get(name.rpartition(".")[2])
        page = _PAGES / name
        if media_type is None or not page.is_file():
            return PlainTextResponse("Not Found", 404)
        return Response(page.read_bytes(), media_type=media_type, headers=_PAGE_HEADERS)


async def _stream(node: Infinity, session: Session) -> AsyncIterator[bytes]:
    told = node.listen(session)
    try:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    event = await told.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if event is None:
                return
            name, data = event
            # Browsers drop an event without data.
            yield b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
    finally:
        session.streams.discard(told)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent, ``{}`` when there is none."""
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""


def _success(result: object) -> Response:
    return _answer(200, "success", result)


def _answer(status: int, outcome: str, result: object) -> Response:
    return Response(orjson.dumps({"status": outcome, "result": result}), status, media_type="application/json")


async def _refuse(_: Request, error: Exception) -> Response:
    if isinstance(error, PinNeededError):
        # That says what to send next, which is no failure; words are the end of it.
        guest_pin = "required" if error.of_guests else "none"
        return _answer(403, "success", {"pin": "required", "guest_pin": guest_pin, "version": VERSION})
    return _answer(404 if isinstance(error, NotFoundError) else 403, "failed", str(error))


async def _explain(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 400)
