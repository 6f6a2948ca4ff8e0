"""``webhook``: a receiver is tried at once, and what it never took is listed and sent again."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from policy_server.cli.webhooks import TEST
from policy_server.conferences.store import ConferenceStore
from policy_server.outbound.webhooks import Refused
from tests.cli.commands import run
from tests.conferences.samples import Place
from tests.conferences.told_world import CALL, Box, Clock, Office, at, visit
from tests.outbound.receivers import SECRET, receiving

PLACE = Place("sqlite:///var/policy.db", "sqlite")


def settings(url: str = "https://crm.example.com/planted-token") -> dict[str, str]:
    """What the server has, too."""
    return {"POLICY_WEBHOOKS": f"crm={url}", "POLICY_WEBHOOK_SECRET": SECRET}


def make(work: Callable[[Office], Awaitable[Any]], box: Box | None = None) -> None:
    """Has a server tell of the call, to a receiver that is gone."""
    gone = box or Box(lambda message, now: Refused("it answered 410", is_gone=True))

    async def play(store: ConferenceStore) -> None:
        await work(Office(store, {"crm": gone}, Clock()))

    Path("var").mkdir(exist_ok=True)
    PLACE.run(play)


async def a_call(office: Office) -> None:
    """A call from beginning to end."""
    await office.begin()
    await office.hear(visit())
    await office.wait(at(100))


def test_a_receiver_is_tried() -> None:
    """It gets one message that is about no call, signed as the others are, and what it answers is told."""
    with receiving() as site:
        result = run("webhook", "test", "crm", environment=settings(site.url))
        assert (result.exit_code, result.output) == (0, "crm (127.0.0.1) took the message: it answered 204.\n")
        site.is_down = True
        result = run("webhook", "test", "crm", environment=settings(site.url))
        assert (result.exit_code, result.stderr) == (1, "crm (127.0.0.1) did not take the message: it answered 503.\n")
    assert [got.verify()["type"] for got in site.got] == [TEST, TEST]
    assert len({got.headers["webhook-id"] for got in site.got}) == 2


@pytest.mark.parametrize(
    ("name", "variables", "message"),
    [
        ("crm", {}, "POLICY_WEBHOOKS is not set: there is nobody to tell"),
        ("crn", settings(), "POLICY_WEBHOOKS has no receiver 'crn'; did you mean crm?"),
        ("accounting", settings(), "POLICY_WEBHOOKS has no receiver 'accounting'; there is crm"),
    ],
)
def test_a_receiver_that_is_none(name: str, variables: dict[str, str], message: str) -> None:
    """It is said which there are, and nothing of their addresses."""
    result = run("webhook", "test", name, environment=variables)
    assert (result.exit_code, result.stderr) == (2, f"Error: {message}\n")


def test_without_a_database() -> None:
    """None is made by a look at it."""
    result = run("webhook", "list", environment=settings())
    assert result.exit_code == 2
    assert "there is no database at" in result.stderr
    assert not Path("var").exists()


def test_what_waits_is_listed() -> None:
    """Messages that are still to be sent, with the latest reason, and none of what is in them."""
    make(a_call, Box(lambda message, now: Refused("it answered 503")))
    assert run("webhook", "list", environment=settings()).output == "There are no dead letters.\n"
    result = run("webhook", "list", "--waiting", environment=settings())
    lines = result.output.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("crm:conference0:call.") or lines[1].startswith("crm:conference0:call.")
    (started,) = [line for line in lines if "call.started" in line]
    assert started == (
        f"crm:conference0:call.started  call {CALL.id}  since {at(1).isoformat(timespec='seconds')}, sent 4 times; "
        "it answered 503"
    )
    assert "Ada" not in result.output


def test_dead_letters_are_listed_and_sent_again() -> None:
    """Some, or all; a server then sends them as they were."""
    make(a_call)
    result = run("webhook", "list", "--json", environment=settings())
    listed = json.loads(result.stdout)
    ids = [f"crm:conference0:call.{event}" for event in ("started", "answered", "ended")]
    assert [letter["id"] for letter in listed] == ids
    assert {(letter["call"], letter["sends"], letter["error"]) for letter in listed} == {
        (CALL.id, 1, "it answered 410")
    }
    assert "body" not in listed[0]

    result = run("webhook", "resend", ids[0], "crm:conference9:call.ended", environment=settings())
    assert (result.exit_code, result.stdout) == (1, "1 of 1 dead letters are sent again.\n")
    assert result.stderr == "'crm:conference9:call.ended' is no dead letter\n"
    assert run("webhook", "resend", "--all", environment=settings()).output == "2 of 2 dead letters are sent again.\n"
    assert run("webhook", "resend", "--all", environment=settings()).output == "Nothing is sent again.\n"

    box = Box()

    async def work(office: Office) -> None:
        # It is sent as of now, which is when the command said.
        office.clock.now = at(10**9)
        await office.work()

    make(work, box)
    assert box.events == ["started", "answered", "ended"]


@pytest.mark.parametrize("words", [(), ("--all", "crm:x")])
def test_what_is_sent_again_is_named(words: tuple[str, ...]) -> None:
    """Either IDs or all, never all by mistake."""
    result = run("webhook", "resend", *words, environment=settings())
    assert result.exit_code == 2
    assert "name the IDs of dead letters" in result.stderr
