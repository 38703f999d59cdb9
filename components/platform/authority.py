"""The mesh's certificate authority and the certificates that it signs."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls

from components.platform.authority_check import SUBJECT, check_authority
from topology.model import Instance

CERTIFICATE_HOURS = 30 * 24
RENEWAL_HOURS = 15 * 24
"""A plain `pulumi up` within these last hours renews a certificate."""
AUTHORITY_HOURS = 10 * 365 * 24


@dataclass(frozen=True, kw_only=True)
class Authority:
    """What signs: on the foundation's stack it is made, on others read from there."""

    certificate_pem: pulumi.Output[str]
    private_key_pem: pulumi.Output[str]
    """Secret."""
    trusted_pem: pulumi.Output[str]
    """Every certificate that is trusted: the one that signs, and while it replaces another or is replaced, that too."""

    @property
    def checked(self) -> pulumi.Output[None]:
        """Resolves once `check_authority` has passed; what waits for it is not touched before."""
        parts = pulumi.Output.all(self.certificate_pem, self.private_key_pem, self.trusted_pem)
        return parts.apply(lambda p: check_authority(p[0], p[1], p[2], datetime.datetime.now(datetime.UTC)))


@dataclass(frozen=True, kw_only=True)
class CertificateAuthorityArgs:
    """The generations of the authority that there are."""

    generations: Sequence[int]
    """All are trusted, the first one signs."""


class CertificateAuthority(pulumi.ComponentResource):
    """Creates the private key and the self-signed certificate of each generation of the authority.

    Losing a key loses no data: a new generation takes over (docs/runbooks/rotate-secrets.md).
    """

    def __init__(self, name: str, args: CertificateAuthorityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the authority."""
        super().__init__("agentic-mesh:mesh:CertificateAuthority", name, None, opts)
        made = [_generation(f"{name}-{number}", number, self) for number in args.generations]
        key, certificate = made[0]
        self.authority = Authority(
            certificate_pem=certificate.cert_pem,
            private_key_pem=key.private_key_pem,
            trusted_pem=pulumi.Output.all(*(certificate.cert_pem for _, certificate in made)).apply(_bundle),
        )
        self.register_outputs({"certificatePem": certificate.cert_pem})


def _bundle(certificates: Sequence[str]) -> str:
    return "".join(f"{pem.strip()}\n" for pem in certificates)


def _generation(name: str, number: int, parent: pulumi.Resource) -> tuple[tls.PrivateKey, tls.SelfSignedCert]:
    child = pulumi.ResourceOptions(parent=parent)
    key = tls.PrivateKey(f"{name}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=child)
    certificate = tls.SelfSignedCert(
        f"{name}-certificate",
        private_key_pem=key.private_key_pem,
        # Told apart by name as well: where two are trusted, a chain is looked for by it.
        subject=tls.SelfSignedCertSubjectArgs(common_name=f"{SUBJECT} {number}"),
        is_ca_certificate=True,
        set_subject_key_id=True,
        validity_period_hours=AUTHORITY_HOURS,
        allowed_uses=["cert_signing", "crl_signing"],
        opts=child,
    )
    return key, certificate


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What proves an instance's identity."""

    private_key_pem: pulumi.Output[str]
    """Secret."""
    certificate_pem: pulumi.Output[str]
    expires: pulumi.Output[str]
    """RFC 3339."""


def issue_certificate(name: str, authority: Authority, instance: Instance, opts: pulumi.ResourceOptions) -> Certificate:
    """Create a private key, a request for the instance's SPIFFE identity and the signed certificate.

    It holds for 30 days; from day 15 on the next `pulumi up` renews it.
    """
    key = tls.PrivateKey(f"{name}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=opts)
    request = tls.CertRequest(
        f"{name}-request",
        private_key_pem=key.private_key_pem,
        subject=tls.CertRequestSubjectArgs(common_name=instance.host),
        uris=[instance.identity],
        opts=opts,
    )
    certificate = tls.LocallySignedCert(
        f"{name}-certificate",
        cert_request_pem=request.cert_request_pem,
        ca_cert_pem=authority.certificate_pem,
        ca_private_key_pem=authority.private_key_pem,
        validity_period_hours=CERTIFICATE_HOURS,
        early_renewal_hours=RENEWAL_HOURS,
        allowed_uses=["digital_signature", "client_auth", "server_auth"],
        opts=opts,
    )
    return Certificate(
        private_key_pem=key.private_key_pem,
        certificate_pem=certificate.cert_pem,
        expires=certificate.validity_end_time,
    )
