"""Settings: every variable, its file variant, and everything that can be wrong with them, all at once."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import certifi
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1
from hypothesis import given
from hypothesis import strategies as st

from policy_server.genesys.tenant import Tenant
from policy_server.management.access import Access, Account, OAuthClient
from policy_server.outbound.receivers import Receiver
from policy_server.settings import SETTINGS, Credentials, Settings, read_settings
from policy_server.settings.readers import LOOPBACK, SettingsError
from policy_server.web.api_keys import parse_api_keys
from tests.management.keys import private_key
from tests.outbound.receivers import KEY as WEBHOOK_KEY
from tests.outbound.receivers import OTHER_KEY, OTHER_SECRET
from tests.outbound.receivers import SECRET as WEBHOOK_SECRET

KEY = "a secret key of thirty-two characters or more"
API_KEY = "k3y-of_the.booking~system"
ORGANIZATION = "0f1e2d3c-4b5a-4697-8877-665544332211"
DIVISIONS = ("1b2c3d4e-5f60-4a71-8b92-a3b4c5d6e7f8", "2b2c3d4e-5f60-4a71-8b92-a3b4c5d6e7f8")
SECRETS = [setting for setting in SETTINGS if setting.is_secret]
FULL = {
    "POLICY_RULES": "/etc/policy/rules",
    "POLICY_PEXIP_USERNAME": "pexip",
    "POLICY_PEXIP_PASSWORD": "a pass:wörd",
    "POLICY_SECRET_KEY": KEY,
    "POLICY_PREVIOUS_SECRET_KEYS": f"{KEY}2, {KEY}3,",
    "POLICY_API_KEYS": f"booking:{API_KEY}, portal:{API_KEY}2",
    "POLICY_PUBLIC_URL": "https://join.example.com/video/",
    "POLICY_DATABASE_URL": "postgresql://policy:planted-password@db.example.com/policy",
    "POLICY_CONFERENCE_TTL": "1d 6h",
    "POLICY_OPEN_ROOMS": "500",
    "POLICY_RETENTION": "90d",
    "POLICY_EVENTS_USERNAME": "sink",
    "POLICY_EVENTS_PASSWORD": "the sink's",
    "POLICY_NODE": "pexip.example.com:8443",
    "POLICY_GENESYS_API": "https://api.usw2.pure.cloud",
    "POLICY_GENESYS_ORGANIZATION": ORGANIZATION.upper(),
    "POLICY_GENESYS_DIVISIONS": ", ".join(DIVISIONS),
    "POLICY_WIDGET_ORIGINS": "https://widget.example.com, http://localhost:3000,https://widget.example.com",
    "POLICY_AGENT_BINDING": "optional",
    "POLICY_AGENT_CACHE_SECONDS": "90",
    "POLICY_MANAGEMENT_URL": "https://manager.example.com/",
    "POLICY_MANAGEMENT_USERNAME": "policy",
    "POLICY_MANAGEMENT_PASSWORD": "the manager's",
    "POLICY_MANAGEMENT_CA": certifi.where(),
    "POLICY_MANAGEMENT_RATE": "100",
    "POLICY_WEBHOOKS": "crm=https://crm.example.com/hooks",
    "POLICY_WEBHOOK_SECRET": f"{WEBHOOK_SECRET},{OTHER_SECRET}",
    "POLICY_ADMIN_USERNAME": "admin",
    "POLICY_ADMIN_PASSWORD": "another",
    "POLICY_OPERATOR_NETWORKS": "10.20.0.0/16, 192.0.2.7,2001:db8::/32",
    "POLICY_PREFIX": "/pexip/eu-1/",
    "POLICY_TRUSTED_PROXIES": "10.20.0.5,2001:db8:1::/64",
    "POLICY_ON_FAILURE": "reject",
    "POLICY_AUDIT_LOG": "audit.jsonl",
    "POLICY_LOG_FORMAT": "json",
    "POLICY_DECISION_LOG": "decisions.jsonl",
    "POLICY_LOG_PII": "false",
}
MANAGER = {"MANAGEMENT_URL": "https://manager.example.com"}
OAUTH = {"MANAGEMENT_CLIENT_ID": "a1b2", "MANAGEMENT_KEY": private_key()}
EXPECTED = Settings(
    rules=Path("/etc/policy/rules"),
    pexip=Credentials("pexip", "a pass:wörd"),
    admin=Credentials("admin", "another"),
    secret_key=KEY,
    previous_secret_keys=(f"{KEY}2", f"{KEY}3"),
    api_keys=parse_api_keys(f"booking:{API_KEY},portal:{API_KEY}2"),
    public_url="https://join.example.com/video",
    database_url="postgresql://policy:planted-password@db.example.com/policy",
    conference_ttl=timedelta(hours=30),
    open_rooms=500,
    retention=timedelta(days=90),
    events=Credentials("sink", "the sink's"),
    node="pexip.example.com:8443",
    tenant=Tenant("https://api.usw2.pure.cloud", ORGANIZATION, frozenset(DIVISIONS)),
    widget_origins=("https://widget.example.com", "http://localhost:3000"),
    agent_binding="optional",
    agent_cache_seconds=90,
    management=Access("https://manager.example.com", Account("policy", "the manager's"), Path(certifi.where())),
    management_rate=100,
    receivers=(Receiver("crm", "https://crm.example.com/hooks", (WEBHOOK_KEY, OTHER_KEY)),),
    operator_networks=(*LOOPBACK, ip_network("10.20.0.0/16"), ip_network("192.0.2.7"), ip_network("2001:db8::/32")),
    prefix="/pexip/eu-1",
    trusted_proxies=(ip_network("10.20.0.5"), ip_network("2001:db8:1::/64")),
    on_failure="reject",
    audit_log=Path("audit.jsonl"),
    log_format="json",
    decision_log=Path("decisions.jsonl"),
    log_pii=False,
)


def errors(**variables: str) -> list[str]:
    """The lines of the error that these variables raise."""
    with pytest.raises(SettingsError) as caught:
        read_settings({f"POLICY_{name}": value for name, value in variables.items()})
    return str(caught.value).splitlines()


def test_every_setting_is_tried_here() -> None:
    """The tests below use every setting there is."""
    assert FULL.keys() | {f"POLICY_{name}" for name in OAUTH} == {setting.variable for setting in SETTINGS}
    assert all(setting.meaning for setting in SETTINGS)


def test_every_variable() -> None:
    """Every variable ends up in its field."""
    assert read_settings(FULL) == (EXPECTED, ())


def test_nothing_set() -> None:
    """Without variables there are defaults, and no secret has one."""
    settings, warnings = read_settings({"PATH": "/bin", "OTHER_POLICY_X": "1"})
    assert (settings, warnings) == (Settings(), ())
    assert [settings.pexip, settings.events, settings.admin, settings.tenant, settings.secret_key] == [None] * 5
    assert (settings.management, settings.management_rate) == (None, 250)
    assert (settings.previous_secret_keys, settings.widget_origins, len(settings.api_keys)) == ((), (), 0)
    assert (settings.rules, settings.on_failure, settings.log_format) == (Path("rules"), "continue", "text")
    assert (settings.database_url, settings.public_url, settings.node) == ("sqlite:///var/policy.db", "", "")
    assert (settings.conference_ttl, settings.retention) == (timedelta(hours=12), timedelta(days=30))
    assert (settings.agent_binding, settings.agent_cache_seconds) == ("required", 60)
    assert settings.open_rooms == 2000
    assert (settings.prefix, settings.trusted_proxies) == ("", ())
    assert settings.operator_networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def test_an_oauth2_client_of_the_management_node() -> None:
    """Client id and key stand in place of user name and password; without a file the system's certificates count."""
    settings, _ = read_settings({f"POLICY_{name}": value for name, value in {**MANAGER, **OAUTH}.items()})
    client = OAuthClient(OAUTH["MANAGEMENT_CLIENT_ID"], OAUTH["MANAGEMENT_KEY"])
    assert settings.management == Access("https://manager.example.com", client, None)
    assert OAUTH["MANAGEMENT_KEY"] not in repr(settings)


