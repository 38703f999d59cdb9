"""Certificates as the mesh's authority would sign them, or as an attacker's own does."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.lab.mesh import Mesh
from topology.model import TRUST_DOMAIN


class Mint:
    """Signs as the mesh's authority does, or as one of the attacker's own."""

    def __init__(self, mesh: Mesh | None = None) -> None:
        if mesh is None:
            self._key: Any = ec.generate_private_key(ec.SECP256R1())
            self._issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{TRUST_DOMAIN} mesh authority")])
            return
        shared = mesh.secret("thanos", "shared")
        self._key = serialization.load_pem_private_key(shared["authorityKey"].encode(), password=None)
        self._issuer = x509.load_pem_x509_certificate(shared["authorityCertificate"].encode()).subject

    def issue(self, identity: str | None, *, starts_hours: float = -1, ends_hours: float = 1) -> str:
        """Certificate and key in PEM, with one SPIFFE ID or without any."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab attempt")]))
            .issuer_name(self._issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(hours=starts_hours))
            .not_valid_after(now + timedelta(hours=ends_hours))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        if identity is not None:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (signed + private).decode()

    def issued_by_a_leaf(self, identity: str) -> str:
        """Signed with a service's own key, as one who stole it might; its certificate goes along."""
        stolen = self.issue("spiffe://agentic-mesh/oracle1/grafana")
        own = Mint()
        own._key = serialization.load_pem_private_key(stolen.encode(), password=None)
        own._issuer = x509.load_pem_x509_certificate(stolen.encode()).subject
        return own.issue(identity) + stolen[: stolen.index("-----BEGIN PRIVATE")]

    def issue_all(self, identities: Iterable[str]) -> dict[str, str]:
        """One for each, by their names."""
        return {identity: self.issue(identity) for identity in identities}
