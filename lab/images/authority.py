"""The lab's own certificate authority for hosts of the outside world; the images that call those trust it."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DAYS: Final = "3650"


@dataclass(frozen=True)
class Authority:
    """Paths of a certificate and its key."""

    certificate: Path
    key: Path


def authority(folder: Path) -> Authority:
    """The authority of a lab's folder, made the first time."""
    found = Authority(folder / "outside" / "ca.pem", folder / "outside" / "ca.key")
    if not found.certificate.exists():
        found.certificate.parent.mkdir(parents=True, exist_ok=True)
        extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", _DAYS),
            *("-subj", "/CN=agentic-mesh lab: the world outside", "-keyout", str(found.key)),
            *(word for extension in extensions for word in ("-addext", extension)),
            *("-out", str(found.certificate)),
        )
    return found


def issue(folder: Path, name: str, hosts: Sequence[str]) -> Authority:
    """A certificate for host names and addresses, signed by the lab's authority, made the first time."""
    signer = authority(folder)
    found = Authority(folder / "outside" / f"{name}.pem", folder / "outside" / f"{name}.key")
    if not found.certificate.exists():
        names = ",".join(f"{'IP' if _is_address(host) else 'DNS'}:{host}" for host in hosts)
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", _DAYS),
            *("-subj", f"/CN={hosts[0]}", "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=CA:FALSE"),
            *("-CA", str(signer.certificate), "-CAkey", str(signer.key)),
            *("-keyout", str(found.key), "-out", str(found.certificate)),
        )
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
