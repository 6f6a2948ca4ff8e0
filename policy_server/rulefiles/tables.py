"""Reading tables: CSV files beside the rules, as spreadsheets write them."""

import csv
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from io import StringIO
from typing import Final

from policy_server.pexip.aliases import folded, normalise_alias
from policy_server.policy.conditions import conjuncts, table_conditions
from policy_server.policy.ruleset import Rule
from policy_server.policy.services import FIELD_LIMIT
from policy_server.policy.tables import LookupTable
from policy_server.policy.templates import TemplateError, parse_template
from policy_server.rulefiles.document_nodes import Node, ScalarNode
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, near_hint, shown_node
from policy_server.wording.values import printable, shown
from policy_server.wording.words import did_you_mean

TABLE_ENDINGS: Final = (".csv",)
TABLE_BYTES: Final = 4 * 1024 * 1024
NOTE_COLUMN: Final = "description"
"""The column that is a note for people."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_DELIMITERS: Final = ",;\t"
_TAKEN: Final = ("link", "room")
"""What placeholders begin with that are no columns."""
_NO_COLUMN: Final = "raw"
_MANY: Final = 5
"""Rows with the same mistake of which each is told."""


@dataclass(frozen=True, slots=True, eq=False)
class TableFile:
    """A table, and where its rows stand."""

    lookup: LookupTable
    path: str
    delimiter: str
    header: tuple[Place, ...] = field(repr=False)
    lines: tuple[str, ...] = field(repr=False)
    first_lines: Mapping[str, int] = field(repr=False)
    """The line, from 1, at which the row of each key begins."""
    checked: set[tuple[str, str]] = field(default_factory=set, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names as the header has them."""
        return tuple(column.partition(".")[2] for column in self.lookup.columns)

    def place(self, key: str, column: int) -> Place:
        """Where a cell stands."""
        return _cell_place(self.path, self.lines, self.first_lines[key], column, self.delimiter)

    def values(self, placeholder: str) -> dict[str, str]:
        """The different values of a column, each with the key of the first row that has it; ``""`` where one has none."""
        column = self.lookup.columns.index(placeholder)
        found: dict[str, str] = {}
        for key, cells in self.lookup.rows.items():
            found.setdefault(cells[column], key)
        return found

    def check(self, placeholder: str, use: str, fault_of: Callable[[str], str], report: Report) -> None:
        """Reports every row whose value in a column cannot be used; ``use`` says what for and tells uses apart."""
        if (placeholder, use) in self.checked:
            return
        self.checked.add((placeholder, use))
        faults = {value: fault_of(value) for value in self.values(placeholder)}
        if not any(faults.values()):
            return
        column = self.lookup.columns.index(placeholder)
        for key, cells in self.lookup.rows.items():
            if faults[cells[column]] and not report.is_full:
                report.error(self.place(key, column), f"table {shown(self.lookup.name)}: {faults[cells[column]]}")

    def warn_of_keys(self, domains: AbstractSet[str], parameter: str, report: Report) -> None:
        """Warns of keys that are no alias in the form in which aliases are compared, so that no question has them."""
        use = ("", parameter)
        if use in self.checked:
            return
        self.checked.add(use)
        never = [key for key in self.lookup.rows if normalise_alias(key, domains) != key]
        for key in never[:_MANY]:
            compared = normalise_alias(key, domains)
            report.warning(
                self.place(key, 0),
                f"table {shown(self.lookup.name)}: {parameter} is compared without scheme, parameters and our domains, so "
                f"{shown(key)} is never its key; write {shown(compared)}, or {{{parameter}.raw}} in the condition",
            )
        if len(never) > _MANY:
            message = f"table {shown(self.lookup.name)}: {len(never) - _MANY} more keys can never be {parameter}"
            report.warning(Place(self.path), message)


Tables = Mapping[str, TableFile | None]
"""The tables by name; ``None`` where one could not be read, and why is reported."""


def read_tables(
    named: Mapping[str, tuple[Node, Place]], files: Mapping[str, bytes], folder: str, report: Report
) -> dict[str, TableFile | None]:
    """Reads the file of each table; ``named`` has what stands under ``tables``, ``files`` all CSV files of the folder."""
    tables: dict[str, TableFile | None] = {}
    used: set[str] = set()
    for name, (node, place) in named.items():
        tables[name] = None
        path = node.value if isinstance(node, ScalarNode) else None
        if not _NAME.match(name) or name in _TAKEN:
            taken = f"; {{{name}.…}} is something else" if name in _TAKEN else ""
            report.error(place, f"the name of a table must be letters, digits, _ and - but is {shown(name)}{taken}")
        elif not isinstance(path, str) or not path.lower().endswith(TABLE_ENDINGS):
            report.error(
                node.place,
                f"table {shown(name)} must be a CSV file such as tables/{name}.csv but is {shown_node(node)}"
                f"{_saved_otherwise(path)}",
            )
        elif path not in files:
            hint = near_hint(path, files) or "; put the file there"
            report.error(node.place, f"table {shown(name)}: {shown(path)} is not a file below the rules folder{hint}")
        else:
            tables[name] = _read(name, f"{folder}/{path}", files[path], report)
        if isinstance(path, str):
            used.add(path)
    for path in sorted(files.keys() - used):
        message = "no table is made of this file; name it under tables, as in NAME: PATH, or move it out of the folder"
        report.warning(Place(f"{folder}/{path}"), message)
    return tables


