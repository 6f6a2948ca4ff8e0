"""What is kept of nodes' messages: nothing that opens a door, and by whose link somebody came who joins a call."""

from collections.abc import Callable
from typing import Final

from policy_server.conferences.records import HeldConference
from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.events import Data
from policy_server.policy.link_aliases import read_alias
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset

JOINING_CALL: Final = "joining_call"
"""The field that is added to a message about somebody who came by a link that joins a call: the call id of that link, which
its alias does not tell any more once the session in it is hidden.
"""


_ROOMS: Final = ("name", "conference")
"""The fields of messages in which a room is named."""


def nothing_held(_: str) -> None:
    """No room is held."""


def kept_of_message(
    data: Data, ruleset: Ruleset, keyring: Keyring, held: Callable[[str], HeldConference | None] = nothing_held
) -> Data:
    """Named values of a message as they are kept; ``held`` gives the conference that holds a room.

    The name of a room that is held stays, and the id of its call, or nobody would know them again when the type of its link
    is gone with a reload: then no call id can be told from what opens a door.
    """
    named: dict[str, object] = {}
    call = ""
    for field in _ROOMS:
        room = data.get(field)
        if isinstance(room, str) and (conference := held(room)) is not None:
            named[field], call = room, conference.call
    shown = ruleset.mask.fields(data, keyring, call) | named
    dialled = data.get("destination_alias")
    if isinstance(dialled, str) and (forms := ruleset.joining_forms):
        link = read_alias(forms, keyring, normalise_alias(dialled, ruleset.domains))
        if link is not None and link.call is not None:
            shown[JOINING_CALL] = link.call_id
    return shown
