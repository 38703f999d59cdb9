"""Configuration files of the other services, the start commands that carry secrets, and the preflight's script."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from render.edge import (
    LOGS,
    crowdsec_acquisition,
    crowdsec_environment,
    crowdsec_local,
    edge_environment,
    edge_server,
)
from render.entrypoint import together, with_secrets
from render.grafana import grafana_datasources
from render.models import offline
from render.preflight import preflight_script
from tests.unit.samples import graph_of, settings
from topology.graph import Graph
from topology.model import Instance

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


def test_crowdsec_s_parts_find_each_other_whatever_the_image_s_own_values_say() -> None:
    [port] = GRAPH.service("crowdsec").ports
    assert crowdsec_environment()["LOCAL_API_URL"] == f"http://127.0.0.1:{port.number}"
    assert yaml.safe_load(crowdsec_local())["cscli"]["hub_branch"]
    assert yaml.safe_load(crowdsec_acquisition())["force_inotify"] is True


def test_the_edge_logs_into_a_volume_on_a_folder_of_its_own() -> None:
    """Docker would give an empty volume the owner of the image's folder of that name, and nginx is not root."""
    [volume] = GRAPH.service("edge").volumes
    assert volume.path == LOGS
    assert not volume.path.startswith("/var/log/nginx")
    env = edge_environment()
    assert {env[name].rpartition("/")[0] for name in ("ACCESSLOG", "ERRORLOG")} == {LOGS}


def test_every_server_of_the_edge_logs_the_client_s_address() -> None:
    text = edge_server("mesh.example.org", "10.231.0.163")
    public = [block for block in text.split("\nserver {") if "proxy_protocol" in block]
    assert len(public) == 2
    for block in public:
        assert "set_real_ip_from 10.231.0.163;" in block
        assert "edge-access.log combined;" in block


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


@pytest.mark.parametrize("shell", [("dash",), ("bash",), ("busybox", "ash")], ids=" ".join)
def test_programs_that_run_together_end_together(shell: tuple[str, ...]) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not here")
    _, *words = together("sleep 600", "true", "sleep 600")
    with subprocess.Popen([*shell, *words], stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            assert process.wait(60) == 1
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_programs_that_run_together_are_waited_for() -> None:
    with subprocess.Popen(together("sleep 600", "sleep 600"), start_new_session=True) as process:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
