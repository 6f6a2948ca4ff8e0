"""``simulate``: a whole call, in this process and against a running server."""

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from policy_server.cli.common import Unusable
from policy_server.pexip.field_facts import SECRET_FIELDS
from policy_server.pexip.service_parts import AutomaticParticipant
from policy_server.pexip.services import Conference
from policy_server.pexip.shapes import SHAPES
from policy_server.policy.names import NONCE_BYTES, Keyring, Role
from policy_server.simulator.genesys import ORGANIZATION
from tests.cli.commands import BARE_RULES, CREDENTIALS, RULES, printed_json, put_rules, run
from tests.servers import PASSWORD, SECRET_KEY, RealServer, clean_environment, real_server, write_rules

pytestmark = pytest.mark.slow

ALWAYS_OPEN: Final = RULES.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]')
API_KEY: Final = "k3y-of-the-booking-system"
EVENTS_PASSWORD: Final = "p4ssword-of-the-event-sink"
WHOLE_CALL: Final = (
    "1. ok   The organisation's system makes a link for Ada L",
    "2. ok   The customer follows the link",
    "3. ok   The customer opens the link",
    "with the contact centre's number as automatic participant",
    "The node reports the customer: a browser is two participants",
    "the room dials 99+13129998045",
    "The node reports that the contact centre has answered",
    "The agent's widget looks the conference up",
    "The agent's widget joins by video",
    "They hang up",
    "The node reports that the conference is over",
    "and its timeline tells it from the start to the end",
    "The organisation's system looks at the link",
    "A customer with an expired link",
    "A customer with the revoked link",
    "What the door shows that customer",
)


@pytest.fixture(scope="module")
def genesys_port() -> int:
    """A port at which nothing listens, for what stands in for Genesys Cloud."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


@pytest.fixture(scope="module")
def everything(genesys_port: int) -> dict[str, str]:
    """The settings of a server with which the whole call can be played."""
    return {
        **CREDENTIALS,
        "POLICY_API_KEYS": f"booking:{API_KEY}, spare:another-key-that-nobody-uses",
        "POLICY_EVENTS_USERNAME": "sink",
        "POLICY_EVENTS_PASSWORD": EVENTS_PASSWORD,
        "POLICY_GENESYS_API": f"http://127.0.0.1:{genesys_port}",
        "POLICY_GENESYS_ORGANIZATION": "5f60d1c2-0000-4a71-8b92-a3b4c5d6e7f8",
        "POLICY_GENESYS_DIVISIONS": "6a60d1c2-0000-4a71-8b92-a3b4c5d6e7f8",
        "POLICY_AGENT_BINDING": "required",
        "POLICY_PUBLIC_URL": "https://join.example.com/visits",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, everything: dict[str, str]) -> Iterator[RealServer]:
    """A running server that is always open."""
    folder = tmp_path_factory.mktemp("simulated")
    write_rules(folder / "rules", ALWAYS_OPEN)
    with real_server(folder, environment=everything) as running:
        yield running


def played(*arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a simulation."""
    result = run("simulate", "--json", *arguments, environment=environment)
    return result.exit_code, printed_json(result)


def failed_checks(value: dict[str, Any]) -> list[str]:
    """The checks that failed."""
    return [check["text"] for step in value["steps"] for check in step["checks"] if not check["passed"]]


def test_in_process(folder: Path) -> None:
    """Without a server the call is played in this process, at moments when the door is open and closed: status 0."""
    put_rules(folder)
    result = run("simulate")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("23 steps, 0 failed\n")
    for said in (
        *WHOLE_CALL,
        "outside opening hours",
        "judge: Pexip uses it (service)",
        "judge: Pexip uses it (reject)",
        "     POST /events/v1/pexip\n",
        "HTTP 303, ",
    ):
        assert said in result.stdout
    assert "left out" not in result.stdout


def test_nothing_secret_is_printed(folder: Path) -> None:
    """Whatever is secret in a room and its legs, what is played is told without it."""
    secrets = {"pin": "73019582", "guest_pin": "82910375"}
    room, leg = (
        {name: secrets.get(name, "64820193#") for name in SECRET_FIELDS & SHAPES[model].facets.keys()}
        for model in (Conference, AutomaticParticipant)
    )
    assert leg
    rules = ALWAYS_OPEN.replace(
        "    pin: derived\n    guest_pin: derived\n",
        "".join(f"    {name}: '{value}'\n" for name, value in room.items()),
    )
    put_rules(folder, rules.replace('display_name: "{call}"', f'display_name: "{{call}}", {json.dumps(leg)[1:-1]}'))
    result = run("simulate")
    assert result.exit_code == 0, result.output
    assert not [value for value in {*room.values(), *leg.values()} if value in result.output]


