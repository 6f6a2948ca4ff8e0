"""What trunks do with calls in a rule test, and what is expected of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from policy_server.pexip.request_types import RequestType
from policy_server.policy.decisions import Decision, Serve
from policy_server.policy.fates import ANSWERS_AFTER, Answers, Fails, Failure, Fate, FateOf, LegsOutcome, PlayedLegs
from policy_server.policy.ruleset import Rule, Ruleset, ServeOutcome
from policy_server.rulefiles.document_nodes import MappingNode, ScalarNode
from policy_server.rulefiles.reader import Table, shown_node
from policy_server.wording.durations import Durations
from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean, listed, one_of

PlayLegs = Callable[[Ruleset, Serve, FateOf, datetime], PlayedLegs | None]
"""Plays a call that is served at a time, by what becomes of its legs; ``None`` if the decision dials no trunk."""

LEG_KEYS: Final = ("trunk", "remote_alias", "fails", "answers", "talks")
EXPECT_KEYS: Final = ("dialled", "outcome", "ends")
"""What is expected of legs."""

SPANS: Final = Durations(1, 3600, "3s or 1m")


@dataclass(frozen=True, slots=True)
class LegTests:
    """What becomes of calls, by the trunk (or the alias that is dialled where there is none): of the first, the second and
    so on; the last stands for all that follow.
    """

    fates: Mapping[str, tuple[Fate, ...]] = field(default_factory=dict)

    def fate_of(self, called: str, before: int) -> Fate | None:
        """What becomes of one call."""
        fates = self.fates.get(called)
        return None if fates is None else fates[min(before, len(fates) - 1)]


NO_LEGS: Final = LegTests()


def read_legs(test: Table, request_type: RequestType | None, ruleset: Ruleset | None) -> LegTests:
    """What a test says under ``legs``. ``ruleset`` is ``None`` when any trunk may be meant."""
    if "legs" not in test:
        return NO_LEGS
    if request_type is not None and request_type is not RequestType.SERVICE:
        test.error_at(
            test.key_place("legs"), f"a {request_type} question dials nobody; legs goes with a service question"
        )
    before = test.report.errors
    items = test.sequence("legs", "a list such as [{trunk: NAME, fails: busy}]")
    fates: dict[str, list[Fate]] = {}
    for item in items:
        if not isinstance(item, MappingNode):
            test.error_at(
                item.place,
                f"legs must hold entries such as {{trunk: NAME, fails: busy}}, but this is {shown_node(item)}",
            )
            continue
        entry = Table(item, "an entry of legs", test.report)
        entry.finish(LEG_KEYS)
        called = _read_called(entry, test, ruleset)
        fate = _read_fate(entry)
        if called is not None and fate is not None:
            fates.setdefault(called, []).append(fate)
    if not items and not isinstance(test.value("legs"), ScalarNode):
        test.error("legs", "legs is empty; say what a trunk does, as in [{trunk: NAME, fails: busy}], or remove it")
    if test.report.errors > before:
        return NO_LEGS
    return LegTests({called: tuple(each) for called, each in fates.items()})


def _read_called(entry: Table, test: Table, ruleset: Ruleset | None) -> str | None:
    if ("trunk" in entry) == ("remote_alias" in entry):
        entry.error_at(
            entry.place,
            "an entry of legs needs a trunk, or the remote_alias that is dialled where there is none; one of them",
        )
        return None
    if "remote_alias" in entry:
        return entry.text("remote_alias")
    name = entry.text("trunk", wanted="the name of a trunk")
    if name is None or ruleset is None:
        return name
    expected = test.table("expect") if isinstance(test.value("expect"), MappingNode) else None
    node = expected.value("rule") if expected is not None else None
    rules = ruleset.lists[RequestType.SERVICE].rules
    known = sorted({trunk for rule in rules for trunk in _trunks_of(rule)})
    if name not in known:
        none = f"no rule dials a trunk, so there is no {shown(name)}"
        entry.error("trunk", one_of("trunk", known, name) if known else none)
    elif isinstance(node, ScalarNode):
        for rule in rules:
            if rule.id == node.value and (fault := _undialled(rule.id, [name], _trunks_of(rule))):
                entry.warning("trunk", fault)
    return name


def _trunks_of(rule: Rule) -> list[str]:
    """The trunks that a rule may dial."""
    if not isinstance(rule.outcome, ServeOutcome):
        return []
    template = rule.outcome.service
    legs = (*template.legs, *template.fallbacks)
    names = (name for leg in legs for name in ([leg.trunk.name] if leg.trunk is not None else leg.trunks))
    return list(dict.fromkeys(names))


def _undialled(rule: str, named: Iterable[str], trunks: Iterable[str]) -> str:
    """Says which of some names a rule never dials; ``""`` when it may dial them all."""
    known = list(map(shown, trunks))
    strange = [shown(name) for name in named if shown(name) not in known]
    if not strange:
        return ""
    dials = f"dials {listed(known)}" if known else "dials no trunk"
    return f"rule {shown(rule)} never dials {listed(strange, 'or')}; it {dials}"


def _read_fate(entry: Table) -> Fate | None:
    if ("fails" in entry) == ("answers" in entry):
        words = ", ".join(Failure)
        entry.error_at(entry.place, f"an entry of legs needs fails ({words}), or answers: true; one of them")
        return None
    if "fails" in entry:
        if "talks" in entry:
            entry.error("talks", "talks goes with answers; who does not answer does not talk")
        word = entry.choice("fails", tuple(Failure))
        return Fails(Failure(word)) if word else None
    talks = _seconds(entry, "talks", "a duration") if "talks" in entry else None
    node = entry.value("answers")
    if isinstance(node, ScalarNode) and node.value is True:
        return Answers(ANSWERS_AFTER, talks)
    if isinstance(node, ScalarNode) and node.value is False:
        entry.error("answers", "answers must be true, or a duration; for nobody who answers write fails: no_answer")
        return None
    after = _seconds(entry, "answers", "true, or a duration")
    return None if after is None else Answers(after, talks)


def _seconds(entry: Table, key: str, wanted: str) -> float | None:
    node = entry.value(key)
    seconds = SPANS.seconds(node.text) if isinstance(node, ScalarNode) else None
    if seconds is None and node is not None:
        told = f"{wanted} {SPANS}, such as {SPANS.examples},"
        entry.error(key, f"{key} must be {told} but is {shown_node(node)}")
    return None if seconds is None else float(seconds)


def read_expectations(test: Table, expect: Table, legs: LegTests) -> None:
    """Checks what is expected of legs."""
    given = [key for key in EXPECT_KEYS if key in expect]
    if "legs" not in test:
        for key in given:
            expect.error_at(
                expect.key_place(key),
                f"{key} needs legs, which say what trunks do, as in [{{trunk: NAME, fails: busy}}]",
            )
        return
    if not given:
        test.error_at(
            test.key_place("legs"), f"legs is for nothing here: expect {listed(EXPECT_KEYS, 'or')}, or remove it"
        )
    expect.choice("outcome", tuple(LegsOutcome))
    expect.boolean("ends", default=False)
    expect.sequence("dialled", "a list such as [NAME, NAME]")
    for called, place in expect.texts("dialled"):
        if called not in legs.fates and legs.fates:
            hint = did_you_mean(called, legs.fates)
            expect.error_at(place, f"legs does not say what becomes of a call to {shown(called)}{hint}")


def differences_of_legs(
    legs: LegTests, expect: Mapping[str, object], ruleset: Ruleset, decision: Decision, at: datetime, play: PlayLegs
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Plays the call: what is other than expected, and what happened."""
    if not isinstance(decision, Serve):
        return ("legs: nobody is dialled, as the answer is no room",), ()
    played = play(ruleset, decision, legs.fate_of, at)
    if played is None:
        return (f"legs: rule {shown(decision.rule)} dials no trunk",), ()
    return tuple(_differences(legs, expect, ruleset, decision, played)), tuple(map(str, played.happenings))


def _differences(
    legs: LegTests, expect: Mapping[str, object], ruleset: Ruleset, decision: Serve, played: PlayedLegs
) -> Iterator[str]:
    rule = next(each for each in ruleset.lists[RequestType.SERVICE].rules if each.id == decision.rule)
    aliases = [str(fields.get("remote_alias")) for fields in decision.fallbacks]
    if fault := _undialled(rule.id, legs.fates, [*_trunks_of(rule), *(each for each in aliases if each in legs.fates)]):
        yield f"legs: {fault}"
    if played.untold:
        yield f"legs: {listed(map(shown, played.untold))} is dialled; say what becomes of that, as in fails: busy"
    got = {"dialled": list(played.dialled), "outcome": played.outcome.value, "ends": played.ends}
    for key in EXPECT_KEYS:
        if key in expect and expect[key] != got[key]:
            yield f"{key}: expected {_told(expect[key])} but got {_told(got[key])}"


def _told(value: object) -> str:
    if not isinstance(value, list):
        return shown(value)
    return listed(map(shown, value)) if value else "nobody"
