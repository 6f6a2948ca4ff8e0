"""What the endpoint would decide at some moment, by what is known of links and rooms then; nothing is changed by asking."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.reading import Snapshot, read_snapshot
from policy_server.conferences.records import HeldConference
from policy_server.conferences.rooms import Rooms
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.decisions import Decision
from policy_server.policy.link_aliases import LinkAlias, read_alias
from policy_server.policy.names import Keyring, LinkState
from policy_server.policy.ruleset import Ruleset
from policy_server.wording.values import shown


@dataclass(frozen=True, slots=True)
class Moment:
    """When the question is asked; ``is_now`` unless somebody or a line of a log said when."""

    at: datetime
    is_now: bool

    def __str__(self) -> str:
        return self.at.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What is known beside question, rules and time: ``snapshot``, out of ``database``; or ``without``, which says why."""

    snapshot: Snapshot
    database: str | None = None
    without: str | None = None

    def told(self, when: Moment) -> str:
        """What was looked at, in one line."""
        if self.database is None:
            return f"no database: {self.without}"
        as_of = f"{when.at.astimezone():%H:%M:%S}" if when.is_now else str(when)
        to_come = ", if nothing changes until then" if not when.is_now and when.at > datetime.now(UTC) else ""
        return f"links, revocations and rooms in {self.database} as of {as_of}{to_come}"


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision as the endpoint makes it, the conference that held the room before, if one did, and notes about the link."""

    looked_at: LookedAt
    decision: Decision
    held: HeldConference | None
    notes: tuple[str, ...]
    rooms: Rooms
    call: str
    """The call that it is about, by its id; ``""`` for none."""


async def look(
    open_store: Callable[[], AbstractAsyncContextManager[ConferenceStore]],
    request_type: RequestType,
    when: Moment,
    lifetime: timedelta,
) -> LookedAt:
    """What a database knows at a moment, as far as such a question is about it; ``lifetime`` is that of rooms."""
    if not request_type.about.is_about_call:
        return LookedAt(Snapshot(), without="such a question is answered by the rules alone")
    try:
        async with open_store() as store:
            return LookedAt(await read_snapshot(store, when.at, lifetime, is_now=when.is_now), store.name)
    except StoreUnavailableError as error:
        return LookedAt(Snapshot(), without=f"{error}; what it knows of links and rooms is left out")


async def decide(
    ruleset: Ruleset,
    request: PolicyRequest,
    when: Moment,
    keyring: Keyring,
    looked_at: LookedAt,
    attributes: Mapping[str, str],
) -> Explained:
    """The decision about a question; ``attributes`` go before those that are known of its link."""
    rooms = Rooms(looked_at.snapshot, keyring, lambda: "explained", attributes)
    # What the decision itself would hold comes into the snapshot too.
    before = dict(looked_at.snapshot.rooms)
    settled = await rooms.settle(ruleset, request, when.at)
    held = before.get(settled.room)
    link = read_alias(ruleset.alias_forms, keyring, normalise_alias(request.text("local_alias"), ruleset.domains))
    return Explained(
        looked_at,
        settled.decision,
        held if held is not None and when.at < held.expires_at else None,
        (*_window(link, when), *_joins(link, looked_at)),
        rooms,
        settled.call,
    )


def _joins(link: LinkAlias | None, looked_at: LookedAt) -> list[str]:
    """A note on the call into whose room the alias leads, if it is of a link that joins another."""
    if link is None or link.call is None or not link.joins:
        return []
    known = looked_at.snapshot.link(link.call_id)
    if known is None:
        return [f"the link joins a call of type {shown(link.joins)}, and which one only the database knows"]
    joined = looked_at.snapshot.link(known.joins)
    revoked = ", which is revoked" if joined is not None and joined.revoked_at is not None else ""
    return [
        f"the link joins the call {known.joins} of type {shown(link.joins)}{revoked}: {{call}} and its room are that call's"
    ]


def _window(link: LinkAlias | None, when: Moment) -> list[str]:
    """A note on the window of an appointment, if the alias is of one whose door is not open at that time."""
    if link is None or link.call is None or link.call.opens_at is None:
        return []
    state = link.call.state(when.at)
    if state is LinkState.VALID:
        return []
    opens_at, expires_at = link.call.opens_at.isoformat(), link.call.expires_at.isoformat()
    return [f"the link is {state}: it is of an appointment whose door opens at {opens_at} and is shut at {expires_at}"]
