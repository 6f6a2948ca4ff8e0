"""The Management Node of the bank: it sees who is in which room, and notes whom it is told to dial."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

ROOT: Final = "/api/admin"

Entry = dict[str, Any]


class Management:
    """What of the Management API the watch over legs asks (management/README.md: Status, Dial a participant)."""

    def __init__(self) -> None:
        self.rooms: Final[dict[str, Entry]] = {}
        self.people: Final[dict[str, Entry]] = {}
        self.dialled: Final[list[Mapping[str, Any]]] = []
        """What it was told to dial, in order."""
        self.app: Final = Router(
            [
                Route(f"{ROOT}/status/v1/conference/", self._conferences),
                Route(f"{ROOT}/status/v1/participant/", self._participants),
                Route(f"{ROOT}/command/v1/participant/dial/", self._dial, methods=["POST"]),
            ]
        )

    def begins(self, room: str, service: Mapping[str, object], at: datetime) -> None:
        """A room starts."""
        self.rooms[room] = {
            "id": f"{room} {at:%H:%M:%S}",
            "name": room,
            "service_type": service.get("service_type"),
            "tag": service.get("service_tag"),
            "start_time": _time(at),
        }

    def comes(self, room: str, uuid: str, told: Mapping[str, object], at: datetime | None) -> None:
        """Somebody is in a room, or dialled from there; ``at`` is when they connected."""
        self.people[uuid] = {
            **told,
            "id": uuid,
            "conference": room,
            "call_uuid": told["call_id"],
            "connect_time": None if at is None else _time(at),
        }

    def goes(self, uuid: str) -> None:
        """Somebody is gone."""
        del self.people[uuid]

    def ends(self, room: str) -> None:
        """A room is over."""
        del self.rooms[room]

    async def _conferences(self, request: Request) -> Response:
        return _page(request, list(self.rooms.values()), "name")

    async def _participants(self, request: Request) -> Response:
        return _page(request, list(self.people.values()), "conference")

    async def _dial(self, request: Request) -> Response:
        self.dialled.append(await request.json())
        return JSONResponse({"status": "success", "data": {"participant_id": f"dialled-{len(self.dialled)}"}})


def _page(request: Request, entries: list[Entry], key: str) -> Response:
    wanted = request.query_params.get(key)
    found = [entry for entry in entries if wanted is None or entry[key] == wanted]
    meta = {"limit": 100, "next": None, "offset": 0, "previous": None, "total_count": len(found)}
    return JSONResponse({"meta": meta, "objects": found})


def _time(at: datetime) -> str:
    """As the node writes times: UTC, without a zone."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat()
