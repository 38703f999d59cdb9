"""What both nodes share, made once by the foundation's stack."""

from dataclasses import dataclass

import pulumi

from components.platform.authority import CertificateAuthority, CertificateAuthorityArgs
from components.platform.generated_secrets import GeneratedSecrets, GeneratedSecretsArgs
from components.platform.shared import Shared
from settings import Settings
from topology.graph import Graph
from topology.secrets import FROM_SETTINGS, SECRETS, shared


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """The settings of the stack that owns the foundation."""

    settings: Settings
    graph: Graph


class Foundation(pulumi.ComponentResource):
    """Creates the certificate authority and the secrets that services of several nodes read."""

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the foundation."""
        super().__init__("agentic-mesh:foundation:Foundation", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        authority = CertificateAuthority(
            f"{name}-authority", CertificateAuthorityArgs(generations=args.settings.authorities), child
        )
        names = shared(SECRETS, args.graph)
        secrets = GeneratedSecrets(
            f"{name}-secrets",
            GeneratedSecretsArgs(
                secrets=[s for s in SECRETS if s.name in names],
                epoch=args.settings.secrets_epoch,
                given=given_secrets(args.settings, names),
            ),
            child,
        )
        self.shared = Shared(authority=authority.authority, secrets=secrets.values)
        self.register_outputs({"secrets": sorted(names)})


def given_secrets(settings: Settings, names: frozenset[str]) -> dict[str, pulumi.Output[str]]:
    """The secrets among `names` that the settings bring."""
    found = {}
    for name, attribute in FROM_SETTINGS.items():
        value = getattr(settings, attribute)
        if name in names and value is not None:
            found[name] = pulumi.Output.secret(value.reveal())
    return found
