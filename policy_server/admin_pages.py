"""The pages for admins, put together: what they count, what the processes of a server ask each other, and their routes."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from starlette.routing import Route

from policy_server.conferences.figures import CallFigures
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.request_types import RequestType
from policy_server.policy.names import Keyring
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Settings
from policy_server.telephony.trunks import Load
from policy_server.upstreams.client import Upstreams
from policy_server.web.admin.calls_page import CallPages
from policy_server.web.admin.compare_page import ComparePages, OfServer
from policy_server.web.admin.decision_shown import Decisions
from policy_server.web.admin.decisions_page import DecisionsPages
from policy_server.web.admin.door import AdminDoor, Pages
from policy_server.web.admin.endpoints import AdminEndpoints
from policy_server.web.admin.hits import HITS, OutcomeCounts, RuleHits
from policy_server.web.admin.now_page import NowPage
from policy_server.web.admin.siblings import Siblings
from policy_server.web.admin.trunks import LEGS
from policy_server.web.admin.try_page import Tries
from policy_server.web.admission import Admission
from policy_server.web.basic import BasicAuthentication
from policy_server.web.health import Ready
from policy_server.web.leg_counts import LegCounts
from policy_server.web.nodes_seen import NodesSeen
from policy_server.web.recent_decisions import RecentDecisions
from policy_server.web.refusals import Refusals


class AdminPages:
    """Everything below ``/admin/``. ``load`` says what goes through a trunk, ``legs`` how legs ended where they are watched;
    ``folder`` is where the processes of one server meet, ``None`` where there is one.
    """

    def __init__(
        self,
        settings: Settings,
        authentication: BasicAuthentication | None,
        refusals: Refusals,
        admission: Admission,
        rules: RuleStore,
        keyring: Keyring,
        store: ConferenceStore,
        lookup: ConferenceLookup,
        upstreams: Upstreams,
        load: Callable[[str, datetime], Load],
        legs: LegCounts | None,
        recent: RecentDecisions,
        folder: Path | None,
        audit: Callable[..., None],
        clock: Callable[[], datetime],
        figures: CallFigures,
        nodes: NodesSeen,
        ready: Callable[[], Awaitable[Ready]],
    ) -> None:
        self.hits: Final = RuleHits()
        self.outcomes: Final = OutcomeCounts()
        self.siblings: Final = Siblings(folder if settings.admin is not None else None)
        self.siblings.answers(HITS, lambda _: self.hits.told(clock()))
        self.siblings.answers(LEGS, lambda _: legs.last if legs is not None else None)
        tries = Tries(rules, keyring, store, settings.conference_ttl, settings.on_failure, clock)
        self._door: Final = AdminDoor(authentication, refusals, admission)
        name = settings.admin.username if settings.admin is not None else ""
        kept = Decisions(recent, rules, keyring)
        self._decisions: Final = DecisionsPages(self._door, recent, kept, self.siblings, name, audit, clock)
        self._pages: Final[list[Pages]] = [
            NowPage(self._door, self.siblings, figures, self.outcomes, nodes, ready, clock),
            self._decisions,
            CallPages(self._door, lookup, name, audit, clock),
            AdminEndpoints(self._door, rules, self.siblings, tries, upstreams.states, load, clock),
            ComparePages(self._door, recent, self.siblings, _of_server(settings)),
        ]

    def count(self, question: RequestType, outcome: str, rule: str, at: datetime) -> None:
        """Counts one answer."""
        self.outcomes.count(outcome, at)
        if rule:
            self.hits.count(question, rule, at)

    def routes(self) -> list[Route]:
        """The routes of all pages, for the application."""
        return self._door.routes(self._pages)

    async def start(self) -> None:
        """Begins to answer the other processes of this server."""
        await self.siblings.start()

    def stop(self) -> None:
        """Ends every stream: a server that is to stop waits for its responses."""
        self._decisions.live.close()

    async def close(self) -> None:
        """Answers them no more."""
        self.stop()
        await self.siblings.close()


def _of_server(settings: Settings) -> OfServer:
    return OfServer(
        settings.secret_key or "",
        settings.previous_secret_keys,
        settings.conference_ttl,
        has_management=settings.management is not None,
    )
