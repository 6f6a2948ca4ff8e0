"""HTTP Basic, compared in constant time."""

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable
from hmac import compare_digest
from typing import Final

from starlette.types import Scope

from policy_server.web.problem import ProblemResponse
from policy_server.web.refusals import Refusals

CHALLENGE: Final = (b"www-authenticate", b'Basic realm="policy-server", charset="UTF-8"')

Headers = Iterable[tuple[bytes, bytes]]


class BasicAuthentication:
    """Knows one user name and password."""

    __slots__ = ("_expected", "_plain")

    def __init__(self, username: str, password: str) -> None:
        self._plain: Final = f"{username}:{password}".encode()
        self._expected: Final = b"Basic " + b64encode(self._plain)

    @staticmethod
    async def refuse(refusals: Refusals, scope: Scope) -> ProblemResponse:
        """The answer to a request whose credentials were not accepted, when it is time to give it."""
        given = any(name == b"authorization" for name, _ in scope["headers"])
        reason = "wrong user name or password" if given else "no user name and password"
        return await refusals.refuse(scope, reason, is_guess=given) or credentials_refused()

    def accepts(self, headers: Headers) -> bool:
        """Whether the request carries the credentials."""
        for name, value in headers:
            if name == b"authorization":
                # The exact header that Pexip sends first; any other way to write it costs a decoding.
                return compare_digest(value, self._expected) or self._accepts_otherwise(value)
        return False

    def _accepts_otherwise(self, header: bytes) -> bool:
        scheme, _, encoded = header.partition(b" ")
        try:
            given = b64decode(encoded.strip(), validate=True)
        except (Error, ValueError):
            given = b""
        return compare_digest(given, self._plain) and scheme.lower() == b"basic"


def credentials_refused() -> ProblemResponse:
    """The answer to wrong or no credentials, for all but nodes."""
    name, value = CHALLENGE
    headers = {name.decode(): value.decode()}
    return ProblemResponse(401, "unauthorized", "Wrong or no credentials", headers=headers)
