"""What upstreams answer in a rule test: nobody is asked there."""

from collections.abc import Mapping
from typing import Final

import orjson

from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.decisions import Decision, Forward
from policy_server.policy.upstream_answers import AnswerError, KnownNames, instead, read_answer
from policy_server.policy.upstreams import Upstream
from policy_server.rulefiles.document_nodes import MappingNode, ScalarNode, plain
from policy_server.rulefiles.reader import Table, undefined
from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean

SILENCES: Final = ("late", "down")
"""What stands for an answer that does not come."""


def read_upstream_answers(table: Table, upstreams: Mapping[str, Upstream] | None) -> dict[str, bytes | str]:
    """What each upstream answers, as JSON, or one of SILENCES. ``upstreams`` is ``None`` when any may be meant."""
    answers: dict[str, bytes | str] = {}
    below = table.table("upstream", "answers of upstreams by name, such as {scheduler: late}")
    for entry in below.node.entries if below is not None else ():
        name, node = entry.name, entry.value
        if upstreams is not None and name not in upstreams:
            table.error_at(entry.key.place, undefined("upstream", "upstream", name, upstreams, "upstreams"))
        if isinstance(node, MappingNode):
            try:
                answers[name] = orjson.dumps(plain(node))
            except (TypeError, ValueError):
                table.error_at(node.place, f"the answer of {shown(name)} has a value that JSON does not know")
        elif isinstance(node, ScalarNode) and node.value in SILENCES:
            answers[name] = node.text
        elif below is not None:
            hint = did_you_mean(node.text, SILENCES) if isinstance(node, ScalarNode) else ""
            table.error_at(
                node.place,
                f"the answer of {shown(name)} must be {' or '.join(SILENCES)}, or what it sends, such as "
                f"{{status: success, action: continue, result: {{…}}}}{hint}",
            )
    return answers


def answered_in_test(forward: Forward, request: PolicyRequest, told: bytes | str, names: KnownNames) -> Decision:
    """What becomes of a forwarded question when the upstream answers so."""
    if isinstance(told, str):
        return instead(forward, request.type, f"upstream {shown(forward.upstream.name)} is {told}")
    try:
        return read_answer(forward, request, 200, told, names).decision
    except AnswerError as error:
        return instead(
            forward, request.type, f"upstream {shown(forward.upstream.name)} answers nothing of use: {error}"
        )
