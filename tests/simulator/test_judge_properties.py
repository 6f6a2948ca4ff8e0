"""What holds for any question and any answer: the judge never raises and never repeats a secret."""

import json
from typing import get_args

from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy_server.pexip.field_facts import SECRET_FIELDS
from policy_server.simulator.judge import HttpAnswer, Outcome, Verdict, judge
from tests.simulator.judge_samples import (
    AVATAR,
    GATEWAY,
    JSON_PATHS,
    LEG,
    MINIMAL,
    PLAYBACK,
    ROOM,
    SERVICE,
    http,
    jpeg,
    judged,
    names,
    picture,
)

PEXIP = names(locations=["London"], themes=["Telehealth"], identity_provider_groups=["Staff"])
OPTIONAL_FIELDS = (
    "action allow_guests automatic_participants breakout breakout_name breakout_rooms breakout_uuid breakout_uuids"
    " call_type direct_media guest_pin ignore_local location max_callrate_in mix_name new_alias on_completion"
    " overflow_locations password pin preauthenticated_role reject_reason remote_display_name result"
    " send_to_audio_mixes status transfer username view zzz"
)
FIELDS = sorted({*GATEWAY, *LEG, *PLAYBACK, *OPTIONAL_FIELDS.split()})
OTHER_WORDS = "success failure continue reject redirect chair sip London 1234 54321# 123# teams one_main_one_pip always"
WORDS = [*MINIMAL, *OTHER_WORDS.split()]

texts = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(WORDS) | st.just("x" * 251)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | texts, inner, max_size=6),
    max_leaves=15,
)
services = st.builds(
    lambda base, changes: base | changes,
    st.sampled_from(list(MINIMAL.values())),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=4),
)
documents = values | st.builds(
    lambda envelope, result: envelope | {"result": result},
    st.fixed_dictionaries({"status": st.just("success")}, optional={"action": texts, "ignore_local": leaves}),
    services | values,
)
paths = st.sampled_from([*JSON_PATHS, AVATAR]) | texts
queries = (
    st.sampled_from(["call_direction=dial_out&service_name=Room", "width=100&height=100", "remote_display_name=A"])
    | texts
)


def _check_shape(verdict: Verdict) -> None:
    assert verdict.outcome in get_args(Outcome)
    assert (verdict.outcome == "failure") is bool(verdict.objections)
    assert verdict.used is not bool(verdict.objections)
    for item in verdict.objections + verdict.warnings:
        assert item.reason.endswith(".")
        assert item.reason.isprintable()
        assert item.field.isprintable()
        assert item.rule


@given(paths, queries, documents, st.none() | services)
def test_any_document_gets_a_verdict(
    path: str, query: str, document: object, running: dict[str, object] | None
) -> None:
    """Any JSON document to any question is judged, in printable sentences."""
    _check_shape(judged(path, document, query, deployment=PEXIP, running=running))


@given(paths, queries, st.integers(), st.text(), st.binary(), st.floats())
@example(AVATAR, "width=100&height=100", 200, "image/jpeg", jpeg()[:300], 0.0)
@example(SERVICE, "%ff=%00&&=&;", 200, "application/json", b'"\\ud800"', 0.0)
@example(SERVICE, "", 200, "application/json", b'{"status": "\\ud800", "result": {"\\ud800": 1}}', 0.0)
@example(SERVICE, "", 200, "application/json", b'{"status": "success", "result": {"end_time": 1e999}}', 0.0)
def test_any_bytes_get_a_verdict(
    path: str, query: str, status: int, content_type: str, body: bytes, seconds: float
) -> None:
    """Any HTTP answer whatever is judged, in printable sentences."""
    _check_shape(judge(path, query, HttpAnswer(status, content_type, body, seconds)))


@settings(max_examples=50)
@given(st.integers(0, 600), st.binary(max_size=8))
def test_any_damage_to_a_picture_gets_a_verdict(place: int, damage: bytes) -> None:
    """A picture damaged anywhere is judged, not raised upon."""
    body = bytearray(jpeg())
    body[place : place + len(damage)] = damage
    _check_shape(judge(AVATAR, "width=100&height=100", picture(bytes(body))))


# Long enough not to occur by chance in a bound or a length that a reason states.
secrets = st.from_regex(r"[1-9][0-9]{8,23}#?", fullmatch=True)


@given(
    st.sampled_from(JSON_PATHS),
    services,
    st.sampled_from(sorted(SECRET_FIELDS)),
    secrets | secrets.map(lambda text: f"{text} x") | secrets.map(lambda text: int(text.rstrip("#"))),
    st.lists(st.sampled_from(FIELDS), max_size=5),
    st.booleans(),
)
def test_no_reason_repeats_a_secret(
    path: str, service: dict[str, object], field: str, secret: str | int, repeated: list[str], nested: bool
) -> None:
    """No sentence contains what is secret, not even where another field or a key repeats it."""
    result = service | dict.fromkeys(repeated, secret) | {str(secret): 1, field: secret}
    document = {"status": "success", "action": secret if nested else "continue", "result": result}
    verdict = judged(path, document, deployment=PEXIP, running=ROOM)
    for item in verdict.objections + verdict.warnings:
        assert str(secret) not in item.reason


@given(documents, st.text(max_size=300))
def test_extra_keys_change_nothing_unless_too_long(document: object, extra: str) -> None:
    """An extra top-level key only matters when it is longer than 250 characters."""
    if isinstance(document, dict) and "decision_id" not in document:
        plain = judged(SERVICE, document)
        verdict = judged(SERVICE, document | {"decision_id": extra})
        assert verdict.outcome == ("failure" if len(extra) > 250 else plain.outcome)


@given(documents)
def test_the_order_of_keys_changes_nothing(document: object) -> None:
    """The same document with its keys sorted gets the same objections, in whatever order."""
    rewritten = HttpAnswer(200, "application/json", json.dumps(document, sort_keys=True, indent=1).encode())
    for path in JSON_PATHS:
        first, second = judge(path, "", http(document)), judge(path, "", rewritten)
        assert first.outcome == second.outcome
        assert set(first.objections) == set(second.objections)
