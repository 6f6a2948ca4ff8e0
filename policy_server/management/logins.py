"""How each request says who sends it: HTTP Basic, or an OAuth2 token that is kept while it is good."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Final, Protocol, assert_never
from urllib.parse import urlencode
from uuid import uuid4

from policy_server.management.access import Access, Account, OAuthClient
from policy_server.management.replies import parse_token
from policy_server.management.results import Unanswered
from policy_server.outbound.exchange import Reply

TOKEN_PATH: Final = "/oauth/token/"

TOKEN_SECONDS: Final = 300.0
"""How long a token is believed that came without its time."""

LONGEST_MARGIN: Final = 60.0
"""Seconds before the end of a token from which it is not used any more: a tenth of its time, and at most this."""

_SCOPE: Final = "is_admin use_api"
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}

Send = Callable[[str, dict[str, str], bytes], Awaitable[Reply | Unanswered]]
"""Posts a body to a path: path, headers, body."""


class Login(Protocol):
    """What the header ``Authorization`` says."""

    async def header(self, now: float) -> str | Unanswered:
        """Its value."""

    def refused(self, header: str) -> bool:
        """The node said 401 to that; whether there can be another value."""


class BasicLogin:
    """An administrator's account, with HTTP Basic."""

    def __init__(self, account: Account) -> None:
        pair = f"{account.username}:{account.password}"
        self._header: Final = "Basic " + b64encode(pair.encode("utf-8", "surrogateescape")).decode()

    async def header(self, now: float) -> str | Unanswered:
        """The same always."""
        return self._header

    def refused(self, header: str) -> bool:
        """There is no other."""
        return False


class TokenLogin:
    """An OAuth2 client, with the token that its assertion gets (management/README.md: OAuth2).

    ``send`` posts to the token endpoint, of which the URL begins with ``url``. ``epoch`` is the time that the node knows.
    """

    def __init__(self, client: OAuthClient, url: str, send: Send, epoch: Callable[[], float]) -> None:
        self._client: Final = client
        self._audience: Final = url + TOKEN_PATH
        self._send: Final = send
        self._epoch: Final = epoch
        self._sign: Final = import_module("policy_server.management.assertions").sign_assertion
        self._turn: Final = asyncio.Lock()
        self._header = ""
        self._until = float("-inf")

    async def header(self, now: float) -> str | Unanswered:
        """The token; a new one where there is none that is good, which one request fetches for all who wait."""
        async with self._turn:
            if self._header and now < self._until:
                return self._header
            return await self._fetch(now)

    def refused(self, header: str) -> bool:
        """The token is not good any more; whoever comes next gets a new one."""
        if header == self._header:
            self._header = ""
        return True

    async def _fetch(self, now: float) -> str | Unanswered:
        assertion = self._sign(self._client.client_id, self._client.key, self._audience, self._epoch(), uuid4().hex)
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion,
            "scope": _SCOPE,
        }
        reply = await self._send(TOKEN_PATH, _FORM, urlencode(form).encode())
        if isinstance(reply, Unanswered):
            return reply
        if reply.status in {400, 401, 403}:
            detail = f"the token endpoint refuses the client id or its key (status {reply.status})"
            return Unanswered("credentials", detail)
        if reply.status != 200:
            return Unanswered("status", f"the token endpoint answers with status {reply.status}")
        token = parse_token(reply.body)
        if token is None:
            return Unanswered("malformed", "the token endpoint answers with something that is no token")
        lasts = TOKEN_SECONDS if token.seconds is None else token.seconds
        self._header = f"Bearer {token.value}"
        self._until = now + lasts - min(lasts / 10, LONGEST_MARGIN)
        return self._header


def login_of(access: Access, send: Send, epoch: Callable[[], float]) -> Login:
    """The login of an access."""
    match access.login:
        case Account():
            return BasicLogin(access.login)
        case OAuthClient():
            return TokenLogin(access.login, access.url, send, epoch)
        case _:
            assert_never(access.login)
