"""The judge's view of participant, media location, registration and directory answers."""

import pytest

from tests.simulator.judge_samples import (
    DIRECTORY,
    LOCATION,
    PARTICIPANT,
    REGISTRATION,
    broken,
    judged,
    names,
    reasons,
    success,
    warned,
)

ENTRY = {"alias": "alice@example.com", "description": "Alice", "username": ""}


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        *(
            (field, [True, False], ["True", 1, None])
            for field in (
                "bypass_lock",
                "can_receive_personal_mix",
                "disable_overlay_text",
                "prefers_multiscreen_mix",
                "wants_presentation_in_mix",
            )
        ),
        *(
            (field, ["", "x", "x" * 250], [5, None, ["x"]])
            for field in ("call_tag", "layout_group", "receive_from_audio_mix", "remote_alias")
        ),
        ("remote_display_name", ["", "x", "x" * 250, None], [5, ["x"]]),
        ("display_count", [0, 2], ["2", 2.0, True, None]),
        ("spotlight", [0, 1_700_000_000], ["1", 1.5, False, None]),
        ("preauthenticated_role", ["chair", "guest", None], ["host", "", "Chair", 1]),
        ("rx_presentation_policy", ["ALLOW", "DENY"], ["allow", "", None]),
        (
            "send_to_audio_mixes",
            [[], [{"mix_name": "main"}], [{"mix_name": "main", "prominent": True}, {"mix_name": "b"}]],
            [{"mix_name": "main"}, None, "main"],
        ),
    ],
)
def test_participant_fields(field: str, good: list[object], bad: list[object]) -> None:
    """Each participant property takes the values of its type and nothing else."""
    for value in good:
        verdict = judged(PARTICIPANT, success({field: value}))
        assert (verdict.outcome, verdict.objections, verdict.warnings) == ("properties", (), ())
    for value in bad:
        assert broken(judged(PARTICIPANT, success({field: value}))) == [("FIELD", f"result.{field}")]


@pytest.mark.parametrize(
    ("mixes", "field"),
    [
        (["main"], "result.send_to_audio_mixes[0]"),
        ([{}], "result.send_to_audio_mixes[0].mix_name"),
        ([{"mix_name": "a"}, {"mix_name": ""}], "result.send_to_audio_mixes[1].mix_name"),
        ([{"mix_name": "a", "prominent": "False"}], "result.send_to_audio_mixes[0].prominent"),
    ],
)
def test_audio_mixes(mixes: list[object], field: str) -> None:
    """Each audio mix is an object with a mix_name."""
    assert broken(judged(PARTICIPANT, success({"send_to_audio_mixes": mixes}))) == [("FIELD", field)]


def test_audio_mix_levels() -> None:
    """A fourth level in a dotted mix name draws a warning."""
    assert judged(PARTICIPANT, success({"receive_from_audio_mix": "a.b.c"})).warnings == ()
    verdict = judged(PARTICIPANT, success({"receive_from_audio_mix": "a.b.c.d"}))
    assert (verdict.used, warned(verdict)) == (True, [("FIELD", "result.receive_from_audio_mix")])


def test_participant_reject() -> None:
    """A reject carries a reject_reason; other fields beside it warn, wrong ones are refused."""
    verdict = judged(PARTICIPANT, success({"reject_reason": "Closed"}, action="reject"))
    assert (verdict.outcome, verdict.objections, verdict.warnings) == ("reject", (), ())
    verdict = judged(PARTICIPANT, success({"reject_reason": "Closed", "call_tag": "x"}, action="reject"))
    assert (verdict.outcome, verdict.used, warned(verdict)) == ("reject", True, [("FIELD", "result")])
    verdict = judged(PARTICIPANT, success({"reject_reason": 5}, action="reject"))
    assert broken(verdict) == [("FIELD", "result.reject_reason")]


@pytest.mark.parametrize(
    ("result", "field", "word"),
    [
        ({"reject_reason": "Closed"}, "result.reject_reason", "let in"),
        ({"reject": True}, "result.reject", '"action": "reject"'),
        ({"display_name": "Ada"}, "result.display_name", "remote_display_name"),
        ({"role": "chair"}, "result.role", "preauthenticated_role"),
        ({"service_tag": "x"}, "result.service_tag", "leave it out"),
    ],
)
def test_participant_confusions(result: dict[str, object], field: str, word: str) -> None:
    """What people write by mistake has no effect, and the warning says what to write."""
    verdict = judged(PARTICIPANT, success(result))
    assert (verdict.outcome, warned(verdict)) == ("properties", [("FIELD", field)])
    assert word in verdict.warnings[0].reason