def test_everything_that_is_wrong_about_the_management_node_at_once(tmp_path: Path) -> None:
    """Each of its settings is told with what to write, none of the secrets is."""
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing", encoding="utf-8")
    assert errors(
        MANAGEMENT_URL="http://manager.example.com",
        MANAGEMENT_CLIENT_ID="a1b2",
        MANAGEMENT_KEY="planted-secret",
        MANAGEMENT_CA=str(empty),
    ) == [
        "POLICY_MANAGEMENT_URL must begin with https:// because a password or a token is sent there, but is "
        "'http://manager.example.com'",
        f"POLICY_MANAGEMENT_KEY {NO_KEY}",
        f"POLICY_MANAGEMENT_CA must name a file of certificates in PEM, but {str(empty)!r} has none that can be read",
    ]


def test_empty_variables_are_not_set() -> None:
    """An empty variable, as a compose file makes it, is the same as none, file variants too."""
    empty = dict.fromkeys(FULL, "") | {f"{name}_FILE": "" for name in FULL}
    assert read_settings(empty) == (Settings(), ())


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"], ids=repr)
def test_every_variable_from_a_file(tmp_path: Path, ending: str) -> None:
    """Every setting can come from a file; line ends at its end, and a byte order mark, do not belong to it."""
    environment = {}
    for name, value in FULL.items():
        file = tmp_path / name
        file.write_bytes(b"\xef\xbb\xbf" + f"{value}{ending}".encode())
        environment[f"{name}_FILE"] = str(file)
    assert read_settings(environment) == (EXPECTED, ())


