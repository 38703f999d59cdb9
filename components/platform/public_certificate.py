"""The certificate that the public sees."""

import pulumi
import pulumi_tls as tls

from settings import Settings

_HOURS = 90 * 24
_RENEWAL_HOURS = 30 * 24


def public_certificate(
    name: str, settings: Settings, opts: pulumi.ResourceOptions
) -> tuple[pulumi.Input[str], pulumi.Input[str]]:
    """(certificate, key) in PEM: the owner's, or one that we sign ourselves until there is one.

    Browsers warn of the latter; a hint in the plan says how to bring a real one.
    """
    if settings.edge_certificate is not None and settings.edge_certificate_key is not None:
        return settings.edge_certificate, pulumi.Output.secret(settings.edge_certificate_key.reveal())
    pulumi.log.warn(
        f"The public edge of {settings.domain} has a self-signed certificate. To bring your own: "
        "pulumi config set agentic-mesh:edgeCertificate < fullchain.pem and "
        "pulumi config set --secret agentic-mesh:edgeCertificateKey < key.pem"
    )
    key = tls.PrivateKey(f"{name}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=opts)
    certificate = tls.SelfSignedCert(
        f"{name}-certificate",
        private_key_pem=key.private_key_pem,
        subject=tls.SelfSignedCertSubjectArgs(common_name=settings.domain),
        dns_names=[settings.domain],
        validity_period_hours=_HOURS,
        early_renewal_hours=_RENEWAL_HOURS,
        allowed_uses=["digital_signature", "server_auth"],
        opts=opts,
    )
    return certificate.cert_pem, key.private_key_pem
