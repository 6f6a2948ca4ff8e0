"""Who was in a conference, from its event-sink messages (pexip/README.md: Events). A *stint* is one stay of a participant."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from policy_server.conferences.kept import JOINING_CALL
from policy_server.light import light_dataclass
from policy_server.pexip.events import Event

DISCONNECTED: Final = "participant_disconnected"

_TEXTS: Final = (
    "display_name",
    "role",
    "protocol",
    "call_direction",
    "source_alias",
    "destination_alias",
    "service_type",
    "service_tag",
    "call_tag",
    "media_node",
    JOINING_CALL,
    # Seen beside service_type, which it then says more exactly (pexip/README.md: Sink versions).
    "current_service_type",
)
_FLAGS: Final = ("has_media", "is_muted", "is_presenting")

Closes = Mapping[str, Sequence[tuple[float, float]]]
"""Of each service, when its runs were closed and ended, in order."""


@dataclass(slots=True)
class Stint:
    """One stay of a participant."""

    seen_at: float
    """Its first message."""
    service: str = ""
    """The conference or breakout room in which it is."""
    connected_at: float | None = None
    """``None`` until the call is answered."""
    left_at: float | None = None
    reason: str = ""
    is_told: bool = False
    """Whether its end was reported; if not, the conference ended and nothing was heard of it again."""

    @property
    def began_at(self) -> float:
        """When it was connected, or else first seen."""
        return self.seen_at if self.connected_at is None else self.connected_at


@dataclass(slots=True)
class Attendance:
    """A participant: what its messages say, merged in order of time, and its stints."""

    uuid: str
    texts: dict[str, str] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    related: set[str] = field(default_factory=set)
    """Every sibling that was ever named."""
    stints: list[Stint] = field(default_factory=list)
    presenting: list[tuple[float, bool]] = field(default_factory=list)
    """When it began and stopped presenting."""
    last_live: float = 0.0
    """Its latest message that is not its end."""

    @property
    def is_present(self) -> bool:
        """Whether it is still there, answered or not."""
        return self.stints[-1].left_at is None

    @property
    def has_media(self) -> bool:
        """Of somebody who left: the last that was known."""
        return self.flags.get("has_media", False)

    @property
    def is_presenting(self) -> bool:
        """Whether it shows something, of somebody who is there."""
        return self.flags.get("is_presenting", False)

    @property
    def connected_at(self) -> float | None:
        """When its first call was answered; ``None`` when none was."""
        for stint in self.stints:
            if stint.connected_at is not None:
                return stint.connected_at
        return None

    @property
    def last_heard(self) -> float:
        """When it left, or else its latest message."""
        left_at = self.stints[-1].left_at
        return self.last_live if left_at is None else left_at

    @property
    def service_type(self) -> str:
        """What it is in: a conference, or still connecting, a menu or a lobby."""
        return self.text("current_service_type") or self.text("service_type")

    def is_in_another(self, service: str) -> bool:
        """Whether it is there, but in another service."""
        return bool(self.stints) and self.is_present and self.stints[-1].service not in ("", service)

    def text(self, key: str) -> str:
        """What its messages say last, or ``""``."""
        return self.texts.get(key, "")

    def hear(self, event: Event, closes: Closes) -> None:
        """Takes its next message. What is heard last decides whether it is there, and where."""
        is_live, service = event.name != DISCONNECTED, event.conference
        if not is_live and service and self.is_in_another(service):
            # It was moved, and is heard of in its new room already.
            return
        if is_live and self.stints and self.is_present:
            self._leave_with_run(closes, event.time)
        stints = self.stints
        if not stints or (is_live and not self.is_present):
            stints.append(Stint(seen_at=event.time))
        stint = stints[-1]
        stint.service = service or stint.service
        was_presenting = self.is_presenting
        self._merge(event)
        connected = event.moment("connect_time")
        if connected is not None and (len(stints) == 1 or connected >= (stints[-2].left_at or 0.0)):
            stint.connected_at = connected
        elif is_live and stint.connected_at is None and self.service_type != "connecting":
            stint.connected_at = event.time
        if is_live:
            self.last_live = event.time
            if self.is_presenting != was_presenting:
                self.presenting.append((event.time, self.is_presenting))
            return
        stint.reason = event.text("disconnect_reason") or stint.reason
        self.flags["is_presenting"] = was_presenting
        self._leave(event.moment("end_time") or event.moment("disconnect_time") or event.time, is_told=True)

    def at_last(self, closes: Closes) -> Self:
        """How it is when nothing more is heard: whoever is not heard of after the end of a run left with that."""
        if not self.is_present or self._run_before(closes, math.inf) is None:
            return self
        stints = [*self.stints[:-1], replace(self.stints[-1])]
        last = replace(self, stints=stints, flags=dict(self.flags), presenting=list(self.presenting))
        last._leave_with_run(closes, math.inf)
        return last

    def _leave_with_run(self, closes: Closes, before: float) -> None:
        run = self._run_before(closes, before)
        if run is not None:
            self._leave(max(self.last_live, run[1]), is_told=False)

    def _run_before(self, closes: Closes, before: float) -> tuple[float, float] | None:
        """The run of its service that ended between its last message and ``before``, if one did."""
        own = closes.get(self.stints[-1].service, ())
        index = bisect_left(own, (self.last_live, 0.0))
        return own[index] if index < len(own) and own[index][0] < before else None

    def _leave(self, left_at: float, *, is_told: bool) -> None:
        stint = self.stints[-1]
        stint.left_at, stint.is_told = left_at, is_told
        if self.flags.get("is_presenting"):
            self.flags["is_presenting"] = False
            self.presenting.append((left_at, False))

    def _merge(self, event: Event) -> None:
        """Takes what is there and of the right kind: whether a message repeats every field is disputed.

        (pexip/README.md: Conference events)
        """
        told, texts = event.data.get, self.texts
        for key in _TEXTS:
            if isinstance(text := told(key), str):
                texts[key] = text
        for key in _FLAGS:
            flag = event.flag(key)
            if flag is not None:
                self.flags[key] = flag
        if siblings := event.texts("related_uuids"):
            self.related.update(siblings)


@light_dataclass(frozen=True, slots=True)
class Stay:
    """One stay of a person, who may be several participants at once."""

    joined_at: float | None
    """``None`` when none of them was connected, as far as is known."""
    left_at: float | None
    reason: str
    is_told: bool
    service: str
    """Where it began: in the conference, or a breakout room of it."""


def stays(stints: Iterable[Stint]) -> list[Stay]:
    """The stays of a person, from the stints of all their participants: those that overlap are one."""
    together: list[list[Stint]] = []
    until = -math.inf
    for stint in sorted(stints, key=_life):
        if stint.began_at > until:
            together.append([])
        together[-1].append(stint)
        until = max(until, _life(stint)[1])
    return [_stay(each) for each in together]


def _life(stint: Stint) -> tuple[float, float, bool, str, str]:
    left_at = math.inf if stint.left_at is None else stint.left_at
    return stint.began_at, left_at, stint.is_told, stint.reason, stint.service


def _stay(stints: Sequence[Stint]) -> Stay:
    last = max(stints, key=lambda stint: _life(stint)[1:])
    connected = [stint.connected_at for stint in stints if stint.connected_at is not None]
    return Stay(min(connected, default=None), last.left_at, last.reason, last.is_told, stints[0].service)
