"""`make operator-cert NAME=you`: a short-lived client certificate, with which a person reaches services directly.

The sidecars of services with a direct port accept callers `spiffe://agentic-mesh/operator/NAME`. The authority's key is
read from the stack's secret output on standard input or by the `pulumi` CLI, kept in memory and never written.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from topology.model import OPERATOR, TRUST_DOMAIN

MOST_HOURS: Final = 7 * 24
_CLOCK_SKEW: Final = datetime.timedelta(minutes=5)


def issue(authority_pem: str, authority_key_pem: str, name: str, hours: int) -> tuple[bytes, bytes]:
    """(private key, certificate) in PEM for the operator `name`, valid for `hours` from now on.

    ValueError for a name that is not small letters, digits and dashes, or more than `MOST_HOURS`.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise ValueError(f"NAME={name!r}: small letters, digits and dashes, beginning with a letter")
    if not 1 <= hours <= MOST_HOURS:
        raise ValueError(f"HOURS={hours}: from 1 to {MOST_HOURS}")
    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    signer = serialization.load_pem_private_key(authority_key_pem.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an elliptic curve key")  # noqa: TRY004 - a wrong value
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"operator {name}")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(hours=hours))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}/{OPERATOR}/{name}")]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def write(folder: Path, name: str, key: bytes, certificate: bytes, authority: str) -> Path:
    """Write key, certificate and authority, readable by their owner alone; returns the folder."""
    target = folder / name
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file, content in (("key.pem", key), ("certificate.pem", certificate), ("ca.pem", authority.encode())):
        path = target / file
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
    return target


def _shared(stack: str) -> dict[str, str]:
    if not sys.stdin.isatty():
        text = sys.stdin.read()
        if text.strip():
            return dict(json.loads(text))
    command = ["pulumi", "stack", "output", "shared", "--show-secrets", "--json", "--stack", stack]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ValueError(f"pulumi could not be run ({error}); pipe the stack's output `shared` in instead") from error
    if result.returncode != 0:
        raise ValueError(f"`{' '.join(command)}` failed:\n{result.stderr.strip()}")
    return dict(json.loads(result.stdout))


def main() -> int:
    """Make the certificate and say how to use it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--hours", type=int, default=12)
    parser.add_argument("--stack", default="thanos", help="the stack that owns the authority")
    parser.add_argument("--folder", type=Path, default=Path(".operator"))
    args = parser.parse_args()
    try:
        shared = _shared(args.stack)
        key, certificate = issue(shared["authorityCertificate"], shared["authorityKey"], args.name, args.hours)
    except (KeyError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    folder = write(args.folder, args.name, key, certificate, shared["authoritiesTrusted"])
    print(
        f"{folder}: valid for {args.hours} hours. For example, vLLM on thanos:\n"
        f"  curl --cert {folder}/certificate.pem --key {folder}/key.pem --insecure \\\n"
        f"    --connect-to vllm.thanos.{TRUST_DOMAIN}:8000:100.64.1.1:8000 "
        f"https://vllm.thanos.{TRUST_DOMAIN}:8000/v1/models\n"
        "  (the server proves a SPIFFE identity, not a host name: curl cannot check it, the tailnet's address does)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
