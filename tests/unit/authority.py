"""Certificate authorities as pulumi-tls makes them, for programs that run against mocks."""

import datetime
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY: Final = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Made:
    """A certificate and its key, PEM."""

    certificate: str
    key: str

    @property
    def secret(self) -> str:
        """Found wherever the key is."""
        return self.key.splitlines()[1]


def authority(
    name: str = "agentic-mesh mesh authority 1",
    *,
    begins: datetime.timedelta = -DAY,
    ends: datetime.timedelta = 3650 * DAY,
    signs: bool = True,
) -> Made:
    """An authority that is valid between these, from now on."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return Made(certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode())


AUTHORITY: Final = authority()
"""The one of the mocked programs."""
