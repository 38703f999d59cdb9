"""vLLM's configuration: its share of the card, the tool parser of each model family, and models on the node's disk."""

import re
from typing import Any

import pytest
import yaml

from render.litellm import litellm_config
from render.vllm import vllm_config, vllm_environment
from settings import Models, SettingsError
from settings.checks import MODELS
from settings.tool_parsers import NONE, PARSERS, tool_parser
from tests.unit.samples import settings

FAMILIES = {
    "Qwen/Qwen2.5-7B-Instruct-AWQ": "hermes",
    "Qwen/Qwen3-8B": "hermes",
    "Qwen/Qwen3-Coder-30B-A3B-Instruct": "qwen3_xml",
    "NousResearch/Hermes-3-Llama-3.1-8B": "hermes",
    "meta-llama/Llama-3.1-8B-Instruct": "llama3_json",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": "llama4_pythonic",
    "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4": "llama3_json",
    "Salesforce/Llama-xLAM-2-8b-fc-r": "xlam",
    "mistralai/Mistral-7B-Instruct-v0.3": "mistral",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": "mistral",
    "mistralai/Devstral-Small-2507": "mistral",
    "ibm-granite/granite-3.1-8b-instruct": "granite",
    "ibm-granite/granite-4.0-h-small": "granite4",
    "openai/gpt-oss-20b": "openai",
    "zai-org/GLM-4.5-Air": "glm45",
    "zai-org/GLM-4.7-Flash": "glm47",
    "moonshotai/Kimi-K2-Instruct": "kimi_k2",
    "allenai/Olmo-3-7B-Instruct": "olmo3",
    "/srv/agentic-mesh/models/Qwen2.5-7B-Instruct-AWQ": "hermes",
}
UNKNOWN = (
    "owner/name",
    # Their chat templates know no tools: vLLM needs one of its own beside the parser.
    "ibm-granite/granite-3.0-8b-instruct",
    "deepseek-ai/DeepSeek-V3-0324",
    "meta-llama/Meta-Llama-3-8B-Instruct",
    # It writes calls in a code block, which no parser reads.
    "Qwen/Qwen2.5-Coder-7B-Instruct",
    "mistralai/Mistral-7B-Instruct-v0.1",
    # The owner's name is no family's.
    "qwen3/something",
)


