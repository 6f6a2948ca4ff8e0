"""A question's parameters read as their kinds, in every spelling that versions of Pexip have used."""

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from policy_server.pexip.query import QuestionError
from policy_server.pexip.request_types import RequestType, route
from policy_server.pexip.requests import (
    PolicyRequest,
    encode_query,
    parse_request,
)

QUESTIONS = Path(__file__).parents[1] / "golden" / "questions"
SESSION = "3f2a9c5e8b7d4e1fa6c0d9b8e7f61234"
BREAKOUT = "5b0c7d1e-2f3a-4b4c-8d5e-6f7a8b9c0d1e"


def parse(query: str | bytes, alias: str = "", kind: RequestType = RequestType.SERVICE) -> PolicyRequest:
    """Parse a query string."""
    return parse_request(kind, query if isinstance(query, bytes) else query.encode(), alias)


def example(number: int) -> PolicyRequest:
    """Parse one of the documented questions, which the golden tests keep with their answers."""
    (file,) = QUESTIONS.glob(f"{number:02}-*.txt")
    found = re.search(r"^GET (/policy/v1/[^?\s]+)\?(\S+)$", file.read_text(), re.MULTILINE)
    assert found is not None
    path, query = found[1], found[2]
    routed = route(path.encode())
    assert routed is not None
    kind, alias = routed
    return parse(query, alias, kind)


