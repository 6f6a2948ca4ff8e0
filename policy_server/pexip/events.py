"""Event-sink messages: what nodes report about conferences and participants (reference: pexip-events.md).

A message that is refused is sent again and holds up everything behind it, so only what is no message at all is
refused; names, versions and fields that nobody knows yet are kept.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn

import orjson

BULK: Final = "eventsink_bulk"
MAX_ELEMENTS: Final = 20_000
"""Most messages in one bulk."""
MAX_DEPTH: Final = 32
"""Most lists and objects inside each other in ``data``, itself counted."""
MAX_TEXT: Final = 10_000
"""Longest text that is kept, in characters; what is longer is cut."""
MAX_NAME: Final = 250
"""Longest name of a node, an event or a service, in characters (a service's: pexip-policy-responses.md)."""
LATEST_TIME: Final = 253_402_214_400.0
"""The last day of the year 9999 in epoch seconds: what is later is no time."""

_MAX_SEQ: Final = 2**63 - 1
_MAX_SHOWN: Final = 60
_OUTGOING: Final = frozenset({"out", "outbound", "dial_out"})
# What databases refuse in a text: NUL, and half a surrogate pair.
_UNSTORABLE: Final = dict.fromkeys((0, *range(0xD800, 0xE000)), "\ufffd")


class EventError(ValueError):
    """A body that is no event-sink message; the text says why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One message of one node, never a bulk wrapper.

    ``time`` is the node's clock in epoch seconds. ``data`` is as sent, with long texts cut.
    """

    node: str
    seq: int
    version: int
    time: float
    name: str
    data: Mapping[str, object] = field(hash=False)

    @property
    def identity(self) -> tuple[str, int, int]:
        """What two deliveries of one message have in common (section 3): ``seq`` begins again with each sink."""
        return self.node, self.seq, math.floor(self.time)

    @property
    def conference(self) -> str:
        """The service that the message is about, ``""`` when it is about none or does not say.

        Media messages may name only the participant: see ``participant``.
        """
        if self.name.startswith("conference_"):
            return self._service("name")
        return self._service("conference") if self.name.startswith("participant_") else ""

    @property
    def participant(self) -> str:
        """The ``uuid`` of the participant that the message is about, or ``""``."""
        return self._text("uuid") if self.name.startswith("participant_") else ""

    @property
    def is_outgoing(self) -> bool:
        """Whether Pexip placed this call."""
        return is_outgoing(self._text("call_direction"))

    @property
    def protocol(self) -> str:
        """The participant's protocol in lower case (``sip``, ``webrtc``, ``api``), or ``""``."""
        return self._text("protocol").strip().lower()

    def _text(self, key: str) -> str:
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def _service(self, key: str) -> str:
        name = self._text(key)
        return name if len(name) <= MAX_NAME else ""


def is_outgoing(call_direction: str) -> bool:
    """Whether a ``call_direction`` is that of a call Pexip placed: seen as out, outbound and dial_out (section 4)."""
    return call_direction.strip().lower() in _OUTGOING


def parse_events(body: bytes) -> tuple[Event, ...]:
    """Read a single message, or the messages inside a bulk one in their order.

    Raises EventError when the body, or any message in it, is none.
    """
    message = _load(body)
    if not isinstance(message, dict) or message.get("event") != BULK:
        return (_parse_event(message, ""),)
    # The wrapper's own node, seq and time carry no information (section 2).
    elements = message.get("data")
    if not isinstance(elements, list):
        raise EventError(f"data of {BULK} must be a list of messages but is {_show(elements)}")
    if len(elements) > MAX_ELEMENTS:
        raise EventError(f"the bulk has {len(elements)} messages; the limit is {MAX_ELEMENTS}")
    return tuple(
        _parse_event(element, f"message {number} of {len(elements)} in the bulk: ")
        for number, element in enumerate(elements, 1)
    )


def _load(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        strict_fault = str(error)
    # Names come from callers. A byte that is not UTF-8 or half a surrogate pair must not stop a node's queue.
    try:
        return json.loads(body.decode("utf-8", "replace"), parse_constant=_refuse_constant)
    except EventError:
        raise
    except RecursionError:
        raise EventError(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError:
        raise EventError(f"the body is not JSON: {strict_fault}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise EventError(f"the body is not JSON: it has the number {name}")


def _parse_event(message: object, where: str) -> Event:
    if not isinstance(message, dict):
        raise EventError(f"{where}a message must be a JSON object but is {_show(message)}")
    name = _name(message, "event", where)
    if name == BULK:
        raise EventError(f"{where}a bulk cannot be inside a bulk")
    data = message.get("data")
    if data is not None and not isinstance(data, dict):
        raise EventError(f"{where}data of {name} must be an object but is {_show(data)}")
    try:
        kept = _keep_data(data or {})
    except EventError as error:
        raise EventError(f"{where}data of {name} {error}") from None
    return Event(
        node=_name(message, "node", where),
        seq=_whole_number(message, "seq", where),
        version=_whole_number(message, "version", where),
        time=_time(message, where),
        name=name,
        data=kept,
    )


def _name(message: Mapping[str, object], key: str, where: str) -> str:
    value = message.get(key)
    if isinstance(value, str) and 0 < len(value) <= MAX_NAME:
        return _cut(value)
    raise EventError(f"{where}{key} must be a text of 1 to {MAX_NAME} characters but {_is(message, key)}")


def _whole_number(message: Mapping[str, object], key: str, where: str) -> int:
    value = message.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SEQ:
        return value
    raise EventError(f"{where}{key} must be a whole number from 0 but {_is(message, key)}")


def _time(message: Mapping[str, object], where: str) -> float:
    value = message.get("time")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LATEST_TIME:
        return float(value)
    raise EventError(f"{where}time must be a number of seconds since 1970 but {_is(message, 'time')}")


def _keep_data(data: dict[str, object]) -> dict[str, object]:
    if all(map(_is_plain, data)) and all(map(_is_plain, data.values())):
        return data
    return {_cut(key): _keep(value, 1) for key, value in data.items()}


def _is_plain(value: object) -> bool:
    """Whether a value is kept as it is, as nearly all are."""
    if isinstance(value, str):
        return len(value) <= MAX_TEXT and value.isprintable()
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -_MAX_SEQ <= value <= _MAX_SEQ
    return value is None or value == []


def _keep(value: object, depth: int) -> object:
    """A value of ``data`` as it can be stored; raises EventError with the end of a sentence."""
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, dict | list):
        if depth == MAX_DEPTH:
            raise EventError(f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            return {_cut(key): _keep(item, depth + 1) for key, item in value.items()}
        return [_keep(item, depth + 1) for item in value]
    if _is_plain(value):
        return value
    if isinstance(value, int):
        return _keep(_approximate(value), depth)
    raise EventError("has a number that is too large")


def _approximate(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _cut(text: str) -> str:
    text = text[:MAX_TEXT]
    return text if text.isprintable() else text.translate(_UNSTORABLE)


def _is(message: Mapping[str, object], key: str) -> str:
    return f"is {_show(message[key])}" if key in message else "is missing"


def _show(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and not -_MAX_SEQ <= value <= _MAX_SEQ:
        return "a number that is too large"
    shown = json.dumps(value)
    return shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + "…"


# ------------------------------------------------------------------ why a leg ended


class LegEnd(StrEnum):
    """Why an outgoing leg ended (section 5); redialling is reasonable only after ``TEMPORARY``."""

    ENDED_BY_FAR_END = "ended_by_far_end"
    REFUSED = "refused"
    TEMPORARY = "temporary"
    CONFERENCE_OVER = "conference_over"
    UNKNOWN = "unknown"


# A part of a text that makes its class, documented texts and the words that several of them share, in lower case.
_CLASSES: Final[Mapping[str, LegEnd]] = {
    "call disconnected": LegEnd.ENDED_BY_FAR_END,
    "call rejected": LegEnd.REFUSED,
    "resource": LegEnd.TEMPORARY,  # "Resource unavailable", "Out of transcoding resource"
    "node disconnected": LegEnd.TEMPORARY,  # "Signaling node …", "Media node …"
    "media process disconnected": LegEnd.TEMPORARY,
    "proxied participant disconnected": LegEnd.TEMPORARY,
    "maintenance mode": LegEnd.TEMPORARY,
    "conference terminated": LegEnd.CONFERENCE_OVER,  # "… by a Host participant", "… by an administrator"
    "conference termination": LegEnd.CONFERENCE_OVER,
    "conference ended": LegEnd.CONFERENCE_OVER,
    "ended the conference": LegEnd.CONFERENCE_OVER,
    "api initiated participant disconnect": LegEnd.CONFERENCE_OVER,
    "disconnected by an administrator": LegEnd.CONFERENCE_OVER,
    "disconnected by another participant": LegEnd.CONFERENCE_OVER,
    "timeout waiting for conference host": LegEnd.CONFERENCE_OVER,
    "no participants can keep conference alive": LegEnd.CONFERENCE_OVER,
    "all conference hosts departed": LegEnd.CONFERENCE_OVER,
    "last remaining participant removed": LegEnd.CONFERENCE_OVER,
}
# "Unexpected Response: 503", and a status line alone such as "404 Not Found".
_SIP_STATUS: Final = re.compile(r"(?:unexpected response: ?|^)([4-6])[0-9]{2}(?![0-9])")
_SIP_CLASSES: Final[Mapping[str, LegEnd]] = {"4": LegEnd.REFUSED, "5": LegEnd.TEMPORARY, "6": LegEnd.REFUSED}


def leg_class(disconnect_reason: str) -> LegEnd:
    """The class of a ``disconnect_reason``, which is free text and may say more than the documented text.

    A SIP status decides by its first digit, otherwise the first part that is known. Case and white space do not count.
    """
    reason = " ".join(disconnect_reason.lower().split())
    if found := _SIP_STATUS.search(reason):
        return _SIP_CLASSES[found[1]]
    return next((leg_end for part, leg_end in _CLASSES.items() if part in reason), LegEnd.UNKNOWN)
