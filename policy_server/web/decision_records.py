"""What a line of the decision log says: for people what they look for, for programs the whole question and its answer.

A line for programs holds all that the decision depended on, so that it can be decided again (``conferences.replay``):
``read_record`` is what it reads. PINs, passwords and passcodes are masked, and names of calls that open doors.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from policy_server.conferences.records import Link
from policy_server.conferences.replay import WITHDRAWN, Logged
from policy_server.conferences.rooms import Settled
from policy_server.pexip.field_facts import MASK
from policy_server.pexip.parameters import FOLDED_NAMES, PATH_ALIAS, SECRET_PARAMETERS, folded
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import IDP_PREFIX, PolicyRequest
from policy_server.policy.answers import answered
from policy_server.policy.asked import link_attributes_asked
from policy_server.policy.decisions import Fail, Serve, SetProperties
from policy_server.policy.facts import attributes_of
from policy_server.policy.masking import Hiding
from policy_server.policy.names import NAME_LENGTH
from policy_server.policy.personal import without_people
from policy_server.policy.ruleset import Ruleset
from policy_server.upstreams.client import Carried
from policy_server.wording.moments import to_the_millisecond

SCHEMA: Final = 1
"""The version of a line for programs. A field that means something else makes it a new one; a new field does not."""

MADE: Final = "decision.made"
FAILED: Final = "decision.failed"
REFUSED: Final = "access.refused"

FIELDS: Final[Mapping[str, str]] = {
    "time": "when the question was decided",
    "decision_id": "the id that is in the answer too, and so in Pexip's support log",
    "ms": "milliseconds from the question to its answer",
    "event": f"`{MADE}`, `{FAILED}` (no decision: a question that cannot be read, an error of ours) or `{REFUSED}` (wrong or "
    "no credentials, at any door)",
    "schema": f"the version of the line: {SCHEMA}",
    "question": "`service`, `participant`, `location`, `avatar`, `directory` or `registration`",
    "outcome": "`serve`, `redirect`, `reject`, `set`, `locate`, `allow`, `list`, `picture`, `continue` or `fail`; of a "
    "question without a decision `misunderstood` or `error`",
    "rule": "the rule that decided; `null` for none",
    "revision": "the revision of the rules",
    "reason": "why there is no decision or nobody was let in, or what a rejected caller is told",
    "action": "of the answer",
    "result": "of the answer",
    "ignore_local": "of the answer to a search in the directory",
    "picture": "the file of the rules folder that was shown",
    "upstream": "the policy server to which the question was forwarded",
    "upstream_outcome": "what became of it there",
    "call": "the call id of the link that was dialled",
    "joins": "the call id of the call that its link joins",
    "conference": "the id of the conference that holds the room, of a service",
    "held": "since when; the `time` of the line itself for the question that began the conference",
    "running": "the ids of other conferences that ran, to which the alias or the link had led",
    "link_attributes": "what the link was given, as far as rules ask for it; `null` for what it was not given",
    "joins_attributes": "what the link was given whose call is joined",
    "link_revoked": "when the link had been revoked",
    "link_moved": "when it had been moved to another time",
    "joins_revoked": "when the link had been revoked whose call is joined",
    "joins_moved": "when that had been moved",
    "cut": "parameters that were longer than a line keeps",
    "masked": "`true` where `POLICY_LOG_PII` is `false`",
    "node": "who asked",
    "door": "where somebody was refused",
    "address": "of whoever was refused",
}
"""Every field of a line beside the parameters of the question, which have Pexip's names."""

LOGGED: Final = ("call_direction", "protocol", "location", "local_alias", "remote_alias", "service_name", "alias")
LOGGED_LENGTH: Final = 250
"""Parameters of a question that a line for people and a timeline show, each cut to so many characters."""

LOGGED_OF_CALLER: Final = ("remote_address", "vendor")
"""Further ones that only the log shows: operators look for a scanner; agents, who read timelines, need no addresses."""

CALLER_NAME: Final = "remote_display_name"
"""One that only timelines and lines for programs show."""

_KNOWN: Final = frozenset({*LOGGED, *LOGGED_OF_CALLER})
_WITH_RESULT: Final = (Serve, SetProperties)
"""Decisions of which people are told the result."""


VALUE_LENGTH: Final = 2000
"""Characters of a parameter that a line for programs keeps."""