@pytest.mark.parametrize(
    ("result", "field"),
    [
        ({"location": "London"}, None),
        ({"location": "London", "overflow_locations": []}, None),
        ({"location": "London", "overflow_locations": ["Oslo", "DMZ"]}, None),
        ({"overflow_locations": ["Oslo"]}, "result.location"),
        ({"location": ""}, "result.location"),
        ({"location": None}, "result.location"),
        ({"location": ["London"]}, "result.location"),
        ({"location": "London", "overflow_locations": "Oslo"}, "result.overflow_locations"),
        ({"location": "London", "overflow_locations": None}, "result.overflow_locations"),
        ({"location": "London", "overflow_locations": ["Oslo", 5]}, "result.overflow_locations[1]"),
    ],
)
def test_location(result: dict[str, object], field: str | None) -> None:
    """A media location is a name, with a list of names to overflow to."""
    verdict = judged(LOCATION, success(result))
    assert broken(verdict) == ([] if field is None else [("FIELD", field)])
    assert verdict.outcome == ("location" if field is None else "failure")


@pytest.mark.parametrize("document", [success(), success({}), success(action="continue")])
def test_no_location_is_pexips_choice(document: object) -> None:
    """Without a location Pexip chooses; the warning says that some versions log it as invalid."""
    verdict = judged(LOCATION, document)
    assert (verdict.outcome, verdict.used, warned(verdict)) == ("continue", True, [("FIELD", "result")])


def test_location_names_have_case() -> None:
    """The reason for a name in the wrong case gives the right one."""
    verdict = judged(LOCATION, success({"location": "london"}), deployment=names(locations=["London", "Oslo"]))
    assert reasons(verdict) == [
        "location is 'london', but the Pexip deployment has no system location of that name; upper and lower case"
        " count: it is 'London'."
    ]


@pytest.mark.parametrize(
    ("result", "field"),
    [
        ({"username": "kiosk", "password": "sesame"}, None),
        ({"username": "", "password": ""}, None),
        ({"username": "kiosk"}, "result.password"),
        ({"username": "kiosk", "password": ""}, "result.password"),
        ({"password": "sesame"}, "result.username"),
        ({"username": "", "password": "sesame"}, "result.username"),
        ({"username": ""}, "result.password"),
        ({"password": ""}, "result.username"),
        ({"username": "kiosk", "password": 5}, "result.password"),
        ({"username": None, "password": "sesame"}, "result.username"),
    ],
)
def test_registration(result: dict[str, object], field: str | None) -> None:
    """Credentials are a pair: both given, or both empty to admit the device without authentication."""
    verdict = judged(REGISTRATION, success(result, action="continue"))
    assert broken(verdict) == ([] if field is None else [("FIELD", field)])
    assert verdict.outcome == ("credentials" if field is None else "failure")


@pytest.mark.parametrize("auth_type", ["sso", "%22sso%22"])
def test_registration_by_single_sign_on(auth_type: str) -> None:
    """Credentials for an app that uses single sign-on draw a warning."""
    document = success({"username": "kiosk", "password": "sesame"})
    assert warned(judged(REGISTRATION, document, f"auth_type={auth_type}")) == [("FIELD", "result")]
    assert judged(REGISTRATION, document, "auth_type=%22credentials%22").warnings == ()


def test_registration_reject_with_data() -> None:
    """Credentials beside a reject draw a warning."""
    verdict = judged(REGISTRATION, success({"username": "a", "password": "b"}, action="reject"))
    assert (verdict.outcome, warned(verdict)) == ("reject", [("FIELD", "result")])


@pytest.mark.parametrize(
    ("result", "field"),
    [
        ([], None),
        ([ENTRY], None),
        ([ENTRY, ENTRY | {"username": "alice", "description": ""}], None),
        ([ENTRY, {"alias": "b", "description": "Bob"}], "result[1].username"),
        ([{"alias": "b", "username": ""}], "result[0].description"),
        ([{"description": "Bob", "username": ""}], "result[0].alias"),
        ([ENTRY | {"alias": ""}], "result[0].alias"),
        ([ENTRY | {"username": None}], "result[0].username"),
        (["alice@example.com"], "result[0]"),
        ({"contacts": []}, "result"),
        ({}, "result"),
        (None, "result"),
        ("", "result"),
    ],
)
def test_directory(result: object, field: str | None) -> None:
    """A directory answer is a list of entries with alias, description and username."""
    verdict = judged(DIRECTORY, {"status": "success", "result": result})
    assert broken(verdict) == ([] if field is None else [("FIELD", field)])
    assert verdict.outcome == ("directory" if field is None else "failure")


def test_directory_without_result() -> None:
    """Without a result only local entries are shown, which draws a warning."""
    verdict = judged(DIRECTORY, success(action="continue"))
    assert (verdict.outcome, verdict.used, warned(verdict)) == ("continue", True, [("FIELD", "result")])


@pytest.mark.parametrize(("value", "used"), [(True, True), (False, True), ("true", False), (1, False), (None, False)])
def test_ignore_local(value: object, used: bool) -> None:
    """ignore_local is a boolean next to status, in directory answers only."""
    verdict = judged(DIRECTORY, success([], ignore_local=value))
    assert broken(verdict) == ([] if used else [("FIELD", "ignore_local")])
    assert judged(PARTICIPANT, success({}, ignore_local=value)).used
