"""Problems of rules as SARIF 2.1.0, which code hosts show beside the lines of a change.

(https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html)
"""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

from policy_server.rulefiles.problems import Problem, Severity

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"

_KINDS: Final = {
    Severity.ERROR: ("rules-refused", "The rules cannot be used."),
    Severity.WARNING: ("rules-doubtful", "The rules can be used, and may not mean what they seem to."),
    Severity.NOTE: ("rules-not-compared", "Something of the rules could not be looked at."),
}


def sarif(problems: Iterable[Problem]) -> dict[str, Any]:
    """One run with a result for each problem. Files are named as ``check`` names them, from the current folder."""
    kinds = list(_KINDS.values())
    driver = {
        "name": "policy-server",
        "semanticVersion": version("policy-server"),
        "rules": [{"id": name, "shortDescription": {"text": text}} for name, text in kinds],
    }
    results = [_result(problem) for problem in problems]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(problem: Problem) -> dict[str, Any]:
    place = problem.place
    location: dict[str, Any] = {"artifactLocation": {"uri": quote(place.file)}}
    if place.line:
        region = {"startLine": place.line}
        location["region"] = region | ({"startColumn": place.column} if place.column else {})
    return {
        "ruleId": _KINDS[problem.severity][0],
        "ruleIndex": list(_KINDS).index(problem.severity),
        "level": problem.severity.value,
        "message": {"text": problem.said},
        "locations": [{"physicalLocation": location}],
    }
