"""Configuration files of the other services, the start commands that carry secrets, and the preflight's script."""

import shutil
import subprocess
from pathlib import Path

import yaml

from render.edge import crowdsec_acquisition, crowdsec_local, edge_server
from render.entrypoint import with_secrets
from render.grafana import grafana_datasources
from render.logs import alloy_config, loki_config
from render.models import offline
from render.preflight import preflight_script
from tests.unit.samples import graph_of, settings
from topology.graph import Graph
from topology.model import Instance
from topology.routes import route

GRAPH = graph_of("oracle1")


def callees(graph: Graph, caller: str, node: str = "oracle1") -> set[str]:
    return {f"http://{e.callee.service}:{e.number}" for e in graph.outbound(Instance(caller, node))}


def test_without_hosts_to_download_from_nobody_tries() -> None:
    assert offline(settings("thanos", modelHub=[])) == {"HF_HUB_OFFLINE": "1"}
    assert offline(settings("thanos")) == {}


def test_grafana_asks_its_callees() -> None:
    sources = yaml.safe_load(grafana_datasources())["datasources"]
    assert {source["url"] for source in sources} == callees(GRAPH, "grafana")
    assert [source["name"] for source in sources if source.get("isDefault")] == ["Prometheus"]
    assert not any(source["editable"] for source in sources)


def test_logs_are_pushed_where_the_shipper_may_call_and_kept_for_a_month() -> None:
    text = alloy_config("oracle1")
    [push] = [route(entry).path for call in GRAPH.service("log-shipper").calls for entry in call.routes]
    assert f'url = "http://loki:3100{push}"' in text
    assert "http://loki:3100" in callees(GRAPH, "log-shipper")
    assert '"node" = "oracle1"' in text
    loki = yaml.safe_load(loki_config())
    assert loki["limits_config"]["retention_period"] == "744h"
    assert loki["compactor"]["retention_enabled"] is True
    assert loki["server"]["http_listen_port"] == GRAPH.service("loki").ports[0].number


def test_the_edge_hands_requests_to_kong_with_limits_and_the_true_client() -> None:
    text = edge_server("mesh.example.org", "10.231.0.163")
    assert "proxy_pass http://kong:8000;" in text
    assert "http://kong:8000" in callees(GRAPH, "edge")
    assert "set_real_ip_from 10.231.0.163;" in text
    assert "server_name mesh.example.org;" in text
    for limit in ("limit_req zone=", "limit_conn connections ", "client_max_body_size ", "client_header_timeout "):
        assert limit in text
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in text


def test_the_edge_keeps_no_header_that_a_client_forged() -> None:
    text = edge_server("mesh.example.org", "10.231.0.163")
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text
    assert "$proxy_add_x_forwarded_for" not in text


def test_the_edge_is_probed_and_crowdsec_listens_as_the_table_says() -> None:
    probe = GRAPH.service("edge").probe
    assert f"listen {probe.port};" in edge_server("mesh.example.org", "10.231.0.163")
    local = yaml.safe_load(crowdsec_local())
    crowdsec = GRAPH.service("crowdsec")
    assert crowdsec.metrics is not None
    assert local["api"]["server"]["listen_uri"] == f"0.0.0.0:{crowdsec.ports[0].number}"
    assert local["prometheus"]["listen_port"] == crowdsec.metrics.port


def test_crowdsec_reads_where_it_sees_the_edge_s_logs() -> None:
    acquisition = yaml.safe_load(crowdsec_acquisition())
    [read] = GRAPH.reads(GRAPH.service("crowdsec"), "oracle1")
    assert acquisition["filenames"] == [f"{read.path}/edge-access.log", f"{read.path}/edge-error.log"]


def test_a_secret_reaches_the_environment_and_never_the_command(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("of the file; $HOME `id`")
    command = with_secrets({"KEY": str(secret), "OTHER": str(secret)}, "sh", "-c", 'printf "%s|%s" "$KEY" "$1"', "x")
    assert not any("of the file" in part for part in command)
    done = subprocess.run([*command, "an argument"], capture_output=True, text=True, check=True)
    assert done.stdout == "of the file; $HOME `id`|an argument"


def test_a_missing_secret_stops_the_start(tmp_path: Path) -> None:
    command = with_secrets({"KEY": str(tmp_path / "none")}, "echo", "started")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "started" not in done.stdout


def test_the_program_takes_the_shell_s_place(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    shell = shutil.which("sh")
    assert shell is not None
    script = f"{shell} -c 'echo $PPID'; echo \"$$\""
    command = with_secrets({"KEY": str(tmp_path / "key")}, "sh", "-c", script)
    parent, own = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert parent == own


FOLDERS = (("/srv/mesh/redis-data", 999, 999),)


def preflight() -> str:
    return preflight_script(data_root="/srv/mesh", folders=FOLDERS, address="100.64.1.1", port=15099)


def test_the_preflight_looks_for_luks_and_space_and_makes_each_folder() -> None:
    script = preflight()
    assert "/srv/mesh is not on a LUKS volume" in script
    assert "GiB free in /srv/mesh" in script
    assert "nc -w 2 100.64.1.1 15099" in script
    assert "chown 999:999 /srv/mesh/redis-data" in script


def test_the_preflight_is_healthy_only_when_nothing_is_missing() -> None:
    lines = preflight().splitlines()
    looks = lines.index('while now=$(check 2>&1); [ -n "$now" ]; do')
    assert lines[-2:] == ["touch /tmp/ok", "exec sleep 2147483647"]
    assert lines.index("done", looks) < lines.index("touch /tmp/ok")
