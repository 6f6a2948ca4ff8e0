"""Another policy server is asked in time and as the node asked, is left alone when it keeps failing, and is let go of."""

import asyncio
import re
import time
from base64 import b64encode
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from policy_server.outbound.circuit import FAILURES, PAUSE
from policy_server.pexip.request_types import RequestType, path_as_asked
from policy_server.pexip.requests import parse_request
from policy_server.policy.decisions import Continue, Decision, Forward, Reject, Serve, Trace, no_rows
from policy_server.policy.ruleset import Ruleset
from policy_server.policy.upstreams import Upstream
from policy_server.upstreams import line
from policy_server.upstreams.client import Carried, Unasked, Upstreams
from policy_server.upstreams.line import BODY_LIMIT, How
from tests.rule_sets import load
from tests.upstreams.stand_in import Behave, StandIn, cuts, drips, hangs, hangs_up, http, says, sends
from tests.waiting import PATIENCE

T = TypeVar("T")

RULES: Ruleset = load("service: [{ id: all, continue: true }]")
SERVICE = {"name": "meet.ada", "service_tag": "otj", "service_type": "conference", "pin": "77889911"}
GOOD = says({"status": "success", "action": "continue", "result": SERVICE})
PATH = b"/policy/v1/service/configuration"
QUERY = b"local_alias=meet.ada&protocol=sip"


def forward(url: str, **changed: Any) -> Forward:
    """The decision of a rule ``meet`` for an upstream there."""
    return Forward("meet", "", Trace(no_rows), replace(Upstream("scheduler", url, timeout=PATIENCE), **changed))


def nobodys(_: Decision) -> bool:
    """No room is ours."""
    return False


async def ask(
    upstreams: Upstreams | Unasked, decision: Forward, query: bytes = QUERY, kind: RequestType = RequestType.SERVICE
) -> Carried:
    """Puts a question."""
    path = path_as_asked(kind, "", b"")
    return await upstreams.ask(decision, parse_request(kind, query), path, RULES, nobodys)


def run(upstreams: Upstreams, work: Coroutine[Any, Any, T]) -> T:
    """Runs some work, and closes the connections after it."""

    async def play() -> T:
        try:
            return await work
        finally:
            await upstreams.close()

    return asyncio.run(play())


def one(behave: Behave, **changed: Any) -> Carried:
    """What becomes of one question to a server that behaves so."""
    upstreams = Upstreams()
    with StandIn(behave) as server:
        return run(upstreams, ask(upstreams, forward(server.url, **changed)))


def test_the_question_goes_on_as_it_came() -> None:
    """Order, repeated parameters and escapes are those of the node, below the path of the URL; the credentials are the upstream's."""
    query = b"x=1&local_alias=sip%3Ameet.ada%40v&x=2&n=A+B%2b&e=&%7Euser=~&idp_attribute_a=1&idp_attribute_a=2"
    with StandIn(GOOD) as server:
        upstreams = Upstreams()
        run(upstreams, ask(upstreams, forward(f"{server.url}/otj", username="pexip", password="p\u00e4ss"), query))
    first, *headers = server.asked[0].decode().split("\r\n")
    assert first == f"GET /otj{PATH.decode()}?{query.decode()} HTTP/1.1"
    sent = dict(header.lower().split(": ", 1) for header in headers if header)
    assert sent["authorization"].split()[1] == b64encode("pexip:p\u00e4ss".encode()).decode().lower()
    assert set(sent) <= {"host", "authorization", "accept", "accept-encoding", "user-agent"}


def test_nothing_that_a_node_sends_ends_the_request_line() -> None:
    """Bytes that have no place in a request line are escaped, so nobody adds a header or cuts the query."""
    with StandIn(GOOD) as server:
        upstreams = Upstreams()
        run(upstreams, ask(upstreams, forward(server.url), b'a=1 HTTP/1.1\r\nx-evil: 1\r\n&b=\xff#c&d="<>'))
    assert server.asked[0].startswith(
        b"GET " + PATH + b"?a=1%20HTTP/1.1%0D%0Ax-evil:%201%0D%0A&b=%FF%23c&d=%22%3C%3E HTTP/1.1\r\n"
    )


@pytest.mark.parametrize(
    ("raw", "alias", "path"),
    [
        (b"/policy/v1/registrations/kiosk%407", "kiosk@7", b"kiosk%407"),
        (b"/policy/v1/registrations/kiosk@7", "kiosk@7", b"kiosk@7"),
        (b"/pexip//policy/v1/registrations/%ff", "\ufffd", b"%ff"),
        (b"/policy/v1/registrations/../../admin", "../../admin", b"%2E%2E%2F%2E%2E%2Fadmin"),
        (b"/policy/v1/registrations/..", "..", b"%2E%2E"),
        (b"", "a b", b"a%20b"),
    ],
)
def test_the_alias_of_a_path_stays_one_segment(raw: bytes, alias: str, path: bytes) -> None:
    """What a device calls itself leads to no other path of the upstream."""
    assert path_as_asked(RequestType.REGISTRATION, alias, raw, b"/pexip") == b"/policy/v1/registrations/" + path


