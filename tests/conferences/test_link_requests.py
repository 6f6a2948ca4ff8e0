"""What a request for a link means, and everything that is wrong with one."""

import pytest

from policy_server.conferences.link_requests import LinkRequestError, UnknownLinkTypeError, read_link_request
from tests.web.link_samples import TWO_TYPES

LINKS = TWO_TYPES.links


def test_a_request_is_read() -> None:
    """Type, name, attributes and seconds come out; the digest is that of the content, however it is ordered."""
    fields = {"type": "patient", "name": "Ada\u200b L", "attributes": {"language": "es"}, "ttl": "1h"}
    wanted = read_link_request(fields, LINKS)
    assert (wanted.type, wanted.attributes, wanted.ttl) == (LINKS["patient"], {"language": "es"}, 3600)
    assert read_link_request(dict(reversed(fields.items())), LINKS) == wanted


@pytest.mark.parametrize(
    ("fields", "error", "problems"),
    [
        pytest.param([], LinkRequestError, ["the body must be an object"], id="list"),
        pytest.param({"type": 1, "name": 2}, LinkRequestError, ["type must be text", "name must be text"], id="two"),
        pytest.param(
            {"type": "patent"}, UnknownLinkTypeError, ["type must be one of 'patient', 'kiosk' but is"], id="type"
        ),
    ],
)
def test_an_error_has_its_problems(fields: object, error: type[LinkRequestError], problems: list[str]) -> None:
    """Everything that is wrong is told at once, one problem each."""
    with pytest.raises(error) as raised:
        read_link_request(fields, LINKS)
    told = raised.value.problems
    assert len(told) == len(problems)
    assert all(one.startswith(start) for one, start in zip(told, problems, strict=True)), told
