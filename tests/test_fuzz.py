"""The fuzzer: a short run of it, and that it would notice."""

from pathlib import Path
from shutil import copytree

import pytest

from policy_server.simulator.judge import HttpAnswer
from tests.fuzz import Report, examine, fuzz
from tests.fuzz_questions import QUERY_LIMIT, Question, QuestionMaker, cannot_be_understood
from tests.golden.exchange import RULES, read_all

GOOD = QuestionMaker(1, [b"/policy/v1/registrations?q=a"], []).make(0).authorization
JSON = "application/json"


def _question(target: bytes, method: bytes = b"GET") -> Question:
    return Question(method, target, GOOD)


def test_a_short_fuzz_run() -> None:
    """2,000 hostile questions over HTTP: every answer in good time, and none that a node would discard."""
    report = fuzz(range(2000), seed=2, seconds=60)
    assert not report.failed, "\n".join(report.lines())
    assert report.sent == 2000
    assert report.statuses[200] > 1500
    assert report.statuses[401] > 20
    assert report.statuses[405] > 20
    assert {"service", "redirect", "reject", "properties", "location", "credentials", "directory", "picture"} <= set(
        report.outcomes
    )
    assert report.slowest < 5


def test_fuzz_notices_a_server_that_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With other rules than the deployment has names for, the judge refuses answers, and the run fails."""
    rules = copytree(RULES, tmp_path / "rules")
    for path in rules.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("DMZ, London, Oslo", "DMZ, London, Bergen").replace("Oslo", "Bergen"), "utf-8")
    monkeypatch.setattr("tests.fuzz.RULES", rules)
    report = fuzz(range(400), seed=3, seconds=60)
    assert report.failed
    assert set(report.offences) == {"refused by the judge"}
    assert any("no system location of that name" in offence.reason for offence in report.first)


SERVICE = b"/policy/v1/service/configuration?local_alias=x"
CONTINUE = b'{"status": "success", "action": "continue"}'
FAILURE = b'{"status": "failure", "action": "continue", "rule": null}'


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        (_question(SERVICE), HttpAnswer(200, JSON, CONTINUE), None),
        (_question(SERVICE), HttpAnswer(500, JSON, b"{}"), "5xx"),
        (_question(SERVICE), HttpAnswer(503, "", b""), "5xx"),
        (_question(SERVICE), HttpAnswer(200, "text/html", b"<html>"), "refused by the judge"),
        (_question(SERVICE), HttpAnswer(200, JSON, b'{"status": "success", "action": "x"}'), "refused by the judge"),
        (_question(SERVICE), HttpAnswer(200, JSON, CONTINUE, seconds=6), "refused by the judge"),
        (_question(SERVICE), HttpAnswer(200, JSON, FAILURE), "failure without a reason"),
        (_question(SERVICE), HttpAnswer(200, JSON, FAILURE.replace(b"null", b'"a-rule"')), None),
        (_question(SERVICE + b"&local_alias=y"), HttpAnswer(200, JSON, FAILURE), None),
        (_question(SERVICE + b"&local_alias=y"), HttpAnswer(200, JSON, CONTINUE), "failure without a reason"),
        (_question(SERVICE), HttpAnswer(401, "", b""), "wrong status"),
        (Question(b"GET", SERVICE, None), HttpAnswer(401, "", b""), None),
        (Question(b"GET", SERVICE, b"Basic x"), HttpAnswer(200, JSON, CONTINUE), "wrong status"),
        (_question(SERVICE), HttpAnswer(405, "", b""), "wrong status"),
        (_question(SERVICE, b"POST"), HttpAnswer(405, "", b""), None),
        (_question(SERVICE, b"POST"), HttpAnswer(200, JSON, CONTINUE), "wrong status"),
        (_question(SERVICE), HttpAnswer(400, "", b""), "wrong status"),
        (_question(SERVICE + b" "), HttpAnswer(400, "", b""), None),
        (_question(SERVICE), HttpAnswer(302, "", b""), "wrong status"),
        (_question(b"/healthz"), HttpAnswer(401, "", b""), "wrong status"),
        (_question(b"/policy/v1/participant/avatar/a?width=9&width=9"), HttpAnswer(200, JSON, FAILURE), None),
        (_question(b"/policy/v1/participant/avatar/a"), HttpAnswer(200, JSON, CONTINUE), "refused by the judge"),
        (_question(b"/policy/v1/registrations/a/b"), HttpAnswer(200, JSON, CONTINUE), None),
        (_question(b"/policy/v1/registrations/a/b"), HttpAnswer(200, JSON, b"[]"), "refused by the judge"),
    ],
)
def test_what_counts_as_an_offence(question: Question, answer: HttpAnswer, kind: str | None) -> None:
    """Each kind of bad answer is noticed, and nothing else."""
    report = Report()
    examine(1, question, answer, report)
    assert list(report.offences) == ([] if kind is None else [kind])
    assert report.failed is (kind is not None)
    assert "\n".join(report.lines()).count("question 1: ") == (0 if kind is None else 1)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", False),
        (b"local_alias=a&remote_alias=a", False),
        (b"local_alias=a&local_alias=a", True),
        (b"local_alias&local_alias=", True),
        (b"local_alias=a&LOCAL-ALIAS=b", True),
        (b"local_alias=a&%6Cocal_alias=b", True),
        (b"idp_attribute_q=a&idp_attribute_q=b&zzz=1&zzz=2", False),
        (b"zzz=" + b"x" * (QUERY_LIMIT - 4), False),
        (b"zzz=" + b"x" * (QUERY_LIMIT - 3), True),
    ],
)
def test_what_cannot_be_understood(query: bytes, expected: bool) -> None:
    """A known parameter twice, however it is written, and more than 16 KiB."""
    assert cannot_be_understood(query) is expected


def test_a_seed_is_a_run() -> None:
    """The same seed and number make the same question, so that it can be sent again; another seed makes others."""
    targets = [golden.target.encode() for golden in read_all()]
    one, again, other = (QuestionMaker(seed, targets, [b"mpx"]) for seed in (4, 4, 5))
    made = [one.make(number) for number in range(300)]
    assert made == [again.make(number) for number in range(300)]
    assert made != [other.make(number) for number in range(300)]
    assert len(set(made)) > 280