def test_an_announcement_after_hours_is_a_closed_door(folder: Path) -> None:
    """The call is played at a moment when there is a room, and after hours the customer is said to get what there is."""
    service = "service_type: media_playback, name: Closed, service_tag: x, media_playlist_name: closed, on_completion: { disconnect: true }"
    refused = "    when: { link_type: visit, door: customer }\n    reject: We are closed.\n"
    assert refused in RULES
    put_rules(folder, RULES.replace(refused, refused.partition("    reject")[0] + f"    service: {{ {service} }}\n"))
    status, value = played()
    closed = [step for step in value["steps"] if "outside opening hours" in step["title"]]
    assert (status, [check["text"] for step in closed for check in step["checks"]]) == (
        0,
        ["the door is closed: the customer gets the media_playback 'Closed'"],
    )


GREETING: Final = """  - id: greeting
    when: { link_type: visit, door: customer, link: valid, not: { local_alias.raw: '.*@in\\.example\\.com' }HOURS }
    service:
      service_type: media_playback
      name: "Hello {call}"
      service_tag: greeting
      media_playlist_name: Hello
      pin: derived
      guest_pin: derived
      allow_guests: true
      on_completion: { transfer: { conference: "{local_alias}TO", role: guest } }
"""


def greeted(to: str = "@in.example.com", hours: str = "") -> str:
    """Rules by which customers hear a playlist first, which leads on to another form of their alias."""
    greeting = GREETING.replace("TO", to).replace("HOURS", hours)
    return RULES.replace("domains: [", "domains: [in.example.com, ").replace("service:\n", f"service:\n{greeting}", 1)


def test_a_greeting_first(folder: Path) -> None:
    """A playlist that leads to the room is followed, and the call goes on there; after hours it leads to the refusal."""
    put_rules(folder, greeted())
    status, value = played()
    assert (status, failed_checks(value), len(value["steps"])) == (0, [], 25)
    titles = [step["title"] for step in value["steps"]]
    opened, following = titles.index("The customer opens the link: which service is that alias?"), titles[3]
    assert (opened, following.partition("' has been played, and leads on")[1] != "") == (2, True)
    assert following.startswith("'Hello ")
    assert [step["outcome"] for step in value["steps"][2:4]] == ["service", "service"]
    outside = titles.index("A customer with a good link outside opening hours")
    assert [step["outcome"] for step in value["steps"][outside:]] == ["service", "reject"]


def test_a_greeting_that_leads_to_itself(folder: Path) -> None:
    """A playlist in a circle lets nobody in, and it is said why; at a moment of one's own the step says it."""
    put_rules(folder, greeted(to=""))
    result = run("simulate")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no customer gets in within a year: rule 'greeting' plays 'Hello " in result.stderr
    assert "again and again, since it leads to itself" in result.stderr
    status, value = played("--at", "2026-11-23T10:00:00-06:00")
    assert status == 1
    assert "is played again and again, since it leads to where it is played" in failed_checks(value)[0]


def test_at_a_moment(folder: Path) -> None:
    """--at plays at that moment alone, whether the door is open then or not."""
    put_rules(folder)
    status, value = played("--at", "2026-11-23T10:00:00-06:00")
    assert (status, {step["where"] for step in value["steps"]}) == (0, {"in this process, at Mon 2026-11-23 16:00 UTC"})
    assert not [step for step in value["steps"] if "outside opening hours" in step["title"]]
    status, value = played("--at", "2026-11-22T10:00:00-06:00")
    assert (status, {step["where"] for step in value["steps"]}) == (1, {"in this process, at Sun 2026-11-22 16:00 UTC"})
    assert "a meeting room" in failed_checks(value)


def test_the_name_of_the_customer(folder: Path) -> None:
    """--name is the customer's name, by which rules may decide."""
    put_rules(
        folder,
        ALWAYS_OPEN.replace("link: valid, open", "link_attributes: {name: Zoë}, link: valid, open"),
    )
    status, value = played("--name", "Zoë")
    assert (status, failed_checks(value)) == (0, [])
    assert value["steps"][0]["title"] == "The organisation's system makes a link for Zoë"
    assert run("simulate").exit_code == 2


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (
            "service: { service_type: media_playback, name: Closed, service_tag: x, media_playlist_name: closed, "
            "on_completion: { disconnect: true } }",
            "rule 'customer' serves a media_playback, which is no room",
        ),
        ("redirect: night", "rule 'customer' sends them on to 'night'"),
        ("reject: Closed", "no rule serves the alias of this link type"),
    ],
    ids=["an announcement", "another alias", "refused"],
)
def test_a_door_that_never_opens(folder: Path, outcome: str, said: str) -> None:
    """Where a customer never gets a room it is said what they get instead: status 2."""
    room = '    room: visit\n    dial_out: [{ trunk: contact-centre, display_name: "{call}" }]\n'
    assert room in RULES
    put_rules(folder, ALWAYS_OPEN.replace(room, f"    {outcome}\n"))
    result = run("simulate")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"no customer gets in within a year: {said}" in result.stderr


