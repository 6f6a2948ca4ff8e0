"""The rules folder on disk: what is read, what a reload takes into force, and what it refuses."""

import gc
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.policy.ruleset import Rule
from policy_server.rulefiles import folder as folder_on_disk
from policy_server.rulefiles import store
from policy_server.rulefiles.document_text import MAX_BYTES
from policy_server.rulefiles.folder import Folder, read_folder
from policy_server.rulefiles.load import Loaded, load_rules
from policy_server.rulefiles.pages import TEMPLATE_BYTES
from policy_server.rulefiles.store import RulesError, RuleStore, load_folder
from tests.rulefiles.faults import NOW, picture

GOOD = "service: [ { id: one, reject: Closed } ]\n"
BETTER = "service: [ { id: two, reject: Closed } ]\n"
BAD = "service: [ { id: one, rejct: Closed } ]\n"
GONE = "rules: warning: rules that ran before this reload are gone: {}; put them back if that is not meant"
ODD = "service: [ { id: one, when: { percent: 0 }, reject: Closed } ]\n"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder with good rules."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yaml").write_text(GOOD)
    return folder


class Clock:
    """A clock that moves on by a second each time that it is read."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The time."""
        self.now += timedelta(seconds=1)
        return self.now


def open_store(folder: Path) -> RuleStore:
    """Load a folder as the server does."""
    return RuleStore(folder, Clock(), {"KIOSK": "hunter2"})


def ids(rule_store: RuleStore) -> list[str]:
    """The ids of the service rules in force."""
    return [rule.id for rule in rule_store.ruleset.lists[RequestType.SERVICE].rules]


def messages(rule_store: RuleStore) -> list[str]:
    """The problems that the state tells, without the folder."""
    return [str(problem).rpartition("/")[2] for problem in rule_store.state.problems]


# ---------------------------------------------------------------------- the first load


def test_the_first_load_takes_good_rules_into_force(rules: Path) -> None:
    """A store begins with rules, nothing refused, and the time of the load."""
    found = open_store(rules)
    assert ids(found) == ["one"]
    assert (found.state.refused, found.state.problems, found.reloads) == (False, (), {"loaded": 1, "refused": 0})
    assert found.state.at > NOW


def test_the_first_load_is_fatal_if_bad(rules: Path) -> None:
    """The error lists every problem of every file."""
    (rules / "b.yaml").write_text(BAD.replace("one", "two"))
    (rules / "c.yaml").write_text("service: [ { id: Three, reject: Closed } ]\n")
    with pytest.raises(RulesError) as raised:
        open_store(rules)
    assert [str(problem.place).rpartition("/")[2] for problem in raised.value.problems] == [
        "b.yaml:1:12",
        "b.yaml:1:23",
        "c.yaml:1:18",
    ]
    assert str(raised.value) == "3 problems in the rules"


def test_warnings_of_the_first_load_are_kept(rules: Path) -> None:
    """What deserves a look does not refuse the rules, and stays in the state."""
    (rules / "a.yaml").write_text(ODD)
    assert messages(open_store(rules)) == [
        "a.yaml:1:12: warning: rule 'one': can never match: percent is 0; to switch a rule off write enabled: false"
    ]


