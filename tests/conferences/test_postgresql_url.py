"""``postgresql://…``: read as libpq reads it, refused when it can never work, and never repeated."""

import asyncio
import re
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.errors import StoreSetupError, StoreUnavailableError
from policy_server.conferences.location import parse_location
from policy_server.conferences.postgresql_url import check_files
from policy_server.conferences.reader import Reader
from policy_server.conferences.records import LOOK_AGAIN, Change
from policy_server.conferences.store import ConferenceStore
from tests.conferences.postgres import PASSWORD, Postgres, running_standby
from tests.conferences.samples import CALL, NOW, entry, link
from tests.waiting import PATIENCE

EXAMPLE = "postgresql://user:p%40ssword@host/database"
AT = (
    "has an @ or / in its user, password or parameters that must be escaped: write @ as %40 and / as %2F, as in "
    + EXAMPLE
)
PERCENT = "has a % or a space that must be escaped: in user and password write @ as %40, / as %2F"
PORT = "a port in it is not a number from 1 to 65535"
UNKNOWN = "PostgreSQL does not know parameter"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("postgresql://policy:Winter@s3cret@127.0.0.1/policy", AT, id="an @ in the password"),
        pytest.param("postgresql://policy@house.example:s3cret@db/policy", AT, id="an @ in the user"),
        pytest.param("postgresql://policy:1234/s3cret@db/policy", AT, id="a slash in the password"),
        pytest.param("postgresql://db/policy?user=u&password=a@s3cret", AT, id="an @ in a parameter"),
        pytest.param("postgresql://policy:12/x?s3cret=@db/policy", AT, id="slash and question mark in the password"),
        pytest.param("postgresql://policy:100%s3cret@db/policy", PERCENT, id="a percent sign"),
        pytest.param("postgresql://policy:s3cret%@db/policy", PERCENT, id="a percent sign at the end"),
        pytest.param("postgresql://policy:my s3cret@db/policy", PERCENT, id="a space"),
        pytest.param("postgresql://policy:s3cret\nx@db/policy", "has a line break", id="two lines"),
        pytest.param("postgresql://policy:s3cret\udcff@db/policy", "has a line break or another", id="not UTF-8"),
        pytest.param("postgresql://policy:s3cret%ff@db/policy", "is not a database URL", id="escaped, not UTF-8"),
        pytest.param("postgresql://policy:s3cret%00@db/policy", "is not a database URL", id="a zero byte"),
        pytest.param("postgresql://policy:s3cret/policy", PORT, id="a password and no host"),
        pytest.param("postgresql://u:s3cret@db:s3cret/policy", PORT, id="a port of letters"),
        pytest.param("postgresql://u:s3cret@db:0/policy", PORT, id="port 0"),
        pytest.param("postgresql://u:s3cret@db:65536/policy", PORT, id="a port too large"),
        pytest.param("postgresql://a,b/policy?port=1,2,3", "it has 3 ports for 2 hosts", id="ports and hosts"),
        pytest.param("postgresql://s3cret!/policy", "a host in it is no host name", id="no host name"),
        pytest.param("postgresql://db/policy?s3cret=1", f"{UNKNOWN} 1 behind the ?", id="an unknown parameter"),
        pytest.param("postgresql://db/policy?password=a&s3cret=1", f"{UNKNOWN} 2", id="an & in the password"),
        pytest.param("postgresql://db/policy?sslmod=require", "1 behind the ? (did you mean 'sslmode'?)", id="near"),
        pytest.param("postgresql://db/policy?sslmode", f"{UNKNOWN} 1", id="a parameter without a value"),
        pytest.param(
            "postgresql://db/policy?sslmode=required",
            "sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full (did you mean 'require'?)",
            id="an sslmode that is none",
        ),
        pytest.param(
            "postgresql://db/policy?target_session_attrs=readwrite",
            "prefer-standby (did you mean 'read-write'?)",
            id="wrong target_session_attrs",
        ),
        pytest.param("postgresql://db/policy?channel_binding=s3cret", "channel_binding must be one of", id="binding"),
        pytest.param(
            "postgresql://db/policy?ssl_min_protocol_version=3",
            "ssl_min_protocol_version has a value that PostgreSQL does not take",
            id="a version of TLS that is none",
        ),
        pytest.param("postgresql://db/policy?connect_timeout=5s", "connect_timeout must be a whole", id="a duration"),
        pytest.param("postgresql://db/policy?keepalives_idle=", "keepalives_idle must be a whole", id="no number"),
        pytest.param("postgresql://?service=s3cret", "service has a value", id="a service that is nowhere"),
        pytest.param("postgresql://db/policy?client_encoding=latin1", "client_encoding must be utf8", id="encoding"),
        pytest.param("postgresql://db/policy?replication=database", "replication must be left out", id="replication"),
    ],
)
def test_what_can_never_work_is_refused_and_not_repeated(url: str, expected: str) -> None:
    """A URL that no waiting mends is refused with what to write instead; nothing of it is repeated."""
    with pytest.raises(StoreSetupError, match=r"^POLICY_DATABASE_URL:? .*" + re.escape(expected)) as refusal:
        ConferenceStore(url)
    assert "s3cret" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://me:s3cret@db.example.com:5433/p?sslmode=require", "postgresql://db.example.com:5433/p"),
        ("postgres://me:s3cret@db/policy", "postgresql://db/policy"),
        ("POSTGRESQL://me:s3cret@db/policy", "postgresql://db/policy"),
        ("postgresql://db/policy?user=me&password=s3cret", "postgresql://db/policy"),
        ("postgresql://db/policy?sslpassword=s3cret", "postgresql://db/policy"),
        ("postgresql:///policy?host=/run/postgresql", "postgresql:///policy"),
        ("postgresql://a:5432,b:5433/policy?target_session_attrs=read-write", "postgresql://a:5432,b:5433/policy"),
        ("postgresql://me:s3cret@a,b/policy", "postgresql://a,b/policy"),
        ("postgresql:///policy?host=a,b&port=5433", "postgresql://a:5433,b:5433/policy"),
        ("postgresql://[2001:db8::1]:5433,db/policy", "postgresql://[2001:db8::1]:5433,db/policy"),
        ("postgresql://me:x%2Cs3cret@a,b/policy", "postgresql://a,b/policy"),
        ("postgresql://me:s3cret@db/policy?sslmode=prefer", "postgresql://db/policy"),
        ("postgresql://me:#?:[,@db/policy", "postgresql://db/policy"),
        ("postgresql://db/a%0Ab", r"postgresql://db/a\nb"),
    ],
)
def test_a_server_is_named_without_user_and_password(url: str, name: str) -> None:
    """The name for messages says which database it is, on one line; nothing secret is in it or in any text of it."""
    location = parse_location(url)
    assert location.name == name
    assert "s3cret" not in f"{location!r}"
    secrets = [value for value in location.parameters.values() if "s3cret" in value]
    assert "s3cret" not in location.redact(f"password {' '.join(secrets)} is wrong")


