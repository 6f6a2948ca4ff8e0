"""A played call: who asks what in which order, and what each answer must give for the call to go on."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

import httpx
import orjson
import pytest

from policy_server.app import utc_now
from policy_server.policy.links import make_link
from policy_server.policy.names import NONCE_BYTES, Call, Keyring, Role
from policy_server.settings import Credentials
from policy_server.simulator.call import play_call
from policy_server.simulator.doors import play_closed_door, play_revoked_link
from policy_server.simulator.exchange import Caller, basic, bearer
from policy_server.simulator.genesys import StandIn, User
from policy_server.simulator.node import ConferencingNode, web_question
from policy_server.simulator.steps import CUSTOMER, MARK, Agent, Cast, LeftOut, Script, Step
from policy_server.web.api_keys import ApiKeys
from tests.cli.commands import RULES
from tests.genesys.asking import MARIA, TOKEN, standing_in, tenant
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, InProcess, write_rules

API_KEY: Final = "k3y-of-the-booking-system"
EVENTS: Final = Credentials("sink", "p4ssword-of-the-sink")
FOREIGN_TOKEN: Final = "t0ken-of-somebody-else"
ROOT: Final = "http://policy.example.com"
KEYRING: Final = Keyring.from_text(SECRET_KEY, ())
ABSENT: Final = LeftOut("something", "a setting")

Change: TypeAlias = Callable[[httpx.Request, dict[str, Any]], object]
"""Changes the JSON of an answer to a request."""


@dataclass
class Tampered(httpx.AsyncBaseTransport):
    """The server, some of whose answers are changed on the way."""

    server: httpx.ASGITransport
    asked: list[httpx.Request]
    change: Change | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Passes a request on, and a changed answer back."""
        self.asked.append(request)
        answer = await self.server.handle_async_request(request)
        body = await answer.aread()
        if self.change is None:
            return httpx.Response(answer.status_code, headers=answer.headers, content=body)
        is_json = "json" in answer.headers.get("content-type", "")
        told = {
            "status": answer.status_code,
            "headers": dict(answer.headers),
            "json": orjson.loads(body) if is_json else {},
        }
        self.change(request, told)
        told["headers"].pop("content-length", None)
        content = orjson.dumps(told["json"]) if is_json else body
        return httpx.Response(told["status"], headers=told["headers"], content=content)


@dataclass
class Stage:
    """A server, Genesys Cloud as the tests stand in for it, and an agent."""

    server: InProcess
    genesys: StandIn
    user: User

    def play(
        self,
        change: Change | None = None,
        script: Script | None = None,
        play: Callable[[Cast, Script], AsyncIterator[Step | LeftOut]] = play_call,
        **cast: Any,
    ) -> tuple[list[Step], list[LeftOut], list[httpx.Request]]:
        """The steps that were played, what was left out, and what was asked. ``cast`` is for ``cast``."""
        transport = Tampered(httpx.ASGITransport(app=self.server.app), [], change)

        async def run() -> list[Step | LeftOut]:
            async with httpx.AsyncClient(transport=transport) as client:
                return [step async for step in play(self.cast(client, **cast), script or self.script())]

        played = self.server.run(run())
        steps = [each for each in played if isinstance(each, Step)]
        return steps, [each for each in played if isinstance(each, LeftOut)], transport.asked

    def cast(self, client: httpx.AsyncClient, token: str = TOKEN, api_key: str = API_KEY, **changed: Any) -> Cast:
        """All of them, with another token or key, or with fields of Cast changed."""
        whole = Cast(
            node=ConferencingNode(client, ROOT, USERNAME, PASSWORD),
            customer=Caller(client, ROOT),
            organisation=Caller(client, ROOT, bearer(api_key)),
            sink=Caller(client, ROOT, basic(EVENTS.username, EVENTS.password)),
            agent=Agent(Caller(client, ROOT, bearer(token)), self.genesys, self.user),
            clock=utc_now,
        )
        return replace(whole, **changed)

    def script(self, link_type: str = "visit") -> Script:
        """A call by a link of a type."""
        chosen = self.server.rules.ruleset.links[link_type]
        return Script(chosen, KEYRING, make_link(chosen, KEYRING, soon(), token_bytes(NONCE_BYTES)))


