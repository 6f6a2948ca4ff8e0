"""The door before Pexip: would the rules let this customer in now, and if not, when? (README.md: Links). No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from policy_server.pexip.query import clean
from policy_server.pexip.request_types import RequestType
from policy_server.pexip.requests import PolicyRequest
from policy_server.policy.calendars import LOOK_AHEAD, Calendar
from policy_server.policy.conditions import walk
from policy_server.policy.decisions import Decision, Forward, Serve
from policy_server.policy.evaluate import evaluate
from policy_server.policy.facts import Facts, FindLink, no_link
from policy_server.policy.names import NONCE_BYTES, Call, Keyring, LinkState
from policy_server.policy.ruleset import LinkType, Ruleset

MOST_CHANGES: Final = 200
"""How often calendars may open and close before the search for an opening gives up: some months of one calendar."""

LETS_IN: Final = (Serve, Forward)
"""Decisions by which a customer gets in, or may get in: what another policy server will say is not asked before."""

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Door:
    """What stands between a link that we signed and the room it leads to."""

    ruleset: Ruleset
    keyring: Keyring
    link_type: LinkType
    call: Call
    link_attributes: Mapping[str, str] = field(repr=False)
    find_link: FindLink = no_link
    """What is known of the call's link, where it joins another call, and of the link that it joins."""

    def decide(self, now: datetime) -> Decision:
        """What a node would be told now if a browser dialled the customer's alias."""
        return self._decide(self.call, now)

    def guest_pin(self, now: datetime) -> str:
        """The PIN that the room will ask this customer for, as a rule gives it now or when the door opens next.

        ``""`` when it asks guests for none, and when no rule lets the customer in.
        """
        decision = self.decide(now)
        if not isinstance(decision, LETS_IN) and (opening := self.next_opening(now)) is not None:
            decision = self.decide(opening)
        return guest_pin_of(decision.service) if isinstance(decision, Serve) else ""

    def next_opening(self, now: datetime) -> datetime | None:
        """The first time after ``now`` at which the rules would serve the customer, in the zone of the calendar that
        opens then; ``None`` when it is not the calendars that keep the door shut.

        Takes the link for valid at that time: whoever asks says what to do when it ends before.
        """
        upcoming = {calendar: _next_change(calendar, now) for calendar in self._calendars(now)}
        for _ in range(MOST_CHANGES):
            moment = min((change for change in upcoming.values() if change is not None), default=None)
            if moment is None or moment > now + LOOK_AHEAD:
                return None
            changed = [calendar for calendar, change in upcoming.items() if change == moment]
            if isinstance(self._decide(self._call_at(moment), moment), LETS_IN):
                return moment.astimezone(changed[0].timezone)
            for calendar in changed:
                upcoming[calendar] = _next_change(calendar, moment)
        return None

    def first_opening(self) -> datetime:
        """When the door of an appointment lets the customer in at first, in the zone of a calendar of the rules, or UTC.

        That is when its window begins, or the first opening in it; where there is none, when it begins.
        """
        begins = self.call.opens_at or self.call.expires_at
        if not isinstance(self._decide(self._call_at(begins), begins), LETS_IN):
            opening = self.next_opening(begins)
            if opening is not None and opening < self.call.expires_at:
                return opening
        zones = (calendar.timezone for calendar in self._calendars(begins))
        return begins.astimezone(next(zones, UTC))

    def _decide(self, call: Call, now: datetime) -> Decision:
        return evaluate(self.ruleset, self._question(call), now, self.keyring, self.link_attributes, self._find(call))

    def _find(self, asked: Call) -> FindLink:
        """What is known of links, for a question about this call or one that stands for it."""
        return lambda call: self.find_link(self.call.id if call == asked.id else call)

    def _question(self, call: Call) -> PolicyRequest:
        return asked_by_browser(self.link_type.customers_alias(call))

    def _call_at(self, moment: datetime) -> Call:
        """The call, or if its door is shut by then one whose door is not and that nobody ever sees."""
        if self.call.state(moment) is LinkState.VALID:
            return self.call
        return self.keyring.sign(self.call.type, moment + _MINUTE, bytes(NONCE_BYTES))

    def _calendars(self, now: datetime) -> tuple[Calendar, ...]:
        """The calendars of all rules that may answer."""
        question = self._question(self.call)
        facts = Facts(question, now, self.keyring, self.ruleset, self.link_attributes, self.find_link)
        services = self.ruleset.lists[RequestType.SERVICE]
        numbers = services.index.candidates(facts)
        conditions = (condition for number in numbers for condition in walk(services.rules[number].conditions))
        return tuple(dict.fromkeys(calendar for condition in conditions for calendar in condition.calendars))


def asked_by_browser(alias: str) -> PolicyRequest:
    """What a node asks when a browser dials an alias."""
    asked = {"call_direction": "dial_in", "protocol": "api", "trigger": "web", "local_alias": clean(alias)}
    return PolicyRequest(RequestType.SERVICE, asked)


def guest_pin_of(service: Mapping[str, object]) -> str:
    """The PIN with which guests get into a room; ``""`` when there is none."""
    return str(service.get("guest_pin") or "") if service.get("allow_guests") is True else ""


def _next_change(calendar: Calendar, after: datetime) -> datetime | None:
    """When the calendar next opens, or closes if it is open (UTC)."""
    if not calendar.is_open(after):
        opening = calendar.next_opening(after)
        return None if opening is None else opening.astimezone(UTC)
    midnight = after.astimezone(calendar.timezone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    for _ in range(LOOK_AHEAD // _DAY):
        for moment in _possible_closings(calendar, midnight):
            if moment > after and not calendar.is_open(moment):
                return moment
        midnight += _DAY
    return None


def _possible_closings(calendar: Calendar, midnight: datetime) -> list[datetime]:
    """When the calendar may close on a day, at its midnight at the earliest (UTC, in order)."""
    walls = [midnight + timedelta(minutes=minute) for minute in calendar.possible_changes(midnight.date())]
    # In the night when the clocks go back, a time of day comes twice.
    return sorted({wall.replace(fold=fold).astimezone(UTC) for wall in walls for fold in (0, 1)})
