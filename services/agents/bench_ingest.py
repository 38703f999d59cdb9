"""Measures how much of the embedding server's throughput an ingest reaches, and how long a search takes before the
model is asked. Prints Markdown.

    .services/agents/bin/python services/agents/bench_ingest.py [--rounds 3]

The embedding server is a stand-in around a real small model, all-MiniLM-L6-v2, in a process of its own; vectors go to
Qdrant's local mode, since its server cannot be had here. Postgres and Redis are real. The server alone gets the same
texts in the same batches, as many at once, in turn with the ingest. The model is a stand-in that answers at once, asked
directly and through the route `search` in turn: with first questions, and with follow-ups, for which it is asked twice.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

SERVICE: Final = Path(__file__).parent
sys.path[:0] = [str(SERVICE), str(SERVICE.parents[1])]

import httpx  # noqa: E402
import uvicorn  # noqa: E402
from mesh_agents.api.app import make_app  # noqa: E402
from mesh_agents.config import SECRETS, Settings  # noqa: E402
from mesh_agents.rag.chunk import chunks  # noqa: E402
from mesh_agents.rag.embed import Embedder  # noqa: E402
from qdrant_client import AsyncQdrantClient  # noqa: E402
from training import corpus  # noqa: E402

from tests.services.agents.embedding import SIZE  # noqa: E402
from tests.services.agents.servers import PRICES, Postgres, Redis, free_port, running, wait_until  # noqa: E402
from tests.services.agents.stand_in import StandIn  # noqa: E402

CHUNKS: Final = 256
QUESTIONS: Final = 20
"""In each round."""
EARLIER: Final = [
    {"role": "user", "content": "Which of the prompts is about PostgreSQL?"},
    {"role": "assistant", "content": "The one about vacuum [1]."},
]


def text() -> str:
    """As many chunks of the labelled prompts, each time in the same order."""
    lines = [prompt for prompt, _ in [*corpus.train_part(), *corpus.test_part(), *corpus.load("unseen")]]
    whole = "\n\n".join(lines * 10)
    pieces = chunks(whole, markdown=False)
    return whole[: pieces[CHUNKS].start] if len(pieces) > CHUNKS else whole


@contextmanager
def _embeddings() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "--embeddings", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(f"{url}/history/x"), what="the embedding server's start")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def _serving(settings: Settings) -> Iterator[str]:
    vectors = AsyncQdrantClient(":memory:")
    config = uvicorn.Config(make_app(settings, (vectors, vectors)), port=settings.port, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{settings.port}"
    wait_until(lambda: server.started and _answers(f"{url}/ready"), what="the API's start")
    yield url
    server.should_exit = True
    thread.join(15)


async def _alone(settings: Settings, pieces: list[str]) -> float:
    """Seconds of the server alone, called as the ingest calls it."""
    async with httpx.AsyncClient(trust_env=False) as http:
        embedder = Embedder(settings, http)
        began = time.perf_counter()
        await embedder.embed(pieces)
        return time.perf_counter() - began


def _ingest(url: str, whole: str, name: str) -> float:
    """Seconds of an ingest, from the file to the answer that it is there."""
    headers = {"authorization": "Bearer secret-of-api-key", "x-consumer-username": name}
    began = time.perf_counter()
    answer = httpx.post(
        f"{url}/v1/documents",
        files={"file": ("bench.txt", whole)},
        headers=headers,
        timeout=600,
        trust_env=False,
    )
    if answer.status_code != 201:
        raise SystemExit(f"refused: {answer.text}")
    return time.perf_counter() - began


def _first_token(http: httpx.Client, url: str, key: str, model: str, messages: list[dict[str, str]]) -> float:
    """Milliseconds until the first word of a streamed answer."""
    body = {"model": model, "messages": messages, "stream": True}
    headers = {"authorization": f"Bearer {key}", "x-consumer-username": "round-0"}
    began = time.perf_counter()
    with http.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
        for line in answer.iter_lines():
            choices = json.loads(line[6:]).get("choices") if line.startswith("data: {") else None
            if choices and choices[0]["delta"].get("content"):
                return (time.perf_counter() - began) * 1000
    raise SystemExit(f"no answer: {answer.status_code}")


def _search_rows(url: str, model: str, rounds: int) -> list[str]:
    """What a search adds to a model's first token."""
    prompts = [prompt for prompt, _ in corpus.load("unseen")][: QUESTIONS * rounds]
    rows = []
    for name, earlier in (("a first question", []), ("a follow-up, rewritten", EARLIER)):
        direct, through = [], []
        with httpx.Client(timeout=60, trust_env=False) as http:
            for prompt in prompts:
                messages = [*earlier, {"role": "user", "content": f"And it? {prompt}" if earlier else prompt}]
                direct.append(_first_token(http, model, "secret-of-litellm-key", "claude_sonnet", messages))
                through.append(_first_token(http, url, "secret-of-api-key", "search", messages))
        cells = [
            f"{quantile(direct):.1f} | {quantile(through):.1f} | {quantile(through) - quantile(direct):+.1f}"
            for quantile in (statistics.median, max)
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def rows(rounds: int) -> list[str]:
    """The table."""
    warnings.filterwarnings("ignore", message="Payload indexes have no effect")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agents-bench-")))
        folder.chmod(0o755)
        for part in ("redis", "postgres", "config"):
            (folder / part).mkdir()
        for name in SECRETS:
            (folder / "config" / name).write_text(f"secret-of-{name}\n")
        redis, postgres = Redis(folder / "redis"), Postgres(folder / "postgres")
        stack.enter_context(running(redis))
        stack.enter_context(running(postgres))
        postgres.create()
        upstream = stack.enter_context(_embeddings())
        told: dict[str, Any] = {
            "postgres_host": "127.0.0.1",
            "postgres_port": postgres.port,
            "redis_host": "127.0.0.1",
            "redis_port": redis.port,
            "prices": PRICES,
            "embedding_size": SIZE,
            "embeddings_url": upstream,
            "litellm_url": upstream,
            "min_score": 0.0,
            "config_dir": folder / "config",
            "port": free_port(),
        }
        settings = Settings(**told)
        url = stack.enter_context(_serving(settings))
        whole = text()
        pieces = [piece.text for piece in chunks(whole, markdown=False)]
        alone, through = [], []
        for number in range(rounds):
            alone.append(len(pieces) / asyncio.run(_alone(settings, pieces)))
            through.append(len(pieces) / _ingest(url, whole, f"round-{number}"))
        searched = _search_rows(url, upstream, rounds)
    ratio = statistics.median(b / a for a, b in zip(alone, through, strict=True))
    return [
        f"| {len(pieces)} chunks | embedding server alone, chunks a second | ingest | ratio |",
        "|---|---|---|---|",
        f"| median of {rounds} | {statistics.median(alone):.1f} | {statistics.median(through):.1f} | {ratio:.2f} |",
        "",
        "| first token of `search`, ms | p50 direct | through | added | most direct | through | added |",
        "|---|---|---|---|---|---|---|",
        *searched,
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--embeddings", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.embeddings:
        StandIn(options.embeddings).serve()
        return
    sys.stdout.write("\n".join(rows(options.rounds)) + "\n")


if __name__ == "__main__":
    main()
