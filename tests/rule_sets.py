"""Rule sets out of YAML text, and questions put to them: what tests of the evaluator begin with."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from textwrap import dedent

import pytest
from PIL import Image

from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import PolicyRequest, encode_query, parse_request
from policy_server.policy.decisions import Decision, Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.facts import Facts
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.load import load_rules
from policy_server.rulefiles.merge import RuleFiles

SECRET = b"the secret key of every rule test"
KEYRING = Keyring(SECRET)
NOON = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
"""A Monday, 12:00 in Chicago."""
CALL = KEYRING.sign("patient", datetime(2026, 11, 23, 22, 0, tzinfo=UTC), b"1234")
"""A call of link type ``patient`` whose door is open for four hours from NOON."""
SESSION = CALL.session
AGENT_KEY = CALL.agent
CALL_ID = CALL.id

NO_ATTRIBUTES: Mapping[str, str] = {}


def load(
    text: str,
    *,
    pictures: Mapping[str, bytes] | None = None,
    tables: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ruleset:
    """Compile the rules of a text; problems that refuse them fail the test. ``tables`` are CSV files by their path."""
    sheets = {path: sheet.encode() for path, sheet in (tables or {}).items()}
    files = RuleFiles({"rules/test.yaml": dedent(text).encode()}, pictures or {}, tables=sheets)
    loaded = load_rules(files, NOON, environment=environment)
    if loaded.ruleset is None:
        pytest.fail("\n".join(str(problem) for problem in loaded.problems))
    return loaded.ruleset


def picture() -> bytes:
    """A JPEG, as small as they come."""
    file = BytesIO()
    Image.new("RGB", (2, 2)).save(file, "JPEG")
    return file.getvalue()


def request(kind: str, fields: Mapping[str, str | Iterable[str]]) -> PolicyRequest:
    """Make a question out of its parameters; ``alias`` is the alias of the path, a list repeats its key."""
    query = encode_query({name: value for name, value in fields.items() if name != "alias"})
    return parse_request(RequestType(kind), query.encode(), str(fields.get("alias", "")))


def facts(kind: str = "service", ruleset: Ruleset | None = None, **fields: str | Iterable[str]) -> Facts:
    """Put a question at NOON as conditions see it."""
    return Facts(request(kind, fields), NOON, KEYRING, ruleset or _some_rules())


@cache
def _some_rules() -> Ruleset:
    return load("service: [{ id: any, continue: true }]")


def ask(
    ruleset: Ruleset,
    kind: str,
    at: datetime = NOON,
    link: Mapping[str, str] = NO_ATTRIBUTES,
    **fields: str | Iterable[str],
) -> Decision:
    """Decide a question of some parameters; ``link`` holds the attributes of the customer's link."""
    return evaluate(ruleset, request(kind, fields), at, KEYRING, link)


def served(decision: Decision) -> dict[str, object]:
    """The service of a decision that serves one; any other fails the test."""
    if not isinstance(decision, Serve):
        pytest.fail(f"not served: {decision}")
    return decision.service
