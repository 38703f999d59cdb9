"""Logs of both nodes in the real store, by the real shippers, from the files of a real Docker."""

import contextlib
import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import status
from render.edge import ACCESS_LOG
from render.logs import CONTAINER_LABELS
from tests.lab.mesh import PREFIX, Mesh
from tests.lab.test_request_path import HOPS
from tests.lab.user import User, question
from topology.model import TRUST_DOMAIN

pytestmark = [pytest.mark.lab, pytest.mark.engine]

PATIENCE = 120
STORE = f"victorialogs.oracle1.{TRUST_DOMAIN}"
SERVICE, PART = (f"attrs.{label}" for label in CONTAINER_LABELS)


def inside(mesh: Mesh, container: str, *command: str) -> str:
    """The output of a command in the network of a container on oracle1."""
    process = mesh.docker("oracle1").inspect_container(f"{PREFIX}-{container}")["State"]["Pid"]
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{process}/ns/net", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def find(mesh: Mesh, query: str) -> list[dict[str, Any]]:
    """The rows of a query, asked from beside the store."""
    (network,) = (
        mesh.docker("oracle1").inspect_container(f"{PREFIX}-victorialogs")["NetworkSettings"]["Networks"].values()
    )
    url = f"http://{network['IPAddress']}:9428/select/logsql/query"
    said = inside(mesh, "victorialogs-proxy", "curl", "-sS", "-m", "30", url, "--data-urlencode", f"query={query}")
    return [json.loads(line) for line in said.splitlines()]


def soon(look: Callable[[], Any]) -> None:
    """Wait until no problem is left."""
    end = time.monotonic() + PATIENCE
    while wrong := look():
        assert time.monotonic() < end, wrong
        time.sleep(1)


@pytest.fixture
def writer(mesh: Mesh) -> Iterator[Callable[..., str]]:
    """Runs a shell in containers of a service that nobody has, and takes them away."""
    client, made = mesh.docker("oracle1"), []
    image = mesh.containers("oracle1")[f"{PREFIX}-node-exporter"]["Image"]
    options = mesh.containers("oracle1")[f"{PREFIX}-node-exporter"]["HostConfig"]["LogConfig"]["Config"]

    def run(service: str, script: str, **more: str) -> str:
        name = f"logs-of-a-test-{secrets.token_hex(4)}"
        client.create_container(
            image,
            name=name,
            entrypoint=["sh", "-c", script],
            labels=dict(zip(CONTAINER_LABELS, (service, "app"), strict=True)),
            host_config=client.create_host_config(
                network_mode="none", log_config={"Type": "json-file", "Config": {**options, **more}}
            ),
        )
        made.append(name)
        client.start(name)
        return name

    yield run
    for name in made:
        with contextlib.suppress(Exception):
            client.remove_container(name, force=True)


def test_logs_of_every_service_of_both_nodes_are_there_by_name(mesh: Mesh) -> None:
    """In one query: each container that has said something, whatever its id."""
    spoken = {
        (node, labels["agentic-mesh.service"], labels["agentic-mesh.part"])
        for node in mesh.names()
        for name, state in mesh.containers(node).items()
        if (labels := state["Config"]["Labels"])
        and state["State"]["Running"]
        and status.part(state) in ("app", "proxy", "gateway")
        and mesh.docker(node).logs(name, tail=1)
    }
    assert {part for _, _, part in spoken} == {"app", "proxy", "gateway"}
    assert len(spoken) > 50

    def missing() -> set[tuple[str, str, str]]:
        rows = find(mesh, f"* | stats by (node, {SERVICE}, {PART}) count() lines")
        return spoken - {(row["node"], row[SERVICE], row[PART]) for row in rows}

    soon(missing)


