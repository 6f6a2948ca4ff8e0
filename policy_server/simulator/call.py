"""One customer's call as a Conferencing Node plays it, each answer judged and checked against what the call needs."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from policy_server.pexip.parameters import RequestType
from policy_server.policy.links import CustomerLink
from policy_server.simulator.node import ConferencingNode, Exchange, dial_out_question, service_fields, web_question

CUSTOMER: Final = "Ada L"
AGENT: Final = "Agent: Maria Silva"

# The only fields that answers for one service may differ in, and the list that is read when the room starts
# (reference: pexip-policy-responses.md, section 1).
_MAY_DIFFER: Final = frozenset(
    {
        "automatic_participants",
        "guest_identity_provider_group",
        "guest_pin",
        "host_identity_provider_group",
        "max_callrate_in",
        "max_callrate_out",
        "pin",
    }
)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that the call needs, and whether the answer gave it."""

    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange of the call with what was expected of it."""

    title: str
    exchange: Exchange
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether a node would use the answer, and the call goes on as it should."""
        return self.exchange.verdict.used and all(check.passed for check in self.checks)


async def play_call(node: ConferencingNode, link: CustomerLink) -> AsyncIterator[Step]:
    """A customer on a good link, the leg to the contact centre, and the agent.

    Ends after the first question if no answer comes at all.
    """
    exchange = await node.ask(RequestType.SERVICE, web_question(link.alias, CUSTOMER))
    service = exchange.result
    legs = _legs(service)
    yield Step(
        "The customer opens the link: which service is that alias?",
        exchange,
        (
            Check(exchange.verdict.outcome == "service", "a meeting room"),
            Check(len(legs) > 0, "with the contact centre's number as automatic participant"),
        ),
    )
    if exchange.unreachable:
        return
    for participant_type, protocol in (("api", "api"), ("standard", "webrtc")):
        question = web_question(
            link.alias,
            CUSTOMER,
            protocol=protocol,
            participant_type=participant_type,
            preauthenticated_role="guest",
            **service_fields(service),
        )
        exchange = await node.ask(RequestType.PARTICIPANT, question)
        title = f"The customer joins ({participant_type}): any changes to the participant?"
        may_join = Check(exchange.verdict.outcome in {"continue", "properties"}, "the customer may join")
        yield Step(title, exchange, (may_join,))
    question = web_question(link.alias, CUSTOMER, protocol="webrtc", proxy_node_address="", **service_fields(service))
    yield Step("Where shall the customer's media go?", await node.ask(RequestType.LOCATION, question), ())
    for leg in legs:
        exchange = await node.ask(RequestType.SERVICE, dial_out_question(leg, service), running=service)
        yield Step(
            f"Ten seconds later the room dials {leg.get('remote_alias')}: which service is that?",
            exchange,
            (Check(_same(service, exchange.result), "the same room"),),
        )
    if link.agent_alias:
        exchange = await node.ask(RequestType.SERVICE, web_question(link.agent_alias, AGENT))
        room = exchange.result
        yield Step(
            "The agent's widget joins by video: which service is the agent's alias?",
            exchange,
            (
                Check(_same(service, room), "the same room"),
                Check(bool(room) and room.get("pin") == service.get("pin"), "with the same host PIN"),
                Check(bool(room) and not _legs(room), "and nobody to dial"),
            ),
        )


async def play_closed_door(node: ConferencingNode, link: CustomerLink, title: str) -> Step:
    """A customer whom the rules do not let in."""
    exchange = await node.ask(RequestType.SERVICE, web_question(link.alias, CUSTOMER))
    return Step(title, exchange, (Check(exchange.verdict.outcome == "reject", "the call is refused"),))


def _legs(service: Mapping[str, object]) -> list[Mapping[str, object]]:
    legs = service.get("automatic_participants")
    return [leg for leg in legs if isinstance(leg, dict)] if isinstance(legs, list) else []


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return bool(one) and all(one.get(field) == other.get(field) for field in {*one, *other} if field not in _MAY_DIFFER)
