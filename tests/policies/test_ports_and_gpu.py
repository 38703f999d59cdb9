"""Published ports, GPUs and the sandbox."""

from typing import Any

import pytest

from policies import gpu, ports
from policies.subject import CONTAINER
from policies.values import UNKNOWN, ResourceRule
from tests.policies.samples import container, gateway

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what the rule is about


def found(rule: ResourceRule, props: dict[str, Any]) -> list[str]:
    return list(rule(CONTAINER, props))


class TestPublishedPorts:
    @pytest.mark.parametrize(
        ("port", "what"),
        [
            ({"external": 8000.0}, "published on every address"),
            ({"external": 8000.0, "ip": ""}, "published on every address"),
            ({"external": 8000.0, "ip": UNKNOWN}, "not known"),
            ({"external": 8000.0, "ip": EVERYWHERE}, "not of the tailnet"),
            ({"external": 8000.0, "ip": "192.168.1.2"}, "not of the tailnet"),
            ({"external": 8000.0, "ip": "100.64.1.1"}, "oracle1 has 100.64.1.2"),
            ({"external": 443.0}, "published on every address"),
        ],
    )
    def test_gateways_bind_their_own_tailnet_address(self, port: dict[str, Any], what: str) -> None:
        messages = found(ports.published_ports, gateway(ports=[port]))
        assert len(messages) == 1
        assert what in messages[0]

    def test_the_public_port_is_for_the_edge_s_node(self) -> None:
        public = [{"external": 443.0, "ip": "203.0.113.1"}]
        assert not found(ports.published_ports, gateway("oracle1", ports=public))
        assert found(ports.published_ports, gateway("thanos", ports=public))

    def test_probes_publish_on_the_tailnet_only(self) -> None:
        on_tailnet = [{"external": 15099.0, "ip": "100.127.255.254"}]
        assert not found(ports.published_ports, container("preflight", "preflight", ports=on_tailnet))
        for address in (EVERYWHERE, "no-address"):
            port = {"external": 443.0, "ip": address}
            assert found(ports.published_ports, container("preflight", "preflight", ports=[port]))


class TestGpu:
    request = ({"driver": "nvidia", "deviceIds": ["0"]},)

    def test_gpu_services_may_ask(self) -> None:
        assert not found(gpu.gpu_for_gpu_services, container("app", "vllm", "thanos", deviceRequests=[*self.request]))

    def test_their_proxies_may_not(self) -> None:
        assert found(gpu.gpu_for_gpu_services, container("proxy", "vllm", "thanos", deviceRequests=[*self.request]))

    def test_a_probe_asks_for_the_card(self) -> None:
        assert not found(gpu.gpu_for_gpu_services, container("preflight", "preflight", deviceRequests=[*self.request]))

    def test_switched_off_is_no_request(self) -> None:
        assert not found(gpu.gpu_for_gpu_services, container(envs=["NVIDIA_VISIBLE_DEVICES=void"]))

    @pytest.mark.parametrize("runtime", [None, "runc", UNKNOWN])
    def test_the_interpreter_runs_under_gvisor(self, runtime: Any) -> None:
        assert not found(gpu.sandboxed, container("app", "interpreter", "thanos", runtime="runsc"))
        messages = found(gpu.sandboxed, container("app", "interpreter", "thanos", runtime=runtime))
        assert len(messages) == 1
        assert 'runtime="runsc"' in messages[0]
