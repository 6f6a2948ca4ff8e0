"""What a node accepts in answers about participants, media locations, registrations and the directory.

(pexip/README.md: Participant properties, Media location, Registration, Directory) As for services, plain fields are
checked without building a model: ``accepts_…`` on every call, ``check_…`` for people.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from policy_server.pexip.fields import (
    About,
    DisplayText,
    Fact,
    Fault,
    Filled250,
    LocationName,
    Password,
    Role,
    Sent,
    StrictModel,
    Text250,
    WholeNumber,
)
from policy_server.pexip.shapes import shape_of


class AudioMix(StrictModel):
    """An audio mix that a participant sends to."""

    noun: ClassVar[str] = "an entry of send_to_audio_mixes"

    mix_name: Filled250 = Field(description="The name of the mix.")
    prominent: Sent[bool] = Field(None, description="Speak over the mix, which ducks the others.")


class ParticipantProperties(StrictModel):
    """What changes for one participant. A field that is not sent stays as it is."""

    noun: ClassVar[str] = "the properties of a participant"

    bypass_lock: Sent[bool] = Field(None, description="May enter a locked conference. Default: false.")
    call_tag: Sent[DisplayText] = Field(None, description="Another call tag.")
    can_receive_personal_mix: Sent[bool] = Field(
        None, description="May use a layout of their own (v39; preview in v38). Default: false."
    )
    disable_overlay_text: Sent[bool] = Field(
        None, description="Hides this participant's name over the video. Default: false."
    )
    display_count: Sent[WholeNumber] = Field(None, description="Another number of screens.")
    layout_group: Sent[Text250] = Field(None, description="The layout group for pinning.")
    preauthenticated_role: Role | None = Field(
        None,
        description="chair or guest, as if that PIN had been entered; null leaves PIN entry in place (SIP, H.323).",
    )
    prefers_multiscreen_mix: Sent[bool] = Field(None, description="Whether to use several screens.")
    receive_from_audio_mix: Sent[Text250] = Field(
        None, description="The audio mix to hear; dotted names inherit, at most three levels."
    )
    reject_reason: Sent[DisplayText] = Field(
        None, description="The text that the user sees; only together with action reject."
    )
    remote_alias: Sent[Annotated[Text250, Fact.IDENTITY]] = Field(
        None, description="Another alias; logs keep the original."
    )
    # Pexip takes null where the original is null too, which an answer never needs.
    remote_display_name: Sent[Annotated[DisplayText, About(null_rule="PRT-1")]] = Field(
        None, description="Another display name."
    )
    rx_presentation_policy: Sent[Literal["ALLOW", "DENY"]] = Field(
        None, description="Whether to receive presentations, in upper case. Default: ALLOW."
    )
    send_to_audio_mixes: Sent[list[AudioMix]] = Field(None, description="The audio mixes to speak to.")
    spotlight: Sent[WholeNumber] = Field(None, description="Spotlight priority: the lowest comes first.")
    wants_presentation_in_mix: Sent[bool] = Field(
        None, description="Whether presentations come inside the main picture."
    )


class MediaLocation(StrictModel):
    """The location that handles a participant's media, and where to go when it is full."""

    noun: ClassVar[str] = "a media location"

    location: LocationName = Field(description="The location that handles the media.")
    overflow_locations: Sent[list[LocationName]] = Field(None, description="Where to go when it is full, in order.")


class Registration(StrictModel):
    """The credentials that a registering device must show; both empty lets anybody register."""

    noun: ClassVar[str] = "a registration"

    username: Sent[Text250] = Field(None, description="The expected user name.")
    password: Sent[Password] = Field(None, description="The expected password.", repr=False)


class DirectoryEntry(StrictModel):
    """A contact that a directory search finds."""

    noun: ClassVar[str] = "a directory entry"

    alias: Filled250 = Field(description="The alias to dial.")
    description: DisplayText = Field(description="The text in the list of results.")
    username: Text250 = Field(description="The owner; may be empty.")


_properties = shape_of(ParticipantProperties)
_media_location = shape_of(MediaLocation)
_registration = shape_of(Registration)
_directory_entry = shape_of(DirectoryEntry)


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