def test_spaces_in_a_secret_belong_to_it(tmp_path: Path) -> None:
    """Only line ends are cut off: spaces around a password are part of it."""
    (tmp_path / "password").write_text("  padded \n", encoding="utf-8")
    settings, _ = read_settings(
        {"POLICY_PEXIP_USERNAME": "a", "POLICY_PEXIP_PASSWORD_FILE": str(tmp_path / "password")}
    )
    assert settings.pexip == Credentials("a", "  padded ")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is absent, a folder, empty or not text is an error that names variable, path and reason."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00secret")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    lines = errors(
        SECRET_KEY_FILE=str(tmp_path / "absent"),
        RULES_FILE=str(tmp_path),
        PREVIOUS_SECRET_KEYS_FILE=str(tmp_path / "binary"),
        ON_FAILURE_FILE=str(tmp_path / "empty"),
    )
    assert lines == [
        f"POLICY_RULES_FILE must name a file that can be read, but is '{tmp_path}': Is a directory",
        f"POLICY_SECRET_KEY_FILE must name a file that can be read, but is '{tmp_path}/absent': No such file or directory",
        f"POLICY_PREVIOUS_SECRET_KEYS_FILE must name a file that can be read, but is '{tmp_path}/binary': "
        "it is not text in UTF-8",
        f"POLICY_ON_FAILURE_FILE: the file '{tmp_path}/empty' is empty",
    ]


def test_variable_and_file_together(tmp_path: Path) -> None:
    """A setting given twice is an error: nobody could say which counts."""
    (tmp_path / "key").write_text(KEY, encoding="utf-8")
    assert errors(SECRET_KEY="x" * 40, SECRET_KEY_FILE=str(tmp_path / "key")) == [
        "POLICY_SECRET_KEY and POLICY_SECRET_KEY_FILE are both set; remove one"
    ]