def soon() -> datetime:
    """When the links of these tests end."""
    return utc_now() + timedelta(hours=1)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One server for all tests, always open; each plays a call of its own."""
    folder: Path = tmp_path_factory.mktemp("stage")
    rules = RULES.replace('mon-fri: ["08:00-18:00"]', 'mon-sun: ["00:00-24:00"]')
    rules = rules.replace("link_type: visit, door: customer", "link_type: [visit, bare], door: customer")
    write_rules(folder / "rules", rules + '  bare: { alias: "bare{session}", ttl: 1h }\n')
    with standing_in() as genesys:
        settings: dict[str, Any] = {
            "api_keys": ApiKeys({"booking": API_KEY}),
            "events": EVENTS,
            "tenant": tenant(genesys.url),
        }
        with InProcess(folder / "rules", **settings) as server:
            yield Stage(server, genesys.stand_in, MARIA)


def failed(steps: list[Step]) -> list[str]:
    """The checks that failed."""
    return [check.text for step in steps for check in step.checks if not check.passed]


def alias_of(request: httpx.Request) -> str:
    """The alias that a node asks for."""
    return parse_qs(request.url.query.decode()).get("local_alias", [""])[0]


def called(request: httpx.Request) -> Call:
    """The call that a customer's request for the door is about."""
    call = KEYRING.open(request.url.path.removeprefix("/join/"), Role.SESSION, ("visit", "bare"))
    assert call is not None
    return call


def played_call(asked: list[httpx.Request]) -> Call:
    """The call of a play that began with a link made and opened."""
    return called(asked[1])


def told_events(asked: list[httpx.Request]) -> list[list[str]]:
    """The names of the messages of each report."""
    bodies = [orjson.loads(request.content) for request in asked if request.url.path == "/events/v1/pexip"]
    return [
        [each["event"] for each in body["data"]] if body["event"] == "eventsink_bulk" else [body["event"]]
        for body in bodies
    ]


def test_a_good_call(stage: Stage) -> None:
    """A call that works: everybody asks in the order of a real one, and every check is passed."""
    steps, left_out, asked = stage.play()
    assert (failed(steps), left_out, all(step.passed for step in steps)) == ([], [], True)
    call = played_call(asked)
    kinds = {f"mp{call.session}": "customer", f"{call.id}@video.example.com": "room", f"hcp{call.agent}": "agent"}
    assert [(request.method, request.url.path, kinds.get(alias_of(request), "")) for request in asked] == [
        ("POST", "/api/v1/links", ""),
        ("GET", f"/join/{call.session}", ""),
        ("GET", "/policy/v1/service/configuration", "customer"),
        ("GET", "/policy/v1/participant/properties", "customer"),
        ("GET", "/policy/v1/participant/properties", "customer"),
        ("GET", "/policy/v1/participant/location", "customer"),
        ("POST", "/events/v1/pexip", ""),
        ("POST", "/events/v1/pexip", ""),
        ("GET", "/policy/v1/service/configuration", "room"),
        ("POST", "/events/v1/pexip", ""),
        ("GET", f"/agent/v1/conferences/{call.id}", ""),
        ("GET", "/policy/v1/service/configuration", "agent"),
        ("POST", "/events/v1/pexip", ""),
        ("POST", "/events/v1/pexip", ""),
        ("POST", "/events/v1/pexip", ""),
        ("GET", f"/agent/v1/conferences/{call.id}", ""),
        ("GET", f"/api/v1/links/{call.id}", ""),
    ]
    assert orjson.loads(asked[0].content) == {
        "type": "visit",
        "name": CUSTOMER,
        "attributes": MARK,
        "ttl": "1h",
    }
    assert [parse_qs(request.url.query.decode()).get("participant_type") for request in asked[3:5]] == [
        ["api"],
        ["standard"],
    ]
    dialled = parse_qs(asked[8].url.query.decode())
    assert [dialled[name] for name in ("call_direction", "remote_alias", "service_name", "service_tag")] == [
        ["dial_out"],
        ["99+13129998045"],
        [call.id],
        ["contact-centre"],
    ]
    assert told_events(asked) == [
        ["conference_started"],
        ["participant_connected"] * 2,
        ["participant_connected"],
        ["participant_connected"] * 2,
        ["participant_disconnected"] * 5,
        ["conference_ended"],
    ]


def test_no_secret_is_in_what_may_be_printed(stage: Stage) -> None:
    """Neither PIN nor key, password nor token is in a step, as it is told or as Python shows it."""
    steps, _, asked = stage.play()
    pins = played_call(asked).pins
    shown = repr(steps) + "".join(step.exchange.path + step.exchange.query + step.exchange.problem for step in steps)
    for secret in (pins.host, pins.guest, API_KEY, EVENTS.password, PASSWORD, TOKEN):
        assert secret not in shown


