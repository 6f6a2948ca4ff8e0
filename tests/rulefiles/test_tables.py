"""Tables: what a CSV file becomes, and what is wrong with one."""

import csv
from io import StringIO
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.pexip.aliases import folded
from policy_server.pexip.request_types import RequestType
from policy_server.policy.conditions import table_conditions
from policy_server.policy.services import FIELD_LIMIT
from policy_server.rulefiles.document_nodes import ScalarNode
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report
from policy_server.rulefiles.tables import TABLE_BYTES, TableFile, read_tables
from tests.rulefiles.faults import Fault, check, each_fault, load
from tests.rulefiles.structures import as_yaml

RULES: Final = """
trunks: { clinic: { number: "+13129998045" }, north: { number: "+13125550100" } }
tables: { queues: tables/queues.csv }
service: [{ id: a, when: { table: { queues: "{vendor}" } }, reject: "{queues.text}" }]
"""


@each_fault("tables")
def test_tables_give_exactly_these_problems(fault: Fault) -> None:
    """Every fault of a table, its file, its columns, and of what rules do with them is told in these words at its place."""
    check(fault)


def read(data: bytes) -> tuple[TableFile | None, list[str]]:
    """One table with its problems."""
    report = Report()
    place = Place("rules/x.yaml", 1, 1)
    tables = read_tables({"t": (ScalarNode("t.csv", "t.csv", False, place), place)}, {"t.csv": data}, "rules", report)
    return tables["t"], [str(problem) for problem in report.in_order()]


def rows(data: bytes) -> dict[str, tuple[str, ...]]:
    """What a good table holds."""
    table, problems = read(data)
    assert problems == []
    assert table is not None
    return dict(table.lookup.rows)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"k,text\nde,Gr\xc3\xbcezi\nfr,\n", id="commas"),
        pytest.param(b"\xef\xbb\xbfk;text\r\nde;Gr\xc3\xbcezi\r\nfr;\r\n", id="as Excel writes it"),
        pytest.param(b"k\ttext\rde\tGr\xc3\xbcezi\rfr\t\r", id="tabs, lines of old Macs"),
        pytest.param(b'\n"k","text"\nde , "Gr\xc3\xbcezi"\n"fr",""', id="quotes, spaces, no line end"),
        pytest.param(b"k,text\n\nDE,Gr\xc3\xbcezi\n,\n\nfr,\n", id="rows without anything"),
        pytest.param(b'k;text\n"de";"Gr\xc3\xbcezi"\n\xc2\xa0fr;\n', id="a space that Excel brings along"),
    ],
)
def test_files_are_read_as_people_have_them(data: bytes) -> None:
    """Commas, semicolons or tabs, any line ends, a byte order mark, quotes and empty rows: the same table."""
    found = {key: cells[1:] for key, cells in rows(data).items()}
    assert found == {"de": ("Grüezi",), "fr": ("",)}


def test_a_line_break_in_a_cell_is_a_space() -> None:
    """No field of Pexip has lines."""
    assert rows(b'k,text\na,"one,\r\n  two\nthree"\n') == {"a": ("a", "one, two three")}


def test_a_table_of_keys_alone_is_a_list() -> None:
    """One column is enough to ask whether somebody is in it."""
    assert list(rows(b"number\n+41446681800\n+41916130777\n")) == ["+41446681800", "+41916130777"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(
            "k,text\nde,Grüezi\n".encode("latin-1"), "rules/t.csv:2:6: error: byte 0xFC is not UTF-8", id="latin-1"
        ),
        pytest.param("k,text\n".encode("utf-16"), "rules/t.csv:1:1: error: byte 0xFF is not UTF-8", id="utf-16"),
        pytest.param(
            b"k\n" + b"x\n" * (TABLE_BYTES // 2), "rules/t.csv: error: this table is larger than 4 MiB", id="large"
        ),
        pytest.param(
            b"k,t\na," + b"x" * 200_000, "rules/t.csv:2:1: error: the row that begins here is no CSV (field", id="long"
        ),
        pytest.param(
            b"k\n" + b"x" * (FIELD_LIMIT + 1),
            "rules/t.csv:2:1: error: table 't': k has 251 characters",
            id="a long key",
        ),
    ],
)
def test_what_no_table_is_made_of_is_told(data: bytes, expected: str) -> None:
    """Another encoding is told with its first byte, and how to save the file; what is too large is not read."""
    table, (problem,) = read(data)
    assert table is None
    assert problem.startswith(expected)


_text = st.text(st.sampled_from('ab "\n,;é'), max_size=4)
_sheets = st.lists(st.tuples(_text, _text, _text), max_size=5)


@settings(deadline=None)
@given(_sheets, st.sampled_from(",;"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_a_spreadsheet_writes_is_what_is_looked_up(
    cells: list[tuple[str, str, str]], delimiter: str, line_end: str, quoted: bool
) -> None:
    """Every row that is taken is found by its key with its cells, and each of its cells where it stands."""
    taken = {}
    for row in cells:
        stripped = tuple(" ".join(cell.split()) if "\n" in cell else cell.strip() for cell in row)
        if folded(stripped[0]) not in taken and stripped[0]:
            taken[folded(stripped[0])] = (row, stripped)
    written = StringIO(newline="")
    writer = csv.writer(
        written, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    )
    writer.writerows([("k", "a", "b"), *(row for row, _ in taken.values())])
    text = written.getvalue()
    table, problems = read(text.encode())
    assert (problems, table is not None) == ([], True)
    assert table is not None
    assert {key: tuple(found) for key, found in table.lookup.rows.items()} == {
        key: row for key, (_, row) in taken.items()
    }
    lines = StringIO(text, newline="\n").read().split("\n")
    for key, (row, _) in taken.items():
        for column, cell in enumerate(row):
            place = table.place(key, column)
            there = "\n".join(lines[place.line - 1 :])[place.column - 1 :]
            assert there.lstrip(' "').startswith(cell.replace('"', '""').lstrip(' "').split("\n")[0].rstrip())


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(st.sampled_from('k,;"\n\r\t a\0'), max_size=40).map(str.encode))
def test_any_bytes_give_a_table_or_problems(data: bytes) -> None:
    """Whatever a file holds, it never makes the loader fail, and problems stay on a line."""
    table, problems = read(data)
    assert (table is None) is any(": error: " in problem for problem in problems)
    assert all(problem.isprintable() for problem in problems)


def test_a_large_table_is_one_lookup_and_one_object() -> None:
    """A thousand rules that ask for one table share it, and a key is looked up and not searched."""
    sheet = "key,text\n" + "".join(f"k{number},t{number}\n" for number in range(10_000))
    service = [
        {
            "id": f"r{number}",
            "when": {"vendor": f"v{number}", "table": {"queues": "{version_id}"}},
            "reject": "{queues.text}",
        }
        for number in range(100)
    ]
    text = as_yaml({"tables": {"queues": "tables/queues.csv"}, "service": service})
    loaded = load(text, tables={"tables/queues.csv": sheet.encode()})
    assert loaded.problems == ()
    assert loaded.ruleset is not None
    found = {
        id(condition.table)
        for rule in loaded.ruleset.lists[RequestType.SERVICE].rules
        for condition in table_conditions(rule.conditions)
    }
    assert len(found) == 1


def test_errors_in_every_row_end_with_the_limit() -> None:
    """Nobody corrects more than some hundreds of errors at a time, and each takes time to explain."""
    sheet = "key,text\n" + "".join(f"k{number}\n" for number in range(10_000))
    problems = load(RULES, tables={"tables/queues.csv": sheet.encode()}).problems
    assert len(problems) < 600