GENESYS = {"GENESYS_API": "https://api.usw2.pure.cloud", "GENESYS_ORGANIZATION": ORGANIZATION}
WHERE = "copy it from Genesys Cloud: Admin > Account Settings > Organization Settings > Advanced"
HOW = "make one with python -c 'import secrets; print(secrets.token_urlsafe(32))'"
DURATION = "must be a duration from 1m to 3660d, such as 90m, 12h or 30d, but is"
NODE = "write the host name alone, such as pexip.example.com, or with a port, pexip.example.com:8443"
NO_KEY = (
    "must be a private key in PEM; write the OAuth2 client's private key as Pexip shows it, from -----BEGIN to the end"
)
FILE = (
    "POLICY_DATABASE_URL must name a file with three slashes and nothing behind it, as sqlite:///var/policy.db or "
    "sqlite:////var/lib/policy-server/policy.db"
)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ON_FAILURE": "Reject"}, "POLICY_ON_FAILURE must be continue or reject but is 'Reject'"),
        ({"LOG_FORMAT": "xml"}, "POLICY_LOG_FORMAT must be text or json but is 'xml'"),
        ({"AGENT_BINDING": "yes"}, "POLICY_AGENT_BINDING must be required or optional but is 'yes'"),
        ({"PEXIP_USERNAME": "a"}, "POLICY_PEXIP_PASSWORD is missing; user name and password go together"),
        ({"EVENTS_USERNAME": "a"}, "POLICY_EVENTS_PASSWORD is missing; user name and password go together"),
        ({"ADMIN_PASSWORD": "a"}, "POLICY_ADMIN_USERNAME is missing; user name and password go together"),
        (
            {"PEXIP_USERNAME": "a:b", "PEXIP_PASSWORD": "c"},
            "POLICY_PEXIP_USERNAME must not hold a colon: HTTP Basic cannot carry one",
        ),
        (
            {"OPERATOR_NETWORKS": "10.20.3.4/16"},
            "POLICY_OPERATOR_NETWORKS: '10.20.3.4/16' is not a network; write 10.20.0.0/16 for all of that network, or "
            "one address without /",
        ),
        (
            {"OPERATOR_NETWORKS": "10.0.0.0/8,office"},
            "POLICY_OPERATOR_NETWORKS: 'office' is not a network; write networks such as 10.20.0.0/16, separated by "
            "commas",
        ),
        *(
            (
                {"TRUSTED_PROXIES": f"10.0.0.5, {everybody}"},
                f"POLICY_TRUSTED_PROXIES: '{everybody}' would let anybody say that they are somebody else; write the "
                "addresses of your own proxies, such as 127.0.0.1 or 10.20.0.5",
            )
            for everybody in ("*", "0.0.0.0/0", "::/0")
        ),
        (
            {"TRUSTED_PROXIES": "proxy.example.com"},
            "POLICY_TRUSTED_PROXIES: 'proxy.example.com' is not a network; write networks such as 10.20.0.0/16, "
            "separated by commas",
        ),
        *(
            (
                {"PREFIX": prefix},
                "POLICY_PREFIX must be a path of letters, digits, - and _, such as /pexip, "
                f"but is '{prefix}'; it ends before /policy/v1",
            )
            for prefix in ("pexip", "/", "/a//b", "/a/../b", "/a;b", "/pexip/policy/v1")
        ),
        ({"PREFIX": "/join/x"}, "POLICY_PREFIX must not be below /join, which strangers can reach; write /pexip"),
        (
            {"API_KEYS": "booking"},
            "POLICY_API_KEYS: entry 1 of 1 must be a name, a colon and a key, such as booking:<key>; separate entries "
            "with commas",
        ),
        (
            {"API_KEYS": f"booking:{API_KEY},portal:short"},
            f"POLICY_API_KEYS: entry 2 of 2 has a key of 5 characters and needs 20 or more: {HOW}",
        ),
        ({"CONFERENCE_TTL": "soon"}, f"POLICY_CONFERENCE_TTL {DURATION} 'soon'"),
        ({"CONFERENCE_TTL": "59s"}, f"POLICY_CONFERENCE_TTL {DURATION} '59s'"),
        ({"CONFERENCE_TTL": "3661d"}, f"POLICY_CONFERENCE_TTL {DURATION} '3661d'"),
        ({"RETENTION": "30"}, f"POLICY_RETENTION {DURATION} '30'"),
        ({"RETENTION": "0d"}, f"POLICY_RETENTION {DURATION} '0d'"),
        (
            {"AGENT_CACHE_SECONDS": "1m"},
            "POLICY_AGENT_CACHE_SECONDS must be a number of seconds from 0 to 3600 but is '1m'",
        ),
        (
            {"AGENT_CACHE_SECONDS": "3601"},
            "POLICY_AGENT_CACHE_SECONDS must be a number of seconds from 0 to 3600 but is '3601'",
        ),
        ({"OPEN_ROOMS": "10001"}, "POLICY_OPEN_ROOMS must be a number from 0 to 10000 but is '10001'"),
        (
            {"GENESYS_API": GENESYS["GENESYS_API"]},
            "POLICY_GENESYS_ORGANIZATION is missing; agents of any organisation of the region would be let in without "
            f"it; {WHERE}",
        ),
        (
            {"GENESYS_ORGANIZATION": ORGANIZATION},
            "POLICY_GENESYS_API is missing; write the API address of your Genesys Cloud region, such as "
            "https://api.usw2.pure.cloud",
        ),
        (
            {**GENESYS, "GENESYS_API": "https://apps.usw2.pure.cloud"},
            "POLICY_GENESYS_API must be the API of the region, https://api.usw2.pure.cloud, but is "
            "'https://apps.usw2.pure.cloud'",
        ),
        (
            {**GENESYS, "GENESYS_ORGANIZATION": "Example"},
            f"POLICY_GENESYS_ORGANIZATION must be the id of your organisation, like '{DIVISIONS[0]}', but has "
            f"'example'; {WHERE}",
        ),
        (
            {**GENESYS, "GENESYS_DIVISIONS": f"{DIVISIONS[0]},Home"},
            f"POLICY_GENESYS_DIVISIONS must be ids of divisions, separated by commas, like '{DIVISIONS[0]}', but has "
            "'home'",
        ),
        *(
            ({**MANAGER, **variables}, expected)
            for variables, expected in (
                (
                    {},
                    "POLICY_MANAGEMENT_USERNAME is missing; write user name and password, or client id and key (OAuth2)",
                ),
                (
                    {"MANAGEMENT_USERNAME": "policy"},
                    "POLICY_MANAGEMENT_PASSWORD is missing; it goes together with the username",
                ),
                (
                    {"MANAGEMENT_KEY": OAUTH["MANAGEMENT_KEY"]},
                    "POLICY_MANAGEMENT_CLIENT_ID is missing; it goes together with the key",
                ),
                (
                    {"MANAGEMENT_USERNAME": "policy", "MANAGEMENT_PASSWORD": "planted-secret", **OAUTH},
                    "POLICY_MANAGEMENT_CLIENT_ID and key go without username and password; remove one pair",
                ),
                (
                    {"MANAGEMENT_USERNAME": "a:b", "MANAGEMENT_PASSWORD": "planted-secret"},
                    "POLICY_MANAGEMENT_USERNAME must not hold a colon: HTTP Basic cannot carry one",
                ),
                (
                    {**OAUTH, "MANAGEMENT_KEY": private_key(SECP384R1())},
                    "POLICY_MANAGEMENT_KEY must be a key for ES256, which is of the curve P-256",
                ),
                (
                    {**OAUTH, "MANAGEMENT_KEY": private_key(passphrase=b"planted-secret")},
                    "POLICY_MANAGEMENT_KEY must be a key without a passphrase",
                ),
                (
                    {**OAUTH, "MANAGEMENT_CA": "/no/such/file"},
                    "POLICY_MANAGEMENT_CA must name a file that can be read, but is '/no/such/file': No such file or "
                    "directory",
                ),
            )
        ),
        (
            {"MANAGEMENT_USERNAME": "policy", "MANAGEMENT_PASSWORD": "planted-secret"},
            "POLICY_MANAGEMENT_URL is missing; write the address of the Management Node, such as "
            "https://manager.example.com",
        ),
        (
            {"MANAGEMENT_RATE": "9"},
            "POLICY_MANAGEMENT_RATE must be a number of requests from 10 to 1000 but is '9'",
        ),
        (
            {"WEBHOOKS": "crm=https://user:planted-secret@crm.example.com/", "WEBHOOK_SECRET": WEBHOOK_SECRET},
            "POLICY_WEBHOOKS receiver 1 (crm) must have an address without user name and password",
        ),
        (
            {"WEBHOOKS": "crm=https://crm.example.com/planted-secret", "WEBHOOK_SECRET": "planted-secret"},
            "POLICY_WEBHOOK_SECRET entry 1 must be whsec_ and 24 to 64 bytes in base64; make one with: "
            'echo "whsec_$(openssl rand -base64 32)"',
        ),
        (
            {"WIDGET_ORIGINS": "https://widget.example.com,*"},
            "POLICY_WIDGET_ORIGINS must name every origin, such as https://widget.example.com; '*' would let any page "
            "read what agents may read",
        ),
        (
            {"WIDGET_ORIGINS": "https://widget.example.com/app"},
            "POLICY_WIDGET_ORIGINS must be an origin as browsers send it, but is 'https://widget.example.com/app'; "
            "write https://widget.example.com",
        ),
        (
            {"DATABASE_URL": "var/planted-secret"},
            "POLICY_DATABASE_URL is not a database URL; write sqlite:///var/policy.db or "
            "postgresql://user:password@host/database",
        ),
        (
            {"DATABASE_URL": "mysql://policy:planted-secret@db.example.com/policy"},
            "POLICY_DATABASE_URL must start with sqlite:/// or postgresql://; write "
            "sqlite:///var/policy.db or postgresql://user:password@host/database",
        ),
        ({"DATABASE_URL": "sqlite://policy.db"}, FILE),
        ({"DATABASE_URL": "sqlite:///:memory:"}, FILE),
    ],
    ids=lambda value: (
        value if isinstance(value, str) else ", ".join(f"{key}={text[:40]!r}" for key, text in value.items())
    ),
)
def test_wrong_values(variables: dict[str, str], expected: str) -> None:
    """A wrong value is named with what to write instead."""
    assert errors(**variables) == [expected]


