"""What the start looks at: guessable credentials, files that others can read, links made from a caller's words."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from policy_server.cli.start_checks import check_credentials, check_files, check_reach, check_shared
from policy_server.settings import Credentials, Settings
from policy_server.web.api_keys import ApiKeys
from tests.cli.commands import CREDENTIALS, RULES, put_rules, run

GOOD = Settings(
    pexip=Credentials("pexip", "mq8Yz-planted-Tq2w"),
    events=Credentials("events", "Lw0-planted-v7Rk2"),
    secret_key="Jx2-Vn8wQz5pLm3tRk9sHd7fGb4cYa6e",
    public_url="https://join.example.com",
    api_keys=ApiKeys({"booking": "k3y-of_the.booking~system"}),
)


def test_good_settings_are_not_complained_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials as the server says how to make them pass without a word."""
    monkeypatch.chdir(tmp_path)
    found = [*check_credentials(GOOD), *check_shared(GOOD), *check_files(GOOD, {}, ())]
    assert (found, check_reach(GOOD, is_plain=False)) == ([], ([], []))


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("Pexip", "is the user name"),
        ("changeme", "is one of the first"),
        ("Password2026!", "is one of the first"),
        ("12345678", "is one of the first"),
        ("Xq7fTopSec9", "has 11 characters, 12 are needed"),
    ],
)
def test_passwords_that_can_be_guessed_are_told(password: str, said: str) -> None:
    """With the setting and how to make a better one, and without the password."""
    (told,) = check_credentials(replace(GOOD, pexip=Credentials("pexip", password)))
    assert told.startswith(f"POLICY_PEXIP_PASSWORD {said}")
    assert "secrets.token_urlsafe" in told
    assert password not in told


def test_a_key_of_a_few_characters_is_told() -> None:
    """A key can be long and guessable."""
    (told,) = check_credentials(replace(GOOD, secret_key="abc" * 20))
    assert told.startswith("POLICY_SECRET_KEY repeats")


def test_one_password_for_two_doors_is_told() -> None:
    """Both settings are named."""
    (told,) = check_shared(replace(GOOD, events=Credentials("events", "mq8Yz-planted-Tq2w")))
    assert told.startswith("POLICY_PEXIP_PASSWORD and POLICY_EVENTS_PASSWORD are the same")
    assert "planted" not in told


def test_links_are_not_made_from_what_the_caller_says() -> None:
    """Where others reach the server and systems make links, it must know its own address."""
    wrong, _ = check_reach(replace(GOOD, public_url=""), is_plain=False)
    assert [message.partition(" must")[0] for message in wrong] == ["POLICY_PUBLIC_URL"]
    assert check_reach(replace(GOOD, public_url="", api_keys=ApiKeys({})), is_plain=False) == ([], [])


def test_clear_text_is_told_unless_a_proxy_is_known() -> None:
    """A proxy with https before the server is as good."""
    _, doubtful = check_reach(GOOD, is_plain=True)
    assert ["clear text" in message for message in doubtful] == [True]
    behind = replace(GOOD, trusted_proxies=(ip_network("10.0.0.0/8"),))
    assert check_reach(behind, is_plain=True) == ([], [])


def test_files_that_everybody_can_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its remedy; what only its owner and group read is left alone."""
    monkeypatch.chdir(tmp_path)
    names = (".env", "key", "tls.pem", "policy.db")
    for name in names:
        (tmp_path / name).touch(mode=0o644)
    found = replace(GOOD, database_url=f"sqlite:///{tmp_path}/policy.db")
    files = {"POLICY_SECRET_KEY_FILE": str(tmp_path / "key")}
    told = list(check_files(found, files, (str(tmp_path / "tls.pem"),)))
    assert sorted(message.rpartition("/")[2].rpartition(" ")[2] for message in told) == sorted(names)
    for name in names:
        (tmp_path / name).chmod(0o640)
    assert list(check_files(found, files, (str(tmp_path / "tls.pem"), str(tmp_path / "gone")))) == []


def test_what_is_wrong_refuses_a_server_that_others_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off loopback the start ends with status 2 and everything that is wrong."""
    monkeypatch.chdir(tmp_path)
    put_rules(tmp_path, RULES)
    given = {**CREDENTIALS, "POLICY_PEXIP_PASSWORD": "changeme", "POLICY_API_KEYS": "booking:k3y-of_the.booking~system"}
    result = run("serve", "--host", "192.0.2.1", "--port", "0", environment=given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "POLICY_PEXIP_PASSWORD is one of the first that people try" in result.stderr
    assert "POLICY_PUBLIC_URL must be set" in result.stderr
    assert "changeme" not in result.stderr
