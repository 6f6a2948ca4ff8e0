"""Types, words, ranges and lengths of every field of a service, and fields that are not documented."""

from typing import Any

import pytest

from tests.pexip import reference
from tests.pexip.reference import SERVICES
from tests.simulator.judge_samples import (
    BREAKOUT_UUID,
    GATEWAY,
    LECTURE,
    LEG,
    MINIMAL,
    PLAYBACK,
    RECEPTION,
    ROOM,
    broken,
    judged_service,
    reasons,
    warned,
)

NULLABLE = {"crypto_mode", "max_pixels_per_second"}
FIELDS = [(kind, name, field) for kind, fields in SERVICES.items() for name, field in fields.items()]
WORD_CASES = [(kind, name, field.words) for kind, name, field in FIELDS if field.words]
LEG_WORDS = [(name, field.words) for name, field in reference.LEG.items() if field.words]
# A breakout needs more.
FLAG_CASES = [(kind, name) for kind, name, field in FIELDS if field.type == "boolean" and name != "breakout"]
TEXT_CASES = [(kind, name) for kind, name, field in FIELDS if field.length == 250]
RANGE_CASES = [(kind, name, field.range) for kind, name, field in FIELDS if field.range]


@pytest.mark.parametrize(("kind", "field", "words"), WORD_CASES, ids=[f"{k}-{f}" for k, f, _ in WORD_CASES])
def test_words(kind: str, field: str, words: tuple[str, ...]) -> None:
    """An enumerated field takes each documented word, exactly as written, and nothing else."""
    for word in words:
        teams = {"outgoing_protocol": "teams"} if word in {"teams", "teams_focus"} and field == "view" else {}
        verdict = judged_service(MINIMAL[kind] | teams | {field: word})
        assert (verdict.outcome, verdict.warnings) == ("service", ())
    rule = "SVC-4" if field.endswith("view") else "FIELD"
    wrong: tuple[object, ...] = (words[0].upper(), words[0] + " ", "", "nonsense", 0, True, [words[0]], {})
    for value in wrong:
        assert broken(judged_service(MINIMAL[kind] | {field: value})) == [(rule, f"result.{field}")]
    assert judged_service(MINIMAL[kind] | {field: None}).used is (field in NULLABLE)


@pytest.mark.parametrize(("field", "words"), LEG_WORDS, ids=[field for field, _ in LEG_WORDS])
def test_automatic_participant_words(field: str, words: tuple[str, ...]) -> None:
    """The enumerated fields of an automatic participant take each documented word and nothing else."""
    for word in words:
        assert judged_service(ROOM | {"automatic_participants": [LEG | {field: word}]}).used
    for value in ("teams", "Host", "auto", "never", words[0].upper(), "", None, 5):
        verdict = judged_service(ROOM | {"automatic_participants": [LEG | {field: value}]})
        assert broken(verdict) == [("FIELD", f"result.automatic_participants[0].{field}")]


@pytest.mark.parametrize(("kind", "field"), FLAG_CASES)
def test_flags(kind: str, field: str) -> None:
    """A boolean is JSON true or false, not the words that requests use."""
    access = {"pin": "1234"} if field == "allow_guests" else {}
    for flag in (True, False):
        assert judged_service(MINIMAL[kind] | access | {field: flag}).used
    wrong: tuple[object, ...] = ("True", "true", "", 0, 1, None, [])
    for value in wrong:
        verdict = judged_service(MINIMAL[kind] | access | {field: value})
        assert broken(verdict) == [("FIELD", f"result.{field}")]


@pytest.mark.parametrize(("kind", "field"), TEXT_CASES)
def test_texts(kind: str, field: str) -> None:
    """A text takes 250 characters, counted as characters, and only text."""
    for text in ("x", "é" * 250, "😀" * 250):
        verdict = judged_service(MINIMAL[kind] | {field: text})
        assert (verdict.outcome, verdict.warnings) == ("service", ())
    assert broken(judged_service(MINIMAL[kind] | {field: "x" * 251})) == [("ENV-3", f"result.{field}")]
    for wrong in (5, 1.5, True, None, ["x"], {"x": "x"}):
        assert broken(judged_service(MINIMAL[kind] | {field: wrong})) == [("FIELD", f"result.{field}")]


@pytest.mark.parametrize(("kind", "field", "bounds"), RANGE_CASES, ids=[f"{k}-{f}" for k, f, _ in RANGE_CASES])
def test_ranges(kind: str, field: str, bounds: tuple[int, int]) -> None:
    """A range includes its bounds; a whole number is a JSON number without fraction, and no boolean."""
    lowest, highest = bounds
    rule = "SVC-5" if field.startswith("max_callrate") else "FIELD"
    for value in (lowest, lowest + 1, highest):
        assert judged_service(MINIMAL[kind] | {field: value}).used
    for outside in (lowest - 1, highest + 1, -1):
        assert broken(judged_service(MINIMAL[kind] | {field: outside})) == [(rule, f"result.{field}")]
    for wrong in (str(lowest), float(lowest), True, None, [lowest]):
        assert broken(judged_service(MINIMAL[kind] | {field: wrong})) == [("FIELD", f"result.{field}")]


