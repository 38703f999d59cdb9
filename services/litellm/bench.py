"""Measures the model proxy: what it adds to a call of the bare model, an answer of its cache, and its memory.

    .services/litellm/bin/python services/litellm/bench.py

The real LiteLLM with the rendered configuration, a caller's key, real Redis and Postgres, and the stand-in for the
models as a process of its own, as in the tests. Bare model and proxy take turns in one run, so that a busy machine
slows both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.services.agents.servers import free_port  # noqa: E402
from tests.services.litellm.database import Database  # noqa: E402
from tests.services.litellm.servers import CALLERS, VLLM, Proxy, Redis, on_loopback, rendered  # noqa: E402
from tests.services.litellm.upstream import Script, Upstream  # noqa: E402

BARE, PROXY = "bare model", "through the proxy"
CONCURRENT: Final = (1, 50, 200)


def serve(port: int) -> None:
    """The stand-in, until it is ended."""
    upstream = Upstream(Script(), port)
    upstream.start()
    while upstream.running:
        time.sleep(1)


def memory(root: int) -> float:
    """MiB of a process and those below it, memory that they share counted once (PSS)."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    total = 0
    for pid in found:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def worked(pid: int) -> float:
    """Seconds of processor time that a process has used: what a busy machine changes least."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(times: list[float], part: float) -> float:
    """Of sorted or unsorted times."""
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


@dataclass(frozen=True)
class Side:
    """Where requests go, and what they ask for."""

    url: str
    model: str
    stream: bool = False
    same: bool = False
    """One question for all, which the cache may answer."""


async def load(side: Side, concurrent: int, calls: int) -> list[tuple[float, float]]:
    """Milliseconds to the first words and to the end of each of `calls` requests, `concurrent` at a time.

    A request whose connection is lost has no times: it is missing in the list.
    """
    # A client for each turn: servers close what was idle for 5 s, and the other side's turn may take longer.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"authorization": f"Bearer {CALLERS['agents']}"}
    left = iter(range(calls))
    times: list[tuple[float, float]] = []

    async def worker() -> None:
        for _ in left:
            prompt = "the same question" if side.same else str(uuid.uuid4())
            body = {"model": side.model, "messages": [{"role": "user", "content": prompt}], "stream": side.stream}
            began = time.perf_counter()
            first = 0.0
            text, status = "", 0
            try:
                async with client.stream("POST", f"{side.url}/v1/chat/completions", json=body) as answer:
                    status = answer.status_code
                    async for part in answer.aiter_text():
                        text += part
                        first = first or time.perf_counter()
            except httpx.TransportError:
                continue
            times.append(((first - began) * 1000, (time.perf_counter() - began) * 1000))
            if status != httpx.codes.OK or (side.stream and "[DONE]" not in text):
                raise SystemExit(f"{side.url} answered {status}: {text[:300]}")

    async with httpx.AsyncClient(headers=headers, timeout=120, limits=limits) as client:
        await asyncio.gather(*(worker() for _ in range(concurrent)))
    return times


async def compared(
    name: str, bare: Side, proxy: Side, pid: int, sizes: tuple[int, int, int]
) -> tuple[list[str], float]:
    """Rows of the two sides, which take turns; the most memory of the proxy meanwhile."""
    concurrent, rounds, calls = sizes
    number = max(calls, 2 * concurrent)
    times: dict[str, list[tuple[float, float]]] = {BARE: [], PROXY: []}
    busy, most = 0.0, 0.0
    for _ in range(rounds):
        times[BARE] += await load(bare, concurrent, number)
        began = worked(pid)
        times[PROXY] += await load(proxy, concurrent, number)
        busy += worked(pid) - began
        most = max(most, memory(pid))
    lost = f"{rounds * number - len(times[BARE])}, {rounds * number - len(times[PROXY])}"
    cpu = f"{busy * 1000 / len(times[PROXY]):.1f}"
    rows = []
    for index, what in ((0, "first words"), (1, "whole")):
        if index or proxy.stream:
            direct, through = ([pair[index] for pair in times[side]] for side in (BARE, PROXY))
            cells = [percentile(side, part) for part in (0.5, 0.99) for side in (direct, through)]
            shown = [
                f"{direct:.1f} | {through:.1f} | {through - direct:+.1f}"
                for direct, through in zip(cells[::2], cells[1::2], strict=True)
            ]
            last = f"{cpu} | {lost}" if index else " | "
            rows.append(f"| {concurrent} {name} | {what} | {' | '.join(shown)} | {last} |")
    return rows, most


async def measure(proxy: Proxy, upstream: str, rounds: int, calls: int) -> list[str]:
    """The rows of the tables."""
    for side in (Side(upstream, VLLM), Side(proxy.url, "vllm_local"), Side(proxy.url, "vllm_local", stream=True)):
        await load(side, 4, 40)
    rest = memory(proxy.pid)
    rows, most = [], rest
    for stream, same, at_once in (
        (False, False, CONCURRENT),
        (True, False, CONCURRENT),
        (False, True, (1,)),
        (True, True, (1,)),
    ):
        name = ("streams" if stream else "answers") + (" of the cache" if same else "")
        sides = Side(upstream, VLLM, stream), Side(proxy.url, "vllm_local", stream, same)
        if same:
            await load(sides[1], 1, 2)
            # It is kept just after its end.
            await asyncio.sleep(1)
        for concurrent in at_once:
            made, seen = await compared(name, *sides, proxy.pid, (concurrent, rounds, calls))
            rows += made
            most = max(most, seen)
    return [
        *rows,
        "",
        "| memory, MiB (PSS) | at rest | most under load |",
        "|---|---|---|",
        f"| the proxy | {rest:.0f} | {most:.0f} |",
    ]


def main() -> None:
    """Start everything, print the table, end everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--calls", type=int, default=100, help="requests of a turn, at least")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    with contextlib.ExitStack() as stack:

        def folder(name: str) -> Path:
            return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"bench-{name}-")))

        upstream: Any = Upstream(Script(), free_port())
        models = subprocess.Popen([sys.executable, __file__, "--serve", str(upstream.port)])
        stack.callback(models.wait, 10)
        stack.callback(models.terminate)
        redis, database = Redis(folder("redis")), Database(folder("postgres"))
        for server in (redis, database):
            stack.callback(server.stop)
            server.start()
        config = on_loopback(rendered(), upstream, upstream, redis.port)
        proxy = Proxy(folder("litellm"), config, database.made("bench"))
        stack.callback(proxy.stop)
        proxy.start()
        rows = asyncio.run(measure(proxy, upstream.url, arguments.rounds, arguments.calls))
    head = "| proxy over the bare model, ms | | p50 bare | through | added | p99 bare | through | added | CPU | lost |"
    print(head, "|---|---|---|---|---|---|---|---|---|---|", *rows, sep="\n")


if __name__ == "__main__":
    main()
