"""/openapi.json: a valid document, of all that there is and nothing else, which the running server keeps to."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from policy_server import app as app_module
from policy_server.app import Application, create_app, utc_now
from policy_server.conferences.records import Link
from policy_server.conferences.search import Position, cursor_of
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.webhook_messages import Event
from policy_server.outbound.receivers import Receiver
from policy_server.policy.names import Keyring
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.web import admission, agents, conferences, events, links, refusals, routing, streams, systems
from policy_server.web.api_keys import ApiKeys
from policy_server.web.openapi import PATH, document
from policy_server.web.openapi_parts import PROBLEMS
from policy_server.web.problem import TYPE_ROOT
from policy_server.web.routing import Routing
from tests.conferences import event_histories as told
from tests.genesys.asking import CONVERSATION, TOKEN, standing_in, tenant
from tests.outbound.receivers import KEY as KEY_OF_HOOKS
from tests.outbound.receivers import receiving
from tests.servers import PASSWORD, SECRET_KEY, USERNAME, InProcess, basic, write_rules
from tests.waiting import eventually
from tests.web.calls import bulk, message
from tests.web.test_webhooks import Clock, tell_of_a_call
from tests.web.test_webhooks import server as told_server

KEY: Final = "an-api-key-of-these-tests"
EVENTS: Final = Credentials("sink", "the sink's password")
ADMIN: Final = Credentials("admin", "the admin's password")
FAR: Final = "192.0.2.77"
ROOMS: Final = """
trunks:
  contact-centre: { number: "+1 312 999 8045", dial_prefix: "99" }
rooms:
  visit: { name: "{call}", service_tag: visits, pin: derived, guest_pin: derived, allow_guests: true }
service:
  - id: customer
    when: { link_type: visit, door: customer, link: valid }
    room: visit
    dial_out: [{ trunk: contact-centre, display_name: "{call}" }]
  - id: agent
    when: { link_type: visit, door: agent, link: [valid, expired] }
    room: visit
"""
LINKS: Final = """
links:
  visit:
    alias: "mp{session}"
    agent_alias: "hcp{agent}"
    window: { before: 15m, after: 1h }
    url: "https://pexip.example.com/webapp3/m/{alias}/express?pin={guest_pin}"
  call: { alias: "call{session}", window: { after: 1h } }
"""
TYPES: Final = ("visit", "call")

LATER: Final = datetime(2200, 1, 1, tzinfo=UTC)
CALL: Final = Keyring.from_text(SECRET_KEY).sign("visit", LATER, b"1234")
"""Of a link that is there from the beginning; the same in every run, so that every run is the same."""

DOCUMENT: Final = document(TYPES)

Json = dict[str, Any]


@contextmanager
def listening(app: Application) -> Iterator[str]:
    """The application on a port of its own, served from a thread; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, ws="none", loop="asyncio", log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            eventually(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def rule_store(settings: Settings) -> RuleStore:
    """The rules of a server."""
    return RuleStore(settings.rules, utc_now, {})


async def keep(link: Link, url: str) -> None:
    """Stores a link before a server starts."""
    store = ConferenceStore(url)
    await store.prepare()
    await store.create_link(link)
    await store.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Everything set up, one link stored, and a Genesys Cloud that knows one agent."""
    folder = tmp_path_factory.mktemp("openapi")
    with standing_in() as genesys:
        settings = Settings(
            rules=write_rules(folder / "rules", ROOMS + LINKS),
            pexip=Credentials(USERNAME, PASSWORD),
            secret_key=SECRET_KEY,
            api_keys=ApiKeys({"tests": KEY}),
            events=EVENTS,
            tenant=tenant(genesys.url),
            agent_binding="optional",
            node="pexip.example.com",
            database_url=f"sqlite:///{folder}/policy.db",
        )
        link = Link.of(CALL, name="Ada L", attributes={}, created_at=utc_now(), created_by="tests")
        asyncio.run(keep(link, settings.database_url))
        yield settings


@pytest.fixture(scope="module")
def url(whole: Settings) -> Iterator[str]:
    """The service, listening. It holds up nobody who guesses, as it is asked with bad credentials again and again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusals, "FREE_GUESSES", 1_000_000)
        with listening(create_app(whole, rule_store(whole))) as address:
            yield address


# ------------------------------------------------------------------ the document itself


