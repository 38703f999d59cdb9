import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from engine.cli import find_pulumi
from engine.outcome import Outcome
from engine.planning import plan_providers, plan_stacks
from engine.toolchain import PULUMI, tool_path

MakeProject = Callable[..., Path]
Plan = Callable[[Path], list[Outcome]]


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The engine; building it takes minutes and is `make tools`' job."""
    if not tool_path(PULUMI).exists() and not shutil.which("pulumi"):
        pytest.skip("no engine on this machine; `make tools` builds it")
    return find_pulumi()


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with plan_providers() as found:
        yield dict(found)


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Writes a Pulumi project with the two stacks."""

    def make(program: str, *, policies: str | None = None, config: str = "config: {}") -> Path:
        project = tmp_path / "project"
        project.mkdir()
        (project / "Pulumi.yaml").write_text("name: agentic-mesh\nruntime: python\n")
        (project / "__main__.py").write_text(dedent(program))
        for stack in ("thanos", "oracle1"):
            (project / f"Pulumi.{stack}.yaml").write_text(config + "\n")
        if policies:
            (project / "policies").mkdir()
            (project / "policies" / "PulumiPolicy.yaml").write_text("runtime: python\n")
            (project / "policies" / "__main__.py").write_text(dedent(policies))
        return project

    return make


@pytest.fixture
def plan(pulumi: Path, tmp_path: Path) -> Plan:
    """Plans both stacks of a project on the real engine."""

    def run(project: Path) -> list[Outcome]:
        pack = project / "policies"
        outcomes, _ = plan_stacks(
            project,
            ["thanos", "oracle1"],
            pulumi,
            tmp_path / "preview",
            policy_pack=pack if pack.exists() else None,
        )
        return outcomes

    return run
