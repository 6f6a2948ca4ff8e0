"""When the Management Node fails: what is known of a command, what is repeated, and that nothing secret is told."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from policy_server.management.access import Access
from policy_server.management.client import PAGES
from policy_server.management.requests import ATTEMPTS, BODY_LIMIT, BUSY_SECONDS
from policy_server.management.results import (
    Absent,
    Accepted,
    Call,
    Conference,
    Gone,
    NotDone,
    Participant,
    Unanswered,
    Unknown,
)
from policy_server.outbound.circuit import FAILURES, PAUSE
from tests.management.keys import certificate
from tests.management.scripted import (
    ACCOUNT,
    CONFERENCE,
    PARTICIPANT,
    PASSWORD,
    SUCCESS,
    Answer,
    Scene,
    client_of,
    json,
    page,
    play,
    serving,
)

ALIAS = "mpplantedsession"
CALL = Call(ALIAS, "99+13129998045", "keep_conference_alive_never", system_location="DMZ", local_display_name="visit-1")
SHORT = 0.5


async def dial(scene: Scene) -> Any:
    """A command that must not be given twice."""
    return await scene.client.dial(CALL)


async def transfer(scene: Scene) -> Any:
    """Another one."""
    return await scene.client.transfer("participant-1", ALIAS, "guest")


async def expel(scene: Scene) -> Any:
    """A command that may be repeated."""
    return await scene.client.disconnect_participant("participant-1")


async def look(scene: Scene) -> Any:
    """A question."""
    return await scene.client.participant("participant-1")


async def list_all(scene: Scene) -> Any:
    """A question about a conference with all who are in it."""
    return await scene.client.conference("visit-1")


# What a node may do to a request, and what is known then: the reason, whether the node has surely done nothing, and how
# often a request is sent that may be repeated.
TROUBLES = [
    pytest.param(Answer(hangs=True), "timeout", False, ATTEMPTS, id="late"),
    pytest.param(Answer(cut_after=0), "connection", False, ATTEMPTS, id="cut before the answer"),
    pytest.param(Answer(body=b"x" * 100, cut_after=60), "connection", False, ATTEMPTS, id="cut within the answer"),
    pytest.param(Answer(body=b" " * (BODY_LIMIT + 1)), "too_large", False, ATTEMPTS, id="huge"),
    pytest.param(Answer(body=b"<html>welcome</html>"), "malformed", False, ATTEMPTS, id="no JSON"),
    pytest.param(Answer(body=b'{"status": "succ'), "malformed", False, ATTEMPTS, id="broken JSON"),
    pytest.param(json([1, 2]), "malformed", False, ATTEMPTS, id="wrong type"),
    pytest.param(json({"status": 1, "id": 1}), "malformed", False, ATTEMPTS, id="fields of wrong types"),
    pytest.param(Answer(500), "status", False, ATTEMPTS, id="500"),
    pytest.param(Answer(502, b"<html>bad gateway</html>"), "status", False, ATTEMPTS, id="502"),
    pytest.param(json({}, 503, retry_after="120"), "status", False, 1, id="503, come back later"),
    pytest.param(Answer(302, headers=(("location", "/login/"),)), "status", True, 1, id="302"),
    pytest.param(Answer(401), "credentials", True, 1, id="401"),
    pytest.param(Answer(403), "forbidden", True, 1, id="403"),
    pytest.param(json({"error": "no"}, 400), "refused", True, 1, id="400"),
    pytest.param(json({"error": "busy"}, 429, retry_after="7"), "busy", True, 1, id="429"),
]


@pytest.mark.parametrize(("answer", "reason", "is_undone", "_attempts"), TROUBLES)
@pytest.mark.parametrize("command", [dial, transfer])
def test_what_may_have_been_carried_out_is_not_repeated(
    command: Callable[[Scene], Awaitable[Any]], answer: Answer, reason: str, is_undone: bool, _attempts: int
) -> None:
    """A dial leaves once, and its result says whether the node has surely done nothing or nobody knows."""
    result, scene = play(command, answer, timeout=SHORT if answer.hangs else 20.0)
    assert isinstance(result, NotDone if is_undone else Unknown)
    assert result.reason == reason
    assert len(scene.node.arrived) == 1
    told = f"{result!r}"
    assert (ALIAS in told, PASSWORD in told) == (False, False)


@pytest.mark.parametrize(("answer", "reason", "is_undone", "attempts"), TROUBLES)
def test_questions_are_repeated_where_that_may_help(
    answer: Answer, reason: str, is_undone: bool, attempts: int
) -> None:
    """A question is asked again, with growing pauses, unless the same answer would come; then nothing is known."""
    result, scene = play(look, answer, timeout=SHORT if answer.hangs else 20.0)
    assert isinstance(result, Unanswered)
    assert result.reason == reason
    assert len(scene.node.arrived) == attempts
    assert scene.time.slept == [0.25, 0.5][: attempts - 1]


@pytest.mark.parametrize(("answer", "reason", "is_undone", "attempts"), TROUBLES)
def test_disconnections_are_repeated_too(answer: Answer, reason: str, is_undone: bool, attempts: int) -> None:
    """An id is of one participant for ever, so that twice is as good as once; a refusal is followed by a question."""
    result, scene = play(expel, answer, timeout=SHORT if answer.hangs else 20.0)
    assert isinstance(result, NotDone if is_undone else Unknown)
    assert result.reason == reason
    told = [each.method for each in scene.node.arrived]
    assert told == ["POST"] * attempts + ["GET"] * (reason == "refused")


def test_a_dial_that_cannot_have_left_is_repeated() -> None:
    """Where nobody listens nothing was sent: three attempts, and surely not carried out."""

    async def scenario(scene: Scene) -> Any:
        client = client_of(Access("http://127.0.0.1:9", ACCOUNT), scene.time)
        async with client:
            return await client.dial(CALL), client.counts.sent

    (result, sent), _ = play(scenario, SUCCESS)
    assert isinstance(result, NotDone)
    assert (result.reason, sent) == ("connection", ATTEMPTS)


@pytest.mark.parametrize(
    "body", [{"status": "failed", "message": f"{ALIAS} is not there"}, {"status": "error"}], ids=str
)
def test_no_with_200(body: dict[str, str]) -> None:
    """A status that is no success is a refusal whatever HTTP says, and is told without what was sent."""
    result, _ = play(dial, json(body))
    assert isinstance(result, NotDone)
    assert result.reason == "refused"
    assert result.detail in {"failed: … is not there", "error"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "success", "data": {"participant_id": "p-1"}}, "p-1"),
        ({"status": "success", "data": "p-1"}, "p-1"),
        ({"status": "success", "result": "p-1"}, "p-1"),
        ({"status": "success", "result": {"participant_id": "p-1"}, "data": None}, "p-1"),
        ({"status": "success"}, ""),
        ({"status": "success", "data": {"participant_id": 7}, "message": "Dialled"}, ""),
    ],
    ids=str,
)
def test_the_new_participant_of_a_dial(body: dict[str, object], expected: str) -> None:
    """Wherever versions put the id it is found, and without it a dial is accepted all the same."""
    result, scene = play(dial, json(body))
    assert result == Accepted(expected)
    (arrived,) = scene.node.arrived
    assert (arrived.method, arrived.target) == ("POST", "/api/admin/command/v1/participant/dial/")
    assert b'"keep_conference_alive":"keep_conference_alive_never"' in arrived.body
    assert b'"node"' not in arrived.body


@pytest.mark.parametrize(
    ("second", "expected"),
    [(Answer(404), Gone), (json(PARTICIPANT), NotDone), (Answer(500), NotDone)],
    ids=["not there", "there", "unknown"],
)
def test_who_is_gone_is_disconnected(second: Answer, expected: type) -> None:
    """A refused disconnection is as good as done when the node says that nobody of that id is there."""
    result, _ = play(expel, json({"error": "no"}, 400), second)
    assert isinstance(result, expected)


# ---------------------------------------------------------------------- the status


def test_a_conference_with_all_who_are_in_it() -> None:
    """Conference and participants of all pages, in order, each once, however often a page repeats them."""
    people = [{**PARTICIPANT, "id": f"p-{number}"} for number in range(5)]
    answers = (page(CONFERENCE), page(*people[:3], has_next=True), page(*people[2:]))
    result, scene = play(list_all, *answers)
    assert isinstance(result, Conference)
    assert [each.id for each in result.participants] == [f"p-{number}" for number in range(5)]
    assert (result.id, result.is_started, str(result.start_time)) == (
        "conference-1",
        True,
        "2026-11-27 12:00:00.250000+00:00",
    )
    assert [each.target for each in scene.node.arrived] == [
        "/api/admin/status/v1/conference/?name=visit-1&limit=100&offset=0",
        "/api/admin/status/v1/participant/?conference=visit-1&limit=100&offset=0",
        "/api/admin/status/v1/participant/?conference=visit-1&limit=100&offset=3",
    ]


def test_a_node_that_does_not_look_at_filters() -> None:
    """Objects of other conferences are not taken for those of this one."""
    others = {**PARTICIPANT, "id": "other", "conference": "visit-2"}
    result, _ = play(
        list_all, page({**CONFERENCE, "id": "other", "name": "visit-2"}, CONFERENCE), page(others, PARTICIPANT)
    )
    assert isinstance(result, Conference)
    assert [each.id for each in result.participants] == ["participant-1"]


def test_no_conference() -> None:
    """Who has no conference has no participants either: one question is enough."""
    result, scene = play(list_all, page())
    assert (result, len(scene.node.arrived)) == (Absent(), 1)


def test_two_conferences_of_one_name_are_nothing_to_act_on() -> None:
    """It is not guessed which one is meant."""
    result, _ = play(list_all, page(CONFERENCE, {**CONFERENCE, "id": "conference-2"}))
    assert isinstance(result, Unanswered)
    assert result.reason == "malformed"


def test_a_list_without_end() -> None:
    """Reading stops after so many pages, and nothing is known."""
    endless = [page({**PARTICIPANT, "id": f"p-{number}"}, has_next=True) for number in range(PAGES + 5)]
    result, scene = play(list_all, page(CONFERENCE), *endless)
    assert isinstance(result, Unanswered)
    assert (result.reason, len(scene.node.arrived)) == ("too_large", 1 + PAGES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "x" * 201},
        {"id": None},
        {"conference": None},
        {"call_direction": "sideways"},
        {"has_media": "YES"},
        {"display_name": 7},
    ],
    ids=str,
)
def test_a_participant_that_is_none_makes_the_page_none(wrong: dict[str, object]) -> None:
    """What is acted on is there and of its type, or nothing is known at all: half a list would be a wrong one."""
    result, _ = play(list_all, page(CONFERENCE), page(PARTICIPANT, {**PARTICIPANT, **wrong}))
    assert isinstance(result, Unanswered)
    assert result.reason == "malformed"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"role": "host"}, ("role", "chair")),
        ({"role": "chair"}, ("role", "chair")),
        ({"role": "unknown"}, ("role", None)),
        ({"role": None}, ("role", None)),
        ({"connect_time": None}, ("connect_time", None)),
        ({"connect_time": "yesterday"}, ("connect_time", None)),
        ({"call_direction": "out"}, ("is_outgoing", True)),
        ({"protocol": None}, ("protocol", "")),
        ({"a field of the next version": 1}, ("id", "participant-1")),
    ],
    ids=str,
)
def test_what_is_read_of_a_participant(said: dict[str, object], expected: tuple[str, object]) -> None:
    """Both words for a Host are one, and what is absent or new is no reason to know nothing."""
    result, _ = play(look, json({**PARTICIPANT, **said}))
    assert isinstance(result, Participant)
    name, value = expected
    assert getattr(result, name) == value


def test_another_participant_than_the_one_that_was_asked_for() -> None:
    """An answer about somebody else is none."""
    result, _ = play(look, json({**PARTICIPANT, "id": "participant-2"}))
    assert isinstance(result, Unanswered)


def test_ids_and_names_stay_in_their_place() -> None:
    """Whatever an id holds, the path has one segment of it, and a name is one value of the query."""

    async def scenario(scene: Scene) -> None:
        await scene.client.participant("../../x?y#z")
        await scene.client.conference("a&name=b c")

    _, scene = play(scenario, Answer(404))
    assert [each.target for each in scene.node.arrived] == [
        "/api/admin/status/v1/participant/..%2F..%2Fx%3Fy%23z/",
        "/api/admin/status/v1/conference/?name=a%26name%3Db+c&limit=100&offset=0",
    ]


@pytest.mark.parametrize("identifier", ["", "x" * 201])
def test_ids_that_are_none_are_not_sent(identifier: str) -> None:
    """An empty id would be a list, and what Pexip does not take is not tried."""

    async def scenario(scene: Scene) -> None:
        for ask in (scene.client.participant, scene.client.disconnect_participant, scene.client.disconnect_conference):
            with pytest.raises(ValueError, match="an id must have"):
                await ask(identifier)

    _, scene = play(scenario, SUCCESS)
    assert scene.node.arrived == []


@pytest.mark.parametrize(
    "fields",
    [
        {"system_location": ""},
        {"node": "10.0.0.1"},
        {"destination": ""},
        {"conference_alias": "x" * 251},
        {"system_location": "", "node": "x" * 256},
    ],
    ids=str,
)
def test_calls_that_a_node_refuses_are_not_made(fields: dict[str, str]) -> None:
    """Length, what is needed, and exactly one of location and node."""
    complete: dict[str, Any] = {
        "conference_alias": "a",
        "destination": "b",
        "keep_conference_alive": "keep_conference_alive_never",
        "system_location": "DMZ",
    }
    assert Call(**complete).routing == "manual"
    with pytest.raises(ValueError, match="must"):
        Call(**{**complete, **fields})


# ---------------------------------------------------------------------- pace and circuit


def test_a_429_stops_all_until_its_time() -> None:
    """After it nothing is sent, by nobody, until Retry-After has passed; then all goes on."""

    async def scenario(scene: Scene) -> list[Any]:
        first, second = await look(scene), await dial(scene)
        await scene.time.sleep(30)
        return [first, second, await look(scene)]

    (first, second, third), scene = play(scenario, json({}, 429, retry_after="30"), json(PARTICIPANT))
    assert (first.reason, first.retry_after) == ("busy", 30)
    assert isinstance(second, NotDone)
    assert (second.reason, second.retry_after) == ("pace", 30)
    assert isinstance(third, Participant)
    assert len(scene.node.arrived) == 2
    assert scene.client.counts.put_off == 1


def test_a_429_without_a_time() -> None:
    """Then a time of our own counts."""
    result, _ = play(look, Answer(429))
    assert result.retry_after == BUSY_SECONDS


def test_the_rate_is_for_all_together() -> None:
    """Questions and commands share it: a quarter at once, then each has its turn, and what would wait long is refused."""

    async def scenario(scene: Scene) -> list[Any]:
        return [await (look(scene) if number % 2 else expel(scene)) for number in range(4)]

    results, scene = play(scenario, Answer(404), rate=10)
    assert len(scene.node.arrived) == 2
    assert [type(each) for each in results] == [Gone, Unanswered, NotDone, Unanswered]
    assert results[1].reason == "pace"
    assert results[1].retry_after == pytest.approx(60 / 8)


def test_a_node_that_is_away_is_left_alone_and_found_again() -> None:
    """After so many failures nothing is sent but one request each pause, and an answer opens the way."""
    said: list[Any] = []

    async def scenario(scene: Scene) -> None:
        said.extend([await dial(scene) for _ in range(FAILURES)])
        assert scene.client.is_away
        said.append(await dial(scene))
        sent = len(scene.node.arrived)
        await scene.time.sleep(PAUSE)
        said.append(await look(scene))
        assert len(scene.node.arrived) == sent + 1
        assert not scene.client.is_away

    play(scenario, *[Answer(500)] * FAILURES, json(PARTICIPANT))
    assert [each.reason for each in said[:-1]] == ["status"] * FAILURES + ["away"]
    refused = said[FAILURES]
    assert isinstance(refused, NotDone)
    assert refused.retry_after == PAUSE
    assert isinstance(said[-1], Participant)


def test_attempts_end_when_the_circuit_opens() -> None:
    """What is repeated does not go on against a node that counts as away."""

    async def scenario(scene: Scene) -> list[str]:
        return [(await look(scene)).reason for _ in range(3)]

    reasons, scene = play(scenario, Answer(500))
    assert reasons == ["status", "away", "away"]
    assert len(scene.node.arrived) == FAILURES


@pytest.mark.parametrize("answer", [Answer(403), Answer(400), json({}, 429)], ids=["403", "400", "429"])
def test_a_node_that_says_no_is_not_away(answer: Answer) -> None:
    """A refusal is an answer, however often it comes."""

    async def scenario(scene: Scene) -> bool:
        for _ in range(FAILURES + 2):
            await dial(scene)
            await scene.time.sleep(BUSY_SECONDS)
        return scene.client.is_away

    is_away, scene = play(scenario, answer)
    assert (is_away, len(scene.node.arrived)) == (False, FAILURES + 2)


def test_wrong_credentials_do_not_lock_the_account() -> None:
    """After a few refusals they are tried once each pause only."""

    async def scenario(scene: Scene) -> None:
        for _ in range(20):
            await look(scene)

    _, scene = play(scenario, Answer(401))
    assert len(scene.node.arrived) == FAILURES


# ---------------------------------------------------------------------- TLS, secrets


@pytest.mark.parametrize("is_known", [True, False], ids=["own CA", "unknown CA"])
def test_certificates_are_verified(tmp_path: Path, is_known: bool) -> None:
    """A node whose certificate is not signed by whom we trust gets nothing of us, not even the password."""
    made, key = certificate()
    (tmp_path / "chain.pem").write_text(made + key, encoding="utf-8")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "chain.pem")

    async def run() -> tuple[Any, int]:
        async with serving(SUCCESS, tls=tls) as node:
            access = Access(node.url, ACCOUNT, tmp_path / "chain.pem" if is_known else None)
            async with client_of(access) as client:
                return await client.dial(CALL), len(node.arrived)

    result, arrived = asyncio.run(run())
    if is_known:
        assert (result, arrived) == (Accepted("participant-9"), 1)
    else:
        assert isinstance(result, NotDone)
        assert (result.reason, arrived) == ("connection", 0)
        assert "certificate is not accepted" in result.detail


def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither password nor alias reach a log, whatever a node repeats of them; what happened does."""
    caplog.set_level(logging.DEBUG)
    echo = {"error": f"{PASSWORD.upper()} and {ALIAS.upper()}", "more": [ALIAS]}

    async def scenario(scene: Scene) -> Any:
        refused = await dial(scene)
        return refused, await list_all(scene)

    (refused, unanswered), scene = play(scenario, json(echo, 400), Answer(500))
    said = caplog.text + repr([refused, unanswered, scene.client.counts])
    assert ALIAS not in said.lower()
    assert "management.refused: POST /api/admin/command/v1/participant/dial/: status 400" in said
    assert "management.unanswered: GET /api/admin/status/v1/conference/: status 500" in said
