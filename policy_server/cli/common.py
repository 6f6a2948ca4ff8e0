"""What the commands share: options, settings, the rules they need, and how they end."""

import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import click
import orjson
from dotenv import dotenv_values

from policy_server.pexip.aliases import normalise_alias
from policy_server.policy.link_aliases import read_alias
from policy_server.policy.names import Call, Keyring, Role
from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.problems import Problem
from policy_server.rulefiles.store import load_folder
from policy_server.settings import PREFIX, Settings, read_settings
from policy_server.settings.readers import SettingsError
from policy_server.wording.values import printable, shown, visible_json

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9990

rules_option = click.option(
    "--rules", "rules_folder", type=click.Path(path_type=Path), help="Folder of the rule files (default: rules)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")


class Unusable(click.ClickException):
    """Input that cannot be used: exit status 2."""

    exit_code = 2

    def format_message(self) -> str:
        """The message, in which a terminal finds nothing to obey."""
        return "\n".join(map(printable, self.message.split("\n")))


def environment() -> dict[str, str]:
    """The environment, and below it what ``.env`` in the current folder says."""
    try:
        below = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f".env cannot be read ({type(error).__name__}); it must be a text file in UTF-8") from None
    # A variable and its _FILE are one setting, so either hides both below it.
    hidden = set(map(_setting, os.environ))
    return {**{name: value for name, value in below.items() if _setting(name) not in hidden}, **os.environ}


def _setting(variable: str) -> str:
    return variable.removesuffix("_FILE") if variable.startswith(PREFIX) else variable


def settings() -> Settings:
    """The settings; unusable ones end the program."""
    try:
        found, warnings = read_settings(environment())
    except SettingsError as error:
        raise Unusable(str(error)) from None
    for warning in warnings:
        echo(f"warning: {warning}", err=True)
    return found


def folder(given: Path | None) -> Path:
    """The rules folder: ``--rules``, else ``POLICY_RULES``, else ``rules``."""
    return given if given is not None else settings().rules


def keyring_or_temporary(found: Settings) -> Keyring:
    """The keyring of the settings, or one that nobody else has."""
    return checked_keyring(found.secret_key or secrets.token_urlsafe(32), found.previous_secret_keys)


def checked_keyring(key: str, previous: tuple[str, ...]) -> Keyring:
    """A keyring; keys that cannot be used end the program."""
    try:
        return Keyring.from_text(key, previous)
    except ValueError as error:
        which = "POLICY_PREVIOUS_SECRET_KEYS" if "previous" in str(error) else "POLICY_SECRET_KEY"
        raise Unusable(f"{which}: {error}") from None


def required_keyring(found: Settings) -> Keyring:
    """The keyring of the settings; without one a link could not be verified by anybody."""
    if found.secret_key is None:
        raise Unusable(
            "POLICY_SECRET_KEY is not set, so a link could not be verified by the server; set the same key here and there"
        )
    return keyring_or_temporary(found)


def call_of(ruleset: Ruleset, keyring: Keyring, text: str) -> Call | None:
    """The call that we signed and that a text belongs to: one of its aliases, or one of its names alone."""
    alias = normalise_alias(text, ruleset.domains)
    found = read_alias(ruleset.alias_forms, keyring, alias)
    if found is not None and found.call is not None:
        return found.call
    return next((call for role in Role if (call := keyring.open(alias, role, ruleset.links)) is not None), None)


def usable_rules(path: Path) -> Ruleset:
    """The rules of a folder; with errors, prints them and ends with status 2."""
    loaded, _ = load_folder(path, datetime.now(UTC), environment=environment())
    if loaded.ruleset is None:
        refuse(loaded.problems)
    return loaded.ruleset


def refuse(problems: tuple[Problem, ...]) -> NoReturn:
    """Prints problems and ends with status 2."""
    for problem in problems:
        echo(str(problem), err=True)
    sys.exit(2)


def moment(text: str | None) -> datetime:
    """``--at``, or now."""
    if text is None:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Unusable(f"--at must be a moment such as 2026-11-23T10:00:00-06:00 but is {shown(text)}") from None
    if at.tzinfo is None:
        example = at.isoformat(timespec="seconds")
        raise Unusable(f"--at needs an offset, such as {example}-06:00 or {example}Z, but is {shown(text)}")
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise Unusable(f"--at must be in the years {FIRST_YEAR} to {LAST_YEAR} but is {shown(text)}")
    return at


def words_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Arguments as text: what the shell passed on that is not UTF-8 becomes U+FFFD."""
    return tuple(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in texts)


def echo(*lines: str, fg: str | None = None, err: bool = False) -> None:
    """Prints lines with text from outside, in which a terminal finds nothing to obey and no further line to begin."""
    text = "\n".join(map(printable, lines))
    click.echo(click.style(text, fg=fg) if fg else text, err=err)


def print_json(value: object) -> None:
    """Prints JSON, with the characters that a terminal would obey as escapes."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    click.echo("\n".join(map(visible_json, text.split("\n"))))


def pairs(words: tuple[str, ...], option: str) -> dict[str, str]:
    """``K=V`` words of an option."""
    split = [word.partition("=") for word in words_of(words)]
    for (name, equals, _), word in zip(split, words, strict=True):
        if not name or not equals:
            raise Unusable(f"{option} is written K=V but is {shown(word)}")
    return {name: value for name, _, value in split}
