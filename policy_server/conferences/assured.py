"""What is to be known of a room's legs so that they can be watched, from the decision that serves the room."""

from policy_server.conferences.holding import LEGS
from policy_server.policy.assurance import Assured, Entry
from policy_server.policy.decisions import Serve


def assured(decision: Serve) -> Assured | None:
    """What is to be known of the legs of a decision; ``None`` if it dials no trunk."""
    template, dialled = decision.template, decision.service.get(LEGS)
    if template is None or template.assurance is None or not isinstance(dialled, list):
        return None
    trunks: dict[str, str] = {}
    companions: list[str] = []
    legs = template.dialled(decision.call or str(decision.service.get("name", "")))
    for leg, fields in zip((*legs, *template.fallbacks), (*dialled, *decision.fallbacks), strict=False):
        alias = str(fields.get("remote_alias", ""))
        name = leg.trunk_name(alias)
        if name or leg in template.fallbacks:
            trunks[alias] = name
        else:
            companions.append(alias)
    if not trunks:
        return None
    entries = tuple(
        Entry(leg.trunk_name(str(fields.get("remote_alias", ""))), leg.open)
        for leg, fields in zip(template.fallbacks, decision.fallbacks, strict=True)
    )
    return Assured(template.assurance, trunks, tuple(companions), entries)
