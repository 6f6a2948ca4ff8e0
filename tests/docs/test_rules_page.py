"""The page for Pexip administrators: the language of rules, certificates, and what to do when a call failed."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from policy_server.pexip.field_facts import DOOR_FIELDS
from policy_server.pexip.leg_ends import leg_class
from policy_server.pexip.parameters import PARAMETERS, PATH_ALIAS, Kind
from policy_server.pexip.properties import ParticipantProperties
from policy_server.pexip.shapes import SHAPES
from policy_server.rulefiles.conditions import condition_keys
from policy_server.rulefiles.deployment import DEPLOYMENT_LISTS
from policy_server.rulefiles.merge import SECTIONS
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.rulefiles.store import load_folder
from tests.docs.pages import AGENT_APP, CONSOLE, ROOT, RULES, YAML, blocks, code
from tests.docs.running import commands, matches
from tests.servers import clean_environment, real_server

PAGE: Final = RULES


def test_a_page_in_the_folder_of_rules_is_no_rule_file() -> None:
    """The page lies where rules are loaded, and neither is read as one nor warned of."""
    loaded, _ = load_folder(ROOT / "rules", datetime.now(UTC))
    assert (ROOT / PAGE.name).parent == ROOT / "rules"
    assert loaded.problems == ()


def test_the_tour_shows_every_section() -> None:
    """There is no section of a rule file without an example."""
    shown = {section for block in YAML for section in re.findall(r"^(\w+):", block.text, re.MULTILINE)}
    assert shown >= {*SECTIONS, "tests"}


def test_conditions_are_those_of_the_code() -> None:
    """Every key of `when` is in the table, with those that are read in the same way, and no other is."""
    keys = {key for section in RULE_SECTIONS for key in condition_keys(section.request)}
    rows = [[name.partition(":")[0] for name in code(cell)] for cell, _ in PAGE.rows("key | takes")]
    documented = [key for row in rows for key in row]
    assert sorted(documented) == sorted(key for key in keys if not key.endswith(".raw"))
    for row in rows:
        assert len({_way(key) for key in row}) == 1, row


def _way(key: str) -> str:
    """How the value of a condition is written, as far as it is a parameter's."""
    parameter = PATH_ALIAS if key == PATH_ALIAS.name else PARAMETERS.get(key)
    if parameter is None:
        return "ours"
    return "text" if parameter.kind in {Kind.ALIAS, Kind.LIST} else parameter.kind.value


def test_lists_of_names_are_those_of_the_code() -> None:
    """The page names every kind of object of the deployment."""
    kinds = PAGE.text.partition("The kinds: ")[2].partition("\n\n")[0]
    assert code(kinds) == list(DEPLOYMENT_LISTS)


def test_outcomes_are_those_of_the_code() -> None:
    """The table has every outcome of a service rule."""
    documented = [code(cell)[0].partition(":")[0] for cell, _ in PAGE.rows("outcome |")]
    assert documented == [outcome.key for outcome in RULE_SECTIONS[0].outcomes]


def test_the_fields_of_set_are_those_that_pexip_takes() -> None:
    """The table has every participant property that a rule can set, with the values that it takes and what it does."""
    shape = SHAPES[ParticipantProperties]
    fields = shape.adapter.json_schema()["properties"]
    # It goes with `reject`.
    del fields["reject_reason"]
    rows = {code(name)[0]: (value, meaning) for name, value, meaning in PAGE.rows("field of `set` |")}
    assert set(rows) == set(fields)
    for name, field in fields.items():
        value, meaning = rows[name]
        assert value.startswith(_values(field)), name
        assert f"{meaning.replace('`', '')}.".lower() == shape.meanings[name].lower()


def _values(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return ", ".join(map(_values, field["anyOf"]))
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    words = {
        "boolean": "`true`, `false`",
        "integer": "whole number",
        "string": "text",
        "array": "list",
        "null": "`null`",
    }
    return words[field["type"]]


def test_what_may_differ_between_callers_is_what_the_code_lets_differ() -> None:
    """The page names every field of the door."""
    sentence = PAGE.text.partition("lets callers of one room differ in ")[2].partition(".")[0]
    assert set(code(sentence)) == DOOR_FIELDS


def test_entries_of_a_failed_call_are_entries_of_a_timeline() -> None:
    """The steps for a failed call name what a timeline can have, as the table of kinds has it."""
    kinds = {kind for names, _ in AGENT_APP.rows("kind of entry |") for kind in code(names)}
    named = [kind for cell, *_ in PAGE.rows("the last entry |") for kind in code(cell)]
    assert len(named) > 5
    assert set(named) <= kinds


def test_reasons_of_a_leg_have_the_class_that_the_code_gives_them() -> None:
    """What the page says of Pexip's reasons is what the lookup says of them."""
    rows = PAGE.rows("Pexip's reason |")
    assert len(rows) > 5
    assert [(reason, leg_class(code(reason)[0]).value) for reason, _, _ in rows] == [
        (reason, code(end)[0]) for reason, end, _ in rows
    ]


@pytest.mark.slow
def test_a_certificate_is_made_as_shown(tmp_path: Path) -> None:
    """The commands make a key, a request and a chain, with which a server is known by its name, and by no other."""
    for note in ("requests a certificate", "signs a certificate"):
        (script,) = [block.text for block in blocks("sh") if block.note == note]
        subprocess.run(["bash", "-e"], input=f"umask 077\n{script}", text=True, cwd=tmp_path, check=True)
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    (block,) = [block for block in CONSOLE if block.note == "asks over https"]
    ((command, expected),) = commands(block)
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    with real_server(tmp_path, "--tls-cert", "chain.pem", "--tls-key", "key.pem", verify=False) as running:
        port = running.url.rpartition(":")[2]
        for host, ca, answer in (
            ("policy", "ca.pem", expected),
            ("other", "ca.pem", "000"),
            ("policy", "key.pem", "000"),
        ):
            there = f"{host}.example.com:{port}"
            asked = command.replace("policy.example.com:8443", there).replace("ca.pem", ca)
            asked = asked.replace("curl ", f"curl --resolve {there}:127.0.0.1 ")
            environment = clean_environment(no_proxy="*")
            done = subprocess.run(
                ["bash", "-c", asked], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert matches(answer, done.stdout), (host, ca, done.stderr)
