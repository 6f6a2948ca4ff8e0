"""What the commands share: options, settings, the rules they need, and how they end."""

import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import click
import orjson
from dotenv import dotenv_values

from policy_server.policy.ruleset import Ruleset
from policy_server.policy.sessions import Keyring
from policy_server.rulefiles.problems import Problem
from policy_server.rulefiles.store import load_folder
from policy_server.settings import Settings, SettingsError, read_settings

rules_option = click.option(
    "--rules", "rules_folder", type=click.Path(path_type=Path), help="Folder of the rule files (default: rules)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")


class Unusable(click.ClickException):
    """Input that cannot be used: exit status 2."""

    exit_code = 2


def environment() -> dict[str, str]:
    """The environment, and below it what ``.env`` in the current folder says."""
    below = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return {**below, **os.environ}


def settings() -> Settings:
    """The settings; unusable ones end the program."""
    try:
        found, warnings = read_settings(environment())
    except SettingsError as error:
        raise Unusable(str(error)) from None
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    return found


def folder(given: Path | None) -> Path:
    """The rules folder: ``--rules``, else ``POLICY_RULES``, else ``rules``."""
    return given if given is not None else settings().rules


def keyring_or_temporary(found: Settings) -> Keyring:
    """The keyring of the settings, or one that nobody else has."""
    try:
        if found.secret_key is None:
            return Keyring.from_text(secrets.token_urlsafe(32))
        return Keyring.from_text(found.secret_key, found.previous_secret_keys)
    except ValueError as error:
        raise Unusable(f"POLICY_SECRET_KEY: {error}") from None


def required_keyring(found: Settings) -> Keyring:
    """The keyring of the settings; without one a link could not be verified by anybody."""
    if found.secret_key is None:
        raise Unusable(
            "POLICY_SECRET_KEY is not set, so a link could not be verified by the server; set the same key here and there"
        )
    return keyring_or_temporary(found)


def usable_rules(path: Path) -> Ruleset:
    """The rules of a folder; with errors, prints them and ends with status 2."""
    loaded, _ = load_folder(path, datetime.now(UTC), environment=environment())
    if loaded.ruleset is None:
        refuse(loaded.problems)
    return loaded.ruleset


def refuse(problems: tuple[Problem, ...]) -> NoReturn:
    """Prints problems and ends with status 2."""
    for problem in problems:
        click.echo(str(problem), err=True)
    sys.exit(2)


def moment(text: str | None) -> datetime:
    """``--at``, or now."""
    if text is None:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Unusable(f"--at must be a moment such as 2026-11-23T10:00:00-06:00 but is {text!r}") from None
    if at.tzinfo is None:
        raise Unusable(f"--at needs an offset, such as {text}-06:00 or {text}Z")
    return at


def print_json(value: object) -> None:
    """Prints JSON."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def pairs(words: tuple[str, ...], option: str) -> dict[str, str]:
    """``K=V`` words of an option."""
    split = [word.partition("=") for word in words]
    for name, equals, _ in split:
        if not name or not equals:
            raise Unusable(f"{option} is written K=V")
    return {name: value for name, _, value in split}