@pytest.mark.parametrize(
    "wrong",
    [
        "join.example.com",
        "ftp://join.example.com",
        "https://",
        "https://join..example.com",
        "https://join.example.com:0",
        "https://join.example.com:65536",
        "https://join.example.com?",
        "https://join.example.com/a b",
        "https://join.exa\nmple.com",
        "https://[::::]",
    ],
    ids=repr,
)
def test_wrong_public_urls(wrong: str) -> None:
    """What would make links that nobody can open is refused: no scheme, no host, no port, more than a path."""
    (line,) = errors(PUBLIC_URL=wrong)
    assert line == f"POLICY_PUBLIC_URL must be an address such as https://join.example.com, but is {wrong!r}"


def test_the_query_of_an_address_is_not_repeated() -> None:
    """What stands behind the ? or # of an address may be a token."""
    for mark in "?#":
        assert errors(PUBLIC_URL=f"https://join.example.com/{mark}planted-secret") == [
            "POLICY_PUBLIC_URL must be an address such as https://join.example.com, but is "
            f"'https://join.example.com/{mark}…'"
        ]


ODDITIES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
ADDRESSES = ("NODE", "GENESYS_API", "MANAGEMENT_URL", "PUBLIC_URL", "WIDGET_ORIGINS", "DATABASE_URL")
USES = ("https://user:{}@host.example.com", "https://user:{}@host:port/", "user:{}@host", "https://host/?token={}")


