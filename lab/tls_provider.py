"""Keys and certificates, real ones, made as pulumi-tls makes them."""
# ruff: noqa: ARG002 - the signatures are those of `Resource`

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, ClassVar, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.provider import LabProvider, Resource, ResourceError, Values

_CURVES: Final[dict[str, Callable[[], ec.EllipticCurve]]] = {
    "P224": ec.SECP224R1,
    "P256": ec.SECP256R1,
    "P384": ec.SECP384R1,
    "P521": ec.SECP521R1,
}
_SUBJECT: Final = {
    "commonName": NameOID.COMMON_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "country": NameOID.COUNTRY_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
}
_KEY_USES: Final = {
    "digital_signature": "digital_signature",
    "content_commitment": "content_commitment",
    "key_encipherment": "key_encipherment",
    "data_encipherment": "data_encipherment",
    "key_agreement": "key_agreement",
    "cert_signing": "key_cert_sign",
    "crl_signing": "crl_sign",
}
_EXTENDED_USES: Final = {
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ocsp_signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
}


class PrivateKey(Resource):
    """`tls.PrivateKey`."""

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make a key of the algorithm asked for."""
        key = _new_key(inputs)
        private = serialization.PrivateFormat
        public = key.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        traditional = private.PKCS8 if isinstance(key, ed25519.Ed25519PrivateKey) else private.TraditionalOpenSSL
        return hashlib.sha1(der, usedforsecurity=False).hexdigest(), {
            "privateKeyPem": _private(key, traditional),
            "privateKeyPemPkcs8": _private(key, private.PKCS8),
            "publicKeyPem": public.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ).decode(),
            "publicKeyFingerprintSha256": f"SHA256:{hashlib.sha256(der).hexdigest()}",
        }


class CertRequest(Resource):
    """`tls.CertRequest`."""

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make and sign the request."""
        key = _load(inputs["privateKeyPem"])
        builder = x509.CertificateSigningRequestBuilder().subject_name(_name(inputs))
        if names := _alternative_names(inputs):
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        request = builder.sign(key, _digest(key))
        pem = request.public_bytes(serialization.Encoding.PEM).decode()
        return hashlib.sha1(pem.encode(), usedforsecurity=False).hexdigest(), {
            "certRequestPem": pem,
            "keyAlgorithm": _algorithm(key),
        }


class _Certificate(Resource):
    """What both kinds of certificate share: their age."""

    in_place: ClassVar[frozenset[str]] = frozenset({"earlyRenewalHours"})

    def more_changes(self, inputs: Values, outputs: Values) -> Iterable[str]:
        """In its last hours, and when it has ended, a plain `up` replaces it."""
        if _is_old(inputs, outputs):
            yield "readyForRenewal"

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """A certificate is nowhere but in the state; its age is what a refresh finds."""
        return inputs, {**outputs, "readyForRenewal": _is_old(inputs, outputs)}

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Only when it is renewed changes, not what it says."""
        return {"readyForRenewal": _is_old(news, olds)}


class SelfSignedCert(_Certificate):
    """`tls.SelfSignedCert`."""

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Sign with the key that it certifies."""
        key = _load(inputs["privateKeyPem"])
        name = _name(inputs)
        builder, times = _started(inputs, name, name, key.public_key())
        if names := _alternative_names(inputs):
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if inputs.get("setSubjectKeyId"):
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        if inputs.get("setAuthorityKeyId"):
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
            )
        return _signed(builder, key, {**times, "keyAlgorithm": _algorithm(key)})


class LocallySignedCert(_Certificate):
    """`tls.LocallySignedCert`."""

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Sign what the request asks for with the authority's key."""
        key = _load(inputs["caPrivateKeyPem"])
        authority = x509.load_pem_x509_certificate(inputs["caCertPem"].encode())
        if authority.public_key() != key.public_key():
            raise ResourceError("caPrivateKeyPem is not the key of caCertPem")
        request = x509.load_pem_x509_csr(inputs["certRequestPem"].encode())
        builder, times = _started(inputs, request.subject, authority.subject, request.public_key())
        for extension in request.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        try:
            identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
            )
        except x509.ExtensionNotFound:
            pass
        if inputs.get("setSubjectKeyId"):
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), False)
        return _signed(builder, key, {**times, "caKeyAlgorithm": _algorithm(key)})


