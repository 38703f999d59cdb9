"""dcgm-exporter for a GPU that does not exist: fixed numbers, or those of a file that a test writes (`NAME VALUE`).

Arguments and the names of its default counters are from NVIDIA/dcgm-exporter 4.5.3-4.8.2 (`pkg/cmd/app.go`,
`etc/default-counters.csv`): as there, an unknown argument ends it, and profiling counters (`DCGM_FI_PROF_*`), which
alone need SYS_ADMIN, are none of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lab.images.standins.common import TEXT, Answer, Service, metric, wait

FILE = Path("/tmp/gpu")  # noqa: S108 - the container's own tmpfs
LABELS = 'gpu="0",UUID="GPU-stand-in",device="nvidia0",modelName="stand-in"'
NUMBERS = {
    "DCGM_FI_DEV_GPU_TEMP": 45.0,
    "DCGM_FI_DEV_GPU_UTIL": 10.0,
    "DCGM_FI_DEV_FB_USED": 8192.0,
    "DCGM_FI_DEV_FB_FREE": 16384.0,
    "DCGM_FI_DEV_XID_ERRORS": 0.0,
}


def numbers(file: Path = FILE) -> dict[str, float]:
    """By metric."""
    found = dict(NUMBERS)
    if file.exists():
        found |= {
            name: float(value) for name, value in (line.split() for line in file.read_text().splitlines() if line)
        }
    return found


def make(file: Path = FILE) -> Service:
    """The server."""
    service = Service("gpu-exporter")
    service.route("GET", "/health")(lambda _: Answer("KO" if not numbers(file) else "OK", type="text/plain"))
    service.route("GET", "/metrics")(
        lambda _: Answer("".join(metric(k, "gauge", {LABELS: v}) for k, v in numbers(file).items()), type=TEXT)
    )
    return service


def main() -> None:
    """The image's entry point."""
    parser = argparse.ArgumentParser(prog="dcgm-exporter")
    parser.add_argument("-a", "--address", default=":9400")
    parser.add_argument("-c", "--collect-interval", type=int, default=30000)
    parser.add_argument("-f", "--collectors", default="/etc/dcgm-exporter/default-counters.csv")
    host, _, port = parser.parse_args().address.rpartition(":")
    make().start(int(port), host or "0.0.0.0")  # noqa: S104 - as the real one
    wait()


if __name__ == "__main__":
    main()
