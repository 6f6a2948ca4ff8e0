"""The request parameters are those of Pexip's documentation, typed again from it."""

import pytest

from policy_server.pexip.parameters import FOLDED_NAMES, PARAMETERS, Kind, folded, parameters_of
from policy_server.pexip.request_types import RequestType

LETTERS = {
    "S": RequestType.SERVICE,
    "P": RequestType.PARTICIPANT,
    "L": RequestType.LOCATION,
    "A": RequestType.AVATAR,
    "D": RequestType.DIRECTORY,
    "R": RequestType.REGISTRATION,
}
# The requests that carry a parameter, whatever the certainty (pexip/README.md: Parameters).
MATRIX = {
    "SPLADR": "location node_ip pseudo_version_id version_id",
    "SPLAR": "protocol remote_address",
    "SPLAD": "call_tag",
    "SPLA": "bandwidth call_direction encryption has_authenticated_display_name idp_uuid local_alias ms-subnet "
    "p_Asserted-Identity registered remote_alias remote_display_name remote_port service_name service_tag "
    "supports_direct_media teams_tenant_id trigger unique_service_name vendor",
    "SPL": "previous_service_name telehealth_request_id",
    "SP": "breakout_uuid display_count third_party_passcode",
    "PL": "request_id",
    "LA": "proxy_node_address proxy_node_location",
    "P": "bypass_lock call_uuid can_receive_personal_mix disable_overlay_text layout_group participant_type "
    "participant_uuid preauthenticated_role prefers_multiscreen_mix receive_from_audio_mix "
    "receive_from_video_mix~mix_name rx_presentation_policy send_to_audio_mixes_mix_name "
    "send_to_audio_mixes_prominent spotlight wants_presentation_in_mix",
    "A": "height role width",
    "D": "limit q registration_alias",
    "R": "auth_type",
}
EXPECTED = {name: letters for letters, names in MATRIX.items() for name in names.split()}


def test_matrix() -> None:
    """Every documented parameter is known, with exactly the requests that carry it."""
    assert {name: parameter.requests for name, parameter in PARAMETERS.items()} == {
        name: {LETTERS[letter] for letter in letters} for name, letters in EXPECTED.items()
    }


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Kind.ALIAS, "local_alias remote_alias registration_alias"),
        (Kind.ADDRESS, "node_ip proxy_node_address remote_address"),
        (Kind.LIST, "ms-subnet p_Asserted-Identity"),
        (Kind.INTEGER, "bandwidth display_count height limit remote_port spotlight width"),
        (
            Kind.BOOLEAN,
            "bypass_lock can_receive_personal_mix disable_overlay_text has_authenticated_display_name "
            "prefers_multiscreen_mix registered send_to_audio_mixes_prominent supports_direct_media "
            "wants_presentation_in_mix",
        ),
        (
            Kind.CHOICE,
            "auth_type call_direction encryption location participant_type preauthenticated_role protocol "
            "proxy_node_location role rx_presentation_policy trigger",
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Kind) else "",
)
def test_kinds(kind: Kind, names: str) -> None:
    """Aliases, addresses, lists, numbers, booleans and enumerations are told apart; the rest is text."""
    assert {name for name, parameter in PARAMETERS.items() if parameter.kind is kind} == set(names.split())


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("auth_type", "credentials sso"),
        ("call_direction", "dial_in dial_out non_dial"),
        ("encryption", "On Off Unknown"),
        ("participant_type", "standard api api_host"),
        ("preauthenticated_role", "chair guest"),
        ("protocol", "api webrtc sip rtmp h323 teams mssip"),
        ("role", "chair guest unknown"),
        ("trigger", "web web_avatar_fetch invite options subscribe setup arq lrq two_stage_dialing teams unspecified"),
        ("location", ""),
    ],
)
def test_choices(name: str, choices: str) -> None:
    """Enumerations list the documented values; names of the deployment list none."""
    assert sorted(PARAMETERS[name].choices) == sorted(choices.split())


def test_secrets() -> None:
    """The passcode of a meeting invitation is the one parameter that is secret."""
    assert [name for name, parameter in PARAMETERS.items() if parameter.secret] == ["third_party_passcode"]


def test_names_fold_apart() -> None:
    """No two parameters differ only by case and dashes, so folding loses none."""
    assert len(FOLDED_NAMES) == len(PARAMETERS)
    assert FOLDED_NAMES[folded("P-Asserted-Identity")] == "p_Asserted-Identity"


@pytest.mark.parametrize("kind", RequestType)
def test_parameters_of(kind: RequestType) -> None:
    """A question carries its parameters in name order; the alias of the path comes first where there is one."""
    names = [parameter.name for parameter in parameters_of(kind)]
    alias = ["alias"] if kind in {RequestType.AVATAR, RequestType.REGISTRATION} else []
    documented = sorted(name for name, letters in EXPECTED.items() if kind in {LETTERS[letter] for letter in letters})
    assert names == alias + documented
