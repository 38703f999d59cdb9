"""What the stack's file says about its node; nothing in it is decrypted."""

import json
from pathlib import Path
from typing import Any, Final

import yaml

from settings import Settings
from settings.errors import PROJECT
from settings.load import load

_NEEDED: Final = ("node", "nodes", "foundation", "dockerHost")
_UNASKED: Final = {
    # A plan asks for these, a diagnosis does not.
    "domain": "oracle1.example.com",
    "claudeApiKey": "unasked",
    "openrouterApiKey": "unasked",
}


def stack_settings(folder: Path, stack: str) -> Settings:
    """Node, nodes and Docker host as the program reads them, the rest defaults; ValueError tells the fix."""
    known = sorted(path.name.split(".")[1] for path in folder.glob("Pulumi.*.yaml"))
    name = stack.rpartition("/")[2]  # Pulumi Cloud's ORGANISATION/PROJECT/STACK
    if name not in known:
        raise ValueError(
            f"there is no stack {stack!r} here: Pulumi.{name}.yaml is missing.\n"
            f"  Fix it with: make diagnose STACK={known[0] if known else 'thanos'}\n"
            f"  Known: {', '.join(known) or 'none'}"
        )
    file = folder / f"Pulumi.{name}.yaml"
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        config: dict[str, Any] = found.get("config") or {}
    except (AttributeError, OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file.name} cannot be read ({type(error).__name__}).\n  Fix it: {error}") from error
    given = {key: config[f"{PROJECT}:{key}"] for key in _NEEDED if f"{PROJECT}:{key}" in config}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    return load(name, {f"{PROJECT}:{key}": value for key, value in {**_UNASKED, **texts}.items()}, {})
