"""What is to be done at a time, by one replica, once: a row for each action, which outlives whoever carries it out.

Who takes an action has it for a while (a lease); who dies lets it lapse, and another takes it. What must not be done twice
is written down before it is done: see ``DueAction.attempts`` (README.md: Due actions).
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from operator import attrgetter
from typing import Final

from policy_server.conferences.connection import POSTGRESQL, Connection, Row
from policy_server.conferences.tables import DUE_ACTIONS, encode, instant, storable_name
from policy_server.light import light_dataclass


@light_dataclass(frozen=True, slots=True)
class DueAction:
    """Something that is to be done at ``due_at``.

    ``id`` says what it is, so that who wants the same again changes nothing. ``key`` is the call or room name that it is
    about. Of one ``lane`` only the first that is not done is carried out, in the order of ``place``; the others wait for it.
    ``attempts`` counts how often somebody took it, so more than 1 means that whoever had it before may have done it, wholly
    or in part, and never said so. ``outcome`` says how it ended, at ``done_at``.
    """

    id: str
    kind: str
    key: str = field(repr=False)
    due_at: datetime
    data: Mapping[str, object] = field(default_factory=dict, repr=False)
    lane: str = field(default="", repr=False)
    place: int = 0
    attempts: int = 0
    owner: str | None = None
    leased_until: datetime | None = None
    done_at: datetime | None = None
    outcome: str | None = None

    def __post_init__(self) -> None:
        if not self.id or not self.kind:
            raise ValueError("an action that is due needs an id and a kind")


_VALUES: Final = attrgetter(*DUE_ACTIONS.names)
_LANE: Final = DUE_ACTIONS.names.index("lane")

_FIND: Final = """SELECT id FROM due_actions AS due
    WHERE done_at IS NULL AND due_at <= ? AND (leased_until IS NULL OR leased_until <= ?) AND kind = ?
    AND NOT EXISTS (SELECT 1 FROM due_actions AS earlier
        WHERE earlier.lane = due.lane AND earlier.done_at IS NULL AND earlier.place < due.place)
    ORDER BY due_at, id LIMIT ?"""
_SQLITE: Final = """UPDATE due_actions SET owner = ?, leased_until = ?, attempts = attempts + 1
    WHERE id IN ({find}) RETURNING {names}"""
# Materialized: the planner may otherwise look for rows once more after it locked some.
_POSTGRESQL: Final = """WITH found AS MATERIALIZED ({find} FOR UPDATE OF due SKIP LOCKED)
    UPDATE due_actions SET owner = ?, leased_until = ?, attempts = attempts + 1
    FROM found WHERE due_actions.id = found.id RETURNING {names}"""
_TAKE_IN_SQLITE: Final = _SQLITE.format(find=_FIND, names=", ".join(DUE_ACTIONS.names))
_TAKE_IN_POSTGRESQL: Final = _POSTGRESQL.format(
    find=_FIND, names=", ".join(f"due_actions.{name}" for name in DUE_ACTIONS.names)
)
_FINISH: Final = """UPDATE due_actions SET done_at = ?, outcome = ?, data = coalesce(?, data), owner = NULL, leased_until = NULL
    WHERE id = ? AND owner = ? AND attempts = ? AND done_at IS NULL RETURNING id"""
# Who brought it forward meanwhile did so because of what was not known when it was taken.
_POSTPONE: Final = """UPDATE due_actions SET due_at = CASE WHEN due_at = ? THEN ? ELSE due_at END, data = ?,
    owner = NULL, leased_until = NULL
    WHERE id = ? AND owner = ? AND attempts = ? AND done_at IS NULL RETURNING id"""
# Whoever looks for what is due need not pass by them again and again.
_HOLD_BACK: Final = """UPDATE due_actions SET due_at = ?
    WHERE lane = ? AND place > ? AND done_at IS NULL AND due_at < ? RETURNING id"""
_REMEMBER: Final = """UPDATE due_actions SET data = ?, leased_until = ?
    WHERE id = ? AND owner = ? AND attempts = ? AND done_at IS NULL RETURNING id"""
_SOONER: Final = """UPDATE due_actions SET due_at = ?
    WHERE key = ANY(?) AND kind = ? AND done_at IS NULL AND (due_at > ? OR owner IS NOT NULL) RETURNING id"""
_REOPEN: Final = """UPDATE due_actions SET done_at = NULL, outcome = NULL, due_at = ?, data = coalesce(?, data)
    WHERE id = ? AND done_at IS NOT NULL RETURNING id"""
_OF_KEY: Final = f"{DUE_ACTIONS.select} WHERE key = ? ORDER BY due_at, place, id"
_WITH_OUTCOME: Final = (
    f"{DUE_ACTIONS.select} WHERE kind = ? AND outcome = ? AND done_at >= ? ORDER BY done_at, id LIMIT ?"
)
_WAITING: Final = f"{DUE_ACTIONS.select} WHERE kind = ? AND done_at IS NULL ORDER BY due_at, id LIMIT ?"
_COUNT_DONE: Final = """SELECT kind, count(*) FROM due_actions
    WHERE outcome = ? AND done_at >= ? GROUP BY kind"""
_COUNT: Final = "SELECT kind, count(*), min(due_at) FROM due_actions WHERE done_at IS NULL GROUP BY kind"


def add(connection: Connection, actions: Sequence[DueAction]) -> list[DueAction]:
    """Stores the actions that are not there yet; those."""
    different = {storable_name(action.id): action for action in actions}
    new = connection.insert(DUE_ACTIONS, [_row(different[name]) for name in sorted(different)])
    return [different[row[0]] for row in new]


def find_due(connection: Connection, kind: str, at: datetime) -> bool:
    """Whether somebody may take an action of a kind."""
    moment = instant(at)
    return bool(connection.execute(_FIND, moment, moment, kind, 1))


def take(
    connection: Connection, kind: str, owner: str, at: datetime, until: datetime, most: int
) -> tuple[DueAction, ...]:
    """Takes up to ``most`` actions of a kind that are due, those of the longest waiting first, for an owner until a time."""
    statement = _TAKE_IN_POSTGRESQL if connection.dialect == POSTGRESQL else _TAKE_IN_SQLITE
    moment, lease = instant(at), instant(until)
    found = (moment, moment, kind, most)
    values = (*found, owner, lease) if connection.dialect == POSTGRESQL else (owner, lease, *found)
    return tuple(sorted(map(_action, connection.execute(statement, *values)), key=lambda action: action.due_at))


def finish(
    connection: Connection, action: DueAction, at: datetime, outcome: str, data: Mapping[str, object] | None = None
) -> bool:
    """Says how an action ended that was taken, and what stays of its data; false if another has taken it since, whose it is
    now.
    """
    kept = None if data is None else encode(data)
    return bool(connection.execute(_FINISH, instant(at), outcome, kept, *_own(action)))


def postpone(connection: Connection, action: DueAction, until: datetime, data: Mapping[str, object]) -> bool:
    """Puts an action off that was taken, with what is to be known of it then; false if another has taken it since.

    An action that was brought forward since it was taken is due at once. Those that wait for it are put off with it.
    """
    moment = instant(until)
    is_own = bool(connection.execute(_POSTPONE, instant(action.due_at), moment, encode(data), *_own(action)))
    if is_own and action.lane != storable_name(action.id):
        connection.execute(_HOLD_BACK, moment, storable_name(action.lane), action.place, moment)
    return is_own


def remember(connection: Connection, action: DueAction, until: datetime, data: Mapping[str, object]) -> bool:
    """Writes down what is to be known by whoever has an action next, and goes on having it until a time; false if another
    has taken it since, and then it must not be carried out.
    """
    return bool(connection.execute(_REMEMBER, encode(data), instant(until), *_own(action)))


def bring_forward(connection: Connection, kind: str, keys: Sequence[str], at: datetime) -> int:
    """Has all actions of a kind about some calls or rooms be due at a time if they would be later; how many are now.

    Whoever has one at the moment is not disturbed: it is due again when they put it off.
    """
    moment = instant(at)
    names = sorted(map(storable_name, keys))
    return len(connection.execute(_SOONER, moment, names, kind, moment))


def reopen(connection: Connection, action_id: str, at: datetime, data: Mapping[str, object] | None = None) -> bool:
    """Has an action that is done be carried out again, with what is to be known of it then; whether there is one."""
    kept = None if data is None else encode(data)
    return bool(connection.execute(_REOPEN, instant(at), kept, storable_name(action_id)))


def find_of(connection: Connection, key: str) -> tuple[DueAction, ...]:
    """All actions about a call or room, done or not."""
    return tuple(map(_action, connection.execute(_OF_KEY, storable_name(key))))


def find_done(
    connection: Connection, kind: str, outcome: str, since: datetime, most: int = 1000
) -> tuple[DueAction, ...]:
    """The actions of a kind that ended in one way since a time."""
    return tuple(map(_action, connection.execute(_WITH_OUTCOME, kind, outcome, instant(since), most)))


def find_waiting(connection: Connection, kind: str, most: int = 1000) -> tuple[DueAction, ...]:
    """The actions of a kind that are not done, by when they are due."""
    return tuple(map(_action, connection.execute(_WAITING, kind, most)))


def count_done(connection: Connection, outcome: str, since: datetime) -> dict[str, int]:
    """For each kind how many actions ended in one way since a time."""
    return dict(connection.execute(_COUNT_DONE, outcome, instant(since)))


def count(connection: Connection) -> dict[str, tuple[int, int]]:
    """For each kind how many actions are not done, and when the first of them is or was due, in microseconds."""
    return {kind: (number, first) for kind, number, first in connection.execute(_COUNT)}


def _own(action: DueAction) -> tuple[object, ...]:
    return storable_name(action.id), action.owner, action.attempts


def _row(action: DueAction) -> Row:
    values = [*_VALUES(action)]
    # Whatever has no lane is alone in its own.
    values[_LANE] = action.lane or action.id
    return DUE_ACTIONS.encode(values)


def _action(row: Row) -> DueAction:
    return DueAction(**DUE_ACTIONS.decode(row))
