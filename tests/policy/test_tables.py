"""Tables at work: what is looked up, what the row gives, what is told of a miss, and rooms that are read backwards."""

import string
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.aliases import folded
from policy_server.policy.decisions import Fail, PlaceMedia
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.tables import LookupTable
from tests.rule_sets import CALL_ID, SESSION, ask, load, served

QUEUES: Final = (
    "language,name,trunk,theme,vip\nde,Beratung,zurich,Bank,ja\nfr,Conseil,lausanne,,\nit,Consulenza,direct,Bank,\n"
)
HEAD: Final = """
    domains: [video.example.com]
    trunks:
      zurich: { number: "+41 44 668 18 00", dial_prefix: "99" }
      lausanne: { number: "+41 21 613 07 77", dial_prefix: "99" }
      direct: { number: "+41 91 807 31 11", termination: bank.byoc.euw2.pure.cloud }
    tables: { queues: tables/queues.csv, kiosks: tables/kiosks.csv }
    links: { patient: { alias: "mp{session}" } }
"""
KIOSKS: Final = "alias;site;location;overflow\nkiosk-1;Basel;London;\nkiosk-2;Bern;Oslo;London\n"
TABLES: Final = {"tables/queues.csv": QUEUES, "tables/kiosks.csv": KIOSKS}


def rules(text: str) -> Ruleset:
    """Rules beside the trunks, tables and links of all tests."""
    return load(f"{HEAD}\n{text}", tables=TABLES)


BY_LANGUAGE: Final = """
    rooms: { bank: { name: "{queues.name} {call}", ivr_theme_name: "{queues.theme}" } }
    service:
      - id: by-language
        when: { link_type: patient, link: valid, table: { queues: "{link.language}" } }
        room: bank
        dial_out: [{ trunk: "{queues.trunk}", display_name: "{queues.language|de} {queues.vip|nein}" }]
      - { id: others, when: { link_type: patient }, reject: Nobody speaks that. }
"""


def legs(service: dict[str, Any]) -> list[dict[str, str]]:
    """Whom a room dials."""
    return list(service.get("automatic_participants", []))


@pytest.mark.parametrize(
    ("language", "name", "theme", "dialled", "shown"),
    [
        pytest.param("de", "Beratung", "Bank", ("99+41446681800", "routing_rule"), "de ja", id="as it is written"),
        pytest.param("FR", "Conseil", "", ("99+41216130777", "routing_rule"), "fr nein", id="case and empty cells"),
        pytest.param(
            " it ", "Consulenza", "Bank", ("+41918073111@bank.byoc.euw2.pure.cloud", "manual"), "it nein", id="direct"
        ),
    ],
)
def test_a_row_gives_what_differs(language: str, name: str, theme: str, dialled: tuple[str, str], shown: str) -> None:
    """One rule serves every language: name, trunk with its routing, what the far end sees, and the theme if it has one."""
    service = served(ask(rules(BY_LANGUAGE), "service", link={"language": language}, local_alias=f"mp{SESSION}"))
    assert (service["name"], service.get("ivr_theme_name", "")) == (f"{name} {CALL_ID}", theme)
    (leg,) = legs(service)
    assert (leg["remote_alias"], leg["routing"], leg["local_display_name"]) == (*dialled, shown)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        pytest.param({"language": "rm"}, "table queues has no row 'rm'", id="another key"),
        pytest.param({}, "the key of table queues, {link.language}, is missing", id="no value"),
        pytest.param(
            {"language": " \u200b"}, "the key of table queues, {link.language}, is missing", id="nothing to see"
        ),
        pytest.param({"language": "x" * 100}, f"table queues has no row '{'x' * 59}…'", id="cut"),
    ],
)
def test_a_miss_says_which_key_is_not_there(link: dict[str, str], reason: str) -> None:
    """What ``explain`` shows of a rule whose table has no such row."""
    decision = ask(rules(BY_LANGUAGE), "service", link=link, local_alias=f"mp{SESSION}")
    finding, _ = decision.trace.findings()
    assert (decision.rule, finding.condition, finding.reason) == ("others", "table", reason)


def test_a_miss_shows_nothing_that_opens_a_door() -> None:
    """A key with the customer's name of the call is told by what everybody may see."""
    ruleset = rules(
        """
    service: [{ id: a, when: { table: { kiosks: "{local_alias}" } }, continue: true }]
    """
    )
    (finding,) = ask(ruleset, "service", local_alias=f"mp{SESSION}").trace.findings()
    assert SESSION not in finding.reason


