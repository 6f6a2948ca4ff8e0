"""Regular expressions of rules: RE2, so linear in time whatever a stranger sends."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile
from math import prod
from types import MappingProxyType
from typing import Any, Final

import re2

from policy_server.policy.certain_text import certain_texts
from policy_server.wording.values import printable

PREFIX_LIMIT: Final = 24
"""Characters of a literal prefix that the index uses: each length in use costs one look-up."""

_NO_GROUPS: Final[Mapping[str, str]] = MappingProxyType({})
_UNNAMED: Final[Mapping[str, int]] = MappingProxyType({})
_OPTIONAL: Final = frozenset("?*{")
_QUANTIFIERS: Final = frozenset("?*+{")
_BRACED_NAME: Final = re.compile(r"\(\?P?<([A-Za-z_]\w*)>")
_FLAGS: Final = re.compile(r"\(\?[imsU-]+\)")
# An escape, a class (where a `]` that comes first stands for itself), or what groups are made of.
_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:.*?:\]|[^\]\\])*+|[()|]", re.DOTALL)
_DEPTHS: Final = {"(": 1, ")": -1, "|": 0}
_NO_GROUP: Final = re.compile(r"\(\?(?!P?<)")
_LOOK_AROUND: Final = re.compile(r"\(\?(?:[=!]|<[=!])")
_BACK_REFERENCE: Final = re.compile(r"\\[1-9]|\(\?P=")
_POSSESSIVE: Final = re.compile(r"\(\?>|[*+?}]\+")
_LARGE_CLASS: Final = re.compile(r"\\[pPx]")
_REPETITION: Final = re.compile(r"[{,](\d+)")
_ESCAPED_PUNCTUATION: Final = re.compile(r"\\([^A-Za-z0-9\x80-\U0010ffff])")
_PLAIN: Final = re.compile(r"([^\\.^$|?*+()\[\]{}]|\\[^A-Za-z0-9\x80-\U0010ffff])*+")

SMALL: Final = 10_000
"""Characters, each counted as often as repetitions repeat it, of expressions whose programs are never too large.

