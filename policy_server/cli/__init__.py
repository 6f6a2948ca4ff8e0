"""The command line. Exit status: 0 good, 1 a check or test failed, 2 unusable input (DESIGN section 4)."""

import click

from policy_server.cli.conferences import conference
from policy_server.cli.demo import demo
from policy_server.cli.explain import explain
from policy_server.cli.links import link
from policy_server.cli.rules import check, run_tests, schema
from policy_server.cli.selftest import selftest
from policy_server.cli.serve import serve
from policy_server.cli.simulate import simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="policy-server")
def main() -> None:
    """External policy server for Pexip Infinity: routes a contact centre's video calls by YAML rules."""


for command in (serve, check, explain, run_tests, schema, link, conference, simulate, selftest, demo):
    main.add_command(command)

__all__ = ["main"]
