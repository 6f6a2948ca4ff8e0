"""What agents' widgets ask: Genesys Cloud says who they are, the lookup answers."""

from typing import Final

from starlette.routing import Route

from policy_server.conferences.lookup import ConferenceLookup
from policy_server.genesys.client import GenesysClient
from policy_server.settings import Settings
from policy_server.web.admission import Admission
from policy_server.web.agents import PATH, AgentAccess, AgentDesk, AgentEndpoint
from policy_server.web.genesys import GenesysStanding
from policy_server.web.refusals import Refusals
from policy_server.web.routing import unset
from policy_server.web.streams import STREAMS_PATH, AgentStreams


class Widgets:
    """What agents' widgets use, as far as Genesys Cloud is set up."""

    def __init__(
        self,
        settings: Settings,
        lookup: ConferenceLookup,
        refusals: Refusals,
        admission: Admission,
        standing: GenesysStanding | None,
    ) -> None:
        self._genesys: Final = (
            GenesysClient(settings.tenant, cache_seconds=settings.agent_cache_seconds, tell=standing.tell)
            if settings.tenant and standing is not None
            else None
        )
        self._endpoint: AgentEndpoint | None = None
        self._streams: AgentStreams | None = None
        if self._genesys is not None:
            is_required = settings.agent_binding == "required"
            access = AgentAccess(self._genesys, binding_required=is_required, refusals=refusals)
            desk = AgentDesk(lookup, access, admission)
            self._endpoint, self._streams = AgentEndpoint(desk), AgentStreams(desk)

    @property
    def stream_count(self) -> int:
        """Streams that are open."""
        return self._streams.count if self._streams is not None else 0

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        if self._endpoint is None or self._streams is None:
            return [unset(path, "POLICY_GENESYS_API and POLICY_GENESYS_ORGANIZATION") for path in (PATH, STREAMS_PATH)]
        return [*self._endpoint.routes(), *self._streams.routes()]

    def stop(self) -> None:
        """Ends every stream: a server that is to stop waits for its responses."""
        if self._streams is not None:
            self._streams.close()

    async def close(self) -> None:
        """Lets go of Genesys Cloud."""
        self.stop()
        if self._genesys is not None:
            await self._genesys.close()
