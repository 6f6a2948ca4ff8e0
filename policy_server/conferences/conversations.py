"""Which conversations of Genesys Cloud are a conference's own: the first that came, so that nobody takes them over."""

from typing import Final

from policy_server.conferences.connection import Connection
from policy_server.conferences.tables import CONVERSATIONS, storable_name

ATTEMPTS: Final = 10
"""How often another replica may take the place that looked free."""

_FIND: Final = "SELECT conversation_id FROM conversations WHERE conference_id = ? ORDER BY place"


def bind(connection: Connection, conference_id: str, conversation: str, places: int) -> bool:
    """Takes the next place for a conversation, and says whether it has one."""
    for _ in range(ATTEMPTS):
        # In the order in which they came.
        taken = [row[0] for row in connection.execute(_FIND, storable_name(conference_id))]
        if conversation in taken:
            return True
        if len(taken) >= places:
            return False
        row = (storable_name(conference_id), len(taken), storable_name(conversation))
        if connection.insert(CONVERSATIONS, [row]):
            return True
    return False
