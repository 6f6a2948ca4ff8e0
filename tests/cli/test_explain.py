"""``explain``: which rule answers a question, why the others do not, and what the answer is."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policy_server.pexip.request_types import RequestType
from policy_server.policy.names import Call, Keyring
from tests.cli.commands import CREDENTIALS, RULES, printed_json, put_rules, run
from tests.servers import SECRET_KEY, clean_environment

OPEN = "2026-11-23T10:00:00-06:00"
CLOSED = "2026-11-22T10:00:00-06:00"


@pytest.fixture(autouse=True)
def rules(folder: Path) -> Path:
    """The rules of these tests."""
    return put_rules(folder)


def call(life: timedelta = timedelta(hours=1)) -> Call:
    """A call whose link is good at OPEN and CLOSED."""
    return Keyring.from_text(SECRET_KEY).sign("visit", datetime.fromisoformat(OPEN).astimezone(UTC) + life, b"once")


def explained(*arguments: str, **environment: str) -> dict[str, Any]:
    """The JSON of explain, which must have succeeded."""
    result = run("explain", "--json", *arguments, environment=environment)
    assert result.exit_code == 0, result.output
    return printed_json(result)


def test_help_lists_the_questions() -> None:
    """Whoever asks for help reads every type of question that there is."""
    told = " ".join(run("explain", "--help").stdout.split())
    assert f"a type ({', '.join(RequestType)})" in told


def test_json_has_the_documented_shape() -> None:
    """--json: rule, reason, answer, findings with rule, outcome, condition and reason, revision, what was looked at."""
    value = explained("service", f"local_alias=mp{'x' * 32}", "protocol=api", "--at", OPEN)
    revision = printed_json(run("check", "--json"))["revision"]
    assert value == {
        "rule": "customer-refused",
        "reason": "every condition holds",
        "answer": {"status": "success", "action": "reject", "result": {}, "reason": "We are closed."},
        "findings": [
            {"rule": "customer", "outcome": "miss", "condition": "link", "reason": value["findings"][0]["reason"]},
            {"rule": "agent", "outcome": "miss", "condition": "door", "reason": value["findings"][1]["reason"]},
            {"rule": "vip", "outcome": "miss", "condition": "local_alias", "reason": value["findings"][2]["reason"]},
            {"rule": "customer-refused", "outcome": "hit", "condition": None, "reason": "every condition holds"},
            {"rule": "named", "outcome": "not_evaluated", "condition": None, "reason": "an earlier rule matched"},
        ],
        "revision": revision,
        "looked_at": {"database": None, "without": value["looked_at"]["without"], "at": OPEN},
        "held": None,
        "forwarded": None,
        "notes": [],
    }
    assert all(finding["reason"] for finding in value["findings"])


def test_no_rule() -> None:
    """Where no rule matches, rule is null, and the answer leaves it to Pexip."""
    value = explained("service", "local_alias=meet.alice")
    assert (value["rule"], value["answer"]) == (None, {"status": "success", "action": "continue"})
    assert {finding["outcome"] for finding in value["findings"]} == {"miss"}


@pytest.mark.parametrize(
    ("at", "rule"),
    [
        (OPEN, "customer"),
        (CLOSED, "customer-refused"),
        ("2026-11-23T16:00:00Z", "customer"),
        ("2026-11-23T17:00:00+00:00", "customer-refused"),
    ],
)
def test_at(at: str, rule: str) -> None:
    """--at is the moment of the question, for calendars and links."""
    value = explained("service", f"local_alias=mp{call().session}", "--at", at, POLICY_SECRET_KEY=SECRET_KEY)
    assert value["rule"] == rule


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("tomorrow", "--at must be a moment such as 2026-11-23T10:00:00-06:00 but is 'tomorrow'"),
        ("2026-11-23T10:00:00", "--at needs an offset, such as 2026-11-23T10:00:00-06:00 or 2026-11-23T10:00:00Z"),
        ("2026-11-23", "--at needs an offset, such as 2026-11-23T00:00:00-06:00 or 2026-11-23T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "--at must be in the years 1970 to 9990"),
        ("9999-12-31T23:59:59-12:00", "--at must be in the years 1970 to 9990"),
    ],
)
def test_a_wrong_moment(at: str, said: str) -> None:
    """A moment that is none, or has no offset, is status 2 with an example."""
    result = run("explain", "service", "local_alias=a", "--at", at)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_the_text_form() -> None:
    """For people: a row for each rule, the winner with revision and moment, and the answer."""
    result = run("explain", "service", "local_alias=room-1", "--at", OPEN)
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:5]] == [
        ["miss", "customer"],
        ["miss", "agent"],
        ["miss", "vip"],
        ["miss", "customer-refused"],
        ["hit", "named"],
    ]
    assert "the alias is of no link type, not visit" in lines[0]
    assert "local_alias is 'room-1'" in lines[2]
    assert lines[6].startswith("rule named: every condition holds  (revision ")
    assert lines[6].endswith(", at 2026-11-23T10:00:00-06:00)")
    assert lines[7].startswith("no database: the database file /")
    assert json.loads("\n".join(lines[9:]))["result"]["name"] == "1"
    assert "POLICY_SECRET_KEY is not set" in result.stderr


PLAIN = """
service:
  - { id: one, enabled: false, when: { link_type: visit, link: valid }, reject: No }
  - { id: two, when: { any: [ { not: { local_alias: b } }, { protocol: sip } ] }, room: visit }
