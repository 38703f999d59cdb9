"""A provider that acts: the plan provider's checks and outputs, and behind them something real.

What the SDK knows is checked by the plan provider that this one extends; a package adds a table of resource types.
"""

# ruff: noqa: N802, ARG002, D102 - names, signatures and meaning of the provider's methods are the protocol's

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

import grpc
from google.protobuf import any_pb2, json_format
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2

from engine.check import Failure
from engine.provider import PlanProvider
from engine.schema import resource_schema
from engine.wire import UNKNOWN_ON_WIRE, json_plain, plain

Values = dict[str, Any]
"""Properties as plain values, secrets opened."""


class ResourceError(RuntimeError):
    """What was asked cannot be done; the message reaches the person who deploys."""


class InitFailedError(ResourceError):
    """The resource exists and is not as it should be: the engine keeps it in its state."""

    def __init__(self, identifier: str, outputs: Values, reason: str) -> None:
        super().__init__(reason)
        self.identifier = identifier
        self.outputs = outputs


class Resource:
    """One resource type. The methods are told the stack's provider configuration first."""

    in_place: ClassVar[frozenset[str]] = frozenset()
    """Properties that an update can change; a change of any other replaces the resource."""
    unordered: ClassVar[frozenset[str]] = frozenset()
    """Lists whose order means nothing."""
    named: ClassVar[str] = ""
    """The property that names the resource, where one is made up if the program gives none."""
    by_name: ClassVar[bool] = True
    """Whether two cannot exist with one name, so that a replaced one goes before its successor comes."""
    deletes_first: ClassVar[bool] = False
    """Whether a replaced resource is deleted before its successor is created, whatever its name."""
    arguments: ClassVar[frozenset[str]] = frozenset()
    """Properties that a program may set; one that it does not set is gone after an update unless it is computed."""
    computed: ClassVar[frozenset[str]] = frozenset()
    """Properties that the provider reads if the program does not set them; an update keeps the value that was read."""
    remade: ClassVar[frozenset[str]] = frozenset()
    """Outputs that an update makes anew, so that its plan cannot show them."""

    def check(self, inputs: Values) -> Iterable[Failure]:
        """What the real provider refuses although its schema allows it."""
        return ()

    def completed(self, config: Values, inputs: Values) -> Values:
        """Further inputs that the provider finds out itself, such as the hash of a folder."""
        return {}

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it; its id, and the outputs that are not inputs."""
        raise NotImplementedError

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """What is there: the inputs that describe it now, and its outputs; None where it is gone."""
        return inputs, outputs

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Change it in place; the outputs that are not inputs."""
        raise NotImplementedError

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Take it away; one that is gone already is no error."""

    def changes(self, olds: Values, news: Values, state: Values) -> list[str]:
        """The properties that differ from the last inputs, or from the state if a provider overrides this."""
        return changes(self, olds, news)

    def same(self, name: str, one: Any, other: Any) -> bool:
        """Whether two values of a property are equal to the provider."""
        return bool(one == other)

    def more_changes(self, inputs: Values, outputs: Values) -> Iterable[str]:
        """Outputs that ask for a replacement by themselves, such as a certificate's age."""
        return ()