@pytest.mark.parametrize(
    ("types", "joining"),
    [(TYPES, ()), ((*TYPES, "helper"), ("helper",)), ((), ())],
    ids=["types", "joining", "no-types"],
)
def test_it_is_valid(types: tuple[str, ...], joining: tuple[str, ...]) -> None:
    """The document is OpenAPI 3.1, whatever the rules are."""
    assert [error.message for error in OpenAPIV31SpecValidator(document(types, joining)).iter_errors()] == []


@pytest.mark.parametrize(
    ("body", "is_good"),
    [
        ({"type": "visit"}, True),
        ({"type": "visit", "joins": "x"}, False),
        ({"type": "helper"}, False),
        ({"type": "helper", "joins": "x"}, True),
    ],
)
def test_it_says_which_links_join_a_call(body: Json, is_good: bool) -> None:
    """A link of a type that joins names the call, and no other does."""
    shape = document((*TYPES, "helper"), ("helper",))["components"]["schemas"]["LinkRequest"]
    assert Draft202012Validator(shape).is_valid(body) is is_good


def test_it_describes_every_route_and_nothing_else(whole: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operations are exactly the methods and paths that the application serves to systems, agents and nodes'
    event sinks.
    """
    routes: list[Route] = []

    def spy(known: list[Route]) -> Routing:
        routes.extend(known)
        return Routing(known)

    monkeypatch.setattr(app_module, "Routing", spy)
    create_app(whole, rule_store(whole))
    served = {
        (route.path, method.lower())
        for route in routes
        for method in (route.methods or {"GET"}) - {"HEAD"}
        if route.path.startswith(("/api/", "/agent/", "/events/"))
    }
    described = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item.keys() - {"parameters"}}
    assert described == served


def test_it_knows_every_problem() -> None:
    """Each type of problem in the sources is described, and no other."""
    modules = (admission, agents, conferences, events, links, refusals, routing, streams, systems, app_module)
    texts = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in modules]
    made = re.compile(r'(?:ProblemResponse|agent_problem)\(\s*\d{3},\s*"([a-z-]+)"')
    kinds = {kind for text in texts for kind in made.findall(text)} | {"not-found"}
    assert kinds - {"method-not-allowed"} == set(PROBLEMS)
    answers = json.dumps(DOCUMENT["paths"])
    assert [kind for kind in PROBLEMS if f'"{TYPE_ROOT}{kind}"' not in answers] == []
    assert "method-not-allowed" in DOCUMENT["info"]["description"]


def pairs(node: object) -> Iterator[tuple[Json, object]]:
    """Every schema of the operations that has examples beside it, with each of them."""
    if isinstance(node, Mapping):
        if "schema" in node:
            given = [example["value"] for example in node.get("examples", {}).values()]
            for example in [*given, *([node["example"]] if "example" in node else [])]:
                yield node["schema"], example
        for item in node.values():
            yield from pairs(item)
    elif isinstance(node, list):
        for item in node:
            yield from pairs(item)


def test_its_examples_are_good() -> None:
    """Each example satisfies its schema."""
    found = [pair for pair in pairs([DOCUMENT["paths"], DOCUMENT["webhooks"]]) if not isinstance(pair[1], str)]
    assert len(found) > 10
    for schema, example in found:
        assert faults(example, schema, SCHEMAS) == []


def test_its_webhooks_are_what_is_sent(tmp_path: Path) -> None:
    """Each event has its webhook, and what a receiver gets, from its headers to the last field, is as described."""
    assert DOCUMENT["webhooks"].keys() == set(Event)
    clock = Clock()
    with receiving() as site, told_server(tmp_path, clock, Receiver("crm", site.url, (KEY_OF_HOOKS,))) as running:
        tell_of_a_call(running, clock, site)
    assert [got.json["type"] for got in site.got] == [Event.STARTED, Event.ANSWERED, Event.ENDED]
    for got in site.got:
        described = DOCUMENT["webhooks"][got.json["type"]]["post"]
        assert faults(got.json, described["requestBody"]["content"][got.headers["content-type"]]["schema"]) == []
        named = {parameter["name"]: parameter["schema"] for parameter in described["parameters"]}
        assert named.keys() == {name for name in got.headers if name.startswith("webhook-")}
        for name, schema in named.items():
            assert faults(got.headers[name], schema) == []


# ------------------------------------------------------------------ who gets it


def test_it_is_for_operators(whole: Settings, tmp_path: Path) -> None:
    """On this machine anybody may read it; from elsewhere it takes what the other operators' paths take."""
    rules = write_rules(tmp_path, ROOMS + LINKS)
    with InProcess(rules) as server, InProcess(rules, admin=ADMIN) as guarded:
        assert server.request("GET", PATH).json() == DOCUMENT
        assert server.request("GET", PATH, peer=FAR).status_code == 403
        assert guarded.request("GET", PATH, peer=FAR).status_code == 401
        good = basic(ADMIN.username, ADMIN.password)
        assert guarded.request("GET", PATH, peer=FAR, authorization=good).json() == DOCUMENT


def test_it_has_the_types_of_link_that_there_are(tmp_path: Path) -> None:
    """The types of link are those of the rules in force; without any the document does not forbid them all."""
    fields = DOCUMENT["components"]["schemas"]["LinkRequest"]["properties"]
    assert fields["type"]["enum"] == list(TYPES)
    with InProcess(write_rules(tmp_path, "service: [{ id: all, continue: true }]")) as server:
        fields = server.request("GET", PATH).json()["components"]["schemas"]["LinkRequest"]["properties"]
    assert "enum" not in fields["type"]


# ------------------------------------------------------------------ real answers


def closed(node: object) -> object:
    """Schemas that allow no field beyond those that they name."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    inner = {key: closed(item) for key, item in node.items()}
    if node.get("type") == "object" and "properties" in node:
        inner.setdefault("additionalProperties", False)
    return inner


SCHEMAS: Final[Json] = DOCUMENT["components"]["schemas"]
CLOSED: Final[Json] = {name: closed(schema) for name, schema in SCHEMAS.items()}


def faults(value: object, schema: Json, schemas: Json = CLOSED) -> list[str]:
    """What a value has against a schema of the document; also every field that it does not name."""
    validator = Draft202012Validator(
        {**schema, "components": {"schemas": schemas}}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def check(response: httpx.Response, method: str, path: str, status: int) -> Any:
    """Checks an answer against its description, and returns its JSON; ``path`` is as in the document."""
    assert response.status_code == status, response.text
    described = DOCUMENT["paths"][path][method]["responses"][str(status)]
    for name, header in described.get("headers", {}).items():
        if header.get("required"):
            assert faults(response.headers[name], header["schema"]) == []
    if "content" not in described:
        assert response.content == b""
        return None
    media_type = response.headers["content-type"].partition(";")[0]
    assert faults(response.json(), described["content"][media_type]["schema"]) == []
    return response.json()


LINK: Final = "/api/v1/links/{call}"


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    """A client of the service, without credentials."""
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as started:
        yield started


def of(token: str) -> dict[str, str]:
    """The header of a bearer token."""
    return {"authorization": f"Bearer {token}"}


def make(client: httpx.Client, body: Json, **headers: str) -> Json:
    """A link that was made."""
    response = client.post(links.PATH, json=body, headers={**of(KEY), **headers})
    made = check(response, "post", links.PATH, 201)
    assert isinstance(made, dict)
    return made


def tell(client: httpx.Client, body: object) -> None:
    """A request of an event sink."""
    response = client.post(events.PATH, json=body, auth=(EVENTS.username, EVENTS.password))
    check(response, "post", events.PATH, 200)


def call(client: httpx.Client, made: Json) -> None:
    """A customer comes, the contact centre answers and hangs up, and a second call is up."""
    now, name, alias = time.time(), made["call"], made["alias"]
    room = {"conference": name}
    query = {"call_direction": "dial_in", "protocol": "api", "local_alias": alias}
    asked = client.get("/policy/v1/service/configuration", params=query, auth=(USERNAME, PASSWORD))
    assert asked.json()["result"]["name"] == name
    customer = told.browser("Ada", now + 1, destination_alias=alias, role="guest", **room)
    busy = told.left("busy", now + 3, disconnect_reason="Unexpected Response: 503", **room)
    tell(client, bulk([told.started(now, name=name), *customer, told.leg("busy", now + 2, **room), busy]))
    tell(client, message(told.leg("leg", now + 4, **room)))


@pytest.mark.parametrize("type_name", TYPES)
def test_links_are_as_described(client: httpx.Client, type_name: str) -> None:
    """A link is made, made again with its key, shown, revoked and shown once more."""
    body = {"type": type_name, "name": "Ada L", "attributes": {"language": "es"}, "ttl": "1d 12h"}
    made = make(client, body, **{"idempotency-key": f"once {type_name}"})
    assert make(client, body, **{"idempotency-key": f"once {type_name}"})["call"] == made["call"]
    address = f"{links.PATH}/{made['call']}"
    shown = check(client.get(address, headers=of(KEY)), "get", LINK, 200)
    assert (shown["state"], shown["conference"]) == ("valid", None)
    check(client.delete(address, headers=of(KEY)), "delete", LINK, 204)
    assert check(client.get(address, headers=of(KEY)), "get", LINK, 200)["state"] == "revoked"


def test_a_running_conference_is_as_described(client: httpx.Client) -> None:
    """The link's conference, the lookup and the stream of a conference with people, calls and a timeline."""
    made = make(client, {"type": "visit"})
    name = made["call"]
    bare = check(client.get(f"/agent/v1/conferences/{name}", headers=of(TOKEN)), "get", agents.PATH, 200)
    assert (bare["state"], bare["trunk_leg"], bare["participants"]) == ("waiting", None, [])
    call(client, made)
    shown = check(client.get(f"{links.PATH}/{name}", headers=of(KEY)), "get", LINK, 200)
    assert shown["conference"]["state"] == "active"
    found = check(client.get(f"/agent/v1/conferences/{name}", headers=of(TOKEN)), "get", agents.PATH, 200)
    assert (found["state"], found["trunk_leg"]["attempts"], len(found["participants"])) == ("active", 2, 1)
    assert found["timeline"]
    with client.stream("GET", f"/agent/v1/conferences/{name}/events", headers=of(TOKEN)) as stream:
        lines = iter(stream.iter_lines())
        while (line := next(lines)) != "event: conference":
            assert not line or line.startswith("retry: ")
        event = dict(field.split(": ", 1) for field in ("event: conference", next(lines), next(lines)))
    assert faults(event, {"$ref": "#/components/schemas/ConferenceEvent"}) == []
    assert faults(json.loads(event["data"]), {"$ref": "#/components/schemas/Conference"}) == []


STRANGER: Final = "a" * 32
BROKEN: Final = {"event": "conference_started"}


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "sent"),
    [
        ("post", links.PATH, 400, "invalid-json", {"content": b"{", "headers": of(KEY)}),
        ("post", links.PATH, 400, "invalid-idempotency-key", {"headers": {**of(KEY), "idempotency-key": ""}}),
        ("post", links.PATH, 401, "unauthorized", {"headers": of("wrong")}),
        ("post", links.PATH, 413, "too-large", {"content": b" " * 65537, "headers": of(KEY)}),
        ("post", links.PATH, 415, "unsupported-media-type", {"data": {"type": "visit"}, "headers": of(KEY)}),
        ("post", links.PATH, 422, "invalid-link", {"json": {"type": "visit", "ttl": "0s"}, "headers": of(KEY)}),
        ("post", links.PATH, 422, "unknown-link-type", {"json": {"type": "visitor"}, "headers": of(KEY)}),
        ("get", LINK, 404, "unknown-link", {"headers": of(KEY)}),
        ("delete", LINK, 404, "unknown-link", {"headers": of(KEY)}),
        ("get", agents.PATH, 400, "invalid-conversation", {"params": {"conversation": "5"}, "headers": of(TOKEN)}),
        ("get", agents.PATH, 401, "unauthorized", {"headers": of("wrong")}),
        ("get", agents.PATH, 401, "unauthorized", {}),
        ("get", agents.PATH, 403, "not-bound", {"params": {"conversation": CONVERSATION}, "headers": of(TOKEN)}),
        ("get", agents.PATH, 404, "unknown-conference", {"headers": of(TOKEN)}),
        ("get", streams.STREAMS_PATH, 404, "unknown-conference", {"headers": of(TOKEN)}),
        ("post", events.PATH, 401, "unauthorized", {"json": BROKEN}),
    ],
)
def test_problems_are_as_described(
    client: httpx.Client, method: str, path: str, status: int, kind: str, sent: Json
) -> None:
    """What is refused gets the status, type and headers that the document says."""
    response = client.request(method.upper(), path.format(call=STRANGER, alias=STRANGER), **sent)
    assert check(response, method, path, status)["type"] == TYPE_ROOT + kind


