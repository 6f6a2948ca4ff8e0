"""YAML text as values with places: what they are, and every limit of what is read."""

import json
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy_server.rulefiles import document
from policy_server.rulefiles.document import Entry, MappingNode, Node, ScalarNode, SequenceNode
from policy_server.rulefiles.problems import Place, Problem, Severity

FILE = "rules/genesys.yaml"
MIB = 1024 * 1024


def parse(text: str | bytes) -> tuple[Node | None, tuple[Problem, ...]]:
    """Parse text or bytes under the name that the tests expect."""
    return document.parse_document(FILE, text if isinstance(text, bytes) else text.encode())


def value_of(text: str | bytes) -> object:
    """Give the plain value of a document that must have no problems."""
    node, problems = parse(text)
    assert problems == ()
    assert node is not None
    return document.plain(node)


def told(text: str | bytes) -> list[str]:
    """Give the problems of a document, as line:column: message."""
    return [str(problem).removeprefix(FILE + ":") for problem in parse(text)[1]]


def nodes_of(node: Node) -> Iterator[Node]:
    """Walk a node and everything in it, keys too."""
    yield node
    match node:
        case SequenceNode():
            for item in node.items:
                yield from nodes_of(item)
        case MappingNode():
            for entry in node.entries:
                yield entry.key
                yield from nodes_of(entry.value)
        case ScalarNode():
            pass


def written_in(node: Node | None) -> list[object]:
    """List a node's structure and values, with places where something is written."""
    return [
        (type(each), each.place, each.value, each.quoted)
        if isinstance(each, ScalarNode) and each.text
        else (type(each), len(each.entries) if isinstance(each, MappingNode) else 0)
        for each in (nodes_of(node) if node is not None else ())
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *[(word, True) for word in ("true", "True", "TRUE")],
        *[(word, False) for word in ("false", "False", "FALSE")],
        *[(word, None) for word in ("null", "Null", "NULL", "~", "")],
        *[(word, word) for word in ("yes", "no", "on", "off", "Yes", "y", "tRUE", "nULL")],
        *[("0", 0), ("42", 42), ("-7", -7), ("123456789012345678", 123456789012345678)],
        *[("1.5", 1.5), ("-0.25", -0.25), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("2.5E-3", 0.0025)],
        *[(word, word) for word in ("22:00", "1:30", "2026-12-25", "2026-11-23T10:00:00-06:00")],
        *[(word, word) for word in ("0755", "-01", "1_000", "0o17", "0x1F", "0b1", "00", "08.30")],
        *[(word, word) for word in ("+13129998045", "+1.5", "1234567890123456789", "9" * 5_000)],
        *[(word, word) for word in (".inf", "-.inf", ".nan", "1e999", ".", "1e", "1.2.3", "1,5", "٣")],
        *[("10.20.0.0/16", "10.20.0.0/16"), ("2001:db8::/32", "2001:db8::/32"), ("=", "=")],
        *[("'true'", "true"), ('"5"', "5"), ("''", ""), ('"~"', "~"), ('"a\\tb\\n"', "a\tb\n")],
        *[("|\n  5\n", "5\n"), (">-\n  true\n", "true")],
        *[("!!str 5", "5"), ("! 5", "5"), ("!!int '5'", 5), ("!!float 5", 5.0), ("!!bool 'true'", True)],
        *[("!!null ''", None), ("!!seq [1]", [1]), ("!!map {a: 1}", {"a": 1})],
        *[("[]", []), ("{}", {}), ("[a, {b: c}]", ["a", {"b": "c"}]), ("\n  - 1\n  - 2", [1, 2])],
    ],
)
def test_values_are_read_by_the_core_rules_of_yaml_1_2(written: str, value: object) -> None:
    """Only plain true, false, null and decimal numbers are not text, and no code loses a digit or a sign."""
    result = value_of(f"key: {written}\n")
    assert result == {"key": value}
    assert isinstance(result, dict)
    assert type(result["key"]) is type(value)


