"""Attributes that a link type declares, as every command that takes attributes holds to them."""

from pathlib import Path

import pytest

from tests.cli.commands import RULES, printed_json, put_rules, run
from tests.servers import SECRET_KEY

KEY = {"POLICY_SECRET_KEY": SECRET_KEY}
DECLARING = (
    RULES
    + """\
    attributes:
      language: { values: [de, fr], default: de }
      booking: { required: true, pattern: '[A-Z0-9]{6,12}' }
      queue: { required: true, values: [gold, other] }
"""
)
GIVEN = ("--attribute", "booking=ABC123", "--attribute", "queue=other")


@pytest.fixture(autouse=True)
def declaring(folder: Path) -> None:
    """Rules with a link type that declares attributes."""
    put_rules(folder, DECLARING)


@pytest.mark.parametrize("command", [("link", "create", "visit"), ("simulate",)], ids=lambda command: command[0])
def test_whoever_makes_a_link_is_told_every_fault(command: tuple[str, ...]) -> None:
    """What the type does not take, cannot be and needs is told at once with status 2, and nothing is made."""
    result = run(*command, "--attribute", "langauge=de", "--attribute", "booking=x", environment=KEY)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "attribute 'langauge' is not declared for links of type 'visit' (did you mean 'language'?)" in result.stderr
    assert "attribute 'booking' must match [A-Z0-9]{6,12} but is 'x'" in result.stderr
    assert not Path("var/policy.db").exists()


def test_a_link_is_made_with_its_defaults_and_explained_with_them() -> None:
    """The default is stored, and a question of the link is explained by it; --link-attribute goes before, if it may be."""
    made = printed_json(run("link", "create", "visit", "--json", *GIVEN, environment=KEY))
    assert made["attributes"] == {"booking": "ABC123", "queue": "other", "language": "de"}
    asked = ("explain", "service", f"local_alias={made['alias']}")
    assert (
        run(*asked, "--link-attribute", "language=fr", "--link-attribute", "name=Ada", environment=KEY).exit_code == 0
    )
    refused = run(*asked, "--link-attribute", "language=en", "--link-attribute", "x=y", environment=KEY)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--link-attribute: attribute 'language' must be one of 'de', 'fr' but is 'en'; " in refused.stderr
    assert "attribute 'x' is not declared" in refused.stderr


def test_a_call_is_played_with_what_its_link_needs() -> None:
    """simulate gives what is required as far as the rules say what that can be, and asks for the rest."""
    refused = run("simulate")
    assert (refused.exit_code, "attribute 'booking' is missing" in refused.stderr) == (2, True)
    assert "'queue'" not in refused.stderr
    result = run("simulate", "--attribute", "booking=ABC123")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith(" 0 failed\n")
