"""Rules, and a customer's link, that the tests of the endpoints share."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from policy_server.policy.links import CustomerLink, make_link
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from tests.servers import SECRET_KEY, write_rules

NOW: Final = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
KIOSK_PASSWORD: Final = "kiosk-password-in-the-environment"
WRITTEN_PASSWORD: Final = "kiosk-password-in-the-rules"
FIXED_PIN: Final = "730195"

RULES: Final = rf"""
domains: [video.example.com]
trunks:
  contact-centre: {{ number: "+1 312 999 8045", dial_prefix: "99" }}
calendars:
  opening-hours:
    timezone: America/Chicago
    open: {{ mon-fri: ["08:00-18:00"] }}
rooms:
  visit:
    name: "{{call}}"
    service_tag: contact-centre
    description: "Visit of {{remote_display_name}}"
    pin: derived
    guest_pin: derived
    allow_guests: true
service:
  - id: customer
    when: {{ link_type: visit, door: customer, link: valid, open: opening-hours }}
    room: visit
    dial_out: [{{ trunk: contact-centre, display_name: "{{call}}" }}]
  - id: agent
    when: {{ link_type: visit, door: agent, link: [valid, expired] }}
    room: visit
  - id: customer-refused
    when: {{ local_alias: 'mp[a-z0-9]{{32}}' }}
    reject: We are closed.
  - id: named
    when: {{ local_alias: 'room-(?P<name>.*)' }}
    service:
      service_type: conference
      name: "{{name}}"
      service_tag: named
      pin: "{FIXED_PIN}"
  - id: moved
    when: {{ local_alias: moved }}
    redirect: elsewhere@video.example.com
participants:
  - id: greeted
    when: {{ remote_display_name: 'Guest .*' }}
    set: {{ remote_display_name: "{{remote_display_name}} of ours" }}
  - id: unwelcome
    when: {{ remote_display_name: Mallory }}
    reject: "Not you, {{remote_display_name}}."
locations:
  - id: branches
    when: {{ remote_address: 10.20.0.0/16 }}
    location: London
    overflow_locations: [Oslo]
registrations:
  - id: kiosks
    when: {{ alias: 'kiosk-\d+@video\.example\.com' }}
    allow: {{ username: kiosk, password_env: KIOSK_PASSWORD }}
  - id: old-kiosks
    when: {{ alias: 'old/kiosk ü\+1' }}
    allow: {{ username: kiosk, password: {WRITTEN_PASSWORD} }}
directory:
  - {{ alias: desk@video.example.com, description: Telehealth desk, avatar: avatars/desk.png }}
  - {{ alias: pharmacy@video.example.com, description: Pharmacy }}
links:
  visit:
    alias: "mp{{session}}"
    agent_alias: "hcp{{agent}}"
    ttl: 4h
    url: "https://pexip.example.com/webapp3/m/{{alias}}/express?name={{name}}&pin={{guest_pin}}"
"""


def sample_folder(folder: Path, rules: str = RULES) -> Path:
    """The rules, and the picture that they name, in a folder."""
    write_rules(folder, rules)
    (folder / "avatars").mkdir(exist_ok=True)
    picture = BytesIO()
    Image.new("RGB", (60, 90), (0, 128, 0)).save(picture, "PNG")
    (folder / "avatars" / "desk.png").write_bytes(picture.getvalue())
    return folder


def sample_link(ruleset: Ruleset, life: timedelta = timedelta(hours=1), nonce: bytes = b"1234") -> CustomerLink:
    """A link of the rules as it is at ``NOW``; a negative life makes an expired one."""
    return make_link(ruleset.links["visit"], Keyring.from_text(SECRET_KEY), NOW + life, nonce)