def test_a_scalar_keeps_its_text_and_whether_it_was_quoted() -> None:
    """A number's text is there as written, for those who need 1.10 and not 1.1."""
    node, _ = parse("[1.10, '1.10', !!str 1.10]")
    assert isinstance(node, SequenceNode)
    assert node.items == (
        ScalarNode(1.1, "1.10", quoted=False, place=Place(FILE, 1, 2)),
        ScalarNode("1.10", "1.10", quoted=True, place=Place(FILE, 1, 8)),
        ScalarNode("1.10", "1.10", quoted=True, place=Place(FILE, 1, 16)),
    )


def test_every_node_knows_its_place() -> None:
    """Places count lines and columns from 1, in characters."""
    node, problems = parse("# rules\nservice:\n  - id: patient\n    when: { ünï: [a, 'b'] }\r\n")
    when = MappingNode(
        (
            Entry(
                ScalarNode("ünï", "ünï", quoted=False, place=Place(FILE, 4, 13)),
                SequenceNode(
                    (
                        ScalarNode("a", "a", quoted=False, place=Place(FILE, 4, 19)),
                        ScalarNode("b", "b", quoted=True, place=Place(FILE, 4, 22)),
                    ),
                    Place(FILE, 4, 18),
                ),
            ),
        ),
        Place(FILE, 4, 11),
    )
    assert problems == ()
    assert isinstance(node, MappingNode)
    service = node.get("service")
    assert node.get("rooms") is None
    assert isinstance(service, SequenceNode)
    assert service.place == Place(FILE, 3, 3)
    rule = service.items[0]
    assert isinstance(rule, MappingNode)
    assert [entry.name for entry in rule.entries] == ["id", "when"]
    assert rule.place == Place(FILE, 3, 5)
    assert rule.get("when") == when


@pytest.mark.parametrize("data", [b"", b"# only a comment\n", b"\n\n", b"---\n", b"---\n...\n", b"\xef\xbb\xbf"])
def test_a_file_without_values_is_empty_not_wrong(data: bytes) -> None:
    """A file of comments has no node and no problem."""
    assert parse(data) == (None, ())


def test_a_byte_order_mark_shifts_nothing() -> None:
    """Windows' UTF-8 with byte order mark reads as without it."""
    assert parse(b"\xef\xbb\xbfa: 1\n") == parse(b"a: 1\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}, id="alias"),
        pytest.param("a: &x 1\nb: &x 2\nc: *x\n", {"a": 1, "b": 2, "c": 2}, id="the last anchor of a name"),
        pytest.param("a: &x [&x 1, *x]\nb: *x\n", {"a": [1, 1], "b": 1}, id="an anchor inside one of the same name"),
        pytest.param("a: &x k\n*x : 1\n", {"a": "k", "k": 1}, id="alias as key"),
        pytest.param(
            "a: &x {p: 1, q: 2}\nb:\n  q: 3\n  <<: *x\n",
            {"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}},
            id="merged, the key written wins",
        ),
        pytest.param("{<<: [{p: 1}, {p: 2, q: 2}], r: 3}", {"r": 3, "p": 1, "q": 2}, id="merged list, first wins"),
        pytest.param(
            "a: &x {p: 1}\nb: &y {<<: *x, q: 2}\nc: {<<: *y}\n",
            {"a": {"p": 1}, "b": {"q": 2, "p": 1}, "c": {"q": 2, "p": 1}},
            id="merged twice over",
        ),
        pytest.param("'<<': 1\n", {"<<": 1}, id="quoted it is a key like any other"),
    ],
)
def test_aliases_and_merge_keys_are_expanded(text: str, value: object) -> None:
    """Anchors, aliases and `<<` work as editors and other YAML tools have it."""
    assert value_of(text) == value


