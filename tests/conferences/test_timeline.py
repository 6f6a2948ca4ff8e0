"""The words of what is noted on a timeline; those of what nodes tell are in ``test_fold``."""

import pytest

from policy_server.conferences.timeline import Doorstep, agent_looked_up, link_opened, policy_answered
from policy_server.pexip.request_types import RequestType
from policy_server.policy.decisions import Continue, Decision, Fail, Redirect, Reject, Serve
from tests.policy.test_answers import TRACE


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        pytest.param(Serve("visit", "", TRACE, {}, ""), "served, by rule 'visit'", id="serve"),
        pytest.param(Redirect("moved", "", TRACE, "other"), "sent to another alias, by rule 'moved'", id="redirect"),
        pytest.param(Reject("closed", "", TRACE, "We are closed."), "refused, by rule 'closed'", id="reject"),
        pytest.param(Continue(None, "", TRACE), "left to Pexip, as no rule matched", id="continue"),
        pytest.param(Fail("bad", "", TRACE), "nothing that Pexip would take, by rule 'bad'", id="fail"),
    ],
)
def test_an_answer_is_told_in_words(decision: Decision, told: str) -> None:
    """A timeline says what became of a question and by which rule, and keeps the record beside it."""
    kind, data = policy_answered(RequestType.SERVICE, decision, {"outcome": "x"})
    assert kind == "policy.answered"
    assert data == {"text": f"A node asked which service the alias is: {told}.", "outcome": "x"}


@pytest.mark.parametrize("door", Doorstep)
def test_every_state_of_the_door_has_words(door: Doorstep) -> None:
    """An opened link is told in a sentence, and in a word for programs."""
    kind, data = link_opened(door)
    assert (kind, data["door"]) == ("link.opened", door.value)
    assert str(data["text"]).startswith("A customer opened the link ")


@pytest.mark.parametrize(
    ("name", "conversation", "text"),
    [("Maria", "", "Maria looked up the conference."), ("", "c1", "An agent without a name looked up the conference.")],
    ids=["name", "no-name"],
)
def test_an_agent_is_named(name: str, conversation: str, text: str) -> None:
    """An agent without a name is told as such, and the conversation only where there is one."""
    data = agent_looked_up("a1", name, conversation).data
    assert (data["text"], data["agent"]) == (text, {"id": "a1", "name": name})
    assert data.get("conversation", "") == conversation
