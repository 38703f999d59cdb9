"""VLLM and its stand-in are asked the same and answer the same. The real one runs with `LAB_REAL=vllm` or `all`."""

import json
import re
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from lab.images.archive import File
from lab.images.standins import vllm, vllm_front
from lab.images.standins.common import Answer, Service
from lab.images.tiny_model import CONTEXT, files, write
from render.monitoring import alert_rules
from render.vllm import vllm_config, vllm_environment
from tests.lab.images.conftest import Client
from tests.lab.images.program import free_port, lay, running
from tests.lab.images.vllm_cases import CHAT, KEY, LIMIT, METRICS, MODEL, REFUSED, TOOL, Case, chat
from tests.unit.samples import settings

LARGE = "vllm"
"""The key of the image whose real program is asked where `LAB_REAL` names it."""

SETTINGS = settings(
    "thanos",
    models={"chat": f"/srv/agentic-mesh/models/{MODEL}", "chatContext": LIMIT, "chatToolParser": "hermes"},
)


def config(port: int) -> dict[str, Any]:
    """What the program tells vLLM, on loopback."""
    return {**yaml.safe_load(vllm_config(SETTINGS, KEY)), "host": "127.0.0.1", "port": port}


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Client]:
    service = vllm.make(config(0))
    service.poll_seconds = 0.01
    server = service.start(0, "127.0.0.1")
    yield Client(server.server_address[1])
    stop(server)


