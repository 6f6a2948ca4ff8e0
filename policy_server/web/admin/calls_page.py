"""The page Calls: finds calls, and shows what became of one."""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from policy_server.conferences.call_in_words import (
    began_at,
    customer_in_words,
    entry_in_words,
    joined_by_in_words,
    participant_in_words,
    trunk_leg_in_words,
)
from policy_server.conferences.call_picture import picture_of
from policy_server.conferences.fold import Phase
from policy_server.conferences.lines import TimelineLine
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.search import LOOKED_AT, RENDERED, CallSummary, ConferenceSearch, Page
from policy_server.conferences.tables import NAME_LENGTH
from policy_server.conferences.verdict import Code, told_seconds
from policy_server.conferences.view import CallDetails
from policy_server.pexip.query import clean
from policy_server.policy.zones import zone_names
from policy_server.web.admin.call_drawing import drawing_of
from policy_server.web.admin.calls_search import Asked, read_asked, read_zone
from policy_server.web.admin.door import HEADERS, PAGES, ROOT, AdminDoor

PATH: Final = ROOT + "/calls"
TITLE: Final = "Calls"

_MORE: Final = ("state", "rule", "attribute")
"""Fields that are folded away while they ask for nothing."""

_UP: Final = "../"
_MINUS: Final = "\N{MINUS SIGN}"


class CallPages:
    """``/admin/calls``, and below it a page and the JSON of each call. ``admin`` is who is named in the audit log."""

    def __init__(
        self,
        door: AdminDoor,
        lookup: ConferenceLookup,
        admin: str,
        audit: Callable[..., None],
        clock: Callable[[], datetime],
    ) -> None:
        self._door: Final = door
        self._search: Final = ConferenceSearch(lookup)
        self._audit: Final = partial(audit, by=admin, door="admin")
        self._clock: Final = clock

    def routes(self) -> list[Route]:
        """The routes, for the door."""
        return [
            Route(PATH, self.calls),
            Route(PATH + "/{id}", self.call),
            Route(PATH + "/{id}/call.json", self.json),
        ]

    async def calls(self, request: Request) -> Response:
        """Calls of a time, the latest first."""
        return await self._door.answer(request, lambda: self._find(request))

    async def call(self, request: Request) -> Response:
        """One call: what became of it, as a picture and in words."""
        return await self._door.answer(request, lambda: self._show(request))

    async def json(self, request: Request) -> Response:
        """One call as ``GET /api/v1/conferences/{id}`` answers it."""
        return await self._door.answer(request, lambda: self._tell(request))

    async def _find(self, request: Request) -> Response:
        if call_id := request.query_params.get("id", "").strip():
            zone = request.query_params.get("zone", "").strip()
            further = f"?{urlencode({'zone': zone})}" if zone else ""
            return RedirectResponse(f"calls/{quote(call_id[:NAME_LENGTH], safe='')}{further}", 303, HEADERS)
        now = self._clock()
        asked = read_asked(((name, text) for name, text in request.query_params.multi_items() if name != "id"), now)
        found = await self._search.find(asked.wanted) if asked.wanted is not None else None
        if found is not None:
            self._audit("conferences.found", count=str(len(found.calls)))
        return await self._door.page("calls.html", TITLE, partial(_list, asked, found, now))

    async def _show(self, request: Request) -> Response:
        call_id = request.path_params["id"]
        call = await self._read(call_id)
        if call is None:
            return await self._door.page("no_call.html", TITLE, dict, root=_UP, status=404)
        zone_text = request.query_params.get("zone", "").strip()
        values = partial(_call, call_id, call, zone_text, self._clock())
        return await self._door.page("call.html", TITLE, values, root=_UP)

    async def _tell(self, request: Request) -> Response:
        call = await self._read(request.path_params["id"])
        if call is None:
            return await self._door.page("no_call.html", TITLE, dict, root=_UP * 2, status=404)
        return JSONResponse(call, headers=HEADERS)

    async def _read(self, call_id: str) -> CallDetails | None:
        call = await self._search.show(call_id) if 0 < len(call_id) <= NAME_LENGTH else None
        if call is not None:
            self._audit("conference.read", call=call["call"] or call["name"])
        return call


# ------------------------------------------------------------------ the list


def _list(asked: Asked, found: Page | None, now: datetime) -> Mapping[str, Any]:
    attributes = asked.texts.get("attribute", ())
    at = partial(local, zone=asked.zone)
    return {
        "asked": asked,
        "attributes": [*attributes, ""],
        "has_more": bool(asked.blamed("zone")) or any(asked.texts.get(name) for name in _MORE),
        "states": [state.value for state in Phase],
        "verdicts": [code.value for code in Code],
        "zones": zone_names(),
        "here": _zone_in_words(asked.zone, now),
        "between": (at(asked.since), at(asked.until or now)),
        "is_ahead": asked.since > now,
        "spans": asked.spans(now),
        "older": asked.url(cursor=found.next) if found is not None and found.next else "",
        "is_first": not asked.text("cursor"),
        "rows": [_row(call, asked) for call in found.calls] if found is not None else None,
        "looked_at": (LOOKED_AT, RENDERED),
        "further": [name for name in ("name", "attribute", "rule", "state", "verdict") if asked.texts.get(name)],
    }


