"""dcgm-exporter for a GPU that does not exist: fixed numbers, or those of a file that a test writes (`NAME VALUE`).

From NVIDIA/dcgm-exporter 4.5.3-4.8.2: arguments (`pkg/cmd/app.go`), fields (`etc/default-counters.csv`), what ends it
(`internal/pkg/counters/counter_config.go`, `internal/pkg/collector/collector_factory.go`) and the form of a metric
(`internal/pkg/rendermetrics/render_metrics.go`, `internal/pkg/collector/{gpu_collector,expcollector}.go`). The GPU is
one that can be profiled, so that profiling counters end it without SYS_ADMIN, which nothing here has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.images.standins.common import TEXT, Answer, Service, wait

FILE = Path("/tmp/gpu")  # noqa: S108 - the container's own tmpfs
WINDOW_MS: Final = 300000
TYPES: Final = ("gauge", "counter", "histogram", "summary", "label")
LABELS: Final = {
    "gpu": "0",
    "UUID": "GPU-stand-in",
    "pci_bus_id": "00000000:01:00.0",
    "device": "nvidia0",
    "modelName": "stand-in",
    "Hostname": "stand-in",
}
XID: Final = "DCGM_FI_DEV_XID_ERRORS"
COUNT: Final = "DCGM_EXP_XID_ERRORS_COUNT"
NUMBERS: Final = {
    "DCGM_FI_DEV_GPU_TEMP": 45.0,
    "DCGM_FI_DEV_GPU_UTIL": 10.0,
    "DCGM_FI_DEV_FB_USED": 8192.0,
    "DCGM_FI_DEV_FB_FREE": 16384.0,
    XID: 0.0,
    COUNT: 0.0,
}
"""Of the card at rest; the other fields are 0."""
WORDS: Final = {
    0: "No Error",
    13: "Graphics Engine Exception",
    31: "GPU memory page fault",
    79: "GPU has fallen off the bus",
}
"""`internal/pkg/collector/xid_errors.go`, of those that a test uses."""
PROFILING: Final = "DCGM_FI_PROF_"
FIELDS: Final = frozenset(
    {
        *("DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_GPU_TEMP"),
        *("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER"),
        *("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_MEM_COPY_UTIL", "DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_DEC_UTIL", XID),
        *("DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_RESERVED"),
        *("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "DCGM_FI_DEV_VGPU_LICENSE_STATUS", "DCGM_FI_DRIVER_VERSION"),
        *("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS"),
        *("DCGM_FI_DEV_ROW_REMAP_FAILURE", "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"),
        *("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_PCIE_TX_BYTES", "DCGM_FI_PROF_PCIE_RX_BYTES"),
    }
)
"""Those of the image's own list."""
COUNTED: Final = frozenset({COUNT, "DCGM_EXP_CLOCK_EVENTS_COUNT", "DCGM_EXP_GPU_HEALTH_STATUS", "DCGM_EXP_P2P_STATUS"})
"""The exporter's own."""


class CounterError(Exception):
    """A list of counters with which the exporter ends."""


@dataclass(frozen=True)
class Counter:
    """One line of the list."""

    name: str
    kind: str
    words: str


def counters(text: str) -> list[Counter]:
    """The list, checked as the exporter checks it."""
    found = []
    for number, line in enumerate(line for line in text.splitlines() if line.strip() and not line.startswith("#")):
        fields = [field.strip(" ") for field in line.split(",")]
        if len(fields) != 3:
            raise CounterError(
                f"malformed CSV record; err: failed to parse line {number} (`{fields}`), expected 3 fields"
            )
        counter = Counter(*fields)
        if counter.name not in FIELDS | COUNTED:
            raise CounterError(f"could not find DCGM field; err: unknown ExporterCounter field '{counter.name}'")
        if counter.name not in COUNTED and counter.kind not in TYPES:
            raise CounterError(f"could not find Prometheus metric type '{counter.kind}'")
        found.append(counter)
    if any(counter.name.startswith(PROFILING) for counter in found):
        said = "The third-party Profiling module returned an unrecoverable error"
        raise CounterError(f"DCGM collector for entity type 'GPU' cannot be initialized; err: {said}")
    return found


def numbers(file: Path = FILE) -> dict[str, float]:
    """By metric."""
    found = dict(NUMBERS)
    if file.exists():
        found |= {
            name: float(value) for name, value in (line.split() for line in file.read_text().splitlines() if line)
        }
    return found


def rendered(asked: Iterable[Counter], values: Mapping[str, float]) -> str:
    """Counters in Prometheus' text format."""
    xid = int(values[XID])
    lines = []
    for counter in asked:
        if counter.kind == "label":
            continue
        labels = dict(LABELS)
        if counter.name == XID:
            labels |= {"err_code": str(xid), "err_msg": WORDS.get(xid, "Unknown Error")}
        if counter.name == COUNT:
            labels |= {"window_size_in_ms": str(WINDOW_MS)} | ({"xid": str(xid)} if values[COUNT] else {})
        text = ",".join(f'{name}="{value}"' for name, value in labels.items())
        lines += [f"# HELP {counter.name} {counter.words}", f"# TYPE {counter.name} {counter.kind}"]
        lines.append(f"{counter.name}{{{text}}} {values.get(counter.name, 0.0):g}")
    return "\n".join(lines) + "\n"


def make(asked: Iterable[Counter], file: Path = FILE) -> Service:
    """The server."""
    service = Service("gpu-exporter")
    found = list(asked)
    service.route("GET", "/health")(lambda _: Answer("OK", type="text/plain; charset=utf-8"))
    service.route("GET", "/metrics")(lambda _: Answer(rendered(found, numbers(file)), type=TEXT))
    return service


def main() -> None:
    """The image's entry point."""
    parser = argparse.ArgumentParser(prog="dcgm-exporter")
    parser.add_argument("-a", "--address", default=":9400")
    parser.add_argument("-c", "--collect-interval", type=int, default=30000)
    parser.add_argument("-f", "--collectors", type=Path, default=Path("/etc/dcgm-exporter/default-counters.csv"))
    args = parser.parse_args()
    host, _, port = args.address.rpartition(":")
    try:
        asked = counters(args.collectors.read_text())
    except CounterError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"Could not read metrics file '{args.collectors}'; err: {error}")
    make(asked).start(int(port), host or "0.0.0.0")  # noqa: S104 - as the real one
    wait()


if __name__ == "__main__":
    main()
