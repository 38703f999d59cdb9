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
"""What the driver keeps of a card: CUDA counts 23.5 to 23.7 GiB on one of 24, and a context outside any share."""


def gpu_utilization(share_gib: float, memory_gib: float) -> float:
    """VLLM's share as the fraction of the card that `--gpu-memory-utilization` takes, rounded down.

    At its start vLLM wants that fraction of the whole card to be free (v0.30.0, `vllm/v1/worker/utils.py`,
    `request_memory`), or it ends and Docker starts it again. The others hold their shares then, so that the fraction
    leaves out what the driver keeps: it is free in whatever order the services start.
    """
    return max(1, int((share_gib - DRIVER_GIB) / memory_gib * 100)) / 100
