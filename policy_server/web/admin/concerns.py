"""What is well and what is not, in sentences with what to do: the facts of ``/readyz``, for people, the worst first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from policy_server.upstreams.client import UpstreamState
from policy_server.web.genesys import GenesysState
from policy_server.web.health import Ready
from policy_server.web.management import ManagementState
from policy_server.web.webhooks import ReceiverState
from policy_server.wording.words import listed

NAMED: Final = 5
"""Things of a kind that are named in a sentence."""

LONGEST_PROBLEM: Final = 300
"""Characters that are shown of what another system says is wrong."""


class Level(Enum):
    """How bad it is, the worst first, in the words for it."""

    BROKEN = "broken"
    LOOK = "needs a look"
    UNKNOWN = "not known"
    WELL = "well"
    UNSET = "not set up"


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that calls depend on: how it is, in a sentence, what to do, and the metric that says so."""

    name: str
    metric: str
    level: Level
    sentence: str
    remedy: str = ""


def concerns_of(ready: Ready, now: datetime) -> list[Concern]:
    """Everything that ``/readyz`` tells of, the worst first."""
    found = [
        _rules(ready, now),
        _database(ready),
        _rooms(ready),
        _sink(ready, now),
        _genesys(ready.get("genesys"), now),
        _management(ready.get("management"), now),
        *_webhooks(ready.get("webhooks"), now),
        *map(_upstream, ready["upstreams"]),
        _clocks(ready),
    ]
    order = list(Level)
    return sorted(found, key=lambda concern: order.index(concern.level))


def headline(concerns: list[Concern]) -> tuple[Level, str]:
    """How bad it is in all, and in one sentence."""
    names = {level: [concern.name for concern in concerns if concern.level is level] for level in Level}
    parts = [f"{word}: {_named(names[level])}." for level, word in _WORDS.items() if names[level]]
    worst = next((level for level in _WORDS if names[level]), Level.WELL)
    return worst, " ".join(parts) or "All is well."


_WORDS: Final = {Level.BROKEN: "Broken", Level.LOOK: "Needs a look"}


def _named(names: list[str]) -> str:
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return listed([*names[:NAMED], *more])


# ------------------------------------------------------------------ what this server has


def _rules(ready: Ready, now: datetime) -> Concern:
    rules, reload = ready["rules"], ready["reload"]
    run = f"{rules['count']} rule{'s' if rules['count'] != 1 else ''}, revision {rules['revision']}"
    if reload["refused"]:
        errors = sum(problem.get("severity") == "error" for problem in reload["problems"])
        return Concern(
            "Rules",
            "policy_rules_refused",
            Level.LOOK,
            f"Newer rules were refused at {told(reload['at'], now)}: {errors} error{'s' if errors != 1 else ''}. "
            f"Those from before go on ({run}).",
            "Correct the files: the page Rules lists the errors, and policy-server check does.",
        )
    warnings = len(reload["problems"])
    more = (
        f" There {'is 1 warning' if warnings == 1 else f'are {warnings} warnings'} on the page Rules."
        if warnings
        else ""
    )
    return Concern("Rules", "policy_rules_refused", Level.WELL, f"{run}, run since {told(reload['at'], now)}.{more}")


def _database(ready: Ready) -> Concern:
    state = ready["database"]
    if not state["reachable"]:
        return Concern(
            "Database",
            "policy_database_away",
            Level.BROKEN,
            f"{state['name']} does not answer, and {state['waiting']} records wait for it. Calls are answered; "
            "no links are made, and what nodes tell is not taken.",
            "See whether the database runs, has room on its disk, and is reached from here: POLICY_DATABASE_URL.",
        )
    if state["lost"]:
        return Concern(
            "Database",
            "policy_records_dropped",
            Level.LOOK,
            f"It answers, and {state['lost']} records were lost since the start: parts of timelines are missing.",
            "See in the log how long it was away. What is lost does not come back; the count ends with a restart.",
        )
    return Concern("Database", "policy_database_away", Level.WELL, f"{state['name']} answers.")


