"""Is an agent's conversation this conference's? Whether the caller, the number dialled and who came first agree.

A call is known by its id, in the caller's name or address; a room without one by the From of its legs. Anybody can call
the contact centre under any name, so a caller who is named like a call is not enough: the call must have come in where the
room called, and as the room's own.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from policy_server.conferences.caller_names import caller_aliases, callers_of, callers_of_name, shown_users
from policy_server.conferences.found import Found, Subject
from policy_server.conferences.lookup import ConferenceLookup
from policy_server.conferences.parties import party
from policy_server.conferences.records import HeldConference, alias_key
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.view import FoundBy
from policy_server.pexip.aliases import folded
from policy_server.telephony.numbers import number_in

AMBIGUOUS: Final = (
    "several rooms that run call out under what that conversation shows of its customer, so it cannot be told which is the "
    "customer's; leave local_alias out of dial_out, or write what tells the rooms apart into it"
)


class Identified(NamedTuple):
    """What a conversation is about, and by what it says so."""

    subject: Subject
    found_by: FoundBy


def identify(
    lookup: ConferenceLookup, subject: Subject, ani_name: str | None, ani: str | None, before: Identified | None = None
) -> Identified | str:
    """What a conversation is about whose customer Genesys Cloud shows so, if that is what was asked for; else ``""`` or why
    it cannot be told. ``before`` is what the same question was answered earlier: of a room that is over nobody keeps what
    its legs were called.

    What was asked for may be a call, one of the names of a room without one, or what Genesys Cloud shows of the customer.
    Strangers may choose what their device is called, and so what is shown as its name: the address goes before it.
    """
    if subject.is_identified:
        # It was this conversation that said so, and it may be asked again.
        return Identified(subject, "ani" if ani else "aniName")
    if not subject.name:
        return _identify_call(lookup, subject, ani_name, ani)
    asked = _folded((subject.name, *shown_users(subject.name)))
    shown = _folded((*shown_users(ani or ""), *shown_users(ani_name or "")))
    called = None if asked.isdisjoint(shown) else _call_shown(lookup, ani_name, ani)
    if called is not None:
        return called
    room = _room_shown(lookup, ani_name or "", ani or "")
    if isinstance(room, str):
        return room
    if room is None:
        return before or _identify_name(subject, ani_name, ani)
    held, found_by = room
    is_led_to = not asked.isdisjoint(_folded(callers_of(held))) or alias_key(subject.call) in held.aliases.values()
    # What is shown of the customer stands for whoever that is, unless it is what another room is called.
    is_shown = not asked.isdisjoint(shown) and all(one is held for one in _rooms_called(lookup, subject.name))
    return Identified(_room_subject(held.name, held.name), found_by) if is_led_to or is_shown else ""


def _identify_name(subject: Subject, ani_name: str | None, ani: str | None) -> Identified | str:
    """The room that does not run: it is known by its name alone."""
    asked = dict.fromkeys((subject.name, *shown_users(subject.name)))
    for text, found_by in _ways(ani_name, ani):
        shown = _folded(shown_users(text))
        names = [name for name in asked if not shown.isdisjoint(_folded(callers_of_name(name)))]
        if names:
            # As it stands, or decoded.
            return Identified(_room_subject(names[0], names[-1]), found_by)
    return ""


def _room_subject(name: str, decoded: str) -> Subject:
    return Subject(decoded, name=name, is_identified=True)


def _identify_call(
    lookup: ConferenceLookup, subject: Subject, ani_name: str | None, ani: str | None
) -> Identified | str:
    if names(subject, ani):
        return Identified(subject, "aniName" if names(subject, ani_name) else "ani")
    # A name says nothing where the address is another call's.
    is_by_name = names(subject, ani_name) and _call_in(lookup, ani or "") is None
    return Identified(subject, "aniName") if is_by_name else ""


def _call_shown(lookup: ConferenceLookup, ani_name: str | None, ani: str | None) -> Identified | None:
    for text, found_by in _ways(ani_name, ani):
        called = _call_in(lookup, text)
        if called is not None:
            return Identified(called, found_by)
    return None


def _call_in(lookup: ConferenceLookup, shown: str) -> Subject | None:
    """The call whose id, or an agents' alias with it, is shown of a caller, in whatever domain."""
    found = (lookup.subject_of(user) for user in shown_users(shown))
    return next((subject for subject in found if subject.aliases), None)


def _room_shown(lookup: ConferenceLookup, ani_name: str, ani: str) -> tuple[HeldConference, FoundBy] | str | None:
    """The room without a call that runs and calls out so; why that cannot be told; or ``None``."""
    of_address, of_name = (_rooms_called(lookup, text) for text in (ani, ani_name))
    if len(of_address) == 1:
        return of_address[0], "ani"
    if of_address:
        users = _folded(shown_users(ani))
        of_name = [room for room in of_name if not users.isdisjoint(_folded(callers_of(room)))]
    if len(of_name) == 1:
        return of_name[0], "aniName"
    return AMBIGUOUS if of_address or of_name else None


def _rooms_called(lookup: ConferenceLookup, shown: str) -> list[HeldConference]:
    """The rooms that call out so; of several, those that are spelt so."""
    conferences = lookup.conferences
    now, users = conferences.clock(), shown_users(shown)
    found = next(filter(None, (conferences.of_caller(folded(user), now) for user in users)), ())
    spelt = [room for room in found if not callers_of(room).isdisjoint(users)]
    return spelt if len(spelt) == 1 else list(found)


def _ways(ani_name: str | None, ani: str | None) -> Iterable[tuple[str, FoundBy]]:
    """What is shown, the best first."""
    if ani:
        yield ani, "ani"
    if ani_name:
        yield ani_name, "aniName"


def _folded(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(map(folded, texts))


def names(subject: Subject, caller: str | None) -> bool:
    """Whether a caller's name or address, as the contact centre shows it, is that of a call."""
    if caller in subject.aliases:
        return True
    # Of an address the user part counts: the domain is the trunk's or a node's.
    return any(alias.partition("@")[0] in subject.aliases for alias in caller_aliases(caller or ""))


def check_dialled(dialled: str | None, dials: Iterable[str]) -> str:
    """Why what a caller dialled is not what a conference dials (aliases of its legs); ``""`` if it is, or is not known.

    No caller decides whether Genesys Cloud says what was dialled.
    """
    wanted = {party(alias) for alias in dials}
    if not wanted:
        return "this conference dials nobody, so that call is not its own"
    if dialled is None or party(dialled) in wanted:
        return ""
    shown = number_in(party(dialled)) or "another address"
    return f"the customer of that conversation dialled {shown}, which this conference does not"


async def check_place(store: ConferenceStore, found: Found, conversation: str) -> str:
    """Why a conversation that fits is not the conference's own, because another came first; ``""`` if it is.

    A conference has as many as legs of it were connected, one at least: a leg that fails is dialled again. Raises
    StoreUnavailableError.
    """
    if found.conference is None:
        return ""
    is_own = await store.bind(found.conference.id, conversation, 1)
    if not is_own:
        is_own = await store.bind(found.conference.id, conversation, found.connected_legs)
    return "" if is_own else "another conversation came first for this conference: that caller only has its name"
