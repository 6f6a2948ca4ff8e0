"""What a request for a link means, and everything that is wrong with one."""

import pytest

from policy_server.conferences.link_requests import LinkRequestError, UnknownLinkTypeError, read_link_request
from tests.rule_sets import load
from tests.web.link_samples import NOON, TWO_TYPES

LINKS = TWO_TYPES.links
DECLARED = load(
    """
    service: [{ id: advice, when: { link_type: advice }, reject: Closed }]
    links:
      advice:
        alias: "adv{session}"
        attributes:
          language: { values: [de, fr], default: de }
          booking: { required: true, pattern: '[A-Z0-9]{6,12}' }
          segment: {}
    """
).links


def test_a_request_is_read() -> None:
    """Type, name, attributes and seconds come out; the digest is that of the content, however it is ordered."""
    fields = {"type": "patient", "name": "Ada\u200b L", "attributes": {"language": "es"}, "ttl": "1h"}
    wanted = read_link_request(fields, LINKS, NOON)
    assert (wanted.type, wanted.attributes, wanted.ttl) == (LINKS["patient"], {"language": "es"}, 3600)
    assert read_link_request(dict(reversed(fields.items())), LINKS, NOON) == wanted


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
        read_link_request(fields, LINKS, NOON)
    told = raised.value.problems
    assert len(told) == len(problems)
    assert all(one.startswith(start) for one, start in zip(told, problems, strict=True)), told


@pytest.mark.parametrize(
    ("attributes", "stored"),
    [
        pytest.param({"booking": "ABC123"}, {"booking": "ABC123", "language": "de"}, id="a default"),
        pytest.param(
            {"booking": " ABC123\n", "language": "", "segment": ""},
            {"booking": "ABC123", "language": "de"},
            id="what is blank is missing",
        ),
        pytest.param(
            {"booking": "ABC123", "language": "fr", "segment": "x"},
            {"booking": "ABC123", "language": "fr", "segment": "x"},
            id="all",
        ),
    ],
)
def test_a_link_is_stored_with_its_defaults(attributes: dict[str, str], stored: dict[str, str]) -> None:
    """A declared attribute that a link is not given is its default from the start."""
    wanted = read_link_request({"type": "advice", "attributes": attributes}, DECLARED, NOON)
    assert wanted.attributes == stored


def test_every_fault_of_declared_attributes_is_told_once() -> None:
    """What the type does not take, what it needs, what cannot be, and what is no text come together with the other faults."""
    body = {"type": "advice", "nmae": 1, "attributes": {"langauge": "x", "language": "DE", "booking": 5, "über": "x"}}
    with pytest.raises(LinkRequestError) as raised:
        read_link_request(body, DECLARED, NOON)
    starts = (
        "'nmae' is not a key of a link",
        "attribute 'booking' must be text but is a number",
        "the name of an attribute must be 1 to 64",
        "attribute 'langauge' is not declared for links of type 'advice' (did you mean 'language'?)",
        "attribute 'language' must be one of 'de', 'fr' but is 'DE' (did you mean 'de'?)",
    )
    told = raised.value.problems
    assert len(told) == len(starts), told
    assert all(one.startswith(start) for one, start in zip(told, starts, strict=True)), told
    with pytest.raises(LinkRequestError, match="'booking' is missing"):
        read_link_request({"type": "advice"}, DECLARED, NOON)
