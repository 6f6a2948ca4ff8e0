"""The store of conferences: what every replica knows of links, rooms, events and timelines."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

from policy_server.conferences import batches, changes, due, history, holds, links
from policy_server.conferences.batches import LINGER, Batch, Binding, Ending, Together, Wakes, Written, different
from policy_server.conferences.connection import Committed, Connection
from policy_server.conferences.database import PATIENCE, Database
from policy_server.conferences.due import DueAction
from policy_server.conferences.errors import RefusedLinkError
from policy_server.conferences.groups import ROWS_AT_ONCE, Groups
from policy_server.conferences.links import NewLink
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import Change, HeldConference, Link, News, Page, Recorded, TimelineEntry
from policy_server.conferences.tables import CHANGES, moment
from policy_server.conferences.threads import Done
from policy_server.pexip.events import Event

Passengers = tuple[Batch, asyncio.Future[Written]]
"""What is written with whatever is written next, and who hears what became of it."""

SESSIONS_AT_ONCE: Final = 500
"""Sessions whose links one statement asks for."""

P = ParamSpec("P")
T = TypeVar("T")

MANY_EVENTS: Final = 200
"""Events that take so long to compare that other requests would wait, so it is done in a thread."""

IDEMPOTENCY_KEY_LENGTH: Final = 255
"""Characters that an idempotency key may have."""

log = logging.getLogger(__name__)


class ConferenceStore:
    """Links, held conferences, events and timelines, in SQLite or PostgreSQL.

    Every method raises StoreUnavailableError, and no other error of a database, when the database cannot be reached,
    is full, or takes longer than ``patience`` seconds. Every write is on disk when its method returns, and may be made
    again without harm. Cancelling a method does not cancel what it does: a write that nobody waits for any more is
    still made. Times are aware datetimes, else ValueError. A name longer than 500 characters is cut to that.

    The database need not be there when the store is made: each method tries to reach it. Use the store in one event
    loop, and close it there. With ``read_only`` nothing is made, migrated or written, beside a server that runs or
    without one: a database that is not there, or has another version, is a StoreSetupError. Raises StoreSetupError for
    a URL that is none.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE, read_only: bool = False) -> None:
        self._database: Final = Database(url, patience, read_only)
        self._groups: Final[Groups[Batch, Written]] = Groups(self._begin_writing, self._database.give, self._board)
        self._tell: Callable[[News], None] | None = None
        self._wakes: tuple[Wakes, ...] = ()
        self._passengers: Callable[[], Passengers | None] | None = None

    def tell_news(self, tell: Callable[[News], None]) -> None:
        """Tells of every transaction of this process, as soon as it is on disk and before anybody else hears of it."""
        self._tell = tell

    def take_along(self, board: Callable[[], Passengers | None]) -> None:
        """From now on what is written next takes along what ``board`` gives, whenever somebody said that there is something."""
        self._passengers = board

    def board_within(self, seconds: float) -> bool:
        """Has what there is to take along be written in so many seconds at the latest; false if nothing can be written yet."""
        if self._database.is_ready:
            self._groups.board_within(seconds)
        return self._database.is_ready

    def wake_by(self, wakes: Wakes) -> None:
        """From now on messages of nodes have actions be due, beside those of whoever called it before."""
        self._wakes = (*self._wakes, wakes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def name(self) -> str:
        """Where the database is, for messages; without user and password."""
        return self._database.location.name

    async def prepare(self) -> None:
        """Makes the file and brings the tables to the newest version, for which other methods would not wait long.

        Raises StoreSetupError when the database can only be used after somebody changed something.
        """
        await self._database.prepare()

    async def read(self, work: Callable[Concatenate[Reader, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        """What ``work`` makes of its questions, in a thread of the database: it may think for a while there."""
        return await self._database.read(lambda connection: work(Reader(connection), *arguments, **options))

    async def check(self) -> None:
        """Does nothing if the database answers."""
        await self._database.read(_answer)

    async def close(self) -> None:
        """Waits for what is under way and lets go of the database; ``changes`` ends within a second or so."""
        self._groups.hurry()
        await self._database.close()

    async def create_link(self, link: Link, idempotency_key: str | None = None, request_digest: str = "") -> Link:
        """Stores a link and returns it.

        The same API key (``created_by``) and idempotency key with the same digest of the request return the first
        link, as it is now. Raises IdempotencyConflictError when the digest differs, CallTakenError when another
        link has the call, ValueError for an idempotency key that is empty or longer than 255 characters.
        """
        if idempotency_key is not None and not 0 < len(idempotency_key) <= IDEMPOTENCY_KEY_LENGTH:
            raise ValueError(f"an idempotency key has 1 to {IDEMPOTENCY_KEY_LENGTH} characters")
        made = (await self._write(Batch(link=NewLink(link, idempotency_key, request_digest)))).link
        if made is None or isinstance(made, RefusedLinkError):
            raise made or ValueError("no link was asked for")
        return made

    async def link(self, call: str) -> Link | None:
        """The link of a call, revoked or expired ones too."""
        return await self.read(Reader.link, call)

    async def links(self, calls: Sequence[str]) -> tuple[Link, ...]:
        """The links of some calls, in no order."""
        return await self._database.read(partial(links.find_links, calls=calls))

    async def revoke_link(self, call: str, at: datetime) -> bool:
        """Revokes a link and says whether there is one; revoking it again changes nothing."""
        return await self._database.write(partial(links.revoke_link, call=call, at=at))

    async def move_link(self, call: str, new: Link, at: datetime) -> Link | None:
        """Stores a link in place of another, and returns the other as it is then; ``None`` if there is none.

        Of several that would take its place the first does. One that was revoked is not moved. Raises CallTakenError.
        """
        return await self._database.write(partial(links.move_link, call=call, new=new, at=at))

    async def hold(self, conference: HeldConference) -> HeldConference:
        """Holds a room unless another conference does, and returns the one that does.

        A room is held from the first hold until ``end``, or until a hold whose ``held_at`` is not before the holder's
        ``expires_at``. A conference that was held before (by its ``id``) is returned as it is, even when it ended.
        """
        (winner,) = await self.hold_all([conference])
        return winner

    async def hold_all(self, conferences: Sequence[HeldConference]) -> tuple[HeldConference, ...]:
        """Holds several conferences at the price of one; the holder of each room, in the order given."""
        return (await self.record(conferences, ())).holders

    async def holders_among(self, names: Sequence[str], at: datetime) -> tuple[HeldConference, ...]:
        """The conferences that hold some rooms at a time."""
        return await self._database.read(partial(holds.find_holders_among, names=names, at=at))

    async def live(self, at: datetime) -> tuple[HeldConference, ...]:
        """Every conference that holds its room at a time."""
        return await self._database.read(partial(holds.find_live, at=at))

    async def held_at(self, at: datetime) -> tuple[HeldConference, ...]:
        """Every conference that held its room at a time, also one that has ended since."""
        return await self._database.read(partial(holds.find_held_at, at=at))

    async def begun(self, since: datetime, at: datetime) -> tuple[HeldConference, ...]:
        """Every conference that began after a time and by another, also those that have ended; without their doors."""
        return await self._database.read(partial(holds.find_begun, since=since, at=at))

    async def good_links(self, at: datetime) -> tuple[Link, ...]:
        """Every link that has not expired at a time, and those withdrawn for a while longer."""
        return await self._database.read(partial(links.find_good, at=at))

    async def links_that_matter(self, at: datetime, rooms: Sequence[HeldConference]) -> tuple[Link, ...]:
        """The links that have not expired at a time, those of ``rooms`` and of calls that others join, and those that join
        ``rooms``: a room may outlive its link, of which it still matters that it was revoked. What had expired when a room
        began has no say in it.
        """
        good = await self.good_links(at)
        calls = {link.call for link in good}
        of_rooms = {room.call for room in rooms if room.call}
        # In the order of what they lead to, so that one reading is like another.
        joined = {link.joins for link in good if link.joins and link.expires_at > at}
        expired = sorted((of_rooms | joined) - calls)
        others = await self._links_by(links.find_links, expired)
        joining = await self._links_by(links.find_joining, sorted(of_rooms))
        begun = {room.call: room.held_at for room in sorted(rooms, key=lambda room: room.held_at, reverse=True)}
        never = datetime.max.replace(tzinfo=UTC)
        led = [link for link in others if link.call in joined or begun.get(link.call, never) < link.expires_at]
        came = [link for link in joining if link.call not in calls and begun[link.joins] < link.expires_at]
        return (*good, *led, *came)

    async def _links_by(self, find: Callable[..., tuple[Link, ...]], calls: Sequence[str]) -> tuple[Link, ...]:
        """The links that some calls lead to, so many at a time that none has to wait for long."""
        found = [
            await self._database.read(partial(find, calls=calls[start : start + SESSIONS_AT_ONCE]))
            for start in range(0, len(calls), SESSIONS_AT_ONCE)
        ]
        return tuple(chain.from_iterable(found))

    async def end(self, name: str, at: datetime, number: int = 0) -> bool:
        """Ends the conference that holds a room and says whether there was one.

        A conference held after ``at`` is not ended: the news is about an earlier one. With ``number`` nothing is ended
        unless that is the number of the room's latest change.
        """
        return (await self._write(Batch(ending=Ending(name, at, number)))).has_ended

    async def bind(self, conference_id: str, conversation: str, places: int) -> bool:
        """Whether a conversation of Genesys Cloud is one of the first ``places`` that came for a conference.

        It becomes one if a place is free. Binding it again changes nothing.
        """
        return (await self._write(Batch(binding=Binding(conference_id, conversation, places)))).is_bound

    async def forget_secrets(self, at: datetime, batch: int = 500) -> int:
        """Deletes the PINs and tones of conferences that no longer hold their rooms; returns how many had any.

        ``end`` and a hold that takes an expired room do so by themselves. SQLite overwrites what was deleted, also in its
        write-ahead log; PostgreSQL keeps it in its files until they are vacuumed, and in its archives and backups.
        """
        total = 0
        forgotten = batch
        while forgotten == batch:
            forgotten = await self._database.write(partial(holds.forget_secrets, at=at, most=batch))
            total += forgotten
        await self._database.overwrite_log()
        return total

    async def add_events(self, events: Sequence[Event]) -> int:
        """Stores events, in any number, and returns how many are new: those of one identity are the same.

        When it raises, some of the events may be stored.
        """
        many = len(events) > MANY_EVENTS
        ready = await asyncio.to_thread(_by_identity, events) if many else _by_identity(events)
        added = 0
        for start in range(0, len(ready), ROWS_AT_ONCE):
            added += (await self._write(Batch(events=dict(ready[start : start + ROWS_AT_ONCE])))).added
        return added

    async def add_timeline(self, entries: Sequence[TimelineEntry]) -> int:
        """Stores timeline entries and returns how many are new; equal entries are the same."""
        return (await self.record((), [(entry,) for entry in entries])).noted

    async def record(
        self,
        conferences: Sequence[HeldConference],
        pages: Sequence[Page],
        linger: float = LINGER,
        actions: Sequence[DueAction] = (),
    ) -> Recorded:
        """What ``hold_all``, ``add_timeline`` and ``schedule`` do, in one transaction; equal pages are the same. What is no
        conference waits up to ``linger`` seconds for something else to be written with.
        """
        written = await self._write(Batch(conferences, pages, actions=actions, patience=linger))
        return Recorded(written.holders, written.noted)

    async def schedule(self, actions: Sequence[DueAction]) -> int:
        """Stores actions that are due some time and returns how many are new: those of one ``id`` are the same."""
        return len(await self._database.write(partial(due.add, actions=actions)))

    async def is_due(self, kind: str, at: datetime) -> bool:
        """Whether an action of a kind is due that nobody has taken."""
        return await self._database.read(partial(due.find_due, kind=kind, at=at))

    async def take_due(
        self, kind: str, owner: str, at: datetime, until: datetime, most: int = 1
    ) -> tuple[DueAction, ...]:
        """Takes up to ``most`` actions that are due, for an owner until a time; then others may take them. Each is taken
        by one owner, whatever others do at that moment.
        """
        return await self._database.write(partial(due.take, kind=kind, owner=owner, at=at, until=until, most=most))

    async def finish_due(
        self, action: DueAction, at: datetime, outcome: str, data: Mapping[str, object] | None = None
    ) -> bool:
        """Says how an action ended that was taken, and what stays of its data; false, and nothing is changed, if another has
        taken it since.
        """
        return await self._database.write(partial(due.finish, action=action, at=at, outcome=outcome, data=data))

    async def postpone_due(self, action: DueAction, until: datetime, data: Mapping[str, object]) -> bool:
        """Puts an action off that was taken, with what is to be known of it then; false if another has taken it since.

        One that was brought forward since it was taken is due at once.
        """
        return await self._database.write(partial(due.postpone, action=action, until=until, data=data))

    async def remember_due(self, action: DueAction, until: datetime, data: Mapping[str, object]) -> bool:
        """Writes down what is to be known by whoever has an action next, and goes on having it until a time; false if
        another has taken it since, and then it must not be carried out.
        """
        return await self._database.write(partial(due.remember, action=action, until=until, data=data))

    async def reopen_due(self, action_id: str, at: datetime, data: Mapping[str, object] | None = None) -> bool:
        """Has an action that is done be carried out again, at a time, and says whether there is one; ``data`` is what is to
        be known of it then, ``None`` for what was.
        """
        return await self._database.write(partial(due.reopen, action_id=action_id, at=at, data=data))

    async def done_due(self, kind: str, outcome: str, since: datetime) -> tuple[DueAction, ...]:
        """Up to 1000 actions of a kind that ended in one way since a time."""
        return await self._database.read(partial(due.find_done, kind=kind, outcome=outcome, since=since))

    async def waiting_due(self, kind: str) -> tuple[DueAction, ...]:
        """Up to 1000 actions of a kind that are not done, by when they are due."""
        return await self._database.read(partial(due.find_waiting, kind=kind))

    async def count_done(self, outcome: str, since: datetime) -> dict[str, int]:
        """For each kind how many actions ended in one way since a time."""
        return await self._database.read(partial(due.count_done, outcome=outcome, since=since))

    async def count_due(self) -> dict[str, tuple[int, datetime]]:
        """For each kind how many actions are not done, and when the first of them is or was due."""
        found = await self._database.read(due.count)
        return {kind: (number, moment(first)) for kind, (number, first) in found.items()}

    def changes(self) -> AsyncGenerator[Change, None]:
        """Every change, of this process and all others, within 100 ms of its commit; but not those that ``tell_news`` told
        of.

        Never raises, and ends only when the store is closed. It starts with LOOK_AGAIN as soon as it listens, and
        yields that again after the database was away. Each reader has a connection of its own, so share one.
        """
        return changes.listen(self._database)

    async def purge(self, before: datetime, batch: int = 500) -> int:
        """Deletes what was over before a time and returns how many links, conferences, events and entries that were.

        A conference goes with its events, timeline and link; each transaction deletes ``batch`` rows at the most.
        """
        total = 0
        for table in history.RETAINED:
            deleted = batch
            while deleted == batch:
                deleted = await self._database.write(
                    partial(history.delete_some, table=table, before=before, batch=batch)
                )
                total += 0 if table is CHANGES else deleted
        return total

    async def _write(self, batch: Batch) -> Written:
        if not self._database.is_ready:
            await self._database.get_ready()
        written = self._groups.add(batch)
        self._database.expect(written)
        return await written

    def _board(self) -> Passengers | None:
        return None if self._passengers is None else self._passengers()

    def _begin_writing(self, group: Sequence[Batch], done: Done) -> None:
        work = partial(batches.write, group, self._wakes)
        self._database.begin_write(work, partial(_hand_out, done), None if self._tell is None else self._tell_first)

    def _tell_first(self, written: Committed[Together]) -> bool:
        try:
            if self._tell is not None:
                numbers = {key: number for key, number, *_ in written.announced}
                self._tell(written.result.news._replace(numbers=numbers))
        except Exception:
            # It is on disk all the same, and whoever waits for it is told so.
            log.exception("store.untold: what was written is not taken note of")
            return False
        return True


def _hand_out(done: Done, together: Together | None, error: BaseException | None) -> None:
    done(None if together is None else together.written, error)


def _by_identity(events: Sequence[Event]) -> list[tuple[bytes, Event]]:
    return list(different((event.identity, event) for event in events).items())


def _answer(connection: Connection) -> None:
    connection.execute("SELECT 1")
