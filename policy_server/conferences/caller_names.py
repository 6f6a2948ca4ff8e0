"""Reading what a telephone system shows as a caller's name or address: quoted, as a URI, or with both in one.

Genesys Cloud hands on what the trunk and its carriers made of the From header (genesys/README.md: How the widget
finds the conference), and widgets hand that on to us.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from policy_server.conferences.link_reading import undisguised
from policy_server.conferences.records import HeldConference
from policy_server.pexip.aliases import SCHEMES, bare_alias, folded
from policy_server.policy.services import caller_name, uri_user

_LONGEST: Final = 1000
_BETWEEN: Final = re.compile(r"[\s<>()\[\]{},;?\\\"'\u2018-\u201e\u00ab\u00bb]+")
_AT_THE_END: Final = ".:!/*~|"
_IN_BRACKETS: Final = re.compile(r"<([^<>]*)>")
_QUOTES: Final = "\"'\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_SCHEMES: Final = (*SCHEMES, "tel:")


def caller_aliases(text: str) -> tuple[str, ...]:
    """The aliases that may stand in a caller's name or address, in the form in which aliases are compared, the best first.

    The first is the whole text, without quotation marks and the like around it.
    """
    cleaned = undisguised(text[:_LONGEST])
    parts = [part for part in _BETWEEN.split(cleaned) if part]
    whole = " ".join(parts) if len(parts) == 1 else cleaned.strip()
    found = (_bare(part) for part in (whole, *parts))
    return tuple(dict.fromkeys(filter(None, found)))


def callers_of_name(name: str) -> frozenset[str]:
    """What a room of this name calls itself where its rule says nothing else: the user part of From, and what is shown."""
    return frozenset({name, uri_user(name), caller_name(name)} - {""})


def callers_of(room: HeldConference) -> frozenset[str]:
    """By what the legs of a room without a call are known: its name, and the user part of the From of each, as it is
    written and decoded.
    """
    froms = (str(leg.get("local_alias", "")) for leg in (*room.legs, *room.fallbacks))
    users = {_without_scheme(each).partition("@")[0].strip() for each in froms} - {""}
    return callers_of_name(room.name) | users | {unquote(user) for user in users}


def shown_users(text: str) -> tuple[str, ...]:
    """What may be the user part of a From, or a room's name, in a caller's name or address: as it stands, then decoded, in
    the case in which it came. The likeliest come first.
    """
    shown = text[:_LONGEST]
    return tuple(dict.fromkeys(filter(None, (*_users(shown), *_users(undisguised(shown))))))


def _users(text: str) -> Iterator[str]:
    # What stands in brackets may be a part of a room's name.
    for part in (text, *_IN_BRACKETS.findall(text)):
        bare = _without_scheme(part.strip().strip(_QUOTES))
        yield from (each.strip() for each in (bare.partition("@")[0], bare.rpartition("@")[0], bare))


def _without_scheme(text: str) -> str:
    text = text.strip()
    scheme = next((each for each in _SCHEMES if folded(text[: len(each)]) == each), "")
    return text[len(scheme) :]


def _bare(text: str) -> str:
    alias = bare_alias(text)
    return alias.removeprefix("tel:").strip().strip(_AT_THE_END)
