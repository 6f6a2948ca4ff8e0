"""Running commands in this process, and rules for them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner, Result

from policy_server.cli import main
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, write_rules

RULES: Final = r"""
domains: [video.example.com]
trunks:
  contact-centre: { number: "+1 312 999 8045", dial_prefix: "99" }
calendars:
  opening-hours:
    timezone: America/Chicago
    open: { mon-fri: ["08:00-18:00"] }
rooms:
  visit:
    name: "{call}"
    service_tag: contact-centre
    pin: derived
    guest_pin: derived
    allow_guests: true
service:
  - id: customer
    when: { link_type: visit, door: customer, link: valid, open: opening-hours }
    room: visit
    dial_out: [{ trunk: contact-centre, display_name: "{call}" }]
  - id: agent
    when: { link_type: visit, door: agent, link: [valid, expired] }
    room: visit
  - id: vip
    when: { local_alias: vip, link_attributes: { queue: gold } }
    service: { service_type: conference, name: vip, service_tag: vip }
  - id: customer-refused
    when: { link_type: visit, door: customer }
    reject: We are closed.
  - id: named
    when: { local_alias: 'room-(?P<name>.+)' }
    service: { service_type: conference, name: "{name}", service_tag: named }
registrations:
  - id: kiosks
    when: { alias: 'kiosk/\d+ ü@video\.example\.com' }
    allow: true
links:
  visit:
    alias: "mp{session}"
    agent_alias: "hcp{agent}"
    ttl: 4h
    url: "https://pexip.example.com/webapp3/m/{alias}/express?name={name}&pin={guest_pin}"
"""

BARE_RULES: Final = """
service:
  - id: named
    when: { local_alias: 'room-(?P<name>.+)' }
    service: { service_type: conference, name: "{name}", service_tag: named }
"""
"""Rules without a link type."""

TESTS: Final = """
tests:
  - name: a customer in opening hours
    at: 2026-11-23T10:00:00-06:00
    link: { type: visit }
    request: { type: service, call_direction: dial_in, local_alias: "{alias}" }
    expect: { rule: customer, result: { service_tag: contact-centre } }
"""

BAD_RULES: Final = RULES.replace("room: visit", "room: vist").replace("ttl: 4h", "ttl: soon")
WARNING_RULES: Final = RULES.replace("trunks:", 'trunks:\n  spare: { number: "+1 312 555 0100", dial_prefix: "99" }')

CREDENTIALS: Final = {
    "POLICY_PEXIP_USERNAME": USERNAME,
    "POLICY_PEXIP_PASSWORD": PASSWORD,
    "POLICY_SECRET_KEY": SECRET_KEY,
}


def run(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    """Runs ``policy-server`` with arguments; an exception that escapes it fails the test."""
    result = CliRunner().invoke(main, arguments, env=dict(environment or {}), prog_name="policy-server")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def printed_json(result: Result) -> dict[str, Any]:
    """Standard output, which must be one JSON object and nothing else."""
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    return value


def put_rules(folder: Path, text: str = RULES, name: str = "rules.yaml") -> Path:
    """Puts a file into the rules folder."""
    return write_rules(folder / "rules", text, name)
