"""``serve``: what it refuses, what it says, what it makes up, how it ends. ``tests/web`` has more running servers."""

import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn

from policy_server.cli.serve import app_of_worker
from policy_server.settings import SETTINGS
from tests.cli.commands import CREDENTIALS, RULES, put_rules, run
from tests.genesys.asking import TOKEN, standing_in
from tests.genesys.asking import settings as genesys_settings
from tests.servers import PASSWORD, SECRET_KEY, RealServer, real_server

# By its name, since the package calls the command of the module by the same name.
serve_module = sys.modules["policy_server.cli.serve"]

API_KEYS = "booking:k3y-of_the.booking~system"
MADE_UP = [
    "POLICY_PEXIP_USERNAME",
    "POLICY_PEXIP_PASSWORD",
    "POLICY_EVENTS_USERNAME",
    "POLICY_EVENTS_PASSWORD",
    "POLICY_API_KEYS",
    "POLICY_SECRET_KEY",
]


def made_up(text: str) -> dict[str, str]:
    """The variables that ``serve`` says it made up."""
    return dict(re.findall(r"^  (POLICY_[A-Z_]+)=(\S+)$", text, re.MULTILINE))


@pytest.fixture(autouse=True)
def rules(folder: Path) -> Path:
    """The rules of these tests."""
    return put_rules(folder)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[uvicorn.Config]]:
    """Lets ``serve`` come to the point of answering, and no further; the list has what it would have run."""
    configurations: list[uvicorn.Config] = []

    def run_nothing(server: uvicorn.Server, sockets: Any = None) -> None:
        configurations.append(server.config)
        assert [one.getsockname()[1] > 0 for one in sockets] == [True]
        server.started = True

    monkeypatch.setattr(uvicorn.Server, "run", run_nothing)
    monkeypatch.setattr(serve_module, "set_up_logging", lambda _: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    yield configurations
    assert len(configurations) <= 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "policy.example.com", ""])  # noqa: S104
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "POLICY_PEXIP_USERNAME and POLICY_PEXIP_PASSWORD and POLICY_SECRET_KEY must be set"),
        ({"POLICY_SECRET_KEY": SECRET_KEY}, "Error: POLICY_PEXIP_USERNAME and POLICY_PEXIP_PASSWORD must be set"),
        (
            {"POLICY_PEXIP_USERNAME": "a", "POLICY_PEXIP_PASSWORD": "planted-secret"},
            "Error: POLICY_SECRET_KEY must be set",
        ),
    ],
    ids=["nothing", "key alone", "credentials alone"],
)
def test_nothing_secret_has_a_default(host: str, given: dict[str, str], missing: str) -> None:
    """Without credentials or key, any address but loopback is refused with status 2 and how to set them."""
    result = run("serve", "--host", host, "--port", "0", environment=given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert missing in result.stderr
    assert "secrets.token_urlsafe(32)" in result.stderr
    assert ".env" in result.stderr
    assert "_FILE" in result.stderr
    assert "planted-secret" not in result.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_temporary_credentials_on_loopback(host: str, started: list[uvicorn.Config]) -> None:
    """On loopback what is missing is made up: printed with what to paste into Pexip, and different each time."""
    outputs = [run("serve", "--host", host, "--port", "0") for _ in range(2)]
    assert [result.exit_code for result in outputs] == [0, 0]
    secrets: list[str] = []
    for result in outputs:
        lines = result.stdout.splitlines()
        made = made_up(result.stdout)
        assert list(made) == MADE_UP
        name, _, api_key = made["POLICY_API_KEYS"].partition(":")
        assert name == "first-evening"
        assert min(len(api_key), len(made["POLICY_SECRET_KEY"])) >= 32
        secrets += [api_key, *(made[variable] for variable in MADE_UP if "USERNAME" not in variable)]
        url = lines[0].removeprefix("policy-server listens on ")
        assert url.startswith(f"http://{host}:")
        for needed in (f"  URL        {url}", f"  Password   {made['POLICY_PEXIP_PASSWORD']}", f"simulate --url {url}"):
            assert needed in result.stdout
        assert result.stderr == ""
    assert len(set(secrets)) == len(secrets)
    started.clear()


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (("EVENTS_USERNAME", "EVENTS_PASSWORD"), ["PEXIP_USERNAME", "PEXIP_PASSWORD", "API_KEYS", "SECRET_KEY"]),
        (("API_KEYS",), ["PEXIP_USERNAME", "PEXIP_PASSWORD", "EVENTS_USERNAME", "EVENTS_PASSWORD", "SECRET_KEY"]),
        (("PEXIP_USERNAME", "PEXIP_PASSWORD"), ["SECRET_KEY"]),
        (("PEXIP_USERNAME", "PEXIP_PASSWORD", "SECRET_KEY"), []),
    ],
    ids=["events", "API keys", "policy profile", "policy profile and key"],
)
def test_only_what_is_missing_is_made_up(
    given: tuple[str, ...], made: list[str], started: list[uvicorn.Config]
) -> None:
    """What is set stays; and who has set up the policy profile gets no event sink and no API key unasked."""
    known = {**CREDENTIALS, "POLICY_EVENTS_USERNAME": "a", "POLICY_EVENTS_PASSWORD": "b", "POLICY_API_KEYS": API_KEYS}
    result = run("serve", "--port", "0", environment={f"POLICY_{name}": known[f"POLICY_{name}"] for name in given})
    assert result.exit_code == 0, result.output
    assert list(made_up(result.stdout)) == [f"POLICY_{name}" for name in made]
    assert len(started) == 1


def test_configured_secrets_are_not_printed(started: list[uvicorn.Config]) -> None:
    """What is set is not shown: with everything set nothing but address and rules, else only what was made up."""
    complete = run("serve", "--port", "0", environment=CREDENTIALS)
    assert complete.exit_code == 0
    assert len(complete.stdout.splitlines()) == 2
    assert complete.stdout.splitlines()[1].startswith("Rules: 6 from rules, revision ")
    started.clear()
    half = {name: value for name, value in CREDENTIALS.items() if name != "POLICY_SECRET_KEY"}
    result = run("serve", "--port", "0", environment=half)
    assert "POLICY_SECRET_KEY=" in result.stdout
    assert PASSWORD not in complete.output + result.output
    assert "as in POLICY_PEXIP_PASSWORD" in result.stdout


def test_short_keys_are_refused() -> None:
    """A secret key that is too short is status 2 and is not repeated."""
    result = run("serve", "--port", "0", environment={**CREDENTIALS, "POLICY_SECRET_KEY": "short-planted"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "POLICY_SECRET_KEY: the secret key has 13 characters and needs 32 or more" in result.stderr
    assert "short-planted" not in result.stderr


def test_bad_rules(rules: Path) -> None:
    """Bad rules are status 2 with every problem, and the server does not start."""
    put_rules(rules.parent, RULES.replace("room: visit", "room: vist").replace("ttl: 4h", "ttl: soon"))
    result = run("serve", "--port", "0")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count(": error: ") == 3
    assert result.stderr.endswith("The rules cannot be used, so the server does not start.\n")


def test_a_missing_password_of_a_rule(rules: Path, started: list[uvicorn.Config]) -> None:
    """A variable that a rule names must be set where the server runs, in the environment or in .env."""
    put_rules(rules.parent, RULES.replace("allow: true", "allow: { username: a, password_env: KIOSK_PASSWORD }"))
    result = run("serve", "--port", "0")
    assert result.exit_code == 2
    assert "the environment variable KIOSK_PASSWORD is not set" in result.stderr
    (rules.parent / ".env").write_text("KIOSK_PASSWORD=from-the-file\n", encoding="utf-8")
    assert run("serve", "--port", "0").exit_code == 0
    assert len(started) == 1


def test_warnings_are_shown(rules: Path, started: list[uvicorn.Config]) -> None:
    """Warnings about the rules are shown at the start and hold nothing up."""
    put_rules(rules.parent, RULES.replace("trunks:", 'trunks:\n  spare: { number: "+13125550100", dial_prefix: "99" }'))
    result = run("serve", "--port", "0")
    assert result.exit_code == 0
    assert ": warning: " in result.stderr
    assert len(started) == 1


def test_the_help_tells_every_setting() -> None:
    """Who asks how the server is run reads of each setting what it is for, its default and whether it is secret."""
    told = " ".join(run("serve", "--help").stdout.replace("-\n", "-").split())
    assert [setting.variable for setting in SETTINGS if f" {setting.variable} " not in told] == []
    assert (
        "POLICY_CONFERENCE_TTL how long a room keeps its service when no event says that it ended (default: 12h)"
        in told
    )
    assert "which make customer links: name:key,name:key (secret)" in told


def test_port_in_use() -> None:
    """A port that somebody has is status 2 with address, reason and remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.stderr
    assert "--port" in result.stderr


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("192.0.2.1", "cannot listen on 192.0.2.1:0: "),
        ("no.such.host.invalid", "--host no.such.host.invalid is no address"),
    ],
)
def test_an_address_of_another_machine(host: str, said: str) -> None:
    """An address that this machine does not have is status 2."""
    result = run("serve", "--host", host, "--port", "0", environment=CREDENTIALS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--public-host", "127.0.0.1"), "--public-host, --public-tls-cert and --public-tls-key need --public-port"),
        (("--public-port", "0", "--public-host", "192.0.2.1"), "POLICY_SECRET_KEY must be set"),
        (("--public-port", "0", "--public-host", "no.such.host.invalid"), "POLICY_SECRET_KEY must be set"),
        (("--public-port", "0", "--public-tls-cert", "rules/rules.yaml"), "--public-tls-cert and --public-tls-key go"),
    ],
)
def test_a_public_listener_that_cannot_be(options: tuple[str, ...], said: str) -> None:
    """Options of the public listener need its port, and its address needs real credentials as much as the nodes'."""
    result = run("serve", "--port", "0", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_the_port_of_the_public_listener_is_in_use() -> None:
    """What is wrong with the public listener names its own options."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", "0", "--public-port", str(port))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.stderr
    assert "--public-port" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_listeners(rules: Path, workers: str) -> None:
    """Both are said at the start, each answers its own paths in every process, and both end at once."""
    with real_server(rules.parent, "--workers", workers, "--public-port", "0", environment=CREDENTIALS) as running:
        found = re.search(
            r"listens on (\S+) for customers, widgets and your own systems: /join/, /agent/, /api/\n", running.out
        )
        assert found is not None
        with running.client() as nodes, running.client(base_url=found[1]) as public:
            for _ in range(4):
                assert nodes.get("/policy/v1/service/configuration").status_code == 200
                assert "There is nothing here" in nodes.get("/join/x").text
                assert "<html" in public.get("/join/x").text
                for path in ("/policy/v1/service/configuration", "/events/v1/pexip", "/metrics", "/readyz", "/healthz"):
                    assert "There is nothing here" in public.get(path).text
        assert running.stop(signal.SIGTERM) == 0
        assert "Traceback" not in running.err


@pytest.mark.slow
def test_few_open_files_are_a_warning(rules: Path, tmp_path: Path) -> None:
    """A start with a low limit says how many connections that leaves, and what to write where."""
    (tmp_path / "low.py").write_text(
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_NOFILE, (512, 1024))\n"
        "from policy_server.cli import main\nmain(sys.argv[1:])\n",
        encoding="utf-8",
    )
    with real_server(rules.parent, program=(str(tmp_path / "low.py"),), environment=CREDENTIALS) as running:
        assert (
            "warning: this process may have no more than 1024 files open, which leaves 768 connections; " in running.err
        )
        assert "write LimitNOFILE=65536 into the systemd unit, or `ulimit -n 65536` before the start" in running.err


def test_the_server_is_set_up_for_speed_and_silence(started: list[uvicorn.Config]) -> None:
    """The fast loop, no access log, nothing about itself in headers."""
    assert run("serve", "--port", "0").exit_code == 0
    (configuration,) = started
    assert (configuration.loop, configuration.ws) == ("uvloop", "none")
    assert (configuration.access_log, configuration.server_header) == (False, False)


@pytest.fixture
def certificate(folder: Path) -> Path:
    """A certificate and its key, an encrypted key, and another key, in the current folder."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2", "-subj", "/CN=x")
    openssl(*new, "-nodes", "-keyout", "good.key", "-out", "good.pem")
    openssl(*new, "-nodes", "-keyout", "other.key", "-out", "other.pem")
    openssl("ec", "-in", "good.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
    (folder / "text.pem").write_text("not a certificate", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tls-cert", "good.pem"), "--tls-cert and --tls-key go together"),
        (("--tls-key", "good.key"), "--tls-cert and --tls-key go together"),
        (("--tls-client-ca", "good.pem"), "--tls-client-ca needs --tls-cert and --tls-key"),
        (("--tls-cert", "text.pem", "--tls-key", "good.key"), "cannot be used"),
        (("--tls-cert", "good.pem", "--tls-key", "other.key"), "cannot be used (KEY_VALUES_MISMATCH)"),
        (("--tls-cert", "good.pem", "--tls-key", "locked.key"), "private key without passphrase"),
        (
            ("--tls-cert", "good.pem", "--tls-key", "good.key", "--tls-client-ca", "text.pem"),
            "--tls-client-ca text.pem has no certificate (PEM) in it",
        ),
        (("--tls-cert", "absent.pem", "--tls-key", "good.key"), "'absent.pem' does not exist"),
    ],
)
def test_certificates_that_cannot_be_used(certificate: Path, options: tuple[str, ...], said: str) -> None:
    """Files that make no https are status 2 and named, and nobody is asked for a passphrase."""
    result = run("serve", "--port", "0", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert certificate.is_dir()


def test_settings_pass_to_every_process(monkeypatch: pytest.MonkeyPatch, rules: Path) -> None:
    """Processes get the very settings of the first one: options and files included, made-up secrets too."""
    (rules.parent / "password").write_text(PASSWORD, encoding="utf-8")
    (rules.parent / "folder").write_text("elsewhere", encoding="utf-8")
    made: list[str] = []

    def start_none(configuration: uvicorn.Config) -> None:
        assert (configuration.app, configuration.workers) == ("policy_server.cli.serve:app_of_worker", 2)
        made.append(str(app_of_worker()))

    monkeypatch.setattr(serve_module, "set_up_logging", lambda _: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(serve_module, "_Workers", lambda config, _: SimpleNamespace(run=lambda: start_none(config)))
    # What serve puts into the environment is taken back when the test is over.
    for name in ("PROMETHEUS_MULTIPROC_DIR", "POLICY_SECRET_KEY", "POLICY_PEXIP_PASSWORD", "POLICY_PEXIP_USERNAME"):
        monkeypatch.setenv(name, "")
    for name, value in (("PEXIP_USERNAME", "a"), ("PEXIP_PASSWORD_FILE", "password"), ("RULES_FILE", "folder")):
        monkeypatch.setenv(f"POLICY_{name}", value)
    result = run("serve", "--port", "0", "--workers", "2", "--rules", "rules")
    assert result.exit_code == 0, result.output
    assert len(made) == 1


def test_sighup_goes_to_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several processes SIGHUP makes each reload its rules; none is replaced."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    workers = serve_module._Workers(uvicorn.Config("x:y", workers=2), [])
    processes = [SimpleNamespace(pid=4711), SimpleNamespace(pid=None), SimpleNamespace(pid=4712)]
    workers.processes = processes[:]
    workers.signal_queue.append(signal.SIGHUP)
    workers.handle_signals()
    assert sent == [(4711, signal.SIGHUP), (4712, signal.SIGHUP)]
    assert workers.processes == processes


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///rules/rules.yaml/policy.db", "rules/rules.yaml/policy.db cannot be opened for writing: "),
        ("sqlite:///rules", "the database file rules cannot be opened for writing: Is a directory"),
        ("sqlite:///rules/rules.yaml", "rules/rules.yaml is not an SQLite database; name another file"),
        ("sqlite:///newer.db", "the database was made by a newer policy-server: it has version 999"),
    ],
    ids=["below a file", "a folder", "no database", "from the future"],
)
def test_databases_that_cannot_be_used(rules: Path, url: str, said: str, started: list[uvicorn.Config]) -> None:
    """A database that stays unusable until somebody does something is status 2 with the remedy, and left as it is."""
    with closing(sqlite3.connect(rules.parent / "newer.db")) as newer, newer:
        newer.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        newer.execute("INSERT INTO schema_version VALUES (999)")
    result = run("serve", "--port", "0", environment={"POLICY_DATABASE_URL": url})
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: POLICY_DATABASE_URL: ")
    assert said in result.stderr
    assert (rules / "rules.yaml").read_text(encoding="utf-8") == RULES
    assert not started


@pytest.mark.slow
def test_a_database_that_is_away(rules: Path) -> None:
    """A PostgreSQL that nobody reaches is a warning without its password: calls are answered, links are 503."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"postgresql://policy:planted-secret@127.0.0.1:{port}/policy"
    given = {**CREDENTIALS, "POLICY_DATABASE_URL": url, "POLICY_API_KEYS": API_KEYS}
    with real_server(rules.parent, environment=given) as running:
        assert f"warning: the database postgresql://127.0.0.1:{port}/policy: " in running.err
        assert "calls are answered, links cannot be made until it is back\n" in running.err
        with running.client() as client:
            question = "/policy/v1/service/configuration?call_direction=dial_in&local_alias=room-a"
            assert client.get(question).json()["result"]["name"] == "a"
            database = client.get("/readyz").json()["database"]
            assert (database["name"], database["reachable"]) == (f"postgresql://127.0.0.1:{port}/policy", False)
            assert make_link(client, API_KEYS).status_code == 503
        assert running.stop() == 0
        assert "planted-secret" not in running.out + running.err


def make_link(client: httpx.Client, api_keys: str) -> httpx.Response:
    """Makes a link with the only key there is."""
    headers = {"Authorization": f"Bearer {api_keys.partition(':')[2]}"}
    return client.post("/api/v1/links", json={"type": "visit"}, headers=headers, auth=httpx.Auth())


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_open_streams_end_at_once(rules: Path, workers: str) -> None:
    """Agents who watch do not keep a server from stopping, and are told; all with what every process was made up."""
    put_rules(rules.parent, RULES.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]'))
    with ExitStack() as stack:
        genesys = stack.enter_context(standing_in())
        given = {**genesys_settings(genesys.url), "POLICY_AGENT_BINDING": "optional"}
        running = stack.enter_context(real_server(rules.parent, "--workers", workers, environment=given))
        lines = [stack.enter_context(watched(running)) for _ in range(4)]
        for each in lines:
            assert "event: conference" in each
        begun = time.monotonic()
        assert running.stop(signal.SIGTERM) == 0
        # The server gives open responses four seconds.
        assert time.monotonic() - begun < 4
        for each in lines:
            assert "event: end" in each
        assert "Traceback" not in running.err


@contextmanager
def watched(running: RealServer) -> Iterator[Iterator[str]]:
    """The lines of a stream of a conference that begins with this, for which every made-up credential is used."""
    made = made_up(running.out)
    with running.client(auth=(made["POLICY_PEXIP_USERNAME"], made["POLICY_PEXIP_PASSWORD"])) as client:
        link = make_link(client, made["POLICY_API_KEYS"])
        assert link.status_code == 201, link.text
        call, session = link.json()["call"], link.json()["session"]
        question = f"/policy/v1/service/configuration?call_direction=dial_in&local_alias=mp{session}"
        assert client.get(question).json()["result"]["name"] == call
        event = {"node": "10.0.0.1", "seq": 1, "version": 2, "time": time.time(), "event": "x", "data": {}}
        sink = (made["POLICY_EVENTS_USERNAME"], made["POLICY_EVENTS_PASSWORD"])
        assert client.post("/events/v1/pexip", json=event, auth=sink).status_code == 200
    path = f"/agent/v1/conferences/{call}/events"
    token = {"Authorization": f"Bearer {TOKEN}"}
    with running.client(auth=None, headers=token) as agent, agent.stream("GET", path) as stream:
        yield stream.iter_lines()
