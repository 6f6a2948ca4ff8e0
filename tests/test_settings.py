"""Settings: every variable, its file variant, and everything that can be wrong with them, all at once."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.settings import LOOPBACK, SECRETS, SETTINGS, Credentials, Settings, SettingsError, read_settings

KEY = "a secret key of thirty-two characters or more"
FULL = {
    "POLICY_RULES": "/etc/policy/rules",
    "POLICY_PEXIP_USERNAME": "pexip",
    "POLICY_PEXIP_PASSWORD": "a pass:wörd",
    "POLICY_SECRET_KEY": KEY,
    "POLICY_PREVIOUS_SECRET_KEYS": f"{KEY}2, {KEY}3,",
    "POLICY_ADMIN_USERNAME": "admin",
    "POLICY_ADMIN_PASSWORD": "another",
    "POLICY_OPERATOR_NETWORKS": "10.20.0.0/16, 192.0.2.7,2001:db8::/32",
    "POLICY_ON_FAILURE": "reject",
    "POLICY_LOG_FORMAT": "json",
}
EXPECTED = Settings(
    rules=Path("/etc/policy/rules"),
    pexip=Credentials("pexip", "a pass:wörd"),
    admin=Credentials("admin", "another"),
    secret_key=KEY,
    previous_secret_keys=(f"{KEY}2", f"{KEY}3"),
    operator_networks=(*LOOPBACK, ip_network("10.20.0.0/16"), ip_network("192.0.2.7"), ip_network("2001:db8::/32")),
    on_failure="reject",
    log_format="json",
)


def errors(**variables: str) -> list[str]:
    """The lines of the error that these variables raise."""
    with pytest.raises(SettingsError) as caught:
        read_settings({f"POLICY_{name}": value for name, value in variables.items()})
    return str(caught.value).splitlines()


def test_every_setting_is_tried_here() -> None:
    """The tests below use every setting there is."""
    assert FULL.keys() == {f"POLICY_{name}" for name in SETTINGS}
    assert SETTINGS.keys() >= SECRETS
    assert all(SETTINGS.values())


def test_every_variable() -> None:
    """Every variable ends up in its field."""
    assert read_settings(FULL) == (EXPECTED, ())


def test_nothing_set() -> None:
    """Without variables there are defaults, and no secret has one."""
    settings, warnings = read_settings({"PATH": "/bin", "OTHER_POLICY_X": "1"})
    assert (settings, warnings) == (Settings(), ())
    assert (settings.pexip, settings.admin, settings.secret_key, settings.previous_secret_keys) == (
        None,
        None,
        None,
        (),
    )
    assert (settings.rules, settings.on_failure, settings.log_format) == (Path("rules"), "continue", "text")
    assert settings.operator_networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


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


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ON_FAILURE": "Reject"}, "POLICY_ON_FAILURE must be continue or reject but is 'Reject'"),
        ({"LOG_FORMAT": "xml"}, "POLICY_LOG_FORMAT must be text or json but is 'xml'"),
        ({"PEXIP_USERNAME": "a"}, "POLICY_PEXIP_PASSWORD is missing; user name and password go together"),
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
    ],
)
def test_wrong_values(variables: dict[str, str], expected: str) -> None:
    """A wrong value is named with what to write instead."""
    assert errors(**variables) == [expected]


def test_all_errors_at_once() -> None:
    """Everything wrong is listed together, and no secret is in it."""
    secret = "planted-secret"
    lines = errors(
        ON_FAILURE="x",
        LOG_FORMAT="y",
        OPERATOR_NETWORKS="a,b",
        PEXIP_PASSWORD=secret,
        ADMIN_USERNAME="a",
        SECRET_KEY=secret,
    )
    assert len(lines) == 6
    assert secret not in "\n".join(lines)


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
    text = repr(read_settings(FULL)[0])
    assert "pexip" in text
    for name in SECRETS:
        for secret in FULL[f"POLICY_{name}"].split(","):
            assert not secret.strip() or secret.strip() not in text


_VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(st.dictionaries(st.sampled_from(sorted(name for name in FULL)), _VALUES))
def test_any_values_give_settings_or_errors(environment: dict[str, str]) -> None:
    """Whatever stands in the variables, there are settings or a list of errors, never another exception."""
    said = ""
    try:
        assert read_settings(environment)[1] == ()
    except SettingsError as error:
        said = str(error) or "nothing"
    assert all(line.startswith("POLICY_") for line in said.splitlines())