def test_an_aliased_scalar_is_where_the_alias_is() -> None:
    """A problem with an aliased value is shown where the value is used."""
    node, _ = parse("a: &x clinc\nb: *x\n")
    assert isinstance(node, MappingNode)
    assert node.get("b") == ScalarNode("clinc", "clinc", quoted=False, place=Place(FILE, 2, 4))


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param(
            "a: 1\nb: 2\na: 3\n", ["3:1: error: the key 'a' is there already, in line 1; remove one"], id="key"
        ),
        pytest.param(
            "a: 1\n'a': 3\n", ["2:1: error: the key 'a' is there already, in line 1; remove one"], id="quoted"
        ),
        pytest.param("1: a\n", ["1:1: error: a key must be text, but 1 is not: write '1', in quotes"], id="number key"),
        pytest.param("? \n: a\n", ["1:2: error: there is no key before this ':'"], id="no key"),
        pytest.param(
            "[a]: b\n",
            ["1:1: error: a key must be text, but this is a list; a text that begins with a bracket must be in quotes"],
            id="list key",
        ),
        pytest.param(
            "{a: b}: b\n",
            [
                "1:1: error: a key must be text, but this is a mapping; "
                "a text that begins with a bracket must be in quotes"
            ],
            id="mapping key",
        ),
        pytest.param(
            "a: !foo b\n",
            ["1:4: error: the tag '!foo' is not supported; remove it, or put a text that begins with '!' in quotes"],
            id="tag",
        ),
        pytest.param(
            "!!python/object:os.system {a: b}\n",
            [
                "1:1: error: the tag '!!python/object:os.system' is not supported; "
                "remove it, or put a text that begins with '!' in quotes"
            ],
            id="python tag",
        ),
        pytest.param(
            "a: !!int x\n",
            ["1:4: error: 'x' is not of type !!int; correct it or remove the '!!int'"],
            id="not of its tag",
        ),
        pytest.param(
            "a: !!int true\n",
            ["1:4: error: 'true' is not of type !!int; correct it or remove the '!!int'"],
            id="true is no number",
        ),
        pytest.param(
            "a: *foo\n",
            ["1:4: error: there is no anchor '&foo' above this line; if '*foo' is meant as text, put it in quotes"],
            id="undefined alias",
        ),
        pytest.param(
            "a: &x [{b: *x}]\n",
            ["1:12: error: the alias '*x' is inside the very value it stands for"],
            id="recursive alias",
        ),
        pytest.param(
            "a: {<<: 5}\n",
            ["1:9: error: '<<' takes a mapping or a list of mappings, as in '<<: *name'"],
            id="merged number",
        ),
        pytest.param(
            "{<<: {a: 1}, <<: {b: 1}}\n",
            ["1:14: error: the key '<<' is there already, in line 1; write one '<<: [*a, *b]'"],
            id="merged twice",
        ),
        pytest.param(
            "a: {<<: *foo}\n",
            ["1:9: error: there is no anchor '&foo' above this line; if '*foo' is meant as text, put it in quotes"],
            id="undefined merge is told once",
        ),
        pytest.param(
            'a: "\\bmp\\b"\n',
            [
                "1:4: error: a backslash in this double-quoted text makes the control character U+0008; write the "
                "text in single quotes, where a backslash is just a backslash (best for regular expressions)"
            ],
            id="a regular expression in double quotes",
        ),
        pytest.param(
            "--- {a: 1}\n--- {b: 1}\n",
            ["2:1: error: a second document begins here; a file holds one: remove this '---' or make two files"],
            id="second document",
        ),
        pytest.param(
            "a: [1]\n%TAG ! tag:x\n",
            ["2:1: error: %TAG is not supported here; remove the line"],
            id="tag directive",
        ),
    ],
)
def test_what_yaml_allows_and_rules_do_not_is_a_problem(text: str, problems: list[str]) -> None:
    """Each problem says what is wrong, where, and what to write instead."""
    assert told(text) == problems


def test_all_problems_are_told_at_once_in_the_order_of_their_places() -> None:
    """A syntax error does not hide what is wrong before it."""
    problems = told("a: *x\nb: {c: 1, c: 2}\na: !foo 1\nd: 'open\n")
    assert [problem.split(": ")[0] for problem in problems] == ["1:4", "2:11", "3:1", "3:4", "4:4"]