rooms: { visit: { name: visit } }
links: { visit: { alias: 'mp{session}' } }
"""


@pytest.mark.parametrize(
    ("rules_text", "question", "told"),
    [
        pytest.param(RULES, "directory", False, id="directory"),
        pytest.param(RULES, "avatar", False, id="avatar"),
        pytest.param(RULES, "registration", False, id="registration"),
        pytest.param(RULES, "location", False, id="no rules for this question"),
        pytest.param(PLAIN, "service", False, id="neither links nor PINs, but for a disabled rule"),
        pytest.param(PLAIN.replace("enabled: false, ", ""), "service", True, id="link"),
        pytest.param(
            PLAIN.replace("name: visit", "name: visit, pin: '73019582', allow_guests: true, guest_pin: derived"),
            "service",
            True,
            id="guest PIN",
        ),
        pytest.param(PLAIN.replace("name: visit", "name: visit, pin: derived"), "service", True, id="host PIN"),
        pytest.param(
            PLAIN.replace("{ protocol: sip }", "{ all: [ { not: { link: invalid } } ] }"),
            "service",
            True,
            id="link deep inside",
        ),
        pytest.param(
            PLAIN + "participants: [ { id: a, when: { link_type: visit, link: valid }, reject: No } ]",
            "participant",
            True,
            id="link of a participant",
        ),
    ],
)
def test_the_key_is_missed_where_it_matters(rules: Path, rules_text: str, question: str, told: bool) -> None:
    """That there is no key is told only if some rule for the question asks for a link or gives a derived PIN."""
    put_rules(rules.parent, rules_text)
    result = run("explain", question, "local_alias=x", "--at", OPEN)
    assert ("POLICY_SECRET_KEY is not set" in result.stderr) is told


def test_a_devices_password_is_not_printed(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a device has to know a password is told, and not which."""
    monkeypatch.setenv("KIOSKS", "planted-password")
    put_rules(rules.parent, "registrations: [ { id: a, allow: { username: kiosk, password_env: KIOSKS } } ]")
    for flags in ((), ("--json",)):
        result = run("explain", "registration", "alias=x", *flags)
        assert '"username": "kiosk"' in result.stdout
        assert "planted-password" not in result.output


