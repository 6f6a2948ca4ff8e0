"""Rule tests: questions with the answers that an admin expects, kept beside the rules in ``*.test.yaml``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final

from policy_server.pexip.parameters import PARAMETERS, parameters_of
from policy_server.pexip.query import QuestionError
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import IDP_PREFIX, PolicyRequest, encode_query, parse_request
from policy_server.policy.answers import render_answer
from policy_server.policy.decisions import Decision, Forward
from policy_server.policy.facts import KnownLink
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.policy.ruleset import LinkType, Ruleset
from policy_server.rulefiles import leg_tests
from policy_server.rulefiles.document import parse_document
from policy_server.rulefiles.document_nodes import MappingNode, Node, ScalarNode, SequenceNode, plain
from policy_server.rulefiles.expectations import compare
from policy_server.rulefiles.leg_tests import (
    NO_LEGS,
    LegTests,
    PlayLegs,
    differences_of_legs,
    read_expectations,
    read_legs,
)
from policy_server.rulefiles.problems import Place, Problem
from policy_server.rulefiles.reader import Report, Table, kind_of, near_hint, shown_node
from policy_server.rulefiles.ruletest_links import KeptLink, TestLink, read_link, read_time
from policy_server.rulefiles.upstream_tests import answered_in_test, read_upstream_answers
from policy_server.wording.values import shown
from policy_server.wording.words import listed, one_of, unknown_key

Decide = Callable[
    [Ruleset, Sequence[PolicyRequest], datetime, Keyring, Mapping[str, str], Mapping[str, KnownLink]], Decision
]
"""Decides the last of some questions that are asked in order: rules, questions, time, keys, attributes of the link, and what
is known of links by their calls.
"""

TEST_KEYS: Final = ("name", "description", "at", "link", "before", "upstream", "request", "legs", "expect")
FORWARD: Final = "forward"
"""The action of an answer that a test leaves to an upstream: nobody is asked."""
_OF_ANSWERS: Final = ("rule", "action", "result")
EXPECT_KEYS: Final = (*_OF_ANSWERS, *leg_tests.EXPECT_KEYS)
ACTIONS: Final = (*dict.fromkeys(action for kind in RequestType for action in kind.about.actions), FORWARD, "failure")

LINK_WORDS: Final = ("{alias}", "{agent_alias}", "{session}", "{call}")
"""What stands for the test's link in its question; as in rules ``{call}`` is the call that it joins, if it does."""