@pytest.mark.parametrize(
    ("when", "fields", "holds"),
    [
        pytest.param(
            "{ table: { kiosks: '{local_alias}' } }", {"local_alias": "sip:KIOSK-1@video.example.com"}, True, id="alias"
        ),
        pytest.param(
            "{ table: { kiosks: '{local_alias.raw}' } }", {"local_alias": "sip:kiosk-1"}, False, id="original"
        ),
        pytest.param("{ not: { table: { kiosks: '{local_alias}' } } }", {"local_alias": "desk"}, True, id="not in it"),
        pytest.param(
            "{ not: { table: { kiosks: '{local_alias}' } } }", {"local_alias": "kiosk-2"}, False, id="not, in it"
        ),
        pytest.param(
            "{ table: { kiosks: 'kiosk-{n}' }, local_alias: 'k(?P<n>.)' }", {"local_alias": "k2"}, True, id="group"
        ),
        pytest.param(
            "{ table: { kiosks: 'kiosk-{n}' }, local_alias: 'k(?P<n>.)' }",
            {"local_alias": "k3"},
            False,
            id="group, missed",
        ),
        pytest.param(
            "{ table: { kiosks: 'kiosk-{n}' }, local_alias: 'k(?P<n>.?)' }",
            {"local_alias": "k"},
            False,
            id="empty group",
        ),
        pytest.param(
            "{ table: { kiosks: 'kiosk-{n|1}' }, local_alias: 'k(?P<n>.?)' }", {"local_alias": "k"}, True, id="default"
        ),
        pytest.param(
            "{ local_alias: '(?P<a>.*)', any: [{ table: { kiosks: '{a}' } }, { table: { kiosks: 'kiosk-{a}' } }] }",
            {"local_alias": "2"},
            True,
            id="a group from around",
        ),
        pytest.param(
            "{ local_alias: '(?P<a>.)', any: [{ protocol: sip }, { table: { kiosks: 'kiosk-{a}' } }] }",
            {"local_alias": "22"},
            False,
            id="a group from around, missed",
        ),
        pytest.param(
            "{ any: [{ local_alias: 'k(?P<a>.)' }, { local_alias: 'x(?P<a>.)' }], table: { kiosks: 'kiosk-{a}' } }",
            {"local_alias": "x2"},
            True,
            id="a group of alternatives",
        ),
        pytest.param(
            "{ table: { queues: '{remote_alias}', kiosks: 'kiosk-{queues.vip|1}' } }",
            {"remote_alias": "fr"},
            True,
            id="chained",
        ),
        pytest.param(
            "{ table: { queues: '{remote_alias}', kiosks: '{queues.name}' } }",
            {"remote_alias": "fr"},
            False,
            id="chained, no row",
        ),
    ],
)
def test_a_key_is_made_of_the_question(when: str, fields: dict[str, Any], holds: bool) -> None:
    """Parameters, named groups beside and around, and columns of tables before; what is missing is in no table."""
    decision = ask(rules(f"\n    service: [{{ id: a, when: {when}, reject: x }}]"), "service", **fields)
    assert decision.rule == ("a" if holds else None)


def test_text_for_callers_has_columns_too() -> None:
    """Wherever a placeholder may stand: rejections, redirects, properties of a participant."""
    ruleset = rules(
        """
    service:
      - { id: a, when: { protocol: sip, table: { kiosks: "{local_alias}" } }, reject: "{kiosks.site} is closed" }
      - { id: b, when: { table: { kiosks: "{local_alias}" } }, redirect: "desk-{kiosks.site}" }
    participants:
      - { id: c, when: { table: { kiosks: "{local_alias}" } }, set: { remote_display_name: "Kiosk {kiosks.site}" } }
    """
    )
    asked: dict[str, Any] = {"local_alias": "kiosk-2"}
    answers = [
        ask(ruleset, "service", protocol="sip", **asked),
        ask(ruleset, "service", **asked),
        ask(ruleset, "participant", **asked),
    ]
    assert [
        getattr(answer, name) for answer, name in zip(answers, ("text", "new_alias", "properties"), strict=True)
    ] == [
        "Bern is closed",
        "desk-Bern",
        {"remote_display_name": "Kiosk Bern"},
    ]


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        pytest.param("kiosk-1", ("London", ("Paris",)), id="no overflow in the row"),
        pytest.param("kiosk-2", ("Oslo", ("London", "Paris")), id="both"),
        pytest.param("kiosk-3", None, id="no row"),
    ],
)
def test_media_goes_where_the_row_says(alias: str, expected: tuple[str, tuple[str, ...]] | None) -> None:
    """An empty cell is no overflow location, and the place itself is none."""
    ruleset = rules(
        """
    locations:
      - id: a
        when: { table: { kiosks: "{local_alias}" } }
        location: "{kiosks.location}"
        overflow_locations: ["{kiosks.overflow}", Paris, "{kiosks.location}"]
    """
    )
    decision = ask(ruleset, "location", local_alias=alias)
    placed = (decision.location, decision.overflow_locations) if isinstance(decision, PlaceMedia) else None
    assert placed == expected