def test_past_a_hundred_problems_are_counted() -> None:
    """A thousand problems of one file do not fill the screen."""
    problems = told("a: 1\n" * 1_001)
    assert len(problems) == 101
    assert problems[-1] == " error: there are 900 more problems like these, not listed here"


def test_a_document_with_problems_still_has_what_is_good() -> None:
    """Of two equal keys the first stays, so that the checks after this one find more problems."""
    node, problems = parse("a: 1\na: 2\n3: x\nb: !foo y\n")
    assert len(problems) == 3
    assert node is not None
    assert document.plain(node) == {"a": 1, "b": "y"}


@pytest.mark.parametrize("text", ["a: *x\n", "a: &x [*x]\n", "a: [\n", "--- a\n--- b\n", "[" * 51 + "]" * 51])
def test_a_document_that_is_not_understood_has_no_node(text: str) -> None:
    """Nobody checks further what could only give follow-up errors."""
    node, problems = parse(text)
    assert node is None
    assert problems


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(
            b"a: 1\nb: caf\xe9\n",
            "2:7: error: the file is not UTF-8: byte 0xE9 at offset 11 is no part of any character; save the "
            "file as UTF-8 (it may be saved as Windows-1252 or Latin-1)",
            id="latin-1",
        ),
        pytest.param(
            b"\xef\xbb\xbfa\xe9",
            "1:2: error: the file is not UTF-8: byte 0xE9 at offset 4 is no part of any character; save the "
            "file as UTF-8 (it may be saved as Windows-1252 or Latin-1)",
            id="offset counts the byte order mark",
        ),
        *[
            pytest.param(
                "a: 1\n".encode(encoding),
                " error: the file is saved as UTF-16 or UTF-32 (Windows calls it 'Unicode'); save it as UTF-8",
                id=encoding,
            )
            for encoding in ("utf-16", "utf-32")
        ],
        *[
            pytest.param(
                data,
                " error: the file is not text but binary, or it is saved as UTF-16 (it has NUL bytes); "
                "save it as UTF-8",
                id=name,
            )
            for name, data in {"png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "utf-16-le": "a: 1".encode("utf-16-le")}.items()
        ],
        pytest.param(
            "a: 1\r\nb: x\u2028y\x07\n".encode(),
            "2:5: error: there is an invisible character here that YAML does not allow (U+2028); delete it",
            id="line separator",
        ),
        pytest.param(
            b"x" * (10 * MIB + 1),
            " error: the file is too large: 10.0 MiB where at most 10 MiB are read; split it",
            id="a byte too many",
        ),
        pytest.param(
            b"a: b\n" * (10 * MIB),
            " error: the file is too large: 50.0 MiB where at most 10 MiB are read; split it",
            id="50 MiB",
        ),
    ],
)
def test_bytes_that_are_no_text_are_a_clear_problem(data: bytes, problem: str) -> None:
    """Wrong encodings, binary files and huge files are named for what they are."""
    assert told(data) == [problem]


def test_every_line_with_an_invisible_character_is_told() -> None:
    """Each such line is one problem, whatever its line ends are."""
    problems = parse("a: \x07\x08\r\nb: 1\rc: \x7f\n\nd: \x9f".encode())[1]
    assert [(problem.place.line, problem.place.column) for problem in problems] == [(1, 4), (3, 4), (5, 4)]


@pytest.mark.parametrize("lines", [8191, 8192, 20_000])
def test_an_invisible_character_is_found_in_a_long_file(lines: int) -> None:
    """However far down it stands, and whatever pieces the file is searched in."""
    (problem,) = parse("- text\n" * lines + "- \x07\n" + "- text\n" * 20_000)[1]
    assert (problem.place.line, problem.place.column) == (lines + 1, 3)


