"""What strangers, customers, agents and nodes could try. Each attack says what happened, and whether it was held off."""

import asyncio
import json
import secrets
import string
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from policy_server.policy.names import NAME_LENGTH, NONCE_BYTES, Call, Keyring
from policy_server.simulator.genesys import User
from tests.attack.stage import (
    AGENTS,
    API_KEY,
    LINK_TYPE,
    NODE,
    NUMBER,
    OPEN_ROOMS,
    SINK,
    Listener,
    Stage,
    counted,
    read_json,
)
from tests.servers import SECRET_KEY, basic

SILENT: Final = 1_100
SLOW: Final = 300
AT_A_TIME: Final = 20
"""Attackers that ask one question after the other."""

MOST_GROWTH: Final = 64
"""MiB by which the server may grow."""

BASE32: Final = string.ascii_lowercase + "234567"

POLICY: Final = "/policy/v1/service/configuration?local_alias=x"
LINKS: Final = "/api/v1/links"
SINK_PATH: Final = "/events/v1/pexip"


@dataclass(frozen=True)
class Outcome:
    """What came of an attack, in words for the table, and whether the attacker got nothing."""

    happened: str
    held: bool


@dataclass(frozen=True)
class Attack:
    """One thing to try."""

    name: str
    play: Callable[[Stage], Awaitable[Outcome]]


async def crowd(stage: Stage, ask: Callable[[], Awaitable[int]]) -> Counter[int]:
    """Many attackers, who ask one question after the other until the time is over; the statuses that they got."""
    statuses: Counter[int] = Counter()

    async def one() -> None:
        while not stage.is_over:
            statuses[await ask()] += 1

    await asyncio.gather(*(one() for _ in range(AT_A_TIME)))
    return statuses


