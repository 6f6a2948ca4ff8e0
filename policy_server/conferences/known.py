"""What is known of a conference before anything is said of it: its link, what holds its room, and its aliases."""

from collections.abc import Sequence
from datetime import datetime

from policy_server.conferences.records import HeldConference, Link
from policy_server.conferences.visit import Cast
from policy_server.light import light_dataclass
from policy_server.pexip.aliases import normalise_alias
from policy_server.policy.masking import HIDDEN
from policy_server.policy.names import Call
from policy_server.policy.ruleset import LinkType


@light_dataclass(frozen=True, slots=True, repr=False)
class Known:
    """What store and keyring know of a conference; nothing of one that is not ours.

    ``call`` is its id, or the name of a room that no link led to, and ``opened`` what we signed. ``room_alias`` is what
    agents dial for such a room, ``""`` where that is the alias that was dialled first. Of a link that joins another call
    ``joined`` is the link of that and ``joined_type`` its type, and ``joined_by`` are the links that join this one.
    """

    call: str
    link: Link | None
    conference: HeldConference | None
    opened: Call | None
    link_type: LinkType | None
    room_alias: str = ""
    joined: Link | None = None
    joined_type: LinkType | None = None
    joined_by: Sequence[Link] = ()

    @property
    def joins(self) -> str:
        """The call that the link joins; ``""`` for one of its own."""
        return self.link.joins if self.link is not None else ""

    @property
    def alias(self) -> str | None:
        """What the customer dials, as others may see it."""
        if self.link_type is not None and self.opened is not None:
            return HIDDEN.join(self.link_type.alias.literals)
        return self.conference.alias if self.conference else None

    @property
    def agent_alias(self) -> str | None:
        """What the agent's widget dials: the customer's alias where agents have none of their own. Who joins has no agents."""
        if self.link_type is not None and self.link_type.joins:
            return None
        if self.link_type is not None and self.opened is not None:
            return self.link_type.agents_alias(self.opened) or self.link_type.customers_alias(self.opened)
        if self.opened is not None or self.conference is None or self.conference.call:
            return None
        return self.room_alias or self.alias

    def cast(self, domains: frozenset[str], *, dials: bool) -> Cast:
        """Who is who in the room, by aliases as they are dialled and as they are kept; for whoever joins a call, in that."""
        customers, agents = {self.alias or ""}, {""}
        if self.joined_type is not None:
            customers = {HIDDEN.join(self.joined_type.alias.literals)}
            if self.joined_type.agent_alias is not None:
                agents.add(HIDDEN.join(self.joined_type.agent_alias.literals))
        elif self.link_type is not None and self.opened is not None:
            customers.add(self.link_type.customers_alias(self.opened))
            if self.link_type.agent_alias is not None:
                agents |= {self.link_type.agents_alias(self.opened), HIDDEN.join(self.link_type.agent_alias.literals)}
        theirs = frozenset(normalise_alias(alias, domains) for alias in agents if alias)
        own = frozenset(normalise_alias(alias, domains) for alias in customers if alias)
        first = normalise_alias(self.conference.alias, domains) if self.conference is not None else None
        return Cast(
            customers=own,
            agents=theirs,
            domains=domains,
            dials=dials,
            has_link=self.link is not None or self.opened is not None,
            # Whoever came first may be somebody who joins.
            is_held=first is not None and (first in own if self.joined_by or self.joins else first not in theirs),
        )

    @property
    def opens_at(self) -> datetime | None:
        """When the door of an appointment opens."""
        signed = self.link or self.opened
        return signed.opens_at if signed is not None else None

    @property
    def expires_at(self) -> datetime | None:
        """When the link ends."""
        signed = self.link or self.opened
        return signed.expires_at if signed is not None else None