@given(ODDITIES | st.text("@/?#%:[],&= ", max_size=6), st.sampled_from(ADDRESSES), st.sampled_from(USES))
def test_no_password_in_an_address_is_repeated(more: str, name: str, use: str) -> None:
    """Whatever characters it has, and wherever in an address it stands, a password is in no message and no setting shown."""
    for secret in (f"planted{more}", f"{more}planted", f"{more}planted{more}"):
        variables = {f"POLICY_{name}": use.format(secret), "POLICY_GENESYS_ORGANIZATION": ORGANIZATION}
        try:
            told = repr(read_settings(variables))
        except SettingsError as error:
            told = str(error)
        assert "planted" not in told


def test_a_secret_in_place_of_its_file_is_not_repeated() -> None:
    """Who writes the password itself into the variable that names a file does not read it in the log."""
    for secret in ("planted-secret", "/planted+secret", "pla/nted-secret"):
        for setting in SECRETS:
            assert errors(**{setting.file_variable.removeprefix("POLICY_"): secret}) == [
                f"{setting.file_variable} must name a file that can be read, but it names none: write the path of the file "
                "that holds the value"
            ]


def test_a_password_in_the_public_url() -> None:
    """An address for customers has no user name and password, and those are not repeated."""
    assert errors(PUBLIC_URL="https://pexip:planted-secret@join.example.com") == [
        "POLICY_PUBLIC_URL must be an address such as https://join.example.com, without user name and password"
    ]


