"""Paths lead to questions and back, however proxies and profile URLs write them."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.request_types import RequestType, question_path, route

ROOT = "/policy/v1"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (RequestType.SERVICE, "/policy/v1/service/configuration"),
        (RequestType.PARTICIPANT, "/policy/v1/participant/properties"),
        (RequestType.LOCATION, "/policy/v1/participant/location"),
        (RequestType.AVATAR, "/policy/v1/participant/avatar/Zo%C3%AB%2FM%2B1%40example.com"),
        (RequestType.DIRECTORY, "/policy/v1/registrations"),
        (RequestType.REGISTRATION, "/policy/v1/registrations/Zo%C3%AB%2FM%2B1%40example.com"),
    ],
)
def test_paths(kind: RequestType, path: str) -> None:
    """Each type has its path; an alias is one percent-encoded segment."""
    assert question_path(kind, "Zoë/M+1@example.com") == path


@pytest.mark.parametrize(
    ("segment", "alias"),
    [
        ("kiosk-7%40video.example.com", "kiosk-7@video.example.com"),
        ("kiosk-7@video.example.com", "kiosk-7@video.example.com"),
        ("old%2Fkiosk%20%C3%BC%2B1", "old/kiosk ü+1"),
        ("old%2fkiosk%20%c3%bc+1", "old/kiosk ü+1"),
        ("a+b", "a+b"),
        ("%252F", "%2F"),
        ("%FF", "\N{REPLACEMENT CHARACTER}"),
        ("%", "%"),
        ("%2", "%2"),
        ("%C3%BCnicode", "ünicode"),
    ],
)
def test_alias_segments(segment: str, alias: str) -> None:
    """The alias of a path is decoded once: a plus stays a plus, and an encoded slash belongs to the alias."""
    for path, question in (("registrations", RequestType.REGISTRATION), ("participant/avatar", RequestType.AVATAR)):
        assert route(f"{ROOT}/{path}/{segment}".encode()) == (question, alias)


@given(st.text(min_size=1, max_size=12))
def test_any_alias_survives_the_path(alias: str) -> None:
    """Whatever text is an alias, percent-encoding it as a segment brings it here unchanged."""
    segment = quote(alias.encode("utf-8", "replace"), safe="")
    assert route(f"/x{ROOT}/registrations/{segment}".encode(), b"/x") == (
        RequestType.REGISTRATION,
        alias.encode("utf-8", "replace").decode(),
    )


@given(st.binary(max_size=40))
def test_no_path_raises(tail: bytes) -> None:
    """Any bytes are a path: a question or none."""
    for path in (tail, b"/policy/v1/" + tail, b"/policy/v1/registrations/" + tail):
        routed = route(path)
        assert routed is None or isinstance(routed[0], RequestType)
