"""Text with ``{placeholders}``: plain substitution, nothing else (DESIGN section 3)."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_BRACES: Final = re.compile(r"\{([^{}]*)\}|[{}]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.~-]*\Z")


class TemplateError(ValueError):
    """A text whose braces are no placeholder; the text says which."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text as alternating pieces: literal, placeholder name, literal, …; always begins and ends with a literal."""

    source: str
    pieces: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders, in order."""
        return self.pieces[1::2]

    @property
    def literals(self) -> tuple[str, ...]:
        """What stands around them."""
        return self.pieces[::2]

    def render(self, values: Mapping[str, str]) -> str:
        """The text with every placeholder replaced by its value."""
        pieces = self.pieces
        if len(pieces) == 3:
            return f"{pieces[0]}{values[pieces[1]]}{pieces[2]}"
        return "".join([values[piece] if odd % 2 else piece for odd, piece in enumerate(pieces)])


def parse_template(text: str) -> Template:
    """Reads the placeholders of a text; raises TemplateError for a brace that is none."""
    pieces: list[str] = []
    end = 0
    for match in _BRACES.finditer(text):
        name = match[1]
        if name is None or not _NAME.match(name):
            raise TemplateError(
                f"{match[0]!r} is not a placeholder; write the name between braces without spaces, such as {{session}}"
            )
        pieces += (text[end : match.start()], name)
        end = match.end()
    return Template(text, (*pieces, text[end:]))


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
        parts.append(inner if piece in seen else f"(?P<p{names.index(piece)}>{inner})")
        seen.add(piece)
    return "".join(parts)


def recovered(template: Template, groups: Mapping[str, str]) -> dict[str, str]:
    """The values of the placeholders out of a match of ``backwards(template)``."""
    return {name: groups[f"p{number}"] for number, name in enumerate(dict.fromkeys(template.names))}


def unknown_names(template: Template, known: Iterable[str]) -> tuple[str, ...]:
    """The placeholders that nothing fills; ``link.`` attributes are whatever the link was given."""
    good = frozenset(known)
    return tuple(name for name in template.names if name not in good and not name.startswith("link."))
