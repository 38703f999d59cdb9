"""Every rendered configuration of every instance, sidecars and gateways, is one that the real Envoy takes."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from render.envoy import gateway_config, sidecar_config
from render.envoy.parts import CONFIG_DIR
from tests.contracts.conftest import certificate
from tests.unit.samples import FOUR, NETWORKS, ORACLE1, THANOS, gateways, graph_of, pods
from topology.catalog import SERVICES
from topology.graph import Graph, with_ports

pytestmark = pytest.mark.contract
WORKERS = 2
EVERYTHING = {
    "n8nHosts": ["api.example.com"],
    "alerts": {"email": "you@example.com", "smtpHost": "mail.example.com"},
    "alertWebhook": "https://mail.example.com/x",
}


def of_node(graph: Graph, node: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and configuration of each proxy of a node."""
    for instance in pods(graph):
        if instance.node == node:
            yield instance.host, sidecar_config(graph, NETWORKS, instance)
    for gateway in gateways(graph):
        if gateway.node == node:
            yield gateway.host, gateway_config(graph, NETWORKS, node)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the folder that a proxy's certificate is in."""
    made = tmp_path_factory.mktemp("proxy")
    certificate(made / "tls")
    return made


def refusal(envoy: str, folder: Path, name: str, config: dict[str, Any]) -> str:
    """What Envoy has against a configuration; nothing: it takes it."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(config).replace(f'"{CONFIG_DIR}/', f'"{folder}/'))
    done = subprocess.run(
        [envoy, "--mode", "validate", "-c", str(file), "--log-level", "warning"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = done.stdout + done.stderr
    # A warning is how Envoy says that a field will be gone in a later version.
    return f"{name}: {said[-600:]}" if done.returncode or "[warning]" in said else ""


def refusals(envoy: str, folder: Path, configs: list[tuple[str, dict[str, Any]]]) -> list[str]:
    with ThreadPoolExecutor(WORKERS) as pool:
        return [said for said in pool.map(lambda pair: refusal(envoy, folder, *pair), configs) if said]


@pytest.mark.parametrize(("node", "proxies"), [("thanos", 14), ("oracle1", 23)])
def test_envoy_takes_every_configuration_of_a_node(envoy: str, folder: Path, node: str, proxies: int) -> None:
    configs = list(of_node(graph_of(node, **EVERYTHING), node))
    assert len(configs) == proxies
    assert refusals(envoy, folder, configs) == []


def test_envoy_takes_those_of_more_nodes_fewer_nodes_and_other_ports(envoy: str, folder: Path) -> None:
    """The proxies that differ: gateways, Prometheus and a caller of services with several instances."""
    wide = Graph(SERVICES, FOUR)
    configs = [
        (f"wide-{name}", config) for name, config in of_node(wide, "oracle2") if name.startswith(("g", "a", "p"))
    ]
    moved = Graph(with_ports(SERVICES, {"vllm": 18000, "kong": 18001}), (THANOS, ORACLE1))
    for name, graph in (
        ("moved", moved),
        ("gpu", Graph(SERVICES, (THANOS,))),
        ("control", Graph(SERVICES, (ORACLE1,))),
    ):
        configs += [(f"{name}-{g.host}", gateway_config(graph, NETWORKS, g.node)) for g in gateways(graph)]
    assert refusals(envoy, folder, configs) == []


def test_envoy_refuses_what_is_wrong(envoy: str, folder: Path) -> None:
    """So that the tests above mean something."""
    [config] = [config for name, config in of_node(graph_of("oracle1"), "oracle1") if name == "kong.oracle1"]
    listener = config["static_resources"]["listeners"][0]
    assert "no_such_field" in refusal(envoy, folder, "typo", {**config, "no_such_field": 1})
    wrong = {**config, "static_resources": {"listeners": [{**listener, "address": {}}], "clusters": []}}
    assert refusal(envoy, folder, "no-address", wrong)
