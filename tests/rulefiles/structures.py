"""Hypothesis strategies for rule files: the real sections and keys with good, odd and hostile values of every kind."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from policy_server.pexip.request_types import RequestType
from policy_server.pexip.services import SERVICE_TYPES, check_service
from policy_server.pexip.shapes import SHAPES
from policy_server.rulefiles import outcomes, registrations, serving, upstreams
from policy_server.rulefiles.conditions import condition_keys
from policy_server.rulefiles.deployment import DEPLOYMENT_LISTS
from policy_server.rulefiles.merge import SECTIONS
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.rules import OutcomeKey, RuleSection
from policy_server.rulefiles.schema_sections import (
    CALENDAR,
    DIRECTORY_ENTRY,
    HOLIDAY_COUNTRY,
    LINK,
    TRUNK,
    UPSTREAM,
)

Strategy = st.SearchStrategy[Any]

TEXTS = (
    *[
        "",
        " ",
        "a",
        "r",
        "t",
        "c",
        "l",
        "x" * 251,
        "é" * 250,
        "e\u0301",
        "\N{GRINNING FACE}",
        "\u0000",
        "\u2028",
        "\r\n",
    ],
    *["{visitor}", "{x}", "{", "}", "{}", "{x y}", "{{visitor}}", "{room.name}", "{link.a}", "{link.}", "{vendor}-{x}"],
    *[
        "{local_alias}",
        "{third_party_passcode}",
        "mp{session}",
        "hcp{agent}",
        "hcp{call}",
        "{session}{session}",
        "{visitor}{call}",
    ],
    *["{link.a-b}{link.a_b}", "{alias}", "{name}", "{ms-subnet}", "{p_Asserted-Identity}"],
    *[
        "mp.*",
        ".*",
        "(?P<visitor>[a-z]{3})",
        "(?P<call>[a-z]{3})",
        "mp(?P<visitor>.*)|x",
        "(?P<x>a)(?P<x>b)",
        "(?P<é>.)",
        "(",
        "a(?=b)",
        "\\1",
    ],
    *["a{9999}", "((a{30}){30}){30}", "\\C", "\\pL+", "(?i)A", "[a", "a|", "*", "sip:mp", "a;b", "@video.example.com"],
    *["sip", "SIP", "dial_in", "dial_out", "valid", "absent", "chair", "guest", "derived", "failed", "conference"],
    *["1234", "12345678#", "123", "+1 312 999 8045", "(312) 555-0100", "US", "99", "pex.byoc.usw2.pure.cloud", "tgrp"],
    *[
        "America/Chicago",
        "mon-fri",
        "fri-mon,sun",
        "08:00-18:00",
        "22:00-02:00",
        "2026-12-25",
        "2026-02-30",
        "12-24 12:00-24:00",
        "2027-07-19..2027-08-06",
        "CH",
        "4h",
        "0s",
    ],
    *["10.0.0.0/8", "10.0.0.1/8", "::ffff:10.0.0.0/104", "2001:db8::/32", "fe80::1%eth0", "video.example.com"],
    *["https://x.example/{alias}?pin={guest_pin}", "javascript:{alias}", "a.jpg", "../a.jpg", "PASSWORD", "a=b"],
    *["one_main_seven_pips", "yes", "True", "null", "~", "- a", "a: b", "&a", "*a", "!!int", "# x", "'", '"', "<<"],
)
SCALARS = (None, True, False, 0, 1, -1, 4, 50, 100, 101, 4096, 128_000, 2**63, 10**30, 0.5, -0.0, 1e300)


def _all_keys() -> tuple[str, ...]:
    keys: set[str] = {*SECTIONS, *DEPLOYMENT_LISTS}
    keys |= {
        key
        for schema in (TRUNK, CALENDAR, HOLIDAY_COUNTRY, DIRECTORY_ENTRY, LINK, UPSTREAM)
        for key in schema["properties"]
    }
    keys |= {key for request in RequestType for key in condition_keys(request)}
    keys |= {field for shape in SHAPES.values() for field in shape.facets}
    return tuple(
        sorted({*keys, "id", "when", "room", "dial_out", "trunk", "set", "allow", "mon", "<<", "tests", "expect"})
    )


_texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=5)
anything: Strategy = st.recursive(
    st.sampled_from(TEXTS) | st.sampled_from(SCALARS) | _texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_all_keys()) | st.sampled_from(TEXTS), inner, max_size=3)
    ),
    max_leaves=6,
)
"""Any value of YAML, with keys that mean something somewhere."""

_hostility = st.shared(st.sampled_from([0, 0, 1, 1, 2]), key="hostility")


def often(good: Strategy) -> Strategy:
    """The good value always, nearly always, or three times of four, as one draw for the whole file decides."""
    calm = st.integers(0, 29).flatmap(lambda number: good if number else anything)
    hostile = st.integers(0, 3).flatmap(lambda number: good if number else anything)
    return _hostility.flatmap(lambda level: (good, calm, hostile)[level])


def some(values: Iterable[str]) -> Strategy:
    """One of some words, or a list of them."""
    words = st.sampled_from(sorted(values))
    return words | st.lists(words, min_size=1, max_size=3)


def table(fields: Mapping[str, Strategy], required: Iterable[str] = ()) -> Strategy:
    """A mapping of known keys with mostly good values, now and then with odd keys too."""
    needed = {key: often(fields[key]) for key in required}
    optional = {key: often(value) for key, value in fields.items() if key not in needed}
    chosen = st.lists(st.sampled_from(sorted(optional) or ["id"]), max_size=3, unique=True)
    return st.builds(
        lambda first, others, odd: {**first, **others, **(odd if isinstance(odd, dict) else {})},
        st.fixed_dictionaries(needed),
        chosen.flatmap(lambda keys: st.fixed_dictionaries({key: optional[key] for key in keys if key in optional})),
        often(st.just({})),
    )


_expressions = some(
    ["mp.*", "mp(?P<visitor>[a-z]{3})", "(?P<x>.+)", "hcp[0-9]+", "desk", "sip:desk", "(?P<visitor>a)|(b)"]
)
_names = st.sampled_from(
    [
        "fixed",
        "fixed",
        "fixed",
        "{local_alias}",
        "{location}-x",
        "{link.a}",
        "{visitor}",
        "{call}",
        "{call|x}",
        "{q.name}",
    ]
)
_keys = st.sampled_from(["{local_alias}", "{link.a}", "x-{visitor|x}", "{q.trunk}", "{location}"])
_ids = st.sampled_from(["a", "b", "c", "d-1", "e", "f", "g", "h"])


def _conditions(request: RequestType) -> Strategy:
    good: dict[str, Strategy] = {
        "protocol": some(["sip", "api", "h323"]),
        "call_direction": some(["dial_in", "dial_out"]),
        "participant_type": some(["api", "standard"]),
        "location": some(["London", "Oslo"]),
        "remote_address": some(["10.0.0.0/8", "10.1.2.3", "2001:db8::/32"]),
        "registered": st.booleans(),
        "remote_port": st.integers(0, 9) | st.lists(st.integers(0, 3), min_size=1, max_size=2),
        "link": some(["valid", "early", "expired", "invalid", "absent"]),
        "link_type": some(["l", "mp"]),
        "door": some(["customer", "agent"]),
        "percent": st.sampled_from([0, 12.5, 100]),
        "table": st.dictionaries(st.sampled_from(["q", "q2"]), _keys, min_size=1, max_size=2),
        "open": st.sampled_from(["c", "closed"]),
        "closed": st.sampled_from(["c", "closed"]),
        "link_attributes": st.dictionaries(st.sampled_from(["a", "b"]), _expressions, min_size=1, max_size=2),
        "idp_attributes": st.dictionaries(st.sampled_from(["a", "b"]), _expressions, min_size=1, max_size=2),
    }
    likely = {key: good.get(key, _expressions) for key in condition_keys(request) if key in good or "alias" in key}
    others = dict.fromkeys(set(condition_keys(request)) - set(good) - {"any", "all", "not"}, anything)
    simple = st.one_of(table(likely), table(likely), table({**others, **likely}))
    simple = simple.map(lambda when: when or {"protocol": "sip"})
    several = st.lists(simple, min_size=1, max_size=2)
    groups = {"any": several, "all": several, "not": simple}
    return st.one_of(simple, simple, table({**likely, **groups}, ["any"]), table({**likely, **groups}, ["not"]))


_leg = table(
    {
        "trunk": st.sampled_from(["t", "t2", "{q.trunk}"]),
        "display_name": _names,
        "role": st.sampled_from(["chair", "guest"]),
        "routing": st.just("manual"),
        "system_location_name": st.just("London"),
        "streaming": st.booleans(),
        "dtmf_sequence": st.just("1,2"),
    },
    ["trunk"],
)
_legs = st.builds(
    lambda first, later: [first, *({**leg, "when": "failed"} if isinstance(leg, dict) else leg for leg in later)],
    often(_leg),
    st.lists(often(_leg), max_size=2),
)
_assurance = table(
    {
        "answer_within": st.sampled_from(["25s", "1m"]),
        "attempts": st.integers(1, 3),
        "pause": st.just("0s"),
        "on_exhausted": st.sampled_from(["keep", "disconnect", {"transfer": "sorry"}]),
        "end_room_with_leg": st.sampled_from([False, "10s"]),
        "end_leg_with_customer": st.sampled_from([False, "10s"]),
    }
)
_participant: dict[str, Strategy] = {
    "local_alias": _names,
    "remote_alias": _names,
    "protocol": st.just("sip"),
    "role": st.just("guest"),
}


def _service_fields(service_type: str) -> dict[str, Strategy]:
    fields: dict[str, Strategy] = {
        "name": _names,
        "service_tag": _names,
        "service_type": st.just(service_type),
        "description": _names,
        "pin": st.sampled_from(["derived", "1234", "", "123456#"]),
        "guest_pin": st.just(""),
        "allow_guests": st.just(False),
        "view": st.just("one_main_seven_pips"),
        "ivr_theme_name": st.sampled_from(["Telehealth", "{q.theme}"]),
        "automatic_participants": st.lists(table(_participant, _participant), max_size=2),
        "max_callrate_in": st.just(128_000),
        "local_alias": _names,
        "remote_alias": _names,
        "outgoing_protocol": st.just("sip"),
        "media_playlist_name": st.just("Telehealth"),
        "on_completion": st.just({"disconnect": True})
        | table({"conference": _names, "role": st.just("guest")}, ["conference"]).map(lambda to: {"transfer": to}),
        "breakout_uuids": st.lists(
            st.sampled_from(["{breakout_uuid}", "0f8fad5b-d9cb-469f-a165-70867728950e"]), max_size=2
        ),
    }
    return {field: value for field, value in fields.items() if field in SERVICE_TYPES[service_type].facets}


def _service(service_type: str) -> Strategy:
    missing = check_service({"service_type": service_type})
    required = ["service_type", *(str(fault.path[0]) for fault in missing if fault.kind == "missing")]
    return table(_service_fields(service_type), required)


_properties = table(
    {
        "preauthenticated_role": st.sampled_from(["chair", "guest"]),
        "remote_display_name": _names,
        "call_tag": _names,
        "spotlight": st.integers(0, 3),
        "send_to_audio_mixes": st.lists(table({"mix_name": _names}, ["mix_name"]), max_size=2),
    }
).map(lambda fields: fields or {"spotlight": 1})
_allow = table({"username": st.just("kiosk"), "password_env": st.just("PASSWORD")}, ["username", "password_env"])
_OUTCOMES: dict[OutcomeKey, Strategy] = {
    serving.ROOM: st.sampled_from(["r", "r2"]),
    serving.SERVICE: st.sampled_from(sorted(SERVICE_TYPES)).flatmap(_service),
    outcomes.REDIRECT: _names,
    outcomes.REJECT_CALL: _names,
    outcomes.REJECT_PARTICIPANT: _names,
    outcomes.SET: _properties,
    outcomes.LOCATION: st.sampled_from(["London", "{q.theme|London}"]),
    outcomes.CONTINUE: st.just(True),
    registrations.ALLOW: st.just(True) | _allow,
    registrations.REJECT: st.just(True),
    upstreams.FORWARD: st.sampled_from(["u", "u2"]),
}
_COMPANIONS: dict[str, Strategy] = {
    "dial_out": _legs,
    "assurance": _assurance,
    "overflow_locations": some(["Oslo", "London"]),
}


def _rules(section: RuleSection) -> Strategy:
    common = {"description": st.just("x"), "enabled": st.booleans(), "when": _conditions(section.request)}

    def rule(outcome: OutcomeKey) -> Strategy:
        companions = {key: _COMPANIONS[key] for key in outcome.companions}
        return table({"id": _ids, outcome.key: _OUTCOMES[outcome], **common, **companions}, ["id", outcome.key])

    rules = often(st.sampled_from(section.outcomes).flatmap(rule))
    return st.lists(rules, max_size=4, unique_by=lambda each: str(each.get("id") if isinstance(each, dict) else each))


def _named(names: Iterable[str], inner: Strategy) -> Strategy:
    return st.fixed_dictionaries({name: often(inner) for name in names})


_trunk = st.one_of(
    table({"number": st.just("+1 312 999 8045"), "dial_prefix": st.sampled_from(["99", 99])}, ["number"]),
    table({"number": st.just("(312) 555-0100"), "region": st.just("US")}, ["number", "region"]),
    table(
        {
            "number": st.just("+1 312 999 8045"),
            "termination": st.just("pex.byoc.usw2.pure.cloud"),
            "form": st.sampled_from(["fqdn", "tgrp"]),
        },
        ["number", "termination"],
    ),
)
_days = st.dictionaries(
    st.sampled_from(["mon", "tue-fri", "sat,sun"]), often(some(["08:00-18:00", "22:00-02:00"])), min_size=1, max_size=2
)
_calendar = table(
    {
        "timezone": st.just("America/Chicago"),
        "open": _days,
        "closed": some(["2026-12-25", "12-24", "h", "house"]),
        "instead": st.dictionaries(
            st.sampled_from(["2026-12-23", "2027-01-01"]), often(some(["08:00-18:00", "22:00-02:00"])), max_size=2
        ),
    },
    ["timezone", "open"],
)
_holiday_list = st.one_of(
    some(["2026-12-25", "12-24 12:00-24:00", "2027-07-19..2027-08-06", "12-24..01-02"]),
    table({"country": st.sampled_from(["CH", "US"]), "subdivision": st.sampled_from(["AR", "ZH"])}, ["country"]),
)
_upstream = table(
    {
        "url": st.sampled_from(
            ["https://policy.example.com/otj", "http://127.0.0.1:8081", "http://policy.example.com/"]
        ),
        "username": st.just("pexip"),
        "password_env": st.just("PASSWORD"),
        "timeout": st.sampled_from(["1500ms", "2s", "0.5s"]),
        "on_failure": st.sampled_from(["continue", "reject"]),
    },
    ["url"],
)
_routing_rule = table(
    {
        "name": st.just("Genesys"),
        "match": st.sampled_from([r"99(\+\d+)", ".*", "("]) | _expressions,
        "replace": st.sampled_from([r"\1@x.example", "x", ""]),
        "outgoing": st.booleans(),
    },
    ["name", "match"],
)
_entry = table({"alias": st.just("desk"), "description": _texts, "avatar": st.just("a.jpg")}, ["alias"])

_attribute: Strategy = st.one_of(
    st.just({}),
    table({"values": some(["a", "b"]), "default": st.just("a")}, ["values"]),
    table({"values": st.just("x"), "required": st.booleans()}, ["values"]),
    table({"pattern": st.sampled_from(["[a-z]+", ".*"]), "default": st.just("a")}, ["pattern"]),
    table({"pattern": _expressions, "required": st.booleans()}, []),
)


def _link_type(name: str) -> Strategy:
    return table(
        {
            "alias": st.just(f"{name}{{session}}"),
            "agent_alias": st.sampled_from([f"agent-{name}{{agent}}", f"agent-{name}{{call}}"]),
            "ttl": st.sampled_from(["4h", "1d 2h", "90m"]),
            "window": st.sampled_from([{"after": "1h"}, {"before": "15m", "after": "90m"}]),
            "url": st.just("https://x.example/{alias}?pin={guest_pin}"),
            "templates": st.sampled_from(["p", "./p/"]),
            "attributes": st.dictionaries(st.sampled_from(["a", "b"]), often(_attribute), max_size=2),
        },
        ["alias"],
    )


_SECTIONS: dict[str, Strategy] = {
    "domains": some(["video.example.com", "Example.org"]),
    "allowed_countries": some(["US", "ch"]),
    "pexip": table(
        {
            **{name: st.just(["London", "Oslo", "Telehealth"]) for name in DEPLOYMENT_LISTS},
            "call_routing_rules": st.lists(often(_routing_rule), max_size=2),
        }
    ),
    "trunks": _named(["t", "t2"], _trunk),
    "holidays": _named(["h", "house"], _holiday_list),
    "calendars": _named(["c", "closed"], _calendar),
    "tables": st.sampled_from([{"q": "q.csv", "q2": "q.csv"}, {"q": "q.csv", "q2": "bad.csv"}]),
    "upstreams": _named(["u", "u2"], _upstream),
    "rooms": _named(["r", "r2"], table(_service_fields("conference"), ["name"])),
    **{section.name: _rules(section) for section in RULE_SECTIONS},
    "directory": st.lists(often(_entry), max_size=2),
    "links": st.fixed_dictionaries({name: often(_link_type(name)) for name in ("l", "mp")}),
}

structures: Strategy = st.fixed_dictionaries({section: often(inner) for section, inner in _SECTIONS.items()})
"""Whole rule files as plain values."""

TABLES: Mapping[str, bytes] = {"q.csv": b"key,name,trunk,theme\na,A,t,\nb,,t2,Telehealth\n", "bad.csv": b"key\na\nA\n"}
"""The tables of such files."""

_test = table(
    {
        "name": st.just("x"),
        "at": st.sampled_from(
            ["2026-11-23T10:00:00-06:00", "2026-11-23T10:00:00", "0001-01-01T00:00Z", "9999-12-31T23:59Z"]
        ),
        "link": table(
            {
                "type": st.sampled_from(["l", "booked"]),
                "state": st.sampled_from(["valid", "early", "expired", "invalid"]),
                "starts_at": st.sampled_from(
                    ["2026-11-23T10:00:00Z", "1971-01-01T00:00:00+14:00", "2479-12-31T23:59:59-12:00"]
                ),
            },
            ["type"],
        ),
        "request": table(
            {
                "type": st.sampled_from([kind.value for kind in RequestType]),
                "local_alias": st.sampled_from(["{alias}", "{agent_alias}", "desk"]),
                "alias": st.sampled_from(["a", "b"]),
                "registered": st.booleans(),
                "remote_port": st.integers(0, 3),
                "idp_attribute_a": some(["a", "b"]),
            },
            ["type"],
        ),
        "legs": st.lists(
            table(
                {
                    "trunk": st.sampled_from(["t", "t2"]),
                    "remote_alias": st.just("desk"),
                    "fails": st.sampled_from(["busy", "silent"]),
                    "answers": st.sampled_from([True, "26s"]),
                    "talks": st.just("1s"),
                },
                ["trunk"],
            ),
            max_size=3,
        ),
        "expect": table(
            {
                "rule": _ids,
                "action": st.just("reject"),
                "result": anything,
                "dialled": some(["t", "desk"]),
                "outcome": st.sampled_from(["answered", "kept"]),
                "ends": st.booleans(),
            },
            ["rule"],
        ),
    },
    ["name", "link", "request", "expect"],
)
test_structures: Strategy = table({"tests": st.lists(often(_test), max_size=3)}, ["tests"])
"""Files of rule tests as plain values."""


def as_yaml(structure: object) -> bytes:
    """A plain value as a YAML file; JSON is YAML."""
    return json.dumps(structure, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
