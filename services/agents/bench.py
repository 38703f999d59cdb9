"""Measures what the agents add to a bare model: latency, router decisions, memory. Prints Markdown.

    .services/agents/bin/python services/agents/bench.py [--rounds 5]

The upstream is a stand-in that speaks tokens at the pace of a busy GPU server; Redis and Postgres are real. Requests go
to it directly and through the agents in turn, so that a busy machine slows both.
"""

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

SERVICE: Final = Path(__file__).parent
sys.path[:0] = [str(SERVICE), str(SERVICE.parents[1])]

import httpx  # noqa: E402
import uvicorn  # noqa: E402
from mesh_agents.config import SECRETS  # noqa: E402
from mesh_agents.routing.router import Router  # noqa: E402
from mesh_agents.routing.situation import TURNS, Situation, Turn  # noqa: E402
from training import corpus, situations  # noqa: E402

from tests.services.agents.servers import (  # noqa: E402
    PASSWORDS,
    PRICES,
    Postgres,
    Redis,
    free_port,
    running,
    wait_until,
)

TOKENS: Final = 25
PACE: Final = 0.04
"""Seconds between tokens: 25 a second for each of 200 streams is what a large GPU does."""
PROMPT: Final = "Which city is the capital of Peru, and how many people live there?"
STREAMS: Final = (1, 50, 200)
KEY: Final = "secret-of-api-key"


# The upstream, a process of its own.


async def upstream(scope: Any, receive: Any, send: Any) -> None:
    """Answers every request: at once, or as a stream whose tokens keep to the clock, whatever came before."""
    if scope["type"] != "http":
        return
    asked = b""
    more = True
    while more:
        message = await receive()
        asked += message.get("body", b"")
        more = message.get("more_body", False)
    if not json.loads(asked).get("stream"):
        body = _body({"message": {"role": "assistant", "content": "Lima. " * TOKENS}, "finish_reason": "stop"})
        await _start(send, b"application/json")
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})
        return
    await _start(send, b"text/event-stream")
    began = asyncio.get_running_loop().time()
    for number in range(TOKENS):
        await asyncio.sleep(began + number * PACE - asyncio.get_running_loop().time())
        await _event(send, _body({"delta": {"content": "Lima "}, "finish_reason": None}))
    await _event(send, _body({"delta": {}, "finish_reason": "stop"}))
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def _start(send: Any, media: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media)]})


async def _event(send: Any, body: dict[str, Any]) -> None:
    await send({"type": "http.response.body", "body": b"data: %s\n\n" % json.dumps(body).encode(), "more_body": True})


def _body(choice: dict[str, Any]) -> dict[str, Any]:
    usage = {"prompt_tokens": 20, "completion_tokens": TOKENS, "total_tokens": 20 + TOKENS}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "vllm_local",
        "choices": [{"index": 0, **choice}],
        "usage": usage if choice["finish_reason"] else None,
    }


# The clients: bare sockets, which cost least of what is measured.


class Caller:
    """A connection that is kept open."""

    def __init__(self, port: int, key: str, model: str) -> None:
        """A caller of the server on `port`."""
        self._port = port
        self._key = key
        self._model = model
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, *, stream: bool) -> tuple[float, float]:
        """Milliseconds until the first token and until the end."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        payload = {"model": self._model, "messages": [{"role": "user", "content": PROMPT}], "stream": stream}
        body = json.dumps(payload).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self._key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer.split(b"\r\n")[0]:
            raise SystemExit(f"refused: {answer!r}")
        if not stream:
            await _whole(reader, answer)
            ended = time.perf_counter()
            return (ended - began) * 1000, (ended - began) * 1000
        await reader.readuntil(b"data:")
        first = time.perf_counter()
        await reader.readuntil(b"[DONE]")
        await reader.readuntil(b"0\r\n\r\n")
        return (first - began) * 1000, (time.perf_counter() - began) * 1000

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()


async def _whole(reader: asyncio.StreamReader, head: bytes) -> None:
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if lengths:
        await reader.readexactly(int(lengths[0]))
    else:
        await reader.readuntil(b"0\r\n\r\n")


async def alternate(
    sides: dict[str, tuple[int, str, str]], at_once: int, rounds: int, *, stream: bool
) -> dict[str, list[tuple[float, float]]]:
    """Times of each side, which take turns; the first round only warms up."""
    callers = {name: [Caller(*side) for _ in range(at_once)] for name, side in sides.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, group in callers.items():
            found = await asyncio.gather(*(caller.ask(stream=stream) for caller in group))
            if number:
                times[name] += found
    for caller in itertools.chain(*callers.values()):
        caller.close()
    return times


# The agents.


@contextmanager
def _process(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *command], cwd=SERVICE, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def environment(folder: Path, model: int, redis: Redis, postgres: Postgres) -> dict[str, str]:
    """What the deployment sets, with addresses of this machine."""
    for name in SECRETS:
        (folder / name).write_text(f"secret-of-{name}\n")
    return {
        "AGENTS_PORT": str(free_port()),
        "AGENTS_CONFIG_DIR": str(folder),
        "AGENTS_PRICES": PRICES,
        "AGENTS_LITELLM_URL": f"http://127.0.0.1:{model}",
        "AGENTS_REDIS_HOST": "127.0.0.1",
        "AGENTS_REDIS_PORT": str(redis.port),
        "AGENTS_POSTGRES_HOST": "127.0.0.1",
        "AGENTS_POSTGRES_PORT": str(postgres.port),
    }


def memory(root: int) -> float:
    """MiB of a process and those below it, memory that they share counted once (PSS)."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = {root}
    while more := {pid for pid, parent in pairs if parent in found} - found:
        found |= more
    total = 0
    for pid in found:
        path = Path(f"/proc/{pid}/smaps_rollup")
        if path.exists():
            total += sum(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("Pss:"))
    return total / 1024


