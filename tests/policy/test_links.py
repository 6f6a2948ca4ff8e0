"""Customer links: a session where the link type wants it, and a URL that opens the right door."""

from datetime import timedelta

import pytest

from policy_server.policy.links import default_expiry, find_session, link_of, make_link, web_app_url
from policy_server.policy.ruleset import LinkType
from policy_server.policy.sessions import Keyring, LinkState
from tests.rule_sets import KEYRING, NOON, SESSION, load

LINKS = load(
    """
    service: [{ id: all, continue: true }]
    links:
      patient:
        alias: "mp{session}"
        agent_alias: "hcp{session}"
        ttl: 90m
        url: "https://pexip.example.com/webapp3/m/{alias}/express?name={name}&pin={guest_pin}&agent={agent_alias}&s={session}"
      bare: { alias: "Visit-{session}-x" }
    """
).links
PATIENT, BARE = LINKS["patient"], LINKS["bare"]


def test_link() -> None:
    """A link has a signed session, both aliases and the URL, with every value encoded."""
    link = make_link(PATIENT, KEYRING, NOON + timedelta(hours=4), b"12345")
    assert (link.type, link.session, link.alias, link.agent_alias) == (
        "patient",
        SESSION,
        f"mp{SESSION}",
        f"hcp{SESSION}",
    )
    assert link.expires_at == NOON + timedelta(hours=4)
    url = web_app_url(PATIENT, link, name="Ada & Søn/?#+ {alias}", guest_pin="5678#")
    assert url == (
        f"https://pexip.example.com/webapp3/m/mp{SESSION}/express?name=Ada%20%26%20S%C3%B8n%2F%3F%23%2B%20%7Balias%7D"
        f"&pin=5678%23&agent=hcp{SESSION}&s={SESSION}"
    )


def test_link_without_agent_alias_or_url() -> None:
    """What the link type does not have is empty."""
    link = make_link(BARE, KEYRING, NOON + timedelta(hours=4), b"12345")
    assert (link.alias, link.agent_alias, web_app_url(BARE, link)) == (f"Visit-{SESSION}-x", "", "")


def test_expiry_is_rounded_up() -> None:
    """A link lives to the end of its last minute."""
    link = make_link(BARE, KEYRING, NOON + timedelta(seconds=61), b"12345")
    assert link.expires_at == NOON + timedelta(minutes=2)
    assert KEYRING.state(link.session, NOON + timedelta(seconds=119)) is LinkState.VALID


def test_link_of_a_session_of_ours() -> None:
    """An old session gives its old link again, also under a key that only verifies."""
    made = make_link(PATIENT, KEYRING, NOON + timedelta(hours=1), b"12345")
    assert link_of(PATIENT, KEYRING, made.session) == made
    rotated = Keyring(b"another secret key for the new year", (b"the secret key of every rule test",))
    assert link_of(PATIENT, rotated, made.session) == made


@pytest.mark.parametrize("session", ["", "a" * 32, SESSION.upper()])
def test_link_of_any_other_session(session: str) -> None:
    """A session that was not signed by us gets no link."""
    with pytest.raises(ValueError, match="not signed with this key"):
        link_of(PATIENT, KEYRING, session)


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 5400), (60, 60), (0, 0)])
def test_default_expiry(ttl: int | None, seconds: int) -> None:
    """A link lives as long as its type says, unless told otherwise."""
    assert default_expiry(PATIENT, NOON, ttl) == NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("alias", "link_type", "session"),
    [
        (f"mp{SESSION}", PATIENT, SESSION),
        (f"hcp{SESSION}", PATIENT, SESSION),
        (f"visit-{SESSION}-x", BARE, SESSION),
        (SESSION, None, SESSION),
        ("desk", None, "desk"),
        (f"xmp{SESSION}", None, f"xmp{SESSION}"),
    ],
)
def test_find_session(alias: str, link_type: LinkType | None, session: str) -> None:
    """The customer's alias and the agent's lead to type and session; anything else is taken as a session."""
    assert find_session(LINKS, alias) == (link_type, session)
