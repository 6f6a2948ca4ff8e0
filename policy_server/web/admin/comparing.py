"""Other rules and the last questions, compared in a process of its own: ``python -m policy_server.web.admin.comparing``.

Rules that somebody pasted may be large, or made to be. So they are read where they can take no answer's turn, have a limit of
memory and of time, and can be ended; and where there is no environment, so that no ``password_env`` reads one of the server's.
Two lines of JSON come in and two go out: files, then what is wrong with them and what they ask of links; lines of the
decision log, then what would be answered differently. Nothing is written anywhere else.
"""

import os
import resource
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Final

import orjson

from policy_server.conferences.replay import Compared, Logged, replay
from policy_server.conferences.replayed import Replayed
from policy_server.pexip.field_facts import MASK
from policy_server.pexip.request_types import RequestType
from policy_server.policy.asked import link_attributes_asked
from policy_server.policy.names import Keyring
from policy_server.rulefiles.assurance import MANAGEMENT
from policy_server.rulefiles.load import load_rules
from policy_server.rulefiles.problems import Severity
from policy_server.web.admin.other_rules import rule_files
from policy_server.web.decision_records import read_record

MEMORY: Final = 1024 * 1024 * 1024
"""Bytes of address space that a comparison may take."""
CPU_SECONDS: Final = 30
NICENESS: Final = 10
"""Whoever has to be answered goes first."""

PREFIX: Final = "POLICY_"
"""What begins the names of the server's own variables."""

MOST_SHOWN: Final = 50
"""Differences of which both answers are shown."""
MOST_LINES: Final = 20
"""Fields of one that are listed."""
MOST_PROBLEMS: Final = 100
LONGEST_ANSWER: Final = 8_000
LONGEST_TEXT: Final = 1_000


class StandIn(Mapping[str, str]):
    """An environment in which every password is there and none is known; of the server's own variables only whether there is a
    Management Node.
    """

    def __init__(self, *, has_management: bool) -> None:
        self._has_management: Final = has_management

    def __getitem__(self, variable: str) -> str:
        if variable.startswith(PREFIX) and not (variable == MANAGEMENT and self._has_management):
            raise KeyError(variable)
        # What is shown of a password, whatever it is.
        return MASK

    def __iter__(self) -> Iterator[str]:
        return iter((MANAGEMENT,) if self._has_management else ())

    def __len__(self) -> int:
        """Never 0: it has whatever is asked for."""
        return 1


def compare(lines: Iterator[bytes], out: BinaryIO) -> None:
    """Reads and writes the lines."""
    asked = orjson.loads(next(lines))
    files = rule_files({name: b64decode(content) for name, content in asked["files"].items()})
    environment = StandIn(has_management=asked["has_management"])
    loaded = load_rules(files, datetime.now(UTC), environment=environment)
    problems = [(each.severity.value, str(each)[:LONGEST_TEXT]) for each in (*loaded.problems, *loaded.notes)]
    # Errors first: they are why there is nothing to compare.
    problems.sort(key=lambda problem: problem[0] != Severity.ERROR.value)
    told: dict[str, object] = {"problems": problems[:MOST_PROBLEMS], "more": len(problems[MOST_PROBLEMS:])}
    ruleset = loaded.ruleset
    told["asked"] = (
        {kind.value: sorted(link_attributes_asked(ruleset, kind)) for kind in RequestType}
        if ruleset is not None
        else None
    )
    _write(out, told)
    if ruleset is None:
        return
    records = orjson.loads(next(lines))
    logged = [read for record in records if isinstance(read := read_record(record), Logged)]
    keyring = Keyring.from_text(asked["key"], tuple(asked["previous_keys"]))
    replayed = Replayed(replay(logged, ruleset, keyring, timedelta(seconds=asked["lifetime"])))
    times = sorted(each.at for each in logged)
    _write(
        out,
        {
            "revision": ruleset.revision,
            "compared": len(replayed.compared),
            "different": len(replayed.different),
            "by_another_rule": replayed.by_another_rule,
            "moves": [[move.then, move.now, count] for move, count in replayed.moves[:MOST_LINES]],
            "unseen": len(replayed.unseen),
            "reasons": [[why[:LONGEST_TEXT], count] for why, count in replayed.reasons[:MOST_LINES]],
            "since": times[0].isoformat() if times else None,
            "until": times[-1].isoformat() if times else None,
            # The latest are what somebody remembers.
            "differences": [_told(each) for each in replayed.different[: -MOST_SHOWN - 1 : -1]],
        },
    )


def _told(compared: Compared) -> Mapping[str, object]:
    logged = compared.logged
    return {
        "time": logged.at.isoformat(),
        "decision_id": logged.decision_id,
        "question": logged.type.value,
        "alias": logged.alias[:LONGEST_TEXT],
        "then": {"rule": logged.rule, "outcome": logged.outcome, "answer": _answer(logged.answer)},
        "now": {
            "rule": compared.rule,
            "outcome": compared.outcome,
            "reason": compared.reason[:LONGEST_TEXT],
            "answer": _answer(compared.answer),
        },
        "fields": [str(each)[:LONGEST_TEXT] for each in compared.fields[:MOST_LINES]],
        "more_fields": len(compared.fields[MOST_LINES:]),
    }


def _answer(answer: Mapping[str, object]) -> str:
    text = orjson.dumps(dict(answer), option=orjson.OPT_INDENT_2).decode()
    return text if len(text) <= LONGEST_ANSWER else f"{text[:LONGEST_ANSWER]}\n…"


def _write(out: BinaryIO, value: object) -> None:
    out.write(orjson.dumps(value) + b"\n")
    out.flush()


def main() -> None:
    """The process."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    compare(iter(sys.stdin.buffer.readline, b""), sys.stdout.buffer)


if __name__ == "__main__":
    main()
