"""Questions as nodes ask them, and worse: of links in every state, rooms that run, devices, directories, hostile values."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, assert_never
from urllib.parse import quote_plus

from policy_server.conferences.holding import agents_aliases
from policy_server.pexip.request_types import RequestType, question_path
from tests.agree.world import World

Pairs = list[tuple[str, str]]

PROTOCOLS: Final = ("api", "webrtc", "sip", "h323", "rtmp", "mssip", "", "API", "teams")
DIRECTIONS: Final = ("dial_in", "dial_in", "dial_in", "non_dial", "dial_out", "", "sideways")
ADDRESSES: Final = ("10.20.3.4", "10.30.1.1", "203.0.113.9", "2001:db8:20::7", "nonsense", "", "::ffff:10.20.3.4")
NAMES: Final = (
    "Ada L",
    "Mallory",
    "",
    "Zoë \u2028 x",
    "y" * 300,
    "{call}",
    "<script>",
    "a\r\nb",
    "\x00",
    "%",
    "é" * 260,
)
VENDORS: Final = ("", "Cisco/CE9", "friendly-scanner", "x" * 2500, "Pexip Connect")
GROUPS: Final = ("", "staff", "R&D Oslo", "supervisors", "cooks")
ALIASES: Final = (
    *(
        "room-1",
        "room-2",
        "room-ü",
        "ROOM-1@bank.example.com",
        "sip:room-1@elsewhere.example.org",
        "room-1@bank.example.com",
    ),
    *("live-a/b", "live-Ä%20", "old-x", "hall", "reception", "test", "pexip-1", "advisor", "supervisors", "nobody", ""),
    *(
        "locked-1",
        "meet.1",
        "meet.x y",
        "+41446681800",
        "+1 900 555",
        "0041",
        "sip:hall;transport=tls",
        "h323:hall",
        ".",
    ),
)
PATH_ALIASES: Final = (
    *(
        "kiosk-101",
        "kiosk-101@bank.example.com",
        "desk-0001",
        "panel-1",
        "free-1",
        "meet-1",
        "nobody",
        "Zoë/Müller+1@bank.example.com",
    ),
    *("desk@bank.example.com", "DESK@bank.example.com", "%2e", "a b", "é", "\x00"),
)
SEARCHES: Final = ("", "adv", "Zoe", "müller", "Ali & Bob", "%", "x" * 200)


@dataclass(frozen=True, slots=True)
class Question:
    """A question: its type, its parameters as they are sent, the alias of its path."""

    type: RequestType
    pairs: tuple[tuple[str, str], ...]
    alias: str = ""

    @property
    def query(self) -> str:
        """The query string."""
        return "&".join(f"{name}={quote_plus(value)}" for name, value in self.pairs)

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{question_path(self.type, self.alias)}?{self.query}"


def make_question(world: World) -> Question:
    """The next question."""
    random = world.random
    kind = random.choice(_KINDS)
    match kind:
        case RequestType.REGISTRATION:
            pairs = _some(
                random, {"protocol": PROTOCOLS, "remote_address": ADDRESSES, "auth_type": ("sso", "credentials", "")}
            )
            return Question(kind, tuple(pairs), random.choice(PATH_ALIASES))
        case RequestType.AVATAR:
            pairs = _some(random, {"width": ("100", "50", "0", "x"), "height": ("100", "9999"), "role": ("chair", "")})
            return Question(kind, tuple(pairs), random.choice(PATH_ALIASES))
        case RequestType.DIRECTORY:
            pairs = _some(random, {"q": SEARCHES, "limit": ("10", "1", "-1", "x"), "registration_alias": PATH_ALIASES})
            return Question(kind, tuple(pairs))
        case RequestType.SERVICE if random.random() < 0.12:
            return Question(kind, tuple(_hostile(random, _call_out(world))))
        case RequestType.SERVICE | RequestType.PARTICIPANT | RequestType.LOCATION:
            return Question(kind, tuple(_hostile(random, _call(world, kind))))
        case _:
            assert_never(kind)


_KINDS: Final = (
    *(RequestType.SERVICE,) * 10,
    *(RequestType.PARTICIPANT,) * 3,
    *(RequestType.LOCATION,) * 2,
    *(RequestType.REGISTRATION, RequestType.AVATAR, RequestType.DIRECTORY),
)


def _some(random: Random, values: dict[str, tuple[str, ...]]) -> Pairs:
    return [(name, random.choice(given)) for name, given in values.items() if random.random() < 0.7]


def _call(world: World, kind: RequestType) -> Pairs:
    random = world.random
    found: Pairs = [("local_alias", _dialled(world)), ("call_direction", random.choice(DIRECTIONS))]
    further: dict[str, tuple[str, ...]] = {
        "protocol": PROTOCOLS,
        "remote_alias": ("kiosk-101", "sip:kiosk-301@bank.example.com", "ada@example.org", "", "sip:{call}@x"),
        "remote_display_name": NAMES,
        "remote_address": ADDRESSES,
        "vendor": VENDORS,
        "registered": ("True", "False", "", "maybe"),
        "location": ("Zurich DMZ", "Ticino", "", "nowhere"),
        "call_tag": ("", "t1", "x" * 260),
        "third_party_passcode": ("", "", "4711", "1"),
    }
    found += _some(random, further)
    if kind is not RequestType.SERVICE:
        found += _some(
            random, {"service_name": _room_names(world), "service_tag": ("clinic-a", "clinic-b", "help", "sched", "")}
        )
        if kind is RequestType.PARTICIPANT:
            found += [("idp_attribute_groups", random.choice(GROUPS)) for _ in range(random.choice((0, 1, 1, 2)))]
            found += _some(
                random, {"participant_type": ("standard", "api", ""), "preauthenticated_role": ("chair", "guest", "")}
            )
    return found


def _call_out(world: World) -> Pairs:
    """A question about a leg out of a room: of one that is held, of one that was, of one that never was."""
    random = world.random
    found: Pairs = [("call_direction", "dial_out"), ("protocol", random.choice(("sip", "")))]
    found += [("service_name", random.choice(_room_names(world)))]
    found += _some(
        random,
        {
            "service_tag": ("clinic-a", "clinic-b", "help", "advice", "numbered none", "adhoc", "sched", ""),
            "local_alias": ("", _dialled(world), *(link.call for link in world.links[-3:])),
            "remote_alias": ("99+41446681800", "99+41446681802", "+41446681801", ""),
            "unique_service_name": _room_names(world),
            "remote_display_name": NAMES,
        },
    )
    return found


def _room_names(world: World) -> tuple[str, ...]:
    held = world.rooms()
    of_links = [link.call for link in world.links[-6:]]
    some = world.random.sample(held, min(4, len(held)))
    return (*some, *of_links, "Room 1", "Hall", "elsewhere", "", "Live a/b", "Advice ZH000001 x")


def _dialled(world: World) -> str:
    """Something that is dialled: a link's alias in some spelling, one that is no link's, or one of no link at all."""
    random = world.random
    if random.random() < 0.35 or not world.links:
        return random.choice(ALIASES)
    link = random.choice(world.links[-12:] if random.random() < 0.7 else world.links)
    draw = random.random()
    alias = link.alias if draw < 0.6 or not link.agent_alias else link.agent_alias
    if draw > 0.93:
        # Of another type, another role, or with a slip.
        slips: tuple[Callable[[], str], ...] = (
            lambda: "help" + link.session,
            lambda: "hcp" + link.session,
            lambda: link.session,
            lambda: link.call,
            lambda: alias[:-1] + "a",
            lambda: "mp" + "q" * 32,
            lambda: alias + "x",
            lambda: _agents_alias_of_open_room(world),
        )
        return random.choice(slips)()
    spelt: tuple[str, ...] = (
        *(alias,) * 8,
        *(
            alias.upper(),
            f"sip:{alias}@bank.example.com",
            f"{alias}@heard.bank.example.com",
            f"{alias}@heard.bank.example.com",
        ),
        *(
            f"{alias}@elsewhere.example.org",
            f"sips:{alias}@Bank.Example.com:5061;transport=tls",
            f" {alias}",
            f"{alias}@heard.bank.example.com",
        ),
    )
    return random.choice(spelt)


def _agents_alias_of_open_room(world: World) -> str:
    """What the lookup gives to agents for a room without a link."""
    conferences = [
        line["conference"] for line in list(world.take_lines())[-200:] if "conference" in line and "call" not in line
    ]
    if not conferences:
        return "own" + "b" * 32
    return next(agents_aliases(world.keyring, world.random.choice(conferences)))


def _hostile(random: Random, pairs: Pairs) -> Pairs:
    """The same, seldom with something that a node would not send."""
    draw = random.random()
    if draw > 0.08:
        return pairs
    if draw < 0.02:
        name, value = random.choice(pairs)
        return [*pairs, (random.choice((name, name.upper(), name.replace("_", "-"))), random.choice((value, "", "z")))]
    if draw < 0.03:
        return [*pairs, ("remote_display_name_x", "n" * random.choice((4_000, 16_384, 20_000)))]
    if draw < 0.05:
        return [
            *pairs,
            (random.choice(("zzz", "ms-subnet", "ms_subnet", "idp_attribute_", "a b", "unknown")), "10.47.1.0"),
        ]
    if draw < 0.06:
        return [*pairs, *(("idp_attribute_x", str(number)) for number in range(random.choice((3, 250))))]
    random.shuffle(pairs)
    return [(name.upper() if random.random() < 0.3 else name, value) for name, value in pairs]
