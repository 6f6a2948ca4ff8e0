"""The log for people: one line for each record, whatever is in it."""

import logging
import sys

from policy_server.cli.logs import TextFormatter

FORGED = "Ada\n2026-11-26T00:00:00+00:00 INFO all is well \u202e\x1b[2J"


def test_what_strangers_send_makes_no_line_of_its_own() -> None:
    """Line breaks, control characters and those that change the direction of writing are shown, not obeyed."""
    record = logging.LogRecord("here", logging.WARNING, __file__, 1, "name.refused: %s", (FORGED,), None)
    line = TextFormatter().format(record)
    assert line.isprintable()
    assert line.endswith(r"WARNING name.refused: Ada\n2026-11-26T00:00:00+00:00 INFO all is well \u202e\x1b[2J")


def test_the_text_of_an_error_cannot_pass_for_a_line() -> None:
    """A traceback stands indented below its line."""
    try:
        raise ValueError(FORGED)
    except ValueError:
        record = logging.LogRecord("here", logging.ERROR, __file__, 1, "question.failed", (), sys.exc_info())
    first, *below = TextFormatter().format(record).split("\n")
    assert first.endswith("ERROR question.failed")
    assert all(each.startswith("  ") and each.isprintable() for each in below)