SECRETS = st.text(st.characters(codec="utf-8"), max_size=8).map("s3cret{}".format) | st.text(
    st.sampled_from("@/?#%:&=[], a1"), max_size=8
).map("{}s3cret".format)
PLACES = (
    "postgresql://policy:{}@127.0.0.1/policy",
    "postgresql://policy:{}@127.0.0.1:5432,db/policy?sslmode=require",
    "postgresql://policy:a{}b@127.0.0.1/policy",
    "postgresql://{}@127.0.0.1/policy",
    "postgresql://127.0.0.1/policy?password={}",
    "postgresql://127.0.0.1/policy?sslpassword={}&sslmode=require",
    "postgres:policy:{}@127.0.0.1/policy",
    "policy:{}@127.0.0.1/policy",
    "{}://127.0.0.1/policy",
    "sqlite:///policy:{}@127.0.0.1/policy",
    "sqlite://policy:{}@127.0.0.1/policy",
    "mysql://policy:{}@127.0.0.1/policy",
)


@given(SECRETS, st.sampled_from(PLACES))
def test_no_password_is_ever_repeated(secret: str, place: str) -> None:
    """Whatever characters a password has, escaped or not, it is in no message, no name and no representation."""
    for written in (secret, quote(secret, safe="")):
        try:
            location = parse_location(place.format(written))
        except StoreSetupError as error:
            told = "".join(traceback.format_exception(error))
        else:
            told = f"{location!r} {location.name} {location}"
        assert "s3cret" not in told


