"""The stand-ins of gateway, dashboards and workflows."""

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.images.standins import grafana, kong, kong_config
from lab.images.standins.common import EVENTS, Answer, Request, Service, events
from lab.images.standins.redis_counter import RedisCounter, RedisError
from render.client_errors import FROM_KONG, NOT_SERVED
from render.kong import kong_config as rendered
from render.limits import BODY_MIB
from tests.contracts.upstream_facts import Fact, read
from tests.lab.images.conftest import Client

Serve = Callable[[Service], Client]
KEY = {"apikey": "owner"}


@pytest.fixture
def upstream(serve: Serve) -> Client:
    """Tells what it was sent."""
    service = Service("upstream")
    service.fallback = lambda r: {"path": r.path, "query": dict(r.query), "headers": dict(r.headers), "n": len(r.body)}
    service.route("DELETE", "/v1/nothing")(lambda _: Answer("", 204))
    service.route("GET", "/v1/stream")(lambda _: Answer(slowly(), type=EVENTS))

    def slowly() -> Iterator[bytes]:
        for event in events([1, 2]):
            yield event
            time.sleep(0.05)

    return serve(service)


def configured(upstream: Client, **more: Any) -> dict[str, Any]:
    """The program's own file, with every service behind it on loopback and no Redis."""
    text = rendered(
        owner_key="owner",
        upstream_keys={name: f"{name}-key" for name in ("langgraph", "litellm", "whisper", "ocr")},
        redis_password="unused",
        **more,
    )
    found: dict[str, Any] = yaml.safe_load(text)
    for service in found["services"]:
        service["url"] = f"http://127.0.0.1:{upstream.port}"
    for plugin in found["plugins"]:
        if plugin["name"] == "rate-limiting":
            plugin["config"] = {"minute": 5, "limit_by": "consumer", "policy": "local"}
    return found


@pytest.fixture
def config(upstream: Client) -> dict[str, Any]:
    return configured(upstream)


def gateway(serve: Serve, config: dict[str, Any]) -> Client:
    return serve(kong.Proxy(kong_config.load(yaml.safe_dump(config))).service)


def test_kong_wants_a_key_but_for_webhooks(serve: Serve, config: dict[str, Any]) -> None:
    client = gateway(serve, config)
    assert client.ask("GET", "/v1/models")[0] == 401
    assert client.ask("GET", "/v1/models", None, {"apikey": "wrong"})[0] == 401
    assert client.ask("GET", "/v1/models?apikey=owner")[0] == 401
    assert client.ask("GET", "/v1/models", None, KEY)[0] == 200
    assert client.ask("GET", "/webhook/x")[0] == 200
    assert client.ask("GET", "/elsewhere", None, KEY)[0] == 404


def test_kong_puts_the_services_key_in_the_clients_place(serve: Serve, config: dict[str, Any]) -> None:
    client = gateway(serve, config)
    _, sent = client.ask("POST", "/models/v1/chat?x=1", {"a": 1}, {**KEY, "authorization": "Bearer mine"})
    assert (sent["path"], sent["query"]) == ("/v1/chat", {"x": "1"})
    assert sent["headers"]["authorization"] == "Bearer litellm-key"
    assert "apikey" not in sent["headers"]
    assert client.ask("GET", "/v1/keep", None, KEY)[1]["path"] == "/v1/keep"


