"""What a lookup is about, and what it found."""

from dataclasses import field
from functools import cached_property

import orjson

from policy_server.conferences.records import HeldConference
from policy_server.conferences.view import Conference, FoundBy
from policy_server.light import light_dataclass


@light_dataclass(frozen=True, slots=True)
class Subject:
    """What an alias is about: a call, by its id, or a room that no link led to, by its name or an alias that leads there.

    ``aliases`` are those by which a call may be known to a telephone system, in lower case and without a domain; a room
    without a call has none, and ``name`` is how it was spelt. ``is_identified``: a conversation said which room, and no
    other is meant, whatever else is called so.
    """

    call: str = field(repr=False)
    aliases: frozenset[str] = field(default=frozenset(), repr=False)
    name: str = field(default="", repr=False)
    is_identified: bool = False


@light_dataclass(frozen=True)
class Found:
    """A conference as it was read. ``keys`` are the call id and room name whose changes concern it; what changes after
    change number ``number`` may be missing from the answer. ``dials`` are the aliases that its room dials,
    ``conference`` what holds the room or held it last, and ``connected_legs`` how many calls to the contact centre were
    answered in its latest life.
    """

    call: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    number: int
    answer: Conference = field(repr=False)
    dials: frozenset[str] = field(repr=False)
    conference: HeldConference | None = field(repr=False)
    connected_legs: int

    def body(self, found_by: FoundBy | None) -> bytes:
        """The answer in JSON, made once for all who get it and whose conversation shows the caller so."""
        body = self._bodies.get(found_by)
        if body is None:
            body = self._bodies[found_by] = orjson.dumps({**self.answer, "found_by": found_by})
        return body

    @cached_property
    def _bodies(self) -> dict[FoundBy | None, bytes]:
        return {}
