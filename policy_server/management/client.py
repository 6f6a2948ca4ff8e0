"""What Pexip's Management Node is asked and told about conferences that run (management/README.md: Commands, Status)."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Final, Self, TypeVar
from urllib.parse import quote, urlencode

import orjson

from policy_server.management.access import Access
from policy_server.management.pace import RATE
from policy_server.management.replies import (
    ConferenceEntry,
    Page,
    parse_command,
    parse_conferences,
    parse_participant,
    parse_participants,
)
from policy_server.management.requests import Counts, Request, Requests, Trouble
from policy_server.management.results import (
    ID_LIMIT,
    TEXT_LIMIT,
    Absent,
    Accepted,
    Call,
    CommandResult,
    Conference,
    ConferenceResult,
    DisconnectResult,
    Gone,
    NotDone,
    Participant,
    ParticipantResult,
    Role,
    Unanswered,
    Unknown,
)
from policy_server.outbound.exchange import Reply

PAGE: Final = 100
"""Objects of a page that are asked for; a node may give fewer."""

PAGES: Final = 20
"""Pages of one list that are read; what has more is not looked at."""

T = TypeVar("T")
Listed = TypeVar("Listed", Participant, ConferenceEntry)


class ManagementClient:
    """One Management Node. Nothing is raised for what it does; ids and names come from it or from us, never from callers.

    Whoever shares a process shares a client: the pace and the circuit are for all of it.
    """

    def __init__(self, access: Access, rate: int = RATE, *, requests: Requests | None = None) -> None:
        self._requests: Final = requests or Requests(access, rate)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._requests.close()

    @property
    def is_away(self) -> bool:
        """Whether the node is left alone because it did not answer."""
        return self._requests.is_away

    @property
    def counts(self) -> Counts:
        """What was sent and what became of it."""
        return self._requests.counts

    # ------------------------------------------------------------------ what is

    async def check(self) -> Unanswered | None:
        """Why the node cannot be asked for the status, None if it can. Costs it next to nothing."""
        path = f"{_STATUS}/conference/?limit=1"
        found = await self._requests.send(Request("GET", path, _at_200(parse_conferences)))
        return found.as_unanswered if isinstance(found, Trouble) else None

    async def conference(self, name: str) -> ConferenceResult:
        """The conference of that name with all its participants (management/README.md: Status)."""
        listed = await self._list("conference", "name", name, parse_conferences, lambda entry: entry.name == name)
        if isinstance(listed, Unanswered):
            return listed
        if not listed:
            return Absent()
        if len(listed) > 1:
            return Unanswered("malformed", "there are several conferences of one name")
        people = await self._list(
            "participant", "conference", name, parse_participants, lambda each: each.conference == name
        )
        if isinstance(people, Unanswered):
            return people
        return _conference(listed[0], people)

    async def participant(self, participant_id: str) -> ParticipantResult:
        """One participant (management/README.md: Status)."""
        _check_id(participant_id)

        def read(reply: Reply) -> Participant | Absent | None:
            if reply.status == 404:
                return Absent()
            return parse_participant(reply.body, participant_id) if reply.status == 200 else None

        path = f"{_STATUS}/participant/{quote(participant_id, safe='')}/"
        request: Request[Participant | Absent] = Request("GET", path, read)
        found = await self._requests.send(request)
        return found.as_unanswered if isinstance(found, Trouble) else found

    # ------------------------------------------------------------------ what shall be

    async def dial(self, call: Call) -> CommandResult:
        """Has a conference call somebody; sent once, repeated only while surely nothing of it has left.

        (management/README.md: Dial a participant)
        """
        texts = (call.conference_alias, call.destination, call.local_display_name, call.remote_display_name)
        fields = {name: value for name, value in asdict(call).items() if value}
        return await self._tell("participant/dial", fields, texts, is_repeatable=False)

    async def transfer(self, participant_id: str, conference_alias: str, role: Role) -> CommandResult:
        """Moves a participant to another conference; repeated as a dial is (management/README.md: Other commands)."""
        _check_id(participant_id)
        if not 0 < len(conference_alias) <= TEXT_LIMIT:
            raise ValueError(f"conference_alias must have 1 to {TEXT_LIMIT} characters")
        fields = {"participant_id": participant_id, "conference_alias": conference_alias, "role": role}
        return await self._tell("participant/transfer", fields, (conference_alias,), is_repeatable=False)

    async def disconnect_participant(self, participant_id: str) -> DisconnectResult:
        """Ends one participant's call (management/README.md: Other commands)."""
        _check_id(participant_id)
        fields = {"participant_id": participant_id}
        done = await self._tell("participant/disconnect", fields, (), is_repeatable=True)
        return await self._or_gone(done, lambda: self._is_absent("participant", participant_id))

    async def disconnect_conference(self, conference_id: str) -> DisconnectResult:
        """Ends a conference for everybody (management/README.md: Other commands)."""
        _check_id(conference_id)
        fields = {"conference_id": conference_id}
        done = await self._tell("conference/disconnect", fields, (), is_repeatable=True)
        return await self._or_gone(done, lambda: self._is_absent("conference", conference_id))

    async def _tell(
        self, command: str, fields: dict[str, str], told: tuple[str, ...], *, is_repeatable: bool
    ) -> CommandResult:
        def read(reply: Reply) -> Accepted | _Refused | None:
            if not 200 <= reply.status < 300:
                return None
            found = parse_command(reply.body, told)
            return _Refused(found) if isinstance(found, str) else found

        path = f"/command/v1/{command}/"
        request: Request[Accepted | _Refused] = Request("POST", path, read, orjson.dumps(fields), is_repeatable, told)
        found = await self._requests.send(request)
        if isinstance(found, Accepted):
            return found
        if isinstance(found, _Refused):
            return NotDone("refused", found)
        if found.is_undone:
            return NotDone(found.reason, found.detail, found.retry_after)
        return Unknown(found.reason, found.detail)

    async def _or_gone(self, done: CommandResult, is_absent: Callable[[], Awaitable[bool]]) -> DisconnectResult:
        """The reference does not say how an id that is gone is refused: after a refusal the node is asked for it."""
        is_refused = isinstance(done, NotDone) and done.reason == "refused"
        return Gone() if is_refused and await is_absent() else done

    async def _is_absent(self, resource: str, identifier: str) -> bool:
        def read(reply: Reply) -> bool | None:
            return {200: False, 404: True}.get(reply.status)

        path = f"{_STATUS}/{resource}/{quote(identifier, safe='')}/"
        return await self._requests.send(Request("GET", path, read)) is True

    # ------------------------------------------------------------------ lists

    async def _list(
        self,
        resource: str,
        field: str,
        value: str,
        parse: Callable[[bytes], Page[Listed] | None],
        is_meant: Callable[[Listed], bool],
    ) -> list[Listed] | Unanswered:
        """All objects whose field has the value; others are left out, in case the node does not look at the filter."""
        found: dict[str, Listed] = {}
        offset = 0
        for _ in range(PAGES):
            query = urlencode({field: value, "limit": PAGE, "offset": offset})
            request = Request("GET", f"{_STATUS}/{resource}/?{query}", _at_200(parse))
            page = await self._requests.send(request)
            if isinstance(page, Trouble):
                return page.as_unanswered
            # Somebody who comes meanwhile moves others to the next page, where they are seen again.
            found |= {each.id: each for each in page.objects if is_meant(each)}
            offset += len(page.objects)
            if page.is_last or not page.objects:
                return list(found.values())
        return Unanswered("too_large", f"the list of the {resource}s of one conference has more than {PAGES} pages")


_STATUS: Final = "/status/v1"


class _Refused(str):
    """Why the node does not carry out a command, in its words."""

    __slots__ = ()


def _at_200(parse: Callable[[bytes], T | None]) -> Callable[[Reply], T | None]:
    return lambda reply: parse(reply.body) if reply.status == 200 else None


def _conference(entry: ConferenceEntry, people: list[Participant]) -> Conference:
    return Conference(
        id=entry.id,
        name=entry.name,
        service_type=entry.service_type,
        tag=entry.tag,
        is_started=entry.is_started,
        is_locked=entry.is_locked,
        start_time=entry.start_time,
        participants=tuple(people),
    )


def _check_id(identifier: str) -> None:
    if not 0 < len(identifier) <= ID_LIMIT:
        raise ValueError(f"an id must have 1 to {ID_LIMIT} characters")