@given(SECRETS)
def test_an_escaped_password_reaches_libpq_as_it_is(secret: str) -> None:
    """Every character can be written in a password, if it is escaped; only a zero byte cannot be sent to PostgreSQL."""
    if "\0" not in secret:
        location = parse_location(f"postgresql://policy:{quote(secret, safe='')}@127.0.0.1/policy")
        assert location.parameters["password"] == secret


def test_a_certificate_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    """libpq would go on without verifying anybody, so that a missing file is refused by its parameter's name."""
    present = tmp_path / "root.crt"
    present.touch()
    check_files({"sslrootcert": str(present)})
    check_files({"sslrootcert": "system"})
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        with pytest.raises(StoreSetupError, match=rf"^{name} must name a file that this user can read: No such file"):
            check_files({name: str(tmp_path / "absent.pem")})

    async def scenario() -> None:
        async with ConferenceStore(f"postgresql://127.0.0.1/policy?sslrootcert={tmp_path}/absent.pem") as store:
            with pytest.raises(StoreSetupError, match="sslrootcert must name a file"):
                await store.prepare()

    asyncio.run(scenario())


def test_whom_to_trust_must_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``sslmode=verify-full`` without a certificate to verify by never works, wherever libpq looks for one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    verified = {"host": "db.example.com", "sslmode": "verify-full"}
    with pytest.raises(
        StoreSetupError, match=r"^sslmode=verify-full needs to know whom to trust: add sslrootcert=system"
    ):
        check_files(verified)
    check_files({**verified, "host": "/run/postgresql"})
    check_files({**verified, "sslrootcert": "system"})
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    check_files(verified)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def url_of(servers: str, schema: str) -> str:
    """A URL with several servers that wants the one that takes changes."""
    attributes = f"target_session_attrs=read-write&options=-csearch_path%3D{schema}"
    return f"postgresql://postgres:{PASSWORD}@{servers}/postgres?{attributes}"


async def use(url: str) -> None:
    """Makes the tables, writes, reads, and hears of what was written."""
    async with ConferenceStore(url) as store:
        await store.prepare()
        heard = store.changes()
        assert await anext(heard) == LOOK_AGAIN
        await store.create_link(link())
        await store.add_timeline([entry()])
        assert (await store.link(CALL)) == link()
        async with asyncio.timeout(PATIENCE):
            assert isinstance(await anext(heard), Change)
        await heard.aclose()
        assert await store.read(Reader.holder, CALL, NOW) is None


def test_the_second_server_is_taken_while_the_first_is_away(postgres: Postgres, closed_port: int) -> None:
    """Pool, listener and tables are reached by whichever of several servers is there."""
    postgres.execute("CREATE SCHEMA several_away")
    asyncio.run(use(url_of(f"127.0.0.1:{closed_port},127.0.0.1:{postgres.port}", "several_away")))
    assert postgres.execute("SELECT count(*) FROM several_away.links") == [(1,)]
    postgres.execute("DROP SCHEMA several_away CASCADE")


def test_the_server_that_takes_changes_is_taken(postgres: Postgres) -> None:
    """A hot standby that comes first in the list is passed over."""
    postgres.execute("CREATE SCHEMA several_standby")
    with running_standby(postgres) as standby:
        asyncio.run(use(url_of(f"127.0.0.1:{standby.port},127.0.0.1:{postgres.port}", "several_standby")))
        assert standby.execute("SELECT pg_is_in_recovery()") == [(True,)]
    postgres.execute("DROP SCHEMA several_standby CASCADE")


def test_no_server_that_takes_changes_is_told_with_all_of_them(postgres: Postgres, closed_port: int) -> None:
    """With the first away and the second no primary, the error names both, and no user or password."""
    with running_standby(postgres) as standby:
        servers = f"127.0.0.1:{closed_port},127.0.0.1:{standby.port}"

        async def scenario() -> str:
            async with ConferenceStore(url_of(servers, "public")) as store:
                with pytest.raises(StoreUnavailableError) as refusal:
                    await store.check()
                return str(refusal.value)

        told = asyncio.run(scenario())
    assert told.startswith(f"the database postgresql://{servers}/postgres: ")
    assert PASSWORD not in told
