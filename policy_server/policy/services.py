"""Services as rules describe them: fixed fields, fields with placeholders, derived PINs, legs to dial."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from policy_server.policy.sessions import Keyring
from policy_server.policy.templates import Resolve, Template
from policy_server.telephony.trunks import Trunk

FIELD_LIMIT: Final = 250
"""Characters that Pexip takes in a field of text (reference: pexip-policy-responses.md, ENV-3)."""

DISPLAY_FIELDS: Final = frozenset(
    {
        "breakout_description",
        "breakout_name",
        "call_tag",
        "description",
        "local_display_name",
        "reject_reason",
        "remote_display_name",
    }
)
"""Fields for people's eyes. A caller's text is cut to fit these; in any other field, a name or an alias, a cut text
would be another name, so the answer fails instead.
"""

Fields = dict[str, object]


def fill(field_name: str, template: Template, resolve: Resolve) -> str:
    """A field with its placeholders replaced, cut where that is harmless."""
    text = template.render(resolve)
    if len(text) > FIELD_LIMIT and field_name in DISPLAY_FIELDS:
        text = text[:FIELD_LIMIT]
    return text


@dataclass(frozen=True, slots=True)
class FieldsTemplate:
    """Fields of an object of the answer: those that never change, and those with placeholders."""

    fixed: Mapping[str, object]
    filled: tuple[tuple[str, Template], ...] = ()

    def fill(self, resolve: Resolve) -> Fields:
        """The fields for one question."""
        return {**self.fixed, **{name: fill(name, template, resolve) for name, template in self.filled}}

    def template(self, name: str) -> Template | None:
        """How a field is filled, fixed text included; ``None`` when it is absent."""
        value = self.fixed.get(name)
        if isinstance(value, str):
            return Template(value, (value,))
        return next((template for field_name, template in self.filled if field_name == name), None)


@dataclass(frozen=True, slots=True)
class Leg:
    """One entry of ``dial_out``: an automatic participant, and the trunk it goes through if it names one."""

    trunk: Trunk | None
    fields: FieldsTemplate


@dataclass(frozen=True, slots=True)
class ServiceTemplate:
    """A service of a rule.

    ``legs`` become automatic participants; ``fallbacks`` are those for when one of them fails, kept in the decision.
    """

    fields: FieldsTemplate
    derived_pin: bool = False
    derived_guest_pin: bool = False
    legs: tuple[Leg, ...] = ()
    fallbacks: tuple[Leg, ...] = ()
    room: str = field(default="")

    def fill(self, resolve: Resolve, session: str, keyring: Keyring) -> Fields:
        """The service for one question.

        Derived PINs belong to ``session``, or to the room's name when the question has no session.
        """
        service = self.fields.fill(resolve)
        if self.derived_pin or self.derived_guest_pin:
            pins = keyring.pins(session or str(service["name"]))
            if self.derived_pin:
                service["pin"] = pins.host
            if self.derived_guest_pin:
                service["guest_pin"] = pins.guest
        if self.legs:
            own = service.get("automatic_participants")
            service["automatic_participants"] = [
                *(own if isinstance(own, list) else ()),
                *self.dialled(self.legs, resolve, service),
            ]
        return service

    @staticmethod
    def dialled(legs: tuple[Leg, ...], resolve: Resolve, service: Mapping[str, object]) -> list[Fields]:
        """Legs as automatic participants; ``{name}`` is the name of the room."""

        def in_room(name: str) -> str:
            return str(service["name"]) if name == ROOM_NAME else resolve(name)

        return [leg.fields.fill(in_room) for leg in legs]


ROOM_NAME: Final = "room.name"
"""The placeholder of the default display name of a leg whose rule captures no session."""


def resolver(*sources: Callable[[str], str | None]) -> Resolve:
    """Looks a placeholder up in each source in turn; what none has is empty."""

    def resolve(name: str) -> str:
        for source in sources:
            value = source(name)
            if value is not None:
                return value
        return ""

    return resolve
