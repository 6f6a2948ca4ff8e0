"""Hostile and random questions for the fuzzer, each the same for the same seed and number."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final
from urllib.parse import quote_from_bytes, unquote_plus, unquote_to_bytes

from policy_server.pexip.parameters import PARAMETERS
from policy_server.pexip.request_types import ROOT, RequestType, question_path
from policy_server.policy.names import Call

QUERY_LIMIT: Final = 16 * 1024
TARGET_LIMIT: Final = 65_535
"""Bytes of a request target that the HTTP parser of the server takes."""

SESSION: Final = b"3f2a9c5e8b7d4e1fa6c0d9b8e7f61234"
PREFIX: Final = b"/pexip"
"""What the server of the fuzzer takes before that, too."""

USERNAME: Final = "pexip"
PASSWORD: Final = "only for the fuzzer"
_GOOD: Final = b"Basic " + b64encode(f"{USERNAME}:{PASSWORD}".encode())

_METHODS: Final = (b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"PROPFIND", b"TRACE")
_PATHS: Final = tuple(question_path(kind).encode() for kind in RequestType if not kind.about.has_alias)
_ALIAS_PATHS: Final = tuple(question_path(kind).encode() for kind in RequestType if kind.about.has_alias)
_FOLDED: Final = frozenset(name.lower().replace("-", "_") for name in PARAMETERS)
_NAMES: Final = tuple(name.encode() for name in PARAMETERS)
_READ_BY_RULES: Final = (
    *(b"local_alias", b"remote_alias", b"remote_display_name", b"remote_address", b"service_name", b"service_tag"),
    *(b"call_direction", b"protocol", b"location", b"breakout_uuid", b"ms-subnet", b"auth_type", b"q", b"limit"),
    *(b"width", b"height", b"idp_attribute_groups", b"participant_type", b"preauthenticated_role", b"registered"),
)

_ALIASES: Final = (
    *(b"abc" + SESSION, b"ABC" + SESSION.upper(), b"xyz" + SESSION, b"mp" + b"a" * 32, b"hcp" + b"a" * 32),
    *(b"sip%3Aabc" + SESSION + b"%40example.com%3Btransport%3Dtls", b"abc" + SESSION + b"%0A", b"abc" + SESSION[:31]),
    *(b"sip:sips:h323:abc" + SESSION + b"@Example.COM@example.com", b"town-hall", b"reception", b"hold", b"test_call"),
    *(b"%2B442071838750", b"sip%3A%2B442071838750%40example.com%3Buser%3Dphone", b"old-desk", b"old-" + b"x" * 260),
    *(b"old-%7Brest%7D", b"old-%0D%0A", b"old-%C5%BF", b"te%C5%BFt", b"%EF%BC%8B442071838750", b"99%2B13175551234"),
    *(b"kiosk-12", b"room3%40example.com", b"alice%40example.com", b"Zo%C3%AB%2FM%C3%BCller%2B1%40example.com"),
    *(
        b"live-AbC_9xYz",
        b"sip:live-AbC_9xYz@example.com",
        b"live-" + b"%F0%9F%98%80" * 80,
        b"LIVE-%7Bkey.raw%7D",
        b"live-+",
    ),
    *(
        b"live-%0D%0A%20x",
        b"tel:%2B1%3Bphone-context%3DMeet",
        b"sip:x@example.com%3BPhone-Context%3D",
        b"live-%E2%80%AE",
    ),
    *(b"..", b".", b"..%2F..%2Fetc%2Fpasswd", b"%2F%2F", b"%2e%2e%2f", b"a%2Fb%3Fc%23d", b"%00", b"@", b"sip%3A", b";"),
)
_DIRECTIONS: Final = (b"dial_in", b"dial_out", b"non_dial", b"DIAL_OUT", b"dial_out%20", b"none")
_VALUES: Final = (
    *(b"", b"+", b"%", b"%%", b"%z", b"%zz", b"%u0041", b"%00", b"%FF", b"%C0%80", b"%ED%A0%80", b"%F4%90%80%80"),
    *(b"%F0%9F%98%80", b"%E2%80%AE%E2%80%A8", b"%0D%0ASet-Cookie%3A+x", b"%1B%5B31m", b"%EF%BF%BD", b"%EF%BB%BFx"),
    *(b"n" * 251, b"n" * 10_000, b"%C3%AB" * 300, b"%F0%9F%98%80" * 260, b"%FF" * 400, b"%00" * 300, b"+" * 300),
    *(
        b"%5B%22a%22%5D",
        b"%5B%22a%22%2C",
        b"%5B" * 3000,
        b"%5B%27a%27%5D",
        b"%5B1%2C2%5D",
        b"%5B%5D",
        b"%7B%7D",
        b"%5B",
    ),
    *(b"0", b"-1", b"1", b"9" * 18, b"9" * 19, b"9" * 5000, b"1e999", b"%D9%A1%D9%A2", b"0x10", b"1.0", b"NaN"),
    *(b"None", b"null", b"True", b"false", b"TRUE", b"%22credentials%22", b"sso", b"chair", b"guest"),
    *(
        b"10.44.0.1",
        b"192.0.2.66",
        b"2001:db8:bad::7",
        b"::ffff:192.0.2.66",
        b"fe80::1%25eth0",
        b"10.0.0.1%2F8",
        b"1.2.3",
    ),
    *(
        b"%7Bsession%7D",
        b"%7Bcall%7D",
        b"%7B",
        b"%7B%7D%7B",
        b"%24%7B7*7%7D",
        b"%3Cscript%3E",
        b"%27+OR+1%3D1",
        b"a%26b%3Dc",
    ),
    *(b"sip", b"api", b"webrtc", b"h323", b"standard", b"DMZ", b"London", b"10.144.101.21", b"JDoe+4711", b"ali"),
    *(
        SESSION,
        SESSION + b"_breakout_x",
        b"video-escalation",
        b"visit",
        b"Town+hall",
        b"to+%2B442071838750+x",
        b"trunk",
    ),
    *(b"5b0c7d1e-2f3a-4b4c-8d5e-6f7a8b9c0d1e", b"R%26D%2C+Lisboa", b"S%C3%A3o+Paulo", b"friendly-scanner/1.8"),
)
_SIZES: Final = (b"0", b"1", b"7", b"40", b"100", b"2049", b"-5", b"99999999999", b"", b"100.0", b"%31%30")
_PREFIXES: Final = (
    b"",
    b"",
    b"",
    b"/pexip",
    b"/a/b",
    b"/",
    b"//",
    b"/policy",
    b"/policy/v1",
    b"/%2e%2e",
    b"/..",
    b"/%C3%AB",
)
_OTHER_PATHS: Final = (
    *(b"/", b"/healthz", b"/readyz", b"/admin/", b"/policy/v1/", b"/policy/v1", b"/policy/v2/service/configuration"),
    *(b"/policy/v1/service/configuration/x", b"/policy/v1/participant/avatar/", b"/policy/v1/service%2Fconfiguration"),
    *(b"/policy/v1/../v1/registrations", b"/policy/v1/registrations/a/b/c", b"/policy/v1/participant", b"/%", b"/%ff"),
    *(b"/Policy/V1/Service/Configuration", b"/policy/v1/service/configuration/", b"/policy//v1///registrations//x"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One HTTP request."""

    method: bytes
    target: bytes
    authorization: bytes | None
    close: bool = False
    stranger: bytes = b""
    """The address that a proxy says it comes from: who tries credentials is slowed down, each for themselves."""

    @property
    def path(self) -> bytes:
        """The raw path."""
        return self.target.partition(b"#")[0].partition(b"?")[0]

    @property
    def query(self) -> bytes:
        """The raw query."""
        return self.target.partition(b"#")[0].partition(b"?")[2]

    @property
    def well_formed(self) -> bool:
        """Whether it is HTTP; the HTTP parser itself refuses what is not."""
        return len(self.target) <= TARGET_LIMIT and all(0x21 <= byte <= 0x7E for byte in self.target)

    @property
    def authorized(self) -> bool:
        """Whether it carries the credentials."""
        return self.authorization == _GOOD

    @property
    def asks_policy(self) -> bool:
        """Whether the path is below the policy API, and every proxy would understand it so."""
        climbs = not {b".", b".."}.isdisjoint(unquote_to_bytes(self.path).split(b"/"))
        return not climbs and re.sub(rb"/+", b"/", self.path).startswith((ROOT, PREFIX + ROOT))

    def wire(self) -> bytes:
        """The request as it is sent."""
        credentials = b"" if self.authorization is None else b"Authorization: %b\r\n" % self.authorization
        closing = b"Connection: close\r\n" if self.close else b""
        stranger = b"X-Forwarded-For: %b\r\n" % self.stranger if self.stranger else b""
        head = b"%b %b HTTP/1.1\r\nHost: 127.0.0.1\r\n" % (self.method, self.target)
        return head + credentials + stranger + closing + b"\r\n"


