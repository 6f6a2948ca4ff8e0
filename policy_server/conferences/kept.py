"""What is kept of nodes' messages: nothing that opens a door, and by whose link somebody came who joins a call."""

from typing import Final

from policy_server.pexip.aliases import normalise_alias
from policy_server.pexip.events import Data
from policy_server.policy.link_aliases import read_alias
from policy_server.policy.names import Keyring
from policy_server.policy.ruleset import Ruleset

JOINING_CALL: Final = "joining_call"
"""The field that is added to a message about somebody who came by a link that joins a call: the call id of that link, which
its alias does not tell any more once the session in it is hidden.
"""


def kept_of_message(data: Data, ruleset: Ruleset, keyring: Keyring) -> Data:
    """Named values of a message as they are kept."""
    shown = ruleset.mask.fields(data, keyring)
    dialled, forms = data.get("destination_alias"), ruleset.joining_forms
    if forms and isinstance(dialled, str):
        link = read_alias(forms, keyring, normalise_alias(dialled, ruleset.domains))
        if link is not None and link.call is not None:
            shown[JOINING_CALL] = link.call_id
    return shown
