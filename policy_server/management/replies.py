"""Reading what the Management Node answers: bytes in, typed values out, nothing believed unseen.

(management/README.md: Basics, Commands, Status)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from policy_server.management.results import ID_LIMIT, Accepted, Participant, Role

SHOWN: Final = 200
"""Characters of what a node says about a refusal that are kept."""

_ROLES: Final[dict[str, Role]] = {"chair": "chair", "host": "chair", "guest": "guest"}
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{1,8192}=*")

T = TypeVar("T")


def _nothing_is_empty(value: object) -> object:
    return "" if value is None else value


def _instant(value: object) -> object:
    """A time as the node writes it, in UTC; None for none and for what is no time."""
    if not isinstance(value, str) or not value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


_Id = Annotated[str, Field(min_length=1, max_length=ID_LIMIT)]
_Text = Annotated[str, BeforeValidator(_nothing_is_empty)]
_Time = Annotated[datetime | None, BeforeValidator(_instant)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class _Participant(_Part):
    id: _Id
    conference: str
    display_name: _Text = ""
    call_direction: Literal["in", "out"]
    source_alias: _Text = ""
    destination_alias: _Text = ""
    protocol: _Text = ""
    role: _Text = ""
    service_type: _Text = ""
    service_tag: _Text = ""
    call_uuid: _Text = ""
    signalling_node: _Text = ""
    has_media: bool
    connect_time: _Time = None


class ConferenceEntry(_Part):
    """A conference as the status lists it."""

    id: _Id
    name: str
    service_type: _Text = ""
    tag: _Text = ""
    is_started: bool = False
    is_locked: bool = False
    start_time: _Time = None


class _Meta(_Part):
    next: str | None


class _ParticipantPage(_Part):
    meta: _Meta
    objects: tuple[_Participant, ...]


class _ConferencePage(_Part):
    meta: _Meta
    objects: tuple[ConferenceEntry, ...]


class _NewParticipant(_Part):
    participant_id: _Id


class _Command(_Part):
    status: str
    message: Any = None
    data: Any = None
    result: Any = None


class _Token(_Part):
    access_token: str
    expires_in: Annotated[float, Field(strict=False, gt=0)] | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list, and whether there is one after it."""

    objects: tuple[T, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and how long it is good, None if that was not said."""

    value: str = field(repr=False)
    seconds: float | None


def parse_participants(body: bytes) -> Page[Participant] | None:
    """A page of participants; None if it is not one."""
    try:
        page = _ParticipantPage.model_validate_json(body)
    except ValidationError:
        return None
    return Page(tuple(map(_participant, page.objects)), page.meta.next is None)


def parse_conferences(body: bytes) -> Page[ConferenceEntry] | None:
    """A page of conferences; None if it is not one."""
    try:
        page = _ConferencePage.model_validate_json(body)
    except ValidationError:
        return None
    return Page(page.objects, page.meta.next is None)


def parse_participant(body: bytes, identifier: str) -> Participant | None:
    """The participant of an id; None if it is not that one."""
    try:
        found = _participant(_Participant.model_validate_json(body))
    except ValidationError:
        return None
    return found if found.id == identifier else None


def parse_command(body: bytes, told: Iterable[str]) -> Accepted | str | None:
    """That a command was accepted, or why not in the node's words; None if it says neither.

    ``told`` is what was sent, which the words do not repeat.
    """
    try:
        answer = _Command.model_validate_json(body)
    except ValidationError:
        return None
    if answer.status == "success":
        return Accepted(_new_participant(answer))
    words = next((text for text in (answer.message, answer.result, answer.data) if isinstance(text, str)), "")
    return _shown(f"{answer.status}: {words}" if words else answer.status, told)


def parse_error(body: bytes, told: Iterable[str]) -> str:
    """Why a request was refused, in the node's words as far as they are text and do not repeat what was sent."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return ""
    return _shown(text, told)


def parse_token(body: bytes) -> Token | None:
    """An access token; None if there is none (management/README.md: OAuth2)."""
    try:
        token = _Token.model_validate_json(body)
    except ValidationError:
        return None
    return Token(token.access_token, token.expires_in) if _TOKEN.fullmatch(token.access_token) else None


def _participant(entry: _Participant) -> Participant:
    return Participant(
        id=entry.id,
        conference=entry.conference,
        display_name=entry.display_name,
        is_outgoing=entry.call_direction == "out",
        source_alias=entry.source_alias,
        destination_alias=entry.destination_alias,
        protocol=entry.protocol,
        role=_ROLES.get(entry.role.lower()),
        service_type=entry.service_type,
        service_tag=entry.service_tag,
        call_uuid=entry.call_uuid,
        signalling_node=entry.signalling_node,
        has_media=entry.has_media,
        connect_time=entry.connect_time,
    )


def _new_participant(answer: _Command) -> str:
    """The id of a new participant, wherever versions put it; empty if there is none."""
    for value in (answer.data, answer.result):
        found = value.get("participant_id") if isinstance(value, dict) else value
        try:
            return _NewParticipant(participant_id=found).participant_id  # type: ignore[arg-type]  # Checked by it.
        except ValidationError:
            continue
    return ""


def _shown(text: str, told: Iterable[str]) -> str:
    for value in sorted(filter(None, told), key=len, reverse=True):
        text = re.sub(re.escape(value), "…", text, flags=re.IGNORECASE)
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