@pytest.mark.parametrize(
    "alias", ["a%2Fb", "%E2%98%83", "%FF", "%00", "x" * 3000], ids=["slash", "snow", "ff", "nul", "long"]
)
@pytest.mark.parametrize(
    ("path", "token"),
    [(LINK, KEY), (agents.PATH, TOKEN), (streams.STREAMS_PATH, TOKEN)],
    ids=["link", "lookup", "stream"],
)
def test_odd_names_are_not_found(client: httpx.Client, path: str, token: str, alias: str) -> None:
    """Whatever stands in the path, it is 404 and as described."""
    response = client.get(path.format(call=alias, alias=alias), headers=of(token))
    check(response, "get", path, 404)


def test_what_is_not_set_up_is_as_described(whole: Settings, tmp_path: Path) -> None:
    """Without an event sink's credentials and without Genesys Cloud the answers are those of the document."""
    bare = replace(whole, events=None, tenant=None, database_url=f"sqlite:///{tmp_path}/policy.db")
    with listening(create_app(bare, rule_store(bare))) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for method, path in (("get", agents.PATH), ("get", streams.STREAMS_PATH), ("post", events.PATH)):
            response = client.request(method.upper(), path.format(alias=CALL.id))
            assert check(response, method, path, 503)["type"] == f"{TYPE_ROOT}not-configured"


