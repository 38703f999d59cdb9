"""Measures a running interpreter: start-up of a run and runs a second, beside a bare `python -c`.

    INTERPRETER_KEY=... python bench.py http://127.0.0.1:8004

Both sides in one go and in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Final

_BARE: Final = "1 + 1"
_IMPORTS: Final = "import numpy, pandas, matplotlib.pyplot\n1 + 1"


def _timed(action: Callable[[], None]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def _run(url: str, key: str, code: str, language: str = "python", session: str | None = None) -> None:
    body = json.dumps({"code": code, "language": language, "session_id": session}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/execute", body, headers)  # noqa: S310 - the operator's own address
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        status = json.load(answer)["status"]
    if status != "ok":
        raise SystemExit(f"a run ended with {status}")


def _open_session(url: str, key: str) -> str:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/sessions", b"{}", headers)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return str(json.load(answer)["id"])


def _close_session(url: str, key: str, name: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{url}/v1/sessions/{name}", headers=headers, method="DELETE")  # noqa: S310
    urllib.request.urlopen(request).close()  # noqa: S310


def _bare(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def _row(name: str, times: list[float]) -> float:
    times.sort()
    middle = statistics.median(times)
    sys.stdout.write(f"{name:<44} {middle:8.1f} {times[0]:8.1f} {times[-1]:8.1f}\n")
    return middle


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--clients", type=int, default=3)
    options = parser.parse_args()
    url, key = options.url, os.environ["INTERPRETER_KEY"]
    session = _open_session(url, key)
    cases: dict[str, Callable[[], None]] = {
        "bare python -c": lambda: _bare(_BARE),
        "bare python -c, imports": lambda: _bare(_IMPORTS),
        "run": lambda: _run(url, key, _BARE),
        "run, imports": lambda: _run(url, key, _IMPORTS),
        "run, bash": lambda: _run(url, key, ":", "bash"),
        "run in a session": lambda: _run(url, key, _BARE, session=session),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()  # warm
    for _ in range(options.rounds):
        for name, case in cases.items():
            times[name].append(_timed(case))
    sys.stdout.write(f"{'milliseconds':<44} {'median':>8} {'least':>8} {'most':>8}\n")
    medians = {name: _row(name, values) for name, values in times.items()}
    _close_session(url, key, session)

    total = options.rounds * options.clients
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(options.clients) as pool:
        list(pool.map(lambda _: _run(url, key, _BARE), range(total)))
    rate = total / (time.perf_counter() - began)
    sys.stdout.write(f"runs a second, {options.clients} clients: {rate:.1f}\n")
    sys.stdout.write(f"run against bare python -c: {medians['run'] / medians['bare python -c']:.2f}\n")
    ratio = medians["run, imports"] / medians["bare python -c, imports"]
    sys.stdout.write(f"the same with numpy, pandas and matplotlib: {ratio:.2f}\n")


if __name__ == "__main__":
    main()
