"""What a Conferencing Node asked: the request type in the path and the parameters in the query.

(pexip/README.md: The six questions, Encoding)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from policy_server.pexip.request_types import ROOT, RequestType


@dataclass(frozen=True, slots=True)
class Question:
    """A request type and its parameters; of a parameter given twice, the first value."""

    request_type: RequestType
    parameters: Mapping[str, str]

    def value(self, parameter: str) -> str:
        """The parameter's text; a missing parameter is the same as an empty one."""
        return self.parameters.get(parameter, "")

    @property
    def dials_out(self) -> bool:
        """Whether Pexip is about to place a call out of a service that runs already."""
        return self.value("call_direction") == "dial_out"


# An alias is one raw segment: a slash inside it arrives as %2F. Profile URLs with a path or a trailing slash
# put something in front; the pattern therefore fixes the end of the path only.
_ROOT = ROOT.decode().lstrip("/")
_PATTERNS = tuple(
    (kind, re.compile(rf"(?:^|/){(_ROOT + kind.about.path).replace('/', '/+')}{'[^/]+' * kind.about.has_alias}/*\Z"))
    for kind in RequestType
)


def parse_question(path: str, query: str) -> Question | None:
    """The question of a raw path and a raw query string; None when no node asks such a path."""
    for request_type, pattern in _PATTERNS:
        if pattern.search(path):
            return Question(request_type, _parameters(query))
    return None


def _parameters(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query.removeprefix("?"), keep_blank_values=True, errors="replace"):
        parameters.setdefault(name, value)
    return parameters
