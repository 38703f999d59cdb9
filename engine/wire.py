"""Property values as the engine sends them, and the two marks that matter to a plan: secret and not known yet."""

from __future__ import annotations

import json
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

# Fixed by Pulumi's wire format (`sdk/go/common/resource`): a special object carries its kind under this key.
_KIND_KEY: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the kind, not a secret
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

# How any not yet known value is written, whatever its type.
UNKNOWN_ON_WIRE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = {
    UNKNOWN_ON_WIRE,  # string
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
    "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
    "e48ece36-62e2-4504-bad9-02848725956a",  # archive
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
}


class _Mark:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNKNOWN: Final = _Mark("UNKNOWN")
"""Stands for a value that is only known after a deploy."""

OPAQUE: Final = _Mark("OPAQUE")
"""Stands for an asset, an archive or a reference to a resource, whose insides no rule reads."""


def plain(properties: Struct) -> dict[str, Any]:
    """Properties as plain values: secrets opened, unknown and opaque values marked."""
    return {name: _plain(value) for name, value in json_format.MessageToDict(properties).items()}


def json_plain(value: Any) -> Any:
    """A provider's configuration value: what is no string travels as JSON text."""
    if isinstance(value, str) and value[:1] in ("[", "{", "t", "f", *"0123456789-"):
        try:
            return _plain(json.loads(value))
        except ValueError:
            return value
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWNS else value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value.get(_KIND_KEY):
        case None:
            return {name: _plain(item) for name, item in value.items()}
        case _kind if _kind == _SECRET:
            return _plain(value["value"])
        case _kind if _kind == _OUTPUT:
            return _plain(value["value"]) if "value" in value else UNKNOWN
        case _:
            return OPAQUE