def _saved_otherwise(path: object) -> str:
    spreadsheet = isinstance(path, str) and path.lower().endswith((".xlsx", ".xls", ".ods"))
    return "; save the sheet as CSV UTF-8" if spreadsheet else ""


def _read(name: str, path: str, data: bytes, report: Report) -> TableFile | None:
    """One table, if nothing is wrong with its file."""
    before = report.errors
    text = _decoded(path, data, report)
    if text is None:
        return None
    lines = tuple(StringIO(text, newline=""))
    first = next((line for line in lines if line.strip()), "")
    delimiter = next((mark for mark in _DELIMITERS if mark in first), ",")
    rows = _rows(path, lines, delimiter, report)
    header_line, header = next(rows, (1, []))
    places = [_cell_place(path, lines, header_line, number, delimiter) for number in range(len(header))]
    columns = _columns(name, header, places, report)
    if not header and report.errors == before:
        message = "this table is empty; its first line names the columns, that of the key first, as in language,trunk"
        report.error(Place(path), message)
    if report.errors > before:
        return None
    found: dict[str, tuple[str, ...]] = {}
    first_lines: dict[str, int] = {}
    for line, cells in rows:
        if report.is_full:
            return None
        fault = _fault(cells, columns, first_lines, path)
        if fault is not None:
            column, message = fault
            report.error(_cell_place(path, lines, line, column, delimiter), f"table {shown(name)}: {message}")
            continue
        key = folded(cells[0])
        found[key], first_lines[key] = tuple(cells), line
    if report.errors > before:
        return None
    lookup = LookupTable(name, tuple(f"{name}.{column}" for column in columns), found)
    return TableFile(lookup, path, delimiter, tuple(places), lines, first_lines)


