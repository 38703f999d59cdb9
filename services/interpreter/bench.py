"""Measures the interpreter: its start, what a run takes, runs a second, memory. Prints Markdown; needs root.

    .services/interpreter/bin/python services/interpreter/bench.py [--rounds 60]

The server runs as in its tests: as a container of namespaces on this kernel, and in gVisor where `runsc` is there. All
that is compared takes turns, so that a busy machine slows it alike.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "services" / "interpreter"))

import httpx  # noqa: E402
import sandboxes  # noqa: E402

NOTHING: Final = "1 + 1"
PLOT: Final = "import numpy, matplotlib.pyplot as plt\nplt.plot(numpy.sin(numpy.arange(100)))\nplt.savefig('out.png')"
KINDS: Final = {
    "native": ("namespaces, seccomp, this kernel", sandboxes.start_native),
    "gvisor": ("gVisor (ptrace), seccomp", sandboxes.start_gvisor),
}
CLIENTS: Final = (1, 4, 8)
STARTS: Final = 3
LOAD_SECONDS: Final = 8.0
WARM: Final = 2


@dataclass
class Subject:
    """A running server."""

    name: str
    server: sandboxes.Server
    pid: int
    client: httpx.Client
    session: str

    def run(self, client: httpx.Client, code: str, language: str = "python", session: str | None = None) -> None:
        """One run, which must go well."""
        body = {"code": code, "language": language, "session_id": session}
        answer = client.post("/v1/execute", json=body)
        if answer.status_code != httpx.codes.OK or answer.json()["status"] != "ok":
            raise SystemExit(f"a run failed: {answer.text}")

    def cases(self) -> dict[str, Callable[[], None]]:
        """What is timed."""
        return {
            "Python, a fresh box": lambda: self.run(self.client, NOTHING),
            "Python that draws with numpy and matplotlib, a fresh box": lambda: self.run(self.client, PLOT),
            "bash, a fresh box": lambda: self.run(self.client, ":", "bash"),
            "Python in an open session": lambda: self.run(self.client, NOTHING, session=self.session),
        }


@contextlib.contextmanager
def started(kind: str) -> Iterator[tuple[sandboxes.Server, int, float]]:
    """A server with the deployment's limits, its process, and the seconds until it took runs."""
    with tempfile.TemporaryDirectory(prefix="interpreter-bench-") as folder:
        began = time.perf_counter()
        with KINDS[kind][1](Path(folder)) as (server, process):
            yield server, process.pid, time.perf_counter() - began


@contextlib.contextmanager
def subject(kind: str) -> Iterator[Subject]:
    """One to measure, with an open session."""
    with started(kind) as (server, pid, _), server.client() as client:
        session = str(client.post("/v1/sessions", json={}).raise_for_status().json()["id"])
        yield Subject(KINDS[kind][0], server, pid, client, session)


def bare(code: str) -> None:
    """The same in a program of its own, without any sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env={"MPLBACKEND": "agg"})


def latencies(subjects: Sequence[Subject], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds of each case."""
    cases: dict[tuple[str, str], Callable[[], None]] = {
        ("no sandbox", "`python -c`, nothing imported"): lambda: bare(NOTHING),
        ("no sandbox", "`python -c` that draws likewise"): lambda: bare(PLOT),
    }
    for one in subjects:
        cases |= {(one.name, name): case for name, case in one.cases().items()}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in cases}
    for number in range(-WARM, rounds):
        for key, case in cases.items():
            began = time.perf_counter()
            case()
            if number >= 0:
                times[key].append((time.perf_counter() - began) * 1000)
    return times


def per_second(one: Subject, clients: int, code: str) -> float:
    """Runs that so many clients get done together."""
    end = time.monotonic() + LOAD_SECONDS

    def work(_: int) -> int:
        count = 0
        with one.server.client() as client:
            while time.monotonic() < end:
                one.run(client, code)
                count += 1
        return count

    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        done = sum(pool.map(work, range(clients)))
    return done / (time.monotonic() - began)


def memory(root: int) -> float:
    """MiB of a process and all below it; what they share counts once (proportional set size)."""
    total, pids = 0.0, [root]
    while pids:
        proc = Path(f"/proc/{pids.pop()}")
        with contextlib.suppress(OSError):
            for children in proc.glob("task/*/children"):
                pids += map(int, children.read_text().split())
            lines = (proc / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def memory_under_load(one: Subject) -> float:
    """The most that is seen while clients draw in more boxes than run at once."""
    seen: list[float] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.2):
            seen.append(memory(one.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        per_second(one, max(CLIENTS), PLOT)
    finally:
        over.set()
        sampler.join()
    return max(seen)


def _at(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _table(head: str, rows: Sequence[str]) -> list[str]:
    return [head, "|---" * (head.count("|") - 1) + "|", *rows, ""]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    kinds = [kind for kind in KINDS if kind != "gvisor" or Path(sandboxes.RUNSC).exists()]
    starts = []
    for kind in kinds:
        seconds = []
        for _ in range(STARTS):
            with started(kind) as (_, _, took):
                seconds.append(took)
        starts.append(f"| {KINDS[kind][0]} | {statistics.median(seconds):.1f} | {max(seconds):.1f} |")
    with contextlib.ExitStack() as stack:
        subjects = [stack.enter_context(subject(kind)) for kind in kinds]
        resting = [memory(one.pid) for one in subjects]
        times = latencies(subjects, options.rounds)
        rates = [[per_second(one, clients, NOTHING) for clients in CLIENTS] for one in subjects]
        most = [memory_under_load(one) for one in subjects]
    lines = [
        *_table("| interpreter, s from its start until it takes runs | median | most |", starts),
        *_table(
            "| a run, ms | isolated by | p50 | p99 |",
            [f"| {name} | {by} | {_at(found, 50):.1f} | {_at(found, 99):.1f} |" for (by, name), found in times.items()],
        ),
        *_table(
            f"| runs a second, isolated by | {' | '.join(f'{count} at once' for count in CLIENTS)} |",
            [
                f"| {one.name} | {' | '.join(f'{rate:.1f}' for rate in row)} |"
                for one, row in zip(subjects, rates, strict=True)
            ],
        ),
        *_table(
            "| memory, MiB, proportional, isolated by | at rest, one empty session | most under load |",
            [
                f"| {one.name} | {rest:.0f} | {peak:.0f} |"
                for one, rest, peak in zip(subjects, resting, most, strict=True)
            ],
        ),
    ]
    if len(kinds) < len(KINDS):
        lines.append("gVisor was not measured: Debian's package runsc is not there.")
    sys.stdout.write("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