def test_whole_numbers_without_a_range() -> None:
    """end_time takes any whole number."""
    assert judged_service(ROOM | {"end_time": 0}).used
    assert judged_service(ROOM | {"end_time": 1_800_000_000}).used
    assert broken(judged_service(ROOM | {"end_time": "0"})) == [("FIELD", "result.end_time")]


def test_owner_address_has_its_own_length() -> None:
    """primary_owner_email_address takes 100 characters."""
    assert judged_service(ROOM | {"primary_owner_email_address": "x" * 100}).used
    for length, rule in ((101, "FIELD"), (250, "FIELD"), (251, "ENV-3")):
        too_long = judged_service(ROOM | {"primary_owner_email_address": "x" * length})
        assert broken(too_long) == [(rule, "result.primary_owner_email_address")]


@pytest.mark.parametrize(
    ("value", "used"),
    [
        (BREAKOUT_UUID, True),
        (BREAKOUT_UUID.upper(), True),
        (BREAKOUT_UUID.replace("-", ""), False),
        ("{" + BREAKOUT_UUID + "}", False),
        (BREAKOUT_UUID + "\n", False),
        ("room-1", False),
        ("", False),
        (5, False),
        (None, False),
    ],
)
def test_uuids(value: object, used: bool) -> None:
    """A breakout UUID is canonical UUID text, alone and in the list."""
    alone = judged_service(ROOM | {"breakout_uuid": value})
    assert broken(alone) == ([] if used else [("FIELD", "result.breakout_uuid")])
    several = judged_service(LECTURE | {"breakout_uuids": [BREAKOUT_UUID, value]})
    assert broken(several) == ([] if used else [("FIELD", "result.breakout_uuids[1]")])


@pytest.mark.parametrize("value", [None, "", {}, LEG, "[]", 0], ids=repr)
@pytest.mark.parametrize("field", ["automatic_participants", "breakout_uuids"])
def test_lists(field: str, value: object) -> None:
    """A list field takes a JSON list, not a single entry."""
    assert broken(judged_service(ROOM | {field: value})) == [("FIELD", f"result.{field}")]
    assert judged_service(ROOM | {field: []}).used


def test_automatic_participants_are_objects() -> None:
    """Each wrong entry and each wrong field of an entry is named with its place in the list."""
    legs = [LEG, "sip:x@example.com", LEG | {"remote_alias": "b", "streaming": "no", "dtmf_sequence": "1" * 251}]
    assert broken(judged_service(ROOM | {"automatic_participants": legs})) == [
        ("ENV-3", "result.automatic_participants[2].dtmf_sequence"),
        ("FIELD", "result.automatic_participants[1]"),
        ("FIELD", "result.automatic_participants[2].streaming"),
    ]


def test_wrong_aliases_of_legs_are_not_the_same_leg() -> None:
    """Aliases that are no text, or empty, are refused for that and not compared with each other."""
    for alias in ("", 5, None):
        verdict = judged_service(ROOM | {"automatic_participants": [LEG | {"remote_alias": alias}] * 2})
        assert len(verdict.objections) == 2
        assert verdict.warnings == ()


def test_the_same_leg_twice_is_dialled_once() -> None:
    """A second entry for the same alias is used, with a warning that Pexip will not dial it."""
    verdict = judged_service(ROOM | {"automatic_participants": [LEG, LEG | {"role": "guest"}]})
    assert verdict.used
    assert warned(verdict) == [("ADP-1", "result.automatic_participants[1].remote_alias")]


@pytest.mark.parametrize(
    ("completion", "field"),
    [
        ({"disconnect": True}, None),
        ({"transfer": {"conference": "sales"}}, None),
        ({"transfer": {"conference": "sales", "role": "guest"}}, None),
        ({}, "result.on_completion"),
        ({"disconnect": True, "transfer": {"conference": "sales"}}, "result.on_completion"),
        ({"disconnect": False}, "result.on_completion.disconnect"),
        ({"disconnect": "true"}, "result.on_completion.disconnect"),
        ({"transfer": "sales"}, "result.on_completion.transfer"),
        ({"transfer": {}}, "result.on_completion.transfer.conference"),
        ({"transfer": {"conference": ""}}, "result.on_completion.transfer.conference"),
        ({"transfer": {"conference": "sales", "role": "host"}}, "result.on_completion.transfer.role"),
        ('{"disconnect": true}', "result.on_completion"),
        (None, "result.on_completion"),
    ],
)
def test_on_completion(completion: object, field: str | None) -> None:
    """on_completion is an object with exactly one of disconnect true and transfer to a conference."""
    verdict = judged_service(PLAYBACK | {"on_completion": completion})
    assert broken(verdict) == ([] if field is None else [("FIELD", field)])


