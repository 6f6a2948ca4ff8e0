"""Commands about rules: ``check``, ``explain``, ``test`` and ``schema``."""

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_plus

import click

from policy_server.cli.common import (
    Unusable,
    environment,
    folder,
    json_option,
    keyring_or_temporary,
    moment,
    pairs,
    print_json,
    refuse,
    rules_option,
    settings,
    usable_rules,
    words_of,
)
from policy_server.pexip.parameters import PARAMETERS, RequestType, parameters_of
from policy_server.pexip.query import QuestionError
from policy_server.pexip.requests import IDP_PREFIX, encode_query, parse_request
from policy_server.policy.answers import failure_answer, render_answer
from policy_server.policy.conditions import AllOf, AnyOf, Condition, LinkIs, NotAllOf
from policy_server.policy.decisions import Fail, Outcome
from policy_server.policy.evaluate import evaluate
from policy_server.policy.explain import explain_json, explain_rows, explain_text
from policy_server.policy.ruleset import RuleList, Ruleset, ServeOutcome
from policy_server.policy.sessions import Keyring
from policy_server.rulefiles.problems import Problem, Severity, nearest, one_of
from policy_server.rulefiles.ruletests import TestOutcome, parse_tests, run_test
from policy_server.rulefiles.schema import rule_file_schema
from policy_server.rulefiles.store import load_folder
from policy_server.web.policy import route

COLOURS = {Outcome.HIT: "\033[32m", Outcome.MISS: "\033[33m", Outcome.NOT_EVALUATED: "\033[2m"}


@click.command()
@rules_option
@json_option
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
def check(rules_folder: Path | None, as_json: bool, strict: bool) -> None:
    """Load the rules and the rule tests, and print every problem; nothing is run."""
    path = folder(rules_folder)
    now = datetime.now(UTC)
    loaded, read = load_folder(path, now, environment=environment())
    _, of_tests = parse_tests(read.tests, loaded.ruleset, now)
    problems = (*loaded.problems, *of_tests)
    failed = any(strict or problem.severity is Severity.ERROR for problem in problems)
    if as_json:
        print_json(
            {
                "ok": not failed,
                "rules": loaded.ruleset.count if loaded.ruleset else None,
                "revision": loaded.ruleset.revision if loaded.ruleset else None,
                "problems": [problem.as_json() for problem in problems],
            }
        )
    else:
        for problem in problems:
            click.echo(click.style(str(problem), fg="red" if problem.severity is Severity.ERROR else "yellow"))
        click.echo(_verdict(problems, loaded.ruleset))
    if not path.is_dir():
        sys.exit(2)
    sys.exit(1 if failed else 0)


def _verdict(problems: tuple[Problem, ...], ruleset: Ruleset | None) -> str:
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    warnings = len(problems) - errors
    counted = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    if ruleset is None:
        return f"The rules cannot be used: {counted}."
    return f"{ruleset.count} rules, revision {ruleset.revision}: {counted}."


@click.command()
@click.argument("question", nargs=-1, required=True, metavar="TYPE NAME=VALUE… | QUERY | URL")
@click.option("--at", help="The moment of the question, such as 2026-11-23T10:00:00-06:00 (default: now).")
@click.option("--link-attribute", multiple=True, metavar="K=V", help="An attribute of the customer's link.")
@rules_option
@json_option
def explain(
    question: tuple[str, ...], at: str | None, link_attribute: tuple[str, ...], rules_folder: Path | None, as_json: bool
) -> None:
    """Show which rule answers a question, and why the others do not.

    The question is a type (service, participant, location, avatar, directory, registration) with parameters, or a
    whole query string or URL copied from a log:

    \b
        policy-server explain service local_alias=mp… protocol=api
        policy-server explain 'https://…/policy/v1/service/configuration?local_alias=mp…'
    """
    found = settings()
    request_type, alias, query = _read_question(words_of(question))
    ruleset = usable_rules(rules_folder or found.rules)
    keyring = keyring_or_temporary(found)
    when = moment(at)
    try:
        request = parse_request(request_type, query.encode(), alias)
    except QuestionError as error:
        answer = failure_answer(found.on_failure)
        if as_json:
            print_json(
                {"rule": None, "reason": str(error), "answer": answer, "findings": [], "revision": ruleset.revision}
            )
        else:
            click.echo(f"The question cannot be understood: {error}\n\n{explain_text(answer)}")
        sys.exit(1)
    decision = evaluate(ruleset, request, when, keyring, pairs(link_attribute, "--link-attribute"))
    answer = render_answer(request_type, decision, found.on_failure)
    if as_json:
        print_json(explain_json(decision, answer, ruleset.revision))
    else:
        paint = COLOURS if sys.stdout.isatty() else None
        click.echo("\n".join(explain_rows(decision.trace.findings(), paint)))
        winner = f"rule {decision.rule}" if decision.rule else "no rule"
        click.echo(
            f"\n{winner}: {decision.reason}  (revision {ruleset.revision}, at {when.isoformat(timespec='seconds')})"
        )
        if found.secret_key is None and _needs_key(ruleset, request_type):
            click.echo(
                "POLICY_SECRET_KEY is not set: links count as invalid, and derived PINs are not the server's.", err=True
            )
        click.echo(f"\n{explain_text(answer)}")
    sys.exit(1 if isinstance(decision, Fail) else 0)


