"""What a node accepts in answers about participants, media locations, registrations and the directory.

(pexip/README.md: Participant properties, Media location, Registration, Directory) ``accepts_…`` is asked on every
call, ``check_…`` by people.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Required

from typing_extensions import TypedDict

from policy_server.pexip.fields import (
    About,
    DisplayText,
    Fact,
    Fault,
    Filled250,
    LocationName,
    Password,
    Role,
    Text250,
    WholeNumber,
)
from policy_server.pexip.shapes import SHAPES, accepted


@accepted("an entry of send_to_audio_mixes")
class AudioMix(TypedDict, total=False):
    """An audio mix that a participant sends to."""

    mix_name: Required[Annotated[Filled250, "The name of the mix."]]
    prominent: Annotated[bool, "Speak over the mix, which ducks the others."]


@accepted("the properties of a participant")
class ParticipantProperties(TypedDict, total=False):
    """What changes for one participant. A field that is not sent stays as it is."""

    bypass_lock: Annotated[bool, "May enter a locked conference. Default: false."]
    call_tag: Annotated[DisplayText, "Another call tag."]
    can_receive_personal_mix: Annotated[bool, "May use a layout of their own (v39; preview in v38). Default: false."]
    disable_overlay_text: Annotated[bool, "Hides this participant's name over the video. Default: false."]
    display_count: Annotated[WholeNumber, "Another number of screens."]
    layout_group: Annotated[Text250, "The layout group for pinning."]
    preauthenticated_role: Annotated[
        Role | None, "chair or guest, as if that PIN had been entered; null leaves PIN entry in place (SIP, H.323)."
    ]
    prefers_multiscreen_mix: Annotated[bool, "Whether to use several screens."]
    receive_from_audio_mix: Annotated[Text250, "The audio mix to hear; dotted names inherit, at most three levels."]
    reject_reason: Annotated[DisplayText, "The text that the user sees; only together with action reject."]
    remote_alias: Annotated[Text250, Fact.IDENTITY, "Another alias; logs keep the original."]
    # Pexip takes null where the original is null too, which an answer never needs.
    remote_display_name: Annotated[DisplayText, About(null_rule="PRT-1"), "Another display name."]
    rx_presentation_policy: Annotated[
        Literal["ALLOW", "DENY"], "Whether to receive presentations, in upper case. Default: ALLOW."
    ]
    send_to_audio_mixes: Annotated[list[AudioMix], "The audio mixes to speak to."]
    spotlight: Annotated[WholeNumber, "Spotlight priority: the lowest comes first."]
    wants_presentation_in_mix: Annotated[bool, "Whether presentations come inside the main picture."]


@accepted("a media location")
class MediaLocation(TypedDict, total=False):
    """The location that handles a participant's media, and where to go when it is full."""

    location: Required[Annotated[LocationName, "The location that handles the media."]]
    overflow_locations: Annotated[list[LocationName], "Where to go when it is full, in order."]


@accepted("a registration")
class Registration(TypedDict, total=False):
    """The credentials that a registering device must show; both empty lets anybody register."""

    username: Annotated[Text250, "The expected user name."]
    password: Annotated[Password, "The expected password."]


@accepted("a directory entry")
class DirectoryEntry(TypedDict, total=False):
    """A contact that a directory search finds."""

    alias: Required[Annotated[Filled250, "The alias to dial."]]
    description: Required[Annotated[DisplayText, "The text in the list of results."]]
    username: Required[Annotated[Text250, "The owner; may be empty."]]


_properties = SHAPES[ParticipantProperties]
_media_location = SHAPES[MediaLocation]
_registration = SHAPES[Registration]
_directory_entry = SHAPES[DirectoryEntry]


def check_properties(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """Every reason why a node would not use these fields as participant properties; none if it would."""
    return _properties.faults(fields)


def accepts_properties(fields: dict[str, object]) -> bool:
    """``check_properties`` without the reasons, but fast."""
    return _properties.accepts(fields)


def check_media_location(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """Every reason why a node would not use these fields as a media location; none if it would.

    Whether the locations exist (LOC-1) is for the caller to check.
    """
    return _media_location.faults(fields)


def check_registration(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """Every reason why a node would not use these fields as credentials; none if it would."""
    return _registration.faults(fields)


def check_directory_entry(fields: Mapping[str, object]) -> tuple[Fault, ...]:
    """Every reason why a node would not use these fields as a directory entry; none if it would."""
    return _directory_entry.faults(fields)
