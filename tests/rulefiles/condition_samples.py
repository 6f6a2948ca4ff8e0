"""A good value for every key of ``when``, where ``hours`` is a calendar, ``patient`` a link type and Oslo a location.

``offices`` is the table of ``TABLES``.
"""

from collections.abc import Iterator
from typing import Final

from policy_server.pexip.parameters import PARAMETERS, PATH_ALIAS, Kind, Parameter
from policy_server.policy.templates import without_raw

TABLES: Final = {"tables/offices.csv": b"location,trunk\nOslo,clinic\n"}

_OWN: Final[dict[str, object]] = {
    "open": "hours",
    "closed": "hours",
    "link": ["valid", "early", "expired"],
    "link_type": ["patient"],
    "door": ["customer", "agent"],
    "link_attributes": {"language": ["no", "sv"]},
    "idp_attributes": {"groups": "agents"},
    "percent": 12.5,
    "table": {"offices": "{location}"},
    "any": [{"location": "Oslo"}, {"node_ip": "10.0.0.1"}],
    "all": [{"location": "Oslo", "open": "hours"}],
    "not": [{"location": ["Oslo"]}, {"any": [{"version_id": "35"}]}],
}
_OF_KIND: Final[dict[Kind, object]] = {
    Kind.ALIAS: ["meet.*", "call.*"],
    Kind.TEXT: ".+",
    Kind.LIST: "10.*",
    Kind.BOOLEAN: True,
    Kind.INTEGER: [1, 2],
    Kind.ADDRESS: ["10.20.0.0/16", "2001:db8::/32", "192.0.2.1"],
}


def parameter_of(key: str) -> Parameter | None:
    """The parameter that a key is about."""
    name = without_raw(key)
    return PATH_ALIAS if name == PATH_ALIAS.name else PARAMETERS.get(name)


def sample(key: str) -> object:
    """A good value of a key."""
    parameter = parameter_of(key)
    if parameter is None:
        return _OWN[key]
    return list(parameter.choices or ("Oslo",)) if parameter.kind is Kind.CHOICE else _OF_KIND[parameter.kind]


def samples(key: str) -> Iterator[object]:
    """Good values of a key: of an enumerated parameter each word, and all in a list."""
    yield sample(key)
    parameter = parameter_of(key)
    if parameter is not None and parameter.kind is Kind.CHOICE:
        yield from parameter.choices or ("Oslo",)