def test_kong_limits_rate_and_size(serve: Serve, config: dict[str, Any]) -> None:
    client = gateway(serve, config)
    statuses = [client.ask("GET", "/v1/x", None, KEY)[0] for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    for plugin in config["plugins"]:
        if plugin["name"] == "request-size-limiting":
            assert plugin["config"]["allowed_payload_size"] == BODY_MIB
            plugin["config"]["allowed_payload_size"] = 1
    client = gateway(serve, config)
    assert client.ask("POST", "/v1/x", "y" * (1 << 20), KEY)[0] == 200
    assert client.ask("POST", "/v1/x", "y" * ((1 << 20) + 1), KEY)[0] == 413


LARGE = "y" * ((1 << 20) + 1)
REFUSED: dict[str, tuple[str, str, str, dict[str, str], int]] = {
    # Method, path, body, headers, requests before.
    "no route": ("GET", "/elsewhere", "", KEY, 0),
    "no key": ("GET", "/v1/models", "", {}, 0),
    "a wrong key": ("GET", "/v1/models", "", {"apikey": "wrong"}, 0),
    "a key without the group": ("GET", "/v1/models", "", {"apikey": "stranger"}, 0),
    "a body that is too large": ("POST", "/v1/x", LARGE, KEY, 0),
    "a body that is too large by a client that asks first": (
        "POST",
        "/v1/x",
        LARGE,
        {**KEY, "expect": "100-continue"},
        0,
    ),
    "one request too many": ("GET", "/v1/x", "", KEY, 5),
}


@pytest.mark.parametrize("fact", read("kong").refuses, ids=lambda fact: fact.get("what"))
def test_what_kong_refuses_is_refused(serve: Serve, config: dict[str, Any], fact: Fact) -> None:
    method, path, body, headers, before = REFUSED[fact.get("what")]
    """In its own words, which our functions replace."""
    config["plugins"] = [plugin for plugin in config["plugins"] if plugin["name"] != "post-function"]
    config["consumers"].append({"username": "stranger", "keyauth_credentials": [{"key": "stranger"}]})
    # Kong's own words: ours make OpenAI's of them.
    config["plugins"] = [plugin for plugin in config["plugins"] if plugin["name"] != "post-function"]
    for plugin in config["plugins"]:
        if plugin["name"] == "request-size-limiting":
            plugin["config"]["allowed_payload_size"] = 1
    client = gateway(serve, config)
    for _ in range(before):
        client.ask(method, path, body, headers)
    status, answer = client.ask(method, path, body, headers)
    assert (status, answer["message"]) == (fact.get("status"), fact.get("says"))


def test_kong_wants_the_group(serve: Serve, config: dict[str, Any]) -> None:
    config["consumers"][0]["acls"] = [{"group": "others"}]
    assert gateway(serve, config).ask("GET", "/v1/x", None, KEY)[0] == 403


def test_kong_passes_a_stream_on(serve: Serve, config: dict[str, Any]) -> None:
    status, content, kind = gateway(serve, config).raw("GET", "/v1/stream", None, KEY)
    assert (status, kind, content) == (200, EVENTS, b"".join(events([1, 2])))


def test_an_answer_without_a_body_has_none_behind_kong_either(serve: Serve, config: dict[str, Any]) -> None:
    """Chunks of nothing, in a 204, are a broken answer to the proxy before it."""
    port = gateway(serve, config).port
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"DELETE /v1/nothing HTTP/1.1\r\nHost: x\r\napikey: owner\r\nConnection: close\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 204 ")
    assert b"transfer-encoding" not in head.lower()
    assert b"content-length" not in head.lower()
    assert body == b""


def test_kong_tells_of_a_service_that_is_away(serve: Serve, config: dict[str, Any]) -> None:
    for service in config["services"]:
        service["url"] = "http://127.0.0.1:1"
    assert gateway(serve, config).ask("GET", "/v1/x", None, KEY)[0] == 502


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/v1/chat/completions", "langgraph"),
        ("/v1/audio/voices", "langgraph"),
        ("/v1/embeddings", "litellm"),
        ("/v1/messages/count_tokens", "litellm"),
        ("/v1/responses", "litellm"),
        ("/v1/responses/resp_1", "litellm"),
        ("/v1/responses/resp_1/input_items", "litellm"),
        ("/v1/responses/resp_1/cancel", "langgraph"),
        ("/v1/audio/speech", "whisper"),
    ],
)
@pytest.mark.parametrize("header", ["authorization", "x-api-key", "apikey"])
def test_kong_leads_each_path_to_its_service_with_its_key(
    serve: Serve, config: dict[str, Any], path: str, key: str, header: str
) -> None:
    sent = {header: "Bearer owner" if header == "authorization" else "owner"}
    status, found = gateway(serve, config).ask("POST", path, {}, sent)
    assert (status, found["path"]) == (200, path)
    assert found["headers"]["authorization"] == f"Bearer {key}-key"
    assert "owner" not in str({k: v for k, v in found["headers"].items() if k != "x-consumer-username"})


def test_kong_s_own_errors_are_openai_s(serve: Serve, config: dict[str, Any]) -> None:
    client = gateway(serve, config)
    for path, key, status in (("/v1/x", None, 401), ("/chat/completions", KEY, 404)):
        found, body, kind = client.raw("GET", path, None, key)
        assert (found, kind, json.loads(body)) == (status, "application/json", FROM_KONG[status].openai())
    assert client.ask("POST", "/webhook/x", "y" * ((BODY_MIB << 20) + 1)) == (413, FROM_KONG[413].openai())
    for service in config["services"]:
        service["url"] = "http://127.0.0.1:1"
    assert gateway(serve, config).ask("GET", "/v1/x", None, KEY) == (502, FROM_KONG[502].openai())


def test_kong_s_own_errors_are_anthropic_s_for_its_clients(serve: Serve, config: dict[str, Any]) -> None:
    client = gateway(serve, config)
    assert client.ask("POST", "/v1/messages", {}) == (401, FROM_KONG[401].anthropic())
    assert client.ask("GET", "/v1/models", None, {"anthropic-version": "2023-06-01"}) == (
        401,
        FROM_KONG[401].anthropic(),
    )
    assert client.ask("POST", "/complete", {}, {"anthropic-version": "2023-06-01"}) == (404, NOT_SERVED.anthropic())


def test_kong_leaves_a_service_s_own_errors_alone(serve: Serve) -> None:
    def failing(_: Request) -> Answer:
        return Answer({"own": "words"}, 503, headers={"access-control-allow-origin": "*", "x-own": "1"})

    service = Service("upstream")
    service.fallback = failing
    client = gateway(serve, configured(serve(service)))
    assert client.ask("POST", "/v1/messages", {}, KEY) == (503, {"own": "words"})
    headers = client.headers("POST", "/v1/messages", KEY)
    assert headers["x-own"] == "1"
    assert "access-control-allow-origin" not in headers


