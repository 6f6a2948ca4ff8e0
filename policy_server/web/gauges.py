"""The gauges of the service: numbers of the moment, which Prometheus reads."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from policy_server.conferences.clocks import NodeClocks
from policy_server.conferences.live import Conferences
from policy_server.rulefiles.store import RuleStore
from policy_server.upstreams.client import Upstreams
from policy_server.web.admission import Admission
from policy_server.web.audit import AuditLog
from policy_server.web.decision_log import DecisionLog
from policy_server.web.events import EventSinkEndpoint
from policy_server.web.metrics import Metrics


class Watched(Protocol):
    """Whoever has gauges of its own."""

    def watch_gauges(self, metrics: Metrics) -> None:
        """Adds them."""
        ...


def watch_gauges(
    metrics: Metrics,
    rules: RuleStore,
    decisions: DecisionLog,
    audit: AuditLog,
    conferences: Conferences,
    streams: Callable[[], int],
    admissions: Iterable[Admission],
) -> None:
    """Adds the gauges of what every server has. ``streams`` counts those of agents that are open."""
    metrics.watch("policy_rules", "Rules in force", lambda: rules.ruleset.count)
    metrics.watch(
        "policy_rules_refused", "1 while newer rules lie in the folder that have errors", lambda: rules.state.refused
    )
    metrics.watch("policy_rules_reloads", "Times that rules were taken into force", lambda: rules.reloads["loaded"])
    metrics.watch("policy_rules_refusals", "Times that rules were refused", lambda: rules.reloads["refused"])
    metrics.watch("policy_log_lines_dropped", "Log lines that nobody could write", lambda: decisions.dropped, "sum")
    metrics.watch("policy_audit_lines_dropped", "Lines of the audit log that are lost", lambda: audit.dropped, "sum")
    metrics.watch("policy_rooms_held", "Rooms that are held at the moment", lambda: conferences.live_count)
    metrics.watch(
        "policy_holds_late", "Answers that went out before their room was written", lambda: conferences.late, "sum"
    )
    metrics.watch(
        "policy_rooms_open", "Rooms that are held and that no signed link led to", lambda: conferences.open_count
    )
    metrics.watch(
        "policy_rooms_unheld", "Rooms that were answered and not held: too many", lambda: conferences.unheld, "sum"
    )
    metrics.watch(
        "policy_records_waiting", "Records that wait for the database", lambda: conferences.waiting, "livesum"
    )
    metrics.watch("policy_records_dropped", "Records that were lost", lambda: conferences.dropped, "sum")
    metrics.watch(
        "policy_requests_put_off",
        "Requests that were told to come back, because too many waited",
        lambda: sum(admission.refused for admission in admissions),
        "sum",
    )
    metrics.watch("policy_agent_streams", "Streams of agents that are open", streams, "livesum")


def watch_others(
    metrics: Metrics,
    rules: RuleStore,
    upstreams: Upstreams,
    clocks: NodeClocks,
    events: EventSinkEndpoint | None,
    clock: Callable[[], datetime],
    watched: Iterable[Watched],
) -> None:
    """Adds the gauges of what others are like: nodes, upstreams, and whoever has gauges of its own."""
    for each in watched:
        each.watch_gauges(metrics)
    metrics.watch(
        "policy_node_clock_difference_seconds",
        "The largest difference between a node's clock and ours",
        lambda: max(map(abs, clocks.differences(clock().timestamp()).values()), default=0.0),
    )
    metrics.watch(
        "policy_upstreams_left_alone",
        "Upstreams that are left alone, because they kept failing",
        lambda: sum(state["left_alone"] for state in upstreams.states(rules.ruleset.upstreams)),
    )
    if events is not None:
        metrics.watch(
            "policy_events_unreadable", "Messages of nodes that cannot be read", lambda: events.unreadable, "sum"
        )
