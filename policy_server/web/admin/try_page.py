"""What the page "Try a call" shows: what ``explain`` says of a question, by the same code, of this server at this moment."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from operator import itemgetter
from typing import Any, Final

import orjson

from policy_server.conferences.explaining import Explained, Moment, decide, look
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.parameters import parameters_of
from policy_server.pexip.query import QuestionError
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import parse_request
from policy_server.policy.answers import failure_answer, render_answer
from policy_server.policy.decisions import Forward
from policy_server.policy.link_attributes import CUSTOMERS_NAME, attribute_faults, completed
from policy_server.policy.links import CustomerLink, link_of
from policy_server.policy.names import NONCE_BYTES, Keyring, Role
from policy_server.policy.ruleset import Rules, Ruleset, ServeOutcome
from policy_server.rulefiles.ruletest_links import LINK_STATES, TestLink
from policy_server.telephony.trunks import dial_string
from policy_server.web.admin.question import INVALID, Tried, from_form, from_pasted, from_url, without_secrets
from policy_server.web.admin.result import result_of
from policy_server.web.questions import NoQuestionError
from policy_server.wording.moments import FIRST_YEAR, LAST_YEAR, MOMENT, parse_moment
from policy_server.wording.values import shown
from policy_server.wording.words import listed, one_of

_STATES_WITHOUT_WINDOW: Final = tuple(state for state in LINK_STATES if state != "early")

Page = Callable[[], Mapping[str, Any]]
"""Makes the values of the page, in a thread: reasons are worked out when they are asked for."""


@dataclass(frozen=True, slots=True)
class _Supposed:
    """The moment, the names that stand for placeholders, and the attributes of the link; ``faults`` is what is wrong."""

    when: Moment
    names: Mapping[str, str]
    attributes: Mapping[str, str]
    faults: tuple[str, ...]


class Tries:
    """Explains questions by the rules that run and what the database of the server knows; changes nothing, asks nobody."""

    def __init__(
        self,
        rules: Rules,
        keyring: Keyring,
        store: ConferenceStore,
        lifetime: timedelta,
        on_failure: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._rules: Final = rules
        self._keyring: Final = keyring
        self._store: Final = store
        self._lifetime: Final = lifetime
        self._on_failure: Final = on_failure
        self._clock: Final = clock

    def asked(self, form: Mapping[str, str]) -> str | Page:
        """The query of the URL at which a posted question is explained, or a page that says why it is none."""
        ruleset = self._rules.ruleset
        pasted = form.get("pasted", "").strip()
        try:
            tried = from_pasted(pasted, ruleset, self._keyring) if pasted else from_form(form)
        except NoQuestionError as error:
            # What was pasted may have a link in it.
            return partial(self._page, ruleset, None, [ruleset.mask.text(str(error), self._keyring)])
        except QuestionError as error:
            return partial(self._page, ruleset, None, [self._misunderstood(error)])
        if tried is None:
            return partial(self._page, ruleset, None, ["choose a question"])
        return without_secrets(tried, ruleset, self._keyring).url

    async def explain(self, pairs: Iterable[tuple[str, str]]) -> str | Page:
        """The page of a question in a URL, or without one the page to begin with; or the query to have it at instead, when
        this one has something in it that opens a door.
        """
        ruleset = self._rules.ruleset
        tried = from_url(pairs)
        if tried is None:
            return partial(self._page, ruleset, None, [])
        safe = without_secrets(tried, ruleset, self._keyring)
        if safe != tried:
            return safe.url
        supposed = self._suppose(tried, ruleset)
        if supposed.faults:
            return partial(self._page, ruleset, tried, supposed.faults)
        query, alias = tried.filled(supposed.names)
        try:
            request = parse_request(tried.type, query.encode(), alias)
        except QuestionError as error:
            return partial(self._page, ruleset, tried, [self._misunderstood(error)])
        looked_at = await look(lambda: nullcontext(self._store), tried.type, supposed.when, self._lifetime)
        explained = await decide(ruleset, request, supposed.when, self._keyring, looked_at, supposed.attributes)
        return partial(self._explained, ruleset, tried, supposed.when, explained)

    def _misunderstood(self, error: QuestionError) -> str:
        answer = failure_answer(self._on_failure)
        return f"the question cannot be understood: {error}; the node gets {orjson.dumps(answer).decode()}"

    def _suppose(self, tried: Tried, ruleset: Ruleset) -> _Supposed:
        faults: list[str] = []
        at = parse_moment(tried.at) if tried.at else None
        if tried.at and (at is None or not FIRST_YEAR < at.year < LAST_YEAR):
            faults.append(f"the time must be {MOMENT} but is {shown(tried.at)}")
            at = None
        when = Moment(at or self._clock(), at is None)
        attributes = dict(filter(itemgetter(0), map(_pair, tried.attributes)))
        faults += [
            f"an attribute is written NAME=VALUE but is {shown(text)}"
            for text in tried.attributes
            if not _pair(text)[0]
        ]
        link = self._link(tried, ruleset, when, faults)
        names = {"invalid": INVALID}
        if link is not None:
            call = link.call
            names |= {"alias": link.alias, "agent_alias": link.agent_alias, "call": call.id}
            names |= {Role.SESSION.value: call.session, Role.AGENT.value: call.agent}
            kind = ruleset.links[link.type]
            given = {name: value for name, value in attributes.items() if name != CUSTOMERS_NAME}
            is_whole = not tried.call and tried.link_state != "invalid"
            faults += [fault for _, fault in attribute_faults(kind.name, kind.attributes, given, whole=is_whole)]
            if not tried.call:
                attributes = dict(completed(kind.attributes, attributes))
        if absent := tried.placeholders - names.keys():
            words = listed(f"{{{name}}}" for name in sorted(absent))
            faults.append(
                f"{words} stands for a name of a link: choose a link type, or paste a question that has a link"
            )
        return _Supposed(when, names, attributes, tuple(faults))

    def _link(self, tried: Tried, ruleset: Ruleset, when: Moment, faults: list[str]) -> CustomerLink | None:
        call = self._keyring.open(tried.call, Role.CALL, ruleset.links) if tried.call else None
        if call is not None:
            return link_of(ruleset.links[call.type], call)
        if not tried.link_type:
            return None
        kind = ruleset.links.get(tried.link_type)
        if kind is None:
            faults.append(one_of("the link type", tuple(ruleset.links), tried.link_type))
            return None
        states = LINK_STATES if kind.window is not None else _STATES_WITHOUT_WINDOW
        state = tried.link_state or "valid"
        if state not in states:
            faults.append(one_of(f"the state of a link of type {shown(kind.name)}", states, state))
            return None
        # The same link whenever this question is tried; it is stored nowhere, and its names are not shown.
        nonce = sha256(b"a link to try" + kind.name.encode("utf-8", "replace")).digest()[:NONCE_BYTES]
        return TestLink(kind.name, state).make(kind, self._keyring, when.at, nonce)

    def _explained(self, ruleset: Ruleset, tried: Tried, when: Moment, explained: Explained) -> Mapping[str, Any]:
        decision = explained.decision
        forwards, answer = "", ""
        if isinstance(decision, Forward):
            upstream = decision.upstream
            forwards = f"would be forwarded to {shown(upstream.name)} ({upstream.url}), which is not asked from here"
        elif (to_node := render_answer(tried.type, decision, self._on_failure)) is not None:
            told = explained.rooms.shown(ruleset, to_node, explained.call)
            answer = orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()
        result = result_of(
            decision,
            tried.type,
            decision.trace.findings(),
            lambda text: ruleset.mask.text(text, self._keyring, explained.call),
            answer=answer,
            about=explained.looked_at.told(when),
            at=when.at.isoformat(),
            held=explained.held,
            notes=(*tried.notes, *explained.notes),
            forwards=forwards,
            call=explained.call,
        )
        return {**self._page(ruleset, tried, []), "result": result}

    def _page(self, ruleset: Ruleset, tried: Tried | None, faults: Iterable[str]) -> Mapping[str, Any]:
        return {
            "revision": ruleset.revision,
            "tried": tried or Tried(RequestType.SERVICE),
            "has_question": tried is not None,
            "faults": list(faults),
            "result": None,
            "kinds": [(kind.value, kind.about.asks) for kind in RequestType],
            "link_types": list(ruleset.links),
            "states": LINK_STATES,
            "presets": presets(ruleset),
            "parameters": [
                (parameter.name, parameter.meaning)
                for parameter in parameters_of((tried or Tried(RequestType.SERVICE)).type)
                if not parameter.secret
            ],
        }


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return (name.strip(), value.strip()) if equals else ("", "")


def presets(ruleset: Ruleset) -> list[tuple[str, str]]:
    """Questions to begin with, each with the query of its URL: by the first link type, trunk and domain of the rules."""
    kind = next((link for link in ruleset.links.values() if not link.joins), None)
    domain = min(ruleset.domains, default="example.com")
    link_type = kind.name if kind is not None else ""
    attributes = tuple(
        f"{attribute.name}={next(iter(attribute.values), '')}"
        for attribute in ((kind.attributes if kind is not None else None) or {}).values()
        if attribute.required
    )
    alias = "{alias}" if link_type else f"meet@{domain}"
    service, browser = RequestType.SERVICE, (("call_direction", "dial_in"), ("protocol", "webrtc"))
    found = [
        ("Customer in a browser", Tried(service, (*browser, ("local_alias", alias)))),
        (
            "SIP room system",
            Tried(
                service,
                (
                    ("call_direction", "dial_in"),
                    ("protocol", "sip"),
                    ("local_alias", f"sip:meet@{domain}"),
                    ("remote_alias", f"sip:room-7@{domain}"),
                    ("remote_display_name", "Room 7"),
                    ("remote_address", "192.0.2.10"),
                    ("registered", "False"),
                ),
            ),
        ),
        ("Leg out of a room", _leg(ruleset)),
        ("Registration", Tried(RequestType.REGISTRATION, (("alias", f"kiosk-1@{domain}"), ("protocol", "sip")))),
    ]
    if kind is not None and kind.agent_alias is not None:
        found.insert(1, ("Agent in the widget", Tried(service, (*browser, ("local_alias", "{agent_alias}")))))
    # Only who asks for a link's names supposes one.
    return [
        (name, (replace(tried, link_type=link_type, attributes=attributes) if tried.placeholders else tried).url)
        for name, tried in found
    ]


def _leg(ruleset: Ruleset) -> Tried:
    """A question about a leg of the first room that has one and can be told by the call alone."""
    fields = {"call_direction": "dial_out", "protocol": "sip", "service_name": "Meeting"}
    fields["remote_alias"] = next(
        (dial_string(trunk).remote_alias for trunk in ruleset.trunks.values()), "+13125550100"
    )
    for rule in ruleset.lists[RequestType.SERVICE].rules:
        service = rule.outcome.service if isinstance(rule.outcome, ServeOutcome) else None
        name = service.fields.template("name") if service is not None and service.legs else None
        if service is not None and name is not None and {*name.names} == {"call"}:
            tag = service.fields.template("service_tag")
            fields |= {
                "service_name": name.source,
                "service_tag": tag.source if tag is not None and not tag.names else "",
            }
            if (trunk := service.legs[0].trunk) is not None:
                fields["remote_alias"] = dial_string(trunk).remote_alias
            break
    return Tried(RequestType.SERVICE, tuple(pair for pair in fields.items() if pair[1]))