@pytest.mark.parametrize(
    ("number", "kind", "values"),
    [
        (1, "service", {"local_alias": f"abc{SESSION}", "remote_display_name": "JDoe 4711", "trigger": "web"}),
        (2, "participant", {"participant_type": "api", "preauthenticated_role": "chair", "display_count": ""}),
        (3, "participant", {"participant_type": "standard", "protocol": "webrtc"}),
        (4, "service", {"local_alias": f"xyz{SESSION}", "remote_display_name": "Agent: Maria Silva"}),
        (5, "participant", {"idp_uuid": "7f0c2d7e-5a7c-4c0a-9d38-0a4a4f9b6c11"}),
        (6, "service", {"local_alias": f"sip:abc{SESSION}@example.com;transport=tls", "vendor": "Cisco/CE 11.9.2"}),
        (7, "participant", {"preauthenticated_role": "", "remote_display_name": "Alice Ødegård"}),
        (8, "service", {"call_direction": "dial_out", "service_name": SESSION, "remote_alias": "99+13175551234"}),
        (
            9,
            "participant",
            {"call_direction": "dial_out", "remote_alias": "sip:+13175551234@acmevideo.byoc.usw2.pure.cloud"},
        ),
        (10, "location", {"location": "DMZ", "service_name": SESSION, "proxy_node_address": ""}),
        (
            11,
            "service",
            {"local_alias": f"h323:abc{SESSION}", "trigger": "setup", "vendor": "TANDBERG (Tandberg MXP) F9.3.1"},
        ),
        (12, "service", {"call_direction": "non_dial", "remote_alias": "", "local_alias": "4711"}),
        (13, "service", {"trigger": "options", "local_alias": "sip:100@203.0.113.10"}),
        (
            14,
            "service",
            {
                "teams_tenant_id": "9b1c2d3e-4f50-4a61-8b72-93a4b5c6d7e8",
                "display_count": "2",
                "third_party_passcode": "123456",
            },
        ),
        (15, "service", {"remote_display_name": '王小明 😀 "VIP" <x>'}),
        (
            16,
            "service",
            {
                "remote_display_name": "+1 (317) 555-1234",
                "remote_alias": "sip:+13175551234@sbc.example.com;user=phone",
                "local_alias": "sip:99+13175551234@example.com",
            },
        ),
        (
            17,
            "service",
            {
                "local_alias": f"abc{SESSION}",
                "remote_display_name": "Zoë Müller 4711",
                "remote_alias": "sip:zoe@example.com",
                "call_tag": "",
            },
        ),
        (18, "service", {"trigger": "", "idp_uuid": "", "remote_display_name": "Bob"}),
        (
            19,
            "avatar",
            {
                "alias": "nora@example.com",
                "p_Asserted-Identity": '"Nora Quist"<sip:nora@example.com>',
                "ms-subnet": "172.23.0.0",
                "vendor": "UCCAPI/16.0.8229.2045 OC/16.0.8229.2073 (Skype for Business)",
            },
        ),
        (20, "location", {"proxy_node_location": "DMZ", "request_id": "644d4edc"}),
        (21, "avatar", {"alias": "Zoë/Müller+1@example.com", "width": "100", "height": "100"}),
        (22, "avatar", {"alias": "alice@example.com", "call_direction": "", "service_name": ""}),
        (23, "directory", {"q": "ali & bob", "limit": "10", "registration_alias": "carol@example.com"}),
        (24, "registration", {"alias": "room3@example.com", "auth_type": '"credentials"'}),
        (25, "service", {"breakout_uuid": BREAKOUT, "service_name": f"{SESSION}_breakout_{BREAKOUT}"}),
        (26, "service", {"trigger": "two_stage_dialing", "previous_service_name": "Reception"}),
        (28, "directory", {"q": "", "limit": "10"}),
        (29, "registration", {"alias": "josé@example.com", "remote_address": "2001:db8::45", "auth_type": "sso"}),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_documented_question(number: int, kind: str, values: dict[str, str]) -> None:
    """A documented question is of its type and has the values that the reference lists."""
    request = example(number)
    assert request.type == kind
    assert {name: request.text(name) for name in values} == values


def test_documented_lists_and_kinds() -> None:
    """Header lists, sizes, addresses and quoted words of the documented questions read as what they are."""
    sip = example(6)
    assert sip.values("p_Asserted-Identity") == ('"Alice Ødegård"<sip:alice@example.com>', "<tel:+4712345678>")
    assert sip.values("ms-subnet") == ("10.47.5.0",)
    assert example(19).values("p_Asserted-Identity") == ('"Nora Quist"<sip:nora@example.com>',)
    assert (example(21).integer("width"), example(22).integer("height")) == (100, 40)
    assert example(24).choice("auth_type") == "credentials"
    assert example(29).address("remote_address") == ip_address("2001:db8::45")
    assert example(5).idp_attributes == {
        "groups": ("agents", "supervisors", "R&D, Lisboa"),
        "X-Site Name": ("São Paulo",),
    }


def test_hostile_documented_question() -> None:
    """The hostile example is refused, since a scalar stands twice, and its values are not quoted."""
    with pytest.raises(QuestionError, match=r"^parameter local_alias is given twice$"):
        example(27)


def test_hostile_question_without_the_second_alias() -> None:
    """Invalid UTF-8 is replaced and control characters are stripped."""
    request = parse("call_direction=dial_in&local_alias=abc&remote_display_name=%FF%00&zzz_unknown=1")
    assert request.text("remote_display_name") == "\ufffd"
    assert request.present() == {"call_direction": "dial_in", "local_alias": "abc", "remote_display_name": "\ufffd"}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("local_alias=a&local_alias=b", "local_alias"),
        ("local_alias=a&local_alias=a", "local_alias"),
        ("call_tag=&call_tag=", "call_tag"),
        ("call_tag&call_tag", "call_tag"),
        ("local_alias=a&local%5Falias=b", "local_alias"),
        ("local_alias=a&LOCAL_ALIAS=b", "local_alias"),
        ("ms-subnet=a&ms_subnet=b", "ms-subnet"),
        ("P-Asserted-Identity=a&p_Asserted-Identity=b", "p_Asserted-Identity"),
    ],
    ids=["two values", "same value", "empty", "bare", "encoded name", "case", "dash", "versions"],
)
def test_parameter_given_twice(query: str, name: str) -> None:
    """A known parameter that stands twice, in whatever spelling, is refused: neither value wins."""
    with pytest.raises(QuestionError, match=rf"^parameter {name} is given twice$"):
        parse(query)


@pytest.mark.parametrize(
    "query", ["new=1&new=2&local_alias=a", "=&=&local_alias=a", "&&local_alias=a&&", "x&x&local_alias=a"]
)
def test_unknown_parameters(query: str) -> None:
    """Parameters of later versions, repeated or nameless, are passed over."""
    assert parse(query).present() == {"local_alias": "a"}


@pytest.mark.parametrize(
    "spelling", ["p_Asserted-Identity", "P-Asserted-Identity", "p_asserted_identity", "P_ASSERTED-IDENTITY"]
)
def test_spellings_of_asserted_identity(spelling: str) -> None:
    """Case does not count in the name of a parameter, nor - for _."""
    assert parse(f"{spelling}=x").values("p_Asserted-Identity") == ("x",)