# ------------------------------------------------------------------ Schemathesis

schemathesis.openapi.format(
    "date-time", st.integers(1, 300 * 24 * 60).map(lambda ahead: (utc_now() + timedelta(minutes=ahead)).isoformat())
)
schemathesis.openapi.format("link-ttl", st.integers(1, 366 * 24 * 60).map("{}m".format))
CURSORS: Final = st.tuples(st.integers(0, 2**40), st.booleans(), st.sampled_from([CALL.id, "a"]))
schemathesis.openapi.format("conference-cursor", CURSORS.map(lambda place: cursor_of(Position(*place))))

CONFIG: Final = schemathesis.Config.from_dict(
    {
        "seed": 1,
        "request-timeout": 20,
        # A stream has no end of its own.
        "max-stream-events": 1,
        "auth": {
            "openapi": {
                "apiKey": {"bearer": KEY},
                "agentToken": {"bearer": TOKEN},
                "eventSink": {"username": EVENTS.username, "password": EVENTS.password},
            }
        },
        "dictionaries": {"calls": {"values": [CALL.id]}},
        "parameters": {
            "path.call": {"dictionary": "calls", "probability": 0.5},
            "path.alias": {"dictionary": "calls", "probability": 0.5},
        },
        "generation": {"mode": "all", "max-examples": 40, "deterministic": True, "database": "none"},
        "checks": {
            # A link that was revoked is still shown, with the time of it.
            "use_after_free": {"enabled": False},
        },
    }
)
TOMORROW: Final = (utc_now() + timedelta(days=1)).isoformat()


