"""Which Genesys Cloud organisation is ours, and where its API is: the operator's choice, never a caller's."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from policy_server.outbound.origins import is_loopback, origin, split_origin
from policy_server.wording.values import shown_address

REGIONS: Final = (
    "mypurecloud.com",
    "use2.us-gov-pure.cloud",
    "usw2.pure.cloud",
    "cac1.pure.cloud",
    "sae1.pure.cloud",
    "mxc1.pure.cloud",
    "mypurecloud.ie",
    "euw2.pure.cloud",
    "mypurecloud.de",
    "euc2.pure.cloud",
    "edee1.eusc-pure.cloud",
    "mec1.pure.cloud",
    "aps1.pure.cloud",
    "apse1.pure.cloud",
    "mypurecloud.com.au",
    "mypurecloud.jp",
    "apne2.pure.cloud",
    "apne3.pure.cloud",
)
"""Domains of the regions. New ones appear, so that another one is a warning, not a fault.

(genesys/README.md: Regions)
"""

UUID_TEXT: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""How Genesys writes an id, in lower case."""

_EXAMPLE: Final = "https://api.usw2.pure.cloud"
_UUID: Final = re.compile(UUID_TEXT)
_MAX_SHOWN: Final = 80

Field: TypeAlias = Literal["api", "organization", "divisions"]


@dataclass(frozen=True, slots=True)
class TenantFault:
    """What is wrong with one of the settings, in words for its author that do not name the setting."""

    field: Field
    message: str


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation of Genesys Cloud, and the divisions whose agents are let in (none listed: all).

    ``api`` is scheme and host. Raises ValueError for what ``parse_tenant`` would report or would write differently.
    """

    api: str
    organization_id: str
    division_ids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        parts = _split(self.api)
        if isinstance(parts, str) or origin(parts) != self.api:
            raise ValueError("api must be scheme and host as parse_tenant writes them")
        if not all(_UUID.fullmatch(text) for text in (self.organization_id, *self.division_ids)):
            raise ValueError("organization_id and division_ids must be ids in lower case")


def parse_tenant(
    api: str, organization: str, divisions: Iterable[str] = ()
) -> tuple[Tenant | None, tuple[TenantFault, ...]]:
    """Build a tenant from the operator's settings, or report everything that is wrong with them."""
    parts = _split(api.strip())
    faults = [TenantFault("api", parts)] if isinstance(parts, str) else []
    organization_id = organization.strip().lower()
    division_ids = frozenset(filter(None, (division.strip().lower() for division in divisions)))
    faults += _check_ids(organization_id, division_ids)
    if faults or isinstance(parts, str):
        return None, tuple(faults)
    return Tenant(origin(parts), organization_id, division_ids), ()


def check_region(tenant: Tenant) -> str | None:
    """What is unusual about the host of the API: a warning for the operator, or None.

    Tokens of agents are sent to that host, so a slip of the pen matters.
    """
    host = urlsplit(tenant.api).hostname or ""
    if is_loopback(host) or host in (known := [f"api.{domain}" for domain in REGIONS]):
        return None
    near = get_close_matches(host, known, n=1, cutoff=0.8)
    hint = f" (did you mean https://{near[0]}?)" if near else ""
    return f"{host!r} is not the API of a Genesys Cloud region known to this version{hint}"


def _split(api: str) -> SplitResult | str:
    """The parts of a good address, or what is wrong with it."""
    if not api:
        return f"is missing; write the API address of your Genesys Cloud region, such as {_EXAMPLE}"
    parts = split_origin(api, _EXAMPLE, "agents' tokens are sent there")
    if isinstance(parts, str):
        return parts
    host = parts.hostname or ""
    domain = host.partition(".")[2]
    wrong_host = host if host in REGIONS else domain if domain in REGIONS and not host.startswith("api.") else ""
    if wrong_host:
        return f"must be the API of the region, https://api.{wrong_host}, but is {shown_address(api)}"
    return parts


def _check_ids(organization_id: str, division_ids: frozenset[str]) -> Iterator[TenantFault]:
    where = "copy it from Genesys Cloud: Admin > Account Settings > Organization Settings > Advanced"
    if not organization_id:
        yield TenantFault(
            "organization",
            f"is missing; agents of any organisation of the region would be let in without it; {where}",
        )
    elif not _UUID.fullmatch(organization_id):
        yield TenantFault("organization", f"must be the id of your organisation, {_shape(organization_id)}; {where}")
    for division_id in sorted(division_ids):
        if not _UUID.fullmatch(division_id):
            yield TenantFault("divisions", f"must be ids of divisions, separated by commas, {_shape(division_id)}")


def _shape(text: str) -> str:
    shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
    return f"like '1b2c3d4e-5f60-4a71-8b92-a3b4c5d6e7f8', but has {shown!r}"
