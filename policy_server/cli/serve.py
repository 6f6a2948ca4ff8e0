"""``serve``: runs the service, after everything that could be wrong was looked at."""

import logging
import os
import secrets
import sys
import tempfile
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import click
import uvicorn
from dotenv import load_dotenv

from policy_server.app import Application, create_app, utc_now
from policy_server.cli.common import Unusable, environment, rules_option, settings
from policy_server.policy.sessions import Keyring
from policy_server.rulefiles.store import RulesError, RuleStore
from policy_server.settings import Credentials, Settings, read_settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate chain (PEM) for https.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Its private key (PEM).")
@click.option(
    "--tls-client-ca",
    type=click.Path(exists=True, dir_okay=False),
    help="Require client certificates of this CA (PEM).",
)
@rules_option
def serve(
    host: str,
    port: int,
    workers: int,
    tls_cert: str | None,
    tls_key: str | None,
    tls_client_ca: str | None,
    rules_folder: Path | None,
) -> None:
    """Answer Conferencing Nodes."""
    if bool(tls_cert) != bool(tls_key):
        raise Unusable("--tls-cert and --tls-key go together")
    if tls_client_ca and not tls_cert:
        raise Unusable("--tls-client-ca needs --tls-cert and --tls-key")
    load_dotenv(".env")
    found = settings()
    if rules_folder is not None:
        found = replace(found, rules=rules_folder)
    ready, temporary = _with_credentials(found, host)
    rules = _load(ready)
    _announce(ready, rules, f"{'https' if tls_cert else 'http'}://{_bracketed(host)}:{port}", temporary=temporary)
    _pass_on(ready, workers)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    app: Application | str = create_app(ready, rules) if workers == 1 else "policy_server.cli.serve:app_of_worker"
    uvicorn.run(
        app,
        factory=workers > 1,
        host=host,
        port=port,
        workers=workers,
        http="httptools",
        loop="uvloop",
        ws="none",
        access_log=False,
        server_header=False,
        log_level="warning",
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
        ssl_ca_certs=tls_client_ca,
        ssl_cert_reqs=2 if tls_client_ca else 0,
        timeout_graceful_shutdown=5,
    )


def _with_credentials(found: Settings, host: str) -> tuple[Settings, bool]:
    """The settings complete; on loopback what is missing is made for this run."""
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
            f"{' and '.join(missing)} must be set before listening on {host}, where others can reach it.\n"
            "Make a secret with: python -c 'import secrets; print(secrets.token_urlsafe(32))'\n"
            "and set it in the environment, in .env, or name a file that holds it in the variable with _FILE at its end."
        )
    complete = replace(
        found,
        pexip=found.pexip or Credentials("pexip", secrets.token_urlsafe(18)),
        secret_key=found.secret_key or secrets.token_urlsafe(32),
    )
    try:
        Keyring.from_text(complete.secret_key or "", complete.previous_secret_keys)
    except ValueError as error:
        raise Unusable(f"POLICY_SECRET_KEY: {error}") from None
    return complete, bool(missing)


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
            click.echo(str(problem), err=True)
        click.echo("The rules cannot be used, so the server does not start.", err=True)
        sys.exit(2)


def _announce(found: Settings, rules: RuleStore, url: str, *, temporary: bool) -> None:
    for problem in rules.state.problems:
        click.echo(str(problem), err=True)
    ruleset = rules.ruleset
    click.echo(f"policy-server listens on {url}")
    click.echo(f"Rules: {ruleset.count} from {found.rules}, revision {ruleset.revision}")
    if not temporary or found.pexip is None:
        return
    click.echo(
        f"""
No credentials are set, so these hold until the server stops:

  POLICY_PEXIP_USERNAME={found.pexip.username}
  POLICY_PEXIP_PASSWORD={found.pexip.password}
  POLICY_SECRET_KEY={found.secret_key}

Pexip Infinity, Call control > Policy Profiles > Add:

  URL        {url}
  Username   {found.pexip.username}
  Password   {found.pexip.password}
  Enable     service configuration, participant properties, media location

To play a call against this server, in another terminal:

  POLICY_PEXIP_USERNAME={found.pexip.username} POLICY_PEXIP_PASSWORD={found.pexip.password} \\
  POLICY_SECRET_KEY={found.secret_key} \\
  policy-server simulate --url {url}
"""
    )


def _pass_on(found: Settings, workers: int) -> None:
    """Gives further processes the same settings, since each reads the environment for itself."""
    if workers == 1 or found.pexip is None or found.secret_key is None:
        return
    os.environ |= {
        "POLICY_RULES": str(found.rules),
        "POLICY_PEXIP_USERNAME": found.pexip.username,
        "POLICY_PEXIP_PASSWORD": found.pexip.password,
        "POLICY_SECRET_KEY": found.secret_key,
    }
    for name in ("PEXIP_USERNAME", "PEXIP_PASSWORD", "SECRET_KEY"):
        os.environ.pop(f"POLICY_{name}_FILE", None)
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="policy-server-"))


def app_of_worker() -> Application:
    """The application of one of several processes."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    found, _ = read_settings(environment())
    return create_app(found, RuleStore(found.rules, utc_now, environment()))
