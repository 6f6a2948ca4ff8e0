"""``check``, and what all commands share: status, settings, help, colours."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from policy_server.cli import main
from tests.cli.commands import BAD_RULES, RULES, TESTS, WARNING_RULES, printed_json, put_rules, run
from tests.servers import clean_environment


def test_good_rules(folder: Path) -> None:
    """Good rules are status 0, and one line says how many and which revision."""
    put_rules(folder)
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("6 rules, revision ")
    assert result.stdout.endswith(": 0 errors, 0 warnings.\n")


def test_bad_rules(folder: Path) -> None:
    """Bad rules are status 1, with every problem at its place."""
    put_rules(folder, BAD_RULES)
    result = run("check")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[-1] == "The rules cannot be used: 3 errors, 0 warnings."
    assert len(lines) == 4
    assert all(line.startswith("rules/rules.yaml:") and ": error: " in line for line in lines[:-1])
    assert sum("did you mean 'visit'?" in line for line in lines) == 2


def test_warnings(folder: Path) -> None:
    """Warnings are shown and are status 0, with --strict 1."""
    put_rules(folder, WARNING_RULES)
    lenient, strict = run("check"), run("check", "--strict")
    assert (lenient.exit_code, strict.exit_code) == (0, 1)
    assert lenient.stdout == strict.stdout
    assert ": warning: " in lenient.stdout
    assert "spare" in lenient.stdout
    put_rules(folder, RULES)
    assert run("check", "--strict").exit_code == 0


@pytest.mark.parametrize(
    ("text", "options", "status", "ok"),
    [
        (RULES, (), 0, True),
        (WARNING_RULES, (), 0, True),
        (WARNING_RULES, ("--strict",), 1, False),
        (BAD_RULES, (), 1, False),
    ],
    ids=["good", "warning", "strict", "bad"],
)
def test_json(folder: Path, text: str, options: tuple[str, ...], status: int, ok: bool) -> None:
    """--json gives the verdict and the problems with place, severity, rule and message."""
    put_rules(folder, text)
    result = run("check", "--json", *options)
    value = printed_json(result)
    assert (result.exit_code, value["ok"], result.stderr) == (status, ok, "")
    assert value.keys() == {"ok", "rules", "revision", "problems", "notes"}
    assert (value["rules"], bool(value["revision"])) == ((None, False) if text is BAD_RULES else (6, True))
    assert len(value["problems"]) == {RULES: 0, WARNING_RULES: 1, BAD_RULES: 3}[text]
    for problem in value["problems"]:
        assert problem.keys() == {"file", "line", "column", "severity", "rule", "message"}
        assert problem["file"] == "rules/rules.yaml"


@pytest.mark.parametrize(
    ("text", "options", "status"),
    [(RULES, (), 0), (WARNING_RULES, (), 0), (WARNING_RULES, ("--strict",), 1), (BAD_RULES, (), 1)],
    ids=["good", "warning", "strict", "bad"],
)
def test_sarif(folder: Path, text: str, options: tuple[str, ...], status: int) -> None:
    """--format sarif has a result for each problem, with what SARIF 2.1.0 requires: level, message, file, line and column."""
    put_rules(folder, text)
    told = printed_json(run("check", "--json", *options))["problems"]
    result = run("check", "--format", "sarif", *options)
    value = printed_json(result)
    assert result.exit_code == status
    assert value.keys() == {"$schema", "version", "runs"}
    assert value["version"] == "2.1.0"
    (run_of_tool,) = value["runs"]
    driver = run_of_tool["tool"]["driver"]
    assert driver["name"] == "policy-server"
    assert len(run_of_tool["results"]) == len(told)
    for found, problem in zip(run_of_tool["results"], told, strict=True):
        assert found["level"] == problem["severity"]
        assert found["message"]["text"].endswith(problem["message"])
        assert driver["rules"][found["ruleIndex"]]["id"] == found["ruleId"]
        (location,) = found["locations"]
        assert location["physicalLocation"] == {
            "artifactLocation": {"uri": problem["file"]},
            "region": {"startLine": problem["line"], "startColumn": problem["column"]},
        }


def test_sarif_of_a_file_as_a_whole(folder: Path) -> None:
    """Where a problem has no line there is no region, and a file's name is a URI whatever stands in it."""
    (folder / "ü 1%").mkdir()
    result = run("check", "--format", "sarif", "--rules", "ü 1%")
    (found,) = printed_json(result)["runs"][0]["results"]
    assert found["locations"] == [{"physicalLocation": {"artifactLocation": {"uri": "%C3%BC%201%25"}}}]


