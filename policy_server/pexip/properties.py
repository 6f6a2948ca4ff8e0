"""What a node accepts in answers about participants, media locations, registrations and the directory.

(pexip/README.md: Participant properties, Media location, Registration, Directory) ``accepts_…`` is asked on every
call, ``check_…`` by people.
"""

from typing import Annotated, Literal, Required

from typing_extensions import TypedDict

from policy_server.pexip.fields import (
    About,
    DisplayText,
    Fact,
    Filled250,
    Identity,
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

    mix_name: Required[Annotated[Identity, "The name of the mix."]]
    prominent: Annotated[bool, "Speak over the mix, which ducks the others."]


@accepted("the properties of a participant")
class ParticipantProperties(TypedDict, total=False):
    """What changes for one participant. A field that is not sent stays as it is."""

    bypass_lock: Annotated[bool, "true: they come in although the room is locked."]
    call_tag: Annotated[DisplayText, "Nothing; the tag is in later questions and in events."]
    can_receive_personal_mix: Annotated[
        bool, "true: they may choose a layout for themselves alone (v39 and newer; a preview in v38)."
    ]
    disable_overlay_text: Annotated[bool, "true: their name is not shown over their picture."]
    display_count: Annotated[WholeNumber, "Pexip takes their device to have so many screens."]
    layout_group: Annotated[
        Text250, "Their place in the layout, where the theme's pinning configuration has one for this group."
    ]
    preauthenticated_role: Annotated[
        Role | None,
        "They are Host or Guest, whatever PIN they entered. Who calls by SIP or H.323 is not asked for one. "
        "null: they are asked.",
    ]
    prefers_multiscreen_mix: Annotated[bool, "Whether they see the others on several screens."]
    receive_from_audio_mix: Annotated[
        Text250, "Which audio mix they hear, such as an interpreter's; a name with dots inherits, three levels at most."
    ]
    reject_reason: Annotated[DisplayText, "The text that the user sees; only together with action reject."]
    remote_alias: Annotated[Text250, Fact.IDENTITY, "Others see them with this alias; logs keep the one they had."]
    # Pexip takes null where the original is null too, which an answer never needs.
    remote_display_name: Annotated[DisplayText, About(null_rule="PRT-1"), "Others see them under this name."]
    rx_presentation_policy: Annotated[Literal["ALLOW", "DENY"], "DENY: they do not see what others present."]
    send_to_audio_mixes: Annotated[
        list[AudioMix],
        "The audio mixes in which they are heard; prominent: the others there get quieter while they speak.",
    ]
    spotlight: Annotated[
        WholeNumber, "They are in the big picture before those who speak; the lowest number comes first."
    ]
    wants_presentation_in_mix: Annotated[bool, "true: what others present is part of the picture, not a second one."]


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


check_properties = SHAPES[ParticipantProperties].faults
"""Every reason why a node would not use some fields as participant properties; none if it would."""
accepts_properties = SHAPES[ParticipantProperties].accepts
"""``check_properties`` without the reasons, but fast."""
check_media_location = SHAPES[MediaLocation].faults
"""The same of a media location. Whether the locations exist (LOC-1) is for the caller to check."""
check_registration = SHAPES[Registration].faults
"""The same of the credentials of a device."""
check_directory_entry = SHAPES[DirectoryEntry].faults
"""The same of an entry of the directory."""
