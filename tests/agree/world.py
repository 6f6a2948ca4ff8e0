"""A server about whose answers four are asked, at a time that only moves on: its rules, links, rooms and revisions."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import httpx
import orjson

from policy_server.conferences.pace import Pace
from policy_server.conferences.store import ConferenceStore
from policy_server.policy.names import Keyring, Role
from policy_server.policy.ruleset import Ruleset
from policy_server.settings import Credentials
from policy_server.web.api_keys import ApiKeys
from tests.servers import SECRET_KEY, InProcess, basic
from tests.waiting import eventually

HERE: Final = Path(__file__).parent
BANK: Final = HERE.parents[1] / "examples" / "rules" / "bank"
PICTURE: Final = HERE.parent / "golden" / "rules" / "avatars" / "card.png"

BEGIN: Final = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
"""A Monday, 9:30 in Zurich."""
ROOMS_LAST: Final = timedelta(minutes=90)
PASSWORDS: Final = {"KIOSK_PASSWORD": "the password of kiosks", "SCHEDULER_PASSWORD": "the password of the scheduler"}
ADMIN: Final = Credentials("admin", "the password of the admin")
SINK: Final = Credentials("sink", "the password of the sink")
API_KEY: Final = "the-key-of-those-who-make-links"
MOST_LINKS: Final = 60
"""Links of which something is asked; older ones are forgotten here."""

REVISIONS: Final[tuple[tuple[tuple[str, str], ...], ...]] = (
    (),
    # Another service for the same rooms, another door, another order, other legs.
    (
        ("service_tag: clinic-a", "service_tag: clinic-b"),
        ('pin: "730195"', 'pin: "118822"'),
        ("trunk: many, display_name", "trunk: night, display_name"),
        ("percent: 30", "percent: 70"),
    ),
    # Rules are gone that rooms run by, and a type of link.
    (
        ("link_type: adhoc", "link_type: clinic"),
        ('  adhoc: { alias: "now{session}", agent_alias: "own{agent}", ttl: 40m }\n', ""),
        ("  - id: numbered\n", "  - id: numbered-again\n"),
        ("  - id: gold\n", "  - id: gold\n    enabled: false\n"),
    ),
)
"""What the rules of each revision have in place of what stands in ``rules.yaml``."""


@dataclass
class MadeLink:
    """A link that the server made, and what is dialled to come in by it."""

    type: str
    call: str
    session: str
    agent: str
    alias: str
    agent_alias: str
    state: set[str] = field(default_factory=set)
    """``revoked``, ``moved``."""


def revision_text(number: int) -> str:
    """The rules of a revision, of those files that differ."""
    text = (HERE / "rules.yaml").read_text(encoding="utf-8")
    for old, new in REVISIONS[number]:
        if old not in text:
            raise ValueError(f"the rules have no {old!r}")
        text = text.replace(old, new)
    return text


class World:
    """The server, and what happens to it beside the questions. Use it in ``with``; ``folder`` is empty."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder: Final = folder
        self.rules: Final = folder / "rules"
        self.random: Final = Random(seed)
        self.now = BEGIN
        self.links: Final[list[MadeLink]] = []
        self.revision = 0
        self.done: Final[list[str]] = []
        """What happened, in words: a disagreement may have come of it."""
        (self.rules / "avatars").mkdir(parents=True)
        for file in BANK.glob("[0-9]*.yaml"):
            text = file.read_text(encoding="utf-8")
            # Nobody listens there, so no question leaves the machine.
            (self.rules / file.name).write_text(text.replace("https://scheduler.example.com", "http://127.0.0.1:9"))
        shutil.copytree(BANK / "tables", self.rules / "tables")
        shutil.copy(PICTURE, self.rules / "avatars")
        self._write(revision_text(0))
        self.server: Final = InProcess(
            self.rules,
            clock=lambda: self.now,
            environment=PASSWORDS,
            # However slow the machine is: a room that is not written yet could not be seen by others.
            pace=Pace(hold=60.0),
            admin=ADMIN,
            events=SINK,
            api_keys=ApiKeys({"tests": API_KEY}),
            public_url="https://links.example.com",
            database_url=f"sqlite:///{folder}/policy.db",
            log_format="json",
            conference_ttl=ROOMS_LAST,
        )
        self.keyring: Final = Keyring.from_text(SECRET_KEY)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)

    @property
    def ruleset(self) -> Ruleset:
        """The rules that run."""
        return self.server.rules.ruleset

    def environment(self) -> dict[str, str]:
        """The settings of the server, for a command beside it."""
        return {
            **PASSWORDS,
            "POLICY_SECRET_KEY": SECRET_KEY,
            "POLICY_RULES": str(self.rules),
            "POLICY_DATABASE_URL": self.server.settings.database_url,
            "POLICY_CONFERENCE_TTL": f"{int(ROOMS_LAST.total_seconds())}s",
        }

    def advance(self) -> None:
        """Some seconds, now and then minutes, seldom hours pass."""
        draw = self.random.random()
        longest = 20 if draw < 0.8 else 240 if draw < 0.98 else 4 * 3600
        self.now += timedelta(milliseconds=self.random.randrange(1, longest * 1000))

    def happen(self) -> None:
        """Something that is no question: a link is made, taken back or moved, or a room is over."""
        draw = self.random.random()
        if draw < 0.6 or not self.links:
            self._make()
        elif draw < 0.75:
            self._revoke(self.random.choice(self.links))
        elif draw < 0.85:
            self._move(self.random.choice(self.links))
        else:
            self._end()

    def reload(self, number: int) -> None:
        """The rules of another revision come into force."""
        self._write(revision_text(number))
        assert self.server.rules.reload(), self.server.rules.state.problems
        self.revision = number
        self._did(f"the rules of revision {number}")

    def _write(self, text: str) -> None:
        (self.rules / "05-further.yaml").write_text(text, encoding="utf-8")

    def _did(self, what: str) -> None:
        self.done.append(f"{self.now.isoformat(timespec='milliseconds')} {what}")

    def _api(self, method: str, path: str, body: object = None) -> httpx.Response:
        return self._send(method, f"/api/v1/links{path}", f"Bearer {API_KEY}", body)

    def _send(self, method: str, path: str, authorization: str, body: object) -> httpx.Response:
        return self.server.request(method, path, authorization=authorization, json=body)

    def _make(self) -> None:
        random = self.random
        kind = random.choice([name for name in self.ruleset.links if name != "interpreter"] + ["interpreter"])
        visits = [link for link in self.links if link.type == "advice"]
        if kind == "interpreter" and not visits:
            kind = "advice"
        wanted: dict[str, Any] = {"type": kind, "name": random.choice(("", "Ada L", "Zoë \u202e Müller", "x" * 200))}
        if kind == "help":
            wanted["attributes"] = random.choice(({}, {"language": "fr"}, {"segment": "vip"}, {"language": "it"}))
        elif kind == "advice":
            wanted["attributes"] = {"booking": f"ZH{random.randrange(10**6):06}"}
            if random.random() < 0.8:
                starts_at = self.now + timedelta(minutes=random.choice((-20, 5, 30, 200)))
                wanted["starts_at"] = starts_at.isoformat(timespec="minutes")
        elif kind == "interpreter":
            wanted |= {"attributes": {"speaks": "Tamil"}, "joins": random.choice(visits).call}
        elif kind == "clinic":
            wanted["attributes"] = random.choice(({}, {"queue": "gold"}, {"queue": "silver", "z": "1"}))
        if "starts_at" not in wanted and random.random() < 0.3:
            wanted["ttl"] = random.choice(("1m", "10m", "5h"))
        response = self._api("POST", "", wanted)
        if response.status_code == 409:  # The visit that it would join is over.
            return
        assert response.status_code == 201, (wanted, response.text)
        self._take(response.json())
        self._did(f"a link: {wanted}")

    def _take(self, made: dict[str, Any]) -> None:
        call = self.keyring.open(made["call"], Role.CALL, self.ruleset.links)
        assert call is not None
        kind = self.ruleset.links[call.type]
        agents = kind.agents_alias(call) or ""
        self.links.append(MadeLink(call.type, call.id, call.session, call.agent, made["alias"], agents))
        del self.links[:-MOST_LINKS]

    def _revoke(self, link: MadeLink) -> None:
        response = self._api("DELETE", f"/{link.call}")
        if response.status_code in (200, 204):
            link.state.add("revoked")
            self._did(f"revoked: {link.call}")

    def _move(self, link: MadeLink) -> None:
        starts_at = self.now + timedelta(minutes=self.random.choice((1, 60, 600)))
        response = self._api("PATCH", f"/{link.call}", {"starts_at": starts_at.isoformat(timespec="minutes")})
        if response.status_code == 201:
            link.state.add("moved")
            self._take(response.json())
            self._did(f"moved: {link.call}")

    def rooms(self) -> list[str]:
        """The names of the rooms that are held, as the database has them."""

        async def names() -> list[str]:
            async with ConferenceStore(self.server.settings.database_url, read_only=True) as store:
                return [room.name for room in await store.live(self.now)]

        return self.server.run(names())

    def _end(self) -> None:
        rooms = self.rooms()
        if not rooms:
            return
        name = self.random.choice(rooms)
        self.now += timedelta(seconds=2)
        told = [
            self._message("conference_started", {"name": name, "start_time": self.now.timestamp() - 1}, 1),
            self._message("conference_ended", {"name": name, "end_time": self.now.timestamp()}, 0),
        ]
        for message in told:
            assert (
                self._send("POST", "/events/v1/pexip", basic(SINK.username, SINK.password), message).status_code == 200
            )
        eventually(lambda: name not in self.rooms())
        self._did(f"over: {name!r}")

    def _message(self, event: str, data: dict[str, object], before: float) -> dict[str, object]:
        time = self.now.timestamp() - before
        return {"node": "10.0.0.1", "seq": len(self.done) + 1, "version": 1, "time": time, "event": event, "data": data}

    def get(self, path: str, authorization: str) -> httpx.Response:
        """A page or an answer."""
        return self.server.request("GET", path, authorization=authorization)

    def take_lines(self) -> Iterator[dict[str, Any]]:
        """What the decision log has so far."""
        return (orjson.loads(line) for line in self.server.flush())
