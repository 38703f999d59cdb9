"""A provider that only plans: it speaks Pulumi's provider protocol and knows what the pinned SDK knows.

One implementation stands in for every package. It reaches no cloud, no Docker daemon and no account, and refuses to
create anything.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from engine.check import Failure, check_properties
from engine.docker_rules import docker_failures
from engine.schema import UnknownTypeError, provider_schema, resource_schema
from engine.wire import UNKNOWN_ON_WIRE, json_plain, plain

_ONLY_PLANS = "this plan provider only plans: deploy with the official pulumi CLI and its real providers"


class PlanProvider(provider_pb2_grpc.ResourceProviderServicer):
    """The plan provider of one package, such as docker or aws."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._version = importlib.metadata.version(f"pulumi-{package}")

    # What the engine asks once.

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=False)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Empty:
        return Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, acceptResources=True, acceptOutputs=False, supportsPreview=True
        )

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Empty:
        return Empty()

    # What it asks for each provider and resource.

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        # `version` and the like are options of the engine, written among the configuration.
        options = {"version", "pluginDownloadURL"}
        values = {name: json_plain(value) for name, value in plain(request.news).items() if name not in options}
        failures = check_properties(provider_schema(self._package), values)
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _diff(request)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        token = _token(request.urn)
        values = plain(request.news)
        try:
            failures = [*check_properties(resource_schema(token).inputs, values), *self.refusals(token, values)]
        except UnknownTypeError as error:
            failures = [Failure("", str(error))]
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    def refusals(self, token: str, values: dict[str, Any]) -> Iterable[Failure]:
        """What the real provider or its cloud refuses although the schema allows it."""
        return docker_failures(token, values)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _diff(request)

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        if not request.preview:
            _refuse(context, _ONLY_PLANS)
        return provider_pb2.CreateResponse(properties=_planned(request.urn, request.properties))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        if not request.preview:
            _refuse(context, _ONLY_PLANS)
        return provider_pb2.UpdateResponse(properties=_planned(request.urn, request.news))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Empty:
        _refuse(context, _ONLY_PLANS)

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        _refuse(context, f"this plan provider reads nothing that exists: {request.id} of {_token(request.urn)}")

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        reason = f"this plan provider answers no lookups: derive the result of {request.tok} instead"
        return provider_pb2.InvokeResponse(failures=[provider_pb2.CheckFailure(reason=reason)])


def _token(urn: str) -> str:
    """The resource's own type: the last of the types that a URN's third part lists, parents first."""
    return urn.split("::")[2].split("$")[-1]


def _planned(urn: str, inputs: Struct) -> Struct:
    """The state that a plan can show: the inputs, and every other output as not known yet."""
    outputs = Struct()
    outputs.CopyFrom(inputs)
    for name in resource_schema(_token(urn)).outputs - inputs.fields.keys():
        outputs[name] = UNKNOWN_ON_WIRE
    return outputs


def _diff(request: Any) -> Any:
    olds = request.old_inputs if request.HasField("old_inputs") else request.olds
    news = request.news
    changed = sorted(
        name for name in olds.fields.keys() | news.fields.keys() if olds.fields.get(name) != news.fields.get(name)
    )
    kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(changes=kind, diffs=changed)


def _failures(failures: Iterable[Failure]) -> Iterator[Any]:
    for failure in failures:
        yield provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)


def _refuse(context: grpc.ServicerContext, reason: str) -> NoReturn:
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason)
    raise AssertionError  # abort always raises; its stub does not say so
