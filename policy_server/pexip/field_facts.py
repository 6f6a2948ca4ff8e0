"""What is special about the fields of answers, asked of the models."""

from collections.abc import Iterator
from typing import Final

from policy_server.pexip.fields import Fact
from policy_server.pexip.properties import DirectoryEntry, MediaLocation, ParticipantProperties, Registration
from policy_server.pexip.services import SERVICE_TYPES
from policy_server.pexip.shapes import Facet, Shape, shape_of


def _with_parts(shape: Shape) -> Iterator[Shape]:
    yield shape
    for facet in shape.facets.values():
        inner: Facet | None = facet
        while inner is not None:
            if inner.shape is not None:
                yield from _with_parts(inner.shape)
            inner = inner.item


SHAPES: Final = tuple(
    shape
    for model in (*SERVICE_TYPES.values(), ParticipantProperties, MediaLocation, Registration, DirectoryEntry)
    for shape in _with_parts(shape_of(model))
)
"""Everything that answers are made of: services, the results of other questions, and the parts of these."""


def fields_with(fact: Fact) -> frozenset[str]:
    """The names of the fields of which a fact is true, in whichever part of an answer."""
    return frozenset(name for shape in SHAPES for name, facet in shape.facets.items() if fact in facet.facts)


SECRET_FIELDS: Final = fields_with(Fact.SECRET)
MASK: Final = "****"
"""What stands for the value of one where people and systems may read."""

DOOR_FIELDS: Final = fields_with(Fact.DOOR)
