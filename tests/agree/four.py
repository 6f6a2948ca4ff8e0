"""The four who say what is answered: the endpoint, ``explain``, the page "Try a call", ``replay``; and whether they agree.

The first three are asked one after the other, at one moment, the endpoint last, for its answer may hold a room. ``replay``
reads the log, of all that was asked by one revision of the rules.
"""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import orjson

from policy_server.cli import common
from policy_server.conferences.replay import Compared, Logged, Unseen, replay
from policy_server.pexip.field_facts import SECRET_FIELDS, masked
from policy_server.pexip.request_types import RequestType
from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.store import load_folder
from policy_server.web.decision_records import read_record
from tests.agree.questions import Question, make_question
from tests.agree.world import ADMIN, ROOMS_LAST, World
from tests.cli.commands import run
from tests.servers import basic

EXPLAIN: Final = "policy_server.cli.explain"

EXTRA: Final = ("rule", "revision", "decision_id", "upstream")
"""What an answer has for the node's support log."""

SAID: Final = (
    "third_party_passcode is left out",
    "counts as invalid",
    "parameters, of which the first",
)
"""What the page says where it does not look at all of a question, since its URL would open a door."""

MAY_BE_UNSEEN: Final = (
    "the log does not have third_party_passcode",
    "the log does not have vendor",
    "the log does not have remote_display_name",
    "the log hides the alias",
    "the log hides the name of the room that calls out",
    "the room was held before",
    "how much went to",
    "it is about a link whose key or type is not known here",
)
"""Why ``replay`` may leave a line alone: the log hides it, cuts it, or began later than a room, or the type is gone."""


class Said(NamedTuple):
    """What one of the four says: the rule, the answer to the node; ``notes`` on what was not looked at."""

    rule: str | None
    answer: Any
    notes: tuple[str, ...] = ()


@dataclass
class Disagreement:
    """A question on which they do not agree."""

    number: int
    question: Question
    at: str
    who: str
    live: object
    other: object
    before: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"question {self.number} at {self.at}: {self.question.type} {self.question.target[:300]}"]
        lines += [f"    the endpoint: {_short(self.live)}", f"    {self.who}: {_short(self.other)}"]
        return "\n".join((*lines, *(f"    before: {each}" for each in self.before)))


@dataclass
class Report:
    """What came of a run."""

    asked: int = 0
    replayed: int = 0
    unlike: list[Disagreement] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    not_looked_at: Counter[str] = field(default_factory=Counter)
    """What page and ``replay`` said that they left out."""
    happened: Counter[str] = field(default_factory=Counter)
    held: int = 0

    def lines(self) -> Iterator[str]:
        """The report."""
        yield f"asked                             {self.asked}"
        yield f"decided again by replay           {self.replayed}"
        yield f"about a room that was held        {self.held}"
        for name, counts in (
            ("outcomes", self.outcomes),
            ("happened", self.happened),
            ("left out", self.not_looked_at),
        ):
            yield f"{name:<33} {', '.join(f'{key}: {count}' for key, count in counts.most_common())}"
        yield f"disagreements                     {len(self.unlike)}"


