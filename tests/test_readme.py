"""The README is true: its rules load, its commands run and print what it shows, its tables are those of the code.

Conventions of the README:

- A block of YAML or HTML names the file it is, in a comment before it: ``<!-- file: tour/10-names.yaml -->``. The files of a
  folder are loaded together and must have no problems, unless the comment ends in ``, with problems``.
- A ``console`` block holds commands after ``$`` and their whole output, where ``…`` stands for anything in a line, and a line
  of it alone for any lines. A command goes on in the next line after a backslash. One that fails is followed by
  ``$ echo $?``. A comment before the block may say that it runs ``without settings``, that it ``asks a server`` (the one at
  port 8080 is then a real one, with a call of its own that its variables are about), or that it ``starts a server`` or
  ``backs up SQLite``, for which there are tests of their own, as for a block of ``sh`` that ``backs up PostgreSQL``.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, takewhile
from pathlib import Path
from shutil import copytree
from threading import Timer
from typing import Any, Final, get_args
from uuid import uuid4

import click
import httpx
import pytest
from dotenv import dotenv_values
from PIL import Image

from policy_server.cli import main
from policy_server.conferences.fold import KINDS
from policy_server.pexip.events import Event
from policy_server.pexip.parameters import RequestType
from policy_server.policy.decisions import Decision
from policy_server.policy.links import make_link
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.rulefiles.conditions import condition_keys
from policy_server.rulefiles.load import SECTIONS
from policy_server.rulefiles.pages import PAGES
from policy_server.rulefiles.sections import DEPLOYMENT_LISTS
from policy_server.rulefiles.store import load_folder
from policy_server.settings import PREFIX, SETTINGS, read_settings
from policy_server.simulator.genesys_cloud import ORGANIZATION, StandIn, participant
from policy_server.web import agent_answers, links, lookup
from policy_server.web.link_requests import FIELDS
from policy_server.web.pages import shipped_pages
from policy_server.web.policy import ANSWERED, OUTCOMES
from tests.conferences import event_histories as told
from tests.conferences.postgres import PostgresMissingError, find_binaries, running_postgres
from tests.genesys.asking import MARIA, TOKEN
from tests.requirements import leave_out
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, RealServer, clean_environment, eventually, real_server
from tests.web.calls import bulk

ROOT: Final = Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN_URL: Final = "http://127.0.0.1:8080"
ANYTHING: Final = "…"
CREDENTIALS: Final = {
    "POLICY_PEXIP_USERNAME": USERNAME,
    "POLICY_PEXIP_PASSWORD": PASSWORD,
    "POLICY_SECRET_KEY": SECRET_KEY,
}
API_KEY: Final = "the-key-of-the-booking-system"
SERVER_SETTINGS: Final = {
    **CREDENTIALS,
    "POLICY_API_KEYS": f"booking:{API_KEY}",
    "POLICY_EVENTS_USERNAME": "events",
    "POLICY_EVENTS_PASSWORD": "the password of the sink",
    "POLICY_NODE": "pexip.example.com",
    "POLICY_GENESYS_API": "http://127.0.0.1:9",
    "POLICY_GENESYS_ORGANIZATION": ORGANIZATION,
    "POLICY_WIDGET_ORIGINS": "https://widget.example.com",
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, the comment before it, and its line in the README."""

    language: str
    text: str
    note: str
    line: int

    @property
    def file(self) -> str:
        """The file that a block of YAML is."""
        return self.note.removeprefix("file: ").removesuffix(", with problems")


