"""What the benchmarks ask, and rule sets of any size to answer it."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from policy_server.pexip.requests import encode_query
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.simulator.node import web_question

SECRET = "the secret key of the benchmarks, which signs nothing else"
USERNAME, PASSWORD = "pexip", "the password of the benchmarks"

SINK_USERNAME, SINK_PASSWORD = "sink", "the password of the sink of the benchmarks"
API_KEY = "the-key-of-the-benchmarks-0123456789"
TOKEN = "the-token-of-the-agent-of-the-benchmarks"
TRUNK = "+13129998045"

_HEAD = """
domains: [video.example.com]
trunks:
  contact-centre: { number: "+1 312 999 8045", dial_prefix: "99" }
calendars:
  opening-hours: { timezone: America/Chicago, open: { mon-sun: ["00:00-24:00"] } }
rooms:
  visit:
    name: "{call}"
    service_tag: contact-centre
    description: "Video visit {call}"
    pin: derived
    guest_pin: derived
    allow_guests: true
    view: one_main_seven_pips
    participant_limit: 6
links:
  visit: { alias: "mp{session}", agent_alias: "hcp{agent}" }
service:
"""

_LAST = """
  - id: last
    when: { link_type: visit, door: customer, link: valid, open: opening-hours }
    room: visit
    dial_out: [{ trunk: contact-centre, remote_display_name: Contact centre }]
"""

PATTERNS = {
    "prefixed": "tenant{number}-[a-z2-7]{{32}}",
    "wildcards": ".*[.]tenant{number}[.].*[a-z2-7]{{32}}",
}
"""Both kinds of pattern: those that begin with text of their own, and those that may match anywhere."""


def write_rules(folder: Path, count: int, kind: str = "prefixed") -> Path:
    """A rules folder with `count` rules, of which the last answers the questions."""
    rules = [
        f"  - id: tenant-{number}\n"
        f"    when: {{ local_alias: '{PATTERNS[kind].format(number=number)}', link: valid }}\n"
        f"    room: visit\n"
        for number in range(count - 1)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_text(_HEAD + "".join(rules) + _LAST)
    return folder


_CALLS = """
  - id: customer
    when: { link_type: visit, door: customer, link: valid, open: opening-hours }
    room: visit
    dial_out: [{ trunk: contact-centre, display_name: "{call}" }]
  - id: agent
    when: { link_type: visit, door: agent, link: [valid, expired] }
    room: visit
participants:
  - id: leg
    when: { call_direction: dial_out, service_tag: contact-centre }
    set: { remote_display_name: Contact centre }
locations:
  - id: here
    when: { remote_address: [192.0.2.0/24] }
    location: London
"""

_CALLS_OF_THE_FIRST_VERSION = (
    ("{call}", "{session}"),
    ("{agent}", "{session}"),
    ("link_type: visit, door: customer", "local_alias: 'mp(?P<session>[a-z2-7]{32})'"),
    ("link_type: visit, door: agent", "local_alias: 'hcp(?P<session>[a-z2-7]{32})'"),
)


def write_call_rules(folder: Path, count: int, *, is_first_version: bool = False) -> Path:
    """A rules folder for whole calls, as 0.1 wrote it or as it is now: the last two of ``count`` rules answer."""
    write_rules(folder, count - 1)
    file = folder / "rules.yaml"
    url = 'url: "https://node.example.com/webapp3/m/{alias}/express?name={name}&pin={guest_pin}"'
    text = file.read_text().replace(_LAST, _CALLS).replace('"hcp{agent}" }', f'"hcp{{agent}}", {url} }}')
    for now, then in _CALLS_OF_THE_FIRST_VERSION if is_first_version else ():
        text = text.replace(now, then)
    if is_first_version:
        text = text.replace("-[a-z2-7]{32}'", "-(?P<session>[a-z2-7]{32})'")
    file.write_text(text)
    return folder


def questions(count: int, rooms: int | None = None) -> list[str]:
    """Different query strings of some thirty parameters, about so many rooms in turn; ``None`` is a new room each."""
    keyring = Keyring.from_text(SECRET)
    expires_at = datetime.now(UTC) + timedelta(hours=4)
    calls = [keyring.sign("visit", expires_at, secrets.token_bytes(NONCE_BYTES)) for _ in range(rooms or count)]
    sessions = [call.session for call in calls]
    return [
        encode_query(
            web_question(
                "mp" + sessions[number % len(sessions)],
                f"JDoe {number}",
                service_name="",
                service_tag="",
                unique_service_name="",
                previous_service_name="",
                breakout_uuid="",
                display_count="",
                third_party_passcode="",
                telehealth_request_id="",
                request_id="644d4edc",
            )
        )
        for number in range(count)
    ]


def write_questions(file: Path, queries: list[str]) -> Path:
    """Puts questions into a file, one a line."""
    file.write_text("\n".join(queries) + "\n")
    return file