def _new_key(inputs: Values) -> Any:
    match inputs["algorithm"]:
        case "ECDSA":
            return ec.generate_private_key(_CURVES[inputs.get("ecdsaCurve", "P224")]())
        case "RSA":
            return rsa.generate_private_key(65537, int(inputs.get("rsaBits", 2048)))
        case "ED25519":
            return ed25519.Ed25519PrivateKey.generate()
        case other:
            raise ResourceError(f"algorithm {other!r} is none of RSA, ECDSA, ED25519")


def _private(key: Any, form: serialization.PrivateFormat) -> str:
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return pem.decode()


def _load(pem: str) -> Any:
    return serialization.load_pem_private_key(pem.encode(), None)


def _digest(key: Any) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _algorithm(key: Any) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "ECDSA"
    return "RSA" if isinstance(key, rsa.RSAPrivateKey) else "ED25519"


def _name(inputs: Values) -> x509.Name:
    subject = inputs.get("subject") or {}
    if unknown := set(subject) - set(_SUBJECT):
        raise ResourceError(f"the lab's tls provider does not know subject.{min(unknown)}")
    return x509.Name([x509.NameAttribute(oid, subject[key]) for key, oid in _SUBJECT.items() if subject.get(key)])


def _alternative_names(inputs: Values) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(name) for name in inputs.get("dnsNames") or ()),
        *(x509.IPAddress(ip_address(address)) for address in inputs.get("ipAddresses") or ()),
        *(x509.UniformResourceIdentifier(uri) for uri in inputs.get("uris") or ()),
    ]


def _started(
    inputs: Values, subject: x509.Name, issuer: x509.Name, key: Any
) -> tuple[x509.CertificateBuilder, dict[str, Any]]:
    start = datetime.now(UTC).replace(microsecond=0)
    end = start + timedelta(hours=inputs["validityPeriodHours"])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(bool(inputs.get("isCaCertificate")), None), critical=True)
    )
    uses = inputs["allowedUses"]
    if unknown := set(uses) - set(_KEY_USES) - set(_EXTENDED_USES):
        raise ResourceError(f"allowedUses: {min(unknown)!r} is not known")
    if plain := [_KEY_USES[use] for use in uses if use in _KEY_USES]:
        flags = {flag: flag in plain for flag in _KEY_USES.values()}
        usage = x509.KeyUsage(**flags, encipher_only=False, decipher_only=False)
        builder = builder.add_extension(usage, critical=True)
    if extended := [_EXTENDED_USES[use] for use in uses if use in _EXTENDED_USES]:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    times = {"validityStartTime": start.isoformat(), "validityEndTime": end.isoformat()}
    return builder, {**times, "readyForRenewal": _is_old(inputs, times)}


def _signed(builder: x509.CertificateBuilder, key: Any, outputs: Values) -> tuple[str, Values]:
    certificate = builder.sign(key, _digest(key))
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return str(certificate.serial_number), {"certPem": pem, **outputs}


def _is_old(inputs: Values, outputs: Values) -> bool:
    end = datetime.fromisoformat(outputs["validityEndTime"])
    return datetime.now(UTC) >= end - timedelta(hours=inputs.get("earlyRenewalHours") or 0)


def provider(environment: Values) -> LabProvider:
    """The package."""
    resources: dict[str, Resource] = {
        "tls:index/privateKey:PrivateKey": PrivateKey(),
        "tls:index/certRequest:CertRequest": CertRequest(),
        "tls:index/selfSignedCert:SelfSignedCert": SelfSignedCert(),
        "tls:index/locallySignedCert:LocallySignedCert": LocallySignedCert(),
    }
    return LabProvider("tls", resources, environment)