@pytest.mark.parametrize(
    ("absent", "paths"),
    [
        ("organisation", {"/join", "/policy", "/events", "/agent"}),
        ("sink", {"/api", "/join", "/policy", "/agent"}),
        ("agent", {"/api", "/join", "/policy", "/events"}),
    ],
)
def test_who_is_absent_is_left_out(stage: Stage, absent: str, paths: set[str]) -> None:
    """Without one of them the others play, nothing fails, and it is said once what was left out."""
    cast: dict[str, Any] = {absent: ABSENT}
    steps, left_out, asked = stage.play(**cast)
    assert (failed(steps), left_out) == ([], [ABSENT])
    assert {"/" + request.url.path.split("/")[1] for request in asked} == paths


def test_a_type_of_link_without_a_door(stage: Stage) -> None:
    """A link type without URL and agent alias: no door is asked, no agent dials, and the rest is played."""
    steps, left_out, asked = stage.play(script=stage.script("bare"))
    assert failed(steps) == []
    assert [each.remedy for each in left_out] == ["a url of the link type in the rules"]
    assert not any(request.url.path.startswith("/join") or alias_of(request).startswith("hcp") for request in asked)


def policy(alias: str, **result: Any) -> Change:
    """Changes the result of service configuration for aliases that begin so (``dial_out``: for those calls)."""

    def change(request: httpx.Request, told: dict[str, Any]) -> None:
        is_out = "call_direction=dial_out" in str(request.url)
        is_meant = is_out if alias == "dial_out" else not is_out and alias_of(request).startswith(alias)
        if request.url.path.endswith("service/configuration") and is_meant:
            told["json"]["result"] |= result

    return change


def answer(path: str, method: str = "GET", number: int = 1, **changed: Any) -> Change:
    """Changes the JSON of the answer to the so-many-th such request; ``status`` and ``headers`` are those of HTTP."""
    seen = [0]

    def change(request: httpx.Request, told: dict[str, Any]) -> None:
        if not request.url.path.startswith(path) or request.method != method:
            return
        seen[0] += 1
        if seen[0] == number:
            told["status"] = changed.get("status", told["status"])
            told["headers"] |= changed.get("headers", {})
            told["json"] |= changed.get("json", {})

    return change


def refused(request: httpx.Request, told: dict[str, Any]) -> None:
    """Lets no participant in."""
    if request.url.path.endswith("properties"):
        told["json"] = {"status": "success", "action": "reject", "result": {"reject_reason": "no"}}


def discarded(request: httpx.Request, told: dict[str, Any]) -> None:
    """Answers a location that Pexip cannot use."""
    if request.url.path.endswith("location"):
        told["json"]["result"] = {"location": 5}


def with_the_host_pin(request: httpx.Request, told: dict[str, Any]) -> None:
    """Puts the host PIN where the guest PIN belongs."""
    if request.url.path.startswith("/join/"):
        pins = called(request).pins
        told["headers"]["location"] = told["headers"]["location"].replace(pins.guest, pins.host)


