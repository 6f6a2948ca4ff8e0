"""One decision as its page shows it: the question with every parameter, what became of each rule, and what went out."""

from collections.abc import Callable
from typing import Any, Final, TypedDict
from urllib.parse import parse_qsl

import orjson

from policy_server.pexip.field_facts import MASK
from policy_server.pexip.parameters import FOLDED_NAMES, PARAMETERS, PATH_ALIAS, folded
from policy_server.pexip.requests import IDP_PREFIX
from policy_server.policy.decisions import Finding
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Rules
from policy_server.web.admin.decision_rows import Row, row_of
from policy_server.web.admin.question import Tried, without_secrets
from policy_server.web.admin.result import Result, result_of
from policy_server.web.answered import Decided, Failed
from policy_server.web.decision_records import parameters_told
from policy_server.web.recent_decisions import Kept, RecentDecisions, RefusedCaller

MOST_PARAMETERS: Final = 200
"""Parameters of a question that its page shows; Pexip has some sixty, and callers may invent more."""

LONGEST_VALUE: Final = 500
"""Characters of a parameter of a question that nobody understood."""

LONGEST_URL: Final = 6000
"""Characters of the URL under which a question can be tried."""


class Whole(TypedDict):
    """A decision, as JSON: its row, parameters as name, value and meaning, and what the template of results shows.

    ``body`` is what went out where there is no ``result``; ``attempt`` the query of "Try a call", ``call`` the id of its call.
    """

    row: dict[str, Any]
    revision: str
    parameters: list[tuple[str, str, str]]
    more_parameters: int
    result: Result | None
    body: str
    are_gone: bool
    attempt: str
    call: str


class Decisions:
    """Shows decisions that a process has kept."""

    def __init__(self, recent: RecentDecisions, rules: Rules, keyring: Keyring) -> None:
        self._recent: Final = recent
        self._rules: Final = rules
        self._keyring: Final = keyring

    def show(self, decision_id: str) -> Whole | None:
        """The decision with an id; ``None`` where it is not kept here. Takes time by the number of rules: for a thread."""
        kept = self._recent.find(decision_id)
        if kept is None:
            return None
        row = row_of(self._recent, kept)
        if isinstance(kept, RefusedCaller):
            return _whole(row)
        about = kept.about
        if isinstance(about, Failed):
            parameters = [(name, value, _meaning(name)) for name, value in self._misunderstood(kept)]
            return _whole(row, kept, parameters, body=self._body(kept))
        told = parameters_told(about.request, self._recent.hiding(kept))
        parameters = [
            (name, value if isinstance(value, str) else ", ".join(map(str, _list(value))), _meaning(name))
            for name, value in told.items()
            if name != "cut"
        ]
        if cut := told.get("cut"):
            parameters = [
                (name, f"{value} … (cut)" if name in _list(cut) else value, meaning)
                for name, value, meaning in parameters
            ]
        return _whole(
            row, kept, parameters, self._result(kept, about), attempt=self._attempt(kept, about), call=_call(about)
        )

    def _result(self, kept: Kept, about: Decided) -> Result:
        settled, carried = about.settled, about.carried
        notes: list[str] = []
        findings: tuple[Finding, ...] = ()
        if kept.are_gone:
            notes.append(
                f"The rules of revision {kept.revision} are not in memory any more, since others were loaded twice after them: "
                "what became of each rule cannot be told. Try the question to see what the rules of now say."
            )
        else:
            try:
                findings = settled.decision.trace.findings()
            except RuntimeError:
                # What is known of a link may be gone by now, so that a condition which nobody had to ask holds.
                notes.append("What became of each rule cannot be told any more.")
        held = settled.held if settled.held is not None and settled.held.held_at < kept.at else None
        forwards = ""
        if carried is not None:
            detail = f" ({carried.detail})" if carried.detail else ""
            forwards = f"It was forwarded to {carried.upstream}: {carried.how.value}{detail}."
        return result_of(
            settled.decision,
            kept.type,
            findings,
            self._hide(kept),
            answer=self._body(kept),
            about="as it was decided then",
            at=kept.at.isoformat(),
            held=held,
            notes=notes,
            forwards=self._recent.text(kept, forwards),
            call=settled.call,
        )

    def _hide(self, kept: Kept) -> Callable[[str], str]:
        return lambda text: self._recent.text(kept, text)

    def _body(self, kept: Kept) -> str:
        """What went out, without what opens doors."""
        if not kept.body:
            return ""
        return orjson.dumps(self._recent.shown(kept, orjson.loads(kept.body)), option=orjson.OPT_INDENT_2).decode()

    def _misunderstood(self, kept: Kept) -> list[tuple[str, str]]:
        """What a question had that nobody understood: values of parameters that are known and no secret, and names of others."""
        told = [(PATH_ALIAS.name, kept.alias)] if kept.alias else []
        pairs = parse_qsl(kept.query.decode("utf-8", "replace"), keep_blank_values=True, errors="replace")
        for name, value in pairs:
            parameter = PARAMETERS.get(FOLDED_NAMES.get(folded(name), ""))
            is_shown = parameter is not None and not parameter.secret
            told.append((parameter.name if parameter is not None else name, value if is_shown else MASK))
        return [
            (self._recent.text(kept, name[:LONGEST_VALUE]), self._recent.text(kept, value)[:LONGEST_VALUE])
            for name, value in told
        ]

    def _attempt(self, kept: Kept, about: Decided) -> str:
        fields = list(about.request.present().items())
        fields += [
            (IDP_PREFIX + name, value) for name, values in about.request.idp_attributes.items() for value in values
        ]
        tried = Tried(kept.type, tuple(fields), kept.at.isoformat(timespec="milliseconds"))
        url = without_secrets(tried, self._rules.ruleset, self._keyring).url
        return url if len(url) <= LONGEST_URL else ""


def _whole(
    row: Row,
    kept: Kept | None = None,
    parameters: list[tuple[str, str, str]] | None = None,
    result: Result | None = None,
    *,
    body: str = "",
    attempt: str = "",
    call: str = "",
) -> Whole:
    told = parameters or []
    return {
        "row": row._asdict(),
        "revision": kept.revision if kept is not None else "",
        "parameters": told[:MOST_PARAMETERS],
        "more_parameters": max(0, len(told) - MOST_PARAMETERS),
        "result": result,
        "body": body,
        "are_gone": kept is not None and kept.are_gone,
        "attempt": attempt,
        "call": call,
    }


def _call(about: Decided) -> str:
    settled = about.settled
    return settled.held.id if settled.held is not None else settled.call


def _meaning(name: str) -> str:
    if name == PATH_ALIAS.name:
        return PATH_ALIAS.meaning
    parameter = PARAMETERS.get(name)
    return parameter.meaning if parameter is not None else ""


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]
