"""Rule files, good and bad, to hold editors and loader against."""

from policy_server.rulefiles.merge import SECTIONS

DESIGN = r"""
domains: [video.example.com]        # ours: an alias user@video.example.com is matched as "user"

pexip:                              # optional: names that exist in the deployment. Given a list,
  locations: [London, Oslo]         # any other name in a rule is an error, because one wrong name
  themes: [Telehealth]              # voids the whole answer
  sip_proxies: [Genesys Cloud]

trunks:
  clinic:                           # Pexip routes 99+13129998045 by its Call Routing Rule
    number: "+1 312 999 8045"       # anything `phonenumbers` can read
    dial_prefix: "99"
  clinic-backup:                    # or dial the Genesys BYOC trunk itself
    number: "(312) 555-0100"
    region: US                      # needed for numbers in national format
    termination: pexbackup.byoc.usw2.pure.cloud
    form: fqdn                      # fqdn (default) | tgrp

holidays:                           # lists of days, shared by calendars
  illinois: { country: US, subdivision: IL }   # public holidays, from the library `holidays`
  house: ["12-24 12:00-24:00", "2026-12-31", "2027-07-19..2027-08-06"]

calendars:
  clinic-hours:
    timezone: America/Chicago
    open: { mon-fri: ["08:00-18:00"], sat: ["09:00-13:00"] }
    closed: [illinois, house, "2027-01-02"]
    instead: { "2026-12-23": ["08:00-14:00"] }

upstreams:                          # other policy servers
  scheduler: { url: "https://otj.example.com", timeout: 1500ms, on_failure: continue }

rooms:                              # VMR templates: any field of Pexip's conference/lecture service
  telehealth:
    name: "{call}"
    service_tag: telehealth
    description: "Telehealth visit of {link.name}"
    pin: derived                    # host PIN, per room, from the secret key; or digits; or absent
    guest_pin: derived
    allow_guests: true
    ivr_theme_name: Telehealth
    view: one_main_seven_pips

service:                            # answers to service configuration requests
  - id: patient
    when:
      link_type: patient            # one of links: below, by its alias
      door: customer
      link: valid                   # signed by us, not expired
      open: clinic-hours
    room: telehealth
    dial_out:
      - trunk: clinic               # becomes the automatic participant
        display_name: "{call}"      # what Genesys will show as aniName
      - trunk: clinic-backup
        when: failed                # only if the first leg fails (dial assurance)
  - id: clinician
    when: { link_type: patient, door: agent, link: [valid, expired] }
    room: telehealth                # the same room, no dial-out
  - id: patient-closed
    when: { link_type: patient }    # whatever else looks like such a link
    reject: The clinic is closed, or the link is not valid any more.

  - id: scheduled-meetings
    when: { local_alias: 'meet\..*' }
    forward: scheduler

participants:
  - id: contact-centre-leg
    when: { call_direction: dial_out, service_tag: telehealth }
    set: { remote_display_name: Contact centre, preauthenticated_role: chair }
  - id: patient
    when: { link_type: patient, door: customer, protocol: [api, webrtc] }
    set: { preauthenticated_role: guest }

locations:
  - id: branches
    when: { remote_address: [10.20.0.0/16, '2001:db8::/32'] }
    location: London
    overflow_locations: [Oslo]

registrations:
  - id: kiosks
    when: { alias: 'kiosk-\d+@video\.example\.com' }
    allow: { username: kiosk, password_env: KIOSK_PASSWORD }

directory:
  - { alias: desk@video.example.com, description: Telehealth desk, avatar: avatars/desk.jpg }

links:
  patient:
    alias: "mp{session}"
    agent_alias: "hcp{agent}"
    ttl: 4h
    url: "https://pexip.example.com/webapp3/m/{alias}/express?name={name}&pin={guest_pin}&callType=video"
"""
"""The example of the documentation, with every section."""