def test_an_identity_without_value_fails() -> None:
    """An empty cell in the name of a room would make one room for all."""
    ruleset = rules(
        """
    service:
      - id: a
        when: { table: { queues: "{remote_alias}" } }
        service: { service_type: conference, name: "{queues.vip}", service_tag: x }
    """
    )
    decision = ask(ruleset, "service", remote_alias="fr")
    assert isinstance(decision, Fail)
    assert "{queues.vip}, which is empty" in decision.reason


# ------------------------------------------------------------------ rooms read backwards


def recalled(ruleset: Ruleset, name: str, link: dict[str, str], remote_alias: str = "") -> dict[str, object]:
    """What is answered about a room that exists and that nobody holds."""
    fields: dict[str, Any] = {
        "call_direction": "dial_out",
        "service_name": name,
        "service_tag": "bank",
        "remote_alias": remote_alias,
    }
    return served(ask(ruleset, "service", link=link, **fields))


@pytest.mark.parametrize(
    ("name", "link"),
    [
        pytest.param(f"Conseil {CALL_ID}", {"language": "fr"}, id="by the link"),
        pytest.param(f"Conseil {CALL_ID}", {}, id="by the name"),
        pytest.param(f"Conseil {CALL_ID}", {"language": "de"}, id="by the name, which the link contradicts"),
    ],
)
def test_a_room_goes_back_to_its_row(name: str, link: dict[str, str]) -> None:
    """In a call out of a room its link or its name tells the row, and the answer is what the room was made with."""
    ruleset = rules(BY_LANGUAGE)
    service = recalled(ruleset, name, link, "99+41216130777")
    (leg,) = legs(service)
    assert (service["name"], leg["remote_alias"]) == (name, "99+41216130777")


@pytest.mark.parametrize("link", [{"language": "de"}, {"language": "fr"}], ids=["the default itself", "an empty cell"])
def test_a_default_in_the_name_may_be_either(link: dict[str, str]) -> None:
    """A name that reads as the default goes back to a row that says the same as well as to one that says nothing."""
    ruleset = rules(BY_LANGUAGE.replace("{queues.name} {call}", "{queues.vip|ja} {call}"))
    (leg,) = legs(recalled(ruleset, f"ja {CALL_ID}", link))
    assert leg["local_display_name"] == f"{link['language']} {'ja' if link['language'] == 'de' else 'nein'}"


def test_a_name_that_no_row_makes_is_no_room_of_ours() -> None:
    """A column of few values is read backwards as one of these."""
    fields: dict[str, Any] = {"call_direction": "dial_out", "service_name": f"Advice {CALL_ID}", "service_tag": "bank"}
    assert ask(rules(BY_LANGUAGE), "service", **fields).rule is None


def test_a_room_whose_row_nobody_can_tell_keeps_its_other_legs() -> None:
    """Without the link's attributes, and with a name that says nothing, the trunk is left out and the room is not lost."""
    ruleset = rules(
        BY_LANGUAGE.replace("{queues.name} {call}", "{call}").replace(', ivr_theme_name: "{queues.theme}"', "")
    )
    assert legs(recalled(ruleset, CALL_ID, {})) == []


# ------------------------------------------------------------------ the table itself

_cells = st.text(st.sampled_from(string.ascii_letters + " .İſß"), max_size=3)


@given(st.dictionaries(_cells.filter(bool), st.tuples(_cells, _cells), max_size=8), _cells)
def test_a_lookup_is_a_search_row_by_row(written: dict[str, tuple[str, str]], key: str) -> None:
    """A key finds the row whose key is the same but for case, as aliases are compared, and no other."""
    rows = {folded(name): (name, *cells) for name, cells in written.items()}
    table = LookupTable("t", ("t.k", "t.a", "t.b"), rows)
    found = [dict(zip(table.columns, cells, strict=True)) for name, cells in rows.items() if name == folded(key)]
    assert table.row(key) == (found[0] if found else None)


_few = st.sampled_from(["", "a", "b"])


@given(st.lists(st.tuples(_few, _few), max_size=5), st.dictionaries(st.sampled_from(["t.a", "t.b", "x"]), _few))
def test_a_row_is_told_by_its_columns_only_if_it_is_the_only_one(
    written: list[tuple[str, str]], known: dict[str, str]
) -> None:
    """Of several that fit nobody knows which it was, and what says nothing of the table tells no row."""
    table = LookupTable("t", ("t.k", "t.a", "t.b"), {str(n): (str(n), *cells) for n, cells in enumerate(written)})
    told = {name: value for name, value in known.items() if name in table.columns}
    fitting = [row for n in table.rows if (row := table.row(n)) is not None and told.items() <= row.items()]
    assert table.only_row(known) == (fitting[0] if told and len(fitting) == 1 else None)
