"""Progress of an engine operation: how many resources are done, and which services it waits for."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from pulumi.automation import EngineEvent

_MAKES: Final = frozenset({"create", "create-replacement"})
_PROXY: Final = "-pod-proxy-envoy"
"""Suffix of a sidecar's name. Its creation lasts until its app is healthy."""
_AWAITED_SECONDS: Final = 10
"""Shorter waits are not reported."""


class Progress:
    """Counts finished resources and notes which sidecars are being made; fed by the engine's events."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = 0
        self._made_since: dict[str, float] = {}

    def record(self, event: EngineEvent) -> None:
        """Record an event."""
        with self._lock:
            if event.resource_pre_event is not None and _is_new_proxy(event.resource_pre_event.metadata):
                self._made_since[event.resource_pre_event.metadata.urn] = time.monotonic()
            for ended in (event.res_outputs_event, event.res_op_failed_event):
                if ended is not None:
                    self._made_since.pop(ended.metadata.urn, None)
            self._done += event.res_outputs_event is not None

    def text(self) -> str:
        """The progress as text: `204 resources done; waiting for: vllm (40 s)`."""
        with self._lock:
            now = time.monotonic()
            waits = [(urn, now - since) for urn, since in self._made_since.items() if now - since >= _AWAITED_SECONDS]
        text = f"{self._done} resources done"
        if waits:
            text += "; waiting for: " + ", ".join(f"{_service(urn)} ({seconds:.0f} s)" for urn, seconds in waits)
        return text


def _is_new_proxy(step: Any) -> bool:
    return step.op in _MAKES and step.urn.endswith(_PROXY)


def _service(urn: str) -> str:
    return urn.rpartition("::")[2].removesuffix(_PROXY)
