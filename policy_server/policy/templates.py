"""Text with ``{placeholders}``: plain substitution, nothing else (README.md: Placeholders).

``{name|default}`` stands for the default where the value is missing or blank, ``{name.raw}`` for the value as it came.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

_BRACES: Final = re.compile(r"\{([^{}]*)\}|[{}]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.~-]*\Z")
_LONGEST_SHOWN: Final = 60
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})

RAW: Final = ".raw"
"""What follows the name of a group or parameter that is wanted as it came."""


class TemplateError(ValueError):
    """A text whose braces are no placeholder; the text says which."""


def is_blank(text: str) -> bool:
    """Whether a value is as good as missing: nothing in it can be seen."""
    if text.isprintable() and not text.isspace():
        return not text
    return all(unicodedata.category(character) in _INVISIBLE for character in text)


def without_raw(name: str) -> str:
    """The group or parameter that a placeholder takes its value from."""
    return name.removesuffix(RAW)


@dataclass(frozen=True, slots=True)
class Template:
    """A text as alternating pieces: literal, placeholder name, literal, …; always begins and ends with a literal.

    ``defaults`` are those of the placeholders, in order; empty when none has one.
    """

    source: str
    pieces: tuple[str, ...]
    defaults: tuple[str | None, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders, in order."""
        return self.pieces[1::2]

    @property
    def literals(self) -> tuple[str, ...]:
        """What stands around them."""
        return self.pieces[::2]

    @property
    def needed(self) -> tuple[str, ...]:
        """The placeholders that have no default."""
        if not self.defaults:
            return self.names
        return tuple(name for name, default in zip(self.names, self.defaults, strict=True) if default is None)

    @property
    def bare(self) -> str:
        """The text when every value is missing."""
        return self.render(dict.fromkeys(self.names, ""))

    def render(self, values: Mapping[str, str]) -> str:
        """The text with every placeholder replaced by its value, or by its default where the value is blank."""
        pieces = self.pieces
        if self.defaults:
            filled = list(pieces)
            for number, default in enumerate(self.defaults):
                value = values[pieces[2 * number + 1]]
                filled[2 * number + 1] = default if default is not None and is_blank(value) else value
            return "".join(filled)
        if len(pieces) == 3:
            return f"{pieces[0]}{values[pieces[1]]}{pieces[2]}"
        return "".join([values[piece] if odd % 2 else piece for odd, piece in enumerate(pieces)])

    def with_defaults(self, change: Callable[[str], str]) -> "Template":
        """The same with its defaults changed, as for a place where values are written in another way."""
        return replace(self, defaults=tuple(None if text is None else change(text) for text in self.defaults))


@dataclass(frozen=True, slots=True)
class MeaningTemplate(Template):
    """A text that stands for another one: ``meanings`` has what each says; any that is not there says nothing."""

    meanings: Mapping[str, str] = field(default_factory=dict, hash=False)

    def render(self, values: Mapping[str, str]) -> str:
        """What the text means."""
        return self.meanings.get(Template.render(self, values), "")


def parse_template(text: str) -> Template:
    """Reads the placeholders of a text; raises TemplateError for a brace that is none."""
    pieces: list[str] = []
    defaults: list[str | None] = []
    end = 0
    for match in _BRACES.finditer(text):
        name, bar, default = (match[1] or "").partition("|")
        if not _NAME.match(name):
            cut = match[0] if len(match[0]) <= _LONGEST_SHOWN else f"{match[0][:_LONGEST_SHOWN]}…"
            raise TemplateError(
                f"{cut!r} is not a placeholder; write the name between braces without spaces, such as {{call}}"
            )
        pieces += (text[end : match.start()], name)
        defaults.append(default if bar else None)
        end = match.end()
    has_defaults = any(default is not None for default in defaults)
    return Template(text, (*pieces, text[end:]), tuple(defaults) if has_defaults else ())


def backwards(template: Template, source_of: Callable[[str], str | None]) -> str:
    """An RE2 expression that matches what the template can become, a named group for each placeholder.

    ``source_of`` gives the expression that filled a placeholder, or ``None`` for "any text". RE2 has no
    back-references, so a placeholder that stands twice is named once; render the result again to be sure.
    """
    names = tuple(dict.fromkeys(template.names))
    seen: set[str] = set()
    parts: list[str] = []
    for odd, piece in enumerate(template.pieces):
        if odd % 2 == 0:
            parts.append(re.escape(piece))
            continue
        inner = f"(?:{source_of(piece) or '.*'})"
        default = template.defaults[odd // 2] if template.defaults else None
        if default is not None:
            inner = f"(?:{inner}|{re.escape(default)})"
        parts.append(inner if piece in seen else f"(?P<p{names.index(piece)}>{inner})")
        seen.add(piece)
    return "".join(parts)


def recovered(template: Template, groups: Mapping[str, str]) -> dict[str, str]:
    """The values of the placeholders out of a match of ``backwards(template)``; a default counts as a value here."""
    return {name: groups[f"p{number}"] for number, name in enumerate(dict.fromkeys(template.names))}


def unknown_names(template: Template, known: Iterable[str]) -> tuple[str, ...]:
    """The placeholders that nothing fills; ``link.`` attributes are whatever the link was given."""
    good = frozenset(known)
    return tuple(
        name
        for name in template.names
        if name not in good
        and not (without_raw(name) in good and "." not in without_raw(name))
        and not name.startswith("link.")
    )
