"""How the Docker provider formats what it reads back. Pure functions that follow the Go sources named here.

Sources: `nanoInt64ToDecimalString` of `internal/provider/helpers.go` in kreuzwerker/terraform-provider-docker 4.5.0,
which pulumi-docker 5 is built on; `Duration.String` and `ParseDuration` of Go's package time; `normalizeCapabilities`
of `client/container_create.go` in moby 28.5.2, the client that the provider uses.
"""

from __future__ import annotations

import re
from typing import Final

_BILLION: Final = 10**9
_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": _BILLION,
    "m": 60 * _BILLION,
    "h": 3600 * _BILLION,
}
_DURATION: Final = re.compile(r"^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$")
_ALL_BUT_ONE_DIGIT: Final = 9


def is_duration(text: str) -> bool:
    """Whether Go parses it as a duration."""
    return text == "0" or bool(_DURATION.match(text))


def nanoseconds(duration: str) -> int:
    """A duration such as `1m30s` in Docker's unit, nanoseconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", duration)
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts))


def duration_text(nanoseconds: int) -> str:
    """A duration as Go prints it: `2m0s`, `1h0m0s`, `1.5s`, `250ms`."""
    if nanoseconds == 0:
        return "0s"
    for unit in ("ns", "µs", "ms"):
        if nanoseconds < _UNITS[unit] * 1000:
            return f"{_decimal(nanoseconds, _UNITS[unit])}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * _BILLION)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, _BILLION)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(number: int, unit: int) -> str:
    whole, rest = divmod(number, unit)
    fraction = str(rest).zfill(len(str(unit)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def nano_cpus(cpus: str) -> int:
    """A number of CPUs in Docker's unit, billionths."""
    return round(float(cpus) * _BILLION)


def cpus_text(nano_cpus: int) -> str:
    """A number of CPUs as the provider formats it: `2.0`, `0.5`, `1.25`.

    It takes a text with nine zeros for a whole number, with odd results that are reproduced here: ten becomes `10.`,
    and 0.05 becomes `0.1`.
    """
    if nano_cpus == 0:
        return "0"
    whole, rest = divmod(nano_cpus, _BILLION)
    text = f"{whole}.{rest:09}"
    if text.count("0") == _ALL_BUT_ONE_DIGIT:
        tenths = (nano_cpus * 10 + _BILLION // 2) // _BILLION
        return f"{tenths // 10}.{tenths % 10}"
    return text.rstrip("0")


def capability_text(capability: str) -> str:
    """A capability as the client sends it to Docker: upper case, with its prefix."""
    name = capability.upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"