BASE = """
    rooms: { visit: { name: "{local_alias}" } }
    trunks: { clinic: { number: "+1 312 999 8045" } }
    calendars: { hours: { timezone: America/Chicago, open: { mon-fri: ["08:00-18:00"] } } }
    tables: { offices: tables/offices.csv }
    links: { patient: { alias: "mp{session}" } }
"""
"""What the short files below may refer to."""

GOOD: dict[str, str] = {
    "placeholders in fields of fields": """
service:
  - id: greeting
    service:
      service_type: media_playback
      name: x
      service_tag: x
      media_playlist_name: x
      on_completion: { transfer: { conference: "in-{local_alias|x}", role: guest } }
  - id: ward
    service: { service_type: conference, name: x, service_tag: x, breakout_uuids: ["{link.ward}", "0f8fad5b-{link.bed}"],
      breakout: true, breakout_name: x, breakout_uuid: "{breakout_uuid}" }
participants: [{ id: mixes, set: { send_to_audio_mixes: [{ mix_name: "{vendor}" }, { mix_name: main, prominent: true }] } }]
""",
    "headings with nothing below": "\n".join(f"{section}:" for section in SECTIONS if section != "service"),
    "one domain without brackets": "domains: Video.Example.com",
    "one name without brackets": "pexip: { locations: London, themes: [] }",
    "Call Routing Rules": (
        r"pexip: { call_routing_rules: [{ name: G, match: '99(\+\d+)', replace: '\1@x', outgoing: true }, { name: H, match: x }] }"
    ),
    "a directory with settings": "directory: { ignore_local: true, entries: [{ alias: a }] }",
    "a number without quotes": "trunks: { t: { number: 13129998045, region: US, dial_prefix: 99 } }",
    "days in full and in any case": (
        "calendars: { c: { timezone: UTC, open: { Monday - Wed: '08:00-18:00', 'sat, SUN': [] }, closed: 2026-12-25 } }"
    ),
    "days of every kind": (
        "holidays: { h: [2026-12-25, '12-25', 2027-07-19..2027-08-06, '12-24 .. 01-02', '12-24 12:00-24:00'], one: '12-24' }\n"
        "calendars: { c: { timezone: UTC, open: {}, closed: [h, one, '12-24 12:00-24:00'], instead: { '2026-12-23': [] } } }"
    ),
    "public holidays": "holidays: { h: { country: CH, subdivision: ZH }, g: { country: AT, subdivision: 9 } }",
    "a lecture": "rooms: { r: { service_type: lecture, name: x, host_view: one_main_one_pip, crypto_mode: null } }",
    "digits as PIN": "rooms: { r: { name: x, pin: '1234#' } }",
    "long text with placeholders": f"rooms: {{ r: {{ name: x, description: '{{remote_alias}}{'x' * 240}' }} }}",
    "a service written out": (
        "service: [{ id: a, service: { service_type: gateway, name: x, service_tag: '', outgoing_protocol: sip, "
        "local_alias: a, remote_alias: '{local_alias}' } }]"
    ),
    "a trunk, a theme and a tag from a table": (
        "service: [{ id: a, when: { table: { offices: '{location}' } }, service: { service_type: conference, name: x, "
        "service_tag: '{offices.location}', ivr_theme_name: '{offices.trunk|}' }, dial_out: [{ trunk: '{offices.trunk}' }] }]"
    ),
    "a location from a table": (
        "locations: [{ id: a, when: { table: { offices: 'x-{location|y}' } }, location: '{offices.location}', "
        "overflow_locations: ['{offices.trunk}', London] }]"
    ),
    "shares and second numbers": (
        "service: [{ id: a, room: visit, dial_out: [{ trunk: clinic, weight: 3 }, { trunk: clinic, weight: 1 }, "
        "{ trunk: clinic, when: failed, open: hours }] }]"
    ),
    "assurance": (
        "service: [{ id: a, room: visit, dial_out: [{ trunk: clinic }], assurance: { answer_within: 20s, attempts: 2, pause: 0s, "
        "on_exhausted: { transfer: sorry }, end_room_with_leg: false, end_leg_with_customer: 1m } }]"
    ),
    "a leg without trunk": "service: [{ id: a, room: visit, dial_out: [{ remote_alias: a, role: guest }] }]",
    "a leg with everything": (
        "service: [{ id: a, room: visit, dial_out: [{ trunk: clinic, display_name: '{local_alias}', call_type: video, "
        "streaming: false, routing: manual }] }]"
    ),
    "a rule that is off": "service: [{ id: a-1, description: x, enabled: false, redirect: 'x{remote_alias}' }]",
    "no role": "participants: [{ id: a, set: { preauthenticated_role: null } }]",
    "a rejected participant": "participants: [{ id: a, reject: 'No, {remote_display_name}' }]",
    "one overflow location": "locations: [{ id: a, location: Oslo, overflow_locations: London }]",
    "a password": "registrations: [{ id: a, allow: { username: a, password: 1234 } }]",
    "a refused device": "registrations: [{ id: a, reject: true }]",
    "pages of their own": "links: { l: { alias: 'mp{session}', url: 'https://x/', templates: pages } }",
    "a folder in a folder": "links: { l: { alias: 'mp{session}', url: 'https://x/', templates: ./pages/..visit/ } }",
    "an agents' alias with the key": "links: { l: { alias: 'mp{session}', agent_alias: 'hcp{agent}' } }",
    "an agents' alias with the call id": "links: { l: { alias: 'mp{session}', agent_alias: 'hcp{call}' } }",
    "names of the call in a url": "links: { l: { alias: 'mp{session}', url: 'https://x/{session}?c={call}' } }",
    "a window": "links: { l: { alias: 'mp{session}', window: { before: 15m, after: 1H 30m } } }",
    "a window that opens at the time itself": "links: { l: { alias: 'mp{session}', window: { after: 1h } } }",
    "a link into the room of another": "links: { l: { alias: 'mp{session}' }, i: { alias: 'itp{session}', joins: l } }",
    "a duration of two parts": "links: { l: { alias: 'mp{session}', ttl: 1D 12h } }",
}
"""Less common forms; a section that is missing is that of BASE."""

