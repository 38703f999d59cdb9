"""Random secrets, bound to the secrets epoch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_random as random

from topology.secrets import GeneratedSecret


@dataclass(frozen=True, kw_only=True)
class GeneratedSecretsArgs:
    """Which secrets, in which epoch."""

    secrets: Iterable[GeneratedSecret]
    epoch: int
    given: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """Secrets that the settings bring; no random one is made for them."""


class GeneratedSecrets(pulumi.ComponentResource):
    """Creates one `RandomPassword` for each secret.

    A new epoch replaces those that rotate, and with them just the containers that read them. Those that must not
    change by themselves have no keeper and are protected: letting go of one is a decision (`docs/runbooks`).
    """

    def __init__(self, name: str, args: GeneratedSecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the secrets."""
        super().__init__("agentic-mesh:node:GeneratedSecrets", name, None, opts)
        self.values: dict[str, pulumi.Output[str]] = dict(args.given)
        for secret in args.secrets:
            if secret.name in self.values:
                continue
            made = random.RandomPassword(
                f"{name}-{secret.name}",
                length=secret.length,
                special=False,
                keepers={"epoch": str(args.epoch)} if secret.rotates else None,
                opts=pulumi.ResourceOptions(parent=self, protect=not secret.rotates or None),
            )
            self.values[secret.name] = pulumi.Output.concat(secret.prefix, made.result)
        self.register_outputs({"names": sorted(self.values)})