@asynccontextmanager
async def opened(stage: Stage, where: Listener, count: int) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Many connections at a time, as far as they can be had."""
    writers: list[asyncio.StreamWriter] = []
    try:
        for _ in range(count):
            with suppress(OSError):
                writers.append((await stage.connect(where))[1])
        yield writers
    finally:
        for writer in writers:
            writer.close()


async def rest(stage: Stage) -> None:
    """Until the time of the attack is over."""
    await asyncio.sleep(stage.until - asyncio.get_running_loop().time())


async def silent_connections(stage: Stage) -> Outcome:
    """Connections that say nothing, more than the server can have open."""
    async with opened(stage, stage.public, SILENT) as writers:
        await rest(stage)
        return Outcome(f"{len(writers)} opened on the public listener; the nodes' own went on", held=True)


async def drip(stage: Stage, beginning: bytes, byte: bytes) -> int:
    """Begins many requests and goes on with a byte at a time until the attack is over; how many connections that were."""
    async with opened(stage, stage.public, SLOW) as writers:
        for writer in writers:
            writer.write(beginning)
        while not stage.is_over:
            for writer in writers:
                with suppress(OSError):
                    writer.write(byte)
            await asyncio.sleep(0.2)
    return len(writers)


async def slow_headers(stage: Stage) -> Outcome:
    """Heads that never end, a byte at a time."""
    count = await drip(stage, b"GET /join/x HTTP/1.1\r\n", b"X")
    return Outcome(f"{count} connections, a byte every 0.2 s; each is closed after 10 s", held=True)


async def header_flood(stage: Stage) -> Outcome:
    """A head without end, on one connection."""
    before = stage.memory()
    piece = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(1000))
    status, _ = await stage.send(stage.public, b"GET /join/x HTTP/1.1\r\nHost: x\r\n" + piece * 100)
    growth = stage.memory() - before
    return Outcome(f"100 MB of headers: {status or 'closed'}; memory {growth:+} MiB", growth <= MOST_GROWTH)


async def long_lines(stage: Stage) -> Outcome:
    """First lines that are too long."""
    before = stage.memory()

    async def ask() -> int:
        return (await stage.ask(stage.public, "/join/" + "a" * 1_000_000))[0]

    statuses = await crowd(stage, ask)
    growth = stage.memory() - before
    return Outcome(
        f"1 MB each: {counted(statuses)}; memory {growth:+} MiB", not statuses[200] and growth <= MOST_GROWTH
    )


async def guessed_credentials(stage: Stage) -> Outcome:
    """Passwords and keys, tried at each door in turn."""

    async def ask() -> int:
        guess = secrets.token_urlsafe(12)
        where, path, authorization, method = secrets.choice(
            (
                (stage.nodes, POLICY, basic("pexip", guess), "GET"),
                (stage.nodes, SINK_PATH, basic(SINK[0], guess), "POST"),
                (stage.public, LINKS, f"Bearer {guess}", "POST"),
                (stage.public, LINKS, f"Bearer {API_KEY[:-1]}{guess[0]}x", "POST"),
            )
        )
        return (await stage.ask(where, path, authorization, method))[0]

    statuses = await crowd(stage, ask)
    lines = stage.server.err.count("refused")
    return Outcome(f"{counted(statuses)}; {lines} lines of log", not set(statuses) - {0, 401, 429} and lines < 200)


async def made_up_tokens(stage: Stage) -> Outcome:
    """Genesys tokens that nobody has issued."""
    before = len(stage.genesys.requests)

    async def ask() -> int:
        path = f"/agent/v1/conferences/{stage.link['alias']}?conversation=x"
        return (await stage.ask(stage.public, path, f"Bearer {secrets.token_urlsafe(40)}"))[0]

    statuses = await crowd(stage, ask)
    reached = len(stage.genesys.requests) - before
    good = not set(statuses) - {0, 400, 401, 429, 503} and reached < max(sum(statuses.values()), 200)
    return Outcome(f"{counted(statuses)}; {reached} reached Genesys", good)


async def rooms_of_strangers(stage: Stage) -> Outcome:
    """Devices that dial ever new rooms of a rule without `link:`."""
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        return int((await stage.dial(f"desk-{secrets.token_hex(8)}")).get("status") == "success")

    statuses = await crowd(stage, ask)
    link = await stage.make_link()
    served = (await stage.dial(str(link["alias"]))).get("result")
    _, answer = await stage.ask(stage.nodes, "/readyz", stranger=NODE)
    held = read_json(answer)["rooms"]["without_link"]
    happened = f"{asked} rooms asked for, {held} held; a new link was {'served' if served else 'refused'}"
    return Outcome(happened, bool(served) and held <= OPEN_ROOMS and not statuses[0])


async def prefix_paths(stage: Stage) -> Outcome:
    """The nodes', sinks' and operators' paths, looked for behind the public listener."""
    inner = (
        "policy/v1/service/configuration",
        "events/v1/pexip",
        "metrics",
        "readyz",
        "healthz",
        "openapi.json",
        "admin/",
    )
    before = ("/", "//", "/join/", "/join/../", "/join/%2e%2e/", "/api/..%2f", "/agent/", "/./", "/JOIN/")
    statuses: Counter[int] = Counter()
    for path in inner:
        for prefix in before:
            statuses[(await stage.ask(stage.public, prefix + path, basic()))[0]] += 1
    return Outcome(f"{counted(statuses)}", not statuses[200] and not statuses[401])


async def spoofed_addresses(stage: Stage) -> Outcome:
    """A stranger behind the proxy who says that they are this machine."""
    spoofs = ("127.0.0.1, 203.0.113.9", "::1,203.0.113.9", "203.0.113.9", "127.0.0.1,, 203.0.113.9 ", "unknown")
    statuses: Counter[int] = Counter()
    for spoof in spoofs:
        for path in ("/metrics", "/readyz"):
            headers = {"X-Forwarded-For": spoof, "Forwarded": "for=127.0.0.1", "X-Real-IP": "127.0.0.1"}
            statuses[(await stage.ask(stage.nodes, path, headers=headers))[0]] += 1
    return Outcome(f"the operators' pages: {counted(statuses)}", not statuses[200])


def hostile_messages(stage: Stage) -> Iterable[bytes]:
    """Messages that a node would have to be out of its mind to send, or that strangers shaped."""
    name = "\u202e\x1b[2J" + "x" * 5000
    message = {
        "node": "10.0.0.1",
        "seq": 1,
        "version": 1,
        "time": 253402300799.0,
        "event": "participant_connected",
        "data": {"conference": str(stage.link["alias"]), "display_name": name, "uuid": "x" * 3000},
    }
    yield json.dumps(message).encode()
    yield json.dumps({**message, "event": "conference_ended", "time": 1e300}).encode()
    yield json.dumps({**message, "time": -1, "seq": "one", "data": [name]}).encode()
    yield json.dumps({"event": "eventsink_bulk", "node": name, "data": [message] * 500}).encode()
    yield b"[" * 100_000
    yield b'{"a":' * 50_000
    yield b"\xff\xfe\x00"
    yield b'{"event": NaN}'
    yield b'"' + b"x" * (9 * 1024 * 1024)


