"""Rule tests: questions with the answers that an admin expects, kept beside the rules in ``*.test.yaml``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from policy_server.pexip.parameters import PARAMETERS, RequestType, parameters_of
from policy_server.pexip.query import QuestionError
from policy_server.pexip.requests import IDP_PREFIX, encode_query, parse_request
from policy_server.policy.answers import render_answer
from policy_server.policy.evaluate import evaluate
from policy_server.policy.links import make_link
from policy_server.policy.ruleset import LinkType, Ruleset
from policy_server.policy.sessions import NONCE_BYTES, Keyring
from policy_server.rulefiles.document import parse_document
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode, plain
from policy_server.rulefiles.problems import Place, Problem, one_of, shown, unknown_key
from policy_server.rulefiles.reader import Report, Table

TEST_KEYS: Final = ("name", "description", "at", "link", "request", "expect")
EXPECT_KEYS: Final = ("rule", "action", "result")
LINK_KEYS: Final = ("type", "attributes", "state", "name")
LINK_STATES: Final = ("valid", "expired", "invalid")
ACTIONS: Final = ("continue", "reject", "redirect", "failure")

_LINK_LIFE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One question, when and with which link it is asked, and what is expected of the answer."""

    name: str
    place: Place
    at: datetime
    request_type: RequestType
    fields: Mapping[str, str | list[str]]
    link: str
    link_state: str
    link_attributes: Mapping[str, str]
    expect: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """How a rule test went: the differences, one a line, are empty when it passed."""

    __test__ = False

    test: RuleTest
    differences: tuple[str, ...]
    findings: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether the answer was as expected."""
        return not self.differences


def parse_tests(
    documents: Mapping[str, bytes], links: Mapping[str, LinkType], now: datetime
) -> tuple[tuple[RuleTest, ...], tuple[Problem, ...]]:
    """Reads rule tests; a test without ``at`` happens ``now``."""
    report = Report()
    tests: list[RuleTest] = []
    for file, data in sorted(documents.items()):
        node, problems = parse_document(file, data)
        report.problems += problems
        if node is None:
            continue
        if not isinstance(node, MappingNode):
            report.error(node.place, "a file of rule tests begins with tests:")
            continue
        table = Table(node, "a file of rule tests", report)
        table.finish(("tests",))
        for item in table.sequence("tests"):
            test = _read_test(item, links, now, report)
            if test is not None:
                tests.append(test)
    return tuple(tests), tuple(report.problems)


def _read_test(node: Node, links: Mapping[str, LinkType], now: datetime, report: Report) -> RuleTest | None:
    if not isinstance(node, MappingNode):
        report.error(node.place, f"a rule test must have name, request and expect but is {shown(plain(node))}")
        return None
    before = len(report.problems)
    table = Table(node, "a rule test", report)
    table.finish(TEST_KEYS)
    name = table.text("name", required=True) or ""
    at = _read_time(table, now)
    link, state, attributes = _read_link(table, links)
    request_type, fields = _read_request(table)
    expect = table.table("expect")
    if expect is None:
        if "expect" not in table:
            table.missing("expect")
    else:
        expect.finish(EXPECT_KEYS)
        expect.choice("action", ACTIONS)
        if not tuple(expect):
            table.error("expect", "expect is empty, so the test could not fail; name a rule, an action or a result")
    uses_link = any("{alias}" in value or "{session}" in value for value in fields.values() if isinstance(value, str))
    if uses_link and not link:
        table.error("request", "{alias} and {session} need a link: name its type, as in link: {type: patient}")
    if len(report.problems) > before or expect is None or request_type is None or at is None:
        return None
    expected = plain(expect.node)
    wanted = expected if isinstance(expected, dict) else {}
    return RuleTest(name, node.place, at, request_type, fields, link, state, attributes, wanted)


def _read_time(table: Table, now: datetime) -> datetime | None:
    text = table.written("at")
    if text is None:
        return now
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        message = f"at must be a moment with its offset, such as 2026-11-23T10:00:00-06:00, but is {shown(text)}"
        table.error("at", message)
        return None
    return at


def _read_link(table: Table, links: Mapping[str, LinkType]) -> tuple[str, str, dict[str, str]]:
    link = table.table("link")
    if link is None:
        return "", "valid", {}
    link.finish(LINK_KEYS)
    kind = link.text("type", required=True) or ""
    if kind and kind not in links:
        link.error("type", one_of("type", links, kind))
    attributes: dict[str, str] = {}
    below = link.table("attributes")
    for name in below or ():
        text = below.text(name) if below else None
        if text is not None:
            attributes[name] = text
    return kind, link.choice("state", LINK_STATES, default="valid"), attributes


def _read_request(table: Table) -> tuple[RequestType | None, dict[str, str | list[str]]]:
    request = table.table("request")
    if request is None:
        if "request" not in table:
            table.missing("request")
        return None, {}
    words = tuple(kind.value for kind in RequestType)
    kind = request.text("type", required=True)
    if kind is None or kind not in words:
        if kind is not None:
            request.error("type", one_of("type", words, kind))
        return None, {}
    request_type = RequestType(kind)
    known = {parameter.name for parameter in parameters_of(request_type)}
    fields: dict[str, str | list[str]] = {}
    for entry in request.node.entries:
        if entry.name == "type":
            continue
        if entry.name not in known and entry.name not in PARAMETERS and not entry.name.startswith(IDP_PREFIX):
            names = ("type", *sorted(known), f"{IDP_PREFIX}NAME")
            request.report.error(entry.key.place, unknown_key(entry.name, names, "request"))
        elif isinstance(entry.value, SequenceNode):
            fields[entry.name] = [_wire_text(item) for item in entry.value.items]
        else:
            fields[entry.name] = _wire_text(entry.value)
    return request_type, fields


def _wire_text(node: Node) -> str:
    """A value as a node would send it: booleans are the words True and False."""
    if isinstance(node, ScalarNode):
        return str(node.value) if isinstance(node.value, bool) else ("" if node.value is None else node.text)
    return str(plain(node))


def run_test(test: RuleTest, ruleset: Ruleset, keyring: Keyring, on_failure: str = "continue") -> TestOutcome:
    """Asks the evaluator, and compares."""
    fields = dict(test.fields)
    if test.link:
        # Made from the test's name, so that `percent` and PINs are the same on every run.
        nonce = sha256(test.name.encode()).digest()[:NONCE_BYTES]
        signer = Keyring(b"another key, so that the link is invalid") if test.link_state == "invalid" else keyring
        life = -_LINK_LIFE if test.link_state == "expired" else _LINK_LIFE
        link = make_link(ruleset.links[test.link], signer, test.at + life, nonce)
        fields = {name: _filled(value, link.alias, link.agent_alias, link.session) for name, value in fields.items()}
    path_alias = fields.pop("alias", "")
    try:
        request = parse_request(
            test.request_type, encode_query(fields).encode(), path_alias if isinstance(path_alias, str) else ""
        )
    except QuestionError as error:
        return TestOutcome(test, (f"the question cannot be understood: {error}",))
    decision = evaluate(ruleset, request, test.at, keyring, test.link_attributes)
    answer = render_answer(test.request_type, decision, on_failure)
    got: dict[str, object] = {
        "rule": decision.rule,
        "action": "failure" if answer["status"] == "failure" else answer.get("action"),
        "result": answer.get("result"),
    }
    differences = tuple(
        difference
        for key in EXPECT_KEYS
        if key in test.expect
        for difference in compare(key, test.expect[key], got[key])
    )
    rows = tuple(
        f"{finding.rule}: {finding.outcome}{f' ({finding.reason})' if finding.reason else ''}"
        for finding in decision.trace.findings()
        if finding.outcome != "not_evaluated"
    )
    return TestOutcome(test, differences, rows if differences else ())


def _filled(value: str | list[str], alias: str, agent_alias: str, session: str) -> str | list[str]:
    if isinstance(value, list):
        return [str(_filled(item, alias, agent_alias, session)) for item in value]
    return value.replace("{alias}", alias).replace("{agent_alias}", agent_alias).replace("{session}", session)


def compare(path: str, expected: object, got: object) -> Iterator[str]:
    """The differences, field by field: fields that are not expected may hold anything, lists must be as long."""
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            yield f"{path}: expected fields {', '.join(map(str, expected))} but got {_value(got)}"
            return
        for key, value in expected.items():
            if key in got:
                yield from compare(f"{path}.{key}", value, got[key])
            elif value is not None:
                yield f"{path}.{key}: expected {_value(value)} but it is absent"
    elif isinstance(expected, list):
        if not isinstance(got, list) or len(got) != len(expected):
            yield f"{path}: expected {len(expected)} entries but got {len(got) if isinstance(got, list) else _value(got)}"
            return
        for number, (value, actual) in enumerate(zip(expected, got, strict=True)):
            yield from compare(f"{path}[{number}]", value, actual)
    elif type(expected) is not type(got) or expected != got:
        yield f"{path}: expected {_value(expected)} but got {_value(got)}"


def _value(value: object) -> str:
    return "nothing" if value is None else shown(value)
