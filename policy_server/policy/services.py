"""Services as rules describe them: fixed fields, fields with placeholders, derived PINs, legs to dial."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Final
from unicodedata import category
from urllib.parse import quote

from policy_server.pexip.field_facts import fields_with
from policy_server.pexip.fields import Fact
from policy_server.pexip.services import accepts_service
from policy_server.pexip.shapes import SHAPES
from policy_server.policy.assurance import Assurance
from policy_server.policy.templates import Template, is_blank
from policy_server.telephony.trunks import Trunk, dial_string

FIELD_LIMIT: Final = 250
"""Characters that Pexip takes in a field of text by ENV-3 (pexip/README.md: What voids an answer)."""

_DISPLAY_FIELDS: Final = fields_with(Fact.DISPLAY)
_IDENTITY_FIELDS: Final = fields_with(Fact.IDENTITY)
_PLAIN_FIELDS: Final = frozenset(
    name
    for shape in SHAPES.values()
    for name in shape.free_text
    if all(other.free_text.get(name, FIELD_LIMIT) == FIELD_LIMIT for other in SHAPES.values())
)
"""Fields of text that may hold anything of up to ``FIELD_LIMIT`` characters."""

_CALLER_NAME: Final = "local_display_name"

_NAMES: Final = frozenset(name for shape in SHAPES.values() for name, facet in shape.facets.items() if facet.names)
"""Fields that name an object of the deployment."""

Fields = dict[str, object]
Path = tuple[str | int, ...]
"""Where a value stands in an object of an answer: ``("on_completion", "transfer", "conference")``."""


def field_of(path: Path) -> str:
    """The name of the field at a path; for an item of a list that of the list."""
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def spoken(path: Path) -> str:
    """A path as people write it: ``send_to_audio_mixes[0].mix_name``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def blank_identity(needed: Iterable[tuple[str, str]], values: Mapping[str, str]) -> str:
    """Which of some fields, each with a placeholder that it needs, has none to be filled with; ``""`` when all have."""
    for field_name, name in needed:
        # The names of ours that stand for the room itself come later, and are never empty.
        if name in values and is_blank(values[name]):
            return f"{field_name} needs {{{name}}}, which is empty in this question"
    return ""


def fill(field_name: str, template: Template, values: Mapping[str, str]) -> str:
    """A field with its placeholders replaced, cut where that is harmless."""
    return _cut(field_name, template.render(values))


def _cut(field_name: str, text: str) -> str:
    return text[:FIELD_LIMIT] if field_name in _DISPLAY_FIELDS else text


@dataclass(frozen=True, slots=True)
class FieldsTemplate:
    """Fields of an object of the answer: those that never change, and the texts with placeholders in them.

    A text may stand in a field of a field, or in a list; ``fixed`` then holds what is around it, with a text of the same
    kind in its place.
    """

    fixed: Mapping[str, object] = field(repr=False)
    filled: tuple[tuple[Path, Template], ...] = ()
    names: frozenset[str] = field(init=False)
    """The placeholders of all fields."""
    needed: tuple[tuple[str, str], ...] = field(init=False)
    """The fields that are identities, each with a placeholder that must not be empty."""
    _texts: tuple[tuple[str, Template, str, Path], ...] = field(init=False, repr=False, compare=False)
    """What is filled: the name of the field, its template, the field of the object, and the path below that."""

    def __post_init__(self) -> None:
        identities = ((path, template) for path, template in self.filled if field_of(path) in _IDENTITY_FIELDS)
        needed = tuple((spoken(path), placeholder) for path, template in identities for placeholder in template.needed)
        object.__setattr__(self, "needed", needed)
        object.__setattr__(self, "names", frozenset(name for _, template in self.filled for name in template.names))
        texts = tuple((field_of(path), template, str(path[0]), path[1:]) for path, template in self.filled)
        object.__setattr__(self, "_texts", texts)

    def fill(self, values: Mapping[str, str]) -> tuple[Fields, bool]:
        """The fields for one question, and whether every filled one has from one character to as many as Pexip takes,
        which no field objects to.
        """
        fields, fits = dict(self.fixed), True
        for name, template, key, below in self._texts:
            text = template.render(values)
            if name == _CALLER_NAME:
                text = caller_name(text) or caller_name(values.get(ROOM_NAME, ""))
            if not 0 < len(text) <= FIELD_LIMIT:
                if not text and name in _NAMES and not below:
                    # A table names no such object for this row.
                    fits = False
                    continue
                text = _cut(name, text)
                fits = fits and 0 < len(text) <= FIELD_LIMIT
            fields[key] = with_text(fields[key], below, text) if below else text
        return fields, fits

    def template(self, name: str) -> Template | None:
        """How a field is filled, fixed text included; ``None`` when it is absent."""
        value = self.fixed.get(name)
        if isinstance(value, str):
            return Template(value, (value,))
        return next((template for path, template in self.filled if path == (name,)), None)

    @property
    def is_plain(self) -> bool:
        """Whether their lengths are all there is to check about the filled fields."""
        return all(field_of(path) in _PLAIN_FIELDS for path, _ in self.filled)