async def hostile_events(stage: Stage) -> Outcome:
    """Messages to the event sink, with its password."""
    before = stage.memory()
    statuses: Counter[int] = Counter()
    while not stage.is_over:
        for body in hostile_messages(stage):
            statuses[(await stage.ask(stage.nodes, SINK_PATH, basic(*SINK), "POST", body))[0]] += 1
    failed = any(status >= 500 for status in statuses)
    growth = stage.memory() - before
    return Outcome(f"{counted(statuses)}; memory {growth:+} MiB", not failed and growth <= 4 * MOST_GROWTH)


def is_served(answer: dict[str, object]) -> bool:
    """Whether a node was told to open the room."""
    return answer.get("action") == "continue" and bool(answer.get("result"))


async def revoked_link_as_agent(stage: Stage) -> Outcome:
    """A customer whose link was revoked, at the agent's alias with everything that the link told them."""
    link = await stage.make_link()
    customer = str(link["alias"])
    name = customer[-NAME_LENGTH:]
    await stage.ask(stage.public, f"{LINKS}/{link.get('call', name)}", f"Bearer {API_KEY}", "DELETE")
    tried = (
        customer,
        customer.upper(),
        f"sip:{customer}@x",
        f"hcp{name}",
        f"hcp{link.get('call', name)}",
        f"HCP{name}",
    )
    served = [alias for alias in tried if is_served(await stage.dial(alias))]
    return Outcome(f"{len(tried)} aliases dialled, {len(served)} served", not served)


async def opened_pages(stage: Stage, names: Iterable[str]) -> Counter[int]:
    """What `/join/` answers for some names."""
    statuses: Counter[int] = Counter()
    for name in names:
        statuses[(await stage.ask(stage.public, f"/join/{name}"))[0]] += 1
    return statuses


async def names_at_other_doors(stage: Stage) -> Outcome:
    """Somebody who reads call ids in a log, or has a session or an agent key, and tries them where the others belong."""
    names = stage.names()
    pages = (
        *(f"{before}{name}{after}" for name in (names.id, names.agent) for before in ("", "mp") for after in ("", ".")),
        names.id.upper(),
        f"hcp{names.agent}",
    )
    statuses = await opened_pages(stage, pages)
    tried = (f"mp{names.id}", f"hcp{names.id}", f"hcp{names.session}", f"mp{names.agent}", f"sip:HCP{names.session}@x")
    served = [alias for alias in tried if is_served(await stage.dial(alias))]
    happened = f"/join/: {counted(statuses)}; {len(served)} of {len(tried)} aliases served"
    return Outcome(happened, not set(statuses) - {404} and not served)


async def names_at_the_lookup(stage: Stage) -> Outcome:
    """Callers who name themselves like a call, and names that open no lookup, asked for by agents who talk to them.

    The agent of the call's own conversation looks it up first, so it is taken.
    """
    agent, other = User("Maria Silva"), User("Tom Becker")
    tokens = {user.id: secrets.token_urlsafe(32) for user in (agent, other)}
    stage.genesys.users.update({tokens[user.id]: user for user in (agent, other)})
    names = stage.names()

    async def look_up(name: str, caller: str, dialled: str = NUMBER, user: User = other) -> int:
        conversation = stage.genesys.connect(caller, f"tel:{dialled}", user)
        path = f"/agent/v1/conferences/{name}?conversation={conversation}"
        return (await stage.ask(stage.public, path, f"Bearer {tokens[user.id]}", stranger=AGENTS))[0]

    own = await look_up(names.id, names.id, user=agent)
    statuses: Counter[int] = Counter()
    customers, agents = f"mp{names.session}", f"hcp{names.agent}"
    # An impostor on the number of the room and on another one; then every name that is not for the lookup, and the
    # caller is named like it, like the call, or like a stranger.
    for dialled in (NUMBER, "+13129998046"):
        for name in (names.id, agents, f"{agents}@x", names.id.upper()):
            statuses[await look_up(name, names.id, dialled)] += 1
    for name in (
        names.session,
        customers,
        f"sip:{customers}@x",
        names.agent,
        f"mp{names.agent}",
        f"hcp{names.session}",
    ):
        for caller in (name, names.id, "Ada L"):
            statuses[await look_up(name, caller)] += 1
    happened = f"the call's own agent: {own}; others: {counted(statuses)}"
    return Outcome(happened, own == 200 and not set(statuses) - {403, 404})


