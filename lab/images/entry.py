"""The words of the catalog: how one image of the lab is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

NO_IMAGE: Final = "only its maker's image has it, and no registry of images is reached"

Folder = tuple[int, int, int]
"""uid, gid, mode."""
User = tuple[int, int, str]
"""uid, gid, home."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image: the large layers that it stands on, and the few files that make it answer as the real one does."""

    real: bool
    reason: str
    """What runs, and for a stand-in the reason."""
    version: str = ""
    """Version of the program in the lab; for a stand-in, the version whose rules it follows."""
    not_covered: str = ""
    """Behaviour of production that the lab does not cover."""
    layers: tuple[str, ...] = ("debian",)
    """Names of `recipes.RECIPES`, lowest first."""
    programs: Mapping[str, str] = field(default_factory=dict)
    """Path in the image -> shell command that it becomes; arguments go along."""
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Path in the image -> file below this folder."""
    trees: Mapping[str, Path] = field(default_factory=dict)
    """Path in the image -> folder whose files go below it."""
    stand_in: str = ""
    """The module of `standins` that goes in, with what it imports."""
    folders: Mapping[str, Folder] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    """Users whose number Debian gives to nobody or to another."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_dir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    trusts_lab: bool = False
    """It calls the world outside: the lab's own authority is the one that it trusts."""


def stand_in(
    module: str,
    *programs: str,
    reason: str = NO_IMAGE,
    version: str = "",
    not_covered: str = "",
    layers: tuple[str, ...] = ("debian",),
) -> Entry:
    """A stand-in that starts by any of these paths, and by the first one where the program names none."""
    path = ":".join(["/opt", *(f"/opt/{name}" for name in layers if name != "debian")])
    command = f'PYTHONPATH={path} exec python3 -B -m lab.images.standins.{module} "$@"'
    return Entry(
        real=False,
        reason=reason,
        version=version,
        not_covered=not_covered,
        layers=layers,
        programs=dict.fromkeys(programs, command),
        stand_in=module,
        entrypoint=(programs[0],),
    )


def debian_program(program: str, path: str, reason: str, version: str = "", not_covered: str = "") -> Entry:
    """Debian's program under the name that the real image has for it."""
    return Entry(
        real=True, reason=reason, version=version, not_covered=not_covered, links={path: program}, entrypoint=(path,)
    )
