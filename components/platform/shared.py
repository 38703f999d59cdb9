"""What the nodes share: made on the foundation's stack, read from its outputs on the others."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi.runtime import rpc

from components.platform.authority import Authority

OUTPUT: Final = "shared"
"""Name of the secret stack output that holds everything shared."""


_UNKNOWN: Final = rpc.UNKNOWN
_AUTHORITY: Final = ("authorityCertificate", "authorityKey", "authoritiesTrusted")


class FoundationMissingError(RuntimeError):
    """The other stack has not been deployed yet; says which command does it."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The authority that signs certificates, and the secrets that services of several nodes read."""

    authority: Authority
    secrets: Mapping[str, pulumi.Output[str]]

    def export(self) -> pulumi.Output[dict[str, Any]]:
        """As one secret stack output."""
        return pulumi.Output.secret(
            {
                "authorityCertificate": self.authority.certificate_pem,
                "authorityKey": self.authority.private_key_pem,
                "authoritiesTrusted": self.authority.trusted_pem,
                "secrets": dict(self.secrets),
            }
        )


def read_shared(foundation: str, names: Iterable[str]) -> Shared:
    """What the stack `foundation` exports; `names` are the secrets wanted.

    Planned before that stack exists, the values are unknown and a hint says so; deployed, it is an error.
    """
    names = frozenset(names)
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{foundation}"
    fix = (
        f"The stack {foundation!r} has no output {OUTPUT!r} yet: it owns the certificate authority and the shared "
        f"secrets. Deploy it first: pulumi up --stack {foundation}"
    )
    outputs = _outputs(stack, foundation, names)
    if outputs is None:
        if not pulumi.runtime.is_dry_run():
            raise FoundationMissingError(fix)
        pulumi.log.warn(f"{fix}\nIts values are planned as unknown.")
        found = _unknown()
    else:
        found = pulumi.Output.secret(outputs)
    return Shared(
        authority=Authority(
            certificate_pem=pulumi.Output.unsecret(found.apply(lambda outputs: str(outputs["authorityCertificate"]))),
            private_key_pem=found.apply(lambda outputs: str(outputs["authorityKey"])),
            trusted_pem=pulumi.Output.unsecret(found.apply(lambda outputs: str(outputs["authoritiesTrusted"]))),
        ),
        secrets={name: _secret(found, name) for name in names},
    )


def _secret(found: pulumi.Output[Any], name: str) -> pulumi.Output[str]:
    return found.apply(lambda outputs: str(outputs["secrets"][name]))


def _outputs(stack: str, foundation: str, names: Iterable[str]) -> Any | None:
    """The shared output; None if the stack does not exist or was never deployed completely."""
    try:
        # Asked first, since a StackReference to a stack that does not exist stops the whole program.
        found = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": stack}).value
    except Exception as error:
        if "unknown stack" in str(error):
            return None
        raise
    if not _complete(_opened((found or {}).get("outputs")).get(OUTPUT), names):
        return None
    return pulumi.StackReference(foundation, stack_name=stack).require_output(OUTPUT)


def _complete(value: Any, names: Iterable[str]) -> bool:
    """Whether the shared output contains everything that is read from it.

    A targeted `up` leaves the engine's marker for unknown values, a string, in the outputs of all other resources. The
    SDK drops such a value in a deploy and turns it into an `Unknown` object in a plan.
    """
    found = _opened(value)
    secrets = _opened(found.get("secrets"))
    return all(_known(found.get(name)) for name in _AUTHORITY) and all(_known(secrets.get(name)) for name in names)


def _opened(value: Any) -> Mapping[str, Any]:
    while rpc.is_rpc_secret(value):
        value = rpc.unwrap_rpc_secret(value)
    return value if isinstance(value, Mapping) else {}


def _known(value: Any) -> bool:
    return value is not None and value != _UNKNOWN and not isinstance(value, pulumi.output.Unknown)


def _unknown() -> pulumi.Output[Any]:
    """A secret value that is only known after the other stack's deploy."""
    loop = asyncio.get_running_loop()

    def done(value: Any) -> asyncio.Future[Any]:
        future = loop.create_future()
        future.set_result(value)
        return future

    return pulumi.Output(done(set()), done(_UNKNOWN), is_known=done(False), is_secret=done(True))