One of ASCII becomes 14 instructions at the most, and RE2 takes 340,000 together.
"""

LONGEST_REASON: Final = 120
"""Characters of what RE2 says that a message repeats."""


class PatternError(ValueError):
    """A regular expression that RE2 refuses; the text says why and what to write instead."""


def re2_options(*, ignore_case: bool, max_mem: int | None = None) -> Any:
    """RE2's options for our expressions; ``max_mem`` are bytes, RE2's own default without."""
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.log_errors = False
    if max_mem is not None:
        options.max_mem = max_mem
    return options


_EXACT_CASE: Final = re2_options(ignore_case=False)
_ANY_CASE: Final = re2_options(ignore_case=True)


@dataclass(frozen=True, slots=True)
class Pattern:
    """An expression that must match a whole value; two are equal when they match the same by the same text.

    ``groups`` are the named groups with their numbers. ``literal`` is the text that it matches when that is the only
    one. ``prefix`` begins every value that it matches; where there is none, ``needed`` stands in it.
    """

    text: str
    ignore_case: bool
    groups: Mapping[str, int] = field(compare=False)
    literal: str | None
    prefix: str
    needed: str = field(compare=False)

    def match(self, value: str) -> Mapping[str, str] | None:
        """The named groups of a match of the whole value (absent ones as ``""``), or ``None`` without a match."""
        if self._differs_plainly(value):
            return None
        # Bytes spare the binding its translation of offsets, most of the time of a match.
        encoded = value.encode()
        match = _program(self.text, self.ignore_case).fullmatch(encoded)
        if match is None:
            return None
        if not self.groups:
            return _NO_GROUPS
        # The span of an absent group is (-1, -1), which slices to nothing.
        return {name: encoded[slice(*match.span(number))].decode() for name, number in self.groups.items()}

    def _differs_plainly(self, value: str) -> bool:
        """Whether ``prefix`` or ``needed`` alone tells that the value does not match, so that nothing need be compiled."""
        plain = value[: len(self.prefix)] if self.prefix else value if self.needed else ""
        # Some letters have another case in ASCII: RE2 knows which.
        if not plain.isascii():
            return False
        if self.ignore_case:
            plain = plain.lower()
        return plain != self.prefix if self.prefix else self.needed not in plain

    def spans(self, value: str) -> Mapping[str, tuple[int, int]] | None:
        """Where in ``value`` its named groups stand, in characters; ``None`` without a match of the whole value."""
        encoded = value.encode()
        match = _program(self.text, self.ignore_case).fullmatch(encoded)
        if match is None:
            return None
        spans = {name: match.span(number) for name, number in self.groups.items()}
        return {
            name: (len(encoded[: max(begin, 0)].decode()), len(encoded[: max(end, 0)].decode()))
            for name, (begin, end) in spans.items()
        }

    def count_groups(self) -> int:
        """How many groups it has, with and without a name."""
        return int(_program(self.text, self.ignore_case).groups)

    def source_of(self, group: str) -> str:
        """The expression behind one of its named groups, for use in another expression."""
        leading = _FLAGS.match(self.text)
        flags = "(?i)" if self.ignore_case else leading[0] if leading else ""
        source = f"(?:{flags}{group_source(self.text, group) or '.+'})"
        return f"{source}?" if _may_be_absent(self.text, group) else source


def compile_pattern(text: str, *, ignore_case: bool) -> Pattern:
    """Compiles one expression; raises PatternError with RE2's reason and a remedy."""
    try:
        groups = _named_groups(text, _ANY_CASE if ignore_case else _EXACT_CASE)
    except (re2.error, UnicodeEncodeError) as error:
        raise PatternError(_remedy(text, error)) from None
    names = _BRACED_NAME.findall(text)
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise PatternError(
            f"named group {twice!r} stands twice, and only the first would count; name each once, or write the "
            "alternatives as a list of expressions"
        )
    literal = _literal(text, ignore_case=ignore_case)
    prefix = _prefix(text, ignore_case=ignore_case) if literal is None else literal
    needed = "" if prefix else max(certain_texts(text, ignore_case=ignore_case), key=len, default="")
    return Pattern(text, ignore_case, groups, literal, prefix, needed)


def is_more_than_re2(text: str) -> bool:
    """Whether an expression has what Perl has and RE2 has not: looking around, back-references, possessive repetition."""
    return any(known.search(text) is not None for known in (_LOOK_AROUND, _BACK_REFERENCE, _POSSESSIVE))


# A compiled program takes some 40 KiB, 400 MiB for 10,000 rules; those of rules that callers meet stay here.
@lru_cache(maxsize=1024)
def _program(text: str, ignore_case: bool) -> Any:
    return re2.compile(text, _ANY_CASE if ignore_case else _EXACT_CASE)


def _named_groups(text: str, options: Any) -> Mapping[str, int]:
    """The named groups of an expression with their numbers; raises what RE2 raises when it would not compile."""
    # A set only parses what is added to it, which takes a twentieth of the time of a program.
    if _is_small(text) and (groups := _numbered(text)) is not None:
        try:
            re2.Set.FullMatchSet(options).Add(text)
        except re2.error:
            pass  # Without the reason, which the program tells.
        else:
            return groups
    return dict(re2.compile(text, options).groupindex)


def _numbered(text: str) -> Mapping[str, int] | None:
    """The named groups of an expression that can be parsed, by counting; ``None`` where RE2 has to say."""
    if "<" not in text:
        return _UNNAMED
    if "\\Q" in text:
        return None
    groups: dict[str, int] = {}
    number = 0
    for place, character, _ in _structure(text):
        if character != "(" or _NO_GROUP.match(text, place):
            continue
        number += 1
        if text.startswith("(?", place):
            named = _BRACED_NAME.match(text, place)
            if named is None:
                return None
            groups.setdefault(named[1], number)
    return groups