@pytest.mark.parametrize("playlist", [{}, {"media_playlist_name": ""}], ids=["absent", "empty"])
def test_playback_needs_a_playlist(playlist: dict[str, str]) -> None:
    """A media playback service names its playlist."""
    service = {name: value for name, value in PLAYBACK.items() if name != "media_playlist_name"}
    assert broken(judged_service(service | playlist)) == [("FIELD", "result.media_playlist_name")]


@pytest.mark.parametrize(
    ("result", "field", "reason"),
    [
        (
            ROOM | {"guest_view": "x"},
            "result.guest_view",
            "'guest_view' is a field of lecture, not of service_type conference; leave it out.",
        ),
        (
            LECTURE | {"view": "x"},
            "result.view",
            "'view' is not a field of service_type lecture: a lecture has host_view and guest_view.",
        ),
        (
            ROOM | {"veiw": "one_main_zero_pips"},
            "result.veiw",
            "'veiw' is not a documented field of service_type conference (did you mean 'view'?).",
        ),
        (
            ROOM | {"zzz": 1},
            "result.zzz",
            "'zzz' is not a documented field of service_type conference; its effect is not known, so leave it out.",
        ),
        (
            MINIMAL["test_call"] | {"max_callrate_out": 128000},
            "result.max_callrate_out",
            "'max_callrate_out' is a field of conference, lecture, gateway, two_stage_dialing,"
            " media_playback, not of service_type test_call; leave it out.",
        ),
        (
            ROOM | {"automatic_participants": [LEG | {"pin": "1234"}]},
            "result.automatic_participants[0].pin",
            "'pin' is not a documented field of an automatic participant; its effect is not known, so leave it out.",
        ),
    ],
    ids=["other type", "hint", "misspelt", "unknown", "several types", "nested"],
)
def test_undocumented_fields_warn(result: dict[str, Any], field: str, reason: str) -> None:
    """A field that is not documented for the service type draws a warning, not an objection."""
    verdict = judged_service(result)
    assert verdict.used
    assert [(warning.rule, warning.field, warning.reason) for warning in verdict.warnings] == [("FIELD", field, reason)]


@pytest.mark.parametrize("service_type", [{}, {"service_type": "vmr"}], ids=["absent", "unknown"])
def test_without_a_service_type_no_field_is_undocumented(service_type: dict[str, str]) -> None:
    """As long as the service type is not known, no other field is called wrong."""
    verdict = judged_service({"name": "Room", "service_tag": "", "view": "x", "zzz": 1} | service_type)
    assert (len(verdict.objections), verdict.warnings) == (1, ())
    verdict = judged_service({"view": "x"} | service_type)
    assert (len(verdict.objections), verdict.warnings) == (3, ())


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (
            {"name": "Room"},
            "service_tag is missing; every service needs name, service_tag and service_type.",
        ),
        (
            ROOM | {"service_type": "confernce"},
            "service_type must be one of 'conference', 'lecture', 'gateway', 'two_stage_dialing', 'media_playback',"
            " 'test_call' but is 'confernce' (did you mean 'conference'?).",
        ),
        (
            GATEWAY | {"view": "teams"},
            "view 'teams' is for calls to Microsoft Teams only, but outgoing_protocol is 'sip'.",
        ),
        (ROOM | {"locked": "True"}, "locked must be a boolean but is text; write true or false without quotes."),
        (
            ROOM | {"participant_limit": "6"},
            "participant_limit must be a whole number but is text; write it without quotes.",
        ),
        (
            ROOM | {"max_callrate_in": 2048},
            "max_callrate_in must be from 128000 to 8192000 bit/s but is 2048, which looks like kbit/s.",
        ),
        (ROOM | {"max_callrate_in": 1}, "max_callrate_in must be from 128000 to 8192000 bit/s but is 1."),
        (
            ROOM | {"automatic_participants": [LEG | {"role": "host"}]},
            "role must be one of 'chair', 'guest' but is 'host' (the Management API's word; policy writes 'chair').",
        ),
        (
            PLAYBACK | {"on_completion": "{}"},
            "on_completion must be an object but is text; JSON inside text is the Management API's form, policy"
            " writes the object itself.",
        ),
        (ROOM | {"description": "d" * 300}, "description is 300 characters long; at most 250 are allowed."),
        (RECEPTION | {"ivr_theme_name": None}, "ivr_theme_name must be text but is null; leave it out instead."),
        (
            ROOM | {"breakout_uuids": ["x" * 80]},
            "Entry 1 of breakout_uuids must be a UUID such as '5b0c7d1e-2f3a-4b4c-8d5e-6f7a8b9c0d1e' but is"
            f" '{'x' * 59}…'.",
        ),
    ],
)
def test_reasons(result: dict[str, object], reason: str) -> None:
    """A reason says what is wrong, the value, and what to write instead."""
    assert reason in reasons(judged_service(result))
