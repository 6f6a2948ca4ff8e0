"""The pages of decisions: the last ones and those that happen, and one with all that led to it."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, Final

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from policy_server.web.admin.decision_rows import (
    DIRECTIONS,
    LONGEST_FILTER,
    OUTCOMES,
    QUESTIONS,
    ROWS,
    Row,
    Wanted,
    fitting,
    read_wanted,
)
from policy_server.web.admin.decision_shown import Decisions
from policy_server.web.admin.door import HEADERS, ROOT, AdminDoor, root_of
from policy_server.web.admin.live_decisions import NEW, LiveDecisions, event, new_rows
from policy_server.web.admin.siblings import Siblings
from policy_server.web.recent_decisions import MOST, RecentDecisions

TITLE: Final = "Decisions"

TABLE: Final = "decisions.table"
ONE: Final = "decisions.one"
"""What processes ask each other for the last rows that fit, and for one decision."""

_ID: Final = re.compile(r"[0-9a-f]{1,32}-r?[0-9a-f]{1,16}")


class DecisionsPages:
    """The decisions of all processes of this server. ``audit`` hears that the admin of that ``name`` looked at one."""

    def __init__(
        self,
        door: AdminDoor,
        recent: RecentDecisions,
        decisions: Decisions,
        siblings: Siblings,
        name: str,
        audit: Callable[..., None],
        clock: Callable[[], datetime],
    ) -> None:
        self._door: Final = door
        self._siblings: Final = siblings
        self._name: Final = name
        self._audit: Final = audit
        self._clock: Final = clock
        self.live: Final = LiveDecisions(siblings, partial(_rows, door))
        siblings.answers(NEW, partial(new_rows, recent))
        siblings.answers(TABLE, partial(_last, recent))
        siblings.answers(ONE, decisions.show)

    def routes(self) -> list[Route]:
        """The routes, for the door."""
        return [
            Route(f"{ROOT}/decisions", self.decisions),
            Route(f"{ROOT}/decisions/events", self.events),
            Route(f"{ROOT}/decisions/{{decision_id}}", self.decision),
        ]

    async def decisions(self, request: Request) -> Response:
        """The last decisions; with the id of one, that one."""
        return await self._door.answer(request, lambda: self._decisions(request))

    async def events(self, request: Request) -> Response:
        """The decisions from now on, after the last ones."""

        async def stream() -> Response:
            wanted, _ = read_wanted(request.query_params, self._clock())
            return self.live.open(wanted, lambda: self._first(wanted))

        return await self._door.answer(request, stream)

    async def decision(self, request: Request) -> Response:
        """One decision."""
        return await self._door.answer(request, lambda: self._decision(request))

    async def _decisions(self, request: Request) -> Response:
        wanted_id = request.query_params.get("decision_id", "").strip()
        if _ID.fullmatch(wanted_id):
            return RedirectResponse(f"decisions/{wanted_id}", 303, HEADERS)
        wanted, faults = read_wanted(request.query_params, self._clock())
        if wanted_id:
            faults["decision_id"] = "a decision_id looks like 5f3a9c0d11e2-1f"
        rows, processes, silent = await self._table(wanted)

        def values() -> dict[str, Any]:
            return {
                "wanted": wanted,
                "faults": faults,
                "given": {name: request.query_params.get(name, "")[:LONGEST_FILTER] for name in faults},
                "rows": rows,
                "count": ROWS,
                "kept": MOST,
                "processes": processes,
                "silent": silent,
                "choices": {"question": QUESTIONS, "direction": DIRECTIONS, "outcome": OUTCOMES},
            }

        return await self._door.page("decisions.html", TITLE, values, root=root_of(request))

    async def _decision(self, request: Request) -> Response:
        decision_id, root = request.path_params["decision_id"], root_of(request)
        heard = await self._siblings.ask(ONE, decision_id if _ID.fullmatch(decision_id) else "")
        whole = next((answer for answer in heard.answers if answer is not None), None)
        if whole is None:
            told = {"decision_id": decision_id[:100], "kept": MOST, "silent": heard.silent}
            return await self._door.page("decision_gone.html", TITLE, lambda: told, root=root, status=404)
        call = whole["result"]["call"] if whole["result"] else ""
        self._audit("decision.read", by=self._name, decision=decision_id, call=call)
        return await self._door.page("decision.html", TITLE, lambda: whole, root=root)

    async def _table(self, wanted: Wanted) -> tuple[list[Row], int, int]:
        """The last rows that fit, the newest first; how many processes told theirs, and how many did not."""
        heard = await self._siblings.ask(TABLE, wanted.told())
        rows = sorted((Row(*row) for answer in heard.answers for row in answer), key=attrgetter("time"), reverse=True)
        return rows[:ROWS], len(heard.answers), heard.silent

    async def _first(self, wanted: Wanted) -> bytes:
        rows, _, _ = await self._table(wanted)
        return event("table", {"html": await run_sync(_rows, self._door, rows), "told": ""})


def _last(recent: RecentDecisions, told: Mapping[str, str]) -> list[Row]:
    """The last rows of this process that fit, the newest first."""
    rows: list[Row] = []
    for row in fitting(recent, reversed(recent.since()), Wanted(**told)):
        rows.append(row)
        if len(rows) == ROWS:
            break
    return rows


def _rows(door: AdminDoor, rows: Sequence[Row]) -> str:
    return door.part("decision_rows.html", rows=rows)
