"""What the agents are told: the prices that the model proxy has, and the models of the settings."""

import json
from typing import Any

import pytest
import yaml

from render.agents import agents_prices
from render.litellm import litellm_config
from tests.unit.program import Program
from tests.unit.samples import settings
from tests.unit.test_render_routing import KEYS

OWN: dict[str, Any] = {
    "models": {"claudeOpus": "opus-9"},
    "prices": {"opus-9": {"inputUsd": 4, "outputUsd": 20}, "claude-haiku-4-5": {"inputUsd": 0.5, "outputUsd": 2.25}},
}


@pytest.mark.parametrize("config", [{}, OWN], ids=["defaults", "own"])
def test_agents_and_proxy_have_the_same_prices(config: dict[str, Any]) -> None:
    read = settings(**config)
    proxy = {
        entry["model_name"]: [entry["model_info"][f"{way}_cost_per_token"] * 1e6 for way in ("input", "output")]
        for entry in yaml.safe_load(litellm_config(read, **KEYS))["model_list"]
        if entry["model_info"].get("mode") != "embedding"
    }
    told = json.loads(agents_prices(read))
    assert told.keys() == proxy.keys()
    assert {name: pytest.approx(pair) for name, pair in proxy.items()} == told


def test_a_price_of_the_settings_reaches_the_agents() -> None:
    told = json.loads(agents_prices(settings(**OWN)))
    assert (told["claude_opus"], told["claude_small"], told["vllm_local"]) == ([4, 20], [0.5, 2.25], [0, 0])


def _environment(program: Program) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in program.app("agents").inputs["envs"])


def test_the_pod_has_prices_and_models_of_the_settings(oracle1: Program) -> None:
    read, found = settings("oracle1"), _environment(oracle1)
    assert found["AGENTS_PRICES"] == agents_prices(read)
    assert found["AGENTS_IMAGE_CHECKPOINT"] == read.models.image_checkpoint == "sd_xl_base_1.0.safetensors"
    assert found["AGENTS_EMBEDDING_MODEL"] == read.models.embedding


def test_another_checkpoint_reaches_the_pod() -> None:
    program = Program("oracle1", models={"imageCheckpoint": "flux/dev-1.safetensors"})
    assert _environment(program)["AGENTS_IMAGE_CHECKPOINT"] == "flux/dev-1.safetensors"
