"""Sessions and agent keys out of whatever people and systems may read: they open doors (README.md: Names of a call).

A customer's alias is shown as `mp…`. Call ids are no secret and stay.
"""

import re
from collections.abc import Container, Iterable, Mapping
from typing import Final

from policy_server.pexip.field_facts import MASK
from policy_server.policy.link_aliases import AliasForm
from policy_server.policy.names import NAME_LENGTH, Keyring, Role

HIDDEN: Final = "…"
"""What stands for a name that is not shown."""

_NAME: Final = rf"[a-z0-9]{{{NAME_LENGTH}}}"
_LONG_ENOUGH: Final = re.compile(rf"[A-Za-z0-9\u0130\u0131\u017f\u212a]{{{NAME_LENGTH}}}")
"""What every name is, in whatever case: without such a run of letters and digits there is nothing to hide."""
_NO_TEXT: Final = frozenset({bool, int, float, type(None)})
_ALONE: Final = rf"(?<![a-z0-9])[a-z2-7]{{{NAME_LENGTH}}}(?![a-z0-9])"


class NameMask:
    """Hides the names of calls in texts, for the aliases of some link types."""

    __slots__ = ("_pattern", "_types")

    def __init__(self, forms: Iterable[AliasForm] = ()) -> None:
        known = tuple(forms)
        # One alias may begin like another, as `adv…` and `adviser…`: the longer first, or a part of its name would be left.
        secret = [
            f"{re.escape(form.before)}{_NAME}(?={re.escape(form.after)})"
            for form in sorted(known, key=lambda form: len(form.before), reverse=True)
            if form.role is not Role.CALL and (form.before or form.after)
        ]
        self._pattern: Final = re.compile("|".join((*dict.fromkeys(secret), f"(?P<alone>{_ALONE})")), re.IGNORECASE)
        self._types: Final = tuple(dict.fromkeys(form.type for form in known))

    def text(self, text: str, keyring: Keyring, call: str = "") -> str:
        """A text without sessions and agent keys, in a link's alias or alone; what is no name of ours but looks so goes
        too. ``call`` is a call id that is known to be one.
        """
        if len(text) < NAME_LENGTH:
            return text
        # Most long texts have the call's own id in them, and nothing else that could be a name.
        if call and len(text) - NAME_LENGTH * text.count(call) < NAME_LENGTH:
            return text
        if _LONG_ENOUGH.search(text) is None:
            return text

        def hide(match: re.Match[str]) -> str:
            alone = match["alone"]
            if alone is None:
                return match[0][:-NAME_LENGTH] + HIDDEN
            is_call = alone == call or keyring.open(alone.lower(), Role.CALL, self._types) is not None
            return alone if is_call else HIDDEN

        return self._pattern.sub(hide, text)

    def fields(
        self, fields: Mapping[str, object], keyring: Keyring, call: str = "", secret: Container[str] = ()
    ) -> dict[str, object]:
        """Named values of JSON, with every text in them so, also the names. Of fields that are ``secret``, wherever they
        are, no more can be seen than that there is something.
        """
        shown: dict[str, object] = {}
        for name, value in fields.items():
            key = name if len(name) < NAME_LENGTH else self.text(name, keyring, call)
            # Every answer comes by here, and most of it are numbers and short texts: they are spared the calls.
            if value and name in secret:
                shown[key] = MASK
            elif type(value) is str:
                shown[key] = value if len(value) < NAME_LENGTH else self.text(value, keyring, call)
            else:
                shown[key] = value if type(value) in _NO_TEXT else self._value(value, keyring, call, secret)
        return shown

    def _value(self, value: object, keyring: Keyring, call: str, secret: Container[str]) -> object:
        match value:
            case str():
                return self.text(value, keyring, call)
            case dict() | Mapping():
                return self.fields(value, keyring, call, secret)
            case list() | tuple():
                return [self._value(item, keyring, call, secret) for item in value]
            case _:
                return value
