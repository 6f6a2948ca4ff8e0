"""What the judge is given and what it says."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal[
    "service",
    "redirect",
    "reject",
    "continue",
    "properties",
    "location",
    "credentials",
    "directory",
    "picture",
    "failure",
]


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason why a node does not use an answer, or one thing to know about an answer that it uses.

    ``rule`` is an id like "PIN-3" (pexip/README.md: What voids an answer), or "FIELD" for a rule of the
    field tables that has no id. ``field`` is the dotted path ("result.automatic_participants[0].role"), empty
    for the whole answer. ``reason`` is a sentence; it never contains a PIN, a password or tones.
    """

    rule: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a Conferencing Node does with an answer.

    ``outcome`` is "continue" when the node decides as if there were no policy, "failure" when it discards the
    answer. ``objections`` say why it was not used; ``warnings`` belong to an answer that is used all the same.
    ``declined`` marks a readable envelope whose status says on purpose that it is not a success.
    """

    outcome: Outcome
    objections: tuple[Objection, ...] = ()
    warnings: tuple[Objection, ...] = ()
    declined: bool = False

    @property
    def used(self) -> bool:
        """Whether Pexip acts on the answer; "reject", "continue" and 404 are acted on, too."""
        return not self.objections

    @property
    def well_formed(self) -> bool:
        """Whether the answer holds no mistake: it is used, or it declines readably.

        False for an answer that meant to be a success and is discarded.
        """
        return self.used or self.declined


@dataclass(frozen=True, slots=True)
class Deployment:
    """Names that exist in the Pexip deployment, one set per kind of object; None means unknown, not checked."""

    locations: frozenset[str] | None = None
    themes: frozenset[str] | None = None
    pinning_configs: frozenset[str] | None = None
    identity_provider_groups: frozenset[str] | None = None
    media_playlists: frozenset[str] | None = None
    sip_proxies: frozenset[str] | None = None
    h323_gatekeepers: frozenset[str] | None = None
    mssip_proxies: frozenset[str] | None = None
    teams_proxies: frozenset[str] | None = None
    gms_access_tokens: frozenset[str] | None = None
    stun_servers: frozenset[str] | None = None
    turn_servers: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer as the node receives it; ``seconds`` is how long the node waited for it."""

    status: int
    content_type: str
    body: bytes
    seconds: float = 0.0
