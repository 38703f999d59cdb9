"""The lab says which services an `up` waits for."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from lab.progress import Progress

URN = "urn:pulumi:thanos::agentic-mesh::{}::{}"


def event(kind: str, name: str, op: str = "create") -> Any:
    """An event of the engine; the others of its fields are empty."""
    fields = dict.fromkeys(("resource_pre_event", "res_outputs_event", "res_op_failed_event"))
    step = SimpleNamespace(op=op, urn=URN.format("docker:index/container:Container", name))
    return SimpleNamespace(**{**fields, kind: SimpleNamespace(metadata=step)})


def test_what_is_awaited_for_long_is_named_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress()
    progress.record(event("resource_pre_event", "vllm-pod-proxy-envoy"))
    progress.record(event("resource_pre_event", "comfyui-pod-proxy-envoy", "create-replacement"))
    progress.record(event("resource_pre_event", "whisper-pod-proxy-envoy", "same"))
    progress.record(event("resource_pre_event", "ocr-pod-app"))
    assert progress.text() == "0 resources done"
    now = 140.0
    assert progress.text() == "0 resources done; waiting for: vllm (40 s), comfyui (40 s)"
    progress.record(event("res_outputs_event", "vllm-pod-proxy-envoy"))
    assert progress.text() == "1 resources done; waiting for: comfyui (40 s)"
    progress.record(event("res_op_failed_event", "comfyui-pod-proxy-envoy"))
    assert progress.text() == "1 resources done"
