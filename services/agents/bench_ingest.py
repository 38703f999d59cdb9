"""Measures how much of the embedding server's throughput an ingest reaches. Prints Markdown.

    .services/agents/bin/python services/agents/bench_ingest.py [--rounds 3]

The embedding server is a stand-in around a real small model, all-MiniLM-L6-v2, in a process of its own; vectors go to
Qdrant's local mode, since its server cannot be had here. Postgres and Redis are real. The server alone gets the same
texts in the same batches, as many at once, in turn with the ingest.
"""

import argparse
import asyncio
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
        told: dict[str, Any] = {
            "postgres_host": "127.0.0.1",
            "postgres_port": postgres.port,
            "redis_host": "127.0.0.1",
            "redis_port": redis.port,
            "prices": PRICES,
            "embedding_size": SIZE,
            "embeddings_url": stack.enter_context(_embeddings()),
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
    ratio = statistics.median(b / a for a, b in zip(alone, through, strict=True))
    return [
        f"| {len(pieces)} chunks | embedding server alone, chunks a second | ingest | ratio |",
        "|---|---|---|---|",
        f"| median of {rounds} | {statistics.median(alone):.1f} | {statistics.median(through):.1f} | {ratio:.2f} |",
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