def _is_small(text: str) -> bool:
    """Whether the program of an expression that can be parsed is certainly not too large."""
    repeated = prod(max(1, int(count)) for count in _REPETITION.findall(text))
    return text.isascii() and len(text) * repeated <= SMALL and _LARGE_CLASS.search(text) is None


def _remedy(text: str, error: Exception) -> str:
    reason = error.args[0] if error.args else "it cannot be compiled"
    if isinstance(reason, bytes):
        reason = reason.decode("utf-8", "replace")
    reason = printable(str(reason)[: LONGEST_REASON + 1])
    if len(reason) > LONGEST_REASON:
        # RE2 repeats the expression.
        reason = f"{reason[:LONGEST_REASON]}…"
    if _LOOK_AROUND.search(text):
        return (
            f"{reason}; RE2 has no look-ahead or look-behind: match what you want in one rule, and put a rule for "
            "what you do not want before it, or write it as `not:`"
        )
    if _BACK_REFERENCE.search(text):
        return f"{reason}; RE2 has no back-references: write the repeated part out"
    if text.startswith("*"):
        return f"{reason}; for any text write .* instead"
    return reason


def _literal(text: str, *, ignore_case: bool) -> str | None:
    if not text or _PLAIN.fullmatch(text) is None:
        return None
    literal = _ESCAPED_PUNCTUATION.sub(r"\1", text)
    # Values compared without regard to case arrive in lower case (aliases.py); a letter whose other case has another
    # length or form is left to RE2.
    if ignore_case:
        return literal.lower() if literal.isascii() else None
    return literal


def _prefix(text: str, *, ignore_case: bool) -> str:
    """The literal text with which every match begins; ``""`` where that is not plain to see."""
    if "\\Q" in text or _alternatives_at_top(text):
        return ""
    plain = _PLAIN.match(text)
    if plain is None:
        return ""
    certain = plain.end()
    if text[certain : certain + 1] in _QUANTIFIERS or _FLAGS.match(text, certain):
        # Of the last character there may be none: what repeats flags repeats what stands before them.
        certain = max(plain.start(1), 0)
    found = _ESCAPED_PUNCTUATION.sub(r"\1", text[:certain])[:PREFIX_LIMIT]
    return "".join(takewhile(str.isascii, found)).lower() if ignore_case else found


def _alternatives_at_top(text: str) -> bool:
    return "|" in text and any(character == "|" and depth == 0 for _, character, depth in _structure(text))


def group_source(text: str, name: str) -> str | None:
    """The expression inside the named group ``name`` of ``text``, or ``None`` when there is no such group.

    Used to read a room's name backwards: what ``{call}`` was filled with must match what filled it.
    """
    for match in _BRACED_NAME.finditer(text):
        if match[1] == name:
            end = _closing_parenthesis(text, match.end())
            # Names inside would stand twice where several groups are put side by side.
            return None if end is None else _BRACED_NAME.sub("(?:", text[match.end() : end])
    return None


def _may_be_absent(text: str, name: str) -> bool:
    """Whether a match of ``text`` can leave the named group empty by going around it."""
    for match in _BRACED_NAME.finditer(text):
        if match[1] == name:
            end = _closing_parenthesis(text, match.end())
            inside_another = any(character == "(" and depth > 1 for _, character, depth in _structure(text))
            return end is None or text[end + 1 : end + 2] in _OPTIONAL or inside_another or _alternatives_at_top(text)
    return True


def _closing_parenthesis(text: str, start: int) -> int | None:
    return next(
        (place for place, character, depth in _structure(text, start) if character == ")" and depth == -1), None
    )


def _structure(text: str, start: int = 0) -> Iterator[tuple[int, str, int]]:
    """The place of each parenthesis and ``|`` outside classes and escapes, and how many groups are open behind it."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        character = token[0]
        if character in _DEPTHS:
            depth += _DEPTHS[character]
            yield token.start(), character, depth
