"""Enables collections of the hub that Debian's CrowdSec brings along, by links: `cscli` itself would download them."""

import sys
from pathlib import Path

import yaml

HUB = Path("/etc/crowdsec/hub")
KINDS = ("parsers", "scenarios", "postoverflows", "collections")


def enable(kind: str, name: str) -> int:
    """Link an item and what it consists of; how many there were."""
    author, _, item = name.partition("/")
    found = [p for p in (HUB / kind).rglob(f"{item}.y*ml") if p.parent.name == author]
    if not found:
        print(f"the hub has no {kind} {name}", flush=True)
        return 0
    # Items lie below their author, which the enabled ones do not name.
    link = HUB.parent / found[0].parent.parent.relative_to(HUB) / found[0].name
    if link.is_symlink():
        return 0
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(found[0])
    parts = yaml.safe_load(found[0].read_text()) if kind == "collections" else {}
    return 1 + sum(enable(part, name) for part in KINDS for name in parts.get(part) or ())


if __name__ == "__main__":
    for collection in sys.argv[1:]:
        print(f"{collection}: {enable('collections', collection)} items enabled", flush=True)
