"""The stacks of the lab: their own state, home and configuration, and the processes that run the program on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from engine.outcome import Outcome
from engine.root import CHECKOUT
from lab.images import tiny_model
from lab.images.switch import chosen
from lab.link import PUBLIC_ADDRESS
from lab.machine import LabError
from lab.places import Node, nodes
from lab.world import DOMAIN

_PASSPHRASE: Final = "lab"  # noqa: S105 - the lab's secrets are nobody's
_KEPT: Final = frozenset({"agentic-mesh:secretsEpoch", "agentic-mesh:authorities"})
KEYS: Final = {"CLAUDE_API_KEY": "sk-ant-lab-41c7f09be2d358a6", "OPENROUTER_API_KEY": "sk-or-lab-9d2e6b08a4f13c57"}
"""What the stand-ins of the models' makers are shown; a key of the user's own stays out of the lab."""
Progress = Callable[[str, str], None]
"""Called with the stack and its operation's progress."""


@dataclass(frozen=True)
class Stacks:
    """Where a project's stacks are kept, and how their processes find providers and engine."""

    project: Path
    folder: Path
    pulumi: Path
    ports: Mapping[str, int]

    @property
    def work_dir(self) -> Path:
        """Where the project's file and the stacks' configuration are."""
        return self.folder / "work"

    @property
    def env(self) -> dict[str, str]:
        """The caller's environment without what would reach its Pulumi account."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        path = [str(self.pulumi.parent), str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]
        return {
            **kept,
            **KEYS,
            "PATH": os.pathsep.join(path),
            "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true",
            "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{port}" for package, port in self.ports.items()),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def configure(self, stack: str, config: Mapping[str, Any]) -> None:
        """Write a stack's configuration; the salt of its secrets stays. Make its state where there is none.

        The secrets epoch and the authority's generation stay too: one that went back would make everything anew.
        """
        for name in ("home", "state", "work"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.project / "Pulumi.yaml", self.work_dir / "Pulumi.yaml")
        path = self.work_dir / f"Pulumi.{stack}.yaml"
        settings: dict[str, Any] = yaml.safe_load(path.read_text()) if path.exists() else {}
        kept = {key: value for key, value in settings.get("config", {}).items() if key in _KEPT}
        settings["config"] = {**kept, **config}
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
        if not self._state(stack).exists():
            self.command("stack", "init", stack, "--no-select")

    def _state(self, stack: str) -> Path:
        project = str(yaml.safe_load((self.project / "Pulumi.yaml").read_text())["name"])
        return self.folder / "state" / ".pulumi" / "stacks" / project / f"{stack}.json"

    def command(self, *words: str) -> str:
        """Run one command of the engine and return what it prints."""
        result = subprocess.run(
            [str(self.pulumi), *words, "--non-interactive"],
            cwd=self.work_dir,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise LabError(f"pulumi {' '.join(words)} failed:\n{result.stderr or result.stdout}")
        return result.stdout

    def operate(self, operation: str, stack: str, *options: str, progress: Progress | None = None) -> Outcome:
        """Preview, up, refresh or destroy a stack, in a process of its own."""
        process = self.process(operation, stack, *options)
        return follow(process, stack, progress)

    def process(self, operation: str, stack: str, *options: str) -> subprocess.Popen[str]:
        """Start an operation."""
        command = [sys.executable, "-m", "lab.up", operation, stack, *options]
        command += [f"--project={self.project}", f"--work-dir={self.work_dir}"]
        return subprocess.Popen(
            command, cwd=CHECKOUT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def follow(process: subprocess.Popen[str], stack: str, progress: Progress | None = None) -> Outcome:
    """Read what an operation says until it ends."""
    outcome: Outcome | None = None
    printed: list[str] = []
    with process:
        drain = threading.Thread(target=printed.extend, args=(process.stderr or (),))
        drain.start()
        for line in process.stdout or ():
            message = json.loads(line)
            if "outcome" in message:
                outcome = Outcome.from_json(message["outcome"])
            elif progress:
                progress(stack, message["progress"])
        drain.join()
    return outcome or Outcome(stack, errors=["".join(printed).strip() or "the process of the operation died"])


def local_model(found: Sequence[Node]) -> Path:
    """Path of the lab's own chat model in the GPU node's model folder, where a user would put one too."""
    return next(node for node in found if node.role == "gpu").data_root / "models" / tiny_model.NAME


def lab_config(node: Node) -> dict[str, Any]:
    """What a stack is told in the lab. The program knows no other difference."""
    models = {"agentic-mesh:models": {"chat": str(local_model(nodes(node.folder)))}} if "vllm" in chosen() else {}
    return {
        **models,
        "agentic-mesh:node": node.name,
        "agentic-mesh:dockerHost": node.host,
        "agentic-mesh:dataRoot": str(node.data_root),
        "agentic-mesh:allowUnencryptedData": True,
        "agentic-mesh:allowSmallHost": True,
        "agentic-mesh:hostCpus": os.cpu_count(),
        "agentic-mesh:gpuMemoryGib": 24,
        "agentic-mesh:domain": DOMAIN,
        "agentic-mesh:publicAddress": PUBLIC_ADDRESS,
        "pulumi:disable-default-providers": ["*"],
    }
