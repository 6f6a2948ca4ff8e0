"""Whole folders of rules: what loads, what is refused, and that nothing makes the loader fail."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_server.conferences.played_legs import play_legs
from policy_server.conferences.rehearsal import rehearse
from policy_server.policy import pattern_index
from policy_server.policy.names import Keyring
from policy_server.policy.patterns import PatternError
from policy_server.policy.ruleset import RuleList
from policy_server.rulefiles import serving
from policy_server.rulefiles.load import Loaded, load_rules
from policy_server.rulefiles.merge import SECTIONS, RuleFiles
from policy_server.rulefiles.problems import Severity
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.ruletests import parse_tests, run_test
from policy_server.rulefiles.store import load_folder
from tests.rulefiles.faults import NOW, Fault, check, each_fault, load, picture, problems
from tests.rulefiles.schema_samples import DESIGN
from tests.rulefiles.structures import TABLES, anything, as_yaml, structures

KEYRING = Keyring(b"the secret key of every test of rules")
PICTURES = {"a.jpg": picture(), "avatars/desk.jpg": picture()}
SHIPPED = Path(__file__).parents[2] / "rules"


@each_fault("files")
def test_files_give_exactly_these_problems(fault: Fault) -> None:
    """Every fault of the files as such, and of several files together, is told in these words."""
    check(fault)


def test_the_rules_of_the_design_load() -> None:
    """The example that the language is defined by is accepted, with a warning of the entry that only a Management Node dials."""
    loaded = load(DESIGN, pictures=PICTURES)
    (problem,) = loaded.problems
    assert problem.message.startswith("nothing dials this entry")
    assert loaded.ruleset is not None
    assert loaded.ruleset.count == 8


def test_the_shipped_rules_are_good_and_pass_their_tests() -> None:
    """What a new admin starts from has no problem, and its rule tests hold."""
    loaded, folder = load_folder(SHIPPED, NOW)
    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.ruleset is not None
    tests, test_problems = parse_tests(folder.tests, loaded.ruleset, NOW)
    assert [str(problem) for problem in test_problems] == []
    assert tests
    assert [run_test(test, loaded.ruleset, KEYRING, rehearse, play_legs).differences for test in tests] == [()] * len(
        tests
    )


def test_no_file_at_all_is_a_problem() -> None:
    """An empty folder is refused, and the message says what a rule file is called."""
    loaded = load({})
    assert loaded.ruleset is None
    assert [str(problem) for problem in loaded.problems] == [
        "rules: error: there is no rule file here; a rule file ends in .yaml"
    ]


def test_a_directory_alone_is_a_rule_set() -> None:
    """Rules are not needed where only the directory is served."""
    loaded = load("directory: [ { alias: desk } ]")
    assert loaded.problems == ()
    assert loaded.ruleset is not None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary", id="a picture"),
        pytest.param("service: []".encode("utf-16"), "UTF-16", id="UTF-16"),
        pytest.param(b"service: [\xff]", "UTF-8", id="not UTF-8"),
        pytest.param(b"a" * (11 * 1024 * 1024), "too large", id="11 MiB"),
        pytest.param(
            b"a: &a [x,x,x,x,x,x,x,x,x]\n"
            + b"".join(
                b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(ord("b"), ord("k"))
            ),
            "expanded",
            id="billion laughs",
        ),
        pytest.param(b"[" * 100_000, "nested", id="100,000 brackets"),
    ],
)
def test_what_is_no_rule_file_is_one_clear_problem(data: bytes, reason: str) -> None:
    """Files that nobody meant as rules, and files meant to hurt, are refused with their reason and nothing else."""
    loaded = load(data)
    assert loaded.ruleset is None
    (problem,) = loaded.problems
    assert reason in problem.message


def test_problems_of_a_file_do_not_hide_those_of_another() -> None:
    """A file that is no YAML still lets the sections of the others be checked, but no reference to what it may hold."""
    found = problems(
        {
            "rules/a.yaml": "pexip: { themes: [Dark] }\nrooms: { r: { name: x, ivr_theme_name: Light, view: ac } }",
            "rules/b.yaml": "service: [ { id: patient, room: s } ]",
            "rules/c.yaml": "rooms: { s: {",
        }
    )
    assert [line.partition(": error: ")[0] for line in found] == ["rules/a.yaml:2:53", "rules/c.yaml:1:13"]


def test_the_revision_names_the_content() -> None:
    """The same files have the same revision; any change of a name, a file, a picture, a template or a table gives another."""
    files = {"a.yaml": b"1", "b.yaml": b"2"}
    pictures = {"x.jpg": b"3"}
    revision = RuleFiles(files, pictures).revision
    assert RuleFiles(dict(reversed(files.items())), pictures, "elsewhere").revision == revision
    others = [
        RuleFiles({"a.yaml": b"12", "b.yaml": b""}, pictures),
        RuleFiles({"a.yaml": b"1", "c.yaml": b"2"}, pictures),
        RuleFiles(files, {"x.jpg": b"4"}),
        RuleFiles(files, pictures, templates={"p/x.html": b"5"}),
        RuleFiles(files, pictures, templates={"p/x.html": b"6"}),
        RuleFiles(files, pictures, tables={"t/x.csv": b"7"}),
        RuleFiles(files, pictures, tables={"t/x.csv": b"8"}),
        RuleFiles(files, {}),
    ]
    assert len({revision, *(other.revision for other in others)}) == 1 + len(others)


@pytest.mark.slow
def test_very_many_errors_end_the_checking() -> None:
    """A thousand misspelt references among as many names give the first 500, each with its hint, and say so."""
    rooms = "".join(f"  room-number-{number}: {{ name: x }}\n" for number in range(1000))
    rules = "".join(f"  - {{ id: r{number}, room: room-numbre-{number} }}\n" for number in range(1000))
    first, *others = problems(f"rooms:\n{rooms}service:\n{rules}")
    assert first == "rules: error: there are more than 500 errors; correct these, then check again"
    assert len(others) == 501
    assert others[7] == (
        "rules/x.yaml:1010:21: error: rule 'r7': room 'room-numbre-7' is not defined under rooms "
        "(did you mean 'room-number-7'?)"
    )


@pytest.mark.parametrize(
    ("section", "entry"),
    [
        ("rooms", "  r{0}: {{ name: 5 }}\n"),
        ("links", "  l{0}: {{ alias: 5 }}\n"),
        ("directory", "  - {{ alias: 5 }}\n"),
        ("participants", "  - {{ id: r{0} }}\n"),
    ],
)
def test_very_many_errors_end_the_checking_of_every_section(section: str, entry: str) -> None:
    """Whatever the section is, it is left when there are more errors than anybody corrects at a time."""
    text = f"{section}:\n" + "".join(entry.format(number) for number in range(2000))
    assert len(problems(text)) == 502


def test_expressions_that_need_too_much_memory_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expressions that RE2 cannot put into one automaton refuse the rules, at the list that they are in."""
    monkeypatch.setattr(pattern_index, "SETS_MEMORY", 1)
    rules = [{"id": f"r{n}", "when": {"vendor": f".*x{n}.*y"}, "reject": "x"} for n in range(10, 30)]
    (line,) = problems(as_yaml({"service": rules}).decode())
    assert line.startswith("rules/x.yaml:3:3: error: service: 20 regular expressions on one parameter need more than")


