"""Every golden question gets exactly its golden answer, and a Conferencing Node would use it."""

import asyncio
from itertools import pairwise
from pathlib import Path
from shutil import copytree

import orjson
import pytest

from policy_server.rulefiles.store import load_folder
from policy_server.simulator.judge import HttpAnswer, Verdict, judge
from tests.golden.exchange import (
    DEPLOYMENT,
    KIOSK,
    MOMENT,
    RULES,
    Golden,
    ask,
    read_all,
    read_golden,
    render,
    store,
)

GOLDEN = read_all()
DECLINED = {"27-synthetic-hostile", "38-name-too-long"}
"""Questions that get a failure on purpose."""


@pytest.fixture(scope="module")
def answers() -> dict[str, HttpAnswer]:
    """The answer to every golden question."""
    rules = store()
    return {golden.target: asyncio.run(ask(rules, golden.target)) for golden in GOLDEN}


def _judged(golden: Golden, answer: HttpAnswer) -> Verdict:
    return judge(golden.url_path, golden.query, answer, deployment=DEPLOYMENT, running=_running(golden))


def _running(golden: Golden) -> dict[str, object] | None:
    """The room that a question about a call out of it is about: what the customer's question was answered."""
    if not golden.path.name.startswith("08-"):
        return None
    result: dict[str, object] = orjson.loads(GOLDEN[0].answer.partition("\n")[2])["result"]
    return result


def test_every_question_has_a_number_of_its_own() -> None:
    """The 29 questions of the reference (pexip/README.md: Example questions) and ours are there, without a gap."""
    numbers = [int(golden.path.name[:2]) for golden in GOLDEN]
    assert len(numbers) >= 44
    assert numbers[0] == 1
    assert all(second == first + 1 for first, second in pairwise(numbers))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.path.stem)
def test_answer_is_the_golden_one(golden: Golden, answers: dict[str, HttpAnswer]) -> None:
    """The whole HTTP answer, status, content type and body, is the one that was checked by eye."""
    assert render(answers[golden.target]) == golden.answer


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.path.stem)
def test_node_uses_the_answer(golden: Golden, answers: dict[str, HttpAnswer]) -> None:
    """The judge finds nothing wrong with the answer, in a deployment where the names of the rules exist."""
    verdict = _judged(golden, answers[golden.target])
    assert verdict.well_formed, verdict.objections
    assert verdict.used is (golden.path.stem not in DECLINED)


def test_every_rule_is_asked_for() -> None:
    """Each rule of the golden rules answers a question, but for those that only a signed link or a lottery reaches."""
    answered = {
        orjson.loads(golden.answer.partition("\n")[2]).get("rule")
        for golden in GOLDEN
        if "image/jpeg" not in golden.answer
    }
    rules = load_folder(RULES, MOMENT, environment=KIOSK)[0].ruleset
    assert rules is not None
    lists = rules.lists.values()
    silent = {rule.id for listed in lists for rule in listed.rules} - answered
    assert silent == {"visitor", "visited", "town-hall-trial", "retired"}


def test_written_files_read_back_the_same(tmp_path: Path) -> None:
    """A golden file that is written anew is read as the same question with the new answer."""
    for golden in GOLDEN:
        path = tmp_path / golden.path.name
        path.write_text(golden.text("200 text/plain\n"), encoding="utf-8")
        again = read_golden(path)
        assert (again.about, again.target, again.answer) == (golden.about, golden.target, "200 text/plain\n")
        assert golden.text(golden.answer) == golden.path.read_text(encoding="utf-8")


def test_another_rule_is_another_answer(tmp_path: Path) -> None:
    """The answers come from the rules: with another PIN in them the first golden answer no longer holds."""
    folder = copytree(RULES, tmp_path / "rules")
    deployment = folder / "10-deployment.yaml"
    deployment.write_text(deployment.read_text(encoding="utf-8").replace('"1234"', '"4321"'), encoding="utf-8")
    first = GOLDEN[0]
    rendered = render(asyncio.run(ask(store(folder), first.target)))
    assert rendered != first.answer
    assert rendered == first.answer.replace('"1234"', '"4321"')
