"""``schema``: the JSON Schema of a rule file on standard output."""

import yaml
from jsonschema import Draft202012Validator

from tests.cli.commands import BAD_RULES, RULES, printed_json, run


def test_schema() -> None:
    """The schema is one JSON object that is a valid schema, and needs no rules and no settings."""
    result = run("schema")
    assert (result.exit_code, result.stderr) == (0, "")
    schema = printed_json(result)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_schema_knows_good_from_bad() -> None:
    """Good rules satisfy it; a key that does not exist does not."""
    validator = Draft202012Validator(printed_json(run("schema")))
    assert validator.is_valid(yaml.safe_load(RULES))
    assert not validator.is_valid(yaml.safe_load(RULES.replace("local_alias: vip", "lokal_alias: vip")))
    assert not validator.is_valid(yaml.safe_load(BAD_RULES))