class Four:
    """Asks the four, of a world and its seed."""

    def __init__(self, world: World, say: Callable[[str], object]) -> None:
        self._world: Final = world
        self._say: Final = say
        self._rules: Final = load_folder(world.rules, world.now, environment=world.environment())[0].ruleset
        self._loaded = self._rules
        self._lines = 0
        self.report: Final = Report()

    def run(self, count: int, every: int) -> Report:
        """So many questions, with other rules after each ``every``."""
        with contextlib.chdir(self._world.folder), self._explains_at_once():
            for number in range(count):
                if number and number % every == 0:
                    self._replay(number)
                    self._world.reload((self._world.revision + 1) % 3)
                    self._loaded = load_folder(
                        self._world.rules, self._world.now, environment=self._world.environment()
                    )[0].ruleset
                if self._world.random.random() < 0.12:
                    self._world.happen()
                self._ask(number)
            self._replay(count)
        self.report.happened = Counter(
            re.split(r"[ :]", each.partition(" ")[2].removeprefix("a "))[0] for each in self._world.done
        )
        return self.report

    def _ask(self, number: int) -> None:
        world = self._world
        world.advance()
        question = make_question(world)
        others: dict[str, Callable[[Question], Said]] = {"explain": self._explain, "the page": self._page}
        said = {who: ask(question) for who, ask in others.items()}
        live = self._live(question)
        self.report.asked += 1
        for who, each in said.items():
            told = each
            expected = live if who == "explain" else Said(live.rule, self._shown(live.answer))
            if who != "explain" and isinstance(told.answer, dict):
                told = told._replace(answer=self._shown(told.answer))
            if told[:2] == expected[:2]:
                continue
            if left_out := [text for text in SAID if who == "the page" and any(text in note for note in told.notes)]:
                self.report.not_looked_at[f"{who}: {left_out[0]}"] += 1
                continue
            self._unlike(number, question, who, expected[:2], told)

    def _unlike(self, number: int, question: Question, who: str, live: object, other: object) -> None:
        at = self._world.now.isoformat(timespec="milliseconds")
        found = Disagreement(number, question, at, who, live, other, tuple(self._world.done[-4:]))
        self.report.unlike.append(found)
        self._say(str(found))

    def _live(self, question: Question) -> Said:
        response = self._world.get(question.target, basic())
        if response.headers["content-type"] == "image/jpeg":
            return Said("", {"status": "success", "picture": "avatars/card.png"})
        answer = response.json()
        self.report.outcomes[_outcome(answer)] += 1
        rule = answer.get("rule")
        if "upstream" in answer:
            return Said(rule, {"forwarded": answer["upstream"]})
        answer = {name: value for name, value in answer.items() if name not in EXTRA}
        # A device's password is shown by nobody.
        return Said(rule, masked(answer) if question.type is RequestType.REGISTRATION else answer)

    def _shown(self, answer: dict[str, Any]) -> dict[str, Any]:
        shown = self._world.ruleset.mask.fields(answer, self._world.keyring, "", SECRET_FIELDS)
        told: dict[str, Any] = orjson.loads(orjson.dumps(shown))
        return told

    # ------------------------------------------------------------------ explain

    @contextlib.contextmanager
    def _explains_at_once(self) -> Iterator[None]:
        """The command has the rules loaded after each change instead of each time, and our clock."""

        def loaded(_: Path | None) -> Ruleset | None:
            return self._loaded

        def moment(text: str | None) -> Any:
            return self._world.now if text is None else common.moment(text)

        with (
            mock.patch(f"{EXPLAIN}.usable_rules", new=loaded),
            mock.patch(f"{EXPLAIN}.moment", new=moment),
        ):
            yield

    def _explain(self, question: Question) -> Said:
        when = ("--at", self._world.now.isoformat()) if self._world.random.random() < 0.5 else ()
        result = run("explain", "--json", question.target, *when, environment=self._world.environment())
        try:
            told = json.loads(result.stdout)
        except ValueError:
            return Said(None, result.output)
        if told.get("held"):
            self.report.held += 1
        answer = {"forwarded": told["forwarded"]["upstream"]} if told["forwarded"] else told["answer"]
        if "picture" in answer:
            return Said("", answer)
        return Said(told["rule"], answer, tuple(told["notes"]))

    # ------------------------------------------------------------------ the page

    def _page(self, question: Question) -> Said:
        authorization = basic(ADMIN.username, ADMIN.password)
        pasted = {"pasted": question.target}
        response = self._world.server.request("POST", "/admin/try", authorization=authorization, form=pasted)
        if response.status_code == 303:
            response = self._world.get(f"/admin/{response.headers['location'].partition('#')[0]}", authorization)
        if response.status_code != 200:
            return Said(None, f"{response.status_code} {response.text[:300]}")
        return _read_page(response.text)

    # ------------------------------------------------------------------ replay

    def _replay(self, number: int) -> None:
        """All that was asked since the rules changed."""
        records = list(self._world.take_lines())
        since, self._lines = self._lines, len(records)
        lines = [read for record in records[since:] if isinstance(read := read_record(record), Logged)]
        earlier = {str(record["conference"]) for record in records[:since] if "conference" in record}
        assert self._loaded is not None
        for told in replay(lines, self._loaded, self._world.keyring, ROOMS_LAST):
            self.report.replayed += 1
            if isinstance(told, Unseen):
                self._unseen(number, told, earlier)
            elif told.differs:
                self._differs(number, told)

    def _unseen(self, number: int, told: Unseen, earlier: set[str]) -> None:
        reason = next((reason for reason in MAY_BE_UNSEEN if told.why.startswith(reason)), None)
        if reason is None or ("held before" in reason and told.logged.conference not in earlier):
            self._unlike(number, _question(told.logged), "replay", told.logged.answer, told.why)
        else:
            self.report.not_looked_at[f"replay: {reason}"] += 1

    def _differs(self, number: int, told: Compared) -> None:
        logged = told.logged
        fields = [str(each) for each in told.fields]
        self._unlike(
            number, _question(logged), "replay", (logged.rule, logged.answer), (told.rule, told.reason, fields)
        )


def _question(logged: Logged) -> Question:
    pairs = [
        (name, text)
        for name, value in logged.fields.items()
        for text in ((value,) if isinstance(value, str) else value)
    ]
    return Question(logged.type, (*pairs, ("decision_id", logged.decision_id)))


def _outcome(answer: Mapping[str, Any]) -> str:
    result = answer.get("result")
    if answer["status"] != "success":
        return "failure"
    if isinstance(result, dict) and "service_type" in result:
        return "serve"
    return f"{answer.get('action', 'result')} {'with' if result else 'without'} result"


def _read_page(text: str) -> Said:
    """What the page says of rule and answer."""
    notes = tuple(unescape(note) for note in re.findall(r'<p class="warning">(.*?)</p>', text, re.DOTALL))
    if fault := re.search(r"the node gets (\{.*?\})</li>", text, re.DOTALL):
        return Said(None, json.loads(unescape(fault[1])), notes)
    answer = re.search(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)
    if "would be forwarded to" in text:
        return Said(
            _rule(text), {"forwarded": unescape(text).partition("would be forwarded to '")[2].partition("'")[0]}, notes
        )
    if answer is None:
        faults = re.findall(r'role="alert"><ul>(.*?)</ul>', text, re.DOTALL)
        return Said(None, f"no answer: {faults}", notes)
    found = json.loads(unescape(answer[1]))
    return Said("" if "picture" in found else _rule(text), found, notes)


def _rule(text: str) -> str | None:
    found = re.search(r'<p class="verdict">.*?by rule <a[^>]*>(.*?)</a>', text, re.DOTALL)
    return unescape(found[1]) if found else None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 700 else f"{text[:700]}…"


def agree(folder: Path, count: int, seed: int, every: int, say: Callable[[str], object] = len) -> Report:
    """Asks so many questions of a world of its own, made in an empty folder; each disagreement is said at once."""
    with World(folder, seed) as world:
        return Four(world, say).run(count, every)
