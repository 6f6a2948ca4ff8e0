"""Settings of Genesys: what an operator may write, and what is said about the rest."""

import pytest

from policy_server.genesys.tenant import REGIONS, Tenant, TenantFault, check_region, parse_tenant
from policy_server.simulator.genesys import DIVISION, ORGANIZATION


@pytest.mark.parametrize(
    ("written", "api"),
    [
        pytest.param("https://api.usw2.pure.cloud", "https://api.usw2.pure.cloud", id="as documented"),
        pytest.param(" https://API.usw2.Pure.Cloud/ ", "https://api.usw2.pure.cloud", id="capitals, spaces, slash"),
        pytest.param("HTTPS://api.mypurecloud.ie:443", "https://api.mypurecloud.ie:443", id="port"),
        pytest.param("https://genesys-proxy.example.com", "https://genesys-proxy.example.com", id="the operator's own"),
        pytest.param("https://10.0.0.7:8443", "https://10.0.0.7:8443", id="an address"),
        pytest.param("http://127.0.0.1:8090", "http://127.0.0.1:8090", id="loopback without TLS"),
        pytest.param("http://127.9.8.7", "http://127.9.8.7", id="another loopback address"),
        pytest.param("http://[::1]:8090/", "http://[::1]:8090", id="loopback in IPv6"),
        pytest.param("http://localhost:8090", "http://localhost:8090", id="localhost"),
    ],
)
def test_good_addresses(written: str, api: str) -> None:
    """An address is https, or http on this machine, and is kept as scheme and host."""
    tenant, faults = parse_tenant(written, ORGANIZATION)
    assert faults == ()
    assert tenant == Tenant(api, ORGANIZATION)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param(
            "",
            "is missing; write the API address of your Genesys Cloud region, such as https://api.usw2.pure.cloud",
            id="nothing",
        ),
        pytest.param(
            "api.usw2.pure.cloud",
            "must begin with https:// but is 'api.usw2.pure.cloud'; write an address such as "
            "https://api.usw2.pure.cloud",
            id="no scheme",
        ),
        pytest.param(
            "http://api.usw2.pure.cloud",
            "must begin with https:// because agents' tokens are sent there, but is 'http://api.usw2.pure.cloud'",
            id="no TLS",
        ),
        pytest.param(
            "http://localhost.example.com",
            "must begin with https:// because agents' tokens are sent there, but is 'http://localhost.example.com'",
            id="looks like this machine",
        ),
        pytest.param(
            "https://api.usw2.pure.cloud/api/v2",
            "must be scheme and host alone, https://api.usw2.pure.cloud, but is 'https://api.usw2.pure.cloud/api/v2'",
            id="path",
        ),
        pytest.param(
            "https://api.usw2.pure.cloud?",
            "must be scheme and host alone, https://api.usw2.pure.cloud, but is 'https://api.usw2.pure.cloud?'",
            id="query",
        ),
        pytest.param(
            "https://login.usw2.pure.cloud",
            "must be the API of the region, https://api.usw2.pure.cloud, but is 'https://login.usw2.pure.cloud'",
            id="the login host",
        ),
        pytest.param(
            "https://mypurecloud.de",
            "must be the API of the region, https://api.mypurecloud.de, but is 'https://mypurecloud.de'",
            id="the domain of a region",
        ),
        pytest.param(
            "https://admin:hunter2@api.usw2.pure.cloud",
            "must hold neither a user name nor a password; write the address alone, such as "
            "https://api.usw2.pure.cloud",
            id="password",
        ),
        pytest.param(
            "ftp://api.usw2.pure.cloud",
            "must be an address such as https://api.usw2.pure.cloud but is 'ftp://api.usw2.pure.cloud'",
            id="another scheme",
        ),
        pytest.param(
            "https://api.usw2.pure.cloud:99999",
            "must be an address such as https://api.usw2.pure.cloud but is 'https://api.usw2.pure.cloud:99999'",
            id="no such port",
        ),
        pytest.param(
            "https://api usw2",
            "must be an address such as https://api.usw2.pure.cloud but is 'https://api usw2'",
            id="space",
        ),
        pytest.param(
            "https://", "must be an address such as https://api.usw2.pure.cloud but is 'https://'", id="no host"
        ),
        pytest.param(
            "https://[::1",
            "must be an address such as https://api.usw2.pure.cloud but is 'https://[::1'",
            id="half a bracket",
        ),
        pytest.param(
            "http://[::1%lo]",
            "must be an address such as https://api.usw2.pure.cloud but is 'http://[::1%lo]'",
            id="scope",
        ),
    ],
)
def test_bad_addresses(written: str, message: str) -> None:
    """Anything else is refused with what to write instead, and without a password that stands in it."""
    assert parse_tenant(written, ORGANIZATION) == (None, (TenantFault("api", message),))


