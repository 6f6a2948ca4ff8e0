"""Where a playlist leads when it has been played (pexip/README.md: Playback)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MOST_TRANSFERS: Final = 10
"""How often a caller is led on before that is taken for a circle: nobody listens to more playlists."""


@dataclass(slots=True)
class Course:
    """The questions of a caller whom playlists lead on, each with the alias of the transfer and the service before it.

    ``question`` is the one to ask; ``in_circles``: the last playlist leads to a question that was asked before.
    """

    question: Mapping[str, str]
    in_circles: bool = False
    _asked: list[Mapping[str, str]] = field(default_factory=list, repr=False)

    def goes_on(self, service: Mapping[str, object]) -> bool:
        """Whether the service that answers ``question`` leads on, and then to which ``question``."""
        alias = alias_after(service)
        if not alias:
            return False
        self._asked.append(self.question)
        following = {**self.question, "local_alias": alias, "previous_service_name": str(service.get("name", ""))}
        self.in_circles = following in self._asked or len(self._asked) > MOST_TRANSFERS
        if not self.in_circles:
            self.question = following
        return not self.in_circles


def alias_after(service: Mapping[str, object]) -> str:
    """The alias to which a playlist leads when it ends; ``""`` for any other service, and one that hangs up."""
    on_completion = service.get("on_completion")
    transfer = on_completion.get("transfer") if isinstance(on_completion, Mapping) else None
    alias = transfer.get("conference") if isinstance(transfer, Mapping) else None
    return alias if isinstance(alias, str) else ""
