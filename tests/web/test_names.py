"""A call's three names: each opens its own door alone, and what opens a door is read by nobody but its owner."""

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_server.conferences import rooms
from policy_server.policy.names import Call, Keyring, Role
from tests.conferences import conftest as databases
from tests.conferences.samples import Place
from tests.genesys.asking import CONVERSATION, TOKEN, Genesys, standing_in, tenant
from tests.rule_sets import NOON
from tests.servers import ROOT, SECRET_KEY, basic, write_rules
from tests.web.calls import on_the_phone
from tests.web.test_conferences import KEY, SINK, TEXT, Server, call, hang_up

sqlite_place = databases.sqlite_place

KEYRING: Final = Keyring.from_text(SECRET_KEY)
FORMS: Final = ("{name}", "mp{name}", "hcp{name}", "adv{name}", "MP{name}", "sip:hcp{name}")
"""Whatever somebody may make of a name."""


@pytest.fixture(scope="module")
def genesys() -> Iterator[Genesys]:
    """A stand-in that knows the agent of the tests."""
    with standing_in() as genesys:
        yield genesys


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules of a whole call."""
    return write_rules(tmp_path / "rules", TEXT)


@pytest.fixture(scope="module")
def server(genesys: Genesys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service for questions that change nothing."""
    folder = tmp_path_factory.mktemp("names")
    place = f"sqlite:///{folder}/policy.db"
    with Server(
        write_rules(folder / "rules", TEXT),
        tenant=tenant(genesys.url),
        database_url=place,
        log_format="json",
        agent_binding="optional",
    ) as running:
        yield running


def names_of(made: dict[str, Any]) -> Call:
    """The call of a link that was made, with the names that its maker is not told."""
    found = KEYRING.open(made["call"], Role.CALL, (made["type"],))
    assert found is not None
    return found


def decided(server: Server, alias: str) -> bool:
    """Whether a node gets a room for an alias."""
    asked = {"call_direction": "dial_in", "protocol": "api", "local_alias": alias}
    return bool(server.ask("/service/configuration", **asked).get("result"))


def joins(server: Server, text: str) -> bool:
    """Whether /join/ leads on to Pexip."""
    return server.send("GET", f"/join/{text}").status_code == 303


def found(server: Server, text: str) -> bool:
    """Whether an agent is told of a conference."""
    return server.send("GET", f"/agent/v1/conferences/{text}", f"Bearer {TOKEN}").status_code == 200


def test_each_name_opens_its_own_door_alone(server: Server) -> None:
    """/join/ takes a session, the aliases each their own name, the lookup a call id and the agents' alias."""
    one = names_of(server.make_link())
    texts = {
        form.format(name=name): (role, form)
        for role, name in ((Role.SESSION, one.session), (Role.AGENT, one.agent), (Role.CALL, one.id))
        for form in FORMS
    }
    opened = {
        "join": {known for text, known in texts.items() if joins(server, text)},
        "room": {known for text, known in texts.items() if decided(server, text)},
        "lookup": {known for text, known in texts.items() if found(server, text)},
    }
    agents = {(Role.AGENT, "hcp{name}"), (Role.AGENT, "sip:hcp{name}")}
    customers = {(Role.SESSION, "mp{name}"), (Role.SESSION, "MP{name}")}
    assert opened == {
        "join": {(Role.SESSION, "{name}"), *customers},
        "room": customers | agents,
        "lookup": {(Role.CALL, "{name}"), *agents},
    }


@pytest.mark.parametrize("why", ["revoked", "expired", "closed"])
def test_a_customer_who_may_not_come_in_gets_in_by_nothing(rules: Path, genesys: Genesys, why: str) -> None:
    """Of a session whose link was revoked, has expired or is outside opening hours nobody can make what opens a door."""
    with Server(rules, tenant=tenant(genesys.url), agent_binding="optional") as server:
        made = server.make_link(ttl="1h" if why == "expired" else "20h")
        session = made["session"]
        assert decided(server, made["alias"])
        server.tell(*call(made, NOON), *hang_up(made, NOON + timedelta(minutes=1)))
        server.settled()
        server.until_held(0)
        if why == "revoked":
            server.revoke(made)
        server.now += {"revoked": timedelta(minutes=2), "expired": timedelta(hours=2), "closed": timedelta(hours=9)}[
            why
        ]
        for form in FORMS:
            for text in (session, session.upper()):
                alias = form.format(name=text)
                assert not joins(server, alias), alias
                assert not decided(server, alias), alias
                assert not found(server, alias), alias
        # The agent is let in all the same, where the rules say so.
        assert decided(server, f"hcp{names_of(made).agent}") is (why != "revoked")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(list(Role)),
    st.integers(0, 31),
    st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"),
    st.sampled_from(FORMS),
)
def test_a_name_with_one_character_changed_opens_nothing(
    server: Server, role: Role, at: int, letter: str, form: str
) -> None:
    """Whichever name it is and whatever is made of it."""
    name = KEYRING.sign("patient", NOON + timedelta(hours=4), b"1234").name(role)
    if name[at] != letter:
        alias = form.format(name=name[:at] + letter + name[at + 1 :])
        assert not any(opens(server, alias) for opens in (joins, decided, found)), alias


@given(st.sampled_from(["type", "key"]), st.sampled_from(FORMS))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_names_of_another_type_or_key_open_no_door_of_a_link(server: Server, what: str, form: str) -> None:
    """What was signed for another type of links, or by somebody else, is not good for these aliases."""
    keyring = KEYRING if what == "type" else Keyring(b"a key that this server does not have")
    other = keyring.sign("elsewhere" if what == "type" else "patient", NOON + timedelta(hours=4), b"1234")
    for role in Role:
        alias = form.format(name=other.name(role))
        assert not any(opens(server, alias) for opens in (joins, decided, found)), alias