@pytest.mark.parametrize(
    ("organization", "divisions", "field", "words"),
    [
        pytest.param("", [], "organization", "is missing; agents of any organisation", id="no organisation"),
        pytest.param("Example Inc", [], "organization", "but has 'example inc'", id="a name"),
        pytest.param(f"{ORGANIZATION}0", [], "organization", "but has", id="too long"),
        pytest.param(ORGANIZATION, [DIVISION, "Home"], "divisions", "but has 'home'", id="name of a division"),
    ],
)
def test_bad_ids(organization: str, divisions: list[str], field: str, words: str) -> None:
    """Organisation and divisions are ids; an organisation there must be."""
    tenant, faults = parse_tenant("https://api.usw2.pure.cloud", organization, divisions)
    assert tenant is None
    assert [fault.field for fault in faults] == [field]
    assert words in faults[0].message


def test_everything_is_reported() -> None:
    """All faults are reported at once."""
    _, faults = parse_tenant("", "", ["x", "y"])
    assert [fault.field for fault in faults] == ["api", "organization", "divisions", "divisions"]


def test_ids_are_compared_in_lower_case() -> None:
    """Ids lose spaces and capitals; blank divisions are none."""
    tenant, _ = parse_tenant("https://api.usw2.pure.cloud", f" {ORGANIZATION.upper()} ", [f" {DIVISION.upper()}", " "])
    assert tenant == Tenant("https://api.usw2.pure.cloud", ORGANIZATION, frozenset({DIVISION}))


@pytest.mark.parametrize(
    ("api", "organization", "divisions"),
    [
        pytest.param("https://api.usw2.pure.cloud", "", (), id="no organisation"),
        pytest.param("https://api.usw2.pure.cloud/", ORGANIZATION, (), id="slash"),
        pytest.param("http://api.usw2.pure.cloud", ORGANIZATION, (), id="no TLS"),
        pytest.param("https://api.usw2.pure.cloud", ORGANIZATION.upper(), (), id="capitals"),
        pytest.param("https://api.usw2.pure.cloud", ORGANIZATION, ("",), id="blank division"),
    ],
)
def test_a_tenant_is_good(api: str, organization: str, divisions: tuple[str, ...]) -> None:
    """A tenant that was not parsed cannot be made, so that no check is empty by accident."""
    with pytest.raises(ValueError, match="must be"):
        Tenant(api, organization, frozenset(divisions))


@pytest.mark.parametrize("domain", REGIONS)
def test_known_regions(domain: str) -> None:
    """Every region's API is good without a warning."""
    assert check_region(Tenant(f"https://api.{domain}", ORGANIZATION)) is None


@pytest.mark.parametrize(
    ("api", "warning"),
    [
        pytest.param("http://127.0.0.1:8090", None, id="this machine"),
        pytest.param(
            "https://api.usw2.pure.clod",
            "'api.usw2.pure.clod' is not the API of a Genesys Cloud region known to this version "
            "(did you mean https://api.usw2.pure.cloud?)",
            id="slip",
        ),
        pytest.param(
            "https://proxy.example.com",
            "'proxy.example.com' is not the API of a Genesys Cloud region known to this version",
            id="own host",
        ),
    ],
)
def test_unknown_regions(api: str, warning: str | None) -> None:
    """Another host is taken with a warning, because new regions appear."""
    assert check_region(Tenant(api, ORGANIZATION)) == warning