def test_names_of_rooms_that_need_too_much_memory_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are read backwards by expressions too, which must fit as well."""
    monkeypatch.setattr(pattern_index, "SETS_MEMORY", 1)
    rules = [{"id": f"r{n}", "when": {"protocol": "sip", "bandwidth": n}, "room": f"r{n}"} for n in range(20)]
    rooms = {f"r{n}": {"name": f"{{vendor}}-{n}", "shared": True} for n in range(20)}
    (line,) = problems(as_yaml({"rooms": rooms, "service": rules}).decode())
    assert line.startswith("rules: error: names of rooms: 20 regular expressions on one parameter need more than")


def test_a_name_that_cannot_be_read_backwards_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room whose name no expression can recover would leave its leg without an answer."""

    def refuse(*_: object) -> None:
        raise PatternError("pattern too large")

    monkeypatch.setattr(serving, "origin_of", refuse)
    assert problems("rooms: { r: { name: x } }\nservice: [ { id: patient, room: r } ]") == [
        "rules/x.yaml:2:33: error: rule 'patient': name and service_tag of the room cannot be read backwards: "
        "pattern too large"
    ]


def rule_lists(loaded: Loaded) -> Iterator[tuple[str, RuleList]]:
    """Give the lists of a rule set by the names of their sections."""
    assert loaded.ruleset is not None
    for section in RULE_SECTIONS:
        yield section.name, loaded.ruleset.lists[section.request]


def check_outcome(loaded: Loaded, structure: object) -> None:
    """Check what holds for whatever was loaded: rules or errors, problems on one line, and no condition dropped."""
    assert (loaded.ruleset is None) == any(problem.severity is Severity.ERROR for problem in loaded.problems)
    for problem in loaded.problems:
        assert str(problem).isprintable()
        assert len(str(problem)) < 1500
    assert list(loaded.problems) == sorted(loaded.problems, key=lambda problem: problem.place)
    if loaded.ruleset is None or not isinstance(structure, dict):
        return
    for section, rules in rule_lists(loaded):
        written = structure.get(section) or []
        assert [rule.id for rule in rules.rules] == [rule["id"] for rule in written]
        assert [len(rule.conditions) for rule in rules.rules] == [len(rule.get("when", {})) for rule in written]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(structures)
def test_any_structure_gives_problems_or_rules(structure: dict[str, Any]) -> None:
    """The real sections and keys, with values of every kind in every place, never make the loader fail."""
    pages = {"p/closed.en.html": b"<h1>x</h1>"}
    files = RuleFiles({"rules/x.yaml": as_yaml(structure)}, PICTURES, templates=pages, tables=TABLES)
    loaded = load_rules(files, NOW, environment={"PASSWORD": "x"}, deployed=True)
    check_outcome(loaded, structure)


@settings(max_examples=60, deadline=None)
@given(anything | st.dictionaries(st.sampled_from(SECTIONS), anything))
def test_any_value_gives_problems_or_rules(value: object) -> None:
    """Whatever YAML can say never makes the loader fail."""
    check_outcome(load(as_yaml(value)), value)


@settings(max_examples=60, deadline=None)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_problems_or_rules(data: bytes) -> None:
    """Text that is no YAML, and bytes that are no text, never make the loader fail."""
    check_outcome(load(data), None)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(DESIGN)), st.integers(0, 30), st.text(max_size=5))
def test_any_change_of_good_rules_gives_problems_or_rules(start: int, length: int, replacement: str) -> None:
    """Slips of an editor in good rules never make the loader fail."""
    text = DESIGN[:start] + replacement + DESIGN[start + length :]
    check_outcome(load(text.encode("utf-8", "surrogatepass"), pictures=PICTURES), None)
