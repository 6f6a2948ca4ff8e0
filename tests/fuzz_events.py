"""Deliveries of an event sink for the fuzzer: messages, bulks and broken ones, each the same for the same seed and number."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.fuzz_questions import stranger

SINK_USERNAME: Final = "sink"
SINK_PASSWORD: Final = "only for the fuzzer's events"
BASIC: Final = b"Basic " + b64encode(f"{SINK_USERNAME}:{SINK_PASSWORD}".encode())
MARK: Final = "fuzz_mark"
"""The key of the text by which a message is known again in the database."""

_PATH: Final = b"/events/v1/pexip"
_NOW: Final = 1_790_000_000.0
_MANY: Final = 1200
"""Messages of the largest bulks, more than one transaction of the store takes."""

_NAMES: Final = (
    *("conference_started", "conference_updated", "conference_ended", "participant_connected", "participant_updated"),
    *("participant_disconnected", "participant_disconnected", "participant_media_stream_window"),
    *("participant_media_streams_destroyed", "participant_layout_changed", "eventsink_started", "eventsink_updated"),
    *("conference_", "participant_", "news_of_version_99", "Conference_Ended", "n" * 300, "\x00\u202e\U0001f600", " "),
)
# A text between this and @ is written as it is, without the quotation marks of JSON.
_RAW: Final = "@raw:"
# Characters that are sent as bytes that are no text, or must not stand in one as they are.
_BYTES: Final = {
    "\ue000": b"\xff",
    "\ue001": b"\xc3",
    "\ue002": b"\xed\xa0\x80",
    "\ue003": b"\n",
    "\ue004": b"\t\r\x01",
}
_VALUES: Final[tuple[object, ...]] = (
    *(None, True, False, 0, -1, 1.5, 2**70, "", "x", [], {}, [None], ["a", 1, {"b": []}], {"": {"": ""}}, "true", "on"),
    *("n" * 12_000, "\x00", "\ud800", "\udfff\ud800", "\U0001f600" * 300, "\u2028\u202e", "\x1b[31m", "Zoë", "NaN"),
    *(f"{_RAW}NaN@", f"{_RAW}-Infinity@", f"{_RAW}1e999@", f"{_RAW}{'9' * 400}@", f"{_RAW}-0@", f"{_RAW}1E+2@"),
    *(
        f"{_RAW}{'[' * 40}{']' * 40}@",
        f"{_RAW}{'[' * 3000}{']' * 3000}@",
        "\ue000",
        "a\ue001",
        "\ue002b",
        "\ue003\ue004",
    ),
)
_TIMES: Final[tuple[object, ...]] = (
    *(
        "2026-11-27T00:10:00Z",
        "2026-11-27 00:10",
        "1790000000.5",
        _NOW * 1000,
        -1,
        0,
        None,
        1e300,
        True,
        "soon",
        [],
        {},
    ),
    *(f"{_RAW}NaN@", f"{_RAW}Infinity@", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00+14:00", "", "١٢٣"),
)
_NUMBERS: Final[tuple[object, ...]] = (
    "12",
    1.0,
    -1,
    True,
    None,
    2**70,
    "x",
    [1],
    {},
    1.5,
    "²",
    "9" * 30,
    f"{_RAW}1e3@",
)
_NODES: Final = (
    "10.44.0.1",
    "10.44.0.2",
    "10.44.0.3",
    "127.0.0.1",
    "",
    None,
    7,
    ["10.44.0.1"],
    "n" * 300,
    "\x00\ud800",
)
_NO_DATA: Final[tuple[object, ...]] = (None, [], [{"pid": 1}, 2], "text", 7, True, "", [[]])

# Texts that stand alone for one message that nobody can read, and leave their neighbours alone.
_STRANGE: Final = (
    *("5", '"text"', "null", "true", "{}", '{"event": ""}', '{"event": null}', '{"event": 7, "data": {}}', "-0.5e3"),
    *(
        '{"event": "eventsink_bulk", "data": "x"}',
        '{"event": "eventsink_bulk"}',
        '{"node": "10.44.0.1"}',
        '{"event": []}',
    ),
)
_NO_JSON: Final = (
    *('{"event": "participant_updated", "data": {"uuid": }}', "{'event': 'conference_ended'}", '{event: "x"}'),
    *("undefined", "None", "/* x */ 5", '{"event": "x" "data": {}}', '{"event": "x",}', '{"event": "x", "seq": 01}'),
    *('{"event": "\\x"}', '{"event": "x"} {"event": "y"}', '{"event": "x", "seq": +1}', '{"event": "x", "seq": 0x10}'),
    *('{"event": "x", "data": {"a": "\\"}]"}, 7}', '{"event": "x", "data": [1 2]}', "[1 2]", "<event/>", "\\", "=;"),
)
# What leaves a bracket or a text open: nobody can say where the next message begins.
_OPEN: Final = ('{"event": "x", "data": {"a": 1}', '{"event": "x', "[[", "{", '{"event": "x", "data": [1}', '"')
_ENCODINGS: Final = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be")
_TYPES: Final = (
    *(b"application/json", b"application/json", b"application/json; charset=utf-8", b"text/plain", b"", b"x", b"*/*"),
    *(b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"application/json; charset=utf-7"),
)
_METHODS: Final = (b"GET", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request of an event sink. ``marks`` are those of the messages that anybody can read, in order.

    ``unreadable`` is how many more there are, ``None`` for a body of which that cannot be said.
    """

    method: bytes
    authorization: bytes | None
    content_type: bytes
    body: bytes
    marks: tuple[str, ...]
    unreadable: int | None = 0
    chunk: int = 0
    stranger: bytes = b""

    @property
    def authorized(self) -> bool:
        """Whether it carries the credentials."""
        return self.authorization == BASIC

    def wire(self) -> bytes:
        """The request as it is sent."""
        fields = {
            b"Host": b"127.0.0.1",
            b"Authorization": self.authorization,
            b"X-Forwarded-For": self.stranger or None,
            b"Content-Type": self.content_type or None,
            b"Transfer-Encoding" if self.chunk else b"Content-Length": (
                b"chunked" if self.chunk else b"%d" % len(self.body)
            ),
        }
        head = b"".join(b"%b: %b\r\n" % (name, value) for name, value in fields.items() if value is not None)
        return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (self.method, _PATH, head, self._sent())

    def _sent(self) -> bytes:
        if not self.chunk:
            return self.body
        parts = (self.body[start : start + self.chunk] for start in range(0, len(self.body), self.chunk))
        return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two commas of a bulk."""

    text: str
    marks: tuple[str, ...] = ()
    unreadable: int = 0
    is_json: bool = True


class DeliveryMaker:
    """Makes the deliveries of one seed. ``rooms`` are names of services that the questions may hold."""

    def __init__(self, seed: int, rooms: Sequence[str]) -> None:
        self._seed: Final = seed
        self._rooms: Final = tuple(rooms)

    def make(self, number: int) -> Delivery:
        """Delivery ``number``."""
        random = Random(f"{self._seed}:delivery:{number}")
        text, marks, unreadable = self._content(random, number)
        authorization, method, caller = BASIC, b"POST", b""
        if random.random() < 0.03:
            authorization = random.choice((b"", b"Basic", BASIC[:-4], b"Basic cGV4aXA6eA==", b"Bearer x"))
            caller = stranger(random)
        if random.random() < 0.01:
            method = random.choice(_METHODS)
        body = _encoded(random, text)
        chunk = max(random.choice((1, 7, 1000, 65_536)), len(body) // 999) if random.random() < 0.1 else 0
        return Delivery(method, authorization, random.choice(_TYPES), body, marks, unreadable, chunk, caller)

    def _content(self, random: Random, number: int) -> tuple[str, tuple[str, ...], int | None]:
        draw = random.random()
        if draw < 0.02:
            return random.choice(("", " ", "\n", "\x00", '"', "{", "]", "}{", "%", "a=b&c=d", "\ufeff")), (), 1
        if draw < 0.3:
            piece = self._piece(random, number, 0)
            return piece.text, piece.marks, piece.unreadable
        count = _MANY if draw > 0.998 else random.choice((0, 1, 2, 3, 3, 5, 8, 20))
        pieces = [self._piece(random, number, place) for place in range(count)]
        marks = tuple(mark for piece in pieces for mark in piece.marks)
        unreadable: int | None = sum(piece.unreadable for piece in pieces)
        if draw < 0.45 and pieces:
            return self._cut_short(random, pieces)
        inside = random.choice((",", ", ", ",\n  ")).join(piece.text for piece in pieces)
        if all(piece.is_json for piece in pieces):
            if len(pieces) == 1 and random.random() < 0.2 and pieces[0].text.startswith("{"):
                return self._wrapped(random, inside), marks, unreadable
            while random.random() < 0.1:
                inside = random.choice((f"[{inside}]", self._wrapped(random, f"[{inside}]")))
        elif random.random() < 0.1:
            inside = f",{inside},,"
        text = f"[{inside}]"
        return text if random.random() < 0.15 else self._wrapped(random, text), marks, unreadable

    def _cut_short(self, random: Random, pieces: list[_Piece]) -> tuple[str, tuple[str, ...], int | None]:
        """A bulk that ends within a message, or goes astray in it: those before are whole."""
        place = random.randrange(len(pieces))
        before = pieces[:place]
        whole = pieces[place].text
        bad = whole[: random.randrange(len(whole))] if random.random() < 0.6 else random.choice(_OPEN)
        if random.random() < 0.3:
            bad += "," + ",".join(piece.text for piece in pieces[place:])
        text = self._wrapped(random, "[" + ",".join([*(piece.text for piece in before), bad]), cut=True)
        return text, tuple(mark for piece in before for mark in piece.marks), None

    @staticmethod
    def _wrapped(random: Random, data: str, *, cut: bool = False) -> str:
        head = random.choice(
            (
                '"node": "127.0.0.1", "seq": 0, "version": 2, "time": 1790000000.5, ',
                '"node": "127.0.0.1", ',
                "",
                '"seq": "x", ',
            )
        )
        if cut:
            return f'{{"event": "eventsink_bulk", {head}"data": {data}'
        if random.random() < 0.3:
            return f'{{{head}"data": {data}, "event": "eventsink_bulk"}}'
        return f'{{"event": "eventsink_bulk", {head}"data": {data}}}'

    def _piece(self, random: Random, number: int, place: int) -> _Piece:
        draw = random.random()
        if draw < 0.08:
            return _Piece(random.choice(_STRANGE), unreadable=1)
        if draw < 0.14:
            return _Piece(random.choice(_NO_JSON), unreadable=1, is_json=False)
        if draw < 0.15:
            return _Piece("[]")
        if draw < 0.25 and number > 40:
            # A message that was sent before, perhaps, and that counts otherwise now.
            number, place = random.randrange(number - 40, number), random.randrange(3)
            return self._message(number, place, seq=random.choice((1, 2, 12_345, random.choice(_NUMBERS))))
        return self._message(number, place)

    def _message(self, number: int, place: int, seq: object = None) -> _Piece:
        random = Random(f"{self._seed}:message:{number}:{place}")
        # Before anything depends on seq: each time the message is sent it says the same.
        ascii_only = random.random() < 0.5
        mark = f"m{number}.{place}"
        name = random.choice(_NAMES)
        data = self._data(random, name, number)
        message: dict[str, object] = {
            "node": random.choice(_NODES[:3]),
            "seq": number * 20 + place,
            "version": random.choice((1, 2, 2, 2)),
            "time": _NOW + number + place / 100,
            "event": name,
            "data": data,
        }
        strange = {"node": _NODES, "seq": _NUMBERS, "version": _NUMBERS, "time": _TIMES, "data": _NO_DATA}
        for key, values in strange.items():
            draw = random.random()
            if draw < 0.04:
                message[key] = random.choice(values)
            elif draw < 0.05:
                del message[key]
        if random.random() < 0.05:
            message[random.choice(("id", "", "\x00", "Event", "n" * 300, "@", "signature"))] = random.choice(_VALUES)
        if seq is not None:
            message["seq"] = seq
        known = message.get("data")
        (known if isinstance(known, dict) else message)[MARK] = mark
        if random.random() < 0.3:
            message = dict(random.sample(list(message.items()), len(message)))
        return _written(message, mark, ascii_only=ascii_only)

    def _data(self, random: Random, name: str, number: int) -> dict[str, object]:
        room = random.choice(self._rooms) if self._rooms and random.random() < 0.4 else f"room {number // 20}"
        if random.random() < 0.05:
            room = random.choice(
                (room + "_breakout_5b0c7d1e-2f3a-4b4c-8d5e-6f7a8b9c0d1e", "n" * 300, "", "\x00\ud800", "Zoë")
            )
        time = _NOW + number
        if name.lower().startswith("conference_"):
            data: dict[str, object] = {"name": room, "service_type": "conference", "start_time": time, "tag": "visit"}
            data |= {"is_locked": False, "is_started": True, "end_time": time + 9}
        else:
            uuid = f"{number // 20:08x}-0000-4000-8000-{random.randrange(3):012x}"
            data = {
                "uuid": uuid,
                "conference": room,
                "display_name": "Ada",
                "call_direction": random.choice(("in", "out")),
            }
            data |= {
                "protocol": "WebRTC",
                "role": "guest",
                "has_media": True,
                "related_uuids": [],
                "connect_time": time,
            }
            data |= {"source_alias": f"{room}@10.44.0.1", "destination_alias": "+13175551234", "vendor": "x/1"}
            if "disconnected" in name:
                data |= {"disconnect_reason": random.choice(("Call disconnected", "Transferred", "")), "duration": 9.5}
            if "media" in name:
                data |= {"recent_quality": [{"time": time, "quality": random.choice((1, f"{_RAW}NaN@"))}]}
        while random.random() < 0.25:
            data[random.choice((*data, "extra", "", "\x00", "\ud800", "__proto__"))] = random.choice(_VALUES)
        return data


def _written(message: dict[str, object], mark: str, *, ascii_only: bool) -> _Piece:
    text = json.dumps(message, ensure_ascii=ascii_only)
    head, *rest = text.split(f'"{_RAW}')
    # Nothing that is raw has a quotation mark in it.
    text = head + "".join(part.replace('@"', "", 1) for part in rest)
    if not ascii_only:
        text = "".join(f"\\u{ord(letter):04x}" if "\ud800" <= letter <= "\udfff" else letter for letter in text)
    return _Piece(text, (mark,))


def _encoded(random: Random, text: str) -> bytes:
    if not any(character in text for character in _BYTES):
        return text.encode(random.choice(_ENCODINGS) if random.random() < 0.06 else "utf-8")
    body = text.encode()
    for character, sent in _BYTES.items():
        body = body.replace(character.encode(), sent)
    return body