def nested(depth: int) -> str:
    """Nest lists."""
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(nested(51), "1:51: error: values are nested more than 50 deep here", id="brackets"),
        pytest.param("[" * 100_000, "1:51: error: values are nested more than 50 deep here", id="open brackets"),
        pytest.param(
            "x:\n- y: [']]', \"[\", é, {a: " + "[" * 5_000,
            "2:70: error: values are nested more than 50 deep here",
            id="open brackets after quoted ones",
        ),
        pytest.param("- " * 1_000_000, "1:101: error: values are nested more than 50 deep here", id="dashes"),
        pytest.param("{a: " * 100_000, "1:201: error: values are nested more than 50 deep here", id="open braces"),
        pytest.param(
            "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 20_000)),
            "50:12: error: with the alias '*a48' expanded, values are nested more than 50 deep",
            id="chain of aliases",
        ),
        pytest.param(
            "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40)),
            "6:40: error: with its aliases (*name) expanded, the file has more than 500,000 values; split the file",
            id="billion laughs",
        ),
        pytest.param(
            "a0: &a0 {x: 1}\n"
            + "".join(f"a{i}: &a{i} {{k{i}: 1, <<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 40)),
            "7:27: error: with its aliases (*name) expanded, the file has more than 500,000 values; split the file",
            id="billion merges",
        ),
        pytest.param(
            "".join(f"%TAG !a{i}! x\n" for i in range(500_000)),
            "1:1: error: %TAG is not supported here; remove the line",
            id="tag directives",
        ),
    ],
)
def test_a_hostile_file_is_refused_at_the_limit(text: str, problem: str) -> None:
    """Nothing that grows beyond its size is ever built."""
    assert told(text) == [problem]


@pytest.mark.parametrize("loader", [yaml.Loader, document._LOADER])
@pytest.mark.parametrize("levels", [51, 999, 1_001, 5_000])
def test_the_limit_does_not_depend_on_the_parser(
    monkeypatch: pytest.MonkeyPatch, loader: type[yaml.Loader], levels: int
) -> None:
    """PyYAML's two parsers give up at different depths, or never; the limit, its place and its words are ours."""
    monkeypatch.setattr(document, "_LOADER", loader)
    assert told(f"a: {nested(levels)}") == ["1:53: error: values are nested more than 50 deep here"]


@pytest.mark.parametrize("failure", [MemoryError, RecursionError])
def test_a_parser_that_runs_out_of_memory_is_told(monkeypatch: pytest.MonkeyPatch, failure: type[Exception]) -> None:
    """What a library cannot cope with is a problem of the file, with the place where it began, and not a crash."""
    parse_events = yaml.parse

    def fail_after_some(text: str, **options: type[yaml.Loader]) -> Iterator[yaml.Event]:
        yield from list(parse_events(text, **options))[:7]
        raise failure

    monkeypatch.setattr(yaml, "parse", fail_after_some)
    assert told("a: 1\nb: [2, 3]\n") == [
        "2:4: error: what begins here takes more memory to read than there is; split the file"
    ]


def test_depth_50_is_read() -> None:
    """The limit itself is allowed, with aliases expanded too."""
    assert json.dumps(value_of(nested(50))) == nested(50)
    assert value_of(f"[[[&a {nested(47)}, *a]]]") is not None
    assert told(f"[[[[&a {nested(46)}, [*a]]]]]") == [
        f"1:{8 + 92 + 3}: error: with the alias '*a' expanded, values are nested more than 50 deep"
    ]


