"""What is kept of messages of nodes."""

from policy_server.conferences.kept import kept_of_message
from tests.rule_sets import AGENT_KEY, CALL_ID, KEYRING, SESSION, load

RULES = load("""
service: [{ id: all, continue: true }]
links: { patient: { alias: "mp{session}", agent_alias: "hcp{agent}" } }
""")
WITHOUT_THE_TYPE = load("service: [{ id: all, continue: true }]")


def test_the_name_of_a_room_outlives_the_type_of_its_link() -> None:
    """A reload without the type must not keep a room that runs from ever ending: its name is known by the room itself.
    Everything else that looks like a name of a call is hidden, in the same message too.
    """
    for field in ("name", "conference"):
        message = {field: f"Ad hoc {CALL_ID}", "display_name": CALL_ID, "destination_alias": f"mp{SESSION}"}
        assert kept_of_message(message, RULES, KEYRING)[field] == f"Ad hoc {CALL_ID}"
        hidden = {field: "Ad hoc …", "display_name": "…", "destination_alias": f"mp{SESSION}"}
        gone = kept_of_message(message, WITHOUT_THE_TYPE, KEYRING)
        assert gone == hidden | {"destination_alias": gone["destination_alias"]}
        held = kept_of_message(message, WITHOUT_THE_TYPE, KEYRING, lambda room: room == f"Ad hoc {CALL_ID}")
        assert (held[field], held["display_name"]) == (f"Ad hoc {CALL_ID}", "…")
    assert AGENT_KEY not in str(kept_of_message({"name": AGENT_KEY}, RULES, KEYRING))
