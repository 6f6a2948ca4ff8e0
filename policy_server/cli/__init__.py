"""The command line. Exit status: 0 good, 1 a check or test failed, 2 unusable input (README.md: Command line)."""

from importlib import import_module
from typing import Final

import click

from policy_server.cli.calendars import calendar
from policy_server.cli.common import Unusable
from policy_server.cli.conferences import conference
from policy_server.cli.explain import explain
from policy_server.cli.links import link
from policy_server.cli.replaying import replay_log
from policy_server.cli.rules import check, run_tests, schema
from policy_server.cli.serve import serve
from policy_server.cli.simulate import simulate
from policy_server.cli.webhooks import webhook

_LAB: Final = ("demo", "selftest")
"""The lab's commands, each in a module of its name. The lab stands above the command line, and few machines have it."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_LAB])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _LAB:
            return super().get_command(ctx, cmd_name)
        try:
            found = getattr(import_module(f"policy_server.lab.{cmd_name}"), cmd_name)
        except ModuleNotFoundError as error:
            return _without_extra(cmd_name, error)
        return found if isinstance(found, click.Command) else None


def _without_extra(name: str, error: ModuleNotFoundError) -> click.Command:
    """In place of a command of the lab: says what to install."""
    if (error.name or "").partition(".")[0] == __package__.partition(".")[0]:
        raise error
    said = f"{name} needs {error.name}, which is not installed: pip install 'policy-server[lab]'"

    def refuse() -> None:
        raise Unusable(said)

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, anything, refuse, help=said, short_help="Needs pip install 'policy-server[lab]'.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="policy-server")
def main() -> None:
    """External policy server for Pexip Infinity: routes a contact centre's video calls by YAML rules."""


for command in (serve, check, explain, run_tests, schema, calendar, link, conference, replay_log, webhook, simulate):
    main.add_command(command)

__all__ = ["main"]
