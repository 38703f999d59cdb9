"""Errors of the way in: both shapes, a sentence for each status, and the proxies that have them."""

import json
from typing import Any

import pytest

from render.client_errors import FROM_EDGE, FROM_ENVOY, FROM_KONG, SERVED, ClientError, text
from render.edge import edge_server
from render.envoy import sidecar_config
from render.envoy.replies import local_replies
from render.kong_lua import error_header_filter
from tests.unit.envoy import Config, listeners, of_type
from tests.unit.samples import NETWORKS, graph_of, pods
from topology.model import Instance, Protocol

TABLES = {"edge": FROM_EDGE, "kong": FROM_KONG, "envoy": FROM_ENVOY}
ALL = [(name, error) for name, table in TABLES.items() for error in table.values()]
OPENAI = {"message", "type", "param", "code"}


@pytest.mark.parametrize(("source", "error"), ALL, ids=[f"{name} {error.status}" for name, error in ALL])
def test_an_error_has_both_shapes_and_says_what_to_do(source: str, error: ClientError) -> None:
    assert error.openai()["error"].keys() == OPENAI
    assert error.anthropic()["error"].keys() == {"type", "message"}
    assert error.anthropic()["type"] == "error"
    assert error.message.endswith(".")
    # Of whoever makes it, a client learns nothing.
    for name in ("Envoy", "Kong", "nginx", "RBAC", "upstream", "ModSecurity"):
        assert name not in error.message


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_there_is_a_sentence_for_each_status_that_clients_handle(table: dict[int, ClientError]) -> None:
    assert {400, 403, 404, 413, 500, 502, 503, 504} <= table.keys()
    assert all(status == error.status for status, error in table.items())


def test_keys_and_rates_have_theirs() -> None:
    assert {401, 429} <= FROM_KONG.keys()
    assert 429 in FROM_EDGE
    assert SERVED in FROM_KONG[404].message


def test_a_message_that_ends_a_string_is_refused() -> None:
    bad = ClientError(400, "costs $5 ]====]", "t", "c", "a")
    with pytest.raises(ValueError, match="long string"):
        error_header_filter({400: bad})


def test_nginx_has_every_sentence_and_takes_none_for_a_variable() -> None:
    server = edge_server("mesh.example.org", "10.231.0.163")
    for error in FROM_EDGE.values():
        for body in (error.openai(), error.anthropic()):
            assert text(body).replace("'", "\\'") in server
            assert "$" not in text(body)


def bodies(config: dict[str, Any]) -> list[Any]:
    formats = [mapper["body_format_override"] for mapper in config["mappers"]]
    assert {entry["content_type"] for entry in formats} == {"application/json"}
    return [json.loads(entry["text_format_source"]["inline_string"]) for entry in formats]


def test_envoy_asks_for_anthropic_s_clients_before_all_others() -> None:
    found = bodies(local_replies())
    assert found[::2] == [error.anthropic() for error in _in_order()]
    assert found[1::2] == [error.openai() for error in _in_order()]


def manager_of(listener: Config) -> Config:
    """The one HTTP connection manager of a listener."""
    [manager] = of_type(listener, "HttpConnectionManager")
    return manager


def _in_order() -> list[ClientError]:
    """Exact statuses first, then those for all others of their kind."""
    exact = [error for status, error in sorted(FROM_ENVOY.items()) if status not in (400, 500)]
    return [*exact, FROM_ENVOY[500], FROM_ENVOY[400]]


def test_every_proxy_that_a_client_s_request_can_come_to_has_them() -> None:
    graph = graph_of("oracle1")
    assert {"edge", "kong", "agents", "litellm", "vllm", "n8n"} <= graph.way_in
    assert not {"prometheus", "grafana", "victorialogs", "n8n-worker"} & graph.way_in
    assert graph.doors == {"kong"}
    for instance in pods(graph):
        named = listeners(sidecar_config(graph, NETWORKS, instance))
        for port in graph.service(instance.service).ports:
            if port.protocol is not Protocol.HTTP:
                continue
            manager = manager_of(named[f"in-{port.name}"])
            assert ("local_reply_config" in manager) == (instance.service in graph.way_in), instance
        assert "local_reply_config" not in manager_of(named["metrics"])


def test_only_what_kong_may_not_ask_for_is_not_served() -> None:
    graph = graph_of("oracle1")
    for service, wanted in (("agents", [404, 404]), ("embeddings-cpu", [])):
        named = listeners(sidecar_config(graph, NETWORKS, Instance(service, "oracle1")))
        mappers = manager_of(named["in-api"])["local_reply_config"]["mappers"]
        assert [mapper["status_code"] for mapper in mappers if "status_code" in mapper] == wanted
