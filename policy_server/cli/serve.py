"""``serve``: runs the service, after everything that could be wrong was looked at."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

from policy_server.app import Application, create_app, utc_now
from policy_server.cli.common import Unusable, checked_keyring, echo, environment, rules_option, settings
from policy_server.cli.logs import set_up_logging
from policy_server.cli.server import Config, Processes, Server, Tls, raise_open_files
from policy_server.cli.start_checks import check_credentials, check_files, check_reach, check_shared
from policy_server.cli.stopping import end_in_time
from policy_server.conferences.errors import StoreSetupError, StoreUnavailableError
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.request_types import RequestType
from policy_server.rulefiles.store import RulesError, RuleStore
from policy_server.settings import SETTINGS, Settings, read_settings
from policy_server.settings.readers import PUBLIC
from policy_server.web.decision_log import STANDARD_OUTPUT, Appender
from policy_server.web.events import PATH as EVENTS_PATH
from policy_server.wording.words import listed

BACKLOG: Final = 2048
"""Connections that may wait for a process to take them."""

_PUBLIC_PATHS: Final = ", ".join(f"/{name}/" for name in PUBLIC)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; ``kind`` begins the names of the options that say so."""

    kind: str
    host: str
    port: int
    tls: Tls | None

    def url(self, port: int) -> str:
        """What others reach it by, at the port that it got."""
        return f"{'https' if self.tls else 'http'}://{_bracketed(self.host)}:{port}"


class _WithSettings(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Settings, in the environment or in .env; NAME_FILE names a file that holds the value"):
            formatter.write_dl([(setting.variable, setting.told) for setting in SETTINGS])


@click.command(cls=_WithSettings)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one and says which.",
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate chain (PEM) for https.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Its private key (PEM).")
@click.option(
    "--tls-client-ca",
    type=click.Path(exists=True, dir_okay=False),
    help="Require client certificates of this CA (PEM).",
)
@click.option(
    "--public-port",
    type=click.IntRange(0, 65535),
    help="A port of its own for customers, agents' widgets and your own systems (/join/, /agent/, /api/), which the "
    "other then does not answer.",
)
@click.option("--public-host", help="Address for --public-port (default: that of --host).")
@click.option("--public-tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate chain for it.")
@click.option("--public-tls-key", type=click.Path(exists=True, dir_okay=False), help="Its private key.")
@rules_option
def serve(
    host: str,
    port: int,
    workers: int,
    tls_cert: str | None,
    tls_key: str | None,
    tls_client_ca: str | None,
    public_port: int | None,
    public_host: str | None,
    public_tls_cert: str | None,
    public_tls_key: str | None,
    rules_folder: Path | None,
) -> None:
    """Answer Conferencing Nodes.

    On loopback, credentials and keys that are not set are made for this run and printed.

    SIGHUP reloads the rules, and so does any change in their folder; SIGTERM and Ctrl+C stop after the last answer.
    """
    addresses = [Address("", host, port, _tls("", tls_cert, tls_key, tls_client_ca))]
    if public_port is not None:
        public_tls = _tls("public-", public_tls_cert, public_tls_key, None)
        addresses.append(Address("public-", public_host or host, public_port, public_tls))
    elif public_host is not None or public_tls_cert or public_tls_key:
        raise Unusable("--public-host, --public-tls-cert and --public-tls-key need --public-port")
    found = settings()
    if rules_folder is not None:
        found = replace(found, rules=rules_folder)
    made = _made_up(found, next((each.host for each in addresses if not _is_loopback(each.host)), host))
    ready = replace(read_settings({**environment(), **made})[0], rules=found.rules)
    checked_keyring(ready.secret_key or "", ready.previous_secret_keys)
    doubtful = _check(ready, addresses)
    _try_logs(ready)
    rules = _load(ready)
    asyncio.run(_look_at_database(ready))
    for doubt in doubtful:
        _warn(ready, f"warning: {doubt}")
    with ExitStack() as stack:
        sockets = [stack.enter_context(_listen(each)) for each in addresses]
        # Whoever stops us gets exit status 0; uvicorn repeats the signal when it has finished.
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, _stopped)
        if (warning := raise_open_files(len(sockets))) is not None:
            _warn(ready, f"warning: {warning}")
        urls = [each.url(listening.getsockname()[1]) for each, listening in zip(addresses, sockets, strict=True)]
        _announce(ready, made, rules, urls)
        set_up_logging(ready.log_format)
        tls = [each.tls for each in addresses]
        if workers == 1:
            _run(create_app(ready, rules), sockets, tls)
        else:
            _run_workers({**made, "POLICY_RULES": str(ready.rules)}, workers, sockets, tls)


