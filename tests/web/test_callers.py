"""Who asks: the connection's address, unless a proxy of ours says better; never what the caller says."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from policy_server.web.callers import UNKNOWN, Proxies, is_within

PROXIES = Proxies((ip_network("127.0.0.1"), ip_network("10.20.0.0/24"), ip_network("2001:db8:1::/64")))
OUTSIDE = "198.51.100.7"


def seen(peer: str, *headers: tuple[str, str], proxies: Proxies = PROXIES) -> tuple[str, str]:
    """Caller and scheme of a plain request with these headers."""
    sent = [(name.encode(), value.encode()) for name, value in headers]
    scope: Scope = {"type": "http", "scheme": "http", "client": (peer, 4711), "headers": sent}
    proxies.see_through(scope)
    return scope["client"][0], scope["scheme"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        pytest.param("127.0.0.1", [OUTSIDE], OUTSIDE, id="one proxy"),
        pytest.param("127.0.0.1", [f"127.0.0.1, {OUTSIDE}"], OUTSIDE, id="what the caller made up stands left"),
        pytest.param("127.0.0.1", ["127.0.0.1", OUTSIDE], OUTSIDE, id="in two headers"),
        pytest.param("127.0.0.1", [f"192.0.2.1, {OUTSIDE}, 10.20.0.9"], OUTSIDE, id="two proxies"),
        pytest.param("::ffff:127.0.0.1", [OUTSIDE], OUTSIDE, id="a proxy at a socket for both families"),
        pytest.param("2001:db8:1::5", ["2001:db8:2::9"], "2001:db8:2::9", id="IPv6"),
        pytest.param("127.0.0.1", ["[2001:db8:2::9]:443"], "2001:db8:2::9", id="IPv6 with port"),
        pytest.param("127.0.0.1", [f"{OUTSIDE}:5060"], OUTSIDE, id="IPv4 with port"),
        pytest.param("127.0.0.1", ["10.20.0.3,10.20.0.4"], "10.20.0.3", id="nobody but proxies"),
        pytest.param("127.0.0.1", [], "127.0.0.1", id="a proxy's own question"),
        pytest.param("127.0.0.1", ["unknown"], UNKNOWN, id="a caller who is not named"),
        pytest.param("127.0.0.1", ["127.0.0.1, "], UNKNOWN, id="an empty name"),
        pytest.param("127.0.0.1", ["127.0.0.1, <script>"], UNKNOWN, id="no address"),
        pytest.param(OUTSIDE, ["127.0.0.1"], OUTSIDE, id="no proxy of ours"),
        pytest.param("10.20.1.1", ["127.0.0.1"], "10.20.1.1", id="beside the network of ours"),
    ],
)
def test_the_caller_is_the_rightmost_address_that_is_no_proxy(peer: str, forwarded: list[str], caller: str) -> None:
    """Proxies of ours are believed, from the right; what callers themselves put into the header is not."""
    assert seen(peer, *(("x-forwarded-for", value) for value in forwarded))[0] == caller


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        pytest.param("127.0.0.1", "https", "https", id="https"),
        pytest.param("127.0.0.1", "http, HTTPS ", "https", id="the nearest proxy's"),
        pytest.param("127.0.0.1", "gopher", "http", id="no scheme"),
        pytest.param(OUTSIDE, "https", "http", id="no proxy of ours"),
    ],
)
def test_the_scheme_is_what_the_proxy_was_asked_by(peer: str, said: str, scheme: str) -> None:
    """A proxy of ours says whether it was asked by https; nobody else does."""
    assert seen(peer, ("x-forwarded-proto", said))[1] == scheme


def test_without_proxies_no_header_counts() -> None:
    """By default not even this machine is believed."""
    headers = (("x-forwarded-for", OUTSIDE), ("x-forwarded-proto", "https"))
    assert seen("127.0.0.1", *headers, proxies=Proxies()) == ("127.0.0.1", "http")


@given(st.text(st.characters(codec="latin-1"), max_size=40))
def test_nothing_a_caller_writes_makes_them_near(made_up: str) -> None:
    """Whatever a caller sends, the address that the proxy appends is theirs."""
    assert seen("127.0.0.1", ("x-forwarded-for", f"{made_up}, {OUTSIDE}"))[0] == OUTSIDE
    assert not is_within(seen(OUTSIDE, ("x-forwarded-for", made_up))[0], PROXIES.networks)
