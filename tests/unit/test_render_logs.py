"""How the log store and the shippers are started, and what of logs and metrics is backed up."""

import json
from typing import Any

import pytest

from render.logs import CONTAINER_LABELS, STREAM_FIELDS, shipper_command, store_command
from settings import SettingsError
from tests.unit.program import Program, labels
from tests.unit.samples import graph_of, settings
from topology.images import IMAGES
from topology.model import Instance
from topology.routes import route

GRAPH = graph_of("oracle1")
STORE = GRAPH.service("victorialogs")


def flags(command: list[str]) -> dict[str, str]:
    """Name -> value; each is given once."""
    pairs = [argument.removeprefix("-").partition("=")[::2] for argument in command]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_logs_are_kept_for_a_month_and_never_fill_the_disk() -> None:
    found = flags(store_command(settings().logs))
    assert found["retentionPeriod"] == "31d"
    assert found["retention.maxDiskSpaceUsageBytes"] == "10GiB"
    assert found["storage.minFreeDiskSpaceBytes"] == "1GiB"
    assert found["storageDataPath"] == STORE.volumes[0].path
    assert found["httpListenAddr"] == f"0.0.0.0:{STORE.probe.port}"


def test_settings_say_how_much_is_kept() -> None:
    found = flags(store_command(settings(logs={"retentionDays": 90, "maxDiskGib": 40}).logs))
    assert (found["retentionPeriod"], found["retention.maxDiskSpaceUsageBytes"]) == ("90d", "40GiB")


@pytest.mark.parametrize("wrong", [{"retentionDays": 0}, {"maxDiskGib": 0.5}, {"days": 31}, "31d"])
def test_a_wrong_setting_of_logs_is_named(wrong: Any) -> None:
    with pytest.raises(SettingsError, match="logs"):
        settings(logs=wrong)


def test_a_web_page_that_an_operator_has_open_reads_no_logs() -> None:
    assert "http.disableCORS" in flags(store_command(settings().logs))


def test_whoever_may_read_logs_writes_none() -> None:
    """The store itself has no keys: its proxy tells readers from writers by port."""
    assert [port.routes for port in STORE.ports] == [("GET,POST /select/",), ("POST /insert/native",)]
    assert [port.direct for port in STORE.ports] == [True, False]
    inbound = [edge for edge in GRAPH.inbound(Instance("victorialogs", "oracle1")) if edge.port == "ingest"]
    assert {edge.caller.service for edge in inbound} == {"log-shipper"}
    assert not [edge for edge in GRAPH.inbound(Instance("victorialogs", "oracle1")) if edge.port == "api"]


@pytest.mark.parametrize("program", ["thanos", "oracle1"], indirect=True)
def test_a_shipper_pushes_where_it_may_and_names_its_node(program: Program) -> None:
    found = flags(program.app("log-shipper").inputs["command"])
    [edge] = [e for e in GRAPH.outbound(Instance("log-shipper", program.stack)) if e.callee.service == "victorialogs"]
    [entry] = edge.routes
    assert found["remoteWrite.url"] == f"http://victorialogs:{edge.number}{route(entry).path}"
    assert json.loads(found["fileCollector.extraFields"]) == {"node": program.stack}
    assert found["tmpDataPath"] == GRAPH.service("log-shipper").volumes[0].path
    assert found["httpListenAddr"].endswith(f":{GRAPH.service('log-shipper').probe.port}")


def test_a_shipper_takes_logs_from_files_alone() -> None:
    assert "insert.disable" in flags(shipper_command("thanos", "http://store"))


def test_streams_are_told_apart_by_what_docker_writes(program: Program) -> None:
    """A stream of logs must outlive its container, and no app may choose what it is called."""
    assert STREAM_FIELDS == ("node", "attrs.agentic-mesh.service", "attrs.agentic-mesh.part", "stream")
    for container in program.running:
        assert container.inputs["logOpts"]["labels"] == ",".join(CONTAINER_LABELS)
        have = {label["label"] for label in container.inputs["labels"]}
        assert set(CONTAINER_LABELS) <= have, labels(container)
    found = flags(shipper_command("thanos", "http://store"))
    assert (found["fileCollector.fileField"], found["fileCollector.hostnameField"]) == ("", "")


def test_store_and_shipper_are_of_one_version() -> None:
    assert IMAGES["victorialogs"].tag == IMAGES["vlagent"].tag


def test_metrics_and_logs_are_backed_up_where_somebody_asks_for_it() -> None:
    def telemetry(**config: Any) -> set[str]:
        graph = graph_of("oracle1", **config)
        seen = {read.service for read in graph.reads(graph.service("backup"), "oracle1")}
        assert {"n8n", "redis", "grafana", "alertmanager"} <= seen
        return seen & {"prometheus", "victorialogs"}

    assert telemetry() == set()
    assert telemetry(backup={"telemetry": True}) == {"prometheus", "victorialogs"}
