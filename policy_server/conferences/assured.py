"""What is to be known of a room's legs so that they can be watched, from the decision that serves the room."""

from collections.abc import Iterable

from policy_server.policy.assurance import Assured, Entry
from policy_server.policy.decisions import Serve
from policy_server.policy.services import LEGS, Leg


def assured(decision: Serve) -> Assured | None:
    """What is to be known of the legs of a decision; ``None`` if it dials no trunk."""
    template, dialled = decision.template, decision.service.get(LEGS)
    if template is None or template.assurance is None or not isinstance(dialled, list):
        return None
    trunks: dict[str, str] = {}
    companions: list[str] = []
    legs = template.dialled(decision.call or str(decision.service.get("name", "")))
    is_whole = len(legs) == len(dialled) and len(template.fallbacks) == len(decision.fallbacks)
    for number, fields in enumerate(dialled):
        alias = str(fields.get("remote_alias", ""))
        name = _trunk_name((*template.legs, *template.fallbacks), alias)
        if not name and is_whole:
            # The rules have another number of the trunk by now.
            name = trunk.name if (trunk := legs[number].trunk) is not None else ""
        if name:
            trunks[alias] = name
        else:
            companions.append(alias)
    if companions and not trunks and any(leg.is_to_trunk for leg in template.legs):
        # The entry that came in place of trunks over their limits (policy.trunk_limits) is the last.
        trunks[companions.pop()] = ""
    # The room may be held from before these rules, or without entries that trunks over their limits had dialled.
    waiting = template.fallbacks[len(template.fallbacks) - len(decision.fallbacks) :]
    entries = tuple(
        Entry(_trunk_name((leg, *template.fallbacks), str(fields.get("remote_alias", ""))), leg.open)
        for leg, fields in zip(waiting, decision.fallbacks, strict=False)
    )
    trunks |= {
        str(fields.get("remote_alias", "")): entry.trunk
        for entry, fields in zip(entries, decision.fallbacks, strict=False)
    }
    if not trunks:
        return None
    return Assured(template.assurance, trunks, tuple(companions), entries)


def _trunk_name(legs: Iterable[Leg], alias: str) -> str:
    """The name of the trunk of which an alias is dialled; ``""`` for none."""
    return next((trunk.name for leg in legs if (trunk := leg.trunk_of(alias)) is not None), "")