def cannot_be_understood(query: bytes) -> bool:
    """Whether a question must be answered with a failure: too long, or a known parameter given twice."""
    if len(query) > QUERY_LIMIT:
        return True
    seen: set[str] = set()
    for pair in query.split(b"&"):
        name = unquote_plus(pair.partition(b"=")[0].decode("latin-1"), "utf-8", "replace") if pair else ""
        name = name.lower().replace("-", "_")
        if name in _FOLDED:
            if name in seen:
                return True
            seen.add(name)
    return False


def stranger(random: Random) -> bytes:
    """An address of somebody who was hardly here before."""
    return b"10.%d.%d.%d" % tuple(random.randbytes(3))


def names_of(calls: Iterable[Call]) -> list[bytes]:
    """Aliases with the names of calls, each in its own place and in those of the others."""
    prefixes = (b"mp", b"hcp", b"sup", b"sag", b"mp.", b"")
    names = (name.encode() for call in calls for name in (call.session, call.agent, call.id))
    return [prefix + name for name in names for prefix in prefixes]


def _disguised(random: Random, alias: bytes) -> bytes:
    """An alias with a name as people and devices write it, or with a slip."""
    draw = random.random()
    if draw < 0.4:
        return alias
    if draw < 0.7:
        head, tail = random.choice(
            (
                *((b"sip:", b""), (b"sip%3A", b"%40example.com"), (b"", b"@EXAMPLE.com"), (b"", b"@other.example.org")),
                *((b"sips:", b"@example.com:5061%3Btransport%3Dtls"), (b"h323:", b""), (b"", b"."), (b"%20", b"%0A")),
                *((b"", b"%3Bphone-context%3D%2B1"), (b"%22", b"%22"), (b"", b"a"), (b"", b"%00"), (b"%E2%80%AE", b"")),
            )
        )
        return head + (alias.upper() if random.random() < 0.3 else alias) + tail
    changed = bytearray(alias)
    changed[random.randrange(len(changed))] = random.choice(b"aA27189_-.")
    return bytes(changed)