async def expired_links(stage: Stage) -> Outcome:
    """A customer whose link has expired: the link, its alias, and all that can be made of a session without the key."""
    gone = expired_call()
    session = gone.session
    later = [other + session[len(other) :] for other in (stage.names().session[:7], stage.names().session[:16])]
    statuses = await opened_pages(stage, (session, f"mp{session}", session.upper(), f"{session}).", *later))
    tried = [
        f"{before}{name}{after}"
        for name in (session, session.upper(), *later)
        for before in ("mp", "MP", "sip:mp", "hcp", "HCP", "sip:hcp")
        for after in ("", "@x", ";x=1")
    ]
    served = [alias for alias in tried if is_served(await stage.dial(alias))]
    happened = f"/join/: {counted(statuses)}; {len(tried)} aliases dialled, {len(served)} served"
    return Outcome(happened, not set(statuses) - {404, 410} and statuses[410] > 0 and not served)


def expired_call() -> Call:
    """The call of a link that expired an hour ago, signed as the server signs."""
    at = datetime.now(UTC) - timedelta(hours=1)
    return Keyring.from_text(SECRET_KEY).sign(LINK_TYPE, at, secrets.token_bytes(NONCE_BYTES))


async def guessed_links(stage: Stage) -> Outcome:
    """Links one character away from a good one, and made up."""
    session = str(stage.link["alias"])[-NAME_LENGTH:]

    async def ask() -> int:
        at = secrets.randbelow(NAME_LENGTH)
        other = session[:at] + secrets.choice(BASE32) + session[at + 1 :]
        if other == session:
            other = "".join(secrets.choice(BASE32) for _ in range(NAME_LENGTH))
        return (await stage.ask(stage.public, f"/join/{other}"))[0]

    statuses = await crowd(stage, ask)
    return Outcome(counted(statuses), not set(statuses) - {0, 404, 410, 429})


async def slow_bodies(stage: Stage) -> Outcome:
    """Bodies that never end, of whoever has no key."""
    head = b"POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    return Outcome(f"{await drip(stage, head, b' ')} connections, a byte every 0.2 s", held=True)


async def connection_flood(stage: Stage) -> Outcome:
    """Connections opened and dropped, one after the other."""
    count = 0

    async def ask() -> int:
        nonlocal count
        with suppress(OSError):
            _, writer = await stage.connect(stage.public)
            writer.transport.abort()
            count += 1
        return 0

    await crowd(stage, ask)
    return Outcome(f"{count} connections", held=True)


async def heavy_questions(stage: Stage) -> Outcome:
    """Aliases as long as a node passes them on, to trip expressions and cleaning."""

    async def ask() -> int:
        alias = secrets.choice(("a" * 8000, "desk-" + "(" * 4000, "%00" * 2500, "%F0%9F%98%80" * 600, "sip:" * 2000))
        return (await stage.ask(stage.nodes, f"{POLICY}&remote_alias={alias}", basic()))[0]

    statuses = await crowd(stage, ask)
    return Outcome(counted(statuses), not set(statuses) - {0, 200})


ATTACKS: Final = (
    Attack("Silent connections", silent_connections),
    Attack("Slow headers", slow_headers),
    Attack("Slow bodies", slow_bodies),
    Attack("Connections opened and dropped", connection_flood),
    Attack("A flood of headers", header_flood),
    Attack("Long first lines", long_lines),
    Attack("Guessed credentials at each door", guessed_credentials),
    Attack("Made-up agent tokens", made_up_tokens),
    Attack("Guessed links", guessed_links),
    Attack("Rooms of strangers", rooms_of_strangers),
    Attack("Heavy questions", heavy_questions),
    Attack("Inner paths behind other prefixes", prefix_paths),
    Attack("Spoofed forwarded headers", spoofed_addresses),
    Attack("Hostile events", hostile_events),
    Attack("A revoked link, at the agent's alias", revoked_link_as_agent),
    Attack("An expired link", expired_links),
    Attack("Names of a call at each other's doors", names_at_other_doors),
    Attack("Names replayed at the agents' lookup", names_at_the_lookup),
)