BAD: dict[str, str] = {
    "braces in a transfer": "service: [{ id: a, service: { service_type: media_playback, name: x, service_tag: x, "
    "media_playlist_name: x, on_completion: { transfer: { conference: '{a b}' } } } }]",
    "braces in a mix": "participants: [{ id: a, set: { send_to_audio_mixes: [{ mix_name: '{' }] } }]",
    "braces in a list of UUIDs": "service: [{ id: a, service: { service_type: conference, name: x, service_tag: x, "
    "breakout_uuids: ['{'] } }]",
    "no UUID in a list": "service: [{ id: a, service: { service_type: conference, name: x, service_tag: x, "
    "breakout_uuids: [ward] } }]",
    "unknown section": "room: {}",
    "tests in a rule file": "tests: []",
    "section of the wrong kind": "trunks: [clinic]",
    "domain with a scheme": "domains: ['sip:example.com']",
    "unknown list of the deployment": "pexip: { location: [London] }",
    "Call Routing Rules that are no list": "pexip: { call_routing_rules: { name: G, match: x } }",
    "a Call Routing Rule without an expression": "pexip: { call_routing_rules: [{ name: G }] }",
    "an unknown key of a Call Routing Rule": "pexip: { call_routing_rules: [{ name: G, match: x, priority: 3 }] }",
    "trunk without number": "trunks: { t: { dial_prefix: '99' } }",
    "unknown key of a trunk": "trunks: { t: { number: '+13129998045', prefix: '99' } }",
    "unknown form of a trunk": "trunks: { t: { number: '+13129998045', termination: a.b, form: uri } }",
    "termination with a scheme": "trunks: { t: { number: '+13129998045', termination: 'sip:a.b' } }",
    "hours that are none": "calendars: { c: { timezone: UTC, open: { mon: [8-18] } } }",
    "a day that is none": "calendars: { c: { timezone: UTC, open: { today: ['08:00-18:00'] } } }",
    "a holiday list of numbers": "holidays: { h: [5] }",
    "a month that is none": "holidays: { h: ['25-12'] }",
    "a range with words": "holidays: { h: ['12-24 to 12-26'] }",
    "a country in words": "holidays: { h: { country: Switzerland } }",
    "a subdivision without country": "holidays: { h: { subdivision: ZH } }",
    "other hours every year": "calendars: { c: { timezone: UTC, open: {}, instead: { 12-23: ['08:00-14:00'] } } }",
    "a date that is none": "calendars: { c: { timezone: UTC, open: {}, closed: [25.12.2026] } }",
    "a table that is no CSV file": "tables: { t: tables/t.xlsx }",
    "a table whose name is a placeholder's": "tables: { link: tables/offices.csv }",
    "a table whose name has a dot": "tables: { a.b: tables/offices.csv }",
    "a key without placeholder": "service: [{ id: a, when: { table: { offices: Oslo } }, continue: true }]",
    "a lookup in no table": "service: [{ id: a, when: { table: {} }, continue: true }]",
    "room without name": "rooms: { r: { service_tag: x } }",
    "unknown field of a room": "rooms: { r: { name: x, guestpin: derived } }",
    "unknown word in a room": "rooms: { r: { name: x, view: one_main }  }",
    "room that is no room": "rooms: { r: { name: x, service_type: test_call } }",
    "field of a lecture in a conference": "rooms: { r: { name: x, host_view: one_main_one_pip } }",
    "PIN without quotes": "rooms: { r: { name: x, pin: 1234 } }",
    "PIN too short": "rooms: { r: { name: x, pin: '123' } }",
    "brace that is no placeholder": "rooms: { r: { name: '{the session}' } }",
    "theme with placeholder": "rooms: { r: { name: x, ivr_theme_name: '{local_alias}' } }",
    "bandwidth in kbit/s": "rooms: { r: { name: x, max_callrate_in: 2048 } }",
    "leg of a room without role": (
        "rooms: { r: { name: x, automatic_participants: [{ local_alias: a, remote_alias: b, protocol: sip }] } }"
    ),
    "id in capitals": "service: [{ id: Patient, continue: true }]",
    "no id": "service: [{ continue: true }]",
    "no outcome": "service: [{ id: a, when: { protocol: sip } }]",
    "two outcomes": "service: [{ id: a, reject: 'No', continue: true }]",
    "unknown key of a rule": "service: [{ id: a, if: { protocol: sip }, continue: true }]",
    "empty when": "service: [{ id: a, when: {}, continue: true }]",
    "continue that is false": "service: [{ id: a, continue: false }]",
    "reject without text": "service: [{ id: a, reject: ' ' }]",
    "unknown protocol": "service: [{ id: a, when: { protocol: skype }, continue: true }]",
    "unknown state of a link": "service: [{ id: a, when: { link: good }, continue: true }]",
    "text for a boolean": "service: [{ id: a, when: { registered: 'yes' }, continue: true }]",
    "address that is none": "service: [{ id: a, when: { remote_address: example.com }, continue: true }]",
    "more than all sessions": "service: [{ id: a, when: { percent: 101 }, continue: true }]",
    "unknown key inside not": "service: [{ id: a, when: { not: { any: [{ protocl: sip }] } }, continue: true }]",
    "unknown service type": "service: [{ id: a, service: { service_type: vmr, name: x, service_tag: x } }]",
    "a share of nothing": "service: [{ id: a, room: visit, dial_out: [{ trunk: clinic, weight: 0 }] }]",
    "assurance without a room": "service: [{ id: a, reject: 'No', assurance: { attempts: 1 } }]",
    "assurance of no end": (
        "service: [{ id: a, room: visit, dial_out: [{ trunk: clinic }], assurance: { end_room_with_leg: true } }]"
    ),
    "assurance that does what nobody knows": (
        "service: [{ id: a, room: visit, dial_out: [{ trunk: clinic }], assurance: { on_exhausted: ring } }]"
    ),
    "dial_out without a room": "service: [{ id: a, reject: 'No', dial_out: [{ trunk: clinic }] }]",
    "leg without destination": "service: [{ id: a, room: visit, dial_out: [{ display_name: x }] }]",
    "leg with two destinations": ("service: [{ id: a, room: visit, dial_out: [{ trunk: clinic, remote_alias: x }] }]"),
    "leg with two names": (
        "service: [{ id: a, room: visit, dial_out: [{ trunk: clinic, display_name: a, local_display_name: b }] }]"
    ),
    "leg for some other time": (
        "service: [{ id: a, room: visit, dial_out: [{ trunk: clinic }, { trunk: clinic, when: busy }] }]"
    ),
    "reject_reason in set": "participants: [{ id: a, set: { reject_reason: 'No' } }]",
    "nothing to set": "participants: [{ id: a, set: {} }]",
    "role in Pexip's other words": "participants: [{ id: a, set: { preauthenticated_role: host } }]",
    "overflow of nowhere": "locations: [{ id: a, continue: true, overflow_locations: [Oslo] }]",
    "text for a device": "registrations: [{ id: a, reject: 'No' }]",
    "user name without password": "registrations: [{ id: a, allow: { username: kiosk } }]",
    "two passwords": "registrations: [{ id: a, allow: { username: a, password: b, password_env: C } }]",
    "contact without alias": "directory: [{ description: Desk }]",
    "avatar that is no picture": "directory: [{ alias: a, avatar: desk.pdf }]",
    "unknown door": "service: [{ id: a, when: { door: back }, continue: true }]",
    "link type of no name": "service: [{ id: a, when: { link_type: 5 }, continue: true }]",
    "an alias for agents of a link that joins": "links: { i: { alias: 'i{session}', agent_alias: 'a{agent}', joins: l } }",
    "link alias without session": "links: { l: { alias: mp } }",
    "link alias with the call id": "links: { l: { alias: 'mp{call}' } }",
    "link alias with the agent key": "links: { l: { alias: 'mp{agent}' } }",
    "agents' alias with the session": "links: { l: { alias: 'mp{session}', agent_alias: 'hcp{session}' } }",
    "agents' alias in a link": "links: { l: { alias: 'mp{session}', url: 'https://example.com/{agent_alias}' } }",
    "agent key in a link": "links: { l: { alias: 'mp{session}', url: 'https://example.com/{agent}' } }",
    "a window that is never shut": "links: { l: { alias: 'mp{session}', window: { before: 15m } } }",
    "a window in minutes": "links: { l: { alias: 'mp{session}', window: { before: 15, after: 60 } } }",
    "unknown key of a window": "links: { l: { alias: 'mp{session}', window: { opens: 15m, after: 1h } } }",
    "ttl without unit": "links: { l: { alias: 'mp{session}', ttl: 4 } }",
    "pages from elsewhere": "links: { l: { alias: 'mp{session}', templates: ../pages } }",
    "pages by their whole path": "links: { l: { alias: 'mp{session}', templates: /rules/pages } }",
    "pages on a way round": "links: { l: { alias: 'mp{session}', templates: pages/../pages } }",
    "pages beside the rules": "links: { l: { alias: 'mp{session}', templates: ./ } }",
    "no attribute of the link": "service: [{ id: a, reject: 'No, {link.}' }]",
    "host PIN in a link": "links: { l: { alias: 'mp{session}', url: 'https://example.com/{pin}' } }",
}
"""Files with one mistake that needs no knowledge of other parts of the file."""