def test_a_good_answer_is_a_decision_of_the_rule() -> None:
    """What the upstream serves is served."""
    carried = one(GOOD)
    assert (carried.how, carried.detail, carried.upstream) == (How.ANSWERED, "", "scheduler")
    assert isinstance(carried.decision, Serve)
    assert (carried.decision.rule, carried.decision.service) == ("meet", SERVICE)


HUGE = b'{"status":"success","x":"' + b"x" * BODY_LIMIT + b'"}'
TROUBLES: dict[str, tuple[Behave, How, str]] = {
    "it hangs": (hangs, How.LATE, "no whole answer within 0.2 s"),
    "it never ends": (drips, How.LATE, "no whole answer within 0.2 s"),
    "it hangs up": (hangs_up, How.AWAY, "ServerDisconnectedError"),
    "it cuts the body": (cuts, How.AWAY, "ClientPayloadError"),
    "it speaks no HTTP": (sends(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), How.AWAY, "ClientResponseError"),
    "its headers have no end": (sends(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000), How.AWAY, "ClientResponseError"),
    "its body is huge": (http(HUGE), How.WRONG, "the body is larger than"),
    "its body is no JSON": (http(b"<html>"), How.WRONG, "the body is not JSON"),
    "its body is packed": (http(b"\x1f\x8b\x08", "200 OK", "content-encoding: gzip"), How.WRONG, "not JSON"),
    "its body is a list": (http(b"[]"), How.WRONG, "the body is no JSON object"),
    "its body is nested": (http(b"[" * 100_000), How.WRONG, "the body is not JSON"),
    "it redirects": (http(b"", "302 Found", "location: http://127.0.0.1:1/"), How.WRONG, "HTTP 302"),
    "it knows us not": (says({"status": "success"}, "401 Unauthorized"), How.WRONG, "HTTP 401"),
    "it breaks": (says({"status": "success"}, "500 Oops"), How.WRONG, "HTTP 500"),
    "its service is not one": (
        says({"status": "success", "result": {**SERVICE, "view": "best"}}),
        How.WRONG,
        "view must be one of",
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
@pytest.mark.parametrize("on_failure", ["continue", "reject"])
def test_trouble_costs_no_more_than_the_timeout(name: str, on_failure: str) -> None:
    """Whatever the other server does, there is a decision in time, and the reason holds nothing secret."""
    behave, how, detail = TROUBLES[name]
    started = time.monotonic()
    timeout = 0.2 if how is How.LATE else PATIENCE
    carried = one(behave, timeout=timeout, on_failure=on_failure, username="pexip", password="s3cret")
    assert time.monotonic() - started < 5
    assert isinstance(carried.decision, Reject if on_failure == "reject" else Continue)
    assert carried.how is how
    assert detail in carried.detail
    assert carried.decision.rule == "meet"
    assert not re.search("s3cret|77889911", carried.detail + carried.decision.reason)


def test_a_media_location_knows_no_rejection() -> None:
    """Where a question cannot be rejected, it is left to Pexip."""
    upstreams = Upstreams()
    with StandIn(hangs_up) as server:
        decision = forward(server.url, on_failure="reject")
        carried = run(upstreams, ask(upstreams, decision, kind=RequestType.LOCATION))
    assert isinstance(carried.decision, Continue)


def test_nobody_listens() -> None:
    """A server that is not there is away."""
    with StandIn(GOOD) as server:
        url = server.url
    upstreams = Upstreams()
    carried = run(upstreams, ask(upstreams, forward(url)))
    assert carried.how is How.AWAY
    assert carried.detail.startswith("cannot connect")


def test_connections_are_kept() -> None:
    """One question after the other goes over one connection."""
    upstreams = Upstreams()

    async def play(url: str) -> None:
        for _ in range(5):
            assert (await ask(upstreams, forward(url))).how is How.ANSWERED

    with StandIn(GOOD) as server:
        run(upstreams, play(server.url))
    assert (len(server.asked), server.connections) == (5, 1)


def test_a_server_that_keeps_failing_is_left_alone_for_some_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """Then one question tries it, and when that is answered all are asked again. Both are said in the log."""
    now = [100.0]
    told: list[str] = []
    upstreams = Upstreams(lambda _, how, __: told.append(how), lambda: now[0])

    async def play(server: StandIn) -> None:
        decision = forward(server.url)
        for _ in range(FAILURES):
            assert (await ask(upstreams, decision)).how is How.AWAY
        left = await ask(upstreams, decision)
        assert (left.how, left.detail.startswith("it failed 5 times in a row: Server")) == (How.LEFT_ALONE, True)
        (state,) = upstreams.states({"scheduler": decision.upstream})
        assert (state["left_alone"], state["reason"]) == (True, "ServerDisconnectedError")
        asked = len(server.asked)
        now[0] += PAUSE
        assert (await ask(upstreams, decision)).how is How.AWAY
        assert (await ask(upstreams, decision)).how is How.LEFT_ALONE
        assert len(server.asked) > asked
        server.behave = GOOD
        now[0] += PAUSE
        assert [(await ask(upstreams, decision)).how for _ in range(3)] == [How.ANSWERED] * 3
        assert upstreams.states({"scheduler": decision.upstream}) == [
            {"name": "scheduler", "left_alone": False, "reason": ""}
        ]

    caplog.set_level("INFO")
    with StandIn(hangs_up) as server:
        run(upstreams, play(server))
    assert told == ["away"] * 5 + ["left_alone", "away", "left_alone"] + ["answered"] * 3
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("upstream.")]
    assert said == [
        "upstream.left_alone: 'scheduler' failed 5 times in a row: ServerDisconnectedError",
        "upstream.back: 'scheduler' answers again",
    ]


@pytest.mark.parametrize(
    ("behave", "is_left_alone"),
    [
        pytest.param(says({}, "500 Oops"), False, id="an error about the question"),
        pytest.param(http(b"{"), False, id="an answer that is wrong"),
        pytest.param(says({}, "404 Not Found"), False, id="not its own"),
        pytest.param(says({}, "401 Unauthorized"), True, id="wrong credentials"),
        pytest.param(says({}, "503 Service Unavailable"), True, id="away behind its proxy"),
    ],
)
def test_a_stranger_cannot_have_a_server_left_alone(behave: Behave, *, is_left_alone: bool) -> None:
    """An alias that a server answers badly says nothing about the server; only its own trouble counts."""
    upstreams = Upstreams()

    async def play(url: str) -> bool:
        for _ in range(FAILURES):
            await ask(upstreams, forward(url))
        return upstreams.states({"scheduler": forward(url).upstream})[0]["left_alone"]

    with StandIn(behave) as server:
        assert run(upstreams, play(server.url)) is is_left_alone


def test_a_slow_server_does_not_pile_up_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a question is answered without it, at once, and does not count against it."""
    monkeypatch.setattr(line, "AT_ONCE", 3)
    upstreams = Upstreams()

    async def play(server: StandIn) -> None:
        decision = forward(server.url, timeout=0.5)
        waiting = [asyncio.create_task(ask(upstreams, decision)) for _ in range(3)]
        await asyncio.sleep(0)
        assert (await ask(upstreams, decision)).how is How.BUSY
        assert [carried.how for carried in await asyncio.gather(*waiting)] == [How.LATE] * 3

    with StandIn(hangs) as server:
        run(upstreams, play(server))


def test_an_upstream_that_rules_do_not_name_any_more_is_let_go_of() -> None:
    """New rules take over at once, and a question that is under way still gets its answer."""
    upstreams = Upstreams()

    async def play(server: StandIn) -> None:
        old = forward(server.url)
        under_way = asyncio.create_task(ask(upstreams, old))
        await asyncio.sleep(0)
        upstreams.keep([])
        assert (await under_way).how is How.ANSWERED
        assert len(upstreams._lines) == 1
        upstreams.keep([])
        assert not upstreams._lines

    with StandIn(GOOD) as server:
        run(upstreams, play(server))


def test_stopping_ends_what_is_under_way() -> None:
    """Nobody waits for an upstream when the server stops."""
    upstreams = Upstreams()

    async def play(url: str) -> How:
        under_way = asyncio.create_task(ask(upstreams, forward(url)))
        await asyncio.sleep(0)
        await upstreams.close()
        return (await under_way).how

    with StandIn(hangs) as server:
        assert run(upstreams, play(server.url)) is How.AWAY


def test_where_nobody_shall_be_asked_nobody_is() -> None:
    """A played call in this process forwards nothing."""
    with StandIn(GOOD) as server:
        carried = asyncio.run(ask(Unasked(), forward(server.url, on_failure="reject")))
    assert (carried.how, server.asked) == (How.NOT_ASKED, [])
    assert isinstance(carried.decision, Reject)
