"""vLLM: `vllm serve --config FILE`, OpenAI's API with a key on /v1 alone, as the real one guards it."""

from __future__ import annotations

import argparse
import threading
from typing import Any

import yaml

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, metric, readable, same, wait
from lab.images.standins.openai import Chat, error, histogram, label

GUARDED = ("/v1", "/v2", "/inference", "/cohere")


def make(config: dict[str, Any]) -> Service:
    """The server of a configuration file."""
    service = Service("vllm")
    model = str(config["served-model-name"])
    chat = Chat([model], pause=0.01)
    key = str(config["api-key"])
    paused = threading.Event()

    def guard(request: Request) -> None:
        if request.path.startswith(GUARDED) and not same(request.bearer(), key):
            raise Refused(401, "", {"error": "Unauthorized"})

    service.guard = guard
    service.route("GET", "/health")(lambda _: Answer(b"", 503 if paused.is_set() else 200))
    service.route("GET", "/v1/models")(chat.listing)
    service.route("POST", "/v1/chat/completions")(chat.complete)

    @service.route("POST", "/v1/completions")
    def _(request: Request) -> Any:
        asked = request.json()
        request.body = b""
        if asked.get("model") != model:
            raise Refused(404, "", error(404))
        text = f"{model} (stand-in) continues: {asked.get('prompt', '')}"
        return {"id": "cmpl-1", "object": "text_completion", "model": model, "choices": [{"index": 0, "text": text}]}

    # The real server answers these to anyone: the proxy's list of paths has to keep callers from them.
    @service.route("POST", "/(pause|resume)")
    def _(request: Request) -> Any:
        (paused.set if request.path == "/pause" else paused.clear)()
        return {"status": request.path[1:]}

    service.route("POST", "/tokenize")(lambda r: {"count": len(str(r.json().get("prompt", ""))) // 4})

    @service.route("GET", "/metrics")
    def _(_request: Request) -> Answer:
        name = label(model)
        text = (
            metric("vllm:num_requests_running", "gauge", {name: chat.running})
            + metric("vllm:num_requests_waiting", "gauge", {name: 0})
            + metric("vllm:kv_cache_usage_perc", "gauge", {name: 0.1})
            + histogram("vllm:e2e_request_latency_seconds", name, chat.seconds)
            + histogram("vllm:time_to_first_token_seconds", name, [min(s, 0.01) for s in chat.seconds])
        )
        return Answer(text + service.metrics(), type=TEXT)

    return service


def main() -> None:
    """`vllm serve`."""
    parser = argparse.ArgumentParser(prog="vllm")
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--config", required=True)
    config = yaml.safe_load(readable(parser.parse_args().config))
    make(config).start(int(config["port"]), str(config["host"]))
    wait()


if __name__ == "__main__":
    main()
