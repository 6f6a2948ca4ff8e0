"""What is told of links into the room of another link: who came by them, and how they are called."""

from typing import Annotated, Final

from typing_extensions import TypedDict

from policy_server.conferences.records import Link
from policy_server.conferences.shapes import Time, means

JOINED_LIMIT: Final = 100
"""Most links that join a call in an answer: the latest."""

_EXAMPLE_CALL: Final = "interpretersnameofthecall2345672"


class JoiningLink(TypedDict):
    """The link of somebody who joins the call of another link."""

    call: Annotated[str, means("The call id of that link, by which it has a timeline of its own.", _EXAMPLE_CALL)]
    type: Annotated[str, means("The type of that link.", "interpreter")]
    name: Annotated[str, means("The name that it was made for; may be empty.", "Maria R")]


class JoinedBy(JoiningLink):
    """A link that joins the call, and whether its person is there."""

    attributes: Annotated[dict[str, str], means("What that link was made with.", {"language": "it"})]
    is_present: Annotated[bool, means("Its person is there now.", True)]
    joined_at: Annotated[Time | None, means("When its person came.", "2026-11-23T16:06:30.000+00:00")]
    left_at: Annotated[Time | None, means("When its person left; `null` while there.", None)]
    expires_at: Annotated[Time, means("When that link expires.", "2026-11-23T18:00:00.000+00:00")]
    revoked_at: Annotated[Time | None, means("When that link was revoked.", None)]


def joining_link(link: Link) -> JoiningLink:
    """A link as it is told beside a person who came by it."""
    return {"call": link.call, "type": link.type, "name": link.name}


def called(link: Link) -> str:
    """Whom a timeline says to have come by a link: ``Interpreter Maria R``."""
    return f"{link.type.capitalize()} {link.name}".strip()
