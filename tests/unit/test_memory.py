"""What the containers of a node may use fits its host, and a plan for one that is too small is refused."""

import re
from pathlib import Path
from typing import Final

import pytest

from settings import SettingsError
from settings.graph import planned_graph
from settings.memory import check_memory, memory_of
from tests.unit.program import Program
from tests.unit.samples import graph_of, settings
from topology.catalog import SERVICES
from topology.memory import CONTAINER_MIB, GATEWAY_MIB, PROXY_MIB, SYSTEM_MIB, needed_mib

ROOT: Final = Path(__file__).parents[2]
HOSTS: Final = {"thanos": 64, "oracle1": 24}
"""GiB of memory of the hosts that the defaults are for."""


@pytest.mark.parametrize("stack", HOSTS)
def test_the_defaults_fit_the_two_hosts(stack: str) -> None:
    read = settings(stack)
    assert read.host_memory_gib == HOSTS[stack]
    services = planned_graph(read).on(stack)
    check_memory(read, services)
    assert memory_of(read, services).endswith(f" of {HOSTS[stack]} GiB")


@pytest.mark.parametrize("stack", HOSTS)
def test_what_is_counted_is_what_the_program_makes(stack: str) -> None:
    program = Program(stack)
    limits = [c.inputs["memory"] for c in program.running if "preflight" not in c.inputs["name"]]
    services = graph_of(stack).on(stack)
    assert needed_mib(services) == sum(limits) + SYSTEM_MIB + len(limits) * CONTAINER_MIB
    assert {GATEWAY_MIB, PROXY_MIB} <= set(limits)


def test_a_host_that_is_too_small_is_refused_before_any_resource() -> None:
    read = settings("oracle1", hostMemoryGib=16)
    with pytest.raises(SettingsError) as error:
        check_memory(read, planned_graph(read).on("oracle1"))
    message = str(error.value)
    needed = needed_mib(planned_graph(read).on("oracle1")) / 1024
    assert "agentic-mesh:hostMemoryGib is 16" in message
    assert f"Allowed: {needed:.1f} GiB or more" in message
    assert "pulumi config set --path 'agentic-mesh:memoryMib." in message
    offered = re.search(r"hostMemoryGib' '(\d+)' --stack oracle1", message)
    assert offered is not None
    enough = settings("oracle1", hostMemoryGib=offered[1])
    check_memory(enough, planned_graph(enough).on("oracle1"))


def test_the_whole_program_stops_there() -> None:
    with pytest.raises(SystemExit):
        Program("thanos", hostMemoryGib=32)


def test_the_preflight_compares_it_with_the_host() -> None:
    def script(**config: bool) -> str:
        [probe] = [c for c in Program("thanos", **config).running if c.inputs["name"].endswith("preflight-host")]
        return str(probe.inputs["command"][2])

    assert "the plan counts on 64 GiB" in script()
    # The lab's two nodes are on one machine.
    assert "MemTotal" not in script(allowSmallHost=True)


def test_a_limit_of_the_settings_is_the_container_s() -> None:
    program = Program("oracle1", memoryMib={"qdrant-replica": 1024}, hostMemoryGib=24)
    assert program.app("qdrant-replica").inputs["memory"] == 1024
    assert program.app("redis").inputs["memory"] != 1024


GRACE: Final = {
    "backup": ("services/backup/backup/process.py", "GRACE_SECONDS"),
    "agents": ("services/agents/mesh_agents/__main__.py", "_GRACE_SECONDS"),
}
"""Where our own services say how long they wait for their children when they are stopped."""


@pytest.mark.parametrize("service", GRACE)
def test_a_service_is_given_more_time_to_stop_than_it_gives_its_children(service: str) -> None:
    path, name = GRACE[service]
    found = re.search(rf"^{name}: Final = ([\d.]+)$", (ROOT / path).read_text(), re.MULTILINE)
    assert found is not None
    [row] = [s for s in SERVICES if s.name == service]
    assert row.stop_seconds >= float(found[1]) + 5


@pytest.mark.parametrize("stack", HOSTS)
def test_docker_and_the_provider_wait_as_long_as_the_service_needs(stack: str) -> None:
    program = Program(stack)
    for service in graph_of(stack).on(stack):
        inputs = program.app(service.name).inputs
        assert (inputs["stopTimeout"], inputs["destroyGraceSeconds"]) == (service.stop_seconds, service.stop_seconds)
        assert service.stop_seconds >= 30
        assert service.start_seconds >= 300


def test_an_up_says_which_answer_each_pod_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.info", lambda text, **_: said.append(text))
    Program("thanos")
    assert len(said) == len(graph_of("thanos").on("thanos"))
    assert "waits until vllm answers at /health on port 8000, 30 minutes at most" in said
    said.clear()
    Program("thanos", preview=True)
    assert said == []
