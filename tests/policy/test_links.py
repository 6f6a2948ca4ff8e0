"""Customer links: the names of a call where the link type wants them, and a URL that opens the right door."""

from datetime import timedelta

import pytest

from policy_server.policy.link_aliases import Entrance, read_alias
from policy_server.policy.links import default_expiry, link_of, make_link, web_app_url
from policy_server.policy.names import Keyring, LinkState, Role
from tests.rule_sets import AGENT_KEY, CALL, CALL_ID, KEYRING, NOON, SESSION, load

RULES = load(
    """
    service: [{ id: all, continue: true }]
    links:
      patient:
        alias: "mp{session}"
        agent_alias: "hcp{agent}"
        ttl: 90m
        url: "https://pexip.example.com/webapp3/m/{alias}/express?name={name}&pin={guest_pin}&call={call}&s={session}"
      bare: { alias: "Visit-{session}-x" }
      blueprint: { alias: "bp{session}", agent_alias: "bpa{call}" }
    """
)
PATIENT, BARE, BLUEPRINT = RULES.links["patient"], RULES.links["bare"], RULES.links["blueprint"]
BARE_CALL = KEYRING.sign("bare", NOON + timedelta(hours=4), b"1234")
BLUEPRINT_CALL = KEYRING.sign("blueprint", NOON + timedelta(hours=4), b"1234")


def test_link() -> None:
    """A link has a signed call, both aliases, each with its own name, and the URL, with every value encoded."""
    link = make_link(PATIENT, KEYRING, NOON + timedelta(hours=4), b"1234")
    assert link.call == CALL
    assert (link.type, link.alias, link.agent_alias) == ("patient", f"mp{SESSION}", f"hcp{AGENT_KEY}")
    assert link.expires_at == NOON + timedelta(hours=4)
    url = web_app_url(PATIENT, link, name="Ada & Søn/?#+ {alias}", guest_pin="5678#")
    assert url == (
        f"https://pexip.example.com/webapp3/m/mp{SESSION}/express?name=Ada%20%26%20S%C3%B8n%2F%3F%23%2B%20%7Balias%7D"
        f"&pin=5678%23&call={CALL_ID}&s={SESSION}"
    )


def test_a_link_shows_no_alias() -> None:
    """The text form of a link, which may reach a log, opens no door."""
    shown = repr(make_link(PATIENT, KEYRING, NOON + timedelta(hours=4), b"1234"))
    assert SESSION not in shown
    assert AGENT_KEY not in shown


def test_link_without_agent_alias_or_url() -> None:
    """What the link type does not have is empty."""
    link = make_link(BARE, KEYRING, NOON + timedelta(hours=4), b"1234")
    assert (link.alias, link.agent_alias, web_app_url(BARE, link)) == (f"Visit-{BARE_CALL.session}-x", "", "")


def test_agents_alias_with_the_call_id() -> None:
    """Agents whose app joins by what Genesys shows find the call id in their alias."""
    link = make_link(BLUEPRINT, KEYRING, NOON + timedelta(hours=4), b"1234")
    assert (link.alias, link.agent_alias) == (f"bp{BLUEPRINT_CALL.session}", f"bpa{BLUEPRINT_CALL.id}")


def test_expiry_is_rounded_up() -> None:
    """A link lives to the end of its last minute."""
    link = make_link(BARE, KEYRING, NOON + timedelta(seconds=61), b"1234")
    assert link.expires_at == NOON + timedelta(minutes=2)
    assert link.call.state(NOON + timedelta(seconds=119)) is LinkState.VALID


@pytest.mark.parametrize("role", Role)
def test_link_of_a_call_of_ours(role: Role) -> None:
    """Any name of an old call gives its old link again, also under a key that only verifies."""
    made = make_link(PATIENT, KEYRING, NOON + timedelta(hours=1), b"1234")
    rotated = Keyring(b"another secret key for the new year", (b"the secret key of every rule test",))
    for ring in (KEYRING, rotated):
        call = ring.open(made.call.name(role), role, RULES.links)
        assert call is not None
        assert link_of(PATIENT, call) == made


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 5400), (60, 60), (0, 0)])
def test_default_expiry(ttl: int | None, seconds: int) -> None:
    """A link lives as long as its type says, unless told otherwise."""
    assert default_expiry(PATIENT, NOON, ttl) == NOON + timedelta(seconds=seconds)


CUSTOMER, AGENT = Entrance.CUSTOMER, Entrance.AGENT


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        pytest.param(f"mp{SESSION}", ("patient", CUSTOMER, CALL_ID), id="customer"),
        pytest.param(f"hcp{AGENT_KEY}", ("patient", AGENT, CALL_ID), id="agent"),
        pytest.param(f"visit-{BARE_CALL.session}-x", ("bare", CUSTOMER, BARE_CALL.id), id="text on both sides"),
        pytest.param(f"bpa{BLUEPRINT_CALL.id}", ("blueprint", AGENT, BLUEPRINT_CALL.id), id="agent with the call id"),
        pytest.param(f"mp{AGENT_KEY}", ("patient", CUSTOMER, ""), id="agent key at the customer's door"),
        pytest.param(f"mp{CALL_ID}", ("patient", CUSTOMER, ""), id="call id at the customer's door"),
        pytest.param(f"hcp{SESSION}", ("patient", AGENT, ""), id="session at the agents' door"),
        pytest.param(f"hcp{CALL_ID}", ("patient", AGENT, ""), id="call id at the agents' door"),
        pytest.param(f"bpa{BLUEPRINT_CALL.agent}", ("blueprint", AGENT, ""), id="agent key where the call id belongs"),
        pytest.param(f"bp{SESSION}", ("blueprint", CUSTOMER, ""), id="session of another type"),
        pytest.param("mp" + "0" * 32, ("patient", CUSTOMER, ""), id="made up"),
        pytest.param(SESSION, None, id="session alone"),
        pytest.param("desk", None, id="other alias"),
        pytest.param(f"xmp{SESSION}", None, id="text before"),
        pytest.param(f"mp{SESSION}x", None, id="text after"),
        pytest.param("", None, id="empty"),
    ],
)
def test_reading_an_alias(alias: str, expected: tuple[str, Entrance, str] | None) -> None:
    """An alias leads to its type, its door and, with the name that belongs there, to its call."""
    link = read_alias(RULES.alias_forms, KEYRING, alias)
    assert (link and (link.type, link.entrance, link.call_id)) == expected


@pytest.mark.parametrize(
    "alias", [PATIENT.customers_alias(CALL), PATIENT.agents_alias(CALL)], ids=["customer", "agent"]
)
def test_what_an_alias_says_shows_no_name_that_opens_a_door(alias: str) -> None:
    """Neither session nor agent key is in the text form of what was read."""
    link = read_alias(RULES.alias_forms, KEYRING, alias)
    assert link is not None
    assert link.call == CALL
    assert SESSION not in repr(link)
    assert AGENT_KEY not in repr(link)
