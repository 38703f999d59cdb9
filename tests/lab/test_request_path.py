"""A user's request: edge, gateway, agents, model proxy, across the tailnet to vLLM, and back; streamed too."""

import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from lab.images.switch import chosen
from render.client_errors import FROM_EDGE, FROM_KONG, NOT_SERVED
from settings import Models
from tests.lab.attacker import inside_of, listening
from tests.lab.mesh import Mesh
from tests.lab.user import User, question

pytestmark = [pytest.mark.lab, pytest.mark.engine]

HOPS = {
    # proxy: (its node, who called it); the edge's first hop is not HTTP yet, so it has no identifier there
    "kong": ("oracle1", "oracle1/edge"),
    "agents": ("oracle1", "oracle1/kong"),
    "litellm": ("oracle1", "oracle1/agents"),
    "vllm": ("thanos", "oracle1/litellm"),
}


def seen(mesh: Mesh, proxy: str, node: str, identifier: str) -> list[dict[str, Any]]:
    """What a proxy noted of a request that came in; it writes its log every few seconds."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = [
            dict(entry)
            for entry in mesh.audit(node, f"{proxy}-proxy")
            if entry.get("request_id") == identifier and entry["listener"].startswith("in-")
        ]
        if found:
            return found
        time.sleep(1)
    return []


def test_a_request_passes_every_hop_and_one_id_with_it(user: User, mesh: Mesh) -> None:
    asked = question()
    status, headers, body = user.ask("/v1/chat/completions", asked)
    assert status == 200, body
    answer = json.loads(body)
    said = answer["choices"][0]["message"]["content"]
    # The real one says noise.
    assert said if "vllm" in chosen() else asked["messages"][0]["content"] in said
    identifier = headers["x-request-id"]
    for proxy, (node, caller) in HOPS.items():
        entries = seen(mesh, proxy, node, identifier)
        assert [entry["caller"] for entry in entries] == [f"spiffe://agentic-mesh/{caller}"], proxy
        assert entries[0]["status"] == 200
        assert entries[0]["path"] == "/v1/chat/completions"


def test_an_answer_is_streamed_through_every_hop(user: User) -> None:
    status, headers, body = user.ask("/v1/chat/completions", question() | {"stream": True}, "--no-buffer")
    assert status == 200, body
    assert headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    assert len([event for event in events if '"content"' in event]) > 3


def test_tools_are_taken_by_the_local_model_and_cost_nothing(user: User) -> None:
    """Straight through the model proxy: a refusal would be answered by a paid model, under another name."""
    look = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
    body = question() | {"tools": [{"type": "function", "function": look}], "max_tokens": 16}
    for more in ({}, {"tool_choice": "auto"}, {"tools": []}):
        status, _, text = user.ask("/models/v1/chat/completions", body | more)
        assert status == 200, text
        # After a fallback LiteLLM leaves the name of the model that answered.
        assert not any(name in json.loads(text)["model"] for name in Models().cloud().values()), text


def test_nobody_gets_in_without_the_key(user: User) -> None:
    assert user.ask("/v1/models", key=False)[0] == 401
    assert user.ask("/v1/models", None, "-H", "Authorization: Bearer guessed", key=False)[0] == 401
    assert user.ask("/v1/models")[0] == 200
    assert user.ask("/", key=False)[0] == 404


def key_of(user: User) -> str:
    return user.headers.read_text().split()[2]


@pytest.mark.parametrize("header", ["Authorization: Bearer ", "x-api-key: ", "apikey: "])
def test_the_key_may_come_in_any_of_three_headers(user: User, tmp_path: Path, header: str) -> None:
    file = tmp_path / "header"
    file.write_text(header + key_of(user))
    assert user.ask("/v1/models", None, "-H", f"@{file}", key=False)[0] == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": "local_bge", "input": ["one", "two"]}),
        ("/v1/messages", {"model": "vllm_local", "max_tokens": 16, "messages": question()["messages"]}),
        ("/v1/messages/count_tokens", {"model": "vllm_local", "messages": question()["messages"]}),
        ("/v1/responses", {"model": "vllm_local", "input": "Say hello."}),
        ("/v1/audio/speech", {"model": "gpt-4o-mini-tts", "voice": "nova", "input": "Hello."}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_base_url_serves_more_than_chat(user: User, path: str, body: dict[str, Any]) -> None:
    status, _, text = user.ask(path, body)
    assert status == 200, text


def test_a_response_is_kept_for_the_one_who_asked_and_can_be_named_later(user: User) -> None:
    status, _, text = user.ask("/v1/responses", {"model": "gpt-4o", "input": "Say hello."})
    assert status == 200, text
    first = json.loads(text)["id"]
    status, _, text = user.ask("/v1/responses", {"model": "gpt-4o", "input": "Again.", "previous_response_id": first})
    assert status == 200, text
    status, _, text = user.ask(f"/v1/responses/{first}")
    assert (status, json.loads(text)["id"]) == (200, first)
    assert "Say hello." in user.ask(f"/v1/responses/{first}/input_items")[2]
    assert user.ask(f"/v1/responses/{first}", None, "-X", "DELETE")[0] == 200
    status, _, text = user.ask(f"/v1/responses/{first}")
    assert (status, json.loads(text)["error"]["type"]) == (404, "invalid_request_error")


@pytest.mark.parametrize(
    ("path", "options", "key", "error"),
    [
        ("/v1/models", (), False, FROM_KONG[401].openai()),
        ("/v1/messages", ("-X", "POST"), False, FROM_KONG[401].anthropic()),
        ("/v1/models", ("-H", "anthropic-version: 2023-06-01"), False, FROM_KONG[401].anthropic()),
        ("/chat/completions", ("-X", "POST"), True, NOT_SERVED.openai()),
        ("/v1/embeddings", ("-X", "DELETE"), True, NOT_SERVED.openai()),
        ("/models/v1/files", (), True, NOT_SERVED.openai()),
        ("/v1/models?file=../../../../etc/passwd", (), True, FROM_EDGE[403].openai()),
    ],
)
def test_errors_of_the_way_in_are_the_api_s(
    user: User, path: str, options: tuple[str, ...], key: bool, error: dict[str, Any]
) -> None:
    """Of nginx, of Kong and of Envoy, and in none of their own words."""
    _, headers, body = user.ask(path, None, *options, key=key)
    assert headers["content-type"].startswith("application/json")
    assert json.loads(body) == error


def test_what_is_not_served_below_v1_is_said_by_the_agents(user: User) -> None:
    for path in ("/v1/assistants", "/v1/batches", "/v1/audio/voices"):
        status, _, body = user.ask(path)
        assert status in (404, 501), path
        assert json.loads(body)["error"].keys() == {"message", "type", "param", "code"}
    status, _, body = user.ask("/v1/messages/batches")
    assert status in (404, 501)
    assert json.loads(body)["error"].keys() == {"type", "message"}


def test_no_web_page_may_call_while_the_settings_name_none(user: User) -> None:
    origin = ("-H", "Origin: https://chat.example.com")
    preflight = (*origin, "-X", "OPTIONS", "-H", "Access-Control-Request-Method: POST")
    status, headers, _ = user.ask("/v1/embeddings", None, *preflight, key=False)
    assert status == 401
    assert not [name for name in headers if name.startswith("access-control-")]
    # LiteLLM itself allows every page.
    _, headers, _ = user.ask("/v1/embeddings", {"model": "local_bge", "input": "x"}, *origin)
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("path", "app", "consumer"),
    [("/v1/models", "agents", ["owner"]), ("/webhook/lab", "n8n", None)],
    ids=["with a key", "a route without one"],
)
def test_nobody_outside_says_who_they_are(
    user: User, mesh: Mesh, path: str, app: str, consumer: list[str] | None
) -> None:
    """The agents take the tenant from the consumer that the gateway names."""
    marker = secrets.token_hex(8)
    forged = [word for name in ("Username", "ID", "Custom-ID") for word in ("-H", f"X-Consumer-{name}: forged")]
    with listening(marker, *inside_of(mesh, "oracle1", app)) as ear:
        user.ask(path, None, *forged, "-H", f"x-lab-marker: {marker}")
        ear.stop()
    seen = ear.headers(marker)
    assert seen, "the app was not asked"
    assert seen.get("x-consumer-username") == consumer
    assert not any("forged" in value for values in seen.values() for value in values)


def test_an_attack_is_stopped_at_the_edge(user: User) -> None:
    assert user.ask("/v1/models?file=../../../../etc/passwd")[0] == 403
