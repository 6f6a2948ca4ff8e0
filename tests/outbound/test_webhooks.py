"""Webhooks are signed so that every library of Standard Webhooks takes them, and sent once."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import WebhookVerificationError

from policy_server.outbound.receivers import Receiver, parse_receivers
from policy_server.outbound.webhooks import Refused, Sender, Taken
from tests.outbound.receivers import KEY, OTHER_KEY, OTHER_SECRET, SECRET, Site, receiving

BODY = '{"type":"call.ended","data":{"customer":"Zoë"}}'


def send(site: Site, *, keys: tuple[bytes, ...] = (KEY,), at: datetime | None = None) -> Taken | Refused:
    """What comes of a message."""

    async def play() -> Taken | Refused:
        sender = Sender(Receiver("crm", site.url, keys), timeout=5.0)
        try:
            return await sender.send("msg_1", BODY, at or datetime.now(UTC))
        finally:
            await sender.close()

    return asyncio.run(play())


def test_a_message_arrives_whole_and_its_signature_is_good() -> None:
    """The library verifies it with any of the keys, and with no other, nor when a byte differs."""
    with receiving() as site:
        assert send(site, keys=(KEY, OTHER_KEY)) == Taken(204)
    (got,) = site.got
    assert (got.path, got.body.decode(), got.headers["webhook-id"]) == ("/hooks?token=planted-token", BODY, "msg_1")
    assert got.headers["content-type"] == "application/json"
    assert got.verify(KEY) == got.verify(OTHER_KEY) == got.json
    with pytest.raises(WebhookVerificationError):
        got.verify(bytes(32))
    with pytest.raises(WebhookVerificationError):
        type(got)(got.path, got.headers, got.body.replace(b"ended", b"begun")).verify()


def test_a_signature_is_of_the_time_of_its_try() -> None:
    """A message that is sent again after an hour is not taken for one that was recorded an hour ago."""
    with receiving() as site:
        send(site, at=datetime.now(UTC) - timedelta(hours=1))
        send(site)
    old, new = site.got
    assert new.verify() == old.json
    with pytest.raises(WebhookVerificationError, match="too old"):
        old.verify()


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Taken(200)),
        (400, {}, Refused("it answered 400")),
        (410, {}, Refused("it answered 410", is_gone=True)),
        (429, {"retry-after": "120"}, Refused("it answered 429", pause=120)),
        (503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, Refused("it answered 503")),
        (
            302,
            {"location": "http://127.0.0.1:1/"},
            Refused("it answered 302, and redirects are not followed: write the address that it leads to"),
        ),
    ],
)
def test_what_a_receiver_answers(status: int, headers: dict[str, str], expected: Taken | Refused) -> None:
    """Only 2xx has taken a message, and each try is one request."""
    with receiving() as site:
        site.script.append((status, headers))
        assert send(site) == expected
    assert len(site.got) == 1


def test_a_receiver_that_is_not_there() -> None:
    """It is said, without anything that is in the address."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    refused = send(Site(f"http://127.0.0.1:{port}/planted-path"))
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("cannot connect")
    assert "planted" not in repr((refused, Receiver("crm", "https://crm.example.com/planted", (b"planted",))))


def test_receivers_are_read() -> None:
    """Each has the common secrets unless it has some of its own; with or without prefix, with or without padding."""
    bare = SECRET.removeprefix("whsec_").rstrip("=")
    receivers, faults = parse_receivers(
        "crm=https://crm.example.com/hooks?a=b, bi=http://127.0.0.1:8099/x", f"{bare}, bi={OTHER_SECRET},{OTHER_SECRET}"
    )
    assert faults == ()
    assert receivers == (
        Receiver("crm", "https://crm.example.com/hooks?a=b", (KEY, OTHER_KEY)),
        Receiver("bi", "http://127.0.0.1:8099/x", (OTHER_KEY,)),
    )
    assert [receiver.host for receiver in receivers] == ["crm.example.com", "127.0.0.1"]
    assert parse_receivers("", "") == ((), ())


MAKE = 'must be whsec_ and 24 to 64 bytes in base64; make one with: echo "whsec_$(openssl rand -base64 32)"'


@pytest.mark.parametrize(
    ("webhooks", "secrets", "expected"),
    [
        (
            "https://crm.example.com/planted",
            SECRET,
            [
                "webhooks receiver 1 must be NAME=URL, the name in lower-case letters, digits and hyphens, such as "
                "crm=https://crm.example.com/hooks/calls"
            ],
        ),
        (
            "crm=https://a.example.com,crm=https://b.example.com",
            SECRET,
            ["webhooks receiver 2 has the name 'crm', which another has; give each a name of its own"],
        ),
        (
            "crm=ftp://a.example.com/planted,bi=https://b example.com",
            SECRET,
            [
                f"webhooks receiver {number} ({name}) must have an address such as https://crm.example.com/hooks/calls, "
                "without spaces or #"
                for number, name in ((1, "crm"), (2, "bi"))
            ],
        ),
        (
            "crm=http://crm.example.com/planted",
            SECRET,
            ["webhooks receiver 1 (crm) must begin with https://, because names of customers are sent there"],
        ),
        (
            "crm=https://user:planted@crm.example.com/",
            SECRET,
            ["webhooks receiver 1 (crm) must have an address without user name and password"],
        ),
        (
            "crm=https://crm.example.com/",
            f"planted-secret,{SECRET[:12]},bi={SECRET}",
            [
                f"webhook_secret entry 1 {MAKE}",
                f"webhook_secret entry 2 {MAKE}",
                "webhook_secret entry 3 is for a receiver that POLICY_WEBHOOKS lacks",
            ],
        ),
        (
            "crm=https://crm.example.com/,bi=https://bi.example.com/",
            f"bi={SECRET}",
            ["webhook_secret is missing for crm; a receiver must be able to see that a message is yours"],
        ),
        (
            "",
            SECRET,
            ["webhooks is missing; write who receives them, such as crm=https://crm.example.com/hooks/calls"],
        ),
        (
            ",".join(f"r{number}=https://r.example.com/" for number in range(11)),
            SECRET,
            ["webhooks must name 10 receivers at the most, but names 11"],
        ),
    ],
)
def test_what_cannot_be_used_is_told(webhooks: str, secrets: str, expected: list[str]) -> None:
    """Every fault at once, with what to write instead, and nothing that may be secret."""
    receivers, faults = parse_receivers(webhooks, secrets)
    assert receivers == ()
    assert [f"{fault.field} {fault.message}" for fault in faults] == expected
    assert "planted" not in repr(faults)