def decision_record(
    request: PolicyRequest, settled: Settled, carried: Carried | None, revision: str, hiding: Hiding
) -> dict[str, object]:
    """What there is to say of a decision to people, but for who asked."""
    decision = settled.decision
    record: dict[str, object] = {
        "question": request.type.value,
        "outcome": decision.word,
        "rule": decision.rule,
        "revision": revision,
    }
    if carried is not None:
        record["upstream"], record["upstream_outcome"] = carried.upstream, carried.how.value
        if carried.detail:
            record["reason"] = hiding.text(carried.detail)
    record |= texts_told(LOGGED, request, hiding)
    if isinstance(decision, Serve):
        record["result"] = hiding.fields(decision.service)
    elif isinstance(decision, SetProperties):
        record["result"] = hiding.fields(decision.properties)
    elif isinstance(decision, Fail):
        record["reason"] = hiding.text(decision.reason)
    if settled.call:
        record["call"] = settled.call
    if settled.joining and settled.key != settled.call:
        record["joins"] = settled.key
    return record


def texts_told(names: Iterable[str], request: PolicyRequest, hiding: Hiding) -> dict[str, str]:
    """Some parameters of a question as people read them: those that it has, cut to ``LOGGED_LENGTH`` characters."""
    texts = request.texts
    # Most are too short to be cut, or to have a name in them.
    return {
        name: value if len(value) < NAME_LENGTH else hiding.text(value[:LOGGED_LENGTH])
        for name in names
        if (value := texts.get(name))
    }


class LinksAsked(NamedTuple):
    """What was known of the link that a decision is about, and of the one of the call that it joins."""

    own: Link | None = None
    joined: Link | None = None


def links_asked(settled: Settled, find_link: Callable[[str], Link | None]) -> LinksAsked:
    """Those of a decision, to be looked up when it is made: a moment later one may have been revoked."""
    call = _call_of(settled)
    if not call:
        return LinksAsked()
    return LinksAsked(find_link(call), find_link(settled.key) if settled.joining and settled.key != call else None)


class Wholes:
    """The further fields of lines for programs."""

    def __init__(self) -> None:
        self._revision = ""
        self._asked: dict[RequestType, tuple[str, ...]] = {}

    def further(
        self, request: PolicyRequest, settled: Settled, ruleset: Ruleset, links: LinksAsked, hiding: Hiding
    ) -> dict[str, object]:
        """What a program has to know beside ``decision_record``: of its fields those that say more here."""
        return further_fields(request, settled, links, lambda: self._link_attributes(ruleset, request.type), hiding)

    def _link_attributes(self, ruleset: Ruleset, request_type: RequestType) -> tuple[str, ...]:
        if self._revision != ruleset.revision:
            self._revision, self._asked = ruleset.revision, {}
        asked = self._asked.get(request_type)
        if asked is None:
            asked = self._asked[request_type] = tuple(sorted(link_attributes_asked(ruleset, request_type)))
        return asked


def further_fields(
    request: PolicyRequest, settled: Settled, links: LinksAsked, asked: Callable[[], Iterable[str]], hiding: Hiding
) -> dict[str, object]:
    """The same; ``asked`` are the attributes of links that are told."""
    answer = answered(request.type, settled.decision)
    if isinstance(settled.decision, _WITH_RESULT):
        del answer["result"]
    record = {"schema": SCHEMA, **hiding.fields(answer), **parameters_told(request, hiding, _KNOWN)}
    if settled.held is not None:
        record["conference"] = settled.held.id
        record["held"] = to_the_millisecond(settled.held.held_at)
    if settled.running:
        record["running"] = settled.running
    if _call_of(settled):
        link, joined = links
        if names := tuple(asked()):
            given: dict[str, object] = {"link_attributes": _given(names, link)}
            if joined is not None or (settled.joining and settled.key != settled.call):
                given["joins_attributes"] = _given(names, joined)
            record |= hiding.fields(given)
        for whose, one in (("link", link), ("joins", joined)):
            if one is not None and one.withdrawn_at is not None:
                record |= _withdrawn(whose, one)
    return record


def _call_of(settled: Settled) -> str:
    """The call whose link a decision is about; ``""`` for none."""
    return settled.call or (settled.decision.call if isinstance(settled.decision, Serve) else "")


def _given(asked: Iterable[str], link: Link | None) -> dict[str, str | None]:
    known = attributes_of(link)
    return {name: known.get(name) for name in asked}