@pytest.mark.parametrize(
    "wrong",
    ["https://pexip.example.com", "pexip.example.com/", "pexip..example.com", "pexip:65536", "2001:db8::1", "a b", "["],
)
def test_wrong_nodes(wrong: str) -> None:
    """What no browser could connect to is no node."""
    assert errors(NODE=wrong) == [f"POLICY_NODE must be the address of a Conferencing Node but is {wrong!r}; {NODE}"]


@pytest.mark.parametrize(
    ("variable", "value", "kept"),
    [
        ("NODE", " pexip.example.com ", "pexip.example.com"),
        ("NODE", "192.0.2.7", "192.0.2.7"),
        ("NODE", "[2001:db8::1]:443", "[2001:db8::1]:443"),
        ("PUBLIC_URL", " HTTP://[::1]:8080/ ", "HTTP://[::1]:8080"),
        ("PUBLIC_URL", "https://join.example.com/a/b~c", "https://join.example.com/a/b~c"),
        ("AGENT_CACHE_SECONDS", " 0 ", 0),
        ("CONFERENCE_TTL", "1m", timedelta(minutes=1)),
        ("RETENTION", "3660d", timedelta(days=3660)),
        ("DATABASE_URL", "sqlite:////var/lib/policy.db", "sqlite:////var/lib/policy.db"),
        ("DATABASE_URL", "postgres://db.example.com:5433/policy", "postgres://db.example.com:5433/policy"),
    ],
)
def test_values_at_the_edge(variable: str, value: str, kept: object) -> None:
    """What is unusual and right is taken."""
    settings, warnings = read_settings({f"POLICY_{variable}": value})
    assert (getattr(settings, variable.lower()), warnings) == (kept, ())


def test_all_errors_at_once() -> None:
    """Everything wrong is listed together, and no secret is in it."""
    secret = "planted-secret"
    lines = errors(
        ON_FAILURE="x",
        LOG_FORMAT="y",
        OPERATOR_NETWORKS="a,b",
        TRUSTED_PROXIES="*",
        PREFIX="x",
        PEXIP_PASSWORD=secret,
        EVENTS_PASSWORD=secret,
        ADMIN_USERNAME="a",
        SECRET_KEY=secret,
        PREVIOUS_SECRET_KEYS=secret,
        API_KEYS=f"booking:{secret},portal:{secret}",
        PUBLIC_URL=f"https://{secret}@",
        DATABASE_URL=f"postgresql://{secret}:{secret}@host:port/{secret}",
        CONFERENCE_TTL="x",
        RETENTION="y",
        NODE="/",
        GENESYS_API="x",
        GENESYS_ORGANIZATION="y",
        GENESYS_DIVISIONS="z",
        WIDGET_ORIGINS="x,y",
        AGENT_BINDING="x",
        AGENT_CACHE_SECONDS="y",
    )
    assert sorted(line.split(maxsplit=1)[0].strip(":") for line in lines) == [
        "POLICY_ADMIN_PASSWORD",
        "POLICY_AGENT_BINDING",
        "POLICY_AGENT_CACHE_SECONDS",
        *["POLICY_API_KEYS"] * 3,
        "POLICY_CONFERENCE_TTL",
        "POLICY_DATABASE_URL",
        "POLICY_EVENTS_USERNAME",
        "POLICY_GENESYS_API",
        "POLICY_GENESYS_DIVISIONS",
        "POLICY_GENESYS_ORGANIZATION",
        "POLICY_LOG_FORMAT",
        "POLICY_NODE",
        "POLICY_ON_FAILURE",
        *["POLICY_OPERATOR_NETWORKS"] * 2,
        "POLICY_PEXIP_USERNAME",
        "POLICY_PREFIX",
        "POLICY_PUBLIC_URL",
        "POLICY_RETENTION",
        "POLICY_TRUSTED_PROXIES",
        *["POLICY_WIDGET_ORIGINS"] * 2,
    ]
    assert secret not in "\n".join(lines)