def told(stack: str = "thanos", **config: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(vllm_config(settings(stack, **config), "key"))
    return found


def refused(**models: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        settings("thanos", models=models)
    return str(raised.value)


def test_vllm_is_told_its_share_and_key_in_a_file() -> None:
    config = told(models={"chat": "own/chat", "chatContext": 4096, "chatToolParser": "hermes"})
    assert (config["model"], config["served-model-name"]) == ("own/chat", "own/chat")
    assert config["max-model-len"] == 4096
    assert config["api-key"] == "key"
    assert (config["host"], config["port"]) == ("0.0.0.0", 8000)  # noqa: S104 - inside the pod
    assert config["disable-fastapi-docs"] is True


@pytest.mark.parametrize(("memory", "cuda"), [(24, 23.52), (24, 23.69), (48, 47.5), (80, 79.1)])
def test_vllm_starts_last_too_where_the_others_hold_their_shares(memory: float, cuda: float) -> None:
    """It wants its fraction of what CUDA counts to be free (`request_memory` of vLLM's worker)."""
    shares = settings("thanos", gpuMemoryGib=memory).gpu_shares
    others = sum(share for name, share in shares.items() if name != "vllm")
    assert told(gpuMemoryGib=memory)["gpu-memory-utilization"] * cuda <= cuda - others


def test_the_default_model_and_context_fit_the_default_share() -> None:
    """GiB of Qwen2.5-7B-Instruct-AWQ: weights as vLLM reported them; what 32 requests and CUDA's graphs need is an
    estimate (256 requests were reported to need 1.42)."""
    config = told()
    weights, working, graphs = 5.2, 0.5, 0.25
    # 28 layers, 4 heads of 128 numbers, keys and values, 2 bytes each.
    context = 28 * 4 * 128 * 2 * 2 * config["max-model-len"] / 2**30
    assert config["max-num-seqs"] == 32
    assert weights + working + graphs + context <= config["gpu-memory-utilization"] * 23.52


@pytest.mark.parametrize("model", FAMILIES)
def test_a_known_family_has_the_parser_of_its_format(model: str) -> None:
    config = told(models={"chat": model})
    assert (config["enable-auto-tool-choice"], config["tool-call-parser"]) == (True, FAMILIES[model])
    assert FAMILIES[model] in PARSERS


def test_the_default_model_is_of_a_known_family() -> None:
    assert told()["tool-call-parser"] == "hermes"


@pytest.mark.parametrize("model", UNKNOWN)
def test_a_model_of_no_known_family_is_refused_until_its_parser_is_named(model: str) -> None:
    assert tool_parser(model) is None
    message = refused(chat=model)
    assert message.startswith("agentic-mesh:models.chatToolParser is not set. Allowed: the tool parser of vLLM for")
    assert model in message
    assert all(parser in message for parser in {*PARSERS, NONE})
    assert message.endswith("pulumi config set --path 'agentic-mesh:models.chatToolParser' 'hermes' --stack thanos")
    assert told(models={"chat": model, "chatToolParser": "pythonic"})["tool-call-parser"] == "pythonic"


def test_the_setting_comes_before_the_table() -> None:
    assert told(models={"chatToolParser": "qwen3_xml"})["tool-call-parser"] == "qwen3_xml"


def test_without_a_parser_tools_are_off() -> None:
    config = told(models={"chat": "owner/name", "chatToolParser": "none"})
    assert not {"enable-auto-tool-choice", "tool-call-parser"} & config.keys()


def test_a_control_node_serves_no_model_and_needs_no_parser() -> None:
    assert settings(models={"chat": "owner/name"}).models.tool_parser is None


def test_a_model_in_the_model_folder_is_served_by_its_name_and_never_looked_up() -> None:
    read = settings("thanos", models={"chat": "/srv/agentic-mesh/models/mine/Qwen3-8B"})
    config = yaml.safe_load(vllm_config(read, "key"))
    assert (config["model"], config["served-model-name"]) == ("/models/mine/Qwen3-8B", "Qwen3-8B")
    assert vllm_environment(read)["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in vllm_environment(settings("thanos"))
    assert vllm_environment(settings("thanos", modelHub=[]))["HF_HUB_OFFLINE"] == "1"


def test_a_model_folder_elsewhere_is_another_place_of_the_same_folder_in_the_container() -> None:
    config = told(dataRoot="/data", modelPath="/data/llm", models={"chat": "/data/llm/Qwen3-8B"})
    assert config["model"] == "/models/Qwen3-8B"


@pytest.mark.parametrize(
    "path", ["/models/Qwen3-8B", "/srv/agentic-mesh/models", "/srv/agentic-mesh/models-2/Qwen3-8B"]
)
def test_a_path_outside_the_model_folder_is_refused(path: str) -> None:
    message = refused(chat=path)
    assert message.startswith(f"agentic-mesh:models.chat is '{path}'. Allowed: a name on the model hub")
    assert "below /srv/agentic-mesh/models (agentic-mesh:modelPath)" in message
    command = re.search(r"pulumi config set --path 'agentic-mesh:models.chat' '(\S+)' --stack thanos", message)
    assert command
    assert settings("thanos", models={"chat": command[1], "chatToolParser": "hermes"}).models.chat == command[1]


def test_the_model_proxy_asks_by_the_served_name() -> None:
    """The control node has no model folder: the path is the GPU node's business."""
    keys = ("claude", "openrouter", "vllm", "embeddings")
    given = {f"{name}_api_key": name for name in keys} | {"master_key": "m"}
    given |= dict.fromkeys(("redis_password", "database_password"), "p")
    config = yaml.safe_load(litellm_config(settings(models={"chat": "/data/llm/Qwen3-8B"}), **given))
    [local] = [model for model in config["model_list"] if model["model_name"] == "vllm_local"]
    assert local["litellm_params"]["model"] == "hosted_vllm/Qwen3-8B"


def test_the_examples_of_the_messages_are_allowed() -> None:
    for key in ("chat", "chatToolParser"):
        check = MODELS[key]
        assert check.parse(check.example) == check.example
    assert Models().tool_parser == "hermes"
