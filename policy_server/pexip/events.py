"""Event-sink messages: what nodes report about conferences and participants (pexip/README.md: Events).

Nodes send in order, and a message that is refused is sent again and holds up everything behind it. So what we use of a
message is read with patience, what we do not use is kept as it came, and what nobody can read costs nothing beside it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson

from policy_server.light import light_dataclass
from policy_server.pexip import broken_json

BULK: Final = "eventsink_bulk"
MAX_DEPTH: Final = 32
"""Most lists and objects inside each other in a message that are kept."""
MAX_TEXT: Final = 10_000
"""Longest text that is kept, in characters; what is longer is cut."""
MAX_NAME: Final = 250
"""Longest name of a node, an event or a service, in characters (pexip/README.md: Service fields)."""
MAX_REASONS: Final = 10
"""Most reasons that are given for unreadable messages of one body."""
LATEST_TIME: Final = 253_402_214_400.0
"""The last day of the year 9999 in epoch seconds: what is later is no time."""

Data = Mapping[str, object]
"""Named values of a message."""

_LARGEST: Final = 2**63 - 1
_NUMBERS: Final = (int, float)
# Words that are too short for anything that is kept otherwise than it came.
_PLAIN_NAME: Final = re.compile(r"[a-z]{1,20}(_[a-z]{1,20}){,5}")
_OUTGOING: Final = frozenset({"out", "outbound", "dial_out"})
_FLAGS: Final[Mapping[object, bool]] = {True: True, False: False, "true": True, "false": False}
_UUID: Final = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_BREAKOUT: Final = re.compile(f"(.+)_breakout_{_UUID}", re.DOTALL | re.IGNORECASE)
# What databases refuse in a text: NUL, and half a surrogate pair.
_UNSTORABLE: Final = dict.fromkeys((0, *range(0xD800, 0xE000)), "\ufffd")


@light_dataclass(frozen=True, slots=True)
class Event:
    """One message of one node, never a bulk wrapper.

    ``node`` is ``""`` and ``seq`` and ``version`` are 0 when the message does not say. ``time`` is the node's clock in
    epoch seconds, or when the message arrived if it gives none. ``data`` is as sent, with long texts cut. ``envelope``
    has what else stood beside it, and what stood in the place of a field above and could not be that. ``arrived_at`` is
    when it came by our clock, from which nodes' clocks may differ; a message is the same whenever it comes.
    """

    node: str
    seq: int
    version: int
    time: float
    name: str
    data: Mapping[str, object] = field(hash=False, repr=False)
    envelope: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)
    arrived_at: datetime = field(kw_only=True, compare=False)
    conference: str = field(init=False, compare=False, repr=False)
    """The service that the message is about, ``""`` when it is about none or does not say.

    Media messages may name only the participant: see ``participant``.
    """
    room: str = field(init=False, compare=False, repr=False)
    """The service, or the one that it is a breakout room of: who is moved there is still with the call."""

    def __post_init__(self) -> None:
        service = ""
        if self.name.startswith("participant_"):
            service = self.text("conference")
        elif self.name.startswith("conference_"):
            service = self.text("name")
        if len(service) > MAX_NAME:
            service = ""
        object.__setattr__(self, "conference", service)
        object.__setattr__(self, "room", room_of(service))

    @property
    def identity(self) -> bytes:
        """What all deliveries of one message have in common: when it was sent, if it says so, and a digest of its content.

        So what is sent at one time lies side by side in an index, and not scattered over all of it. Not ``seq``, which
        each sink counts for itself and from 1 whenever it begins again. Two messages of one node that say the same at the
        same microsecond are one.
        """
        told = {key: value for key, value in self.envelope.items() if key != "seq"}
        content = [self.node, told.get("time", self.time), self.name, self.version, self.data, told]
        try:
            text = orjson.dumps(content, default=dict, option=orjson.OPT_SORT_KEYS)
        except TypeError:
            # Half a surrogate pair, or a number beyond 64 bits.
            text = json.dumps(content, default=dict, sort_keys=True).encode()
        sent = 0 if "time" in told else int(self.time * 1000)
        return sent.to_bytes(6, "big") + hashlib.blake2b(text, digest_size=12).digest()

    @property
    def participant(self) -> str:
        """The ``uuid`` of the participant that the message is about, or ``""``."""
        return self.text("uuid") if self.name.startswith("participant_") else ""

    @property
    def is_outgoing(self) -> bool:
        """Whether Pexip placed this call."""
        return is_outgoing(self.text("call_direction"))

    @property
    def protocol(self) -> str:
        """The participant's protocol in lower case (``sip``, ``webrtc``, ``api``), or ``""``."""
        return self.text("protocol").strip().lower()

    def text(self, key: str) -> str:
        """A text of ``data``; ``""`` for what is none."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def flag(self, key: str) -> bool | None:
        """A boolean of ``data``, also when it is sent as a text, 0 or 1; ``None`` for what is none."""
        value = self.data.get(key)
        if value is True or value is False:
            return value
        return _FLAGS.get(value.strip().lower() if isinstance(value, str) else value) if _is_scalar(value) else None

    def moment(self, key: str) -> float | None:
        """A time of ``data`` in epoch seconds; ``None`` for null, zero, and what is no time."""
        return read_time(self.data.get(key)) or None

    def texts(self, key: str) -> tuple[str, ...]:
        """The texts in a list of ``data``; none when it is no list."""
        value = self.data.get(key)
        return tuple(text for text in value if isinstance(text, str) and text) if isinstance(value, list) else ()


def room_of(service: str) -> str:
    """The service that this one is a breakout room of, which Pexip calls ``NAME_breakout_UUID``, or else itself."""
    found = _BREAKOUT.fullmatch(service)
    return found[1] if found else service


def is_outgoing(call_direction: str) -> bool:
    """Whether a ``call_direction`` is that of a call Pexip placed: out or outbound, or dial_out as questions have it.

    (pexip/README.md: Participant events)
    """
    return call_direction.strip().lower() in _OUTGOING


def read_time(value: object) -> float | None:
    """Epoch seconds of a number, of a text with one, or of an ISO time (UTC unless it says); ``None`` for the rest."""
    if isinstance(value, str):
        value = _time_of_text(value.strip())
    if isinstance(value, _NUMBERS) and not isinstance(value, bool) and 0 <= value <= LATEST_TIME:
        return float(value)
    return None


def _time_of_text(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


# ------------------------------------------------------------------ bodies


@light_dataclass(frozen=True, slots=True)
class Parsed:
    """What a body comes to. ``reasons`` says of the first unreadable messages what is wrong; it quotes nothing."""

    events: tuple[Event, ...]
    unreadable: int = 0
    reasons: tuple[str, ...] = ()


def parse_events(body: bytes, arrived_at: datetime, kept: Callable[[Data], Data] = dict) -> Parsed:
    """Reads a single message, or the messages inside a bulk one in their order. Never raises.

    ``arrived_at`` is also the time of messages that give none. ``kept`` gives what is kept of named values of a message,
    all unless it is given; the name of an event that is a few short words stays.
    """
    events: list[Event] = []
    reasons: list[str] = []
    unreadable = 0
    whole, is_plain = _load(body)
    keep = kept if is_plain else lambda data: kept(_keep_data(data))
    for number, message in enumerate(_messages(whole), 1):
        read = _parse_event(message, arrived_at, keep)
        if isinstance(read, Event):
            events.append(read)
            continue
        unreadable += 1
        if len(reasons) < MAX_REASONS:
            reasons.append(f"message {number} {read}")
    return Parsed(tuple(events), unreadable, tuple(reasons))


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A message that is no JSON."""

    reason: str


