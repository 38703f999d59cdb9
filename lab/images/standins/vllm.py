"""vLLM: `vllm serve --config FILE`, OpenAI's API with a key on /v1 alone, as the real one guards it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, metric, readable, same, wait
from lab.images.standins.openai import Chat, histogram, label, tokens
from lab.images.standins.vllm_refusals import check_choice, check_length, check_messages, check_request, refuse

GUARDED: Final = ("/v1", "/v2", "/inference", "/cohere")
"""vllm/entrypoints/serve/middleware/authenticate.py."""


def guard_of(key: str) -> Callable[[Request], None]:
    """Refuses what lacks the key where it is asked for."""

    def guard(request: Request) -> None:
        if request.path.startswith(GUARDED) and not same(request.bearer(), key):
            raise Refused(401, "", {"error": "Unauthorized"})

    return guard


def make(config: Mapping[str, Any]) -> Service:
    """The server of a configuration file."""
    service = Service("vllm")
    model = str(config["served-model-name"])
    limit = int(config.get("max-model-len", 16384))
    tools = bool(config.get("enable-auto-tool-choice") and config.get("tool-call-parser"))
    chat = Chat([model], pause=0.01)
    service.guard = guard_of(str(config["api-key"]))

    def fallback(_: Request) -> Any:
        raise Refused(404, "", {"detail": "Not Found"})

    def complete(request: Request) -> Any:
        asked = _body(request)
        check_request(asked)
        _check_model(asked, model)
        check_choice(asked, tools=tools)
        check_messages(asked["messages"], model)
        check_length(asked, limit)
        return chat.complete(request)

    def continued(request: Request) -> Any:
        asked = _body(request)
        _check_model(asked, model)
        text = f"{model} (stand-in) continues: {asked.get('prompt', '')}"
        return {"id": "cmpl-1", "object": "text_completion", "model": model, "choices": [{"index": 0, "text": text}]}

    def listing(request: Request) -> Any:
        found = chat.listing(request)
        return {**found, "data": [{**entry, "owned_by": "vllm", "max_model_len": limit} for entry in found["data"]]}

    service.fallback = fallback
    service.route("GET", "/health")(lambda _: b"")
    service.route("GET", "/version")(lambda _: {"version": "0.30.0"})
    service.route("GET", "/metrics")(lambda _: Answer(_metrics(chat, model) + service.metrics(), type=TEXT))
    service.route("GET", "/v1/models")(listing)
    service.route("GET", "/v1/(chat/)?completions")(_other_method)
    service.route("POST", "/v1/chat/completions")(complete)
    service.route("POST", "/v1/completions")(continued)
    # The real server answers these to anyone: the proxy's list of paths has to keep callers from them.
    service.route("POST", "/invocations")(_invocation)
    service.route("POST", "/tokenize")(lambda request: _tokenized(request, limit))
    return service


def _metrics(chat: Chat, model: str) -> str:
    """Those that alerts and dashboards ask for, by the real ones' names."""
    name = f'engine="0",{label(model)}'
    done = len(chat.seconds)
    quick = [min(seconds, 0.01) for seconds in chat.seconds]
    gauges = {"num_requests_running": chat.running, "num_requests_waiting": 0, "kv_cache_usage_perc": 0.1}
    counters = ("prefix_cache_queries", "prefix_cache_hits", "prompt_tokens", "generation_tokens")
    histograms = {
        "e2e_request_latency_seconds": chat.seconds,
        "time_to_first_token_seconds": quick,
        "inter_token_latency_seconds": quick,
        "request_time_per_output_token_seconds": quick,
        "request_queue_time_seconds": [0.0] * done,
    }
    return "".join(
        (
            *(metric(f"vllm:{key}", "gauge", {name: value}) for key, value in gauges.items()),
            *(metric(f"vllm:{key}_total", "counter", {name: done}) for key in counters),
            metric("vllm:request_success_total", "counter", {f'{name},finished_reason="stop"': done}),
            *(histogram(f"vllm:{key}", name, values) for key, values in histograms.items()),
        )
    )


def _check_model(asked: Mapping[str, Any], model: str) -> None:
    if asked.get("model", model) != model:
        raise refuse(f"The model `{asked['model']}` does not exist.", "model", kind="NotFoundError", status=404)


def _other_method(_: Request) -> Any:
    raise Refused(405, "", {"detail": "Method Not Allowed"})


def _invocation(_: Request) -> Any:
    raise refuse("Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)", "prompt")


def _tokenized(request: Request, limit: int) -> Any:
    count = tokens(str(_body(request).get("prompt", "")))
    return {"count": count, "max_model_len": limit, "tokens": list(range(count)), "token_strs": None}


def _body(request: Request) -> dict[str, Any]:
    try:
        asked = request.json()
    except Refused:
        words = "1 validation error:\n  {'type': 'json_invalid', 'loc': 'body.1', 'msg': 'JSON decode error'}"
        raise refuse(words, "body.1", kind="Bad Request") from None
    if not isinstance(asked, dict):
        raise refuse("1 validation error", "body", kind="Bad Request")
    return asked


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
