"""Reading positioned YAML by key, and the problems of values that are not what was asked for."""

from collections.abc import Callable
from typing import Any

import pytest

from policy_server.pexip.fields import Named
from policy_server.rulefiles.document import parse_document
from policy_server.rulefiles.document_nodes import MappingNode
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.rulefiles.reader import Report, Table, near_hint, node_at, undefined, unlisted


def table(text: str, **options: Any) -> Table:
    """A mapping to read."""
    node, problems = parse_document("x.yaml", text.encode())
    assert problems == ()
    assert isinstance(node, MappingNode)
    return Table(node, "a room", Report(), **options)


def lines(read: Table) -> list[str]:
    """The problems so far."""
    return [str(problem) for problem in read.report.in_order()]


@pytest.mark.parametrize(
    ("text", "read", "value", "problem"),
    [
        ("a: x", lambda t: t.text("a"), "x", None),
        ("a: '5'", lambda t: t.text("a"), "5", None),
        ("a: 5", lambda t: t.text("a"), None, "1:4: error: a must be text but is 5 (put it in quotes)"),
        ("a: true", lambda t: t.text("a"), None, "1:4: error: a must be text but is true (put it in quotes)"),
        ("a:", lambda t: t.text("a"), None, "1:3: error: a must be text but is empty"),
        ("a: {}", lambda t: t.text("a"), None, "1:4: error: a must be text but is an empty mapping"),
        ("a: [1]", lambda t: t.text("a"), None, "1:4: error: a must be text but is a list"),
        ("b: x", lambda t: t.text("a"), None, None),
        ("b: x", lambda t: t.text("a", required=True), None, "1:1: error: a is missing in a room"),
        (
            "a: 5",
            lambda t: t.text("a", wanted="a name"),
            None,
            "1:4: error: a must be a name but is 5 (put it in quotes)",
        ),
        ("a: 0012", lambda t: t.written("a"), "0012", None),
        ("a: 12", lambda t: t.written("a"), "12", None),
        ("a: true", lambda t: t.written("a"), None, "1:4: error: a must be text but is true (put it in quotes)"),
        ("a: false", lambda t: t.boolean("a", default=True), False, None),
        ("b: x", lambda t: t.boolean("a", default=True), True, None),
        (
            "a: no",
            lambda t: t.boolean("a", default=True),
            True,
            "1:4: error: a must be true or false but is 'no' (write false, without quotes)",
        ),
        ("a: x", lambda t: t.choice("a", ("x", "y")), "x", None),
        ("b: x", lambda t: t.choice("a", ("x", "y"), default="y"), "y", None),
        ("a: z", lambda t: t.choice("a", ("x", "y")), "", "1:4: error: a must be one of 'x', 'y' but is 'z'"),
        ("a: 5", lambda t: t.choice("a", ("x", "y")), "", "1:4: error: a must be one of 'x', 'y' but is 5"),
        ("a: [x]", lambda t: t.choice("a", ("x", "y")), "", "1:4: error: a must be one of 'x', 'y' but is a list"),
        ("a: x", lambda t: t.table("a"), None, "1:4: error: a must be a mapping of keys and values but is 'x'"),
        ("a: x", lambda t: t.sequence("a"), (), "1:4: error: a must be a list, each item beginning with -, but is 'x'"),
        ("a: [x, y]", lambda t: t.texts("a"), [("x", Place("x.yaml", 1, 5)), ("y", Place("x.yaml", 1, 8))], None),
        ("a: x", lambda t: t.texts("a"), [("x", Place("x.yaml", 1, 4))], None),
        ("a: [x, 5]", lambda t: len(t.texts("a")), 1, "1:8: error: a must be text but is 5 (put it in quotes)"),
        (
            "a: '{b'",
            lambda t: t.template("a"),
            None,
            "1:4: error: a: '{' is not a placeholder; write the name between braces without spaces, such as {call}",
        ),
    ],
)
def test_a_value_is_read_or_reported(
    text: str, read: Callable[[Table], object], value: object, problem: str | None
) -> None:
    """A value of the wanted kind is given; another one is a problem at its place, and the default is given."""
    found = table(text)
    assert read(found) == value
    assert lines(found) == ([] if problem is None else [f"x.yaml:{problem}"])


