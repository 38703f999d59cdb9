"""What the configured models can do besides text, and what may be said of it."""

import json

import pytest

from render.agents import agents_abilities
from settings import SettingsError
from settings.abilities import KEYS, sees_and_hears, shown
from tests.unit.program import Program
from tests.unit.samples import settings


@pytest.mark.parametrize(
    ("model", "able"),
    [
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "none"),
        ("Qwen/Qwen2.5-VL-7B-Instruct-AWQ", "vision"),
        ("/srv/agentic-mesh/models/Qwen2_5-VL-7B", "vision"),
        ("Qwen/Qwen3-8B", "none"),
        ("Qwen/Qwen3.5-9B-Instruct", "vision"),
        ("Qwen/Qwen2.5-Omni-7B", "vision,audio"),
        ("Qwen/Qwen2-Audio-7B-Instruct", "audio"),
        ("google/gemma-3-4b-it", "vision"),
        ("google/gemma-3-1b-it", "none"),
        ("google/gemma-3n-E2B-it", "vision,audio"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "none"),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", "vision"),
        ("mistralai/Ministral-8B-Instruct-2410", "none"),
        ("mistralai/Voxtral-Small-24B-2507", "audio"),
        ("meta-llama/Llama-3.1-8B-Instruct", "none"),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", "vision"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "vision"),
        ("zai-org/GLM-4.5-Air", "none"),
        ("zai-org/GLM-4.5V", "vision"),
        ("deepseek-ai/DeepSeek-V3", "none"),
        ("deepseek-ai/deepseek-vl2-small", "vision"),
        ("ibm-granite/granite-3.3-8b-instruct", "none"),
        ("ibm-granite/granite-vision-3.3-2b", "vision"),
        ("OpenGVLab/InternVL3-9B", "vision"),
        ("claude-opus-4-5", "vision"),
        ("mistralai/mixtral-8x22b-instruct", "none"),
        ("openai/gpt-4o", "vision"),
    ],
)
def test_known_families(model: str, able: str) -> None:
    known = sees_and_hears(model)
    assert known is not None
    assert shown(known) == able


def test_unknown_families_are_not_guessed() -> None:
    assert sees_and_hears("owner/name") is None


def test_the_default_models() -> None:
    assert {name: shown(able) for name, able in settings().abilities.items()} == {
        "vllm_local": "tools",
        "claude_sonnet": "vision,tools",
        "claude_opus": "vision,tools",
        "claude_small": "vision,tools",
        "openrouter_mixtral": "tools",
    }


def test_a_multimodal_chat_model_sees_and_the_setting_says_it_of_an_unknown_one() -> None:
    seeing = settings(models={"chat": "Qwen/Qwen2.5-VL-7B-Instruct-AWQ"})
    assert shown(seeing.abilities["vllm_local"]) == "vision,tools"
    unknown = {"chat": "owner/name", "chatToolParser": "hermes"}
    assert shown(settings(models=unknown).abilities["vllm_local"]) == "tools"
    said = settings(models=unknown, modelAbilities={"chat": "vision, audio"})
    assert shown(said.abilities["vllm_local"]) == "vision,audio"


def test_without_a_tool_parser_the_local_model_calls_none() -> None:
    assert shown(settings(models={"chatToolParser": "none"}).abilities["vllm_local"]) == "none"


@pytest.mark.parametrize(
    ("key", "value", "models", "allowed"),
    [
        ("chat", "vision,tools", {}, "tools: Qwen/Qwen2.5-7B-Instruct-AWQ has no vision"),
        ("chat", "audio,vision", {}, "none: Qwen/Qwen2.5-7B-Instruct-AWQ has no audio and no vision"),
        ("chat", "tools", {"chatToolParser": "none"}, "none, since models.chatToolParser is none"),
        ("chat", "vision,tools", {"chat": "owner/name"}, "vision, since models.chatToolParser is not set"),
        ("claudeOpus", "vision", {}, "workers call their tools"),
        ("claudeSmall", "vision,tools,audio", {}, "claude-haiku-4-5 has no audio"),
        ("chat", "sight", {}, "vision, tools, audio, several separated by commas, or none"),
        ("chat", ["vision"], {}, "separated by commas"),
        ("chat", "tools,tools", {}, "separated by commas"),
    ],
)
def test_a_contradiction_is_one_message_with_the_command_that_ends_it(
    key: str, value: object, models: dict[str, str], allowed: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(modelAbilities={key: value}, models=models)
    message = str(caught.value)
    assert message.startswith(f"agentic-mesh:modelAbilities.{key} is ")
    assert allowed in message
    command = message.split("pulumi config set --path ")[1]
    given, example = command.split("'")[1], command.split("'")[3]
    assert given == f"agentic-mesh:modelAbilities.{key}"
    # What the command sets is accepted.
    if allowed.count("separated") == 0:
        assert shown(settings(modelAbilities={key: example}, models=models).abilities[KEYS[key]]) == example


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'chat'"):
        settings(modelAbilities={"chats": "vision"})


def test_the_pod_has_the_table(oracle1: Program) -> None:
    envs = dict(entry.split("=", 1) for entry in oracle1.app("agents").inputs["envs"])
    assert envs["AGENTS_ABILITIES"] == agents_abilities(settings("oracle1"))
    assert json.loads(envs["AGENTS_ABILITIES"])["claude_opus"] == ["tools", "vision"]