async def _sampled(root: int, seen: list[float]) -> None:
    while True:
        seen.append(await asyncio.to_thread(memory, root))
        await asyncio.sleep(1)


def router_rows() -> list[str]:
    """Decision times on the labelled prompts and on the worst inputs that we know."""
    router = Router.load()
    prompts = [prompt for prompt, _ in [*corpus.train_part(), *corpus.test_part(), *corpus.load("unseen")]]
    hostile = ["word " * 100_000, "aaaa" * 50_000, "(" * 20_000, "a." * 20_000, "what does " * 9000, "`" * 9999]
    given: dict[str, Sequence[str | Situation]] = {"labelled prompts": prompts, "hostile input": hostile}
    for kind in situations.KINDS:
        parts = (situations.train_part(kind), situations.test_part(kind), situations.unseen_part(kind))
        given[f"labelled {kind}"] = [situation for part in parts for situation, _ in part]
    given["hostile conversations"] = [
        Situation(turns=tuple(Turn(text, text) for _ in range(TURNS)), rules=text, pictures=1) for text in hostile
    ]
    rows = []
    for name, asked in given.items():
        taken = [_decision(router, one) for _ in range(5) for one in asked]
        for index, what in ((0, "by the clock"), (1, "of the processor")):
            times = [pair[index] for pair in taken]
            rows.append(f"| {name} | {what} | {_at(times, 50):.2f} | {_at(times, 99):.2f} | {max(times):.2f} |")
    return rows


def _decision(router: Router, asked: str | Situation) -> tuple[float, float]:
    """Milliseconds by the clock, which others on a busy machine lengthen, and of the processor."""
    began = time.thread_time()
    decision = router.decide(asked)
    return decision.milliseconds, (time.thread_time() - began) * 1000


def _at(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def latency_rows(name: str, times: dict[str, list[tuple[float, float]]]) -> list[str]:
    """A row for the first token and one for the whole."""
    rows = []
    for index, what in ((0, "first token"), (1, "whole")):
        direct, through = ([pair[index] for pair in times[side]] for side in ("direct", "through"))
        cells = [
            f"{_at(direct, p):.1f} | {_at(through, p):.1f} | {_at(through, p) - _at(direct, p):+.1f}" for p in (50, 99)
        ]
        rows.append(f"| {name} | {what} | {' | '.join(cells)} |")
    return rows


async def measure(port: int, model: int, root: int, rounds: int) -> tuple[list[str], list[str]]:
    """Rows of latency and of memory."""
    sides = {"direct": (model, "secret-of-litellm-key", "vllm_local"), "through": (port, KEY, "auto")}
    rest = memory(root)
    seen: list[float] = []
    # A whole answer comes at once: what is between the two sides is ours alone.
    rows = latency_rows("1 answer, not streamed", await alternate(sides, 1, 100 * rounds, stream=False))[1:]
    sampler = None
    for at_once in STREAMS:
        if at_once > 1 and sampler is None:  # not before: it would disturb a single request
            sampler = asyncio.create_task(_sampled(root, seen))
        times = await alternate(sides, at_once, rounds * (6 if at_once == 1 else 1), stream=True)
        rows += latency_rows(f"{at_once} stream{'s' if at_once > 1 else ''}", times)
    if sampler:
        sampler.cancel()
    return rows, [f"| 2 processes of the API, 2 workers and their watcher | {rest:.0f} | {max(seen):.0f} |"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        uvicorn.run(
            upstream, host="127.0.0.1", port=options.upstream, log_level="error", lifespan="off", timeout_keep_alive=600
        )
        return
    assert set(PASSWORDS) == {"redis", "postgres"}  # noqa: S101 - the same as `environment` writes
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agents-bench-")))
        folder.chmod(0o755)
        for part in ("redis", "postgres", "config"):
            (folder / part).mkdir()
        redis, postgres = Redis(folder / "redis"), Postgres(folder / "postgres")
        stack.enter_context(running(redis))
        stack.enter_context(running(postgres))
        postgres.create()
        model = free_port()
        stack.enter_context(_process([__file__, "--upstream", str(model)], {}))
        told = environment(folder / "config", model, redis, postgres)
        agents = stack.enter_context(_process(["-m", "mesh_agents", "serve"], told))
        port = int(told["AGENTS_PORT"])
        wait_until(lambda: _ready(port), what="the agents' start")
        time.sleep(5)
        latency, used = asyncio.run(measure(port, model, agents.pid, options.rounds))
    lines = [
        "| agents over the bare upstream, ms | | p50 direct | p50 through | added | p99 direct | p99 through | added |",
        "|---|---|---|---|---|---|---|---|",
        *latency,
        "",
        "| router's decision, ms | time | p50 | p99 | most |",
        "|---|---|---|---|---|",
        *router_rows(),
        "",
        "| memory, MiB | at rest | most under load |",
        "|---|---|---|",
        *used,
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