def test_formats(folder: Path) -> None:
    """--format json is --json, text is the default, and two formats at once are refused."""
    put_rules(folder, WARNING_RULES)
    assert run("check", "--format", "json").stdout == run("check", "--json").stdout
    assert run("check", "--format", "text").stdout == run("check").stdout
    result = run("check", "--format", "sarif", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "exclude each other" in result.stderr


BAD_TESTS = """
tests:
  - name: a customer
    link: { type: vist }
    request: { type: service, local_alias: "{alias}" }
    expect: { rul: customer }
"""


def test_rule_tests_that_cannot_be_read(folder: Path) -> None:
    """What is wrong with a file of rule tests is a problem too; what its tests would say is for ``test``."""
    put_rules(folder)
    put_rules(folder, TESTS.replace("rule: customer", "rule: agent"), "visit.test.yaml")
    assert run("check", "--strict").exit_code == 0
    put_rules(folder, BAD_TESTS, "bad.test.yaml")
    put_rules(folder, "tests: [", "broken.test.yaml")
    result = run("check")
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert [line.partition(" error: ")[0] for line in lines[:-1]] == [
        "rules/bad.test.yaml:4:19:",
        "rules/bad.test.yaml:6:15:",
        "rules/broken.test.yaml:1:8:",
    ]
    assert "(did you mean 'visit'?)" in lines[0]
    assert "(did you mean 'rule'?)" in lines[1]
    assert lines[-1].startswith("6 rules, revision ")
    assert lines[-1].endswith(": 3 errors, 0 warnings.")
    value = printed_json(run("check", "--json"))
    assert (value["ok"], value["rules"], len(value["problems"])) == (False, 6, 3)


def test_rule_tests_beside_bad_rules(folder: Path) -> None:
    """Both are told at once, but no test is blamed for a link type that the rules cannot give."""
    put_rules(folder, BAD_RULES)
    put_rules(folder, BAD_TESTS, "bad.test.yaml")
    lines = run("check").stdout.splitlines()
    assert [line for line in lines if "bad.test.yaml" in line] == [lines[3]]
    assert "'rul' is not a key of expect" in lines[3]
    assert lines[4] == "The rules cannot be used: 4 errors, 0 warnings."


def test_page_templates(folder: Path) -> None:
    """Templates of a link type are checked with the rules, at their line and column."""
    put_rules(folder, RULES.replace("ttl: 4h", "templates: pages"))
    (folder / "rules" / "pages").mkdir()
    (folder / "rules" / "pages" / "closed.en.html").write_text("<h1>Shut</h1>\n<p>Until $opennig</p>", encoding="utf-8")
    result = run("check")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        1,
        "rules/pages/closed.en.html:2:10: error: a placeholder must be one of '$opening', '$opening_iso', '$place' "
        "but is '$opennig' (did you mean '$opening'?)",
    )


def test_a_missing_password_of_the_server_is_no_error(folder: Path) -> None:
    """Rules can be checked where the server's secrets are not at hand."""
    put_rules(folder, RULES.replace("allow: true", "allow: { username: a, password_env: NOT_SET_HERE }"))
    assert run("check").exit_code == 0


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_no_folder(folder: Path, options: tuple[str, ...]) -> None:
    """A rules folder that is none is unusable input, status 2, and the message says how to name another."""
    put_rules(folder)
    for name in ("nowhere", "rules/rules.yaml"):
        result = run("check", "--rules", name, *options)
        assert result.exit_code == 2
        assert "the rules folder cannot be read" in result.stdout
        assert "--rules or POLICY_RULES" in result.stdout


def test_an_empty_folder(folder: Path) -> None:
    """A folder without rules fails the check."""
    (folder / "rules").mkdir()
    result = run("check")
    assert result.exit_code == 1
    assert "there is no rule file here" in result.stdout


USES_OF_RULES = [
    pytest.param(("explain", "service", "local_alias=a"), id="explain"),
    pytest.param(("test",), id="test"),
    pytest.param(("link", "create", "visit"), id="link create"),
    pytest.param(("link", "inspect", "mpx"), id="link inspect"),
    pytest.param(("simulate",), id="simulate"),
    pytest.param(("replay", "-"), id="replay"),
    pytest.param(("serve", "--port", "0"), id="serve"),
]


@pytest.mark.parametrize("command", USES_OF_RULES)
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_commands_that_need_rules(folder: Path, command: tuple[str, ...], options: tuple[str, ...]) -> None:
    """A command that needs rules lists every problem on standard error and ends with 2, whether bad or absent."""
    if command[0] == "serve" and options:
        return
    absent = run(*command, *options)
    assert (absent.exit_code, absent.stdout) == (2, "")
    assert "the rules folder cannot be read" in absent.stderr
    put_rules(folder, BAD_RULES)
    bad = run(*command, *options)
    assert (bad.exit_code, bad.stdout) == (2, "")
    assert bad.stderr.count(": error: ") == 3


