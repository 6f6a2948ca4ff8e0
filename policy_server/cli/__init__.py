"""The command line. Exit status: 0 good, 1 a check or test failed, 2 unusable input (README.md: Command line)."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "calendar": ("policy_server.cli.calendars", "calendar"),
    "check": ("policy_server.cli.rules", "check"),
    "conference": ("policy_server.cli.conferences", "conference"),
    "demo": ("policy_server.lab.demo", "demo"),
    "explain": ("policy_server.cli.explain", "explain"),
    "link": ("policy_server.cli.links", "link"),
    "replay": ("policy_server.cli.replaying", "replay_log"),
    "schema": ("policy_server.cli.rules", "schema"),
    "selftest": ("policy_server.lab.selftest", "selftest"),
    "serve": ("policy_server.cli.serve", "serve"),
    "simulate": ("policy_server.cli.simulate", "simulate"),
    "test": ("policy_server.cli.rules", "run_tests"),
    "webhook": ("policy_server.cli.webhooks", "webhook"),
}
"""Where each command is. It is imported when it is called: what one needs, the others do not wait for."""


class _NotInstalled(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        try:
            found = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            return _without_extra(cmd_name, error)
        return found if isinstance(found, click.Command) else None


def _without_extra(name: str, error: ModuleNotFoundError) -> click.Command:
    """In place of a command of the lab, which stands above the command line and few machines have: says what to install."""
    if name not in {"demo", "selftest"} or (error.name or "").partition(".")[0] == __package__.partition(".")[0]:
        raise error
    said = f"{name} needs {error.name}, which is not installed: pip install 'policy-server[lab]'"

    def refuse() -> None:
        raise _NotInstalled(said)

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, anything, refuse, help=said, short_help="Needs pip install 'policy-server[lab]'.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="policy-server")
def main() -> None:
    """External policy server for Pexip Infinity: routes a contact centre's video calls by YAML rules."""


__all__ = ["main"]
