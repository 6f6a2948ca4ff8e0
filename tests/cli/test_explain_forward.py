"""``explain`` and ``simulate`` say what would be forwarded, and ``explain --forward`` asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import RULES, printed_json, put_rules, run
from tests.servers import ROOT, write_rules
from tests.upstreams.stand_in import StandIn, says

PIN = "77889911"
ROOM = {"name": "meet.ada", "service_tag": "otj", "service_type": "conference", "pin": PIN}
QUESTION = ("explain", "service", "local_alias=meet.ada", "x=1", "--no-database")


@pytest.fixture
def upstream() -> Iterator[StandIn]:
    """The other policy server."""
    with StandIn(says({"status": "success", "action": "continue", "result": ROOM})) as server:
        yield server


@pytest.fixture(autouse=True)
def rules(folder: Path, upstream: StandIn) -> Path:
    """Rules that forward to it."""
    put_rules(folder)
    text = f"""
upstreams: {{ scheduler: {{ url: "{upstream.url}/otj", username: pexip, password_env: OTJ, on_failure: reject }} }}
service: [{{ id: meet, when: {{ local_alias: 'meet\\..*' }}, forward: scheduler }}]
participants: [{{ id: everybody, forward: scheduler }}]
"""
    return write_rules(folder / "rules", text, "forward.yaml")


def test_it_says_what_would_be_forwarded_and_asks_nobody(upstream: StandIn) -> None:
    """Rule, upstream and URL are told, and there is no answer yet."""
    result = run(*QUESTION, environment={"OTJ": "hunter2"})
    assert result.exit_code == 0, result.output
    assert (
        f"would be forwarded to 'scheduler' ({upstream.url}/otj), which was not asked; --forward asks" in result.output
    )
    told = printed_json(run(*QUESTION, "--json", environment={"OTJ": "hunter2"}))
    assert (told["rule"], told["answer"]) == ("meet", None)
    assert told["forwarded"] == {"upstream": "scheduler", "url": f"{upstream.url}/otj", "outcome": None}
    assert upstream.asked == []


def test_it_asks_and_shows_what_a_node_would_get_without_its_pin(upstream: StandIn) -> None:
    """The question goes out as it is, with the upstream's credentials, and the answer is judged."""
    result = run(*QUESTION, "--forward", environment={"OTJ": "hunter2"})
    assert result.exit_code == 0, result.output
    assert "; a node can use it" in result.output
    assert '"pin": "****"' in result.output
    assert PIN not in result.output
    assert upstream.asked[0].startswith(f"GET /otj{ROOT}/service/configuration?local_alias=meet.ada&x=1 HTTP".encode())
    told = printed_json(run(*QUESTION, "--forward", "--json", environment={"OTJ": "hunter2"}))
    assert told["answer"]["result"] == {**ROOM, "pin": "****"}
    assert (told["forwarded"]["outcome"], told["forwarded"]["reason"]) == ("answered", "")


def test_an_answer_that_a_node_would_discard_is_exit_status_1(upstream: StandIn) -> None:
    """The reason is told, and what the node gets instead."""
    upstream.behave = says({"status": "success", "result": {**ROOM, "guest_pin": PIN, "allow_guests": True}})
    result = run(*QUESTION, "--forward", environment={"OTJ": "hunter2"})
    assert result.exit_code == 1
    assert "guest_pin" in result.output
    assert "a node gets on_failure: reject" in result.output
    assert '"action": "reject"' in result.output
    assert PIN not in result.output


def test_without_the_password_nobody_is_asked(upstream: StandIn) -> None:
    """A question without credentials would say nothing about the server's."""
    result = run(*QUESTION, "--forward")
    assert result.exit_code == 2
    assert (
        "upstream 'scheduler' has a password, and the variable that its password_env names is not set here"
        in result.output
    )
    assert upstream.asked == []


@pytest.mark.slow
def test_a_call_that_is_played_here_asks_nobody(folder: Path, upstream: StandIn) -> None:
    """``simulate`` says which questions a server would forward, and plays on as if the upstream were away."""
    result = run("simulate", environment={"OTJ": "hunter2"})
    assert "forwarded to 'scheduler', which nobody asks when a call is played here" in result.output
    assert upstream.asked == []
    moved = RULES[: RULES.index("service:\n")] + RULES[RULES.index("registrations:") :]
    write_rules(folder / "rules", moved)
    forwarding = (folder / "rules" / "forward.yaml").read_text(encoding="utf-8")
    write_rules(folder / "rules", forwarding.replace("'meet\\..*'", "'mp.*'"), "forward.yaml")
    result = run("simulate", environment={"OTJ": "hunter2"})
    assert result.exit_code == 2
    assert "rule 'meet' forwards their question to 'scheduler', which is not asked in a played call" in result.output
