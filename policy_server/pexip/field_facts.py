"""What is special about the fields of answers, asked of the models; and answers with what is secret hidden."""

from collections.abc import Mapping
from typing import Final

from policy_server.pexip import properties, services  # noqa: F401  for their models
from policy_server.pexip.fields import Fact
from policy_server.pexip.shapes import SHAPES


def fields_with(fact: Fact) -> frozenset[str]:
    """The names of the fields of which a fact is true, in whichever part of an answer."""
    return frozenset(name for shape in SHAPES.values() for name, facet in shape.facets.items() if fact in facet.facts)


SECRET_FIELDS: Final = fields_with(Fact.SECRET)
MASK: Final = "****"
"""What stands for the value of one where people and systems may read."""

DOOR_FIELDS: Final = fields_with(Fact.DOOR)

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def masked(fields: Mapping[str, object]) -> dict[str, object]:
    """An answer, or any JSON with parts of answers in it, as people and systems may read it.

    That there is no secret may be seen.
    """
    shown = dict(fields)
    # Most values are scalars, and every answer comes by here: they stay where they are.
    for name, value in fields.items():
        if type(value) not in _SCALARS:
            shown[name] = _masked(value)
    for name in SECRET_FIELDS:
        if fields.get(name):
            shown[name] = MASK
    return shown


def _masked(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return masked(value) if isinstance(value, Mapping) else value
