"""Who may use the Management API: an administrator by HTTP Basic, an OAuth2 client by a token.

(management/README.md: Basics, OAuth2)
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from secrets import token_urlsafe
from typing import Final

import jwt

GRANT: Final = "client_credentials"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPES: Final = frozenset({"is_admin", "use_api"})


@dataclass(frozen=True, slots=True)
class Administrator:
    """An account."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth2 client with its public key in PEM."""

    client_id: str
    public_key: str


class Doors:
    """Knows one administrator, and perhaps one client, whose tokens last ``token_seconds``."""

    def __init__(
        self,
        administrator: Administrator,
        client: Client | None,
        token_seconds: int,
        clock: Callable[[], float],
    ) -> None:
        pair = f"{administrator.username}:{administrator.password}"
        self._basic: Final = b"Basic " + b64encode(pair.encode())
        self._client: Final = client
        self._token_seconds: Final = token_seconds
        self._clock: Final = clock
        self._tokens: Final[dict[str, float]] = {}
        self._used: Final[set[str]] = set()

    def lets_in(self, authorization: str) -> bool:
        """Whether a request with that header may come in."""
        kind, _, token = authorization.partition(" ")
        if kind == "Bearer":
            return self._clock() < self._tokens.get(token, float("-inf"))
        return compare_digest(authorization.encode(), self._basic)

    def revoke_tokens(self) -> None:
        """All tokens are good no more."""
        self._tokens.clear()

    def grant(self, form: Mapping[str, str], audience: str) -> dict[str, object] | str:
        """The answer of the token endpoint ``audience``, or why there is no token."""
        if form.get("grant_type") != GRANT or form.get("client_assertion_type") != ASSERTION_TYPE:
            return "unsupported_grant_type"
        if not set(form.get("scope", "").split()) >= SCOPES:
            return "invalid_scope"
        if self._client is None or not self._is_signed(form.get("client_assertion", ""), self._client, audience):
            return "invalid_client"
        token = token_urlsafe(32)
        self._tokens[token] = self._clock() + self._token_seconds
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self._token_seconds,
            "scope": " ".join(sorted(SCOPES)),
        }

    def _is_signed(self, assertion: str, client: Client, audience: str) -> bool:
        try:
            claims = jwt.decode(
                assertion,
                client.public_key,
                algorithms=["ES256"],
                audience=audience,
                issuer=client.client_id,
                options={"require": ["iss", "sub", "aud", "iat", "exp", "jti"]},
            )
        except jwt.InvalidTokenError:
            return False
        if claims["sub"] != client.client_id or claims["jti"] in self._used:
            return False
        self._used.add(claims["jti"])
        return True
