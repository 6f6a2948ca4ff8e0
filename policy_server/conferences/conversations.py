"""Which conversations of Genesys Cloud are a conference's own: the first that came, so that nobody takes them over."""

from typing import Final

from sqlalchemy import Connection, select

from policy_server.conferences.tables import CONVERSATIONS, insert_into

ATTEMPTS: Final = 10
"""How often another replica may take the place that looked free."""


def find(connection: Connection, conference_id: str) -> tuple[str, ...]:
    """The conversations of a conference, in the order in which they came."""
    column = CONVERSATIONS.c
    wanted = select(column.conversation_id).where(column.conference_id == conference_id).order_by(column.place)
    return tuple(connection.execute(wanted).scalars())


def bind(connection: Connection, conference_id: str, conversation: str, places: int) -> bool:
    """Takes the next place for a conversation, and says whether it has one."""
    insert = insert_into(CONVERSATIONS, connection.dialect.name).on_conflict_do_nothing()
    for _ in range(ATTEMPTS):
        taken = find(connection, conference_id)
        if conversation in taken:
            return True
        if len(taken) >= places:
            return False
        row = {"conference_id": conference_id, "place": len(taken), "conversation_id": conversation}
        if connection.execute(insert.returning(CONVERSATIONS.c.place), [row]).scalars().all():
            return True
    return False
