"""Attributes that a link type declares: what its links can be given (README.md: Links).

Values are compared as ``link_attributes`` compares them, with regard to case, so each is written one way only and tables,
which do not look at case, find it too.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from policy_server.policy.patterns import Pattern
from policy_server.policy.templates import is_blank
from policy_server.wording.values import shown
from policy_server.wording.words import did_you_mean, one_of

ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
ATTRIBUTE_LIMIT: Final = 500
"""Characters of an attribute's value."""
MOST_ATTRIBUTES: Final = 50
CUSTOMERS_NAME: Final = "name"
"""What rules ask for as an attribute too, and what no link type declares: every link may have it."""

_MOST_LISTED: Final = 12


@dataclass(frozen=True, slots=True)
class LinkAttribute:
    """One attribute: ``values`` are all that it can be, unless there are none; ``pattern`` matches whatever it can be."""

    name: str
    values: tuple[str, ...] = ()
    pattern: Pattern | None = None
    required: bool = False
    default: str | None = None

    @property
    def is_never_missing(self) -> bool:
        """Whether each link that is made has it."""
        return self.required or self.default is not None

    def fault(self, value: str, label: str = "") -> str:
        """Why it cannot be this; ``""`` when it can. ``label`` is what a message calls it."""
        label = label or f"attribute {shown(self.name)}"
        if self.values and value not in self.values:
            return one_of(label, self.values, value)
        if self.pattern is not None and self.pattern.match(value) is None:
            return f"{label} must match {self.pattern.text} but is {shown(value)}"
        return ""


Declared = Mapping[str, LinkAttribute]
"""The attributes of a link type, by their names."""


def attribute_faults(
    link_type: str, declared: Declared | None, given: Mapping[str, str], *, whole: bool = True
) -> Iterator[tuple[str, str]]:
    """The attribute and a sentence for all that is wrong with what a link of a type is given.

    ``declared`` is ``None`` where the type takes any. A blank value counts as missing. Not ``whole``: others may be given
    elsewhere, so nothing is missing.
    """
    if declared is None:
        return
    for name, value in given.items():
        attribute = declared.get(name)
        if attribute is None:
            yield name, unknown_attribute(name, {link_type: declared})
        elif not is_blank(value) and (fault := attribute.fault(value)):
            yield name, fault
    for name, attribute in declared.items():
        if whole and attribute.required and is_blank(given.get(name, "")):
            yield name, f"attribute {shown(name)} is missing; every link of type {shown(link_type)} has it"


def unknown_attribute(name: str, types: Mapping[str, Declared]) -> str:
    """Says that no link of some types, at least one, has an attribute of this name, and which there are."""
    known = tuple(dict.fromkeys(other for declared in types.values() for other in declared))
    owners = " or ".join(map(shown, islice(types, _MOST_LISTED)))
    if name == CUSTOMERS_NAME:
        hint = "; the customer's name is no attribute, and is given as name"
    elif not known:
        hint = "; it takes none"
    else:
        more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
        hint = f"{did_you_mean(name, known)}; there are {', '.join(map(shown, known[:_MOST_LISTED]))}{more}"
    return f"attribute {shown(name)} is not declared for links of type {owners}{hint}"


def completed(declared: Declared | None, given: Mapping[str, str]) -> Mapping[str, str]:
    """What a link has that was given this: a declared attribute that was given nothing is its default, or missing.

    Asked when a link is made, and once more when rules look at one: it may have been made before the attribute was
    declared, or be known by its signature alone.
    """
    if not declared:
        return given
    found = {name: value for name, value in given.items() if name not in declared or not is_blank(value)}
    for name, attribute in declared.items():
        if attribute.default is not None:
            found.setdefault(name, attribute.default)
    return found
