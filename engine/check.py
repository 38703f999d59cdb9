"""Checks a resource's inputs against its SDK schema: what the pinned provider would not know is refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

from engine.schema import ObjectSchema, nested_classes, object_schema
from engine.wire import OPAQUE, UNKNOWN

_SCALARS: Final = (str, int, float, bool)


@dataclass(frozen=True)
class Failure:
    """One refused property: where it stands and what is wrong with it."""

    property: str
    reason: str


def check_properties(schema: ObjectSchema, values: Mapping[str, Any], path: str = "") -> Iterator[Failure]:
    """Every unknown, missing or misshapen property of an object, however deep."""
    for name in sorted(schema.required - values.keys()):
        yield Failure(path + name, "missing required property")
    for name, value in values.items():
        where = path + name
        if name.startswith("__"):  # the engine's own notes, such as __defaults
            continue
        if name not in schema.properties:
            yield Failure(where, "unknown property" + _suggestion(name, schema))
        elif value is not UNKNOWN and value is not OPAQUE:
            yield from _check_value(schema.properties[name], value, where)


def _check_value(annotation: Any, value: Any, where: str) -> Iterator[Failure]:
    classes = list(dict.fromkeys(nested_classes(annotation)))
    if isinstance(value, list):
        if not _allows(annotation, Sequence):
            yield Failure(where, "expected one value, got a list")
        for index, item in enumerate(value):
            yield from _check_object(classes, item, f"{where}[{index}]")
    elif get_origin(annotation) is Sequence:
        yield Failure(where, "expected a list")
    elif isinstance(value, dict) and get_origin(annotation) is Mapping:
        for key, item in value.items():
            yield from _check_object(classes, item, f"{where}[{key}]")
    elif isinstance(value, dict) and annotation in _SCALARS:
        yield Failure(where, f"expected {annotation.__name__}, got an object")
    else:
        yield from _check_object(classes, value, where)


def _check_object(classes: list[type], value: Any, where: str) -> Iterator[Failure]:
    """An object must satisfy one of the types that its place allows."""
    if not classes or not isinstance(value, dict):
        return  # nothing to compare with: a scalar, or not known yet
    candidates = [list(check_properties(object_schema(cls), value, where + ".")) for cls in classes]
    yield from min(candidates, key=len)


def _allows(annotation: Any, kind: type) -> bool:
    """Whether an annotation, or a member of the union that it is, has this container type."""
    if annotation is Any or get_origin(annotation) is kind:
        return True
    return get_origin(annotation) is not Mapping and any(_allows(member, kind) for member in get_args(annotation))


def _suggestion(name: str, schema: ObjectSchema) -> str:
    close = difflib.get_close_matches(name, schema.properties, n=1)
    return f", did you mean {close[0]}?" if close else ""
