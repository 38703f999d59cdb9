"""The program itself on the real engine: both plans, and each bad setting end to end."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.outcome import Outcome
from engine.planning import plan_stack
from engine.root import CHECKOUT
from engine.wire import UNKNOWN_ON_WIRE
from engine.workspace import prepare
from topology.catalog import SERVICES
from topology.graph import GATEWAY, Graph
from topology.nodes import NODES

pytestmark = pytest.mark.engine

Configured = Callable[..., Outcome]


@pytest.fixture
def configured(pulumi: Path, ports: Mapping[str, int], tmp_path: Path) -> Configured:
    """Plans one stack of the real program, with changes to its configuration; None takes a key away."""

    def plan(stack: str, *, policies: bool = False, without: tuple[str, ...] = (), **changes: Any) -> Outcome:
        project = tmp_path / "project"
        project.mkdir(exist_ok=True)
        for name in ("Pulumi.yaml", "Pulumi.thanos.yaml", "Pulumi.oracle1.yaml"):
            shutil.copyfile(CHECKOUT / name, project / name)
        file = project / f"Pulumi.{stack}.yaml"
        config = yaml.safe_load(file.read_text())["config"]
        config |= {f"agentic-mesh:{key}": value for key, value in changes.items()}
        file.write_text(yaml.safe_dump({"config": {k: v for k, v in config.items() if v is not None}}))
        workspace = prepare(project, pulumi, tmp_path / "preview", ports)
        for name in without:
            workspace.env.pop(name)  # type: ignore[attr-defined]
        pack = CHECKOUT / "policies" if policies else None
        return plan_stack(workspace, stack, policy_pack=pack, program=CHECKOUT)

    return plan


@pytest.mark.parametrize("stack", ["thanos", "oracle1"])
def test_stack_plans_with_the_policy_pack(configured: Configured, stack: str) -> None:
    outcome = configured(stack, policies=True)
    assert outcome.errors == []
    assert [v for v in outcome.violations if v.mandatory and not v.undecided] == []
    planned = {(c.labels["service"], c.labels["part"]) for c in outcome.containers}
    services = {service.name for service in Graph(SERVICES, NODES).on(stack)}
    for service in services:
        assert {(service, "app"), (service, "proxy"), (service, "loader")} <= planned
    assert (GATEWAY, "gateway") in planned
    assert set(outcome.operations) == {"create"} or outcome.operations.keys() == {"create", "read"}


def test_planned_before_the_foundation_it_hints(configured: Configured) -> None:
    outcome = configured("oracle1")
    assert outcome.errors == []
    assert any("pulumi up --stack thanos" in warning for warning in outcome.warnings)


def test_after_an_up_of_a_few_targets_of_thanos_it_hints_too(configured: Configured, tmp_path: Path) -> None:
    """`pulumi up -s thanos --target '**tailnet:Tailnet**'` leaves the engine's mark for unknown in the output."""
    configured("oracle1")
    state = tmp_path / "preview" / "state" / ".pulumi" / "stacks" / "agentic-mesh" / "thanos.json"
    content = json.loads(state.read_text())
    urn = "urn:pulumi:thanos::agentic-mesh::pulumi:pulumi:Stack::agentic-mesh-thanos"
    of_stack = {"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack", "outputs": {"shared": UNKNOWN_ON_WIRE}}
    content["checkpoint"]["latest"] = {"manifest": {"time": "2026-11-28T00:00:00Z", "magic": "", "version": ""}}
    content["checkpoint"]["latest"]["resources"] = [of_stack]
    state.write_text(json.dumps(content))

    outcome = configured("oracle1")

    assert outcome.errors == []
    assert any("pulumi up --stack thanos" in warning for warning in outcome.warnings)


