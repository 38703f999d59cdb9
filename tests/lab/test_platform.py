"""Both nodes are up: every pod answers its probe through its sidecar, and a second `up` finds nothing to do."""

import json
import subprocess

import pytest

from lab import status
from lab.docker_containers import devices_file
from render.envoy.parts import HEALTH_PORT
from tests.lab.mesh import PREFIX, Mesh
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.model import Service
from topology.nodes import NODES

pytestmark = [pytest.mark.lab, pytest.mark.engine]

GRAPH = Graph(SERVICES, NODES)
PODS = [(node.name, service) for node in NODES for service in GRAPH.on(node.name)]


def status_of(mesh: Mesh, node: str, container: str, url: str) -> str:
    """What a request gets that is sent from where a container is."""
    process = mesh.docker(node).inspect_container(f"{PREFIX}-{container}")["State"]["Pid"]
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", url]
    inside = ["nsenter", f"--net=/proc/{process}/ns/net", *command]
    return subprocess.run(inside, capture_output=True, text=True, check=False).stdout


def test_a_second_up_changes_nothing(mesh: Mesh) -> None:
    before = {name: mesh.identities(name) for name in mesh.names()}
    mesh.assert_nothing_to_do()
    assert {name: mesh.identities(name) for name in mesh.names()} == before


@pytest.mark.parametrize(("node", "service"), PODS, ids=[f"{node}-{service.name}" for node, service in PODS])
def test_every_service_answers_its_probe_through_its_sidecar(platform: Mesh, node: str, service: Service) -> None:
    proxy = f"{service.name}-proxy"
    assert status_of(platform, node, proxy, f"http://127.0.0.1:{HEALTH_PORT}/") == "200"
    if service.probe.path is not None:
        (network,) = (
            platform.docker(node).inspect_container(f"{PREFIX}-{service.name}")["NetworkSettings"]["Networks"].values()
        )
        asked = f"http://{network['IPAddress']}:{service.probe.port}{service.probe.path}"
        assert status_of(platform, node, proxy, asked) == "200"


def test_every_service_of_the_table_is_there_and_named_real_or_stand_in(mesh: Mesh) -> None:
    table = status.table(mesh.session.nodes)
    for node, service in PODS:
        (row,) = (line.split() for line in table.splitlines() if line.split()[:2] == [node, service.name])
        assert row[2] in ("real", "stand-in")
        assert row[3:5] == ["running", "healthy"]


def test_gpu_requests_reach_docker_as_declared(mesh: Mesh) -> None:
    """The lab has no card: what the create call would have said is recorded, and left out of the call."""
    node = mesh.node("thanos")
    recorded = json.loads(devices_file(mesh.session.folder, node.host).read_text())
    expected = {
        f"{PREFIX}-{service.name}": ["gpu", *service.gpu.capabilities] for service in GRAPH.on("thanos") if service.gpu
    } | {f"{PREFIX}-preflight-gpu": ["gpu", "utility"]}
    assert {"vllm", "embeddings", "whisper", "comfyui"} <= {name.removeprefix(f"{PREFIX}-") for name in expected}
    assert {name: request["Capabilities"] for name, (request,) in recorded.items()} == {
        name: [capabilities] for name, capabilities in expected.items()
    }
    for (request,) in recorded.values():
        assert (request["Driver"], request["DeviceIDs"], request["Count"]) == ("nvidia", ["0"], 0)
    assert not any(state["HostConfig"]["DeviceRequests"] for state in mesh.containers("thanos").values())
    assert not devices_file(mesh.session.folder, mesh.node("oracle1").host).exists() or not json.loads(
        devices_file(mesh.session.folder, mesh.node("oracle1").host).read_text()
    )
