"""Aliases of links: which link type an alias is of, whose door it is, and the call it belongs to.

(README.md: Names of a call)
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from policy_server.policy.names import NAME_LENGTH, Call, Keyring, Role


class Entrance(StrEnum):
    """Whose alias it is; rules call it ``door``."""

    CUSTOMER = "customer"
    AGENT = "agent"


class AliasForm(NamedTuple):
    """One of the aliases that a link type makes. ``role`` says which name of the call stands in it, between ``before``
    and ``after``, which are in lower case. ``joins`` is the type of link into whose room these lead, ``""`` for one that
    has rooms of its own.
    """

    type: str
    entrance: Entrance
    role: Role
    before: str
    after: str
    joins: str = ""

    def name_in(self, alias: str) -> str:
        """What stands in an alias in normal form where the call has its name; ``""`` when the alias is no such one."""
        begin, end = len(self.before), len(alias) - len(self.after)
        if end - begin != NAME_LENGTH or not alias.startswith(self.before) or not alias.endswith(self.after):
            return ""
        name = alias[begin:end]
        return name if name.isalnum() and name.isascii() else ""


class LinkAlias(NamedTuple):
    """What an alias says that looks like a link's. ``call`` is ``None`` when no key of ours signed it for this alias;
    ``joins`` is the type of link into whose room it leads, if that is another one's.
    """

    type: str
    entrance: Entrance
    call: Call | None
    joins: str = ""

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
        name = form.name_in(alias)
        if not name:
            continue
        call = keyring.open(name, form.role, (form.type,))
        if call is not None:
            return LinkAlias(form.type, form.entrance, call, form.joins)
        looks = looks or LinkAlias(form.type, form.entrance, None, form.joins)
    return looks
