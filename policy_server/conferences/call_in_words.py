"""What is told of a call, in words: the same for the command line and for pages. Whoever asks says how a time is written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import orjson

from policy_server.conferences.joined_by import JoinedBy
from policy_server.conferences.lines import TimelineLine
from policy_server.conferences.timeline import Kind
from policy_server.conferences.view import Customer, Participant, TrunkLeg
from policy_server.conferences.visit import Part
from policy_server.pexip.query import clean
from policy_server.wording.values import shown

At = Callable[[str], str]
"""How a time of an answer is written."""


def entry_in_words(line: TimelineLine) -> str:
    """One thing that happened."""
    return clean(line["text"] or pairs_in_words(line["data"]))


def customer_in_words(customer: Customer, at: At) -> str:
    """Who the call is for; nothing of nobody."""
    alias = f"({customer['alias']})" if customer["alias"] else ""
    return clean(_joined(customer["name"], alias, _stay(customer, at)))


def trunk_leg_in_words(leg: TrunkLeg | None, at: At) -> str:
    """The call to the contact centre; nothing before it is placed."""
    if leg is None:
        return ""
    answered = f"answered {at(leg['connected_at'])}" if leg["connected_at"] else ""
    ended = f"ended {at(leg['ended_at'])}" if leg["ended_at"] else ""
    reason = f"last ended with {shown(leg['disconnect_reason'])}" if leg["disconnect_reason"] else ""
    attempts = f"{leg['attempts']} attempts" if leg["attempts"] > 1 else ""
    told = ", ".join(filter(None, (leg["state"], answered, ended, reason, attempts)))
    return clean(_joined(leg["number"] or "a number that is not known:", told))


def participant_in_words(person: Participant, at: At) -> str:
    """Somebody who is or was there."""
    how = ", ".join(filter(None, (person["role"], person["protocol"], person["alias"])))
    reason = f"({person['disconnect_reason']})" if person["disconnect_reason"] else ""
    told = _joined(person["display_name"] or "without a name", f"[{how}]" if how else "", _stay(person, at), reason)
    return clean(told)


def joined_by_in_words(link: JoinedBy, at: At) -> str:
    """A link that joins the call."""
    revoked = f"revoked {at(link['revoked_at'])}" if link["revoked_at"] else ""
    told = ", ".join(filter(None, (_stay(link, at) or "not there yet", revoked)))
    return clean(_joined(link["type"], link["name"] or "without a name", f"({link['call']})", told))


def pairs_in_words(data: Mapping[str, object]) -> str:
    """Attributes or details, each with its name."""
    return _joined(
        *(f"{key}={value if isinstance(value, str) else orjson.dumps(value).decode()}" for key, value in data.items())
    )


def began_at(people: Iterable[Participant], timeline: Sequence[TimelineLine]) -> datetime | None:
    """The moment from which seconds of a call are counted, as its verdict does: when the customer first came in; where
    that is not known, when the conference started, or else the first thing that happened.
    """
    customers = {uuid for person in people if person["part"] == Part.CUSTOMER for uuid in person["uuids"]}
    for line in timeline:
        came = line["data"].get("participants") if line["kind"] == Kind.JOINED else None
        if isinstance(came, list) and customers.intersection(came):
            return datetime.fromisoformat(line["at"])
    first = next((line for line in timeline if line["kind"] == Kind.CONFERENCE_STARTED), None)
    told = first or (timeline[0] if timeline else None)
    return datetime.fromisoformat(told["at"]) if told is not None else None


def _stay(who: Customer | Participant | JoinedBy, at: At) -> str:
    came = f"joined {at(who['joined_at'])}" if who["joined_at"] else ""
    left = f"left {at(who['left_at'])}" if who["left_at"] and not who["is_present"] else ""
    return ", ".join(filter(None, (came, left)))


def _joined(*parts: str | None) -> str:
    return " ".join(filter(None, parts))