Mutation = Callable[[Random, list[bytes]], None]


def _set_value(random: Random, pairs: list[bytes]) -> None:
    place = random.randrange(len(pairs))
    pairs[place] = pairs[place].partition(b"=")[0] + b"=" + _value(random)


def _set_known(random: Random, pairs: list[bytes]) -> None:
    name = random.choice(_READ_BY_RULES)
    pairs[:] = [pair for pair in pairs if not pair.startswith(name + b"=")]
    values = {b"local_alias": _ALIASES, b"remote_alias": _ALIASES, b"call_direction": _DIRECTIONS}
    value = random.choice(values[name]) if name in values and random.random() < 0.8 else _value(random)
    pairs.append(name + b"=" + (random.choice(_SIZES) if name in (b"width", b"height") else value))


def _remove(random: Random, pairs: list[bytes]) -> None:
    del pairs[random.randrange(len(pairs))]
    if not pairs:
        pairs.append(b"")


def _duplicate(random: Random, pairs: list[bytes]) -> None:
    name, _, value = random.choice(pairs).partition(b"=")
    name = random.choice((name, name.upper(), name.replace(b"_", b"-"), b"%" + name[:1].hex().encode() + name[1:]))
    pairs.insert(random.randrange(len(pairs) + 1), name + b"=" + random.choice((value, b"", _value(random))))


def _rename(random: Random, pairs: list[bytes]) -> None:
    place = random.randrange(len(pairs))
    name = random.choice((*_NAMES, b"idp_attribute_groups", b"idp_attribute_", b"zzz", b"", _value(random)))
    pairs[place] = name + b"=" + pairs[place].partition(b"=")[2]


def _flip(random: Random, pairs: list[bytes]) -> None:
    place = random.randrange(len(pairs))
    pair = bytearray(pairs[place] or b"x")
    for _ in range(random.randint(1, 4)):
        pair[random.randrange(len(pair))] = random.randint(0x21, 0x7E)
    pairs[place] = bytes(pair).replace(b"#", b"%23")


def _add_junk(random: Random, pairs: list[bytes]) -> None:
    pairs.insert(
        random.randrange(len(pairs) + 1), random.choice((b"=", b"&&", b"=x", b"x", b"%", b"a=b=c", b"a;b=c", b"?"))
    )


def _add_values(random: Random, pairs: list[bytes]) -> None:
    pairs += [b"idp_attribute_groups=" + _value(random) for _ in range(random.randint(1, 40))]


def _shuffle(random: Random, pairs: list[bytes]) -> None:
    random.shuffle(pairs)


_MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(_set_value, _set_value, _set_known, _set_known, _set_known, _set_known, _remove, _duplicate),
    *(_rename, _flip, _flip, _add_junk, _add_values, _shuffle),
)


def _value(random: Random) -> bytes:
    draw = random.random()
    if draw < 0.6:
        return random.choice(_VALUES)
    if draw < 0.8:
        return random.choice(_ALIASES)
    return quote_from_bytes(random.randbytes(random.randint(0, 40)), safe="").encode()


