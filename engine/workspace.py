"""A private working copy for plans: own state, own home, own passphrase, so that nothing of the user's is touched."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.placeholders import PLACEHOLDERS, VALUE

_PASSPHRASE = "plan"  # noqa: S105 - protects placeholders only


class WorkspaceError(RuntimeError):
    """The engine refused to set up the working copy; the message is its own."""


@dataclass(frozen=True)
class Workspace:
    """The folders of one set of plans and the environment that keeps the engine inside them."""

    project: Path
    folder: Path
    env: Mapping[str, str]
    notices: tuple[str, ...]

    @property
    def work_dir(self) -> Path:
        """Where the working copies of the project's and stacks' files are."""
        return self.folder / "work"


def prepare(project: Path, pulumi: Path, folder: Path, ports: Mapping[str, int]) -> Workspace:
    """Copy the project's files into `folder`, initialise every stack there and return the workspace."""
    # Every stack, planned or not: one may refer to another.
    stacks = sorted(path.name.split(".")[1] for path in project.glob("Pulumi.*.yaml"))
    workspace = Workspace(project, folder, _environment(pulumi, folder, ports), ())
    for name in ("home", "state", "work", "bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _write_analyzer(folder / "bin")
    _copy_project(project, workspace.work_dir)
    notices = [notice for stack in stacks for notice in _copy_stack(project, stack, workspace, pulumi)]
    return Workspace(project, folder, workspace.env, tuple(notices))


def _environment(pulumi: Path, folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """The caller's environment without what would reach its Pulumi account, and with placeholders for absent keys."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    venv = Path(sys.executable).parent
    return {
        **PLACEHOLDERS,
        **{name: value for name, value in env.items() if value or name not in PLACEHOLDERS},
        "PATH": os.pathsep.join([str(folder / "bin"), str(pulumi.parent), str(venv), env.get("PATH", os.defpath)]),
        "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true",
        "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": os.environ.get("PULUMI_CONFIG_PASSPHRASE") or _PASSPHRASE,
        "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{port}" for package, port in ports.items()),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def _write_analyzer(folder: Path) -> None:
    """Write the script by which an engine without a Python language host runs the policy pack."""
    script = folder / "pulumi-analyzer-policy-python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u -m pulumi.policy "$1" "$2"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def _copy_project(project: Path, work_dir: Path) -> None:
    shutil.copyfile(project / "Pulumi.yaml", work_dir / "Pulumi.yaml")


def _copy_stack(project: Path, stack: str, workspace: Workspace, pulumi: Path) -> list[str]:
    """Copy a stack's configuration and make its state; encrypted values that do not open become placeholders."""
    name = f"Pulumi.{stack}.yaml"
    source, target = project / name, workspace.work_dir / name
    settings: dict[str, Any] = (yaml.safe_load(source.read_text()) if source.exists() else None) or {}
    config: dict[str, Any] = settings.get("config") or {}
    sealed = sorted(key for key, value in config.items() if _is_sealed(value))
    if sealed and "secretsprovider" not in settings and os.environ.get("PULUMI_CONFIG_PASSPHRASE"):
        _write(target, settings)
        if _opens(stack, workspace, pulumi):
            return []
    # Salt and key of the secrets are the user's own; the engine makes new ones for the plan's passphrase.
    _write(target, {"config": {key: value for key, value in config.items() if key not in sealed}})
    _initialise(stack, workspace, pulumi)
    if not sealed:
        return []
    values = [part for key in sealed for part in ("--secret", f"{key}={VALUE}")]
    result = _pulumi(workspace, pulumi, "config", "set-all", "--stack", stack, *values)
    if result.returncode != 0:
        raise WorkspaceError(f"placeholders for {', '.join(sealed)} were refused:\n{result.stderr}")
    return [f"{stack}: placeholders stand for {', '.join(sealed)}; PULUMI_CONFIG_PASSPHRASE does not open them here"]


def _is_sealed(value: Any) -> bool:
    """Whether a value, or one inside it, is encrypted."""
    if isinstance(value, dict):
        return "secure" in value or any(_is_sealed(item) for item in value.values())
    return isinstance(value, list) and any(_is_sealed(item) for item in value)


def _write(target: Path, settings: Mapping[str, Any]) -> None:
    target.write_text(yaml.safe_dump(dict(settings), sort_keys=False))


def _opens(stack: str, workspace: Workspace, pulumi: Path) -> bool:
    """Whether the user's passphrase opens the stack's encrypted values."""
    try:
        _initialise(stack, workspace, pulumi)
    except WorkspaceError:
        return False
    return _pulumi(workspace, pulumi, "config", "--show-secrets", "--json", "--stack", stack).returncode == 0


def _initialise(stack: str, workspace: Workspace, pulumi: Path) -> None:
    """Make the stack's empty state, once."""
    project = yaml.safe_load((workspace.project / "Pulumi.yaml").read_text())["name"]
    state = workspace.folder / "state" / ".pulumi" / "stacks" / project / f"{stack}.json"
    if state.exists():
        return
    result = _pulumi(workspace, pulumi, "stack", "init", stack, "--no-select")
    if result.returncode != 0:
        raise WorkspaceError(f"pulumi stack init {stack} failed:\n{result.stderr or result.stdout}")


def _pulumi(workspace: Workspace, pulumi: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(pulumi), *args, "--non-interactive"],
        cwd=workspace.work_dir,
        env=workspace.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
