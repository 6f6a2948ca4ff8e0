"""Reading an HTTP answer as far as the envelope: the transport and rules ENV-3 and ENV-4.

(pexip/README.md: Envelope, What voids an answer)
"""

import json
import re
from collections.abc import Mapping

from policy_server.simulator.judge.findings import LONGEST_STRING, Findings, shortened, strings
from policy_server.simulator.judge.verdict import HttpAnswer

TIMEOUT_SECONDS = 5.0
_FIELD_NAME = re.compile(r"[a-z_]{1,60}")
_STATUS_REASONS = {
    401: "HTTP 401: the server did not accept the username and password of the node's policy profile",
    403: "HTTP 403: the server refuses this node",
}


class _AmbiguousJsonError(ValueError):
    """A JSON document that two parsers could read differently; the message is a clause of a reason."""


def check_transport(answer: HttpAnswer, findings: Findings) -> bool:
    """Whether the answer arrived in time and with a status that a node reads (200 or 404)."""
    if not answer.seconds <= TIMEOUT_SECONDS:
        findings.refuse(
            "ENV-4",
            "",
            f"The answer took {answer.seconds:.1f} seconds; a node waits {TIMEOUT_SECONDS:.0f} seconds and then"
            " decides without it.",
        )
        return False
    if answer.status in (200, 404):
        return True
    if 300 <= answer.status < 400:
        reason = f"HTTP {answer.status}: a node does not follow redirects; put the final URL into the policy profile"
    else:
        reason = _STATUS_REASONS.get(
            answer.status, f"HTTP {answer.status}: a node uses the body of an answer only with HTTP 200"
        )
    findings.refuse("ENV-4", "", reason + ".")
    return False


def read_json(answer: HttpAnswer, findings: Findings) -> object:
    """The JSON document in the body; None, with an objection, when it cannot be read as exactly one thing."""
    media_type = answer.content_type.partition(";")[0].strip().lower()
    try:
        document: object = json.loads(
            answer.body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except _AmbiguousJsonError as problem:
        findings.refuse("ENV-4", "", f"The body is not usable JSON: {problem}.")
        return None
    except UnicodeDecodeError:
        findings.refuse("ENV-4", "", "The body is not JSON: it is not UTF-8 text.")
        return None
    except json.JSONDecodeError as problem:
        findings.refuse("ENV-4", "", f"The body is not JSON: {_json_problem(answer, media_type, problem)}.")
        return None
    except RecursionError:
        findings.refuse("ENV-4", "", "The body is not usable JSON: it is nested too deeply.")
        return None
    except ValueError:
        findings.refuse("ENV-4", "", "The body is not usable JSON: a number in it has too many digits.")
        return None
    if media_type != "application/json":
        is_what = f"is '{shortened(media_type)}'" if media_type else "is missing"
        findings.refuse("ENV-4", "", f"The Content-Type must be application/json but {is_what}.")
    return document


def check_lengths(document: Mapping[str, object], findings: Findings) -> None:
    """Check ENV-3 for every string of the answer, documented or not."""
    for where, value in strings(document):
        if len(value) > LONGEST_STRING:
            findings.refuse(
                "ENV-3",
                where,
                f"{where.rpartition('.')[2]} is {len(value)} characters long; at most {LONGEST_STRING} are allowed.",
            )


def _json_problem(answer: HttpAnswer, media_type: str, problem: json.JSONDecodeError) -> str:
    if not answer.body.strip():
        return "it is empty"
    if "html" in media_type or answer.body.lstrip()[:1] == b"<":
        return "it looks like a web page"
    return f"{problem.msg} at line {problem.lineno}, column {problem.colno}"


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record: dict[str, object] = {}
    for name, value in pairs:
        if name in record:
            key = name if _FIELD_NAME.fullmatch(name) else "a key"
            raise _AmbiguousJsonError(f"{key} occurs twice in one object")
        record[name] = value
    return record


def _no_constant(word: str) -> object:
    raise _AmbiguousJsonError(f"{word} is not a JSON number")
