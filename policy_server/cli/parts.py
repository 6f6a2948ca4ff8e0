"""Who calls in a played call, and what is played of it: a customer with a link, or a room system that dials an alias."""

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from policy_server.policy.link_attributes import CUSTOMERS_NAME
from policy_server.policy.links import CustomerLink, make_link
from policy_server.policy.names import NONCE_BYTES, Keyring
from policy_server.policy.ruleset import LinkType
from policy_server.simulator.call import play_call
from policy_server.simulator.doors import play_closed_door, play_revoked_link
from policy_server.simulator.node import web_question
from policy_server.simulator.room_system import Dialled, play_room_system
from policy_server.simulator.steps import Cast, LeftOut, Script, Step

_HOUR: Final = timedelta(hours=1)
_NO_ATTRIBUTES: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer, and what the organisation's system gives their links."""

    link_type: LinkType
    attributes: Mapping[str, str]
    name: str

    who: ClassVar[str] = "customer"
    alias: ClassVar[str] = "the alias of this link type"
    after_hours: ClassVar[str] = "A customer with a good link outside opening hours"

    @property
    def link_attributes(self) -> Mapping[str, str]:
        """What rules see of a link."""
        return {**self.attributes, CUSTOMERS_NAME: self.name}

    def question(self, keyring: Keyring, expires_at: datetime) -> Mapping[str, str]:
        """What a node asks when the customer opens a link of their own that ends then."""
        return web_question(self._link(keyring, expires_at).alias, self.name)

    def play(self, cast: Cast, keyring: Keyring, at: datetime) -> AsyncIterator[Step | LeftOut]:
        """The call of a customer with a good link."""
        return play_call(cast, self._script(keyring, at))

    async def play_bad_links(self, cast: Cast, keyring: Keyring, at: datetime) -> AsyncIterator[Step]:
        """Customers with an expired link and with a revoked one."""
        expired = self.question(keyring, at - timedelta(minutes=2))
        async for step in play_closed_door(cast.node, expired, "A customer with an expired link"):
            yield step
        async for step in play_revoked_link(cast, self._script(keyring, at)):
            yield step

    def _script(self, keyring: Keyring, at: datetime) -> Script:
        return Script(self.link_type, keyring, self._link(keyring, at + _HOUR), self.attributes, self.name)

    def _link(self, keyring: Keyring, expires_at: datetime) -> CustomerLink:
        return make_link(self.link_type, keyring, expires_at, secrets.token_bytes(NONCE_BYTES))


@dataclass(frozen=True, slots=True)
class RoomSystem:
    """A room system or a kiosk, which has no link."""

    dialled: Dialled

    who: ClassVar[str] = "room system"
    alias: ClassVar[str] = "that alias for such a caller"
    after_hours: ClassVar[str] = "A room system outside opening hours"
    link_attributes: ClassVar[Mapping[str, str]] = _NO_ATTRIBUTES

    def question(self, _keyring: Keyring, _expires_at: datetime) -> Mapping[str, str]:
        """What a node asks when it dials."""
        return self.dialled.question

    def play(self, cast: Cast, _keyring: Keyring, _at: datetime) -> AsyncIterator[Step | LeftOut]:
        """The call of a room system."""
        return play_room_system(cast, self.dialled)
