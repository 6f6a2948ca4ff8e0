"""Sessions and agent keys out of whatever people and systems may read: they open doors (README.md: Names of a call).

A customer's alias is shown as `mp…`. Call ids are no secret and stay.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from policy_server.pexip.field_facts import MASK
from policy_server.policy.link_aliases import AliasForm
from policy_server.policy.names import NAME_LENGTH, Keyring, Role

HIDDEN: Final = "…"
"""What stands for a name that is not shown."""

_NAME: Final = rf"[a-z0-9]{{{NAME_LENGTH}}}"
_LETTERS: Final = bytes(ord("a") if byte >= 0x80 or chr(byte).isalnum() else ord(" ") for byte in range(256))
_LONG_ENOUGH: Final = b"a" * NAME_LENGTH
"""What every name is, in whatever case, when its bytes are looked up in ``_LETTERS``: without such a run of letters and
digits there is nothing to hide. Four letters beyond ASCII count as letters of it where case does not.
"""
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

    def hiding(self, keyring: Keyring, call: str = "", secret: Collection[str] = ()) -> "Hiding":
        """What hides them in all that is told of one question. ``call`` is a call id that is known to be one. Of fields that are
        ``secret``, wherever they are, no more can be seen than that there is something.
        """
        return Hiding(self._pattern, self._types, keyring, call, secret)

    def text(self, text: str, keyring: Keyring, call: str = "") -> str:
        """A text as ``Hiding`` has it."""
        return self.hiding(keyring, call).text(text)

    def fields(
        self, fields: Mapping[str, object], keyring: Keyring, call: str = "", secret: Collection[str] = ()
    ) -> dict[str, object]:
        """Named values as ``Hiding`` has them."""
        return self.hiding(keyring, call, secret).fields(fields)


class Hiding:
    """Hides the names of calls in the texts that are told of one question."""

    __slots__ = ("_call", "_keyring", "_opened", "_pattern", "_secret", "_types")

    def __init__(
        self, pattern: re.Pattern[str], types: tuple[str, ...], keyring: Keyring, call: str, secret: Collection[str]
    ) -> None:
        self._pattern: Final = pattern
        self._types: Final = types
        self._keyring: Final = keyring
        self._call: Final = call
        self._secret: Final = secret
        self._opened: Final[set[str]] = set()
        """Call ids that stood in what was told before."""

    def text(self, text: str) -> str:
        """A text without sessions and agent keys, in a link's alias or alone; what is no name of ours but looks so goes
        too.
        """
        call = self._call
        length = len(text)
        if length < NAME_LENGTH or text == call or text in self._opened:
            return text
        if length < 2 * NAME_LENGTH:
            # A name in such a text lies across its middle, and no UUID has letters and digits alone there.
            has_room = text[-NAME_LENGTH:NAME_LENGTH].isalnum()
        else:
            has_room = text.encode("utf-8", "surrogatepass").translate(_LETTERS).find(_LONG_ENOUGH) >= 0
        # Most that have room for one have the call's own id in them, and nothing else that could be a name.
        if not has_room or (call and length - NAME_LENGTH * text.count(call) < NAME_LENGTH):
            return text
        return self._pattern.sub(self._hide, text)

    def _hide(self, match: re.Match[str]) -> str:
        name = match[0]
        if match.lastgroup is None:
            return name[:-NAME_LENGTH] + HIDDEN
        if name == self._call or name in self._opened:
            return name
        if self._keyring.open(name.lower(), Role.CALL, self._types) is None:
            return HIDDEN
        self._opened.add(name)
        return name

    def fields(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Named values of JSON, with every text in them so, also the names."""
        shown = dict(fields)
        has_long_names = False
        # Every answer and message comes by here, and most of it are numbers and short texts: they stay where they are.
        for name, value in fields.items():
            if type(value) is str:
                if len(value) >= NAME_LENGTH:
                    shown[name] = self.text(value)
            elif type(value) not in _NO_TEXT:
                shown[name] = self._value(value)
            if len(name) >= NAME_LENGTH:
                has_long_names = True
        for name in self._secret:
            if fields.get(name):
                shown[name] = MASK
        return {self.text(name): value for name, value in shown.items()} if has_long_names else shown

    def _value(self, value: object) -> object:
        match value:
            case str():
                return self.text(value)
            case list() | tuple():
                return [self._value(item) for item in value]
            case dict() | Mapping():
                return self.fields(value)
            case _:
                return value
