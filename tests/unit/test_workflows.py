"""The workflows: linted, pinned, with no way from a fork's code to a secret; and Renovate's view of the images."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.toolchain import ACTIONLINT, tool_path
from topology.images import IMAGES

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
UNPINNED_AND_SAID_SO = re.compile(r"uses: [\w.-]+/[\w./-]+@v[\d.]+ # \S+.*commit unknown")


def load(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text())
    return loaded


def jobs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from load(path)["jobs"].items()


def triggers(path: Path) -> set[str]:
    # YAML 1.1 reads the key `on` as true.
    on = load(path)[True]
    return {on} if isinstance(on, str) else set(on)


def workflow(wanted: str) -> Path:
    return next(path for path in WORKFLOWS if path.name == wanted)


def test_both_workflows_are_there() -> None:
    assert [path.name for path in WORKFLOWS] == ["deploy.yml", "preview.yml"]


def test_zizmor_finds_nothing() -> None:
    zizmor = shutil.which("zizmor", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if zizmor is None:
        assert not os.environ.get("CI"), "CI needs zizmor: make setup"
        pytest.skip("zizmor is not installed: make setup")
    result = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--color=never", str(WORKFLOWS[0].parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_actionlint_finds_nothing() -> None:
    built = tool_path(ACTIONLINT)
    actionlint = str(built) if built.exists() else shutil.which("actionlint")
    if actionlint is None:
        assert not os.environ.get("CI"), "CI needs actionlint: make tools"
        pytest.skip("actionlint is not built: make tools")
    result = subprocess.run(
        [actionlint, "-no-color", *map(str, WORKFLOWS)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    uses = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses:" in line]
    assert uses
    loose = [line for line in uses if not PINNED.match(line) and not UNPINNED_AND_SAID_SO.match(line)]
    assert loose == []


def test_one_action_has_one_version() -> None:
    found: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, version in re.findall(r"uses: (\S+)@(\S+)", path.read_text()):
            found.setdefault(action, set()).add(version)
    assert {action: versions for action, versions in found.items() if len(versions) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_states_its_rights_and_its_time(path: Path) -> None:
    assert load(path)["permissions"] == {}
    for name, job in jobs(path):
        assert "permissions" in job, name
        assert 0 < job["timeout-minutes"] <= 180, name
        assert not str(job["runs-on"]).endswith("-latest"), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_checkout_leaves_its_token_behind(path: Path) -> None:
    for name, job in jobs(path):
        for step in job["steps"]:
            if str(step.get("uses", "")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_scripts_take_values_from_their_environment_alone(path: Path) -> None:
    for name, job in jobs(path):
        for step in job["steps"]:
            script = step.get("run", "") + step.get("with", {}).get("script", "")
            assert "${{" not in script, name


def test_code_of_a_pull_request_meets_no_secret_unasked() -> None:
    preview = workflow("preview.yml")
    assert triggers(preview) == {"pull_request"}
    for name, job in jobs(preview):
        if "secrets." not in json.dumps(job):
            continue
        assert job["environment"] == "preview", name
        assert "head.repo.full_name == github.repository" in job["if"], name


def test_a_token_that_writes_never_meets_code_of_a_pull_request() -> None:
    for name, job in jobs(workflow("preview.yml")):
        if "write" in {right for kind, right in job["permissions"].items() if kind != "id-token"}:
            steps = json.dumps(job["steps"])
            assert "actions/checkout" not in steps, name
            assert '"run"' not in steps, name


def test_deploys_go_in_order_and_never_together() -> None:
    deploy = load(workflow("deploy.yml"))["jobs"]["deploy"]
    ups = [step["run"] for step in deploy["steps"] if "pulumi up" in step.get("run", "")]
    assert [re.findall(r"--stack (\S+)", up) for up in ups] == [["thanos"], ["oracle1"]]
    assert all("--policy-pack policies" in up for up in ups)
    assert deploy["concurrency"] == {"group": "nodes", "cancel-in-progress": False}
    assert deploy["environment"] == "nodes"


def test_the_schedule_deploys_what_was_approved() -> None:
    path = workflow("deploy.yml")
    assert {"push", "schedule", "workflow_dispatch"} == triggers(path)
    named = load(path)["jobs"]
    assert named["approve"]["environment"] == "production"
    assert "secrets." not in json.dumps(named["approve"])
    assert named["deploy"]["steps"][0]["with"]["ref"] == "${{ needs.revision.outputs.sha }}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_runner_joins_under_its_own_tag(path: Path) -> None:
    joins = [s for _, job in jobs(path) for s in job["steps"] if "tailscale/" in str(s.get("uses", ""))]
    assert joins
    assert {step["with"]["tags"] for step in joins} == {"tag:agentic-mesh-ci"}


def test_the_version_of_the_engine_is_found() -> None:
    step = next(s for s in load(workflow("deploy.yml"))["jobs"]["deploy"]["steps"] if s.get("id") == "engine")
    script = step["run"].replace('>>"$GITHUB_OUTPUT"', "")
    found = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"version=3\.\d+\.\d+\n", found)


def renovate() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "renovate.json").read_text())
    return loaded


def python_regex(pattern: str) -> re.Pattern[str]:
    """A JavaScript pattern as Python writes it: named groups differ."""
    return re.compile(pattern.replace("(?<", "(?P<"))


def test_renovate_sees_every_image() -> None:
    [manager] = renovate()["customManagers"]
    [pattern] = manager["matchStrings"]
    text = (ROOT / "topology" / "images.py").read_text().partition("IMAGES: Final")[2]
    found = [match.groupdict() for match in python_regex(pattern).finditer(text)]
    seen = {(f["depName"], f["currentValue"], f["currentDigest"]) for f in found}
    assert seen == {(image.repository, image.tag, image.digest) for image in IMAGES.values()}


def test_renovate_reads_the_tags_of_unusual_images() -> None:
    rules = {
        name: rule["versioning"].removeprefix("regex:")
        for rule in renovate()["packageRules"]
        if "versioning" in rule
        for name in rule["matchPackageNames"]
    }
    unread = [
        image.reference
        for image in IMAGES.values()
        if image.repository in rules and not python_regex(rules[image.repository]).match(image.tag)
    ]
    assert unread == []
    assert rules.keys() <= {image.repository for image in IMAGES.values()}


def test_renovate_names_images_that_there_are() -> None:
    named = {
        name
        for rule in renovate()["packageRules"]
        for name in rule.get("matchPackageNames", [])
        if re.match(r"(docker\.io|ghcr\.io|quay\.io|nvcr\.io)/", name)
    }
    assert named <= {image.repository for image in IMAGES.values()}