def _rooms(ready: Ready) -> Concern:
    rooms = ready["rooms"]
    held = f"{rooms['held']} {'are' if rooms['held'] != 1 else 'is'} held"
    if rooms["unheld"]:
        return Concern(
            "Rooms",
            "policy_rooms_unheld",
            Level.LOOK,
            f"{held}, and {rooms['unheld']} answers since the start held none, because there were too many: "
            f"{rooms['without_link']} without a link, of {rooms['without_link_limit']} that may be.",
            "See in the log who dials so many aliases (rooms.unheld), or raise POLICY_OPEN_ROOMS.",
        )
    return Concern("Rooms", "policy_rooms_unheld", Level.WELL, f"{held}.")


def _sink(ready: Ready, now: datetime) -> Concern:
    name, metric, state = "Event sink", "policy_events_silent", ready.get("events")
    if state is None:
        return Concern(
            name,
            metric,
            Level.UNSET,
            "Nodes tell nothing, so it is not known who is in a room and when a call is over.",
            "Set POLICY_EVENTS_USERNAME and POLICY_EVENTS_PASSWORD, and make the event sink in Pexip.",
        )
    if not ready["database"]["reachable"]:
        return Concern(name, metric, Level.UNKNOWN, "What nodes tell goes into the database, which does not answer.")
    if state["silent_since"] is not None:
        last = f"since {told(state['last_at'], now)}" if state["last_at"] else "ever"
        return Concern(
            name,
            metric,
            Level.LOOK,
            f"Rooms are held since {told(state['silent_since'], now)}, and no node has told anything {last}.",
            "In Pexip, see that the event sink is switched on, that the nodes' locations have it, and that its URL and "
            "password are right. A sink that failed too often is paused there.",
        )
    if state["unreadable"]:
        return Concern(
            name,
            "policy_events_unreadable",
            Level.LOOK,
            f"{state['unreadable']} messages since the start could not be read.",
            "The log says why (events.unreadable).",
        )
    said = (
        f"A node last told something at {told(state['last_at'], now)}."
        if state["last_at"]
        else "No node has told anything yet."
    )
    return Concern(name, metric, Level.WELL, said)


def _clocks(ready: Ready) -> Concern:
    name, metric, clocks = "Clocks of nodes", "policy_node_clock_difference_seconds", ready["clocks"]
    if not clocks:
        return Concern(name, metric, Level.WELL, "None is known to be off.")
    found = [
        f"{each['node']} ({abs(each['seconds_ahead']):.0f} s {'ahead' if each['seconds_ahead'] > 0 else 'behind'})"
        for each in clocks
    ]
    return Concern(
        name,
        metric,
        Level.LOOK,
        f"They are off at {_named(found)}.",
        "Set the time of the nodes or of this machine by NTP; until then timelines have the nodes' times.",
    )


# ------------------------------------------------------------------ what others are like


def _genesys(state: GenesysState | None, now: datetime) -> Concern:
    name, metric = "Genesys Cloud", "policy_genesys_away"
    if state is None:
        return Concern(
            name,
            metric,
            Level.UNSET,
            "Agents' widgets cannot look calls up.",
            "Set POLICY_GENESYS_API and POLICY_GENESYS_ORGANIZATION.",
        )
    if state["state"] == "away":
        return Concern(
            name,
            metric,
            Level.BROKEN,
            f"{state['api']} has not answered since {told(state['since'], now)}: {_cut(state['problem'])}. Agents who were not "
            "verified lately cannot look calls up.",
            "See whether this machine reaches it, and whether Genesys reports an outage.",
        )
    if state["state"] == "unknown":
        return Concern(name, metric, Level.UNKNOWN, "No agent had it asked since the start.")
    return Concern(name, metric, Level.WELL, f"{state['api']} last answered at {told(state['since'], now)}.")