class LabProvider(PlanProvider):
    """The provider of one package: plan provider, table of resource types and their translation to the protocol."""

    def __init__(self, package: str, resources: Mapping[str, Resource], environment: Mapping[str, Any]) -> None:
        super().__init__(package)
        self._resources = resources
        self._environment = environment
        # Both stacks are served by one process; what each configured is told apart by the stack in the URN.
        self._configured: dict[str, Values] = {}
        self._lock = threading.Lock()

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        values = {name: json_plain(value) for name, value in plain(request.args).items()}
        with self._lock:
            self._configured[_stack(request.urn)] = {**self._environment, **values}
        return super().Configure(request, context)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        token = _token(request.urn)
        resource = self._resources.get(token)
        if resource is None:
            reason = f"the lab's provider does not know {token}; it knows {', '.join(sorted(self._resources))}"
            return provider_pb2.CheckResponse(
                inputs=request.news, failures=[provider_pb2.CheckFailure(property="", reason=reason)]
            )
        response = super().Check(request, context)
        if resource.named and resource.named not in response.inputs.fields:
            old = request.olds.fields.get(resource.named)
            made = f"{request.urn.split('::')[-1]}-{secrets.token_hex(4)[:7]}"
            response.inputs[resource.named] = old.string_value if old is not None else made
            response.inputs["__defaults"] = [resource.named]
        failures = list(resource.check(plain(response.inputs)))
        if not failures and not response.failures:
            for name, value in resource.completed(self._config(request.urn), plain(response.inputs)).items():
                response.inputs[name] = value
        response.failures.extend(provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in failures)
        return response

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self._resource(request.urn, context)
        olds, news, outputs = plain(request.old_inputs), plain(request.news), plain(request.olds)
        ignored = set(request.ignoreChanges)
        changed = [name for name in resource.changes(olds, news, outputs) if name not in ignored]
        forced = list(resource.more_changes(news, outputs))
        replaces = sorted({*(name for name in changed if name not in resource.in_place), *forced})
        some = provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(
            changes=some if changed or forced else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted({*changed, *forced}),
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and (resource.deletes_first or _keeps_name(resource, olds, news)),
        )

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.preview:
            return super().Create(request, context)
        resource = self._resource(request.urn, context)
        config = self._config(request.urn)
        identifier, outputs = _guarded(
            resource, context, request.properties, lambda: resource.create(config, plain(request.properties))
        )
        return provider_pb2.CreateResponse(id=identifier, properties=_found(resource, request.properties, outputs))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self._resource(request.urn, context)
        known = resource_schema(_token(request.urn)).outputs
        kept = {name: value for name, value in _raw(request.olds).items() if name in known}
        asked = (request.old_inputs.fields.keys() | resource.arguments) - resource.computed
        kept = {name: value for name, value in kept.items() if name not in asked}
        if request.preview:
            kept |= dict.fromkeys(resource.remade, UNKNOWN_ON_WIRE)
        else:
            config, olds, news = self._config(request.urn), plain(request.olds), plain(request.news)
            kept |= _guarded(resource, context, request.news, lambda: resource.update(config, request.id, olds, news))
        return provider_pb2.UpdateResponse(properties=_merged(request.news, kept))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self._resource(request.urn, context)
        config, inputs, outputs = self._config(request.urn), plain(request.inputs), plain(request.properties)
        found = _guarded(
            resource, context, request.inputs, lambda: resource.read(config, request.id, dict(inputs), dict(outputs))
        )
        if found is None:
            return provider_pb2.ReadResponse(id="")
        # Only what differs is written anew: the rest keeps its marks, which say what is secret.
        now, state = found
        new_inputs = _patched(request.inputs, inputs, now)
        properties = _merged(new_inputs, {k: v for k, v in _raw(request.properties).items() if k not in inputs})
        return provider_pb2.ReadResponse(
            id=request.id, inputs=new_inputs, properties=_found(resource, properties, {**now, **state})
        )

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Empty:
        resource = self._resource(request.urn, context)
        config, outputs = self._config(request.urn), plain(request.properties)
        inputs = plain(request.old_inputs) or outputs

        def delete() -> None:
            resource.delete(config, request.id, inputs, outputs)

        _guarded(resource, context, request.old_inputs, delete)
        return Empty()

    def _resource(self, urn: str, context: grpc.ServicerContext) -> Resource:
        token = _token(urn)
        if token not in self._resources:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the lab's provider does not know {token}")
        return self._resources[token]

    def _config(self, urn: str) -> Values:
        return self._configured.get(_stack(urn), dict(self._environment))


def changes(resource: Resource, olds: Values, news: Values) -> list[str]:
    """The properties that differ, the engine's own notes aside."""

    def comparable(name: str, value: Any) -> Any:
        if name in resource.unordered and isinstance(value, list):
            return sorted(value, key=lambda item: json.dumps(item, sort_keys=True, default=repr))
        return value

    names = sorted(name for name in olds.keys() | news.keys() if not name.startswith("__"))
    return [name for name in names if comparable(name, olds.get(name)) != comparable(name, news.get(name))]


def _keeps_name(resource: Resource, olds: Values, news: Values) -> bool:
    """Whether old and new would have the same name at the same time."""
    if not resource.by_name or not resource.named or resource.named in news.get("__defaults", ()):
        return False
    return bool(olds.get(resource.named) == news.get(resource.named))


_DETAIL: Final = "grpc-status-details-bin"


def _guarded(resource: Resource, context: grpc.ServicerContext, inputs: Struct, act: Callable[[], Any]) -> Any:
    """Do it, and hand a failure over as one message; a resource that is there but not well is kept in the state."""
    try:
        return act()
    except InitFailedError as failed:
        detail = provider_pb2.ErrorResourceInitFailed(
            id=failed.identifier,
            properties=_found(resource, inputs, failed.outputs),
            inputs=inputs,
            reasons=[str(failed)],
        )
        _abort_with(context, str(failed), detail)
    except ResourceError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the engine must hear of it with a reason
        context.abort(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}")


def _abort_with(context: grpc.ServicerContext, message: str, detail: Any) -> None:
    """Abort with details, which travel as google.rpc.Status in a trailer."""
    packed = any_pb2.Any()
    packed.Pack(detail)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[packed])
    context.set_trailing_metadata(((_DETAIL, status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, message)


def _merged(properties: Struct, more: Mapping[str, Any]) -> Struct:
    """Properties and, where they say nothing, further values."""
    merged = Struct()
    merged.CopyFrom(properties)
    for name, value in more.items():
        if name not in merged.fields:
            merged[name] = value
    return merged


def _found(resource: Resource, properties: Struct, found: Values) -> Struct:
    """The properties updated with what was read. Equal values stay as they are, with their secret marks."""
    before = plain(properties)
    changed = {name: value for name, value in found.items() if not resource.same(name, before.get(name), value)}
    return _patched(properties, before, {**before, **changed})


def _patched(properties: Struct, before: Values, now: Values) -> Struct:
    patched = Struct()
    patched.CopyFrom(properties)
    for name in before.keys() | now.keys():
        if now.get(name) is None:
            patched.fields.pop(name, None)
        elif before.get(name) != now[name]:
            patched[name] = now[name]
    return patched


def _raw(properties: Struct) -> Values:
    """Values with the marks that they travel with."""
    raw: Values = json.loads(json_format.MessageToJson(properties))
    return raw


def _token(urn: str) -> str:
    return urn.split("::")[2].split("$")[-1]


def _stack(urn: str) -> str:
    return urn.split("::")[0].rpartition(":")[2]
