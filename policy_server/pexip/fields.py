"""The field types that answers to Pexip are made of, and the faults that a field can have.

Lengths, ranges and words are those of the reference (pexip/README.md: Answers). The types are strict: a number is no
text, ``1`` is no boolean.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason why Pexip would not use an answer.

    The message is a sentence fragment that names the field. It never holds the value of a secret field.
    """

    path: tuple[str | int, ...]
    """Where the fault is: ``("automatic_participants", 0, "role")``."""
    kind: Literal["missing", "unknown", "type", "enum", "range", "length", "rule"]
    message: str
    allowed: tuple[str, ...] = ()
    """For ``enum`` and ``unknown``: the good words, from which a caller can suggest the nearest."""
    rule: str = ""
    """The id of the rule, like ``PIN-3``, where there is one (pexip/README.md: What voids an answer)."""


@dataclass(frozen=True, slots=True)
class About:
    """What a field type knows besides its constraints: metadata for ``Annotated``."""

    unit: str = ""
    form: str = ""
    """What the value must look like, in words, where a pattern decides."""
    rule: str = ""
    """The discard rule that a bad value breaks."""
    missing_rule: str = ""
    """The discard rule that is broken without the field."""
    null_rule: str = ""
    """The discard rule that ``null`` breaks."""


Rule: TypeAlias = Callable[[Mapping[str, object]], tuple[Fault, ...]]
"""A rule over several fields. It treats ``None`` as "not sent", and judges nothing by a value of the wrong type: that has a
fault of its own."""


class Fact(Enum):
    """Something special about a field: metadata for ``Annotated``, which ``field_facts`` asks for."""

    SECRET = auto()
    """No message and no log shows the value, and nothing keeps it longer than it must."""
    PIN = auto()
    """Text with a form of its own, for which a rule may write ``derived``."""
    DISPLAY = auto()
    """For people's eyes, so a text that is too long may be cut; in a name or an alias a cut text would be another name."""
    EXPRESSION = auto()
    """A regular expression, or what replaces its match: braces in it are its own."""
    IDENTITY = auto()
    """Tells one room or party from another, so a value that is made up halfway would be somebody else's."""
    DOOR = auto()
    """May differ between the answers to callers of one conference; everything else is the same for everybody.

    (pexip/README.md: One service and one configuration)
    """


class Named(StrEnum):
    """A kind of object of the deployment that a value names: metadata for ``Annotated``.

    One name that does not exist voids the whole answer (pexip/README.md: What voids an answer).
    """

    LOCATION = "location"
    THEME = "theme"
    PINNING_CONFIG = "pinning_config"
    IDENTITY_PROVIDER_GROUP = "identity_provider_group"
    SIP_PROXY = "sip_proxy"
    H323_GATEKEEPER = "h323_gatekeeper"
    MSSIP_PROXY = "mssip_proxy"
    TEAMS_PROXY = "teams_proxy"
    STUN_SERVER = "stun_server"
    TURN_SERVER = "turn_server"
    GMS_ACCESS_TOKEN = "gms_access_token"
    MEDIA_PLAYLIST = "media_playlist"

    @property
    def plural(self) -> str:
        """Several of them, as rules list them."""
        return f"{self.removesuffix('y')}ies" if self.endswith("y") else f"{self}s"


class ExactlyTrue:
    """Metadata for ``Literal[True]``: the boolean itself, not a number that equals it."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """See that it is a boolean first."""
        return core_schema.chain_schema([core_schema.bool_schema(strict=True), handler(source)])

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, object]:
        """For editors it is the constant."""
        return {"const": True, "type": "boolean"}


# ------------------------------------------------------------------ text

Text250 = Annotated[str, StringConstraints(strict=True, max_length=250)]
Filled250 = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=250)]
"""Text that a node cannot do without: an empty one is as good as none."""
Identity = Annotated[Filled250, Fact.IDENTITY]
"""The name of a room, an alias, a number: where a text with a piece missing would mean another room or party."""
Text100 = Annotated[str, StringConstraints(strict=True, max_length=100)]
DisplayText = Annotated[Text250, Fact.DISPLAY]
Expression = Annotated[Text250, Fact.EXPRESSION]
Password = Annotated[Text250, Fact.SECRET]
Tones = Annotated[Text250, Fact.SECRET]
"""What is dialled after the answer, often another system's PIN."""
Uuid = Annotated[
    str,
    StringConstraints(
        strict=True, pattern="^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
    ),
    About(form="a UUID such as '0f8fad5b-d9cb-469f-a165-70867728950e'"),
]
PIN_PATTERN = "^(?:[0-9]{3,19}[0-9#])?$"
"""Digits and an optional final ``#``, 4 to 20 characters with it; empty is "no PIN"."""
Pin = Annotated[str, StringConstraints(strict=True, pattern=PIN_PATTERN), Fact.SECRET, Fact.PIN]

# ------------------------------------------------------------------ names of objects of the deployment

LocationName = Annotated[Filled250, Named.LOCATION]
ThemeName = Annotated[Filled250, Named.THEME]
PinningConfigName = Annotated[Filled250, Named.PINNING_CONFIG]
IdentityProviderGroupName = Annotated[Text250, Named.IDENTITY_PROVIDER_GROUP]
SipProxyName = Annotated[Filled250, Named.SIP_PROXY]
H323GatekeeperName = Annotated[Filled250, Named.H323_GATEKEEPER]
MssipProxyName = Annotated[Filled250, Named.MSSIP_PROXY]
TeamsProxyName = Annotated[Filled250, Named.TEAMS_PROXY]
StunServerName = Annotated[Filled250, Named.STUN_SERVER]
TurnServerName = Annotated[Filled250, Named.TURN_SERVER]
GmsAccessTokenName = Annotated[Filled250, Named.GMS_ACCESS_TOKEN]
MediaPlaylistName = Annotated[Filled250, Named.MEDIA_PLAYLIST]

# ------------------------------------------------------------------ numbers

CallRate = Annotated[int, Field(strict=True, ge=128_000, le=8_192_000), About(unit="bit/s", rule="SVC-5")]
ParticipantLimit = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
NoticeSeconds = Annotated[int, Field(strict=True, ge=0, le=30), About(unit="seconds")]
# No range is documented for these; beyond 64 bits a number cannot be written to JSON.
WholeNumber = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]

# ------------------------------------------------------------------ words

JustTrue = Annotated[Literal[True], ExactlyTrue()]
Role = Literal["chair", "guest"]
CallType = Literal["video", "video-only", "audio"]
GatewayCallType = Literal["video", "video-only", "audio", "auto"]
CryptoMode = Literal["besteffort", "on", "off"]
CallQuality = Literal["sd", "hd", "fullhd"]
DefaultYesNo = Literal["default", "yes", "no"]

_ViewName = Literal[
    "one_main_zero_pips",
    "one_main_seven_pips",
    "one_main_twentyone_pips",
    "two_mains_twentyone_pips",
    "one_main_thirtythree_pips",
    "four_mains_zero_pips",
    "nine_mains_zero_pips",
    "sixteen_mains_zero_pips",
    "twentyfive_mains_zero_pips",
    "five_mains_seven_pips",
    "one_main_one_pip",
    "one_main_nine_around",
    "one_main_twelve_around",
    "two_mains_eight_around",
]
TeamsViewName = Literal["teams", "teams_focus"]
View = Annotated[_ViewName, About(rule="SVC-4")]
GatewayView = Annotated[Literal[_ViewName, TeamsViewName], About(rule="SVC-4")]