def test_kong_names_the_model_s_own_voice(serve: Serve) -> None:
    seen: list[bytes] = []

    def said(request: Request) -> Any:
        seen.append(request.body)
        return {"n": len(request.body)}

    service = Service("upstream")
    service.fallback = said
    client = gateway(serve, configured(serve(service), voices={"nova": "af_nova"}))
    asked = {"model": "tts-1", "input": "Hello", "voice": "nova"}
    assert client.ask("POST", "/v1/audio/speech", asked, KEY)[0] == 200
    assert json.loads(seen[0]) == {**asked, "voice": "af_nova"}
    assert client.ask("POST", "/v1/audio/speech", asked) == (401, FROM_KONG[401].openai())


ORIGIN = "https://chat.example.com"
PREFLIGHT = {"origin": ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}


@pytest.mark.parametrize("origins", [[ORIGIN], ["http://localhost:3000", ORIGIN]])
def test_kong_answers_preflight_requests_of_allowed_pages_without_a_key(
    serve: Serve, upstream: Client, origins: list[str]
) -> None:
    client = gateway(serve, configured(upstream, cors_origins=origins))
    status, body, _ = client.raw("OPTIONS", "/v1/messages", None, PREFLIGHT)
    assert (status, body) == (200, b"")
    headers = client.headers("OPTIONS", "/v1/messages", PREFLIGHT)
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-allow-headers"] == "x-api-key"
    assert "POST" in headers["access-control-allow-methods"].split(",")
    for key in (KEY, {}):
        headers = client.headers("GET", "/v1/models", {"origin": ORIGIN, **key})
        assert headers["access-control-allow-origin"] == ORIGIN
        assert "retry-after" in headers["access-control-expose-headers"]
    # A browser takes this for a no.
    other = client.headers("OPTIONS", "/v1/messages", {**PREFLIGHT, "origin": "https://evil.example.com"})
    assert other.get("access-control-allow-origin") != "https://evil.example.com"
    # Workflows answer for themselves.
    assert client.ask("OPTIONS", "/webhook/x", None, PREFLIGHT)[1]["path"] == "/webhook/x"


def test_kong_answers_no_page_unless_the_settings_name_it(serve: Serve, config: dict[str, Any]) -> None:
    client = gateway(serve, config)
    assert client.raw("OPTIONS", "/v1/messages", None, PREFLIGHT)[0] == 401
    assert not [name for name in client.headers("OPTIONS", "/v1/messages", PREFLIGHT) if name.startswith("access-")]


@pytest.mark.parametrize(
    "change",
    [
        {"plugins": [{"name": "unheard-of"}]},
        {"plugins": [{"name": "acl", "config": {"alow": []}}]},
        {"_format_version": "9"},
        {"upstrems": []},
    ],
)
def test_kong_refuses_a_file_that_it_does_not_understand(config: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(kong_config.ConfigError):
        kong_config.load(yaml.safe_dump({**config, **change}))


def test_a_redis_that_is_away_is_an_error_that_kong_decides_about() -> None:
    with pytest.raises(RedisError):
        RedisCounter("127.0.0.1", 1).add("key", 60)


def test_kong_tells_prometheus(config: dict[str, Any], serve: Serve) -> None:
    found = kong_config.load(yaml.safe_dump(config))
    serve(kong.Proxy(found).service).ask("GET", "/v1/x", None, KEY)
    status = serve(kong.status_service(found))
    assert status.ask("GET", "/status/ready")[0] == 200
    assert 'code="200",source="service",consumer="owner"} 1' in status.ask("GET", "/metrics")[1]


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_grafana_lets_its_administrator_in_and_asks_its_sources(serve: Serve, upstream: Client, tmp_path: Path) -> None:
    (tmp_path / "datasources").mkdir()
    source = {"name": "Prometheus", "type": "prometheus", "url": f"http://127.0.0.1:{upstream.port}"}
    (tmp_path / "datasources" / "mesh.yaml").write_text(yaml.safe_dump({"datasources": [source]}))
    client = serve(grafana.make("admin", "right", grafana.provisioned(tmp_path)))
    assert client.ask("GET", "/api/health")[0] == 200
    assert client.ask("GET", "/api/datasources")[0] == 401
    assert client.ask("GET", "/api/datasources", None, basic("admin", "wrong"))[0] == 401
    right = basic("admin", "right")
    assert [s["name"] for s in client.ask("GET", "/api/datasources", None, right)[1]] == ["Prometheus"]
    assert (
        client.ask("GET", "/api/datasources/proxy/1/api/v1/query?query=up", None, right)[1]["path"] == "/api/v1/query"
    )


def test_a_request_is_read_whole(serve: Serve) -> None:
    def told(request: Request) -> Any:
        return {"method": request.method, "n": len(request.body)}

    service = Service("told")
    service.fallback = told
    client = serve(service)
    assert client.ask("PUT", "/x", iter([b"abc", b"de"]))[1]["n"] == 5