def test_the_number_of_values_is_limited_with_aliases_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit itself is allowed; one value more, written or expanded, is not."""
    monkeypatch.setattr(document, "MAX_NODES", 10)
    assert value_of(f"[{', '.join('123456789')}]") == [*range(1, 10)]
    assert told(f"[{', '.join('1234567890')}]") == ["1:29: error: the file has more than 10 values; split the file"]
    assert value_of("[&a [1, 2], *a, *a]") == [[1, 2]] * 3
    assert told("[&a [1, 2], *a, *a, 3]") == ["1:21: error: the file has more than 10 values; split the file"]
    assert told("[&a [1, 2, 3], *a, *a]") == [
        "1:20: error: with its aliases (*name) expanded, the file has more than 10 values; split the file"
    ]


FRAGMENTS = st.sampled_from(
    [
        *["a", "b", "key", "1", "0755", "-2.5", "true", "~", "yes", "22:00", "<<", "é", "🎥", "x y", "#c", " #c"],
        *[": ", ":", "- ", "-", "? ", ", ", "[", "]", "{", "}", "\n", "\n", "\n  ", "\n    ", "\r\n", " ", "\t"],
        *["'", '"', "''", "\\", "\\d", "\\x41", "\\b", '"\\ud800"', '"\\UFFFFFFFF"', "|\n ", ">-\n  ", "&a ", "*a"],
        *["&b ", "*b", "<<: *a", "!!str ", "!!int ", "!foo ", "! ", "!<", ">", "---", "\n---\n", "\n...\n", "%"],
        *["%YAML 1.2\n", "%TAG ! x\n", "@", "`", "\x00", "\x07", "\u2028", "\ufeff"],
    ]
)
YAMLISH = st.lists(FRAGMENTS, max_size=40).map("".join)


def assert_is_an_answer(data: bytes) -> None:
    """Check what holds for every document: a node, or problems, or nothing; problems with places in the file."""
    node, problems = parse(data)
    lines = data.count(b"\n") + data.count(b"\r") + 2
    for problem in problems:
        assert problem.severity is Severity.ERROR
        assert problem.place.file == FILE
        assert 0 <= problem.place.line <= lines
        assert str(problem).isprintable()
    assert [p.place for p in problems] == sorted(p.place for p in problems)
    if node is not None:
        json.dumps(document.plain(node), allow_nan=False).encode()


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_give_a_node_or_problems(data: bytes) -> None:
    """Nothing that can be in a file raises."""
    assert_is_an_answer(data)


@settings(max_examples=400)
@given(YAMLISH)
@example("a: {")
@example("%TAG ! x\n\x07")
def test_any_yaml_like_text_gives_a_node_or_problems(text: str) -> None:
    """Nothing that looks like YAML raises, and a document is never silently nothing."""
    assert_is_an_answer(text.encode())


@settings(max_examples=300)
@given(YAMLISH.filter(lambda text: "\t" not in text and not text.isspace()))
@example('"\\ud800"')
@example('"\\UFFFFFFFF"')
def test_both_parsers_of_pyyaml_give_the_same_values(text: str) -> None:
    """Where libyaml is not installed, what it reads is read to the same values and places, and never raises."""
    by_libyaml = parse(text)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(document, "_LOADER", yaml.Loader)
        assert_is_an_answer(text.encode())
        by_python = parse(text)
    # They disagree on where a value is that is not written at all.
    if not by_libyaml[1] and not by_python[1]:
        assert written_in(by_libyaml[0]) == written_in(by_python[0])


@settings(max_examples=300)
@given(YAMLISH)
def test_a_place_is_where_the_text_is(text: str) -> None:
    """At the place of a plain scalar its text begins."""
    node, _ = parse(text)
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for scalar in nodes_of(node) if node is not None else ():
        if not isinstance(scalar, ScalarNode) or scalar.quoted or not scalar.text:
            continue
        written = lines[scalar.place.line - 1][scalar.place.column - 1 :]
        assert written.startswith((scalar.text.split()[0], "&", "*", "!"))


WORDS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn"], exclude_characters="\ufeff"), max_size=20
)
JSON_VALUES = st.recursive(
    WORDS
    | st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda values: st.lists(values, max_size=5) | st.dictionaries(WORDS, values, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(WORDS, JSON_VALUES, max_size=5))
def test_json_reads_as_itself(value: dict[str, object]) -> None:
    """YAML 1.2 contains JSON: a rule file written by a program reads as it was meant."""
    assert value_of(json.dumps(value, ensure_ascii=False)) == value
    assert value_of(json.dumps(value, ensure_ascii=False, indent=2)) == value
