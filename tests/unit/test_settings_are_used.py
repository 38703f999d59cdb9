"""No setting is without effect, and none is documented nowhere."""

import ast
import re
from dataclasses import fields
from pathlib import Path

from settings import AlertTargets, BackupStore, Budget, LogStore, Models, Settings
from settings.load import ENVIRONMENT, KEYS
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


SECTIONS = {"models": Models, "budget": Budget, "alerts": AlertTargets, "backup": BackupStore, "logs": LogStore}


def test_every_setting_is_in_the_documents_with_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \|", text, re.MULTILINE))
    known = {
        f"{section}.{re.sub('_(.)', lambda found: found[1].upper(), field.name)}": field.default
        for section, kind in SECTIONS.items()
        for field in fields(kind)
    }
    assert rows.keys() == known.keys() | KEYS - SECTIONS.keys()
    for key, default in known.items():
        if default is not None:
            said = str(default).lower() if isinstance(default, bool) else default
            assert rows[key] in (f"`{said}`", f"{said:g}" if isinstance(said, float) else str(said)), key
    assert all(f"`{name}`" in text for name in ENVIRONMENT)
