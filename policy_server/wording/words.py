"""The words that a value may have: which there are, and which one was probably meant."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Final

from policy_server.wording.values import shown

_MOST_LISTED: Final = 12
_MOST_COMPARED: Final = 1_000
_LONGEST_COMPARED: Final = 100
_LIKE_A_KEY: Final = re.compile(r"[^=:$/+@]*")

_ON_PEXIPS_PAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "host": ("chair",),
    "moderator": ("chair",),
    "participant": ("guest",),
    "audio-only": ("audio",),
    "audio only": ("audio",),
    "main video only": ("video-only",),
    "main video + presentation": ("video",),
    "same as incoming call": ("auto",),
    "required": ("on",),
    "no encryption": ("off",),
    "full hd": ("fullhd",),
    "1080p": ("fullhd",),
    "720p": ("hd",),
    "h.323": ("h323",),
    "ms-sip": ("mssip",),
    "lync": ("mssip",),
    "skype": ("mssip",),
    "skype for business": ("mssip",),
    "google meet": ("gms",),
    "microsoft teams": ("teams",),
    "browser": ("webrtc",),
    "in": ("dial_in",),
    "inbound": ("dial_in",),
    "incoming": ("dial_in",),
    "out": ("dial_out",),
    "outbound": ("dial_out",),
    "outgoing": ("dial_out",),
    "manually": ("manual",),
    "automatically": ("routing_rule",),
    "vmr": ("conference",),
    "virtual meeting room": ("conference",),
    "virtual auditorium": ("lecture",),
    "auditorium": ("lecture",),
    "virtual reception": ("two_stage_dialing",),
    "infinity gateway": ("gateway",),
}
"""What Pexip's administrator pages and their users say for values of the API, in lower case."""


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Find the word that was probably meant by `word`, in any case; None if none is near.

    What Pexip's administrator pages call a value stands for the value of the API.

    Only the first 1,000 words are compared, and none of more than 100 characters: a message is not worth
    more time than that.
    """
    if len(word) > _LONGEST_COMPARED:
        return None
    folded: dict[str, str] = {}
    for candidate in islice(words, _MOST_COMPARED):
        if len(candidate) <= _LONGEST_COMPARED:
            folded.setdefault(candidate.lower(), candidate)
    said = next((meant for meant in _ON_PEXIPS_PAGES.get(word.lower(), ()) if meant in folded), None)
    if said is not None:
        return folded[said]
    found = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(value: object, words: Iterable[str]) -> str:
    """Ask, at the end of a message about `value`, for the word that was probably meant; empty if none is near."""
    word = nearest(value, words) if isinstance(value, str) else None
    return f" (did you mean {shown(word)}?)" if word is not None else ""


def listed(words: Iterable[str], last: str = "and") -> str:
    """List words as a sentence does: ``a``, ``a and b``, ``a, b and c``."""
    *others, word = words
    return f"{', '.join(others)} {last} {word}" if others else word


def one_of(name: str, words: Iterable[str], value: object) -> str:
    """Say that `name` has a value that is none of the allowed words, which those are, and the nearest."""
    allowed = list(words)
    if not allowed:
        return f"{name} is {shown(value)} but there is none to choose from"
    choice = _choices(allowed) if len(allowed) == 1 else f"one of {_choices(allowed)}"
    return f"{name} must be {choice} but is {shown(value)}{did_you_mean(value, allowed)}"


def unknown_key(key: str, known: Iterable[str], where: str) -> str:
    """Say that `where` has no key `key`, which key was probably meant, and which keys there are."""
    allowed = list(known)
    can_have = f"it can have {_choices(allowed)}" if allowed else "it can have no keys"
    # A line of a file of settings, NAME=VALUE, or of passwords, that came here by mistake is not repeated.
    is_shown = _LIKE_A_KEY.fullmatch(key) or nearest(key, allowed) is not None
    return f"{shown(key) if is_shown else 'this'} is not a key of {where}{did_you_mean(key, allowed)}; {can_have}"


def _choices(words: list[str]) -> str:
    first = [f"{shown(word)} (Pexip's Host)" if word == "chair" else shown(word) for word in words[:_MOST_LISTED]]
    more = len(words) - len(first)
    return ", ".join([*first, f"… {more} more"] if more else first)