def test_nothing_is_left_behind(folder: Path) -> None:
    """Played in this process nothing is written into the current folder, whatever the settings of the server are."""
    put_rules(folder)
    assert played(POLICY_DATABASE_URL="sqlite:///var/policy.db", POLICY_NODE="pexip.example.com")[0] == 0
    assert [path.name for path in folder.iterdir()] == ["rules"]


def test_the_deployment_hears_nothing_of_a_played_call(folder: Path) -> None:
    """Played in this process no call is looked after by the Management Node of the settings, nor is that asked anything."""
    put_rules(folder)
    with socket.create_server(("127.0.0.1", 0)) as node:
        url = f"http://127.0.0.1:{node.getsockname()[1]}"
        access = {"POLICY_MANAGEMENT_USERNAME": "policy", "POLICY_MANAGEMENT_PASSWORD": "of the manager"}
        result = run("simulate", environment={"POLICY_MANAGEMENT_URL": url, **access})
        node.setblocking(False)
        with pytest.raises(BlockingIOError):
            node.accept()
    assert (result.exit_code, result.stderr) == (0, "")


def test_json(folder: Path) -> None:
    """--json gives every exchange with its checks, and for a node's questions the verdict."""
    put_rules(folder)
    status, value = played()
    assert (status, value["ok"], len(value["steps"]), value["left_out"]) == (0, True, 23, [])
    for step in value["steps"]:
        assert (step["error"], step["problem"], step["objections"], step["passed"]) == (None, None, [], True)
        assert (step["used"], step["outcome"] is not None) == (
            (True, True) if step["path"].startswith("/policy/v1/") else (None, False)
        )
        assert all(check["passed"] for check in step["checks"])
        assert 0 < step["milliseconds"] < 5_000
    assert {(step["method"], step["path"].split("/")[1]) for step in value["steps"]} == {
        ("POST", "api"),
        ("GET", "api"),
        ("DELETE", "api"),
        ("GET", "join"),
        ("GET", "policy"),
        ("POST", "events"),
        ("GET", "agent"),
    }


def test_a_database_to_play_on(folder: Path) -> None:
    """--database names the database to play on; what was played stays in it and is marked."""
    put_rules(folder)
    assert played("--database", "sqlite:///kept/policy.db")[0] == 0
    kept = b"".join(path.read_bytes() for path in (folder / "kept").iterdir())
    assert b"simulated" in kept
    with closing(sqlite3.connect(folder / "kept" / "policy.db")) as database:
        assert database.execute("SELECT count(*) FROM events").fetchone() > (0,)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://me:planted-secret@host/db", "must start with sqlite:/// or postgresql://"),
        ("planted-secret", "is not a database URL"),
        ("postgresql://me:planted-secret@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db"),
    ],
    ids=["another kind", "no URL", "nobody there"],
)
def test_a_database_that_cannot_be_used(folder: Path, url: str, reason: str) -> None:
    """A database that cannot be used is status 2 with the reason, and its password is not repeated."""
    put_rules(folder)
    result = run("simulate", "--database", url)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: --database" in result.stderr
    assert reason in result.stderr
    assert "planted-secret" not in result.stderr


def test_rules_that_break_the_call(folder: Path) -> None:
    """Rules under which the call does not work are status 1, and the failed checks say what is missing."""
    put_rules(folder, RULES.replace('    dial_out: [{ trunk: contact-centre, display_name: "{call}" }]\n', ""))
    status, value = played()
    assert (status, value["ok"]) == (1, False)
    assert failed_checks(value) == ["with the contact centre's number as automatic participant"]
    result = run("simulate")
    assert "NO : with the contact centre's number" in result.stdout
    assert "3. FAIL" in result.stdout


