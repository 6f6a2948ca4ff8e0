"""Errors of everything but the policy endpoints: ``application/problem+json`` (RFC 9457)."""

from typing import Annotated, Final, NotRequired

from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from policy_server.conferences.shapes import means

TYPE_ROOT: Final = "urn:policy-server:problem:"


class Problem(TypedDict):
    """Why something was refused (RFC 9457)."""

    type: Annotated[str, means("Stable; compare this.", f"{TYPE_ROOT}invalid-link", pattern=f"^{TYPE_ROOT}[a-z-]+$")]
    title: Annotated[str, means("What went wrong, in a few words.", "The link cannot be made")]
    status: Annotated[int, means("The status again.", 422, minimum=400, maximum=599)]
    detail: Annotated[
        NotRequired[str],
        means(
            "What exactly, and what to do about it.",
            "ttl must be a duration from 1m to 366d, such as 30m, 4h or 7d, but is '2 hours'",
        ),
    ]


class ProblemResponse(JSONResponse):
    """One problem. ``kind`` is stable and ends the ``type`` that clients may compare."""

    media_type = "application/problem+json"

    def __init__(
        self, status: int, kind: str, title: str, detail: str = "", headers: dict[str, str] | None = None
    ) -> None:
        content: Problem = {"type": TYPE_ROOT + kind, "title": title, "status": status}
        if detail:
            content["detail"] = detail
        self.reason: Final = detail or title
        super().__init__(content, status_code=status, headers=headers)


class Refused(Exception):  # noqa: N818  what was asked is refused: no error of ours
    """What was asked is refused, with the answer to give."""

    def __init__(self, problem: ProblemResponse) -> None:
        super().__init__(problem.reason)
        self.problem: Final = problem