LEG: Final = {"local_alias": "x", "remote_alias": "x", "protocol": "sip", "role": "guest"}
LINKS: Final = "/api/v1/links"
LOOKUP: Final = "/agent/v1/conferences/"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(answer(LINKS, "POST", json={"alias": "mpx"}), ["its alias"], id="link with another alias"),
        pytest.param(
            answer(LINKS, "POST", json={"url": "https://elsewhere.example.com/"}),
            ["and a URL that leads to this server's door"],
            id="link that leads elsewhere",
        ),
        pytest.param(
            answer("/join/", headers={"location": "https://elsewhere.example.com/"}),
            ["to the web app, by the URL of the link type", "with the guest PIN in it"],
            id="door that leads elsewhere",
        ),
        pytest.param(
            answer("/join/", status=302),
            ["to the web app, by the URL of the link type", "and without the host PIN"],
            id="door with another redirect",
        ),
        pytest.param(
            with_the_host_pin,
            ["and without the host PIN", "whose host PIN was not in the URL", "and whose guest PIN was"],
            id="host PIN given away",
        ),
        pytest.param(
            answer("/join/", headers={"referrer-policy": "origin", "cache-control": "private"}),
            ["Referrer-Policy: no-referrer", "Cache-Control: no-store"],
            id="door that is remembered",
        ),
        pytest.param(refused, ["the customer may join"] * 2, id="customer refused"),
        pytest.param(policy("dial_out", name="other"), ["the same room"], id="leg in another room"),
        pytest.param(policy("dial_out", view="four_mains_zero_pips"), ["the same room"], id="leg in another layout"),
        pytest.param(policy("dial_out", pin="11112222"), [], id="leg may have another PIN"),
        pytest.param(policy("hcp", name="other"), ["the same room"], id="agent in another room"),
        pytest.param(
            policy("hcp", pin="11112222"),
            ["with the same host PIN", "the lookup gave that PIN"],
            id="agent with another PIN",
        ),
        pytest.param(policy("hcp", automatic_participants=[LEG]), ["and nobody to dial"], id="agent dials"),
        pytest.param(
            answer(LOOKUP, json={"call": "x"}),
            ["by the name that Genesys Cloud shows of the caller (aniName)"],
            id="another call found",
        ),
        pytest.param(answer(LOOKUP, json={"name": "x"}), ["with the room's name"], id="another room found"),
        pytest.param(
            answer(LOOKUP, json={"join": {"alias": None, "pin": None}}),
            ["its host PIN for the agent alone", "and the alias to join by", "the lookup gave that PIN"],
            id="nothing to join by",
        ),
        pytest.param(answer(LOOKUP, json={"attributes": {}}), ["the link's attributes"], id="attributes lost"),
        pytest.param(
            answer(LOOKUP, json={"state": "waiting", "customer": None, "trunk_leg": {"state": "dialling"}}),
            ["it is active", "the customer is there", "the contact centre's leg is up"],
            id="events that nobody folded",
        ),
        pytest.param(
            answer(LOOKUP, number=2, json={"state": "active", "trunk_leg": None, "timeline": [], "participants": []}),
            [
                "it is ended",
                "nobody is there",
                "the contact centre's leg is down",
                "and its timeline tells it from the start to the end",
            ],
            id="end that nobody noticed",
        ),
        pytest.param(
            answer(LOOKUP, number=2, json={"participants": [{"is_present": True}]}),
            ["nobody is there"],
            id="somebody left behind",
        ),
        pytest.param(
            answer(f"{LINKS}/", status=404, json={"conference": None}),
            ["the link is known", "with its conference", "which is ended"],
            id="link forgotten",
        ),
        pytest.param(
            answer("/events/", "POST", number=3, status=503),
            ["it is taken and need not be sent again"],
            id="messages refused",
        ),
    ],
)
def test_what_breaks_a_call(stage: Stage, change: Change, expected: list[str]) -> None:
    """Each way to break a call fails the checks that name it, and no other."""
    steps, _, _ = stage.play(change)
    assert failed(steps) == expected
    assert all(step.passed for step in steps) is not bool(expected)


def with_another_pin(request: httpx.Request, told: dict[str, Any]) -> None:
    """Puts a PIN into the URL that no room has."""
    if request.url.path.startswith("/join/"):
        guest = called(request).pins.guest
        told["headers"]["location"] = told["headers"]["location"].replace(guest, "567890")


def without_a_pin(request: httpx.Request, told: dict[str, Any]) -> None:
    """Takes the PIN out of the URL."""
    if request.url.path.startswith("/join/"):
        guest = called(request).pins.guest
        told["headers"]["location"] = told["headers"]["location"].replace(guest, "")


@pytest.mark.parametrize("change", [with_another_pin, without_a_pin], ids=["another", "none"])
def test_the_pin_of_the_url_is_held_against_the_rooms(stage: Stage, change: Change) -> None:
    """A customer who would read "invalid PIN", or be asked for one, fails the call."""
    steps, _, _ = stage.play(change)
    assert failed(steps) == ["and whose guest PIN was"]


def test_a_lookup_that_is_refused(stage: Stage) -> None:
    """An agent of another organisation is refused, and the steps say what the server says about it."""
    stage.genesys.users[FOREIGN_TOKEN] = replace(stage.user, organization_id=stage.user.division_id)
    steps, _, _ = stage.play(token=FOREIGN_TOKEN)
    looked_up = [step.exchange for step in steps if step.exchange.path.startswith(LOOKUP)]
    assert [each.status for each in looked_up] == [403, 403]
    assert "another Genesys Cloud organisation" in looked_up[0].problem
    assert failed(steps)[0] == "the conference is found"
    assert "the lookup gave that PIN" in failed(steps)


