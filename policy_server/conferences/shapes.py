"""What the fields of an answer mean, said where they stand: OpenAPI's shapes and examples are made of the answers' types.

Answers are plain dictionaries. Nothing is validated when one is built: mypy has compared it with its type.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, overload

from pydantic import Field, WithJsonSchema

from policy_server.wording.moments import to_the_millisecond

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""ISO 8601 with an offset."""

Count = Annotated[int, Field(ge=0)]

FURTHEST_AHEAD: Final = timedelta(hours=1)
"""What a node's clock may be ahead of ours for its times to be shown as they are."""

_NO_EXAMPLE = object()


def means(description: str, example: object = _NO_EXAMPLE, **schema: Any) -> Any:
    """What a field means, an example of it, and what else its JSON Schema says."""
    examples = None if example is _NO_EXAMPLE else [example]
    return Field(description=description, examples=examples, json_schema_extra=schema or None)


@overload
def stamp(at: datetime, timespec: str = ...) -> str: ...
@overload
def stamp(at: datetime | None, timespec: str = ...) -> str | None: ...
def stamp(at: datetime | None, timespec: str = "milliseconds") -> str | None:
    """A time as answers write it."""
    if at is None:
        return None
    return to_the_millisecond(at) if timespec == "milliseconds" else at.isoformat(timespec=timespec)


def believed_until(arrived: datetime) -> float:
    """The latest time, in epoch seconds, that is believed of a node whose last message ``arrived`` then."""
    return (arrived + FURTHEST_AHEAD).timestamp()


@overload
def moment(seconds: float, arrived: datetime) -> datetime: ...
@overload
def moment(seconds: float | None, arrived: datetime) -> datetime | None: ...
def moment(seconds: float | None, arrived: datetime) -> datetime | None:
    """A time of a node as its clock says, unless that is hours ahead of when the last message ``arrived``."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC) if seconds <= believed_until(arrived) else arrived