def stop(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The lab's image without Docker: its layers in a folder, its program as the service's user."""
    port = free_port()
    root = tmp_path_factory.mktemp("vllm")
    write(root / "models" / MODEL)
    lay(root / "config/vllm.yaml", File(yaml.safe_dump(config(port)).encode()))
    environment = {**vllm_environment(SETTINGS), "LAB_VLLM_PORT": str(free_port())}
    command = ("vllm", "serve", "--config", "/config/vllm.yaml")
    with running("vllm", root, command, environment, user="2000:0", port=port, probe="/health") as client:
        yield client


@pytest.fixture(params=["stand-in", "real"])
def server(request: pytest.FixtureRequest) -> Client:
    found: Client = request.getfixturevalue(request.param.replace("-", "_"))
    return found


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_vllm_refuses(server: Client, case: Case) -> None:
    headers = {"content-type": "application/json"} if isinstance(case.body, str) else {}
    status, body = server.ask(case.method, case.path, case.body, headers, case.key)
    assert status == case.status, body
    if case.answer is not None:
        assert body == case.answer
        return
    error = body["error"]
    assert (error["type"], error["param"], error["code"]) == (case.kind, case.param, case.status)
    assert error["message"].startswith(case.message)


def test_the_model_is_listed_by_the_name_of_its_folder(server: Client) -> None:
    status, body = server.ask("GET", "/v1/models", key=KEY)
    assert status == 200
    assert [(model["id"], model["max_model_len"]) for model in body["data"]] == [(MODEL, LIMIT)]


def test_health_and_version_need_no_key(server: Client) -> None:
    assert server.ask("GET", "/health")[0] == 200
    assert server.ask("GET", "/version") == (200, {"version": "0.30.0"})


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_tools_are_taken(server: Client, choice: str | None) -> None:
    more = {} if choice is None else {"tool_choice": choice}
    status, body = server.ask("POST", CHAT, chat(tools=[TOOL], **more), key=KEY)
    assert status == 200, body
    assert body["choices"][0]["message"]["role"] == "assistant"


def test_an_answer_is_counted(server: Client) -> None:
    status, body = server.ask("POST", CHAT, chat(), key=KEY)
    assert status == 200
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert body["model"] == MODEL


def test_a_stream_ends_with_its_usage(server: Client) -> None:
    body = chat(stream=True, stream_options={"include_usage": True})
    status, content, kind = server.raw("POST", CHAT, body, key=KEY)
    events = [line.removeprefix(b"data: ") for line in content.split(b"\n\n") if line]
    assert (status, kind.partition(";")[0], events[-1]) == (200, "text/event-stream", b"[DONE]")
    pieces = [json.loads(event) for event in events[:-1]]
    assert [piece["choices"][0]["finish_reason"] for piece in pieces[:-1] if piece["choices"][0]["finish_reason"]]
    assert pieces[-1]["choices"] == []
    assert pieces[-1]["usage"]["completion_tokens"] > 0


def test_a_chosen_answer_is_given_whoever_answers_the_rest(server: Client) -> None:
    messages = [{"role": "user", "content": '[[tool:look {"at": "it"}]]'}]
    _, body = server.ask("POST", CHAT, chat(messages=messages, tools=[TOOL]), key=KEY)
    call = body["choices"][0]["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == ("look", {"at": "it"})
    assert server.ask("POST", CHAT, chat(messages=messages), key="wrong")[0] == 401


def test_metrics_have_the_names_that_are_asked_for(server: Client) -> None:
    server.ask("POST", CHAT, chat(), key=KEY)
    status, text = server.ask("GET", "/metrics")
    assert status == 200
    found = set(re.findall(r"(?m)^vllm:(\w+)\{[^}]*model_name=", text))
    assert set(METRICS) <= found
    asked = set(re.findall(r"vllm:(\w+)", alert_rules()))
    assert asked
    assert asked <= set(METRICS)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "answer"}}], ids=str)
def test_the_real_one_calls_tools_by_itself(real: Client, choice: Any) -> None:
    """With a grammar even noise makes a call that the parser reads, unless it runs into the limit before its end."""
    said = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    tool = {"type": "function", "function": {"name": "answer", "parameters": {**said, "additionalProperties": False}}}
    for seed in range(20):
        asked = chat(tools=[tool], tool_choice=choice, max_tokens=400, seed=seed)
        status, body = real.ask("POST", CHAT, asked, key=KEY)
        assert status == 200, body
        if calls := body["choices"][0]["message"].get("tool_calls"):
            assert calls[0]["function"]["name"] == "answer"
            assert json.loads(calls[0]["function"]["arguments"])["yes"] in (True, False)
            return
    pytest.fail("no call in 20 answers")


def test_without_a_parser_the_stand_in_refuses_tools() -> None:
    """As the real one was seen to: with the flags, which it is started with here, it takes them."""
    told = {name: value for name, value in config(0).items() if name != "tool-call-parser"}
    service = vllm.make(told)
    service.poll_seconds = 0.01
    server = service.start(0, "127.0.0.1")
    client = Client(server.server_address[1])
    status, body = client.ask("POST", CHAT, chat(tools=[TOOL]), key=KEY)
    assert (status, body["error"]["message"].split(" requires ")[0]) == (400, '"auto" tool choice')
    assert client.ask("POST", CHAT, chat(tools=[TOOL], tool_choice="none"), key=KEY)[0] == 200
    stop(server)


def test_the_front_passes_on_and_answers_what_was_chosen() -> None:
    behind = Service("behind")
    behind.fallback = lambda r: {"path": r.path, "query": dict(r.query), "key": r.bearer(), "body": r.body.decode()}
    behind.route("GET", "/stream")(lambda _: Answer(iter([b"a", b"b"]), type="text/event-stream"))
    behind.poll_seconds = 0.01
    inner = behind.start(0, "127.0.0.1")
    service = vllm_front.make(config(0), inner.server_address[1])
    service.poll_seconds = 0.01
    front = service.start(0, "127.0.0.1")
    client = Client(front.server_address[1])
    _, told = client.ask("POST", "/v1/x?a=1", {"b": 2}, key="any")
    assert told == {"path": "/v1/x", "query": {"a": "1"}, "key": "any", "body": '{"b": 2}'}
    assert client.raw("GET", "/stream") == (200, b"ab", "text/event-stream")
    _, told = client.ask("POST", CHAT, chat(messages=[{"role": "user", "content": "[[this]]"}]), key=KEY)
    assert told["choices"][0]["message"]["content"] == "this"
    _, told = client.ask("POST", CHAT, chat(), key=KEY)
    assert told["path"] == CHAT
    stop(inner)
    assert client.ask("GET", "/health")[0] == 502
    stop(front)


def test_the_lab_s_model_is_the_same_each_time() -> None:
    made = files()
    assert made == files()
    assert made.keys() == {
        *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    }
    length = int.from_bytes(made["model.safetensors"][:8], "little")
    header = json.loads(made["model.safetensors"][8 : 8 + length])
    last = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    assert len(made["model.safetensors"]) == 8 + length + last < 1 << 20
    assert CONTEXT > LIMIT