def test_a_missing_variable_refuses_the_rules_where_the_server_runs(rules: Path) -> None:
    """A password that the server does not have is found at once; a check elsewhere does not need it."""
    (rules / "a.yaml").write_text("registrations: [ { id: kiosk, allow: { username: x, password_env: DESK } } ]")
    with pytest.raises(RulesError):
        open_store(rules)
    assert load_folder(rules, NOW)[0].ruleset is not None
    assert load_folder(rules, NOW, environment={"DESK": "hunter2"}, deployed=True)[0].ruleset is not None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, ["rules: error: there is no rule file here; a rule file ends in .yaml"], id="nothing"),
        pytest.param(
            {"a.yml": GOOD},
            [
                "rules/a.yml: warning: rule files end in .yaml, so this one is not read; rename it to a.yaml",
                "rules: error: there is no rule file here; a rule file ends in .yaml",
            ],
            id="another ending",
        ),
        pytest.param(
            {
                "a.test.yaml": "tests: []",
                ".hidden.yaml": GOOD,
                ".a.yaml.swp": GOOD,
                "README.md": "x",
                "rules.ods": "a,b",
            },
            ["rules: error: there is no rule file here; a rule file ends in .yaml"],
            id="tests, hidden files, others",
        ),
        pytest.param(
            {"A.YAML": GOOD, "a.yaml": GOOD},
            ["rules/A.YAML: warning: rule files end in .yaml, so this one is not read; rename it to A.yaml"],
            id="an ending in capitals",
        ),
        pytest.param(
            {"50-a.yaml.txt": GOOD, "a.yaml": GOOD, "a.yaml~": GOOD, "b.yml.bak": GOOD, "#c.yaml#": GOOD},
            [
                f"rules/{name}: warning: rule files end in .yaml, so this one is not read; {remedy}"
                for name, remedy in {
                    "#c.yaml#": "rename it to c.yaml",
                    "50-a.yaml.txt": "rename it to 50-a.yaml",
                    "a.yaml~": "a.yaml is there too: delete this one, or move it out of the folder",
                    "b.yml.bak": "rename it to b.yaml",
                }.items()
            ],
            id="what editors make of names",
        ),
        pytest.param(
            {"a.yaml": GOOD, "old": GOOD, "notes.txt": "service: is good here\n", "b.txt": f"# Ours\n\n---\r\n{GOOD}"},
            [
                f"rules/{name}: warning: rule files end in .yaml, so this one is not read; rename it to {good}"
                for name, good in {"b.txt": "b.yaml", "notes.txt": "notes.yaml", "old": "old.yaml"}.items()
            ],
            id="any name, by what is in it",
        ),
        pytest.param(
            {"a.yaml": GOOD, "notes.txt": "Our service: good\n", "README": "# Rules\nWhat\n", "x.md": "```\nservice:"},
            [],
            id="texts about rules",
        ),
        pytest.param(
            {"a.yaml": GOOD, "extra/b.yaml": GOOD, "extra/deep/c.yml": GOOD, "pages/a.html": "x", "tables/q.txt": "a"},
            [
                f"rules/{name}: warning: rule files lie in the rules folder itself, so this one is not read; "
                "move it there, or out of the folder"
                for name in ("extra/b.yaml", "extra/deep/c.yml")
            ],
            id="subfolders",
        ),
        pytest.param(
            {"a.yaml": GOOD, ".git/b.yaml": GOOD, "..2026_11_26/b.yaml": GOOD, "extra/.b.yaml": GOOD}, [], id="hidden"
        ),
    ],
)
def test_only_yaml_files_are_rules(
    tmp_path: Path, files: dict[str, str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks like a rule file but is not read is told; other files are nobody's business."""
    monkeypatch.chdir(tmp_path)
    folder = Path("rules")
    folder.mkdir()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")
    assert [str(problem) for problem in load_folder(folder, NOW)[0].problems] == expected


def test_rule_files_in_a_linked_folder_are_told(rules: Path, tmp_path: Path) -> None:
    """A folder elsewhere is no part of the rules, though a link makes it look so; pipes in it block nothing."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.yaml").write_text(GOOD)
    (rules / "out").symlink_to("../outside")
    os.mkfifo(rules / "pipe")
    (problem,) = read_folder(rules).problems
    assert problem.place.file == str(rules / "out" / "b.yaml")
    assert problem.message.startswith(
        "rule files lie in the rules folder itself, so this one is not read; move it there"
    )


def test_hundreds_of_unread_files_are_counted(rules: Path) -> None:
    """The first are named, the others only counted."""
    for number in range(folder_on_disk.MOST_UNREAD + 5):
        (rules / f"{number:03}.yml").write_text(GOOD)
    found = [problem.message for problem in read_folder(rules).problems]
    assert len(found) == folder_on_disk.MOST_UNREAD + 1
    assert found[-1] == "5 more files look like rule files and are not read"


def test_the_revision_does_not_depend_on_where_the_folder_lies(
    rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files have one revision however the folder is called, other names or contents another."""
    for name in ("pages/closed.en.html", "desk.jpg"):
        (rules / name).parent.mkdir(exist_ok=True)
        (rules / name).write_bytes(b"x")
    copy = shutil.copytree(rules, tmp_path / "a copy" / "of")
    (tmp_path / "link").symlink_to("rules")
    monkeypatch.chdir(rules)
    names = (rules, Path(), Path("../rules"), Path("../link"), Path("pages/.."), copy)
    (revision,) = {read_folder(name).rules.revision for name in names}
    (copy / "a.yaml").rename(copy / "b.yaml")
    assert read_folder(copy).rules.revision != revision


def test_a_folder_that_does_not_exist_is_one_problem(tmp_path: Path) -> None:
    """The message says how to name another."""
    loaded, _ = load_folder(tmp_path / "rulse", NOW)
    assert loaded.ruleset is None
    assert [str(problem).partition("rulse")[2] for problem in loaded.problems] == [
        ": error: the rules folder cannot be read: No such file or directory; name another with --rules or POLICY_RULES"
    ]


def test_files_that_cannot_be_read_are_problems(rules: Path) -> None:
    """A link to nowhere, a pipe and a strange name are told, and do not block."""
    (rules / "b.yaml").symlink_to("nowhere")
    os.mkfifo(rules / "c.yaml")
    (rules / "d.yaml").mkdir()
    (rules / "f.yaml").symlink_to("f.yaml")
    Path(os.fsdecode(os.fsencode(rules) + b"/e\xff.yaml")).write_text(GOOD)
    loaded, _ = load_folder(rules, NOW)
    assert loaded.ruleset is None
    assert [str(problem).rpartition("/")[2] for problem in loaded.problems] == [
        "b.yaml: error: the file cannot be read: No such file or directory",
        "c.yaml: error: this is not a file that can be read, but a pipe or a device; remove it",
        "e\N{REPLACEMENT CHARACTER}.yaml: error: the name of this file is not UTF-8; rename it",
        "f.yaml: error: the file cannot be read: its link leads in circles",
    ]


@pytest.mark.parametrize("name", ["b.yaml", "b.test.yaml", "desk.jpg", "pages/closed.en.html", "pages/dates.en.json"])
@pytest.mark.parametrize("target", ["sibling", "absolute", "by another link"])
def test_links_that_lead_out_of_the_folder_are_refused(rules: Path, tmp_path: Path, name: str, target: str) -> None:
    """Whatever kind of file a link stands for, what lies elsewhere is neither read nor quoted."""
    (tmp_path / "key").write_text("topsecret")
    (rules / "pages").mkdir()
    up = "../" * (1 + name.count("/"))
    (tmp_path / "hop").symlink_to("key")
    (rules / ".hop").symlink_to("../hop")
    targets = {
        "sibling": f"{up}key",
        "absolute": str(tmp_path / "key"),
        "by another link": str(rules / ".hop"),
    }
    (rules / name).symlink_to(targets[target])
    loaded, read = load_folder(rules, NOW)
    assert loaded.ruleset is None
    assert [str(problem) for problem in loaded.problems] == [
        f"{rules / name}: error: this link leads out of the rules folder, so it is not read; put the file itself here"
    ]
    assert "topsecret" not in repr(read)


def test_links_within_the_folder_are_read(tmp_path: Path) -> None:
    """A link counts as the file that it leads to, also where the folder itself is one, and whatever it is called."""
    (tmp_path / "real" / ".store").mkdir(parents=True)
    (tmp_path / "real" / ".store" / "a").write_text(GOOD)
    (tmp_path / "real" / "a.yaml").symlink_to(".store/a")
    (tmp_path / "real" / "b.yaml").symlink_to(tmp_path / "linked" / "a.yaml")
    (tmp_path / "linked").symlink_to("real")
    read = read_folder(tmp_path / "linked")
    assert read.problems == ()
    assert [data.decode() for data in read.rules.documents.values()] == [GOOD, GOOD]


def test_a_file_that_became_a_link_out_is_refused(rules: Path, tmp_path: Path) -> None:
    """While the server runs as well: the rules that run go on."""
    found = open_store(rules)
    (rules / "a.yaml").rename(tmp_path / "a.yaml")
    (rules / "a.yaml").symlink_to("../a.yaml")
    assert found.reload() is False
    assert found.state.refused
    assert ids(found) == ["one"]


def test_a_file_is_read_no_further_than_it_may_be_long(rules: Path) -> None:
    """A file of 50 MB is refused without reading all of it."""
    with (rules / "b.yaml").open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    read = read_folder(rules)
    assert max(map(len, read.rules.documents.values())) == MAX_BYTES + 1
    (problem,) = load_folder(rules, NOW)[0].problems
    assert "too large" in problem.message


def test_pictures_are_read_below_the_folder(rules: Path) -> None:
    """Pictures are named by their path below the rules folder; hidden folders are left alone."""
    for name in ("desk.jpg", "avatars/hall.PNG", ".git/x.jpg", "avatars/notes.txt"):
        (rules / name).parent.mkdir(exist_ok=True)
        (rules / name).write_bytes(b"x")
    assert sorted(read_folder(rules).rules.pictures) == ["avatars/hall.PNG", "desk.jpg"]


def test_too_many_pictures_are_told(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are looked at again and again, so there is a limit to them."""
    monkeypatch.setattr(folder_on_disk, "PICTURES_LIMIT", 2)
    for number in range(4):
        (rules / f"{number}.jpg").write_bytes(b"x")
    read = read_folder(rules)
    assert sorted(read.rules.pictures) == ["0.jpg", "1.jpg"]
    assert [str(problem).rpartition("/")[2] for problem in read.problems] == [
        "2.jpg: warning: no more than 2 pictures or 64 MiB of them are read, so not this one"
    ]


def test_templates_are_read_in_folders_below(rules: Path) -> None:
    """HTML and JSON are named by their path below the rules folder; beside the rules themselves there are none."""
    for name in ("pages/closed.en.html", "pages/x/dates.EN.JSON", "rules.schema.json", "x.html", "pages/notes.txt"):
        (rules / name).parent.mkdir(exist_ok=True)
        (rules / name).write_bytes(b"x")
    assert sorted(read_folder(rules).rules.templates) == ["pages/closed.en.html", "pages/x/dates.EN.JSON"]


def test_too_many_templates_are_told(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a limit to them too, and a long one is not read to its end."""
    monkeypatch.setattr(folder_on_disk, "TEMPLATES_LIMIT", 1)
    (rules / "pages").mkdir()
    for name in ("a.html", "b.html"):
        (rules / "pages" / name).write_bytes(b"x" * (TEMPLATE_BYTES + 9))
    read = read_folder(rules)
    assert [len(data) for data in read.rules.templates.values()] == [TEMPLATE_BYTES + 1]
    assert [str(problem).rpartition("/")[2] for problem in read.problems] == [
        "b.html: warning: no more than 1 page templates or 16 MiB of them are read, so not this one"
    ]


def test_folders_that_kubernetes_mounts_are_read(rules: Path, tmp_path: Path) -> None:
    """A link to a folder within the rules folder counts as that folder, a link out of it or in circles does not."""
    for folder in (rules / "..v1" / "pages", tmp_path / "outside"):
        folder.mkdir(parents=True)
        (folder / "closed.en.html").write_bytes(b"x")
        (folder / "desk.jpg").write_bytes(b"x")
    (rules / "..data").symlink_to("..v1")
    (rules / "pages").symlink_to("..data/pages")
    (rules / "out").symlink_to("../outside")
    (rules / "round").symlink_to("round")
    read = read_folder(rules).rules
    assert (list(read.templates), list(read.pictures)) == (["pages/closed.en.html"], ["pages/desk.jpg"])


# ---------------------------------------------------------------------- reloading


def test_changed_content_comes_into_force(rules: Path) -> None:
    """A reload says that new rules run, and counts them."""
    found = open_store(rules)
    before = found.state.at
    (rules / "a.yaml").write_text(BETTER)
    assert found.reload() is True
    assert ids(found) == ["two"]
    assert found.reloads == {"loaded": 2, "refused": 0}
    assert found.state.at > before
    assert found.reload() is False


def test_touched_dates_change_nothing(rules: Path) -> None:
    """Only content counts: the very same rules run on."""
    found = open_store(rules)
    before = found.ruleset
    os.utime(rules / "a.yaml", (0, 0))
    (rules / "a.yaml").write_text(GOOD)
    assert found.reload() is False
    assert found.ruleset is before


def test_older_dates_are_seen(rules: Path) -> None:
    """A file put back from a backup has an older date and counts all the same."""
    found = open_store(rules)
    (rules / "a.yaml").write_text(BETTER)
    os.utime(rules / "a.yaml", (0, 0))
    assert found.reload() is True
    assert ids(found) == ["two"]


def test_a_swapped_link_is_seen(tmp_path: Path) -> None:
    """Kubernetes and deployment tools change a whole folder by one symbolic link."""
    for name, text in (("v1", GOOD), ("v2", BETTER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(text)
    current = tmp_path / "current"
    current.symlink_to("v1")
    files = tmp_path / "rules"
    for name, text in (("..v1", GOOD), ("..v2", BETTER)):
        (files / name).mkdir(parents=True)
        (files / name / "a.yaml").write_text(text)
    (files / "..data").symlink_to("..v1")
    (files / "a.yaml").symlink_to("..data/a.yaml")
    of_files, of_folder = open_store(files), open_store(current)
    for folder, target, link in ((tmp_path, "v2", current), (files, "..v2", files / "..data")):
        (folder / ".next").symlink_to(target)
        (folder / ".next").rename(link)
    assert of_files.reload() is True
    assert of_folder.reload() is True
    assert ids(of_files) == ids(of_folder) == ["two"]


def test_files_come_and_go(rules: Path) -> None:
    """A new file adds its rules, in the order of names; without it they are gone."""
    found = open_store(rules)
    (rules / "0.yaml").write_text("service: [ { id: zero, when: { protocol: sip }, reject: x } ]")
    assert found.reload() is True
    assert ids(found) == ["zero", "one"]
    (rules / "0.yaml").unlink()
    assert found.reload() is True
    assert ids(found) == ["one"]


def test_a_bad_file_keeps_the_rules_that_run(rules: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The very same rule set stays in force; the state and the log say what is wrong, once."""
    found = open_store(rules)
    before = found.ruleset
    (rules / "a.yaml").write_text(BAD)
    with caplog.at_level(logging.INFO):
        assert found.reload() is False
        assert found.reload() is False
    assert found.ruleset is before
    assert found.state.refused
    assert found.reloads == {"loaded": 1, "refused": 1}
    assert [message.partition(":")[0] for message in messages(found)] == ["a.yaml", "a.yaml"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(
        f"rules.refused: revision {before.revision} keeps running; {rules}/a.yaml:1:12"
    )


def test_another_bad_file_is_told_anew(rules: Path) -> None:
    """Each change that is refused is looked at, so that the state tells of what lies there now."""
    found = open_store(rules)
    (rules / "a.yaml").write_text(BAD)
    found.reload()
    first = found.state
    (rules / "a.yaml").write_text(BAD + "x: y\n")
    assert found.reload() is False
    assert found.state.refused_revision != first.refused_revision
    assert len(found.state.problems) == len(first.problems) + 1
    assert found.reloads["refused"] == 2


def test_putting_the_file_back_clears_the_refusal(rules: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The rules that run are again those in the folder, with their warnings, and were never changed."""
    (rules / "a.yaml").write_text(ODD)
    found = open_store(rules)
    before, warnings = found.ruleset, found.state.problems
    (rules / "a.yaml").write_text(BAD)
    found.reload()
    (rules / "a.yaml").write_text(ODD)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert found.reload() is False
        assert found.reload() is False
    assert found.ruleset is before
    assert (found.state.refused, found.state.problems) == (False, warnings)
    assert found.reloads == {"loaded": 1, "refused": 1}
    assert [record.getMessage() for record in caplog.records] == [
        f"rules.restored: revision {before.revision}, which is the one that runs"
    ]


def test_correcting_the_file_ends_the_refusal(rules: Path) -> None:
    """Good rules after bad ones come into force as always."""
    found = open_store(rules)
    (rules / "a.yaml").write_text(BAD)
    found.reload()
    (rules / "a.yaml").write_text(BETTER)
    assert found.reload() is True
    assert ids(found) == ["two"]
    assert not found.state.refused
    assert messages(found) == [GONE.format("'one' of service")]


def test_an_emptied_folder_is_refused(rules: Path) -> None:
    """No rules at all is no rule set; what ran before runs on."""
    found = open_store(rules)
    before = found.ruleset
    (rules / "a.yaml").unlink()
    assert found.reload() is False
    assert found.ruleset is before
    assert messages(found) == ["rules: error: there is no rule file here; a rule file ends in .yaml"]
    (rules / "a.yaml").write_text("service: []\n")
    assert found.reload() is False
    assert messages(found) == ["rules: error: there are no rules in these files, and an empty rule set is refused"]
    assert found.ruleset is before


@pytest.mark.parametrize(
    "name",
    [
        "b.yaml.txt",
        "b.yaml~",
        "b.yaml.bak",
        "b.yml",
        "B.YAML",
        "b.txt",
        "b",
        "b (1).txt",
        "#b.yaml#",
        ".b.yaml",
        "_b.yaml.off",
        "b.test.yaml",
        "extra/b.yaml",
        "pages/x/other.yml",
        "something else.html",
    ],
)
def test_a_rule_file_that_is_renamed_is_missed(rules: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A name changed by accident takes no rule out of force: the reload is refused until the file is back, or really gone."""
    (rules / "b.yaml").write_text("service: [ { id: two, when: { protocol: sip }, reject: x } ]")
    (rules / "a.yaml").write_text("service: [ { id: one, when: { protocol: h323 }, reject: x } ]")
    found = open_store(rules)
    before = found.ruleset
    (rules / name).parent.mkdir(parents=True, exist_ok=True)
    (rules / "b.yaml").rename(rules / name)
    assert found.reload() is False
    assert found.reload() is False
    assert found.ruleset is before
    assert found.reloads["refused"] == 1
    told = f"this file is gone, and '{name}' lies there, which is not read: rename it to b.yaml again, or delete it"
    assert str(found.state.problems[0]).startswith(f"{rules}/b.yaml: error: {told}")
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert told in record.getMessage()
    (rules / name).rename(rules / "b.yaml")
    assert found.reload() is False
    assert (found.state.refused, found.state.problems) == (False, ())
    (rules / "b.yaml").rename(rules / name)
    assert found.reload() is False
    (rules / name).unlink()
    assert found.reload() is True
    assert (found.state.refused, messages(found)) == (False, [GONE.format("'two' of service")])


@pytest.mark.parametrize(
    "name", ["beta.yaml.txt", "b.html", "b.md", "b-notes.txt", ".b.yaml.swp", "b.test.yaml", ".x/b.yaml"]
)
def test_other_files_do_not_keep_a_rule_file_from_going(rules: Path, name: str) -> None:
    """A file that has little in common with the one that was deleted is not taken for it."""
    (rules / "b.yaml").write_text("service: [ { id: two, when: { protocol: sip }, reject: x } ]")
    (rules / name).parent.mkdir(parents=True, exist_ok=True)
    (rules / name).write_text("tests: []")
    found = open_store(rules)
    (rules / "b.yaml").unlink()
    assert found.reload() is True
    assert "two" not in ids(found)


def test_a_rule_file_that_is_read_by_its_new_name_is_not_missed(rules: Path) -> None:
    """Renaming within what is read changes the order of rules, and nothing else."""
    found = open_store(rules)
    (rules / "a.yaml").rename(rules / "z.yaml")
    (rules / "b.yaml.bak").write_text(GOOD.replace("one", "old"))
    assert found.reload() is True
    assert (ids(found), len(found.state.problems)) == (["one"], 1)


def test_rules_that_are_gone_are_named(rules: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever looks after a reload sees which rules are not there any more, until the next change."""
    (rules / "a.yaml").write_text(GOOD + "locations: [ { id: one, location: Oslo }, { id: far, location: Oslo } ]\n")
    found = open_store(rules)
    (rules / "a.yaml").write_text(BETTER + "locations: [ { id: one, location: Oslo } ]\n")
    assert found.reload() is True
    told = GONE.format("'one' of service, 'far' of locations")
    assert messages(found) == [told]
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert record.getMessage().endswith(told)
    assert record.getMessage().startswith("rules.gone: ")
    assert found.reload() is False
    assert messages(found) == [told]
    (rules / "a.yaml").write_text(BETTER + "locations: [ { id: one, location: London } ]\n")
    assert found.reload() is True
    assert messages(found) == []


def test_a_file_that_is_not_read_is_told_when_it_comes(rules: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing else changes: the rules run on, and the warning stands in the log once, and in the state while it is so."""
    found = open_store(rules)
    before = found.ruleset
    (rules / "b.yaml.txt").write_text(GOOD)
    assert found.reload() is False
    assert found.reload() is False
    told = "b.yaml.txt: warning: rule files end in .yaml, so this one is not read; rename it to b.yaml"
    assert messages(found) == [told]
    assert [record.getMessage() for record in caplog.records] == [f"rules.unread: {rules}/{told}"]
    (rules / "b.yaml.txt").unlink()
    assert found.reload() is False
    assert messages(found) == []
    assert found.ruleset is before


def test_a_folder_that_goes_away_is_refused(rules: Path) -> None:
    """An unmounted folder stops nothing; once it is back there is nothing to do."""
    found = open_store(rules)
    before = found.ruleset
    rules.rename(rules.with_name("elsewhere"))
    assert found.reload() is False
    assert found.ruleset is before
    assert found.state.refused
    assert "the rules folder cannot be read" in messages(found)[0]
    rules.with_name("elsewhere").rename(rules)
    assert found.reload() is False
    assert not found.state.refused
    assert found.ruleset is before


def test_a_file_that_cannot_be_read_any_more_is_refused(rules: Path) -> None:
    """The other files are not taken for the whole; when the file is deleted on purpose they are."""
    (rules / "b.yaml").write_text("service: [ { id: two, reject: x } ]")
    found = open_store(rules)
    before = found.ruleset
    (rules / "b.yaml").unlink()
    (rules / "b.yaml").symlink_to("nowhere")
    assert found.reload() is False
    assert found.reload() is False
    assert found.ruleset is before
    assert messages(found) == ["b.yaml: error: the file cannot be read: No such file or directory"]
    assert found.reloads["refused"] == 1
    (rules / "b.yaml").unlink()
    assert found.reload() is True
    assert ids(found) == ["one"]


def test_a_new_file_that_cannot_be_read_is_refused(rules: Path) -> None:
    """Nobody knows what the file would add, although all that ran before is still there."""
    found = open_store(rules)
    before = found.ruleset
    (rules / "b.yaml").symlink_to("nowhere")
    assert found.reload() is False
    assert found.state.refused
    assert found.ruleset is before
    (rules / "b.yaml").unlink()
    assert found.reload() is False
    assert not found.state.refused


def test_half_a_file_is_not_taken_into_force(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that change while they are loaded wait for the next look: half of a file may be good rules."""
    found = open_store(rules)
    before = found.ruleset
    (rules / "a.yaml").write_text("service:\n  - { id: one, when: { protocol: sip }, reject: x }\n")
    half = read_folder(rules)
    (rules / "a.yaml").write_text(
        "service:\n  - { id: one, when: { protocol: sip }, reject: x }\n  - { id: two, reject: y }\n"
    )
    reads = iter([half])

    def read_as_written(folder: Path) -> Folder:
        return next(reads, None) or read_folder(folder)

    monkeypatch.setattr(store, "read_folder", read_as_written)
    assert found.reload() is False
    assert found.ruleset is before
    assert not found.state.refused
    assert found.reload() is True
    assert ids(found) == ["one", "two"]


def test_a_picture_that_changes_reloads(rules: Path) -> None:
    """Pictures belong to the rules; one that is no picture any more is refused."""
    (rules / "a.yaml").write_text("directory: [ { alias: desk, avatar: desk.png } ]")
    (rules / "desk.png").write_bytes(picture("PNG"))
    found = open_store(rules)
    larger = picture("PNG", (64, 64))
    (rules / "desk.png").write_bytes(larger)
    assert found.reload() is True
    assert found.ruleset.pictures == {"desk.png": larger}
    (rules / "desk.png").write_bytes(larger[:50])
    assert found.reload() is False
    assert found.state.refused
    assert found.ruleset.pictures == {"desk.png": larger}


def test_a_template_that_changes_reloads(rules: Path) -> None:
    """Pages belong to the rules and come into force with them; bad ones are refused, and what ran before runs on."""
    (rules / "pages").mkdir()
    page = rules / "pages" / "closed.en.html"
    page.write_text("<h1>One</h1>")
    (rules / "a.yaml").write_text(
        GOOD + "links: { visit: { alias: 'a{session}', url: 'https://x/', templates: pages } }\n"
    )
    found = open_store(rules)

    def text() -> str:
        return found.ruleset.links["visit"].templates.texts["closed"]["en"].template

    page.write_text("<h1>Two</h1>")
    assert found.reload() is True
    assert text() == "<h1>Two</h1>"
    page.write_text("<h1>Three</h1> $opennig")
    assert found.reload() is False
    assert [message.partition(":")[0] for message in messages(found)] == ["closed.en.html"]
    page.unlink()
    assert found.reload() is False
    assert "is not a folder of templates below the rules folder" in messages(found)[0]
    page.symlink_to("nowhere")
    assert found.reload() is False
    assert messages(found)[0] == "closed.en.html: error: the file cannot be read: No such file or directory"
    assert text() == "<h1>Two</h1>"
    page.unlink()
    page.write_text("<h1>Four</h1>")
    assert found.reload() is True
    assert text() == "<h1>Four</h1>"


def test_rule_tests_do_not_change_the_revision(rules: Path) -> None:
    """Writing tests beside the rules reloads nothing, even if they are bad."""
    found = open_store(rules)
    before = found.ruleset
    (rules / "a.test.yaml").write_text("tests: nonsense")
    assert found.reload() is False
    assert found.ruleset is before
    assert not found.state.refused
    assert list(read_folder(rules).tests) == [str(rules / "a.test.yaml")]


def test_the_log_does_not_repeat_hundreds_of_problems(rules: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line of the log lists the first problems and counts the others."""
    found = open_store(rules)
    (rules / "a.yaml").write_text("service:\n" + "".join(f"  - {{ id: r{n} }}\n" for n in range(30)))
    found.reload()
    (record,) = caplog.records
    assert record.getMessage().count("needs exactly one outcome") == store.MOST_LOGGED
    assert record.getMessage().endswith("; and 10 more")
    assert len(found.state.problems) == 30


# ---------------------------------------------------------------------- garbage collection


@pytest.fixture
def collecting() -> Iterator[None]:
    """Leaves the garbage collector as it was."""
    enabled = gc.isenabled()
    yield
    (gc.enable if enabled else gc.disable)()
    gc.unfreeze()


@pytest.mark.usefixtures("collecting")
@pytest.mark.parametrize("text", [GOOD, BAD])
@pytest.mark.parametrize("enabled", [True, False])
def test_loading_leaves_the_garbage_collector_as_it_was(rules: Path, text: str, enabled: bool) -> None:
    """Collection is off only while rules are loaded, whether they are good or bad."""
    (rules / "a.yaml").write_text(text)
    (gc.enable if enabled else gc.disable)()
    load_folder(rules, NOW)
    assert gc.isenabled() is enabled


@pytest.mark.usefixtures("collecting")
def test_a_failure_leaves_the_garbage_collector_as_it_was(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even an error of our own does not leave the process without collection."""
    seen: list[bool] = []

    def fail(*_: object, **__: object) -> None:
        seen.append(gc.isenabled())
        raise RuntimeError("an error of ours")

    monkeypatch.setattr(store, "load_rules", fail)
    with pytest.raises(RuntimeError):
        load_folder(rules, NOW)
    assert seen == [False]
    assert gc.isenabled()


# ---------------------------------------------------------------------- beside the answers


@pytest.mark.parametrize("text", [BETTER, BAD], ids=["good", "bad"])
def test_a_reload_gives_way_to_answers(rules: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Other threads have their turn often while rules are loaded, and afterwards as before."""
    found = open_store(rules)
    before = sys.getswitchinterval()
    during: list[float] = []

    def noted(*given: Any, **named: Any) -> Loaded:
        during.append(sys.getswitchinterval())
        return load_rules(*given, **named)

    monkeypatch.setattr(store, "load_rules", noted)
    (rules / "a.yaml").write_text(text)
    found.reload()
    assert during == [pytest.approx(store.SHORT_TURN)]
    assert sys.getswitchinterval() == before


@pytest.mark.usefixtures("collecting")
def test_rules_that_were_replaced_are_let_go_of(rules: Path) -> None:
    """However often rules are reloaded, only those that run take memory, without any search for garbage."""
    found = open_store(rules)
    gc.disable()

    def kept_after(text: str) -> int:
        (rules / "a.yaml").write_text(f"service: [ {{ id: {text}, when: {{ protocol: sip }}, reject: Closed }} ]\n")
        assert found.reload()
        gc.unfreeze()
        # Not isinstance: it asks proxies of what other tests left behind.
        return sum(type(each) is Rule for each in gc.get_objects())

    first = kept_after("first")
    assert {kept_after(f"next-{number}") for number in range(10)} == {first}


# ---------------------------------------------------------------------- tables

LOOKUP = (
    "tables: { t: tables/t.csv }\nservice: [ { id: one, when: { table: { t: '{vendor}' } }, reject: '{t.text}' } ]\n"
)


def test_a_change_of_a_table_is_taken_into_force(rules: Path) -> None:
    """A table is part of the rules: a new row gives a new revision, a bad one keeps the rules that run, and so does its end."""
    (rules / "a.yaml").write_text(LOOKUP)
    (rules / "tables").mkdir()
    sheet = rules / "tables" / "t.csv"
    sheet.write_bytes(b"key,text\na,one\n")
    found = open_store(rules)
    revision = found.ruleset.revision
    sheet.write_bytes(b"key,text\na,one\nb,two\n")
    assert found.reload() is True
    assert found.ruleset.revision != revision
    sheet.write_bytes(b"key,text\na,one\nA,two\n")
    assert found.reload() is False
    assert str(found.state.problems[0]).startswith(f"{sheet}:3:1: error: table 't': key 'A' stands twice")
    sheet.unlink()
    assert found.reload() is False
    assert "is not a file below the rules folder" in str(found.state.problems[0])


def test_a_table_is_not_read_from_elsewhere(rules: Path) -> None:
    """A link that leads out of the folder may lead to anything, of which parts would stand in answers."""
    (rules / "a.yaml").write_text(LOOKUP)
    (rules / "tables").mkdir()
    (rules.parent / "secret.csv").write_text("key,text\na,hunter2\n")
    (rules / "tables" / "t.csv").symlink_to(rules.parent / "secret.csv")
    loaded, _ = load_folder(rules, NOW)
    assert loaded.ruleset is None
    assert "leads out of the rules folder" in str(loaded.problems[0])


def test_tables_have_a_limit_together(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beside the rules is read whenever somebody may have changed it, so not without an end."""
    monkeypatch.setattr(folder_on_disk, "TABLES_LIMIT", 1)
    for name in ("x.csv", "y.csv"):
        (rules / name).write_text("key\na\n")
    problems = [str(problem) for problem in read_folder(rules).problems]
    assert [problem.rpartition("/")[2] for problem in problems] == [
        "y.csv: warning: no more than 1 tables or 32 MiB of them are read, so not this one"
    ]