@dataclass(frozen=True, slots=True)
class Site:
    """A server with Genesys Cloud behind it, on which calls can be played."""

    server: RealServer
    genesys: StandIn
    settings: Mapping[str, str]

    def make_link(self, **fields: object) -> Json:
        """A customer's link, as the booking system asks for it."""
        headers = {"authorization": f"Bearer {API_KEY}"}
        with self.server.client(auth=None, headers=headers) as client:
            response = client.post("/api/v1/links", json={"type": "visit", **fields})
        assert response.status_code == 201, response.text
        made = response.json()
        assert isinstance(made, dict)
        return made

    def ask_service(self, alias: str) -> Json:
        """What a node is told of an alias."""
        question = {"call_direction": "dial_in", "protocol": "api", "location": "DMZ", "local_alias": alias}
        with self.server.client() as client:
            answer = client.get("/policy/v1/service/configuration", params=question).json()
        assert isinstance(answer, dict)
        return answer

    def tell(self, *events: Event) -> None:
        """What a node reports."""
        auth = (self.settings["POLICY_EVENTS_USERNAME"], self.settings["POLICY_EVENTS_PASSWORD"])
        with self.server.client(auth=auth) as client:
            assert client.post("/events/v1/pexip", json=bulk(events)).status_code == 200

    def look_up(self, call: "Call") -> Json:
        """What the agent's widget sees."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        with self.server.client(auth=None, headers=headers) as client:
            response = client.get(f"/agent/v1/conferences/{call.id}", params={"conversation": call.conversation})
        assert response.status_code == 200, response.text
        answer = response.json()
        assert isinstance(answer, dict)
        return answer

    def play(self) -> "Call":
        """A call in which the customer talks to an agent."""
        made = self.make_link(name="Ada L", attributes={"language": "es"}, ttl="2h")
        call = Call(made["call"], str(uuid4()))
        with self.server.client(auth=None) as client:
            assert client.get(f"/join/{made['session']}").status_code == 303
        assert self.ask_service(made["alias"])["action"] == "continue"
        now, room = time.time(), {"conference": call.id}
        came = {**room, "role": "guest", "source_alias": "Ada L", "destination_alias": made["alias"]}
        self.tell(
            told.started(now, name=call.id),
            *told.browser("Ada L", now, **came),
            told.leg(f"leg-{call.id}", now + 1, **{**room, "destination_alias": "99+13129998045"}),
        )
        people = [
            participant("customer", aniName=call.id, dnis="tel:+13129998045"),
            participant("agent", userId=MARIA.id),
        ]
        self.genesys.conversations[call.conversation] = people
        # What a node asked and what a customer opened is written beside the answers.
        wanted = {agent_answers.LINK_OPENED, ANSWERED, links.CREATED, "trunk_answered"}
        eventually(lambda: wanted <= {line["kind"] for line in self.look_up(call)["timeline"]})
        return call


@dataclass(frozen=True, slots=True)
class Call:
    """A call id, and the conversation in Genesys Cloud that it led to."""

    id: str
    conversation: str

    @property
    def variables(self) -> dict[str, str]:
        """The variables of the README's examples."""
        return {"CALL": self.id, "CONVERSATION": self.conversation, "API_KEY": API_KEY, "TOKEN": TOKEN}


def _blocks(language: str) -> list[Block]:
    fence = re.compile(r"^(?:<!-- ([^\n]+) -->\n)?( *)```(\w+)\n(.*?)^\2```$", re.MULTILINE | re.DOTALL)
    return [
        Block(match[3], re.sub(f"^{match[2]}", "", match[4], flags=re.MULTILINE), match[1] or "", _line(match.start(3)))
        for match in fence.finditer(README)
        if match[3] == language
    ]


def _line(offset: int) -> int:
    return README.count("\n", 0, offset) + 1


def _rows(head: str) -> list[list[str]]:
    """The cells of the table whose head begins with this text."""
    start = README.index(f"\n| {head}")
    lines = README[start:].strip("\n").partition("\n\n")[0].split("\n")
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def _code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


