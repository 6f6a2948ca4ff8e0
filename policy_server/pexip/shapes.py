"""The shapes of what Pexip accepts: checks of a plain mapping against a model, with every fault in plain words.

A model is a typed dictionary. It is asked two questions: "what is wrong with these fields?", by an admin who wrote them,
and "are these good?", on every call. Both are answered by one validator of plain mappings.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Required, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError, with_config
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from policy_server.pexip.fields import About, Fact, Fault, Named, Rule
from policy_server.pexip.pins import pin_format_fault

_LONGEST_SHOWN = 60
_NOTHING_SPECIAL = About()
_CODED = {Fact.PIN, Fact.EXPRESSION}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Facet:
    """One field, taken apart."""

    meaning: str = ""
    about: About = _NOTHING_SPECIAL
    facts: frozenset[Fact] = frozenset()
    names: Named | None = None
    words: tuple[object, ...] = ()
    low: int | None = None
    high: int | None = None
    max_length: int | None = None
    is_text: bool = False
    item: "Facet | None" = None
    """The type of the items, of a list."""
    shape: "Shape | None" = None
    """The shape of a mapping within the mapping."""

    @property
    def takes_placeholders(self) -> bool:
        """Whether it is a text in which a placeholder may stand."""
        return self.is_text and not self.facts & _CODED


@dataclass(frozen=True, slots=True)
class Shape:
    """A model: its own name and what messages call it, the rules that join several fields, each field taken apart."""

    name: str
    noun: str
    rules: tuple[Rule, ...]
    facets: Mapping[str, Facet]
    free_text: Mapping[str, int | None]
    """The fields in which a placeholder may stand, with the greatest length of each, ``None`` where a form decides."""
    adapter: TypeAdapter[Any]
    fits: Callable[[dict[str, object]], bool]
    """The test whether every field is known and good, and none is missing."""

    @property
    def meanings(self) -> dict[str, str]:
        """What each field means, for people."""
        return {name: facet.meaning for name, facet in self.facets.items()}

    def accepts(self, fields: dict[str, object]) -> bool:
        """Whether there are no faults: the same without the reasons, but fast."""
        if not self.fits(fields):
            return False
        # A generator in all() would cost as much as the rules do.
        for rule in self.rules:  # noqa: SIM110
            if rule(fields):
                return False
        return True

    def faults(self, fields: Mapping[str, object]) -> tuple[Fault, ...]:
        """Every fault of every single field, and of every rule. Never raises, whatever the values are."""
        joined = tuple(fault for rule in self.rules for fault in rule(fields))
        try:
            self.adapter.validator.validate_python(dict(fields))
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False)
            return tuple(_fault(self, detail) for detail in details) + joined
        return joined

    def names(
        self, fields: Mapping[str, object], path: tuple[str | int, ...] = ()
    ) -> Iterator[tuple[tuple[str | int, ...], Named, str]]:
        """Path, kind and name of every object of the deployment that the fields name.

        A blank one names nothing.
        """
        for field, value in fields.items():
            facet = self.facets.get(field)
            if facet is not None:
                yield from _names(facet, value, (*path, field))


SHAPES: dict[object, Shape] = {}
"""The shape of every model."""


def accepted(noun: str, *rules: Rule) -> Callable[[type[T]], type[T]]:
    """Makes a typed dictionary the strict model of something that Pexip accepts.

    ``noun`` is what a message calls it, ``rules`` join several of its fields. A field is annotated with its type, with
    what is special about it (``About``, ``Fact``), and with a sentence that says what it means.
    """

    def strict(model: type[T]) -> type[T]:
        model = with_config(ConfigDict(strict=True, extra="forbid"))(model)
        facets = {name: _facet(hint) for name, hint in get_type_hints(model, include_extras=True).items()}
        free_text = {name: facet.max_length for name, facet in facets.items() if facet.takes_placeholders}
        adapter = TypeAdapter(model)
        SHAPES[model] = Shape(
            model.__name__, noun, rules, facets, free_text, adapter, adapter.validator.isinstance_python
        )
        return model

    return strict


def _facet(hint: Any) -> Facet:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Required:
        return _facet(args[0])
    if origin is Annotated:
        facet = _facet(args[0])
        for mark in args[1:]:
            facet = _marked(facet, mark)
        return facet
    if origin is Literal:
        return Facet(words=args)
    if origin is list:
        return Facet(item=_facet(args[0]))
    if type(None) in args:
        return _facet(next(arg for arg in args if arg is not type(None)))
    return Facet(is_text=hint is str, shape=SHAPES.get(hint))


def _marked(facet: Facet, mark: object) -> Facet:
    match mark:
        case Named():  # a str too
            return replace(facet, names=mark)
        case str():
            return replace(facet, meaning=mark)
        case About():
            assert facet.about is _NOTHING_SPECIAL  # noqa: S101
            return replace(facet, about=mark)
        case Fact():
            return replace(facet, facts=facet.facts | {mark})
        case StringConstraints(max_length=max_length):
            return replace(facet, max_length=max_length)
        case FieldInfo(metadata=[*constraints]):
            low = next((each.ge for each in constraints if hasattr(each, "ge")), None)
            high = next((each.le for each in constraints if hasattr(each, "le")), None)
            return replace(facet, low=low, high=high)
        case _:
            return facet


def _names(
    facet: Facet, value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Named, str]]:
    if facet.names and value and isinstance(value, str):
        yield path, facet.names, value
    elif facet.item is not None and isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _names(facet.item, entry, (*path, index))
    elif facet.shape is not None and isinstance(value, Mapping):
        yield from facet.shape.names(value, path)


# ------------------------------------------------------------------ faults in plain words


def _fault(shape: Shape, detail: ErrorDetails) -> Fault:
    path, kind, value = detail["loc"], detail["type"], detail["input"]
    if kind in {"missing", "extra_forbidden", "invalid_key"}:
        above = _facet_at(shape, path[:-1])
        owner = (above and above.shape) or shape
        if kind == "missing":
            field = str(path[-1])
            rule = owner.facets[field].about.missing_rule
            return Fault(path, "missing", f"{field} is missing; {owner.noun} needs it", rule=rule)
        message = f"{shown(path[-1])} is not a field of {owner.noun}"
        return Fault(path, "unknown", message, allowed=tuple(owner.facets))
    facet = _facet_at(shape, path)
    if facet is None or (kind == "string_unicode" and facet.shape is not None):
        return Fault(path, "unknown", "a field has a name with characters that are no text (lone surrogates)")
    if kind == "string_too_short":
        rule = facet.about.missing_rule or ("SVC-3" if facet.names else "")
        return Fault(path, "length", f"{_spoken(path)} is empty; it needs at least one character", rule=rule)
    return _value_fault(facet, path, kind, value)


def _value_fault(facet: Facet, path: tuple[str | int, ...], kind: str, value: object) -> Fault:
    name, about = _spoken(path), facet.about
    match kind:
        case "string_unicode":
            return Fault(path, "type", f"{name} has characters that are no text (lone surrogates)")
        case "string_too_long":
            message = f"{name} must have at most {facet.max_length} characters but has {len(str(value))}"
            return Fault(path, "length", message, rule="ENV-3" if len(str(value)) > 250 else "")
        case "string_pattern_mismatch" if Fact.PIN in facet.facts:
            return pin_format_fault(path, str(value))
        case "string_pattern_mismatch":
            return Fault(path, "type", f"{name} must be {about.form} but is {shown(value)}", rule=about.rule)
        case "greater_than_equal" | "less_than_equal":
            unit = f" ({about.unit})" if about.unit else ""
            message = f"{name} must be from {facet.low} to {facet.high}{unit} but is {shown(value)}"
            return Fault(path, "range", message, rule=about.rule)
        case "literal_error":
            return _enum_fault(facet, path, value)
        case "string_type":
            return Fault(
                path, "type", _not_text(name, value, Fact.SECRET in facet.facts), rule=_null_rule(about, value)
            )
        case _:
            wanted = _WANTED.get(kind, "something else")
            return Fault(path, "type", f"{name} must be {wanted} but is {shown(value)}{_null_hint(value)}")


_WANTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "a mapping (fields of its own)",
}


def _enum_fault(facet: Facet, path: tuple[str | int, ...], value: object) -> Fault:
    """The fault of a word that is none of the allowed ones.

    YAML reads a bare yes, no, on and off as a boolean, so a boolean gets the advice to use quotes.
    """
    words = tuple(word for word in facet.words if isinstance(word, str))
    hint = _null_hint(value)
    if isinstance(value, bool):
        meant = [word for word in (("yes", "on") if value else ("no", "off")) if word in words]
        hint = f" (put '{meant[0]}' in quotes)" if meant else ""
    expected = "one of " if len(facet.words) > 1 else ""
    message = f"{_spoken(path)} must be {expected}{listed(facet.words)} but is {shown(value)}{hint}"
    return Fault(path, "enum", message, allowed=words, rule=facet.about.rule)


def _not_text(name: str, value: object, is_secret: bool) -> str:
    """The message for a value that is no text; a number may well be a PIN, so a secret shows only its kind."""
    if isinstance(value, bool | int | float):
        if is_secret:
            kind = "true or false" if isinstance(value, bool) else "a number"
            return f"{name} must be text (put it in quotes) but is {kind}"
        return f"{name} must be text but is {shown(value)} (put it in quotes)"
    return f"{name} must be text but is {shown(value)}{_null_hint(value)}"


def _null_rule(about: About, value: object) -> str:
    return about.null_rule if value is None else ""


def _null_hint(value: object) -> str:
    return " (leave the field out instead)" if value is None else ""


def _facet_at(shape: Shape, path: tuple[str | int, ...]) -> Facet | None:
    facet: Facet | None = Facet(shape=shape)
    for step in path:
        if isinstance(step, int):
            facet = facet.item if facet else None
        else:
            facet = facet.shape.facets.get(step) if facet and facet.shape else None
    return facet


def _spoken(path: tuple[str | int, ...]) -> str:
    """The last name of a path, with the place in the list that it ends in, if it does."""
    last = path[-1]
    if isinstance(last, int):
        return f"item {last + 1} of {path[-2]}"
    return last


def listed(words: tuple[object, ...]) -> str:
    """Words as a message lists them."""
    return ", ".join(f"{shown(word)} (Pexip's Host)" if word == "chair" else shown(word) for word in words)


def shown(value: object) -> str:
    """A value as a message shows it: as JSON would, cut when long, and only by kind when it has parts."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if value.bit_length() <= 64 else "a very large number"
        case float():
            return repr(value)
        case str():
            cut = value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "..."
            return f"'{cut}'" if cut.isprintable() and "'" not in cut else ascii(cut)
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"
