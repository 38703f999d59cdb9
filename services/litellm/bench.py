"""Measures the model proxy: what it adds to a call of the bare model, an answer of its cache, and its memory.

    .services/litellm/bin/python services/litellm/bench.py

The real LiteLLM with the rendered configuration, a real Redis, and the stand-in for the models as a process of its own,
as in the tests. Bare model and proxy take turns in one run, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.services.litellm.servers import MASTER_KEY, VLLM, Proxy, Redis, free_port, on_loopback, rendered  # noqa: E402
from tests.services.litellm.upstream import Script, Upstream  # noqa: E402

BARE, PROXY = "bare model", "through the proxy"


def serve(port: int) -> None:
    """The stand-in, until it is ended."""
    upstream = Upstream(Script(), port)
    upstream.start()
    while upstream.running:
        time.sleep(1)


def resident(pid: int) -> float:
    """MiB of a process and its children."""
    total = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if str(pid) in (lines["Pid"].strip(), lines["PPid"].strip()):
            total += int(lines.get("VmRSS", "0 kB").split()[0]) / 1024
    return total


def worked(pid: int) -> float:
    """Seconds of processor time that a process has used: what a busy machine changes least."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(times: list[float], part: float) -> float:
    """Of sorted or unsorted times."""
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


async def load(url: str, model: str, concurrent: int, calls: int, same: bool) -> list[float]:
    """Milliseconds of each of `calls` requests, `concurrent` at a time."""
    # A client for each turn: servers close what was idle for 5 s, and the other side's turn may take longer.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    async with httpx.AsyncClient(headers=headers, timeout=120, limits=limits) as client:
        return await _load(client, url, model, concurrent, calls, same=same)


async def _load(
    client: httpx.AsyncClient, url: str, model: str, concurrent: int, calls: int, *, same: bool
) -> list[float]:
    left = iter(range(calls))
    times: list[float] = []

    async def worker() -> None:
        for _ in left:
            prompt = "the same question" if same else str(uuid.uuid4())
            body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
            began = time.perf_counter()
            answer = await client.post(f"{url}/v1/chat/completions", json=body)
            times.append((time.perf_counter() - began) * 1000)
            if answer.status_code != httpx.codes.OK:
                raise SystemExit(f"{url} answered {answer.status_code}: {answer.text[:300]}")

    await asyncio.gather(*(worker() for _ in range(concurrent)))
    return times


async def measure(proxy: Proxy, upstream: str, rounds: int, calls: int) -> list[str]:
    """The rows of the table."""
    rows = []
    cases = {BARE: (upstream, VLLM), PROXY: (proxy.url, "vllm_local")}
    for url, model in cases.values():
        await load(url, model, 4, 40, same=False)
    rest = resident(proxy.pid)
    peak = rest
    for concurrent in (1, 50, 200):
        times: dict[str, list[float]] = {name: [] for name in cases}
        rates: dict[str, list[float]] = {name: [] for name in cases}
        before = worked(proxy.pid)
        for _ in range(rounds):
            for name, (url, model) in cases.items():
                began = time.perf_counter()
                number = max(calls, 2 * concurrent)
                times[name] += await load(url, model, concurrent, number, same=False)
                rates[name].append(number / (time.perf_counter() - began))
                peak = max(peak, resident(proxy.pid))
        for name, taken in times.items():
            rows.append(row(name, concurrent, taken, statistics.median(rates[name])))
        added = [percentile(times[PROXY], part) - percentile(times[BARE], part) for part in (0.5, 0.99)]
        cpu = (worked(proxy.pid) - before) * 1000 / len(times[PROXY])
        rows.append(
            f"| **added** | {concurrent} | **{added[0]:.1f}** | **{added[1]:.1f}** | {cpu:.1f} ms of CPU each |"
        )
    await load(proxy.url, "vllm_local", 1, 5, same=True)
    cached = await load(proxy.url, "vllm_local", 1, calls, same=True)
    rows.append(row("cached answer", 1, cached, calls / sum(cached) * 1000))
    return [*rows, "", f"Resident memory: {rest:.0f} MiB at rest, {peak:.0f} MiB under load."]


def row(name: str, concurrent: int, times: list[float], rate: float) -> str:
    """One line of the table."""
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    return f"| {name} | {concurrent} | {p50:.1f} | {p99:.1f} | {rate:.0f} |"


def main() -> None:
    """Start everything, print the table, end everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--calls", type=int, default=200, help="requests of a turn")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        redis_folder, proxy_folder = Path(folder, "redis"), Path(folder, "proxy")
        redis_folder.mkdir()
        proxy_folder.mkdir()
        redis = Redis(redis_folder)
        upstream: Any = Upstream(Script(), free_port())
        proxy = Proxy(proxy_folder, on_loopback(rendered(), upstream, upstream, redis.port))
        models = subprocess.Popen([sys.executable, __file__, "--serve", str(upstream.port)])
        try:
            redis.start()
            proxy.start()
            rows = asyncio.run(measure(proxy, upstream.url, arguments.rounds, arguments.calls))
        finally:
            proxy.stop()
            redis.stop()
            models.terminate()
            models.wait(10)
    print("| | concurrent | p50 ms | p99 ms | a second |\n|---|---|---|---|---|", *rows, sep="\n")


if __name__ == "__main__":
    main()