def test_the_variable_of_another_server_warns() -> None:
    """Who trusts proxies by uvicorn's own variable is told that it does nothing, and what does."""
    assert read_settings({"FORWARDED_ALLOW_IPS": "*"}) == (
        Settings(),
        ("FORWARDED_ALLOW_IPS is not read; name your proxies in POLICY_TRUSTED_PROXIES",),
    )


def test_an_unknown_region_warns() -> None:
    """Agents' tokens go to the API's host, so one that no version of this knew is pointed out; it may be a new region."""
    settings, warnings = read_settings(
        {"POLICY_GENESYS_API": "https://api.usw3.pure.cloud", "POLICY_GENESYS_ORGANIZATION": ORGANIZATION}
    )
    assert settings.tenant == Tenant("https://api.usw3.pure.cloud", ORGANIZATION)
    assert warnings == (
        "POLICY_GENESYS_API: 'api.usw3.pure.cloud' is not the API of a Genesys Cloud region known to this version "
        "(did you mean https://api.usw2.pure.cloud?)",
    )


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("POLICY_PEXIP_PASWORD", "POLICY_PEXIP_PASSWORD"),
        ("POLICY_RULE", "POLICY_RULES"),
        ("POLICY_SECRETKEY", "POLICY_SECRET_KEY"),
        ("POLICY_log_format", "POLICY_LOG_FORMAT"),
        ("POLICY_SECRET_KEY_FLE", "POLICY_SECRET_KEY_FILE"),
    ],
)
def test_unknown_variables_warn_with_the_nearest(variable: str, near: str) -> None:
    """A variable with our prefix that is no setting is pointed out, with the one that was probably meant."""
    settings, warnings = read_settings({variable: "planted-secret"})
    assert (settings, warnings) == (Settings(), (f"{variable} is not a setting (did you mean {near}?)",))


def test_unknown_variables_without_a_near_one() -> None:
    """A variable like none of ours is pointed out without a guess."""
    assert read_settings({"POLICY_XYZZY": "1"})[1] == ("POLICY_XYZZY is not a setting",)


def test_secrets_are_not_in_the_representation() -> None:
    """Whoever prints the settings prints no secret."""
    oauth = {f"POLICY_{name}": value for name, value in {**MANAGER, **OAUTH}.items()}
    text = repr([read_settings(FULL)[0], read_settings(oauth)[0]])
    assert "pexip" in text
    for setting in SECRETS:
        for secret in {**FULL, **oauth}[setting.variable].split(","):
            assert not secret.strip() or secret.strip() not in text
    for secret in (API_KEY, "planted-password"):
        assert secret not in text


_VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(st.dictionaries(st.sampled_from(sorted({*FULL, *(f"POLICY_{name}" for name in OAUTH)})), _VALUES))
def test_any_values_give_settings_or_errors(environment: dict[str, str]) -> None:
    """Whatever stands in the variables, there are settings or a list of errors, never another exception."""
    said = ""
    try:
        assert read_settings(environment)[1] == ()
    except SettingsError as error:
        said = str(error) or "nothing"
    assert all(line.startswith("POLICY_") for line in said.splitlines())
