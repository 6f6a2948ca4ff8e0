"""What becomes of a ``disconnect_reason``."""

import re

import pytest

from policy_server.pexip.leg_ends import REASONS, STATUSES, LegEnd, Source, is_hung_up, leg_class
from tests.pexip.reference import section

ROWS = section("Disconnect reasons").rows("Text")


@pytest.mark.parametrize(("cell", "code", "end", "meaning"), ROWS, ids=[row[0] for row in ROWS])
def test_every_text_of_the_reference_has_its_class(cell: str, code: str, end: str, meaning: str) -> None:
    """The reference says of each text what the code makes of it."""
    texts = [re.sub(r"\(.*?\)", "", text).strip() for text in re.split(r" / |; SDK also:", cell)]
    assert texts
    assert {leg_class(text).value for text in texts} == {end}, (code, meaning)


def test_a_text_is_documented_or_assumed() -> None:
    """What Pexip's documentation has stands in the reference; what is assumed does not."""
    page = " ".join(cell.lower() for cell, *_ in ROWS)
    documented = {known.text for known in REASONS if known.text in page}
    assert {known.text for known in REASONS if known.source is Source.PEXIP} == documented - {"not found"}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (" call  DISCONNECTED\n", LegEnd.ENDED),
        ("Call disconnected by remote", LegEnd.ENDED),
        ("Call rejected: busy", LegEnd.BUSY),
        ("Call rejected (486)", LegEnd.BUSY),
        ("Call rejected (SIP/2.0 603 Decline)", LegEnd.REJECTED),
        ("Busy Here", LegEnd.BUSY),
        ("User busy", LegEnd.BUSY),
        ("486 Busy Here", LegEnd.BUSY),
        ("Unexpected Response: 486", LegEnd.BUSY),
        ("UNEXPECTED RESPONSE: 600 Busy Everywhere", LegEnd.BUSY),
        ("Unexpected Response: 603", LegEnd.REJECTED),
        ("Unexpected Response: 488", LegEnd.REJECTED),
        ("Declined", LegEnd.REJECTED),
        ("SIP 403 Forbidden", LegEnd.REJECTED),
        ("Unexpected Response: 408", LegEnd.NO_ANSWER),
        ("Call failed (480 Temporarily Unavailable)", LegEnd.NO_ANSWER),
        ("Call failed ( SIP 487 )", LegEnd.NO_ANSWER),
        ("No answer", LegEnd.NO_ANSWER),
        ("Unexpected Response: 404", LegEnd.UNREACHABLE),
        ("unexpected response:500", LegEnd.UNREACHABLE),
        ("Unexpected Response: 503 Call rejected", LegEnd.UNREACHABLE),
        ("503 Service Unavailable", LegEnd.UNREACHABLE),
        ("Out of some new resource", LegEnd.UNREACHABLE),
        ("Edge node disconnected", LegEnd.UNREACHABLE),
        ("Node in maintenance mode", LegEnd.UNREACHABLE),
        ("Conference terminated by somebody new", LegEnd.ENDED),
        ("Conference ended", LegEnd.ENDED),
        ("Unexpected Response: 302", LegEnd.UNKNOWN),
        ("Unexpected Response: 5031", LegEnd.UNKNOWN),
        ("Unexpected Response", LegEnd.UNKNOWN),
        ("Room 486", LegEnd.UNKNOWN),
        ("User initiated disconnect", LegEnd.UNKNOWN),
        ("", LegEnd.UNKNOWN),
    ],
)
def test_a_reason_in_other_words(reason: str, expected: LegEnd) -> None:
    """A SIP status decides, wherever it is told; else the words of the far end, in whatever case."""
    assert leg_class(reason) is expected


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_the_same_wherever_it_stands(status: int) -> None:
    """Of a status alone, in a sentence or in parentheses comes the same."""
    told = (f"{status} Something", f"Unexpected Response: {status}", f"Call failed ({status})", f"SIP/2.0 {status}")
    assert {leg_class(reason) for reason in told} == {STATUSES[status]}


def test_who_hung_up() -> None:
    """The far end did by its own word alone: whatever ends the conference ends the leg too."""
    assert is_hung_up("CALL  disconnected")
    assert not is_hung_up("Conference terminated by a Host participant")
