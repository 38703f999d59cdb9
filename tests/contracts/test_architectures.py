"""Our images are for amd64 and arm64, and only one of these can be built here. So the package index is asked: it must
have a wheel of all that is locked for both, with a hash that the lock allows. Nothing is downloaded but metadata.

LiteLLM's image is its publisher's, for both architectures.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

from topology.images import BUILDS

pytestmark = pytest.mark.contract

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.prefix) / "bin" / "uv"
# Older than the C library of any base here, so that what fits this fits them.
PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "aarch64": "aarch64-manylinux_2_28"}
UNREACHABLE = ("error sending request", "dns error", "Could not connect", "timed out", "Failed to fetch")
Wheels = dict[str, dict[str, str]]
"""Package -> the names of its wheels that fit -> SHA-256."""


def python_of(service: str) -> str:
    """The Python of the image."""
    found = re.search(r"library/python:(\d+\.\d+)\.", (ROOT / BUILDS[service] / "Dockerfile").read_text())
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index's answers, for this module alone: what it had another day proves nothing."""
    return tmp_path_factory.mktemp("cache")


def wheels(cache: Path, requirements: str, architecture: str, python: str) -> Wheels:
    """What the index has of exactly these packages for that architecture."""
    folder = Path(tempfile.mkdtemp(dir=cache))
    (folder / "requirements.txt").write_text(requirements)
    command = [str(UV), "pip", "compile", "--quiet", "--no-deps", "--no-build", "--cache-dir", str(cache / "uv")]
    command += ["--format", "pylock.toml", "--python-platform", PLATFORMS[architecture], "--python-version", python]
    # For a version that is not here it would otherwise fetch that Python; it resolves for it all the same.
    command += ["--no-python-downloads", "--python", sys.executable]
    command += ["--output-file", "pylock.toml", "requirements.txt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode and any(sign in done.stderr for sign in UNREACHABLE):
        pytest.skip(f"the package index cannot be reached: {done.stderr.strip().splitlines()[-1][:200]}")
    assert done.returncode == 0, done.stderr
    packages = tomllib.loads((folder / "pylock.toml").read_text())["packages"]
    return {
        package["name"]: {wheel["url"].rpartition("/")[2]: wheel["hashes"]["sha256"] for wheel in package["wheels"]}
        for package in packages
    }


def locked(requirements: str) -> dict[str, set[str]]:
    """Package -> the hashes that the lock allows, of all its versions."""
    found: dict[str, set[str]] = {}
    for entry in re.split(r"^(?=\S)", requirements, flags=re.MULTILINE):
        if "==" in entry:
            name = canonicalize_name(entry.partition("==")[0])
            found.setdefault(name, set()).update(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
    return found


def fits(file: str, architecture: str, python: str) -> bool:
    """Whether the wheel's name says so: looked at apart from what chose it."""
    # Wheels of the stable interface name the oldest Python that they are for.
    pythons = {"py3", *(f"cp3{minor}" for minor in range(2, int(python.partition(".")[2]) + 1))}
    return any(
        tag.interpreter in pythons
        and (tag.platform == "any" or re.fullmatch(f"(many)?linux.*_{architecture}", tag.platform))
        for tag in parse_wheel_filename(file)[3]
    )


def without_wheel(found: Wheels, allowed: Mapping[str, set[str]], architecture: str, python: str) -> list[str]:
    """Packages that an image could not have without a compiler, or not at all."""
    return [
        name
        for name, files in found.items()
        if not any(fits(file, architecture, python) and digest in allowed[name] for file, digest in files.items())
    ]


@pytest.mark.parametrize("architecture", sorted(PLATFORMS))
@pytest.mark.parametrize("service", sorted(BUILDS))
def test_all_that_is_locked_has_a_wheel(service: str, architecture: str, cache: Path) -> None:
    text = (ROOT / BUILDS[service] / "requirements.txt").read_text()
    python = python_of(service)
    found, allowed = wheels(cache, text, architecture, python), locked(text)
    unconditional = {
        canonicalize_name(line.split("==")[0]) for line in re.findall(r"^\S+==[^;\n]*\\$", text, re.MULTILINE)
    }
    assert unconditional <= found.keys() <= allowed.keys()
    assert without_wheel(found, allowed, architecture, python) == []


@pytest.mark.parametrize("architecture", sorted(PLATFORMS))
def test_a_hash_that_is_not_locked_is_noticed(architecture: str, cache: Path) -> None:
    text = (ROOT / BUILDS["interpreter"] / "requirements.txt").read_text()
    found, allowed = wheels(cache, text, architecture, "3.12"), locked(text)
    allowed["numpy"] -= set(found["numpy"].values())
    assert without_wheel(found, allowed, architecture, "3.12") == ["numpy"]


def test_wheels_of_one_architecture_do_not_fit_the_other(cache: Path) -> None:
    text = (ROOT / BUILDS["interpreter"] / "requirements.txt").read_text()
    found = wheels(cache, text, "x86_64", "3.12")
    missing = set(without_wheel(found, locked(text), "aarch64", "3.12"))
    assert {"numpy", "pandas", "matplotlib"} <= missing
    assert not missing & {"fastapi", "uvicorn"}


def test_a_package_that_has_to_be_built_is_noticed(cache: Path) -> None:
    with pytest.raises(AssertionError, match="docopt"):
        wheels(cache, f"docopt==0.6.2 --hash=sha256:{'0' * 64}\n", "aarch64", "3.12")