@pytest.mark.parametrize("spelling", ["ms-subnet", "ms_subnet", "MS-Subnet", "ms%2Dsubnet"])
def test_spellings_of_subnet(spelling: str) -> None:
    """Case and encoding do not count in the name of a parameter, nor - for _."""
    assert parse(f"{spelling}=10.0.0.0").values("ms-subnet") == ("10.0.0.0",)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("", ()),
        ("[]", ()),
        ('["a", "b"]', ("a", "b")),
        ("['a', 'b']", ("a", "b")),
        ('["it\'s"]', ("it's",)),
        ("bare", ("bare",)),
        ("[bare", ("[bare",)),
        ("[1, 2]", ("[1, 2]",)),
        ('{"a": 1}', ('{"a": 1}',)),
        ('["", " a\\n", "\\u0000"]', ("a",)),
        (r'["\ud800x"]', ("\ufffdx",)),
        (r'["\ud83d\ude00"]', ("😀",)),
        ("[" * 5000, ("[" * 5000,)),
    ],
    ids=[
        "missing",
        "empty list",
        "JSON",
        "single quotes",
        "apostrophe",
        "v16",
        "broken",
        "numbers",
        "object",
        "cleaned",
        "half a pair",
        "a whole pair",
        "deep",
    ],
)
def test_header_values(value: str, items: tuple[str, ...]) -> None:
    """A header reads as a JSON list, a single-quoted list or bare text, and every item is clean text."""
    assert parse(encode_query({"ms-subnet": value})).values("ms-subnet") == items


def test_identity_provider_attributes() -> None:
    """Attributes repeat; their names are decoded, and empty values are left out."""
    query = (
        "idp_attribute_g=a&idp_attribute_g=b+c&idp%5Fattribute_X-Site+Name=%C3%A3&idp_attribute_e=&idp_attribute_g=%00"
    )
    assert parse(query).idp_attributes == {"g": ("a", "b c"), "X-Site Name": ("ã",)}


@pytest.mark.parametrize(
    ("text", "value"),
    [("True", True), ("False", False), ("true", True), ("FALSE", False), ("", None), ("yes", None), ("1", None)],
)
def test_booleans(text: str, value: bool | None) -> None:
    """Booleans are the words True and False; anything else is neither."""
    assert parse(f"registered={text}").boolean("registered") is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("007", 7),
        ("12345", 12345),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("٣", None),
    ],
)
def test_integers(text: str, value: int | None) -> None:
    """Numbers are decimal digits of ASCII, at most 18 of them."""
    assert parse(encode_query({"bandwidth": text})).integer("bandwidth") == value


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", None),
        ("10.0.0", None),
        ("10.0.0.256", None),
        ("010.0.0.1", None),
        ("10.0.0.1/8", None),
        ("localhost", None),
    ],
)
def test_addresses(text: str, address: str | None) -> None:
    """An address is read, or is none; an IPv4 address written as IPv6 is the IPv4 address."""
    assert parse(encode_query({"node_ip": text})).address("node_ip") == (
        None if address is None else ip_address(address)
    )


@pytest.mark.parametrize("text", ["", "None", "null", '""'])
def test_role_without_value(text: str) -> None:
    """A role that is not known yet reads as missing, however it is written."""
    assert parse(encode_query({"preauthenticated_role": text})).choice("preauthenticated_role") == ""


def test_missing_reads_as_empty() -> None:
    """An absent, an empty and an unprintable value are all missing."""
    for query in ("", "call_tag=", "call_tag", "call_tag=%00+%09"):
        request = parse(query)
        assert (request.text("call_tag"), request.values("call_tag"), request.present()) == ("", (), {})


def test_what_is_shown_holds_no_secret() -> None:
    """The parameters for logs leave the passcode out, and so does the question's own text."""
    request = parse("third_party_passcode=123456&display_count=2", "desk\x00", RequestType.AVATAR)
    assert request.present() == {"alias": "desk", "display_count": "2"}
    assert "123456" not in repr(request)


def test_encoding_a_question() -> None:
    """A question is written as a node would write it, and reads back."""
    query = encode_query({"q": "ali & bob", "remote_alias": "99+1", "idp_attribute_g": ["a", "b"]})
    assert query == "q=ali+%26+bob&remote_alias=99%2B1&idp_attribute_g=a&idp_attribute_g=b"
    assert parse(query).idp_attributes == {"g": ("a", "b")}