def with_text(part: object, path: Path, text: str) -> object:
    """The part of an answer with a text at a path below it; the part itself stays, for the next answer."""
    if not path:
        return text
    if isinstance(part, Mapping):
        return {**part, path[0]: with_text(part[path[0]], path[1:], text)}
    changed = list(part) if isinstance(part, list) else []
    changed[int(path[0])] = with_text(changed[int(path[0])], path[1:], text)
    return changed


@dataclass(frozen=True, slots=True)
class Leg:
    """One entry of ``dial_out``: an automatic participant, and the trunk it goes through if it names one.

    Where a table names the trunk, ``trunks`` has those that it may name. One for when another failed is dialled while the
    calendar ``open`` is, ``""`` for always. Of those with a ``weight`` one is dialled, the others always.
    """

    trunk: Trunk | None
    fields: FieldsTemplate
    trunks: Mapping[str, Trunk] = field(default_factory=dict)
    open: str = ""
    weight: int = 0

    @property
    def is_to_trunk(self) -> bool:
        """Whether it reaches the contact centre."""
        return self.trunk is not None or bool(self.trunks)

    def trunk_of(self, remote_alias: str) -> Trunk | None:
        """The trunk through which the leg goes when it dials an alias; ``None`` if through none."""
        trunks = self.trunks.values() if self.trunk is None else (self.trunk,)
        return next((trunk for trunk in trunks if dial_string(trunk).remote_alias == remote_alias), None)

    @property
    def has_limits(self) -> bool:
        """Whether a trunk through which it may go has limits."""
        trunks = self.trunks.values() if self.trunk is None else (self.trunk,)
        return any(trunk.limits is not None for trunk in trunks)


