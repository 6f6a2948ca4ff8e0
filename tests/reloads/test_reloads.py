"""Reloads under a load of questions: a short run of ``make reloads``, and that it would notice."""

from pathlib import Path

import pytest

from tests.reloads.run import BREAKS, Load, Report, Rules, reloads

pytestmark = pytest.mark.slow

MIXED = b'{"status":"success","result":{"name":"q-1 n%dn","service_tag":"n%dn","pin":"1234%06d"},"rule":"served-n%dn"}'


def test_no_answer_fails_and_none_is_of_two_revisions(tmp_path: Path) -> None:
    """Whatever is put into the folder while nodes ask: each answer is whole, of one revision, and of none that was refused."""
    report = reloads(tmp_path, 24, seed=4)
    assert report.offences == []
    assert report.answers > 100
    assert len(report.revisions) > 8
    assert len(report.reloads) > 3


@pytest.mark.parametrize(
    ("status", "body", "latest", "fault"),
    [
        (200, MIXED % (3, 3, 3, 3), 2, ""),
        (200, MIXED % (3, 2, 3, 3), 2, "revisions [2, 3]"),
        (200, MIXED % (3, 3, 2, 3), 2, "revisions [2, 3]"),
        (200, MIXED % (3, 3, 3, 2), 2, "revisions [2, 3]"),
        (200, MIXED % (4, 4, 4, 4), 2, "which is broken"),
        (200, MIXED % (2, 2, 2, 2), 3, "after 3"),
        (200, b'{"status":"failure","action":"continue"}', 0, "status 200"),
        (200, b'{"status":"success","action":"continue"}', 0, "revisions []"),
        (500, b"{}", 0, "status 500"),
    ],
)
def test_what_is_wrong_is_noticed(status: int, body: bytes, latest: int, fault: str) -> None:
    """Fields of two revisions, a revision that is broken or over, an answer without rules, a failure."""
    report = Report()
    Load(1, {2, 3}, report)._look("q-1", status, body, latest)
    assert bool(fault) == bool(report.offences)
    assert fault in "".join(report.offences)


@pytest.mark.parametrize("broken", ["", *BREAKS])
def test_a_revision_is_good_or_broken(tmp_path: Path, broken: str) -> None:
    """What is called broken is refused by the loader or for what is missing, and what is not is good."""
    from policy_server.rulefiles.store import RuleStore
    from tests.web.samples import NOW

    rules = Rules(tmp_path)
    rules.put(0)
    store = RuleStore(rules.path, lambda: NOW, {})
    rules.put(1, broken)
    assert store.reload() is (broken == "")
    assert store.state.refused is (broken != "")
