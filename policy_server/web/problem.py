"""Errors of everything but the policy endpoints: ``application/problem+json`` (RFC 9457)."""

from typing import Final

from starlette.responses import JSONResponse

TYPE_ROOT: Final = "urn:policy-server:problem:"


class ProblemResponse(JSONResponse):
    """One problem. ``kind`` is stable and ends the ``type`` that clients may compare."""

    media_type = "application/problem+json"

    def __init__(
        self, status: int, kind: str, title: str, detail: str = "", headers: dict[str, str] | None = None
    ) -> None:
        content: dict[str, object] = {"type": TYPE_ROOT + kind, "title": title, "status": status}
        if detail:
            content["detail"] = detail
        self.reason: Final = detail or title
        super().__init__(content, status_code=status, headers=headers)
