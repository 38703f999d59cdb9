"""Refuses a certificate authority that no certificate should be made from any more, before any container changes."""

import datetime
from typing import Final

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from topology.model import TRUST_DOMAIN

SUBJECT: Final = f"{TRUST_DOMAIN} mesh authority"
"""How the name of each generation begins."""


class AuthorityError(pulumi.RunError):
    """The authority in the state is expired, or not the mesh's own; says how to get a new one."""


def check_authority(certificate_pem: str, private_key_pem: str, trusted_pem: str, now: datetime.datetime) -> None:
    """Look at the certificate that signs, its key, and all certificates that are trusted (PEM, concatenated).

    Raises:
        AuthorityError: one is unreadable, expired, not yet valid, of another authority, or the key is another one's.

    """
    signing, trusted = _certificates(certificate_pem), _certificates(trusted_pem)
    if len(signing) != 1:
        raise _error(f"its certificate holds {len(signing)} certificates, not one")
    for certificate in (*signing, *trusted):
        _check(certificate, now)
    if signing[0] not in trusted:
        raise _error(f"{_named(signing[0])} signs, and is not among those that are trusted")
    try:
        key = load_pem_private_key(private_key_pem.encode(), None)
    except ValueError:
        raise _error("its private key is no PEM") from None
    if _public(key.public_key()) != _public(signing[0].public_key()):
        raise _error(f"its private key is not that of {_named(signing[0])}")


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise _error("a certificate is no PEM") from None


def _check(certificate: x509.Certificate, now: datetime.datetime) -> None:
    if not _common_name(certificate).startswith(SUBJECT):
        raise _error(f"{_named(certificate)} is of another authority: the names of ours begin with {SUBJECT!r}")
    try:
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    if not authority:
        raise _error(f"{_named(certificate)} is no authority's certificate")
    if certificate.not_valid_after_utc <= now:
        raise _error(f"{_named(certificate)} has expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now + datetime.timedelta(minutes=5):
        raise _error(
            f"{_named(certificate)} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on; "
            "is this machine's clock right?"
        )


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _named(certificate: x509.Certificate) -> str:
    return f"{_common_name(certificate) or certificate.subject.rfc4514_string()!r}"


def _error(what: str) -> AuthorityError:
    return AuthorityError(
        f"the mesh's certificate authority in the state cannot be used: {what}.\n"
        "Nothing was changed on this node. Let a new generation take over, on the stack that owns the foundation first "
        "(docs/runbooks/rotate-secrets.md): pulumi config set agentic-mesh:authorities 2"
    )
