"""Real proxies of both nodes carry real requests: who may call, who may not, where reads go when a node is down."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.conftest import Tool
from tests.contracts.mesh import GRAPHS, NETWORKS, Mesh
from topology.graph import GATEWAY
from topology.model import Instance

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.getuid() != 0, reason="network namespaces need root: sudo make test"),
    # One namespace and the same proxies for all of them.
    pytest.mark.xdist_group("mesh"),
]

VLLM, QDRANT = Instance("vllm", "thanos"), Instance("qdrant", "thanos")
WITNESS = Instance("qdrant-witness", "thanos")
LITELLM, AGENTS = Instance("litellm", "oracle1"), Instance("agents", "oracle1")
BLACKBOX, REPLICA = Instance("blackbox-exporter", "oracle1"), Instance("qdrant-replica", "oracle1")
KONG = Instance("kong", "oracle1")
STORE, SHIPPER = Instance("victorialogs", "oracle1"), Instance("log-shipper", "thanos")
GATEWAYS = Instance(GATEWAY, "thanos"), Instance(GATEWAY, "oracle1")


@pytest.fixture(scope="module")
def mesh(envoy: str, tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    tool("ip")
    tool("curl")
    made = Mesh(envoy, tmp_path_factory.mktemp("mesh"))
    with made.namespace():
        made.apps(
            ("vllm", "thanos", 8000),
            ("qdrant", "thanos", 6333),
            ("qdrant-witness", "thanos", 6338),
            ("litellm", "oracle1", 8081),
            ("qdrant-replica", "oracle1", 6334),
            ("victorialogs", "oracle1", 9428),
        )
        made.proxies(*GATEWAYS, VLLM, QDRANT, WITNESS, LITELLM, AGENTS, BLACKBOX, REPLICA, STORE, SHIPPER, KONG)
        made.until(200, LITELLM, "vllm", 8000, "/v1/models")
        yield made


def mesh_url(instance: Instance, port: int, path: str) -> tuple[str, ...]:
    """Arguments of curl for the instance's proxy itself, past every other one."""
    place = NETWORKS[instance.node].pod(GRAPHS[instance.node].service(instance.service).slot).mesh
    return "--insecure", "--resolve", f"{instance.sni}:{port}:{place}", f"https://{instance.sni}:{port}{path}"


def test_a_call_crosses_both_gateways_and_arrives_with_its_identity(mesh: Mesh) -> None:
    forged = "By=spiffe://agentic-mesh/oracle1/kong;URI=spiffe://agentic-mesh/oracle1/kong"
    status, body = mesh.call(LITELLM, "vllm", 8000, "/v1/models", "--header", f"X-Forwarded-Client-Cert: {forged}")
    assert status == 200
    seen = json.loads(body)
    assert seen["app"] == "vllm"
    assert seen["headers"]["x-request-id"]
    identity = seen["headers"]["x-forwarded-client-cert"]
    assert f"URI={LITELLM.identity}" in identity
    assert "kong" not in identity


def test_a_call_on_one_node(mesh: Mesh) -> None:
    asked = mesh.until(200, AGENTS, "litellm", 8081, "/v1/chat/completions", "--data", "{}")
    assert json.loads(asked)["app"] == "litellm"
    assert mesh.call(AGENTS, "litellm", 8081, "/v1/models")[0] == 403


@pytest.mark.parametrize("path", ["/pause", "/v1", "/v1/../pause", "/health/../pause"])
def test_a_caller_on_another_path_is_refused(mesh: Mesh, path: str) -> None:
    assert mesh.call(LITELLM, "vllm", 8000, path, "--path-as-is")[0] == 403