def test_a_server_that_falls_silent(stage: Stage) -> None:
    """The first request without an answer ends the play."""

    def fall_silent(request: httpx.Request, _: dict[str, Any]) -> None:
        if request.url.path.startswith("/events/"):
            raise httpx.ReadTimeout("gone")

    steps, _, _ = stage.play(fall_silent)
    assert (len(steps), steps[-1].passed, steps[-1].exchange.unreachable) == (7, False, "ReadTimeout: gone")


def test_an_answer_that_pexip_discards_fails_its_step(stage: Stage) -> None:
    """A step whose answer a node would discard fails even if every check could pass."""
    steps, _, _ = stage.play(discarded)
    assert (failed(steps), [step.exchange.path for step in steps if not step.passed]) == (
        [],
        ["/policy/v1/participant/location"],
    )


@pytest.mark.parametrize(
    "result",
    [{"status": "success", "action": "reject", "result": {}}, {"status": "success", "action": "continue"}],
    ids=["refused", "left to Pexip"],
)
def test_no_room(stage: Stage, result: dict[str, Any]) -> None:
    """A customer who gets no room ends the play: nothing is dialled, reported or looked up."""

    def change(request: httpx.Request, told: dict[str, Any]) -> None:
        if request.url.path.startswith("/policy/"):
            told["json"] = result

    steps, left_out, asked = stage.play(change, sink=ABSENT)
    assert failed(steps) == ["a meeting room", "with the contact centre's number as automatic participant"]
    assert (len(asked), left_out) == (3, [])


PLAYBACK: Final[dict[str, Any]] = {
    "status": "success",
    "action": "continue",
    "result": {
        "service_type": "media_playback",
        "name": "Closed",
        "service_tag": "",
        "media_playlist_name": "closed",
        "on_completion": {"disconnect": True},
    },
}
GATEWAY: Final[dict[str, Any]] = {
    "status": "success",
    "action": "continue",
    "result": {
        "service_type": "gateway",
        "name": "Night desk",
        "service_tag": "",
        "local_alias": "us",
        "remote_alias": "desk@example.com",
        "outgoing_protocol": "sip",
    },
}
SENT_ON: Final[dict[str, Any]] = {"status": "success", "action": "redirect", "result": {"new_alias": "night"}}
INSTEAD: Final = (
    pytest.param(PLAYBACK, "the customer gets the media_playback 'Closed'", id="an announcement"),
    pytest.param(GATEWAY, "the customer gets the gateway 'Night desk'", id="a gateway"),
    pytest.param(SENT_ON, "the customer is sent on to 'night'", id="another alias"),
)


@pytest.mark.parametrize(("result", "instead"), INSTEAD)
def test_what_is_served_instead_of_a_room_is_no_open_door(stage: Stage, result: dict[str, Any], instead: str) -> None:
    """A customer who gets an announcement or another destination is not in; the check says what they got."""

    def change(request: httpx.Request, told: dict[str, Any]) -> None:
        if request.url.path.startswith("/policy/"):
            told["json"] = result

    steps, _, asked = stage.play(change, sink=ABSENT)
    assert failed(steps)[0] == f"a meeting room, but the door is closed: {instead}"
    assert len(asked) == 3


def test_no_leg(stage: Stage) -> None:
    """A room that dials nobody fails the check that says so; no agent is called, but the rest is played."""
    steps, _, asked = stage.play(policy("mp", automatic_participants=[]))
    assert failed(steps) == ["with the contact centre's number as automatic participant"]
    assert not any(request.url.path.startswith(LOOKUP) for request in asked)


def test_a_link_that_cannot_be_made(stage: Stage) -> None:
    """With a wrong API key making a link fails, and the call goes on by a link that is signed here."""
    steps, _, _ = stage.play(api_key="another-key")
    assert (failed(steps), steps[0].exchange.status) == (["a link is made"], 401)
    assert steps[0].exchange.problem.startswith("Wrong or no API key")


def test_a_link_signed_with_another_key(stage: Stage) -> None:
    """A server with another secret key is found out by the first link that it makes."""
    other = Keyring.from_text("another secret key that is long enough", ())
    script = stage.script()
    foreign = replace(script, keyring=other, link=make_link(script.link_type, other, soon(), token_bytes(NONCE_BYTES)))
    steps, _, _ = stage.play(script=foreign)
    assert failed(steps)[0] == "signed with the secret key that is set here"
    assert steps[1].exchange.status == 404