YAML: Final = _blocks("yaml")
HTML: Final = _blocks("html")
CONSOLE: Final = _blocks("console")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rules that are shipped and the files that the README shows."""
    path = tmp_path_factory.mktemp("readme")
    copytree(ROOT / "rules", path / "rules")
    shipped = path / "rules" / "genesys.yaml"
    # Tests run on Christmas Day too.
    holiday = (datetime.now(UTC) + timedelta(days=100)).date()
    rules = re.sub(r"(?<=    closed: ).*", f'["{holiday}"]', shipped.read_text(encoding="utf-8"))
    shipped.write_text(rules, encoding="utf-8")
    for block in (*YAML, *HTML):
        file = path / block.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        for picture in re.findall(r"avatar: ([\w/.]+)", block.text):
            (file.parent / picture).parent.mkdir(exist_ok=True)
            Image.new("RGB", (20, 20)).save(file.parent / picture)
    return path


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    """A real server with the rules that are shipped, all its settings, and a stand-in of Genesys Cloud."""
    genesys = StandIn()
    genesys.users[TOKEN] = MARIA
    with genesys.serving() as url:
        variables = {**SERVER_SETTINGS, "POLICY_GENESYS_API": url}
        with real_server(folder, environment=variables) as running:
            yield Site(running, genesys, variables)


@pytest.fixture(scope="module")
def server(site: Site) -> RealServer:
    """The server of the site."""
    return site.server


def _matches(expected: str, got: str) -> bool:
    def as_regex(line: str) -> str:
        if line.strip() == ANYTHING:
            return r"(?:[^\n]*\n)*?"
        return r"[^\n]*?".join(map(re.escape, line.split(ANYTHING))) + r"\n"

    return (
        re.fullmatch("".join(map(as_regex, expected.splitlines())), got if got.endswith("\n") else got + "\n")
        is not None
    )


def _commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown."""
    pieces = re.split(r"^\$ ((?:.*\\\n)*.+)\n", block.text, flags=re.MULTILINE)
    assert pieces[0] == "", f"line {block.line}: output without a command"
    return list(zip(pieces[1::2], pieces[2::2], strict=True))