def openai_error(body: str) -> dict[str, Any]:
    """The error in OpenAI's shape, whole."""
    envelope = json.loads(body)
    assert envelope.keys() == {"error"}
    error: dict[str, Any] = envelope["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


def test_what_kong_may_not_ask_for_is_not_served(mesh: Mesh) -> None:
    """On behalf of a client, who can do something about it; to another caller it is refused."""
    mesh.until(200, KONG, "litellm", 8081, "/v1/responses", "--data", "{}")
    for path, *arguments in (("/v1/files",), ("/v1/embeddings", "--request", "DELETE")):
        status, body = mesh.call(KONG, "litellm", 8081, path, *arguments)
        assert (status, openai_error(body)["code"]) == (404, "not_found")
        assert "chat/completions" in openai_error(body)["message"]
    status, body = mesh.call(AGENTS, "litellm", 8081, "/v1/files")
    assert (status, openai_error(body)["code"]) == (403, "not_allowed_by_mesh")


@pytest.mark.parametrize(
    "arguments",
    [("/v1/messages/batches",), ("/v1/files", "--header", "anthropic-version: 2023-06-01")],
    ids=["by its path", "by its header"],
)
def test_anthropic_s_clients_get_their_own_shape(mesh: Mesh, arguments: tuple[str, ...]) -> None:
    mesh.until(200, KONG, "litellm", 8081, "/v1/responses", "--data", "{}")
    status, body = mesh.call(KONG, "litellm", 8081, *arguments)
    envelope = json.loads(body)
    assert (status, envelope["type"], envelope["error"]["type"]) == (404, "error", "not_found_error")
    assert envelope["error"].keys() == {"type", "message"}


def test_a_service_that_is_away_is_told_as_one(mesh: Mesh, tmp_path: Path) -> None:
    """None of Envoy's words for it, and a time after which to try again."""
    head = tmp_path / "head"
    status, body = mesh.call(KONG, "whisper", 8002, "/v1/models", "--dump-header", str(head))
    assert (status, openai_error(body)["code"]) == (503, "service_unavailable")
    found = dict(line.lower().split(": ", 1) for line in head.read_text().splitlines() if ": " in line)
    assert found["content-type"] == "application/json"
    assert int(found["retry-after"]) > 0
    status, body = mesh.call(KONG, "whisper", 8002, "/v1/messages")
    assert json.loads(body)["error"]["type"] == "overloaded_error"


def test_what_no_proxy_can_read_is_told_as_a_bad_request(mesh: Mesh) -> None:
    status, body = mesh.call(KONG, "litellm", 8081, "/v1/models%2fx", "--path-as-is")
    assert (status, openai_error(body)["code"]) == (400, "bad_request")


def test_an_escaped_slash_is_refused(mesh: Mesh) -> None:
    assert mesh.call(LITELLM, "vllm", 8000, "/v1/%2e%2e%2fpause", "--path-as-is")[0] in (400, 403)


def test_a_narrower_caller_gets_its_own_paths_only(mesh: Mesh) -> None:
    mesh.until(200, BLACKBOX, "vllm", 8000, "/health")
    assert mesh.call(BLACKBOX, "vllm", 8000, "/v1/models")[0] == 403


def test_a_service_that_is_no_caller_is_refused(mesh: Mesh, tmp_path: Path) -> None:
    tls = mesh.authority.issue(tmp_path / "grafana", Instance("grafana", "oracle1").identity)
    files = ("--cert", f"{tls}/certificate.pem", "--key", f"{tls}/key.pem")
    assert mesh.curl(*files, *mesh_url(VLLM, 8000, "/v1/models"))[0] == 403
    own = mesh.authority.issue(tmp_path / "litellm", LITELLM.identity)
    files = ("--cert", f"{own}/certificate.pem", "--key", f"{own}/key.pem")
    assert mesh.curl(*files, *mesh_url(VLLM, 8000, "/v1/models"))[0] == 200


def test_an_operator_reaches_a_direct_port(mesh: Mesh, tmp_path: Path) -> None:
    tls = mesh.authority.issue(tmp_path / "ann", "spiffe://agentic-mesh/operator/ann")
    files = ("--cert", f"{tls}/certificate.pem", "--key", f"{tls}/key.pem")
    assert mesh.curl(*files, *mesh_url(VLLM, 8000, "/v1/models"))[0] == 200
    assert mesh.curl(*files, *mesh_url(VLLM, 8000, "/pause"))[0] == 403


def test_shippers_write_logs_and_read_none(mesh: Mesh) -> None:
    mesh.until(200, SHIPPER, "victorialogs", 9427, "/insert/native?version=v1", "--data", "x")
    for path in ("/insert/jsonline", "/select/logsql/query", "/metrics"):
        assert mesh.call(SHIPPER, "victorialogs", 9427, path, "--data", "x")[0] == 403, path
    assert mesh.call(SHIPPER, "victorialogs", 9428, "/select/logsql/query", "--data", "x")[0] == 0


def test_operators_read_logs_and_write_none(mesh: Mesh, tmp_path: Path) -> None:
    tls = mesh.authority.issue(tmp_path / "ann", "spiffe://agentic-mesh/operator/ann")
    files = ("--cert", f"{tls}/certificate.pem", "--key", f"{tls}/key.pem")
    assert mesh.curl(*files, *mesh_url(STORE, 9428, "/select/vmui/"))[0] == 200
    assert mesh.curl(*files, "--data", "query=x", *mesh_url(STORE, 9428, "/select/logsql/query"))[0] == 200
    for path in ("/insert/native", "/delete/run_task", "/internal/force_flush", "/metrics", "/select/../insert/native"):
        assert mesh.curl(*files, "-X", "POST", "--path-as-is", *mesh_url(STORE, 9428, path))[0] == 403, path
    assert mesh.curl(*files, "-X", "POST", *mesh_url(STORE, 9427, "/insert/native"))[0] in (0, 403)


def test_no_certificate_or_another_authority_s_gets_no_answer(mesh: Mesh, tmp_path: Path) -> None:
    assert mesh.curl(*mesh_url(VLLM, 8000, "/v1/models"))[0] == 0
    stranger = type(mesh.authority)().issue(tmp_path / "stranger", LITELLM.identity)
    files = ("--cert", f"{stranger}/certificate.pem", "--key", f"{stranger}/key.pem")
    assert mesh.curl(*files, *mesh_url(VLLM, 8000, "/v1/models"))[0] == 0
    place = NETWORKS["thanos"].pod(GRAPHS["thanos"].service("vllm").slot).mesh
    assert mesh.curl(f"http://{place}:8000/v1/models")[0] == 0


def answers(mesh: Mesh, app: str) -> None:
    """Wait until that app answers the agents' reads, half a minute at most; each read on the way must be answered."""
    found = ""
    for _ in range(60):
        found = json.loads(mesh.until(200, AGENTS, "qdrant", 6333, "/collections"))["app"]
        if found == app:
            return
        time.sleep(0.5)
    pytest.fail(f"{found} answers instead of {app}")


SHARD = "/collections/c/shards/0/snapshot"
PEERS = {QDRANT: 6333, WITNESS: 6338, REPLICA: 6334}


@pytest.mark.parametrize(("caller", "callee"), list(itertools.permutations(PEERS, 2)))
def test_vector_peers_fetch_shards_from_each_other_and_nothing_else(
    mesh: Mesh, caller: Instance, callee: Instance
) -> None:
    """Qdrant 1.18 and later hands a shard over by the sender's REST port: `docs/upstream.md`."""
    port = PEERS[callee]
    found = json.loads(mesh.until(200, caller, callee.service, port, SHARD))
    assert (found["app"], found["headers"]["host"]) == (callee.service, f"{callee.service}:{port}")
    for arguments in (("--request", "POST"), ("--request", "PUT"), ("--request", "DELETE")):
        assert mesh.call(caller, callee.service, port, SHARD, *arguments)[0] == 403
    assert mesh.call(caller, callee.service, port, "/cluster")[0] == 403


def test_reads_fall_to_the_replica_while_thanos_is_away_and_come_back(mesh: Mesh) -> None:
    answers(mesh, "qdrant")
    mesh.stop(GATEWAYS[0].host)
    answers(mesh, "qdrant-replica")
    # What has no fallback answers at once that nobody is there.
    status, body = mesh.call(LITELLM, "vllm", 8000, "/v1/models")
    assert (status, openai_error(body)["code"]) == (503, "service_unavailable")
    mesh.proxies(GATEWAYS[0])
    mesh.until(200, LITELLM, "vllm", 8000, "/v1/models")
    answers(mesh, "qdrant")
