"""Time of a call, through two sidecars and directly, in turn."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.bench.places import DIRECT_PORT, PREFIX, Lab, docker_halted, in_place_of, others_paused, wait_answers

CLIENTS: Final = 20
RATES: Final = (100, 1000)
"""Requests a second, all clients together."""
CALLEE, PORT = "vllm", 8000
PUBLISHED: Final = (2.76, 2.88)
"""Added milliseconds, p90 and p99, that Istio publishes for two sidecars with mTLS."""


@dataclass(frozen=True)
class Times:
    """Of the requests of one run, in milliseconds."""

    p50: float
    p90: float
    p99: float
    count: int
    failed: int


def measure(lab: Lab, rounds: int, seconds: int) -> list[str]:
    """A table of both ways, on one node and across the nodes."""
    lines = [
        "| p50 / p90 / p99, ms | requests/s | direct | through the mesh | added | added, Docker's checks on | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    with others_paused(lab), in_place_of(lab, "thanos", CALLEE, PORT, "nginx"):
        for way, mesh, direct in _ways(lab):
            wait_answers(("nsenter", *mesh[1 : mesh.index("h2load")], "curl", *_curl(mesh)))
            lines += [_compared(lab, way, rate, mesh, direct, rounds, seconds) for rate in RATES]
    return lines


def _ways(lab: Lab) -> list[tuple[str, Sequence[str], Sequence[str]]]:
    """(name, command through the mesh, command past it); h2load's own options follow."""
    thanos = lab.nodes["thanos"].address
    near = lab.address("thanos", "agentic-mesh-bench-direct", "bridge")
    across, beside = lab.sidecar("oracle1", "litellm"), lab.sidecar("thanos", "blackbox-exporter")
    return [
        (
            "one node",
            _load(lab.inside("thanos", f"{PREFIX}-blackbox-exporter"), f"{beside}:{PORT}", "/health"),
            _load(lab.on("thanos"), f"{near}:{PORT}", "/health"),
        ),
        (
            "across the nodes, two gateways between",
            _load(lab.inside("oracle1", f"{PREFIX}-litellm"), f"{across}:{PORT}", "/v1/models"),
            _load(lab.on("oracle1"), f"{thanos}:{DIRECT_PORT}", "/v1/models"),
        ),
    ]


def _load(prefix: Sequence[str], to: str, path: str) -> Sequence[str]:
    return [*prefix, "h2load", "--h1", f"--connect-to={to}", f"http://{CALLEE}:{PORT}{path}"]


def _curl(command: Sequence[str]) -> tuple[str, str, str]:
    to = next(word for word in command if word.startswith("--connect-to=")).removeprefix("--connect-to=")
    return "--connect-to", f"::{to}", command[-1]


def _compared(
    lab: Lab, way: str, rate: int, mesh: Sequence[str], direct: Sequence[str], rounds: int, seconds: int
) -> str:
    """Medians of the rounds' percentiles; each round asks one way and then the other."""
    found: dict[str, list[Times]] = {"direct": [], "mesh": [], "docker": []}
    for _ in range(rounds):
        with docker_halted(lab):
            found["direct"].append(run(direct, rate, seconds))
            found["mesh"].append(run(mesh, rate, seconds))
        found["docker"].append(run(mesh, rate, seconds))

    def median(side: str, name: str) -> float:
        return float(statistics.median(getattr(times, name) for times in found[side]))

    def row(side: str) -> str:
        return " / ".join(f"{median(side, name):.2f}" for name in ("p50", "p90", "p99"))

    def added(side: str) -> str:
        return " / ".join(f"{median(side, n) - median('direct', n):+.2f}" for n in ("p50", "p90", "p99"))

    failed = sum(times.failed for side in found.values() for times in side)
    print(f"bench: {way}, {rate}/s: direct {row('direct')}, mesh {row('mesh')}", flush=True)
    return f"| {way} | {rate} | {row('direct')} | {row('mesh')} | {added('mesh')} | {added('docker')} | {failed} |"


def run(command: Sequence[str], rate: int, seconds: int) -> Times:
    """One run at a steady rate; the first fifth warms up and does not count."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        options = [f"--clients={CLIENTS}", f"--requests={rate * seconds}", f"--rps={rate // CLIENTS}"]
        # One client after the other: else they all ask in the same moment, again and again.
        options += ["--rate=1", f"--rate-period={1000 // rate}ms"]
        subprocess.run([*command, *options, f"--log-file={log}"], check=True, stdout=subprocess.DEVNULL)
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    rows.sort(key=lambda row: int(row[0]))
    counted = rows[len(rows) // 5 :]
    times = sorted(int(row[2]) / 1000 for row in counted)
    p50, p90, p99 = (times[min(len(times) - 1, int(len(times) * part))] for part in (0.5, 0.9, 0.99))
    return Times(p50, p90, p99, count=len(times), failed=sum(row[1] != "200" for row in rows))
