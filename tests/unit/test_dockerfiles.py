"""The recipes of the images that we build: pinned, in stages, for any architecture, as their services run them."""

import json
import re
from pathlib import Path

import pytest

from topology.catalog import SERVICES
from topology.images import BUILDS
from topology.model import Rule

ROOT = Path(__file__).resolve().parents[2]
# Debian's archive keeps the newest version alone, so its packages have no version here.
FROM_DEBIAN = {"backup": {"ca-certificates", "restic", "${POSTGRES_CLIENT}"}}
PINNED = re.compile(r"docker\.io/library/python:3\.12\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}")

each = pytest.mark.parametrize("service", sorted(BUILDS))


def instructions(service: str) -> list[tuple[str, str]]:
    """Instruction and argument, lines put together, without comments."""
    text = (ROOT / BUILDS[service] / "Dockerfile").read_text()
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = re.sub(r"\\\n\s*", " ", bare).splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]


def arguments(service: str, name: str) -> list[str]:
    return [argument for instruction, argument in instructions(service) if instruction == name]


@each
def test_stages_and_their_base(service: str) -> None:
    given = dict(argument.split("=", 1) for argument in arguments(service, "ARG"))
    bases = [re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], base) for base in arguments(service, "FROM")]
    assert len(bases) == 2
    assert all(PINNED.fullmatch(base.partition(" AS ")[0]) for base in bases)
    assert bases[0].partition(" AS ")[0] == bases[1].partition(" AS ")[0]


@each
def test_no_architecture_is_named(service: str) -> None:
    for instruction, argument in instructions(service):
        assert not re.search(r"amd64|x86|arm64|aarch64|--platform|TARGETARCH", argument), (instruction, argument)


@each
def test_packages_come_by_hash_and_built_by_others(service: str) -> None:
    installs = [command for command in arguments(service, "RUN") if re.search(r"\bpip\b.* install\b", command)]
    assert len(installs) == 1
    for option in ("--require-hashes", "--only-binary=:all:", "-r "):
        assert option in installs[0]
    debian = {
        word
        for command in arguments(service, "RUN")
        for found in re.finditer(r"apt-get install ([^&]*)", command)
        for word in found[1].replace('"', "").split()
        if not word.startswith("-")
    }
    assert debian == FROM_DEBIAN.get(service, set())


@each
def test_nothing_else_comes_from_outside(service: str) -> None:
    assert arguments(service, "ADD") == []
    assert not re.search(r"curl|wget|git clone|https?://", " ".join(arguments(service, "RUN")))
    folder = ROOT / BUILDS[service]
    for argument in arguments(service, "COPY"):
        if not argument.startswith("--from="):
            source = argument.split()[0]
            assert (folder / source).exists(), source


@each
def test_the_context_is_what_the_recipe_copies(service: str) -> None:
    lines = (ROOT / BUILDS[service] / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    let_in = {line[1:].partition("/")[0] for line in lines if line.startswith("!")}
    copied = {one.split()[0] for one in arguments(service, "COPY") if not one.startswith("--from=")}
    assert let_in == copied


@each
def test_it_starts_as_its_service_runs_it(service: str) -> None:
    """Without root, but where the service table states a reason."""
    users = arguments(service, "USER")
    assert len(users) == 1
    (run,) = (one for one in SERVICES if one.image == service)
    assert users[0] == run.user
    assert bool(run.waived(Rule.NON_ROOT)) == run.user.startswith("0:")
    for entry in (*arguments(service, "ENTRYPOINT"), *arguments(service, "CMD")):
        assert isinstance(json.loads(entry), list)  # no shell between the container's init and it