JOINED_WORDS: Final = ("{joins.alias}", "{joins.agent_alias}", "{joins.session}")
"""What stands for the link that it joins."""


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One question, when and with which link it is asked, and what is expected of the answer."""

    name: str
    place: Place
    at: datetime
    request_type: RequestType
    fields: Mapping[str, str | list[str]]
    link: TestLink | None
    expect: Mapping[str, object]
    before: tuple[Mapping[str, str | list[str]], ...] = ()
    """The service questions of those who came before, which may hold the room."""
    upstream: Mapping[str, "bytes | str"] = field(default_factory=dict, repr=False)
    """What upstreams answer, by name: a body, or why there is none."""
    legs: LegTests = NO_LEGS
    """What trunks do with calls; the call is played if there are any."""


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
    documents: Mapping[str, bytes], ruleset: Ruleset | None, now: datetime
) -> tuple[tuple[RuleTest, ...], tuple[Problem, ...]]:
    """Reads rule tests; a test without ``at`` happens ``now``. ``ruleset`` is ``None`` when the rules cannot be used, and
    then any link type and any rule may be meant.
    """
    report = Report()
    tests: list[RuleTest] = []
    for file, data in sorted(documents.items()):
        node, problems = parse_document(file, data)
        report.add(problems)
        if node is None:
            continue
        if not isinstance(node, MappingNode):
            report.error(node.place, f"a file of rule tests begins with tests: but this is {kind_of(node)}")
            continue
        table = Table(node, "a file of rule tests", report)
        table.finish(("tests",))
        for item in table.sequence("tests", "a list of rule tests, each beginning with -,"):
            test = _read_test(item, ruleset, now, report)
            if test is not None:
                tests.append(test)
    return tuple(tests), report.in_order()


def _read_test(node: Node, ruleset: Ruleset | None, now: datetime, report: Report) -> RuleTest | None:
    if not isinstance(node, MappingNode):
        report.error(node.place, f"a rule test must have name, request and expect but is {shown_node(node)}")
        return None
    before = report.errors
    table = Table(node, "a rule test", report)
    table.finish(TEST_KEYS)
    table.text("description")
    name = table.text("name", required=True) or ""
    at = read_time("at", table) if "at" in table else now
    links = ruleset.links if ruleset else None
    link = read_link(table, links)
    kind = links.get(link.type) if links and link is not None else None
    joined = links.get(kind.joins) if links and kind is not None else None
    request_type, fields = _read_request(table)
    earlier = _read_before(table)
    upstream = read_upstream_answers(table, ruleset.upstreams if ruleset else None)
    for question in earlier:
        _check_link_words(table, question, kind, joined)
    _check_link_words(table, fields, kind, joined)
    legs = read_legs(table, request_type, ruleset)
    expect = _read_expect(table, legs)
    _check_rule(table, request_type, ruleset)
    if report.errors > before or expect is None or request_type is None or at is None:
        return None
    return RuleTest(name, node.place, at, request_type, fields, link, expect, tuple(earlier), upstream, legs)


def _read_request(table: Table) -> tuple[RequestType | None, dict[str, str | list[str]]]:
    request = table.table("request", "keys and values such as {type: service, local_alias: …}")
    if request is None:
        if "request" not in table:
            table.missing("request")
        return None, {}
    return _read_question(request)


def _read_before(table: Table) -> list[Mapping[str, str | list[str]]]:
    """The questions of those who came before."""
    earlier: list[Mapping[str, str | list[str]]] = []
    for node in table.nodes("before"):
        if not isinstance(node, MappingNode):
            table.wrong("before", node, "a question such as {type: service, local_alias: …}, or a list of them,")
            continue
        question = Table(node, "before", table.report)
        kind, fields = _read_question(question)
        if kind is RequestType.SERVICE:
            earlier.append(fields)
        elif kind is not None:
            question.error("type", f"a {kind} question holds no room; before takes service questions")
    return earlier


def _read_question(request: Table) -> tuple[RequestType | None, dict[str, str | list[str]]]:
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
        name = entry.name
        if name == "type":
            continue
        if name not in known and name not in PARAMETERS and not name.startswith(IDP_PREFIX):
            names = ("type", *sorted(known), f"{IDP_PREFIX}NAME")
            request.error_at(entry.key.place, unknown_key(name, names, request.where))
            continue
        texts = [_wire_text(item) for item in request.nodes(name)]
        many = isinstance(entry.value, SequenceNode)
        if None in texts or (many and name == "alias"):
            wanted = "the alias of the question's path" if name == "alias" else "what Pexip sends, or a list of it,"
            request.wrong(name, entry.value, wanted)
        else:
            good = [text for text in texts if text is not None]
            fields[name] = good if many else good[0]
    return request_type, fields


def _wire_text(node: Node) -> str | None:
    """A value as a node would send it, booleans as the words True and False; ``None`` when it has parts."""
    if not isinstance(node, ScalarNode):
        return None
    return str(node.value) if isinstance(node.value, bool) else ("" if node.value is None else node.text)


def _check_link_words(
    table: Table, fields: Mapping[str, str | list[str]], link: LinkType | None, joined: LinkType | None
) -> None:
    """Reports {alias} and the like in a question without a link that they could stand for."""
    texts = [text for value in fields.values() for text in ([value] if isinstance(value, str) else value)]
    used = [word for word in (*LINK_WORDS, *JOINED_WORDS) if any(word in text for text in texts)]
    of_joined = [word for word in used if word in JOINED_WORDS]
    if used and "link" not in table:
        table.error(
            "request",
            f"{listed(used)} need{'s' * (len(used) == 1)} a link: name its type, as in link: {{type: patient}}",
        )
    elif of_joined and link is not None and joined is None:
        table.error(
            "request",
            f"{listed(of_joined)} need{'s' * (len(of_joined) == 1)} a link that joins another, and link type "
            f"{shown(link.name)} joins none",
        )
    elif "{agent_alias}" in used and link is not None and link.agent_alias is None:
        remedy = "add it under links, or write {alias}" if joined is None else "write {joins.agent_alias}"
        table.error("request", f"link type {shown(link.name)} has no agent_alias; {remedy}")
    elif "{joins.agent_alias}" in used and joined is not None and joined.agent_alias is None:
        table.error("request", f"link type {shown(joined.name)} has no agent_alias; add it under links")


def _read_expect(table: Table, legs: LegTests) -> Mapping[str, object] | None:
    expect = table.table("expect", "keys and values such as {rule: patient}")
    if expect is None:
        if "expect" not in table:
            table.missing("expect")
        return None
    expect.finish(EXPECT_KEYS)
    expect.choice("action", ACTIONS)
    rule = expect.value("rule")
    if isinstance(rule, ScalarNode) and rule.value is None:
        pass  # No rule shall match.
    else:
        expect.text("rule")
    read_expectations(table, expect, legs)
    if not tuple(expect):
        table.error("expect", "expect is empty, so the test could not fail; name a rule, an action or a result")
    expected = plain(expect.node)
    return expected if isinstance(expected, dict) else None


def _check_rule(table: Table, request_type: RequestType | None, ruleset: Ruleset | None) -> None:
    """Warns of an expected rule that does not exist: the test could not pass."""
    expect = table.table("expect") if isinstance(table.value("expect"), MappingNode) else None
    node = expect.value("rule") if expect is not None else None
    if expect is None or not isinstance(node, ScalarNode) or request_type is None or ruleset is None:
        return
    if isinstance(node.value, str) and (fault := _rule_fault(node.value, request_type, ruleset)):
        expect.warning("rule", fault)


def _rule_fault(rule: str, request_type: RequestType, ruleset: Ruleset) -> str:
    """Why no rule of this id can answer a question; ``""`` when there is one, and where there are no rules at all."""
    rules = ruleset.lists.get(request_type)
    if rules is None:
        return ""
    known = [each.id for each in rules.rules]
    if rule in known:
        return ""
    for other, others in ruleset.lists.items():
        if any(each.id == rule for each in others.rules):
            return f"rule {shown(rule)} answers {other} questions, and this is a {request_type} question"
    return f"there is no rule {shown(rule)} for {request_type} questions{near_hint(rule, known)}"


def run_test(
    test: RuleTest,
    ruleset: Ruleset,
    keyring: Keyring,
    decide: Decide,
    play_legs: PlayLegs,
    on_failure: str = "continue",
) -> TestOutcome:
    """Asks in order what was asked before and the test's own question, and compares the last answer, and the call that is
    played by it if the test says what its legs do.
    """
    asked: list[tuple[RequestType, Mapping[str, str | list[str]]]]
    asked = [*((RequestType.SERVICE, fields) for fields in test.before), (test.request_type, test.fields)]
    expect: Mapping[str, object] = test.expect
    link = test.link
    attributes: Mapping[str, str] = {}
    links: dict[str, KnownLink] = {}
    if link is not None:
        made = link.make(ruleset.links[link.type], keyring, test.at, _nonce(test.name))
        words = dict(zip(LINK_WORDS, (made.alias, made.agent_alias, made.call.session, made.call.id), strict=True))
        attributes = link.attributes
        if (joined := link.joins) is not None:
            other = joined.make(ruleset.links[joined.type], keyring, test.at, _nonce(f"{test.name} joins"))
            theirs = (other.alias, other.agent_alias, other.call.session)
            words |= {"{call}": other.call.id, **dict(zip(JOINED_WORDS, theirs, strict=True))}
            links = {
                made.call.id: KeptLink(attributes, other.call.id),
                other.call.id: KeptLink(joined.attributes),
            }
            attributes = {}
        asked = [(about, _filled_question(fields, words)) for about, fields in asked]
        expect = {key: _filled(value, words) for key, value in expect.items()}
    try:
        questions = [_question(kind, fields) for kind, fields in asked]
    except QuestionError as error:
        return TestOutcome(test, (f"the question cannot be understood: {error}",))
    decision = decide(ruleset, questions, test.at, keyring, attributes, links)
    reasons: tuple[str, ...] = ()
    if isinstance(decision, Forward) and decision.upstream.name in test.upstream:
        decision = answered_in_test(decision, questions[-1], test.upstream[decision.upstream.name], ruleset.names)
        reasons = (decision.reason,)
    got = _told(test.request_type, decision, on_failure)
    differences = tuple(
        difference for key in _OF_ANSWERS if key in expect for difference in compare(key, expect[key], got[key])
    )
    rule = test.expect.get("rule")
    if isinstance(rule, str) and rule != decision.rule and (fault := _rule_fault(rule, test.request_type, ruleset)):
        differences = (*differences, fault)
    if test.legs.fates:
        of_legs, happened = differences_of_legs(test.legs, expect, ruleset, decision, test.at, play_legs)
        differences, reasons = (*differences, *of_legs), (*reasons, *happened)
    rows = tuple(
        f"{finding.rule}: {finding.outcome}{f' ({finding.reason})' if finding.reason else ''}"
        for finding in decision.trace.findings()
        if finding.outcome != "not_evaluated"
    )
    return TestOutcome(test, differences, (*rows, *reasons) if differences else ())


def _told(request_type: RequestType, decision: Decision, on_failure: str) -> dict[str, object]:
    """What expectations are compared with."""
    if isinstance(decision, Forward):
        return {"rule": decision.rule, "action": FORWARD, "result": None}
    answer = render_answer(request_type, decision, on_failure)
    return {
        "rule": decision.rule,
        # Answers about media locations and the directory have no action, which means the same.
        "action": "failure" if answer["status"] == "failure" else answer.get("action", "continue"),
        "result": answer.get("result"),
    }


def _nonce(text: str) -> bytes:
    """The random bytes of a link: of the test's name, so that `percent` and PINs are the same on every run."""
    return sha256(text.encode()).digest()[:NONCE_BYTES]


def _question(kind: RequestType, fields: Mapping[str, str | list[str]]) -> PolicyRequest:
    path_alias = fields.get("alias", "")
    query = encode_query({name: value for name, value in fields.items() if name != "alias"})
    return parse_request(kind, query.encode(), path_alias if isinstance(path_alias, str) else "")


def _filled_question(fields: Mapping[str, str | list[str]], words: Mapping[str, str]) -> dict[str, str | list[str]]:
    return {
        name: _filled_text(value, words) if isinstance(value, str) else [_filled_text(item, words) for item in value]
        for name, value in fields.items()
    }


def _filled_text(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _filled(value: object, words: Mapping[str, str]) -> object:
    """An expectation in which the link's words stand for what they are."""
    match value:
        case str():
            return _filled_text(value, words)
        case list():
            return [_filled(item, words) for item in value]
        case dict():
            return {key: _filled(item, words) for key, item in value.items()}
        case _:
            return value
