"""Links into the room of another link on the command line: made, inspected, explained, and shown with their call."""

from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.commands import RULES, printed_json, put_rules, run
from tests.servers import SECRET_KEY

KEY: Final = {"POLICY_SECRET_KEY": SECRET_KEY}
JOINING: Final = (
    RULES.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]').replace(
        "  - id: named\n",
        "  - { id: helper, when: { link_type: helper, link: valid }, room: visit }\n  - id: named\n",
        1,
    )
    + '  helper: { alias: "hlp{session}", joins: visit, url: "https://pexip.example.com/{call}?pin={guest_pin}" }\n'
)


@pytest.fixture(autouse=True)
def rules(folder: Path) -> Path:
    """The rules of these tests."""
    return put_rules(folder, JOINING)


def created(*arguments: str) -> dict[str, Any]:
    """The JSON of a new link."""
    result = run("link", "create", "--json", *arguments, environment=KEY)
    assert result.exit_code == 0, result.output
    return printed_json(result)


@pytest.mark.parametrize("named_by", ["call", "alias", "agent_alias"])
def test_a_link_that_joins(named_by: str) -> None:
    """--joins takes the call, or an alias of it; the link leads into its room, with the guest PIN of that."""
    visit = created("visit", "--name", "Ada L")
    maria = created("helper", "--name", "Maria R", "--joins", visit[named_by])
    assert (visit["joins"], maria["joins"], maria["agent_alias"]) == (None, visit["call"], None)
    pin = visit["url"].partition("&pin=")[2]
    assert maria["url"] == f"https://pexip.example.com/{visit['call']}?pin={pin}"
    inspected = run("link", "inspect", maria["alias"], "--json", environment=KEY)
    assert printed_json(inspected)["joins"] == visit["call"]
    told = run("link", "inspect", maria["alias"], environment=KEY).stdout
    assert f"joins        {visit['call']}\n" in told
    shown = run("conference", "show", visit["call"], environment=KEY).stdout
    assert f"joined by\n  helper Maria R ({maria['call']}) not there yet\n" in shown
    assert "A link of type 'helper' into this room was made for Maria R by 'command line'." in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["helper"], "joins is missing; links of type 'helper' lead into the room", id="missing"),
        pytest.param(["helper", "--joins", "nobody"], "and there is no link 'nobody'", id="unknown"),
        pytest.param(["visit", "--joins", "nobody"], "links of type 'visit' have a room of their own", id="not for it"),
    ],
)
def test_a_call_that_is_none(arguments: list[str], message: str) -> None:
    """It is status 2, with what is wrong, and no link is made."""
    result = run("link", "create", *arguments, environment=KEY)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_call_that_is_over() -> None:
    """A revoked visit is joined by nobody."""
    visit = created("visit")
    run("link", "revoke", visit["call"], environment=KEY)
    result = run("link", "create", "helper", "--joins", visit["call"], environment=KEY)
    assert (result.exit_code, "is revoked" in result.stderr) == (2, True)


def test_without_a_database() -> None:
    """Which call a link joins is kept nowhere else, so without the database none is made."""
    away = {**KEY, "POLICY_DATABASE_URL": "postgresql://u@127.0.0.1:1/x"}
    result = run("link", "create", "helper", "--joins", created("visit")["call"], environment=away)
    assert (result.exit_code, "kept nowhere else, so none was made" in result.stderr) == (2, True)


def test_explain_tells_what_it_joins() -> None:
    """The database says which call it is; without it the question fails, and the note says why."""
    visit = created("visit", "--name", "Ada L")
    maria = created("helper", "--joins", visit["call"])
    asked = ("explain", "--json", "service", f"local_alias={maria['alias']}", "protocol=api")
    told = run(*asked, environment=KEY)
    value = printed_json(told)
    assert (told.exit_code, value["rule"], value["answer"]["result"]["name"]) == (0, "helper", visit["call"])
    assert value["notes"] == [
        f"the link joins the call {visit['call']} of type 'visit': {{call}} and its room are that call's"
    ]
    run("link", "revoke", visit["call"], environment=KEY)
    assert "of type 'visit', which is revoked:" in printed_json(run(*asked, environment=KEY))["notes"][0]
    blind = run(*asked, "--no-database", environment=KEY)
    value = printed_json(blind)
    assert (blind.exit_code, value["answer"]["status"]) == (1, "failure")
    assert value["notes"] == ["the link joins a call of type 'visit', and which one only the database knows"]


def test_simulate_plays_the_call_that_is_joined(folder: Path) -> None:
    """No call begins with who joins: simulate says which type to play, and without --link plays that, whatever comes first."""
    result = run("simulate", "--link", "helper")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'helper' lead into the room of one of type 'visit'" in result.stderr
    assert result.stderr.endswith("; play --link visit\n")
    before, links, types = JOINING.partition("links:\n")
    *others, helper = types.splitlines(keepends=True)
    assert "joins: visit" in helper
    put_rules(folder, f"{before}{links}{helper}{''.join(others)}")
    assert run("simulate").stdout.endswith(" 0 failed\n")