def _withdrawn(whose: str, link: Link) -> dict[str, str]:
    times = {f"{whose}_revoked": link.revoked_at, f"{whose}_moved": link.moved_at}
    return {name: to_the_millisecond(at) for name, at in times.items() if at is not None}


def refusal_record(at: datetime, door: str, address: str, reason: str) -> dict[str, object]:
    """What there is to say of somebody who was not let in."""
    time = to_the_millisecond(at)
    return {"time": time, "event": REFUSED, "schema": SCHEMA, "door": door, "address": address, "reason": reason}


def told_without_people(record: Mapping[str, object], call: str) -> dict[str, object]:
    """A line without names and addresses of people (``POLICY_LOG_PII=false``)."""
    return {**without_people(record, call), "masked": True}


def parameters_told(request: PolicyRequest, hiding: Hiding, known: Container[str] = ()) -> dict[str, object]:
    """The parameters of a question, long ones cut, secrets masked. Those that are ``known`` are left out where
    ``LOGGED_LENGTH`` characters are all of them.
    """
    found: dict[str, object] = {}
    cut = []
    for name, value in request.texts.items():
        length = len(value)
        if not length or (name in known and length <= LOGGED_LENGTH) or name in SECRET_PARAMETERS:
            continue
        found[name] = value if length < NAME_LENGTH else hiding.text(value[:VALUE_LENGTH])
        if length > VALUE_LENGTH:
            cut.append(name)
    for name in SECRET_PARAMETERS:
        if request.text(name):
            found[name] = MASK
    for attribute, values in request.idp_attributes.items():
        name = hiding.text(IDP_PREFIX + attribute)
        if any(len(value) > VALUE_LENGTH for value in values):
            cut.append(name)
        found[name] = [hiding.text(value[:VALUE_LENGTH]) for value in values]
    return {**found, "cut": cut} if cut else found


def read_record(record: Mapping[str, Any]) -> Logged | str:
    """A line for programs, read again; or which kind of line it is instead, in a few words."""
    event = record.get("event")
    if event != MADE:
        known = {FAILED: "no decision", REFUSED: "somebody refused"}
        return known.get(event, "another kind of line") if isinstance(event, str) else "another kind of line"
    if record.get("schema") != SCHEMA or isinstance(record["schema"], bool):
        return "a line for people" if "schema" not in record else "another version of the log"
    try:
        return _logged(record)
    except (KeyError, TypeError, ValueError, AttributeError):
        return "a damaged line"


def _logged(record: Mapping[str, Any]) -> Logged:
    request_type, at = RequestType(record["question"]), _moment(record["time"])
    upstream = str(record.get("upstream", ""))
    # Of an upstream it may be what was wrong with it.
    said = ("action", "result", "ignore_local", "picture", *(() if upstream else ("reason",)))
    return Logged(
        at=at,
        decision_id=str(record["decision_id"]),
        type=request_type,
        fields={name: _texts(value) for name, value in record.items() if is_parameter(name)},
        outcome=str(record["outcome"]),
        rule=None if record["rule"] is None else str(record["rule"]),
        revision=str(record["revision"]),
        answer={name: record[name] for name in said if name in record},
        upstream=upstream,
        call=str(record.get("call", "")),
        conference=str(record.get("conference", "")),
        held=_moment(record["held"]) if "held" in record else None,
        running=frozenset(map(str, record.get("running", ()))),
        link_attributes=_attributes(record.get("link_attributes", {})),
        joins_attributes=_attributes(record.get("joins_attributes", {})),
        joins=str(record.get("joins", "")),
        withdrawn={name: _moment(record[name]) for name in WITHDRAWN if name in record},
        cut=frozenset(map(str, record.get("cut", ()))),
        is_masked=record.get("masked") is True,
    )


def is_parameter(name: str) -> bool:
    """Whether a field is a parameter of a question, or the alias of its path."""
    return name == PATH_ALIAS.name or folded(name) in FOLDED_NAMES or name.startswith(IDP_PREFIX)


def _attributes(told: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: None if value is None else str(value) for name, value in told.items()}


def _texts(value: object) -> str | tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else str(value)


def _moment(text: object) -> datetime:
    found = datetime.fromisoformat(str(text))
    if found.tzinfo is None:
        raise ValueError("a moment without an offset")
    return found
