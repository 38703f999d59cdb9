"""A recording stand-in for the engine: what was registered, with which inputs and which options."""

import threading
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockMonitor

SECRET_OUTPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "random:index/randomPassword:RandomPassword": ("result", "bcryptHash"),
    "tls:index/privateKey:PrivateKey": (
        "privateKeyPem",
        "privateKeyPemPkcs8",
        "privateKeyOpenssh",
    ),
    "aws:iam/accessKey:AccessKey": ("secret",),
    "tailscale:index/tailnetKey:TailnetKey": ("key",),
}
"""Outputs that the providers make and mark as secret; a mock has to say so, the SDK does not."""


@dataclass(frozen=True)
class Registered:
    """One registration, as it reaches the engine."""

    typ: str
    name: str
    inputs: Mapping[str, Any]
    """Plain values, secrets too."""
    secret_inputs: frozenset[str]
    """Names of the inputs that hold a secret, at any depth."""
    provider: str
    """`urn::id` of an explicit provider, else empty."""
    resource_id: str
    """The id of an existing resource that is read or imported, else empty."""
    parent: str
    depends_on: tuple[str, ...] = ()
    """URNs, those behind its inputs included."""
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()


class Mocks(pulumi.runtime.Mocks):
    """Records every registration and answers with its inputs and made-up outputs in camelCase.

    `outputs` adds outputs by type token; a value wrapped by `secret` comes back as a secret.
    """

    def __init__(self, outputs: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Start with nothing recorded."""
        self.registered: list[Registered] = []
        self.calls: list[pulumi.runtime.MockCallArgs] = []
        """Invokes of providers; empty for a program that plans without accounts."""
        self._outputs = outputs or {}
        self._lock = threading.Lock()

    def install(self, *, stack: str = "thanos", preview: bool = False) -> None:
        """Make the SDK talk to this mock from now on."""
        pulumi.runtime.set_mocks(self, project="agentic-mesh", stack=stack, preview=preview, monitor=_Monitor(self))

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """The id and the outputs of a resource."""
        outputs = dict(args.inputs)
        if args.typ.startswith("aws:"):
            outputs.setdefault("arn", f"arn:aws:mock:::{args.name}")
            outputs.setdefault("name", args.name)
        for output in SECRET_OUTPUTS.get(args.typ, ()):
            outputs[output] = secret(f"{args.name}.{output}")
        outputs.update(self._outputs.get(args.typ, {}))
        return args.resource_id or f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], None]:
        """Answers a provider's invoke with nothing."""
        self.calls.append(args)
        return {}, []

    def record(self, registered: Registered) -> None:
        """Keep a registration; requests come from several threads."""
        with self._lock:
            self.registered.append(registered)

    def of(self, typ: str) -> list[Registered]:
        """The registrations of a type, sorted by name: their order in time means nothing."""
        return sorted((r for r in self.registered if r.typ == typ), key=lambda r: r.name)

    def one(self, typ: str) -> Registered:
        """The only registration of a type."""
        found = self.of(typ)
        assert len(found) == 1, f"{len(found)} resources of {typ}, not one"
        return found[0]


def everything(*roots: pulumi.Resource) -> pulumi.Output[list[str]]:
    """The URNs of these resources and all below them, once all are registered.

    Asserting earlier is a race: a resource whose outputs nobody reads may not have reached the mock yet.
    """
    found: list[pulumi.Resource] = []
    pending = list(roots)
    while pending:
        resource = pending.pop()
        found.append(resource)
        pending += resource._childResources
    return pulumi.Output.all(*(resource.urn for resource in found))


def secrecy(*outputs: pulumi.Output[Any]) -> pulumi.Output[list[bool]]:
    """For each output whether it is a secret; to be returned by a test or combined with other outputs."""

    async def ask() -> list[bool]:
        return [await output.is_secret() for output in outputs]

    asked: Awaitable[list[bool]] = ask()
    return pulumi.Output.from_input(asked)


def secret(value: Any) -> Any:
    """A mocked output that the provider marks as secret."""
    return rpc.wrap_rpc_secret(value)


class _Monitor(MockMonitor):
    """Sees the whole request; `Mocks.new_resource` is told neither options nor secrets."""

    def __init__(self, mocks: Mocks) -> None:
        super().__init__(mocks)
        self._recorder = mocks

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (the SDK's name)
        if request.type != "pulumi:pulumi:Stack":
            self._recorder.record(_registered(request, request.object, request.importId))
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        self._recorder.record(_registered(request, request.properties, request.id))
        return super().ReadResource(request)  # type: ignore[no-untyped-call]


def _registered(request: Any, properties: Any, resource_id: str) -> Registered:
    inputs = rpc.deserialize_properties(properties)
    return Registered(
        typ=request.type,
        name=request.name,
        inputs={key: _plain(value) for key, value in inputs.items()},
        secret_inputs=frozenset(key for key, value in inputs.items() if _plain(value) != value),
        provider=request.provider,
        resource_id=resource_id,
        parent=request.parent,
        depends_on=tuple(request.dependencies),
        protect=bool(getattr(request, "protect", False)),
        retain_on_delete=bool(getattr(request, "retainOnDelete", False)),
        delete_before_replace=bool(getattr(request, "deleteBeforeReplace", False)),
        ignore_changes=tuple(getattr(request, "ignoreChanges", ())),
        replace_on_changes=tuple(getattr(request, "replaceOnChanges", ())),
    )


def _plain(value: Any) -> Any:
    if rpc.is_rpc_secret(value):
        return _plain(value["value"])
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
