"""What is special about the fields of answers, asked of the models."""

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
