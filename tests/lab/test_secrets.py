"""No secret is to be read in plain text where it has no business: state, engine output, Docker's own records, logs."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from lab.stacks import KEYS
from tests.lab.mesh import Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine]

PRIVATE = re.compile(r"-----BEGIN (?:EC )?PRIVATE KEY-----\n(.+?)\n-----END", re.DOTALL)


def strings(value: Any) -> Iterator[str]:
    """Every string in a structure."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@pytest.fixture(scope="module")
def known(platform: Mesh) -> dict[str, str]:
    """Everything that is secret, by a name that may be shown: passwords, keys of APIs, a line of each private key."""
    found = dict(KEYS)
    for stack in platform.names():
        found |= {f"{stack}: {name}": value for name, value in platform.passwords(stack).items()}
        for resource in platform.resources(stack):
            name = resource["urn"].split("::")[-1]
            if resource["type"] == "aws:iam/accessKey:AccessKey":
                found[f"{stack}: {name}"] = resource["outputs"]["secret"]
            if resource["type"] == "tailscale:index/tailnetKey:TailnetKey":
                found[f"{stack}: {name}"] = resource["outputs"]["key"]
            for key in PRIVATE.findall("\n".join(strings(resource.get("outputs", {})))):
                found[f"{stack}: {name}"] = key.splitlines()[0]
    assert len(found) > 90, "certificates of all pods, passwords of all services"
    assert all(len(value) >= 24 for value in found.values()), [n for n, v in found.items() if len(v) < 24]
    return found


def leaks(known: dict[str, str], texts: Iterable[tuple[str, str]]) -> list[str]:
    """Which secret stands where."""
    return [f"{name} in {where}" for where, text in texts for name, value in known.items() if value in text]


def test_the_search_finds_what_is_there(known: dict[str, str]) -> None:
    name, value = next(iter(known.items()))
    assert leaks(known, [("a file", f"password={value}")]) == [f"{name} in a file"]


def test_state_and_its_history_hold_none(mesh: Mesh, known: dict[str, str]) -> None:
    files = [path for path in mesh.stacks.folder.rglob("*") if path.is_file()]
    assert any(path.name == "oracle1.json" for path in files)
    assert not leaks(known, ((str(p.relative_to(mesh.stacks.folder)), p.read_text(errors="replace")) for p in files))


def test_engine_output_holds_none(mesh: Mesh, known: dict[str, str]) -> None:
    """A plan that shows in full how each secret's readers would change."""
    epoch = mesh.setting("oracle1", "secretsEpoch") or 1
    log = mesh.stacks.work_dir / "oracle1.log"
    begin = log.stat().st_size
    mesh.configure("oracle1", secretsEpoch=int(epoch) + 1)
    try:
        (outcome,) = mesh.operate("preview", "oracle1")
    finally:
        mesh.configure("oracle1", secretsEpoch=epoch)
    assert outcome.operations["replace"] > 40
    with log.open(encoding="utf-8") as file:
        file.seek(begin)
        printed = file.read()
    assert "redis-admin-password" in printed
    assert "[secret]" in printed
    assert not leaks(known, [("the engine's output", printed), ("its events", json.dumps(outcome.to_json()))])


def test_docker_shows_none(mesh: Mesh, known: dict[str, str]) -> None:
    """Arguments, environment, labels: what everybody who may ask Docker can read."""
    described = [
        (f"{node}/{name}", json.dumps(state)) for node in mesh.names() for name, state in mesh.containers(node).items()
    ]
    for node in mesh.names():
        volumes, networks = mesh.docker(node).volumes()["Volumes"], mesh.docker(node).networks()
        assert mesh.declared(node, "Container") <= mesh.containers(node).keys()
        assert mesh.declared(node, "Volume") <= {volume["Name"] for volume in volumes}
        assert mesh.declared(node, "Network") <= {network["Name"] for network in networks}
        described += [(f"{node} volumes", json.dumps(volumes)), (f"{node} networks", json.dumps(networks))]
    assert not leaks(known, described)


def test_processes_show_none(mesh: Mesh, known: dict[str, str]) -> None:
    """Arguments of every process in the containers, which every user of a host can read."""
    tops = []
    for node in mesh.names():
        for name, state in mesh.containers(node).items():
            if state["State"]["Running"]:
                tops.append(
                    (f"{node}/{name}", json.dumps(mesh.docker(node).top(name, "-eww -o pid,args")["Processes"]))
                )
    assert len(tops) > 60
    assert not leaks(known, tops)


def test_logs_hold_none(mesh: Mesh, known: dict[str, str]) -> None:
    logs = [
        (f"{node}/{name}", bytes(mesh.docker(node).logs(name)).decode(errors="replace"))
        for node in mesh.names()
        for name, state in mesh.containers(node).items()
        if state["State"]["StartedAt"] > "0002"
    ]
    logs += [(path.name, path.read_text(errors="replace")) for path in mesh.session.folder.glob("*.log")]
    logs += [(str(path), path.read_text(errors="replace")) for path in mesh.session.folder.glob("*/*.log")]
    assert sum(len(text) for _, text in logs) > 100_000
    assert not leaks(known, logs)