def _row(call: CallSummary, asked: Asked) -> Mapping[str, object]:
    zone, verdict = asked.text("zone"), call["verdict"]
    return {
        "url": f"calls/{quote(call['id'], safe='')}" + (f"?{urlencode({'zone': zone})}" if zone else ""),
        "at": local(call["at"], zone=asked.zone),
        "name": clean(call["customer"]["name"] or "") or ("without a name" if call["call"] else clean(call["name"])),
        "rule": call["rule"] or "",
        # Nobody waits where no rule has made a room: the link was not opened, or whoever came was refused.
        "state": call["state"] if call["rule"] else "",
        "waited": _seconds(verdict["waited"]),
        "talked": _seconds(verdict["talked"]),
        "code": verdict["code"].value,
        "verdict": verdict["text"],
    }


def _seconds(told: float | None) -> str:
    return "" if told is None else told_seconds(told)


# ------------------------------------------------------------------ one call


def _call(call_id: str, call: CallDetails, zone_text: str, now: datetime) -> Mapping[str, Any]:
    zone, fault = read_zone(zone_text)
    at, plain = partial(local, zone=zone), partial(_clock, zone=zone)
    began = began_at(call["participants"], call["timeline"])
    picture = picture_of(call, now)
    facts = {
        "customer": customer_in_words(call["customer"], plain),
        "contact centre": trunk_leg_in_words(call["trunk_leg"], plain),
        "call id": call["call"] or "",
        "room": call["name"] if call["name"] != call["call"] else "",
        "service tag": call["service_tag"],
        "link made": at(call["created_at"]) if call["created_at"] else "",
        "appointment": at(call["starts_at"]) if call["starts_at"] else "",
        "link expires": at(call["expires_at"]) if call["expires_at"] else "",
        "link revoked": at(call["revoked_at"]) if call["revoked_at"] else "",
        "link moved": at(call["moved_at"]) if call["moved_at"] else "",
        "started": at(call["started_at"]) if call["started_at"] else "",
        "ended": at(call["ended_at"]) if call["ended_at"] else "",
    }
    return {
        "id": call_id,
        "zone": zone_text if not fault else "",
        "zone_text": zone_text,
        "zone_fault": fault,
        "zones": zone_names(),
        "here": _zone_in_words(zone, now),
        "call": call,
        "name": clean(call["customer"]["name"] or call["name"]),
        "now": at(now),
        "facts": [(name, clean(text)) for name, text in facts.items() if text],
        "attributes": sorted(call["attributes"].items()),
        "drawing": drawing_of(picture, call, zone) if picture is not None else None,
        "began": at(began) if began is not None else "",
        "entries": [_entry(number, line, began, at) for number, line in enumerate(call["timeline"])],
        "people": [(each["part"].value, participant_in_words(each, plain)) for each in call["participants"]],
        "joined_by": [(each["call"], joined_by_in_words(each, plain)) for each in call["joined_by"]],
        "has_decisions": any(path == "decisions" for path, _ in PAGES),
    }


def _entry(number: int, line: TimelineLine, began: datetime | None, at: Callable[[str], str]) -> Mapping[str, object]:
    decision = line["data"].get("decision_id")
    return {
        "number": number,
        "at": at(line["at"]),
        "since": _since(datetime.fromisoformat(line["at"]), began),
        "kind": line["kind"],
        "text": entry_in_words(line),
        "decision": decision if isinstance(decision, str) else "",
    }


def _since(at: datetime, began: datetime | None) -> str:
    """How long after a moment something was, with its sign: ``+16 s``."""
    seconds = (at - began).total_seconds() if began is not None else 0.0
    return f"{_MINUS if round(seconds) < 0 else '+'}{told_seconds(abs(seconds))}"


# ------------------------------------------------------------------ times


def local(at: datetime | str, *, zone: tzinfo | None) -> Markup:
    """A time on the clock of a zone, to the second, for people and for programs."""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    told = moment.isoformat(timespec="seconds")
    return Markup('<time datetime="{}">{}</time>').format(told, _clock(told, zone=zone))


def _clock(at: str, *, zone: tzinfo | None) -> str:
    return f"{datetime.fromisoformat(at).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _zone_in_words(zone: tzinfo | None, now: datetime) -> str:
    """Whose clock times are by, and how far that is from UTC at this moment."""
    offset = f"{now.astimezone(zone):%z}"
    return f"{zone if zone is not None else 'the zone of the server'} (UTC{offset[:3]}:{offset[3:5]})"