def test_a_request_is_found_at_every_hop_by_its_id(mesh: Mesh, user: User) -> None:
    got, headers, body = user.ask("/v1/chat/completions", question())
    assert got == 200, body
    query = (
        f'"{headers["x-request-id"]}" {{{PART}="proxy"}} | unpack_json fields (listener, caller, status, path) '
        f'| filter listener:"in-"* | fields node, {SERVICE}, caller, status, path'
    )

    def missing() -> set[Any]:
        rows = {(row[SERVICE], row["node"], row["caller"], row["status"]) for row in find(mesh, query)}
        wanted = {
            (service, node, f"spiffe://{TRUST_DOMAIN}/{caller}", "200") for service, (node, caller) in HOPS.items()
        }
        return wanted - rows

    soon(missing)


def test_a_container_that_takes_another_s_place_goes_on_in_its_stream(mesh: Mesh, writer: Callable[..., str]) -> None:
    service = f"test-{secrets.token_hex(4)}"
    for turn in ("first", "second"):
        name = writer(service, f"echo {turn}")
        query = f'{{{SERVICE}="{service}"}} {turn}'
        soon(lambda query=query: not find(mesh, query))
        mesh.docker("oracle1").remove_container(name, force=True)
    rows = find(mesh, f'{{{SERVICE}="{service}"}} | sort by (_time)')
    assert [row["_msg"].strip() for row in rows] == ["first", "second"]
    assert len({row["_stream"] for row in rows}) == 1


COUNT = 2000
WRITES = f"n=0; while [ $n -lt {COUNT} ]; do n=$((n + 1)); printf 'number %05d %080d\\n' $n 0; sleep 0.008; done"


def written(mesh: Mesh, service: str) -> list[str]:
    rows = find(mesh, f'{{{SERVICE}="{service}"}} | sort by (_msg) | fields _msg')
    return [row["_msg"].split()[1] for row in rows]


def all_once(mesh: Mesh, service: str) -> None:
    """Every line of the writer is there exactly once."""
    wanted = [f"{number:05d}" for number in range(1, COUNT + 1)]
    soon(lambda: sorted(set(wanted) - set(written(mesh, service)))[:10])
    time.sleep(5)
    assert written(mesh, service) == wanted


def test_docker_s_rotation_of_a_file_is_followed(mesh: Mesh, writer: Callable[..., str]) -> None:
    service = f"test-{secrets.token_hex(4)}"
    name = writer(service, f"{WRITES}; sleep 300", **{"max-size": "80k"})
    all_once(mesh, service)
    log = Path(mesh.docker("oracle1").inspect_container(name)["LogPath"])
    assert {path.name for path in log.parent.glob("*-json.log*")} == {log.name, f"{log.name}.1", f"{log.name}.2"}


def test_a_restarted_shipper_loses_and_doubles_nothing(mesh: Mesh, writer: Callable[..., str]) -> None:
    service = f"test-{secrets.token_hex(4)}"
    writer(service, f"{WRITES}; sleep 300")
    soon(lambda: len(written(mesh, service)) < COUNT / 4)
    mesh.docker("oracle1").restart(f"{PREFIX}-log-shipper", timeout=30)
    all_once(mesh, service)


def test_nothing_is_lost_while_the_store_is_away(mesh: Mesh, writer: Callable[..., str]) -> None:
    service = f"test-{secrets.token_hex(4)}"
    writer(service, f"{WRITES}; sleep 300")
    soon(lambda: len(written(mesh, service)) < COUNT / 4)
    mesh.docker("oracle1").stop(f"{PREFIX}-victorialogs", timeout=30)
    try:
        time.sleep(10)
    finally:
        mesh.docker("oracle1").start(f"{PREFIX}-victorialogs")
    mesh.wait_healthy()
    all_once(mesh, service)


@pytest.fixture
def certificate(mesh: Mesh, tmp_path: Path) -> Path:
    return mesh.operator(tmp_path)


