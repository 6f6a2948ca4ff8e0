"""What watches over the legs of calls, put together: the rules of this moment and the Management Node."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import Final, assert_never

from policy_server.conferences.agenda import Handler
from policy_server.conferences.assuring import (
    CHANGES,
    KIND,
    LegWatch,
    Reply,
    Told,
    watch,
    watched_id,
)
from policy_server.conferences.batches import Wakes
from policy_server.conferences.live import Conferences
from policy_server.conferences.records import HeldConference
from policy_server.conferences.sightings import Seen, Somebody
from policy_server.conferences.timeline import Note
from policy_server.management.client import ManagementClient
from policy_server.management.results import (
    Absent,
    Accepted,
    Call,
    Conference,
    DisconnectResult,
    Gone,
    NotDone,
    Participant,
    Unanswered,
    Unknown,
)
from policy_server.pexip.aliases import normalise_alias
from policy_server.policy.assurance import Entry
from policy_server.policy.decisions import Serve
from policy_server.policy.masking import HIDDEN
from policy_server.policy.names import Keyring, Role
from policy_server.policy.ruleset import Rules
from policy_server.policy.services import LEGS
from policy_server.policy.trunk_limits import excess, may_be_dialled
from policy_server.telephony.trunks import Load, Trunk, dial_string
from policy_server.web.leg_counts import LegCounts
from policy_server.web.management import ManagementNode
from policy_server.web.metrics import Metrics


class WatchedRules:
    """What is to be known of the rules of this moment to watch a call."""

    def __init__(self, rules: Rules, keyring: Keyring, load_at: Callable[[str, datetime], Load]) -> None:
        self._rules: Final = rules
        self._load_at: Final = load_at
        self._keyring: Final = keyring

    @property
    def domains(self) -> frozenset[str]:
        """The domains of the rules."""
        return self._rules.ruleset.domains

    def customers_aliases(self, held: HeldConference) -> frozenset[str]:
        """The aliases by which customers come into a room, as nodes dial them and as events are kept."""
        ruleset = self._rules.ruleset
        link_type = ruleset.links.get(held.link_type)
        call = self._keyring.open(held.call, Role.CALL, ruleset.links) if held.call else None
        if link_type is None or call is None:
            return frozenset({normalise_alias(held.alias, ruleset.domains)})
        aliases = (link_type.customers_alias(call), HIDDEN.join(link_type.alias.literals))
        return frozenset(normalise_alias(alias, ruleset.domains) for alias in aliases)

    def may_be_dialled(self, entries: Sequence[Entry], at: datetime) -> Sequence[bool]:
        """Which entries for when a leg failed may be dialled: a calendar that is gone from the rules is open, and a trunk
        without limits.
        """
        calendars, trunks = self._rules.ruleset.calendars, self._rules.ruleset.trunks
        are_open = [entry.open not in calendars or calendars[entry.open].is_open(at) for entry in entries]
        are_over = [entry.trunk in trunks and self._is_over(trunks[entry.trunk], at) for entry in entries]
        return may_be_dialled(are_open, are_over)

    def _is_over(self, trunk: Trunk, at: datetime) -> bool:
        return trunk.limits is not None and bool(excess(trunk, self._load_at(dial_string(trunk).remote_alias, at)))


def watching(conferences: Conferences) -> Callable[[Serve, str, str, datetime], None]:
    """Has the legs of every room watched that is answered with some."""

    def watch_legs(decision: Serve, room: str, timeline: str, at: datetime) -> None:
        template = decision.template
        if not room or template is None or template.assurance is None or LEGS not in decision.service:
            return
        held = conferences.live(room, at)
        if held is None or conferences.is_scheduled(watched_id(held)):
            return
        action = watch(decision, held, timeline, at)
        if action is not None:
            conferences.schedule(action)

    return watch_legs


class NodeCommands:
    """The Management Node as calls need it, through its client."""

    def __init__(self, client: ManagementClient) -> None:
        self._client: Final = client

    async def look(self, room: str) -> Seen | str | None:
        """The conference of a name, ``None`` if there is none, and why it cannot be asked."""
        found = await self._client.conference(room)
        match found:
            case Conference():
                return Seen(found.id, [_somebody(one) for one in found.participants])
            case Absent():
                return None
            case Unanswered():
                return found.detail
            case _:
                assert_never(found)

    async def dial(self, leg: Mapping[str, object], node: str) -> Reply:
        """Has a room call somebody.

        The call comes from the alias by which the room is found, so that is the leg's own From; that a node finds the
        service by it, asking us, is assumed (management/README.md: Dial a participant).
        """
        fields = {name: value for name, value in leg.items() if name in _DIALLED}
        location = str(leg.get("system_location_name", ""))
        try:
            call = Call(
                conference_alias=str(leg.get("local_alias", "")),
                destination=str(leg.get("remote_alias", "")),
                system_location=location,
                node="" if location else node,
                **{"keep_conference_alive": "keep_conference_alive_if_multiple", **fields},  # type: ignore[arg-type]
            )
        except ValueError as error:
            return Reply(Told.NOT_DONE, str(error))
        return _reply(await self._client.dial(call))

    async def drop(self, participant: str) -> Reply:
        """Ends one participant's call."""
        return _reply(await self._client.disconnect_participant(participant))

    async def end(self, conference: str) -> Reply:
        """Ends a conference for everybody."""
        return _reply(await self._client.disconnect_conference(conference))

    async def move(self, participant: str, alias: str) -> Reply:
        """Moves a participant to the service behind an alias."""
        return _reply(await self._client.transfer(participant, alias, "guest"))


