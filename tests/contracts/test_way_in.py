"""The way in behind the edge: real proxies, and between them Kong's stand-in with the program's own file.

What the lab does with Docker and the firewall, here in a network namespace and seconds.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from render.client_errors import FROM_ENVOY, FROM_KONG, NOT_SERVED, ClientError
from render.envoy.sidecar import callee_names
from render.kong import kong_config
from tests.contracts.conftest import Tool
from tests.contracts.mesh import GRAPHS, NETWORKS, Mesh
from topology.model import Instance

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.getuid() != 0, reason="network namespaces need root: sudo make test"),
    # One namespace and the same proxies for all of them.
    pytest.mark.xdist_group("way_in"),
]
EDGE, KONG = Instance("edge", "oracle1"), Instance("kong", "oracle1")
AGENTS, LITELLM = Instance("agents", "oracle1"), Instance("litellm", "oracle1")
KEY = ("--header", "Authorization: Bearer owner")
ROOT = Path(__file__).parents[2]
ANTHROPIC = ("--header", "anthropic-version: 2023-06-01")


@pytest.fixture(scope="module")
def mesh(envoy: str, tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    for name in ("ip", "curl", "luajit"):
        tool(name)
    folder = tmp_path_factory.mktemp("kong")
    keys = {name: f"{name}-key" for name in ("langgraph", "litellm", "whisper", "ocr")}
    config = kong_config(owner_key="owner", upstream_keys=keys, redis_password="none")
    (folder / "kong.yaml").write_text(config)
    graph, networks = GRAPHS["oracle1"], NETWORKS["oracle1"]
    app = networks.pod(graph.service("kong").slot).app
    made = Mesh(envoy, tmp_path_factory.mktemp("mesh"))
    with made.namespace():
        made.apps(("agents", "oracle1", 8080), ("litellm", "oracle1", 8081))
        environment = {
            "KONG_DATABASE": "off",
            "KONG_PREFIX": str(folder),
            "KONG_DECLARATIVE_CONFIG": str(folder / "kong.yaml"),
            "KONG_PROXY_LISTEN": f"{app}:8000",
            "KONG_STATUS_LISTEN": f"{app}:8007",
            "PYTHONPATH": str(ROOT),
        }
        words = [f"{name}={value}" for name, value in environment.items()]
        program = [sys.executable, "-B", "-m", "lab.images.standins.kong"]
        made.program("kong-app", KONG, callee_names(graph, KONG), "env", *words, *program)
        made.proxies(EDGE, KONG, AGENTS, LITELLM)
        made.until(200, EDGE, "kong", 8000, "/v1/models", *KEY)
        made.until(200, EDGE, "kong", 8000, "/v1/embeddings", *KEY, "--data", "{}")
        yield made


def ask(mesh: Mesh, path: str, *arguments: str) -> tuple[int, Any]:
    """What the edge gets from Kong."""
    status, body = mesh.call(EDGE, "kong", 8000, path, *arguments)
    return status, json.loads(body)


@pytest.mark.parametrize(
    ("path", "app", "key"),
    [
        ("/v1/chat/completions", "agents", "langgraph"),
        ("/v1/vector_stores", "agents", "langgraph"),
        ("/v1/assistants", "agents", "langgraph"),
        ("/v1/embeddings", "litellm", "litellm"),
        ("/v1/messages", "litellm", "litellm"),
        ("/v1/messages/count_tokens", "litellm", "litellm"),
        ("/v1/responses", "litellm", "litellm"),
        ("/models/v1/chat/completions", "litellm", "litellm"),
    ],
)
def test_each_path_reaches_its_service_with_that_service_s_key(mesh: Mesh, path: str, app: str, key: str) -> None:
    status, seen = ask(mesh, path, *KEY, "--data", "{}")
    assert (status, seen["app"], seen["path"]) == (200, app, path.removeprefix("/models"))
    assert seen["headers"]["authorization"] == f"Bearer {key}-key"
    assert seen["headers"]["x-consumer-username"] == "owner"


@pytest.mark.parametrize(
    ("path", "arguments", "status", "error"),
    [
        # Of Kong.
        ("/v1/models", (), 401, FROM_KONG[401]),
        ("/chat/completions", KEY, 404, NOT_SERVED),
        # Of the proxy of the service behind, which the graph tells what Kong may ask for.
        ("/v1/embeddings", (*KEY, "--request", "DELETE"), 404, NOT_SERVED),
        ("/models/v1/files", KEY, 404, NOT_SERVED),
        # Of Kong's own proxy: the other node is away.
        ("/v1/audio/speech", (*KEY, "--data", "{}"), 503, FROM_ENVOY[503]),
        ("/images/prompt", (*KEY, "--data", "{}"), 503, FROM_ENVOY[503]),
    ],
)
def test_whoever_refuses_the_words_are_the_api_s(
    mesh: Mesh, path: str, arguments: tuple[str, ...], status: int, error: ClientError
) -> None:
    assert ask(mesh, path, *arguments) == (status, error.openai())
    assert ask(mesh, path, *arguments, *ANTHROPIC) == (status, error.anthropic())


def test_without_kong_the_edge_is_told_as_much(mesh: Mesh) -> None:
    mesh.stop("kong-app")
    mesh.until(503, EDGE, "kong", 8000, "/v1/models", *KEY)
    assert ask(mesh, "/v1/models", *KEY) == (503, FROM_ENVOY[503].openai())
