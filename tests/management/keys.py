"""Keys of OAuth2 clients, and certificates of nodes, made anew for each run."""

from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurve, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

_LOOPBACK: Final = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])


def private_key(curve: EllipticCurve | None = None, passphrase: bytes | None = None) -> str:
    """A private key in PEM."""
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    made = generate_private_key(curve or SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def public_key(key: str) -> str:
    """The public half of a private key, in PEM."""
    found = load_pem_private_key(key.encode(), None).public_key()
    return found.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@cache
def certificate() -> tuple[str, str]:
    """A certificate of 127.0.0.1 that signs itself, and its key, in PEM."""
    key = generate_private_key(SECP256R1())
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "manager.example.com")]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "manager.example.com")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(_LOOPBACK, critical=False)
        .sign(key, SHA256())
    )
    return (
        made.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )
