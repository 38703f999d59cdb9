"""What the pinned provider SDKs know of each resource type, read from their own Python classes.

The SDKs are generated from the providers' schemas, so their classes are the schema at hand on every machine: a
property that a class lacks is one that the provider of that version refuses.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, get_args

# The generated SDKs are built on these functions; there is no public counterpart.
from pulumi._types import input_type_py_to_pulumi_names, input_type_types, is_input_type, resource_types

# The SDKs import their modules on first use, and a second thread would see one half imported.
_IMPORTING: Final = threading.Lock()


class UnknownTypeError(LookupError):
    """No class of the pinned SDK has this type token."""


@dataclass(frozen=True)
class ObjectSchema:
    """The properties of one resource, provider or nested object, under the names the provider sees."""

    properties: Mapping[str, Any]
    required: frozenset[str]


@dataclass(frozen=True)
class ResourceSchema:
    """One resource type: what it takes and what it gives back."""

    inputs: ObjectSchema
    outputs: frozenset[str]


@functools.cache
def resource_schema(token: str) -> ResourceSchema:
    """The schema of a resource type such as `docker:index/container:Container`."""
    package, module, name = token.split(":")
    with _IMPORTING:
        resource = getattr(_sdk_module(package, module.split("/")[0], token), name, None)
        if resource is None:
            raise UnknownTypeError(f"the pinned pulumi-{package} has no resource {token}")
        return ResourceSchema(object_schema(_args_class(resource)), frozenset(resource_types(resource)))


@functools.cache
def provider_schema(package: str) -> ObjectSchema:
    """The configuration that an explicit provider of a package takes."""
    return object_schema(_args_class(importlib.import_module(f"pulumi_{package}").Provider))


@functools.cache
def object_schema(args_class: type) -> ObjectSchema:
    """The schema of one `...Args` class."""
    return ObjectSchema(input_type_types(args_class), frozenset(_required(args_class)))


def nested_classes(annotation: Any) -> Iterator[type]:
    """The `...Args` classes that a property's annotation allows, however deep in unions and lists."""
    if isinstance(annotation, type) and is_input_type(annotation):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from nested_classes(inner)


def _sdk_module(package: str, module: str, token: str) -> ModuleType:
    root = f"pulumi_{package}"
    # A module whose name is a Python keyword carries an underscore (`lambda_`).
    names = [root] if module == "index" else [f"{root}.{module}", f"{root}.{module}_"]
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise UnknownTypeError(f"no pinned SDK has the resource {token}")


def _args_class(resource: type) -> type:
    """A resource's args class; it is called `...InitArgs` where a nested type took the plain name."""
    module = sys.modules[resource.__module__]
    name = resource.__name__
    args_class: type = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
    return args_class


def _required(args_class: type) -> Iterator[str]:
    """The properties whose constructor parameter has no default."""
    names = input_type_py_to_pulumi_names(args_class)
    for name, parameter in inspect.signature(args_class).parameters.items():
        if parameter.default is inspect.Parameter.empty and name in names:
            yield names[name]