BAD: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = [
    ("unknown key", "thanos", {"gpuMemory": "24"}, ("gpuMemory", "Did you mean 'gpuMemoryGib'", "config rm")),
    ("wrong type", "thanos", {"gpuMemoryGib": "lots"}, ("gpuMemoryGib", "'lots'", "from 4 to 1024")),
    ("shares over the card", "thanos", {"gpuShares": {"comfyui": 23}}, ("gpuShares", "23", "vllm needs 8")),
    ("unknown share", "thanos", {"gpuShares": {"kong": 1}}, ("gpuShares.kong", "is not a setting")),
    ("port clash", "thanos", {"ports": {"vllm": 8001}}, ("ports", "8001", "'vllm'", "'embeddings'")),
    (
        "address outside the tailnet",
        "thanos",
        {"nodes": {"thanos": {"role": "gpu", "address": "192.168.1.4"}}},
        ("nodes.thanos.address", "192.168.1.4", "100.64.0.0/10"),
    ),
    (
        "unknown host of the model hub",
        "thanos",
        {"modelHub": ["huggingface.co", "https://cdn.hf.co"]},
        ("modelHub", "'https://cdn.hf.co' is neither", "*.hf.co", "config set 'agentic-mesh:modelHub'"),
    ),
    (
        "embedding model without a known size",
        "oracle1",
        {"models": {"embedding": "org/unheard-of"}},
        ("models.embeddingShape", "org/unheard-of", "millions=568", "config set --path"),
    ),
    (
        "chat model of no known family",
        "thanos",
        {"models": {"chat": "owner/unheard-of"}},
        ("models.chatToolParser", "owner/unheard-of", "hermes", "config set --path"),
    ),
    (
        "model folder outside the model path",
        "thanos",
        {"models": {"chat": "/srv/other/Qwen3-8B"}},
        ("models.chat", "/srv/other/Qwen3-8B", "below /srv/agentic-mesh/models", "config set --path"),
    ),
    (
        "card too small",
        "thanos",
        {"gpuMemoryGib": 16},
        ("gpuShares", "the others take 14 of 16 GiB", "vllm needs 8", "or set gpuMemoryGib"),
    ),
    (
        "host too small",
        "oracle1",
        {"hostMemoryGib": 8},
        ("hostMemoryGib", "is 8", "GiB or more", "agentic-mesh:memoryMib."),
    ),
    ("unknown node", "thanos", {"node": "titan"}, ("node", "'titan'", "thanos, oracle1")),
    ("model name", "oracle1", {"models": {"claudeOpus": "best model!"}}, ("models.claudeOpus", "best model!")),
    ("budget", "oracle1", {"budget": {"monthlyUsd": -1}}, ("budget.monthlyUsd", "-1", "US dollars")),
    ("epoch", "thanos", {"secretsEpoch": 0}, ("secretsEpoch", "0", "whole number")),
    ("path outside the data root", "thanos", {"modelPath": "/models"}, ("modelPath", "/models", "encrypted")),
    ("no domain", "oracle1", {"domain": None}, ("domain", "is not set", "host name")),
    (
        "image not for the architecture",
        "thanos",
        {"nodes": {"thanos": {"role": "gpu", "address": "100.64.1.1", "architecture": "arm64"}}},
        ("nodes.thanos.architecture", "'arm64'", "embeddings"),
    ),
    ("secret in plain", "oracle1", {"claudeApiKey": "sk-ant-plain"}, ("claudeApiKey", "--secret")),
]


@pytest.mark.parametrize(("stack", "changes", "parts"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_setting_is_one_error_and_no_resource(
    configured: Configured, stack: str, changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    outcome = configured(stack, **changes)
    assert len(outcome.errors) == 1, outcome.errors
    assert outcome.operations == {}
    message = outcome.errors[0]
    for part in (*parts, "Fix it with: pulumi config", f"--stack {stack}"):
        assert part in message, json.dumps(message)
    assert "Traceback" not in message
    assert "sk-ant-plain" not in message


def test_missing_api_key_is_one_error(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_API_KEY", raising=False)
    outcome = configured("oracle1", without=("CLAUDE_API_KEY",))
    assert len(outcome.errors) == 1
    assert "claudeApiKey is not set" in outcome.errors[0]
    assert "pulumi config set --secret" in outcome.errors[0]
    assert "CLAUDE_API_KEY" not in os.environ
