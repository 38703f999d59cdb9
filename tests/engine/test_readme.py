"""Runs the commands of README's "A real deployment" as written, in order, with the real engine.

Real are `pulumi login`, `stack init`, `config set` and what they leave behind, the passphrase, and the `up` that makes
the tailnet's policy and keys. What stands in:
- the state lies in a folder instead of a bucket;
- the program is an inline program of the Automation API, since the engine that is built here has no language host;
- providers are the lab's, by the engine's own option: the tailnet's API is a file;
- an `up` of a whole stack is a preview, since there are no two hosts;
- `make setup` and what runs as root on the hosts is not run here; `tests/unit/test_prepare_node*.py` do the latter.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import yaml

from engine.outcome import Outcome
from engine.root import CHECKOUT
from lab.providers import lab_providers
from lab.stacks import follow

pytestmark = pytest.mark.engine

SECTION: Final = re.compile(r"^## A real deployment\n(.*?)^## ", re.DOTALL | re.MULTILINE)
BLOCK: Final = re.compile(r"```console\n(.*?)```", re.DOTALL)
KEY: Final = "sk-of-nobody-0123456789abcdef"
CREDENTIALS: Final = ("TAILSCALE_API_KEY", "AWS_PROFILE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def commands() -> list[str]:
    """The commands in the page's order, without those that run as root on the hosts."""
    section = SECTION.search((CHECKOUT / "README.md").read_text())
    assert section
    lines = [line.strip() for block in BLOCK.findall(section[1]) for line in block.splitlines() if line.strip()]
    assert all(line.startswith(("$ ", "# ./prepare-node.sh ")) for line in lines), lines
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


@dataclass
class Person:
    """A user with a fresh checkout who runs the page's commands."""

    pulumi: Path
    folder: Path
    env: dict[str, str]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    def type(self, command: str) -> None:
        words = shlex.split(command, comments=True)
        match words:
            case ["make", target]:
                assert f"\n{target}:" in (CHECKOUT / "Makefile").read_text()
            case ["export", assignment]:
                self.export(*assignment.split("=", 1))
            case ["pulumi", "login", url]:
                assert url.startswith("s3://")
                self.run("login", (self.folder / "state").as_uri())
            case ["pulumi", "stack" | "config", *_]:
                self.run(*words[1:])
            case ["pulumi", "up" | "preview", *options]:
                self.operate(command, options)
            case _:
                pytest.fail(f"nobody has walked this yet: {command}")

    def export(self, name: str, value: str) -> None:
        if name.endswith("_FILE"):
            file = self.folder / Path(value).name
            file.write_text("a long random line\n")
            value = str(file)
        self.env[name] = value

    def run(self, *words: str) -> None:
        # A secret is typed when asked for.
        result = subprocess.run(
            [str(self.pulumi), *words, "--non-interactive"],
            cwd=self.checkout,
            env=self.env,
            input=KEY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"pulumi {' '.join(words)}: {result.stderr or result.stdout}"

    def operate(self, command: str, options: list[str]) -> None:
        missing = [name for name in CREDENTIALS if name not in self.env]
        assert not missing, f"{command}: the page has not said {missing} yet"
        stack = options[options.index("-s") + 1]
        targets = [options[index + 1] for index, word in enumerate(options) if word == "--target"]
        words = [sys.executable, "-m", "lab.up", "up" if targets else "preview", stack, f"--project={CHECKOUT}"]
        words += [f"--work-dir={self.checkout}", *(f"--target={target}" for target in targets)]
        process = subprocess.Popen(
            words, cwd=CHECKOUT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        outcome = follow(process, stack)
        assert outcome.errors == [], command
        self.outcomes[command] = outcome

    def config(self, stack: str) -> Mapping[str, object]:
        content: dict[str, object] = yaml.safe_load((self.checkout / f"Pulumi.{stack}.yaml").read_text())
        return content


@pytest.fixture
def person(pulumi: Path, tmp_path: Path) -> Iterator[Person]:
    for name in ("state", "home", "checkout", "lab"):
        (tmp_path / name).mkdir()
    for name in ("Pulumi.yaml", "Pulumi.thanos.yaml", "Pulumi.oracle1.yaml"):
        shutil.copyfile(CHECKOUT / name, tmp_path / "checkout" / name)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AWS_", "TAILSCALE_"))}
    path = os.pathsep.join([str(pulumi.parent), str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    with lab_providers(tmp_path / "lab", {}, {}) as ports:
        yield Person(
            pulumi,
            tmp_path,
            {
                **{name: value for name, value in kept.items() if name not in ("CLAUDE_API_KEY", "OPENROUTER_API_KEY")},
                "PATH": path,
                "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true",
                "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{port}" for package, port in ports.items()),
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                "PULUMI_HOME": str(tmp_path / "home"),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
            },
        )


def test_the_page_names_every_step() -> None:
    typed = "\n".join(commands())
    for step in ("pulumi login ", "PULUMI_CONFIG_PASSPHRASE_FILE", "stack init thanos", "stack init oracle1"):
        assert step in typed


def test_the_page_is_walked(person: Person) -> None:
    for command in commands():
        person.type(command)

    for stack in ("thanos", "oracle1"):
        assert "encryptionsalt" in person.config(stack), "the passphrase seals the stack's secrets"
        assert KEY not in (person.checkout / f"Pulumi.{stack}.yaml").read_text()
    tailnet, thanos, oracle1 = person.outcomes.values()
    made = {step.kind for step in tailnet.changed if step.operation == "create"}
    assert {"tailscale:index/acl:Acl", "tailscale:index/tailnetKey:TailnetKey"} <= made
    assert not any(kind.startswith("docker:") for kind in made)
    assert len(thanos.containers) > 20
    assert len(oracle1.containers) > 20
    # thanos has its tailnet alone: what it shares is not there, and the plan says which command makes it.
    assert any("pulumi up --stack thanos" in warning for warning in oracle1.warnings)