def _check(ready: Settings, addresses: Sequence[Address]) -> list[str]:
    """Warnings of what makes the server unsafe; refuses what is certainly wrong where others can reach it."""
    reachable = [each for each in addresses if not _is_loopback(each.host)]
    weak = list(check_credentials(ready))
    keys = [each.tls.key for each in addresses if each.tls is not None]
    doubtful = [*check_shared(ready), *check_files(ready, environment(), keys)]
    if reachable:
        wrong, more = check_reach(ready, is_plain=any(each.tls is None for each in reachable))
        if weak or wrong:
            raise Unusable("\n".join([*weak, *wrong]))
        doubtful += more
    return [*weak, *doubtful]


def _try_logs(ready: Settings) -> None:
    """Opens the files of logs once: a server that cannot write them says so at the start, not when somebody looks for a line."""
    for variable, path in (("POLICY_DECISION_LOG", ready.decision_log), ("POLICY_AUDIT_LOG", ready.audit_log)):
        if path is None or (variable == "POLICY_DECISION_LOG" and path == STANDARD_OUTPUT):
            continue
        try:
            os.close(Appender(path).open())
        except OSError as error:
            raise Unusable(f"{variable}: {path} cannot be written: {error.strerror}") from None


def _stopped(_signal: int, _frame: FrameType | None) -> NoReturn:
    end_in_time()
    sys.exit(0)


def _tls(kind: str, cert: str | None, key: str | None, client_ca: str | None) -> Tls | None:
    """Checked files for https; ``kind`` begins the names of their options."""
    if not cert or not key:
        if cert or key:
            raise Unusable(f"--{kind}tls-cert and --{kind}tls-key go together")
        if client_ca:
            raise Unusable("--tls-client-ca needs --tls-cert and --tls-key")
        return None
    try:
        Tls(cert, key).context()
    except (OSError, ValueError) as error:
        raise Unusable(
            f"--{kind}tls-cert {cert} and --{kind}tls-key {key} cannot be used ({_reason(error)}): they must be a certificate chain "
            "and its private key without passphrase, both PEM"
        ) from None
    tls = Tls(cert, key, client_ca)
    if client_ca:
        try:
            tls.context()
        except (OSError, ValueError) as error:
            raise Unusable(f"--tls-client-ca {client_ca} has no certificate (PEM) in it ({_reason(error)})") from None
    return tls


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__


def _made_up(found: Settings, host: str) -> dict[str, str]:
    """Variables for what is missing, which hold for this run; only on loopback.

    Who has set the credentials of the policy profile has begun to set things up, and gets no further ones.
    """
    missing = [
        variable
        for variable, value in (
            ("POLICY_PEXIP_USERNAME and POLICY_PEXIP_PASSWORD", found.pexip),
            ("POLICY_SECRET_KEY", found.secret_key),
        )
        if value is None
    ]
    if missing and not _is_loopback(host):
        raise Unusable(
            f"{listed(missing)} must be set before listening on {host}, where others can reach it.\n"
            "Make a secret with: python -c 'import secrets; print(secrets.token_urlsafe(32))'\n"
            "and set it in the environment, in .env, or name a file that holds it in the variable with _FILE at its end."
        )
    made: dict[str, str] = {}
    if found.pexip is None:
        made |= {"POLICY_PEXIP_USERNAME": "pexip", "POLICY_PEXIP_PASSWORD": secrets.token_urlsafe(18)}
        if found.events is None:
            made |= {"POLICY_EVENTS_USERNAME": "events", "POLICY_EVENTS_PASSWORD": secrets.token_urlsafe(18)}
        if not found.api_keys:
            made["POLICY_API_KEYS"] = f"first-evening:{secrets.token_urlsafe(32)}"
    if found.secret_key is None:
        made["POLICY_SECRET_KEY"] = secrets.token_urlsafe(32)
    return made


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _load(found: Settings) -> RuleStore:
    try:
        return RuleStore(found.rules, utc_now, environment())
    except RulesError as error:
        for problem in error.problems:
            echo(str(problem), err=True)
        click.echo("The rules cannot be used, so the server does not start.", err=True)
        sys.exit(2)