class QuestionMaker:
    """Makes the questions of one seed. ``targets`` are good questions to begin with; ``aliases`` with the names of calls."""

    def __init__(self, seed: int, targets: Sequence[bytes], aliases: Sequence[bytes]) -> None:
        self._seed: Final = seed
        self._targets: Final = tuple(targets)
        self._links: Final = tuple(aliases)

    def make(self, number: int) -> Question:
        """Question ``number``; every ninth comes with a flaw of HTTP rather than of its parameters."""
        random = Random(f"{self._seed}:{number}")
        target = self._target(random)
        if random.random() > 0.1:
            return Question(b"GET", target, _GOOD)
        flaw = random.randrange(5)
        if flaw == 0:
            return Question(b"GET", target, self._bad_credentials(random), stranger=stranger(random))
        if flaw == 1:
            return Question(random.choice(_METHODS), target, _GOOD)
        if flaw == 2:
            return Question(b"GET", target, _GOOD, close=True)
        if flaw == 3:
            raw = bytearray(target)
            for _ in range(random.randint(1, 3)):
                raw[random.randrange(1, len(raw))] = random.choice((*b" \t\x00\x7f\x80\xff\xc3", *random.randbytes(2)))
            return Question(b"GET", bytes(raw).replace(b"\r", b"~").replace(b"\n", b"~"), _GOOD, close=True)
        return Question(b"GET", random.choice(_OTHER_PATHS) + random.choice((b"", b"?", b"?q=a")), _GOOD)

    def _target(self, random: Random) -> bytes:
        draw = random.random()
        if draw < 0.04:
            return random.choice(self._targets)
        if draw < 0.12:
            return random.choice(_PATHS) + b"?" + self._noise(random)
        path, _, query = random.choice(self._targets).partition(b"?")
        pairs = query.split(b"&")
        if draw < 0.2:
            return path + b"?" + self._padded(random, pairs)
        if draw < 0.28 and self._links:
            pairs = [pair for pair in pairs if not pair.startswith(b"local_alias=")]
            pairs.append(b"local_alias=" + _disguised(random, random.choice(self._links)))
        for _ in range(random.choice((1, 1, 1, 2, 3, 5, 9))):
            random.choice(_MUTATIONS)(random, pairs)
        if random.random() < 0.2:
            path = self._path(random)
        return path + b"?" + b"&".join(pairs)

    @staticmethod
    def _noise(random: Random) -> bytes:
        noise = random.randbytes(random.choice((0, 1, 5, 50, 500)))
        if random.random() < 0.5:
            return quote_from_bytes(noise, safe="=&%+;").encode()
        return bytes(0x21 + byte % 0x5E for byte in noise).replace(b"#", b"&")

    @staticmethod
    def _padded(random: Random, pairs: list[bytes]) -> bytes:
        name = random.choice((b"zzz", b"remote_display_name", b"vendor", b"idp_attribute_groups", b"q", b"zzz-%C3%AB"))
        pairs = [pair for pair in pairs if not pair.startswith(name + b"=")]
        wanted = random.choice((500, 4000, 16_000, QUERY_LIMIT - 1, QUERY_LIMIT, QUERY_LIMIT + 1, QUERY_LIMIT + 9000))
        unit = random.choice((b"n", b"%C3%AB", b"%00", b"+", b"%F0%9F%98%80", b"%5B", b"%FF"))
        short = b"&".join((*pairs, name + b"="))
        room = max(0, wanted - len(short))
        return short + unit * (room // len(unit)) + b"x" * (room % len(unit))

    @staticmethod
    def _path(random: Random) -> bytes:
        path = random.choice((*_PATHS, *_ALIAS_PATHS, *_ALIAS_PATHS))
        if path.endswith(b"/"):
            alias = random.choice((_value(random), random.choice(_ALIASES), random.choice(_ALIASES)))
            path += alias.replace(b"?", b"%3F").replace(b"#", b"%23")[:4000]
        if random.random() < 0.2:
            path = path.replace(b"/", b"//", random.randint(1, 4))
        return random.choice(_PREFIXES) + path

    @staticmethod
    def _bad_credentials(random: Random) -> bytes | None:
        wrong = (b"pexip:wrong", b":", b"", f"{USERNAME}:{PASSWORD}x".encode(), "é:ü".encode(), b"x" * 3000)
        return random.choice(
            (
                *(None, b"", b"Basic", b"Basic ", b"Basic %%%", b"Bearer " + _GOOD[6:], _GOOD[:-4], b"Digest x=1"),
                b"Basic " + b64encode(random.choice(wrong)),
            )
        )
