"""The page for operators: settings, metrics, logs, backups."""

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, get_args

import httpx
import pytest

from policy_server.policy.decisions import Decision
from policy_server.policy.links import make_link
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.rulefiles.store import load_folder
from policy_server.settings import SETTINGS as EVERY_SETTING
from policy_server.simulator.genesys import StandIn
from policy_server.web.decision_records import FIELDS
from tests.conferences.postgres import find_binaries, running_postgres
from tests.docs.pages import CONSOLE, DEPLOY, PAGES, ROOT, blocks, code
from tests.docs.running import check_output, matches
from tests.docs.site import API_KEY, SETTINGS, Json, Site, samples_of_work
from tests.servers import SECRET_KEY, RealServer, real_server
from tests.waiting import eventually

PAGE: Final = DEPLOY


def test_the_decision_log_looks_as_shown(folder: Path, server: RealServer) -> None:
    """A decision is one line, with the PINs masked."""
    (block,) = [block for block in blocks("text") if block.note == "logged by a server"]
    loaded, _ = load_folder(folder / "rules", datetime.now(UTC))
    assert loaded.ruleset is not None
    ends = datetime.now(UTC) + timedelta(hours=1)
    link = make_link(loaded.ruleset.links["visit"], Keyring.from_text(SECRET_KEY), ends, bytes(NONCE_BYTES))
    question = {"call_direction": "dial_in", "protocol": "api", "location": "DMZ", "local_alias": link.alias}
    with server.client() as client:
        answer = client.get("/policy/v1/service/configuration", params=question).json()
    line = eventually(lambda: next((line for line in server.err.splitlines() if answer["decision_id"] in line), ""))
    assert matches(block.text, line), line
    assert answer["result"]["pin"] not in line
    assert answer["result"]["guest_pin"] not in line


def test_every_field_of_the_decision_log_is_documented() -> None:
    """The table has all fields of a line beside parameters, with what they mean, and no other."""
    assert {code(name)[0]: meaning for name, meaning in PAGE.rows("field of a line |")} == dict(FIELDS)


@pytest.mark.slow
def test_a_backup_of_sqlite_opens_and_holds_the_link(folder: Path, site: Site, tmp_path: Path) -> None:
    """What the backup command writes while the server runs is a database on which a server goes on."""
    (block,) = [block for block in CONSOLE if block.note == "backs up SQLite"]
    made = site.make_link(name="Ada L")
    check_output(block, folder, site.settings, site.server.url)
    backup = folder / "policy-backup.db"
    assert backup.stat().st_mode & 0o077 == 0
    (tmp_path / "rules").symlink_to(folder / "rules")
    _check_restored(tmp_path, f"sqlite:///{backup}", made)


@pytest.mark.postgresql
def test_a_backup_of_postgresql_opens_and_holds_the_link(folder: Path, tmp_path: Path) -> None:
    """The statements of the README make a database that a server can use, and its commands copy it to another one."""
    (statements,) = [block.text for block in blocks("sql")]
    (script,) = [block.text for block in blocks("sh") if block.note == "backs up PostgreSQL"]
    (tmp_path / "rules").symlink_to(folder / "rules")
    with running_postgres("fsync=off") as postgres:
        for statement in statements.splitlines():
            postgres.execute(statement)
        postgres.execute("CREATE DATABASE restored OWNER policy ENCODING 'UTF8' TEMPLATE template0")
        url, restored = (
            f"postgresql://policy:secret@127.0.0.1:{postgres.port}/{name}" for name in ("policy", "restored")
        )
        with real_server(tmp_path, environment={**SETTINGS, "POLICY_DATABASE_URL": url}) as running:
            made = Site(running, StandIn(), SETTINGS).make_link(name="Ada L")
        path = f"{find_binaries()}{os.pathsep}{os.environ['PATH']}"
        variables = {"POLICY_DATABASE_URL": url, "RESTORED_DATABASE_URL": restored, "PATH": path}
        subprocess.run(["bash", "-e"], input=script, text=True, cwd=tmp_path, env=variables, check=True)
        _check_restored(tmp_path, restored, made)


def _check_restored(folder: Path, url: str, made: Json) -> None:
    """Starts a server on a copy of a database and asks it for a link."""
    with real_server(folder, environment={**SETTINGS, "POLICY_DATABASE_URL": url}) as running:
        headers = {"authorization": f"Bearer {API_KEY}"}
        with running.client(auth=None, headers=headers) as client:
            answer = client.get(f"/api/v1/links/{made['call']}").json()
    assert (answer["alias"], answer["name"]) == (made["alias"], "Ada L")


def test_what_operators_can_ask_answers(server: RealServer) -> None:
    """Every path of the table is served to this machine, without credentials."""
    for path in [code(path)[0] for path, _ in PAGE.rows("path | says")]:
        assert httpx.get(server.url + path, trust_env=False).status_code == 200, path


def test_the_metrics_are_those_of_the_table(server: RealServer) -> None:
    """Every metric is documented with its labels, and no other is."""
    with server.client() as client:
        client.get("/policy/v1/service/configuration")
        httpx.get(f"{server.url}/policy/v1/service/configuration", trust_env=False)
        text = client.get("/metrics").text
    text += samples_of_work()
    found: dict[str, set[str]] = {}
    for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE):
        if not name.endswith("_created"):
            labels = re.findall(rf"^{name}(?:_count)?\{{(.*)\}}", text, re.MULTILINE)
            found[name] = set(re.findall(r"(\w+)=", " ".join(labels))) - {"le"}
    documented = {code(name)[0]: set(code(labels)) for name, labels, _ in PAGE.rows("metric |")}
    assert documented == found


def test_the_outcomes_of_metrics_are_those_of_decisions() -> None:
    """The README names every value of the label `outcome`."""
    start = PAGE.text.index("`outcome` is ")
    named = set(code(PAGE.text[start:].partition("\n\n")[0])) - {"outcome", "policy_rules_refused"}
    assert named == {*(kind.word for kind in get_args(Decision)), "misunderstood", "error"}


def test_every_setting_is_documented_and_no_other_is_named() -> None:
    """The table of settings is that of the code, and every POLICY_ variable in the README exists."""
    assert {code(name)[0]: text for name, text in PAGE.rows("variable |")} == {
        setting.variable: setting.told for setting in EVERY_SETTING
    }
    exist = {name for setting in EVERY_SETTING for name in (setting.variable, setting.file_variable)}
    for page in PAGES:
        assert set(re.findall(r"\bPOLICY_[A-Z_]+\b", page.text)) <= exist, page.name


def test_messages_of_nodes_are_those_of_the_reference() -> None:
    """The page names messages that nodes send, by the names of the reference."""
    reference = (ROOT / "policy_server/pexip/README.md").read_text(encoding="utf-8")
    named = [name for names, _ in PAGE.rows("message | what follows") for name in code(names)]
    assert len(named) > 5
    assert not [name for name in named if not re.search(rf"\b{name}\b", reference)]