def _warn(found: Settings, warning: str) -> None:
    """Says what deserves a look before the service runs: to people as it is, to machines as a line of the log."""
    if found.log_format == "json":
        set_up_logging(found.log_format)
        log.warning("start.warned: %s", warning)
    else:
        echo(warning, err=True)


async def _look_at_database(found: Settings) -> None:
    """Brings the database up to date. One that is away for a while does not keep calls from being answered."""
    async with ConferenceStore(found.database_url) as store:
        try:
            await store.prepare()
        except StoreSetupError as error:
            raise Unusable(f"POLICY_DATABASE_URL: {error}") from None
        except StoreUnavailableError as error:
            _warn(found, f"warning: {error}; calls are answered, links cannot be made until it is back")


def _listen(where: Address) -> socket.socket:
    """A socket that takes connections; the processes that answer share it."""
    host, port = where.host, where.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Unusable(f"--{where.kind}host {host} is no address of this machine: {error.strerror or error}") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Unusable(
            f"cannot listen on {_bracketed(host)}:{port}: {error.strerror or error}; "
            f"name another address with --{where.kind}host or another port with --{where.kind}port, or stop what listens there"
        ) from None
    return listener


def _announce(ready: Settings, made: Mapping[str, str], rules: RuleStore, urls: Sequence[str]) -> None:
    """Says what runs where. Of the credentials only those made for this run are shown, here and nowhere else."""
    for problem in rules.state.problems:
        _warn(ready, str(problem))
    ruleset = rules.ruleset
    url, public = urls[0], urls[1:]
    click.echo(f"policy-server listens on {url}")
    for each in public:
        click.echo(f"policy-server listens on {each} for customers, widgets and your own systems: {_PUBLIC_PATHS}")
    echo(f"Rules: {ruleset.count} from {ready.rules}, revision {ruleset.revision}")
    if not made or ready.pexip is None:
        return
    listed = "\n".join(f"  {name}={value}" for name, value in made.items())
    password = made.get("POLICY_PEXIP_PASSWORD", "as in POLICY_PEXIP_PASSWORD")
    setting = " ".join(f"{name}={value}" for name, value in made.items())
    sink = (
        f"\nAnd an event sink, version 2, with the credentials of POLICY_EVENTS_…:\n\n  URL        {url}{EVENTS_PATH}\n"
        if ready.events is not None
        else ""
    )
    # A simulated call asks everything at one address.
    play = (
        ""
        if public
        else f"""
To play a call against this server, in another terminal:

  {setting} \\
  policy-server simulate --url {url}
"""
    )
    click.echo(
        f"""
These are not set, so they are made up and hold until the server stops:

{listed}

Pexip Infinity, Call control > Policy Profiles > Add:

  URL        {url}
  Username   {ready.pexip.username}
  Password   {password}
  Enable     {", ".join(kind.about.title for kind in RequestType if kind.about.is_about_call)}
{sink}{play}"""
    )


def _run(app: Application, sockets: list[socket.socket], tls: Sequence[Tls | None]) -> None:
    server = Server(Config(app, 1, tls))
    server.run(sockets=sockets)
    if not server.started:
        sys.exit(1)


class _Workers(Processes):
    def handle_hup(self) -> None:
        """Lets every process reload its rules, where uvicorn would replace the processes."""
        for process in self.processes:
            if process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)


def _run_workers(
    variables: Mapping[str, str], workers: int, sockets: list[socket.socket], tls: Sequence[Tls | None]
) -> None:
    with tempfile.TemporaryDirectory(prefix="policy-server-", ignore_cleanup_errors=True) as folder:
        # Read when a process imports prometheus_client; without it each would count for itself.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        # Every process reads the environment for itself.
        os.environ |= variables
        for name in variables:
            os.environ.pop(f"{name}_FILE", None)
        _Workers(Config("policy_server.cli.serve:app_of_worker", workers, tls), sockets).run()


def app_of_worker() -> Application:
    """The application of one of several processes."""
    found, _ = read_settings(environment())
    set_up_logging(found.log_format)
    try:
        rules = RuleStore(found.rules, utc_now, environment())
    except RulesError as error:
        # A process that replaces a dead one cannot have the rules that run, if the files are bad by now.
        log.error("rules.refused: this process cannot start; %s", "; ".join(map(str, error.problems)))
        sys.exit(1)
    return create_app(found, rules)