def test_a_revoked_link(stage: Stage) -> None:
    """A revoked link is refused by the rules and by the door; without an API key it is not played."""
    steps, _, _ = stage.play(play=play_revoked_link)
    assert failed(steps) == []
    assert [(step.exchange.method, step.exchange.status) for step in steps] == [
        ("POST", 201),
        ("DELETE", 204),
        ("GET", 200),
        ("GET", 404),
    ]
    assert stage.play(play=play_revoked_link, organisation=ABSENT) == ([], [], [])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(answer(LINKS, "POST", status=500), ["a link is made"], id="no link"),
        pytest.param(answer(f"{LINKS}/", "DELETE", status=503), ["the link is revoked"], id="not revoked"),
        pytest.param(answer("/join/", status=303), ["the link is not good any more"], id="open door"),
        pytest.param(answer("/join/", headers={"content-type": "text/plain"}), ["which a page says"], id="no page"),
        pytest.param(
            lambda request, told: told["json"].update(action="continue") if "/policy/" in str(request.url) else None,
            ["the call is refused"],
            id="let in",
        ),
    ],
)
def test_a_link_that_stays_good(stage: Stage, change: Change, expected: list[str]) -> None:
    """What keeps a revoked link alive fails the check that names it."""
    steps, _, _ = stage.play(change, play=play_revoked_link)
    assert failed(steps) == expected


@pytest.mark.parametrize(
    ("told", "passed"),
    [
        ({"status": "success", "action": "reject", "result": {}}, True),
        (
            {
                "status": "success",
                "action": "continue",
                "result": {"service_type": "conference", "name": "s1", "service_tag": "visit"},
            },
            False,
        ),
        ({"status": "success", "action": "continue"}, False),
        ({"status": "failure", "action": "reject"}, False),
    ],
    ids=["refused", "a room", "left to Pexip", "a failure"],
)
def test_a_closed_door(stage: Stage, told: dict[str, Any], passed: bool) -> None:
    """A closed door is a reject; a room, Pexip's own decision, or a failure is none."""
    assert closed_door(stage, told).passed is passed


@pytest.mark.parametrize(("told", "instead"), INSTEAD)
def test_a_closed_door_with_something_behind_it(stage: Stage, told: dict[str, Any], instead: str) -> None:
    """An announcement or another destination is a closed door too, and the check says what the customer gets."""
    step = closed_door(stage, told)
    assert (step.passed, [check.text for check in step.checks]) == (True, [f"the door is closed: {instead}"])


def closed_door(stage: Stage, told: dict[str, Any]) -> Step:
    """What is played at the door, which gives this answer."""

    async def run() -> Step:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json=told))
        async with httpx.AsyncClient(transport=transport) as client:
            node = ConferencingNode(client, ROOT, "a", "b")
            (step,) = [
                step
                async for step in play_closed_door(node, web_question(stage.script().link.alias, CUSTOMER), "Closed")
            ]
            return step

    return stage.server.run(run())


GREETING: Final = {
    "service_type": "media_playback",
    "name": "Closed",
    "service_tag": "",
    "media_playlist_name": "Closed",
}


@pytest.mark.parametrize(
    ("leads_to", "asked", "said"),
    [
        (["help"], 2, "the door is closed: 'Closed' is played again and again, since it leads to where it is played"),
        (["night", None], 2, "the call is refused"),
    ],
    ids=["to itself", "to a refusal"],
)
def test_a_closed_door_behind_a_playlist(stage: Stage, leads_to: list[str | None], asked: int, said: str) -> None:
    """Whoever is played something and led on is followed to where they come out."""
    asked_for: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked_for.append(parse_qs(request.url.query.decode())["local_alias"][0])
        alias = leads_to[min(len(asked_for), len(leads_to)) - 1]
        result = GREETING | {"on_completion": {"transfer": {"conference": alias}}}
        told = {"status": "success", "action": "continue", "result": result}
        return httpx.Response(200, json=told if alias else {"status": "success", "action": "reject"})

    async def run() -> list[Step]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            node = ConferencingNode(client, ROOT, "a", "b")
            return [
                step
                async for step in play_closed_door(node, web_question(stage.script().link.alias, CUSTOMER), "Closed")
            ]

    first, last = stage.server.run(run())
    assert [step.passed for step in (first, last)] == [True, True]
    assert (first.title, [check.text for check in first.checks]) == ("Closed", ["a playlist, which leads on: 'Closed'"])
    assert last.title == "'Closed' has been played, and leads on: which service is that alias?"
    assert [check.text for check in last.checks] == [said]
    assert (len(asked_for), asked_for[-1]) == (asked, leads_to[0])
