"""The questions that a Conferencing Node asks, one row each (pexip/README.md: The six questions)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote, unquote_to_bytes

ROOT: Final = b"/policy/v1/"
"""What begins every path that Pexip appends to the profile URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What Pexip says of one question.

    ``letter`` stands for it in the table of parameters, ``title`` is what Pexip calls it. ``path`` goes on
    after ``ROOT``, and where it ends in a slash with an alias. ``asks`` completes "the node asks …". ``actions`` are those
    that an answer may have; ``{}`` as a result says that nothing changes where ``takes_empty_result`` is true, and is best
    left out elsewhere. ``is_about_call``: asked while a call is set up, so links and rooms that run bear on the answer.
    """

    letter: str
    title: str
    path: str
    asks: str
    actions: tuple[str, ...]
    takes_empty_result: bool
    is_about_call: bool

    @property
    def has_alias(self) -> bool:
        """Whether the path ends with an alias."""
        return self.path.endswith("/")


class RequestType(StrEnum):
    """A question, by the first word of ``policy-server explain``."""

    SERVICE = "service"
    PARTICIPANT = "participant"
    LOCATION = "location"
    AVATAR = "avatar"
    DIRECTORY = "directory"
    REGISTRATION = "registration"

    @property
    def about(self) -> About:
        """The row of this question."""
        return _ABOUT[self]


_ABOUT: Final[Mapping[RequestType, About]] = {
    RequestType.SERVICE: About(
        letter="S",
        title="service configuration",
        path="service/configuration",
        asks="which service the alias is",
        actions=("continue", "reject", "redirect"),
        takes_empty_result=False,
        is_about_call=True,
    ),
    RequestType.PARTICIPANT: About(
        letter="P",
        title="participant properties",
        path="participant/properties",
        asks="whether to change the participant",
        actions=("continue", "reject"),
        takes_empty_result=True,
        is_about_call=True,
    ),
    RequestType.LOCATION: About(
        letter="L",
        title="media location",
        path="participant/location",
        asks="where the media goes",
        actions=(),
        takes_empty_result=False,
        is_about_call=True,
    ),
    RequestType.AVATAR: About(
        letter="A",
        title="participant avatar",
        path="participant/avatar/",
        asks="which picture to show",
        actions=(),
        takes_empty_result=False,
        is_about_call=False,
    ),
    RequestType.DIRECTORY: About(
        letter="D",
        title="directory",
        path="registrations",
        asks="which contacts are found",
        actions=(),
        takes_empty_result=False,
        is_about_call=False,
    ),
    RequestType.REGISTRATION: About(
        letter="R",
        title="registration",
        path="registrations/",
        asks="whether the device may register",
        actions=("continue", "reject"),
        takes_empty_result=True,
        is_about_call=False,
    ),
}

_BY_PATH: Final[Mapping[bytes, RequestType]] = {kind.about.path.encode(): kind for kind in RequestType}
_WHOLE_PATHS: Final = {ROOT + path: (kind, "") for path, kind in _BY_PATH.items() if not kind.about.has_alias}
# The longest first: one path may begin another.
_ALIAS_PATHS: Final = sorted((path for path, kind in _BY_PATH.items() if kind.about.has_alias), key=len, reverse=True)


def question_path(request_type: RequestType, path_alias: str = "") -> str:
    """The path of a question, with the alias percent-encoded as one segment where the type has one."""
    about = request_type.about
    return ROOT.decode() + about.path + (quote(path_alias, safe="") if about.has_alias else "")


def below_root(raw_path: bytes, prefix: bytes = b"") -> bytes | None:
    """What a raw path has after ``ROOT``, or after a prefix and that; ``None`` for any other path.

    Slashes may be doubled, as a profile URL that ends in one makes them.
    """
    # Not by `in`, which takes bytes for a number first and raises an error by itself.
    while raw_path.find(b"//") >= 0:
        raw_path = raw_path.replace(b"//", b"/")
    if raw_path.startswith(ROOT):
        return raw_path[len(ROOT) :]
    return raw_path[len(prefix + ROOT) :] if prefix and raw_path.startswith(prefix + ROOT) else None


def route(raw_path: bytes, prefix: bytes = b"") -> tuple[RequestType, str] | None:
    """The question that a raw path asks, and the alias in it; ``None`` when it is none."""
    exact = _WHOLE_PATHS.get(raw_path)
    if exact is not None:
        return exact
    tail = below_root(raw_path, prefix)
    if tail is None:
        return None
    whole = _WHOLE_PATHS.get(ROOT + tail)
    if whole is not None:
        return whole
    for start in _ALIAS_PATHS:
        if tail.startswith(start) and len(tail) > len(start):
            return _BY_PATH[start], unquote_to_bytes(tail[len(start) :]).decode("utf-8", "replace")
    return _WHOLE_PATHS.get(ROOT + tail.rstrip(b"/"))


def path_as_asked(request_type: RequestType, path_alias: str, raw_path: bytes, prefix: bytes = b"") -> bytes:
    """The path of a question from ``ROOT`` on, for asking somebody else the same: the alias stays as it was written, unless
    it would be more than one segment to others, or none.
    """
    if not request_type.about.has_alias:
        return question_path(request_type).encode()
    segment = (below_root(raw_path, prefix) or b"")[len(request_type.about.path) :]
    if b"/" in segment or not segment.strip(b"."):
        segment = quote(path_alias, safe="").replace(".", "%2E").encode()
    return ROOT + request_type.about.path.encode() + segment