def _run(commands: list[str], folder: Path, environment: Mapping[str, str]) -> list[tuple[str, int]]:
    """Runs commands in one shell; the output and exit status of each."""
    after = "\n__status=$?; printf '\\036%d\\036' $__status; (exit $__status)\n"
    path = f"{Path(sys.executable).parent}:{clean_environment()['PATH']}"
    done = subprocess.run(
        ["bash"],
        input="".join(command + after for command in commands),
        cwd=folder,
        env=clean_environment(PATH=path, LC_ALL="C.UTF-8", no_proxy="*", **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    pieces = re.split("\x1e(\\d+)\x1e", done.stdout)
    return list(zip(pieces[0::2], map(int, pieces[1::2]), strict=False))


def test_every_yaml_block_says_which_file_it_is() -> None:
    """No rules stand in the README that nothing loads."""
    assert YAML
    files = (*YAML, *HTML)
    for block in files:
        assert block.note.startswith("file: "), f"line {block.line}: say which file this is"
    assert len({block.file for block in files}) == len(files)


@pytest.mark.parametrize("name", sorted({Path(block.file).parts[0] for block in YAML}))
def test_rules_load_without_problems_unless_the_readme_says_so(name: str, folder: Path) -> None:
    """Rules of the README are used as they stand, and those shown for their problems have some."""
    loaded, _ = load_folder(folder / name, datetime.now(UTC))
    with_problems = any(block.note.endswith(", with problems") for block in YAML if Path(block.file).parts[0] == name)
    assert bool(loaded.problems) is with_problems, "\n".join(map(str, loaded.problems))


def test_the_tour_shows_every_section() -> None:
    """There is no section of a rule file without an example."""
    shown = {section for block in YAML for section in re.findall(r"^(\w+):", block.text, re.MULTILINE)}
    assert shown >= {*SECTIONS, "tests"}


@pytest.mark.parametrize(
    "block",
    [block for block in CONSOLE if block.note not in {"starts a server", "backs up SQLite"}],
    ids=lambda block: f"line-{block.line}",
)
def test_commands_print_what_the_readme_shows(block: Block, folder: Path, request: pytest.FixtureRequest) -> None:
    """Every command of a console block runs, and its output is the one shown."""
    assert block.note in {"", "without settings", "asks a server"}
    environment: Mapping[str, str] = {} if block.note == "without settings" else CREDENTIALS
    url = SHOWN_URL
    if block.note == "asks a server":
        site = request.getfixturevalue("site")
        assert isinstance(site, Site)
        url = site.server.url
        environment = {**site.settings, **site.play().variables}
    _check_output(block, folder, environment, url)


def _check_output(block: Block, folder: Path, environment: Mapping[str, str], url: str) -> None:
    """Runs the commands of a block, for which the server is at ``url``."""
    commands = _commands(block)
    results = _run([command.replace(SHOWN_URL, url) for command, _ in commands], folder, environment)
    assert len(results) == len(commands)
    following = [command for command, _ in commands[1:]] + [""]
    for (command, expected), (got, status), follows in zip(commands, results, following, strict=True):
        assert _matches(expected, got.replace(url, SHOWN_URL) if got else "") or got == expected, f"$ {command}\n{got}"
        assert status == 0 or follows == "echo $?", f"$ {command} fails with status {status}, and the README hides it"


def test_a_first_start_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """`make run` serves, makes up credentials, and says what to paste into Pexip."""
    (block,) = [block for block in CONSOLE if block.note == "starts a server"]
    ((command, expected),) = _commands(block)
    assert command == "make run"
    assert re.search(r"^run:.*\n\t\$\(BIN\)/policy-server serve$", _makefile(), re.MULTILINE)
    copytree(ROOT / "rules", tmp_path / "rules")
    with real_server(tmp_path, environment={}) as running:
        got = running.out.replace(running.url, SHOWN_URL)
    assert _matches(expected, got), got


def test_the_settings_of_the_first_evening_are_good(tmp_path: Path) -> None:
    """The commands that write `.env` make settings that a server takes, in a file that nobody else can read."""
    (script,) = [block.text for block in _blocks("sh") if "> .env" in block.text]
    writing = [line for line in script.splitlines(keepends=True) if not line.startswith("policy-server ")]
    subprocess.run(["bash", "-e"], input="".join(writing), text=True, cwd=tmp_path, check=True)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    written = {name: value or "" for name, value in dotenv_values(tmp_path / ".env").items()}
    settings, warnings = read_settings(written)
    assert warnings == ()
    assert settings.pexip
    assert settings.events
    assert settings.secret_key
    assert len(settings.api_keys) == 1


def test_the_decision_log_looks_as_shown(folder: Path, server: RealServer) -> None:
    """A decision is one line, with the PINs masked."""
    (block,) = [block for block in _blocks("text") if block.note == "logged by a server"]
    loaded, _ = load_folder(folder / "rules", datetime.now(UTC))
    assert loaded.ruleset is not None
    ends = datetime.now(UTC) + timedelta(hours=1)
    link = make_link(loaded.ruleset.links["visit"], Keyring.from_text(SECRET_KEY), ends, bytes(NONCE_BYTES))
    question = {"call_direction": "dial_in", "protocol": "api", "location": "DMZ", "local_alias": link.alias}
    with server.client() as client:
        answer = client.get("/policy/v1/service/configuration", params=question).json()
    line = eventually(lambda: next((line for line in server.err.splitlines() if answer["decision_id"] in line), ""))
    assert _matches(block.text, line), line
    assert answer["result"]["pin"] not in line
    assert answer["result"]["guest_pin"] not in line


def test_every_field_of_a_lookup_is_explained(site: Site) -> None:
    """The table of the lookup's answer has every field of a real one, and no other."""
    documented = [name for names, _ in _rows("field of the answer |") for name in _code(names)]
    assert sorted(documented) == sorted(_paths(site.look_up(site.play())))


def _paths(value: Json, before: str = "") -> Iterator[str]:
    """The fields of an answer; those of the link and of single entries are the caller's."""
    for name, field in value.items():
        path = before + name
        if isinstance(field, dict) and name not in {"attributes", "data"}:
            yield from _paths(field, f"{path}.")
        elif isinstance(field, list) and field and isinstance(field[0], dict):
            yield from _paths(field[0], f"{path}[].")
        else:
            yield path


def test_fields_of_a_link_and_kinds_of_entries_are_those_of_the_code() -> None:
    """What may be sent for a link, and what a timeline calls things, is what the code knows."""
    assert [_code(name)[0] for name, _ in _rows("field of a link |")] == list(FIELDS)
    kinds = {kind for names, _ in _rows("kind of entry |") for kind in _code(names)}
    opened = {agent_answers.LINK_OPENED, agent_answers.LINK_PREVIEWED}
    assert kinds == {links.CREATED, links.REVOKED, *opened, ANSWERED, lookup.LOOKED_UP, *KINDS}


@pytest.mark.parametrize(
    ("head", "modules"),
    [
        ("error of a link |", ("web/links.py", "web/link_requests.py", "web/refusals.py")),
        ("error of a lookup |", ("web/agents.py", "web/streams.py", "web/refusals.py", "web/cors.py", "app.py:_unset")),
    ],
    ids=["links", "agents"],
)
def test_errors_are_those_of_the_code(head: str, modules: tuple[str, ...]) -> None:
    """Every problem that developers can get is in the table with its status, and no other is."""
    problem = re.compile(r"(?:ProblemResponse|agent_problem)\(\s*(\d+),\s*\"([a-z-]+)\"")
    found = set()
    for module in modules:
        path, _, function = module.partition(":")
        source = (ROOT / "policy_server" / path).read_text(encoding="utf-8")
        start = source.index(f"def {function}") if function else 0
        end = source.find("\n\n\n", start) if function else len(source)
        found |= {(kind, status) for status, kind in problem.findall(source[start:end])}
    documented = {(kind, status) for kinds, status, _ in _rows(head) for kind in _code(kinds)}
    assert documented == found


def test_pages_of_its_own_are_shown_to_the_customer(folder: Path) -> None:
    """The templates of the README stand in for the shipped ones, and every page is in its table."""
    names = [name for names, _ in _rows("template |") for name in _code(names)]
    assert {name.partition(".")[0] for name in names} == {*PAGES, "dates", "layout"}
    loaded, _ = load_folder(folder / "languages", datetime.now(UTC))
    assert loaded.ruleset is not None
    pages = shipped_pages().with_own(loaded.ruleset.links["patient"].templates)
    for block in HTML:
        page, language, _ = Path(block.file).name.split(".")
        heading = re.findall(r"<h1>(.*)</h1>", block.text)[0]
        assert heading in pages.render(page, language, datetime.now(UTC)).html
        assert heading not in shipped_pages().render(page, language, datetime.now(UTC)).html


def test_attributes_of_a_link_choose_the_trunk(folder: Path, tmp_path: Path) -> None:
    """A link made for a Spanish speaker leads to a room that dials the Spanish number, through a real server."""
    copytree(folder / "languages", tmp_path / "rules")
    with real_server(tmp_path, environment=SERVER_SETTINGS) as running:
        site = Site(running, StandIn(), SERVER_SETTINGS)
        numbers = {}
        for language in ("es", "en"):
            made = site.make_link(type="patient", attributes={"language": language})
            (leg,) = site.ask_service(made["alias"])["result"]["automatic_participants"]
            numbers[language] = leg["remote_alias"]
    assert numbers == {"es": "99+13129998046", "en": "99+13129998045"}


def test_a_backup_of_sqlite_opens_and_holds_the_link(folder: Path, site: Site, tmp_path: Path) -> None:
    """What the backup command writes while the server runs is a database on which a server goes on."""
    (block,) = [block for block in CONSOLE if block.note == "backs up SQLite"]
    made = site.make_link(name="Ada L")
    _check_output(block, folder, site.settings, site.server.url)
    backup = folder / "policy-backup.db"
    assert backup.stat().st_mode & 0o077 == 0
    (tmp_path / "rules").symlink_to(folder / "rules")
    _check_restored(tmp_path, f"sqlite:///{backup}", made)


def test_a_backup_of_postgresql_opens_and_holds_the_link(folder: Path, tmp_path: Path) -> None:
    """The statements of the README make a database that a server can use, and its commands copy it to another one."""
    (statements,) = [block.text for block in _blocks("sql")]
    (script,) = [block.text for block in _blocks("sh") if block.note == "backs up PostgreSQL"]
    (tmp_path / "rules").symlink_to(folder / "rules")
    try:
        with running_postgres("fsync=off") as postgres:
            for statement in statements.splitlines():
                postgres.execute(statement)
            postgres.execute("CREATE DATABASE restored OWNER policy ENCODING 'UTF8' TEMPLATE template0")
            url, restored = (
                f"postgresql://policy:secret@127.0.0.1:{postgres.port}/{name}" for name in ("policy", "restored")
            )
            with real_server(tmp_path, environment={**SERVER_SETTINGS, "POLICY_DATABASE_URL": url}) as running:
                made = Site(running, StandIn(), SERVER_SETTINGS).make_link(name="Ada L")
            path = f"{find_binaries()}{os.pathsep}{os.environ['PATH']}"
            variables = {"POLICY_DATABASE_URL": url, "RESTORED_DATABASE_URL": restored, "PATH": path}
            subprocess.run(["bash", "-e"], input=script, text=True, cwd=tmp_path, env=variables, check=True)
            _check_restored(tmp_path, restored, made)
    except PostgresMissingError as missing:
        leave_out(str(missing))


def _check_restored(folder: Path, url: str, made: Json) -> None:
    """Starts a server on a copy of a database and asks it for a link."""
    with real_server(folder, environment={**SERVER_SETTINGS, "POLICY_DATABASE_URL": url}) as running:
        headers = {"authorization": f"Bearer {API_KEY}"}
        with running.client(auth=None, headers=headers) as client:
            answer = client.get(f"/api/v1/links/{made['call']}").json()
    assert (answer["alias"], answer["name"]) == (made["alias"], "Ada L")


def test_the_stream_can_be_followed_as_shown(site: Site, tmp_path: Path) -> None:
    """The script shows the conference and each change of it, and gives up with the problem when the token is not good.

    Where there is no node to run it, it is only looked at.
    """
    (block,) = _blocks("js")
    assert {name for names, _ in _rows("event | data") for name in _code(names)} == {"conference", "end"}
    assert all(f'"{name}"' in block.text for name in ("conference", "end", "Last-Event-ID"))
    node = shutil.which("node")
    if node is None:
        return
    call = site.play()
    url = f"{site.server.url}/agent/v1/conferences/{call.id}/events?conversation={call.conversation}"
    use = (
        "const [url, token] = process.argv.slice(2);\n"
        "const problem = await follow(url, () => token, (seen) => console.log(seen.state));\n"
        "console.log(problem.type);\n"
    )
    script = tmp_path / "follow.mjs"
    script.write_text(block.text + use, encoding="utf-8")
    with subprocess.Popen(
        [node, script, url, TOKEN], stdout=subprocess.PIPE, text=True, env=clean_environment()
    ) as run:
        too_late = Timer(30, run.kill)
        too_late.start()
        assert run.stdout is not None
        seen = [run.stdout.readline()]
        site.tell(told.ended(time.time() + 2, name=call.id))
        seen += takewhile("ended\n".__ne__, run.stdout)
        too_late.cancel()
        # It goes on for as long as the server does not end the stream; a script that was too late is dead.
        assert run.poll() is None
        run.kill()
    assert set(seen) == {"active\n"}
    refused = subprocess.run([node, script, url, "no-token"], capture_output=True, text=True, check=True, timeout=30)
    assert refused.stdout == "urn:policy-server:problem:unauthorized\n"


def test_what_operators_can_ask_answers(server: RealServer) -> None:
    """Every path of the table is served to this machine, without credentials."""
    for path in [_code(path)[0] for path, _ in _rows("path | says")]:
        assert httpx.get(server.url + path, trust_env=False).status_code == 200, path


def test_the_metrics_are_those_of_the_table(server: RealServer) -> None:
    """Every metric is documented with its labels, and no other is."""
    with server.client() as client:
        client.get("/policy/v1/service/configuration")
        httpx.get(f"{server.url}/policy/v1/service/configuration", trust_env=False)
        text = client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE):
        if not name.endswith("_created"):
            labels = re.findall(rf"^{name}(?:_count)?\{{(.*)\}}", text, re.MULTILINE)
            found[name] = set(re.findall(r"(\w+)=", " ".join(labels))) - {"le"}
    documented = {_code(name)[0]: set(_code(labels)) for name, labels, _ in _rows("metric |")}
    assert documented == found


def test_the_outcomes_of_metrics_are_those_of_decisions() -> None:
    """The README names every value of the label `outcome`."""
    start = README.index("`outcome` is ")
    named = set(_code(README[start:].partition("\n\n")[0])) - {"outcome", "policy_rules_refused"}
    assert set(OUTCOMES) == set(get_args(Decision))
    assert named == {*OUTCOMES.values(), "misunderstood", "error"}


def test_every_setting_is_documented_and_no_other_is_named() -> None:
    """The table of settings is that of the code, and every POLICY_ variable in the README exists."""
    assert {_code(name)[0]: text for name, text in _rows("variable |")} == {
        PREFIX + name: text for name, text in SETTINGS.items()
    }
    exist = {PREFIX + name + ending for name in SETTINGS for ending in ("", "_FILE")}
    assert set(re.findall(r"\bPOLICY_[A-Z_]+\b", README)) <= exist


def _leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for word, below in command.commands.items():
            yield from _leaves(below, f"{name} {word}")
    else:
        yield name, command


COMMANDS: Final = dict(_leaves(main, "policy-server"))


def _options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def test_every_command_and_option_is_in_the_table() -> None:
    """What `--help` lists is what the table of commands lists."""
    documented = {
        _code(name)[0]: {option.split()[0] for option in _code(options)}
        for name, _, options in _rows("command | what it does | options")
    }
    assert documented == {name: _options(command) for name, command in COMMANDS.items()}
    assert "`policy-server --version`" in README


def test_commands_in_prose_and_units_exist() -> None:
    """Every mention of a command names one that exists, with options that it has."""
    code = re.findall(r"`(policy-server[^`]*)`", README)
    lines = [
        line for language in ("sh", "console", "ini") for block in _blocks(language) for line in block.text.splitlines()
    ]
    code += [
        found[0]
        for line in lines
        if (found := re.search(r"(?<!/)\bpolicy-server (?!listens).*|/policy-server .*", line))
    ]
    assert len(code) > 10
    for text in code:
        words = shlex.split(re.split(r" (?:\||>|&&|#) ?", text)[0].strip("/"))
        if words[1:] in ([], ["--version"], ["link"]):
            continue
        name = " ".join(words[:3] if words[1] in {"link", "conference"} else words[:2])
        assert name in COMMANDS, text
        used = {word for word in words if word.startswith("--")}
        assert used <= _options(COMMANDS[name]), text


def test_conditions_and_name_lists_are_documented() -> None:
    """Every condition that is no parameter is in the table, and the table names no condition that does not exist."""
    named = {name.partition(":")[0] for cell, _ in _rows("key |") for name in _code(cell)}
    keys = set(chain.from_iterable(condition_keys(request) for request in RequestType))
    assert named <= keys
    assert {"open", "closed", "link", "link_attributes", "percent", "any", "all", "not", "idp_attributes"} <= named
    kinds = README.partition("The kinds: ")[2].partition("\n\n")[0]
    assert _code(kinds) == list(DEPLOYMENT_LISTS)


def test_links_lead_somewhere() -> None:
    """Files and headings that the README links to exist, and its contents list every chapter in order."""
    targets = re.findall(r"\]\(([^)]+)\)", README)
    headings = {_slug(text) for text in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    for target in targets:
        if target.startswith("https://"):
            continue
        assert target[1:] in headings if target.startswith("#") else (ROOT / target).exists(), target
    contents = re.findall(r"\]\(#([^)]+)\)", README[README.index("**Contents:**") :].partition("\n## ")[0])
    assert contents == [_slug(text) for text in re.findall(r"^## (.+)$", README, re.MULTILINE)]


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_table_of_packages_is_that_of_the_code() -> None:
    """Every package that the program uses is listed with the floor that the import contracts give it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = [re.findall(r"\w+", layer) for layer in reversed(contracts[0]["layers"])]
    floors = {name: str(floor) for floor, layer in enumerate(layers) for name in layer}
    program = (
        "import sys, policy_server.cli; print(*(name for name in sys.modules if name.startswith('policy_server.')))"
    )
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    packages = {name for module in modules if (ROOT / "policy_server" / (name := module.split(".")[1])).is_dir()}
    roof = {"cli": "roof"}
    documented = {Path(_code(name)[0]).name: floor for name, floor, _ in _rows("package |")}
    assert documented == {name: roof.get(name, floors[name]) for name in packages}


def test_make_targets_and_shell_blocks_are_good() -> None:
    """Every `make` target that is named exists, every target is named, and shell blocks can be read by a shell."""
    targets = set(re.findall(r"^(\w+):", _makefile(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^|\$ )make (\w+)", README, re.MULTILINE))
    assert named == targets
    for block in _blocks("sh"):
        subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
