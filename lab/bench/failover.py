"""A reader of vectors on oracle1 while thanos is off the tailnet, and when it is back."""

from __future__ import annotations

import datetime
import json
import time
from dataclasses import dataclass
from typing import Final

from lab import link
from lab.bench.places import PREFIX, Lab
from lab.bench.reader import Asked, Reader

RATE: Final = 20
CUT_AFTER, HEAL_AFTER, ENDS_AFTER = 5.0, 20.0, 40.0
READS: Final = {
    # what -> callee, its port, method, path
    "GET, Qdrant": ("qdrant", 6333, "GET", "/readyz"),
    "search (POST), Qdrant": ("qdrant", 6333, "POST", "/collections/lab/points/search"),
    "embedding (POST), the same model on CPU": ("embeddings", 8001, "POST", "/v1/embeddings"),
}


@dataclass(frozen=True)
class Phase:
    """From an event on."""

    until_s: float
    """Seconds from the event to the first answer of a request that was sent after it."""
    failed: int
    failed_later: int
    """Of those sent after that first answer."""
    slowest_s: float


def measure(lab: Lab, rounds: int) -> list[str]:
    """Each kind of read in each round."""
    lines = [
        "| reads from oracle1, 20/s each | event | answered after, s | failed | of them later | slowest, s |",
        "|---|---|---|---|---|---|",
    ]
    found: dict[tuple[str, str], list[Phase]] = {}
    back: list[float] = []
    for _ in range(rounds):
        phases, seconds = measure_round(lab)
        back.append(seconds)
        for key, phase in phases.items():
            found.setdefault(key, []).append(phase)
    for (kind, event), phases_ in found.items():
        times = " / ".join(f"{phase.until_s:.1f}" for phase in phases_)
        lines.append(
            f"| {kind} | {event} | {times} | {' / '.join(str(p.failed) for p in phases_)} "
            f"| {' / '.join(str(p.failed_later) for p in phases_)} "
            f"| {' / '.join(f'{p.slowest_s:.1f}' for p in phases_)} |"
        )
    lines += ["", f"The primary is asked again {' / '.join(f'{s:.1f}' for s in back)} s after the link is whole."]
    return lines


def measure_round(lab: Lab) -> tuple[dict[tuple[str, str], Phase], float]:
    """By kind of read and event; and seconds from the whole link until the primary is asked. The link ends whole."""
    thanos = lab.nodes["thanos"]
    prefix, to = lab.inside("oracle1", f"{PREFIX}-agents"), lab.sidecar("oracle1", "agents")
    readers = {
        kind: Reader(prefix, f"{to}:{port}", f"{callee}:{port}", method, path, RATE, ENDS_AFTER)
        for kind, (callee, port, method, path) in READS.items()
    }
    try:
        time.sleep(CUT_AFTER)
        link.cut(thanos)
        cut = time.time()
        time.sleep(HEAL_AFTER - CUT_AFTER)
    finally:
        link.heal(thanos)
        healed = time.time()
    found = {kind: reader.result() for kind, reader in readers.items()}
    phases = {}
    for kind, asked in found.items():
        phases[kind, "link cut"] = _phase([a for a in asked if cut <= a.at < healed - 1], cut)
        phases[kind, "link whole"] = _phase([a for a in asked if a.at >= healed], healed)
    return phases, _first_to_primary(lab, healed) - healed


def _phase(asked: list[Asked], event: float) -> Phase:
    first = min((a.ended for a in asked if a.answered), default=float("inf"))
    failed = [a for a in asked if not a.answered]
    return Phase(
        first - event,
        len(failed),
        sum(a.at > first for a in failed),
        max((a.ended - a.at for a in asked), default=0.0),
    )


def _first_to_primary(lab: Lab, since: float) -> float:
    """When the agents' proxy asked the other node again; its log is written every few seconds."""
    gateway = lab.address("oracle1", f"{PREFIX}-gateway", PREFIX)
    time.sleep(12)
    log = bytes(lab.docker("oracle1").logs(f"{PREFIX}-agents-proxy", since=int(since), stderr=False)).decode()
    times = []
    for line in log.splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("upstream") == "to-qdrant-api" and str(entry.get("to", "")).startswith(f"{gateway}:"):
            times.append(datetime.datetime.fromisoformat(entry["time"]).timestamp())
    return min((at for at in times if at >= since), default=float("inf"))