_DIALLED: Final = frozenset({field.name for field in fields(Call)} - {"system_location", "node"})
"""Fields of an automatic participant that a dial has too, under the same name."""


def _somebody(participant: Participant) -> Somebody:
    # Whether events know it by its id or by that of its call is unconfirmed (management/README.md: Status).
    ids = tuple(filter(None, dict.fromkeys((participant.id, participant.call_uuid))))
    at = participant.connect_time
    return Somebody(
        ids,
        participant.is_outgoing,
        participant.protocol,
        participant.destination_alias,
        participant.has_media,
        at.timestamp() if at is not None else None,
        participant.signalling_node,
    )


def _reply(result: DisconnectResult) -> Reply:
    match result:
        case Accepted() | Gone():
            return Reply(Told.DONE)
        case NotDone():
            return Reply(Told.NOT_DONE if result.reason == "refused" else Told.AWAY, result.detail)
        case Unknown():
            return Reply(Told.UNKNOWN, result.detail)
        case _:
            assert_never(result)


class CallAssurance:
    """Watches over the legs of calls, through the Management Node, while the service runs.

    ``hear`` every service that is answered; ``handlers`` carry out what is due on the agenda.
    """

    def __init__(
        self, conferences: Conferences, rules: Rules, keyring: Keyring, node: ManagementNode, legs: LegCounts
    ) -> None:
        self.node: Final = node
        self.legs: Final = legs
        self._counts: Final[Counter[str]] = Counter()
        self.hear: Final = watching(conferences)
        clock = conferences.clock
        conferences.store.wake_by(Wakes(KIND, CHANGES))

        def note(key: str, told: Note) -> None:
            conferences.note(key, *told, clock())

        def count(step: str, told: Told) -> None:
            self._counts[step if told in {Told.DONE, Told.UNKNOWN} else "refused"] += 1

        watched = WatchedRules(rules, keyring, conferences.load)
        self.handlers: Final[Mapping[str, Handler]] = {
            KIND: LegWatch(conferences.store, NodeCommands(node.client), watched, note, clock, count, legs.over)
        }

    def start(self) -> None:
        """Begins to ask whether the Management Node answers, on the loop that runs."""
        self.node.start()

    async def close(self) -> None:
        """Lets go of it; call it when the agenda is closed."""
        await self.node.close()

    def watch_gauges(self, metrics: Metrics) -> None:
        """Has the steps counted, and what the Management Node was asked."""
        self.node.watch_gauges(metrics)
        for step, name, text in _GAUGES:
            metrics.watch(name, text, partial(self._counts.__getitem__, step), "sum")


_GAUGES: Final = (
    ("dial", "policy_assurance_dials", "Calls to the next entry of dial_out, because a leg failed"),
    ("drop", "policy_assurance_drops", "Legs that were ended: they rang too long, or were one too many"),
    ("move", "policy_assurance_transfers", "Customers who were transferred, because nobody answered"),
    ("end", "policy_assurance_ends", "Rooms that were ended, because one side of the call was gone"),
    ("refused", "policy_assurance_refusals", "Steps for a call that the Management Node refused, or could not be told"),
)