def test_a_name_that_genesys_cannot_show(folder: Path) -> None:
    """A leg that carries the call id neither in its caller's name nor in the address fails the agent's lookup, with the
    reason; the address alone is enough.
    """
    put_rules(folder, RULES.replace('display_name: "{call}" }]', "display_name: Video }]"))
    status, value = played()
    assert status == 0
    told = [check["text"] for step in value["steps"] for check in step["checks"]]
    assert "by the address that Genesys Cloud shows of the caller (ani)" in told
    put_rules(folder, RULES.replace('display_name: "{call}" }]', "display_name: Video, local_alias: desk@x }]"))
    status, value = played()
    assert (status, failed_checks(value)[0]) == (1, "the conference is found")
    (problem,) = {step["problem"] for step in value["steps"]} - {None}
    assert problem == "There is no such conference: " + problem.partition(": ")[2]


def test_a_room_of_their_own_for_agents(folder: Path) -> None:
    """An agent who lands in another room, or with another PIN, fails the check."""
    other = RULES.replace(
        "link: [valid, expired] }\n    room: visit",
        'link: [valid, expired] }\n    service: { service_type: conference, name: "other-{call}", service_tag: x }',
    )
    put_rules(folder, other)
    status, value = played()
    expected = ["the same room", "with the same host PIN", "the lookup gave that PIN"]
    assert (status, failed_checks(value)[:3]) == (1, expected)


def test_rules_that_let_nobody_in(folder: Path) -> None:
    """Rules without a link type, and rules that never serve its alias, are unusable: status 2, said why."""
    put_rules(folder, BARE_RULES)
    nothing = run("simulate")
    assert (nothing.exit_code, nothing.stdout) == (2, "")
    assert "the rules define no link type" in nothing.stderr
    put_rules(folder, RULES.replace("link: valid, open", "link: expired, open"))
    nobody = run("simulate")
    assert (nobody.exit_code, nobody.stdout) == (2, "")
    assert "no customer gets in within a year" in nobody.stderr
    assert Unusable.exit_code == 2


def test_which_link(folder: Path) -> None:
    """--link names the link type; an unknown one is status 2 with those there are."""
    put_rules(folder)
    assert played("--link", "visit")[0] == 0
    result = run("simulate", "--link", "vist")
    assert (result.exit_code, "--link must be 'visit' but is 'vist'" in result.stderr) == (2, True)


KIOSKS: Final = r"""
domains: [video.example.com]
trunks: { contact-centre: { number: "+1 312 999 8045", dial_prefix: "99" } }
calendars: { opening-hours: { timezone: America/Chicago, open: { mon-fri: ["08:00-18:00"] } } }
rooms: { kiosk: { name: "Kiosk {kiosk}", service_tag: kiosk, pin: derived, allow_guests: true } }
service:
  - id: kiosk
    when: { local_alias: advisor, remote_alias: 'kiosk-(?P<kiosk>\d+)', registered: true, protocol: sip, open: opening-hours }
    room: kiosk
    dial_out: [{ trunk: contact-centre }]
  - { id: closed, when: { local_alias: advisor }, reject: We are closed. }
"""
KIOSK: Final = ("--as", "sip", "--alias", "advisor", "--parameter", "remote_alias=sip:kiosk-7@video.example.com")


def test_a_room_system(folder: Path) -> None:
    """--as plays a room system's call, which no link leads to, at moments when the door is open and closed: status 0."""
    put_rules(folder, KIOSKS)
    result = run("simulate", *KIOSK, "--parameter", "registered=True")
    assert (result.exit_code, result.stderr) == (0, "")
    for said in (
        "1. ok   A room system (sip) dials advisor: which service is that alias?",
        "the room system may join when it has given a PIN",
        "the room dials 99+13129998045",
        "by the address that Genesys Cloud shows of the caller (ani)",
        "yes: and an alias to join by",
        "and its timeline tells it from the start to the end",
        "14. ok   A room system outside opening hours",
    ):
        assert said in result.stdout
    assert result.stdout.endswith("14 steps, 0 failed\n")
    status, value = played(*KIOSK, "--parameter", "registered=True", "--at", "2026-11-22T10:00:00-06:00")
    assert (status, failed_checks(value)[0], len(value["steps"])) == (1, "a meeting room", 1)
    result = run("simulate", *KIOSK)
    assert result.exit_code == 2
    assert "no room system gets in within a year: no rule serves that alias for such a caller" in result.stderr
    result = run("simulate", *KIOSK, "--parameter", "registered=True", "--fault", "busy")
    assert result.stdout.startswith("Rule 'kiosk' lets the room system in at ")


