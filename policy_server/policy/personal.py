"""Names and addresses of people out of what is logged (``POLICY_LOG_PII=false``).

A text of an answer may hold anything that a placeholder put there, and a room that is held what somebody else's question
put there. So of answers only those texts stay that are no free text: words that Pexip knows, names of the deployment's
own objects, and the call id.
"""

from collections.abc import Mapping
from typing import Final

from policy_server.pexip.field_facts import MASK
from policy_server.pexip.parameters import PARAMETERS, PATH_ALIAS
from policy_server.pexip.requests import IDP_PREFIX
from policy_server.pexip.shapes import SHAPES

_PERSONAL: Final = frozenset({PATH_ALIAS.name, *(name for name, each in PARAMETERS.items() if each.personal)})
_ANSWERS: Final = frozenset({"result", "reason"})
_FREE: Final = frozenset(
    name for shape in SHAPES.values() for name, facet in shape.facets.items() if facet.is_text and facet.names is None
)
_SAFE: Final = (
    frozenset(
        name
        for shape in SHAPES.values()
        for name, facet in shape.facets.items()
        if facet.words or facet.names is not None
    )
    - _FREE
)
_PLACES: Final = frozenset({"location", "overflow_locations"})
"""Of answers about media, which have no model."""
_ADDRESSES: Final = frozenset({"address"})
_OF_LINKS: Final = frozenset({"link_attributes", "joins_attributes"})


def without_people(record: Mapping[str, object], call: str = "") -> dict[str, object]:
    """A line of the log without what tells people apart; ``call`` is a call id, which may stay wherever it stands alone."""
    shown: dict[str, object] = {}
    for name, value in record.items():
        if name in _PERSONAL or name.startswith(IDP_PREFIX) or name in _ANSWERS or name in _ADDRESSES:
            shown[name] = _masked(value, call, is_safe=False)
        elif name in _OF_LINKS and isinstance(value, Mapping):
            shown[name] = {key: None if text is None else MASK for key, text in value.items()}
        else:
            shown[name] = value
    return shown


def _masked(value: object, call: str, *, is_safe: bool) -> object:
    match value:
        case str():
            return value if is_safe or not value or (call and value == call) else MASK
        case dict() | Mapping():
            return {name: _masked(each, call, is_safe=name in _SAFE or name in _PLACES) for name, each in value.items()}
        case list() | tuple():
            return [_masked(each, call, is_safe=is_safe) for each in value]
        case _:
            return value
