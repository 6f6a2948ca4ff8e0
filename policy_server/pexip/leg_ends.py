"""Why an outgoing leg ended, from the ``disconnect_reason`` that a node reports (pexip/README.md: Disconnect reasons)."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class LegEnd(StrEnum):
    """Why an outgoing leg ended. What became of the call also depends on whether it was answered before."""

    BUSY = "busy"
    """The far end is on the telephone."""
    REJECTED = "rejected"
    """The far end did not want the call."""
    NO_ANSWER = "no_answer"
    """It rang, and nobody answered."""
    UNREACHABLE = "unreachable"
    """The call did not come to the far end, or the way there broke: no route, no capacity, a server or node that is down."""
    ENDED = "ended"
    """Somebody hung up, or the conference was over."""
    UNKNOWN = "unknown"
    """Pexip did not say, or in words that are not known."""


class Source(StrEnum):
    """Where a text is from."""

    PEXIP = "documentation"
    """Pexip's documentation or public SDK."""
    ASSUMED = "assumed"
    """Nobody has seen it in an event: what gateways and trunks usually say."""


class Reason(NamedTuple):
    """A part of a text, in lower case, and what it means."""

    text: str
    end: LegEnd
    source: Source


_PEXIP, _ASSUMED = Source.PEXIP, Source.ASSUMED
_HUNG_UP: Final = "call disconnected"

REASONS: Final = (
    # Before the refusal that it is a kind of: "Call rejected" may say more. Where it does not, a far end that is busy (486) cannot
    # be told from one that declined: no other field of an event tells.
    Reason("busy", LegEnd.BUSY, _ASSUMED),
    Reason(_HUNG_UP, LegEnd.ENDED, _PEXIP),
    Reason("call rejected", LegEnd.REJECTED, _PEXIP),
    # What ends the conference, and the leg with it.
    Reason("conference terminated", LegEnd.ENDED, _PEXIP),
    Reason("conference termination", LegEnd.ENDED, _PEXIP),
    Reason("ended the conference", LegEnd.ENDED, _PEXIP),
    Reason("initiated participant disconnect", LegEnd.ENDED, _PEXIP),
    Reason("disconnected by an administrator", LegEnd.ENDED, _PEXIP),
    Reason("disconnected by another participant", LegEnd.ENDED, _PEXIP),
    Reason("timeout waiting for conference host", LegEnd.ENDED, _PEXIP),
    Reason("no participants can keep conference alive", LegEnd.ENDED, _PEXIP),
    Reason("all conference hosts departed", LegEnd.ENDED, _PEXIP),
    Reason("last remaining participant removed", LegEnd.ENDED, _PEXIP),
    Reason("conference ended", LegEnd.ENDED, _ASSUMED),
    # What keeps a call from the far end.
    Reason("neither conference nor gateway found", LegEnd.UNREACHABLE, _PEXIP),
    Reason("invalid gateway routing rule transform", LegEnd.UNREACHABLE, _PEXIP),
    Reason("gateway dial out failed", LegEnd.UNREACHABLE, _PEXIP),
    Reason("no direct route", LegEnd.UNREACHABLE, _PEXIP),
    Reason("failed to forward request", LegEnd.UNREACHABLE, _PEXIP),
    Reason("resource", LegEnd.UNREACHABLE, _PEXIP),  # "Resource unavailable", "Out of transcoding resource"
    Reason("license", LegEnd.UNREACHABLE, _PEXIP),
    Reason("participant limit reached", LegEnd.UNREACHABLE, _PEXIP),
    Reason("node disconnected", LegEnd.UNREACHABLE, _PEXIP),  # "Signaling node …", "Media node …"
    Reason("media process disconnected", LegEnd.UNREACHABLE, _PEXIP),
    Reason("proxied participant disconnected", LegEnd.UNREACHABLE, _PEXIP),
    Reason("maintenance mode", LegEnd.UNREACHABLE, _PEXIP),
    # Words of the far end, as SIP has them (RFC 3261, section 21).
    Reason("decline", LegEnd.REJECTED, _ASSUMED),
    Reason("forbidden", LegEnd.REJECTED, _ASSUMED),
    Reason("no answer", LegEnd.NO_ANSWER, _ASSUMED),
    Reason("temporarily unavailable", LegEnd.NO_ANSWER, _ASSUMED),
    Reason("request timeout", LegEnd.NO_ANSWER, _ASSUMED),
    Reason("request terminated", LegEnd.NO_ANSWER, _ASSUMED),
    Reason("not found", LegEnd.UNREACHABLE, _ASSUMED),
    Reason("service unavailable", LegEnd.UNREACHABLE, _ASSUMED),
)
"""The first whose text is a part of the reason decides."""

STATUSES: Final[Mapping[int, LegEnd]] = {
    404: LegEnd.UNREACHABLE,
    408: LegEnd.NO_ANSWER,
    410: LegEnd.UNREACHABLE,
    480: LegEnd.NO_ANSWER,
    484: LegEnd.UNREACHABLE,
    485: LegEnd.UNREACHABLE,
    486: LegEnd.BUSY,
    487: LegEnd.NO_ANSWER,
    600: LegEnd.BUSY,
    604: LegEnd.UNREACHABLE,
}
"""What a SIP status says of the far end (RFC 3261, section 21). Others decide by their first digit."""

_FIRST_DIGITS: Final[Mapping[int, LegEnd]] = {4: LegEnd.REJECTED, 5: LegEnd.UNREACHABLE, 6: LegEnd.REJECTED}

# "Unexpected Response: 503" and "404 Not Found" are documented; in parentheses or behind SIP a status is assumed.
_STATUS: Final = re.compile(
    r"(?:^|unexpected response: ?|\( ?(?:sip[ /:]*)?|sip(?:/2\.0)?[ :]+)([4-6][0-9]{2})(?![0-9])"
)


def leg_class(disconnect_reason: str) -> LegEnd:
    """The class of a ``disconnect_reason``, which is free text and may say more than the documented text.

    A SIP status in it decides, otherwise the first of ``REASONS``. Case and white space do not count.
    """
    reason = _folded(disconnect_reason)
    if found := _STATUS.search(reason):
        status = int(found[1])
        return STATUSES.get(status) or _FIRST_DIGITS[status // 100]
    return next((known.end for known in REASONS if known.text in reason), LegEnd.UNKNOWN)


def is_hung_up(disconnect_reason: str) -> bool:
    """Whether it was the far end that ended the call."""
    return _HUNG_UP in _folded(disconnect_reason)


def _folded(disconnect_reason: str) -> str:
    return " ".join(disconnect_reason.lower().split())