def test_a_room_system_against_a_server(
    tmp_path_factory: pytest.TempPathFactory, folder: Path, everything: dict[str, str], genesys_port: int
) -> None:
    """Against a running server it is played over HTTP, again and again, with no key of the organisation's system."""
    rules = KIOSKS.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]')
    put_rules(folder, rules)
    elsewhere = tmp_path_factory.mktemp("kiosks")
    write_rules(elsewhere / "rules", rules)
    environment = {name: value for name, value in everything.items() if name != "POLICY_API_KEYS"}
    arguments = (*KIOSK, "--parameter", "registered=True", "--genesys", str(genesys_port))
    with real_server(elsewhere, environment=environment) as running:
        for _ in range(2):
            status, value = played("--url", running.url, *arguments, **environment)
            assert (status, failed_checks(value), value["left_out"]) == (0, [], [])
            assert ({step["where"] for step in value["steps"]}, len(value["steps"])) == ({running.url}, 13)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ("--alias", "advisor"),
            "--alias goes with --as sip or --as h323, since customers dial the alias of their link",
        ),
        (("--parameter", "registered=True"), "--parameter goes with --as sip or --as h323"),
        (("--as", "sip"), "--as sip needs --alias, what the room system dials"),
        (
            (*KIOSK, "--link", "visit"),
            "--link goes without --as, since a room system has no link; leave one of the two",
        ),
        ((*KIOSK, "--attribute", "a=b"), "--attribute goes without --as"),
        (
            (*KIOSK, "--parameter", "local_alias=x"),
            "--parameter local_alias is said by the call that is played; write --alias",
        ),
        (
            (*KIOSK, "--parameter", "service_tag=x"),
            "--parameter service_tag is said by the call that is played; leave it out",
        ),
        ((*KIOSK, "--parameter", "regstered=True"), "'regstered' is none of Pexip's (did you mean 'registered'?)"),
        ((*KIOSK, "--parameter", "registered=yes"), "--parameter registered must be True or False but is 'yes'"),
        (
            (*KIOSK, "--parameter", "remote_address=10.20"),
            "--parameter remote_address must be an IP address but is '10.20'",
        ),
        ((*KIOSK, "--parameter", "remote_port=x"), "--parameter remote_port must be a whole number but is 'x'"),
        (
            (*KIOSK, "--parameter", "encryption=Maybe"),
            "--parameter encryption must be On, Off or Unknown but is 'Maybe'",
        ),
        ((*KIOSK, "--parameter", "registered"), "--parameter is written K=V but is 'registered'"),
        (("--as", "webrtc", "--alias", "x"), "'webrtc' is not one of"),
    ],
)
def test_what_does_not_go_with_a_room_system(folder: Path, arguments: tuple[str, ...], reason: str) -> None:
    """Options of links and of room systems do not go together, and what no node asks is refused: status 2 with a remedy."""
    put_rules(folder, KIOSKS)
    result = run("simulate", *arguments)
    assert (result.exit_code, result.stdout, reason in result.stderr) == (2, "", True), result.stderr


