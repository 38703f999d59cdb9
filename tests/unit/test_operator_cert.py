"""Operator certificates: what they say, how long they hold, who can read them."""

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scripts.operator_cert import MOST_HOURS, issue, write
from tests.unit.authority import AUTHORITY


@pytest.fixture
def authority() -> tuple[str, str]:
    return AUTHORITY.certificate, AUTHORITY.key


def test_names_the_operator_and_is_signed(authority: tuple[str, str]) -> None:
    key, pem = issue(*authority, "ann", 12)
    certificate = x509.load_pem_x509_certificate(pem)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority[0].encode()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://agentic-mesh/operator/ann"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.public_key() == certificate.public_key()


def test_holds_for_the_hours_asked(authority: tuple[str, str]) -> None:
    certificate = x509.load_pem_x509_certificate(issue(*authority, "ann", 2)[1])
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(hours=1, minutes=59) < left <= datetime.timedelta(hours=2)


@pytest.mark.parametrize("name", ["", "Ann", "ann/../kong", "1ann", "a" * 40])
def test_refuses_names_that_could_mean_something_else(authority: tuple[str, str], name: str) -> None:
    with pytest.raises(ValueError, match="NAME"):
        issue(*authority, name, 12)


@pytest.mark.parametrize("hours", [0, MOST_HOURS + 1])
def test_refuses_to_hold_for_too_long(authority: tuple[str, str], hours: int) -> None:
    with pytest.raises(ValueError, match="HOURS"):
        issue(*authority, "ann", hours)


def test_files_are_the_owners_alone(authority: tuple[str, str], tmp_path: Path) -> None:
    for _ in range(2):  # again over the old ones
        folder = write(tmp_path, "ann", *issue(*authority, "ann", 1), authority[0])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"key.pem": 0o600, "certificate.pem": 0o600, "ca.pem": 0o600}
