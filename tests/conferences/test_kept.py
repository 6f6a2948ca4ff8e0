"""What is kept of messages of nodes."""

from policy_server.conferences.kept import kept_of_message
from tests.conferences.samples import conference
from tests.rule_sets import AGENT_KEY, CALL_ID, KEYRING, SESSION, load

RULES = load("""
service: [{ id: all, continue: true }]
links: { patient: { alias: "mp{session}", agent_alias: "hcp{agent}" } }
""")
WITHOUT_THE_TYPE = load("service: [{ id: all, continue: true }]")


def test_the_name_of_a_room_outlives_the_type_of_its_link() -> None:
    """A reload without the type must not keep a room that runs from ever ending: its name is known by the room itself, and
    so is the id of its call. Everything else that looks like a name of a call is hidden, in the same message too.
    """
    room = f"Ad hoc {CALL_ID}"
    for field in ("name", "conference"):
        message = {field: room, "display_name": CALL_ID, "call_tag": AGENT_KEY, "destination_alias": f"mp{SESSION}"}
        assert kept_of_message(message, RULES, KEYRING)[field] == room
        hidden = {field: "Ad hoc …", "display_name": "…", "call_tag": "…", "destination_alias": f"mp{SESSION}"}
        gone = kept_of_message(message, WITHOUT_THE_TYPE, KEYRING)
        assert gone == hidden | {"destination_alias": gone["destination_alias"]}
        held = kept_of_message(message, WITHOUT_THE_TYPE, KEYRING, {room: conference(room, call=CALL_ID)}.get)
        assert (held[field], held["display_name"], held["call_tag"]) == (room, CALL_ID, "…")
    assert AGENT_KEY not in str(kept_of_message({"name": AGENT_KEY}, RULES, KEYRING))


def test_the_name_of_a_room_without_a_call_stays() -> None:
    """A room that no link led to may be called like a name of a call; nothing else of the message is shown for that."""
    message = {"conference": AGENT_KEY, "display_name": AGENT_KEY}
    held = kept_of_message(message, RULES, KEYRING, {AGENT_KEY: conference(AGENT_KEY, call="")}.get)
    assert held == {"conference": AGENT_KEY, "display_name": "…"}