def test_an_alias_of_a_link_is_no_room_systems(folder: Path) -> None:
    """An alias that a link of ours has is refused, naming the option that plays it."""
    put_rules(folder, ALWAYS_OPEN)
    keyring = Keyring.from_text(SECRET_KEY)
    alias = f"mp{keyring.sign('visit', datetime.now(UTC) + timedelta(hours=1), b'n' * NONCE_BYTES).session}"
    result = run("simulate", "--as", "sip", "--alias", alias, environment=CREDENTIALS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--alias is that of a link; leave --as and --alias out, and play it with --link visit" in result.stderr


def test_against_a_server(server: RealServer, folder: Path, everything: dict[str, str], genesys_port: int) -> None:
    """Against a running server with its settings: status 0, and everything is played over HTTP."""
    put_rules(folder, ALWAYS_OPEN)
    arguments = ("--url", server.url, "--genesys", str(genesys_port))
    status, value = played(*arguments, **everything)
    assert (status, failed_checks(value), value["left_out"]) == (0, [], [])
    assert ({step["where"] for step in value["steps"]}, len(value["steps"])) == ({server.url}, 22)
    result = run("simulate", *arguments, environment=everything)
    assert result.exit_code == 0
    for said in WHOLE_CALL:
        assert said in result.stdout


def test_a_profile_url_with_a_path(folder: Path, everything: dict[str, str]) -> None:
    """A path of the policy profile's own is for policy questions; the others are asked at the root."""
    put_rules(folder, ALWAYS_OPEN)
    with real_server(folder, environment={**everything, "POLICY_PREFIX": "/a/prefix"}) as prefixed:
        status, value = played("--url", f"{prefixed.url}/a/prefix/", **everything)
    assert (status, failed_checks(value)) == (0, [])


def test_no_secret_is_printed(server: RealServer, folder: Path, everything: dict[str, str], genesys_port: int) -> None:
    """Neither PINs nor keys, passwords or tokens are in the output, for people or for programs, or in what is logged."""
    put_rules(folder, ALWAYS_OPEN)
    arguments = ("--url", server.url, "--genesys", str(genesys_port))
    told = run("simulate", *arguments, environment=everything).output
    result = run("simulate", "--json", *arguments, environment=everything)
    session = next(
        step["path"].removeprefix("/join/")
        for step in printed_json(result)["steps"]
        if step["path"].startswith("/join/")
    )
    call = Keyring.from_text(SECRET_KEY).open(session, Role.SESSION, ("visit",))
    assert call is not None
    pins = call.pins
    for secret in (API_KEY, EVENTS_PASSWORD, PASSWORD, SECRET_KEY, pins.host, pins.guest, "Bearer", "Basic"):
        for output in (told, result.output, server.out, server.err):
            assert secret not in output


@pytest.mark.parametrize(
    ("without", "absent", "needed"),
    [
        (("POLICY_API_KEYS",), "api", "POLICY_API_KEYS"),
        (("POLICY_EVENTS_USERNAME", "POLICY_EVENTS_PASSWORD"), "events", "POLICY_EVENTS_USERNAME and POLICY_EVENTS_P"),
        ((), "agent", "--genesys PORT, and a server whose POLICY_GENESYS_API is http://127.0.0.1:PORT"),
    ],
    ids=["API keys", "event sink", "Genesys Cloud"],
)
def test_what_is_not_set_is_left_out(
    server: RealServer,
    folder: Path,
    everything: dict[str, str],
    genesys_port: int,
    without: tuple[str, ...],
    absent: str,
    needed: str,
) -> None:
    """What the settings do not allow is left out with one line that says what it needs, and nothing fails."""
    put_rules(folder, ALWAYS_OPEN)
    environment = {name: value for name, value in everything.items() if name not in without}
    options = ("--genesys", str(genesys_port)) if without else ()
    result = run("simulate", "--url", server.url, *options, environment=environment)
    (line,) = [line for line in result.stdout.splitlines() if "left out: " in line and "steps" not in line]
    assert (result.exit_code, needed in line) == (0, True)
    assert result.stdout.endswith(" steps, 0 failed, some left out: 1\n")
    status, value = played("--url", server.url, *options, **environment)
    assert (status, [needed in each["needs"] for each in value["left_out"]]) == (0, [True])
    assert absent not in {step["path"].split("/")[1] for step in value["steps"]}


def test_a_key_in_a_file(server: RealServer, folder: Path, everything: dict[str, str]) -> None:
    """The API keys may be in a file, one a line; the first is used."""
    put_rules(folder, ALWAYS_OPEN)
    (folder / "keys").write_text(f"\n booking: {API_KEY}\nnext:key-that-the-server-does-not-know\n", encoding="utf-8")
    environment = {**everything, "POLICY_API_KEYS_FILE": "keys"}
    del environment["POLICY_API_KEYS"]
    status, value = played("--url", server.url, **environment)
    assert (status, value["steps"][0]["path"], value["steps"][0]["status"]) == (0, "/api/v1/links", 201)


def test_against_a_server_with_another_key(server: RealServer, folder: Path) -> None:
    """With another secret key the server refuses the link: status 1, and the first checks say so."""
    put_rules(folder, ALWAYS_OPEN)
    other = {**CREDENTIALS, "POLICY_SECRET_KEY": "another secret key which is long enough"}
    result = run("simulate", "--url", server.url, environment=other)
    assert result.exit_code == 1
    assert "1. FAIL" in result.stdout
    assert "judge: Pexip uses it (reject)" in result.stdout
    assert "NO : a meeting room" in result.stdout


def test_against_a_server_with_another_password(server: RealServer, folder: Path) -> None:
    """With another password the server answers 401: status 1, and the judge says what a node makes of it."""
    put_rules(folder, ALWAYS_OPEN)
    other = {**CREDENTIALS, "POLICY_PEXIP_PASSWORD": "wrong"}
    result = run("simulate", "--url", server.url, environment=other)
    assert result.exit_code == 1
    assert "judge: ENV-4: HTTP 401" in result.stdout
    status, value = played("--url", server.url, **other)
    asked = [step for step in value["steps"] if step["path"].startswith("/policy/")]
    assert (status, {step["status"] for step in asked}, any(step["passed"] for step in asked)) == (1, {401}, False)
    assert all("HTTP 401" in step["objections"][0] for step in asked)
    assert not any(check["passed"] for step in asked for check in step["checks"]), "a refused question passed a check"


@pytest.mark.parametrize(
    ("setting", "value", "path", "problem"),
    [
        ("POLICY_EVENTS_PASSWORD", "wrong-planted", "/events/v1/pexip", "Wrong or no credentials"),
        ("POLICY_API_KEYS", "booking:wrong-planted-key-of-ours", "/api/v1/links", "Wrong or no API key"),
    ],
)
def test_wrong_credentials(
    server: RealServer,
    folder: Path,
    everything: dict[str, str],
    genesys_port: int,
    setting: str,
    value: str,
    path: str,
    problem: str,
) -> None:
    """Wrong credentials of the sink or the organisation's system: 401 is shown, the steps fail, and nothing leaks."""
    put_rules(folder, ALWAYS_OPEN)
    environment = {**everything, setting: value}
    arguments = ("--url", server.url, "--genesys", str(genesys_port))
    status, told = played(*arguments, **environment)
    refused = [step for step in told["steps"] if step["path"] == path]
    assert (status, told["ok"], {(step["status"], step["passed"]) for step in refused}) == (1, False, {(401, False)})
    result = run("simulate", *arguments, environment=environment)
    assert result.exit_code == 1
    assert "HTTP 401, " in result.stdout
    assert f"     the server says: {problem}" in result.stdout
    assert "planted" not in result.output


def test_a_server_without_an_event_sink(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> None:
    """A server that is not set up for what is set here fails those steps, saying which settings it lacks."""
    put_rules(folder, ALWAYS_OPEN)
    elsewhere = tmp_path_factory.mktemp("bare")
    write_rules(elsewhere / "rules", ALWAYS_OPEN)
    environment = {**CREDENTIALS, "POLICY_EVENTS_USERNAME": "sink", "POLICY_EVENTS_PASSWORD": EVENTS_PASSWORD}
    with real_server(elsewhere, environment=CREDENTIALS) as bare:
        result = run("simulate", "--url", bare.url, environment=environment)
    assert result.exit_code == 1
    assert "the server says: This is not set up: POLICY_EVENTS_USERNAME and POLICY_EVENTS_PASSWORD" in result.stdout


def test_a_server_that_is_closed(folder: Path, everything: dict[str, str], server: RealServer) -> None:
    """While the door is closed by the rules here, the call is played in this process, and the closed door over HTTP."""
    never_now = RULES.replace(
        'open: { mon-fri: ["08:00-18:00"] }', 'open: { mon-sun: ["00:00-24:00"] }\n    closed: [DAYS]'
    )
    days = ", ".join(f'"{day:%Y-%m-%d}"' for day in days_around_now())
    put_rules(folder, never_now.replace("DAYS", days))
    status, value = played("--url", server.url, **everything)
    wheres = {step["where"].split(",")[0] for step in value["steps"][:17]}
    assert (wheres, value["left_out"]) == ({"in this process"}, [])
    assert {step["where"] for step in value["steps"][17:]} == {server.url}
    # That server is open all the same, so the customer gets in there.
    assert (status, failed_checks(value)) == (1, ["the call is refused"])


def days_around_now() -> list[datetime]:
    """Yesterday, today and tomorrow."""
    return [datetime.now(UTC) + timedelta(days=number) for number in (-1, 0, 1)]


def test_what_serve_prints_works(folder: Path) -> None:
    """The line that a server on loopback prints for another terminal plays the call against it."""
    put_rules(folder, ALWAYS_OPEN)
    with real_server(folder, environment={}) as running:
        pasted = running.out.partition("in another terminal:\n\n")[2]
        real = subprocess.run(
            ["bash", "-c", pasted],
            env=clean_environment(PATH=f"{Path(sys.executable).parent}:{clean_environment()['PATH']}"),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (real.returncode, real.stderr) == (0, "")
    left_out = [line for line in real.stdout.splitlines() if line.startswith("-. left out: ")]
    assert [line.startswith("-. left out: the agent's lookup (needs --genesys PORT") for line in left_out] == [True]
    assert real.stdout.endswith("20 steps, 0 failed, some left out: 1\n")


def test_against_nobody(folder: Path, everything: dict[str, str]) -> None:
    """A URL where nobody answers is status 1 after one request, and the message names it."""
    put_rules(folder, ALWAYS_OPEN)
    url = "http://127.0.0.1:1"
    for environment in (CREDENTIALS, everything):
        result = run("simulate", "--url", url, environment=environment)
        assert result.exit_code == 1
        assert f"No answer from {url} (ConnectError: " in result.stderr
        assert "Is the server running" in result.stderr
        assert "\n1 steps, 1 failed" in result.stdout
    status, value = played("--url", url, **CREDENTIALS)
    assert (status, value["ok"], len(value["steps"])) == (1, False, 1)
    assert value["steps"][0]["error"].startswith("ConnectError: ")


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://[bad", "127.0.0.1:8080", ""])
def test_a_url_that_is_none(folder: Path, url: str) -> None:
    """What is no URL of a policy profile is status 2."""
    put_rules(folder)
    result = run("simulate", "--url", url, environment=CREDENTIALS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--url must be the URL of the policy profile" in result.stderr


def test_a_url_with_a_password(folder: Path) -> None:
    """A URL with credentials in it is status 2, and they are not repeated."""
    put_rules(folder)
    result = run("simulate", "--url", "http://me:planted-secret@127.0.0.1:1", environment=CREDENTIALS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--url must not hold a user name or password; set POLICY_PEXIP_USERNAME" in result.stderr
    assert "planted-secret" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "reason"),
    [
        (("--genesys", "8090"), {}, "--genesys goes with --url"),
        (("--database", "sqlite:///x.db", "--url", "http://127.0.0.1:1"), CREDENTIALS, "--database goes without --url"),
        (
            ("--at", "2026-11-23T10:00:00-06:00", "--url", "http://127.0.0.1:1"),
            CREDENTIALS,
            "--at goes without --url: a server plays by its own clock; leave --url out, or --at",
        ),
        (("--at", "tomorrow"), {}, "--at must be a moment such as 2026-11-23T10:00:00-06:00 but is 'tomorrow'"),
        (
            ("--genesys", "8090", "--url", "http://127.0.0.1:1"),
            CREDENTIALS,
            "whose POLICY_GENESYS_API is http://127.0.0.1:8090, but here POLICY_GENESYS_API is not set",
        ),
        (
            ("--genesys", "8090", "--url", "http://127.0.0.1:1"),
            {
                **CREDENTIALS,
                "POLICY_GENESYS_API": "http://127.0.0.1:8091",
                "POLICY_GENESYS_ORGANIZATION": ORGANIZATION,
            },
            "but here POLICY_GENESYS_API is 'http://127.0.0.1:8091'; set it and POLICY_GENESYS_ORGANIZATION to the same",
        ),
        (("--genesys", "0", "--url", "http://127.0.0.1:1"), CREDENTIALS, "'--genesys': 0 is not in the range"),
    ],
    ids=[
        "Genesys without a server",
        "database of a server",
        "a clock of a server",
        "no moment",
        "Genesys not set",
        "another Genesys",
        "port zero",
    ],
)
def test_options_that_do_not_go_together(
    folder: Path, arguments: tuple[str, ...], environment: dict[str, str], reason: str
) -> None:
    """Options without what they need are status 2 with what that is."""
    put_rules(folder)
    result = run("simulate", *arguments, environment=environment)
    assert (result.exit_code, result.stdout, reason in result.stderr) == (2, "", True), result.stderr


def test_a_port_that_is_taken(folder: Path, everything: dict[str, str]) -> None:
    """A port at which something listens already is status 2, naming it."""
    put_rules(folder, ALWAYS_OPEN)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {**everything, "POLICY_GENESYS_API": f"http://localhost:{port}"}
        result = run("simulate", "--url", "http://127.0.0.1:1", "--genesys", str(port), environment=environment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"--genesys {port}: cannot listen on 127.0.0.1:{port}: Address already in use" in result.stderr


def test_a_server_needs_its_credentials(folder: Path) -> None:
    """Against a server, credentials and key must be given: status 2, naming the variables."""
    put_rules(folder)
    result = run("simulate", "--url", "http://127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "POLICY_PEXIP_USERNAME, POLICY_PEXIP_PASSWORD and POLICY_SECRET_KEY" in result.stderr


def test_json_is_clean_in_a_process_of_its_own(server: RealServer, folder: Path, everything: dict[str, str]) -> None:
    """Standard output is the JSON alone; warnings go to standard error."""
    put_rules(folder, ALWAYS_OPEN)
    real = subprocess.run(
        [sys.executable, "-m", "policy_server", "simulate", "--json", "--url", server.url],
        env=clean_environment(**everything, POLICY_RULE="x"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert real.returncode == 0
    assert real.stdout.startswith('{\n  "ok": true')
    assert real.stderr == "warning: POLICY_RULE is not a setting (did you mean POLICY_RULES?)\n"