def test_a_table_says_what_and_which_rule_it_is_about() -> None:
    """Every message begins with what the mapping is, after the rule that it belongs to."""
    found = table("a: { b: 5 }", about="room 'x': ", rule="patient")
    found.missing("name")
    below = found.table("a")
    assert below is not None
    below.text("b")
    below.warning("b", "odd")
    assert lines(found) == [
        "x.yaml:1:1: error: rule 'patient': room 'x': name is missing",
        "x.yaml:1:9: error: rule 'patient': room 'x': b must be text but is 5 (put it in quotes)",
        "x.yaml:1:9: warning: rule 'patient': room 'x': odd",
    ]


def test_keys_that_nobody_knows_are_reported_at_the_key() -> None:
    """Each unknown key is a problem of its own, with the nearest good one."""
    found = table("name: x\nveiw: y\nz: 1\n")
    found.finish(("name", "view"))
    assert lines(found) == [
        "x.yaml:2:1: error: 'veiw' is not a key of a room (did you mean 'view'?); it can have 'name', 'view'",
        "x.yaml:3:1: error: 'z' is not a key of a room; it can have 'name', 'view'",
    ]


def test_places_of_what_is_absent_are_those_of_the_mapping() -> None:
    """A missing key has no place of its own."""
    found = table("a: { b: x }")
    assert found.key_place("a") == Place("x.yaml", 1, 1)
    assert found.value_place("a") == Place("x.yaml", 1, 4)
    assert found.key_place("c") == found.value_place("c") == found.place == Place("x.yaml", 1, 1)
    assert node_at(found.node, ("a", "b")).place == Place("x.yaml", 1, 9)
    assert node_at(found.node, ("a", "c", "d")).place == Place("x.yaml", 1, 4)
    assert node_at(found.node, ("a", 0)).place == Place("x.yaml", 1, 4)


def test_a_report_sorts_counts_and_says_nothing_twice() -> None:
    """Problems come in the order of the files, errors first at one place; only errors refuse the rules."""
    report = Report()
    place = Place("b.yaml", 1, 1)
    report.warning(place, "odd")
    assert not report.failed
    report.error(place, "wrong", "patient")
    report.error(place, "wrong", "patient")
    report.add([Problem(Place("a.yaml", 9, 9), Severity.ERROR, "first"), Problem(place, Severity.WARNING, "odd")])
    assert report.failed
    assert report.errors == 3
    assert [str(problem) for problem in report.in_order()] == [
        "a.yaml:9:9: error: first",
        "b.yaml:1:1: error: rule 'patient': wrong",
        "b.yaml:1:1: warning: odd",
    ]


NAMES = [f"room-{number}" for number in range(1000)]


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ([], "trunk 'clinc' is not defined; define it under trunks"),
        (["clinic"], "trunk must be 'clinic' but is 'clinc' (did you mean 'clinic'?)"),
        (["clinic", "desk"], "trunk must be one of 'clinic', 'desk' but is 'clinc' (did you mean 'clinic'?)"),
        ([*NAMES, "clinic"], "trunk 'clinc' is not defined under trunks (did you mean 'clinic'?)"),
        (NAMES, "trunk 'clinc' is not defined under trunks"),
    ],
)
def test_a_name_that_is_not_defined_gets_the_remedy_that_fits(known: list[str], message: str) -> None:
    """Few names are all listed; of many only the nearest is; where there is none the section is named."""
    assert undefined("trunk", "trunk", "clinc", known, "trunks") == message


@pytest.mark.parametrize(
    ("kind", "known", "message"),
    [
        (
            Named.THEME,
            ["Dark"],
            "x must be 'Dark' but is 'Drak' (did you mean 'Dark'?); if it exists in Pexip, add it to themes under pexip",
        ),
        (Named.SIP_PROXY, [], "x 'Drak' is not listed; if it exists in Pexip, add it to sip_proxies under pexip"),
        (
            Named.LOCATION,
            [*NAMES, "Dark"],
            "x 'Drak' is not listed (did you mean 'Dark'?); if it exists in Pexip, add it to locations under pexip",
        ),
    ],
)
def test_a_name_that_is_not_listed_gets_the_remedy_that_fits(kind: Named, known: list[str], message: str) -> None:
    """A name of the deployment may exist without being listed, so the list is named too."""
    assert unlisted("x", known, "Drak", kind) == message


def test_the_nearest_of_many_names_is_found_among_those_that_begin_alike() -> None:
    """A thousand names cost little more than a few."""
    assert near_hint("room-99x", NAMES) == " (did you mean 'room-99'?)"
    assert near_hint("", NAMES) == ""
    assert near_hint("nothing like it", NAMES) == ""