@dataclass(frozen=True, slots=True)
class ServiceTemplate:
    """A service of a rule.

    ``legs`` become automatic participants; ``fallbacks`` are those for when one of them fails, kept in the decision, and
    ``assurance`` says what happens then.
    ``names`` are the placeholders of all of it, ``needed`` those of identities with their fields. ``is_plain``: the
    service passed every check when the rules were loaded, with stand-ins for what is filled in, and lengths are all that
    a question can change.
    """

    fields: FieldsTemplate
    derived_pin: bool = False
    derived_guest_pin: bool = False
    legs: tuple[Leg, ...] = ()
    fallbacks: tuple[Leg, ...] = ()
    room: str = ""
    assurance: Assurance | None = None
    names: frozenset[str] = field(init=False)
    needed: tuple[tuple[str, str], ...] = field(init=False)
    is_plain: bool = field(init=False)
    is_weighted: bool = field(init=False)
    is_limited: bool = field(init=False)
    """Whether what is dialled with the room may go through a trunk that has limits."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_weighted", any(leg.weight for leg in self.legs))
        object.__setattr__(self, "is_limited", any(leg.has_limits for leg in self.legs))
        names = self.fields.names.union(*(leg.fields.names for leg in (*self.legs, *self.fallbacks)))
        # A leg's caller is the call where there is one.
        names |= {"call"} if names & {ROOM_NAME, CALLER} else set()
        object.__setattr__(self, "names", names - {ROOM_NAME, CALLER})
        of_legs = (pair for leg in (*self.legs, *self.fallbacks) for pair in leg.fields.needed)
        object.__setattr__(self, "needed", tuple(dict.fromkeys((*self.fields.needed, *of_legs))))
        # A derived PIN may, once in a hundred million, be the PIN that the rule fixes for the other role.
        pins_agree = self.derived_pin == self.derived_guest_pin or not {"pin", "guest_pin"} & set(self.fields.fixed)
        plain = pins_agree and self.fields.is_plain and all(leg.fields.is_plain for leg in self.legs)
        object.__setattr__(self, "is_plain", plain)

    @property
    def is_room(self) -> bool:
        """Whether it is a room that others join."""
        return self.fields.fixed.get("service_type") in ROOM_TYPES

    def accepts(self, service: Fields, *, fits: bool) -> bool:
        """Whether Pexip would use a service that this template was filled to; one without a name never.

        ``fits`` is what ``fill`` said.
        """
        if is_blank(str(service.get("name", ""))):
            return False
        return (self.is_plain and fits) or accepts_service(service)

    def without_blank_legs(self, values: Mapping[str, str]) -> "ServiceTemplate":
        """The same without the legs that these values do not say whom to dial for."""
        if not blank_identity(self.needed, values):
            return self

        def known(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
            return tuple(leg for leg in legs if not blank_identity(leg.fields.needed, values))

        return replace(self, legs=known(self.legs), fallbacks=known(self.fallbacks))

    def dialled(self, call: str) -> tuple[Leg, ...]:
        """The legs that are dialled with the room of a call, or of a name: all without a weight, and of the others one."""
        if not self.is_weighted:
            return self.legs
        chosen = share_of([leg for leg in self.legs if leg.weight], call)
        return tuple(leg for leg in self.legs if not leg.weight or leg is chosen)

    def fill(self, values: dict[str, str]) -> tuple[Fields, bool]:
        """The service for one question without its derived PINs, and whether the lengths of all that is filled in are good.

        ``values`` also gets the names that callers have in legs, where there are any.
        """
        service, fits = self.fields.fill(values)
        if self.legs or self.fallbacks:
            shown = values[ROOM_NAME] = values.get("call") or str(service.get("name", ""))
            values[CALLER] = uri_user(shown)
        if self.legs:
            legs = service[LEGS] = []
            for leg in self.dialled(shown):
                fields, leg_fits = leg.fields.fill(values)
                legs.append(fields)
                fits = fits and leg_fits
        return service, fits


def share_of(legs: Sequence[Leg], call: str) -> Leg:
    """Which of some legs with a weight a call gets, always the same."""
    digest = blake2b(f"weight\0{call}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    place = int.from_bytes(digest) * sum(leg.weight for leg in legs) >> 64
    for chosen in legs:
        place -= chosen.weight
        if place < 0:
            break
    return chosen


LEGS: Final = "automatic_participants"
"""The field of a service that says whom the room dials."""

ROOM_TYPES: Final = ("conference", "lecture")
"""The types of service that are a room which others join."""

ROOM_NAME: Final = "room.name"
"""The placeholder of the default display name of a leg: the call id, or without one the name of the room."""

CALLER: Final = "room.caller"
"""The placeholder of the default From of a leg: the call id, or without one the room's name, as ``uri_user`` writes it."""

_UNSPOKEN: Final = frozenset({"Cc", "Cf", "Cn", "Cs", "Zl", "Zp"})
_JOINERS: Final = "\u200c\u200d"
"""What letters of some languages, and pictures of people, are joined by; nobody sees it alone."""
_AS_QUOTED: Final = str.maketrans({'"': "'", "\\": "/"})


def caller_name(text: str) -> str:
    """A caller's name as it can stand between the quotation marks of a From (RFC 3261, section 25.1), whoever escapes it or
    does not; ``""`` when nothing of it can be seen.

    Control characters, marks of direction and the like are left out, ``"`` becomes ``'``, and a backslash a slash.
    """
    if not (text.isprintable() and '"' not in text and "\\" not in text):
        kept = (one for one in text.translate(_AS_QUOTED) if one in _JOINERS or category(one) not in _UNSPOKEN)
        text = "".join(kept)
    text = text.strip()
    return "" if is_blank(text) else text


_LONGEST_USER: Final = 120
_STEPS: Final = frozenset({".", ".."})
_CUT_ESCAPE: Final = re.compile("%[0-9A-F]?$")


def uri_user(text: str) -> str:
    """The user part of a SIP URI that stands for a call id or a room's name.

    Letters and digits of ASCII and ``-._`` stand for themselves, every other byte of its UTF-8 is ``%XX`` (RFC 3261,
    section 25.1), also a dot that stands alone, so ``urllib.parse.unquote`` gives the text again. One that would be longer
    than 120 characters is its beginning with ``~`` and 16 hexadecimal digits of its BLAKE2b, which no other text becomes; to
    find such a room, write the names of the candidates in the same way.
    """
    # A call id stands for itself. What is nothing but a dot or two would be a step in a path, which whoever asks by it takes.
    user = text if text.isalnum() and text.isascii() else quote(text, safe="").replace("~", "%7E")
    if text in _STEPS:
        user = user.replace(".", "%2E")
    if len(user) <= _LONGEST_USER:
        return user
    digest = blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{_CUT_ESCAPE.sub('', user[: _LONGEST_USER - 17])}~{digest}"