def test_operators_read_logs_and_write_none(mesh: Mesh, certificate: Path) -> None:
    def ask(path: str, *options: str, port: int = 9428) -> tuple[int, str]:
        """Status, 0 where there is no answer, and body."""
        to = f"{STORE}:{port}:{mesh.node('oracle1').address}:{port}"
        shown = ("--cert", f"{certificate}/certificate.pem", "--key", f"{certificate}/key.pem")
        command = (
            "curl",
            "-sS",
            "-m",
            "20",
            "--insecure",
            "--connect-to",
            to,
            "-w",
            "\n%{http_code}",
            *shown,
            *options,
        )
        done = mesh.on_node("thanos", *command, f"https://{STORE}:{port}{path}")
        body, _, code = done.stdout.rpartition("\n")
        return int(code), body

    code, page = ask("/select/vmui/")
    assert code == 200
    assert "VictoriaLogs" in page
    code, rows = ask("/select/logsql/query", "--data-urlencode", f'query={{{SERVICE}="kong"}} | limit 3')
    assert (code, len(rows.splitlines())) == (200, 3)
    for path, options in (
        ("/insert/native", ("-X", "POST")),
        ("/insert/jsonline", ("-X", "POST")),
        ("/delete/run_task?filter=*", ("-X", "POST")),
        ("/internal/force_flush", ()),
        ("/metrics", ()),
        ("/debug/pprof/", ()),
    ):
        assert ask(path, *options)[0] == 403, path
    assert ask("/insert/native", "-X", "POST", port=9427)[0] in (0, 403)


def test_prometheus_has_the_numbers_of_store_and_shippers(mesh: Mesh) -> None:
    (network,) = (
        mesh.docker("oracle1").inspect_container(f"{PREFIX}-prometheus")["NetworkSettings"]["Networks"].values()
    )

    def values(query: str) -> dict[str, float]:
        url = f"http://{network['IPAddress']}:9090/api/v1/query"
        said = inside(
            mesh, "prometheus-proxy", "curl", "-sS", "-m", "20", "-G", url, "--data-urlencode", f"query={query}"
        )
        return {row["metric"]["node"]: float(row["value"][1]) for row in json.loads(said)["data"]["result"]}

    def missing() -> str:
        stored = values('sum by (node) (vl_storage_rows{service="victorialogs"})')
        shipped = values('sum by (node) (vl_rows_ingested_total{service="log-shipper",type="file_logs"})')
        lost = values('sum by (node) (vlagent_remotewrite_packets_dropped_total{service="log-shipper"})')
        right = stored.keys() == {"oracle1"} and shipped.keys() == lost.keys() == {"thanos", "oracle1"}
        return "" if right and min(stored.values()) > 0 and min(shipped.values()) > 0 else f"{stored} {shipped} {lost}"

    soon(missing)
    assert set(values('vlagent_remotewrite_packets_dropped_total{service="log-shipper"}').values()) == {0}


def test_the_intrusion_detection_follows_a_rotated_log(mesh: Mesh, user: User) -> None:
    """The edge's script renames a file that is too large and tells nginx; here somebody else does the same."""
    client = mesh.docker("oracle1")
    (network,) = client.inspect_container(f"{PREFIX}-crowdsec")["NetworkSettings"]["Networks"].values()

    def read() -> float:
        said = inside(mesh, "crowdsec-proxy", "curl", "-sS", "-m", "20", f"http://{network['IPAddress']}:6060/metrics")
        name = f'cs_filesource_hits_total{{source="{ACCESS_LOG}"'
        return sum(float(line.split()[-1]) for line in said.splitlines() if line.startswith(name))

    user.ask("/v1/models")
    soon(lambda: "nothing was read" if read() == 0 else "")
    log = Path(client.inspect_volume(f"{PREFIX}-edge-logs")["Options"]["device"]) / Path(ACCESS_LOG).name
    log.rename(log.with_name(f"{log.name}.1"))
    client.kill(f"{PREFIX}-edge", "SIGUSR1")
    soon(lambda: "nginx did not open its log again" if not log.exists() else "")
    time.sleep(2)
    before = read()

    def unread() -> str:
        user.ask("/v1/models")
        return "" if read() > before else "nothing of the new file was read"

    soon(unread)
