"""Streams of events: time to the first one, and many at once for minutes."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

from engine.root import CHECKOUT
from lab.bench.memory import holds
from lab.bench.places import DIRECT_PORT, PREFIX, Lab, in_place_of, others_paused

STREAMS: Final = 200
CALLEE, PORT, PATH = "vllm", 8000, "/v1/stream"
_ON_THE_WAY: Final = {
    "oracle1": ("agentic-mesh-litellm-proxy", "agentic-mesh-gateway"),
    "thanos": ("agentic-mesh-gateway", "agentic-mesh-vllm-proxy"),
}


def measure(lab: Lab, rounds: int, minutes: float) -> list[str]:
    """First bytes in turn with the direct way, then `minutes` of load through the mesh."""
    mesh = lab.inside("oracle1", f"{PREFIX}-litellm"), f"{lab.sidecar('oracle1', 'litellm')}:{PORT}"
    direct = lab.on("oracle1"), f"{lab.nodes['thanos'].address}:{DIRECT_PORT}"
    with others_paused(lab), in_place_of(lab, "thanos", CALLEE, PORT, "sse"):
        sides: dict[str, list[Any]] = {"direct": [], "mesh": []}
        for _ in range(rounds):
            for name, (prefix, to) in (("direct", direct), ("mesh", mesh)):
                sides[name].append(_read(prefix, to, 20, 1))
        before = _memory(lab)
        peak = dict(before)
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(10):
                for name, kib in _memory(lab).items():
                    peak[name] = max(peak[name], kib)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            # A fifth of the time first, so that growth is told from what 200 streams need.
            _read(*mesh, STREAMS, minutes * 60 / 5)
            warm = _memory(lab)
            loaded = _read(*mesh, STREAMS, minutes * 60 * 4 / 5)
        finally:
            stop.set()
            watcher.join()
        after = _memory(lab)
    return [*_first(sides), "", *_load(loaded, minutes, before, warm, peak, after)]


def _read(prefix: Sequence[str], to: str, streams: int, seconds: float) -> Any:
    command = [*prefix, sys.executable, "-m", "lab.bench.sse", "read", to, f"{CALLEE}:{PORT}", PATH, str(streams)]
    done = subprocess.run([*command, str(seconds)], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _memory(lab: Lab) -> dict[str, int]:
    found: dict[str, int] = {}
    for node, names in _ON_THE_WAY.items():
        envoys = lab.envoys(node)
        found |= {f"{name.removeprefix(PREFIX + '-')} on {node}": holds(envoys[name]).resident for name in names}
    return found


def _first(sides: dict[str, list[Any]]) -> list[str]:
    def median(side: str, key: str) -> float:
        return float(statistics.median(value for read in sides[side] for value in read[key]))

    rows = [
        ("request to first event, median, ms", "first_ms"),
        ("an event on its way (server's stamp to arrival), median, ms", "late_ms"),
    ]
    lines = ["| 20 streams of server-sent events, across the nodes | direct | mesh | added |", "|---|---|---|---|"]
    for text, key in rows:
        direct, mesh = median("direct", key), median("mesh", key)
        lines.append(f"| {text} | {direct:.2f} | {mesh:.2f} | {mesh - direct:+.2f} |")
    return lines


def _load(
    read: Any, minutes: float, before: dict[str, int], warm: dict[str, int], peak: dict[str, int], after: dict[str, int]
) -> list[str]:
    late = sorted(read["late_ms"])
    lines = [
        f"{STREAMS} streams at once through the mesh for {minutes:g} minutes, {len(late)} events in the last four "
        f"fifths: {read['broken']} of {read['streams']} streams broken; an event took "
        f"{statistics.median(late):.1f} ms in the median and {late[int(len(late) * 0.99)]:.1f} ms at p99.",
        "",
        "| proxy, resident MiB | before | after a fifth | most | at the end |",
        "|---|---|---|---|---|",
    ]
    for name in before:
        row = (before[name], warm[name], peak[name], after[name])
        lines.append(f"| {name} | " + " | ".join(f"{kib / 1024:.1f}" for kib in row) + " |")
    return lines