def _load(body: bytes) -> tuple[object, bool]:
    """What a body holds, and whether all of it can be stored as it is, which nearly all can."""
    try:
        whole = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = broken_json.decode(body)
    else:
        # Nothing in it is too long or too deep, and orjson takes nothing else that cannot be stored.
        is_small = len(body) <= MAX_TEXT and body.count(b"{") + body.count(b"[") <= MAX_DEPTH
        return whole, is_small and body.find(rb"\u0000") < 0
    whole = _read(text)
    if not isinstance(whole, _Unreadable):
        return whole, False
    parts = [part for part in broken_json.elements(text, "data") if part.strip()]
    return [_read(part) for part in parts] or whole, False


def _read(text: str) -> object:
    try:
        # A message is at most two deep in a bulk.
        return broken_json.read(text, 2 * MAX_DEPTH)
    except json.JSONDecodeError as error:
        return _Unreadable(f"is not JSON ({error.msg} at character {error.pos + 1})")
    except ValueError:
        return _Unreadable("is not JSON")


def _messages(whole: object) -> Iterator[object]:
    """The messages of a body in their order: of a bulk, of a list, of bulks inside those."""
    waiting = [whole]
    while waiting:
        message = waiting.pop()
        if isinstance(message, list):
            waiting.extend(reversed(message))
        # The wrapper's own node, seq and time carry no information (pexip/README.md: Bulk messages).
        elif (
            isinstance(message, dict) and message.get("event") == BULK and isinstance(message.get("data"), list | dict)
        ):
            waiting.append(message["data"])
        else:
            yield message


def _parse_event(message: object, arrived_at: datetime, keep: Callable[[Data], Data]) -> Event | str:
    """The message as ``keep`` leaves its named values, or why it is none: the end of a sentence."""
    if isinstance(message, _Unreadable):
        return message.reason
    if not isinstance(message, dict):
        return "is no JSON object"
    name = message.get("event")
    if not isinstance(name, str) or not name:
        return "has no event name"
    if name == BULK:
        return "is a bulk without messages"
    node, data, time = message.get("node"), message.get("data"), read_time(message.get("time"))
    seq, version = _whole_number(message.get("seq")), _whole_number(message.get("version"))
    read = {
        "event": len(name) <= MAX_NAME,
        "node": isinstance(node, str) and len(node) <= MAX_NAME,
        "seq": seq is not None,
        "version": version is not None,
        "time": time is not None,
        "data": data is None or isinstance(data, dict),
    }
    rest = {key: value for key, value in message.items() if not read.get(key)}
    if time is None:
        # Also one that is missing: when the message comes again it is the same, and arrives at another time.
        rest["time"] = message.get("time")
    return Event(
        node=_cut(node[:MAX_NAME]) if isinstance(node, str) else "",
        seq=seq or 0,
        version=version or 0,
        time=arrived_at.timestamp() if time is None else time,
        name=name if _PLAIN_NAME.fullmatch(name) else str(keep({"event": name[:MAX_NAME]})["event"]),
        data=keep(data) if isinstance(data, dict) else {},
        envelope=keep(rest) if rest else {},
        arrived_at=arrived_at,
    )


def _whole_number(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < len(str(_LARGEST)):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST else None


def _keep_data(data: Data) -> Data:
    return {_cut(key): _keep(value, 1) for key, value in data.items()}


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _keep(value: object, depth: int) -> object:
    """A value as it can be stored."""
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, dict | list) and depth == MAX_DEPTH:
        return broken_json.LEFT_OUT
    if isinstance(value, dict):
        return {_cut(key): _keep(item, depth + 1) for key, item in value.items()}
    return [_keep(item, depth + 1) for item in value] if isinstance(value, list) else value


def _cut(text: str) -> str:
    text = text[:MAX_TEXT]
    return text if text.isprintable() else text.translate(_UNSTORABLE)