def with_times_to_come(document: Json) -> Json:
    """The document with an example of an appointment that has not passed when the test runs."""
    told = json.dumps(document)
    (example,) = set(re.findall(r'"starts_at": "([^"]+)"', told))
    found = json.loads(told.replace(example, TOMORROW))
    assert isinstance(found, dict)
    return found


SCHEMA: Final = schemathesis.openapi.from_dict(with_times_to_come(DOCUMENT), config=CONFIG)
_numbers: Final = count()


def own_key(case: schemathesis.Case[Any]) -> None:
    """Makes a good Idempotency-Key one that no other request has: with another link it would rightly be refused."""
    key = case.headers.get("Idempotency-Key")
    if key and case.meta is not None and case.meta.generation.mode.is_positive:
        case.headers["Idempotency-Key"] = f"{key[:-9]}{next(_numbers):09}"


@pytest.mark.slow
@SCHEMA.parametrize()
def test_schemathesis_finds_nothing(case: schemathesis.Case[Any], url: str) -> None:
    """Whatever is sent to an operation, good or bad, with credentials or without, it does as the document says."""
    own_key(case)
    case.call_and_validate(base_url=url)


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_sequences(url: str) -> None:
    """The same for links that are made, looked at and revoked one after the other."""

    class Sequences(SCHEMA.as_state_machine()):  # type: ignore[misc]
        """Requests that go on from what others answered."""

        def before_call(self, case: schemathesis.Case[Any]) -> None:
            """Gives it a key of its own."""
            own_key(case)

        def get_call_kwargs(self, case: schemathesis.Case[Any]) -> Json:
            """Sends it to this server."""
            return {"base_url": url}

    few = hypothesis_settings(max_examples=15, stateful_step_count=6, derandomize=True, deadline=None, database=None)
    run_state_machine_as_test(Sequences, settings=few)
