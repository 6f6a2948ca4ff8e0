"""The rules of a small clinic, with every outcome and every kind of question in them."""

from tests.rule_sets import load, picture

CLINIC = load(
    """
    domains: [video.example.com]
    trunks:
      clinic: { number: "+1 312 999 8045", dial_prefix: "99" }
      backup: { number: "+1 312 555 0100", termination: backup.byoc.usw2.pure.cloud }
    upstreams:
      scheduler: { url: https://scheduler.example.com }
    calendars:
      hours: { timezone: America/Chicago, open: { mon-fri: ["08:00-18:00"] } }
    rooms:
      visit:
        name: "{call}"
        description: "Visit of {remote_display_name}"
        pin: derived
        guest_pin: derived
        allow_guests: true
    service:
      - id: patient
        when: { link_type: patient, door: customer, link: valid, open: hours }
        room: visit
        dial_out:
          - { trunk: clinic, remote_display_name: "{remote_display_name}" }
          - { trunk: backup, when: failed }
      - { id: agent, when: { link_type: patient, door: agent, link: [valid, expired] }, room: visit }
      - { id: closed, when: { link_type: patient, door: customer }, reject: "{remote_display_name}, we are closed" }
      - id: named
        when: { local_alias: 'room-(?P<who>.+)' }
        service: { service_type: conference, name: "{who}{vendor}", service_tag: t, pin: "987654" }
      - { id: moved, when: { local_alias: 'old-(?P<who>.*)' }, redirect: "{who}" }
      - { id: off, enabled: false, continue: true }
      - { id: pexip, when: { local_alias: pexip.* }, continue: true }
      - { id: meetings, when: { local_alias: 'meet\\..*' }, forward: scheduler }
    participants:
      - { id: refused, when: { remote_display_name: '(?i).*spam.*' }, reject: "No, {remote_display_name}" }
      - id: renamed
        when: { local_alias: mp.* }
        set: { remote_display_name: "Visitor {remote_display_name}", preauthenticated_role: guest }
      - { id: aliased, when: { local_alias: as.* }, set: { remote_alias: "{remote_display_name}" } }
      - { id: unchanged, when: { local_alias: hcp.* }, continue: true }
    locations:
      - { id: branches, when: { remote_address: 10.20.0.0/16 }, location: London, overflow_locations: [Oslo, DMZ] }
      - { id: tunnel, when: { remote_address: 10.0.0.0/8 }, location: Oslo }
      - { id: anywhere, when: { protocol: sip }, continue: true }
    registrations:
      - { id: kiosk, when: { alias: 'kiosk-\\d+' }, allow: { username: kiosk, password_env: KIOSK_PASSWORD } }
      - { id: open-door, when: { alias: 'lobby-.*' }, allow: true }
      - { id: sso, when: { auth_type: sso }, continue: true }
      - { id: nobody, reject: true }
    directory:
      - { alias: desk@video.example.com, description: Front desk, avatar: desk.jpg }
      - { alias: lobby@video.example.com, description: Lobby }
    links:
      patient: { alias: "mp{session}", agent_alias: "hcp{agent}" }
    """,
    environment={"KIOSK_PASSWORD": "open-sesame"},
    pictures={"desk.jpg": picture()},
)  # fmt: skip
