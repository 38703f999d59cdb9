"""A new generation of the certificate authority takes over while both are trusted."""

import pulumi
import pytest

from components.platform.authority import CertificateAuthority, CertificateAuthorityArgs
from tests.unit.mocks import Mocks

CERTIFICATE = "tls:index/selfSignedCert:SelfSignedCert"
KEY = "tls:index/privateKey:PrivateKey"


class Tls(Mocks):
    """Makes up what the provider would."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, object]]:
        resource_id, outputs = super().new_resource(args)
        if args.typ == CERTIFICATE:
            outputs["certPem"] = f"certificate of {args.name}\n"
        if args.typ == KEY:
            outputs["privateKeyPem"] = f"key of {args.name}"
        return resource_id, outputs


@pytest.mark.parametrize(
    ("generations", "signs", "trusted"),
    [((1,), 1, (1,)), ((1, 2), 1, (1, 2)), ((2, 1), 2, (2, 1)), ((2,), 2, (2,))],
    ids=["the first", "the second is trusted", "it takes over", "it is alone"],
)
def test_the_first_signs_and_all_are_trusted(
    generations: tuple[int, ...], signs: int, trusted: tuple[int, ...]
) -> None:
    mocks = Tls()
    mocks.install()

    @pulumi.runtime.test
    def check() -> pulumi.Output[None]:
        made = CertificateAuthority("ca", CertificateAuthorityArgs(generations=generations)).authority

        def compare(found: list[str]) -> None:
            assert found == [
                f"certificate of ca-{signs}-certificate\n",
                f"key of ca-{signs}-key",
                "".join(f"certificate of ca-{number}-certificate\n" for number in trusted),
            ]

        return pulumi.Output.all(made.certificate_pem, made.private_key_pem, made.trusted_pem).apply(compare)

    check()
    names = {r.name: r.inputs["subject"]["commonName"] for r in mocks.registered if r.typ == CERTIFICATE}
    assert len(set(names.values())) == len(generations), "told apart by their subjects"