def test_with_a_key_nothing_is_missing() -> None:
    """With the server's key nothing is said about it, and PINs are the server's."""
    result = run("explain", "service", f"local_alias=hcp{call().agent}", "--at", OPEN, environment=CREDENTIALS)
    assert result.stderr == ""
    assert call().pins.host in result.stdout


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        pytest.param(("service", "local_alias=room-1&protocol=api"), "named", id="type and query"),
        pytest.param(("service", "?local_alias=room-1&protocol=api"), "named", id="type and query with mark"),
        pytest.param(("local_alias=room-1&protocol=api",), "named", id="query"),
        pytest.param(("?local_alias=room-1&protocol=api",), "named", id="query with mark"),
        pytest.param(("/policy/v1/service/configuration?local_alias=room%2D1",), "named", id="path"),
        pytest.param(("https://p.example.com/policy/v1/service/configuration?local_alias=room-1",), "named", id="URL"),
        pytest.param(
            ("https://p.example.com/a/b//policy/v1/service/configuration/?local_alias=room-1",), "named", id="prefix"
        ),
        pytest.param(("https://[bad/policy/v1/service/configuration?local_alias=room-1",), "named", id="broken host"),
        pytest.param(
            ('10.1.2.3 - - "GET /policy/v1/service/configuration?local_alias=room-1&x=y HTTP/1.1" 200 17',),
            "named",
            id="access log",
        ),
        pytest.param(
            ("Level=\"INFO\" Url='https://p/policy/v1/service/configuration?local_alias=room-1' Status='200'",),
            "named",
            id="support log",
        ),
        pytest.param(
            ("https://p/policy/v1/registrations/kiosk%2F7%20%C3%BC%40video.example.com?x=y",), "kiosks", id="alias"
        ),
        pytest.param(("registration", "alias=kiosk/7 ü@video.example.com"), "kiosks", id="alias as parameter"),
        pytest.param(
            ("registration", "alias=kiosk%2F7+%C3%BC@video.example.com&protocol=sip"), "kiosks", id="alias in query"
        ),
        pytest.param(("service", "local_alias=room-1", "remote_display_name=A & B = C"), "named", id="plain text"),
        pytest.param(("service", "local_alias=sip:ROOM-1@video.example.com;transport=tls"), "named", id="SIP alias"),
        pytest.param(("participant",), None, id="no parameters"),
        pytest.param(("https://p/policy/v1/participant/location",), None, id="URL without query"),
        pytest.param(("directory", "q=x"), "directory", id="directory"),
        pytest.param(("avatar", "alias=nobody", "width=10"), None, id="avatar"),
    ],
)
def test_ways_to_ask(arguments: tuple[str, ...], rule: str | None) -> None:
    """A type with parameters, a whole query string, a URL, or a log line with a URL in it."""
    assert explained(*arguments)["rule"] == rule


def test_a_repeated_parameter_is_sent_twice() -> None:
    """A scalar given twice cannot be understood: status 1, with the failure that a node would get."""
    for options in ((), ("--json",)):
        result = run("explain", "service", "local_alias=a", "local_alias=b", *options)
        assert result.exit_code == 1
        assert "local_alias is given twice" in result.stdout
    value = printed_json(run("explain", "service", "local_alias=a", "local_alias=b", "--json"))
    assert (value["rule"], value["findings"], value["answer"]) == (
        None,
        [],
        {"status": "failure", "action": "continue"},
    )
    seen = {"looked_at", "held", "forwarded", "notes"}
    assert value.keys() == {"rule", "reason", "answer", "findings", "revision"} | seen


def test_a_failing_rule() -> None:
    """A rule whose answer would be void is status 1, named with the reason, and the failure is that of the setting."""
    result = run(
        "explain", "service", f"local_alias=room-{'x' * 251}", "--json", environment={"POLICY_ON_FAILURE": "reject"}
    )
    value = printed_json(result)
    assert (result.exit_code, value["rule"]) == (1, "named")
    assert "name" in value["reason"]
    assert value["answer"] == {"status": "failure", "action": "reject"}


