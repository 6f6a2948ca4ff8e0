"""Assertions with which an OAuth2 client says who it is: JWTs, signed with ES256 (management/README.md: OAuth2).

The libraries take a while to import, so this module is imported where there is a key.
"""

from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

LIFETIME: Final = 300
"""Seconds for which an assertion is good: long enough for clocks that differ a little."""

_REMEDY: Final = "write the OAuth2 client's private key as Pexip shows it, from -----BEGIN to the end"


def key_fault(key: str) -> str | None:
    """What is wrong with a private key, None if it can sign; without a word of it."""
    try:
        found = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return "must be a key without a passphrase"
    except Exception:
        # The library raises whatever it meets in what is no key.
        return f"must be a private key in PEM; {_REMEDY}"
    if not isinstance(found, EllipticCurvePrivateKey) or not isinstance(found.curve, SECP256R1):
        return "must be a key for ES256, which is of the curve P-256"
    return None


def sign_assertion(client_id: str, key: str, audience: str, now: float, identifier: str) -> str:
    """An assertion for the token endpoint ``audience``. ``now`` is epoch seconds, ``identifier`` used once."""
    issued_at = int(now)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + LIFETIME,
        "jti": identifier,
    }
    return jwt.encode(claims, key, algorithm="ES256")
