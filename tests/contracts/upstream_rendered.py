"""A container of the plan as its image sees it: argv, variables, files, folders and ports."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.unit.mocks import Registered
from tests.unit.program import Program, labels, uploads
from topology.images import IMAGES
from topology.model import Service

_BY_REFERENCE: Final = {image.reference: key for key, image in IMAGES.items()}
_EXPORT: Final = re.compile(r"\bexport ([A-Za-z_][A-Za-z0-9_]*)(=\S+)?")
_ASSIGNED: Final = re.compile(r"\b([A-Za-z_][A-Za-z0-9_]*)=(\S+)")
_USED: Final = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_EXEC: Final = re.compile(r"(?:^|[\s;&])exec (?=[^0-9<>])")
_SHELLS: Final = ("sh", "bash", "/bin/sh", "/bin/bash")


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What the program asks Docker to run."""

    name: str
    """Service and node, for messages."""
    image: str
    """A key of `topology.images.IMAGES`."""
    entrypoint: tuple[str, ...] | None
    """The command that our start script executes in the end, with arguments; None: the image's own entry point."""
    command: tuple[str, ...] | None
    """None: the image's own."""
    environment: Mapping[str, str]
    """Without variables that only our own start scripts read."""
    files: Mapping[str, str]
    user: str
    read_only: bool
    writable: tuple[str, ...]
    """Volumes and tmpfs that it may write."""
    executable: tuple[str, ...]
    """Those of them that allow execution."""
    memory_mib: int
    stop_seconds: int
    service: Service | None = None
    """The row of the table, for an app."""


def containers(program: Program, services: Mapping[str, Service]) -> Iterator[Rendered]:
    """Every container that runs a pulled image."""
    for container in program.running:
        named = labels(container)
        if named["image"] in _BY_REFERENCE:
            service = services[named["service"]] if named["part"] == "app" else None
            yield _rendered(program, container, service)


def unwrapped(
    entrypoint: Sequence[str], script_files: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str], set[str]]:
    """The program behind our own shells, the variables that they export, and those that they read themselves."""
    words = list(entrypoint)
    exported: dict[str, str] = {}
    used: set[str] = set()
    while words and words[0] in _SHELLS:
        if len(words) > 2 and words[1] == "-c":
            script, rest = words[2], words[3:]
        elif len(words) > 1 and words[1] in script_files:
            script, rest = script_files[words[1]], words[1:]
        else:
            break
        starts = _EXEC.split(script)
        if len(starts) < 2:
            break
        assigned = dict(_ASSIGNED.findall(script))
        exported |= {name: value.lstrip("=") or assigned.get(name, "") for name, value in _EXPORT.findall(script)}
        used |= set(_USED.findall(script))
        # The command that it executes comes last.
        last = shlex.split(starts[-1].replace("\\\n", " "))
        words = rest if last[:1] == ["$0"] else last
    return tuple(words), exported, used - exported.keys()


def _rendered(program: Program, container: Registered, service: Service | None) -> Rendered:
    inputs = container.inputs
    files = _files(program, container)
    entrypoint, command = inputs.get("entrypoints"), inputs.get("command")
    environment = dict(entry.partition("=")[::2] for entry in inputs.get("envs") or ())
    if entrypoint:
        whole, exported, used = unwrapped([*entrypoint, *(command or ())], files)
        environment = {name: value for name, value in environment.items() if name not in used} | exported
        if whole != (*entrypoint, *(command or ())):
            entrypoint, command = whole, ()
    # What a script of ours beside the configuration reads is ours too.
    ours = "".join(text for path, text in files.items() if path.endswith((".py", ".sh")))
    environment = {name: value for name, value in environment.items() if f'"{name}"' not in ours}
    tmpfs = inputs.get("tmpfs") or {}
    volumes = [v["containerPath"] for v in inputs.get("volumes") or () if not v.get("readOnly")]
    named = labels(container)
    return Rendered(
        name=f"{container.inputs['name']} on {named['node']}",
        image=_BY_REFERENCE[named["image"]],
        entrypoint=tuple(entrypoint) if entrypoint else None,
        command=tuple(command) if command is not None else None,
        environment=environment,
        files=files,
        user=str(inputs.get("user", "")),
        read_only=bool(inputs.get("readOnly")),
        writable=(*volumes, *tmpfs),
        executable=(*volumes, *(path for path, options in tmpfs.items() if "noexec" not in options.split(","))),
        memory_mib=int(inputs["memory"]),
        stop_seconds=int(inputs.get("stopTimeout") or 10),
        service=service,
    )


def _files(program: Program, container: Registered) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for mount in container.inputs.get("volumes") or ():
        if mount.get("volumeName") in program.filled:
            found |= uploads(program.filled[mount["volumeName"]])
    return found
