"""An authority that cannot sign any more is refused, and named, before a container changes."""

import datetime
from typing import Any

import pytest

from components.platform.authority_check import AuthorityError, check_authority
from components.platform.shared import OUTPUT
from tests.unit.authority import DAY, Made, authority
from tests.unit.mocks import secret
from tests.unit.program import CONTAINER, SHARED, Program, ProgramMocks

NOW = datetime.datetime.now(datetime.UTC)
OURS = authority()
NEXT = authority("agentic-mesh mesh authority 2")
EXPIRED = authority(begins=-20 * DAY, ends=-2 * DAY)
FOREIGN = authority("somebody's authority")
EARLY = authority(begins=DAY)
LEAF = authority(signs=False)
NO_PEM = Made("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n", "no key")

REFUSED: dict[str, tuple[str, str, str, str]] = {
    "expired": (
        EXPIRED.certificate,
        EXPIRED.key,
        EXPIRED.certificate,
        "'agentic-mesh mesh authority 1' has expired on",
    ),
    "expired, and still trusted": (
        OURS.certificate,
        OURS.key,
        OURS.certificate + EXPIRED.certificate,
        "'agentic-mesh mesh authority 1' has expired on",
    ),
    "foreign": (
        FOREIGN.certificate,
        FOREIGN.key,
        FOREIGN.certificate,
        '"somebody\'s authority" is of another authority',
    ),
    "a foreign one trusted besides": (
        OURS.certificate,
        OURS.key,
        OURS.certificate + FOREIGN.certificate,
        "is of another authority",
    ),
    "not valid yet": (EARLY.certificate, EARLY.key, EARLY.certificate, "is this machine's clock right"),
    "no authority": (LEAF.certificate, LEAF.key, LEAF.certificate, "is no authority's certificate"),
    "another one's key": (OURS.certificate, NEXT.key, OURS.certificate, "its private key is not that of"),
    "signs and is not trusted": (NEXT.certificate, NEXT.key, OURS.certificate, "is not among those that are trusted"),
    "no certificate": (NO_PEM.certificate, OURS.key, OURS.certificate, "a certificate is no PEM"),
    "none at all": ("", OURS.key, OURS.certificate, "a certificate is no PEM"),
    "no key": (OURS.certificate, NO_PEM.key, OURS.certificate, "its private key is no PEM"),
    "two that sign": (
        OURS.certificate + NEXT.certificate,
        OURS.key,
        OURS.certificate,
        "its certificate holds 2 certificates",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_that_cannot_be_used_is_refused_and_named(case: str) -> None:
    certificate, key, trusted, message = REFUSED[case]
    with pytest.raises(AuthorityError, match=message) as error:
        check_authority(certificate, key, trusted, NOW)
    assert "pulumi config set agentic-mesh:authorities" in str(error.value)
    assert not any(line in str(error.value) for line in key.splitlines()), "the key is in the message"


@pytest.mark.parametrize(
    ("signs", "trusted"),
    [(OURS, (OURS,)), (OURS, (OURS, NEXT)), (NEXT, (NEXT, OURS))],
    ids=["one", "two", "the new one"],
)
def test_one_that_holds_passes(signs: Made, trusted: tuple[Made, ...]) -> None:
    check_authority(signs.certificate, signs.key, "".join(made.certificate for made in trusted), NOW)


def exported(made: Made) -> dict[str, Any]:
    """The foundation's output with that authority."""
    return SHARED | {
        "authorityCertificate": made.certificate,
        "authorityKey": made.key,
        "authoritiesTrusted": made.certificate,
    }


@pytest.mark.parametrize("made", [EXPIRED, FOREIGN], ids=["expired", "foreign"])
def test_no_container_changes_then(made: Made) -> None:
    """On the node that reads it from the other stack; the preflight's probes, which change nothing, are asked first."""
    mocks = ProgramMocks({"pulumi:pulumi:StackReference": {"outputs": {OUTPUT: secret(exported(made))}}})
    with pytest.raises(AuthorityError, match="authority in the state cannot be used"):
        Program("oracle1", mocks=mocks)
    assert not [c.name for c in mocks.of(CONTAINER) if "preflight" not in c.name]
    assert Program("oracle1").containers
