"""Prometheus metrics of agent performance.

API and workers are processes of their own: with PROMETHEUS_MULTIPROC_DIR set, which `__main__` does, `render` adds them
up.
"""

import os
from typing import Final

from prometheus_client import REGISTRY as DEFAULT
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

REQUESTS: Final = Counter("agents_requests_total", "Answered requests", ["path", "status"])
REQUEST_SECONDS: Final = Histogram("agents_request_seconds", "Until the answer began", ["path"], buckets=_SECONDS)
ROUTES: Final = Counter("agents_route_decisions_total", "Decisions of the router", ["route", "forced", "clear"])
ROUTE_SECONDS: Final = Histogram(
    "agents_route_decision_seconds", "Time of a decision", buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.05)
)
FIRST_TOKEN_SECONDS: Final = Histogram(
    "agents_first_token_seconds", "Until the model began", ["model"], buckets=_SECONDS
)
MODEL_CALLS: Final = Counter("agents_model_calls_total", "Calls of the model proxy", ["model", "outcome"])
ASKED_AGAIN: Final = Counter(
    "agents_model_asked_again_total", "Answers that broke, and were asked for again", ["model"]
)
TOKENS: Final = Counter(
    "agents_tokens_total",
    "Tokens, as the proxy counts them; of answers that broke, an estimate",
    ["model", "direction"],
)
COST_USD: Final = Counter("agents_cost_usd_total", "Cost by the price list", ["model"])
RUNS: Final = Counter("agents_runs_total", "Runs that came to an end", ["status", "reason"])
RUN_SECONDS: Final = Histogram("agents_run_seconds", "Duration of a run", buckets=(1, 5, 15, 60, 180, 600, 1800, 3600))
RUN_RESUMES: Final = Counter("agents_run_resumes_total", "Runs taken over from a worker that died")
STEPS: Final = Counter("agents_steps_total", "Steps of runs", ["node"])
TOOL_CALLS: Final = Counter("agents_tool_calls_total", "Calls of tools", ["tool", "outcome"])
INGESTED: Final = Counter("agents_ingested_total", "Documents ingested", ["outcome"])
CHUNKS: Final = Counter("agents_ingested_chunks_total", "Chunks embedded and stored")
RERANKED: Final = Counter("agents_reranked_total", "Searches whose passages were to be reranked", ["outcome"])
WAITING: Final = Gauge("agents_runs_waiting", "Runs that wait for a worker", multiprocess_mode="mostrecent")


def render() -> bytes:
    """All metrics in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(DEFAULT)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
