"""Is an agent's conversation this conference's? Whether the caller, the number dialled and who came first agree.

Anybody can call the contact centre under any name, so a caller who is named like a call is not enough: the call must
have come in where the room called, and as the room's own.
"""

from collections.abc import Iterable

from policy_server.conferences.caller_names import caller_aliases
from policy_server.conferences.lookup import Found, Subject
from policy_server.conferences.store import ConferenceStore
from policy_server.pexip.aliases import bare_alias
from policy_server.telephony.numbers import number_in


def names(subject: Subject, caller: str | None) -> bool:
    """Whether a caller's name or address, as the contact centre shows it, is that of a conference."""
    found = caller_aliases(caller or "")
    # Of an address the user part counts: the domain is the trunk's or a node's.
    users = [alias.partition("@")[0] for alias in found]
    if subject.aliases:
        return any(user in subject.aliases for user in users)
    # A room's name can be guessed, so no part of what a caller chose will do.
    return bool(subject.call) and subject.call in (*found[:1], *users[:1])


def check_dialled(dialled: str | None, dials: Iterable[str]) -> str:
    """Why what a caller dialled is not what a conference dials (aliases of its legs); ``""`` if it is, or is not known.

    No caller decides whether Genesys Cloud says what was dialled.
    """
    wanted = {_compared(alias) for alias in dials}
    if not wanted:
        return "this conference dials nobody, so that call is not its own"
    if dialled is None or _compared(dialled) in wanted:
        return ""
    shown = number_in(_compared(dialled)) or "another address"
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
        legs = sum(leg.connected_at is not None for leg in found.latest.trunk_legs)
        is_own = await store.bind(found.conference.id, conversation, legs)
    return "" if is_own else "another conversation came first for this conference: that caller only has its name"


def _compared(dialled: str) -> str:
    """The number in E.164, or else the user part."""
    user = bare_alias(dialled).removeprefix("tel:").partition("@")[0]
    return number_in(user) or (number_in(f"+{user}") if user.isdecimal() else "") or user
