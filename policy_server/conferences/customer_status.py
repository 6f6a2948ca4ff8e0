"""What a customer may be told of their call: one word, for the organisation's own page."""

from enum import StrEnum
from typing import assert_never

from policy_server.conferences.fold import Phase
from policy_server.conferences.found import Subject
from policy_server.conferences.link_reading import read_link
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.participants import LegState
from policy_server.conferences.verdict import Code
from policy_server.conferences.view import CallDetails
from policy_server.policy.names import Keyring, Role
from policy_server.policy.ruleset import Rules


class CustomerStatus(StrEnum):
    """How a customer's call goes."""

    NOT_STARTED = "not_started"
    """The customer is not in the room yet."""
    WAITING = "waiting"
    """The customer is there, and nobody is being called at the moment."""
    CALLING = "calling"
    """The contact centre is being called, or has taken the call and has not found an agent yet."""
    CALLING_ANOTHER_LINE = "calling_another_line"
    """The same, after a first call that failed."""
    AGENT_JOINED = "agent_joined"
    """An agent has come."""
    OVER = "over"
    """The customer has left, or the room has ended."""


class CustomerStatuses:
    """Tells customers by their session, or the customer's alias, how their call goes."""

    def __init__(self, rules: Rules, keyring: Keyring, lookup: ConferenceLookup) -> None:
        self._rules = rules
        self._keyring = keyring
        self._lookup = lookup

    async def of(self, text: str) -> CustomerStatus | None:
        """The status of the call whose session this is; ``None`` for what nobody signed. Raises StoreUnavailableError."""
        links = self._rules.ruleset.links
        session, dialled = read_link(links, text)
        call = self._keyring.open(session, Role.SESSION, links if dialled is None else (dialled.name,))
        if call is None:
            return None
        found = await self._lookup.look_up(Subject(call.id))
        return status_of(found.answer) if found is not None else CustomerStatus.NOT_STARTED


def status_of(call: CallDetails) -> CustomerStatus:
    """The status of a call, by its verdict and its leg."""
    is_over = call["state"] is Phase.ENDED
    match call["verdict"]["code"]:
        case Code.NOT_OPENED | Code.NOT_JOINED | Code.NO_CUSTOMER | Code.REFUSED_AT_THE_DOOR:
            return CustomerStatus.OVER if is_over else CustomerStatus.NOT_STARTED
        case Code.WAITING:
            return _of_leg(call)
        case Code.IN_PROGRESS:
            return CustomerStatus.AGENT_JOINED
        case Code.ANSWERED | Code.NO_AGENT | Code.NEVER_DIALLED | Code.CUSTOMER_LEFT_EARLY | Code.MEETING:
            return CustomerStatus.OVER
        case Code.LEG_REFUSED | Code.LEG_BUSY | Code.LEG_SILENT | Code.LEG_UNREACHABLE | Code.LEG_FAILED:
            return CustomerStatus.OVER
        case _:
            assert_never(call["verdict"]["code"])


def _of_leg(call: CallDetails) -> CustomerStatus:
    leg = call["trunk_leg"]
    if leg is None or leg["state"] is LegState.ENDED:
        return CustomerStatus.WAITING
    return CustomerStatus.CALLING_ANOTHER_LINE if leg["attempts"] > 1 else CustomerStatus.CALLING