def _needs_key(ruleset: Ruleset, request_type: RequestType) -> bool:
    """Whether an answer can depend on the secret key: rules ask whether a link is valid, or give derived PINs."""
    lists: Mapping[RequestType, RuleList[object]] = {
        RequestType.SERVICE: ruleset.services,
        RequestType.PARTICIPANT: ruleset.participants,
        RequestType.LOCATION: ruleset.locations,
    }
    rules = lists[request_type].rules if request_type in lists else ()
    return any(_asks_for_link(rule.conditions) or _derives_pins(rule.outcome) for rule in rules if rule.enabled)


def _asks_for_link(conditions: tuple[Condition, ...]) -> bool:
    return any(
        isinstance(condition, LinkIs)
        or (isinstance(condition, AllOf | AnyOf | NotAllOf) and _asks_for_link(condition.conditions))
        for condition in conditions
    )


def _derives_pins(outcome: object) -> bool:
    return isinstance(outcome, ServeOutcome) and (outcome.service.derived_pin or outcome.service.derived_guest_pin)


def _read_question(words: tuple[str, ...]) -> tuple[RequestType, str, str]:
    """The type, the alias of the path, and the query string."""
    first = words[0]
    types = tuple(kind.value for kind in RequestType)
    if first in types:
        request_type = RequestType(first)
        if len(words) == 2 and ("&" in words[1] or "?" in words[1]):
            return request_type, *_split_alias(words[1].rpartition("?")[2])
        fields = _repeated(words[1:], request_type)
        alias = fields.pop("alias", [""])[0]
        return request_type, alias, encode_query(fields)
    if len(words) == 1 and ("?" in first or "/policy/v1/" in first):
        # A support log line has the URL somewhere in it.
        url = next((word for word in re.split(r"[\s\"']+", first) if "/policy/v1/" in word), first)
        path, _, query = url.partition("?")
        routed = route(path.encode())
        if routed is not None:
            return *routed, query
    if len(words) == 1 and "=" in first:
        return RequestType.SERVICE, *_split_alias(first.lstrip("?"))
    raise Unusable(one_of("the first word", types, first))


def _split_alias(query: str) -> tuple[str, str]:
    parts = query.split("&")
    alias = next((unquote_plus(part[6:]) for part in parts if part.startswith("alias=")), "")
    return alias, "&".join(part for part in parts if not part.startswith("alias="))


def _repeated(words: tuple[str, ...], request_type: RequestType) -> dict[str, list[str]]:
    """Parameters as given; one that Pexip does not have is more likely a slip than wanted."""
    known = {*PARAMETERS, *(parameter.name for parameter in parameters_of(request_type))}
    fields: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise Unusable(f"a parameter is written NAME=VALUE, but this is {word!r}")
        if name not in known and not name.startswith(IDP_PREFIX):
            near = nearest(name, known)
            click.echo(
                f"warning: {name!r} is no parameter of Pexip's" + (f" (did you mean {near!r}?)" if near else ""),
                err=True,
            )
        fields.setdefault(name, []).append(value)
    return fields


@click.command("test")
@rules_option
@json_option
def run_tests(rules_folder: Path | None, as_json: bool) -> None:
    """Run the rule tests (*.test.yaml beside the rules)."""
    now = datetime.now(UTC)
    loaded, read = load_folder(folder(rules_folder), now, environment=environment())
    if loaded.ruleset is None:
        refuse(loaded.problems)
    tests, problems = parse_tests(read.tests, loaded.ruleset, now)
    if any(problem.severity is Severity.ERROR for problem in problems):
        refuse(problems)
    # No test may depend on a secret, or it would pass in one place and fail in another.
    keyring = Keyring.from_text("rule tests sign their links with this public key")
    outcomes = [run_test(test, loaded.ruleset, keyring) for test in tests]
    failed = sum(not outcome.passed for outcome in outcomes)
    if as_json:
        print_json({"ok": not failed, "tests": [_outcome_json(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            _print_outcome(outcome)
        click.echo(f"{len(outcomes) - failed} passed, {failed} failed")
    if not outcomes:
        click.echo(
            "There are no rule tests; they belong into files that end in .test.yaml, beside the rules.", err=True
        )
    sys.exit(1 if failed else 0)


def _outcome_json(outcome: TestOutcome) -> dict[str, object]:
    place = outcome.test.place
    return {
        "name": outcome.test.name,
        "file": place.file,
        "line": place.line,
        "passed": outcome.passed,
        "differences": list(outcome.differences),
    }


def _print_outcome(outcome: TestOutcome) -> None:
    mark = click.style("pass", fg="green") if outcome.passed else click.style("FAIL", fg="red")
    place = f"{outcome.test.place.file}:{outcome.test.place.line}"
    click.echo(f"{mark}  {outcome.test.name}" + ("" if outcome.passed else f"  ({place})"))
    for difference in outcome.differences:
        click.echo(f"        {difference}")
    for finding in outcome.findings:
        click.echo(f"          {finding}")


@click.command()
def schema() -> None:
    """Print the JSON Schema of a rule file, for editors."""
    print_json(rule_file_schema())