@pytest.mark.parametrize("command", [("check",), *USES_OF_RULES])
def test_wrong_settings(folder: Path, command: tuple[str, ...]) -> None:
    """Wrong settings are unusable input for every command: all of them listed, nothing on standard output."""
    put_rules(folder)
    result = run(*command, environment={"POLICY_LOG_FORMAT": "xml", "POLICY_ON_FAILURE": "explode"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "POLICY_LOG_FORMAT must be text or json but is 'xml'" in result.stderr
    assert "POLICY_ON_FAILURE must be continue or reject but is 'explode'" in result.stderr


def test_unknown_settings_warn_on_standard_error(folder: Path) -> None:
    """A misspelt variable is a warning beside the output, not in it."""
    put_rules(folder)
    result = run("check", "--json", environment={"POLICY_RULE": "elsewhere"})
    assert printed_json(result)["ok"] is True
    assert result.stderr == "warning: POLICY_RULE is not a setting (did you mean POLICY_RULES?)\n"


def test_which_folder(folder: Path) -> None:
    """--rules comes before POLICY_RULES, that before POLICY_RULES in .env, and all before ``rules``."""
    for number, name in enumerate(("rules", "dotted", "variable", "option"), 1):
        extra = "".join(
            f"  - {{ id: extra-{i}, when: {{ local_alias: x{i} }}, continue: true }}\n" for i in range(number)
        )
        put_rules(folder / name, f"service:\n{extra}")

    def count(*arguments: str, **environment: str) -> int:
        rules = printed_json(run("check", "--json", *arguments, environment=environment))["rules"]
        assert isinstance(rules, int)
        return rules

    (folder / "rules" / "rules.yaml").write_bytes((folder / "rules" / "rules" / "rules.yaml").read_bytes())
    assert count() == 1
    (folder / ".env").write_text("POLICY_RULES=dotted/rules\n", encoding="utf-8")
    assert count() == 2
    assert count(POLICY_RULES="variable/rules") == 3
    assert count("--rules", "option/rules", POLICY_RULES="variable/rules") == 4


def test_env_file_of_the_current_folder_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """.env in a folder above is not read."""
    (folder / ".env").write_text("POLICY_LOG_FORMAT=xml\n", encoding="utf-8")
    below = folder / "below"
    put_rules(below)
    monkeypatch.chdir(below)
    assert run("check").exit_code == 0
    monkeypatch.chdir(folder)
    assert run("check", environment={"POLICY_RULES": "below/rules"}).exit_code == 2


def test_a_variable_hides_its_file_variant_in_env(folder: Path) -> None:
    """The environment wins over .env also where one names the value and the other a file."""
    put_rules(folder)
    (folder / ".env").write_text("POLICY_RULES_FILE=absent\nPOLICY_LOG_FORMAT=xml\n", encoding="utf-8")
    (folder / "format").write_text("json\n", encoding="utf-8")
    environment = {"POLICY_RULES": "rules", "POLICY_LOG_FORMAT_FILE": "format"}
    assert run("check", environment=environment).exit_code == 0


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None], ids=["not text", "a folder"])
def test_a_strange_env_file(folder: Path, content: bytes | None) -> None:
    """An .env file that is no text is unusable; a folder of that name, as virtual environments have, is passed over."""
    put_rules(folder)
    if content is None:
        (folder / ".env").mkdir()
        assert run("check").exit_code == 0
    else:
        (folder / ".env").write_bytes(content)
        result = run("check")
        assert (result.exit_code, result.stdout) == (2, "")
        assert ".env cannot be read" in result.stderr


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


def test_the_commands() -> None:
    """The commands are those of the contract."""
    assert {" ".join(path) for path, _ in commands(main)} == {
        "serve",
        "check",
        "explain",
        "test",
        "schema",
        "calendar",
        "link",
        "link create",
        "link inspect",
        "link revoke",
        "conference",
        "conference list",
        "conference show",
        "replay",
        "webhook",
        "webhook list",
        "webhook resend",
        "webhook test",
        "selftest",
        "demo",
        "simulate",
    }
    listed = run("--help").stdout
    assert all(f"\n  {path[0]} " in listed for path, _ in commands(main))


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(path, command, id=" ".join(path)) for path, command in commands(main)]
)
def test_help(path: tuple[str, ...], command: click.Command) -> None:
    """--help says what the command is for and explains every option."""
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout == run(*path, "-h").stdout
    assert command.help
    assert " ".join(command.help.split(".")[0].split()) in " ".join(result.stdout.split())
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in result.stdout
            assert parameter.help, parameter.name


def test_version() -> None:
    """--version names program and version."""
    assert run("--version").stdout.startswith("policy-server, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("chek",),
        ("check", "--stric"),
        ("explain",),
        ("link", "create"),
        ("serve", "--port", "99999"),
        ("serve", "--workers", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    """Unknown commands and options, absent arguments and numbers out of range are status 2."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: policy-server" in result.stderr


@pytest.mark.slow
def test_as_a_module_without_a_terminal(folder: Path) -> None:
    """``python -m policy_server`` is the same program; without a terminal nothing is coloured, there or anywhere."""
    put_rules(folder, WARNING_RULES)
    put_rules(folder, TESTS, "visit.test.yaml")
    arguments = ["check", "--strict"]
    real = subprocess.run(
        [sys.executable, "-m", "policy_server", *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (real.returncode, real.stdout) == (1, run(*arguments).stdout)
    for command in (("test",), ("explain", "service", "local_alias=vip"), ("simulate",)):
        result = run(*command)
        assert result.exit_code == 0
        assert "\x1b" not in result.output
    assert "\x1b" not in real.stdout + real.stderr