def _decoded(path: str, data: bytes, report: Report) -> str | None:
    if len(data) > TABLE_BYTES:
        report.error(
            Place(path), f"this table is larger than {TABLE_BYTES // 1024 // 1024} MiB; take what rules look up"
        )
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Place(path, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        remedy = "save it anew as CSV UTF-8 (in Excel: Save As, CSV UTF-8)"
        report.error(
            place, f"byte 0x{data[error.start]:02X} is not UTF-8, so the file was saved in another encoding; {remedy}"
        )
        return None


def _rows(path: str, lines: tuple[str, ...], delimiter: str, report: Report) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the line at which it begins; spaces around a cell do not count."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    line = 1
    try:
        for cells in reader:
            stripped = [_one_line(cell) for cell in cells]
            if any(stripped):
                yield line, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        remedy = 'a cell that has a quote in it stands in quotes, and the quote twice, as in "the ""blue"" room"'
        report.error(Place(path, line, 1), f"the row that begins here is no CSV ({printable(str(error))}); {remedy}")


def _one_line(cell: str) -> str:
    """A cell without spaces around it; a line break within it is a space."""
    return cell.strip() if cell.isprintable() else " ".join(cell.split())


def _columns(name: str, header: list[str], places: list[Place], report: Report) -> tuple[str, ...]:
    for number, column in enumerate(header):
        place = places[number]
        where = f"table {shown(name)}: column {number + 1}"
        if column in header[:number]:
            report.error(place, f"table {shown(name)}: two columns are called {shown(column)}; rename one")
        elif not column:
            report.error(place, f"{where} has no name in the first line; name it, or delete it")
        elif column == _NO_COLUMN:
            report.error(place, f"{where} cannot be called {shown(column)}, which means a value as it came; rename it")
        elif not _NAME.match(column):
            plain = unicodedata.normalize("NFKD", column.replace("ß", "ss")).encode("ascii", "ignore").decode()
            good = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_")
            hint = f"; write {shown(good)}" if _NAME.match(good) else ""
            wanted = "letters, digits, _ and -, so that a placeholder can name it"
            report.error(place, f"{where} must be named by {wanted}, but is {shown(column)}{hint}")
    return tuple(header)


def _fault(
    cells: list[str], columns: tuple[str, ...], first_lines: Mapping[str, int], path: str
) -> tuple[int, str] | None:
    """What is wrong with a row, and in which cell."""
    if len(cells) != len(columns):
        has = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"
        remedy = "a value that is missing is an empty cell"
        if len(cells) > len(columns):
            remedy = "a cell with a comma or a semicolon in it stands in quotes"
        return min(len(cells), len(columns)) - 1, f"this row has {has}, but the header has {len(columns)}; {remedy}"
    if not cells[0]:
        return 0, f"the key ({columns[0]}) of this row is empty; write one, or delete the row"
    if (first := first_lines.get(folded(cells[0]))) is not None:
        return 0, f"key {shown(cells[0])} stands twice (case does not count); the first is at {path}:{first}"
    for number, cell in enumerate(cells):
        if len(cell) > FIELD_LIMIT:
            return number, f"{columns[number]} has {len(cell)} characters; the most is {FIELD_LIMIT}"
        if not cell.isprintable() and any(unicodedata.category(character) == "Cc" for character in cell):
            return number, f"{columns[number]} has a control character in it; delete it"
    return None


def _cell_place(path: str, lines: tuple[str, ...], line: int, column: int, delimiter: str) -> Place:
    """Where a cell of the row that begins at a line stands; asked of few, so nobody keeps it."""
    text = "".join(lines[line - 1 :]) if any('"' in each for each in lines[line - 1 : line]) else lines[line - 1]
    mark = re.escape(delimiter)
    cell = re.compile(rf'[ ]*"(?:[^"]|"")*"|[^{mark}\r\n]*')
    start = 0
    for _ in range(column):
        end = (cell.match(text, start) or cell.match("", 0)).end()  # type: ignore[union-attr]
        start = end + 1 if text[end : end + 1] == delimiter else start
    before = text[:start]
    return Place(path, line + before.count("\n"), start - before.rfind("\n"))


def unknown_column(column: str, table: TableFile) -> str:
    """Says that a table has no such column, and which it has."""
    return f"table {shown(table.lookup.name)} has no column {shown(column)}{did_you_mean(column, table.columns)}"


def unused_columns(tables: Tables, used: AbstractSet[str]) -> Iterator[tuple[Place, str]]:
    """The place and a sentence for every column but the key's that no placeholder names."""
    for table in tables.values():
        columns: Iterable[tuple[int, str]] = enumerate(table.lookup.columns) if table is not None else ()
        for number, placeholder in columns:
            if table is not None and number and placeholder not in used and table.columns[number] != NOTE_COLUMN:
                yield (
                    table.header[number],
                    f"no rule uses {{{placeholder}}}; a column that is a note for people is called {NOTE_COLUMN}",
                )


def lost_rows(tables: Tables, rules: Sequence[Rule]) -> Iterator[tuple[Place, str]]:
    """A cell and a sentence for what one table has as the key of another, where that has no such row.

    Empty cells are meant, and so is a key that is not there where a rule asks for its absence.
    """
    asked = [
        condition for rule in rules if rule.enabled for condition in table_conditions(rule.conditions, negated=True)
    ]
    direct = {id(condition) for rule in rules for condition in conjuncts(rule.conditions)}
    spared = {(one.table.name, one.wanted.source) for one in asked if id(one) not in direct}
    told: set[tuple[str, str]] = set()
    for condition in asked:
        use = (condition.table.name, condition.wanted.source)
        column = column_of(condition.wanted.source, tables)
        if use in spared or use in told or column is None or column.file is None:
            continue
        told.add(use)
        file, wanted = column.file, condition.table
        lost = [value for value in file.values(column.placeholder) if value and wanted.row(value) is None]
        for value in lost[:_MANY]:
            place = file.place(file.values(column.placeholder)[value], file.lookup.columns.index(column.placeholder))
            yield (
                place,
                f"table {shown(file.lookup.name)}: table {shown(wanted.name)} has no row "
                f"{shown(value)}{did_you_mean(value, wanted.rows)}, and rules look it up there by "
                f"{{{column.placeholder}}}; add the row, or leave the cell empty",
            )


@dataclass(frozen=True, slots=True)
class Column:
    """A column that stands for a name: its placeholder, the text where a cell is empty, and the table, if it could be read."""

    placeholder: str
    default: str | None
    file: TableFile | None


def column_of(text: str, tables: Tables) -> Column | None:
    """The column of a table that a text is, perhaps with a default, and nothing else."""
    try:
        template = parse_template(text)
    except TemplateError:
        return None
    name = template.names[0].partition(".")[0] if len(template.names) == 1 and not any(template.literals) else ""
    if name not in tables:
        return None
    return Column(template.names[0], template.defaults[0] if template.defaults else None, tables[name])


def empty_cell(placeholder: str, wanted: str, place: Place) -> str:
    """Says that a cell is empty that has to be the name of something, and where that is taken from it."""
    column = placeholder.partition(".")[2]
    return f"{column} is empty, and {wanted} comes from it ({place}); write one, or a default there: {{{placeholder}|NAME}}"