def ask_as_nodes(
    server: Server, customer: str, aliases: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What nodes are told that ask of each alias, also as that of the caller, in names, and in ways that go wrong."""
    seen: dict[str, str] = {}

    def broken(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("the evaluator is broken")

    for number, alias in enumerate(aliases):
        for path in ("service/configuration", "participant/properties", "participant/location"):
            for parameter in ("local_alias", "remote_alias", "remote_display_name", "call_tag", "service_name"):
                query = {"call_direction": "dial_in", "protocol": "api", "vendor": f"{number}"}
                query |= {"local_alias": customer, parameter: alias}
                seen[f"node {path} {parameter} {number}"] = json.dumps(server.ask(f"/{path}", **query))
        for path in (f"participant/avatar/{alias}", f"registrations/{alias}", f"nothing/{alias}"):
            seen[f"node {path}"] = server.get(f"{ROOT}/{path}").text
        twice = server.get(f"{ROOT}/service/configuration?local_alias={alias}&local_alias={alias}")
        seen[f"misunderstood {number}"] = twice.text
        with monkeypatch.context() as patched:
            patched.setattr(rooms, "evaluate", broken)
            failed = server.get(f"{ROOT}/service/configuration?local_alias={alias}&call_tag=failing")
            seen[f"failure {number}"] = failed.text
    return seen


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_opens_a_door_is_read_by_its_owner_alone(
    rules: Path,
    genesys: Genesys,
    sqlite_place: Place,
    log_format: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A session is in the answers to its maker and customer, an agent key in the lookup; neither is in any other answer,
    in a log, a metric, a timeline or the database. There the call id is.
    """
    seen: dict[str, str] = {}
    database = Path(sqlite_place.url.removeprefix("sqlite:///"))

    def bytes_kept() -> str:
        return "".join(
            file.read_bytes().decode("latin-1") for file in sorted(database.parent.glob(database.name + "*"))
        )

    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.WARNING, logger="httpx"),
        Server(
            rules,
            tenant=tenant(genesys.url),
            database_url=sqlite_place.url,
            log_format=log_format,
            agent_binding="optional",
        ) as server,
    ):
        made = server.make_link()
        one = names_of(made)
        session, agent, call_id = one.session, one.agent, one.id
        customer, agents = made["alias"], f"hcp{agent}"
        genesys.stand_in.conversations[CONVERSATION] = on_the_phone(call_id)
        aliases = (customer, customer.upper(), f"sip:{customer}@elsewhere.example.com", agents, f"x{agents}")
        seen |= ask_as_nodes(server, customer, aliases, monkeypatch)
        server.call_out(call_id)
        opened = server.send("GET", f"/join/{session}")
        assert opened.status_code == 303
        server.tell(*call(made, NOON))
        odd = {
            "event": f"odd {agents}",
            "data": {"conference": call_id, "destination_alias": agents, customer: session},
        }
        seen["sink"] = server.send("POST", "/events/v1/pexip", basic(SINK.username, SINK.password), odd).text
        # Strangers, and those who have the wrong name.
        for text in (session, agent, customer, agents):
            for path, authorization in (
                (f"/agent/v1/conferences/{text}", ""),
                (f"/agent/v1/conferences/{text}", "Bearer wrong"),
                (f"/agent/v1/conferences/{text}?conversation={text}", f"Bearer {TOKEN}"),
                (f"/api/v1/links/{text}", f"Bearer {KEY}"),
                (f"/api/v1/links/{text}", "Bearer wrong"),
                (f"/elsewhere/{text}", ""),
                (f"/join/{text}.html", ""),
            ):
                response = server.send("GET", path, authorization)
                assert response.status_code >= 400
                seen[f"{path} {authorization}"] = response.text + str(response.headers)
        for text in (session, customer, agent):
            problem = server.send("GET", f"/agent/v1/conferences/{text}", f"Bearer {TOKEN}")
            assert problem.status_code == 404
            seen[f"lookup of {text}"] = problem.text
        shown = server.send("GET", f"/api/v1/links/{call_id}", f"Bearer {KEY}").text
        looked_up = server.look_up(call_id, CONVERSATION)
        server.tell(*hang_up(made, NOON + timedelta(minutes=1)))
        server.settled()
        told = server.look_up(call_id)
        seen["lookup"] = json.dumps({**looked_up, "join": {}}) + json.dumps({**told, "join": {}})
        seen["metrics"], seen["ready"] = server.metrics(), server.request("GET", "/readyz").text
        seen["openapi"] = server.request("GET", "/openapi.json").text
        seen["database, running"] = bytes_kept()
        seen["decision log"] = "\n".join(map(str, server.flush()))
    seen["database, stopped"] = bytes_kept()
    seen["log"] = caplog.text
    for where, text in seen.items():
        shown_there = {name for name, secret in (("session", session), ("agent", agent)) if secret in text.lower()}
        assert not shown_there, f"{shown_there} in {where}: {text[max(0, text.lower().find(session) - 200) :][:400]}"
    for where in ("lookup", "decision log", "database, running", "database, stopped"):
        assert call_id in seen[where], where
    # The owners: the maker and the customer have the session, agents who were let in their key, and nobody both.
    for owners in (json.dumps(made), shown, str(opened.headers)):
        assert session in owners
        assert agent not in owners
    assert looked_up["join"]["alias"] == agents
    assert session not in json.dumps(looked_up)
