"""Divides the GPU's memory among the services that want a part of it."""

from collections.abc import Iterable, Mapping
from typing import Final

from settings.checks import NotAllowedError
from topology.model import Service


def gpu_shares(services: Iterable[Service], memory_gib: float, given: Mapping[str, float]) -> Mapping[str, float]:
    """GiB for each GPU service; the one that takes the rest gets what the others leave.

    Raises `NotAllowedError` where the shares do not fit the card.
    """
    wishes = {s.name: s.gpu for s in services if s.gpu is not None}
    shares = {n: given.get(n, gpu.share_gib) for n, gpu in wishes.items() if not gpu.takes_rest}
    taken = sum(shares.values())
    for name, gpu in wishes.items():
        if not gpu.takes_rest:
            continue
        rest = round(memory_gib - taken, 2)
        least = given.get(name, gpu.share_gib)
        if rest < least:
            raise NotAllowedError(
                f"shares that fit the card: the others take {taken:g} of {memory_gib:g} GiB and leave "
                f"{rest:g} GiB, while {name} needs {least:g}; lower a share (0 GiB leaves a service "
                "on the CPU) or set gpuMemoryGib"
            )
        shares[name] = rest
    return shares


DRIVER_GIB: Final = 0.75
"""What the driver takes: CUDA reports 23.5 to 23.7 GiB on a GPU of 24, and a context belongs to no share."""


def gpu_utilization(share_gib: float, memory_gib: float) -> float:
    """VLLM's share as the fraction of the card that `--gpu-memory-utilization` takes, rounded down.

    At startup vLLM requires that fraction of the whole GPU to be free (v0.30.0, `vllm/v1/worker/utils.py`,
    `request_memory`), or it exits and Docker restarts it. The driver's part is left out of the fraction, so that it is
    free even when all other services have started first.
    """
    return max(1, int((share_gib - DRIVER_GIB) / memory_gib * 100)) / 100
