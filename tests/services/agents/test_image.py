"""The image's recipe: what it is made of is pinned, and there is a wheel of all of it for both architectures."""

import re
import sys

import pytest

from tests.services.agents.conftest import SERVICE

DOCKERFILE = (SERVICE / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-test.txt"])
def test_every_requirement_is_pinned_and_hashed_and_names_no_index(name: str) -> None:
    text = (SERVICE / name).read_text()
    packages = [line for line in text.splitlines() if not line.startswith(" ")]
    assert all(re.match(r"[a-z0-9-]+==[0-9a-z.]+ .*\\$", line) for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text


def test_what_is_tested_is_what_the_image_has() -> None:
    def pinned(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==[0-9a-z.]+", (SERVICE / name).read_text(), re.MULTILINE))

    assert pinned("requirements.txt") <= pinned("requirements-test.txt")


def test_the_base_is_pinned_and_the_last_stage_is_without_root() -> None:
    assert re.search(r"^ARG BASE=\S+:3\.12\.\d+-slim-trixie@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert len(stages) == 2
    assert all(stage.startswith("${BASE}") for stage in stages)
    assert re.search(r"^USER 1000:1000$", stages[-1], re.MULTILINE)


def test_the_service_imports_nothing_that_the_image_lacks() -> None:
    """Everything outside the standard library is among the requirements by its own name."""
    known = {"fastapi", "starlette", "redis", "psycopg_pool", "langchain_core"}  # the latter come with the others
    named = {
        re.split(r"[=\[]", line)[0].replace("-", "_")
        for line in (SERVICE / "requirements.in").read_text().splitlines()
        if not line.startswith("#")
    }
    imported = {
        found[1]
        for path in (SERVICE / "mesh_agents").rglob("*.py")
        for found in re.finditer(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
    }
    packages = {"PIL": "pillow"}  # modules that are named otherwise than what is installed
    outside = {packages.get(name, name) for name in imported - set(sys.stdlib_module_names) - {"mesh_agents"}}
    assert outside - known <= named
