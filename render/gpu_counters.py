"""Which of the GPU's counters are exported, and the alert expressions over its XID errors."""

from typing import Final

_COUNTERS: Final = (
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C)."),
    ("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C)."),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W)."),
    ("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz)."),
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %)."),
    ("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %)."),
    ("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB)."),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB)."),
    ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Remapped rows for uncorrectable errors."),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed."),
    ("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered."),
    ("DCGM_EXP_XID_ERRORS_COUNT", "gauge", "XID errors within the exporter's window."),
)
_PROGRAM_XIDS: Final = "13|31|43|45"
"""XID codes that a faulty program causes; the others mean a fault of GPU, driver or bus."""
_WINDOW: Final = "30m"
_LABELS: Final = "max by (node, gpu, err_code)"


def gpu_counters() -> str:
    """`counters.csv`. The image's own list has profiling counters: without SYS_ADMIN they end the exporter.

    That happens on the GPUs that can be profiled; on the others it leaves them out (dcgm-exporter 4.5.3-4.8.2:
    `etc/default-counters.csv`, `internal/pkg/counters/counter_config.go`, `.../collector/collector_factory.go`).
    """
    return "".join(f"{name}, {kind}, {words}\n" for name, kind, words in _COUNTERS)


def gpu_error() -> str:
    """New XID errors of GPU, driver or bus. The last code stays until the exporter restarts, the alert does not."""
    return _new_xid(f"{{err_code!~'0|{_PROGRAM_XIDS}'}}", f"{{xid!~'|0|{_PROGRAM_XIDS}'}}")


def gpu_program_error() -> str:
    """New XID errors that a program caused."""
    return _new_xid(f"{{err_code=~'{_PROGRAM_XIDS}'}}", f"{{xid=~'{_PROGRAM_XIDS}'}}")


def _new_xid(code: str, counted: str) -> str:
    # The first half ends half an hour after the code changed. It is blind to a code that comes a second time, which the
    # exporter's own count within its window of five minutes sees.
    last = f"DCGM_FI_DEV_XID_ERRORS{code}"
    count = f"label_replace(DCGM_EXP_XID_ERRORS_COUNT{counted} > 0, 'err_code', '$1', 'xid', '(.+)')"
    return f"{_LABELS} ({last} > 0 unless {last} == {last} offset {_WINDOW}) or {_LABELS} ({count})"