def _management(state: ManagementState | None, now: datetime) -> Concern:
    name, metric = "Management Node", "policy_management_away"
    if state is None:
        return Concern(
            name,
            metric,
            Level.UNSET,
            "A leg that fails is not followed by the next, and rooms of one side alone are not ended.",
            "Set POLICY_MANAGEMENT_URL and a login.",
        )
    match state["state"]:
        case "refuses":
            remedy = "See that the login (POLICY_MANAGEMENT_USERNAME or …_CLIENT_ID) is right, and may use the API."
            return Concern(
                name,
                metric,
                Level.BROKEN,
                f"{state['url']} refuses us since {told(state['since'], now)}: {_cut(state['problem'])}.",
                remedy,
            )
        case "away":
            remedy = (
                "See whether it runs and is reached from here; until then legs that fail are not followed by the next."
            )
            return Concern(
                name,
                metric,
                Level.BROKEN,
                f"{state['url']} is away since {told(state['since'], now)}: {_cut(state['problem'])}.",
                remedy,
            )
        case "unknown":
            return Concern(name, metric, Level.UNKNOWN, f"{state['url']} was not asked yet.")
        case "answers":
            return Concern(name, metric, Level.WELL, f"{state['url']} answers since {told(state['since'], now)}.")


def _webhooks(states: list[ReceiverState] | None, now: datetime) -> Iterator[Concern]:
    if states is None:
        yield Concern(
            "Webhooks",
            "policy_webhooks_waiting",
            Level.UNSET,
            "No other system is told of calls.",
            "Set POLICY_WEBHOOKS.",
        )
        return
    for state in states:
        name, waiting = f"Webhooks to {state['name']}", state["waiting"]
        wait = f"{waiting} message{'s wait' if waiting != 1 else ' waits'}"
        if state["failing_since"] is not None:
            yield Concern(
                name,
                "policy_webhooks_failed",
                Level.BROKEN,
                f"{state['host']} takes none since {told(state['failing_since'], now)}: {_cut(state['error'])}. {wait}.",
                "See what is wrong there. Each message is tried for a day; then policy-server webhook resend sends it.",
            )
        elif state["dead"]:
            yield Concern(
                name,
                "policy_webhooks_dead",
                Level.LOOK,
                f"{state['host']} did not take {state['dead']} message{'s' if state['dead'] != 1 else ''} within a day. {wait}.",
                "policy-server webhook list has them, and webhook resend sends them again.",
            )
        else:
            yield Concern(name, "policy_webhooks_waiting", Level.WELL, f"{state['host']} takes them; {wait}.")


def _upstream(state: UpstreamState) -> Concern:
    name, metric = f"Policy server {state['name']}", "policy_upstreams_left_alone"
    if state["left_alone"]:
        return Concern(
            name,
            metric,
            Level.BROKEN,
            f"It kept failing and is left alone for the moment: {_cut(state['reason'])}. Its questions get on_failure.",
            "See whether it runs, and is reached from here at the address that the rules give.",
        )
    if state["reason"]:
        return Concern(
            name, metric, Level.LOOK, f"It failed the last time: {_cut(state['reason'])}.", "See its own log."
        )
    return Concern(name, metric, Level.WELL, "It did not fail the last time.")


# ------------------------------------------------------------------ words


def told(moment: str | None, now: datetime) -> str:
    """A time as people read it in a sentence, in UTC; of today without the date."""
    if moment is None:
        return "an unknown time"
    at = datetime.fromisoformat(moment).astimezone(UTC)
    is_today = at.date() == now.astimezone(UTC).date()
    return at.strftime("%H:%M:%S UTC" if is_today else "%Y-%m-%d %H:%M:%S UTC")


def _cut(text: str) -> str:
    return f"{text[:LONGEST_PROBLEM]}…" if len(text) > LONGEST_PROBLEM else text.rstrip(".")
