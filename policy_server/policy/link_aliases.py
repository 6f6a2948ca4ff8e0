"""Aliases of links: which link type an alias is of, whose door it is, and the call it belongs to.

(README.md: Names of a call)
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from policy_server.policy.names import Call, Keyring, Role
from policy_server.policy.patterns import Pattern

KEY: Final = "key"
"""The group of a form's expression: the name of the call in the alias."""


class Entrance(StrEnum):
    """Whose alias it is; rules call it ``door``."""

    CUSTOMER = "customer"
    AGENT = "agent"


class AliasForm(NamedTuple):
    """One of the aliases that a link type makes. ``role`` says which name of the call stands in it, between ``before``
    and ``after``.
    """

    type: str
    entrance: Entrance
    role: Role
    before: str
    after: str
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class LinkAlias:
    """What an alias says that looks like a link's. ``call`` is ``None`` when no key of ours signed it for this alias."""

    type: str
    entrance: Entrance
    call: Call | None = field(repr=False)

    @property
    def call_id(self) -> str:
        """The call's name for everybody; ``""`` when the alias was not signed by us."""
        return self.call.id if self.call is not None else ""


class ReadAlias(NamedTuple):
    """An alias in normal form, and what it says of a link: for whoever reads it before the rules do."""

    alias: str
    link: LinkAlias | None


def read_alias(forms: Iterable[AliasForm], keyring: Keyring, alias: str) -> LinkAlias | None:
    """What an alias in normal form says; ``None`` for one that is of no link type.

    Of several link types that it looks like, the one that it was signed for.
    """
    looks: LinkAlias | None = None
    for form in forms:
        groups = form.pattern.match(alias)
        if groups is None:
            continue
        call = keyring.open(groups[KEY], form.role, (form.type,))
        if call is not None:
            return LinkAlias(form.type, form.entrance, call)
        looks = looks or LinkAlias(form.type, form.entrance, None)
    return looks
