"""No setting is without effect."""

import ast
from dataclasses import fields
from pathlib import Path

from settings import AlertTargets, BackupStore, Budget, LogStore, Models, Settings
from topology.catalog import SERVICES
from topology.secrets import FROM_SETTINGS


def test_no_setting_is_without_effect() -> None:
    """Each is read somewhere: by the program itself, a component, a renderer, or by what settings answer with."""
    root = Path(__file__).parents[2]
    sources = [root / "__main__.py", *(root / "settings" / f"{name}.py" for name in ("graph", "model"))]
    sources += [path for folder in ("components", "render") for path in sorted((root / folder).rglob("*.py"))]
    read = {
        node.attr
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    read |= set(FROM_SETTINGS.values()) | {v.setting for s in SERVICES for v in s.volumes if v.setting is not None}
    known = {
        field.name for kind in (Settings, Models, Budget, AlertTargets, BackupStore, LogStore) for field in fields(kind)
    }
    assert known - read == set()