@pytest.mark.parametrize(
    ("at", "state", "reason"),
    [
        ("2026-11-23T15:44:59Z", "early", "the link is early until Mon 2026-11-23 15:45 (UTC), not valid"),
        ("2026-11-23T15:45:00Z", "valid", None),
        ("2026-11-23T17:00:00Z", "expired", "the link is expired, not valid"),
    ],
)
def test_the_window_of_an_appointment(folder: Path, at: str, state: str, reason: str | None) -> None:
    """Before and after its window a note says when the door of an appointment opens and is shut, and the row until when it
    is early.
    """
    starts_at = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
    call = Keyring.from_text(SECRET_KEY).sign(
        "visit", starts_at + timedelta(hours=1), b"1234", starts_at - timedelta(minutes=15)
    )
    environment = {"POLICY_SECRET_KEY": SECRET_KEY}
    arguments = ("explain", "service", f"local_alias=mp{call.session}", "--at", at, "--json")
    value = printed_json(run(*arguments, environment=environment))
    (finding,) = [each for each in value["findings"] if each["rule"] == "customer"]
    note = (
        f"the link is {state}: it is of an appointment whose door opens at 2026-11-23T15:45:00+00:00 and is shut at "
        "2026-11-23T17:00:00+00:00"
    )
    assert (finding["reason"] if finding["condition"] == "link" else None, value["notes"]) == (
        reason,
        [note] if reason else [],
    )


def test_link_attributes() -> None:
    """--link-attribute gives the link attributes that rules ask for; one that is no pair is status 2."""
    assert explained("service", "local_alias=vip")["rule"] is None
    assert explained("service", "local_alias=vip", "--link-attribute", "queue=gold")["rule"] == "vip"
    result = run("explain", "service", "local_alias=vip", "--link-attribute", "gold")
    assert (result.exit_code, "--link-attribute is written K=V but is 'gold'" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("lokal_alias=a", "warning: 'lokal_alias' is no parameter of Pexip's (did you mean 'local_alias'?)\n"),
        ("xyzzy=a", "warning: 'xyzzy' is no parameter of Pexip's\n"),
        ("idp_attribute_queue=a", ""),
    ],
)
def test_unknown_parameters_warn(word: str, said: str) -> None:
    """A parameter that Pexip does not have is a warning on standard error, which leaves the JSON clean."""
    result = run("explain", "service", word, "--json")
    assert (result.exit_code, result.stderr) == (0, said)
    assert printed_json(result)["rule"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("servise", "local_alias=a"), "(did you mean 'service'?)"),
        (("nonsense",), "the first word must be one of 'service', 'participant', 'location', 'avatar', 'directory'"),
        (("https://p.example.com/other?a=b", "c"), "the first word must be one of"),
        (("service", "local_alias"), "a parameter is written NAME=VALUE, but this is 'local_alias'"),
    ],
)
def test_a_question_that_is_none(arguments: tuple[str, ...], said: str) -> None:
    """A first word that is no type, and a parameter without value, are status 2."""
    result = run("explain", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


@pytest.mark.slow
def test_arguments_that_are_not_utf_8() -> None:
    """Bytes that are not UTF-8 are explained as a node's would be, without a traceback."""
    alias = os.fsdecode(b"local_alias=room-\xff")
    command = [sys.executable, "-m", "policy_server", "explain", "service", alias, "--json"]
    real = subprocess.run(command, env=clean_environment(), capture_output=True, check=False)
    assert (real.returncode, json.loads(real.stdout)["rule"]) == (0, "named"), os.fsdecode(real.stderr)


def test_no_secret_of_a_caller_is_needed(rules: Path) -> None:
    """A passcode in a pasted log line is not repeated in the rows."""
    put_rules(rules.parent, RULES)
    result = run("explain", "service", "local_alias=a", "third_party_passcode=31337-passcode")
    assert "31337-passcode" not in result.output


def test_a_url_with_a_space_in_it_is_explained_as_far_as_it_goes_and_says_so() -> None:
    """A URL that was decoded before it was pasted ends early; the reader is not left to wonder what is missing."""
    url = "GET https://policy.example.com/policy/v1/service/configuration?vendor=UCCAPI/16 (Skype)&local_alias=room-1"
    value = explained(url)
    assert value["rule"] is None
    assert value["notes"] == [
        "the URL ends at the first space, quotation mark or < in it, and the parameters after that are left out"
    ]
    assert explained(url.replace(" (", "%20("))["notes"] == []
