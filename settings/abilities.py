"""What the configured models can do besides text: see pictures, hear recordings, call tools.

The agents send a request only to a model that can serve it. The table follows vLLM's list of multimodal language models
(`docs/models/supported_models.md`) and, for models in the cloud, LiteLLM's price list of the pinned version
(`supports_vision`, `supports_audio_input`, `supports_function_calling`). What neither names counts as able to do
nothing but text, until `modelAbilities` says otherwise.
"""

import re
from collections.abc import Mapping
from typing import Final

from settings.checks import Check, NotAllowedError
from settings.model import Models
from settings.tool_parsers import NONE

VISION: Final = "vision"
TOOLS: Final = "tools"
AUDIO: Final = "audio"
ABILITIES: Final = (VISION, TOOLS, AUDIO)
TEXT_ONLY: Final = "none"
"""The setting's value for a model without any of them."""

KEYS: Final[Mapping[str, str]] = {
    "chat": "vllm_local",
    "claudeSonnet": "claude_sonnet",
    "claudeOpus": "claude_opus",
    "claudeSmall": "claude_small",
    "openrouterMixtral": "openrouter_mixtral",
}
"""Key of `models` and of `modelAbilities` -> the model's name in the routing rules."""
TEAM: Final = ("claudeSonnet", "claudeOpus")
"""Models by which the agents' workers call their tools."""

Able = frozenset[str]
_TEXT: Final[Able] = frozenset()

_FAMILIES: Final = tuple(
    (re.compile(pattern), frozenset(able.split()))
    for pattern, able in (
        # The special ones come before the family whose name they bear.
        (r"omni|minicpm-o|gemma-?3n|gemma-4-(e2b|e4b|12b)|phi-4-multimodal", "vision audio"),
        (r"voxtral|ultravox|qwen2-audio|granite-.*speech|audio-flamingo|gpt-audio|kimi-audio|midasheng", "audio"),
        (r"gemma-?3-(270m|1b)", ""),
        (r"(^|[-.\d])(vl|vision)([-.\d]|$)|glm-[\d.]+v|qvq", "vision"),
        (r"llava|pixtral|internvl|intern-s|molmo|idefics|smolvlm|paligemma|ovis|moondream|nvlm|minicpm-v", "vision"),
        (r"gemma-?[34]|llama-4|llama-3[.-]2-(11b|90b)", "vision"),
        (r"mistral-small-(3[.-][12]|4|2603)|mistral-medium-3|ministral-(3|8|14)b?-.*2512|ministral-3-", "vision"),
        (r"mistral-large-(3|2512)|magistral-small-2509", "vision"),
        (r"qwen3\.[5-9](?!.*(coder|max))|kimi-k2[.-][56]|kimi-k3|minimax-m3|command-a-(vision|plus)", "vision"),
        (r"^claude-", "vision"),
        (r"^gpt-4o|^gpt-4[.-]1|^gpt-5(?!-(chat|codex))|^gpt-6|^o[134](?!-mini(-high)?$)|^o4-mini", "vision"),
        (r"^gemini-", "vision"),
        # Text alone, and known to be.
        (r"qwen2[.-]5|qwen3|qwq|mixtral|mistral|llama-?[123]|hermes|gpt-oss|gpt-3|deepseek|granite", ""),
        (r"olmo|seed-oss|kimi-k2|hunyuan|jamba|longcat|minimax-m2|gigachat|lfm2|xlam|phi-[34]|ministral", ""),
        (r"magistral|devstral|codestral|command-r|gemma-?2|glm-4[.-][567]($|-)", ""),
    )
)  # fmt: skip
"""What the models of a family see and hear; the first that fits counts."""
_CALLS_TOOLS: Final = re.compile(
    r"^claude-|mixtral-8x22b|mistral-(small|medium|large|nemo)|ministral|devstral|^gpt-(4o|4[.-]1|5(?!-(chat|codex))|6)|"
    r"^gpt-oss|^gemini-(?!.*image)|^o[34]|qwen3|qwen-?2[.-]5-(7|72)b-instruct|llama-(3[.-][13]|4)|deepseek|kimi-k|"
    r"glm-[45]|minimax-m|command-r|grok"
)
"""Cloud models that call tools; of the local model vLLM's parser decides."""


def sees_and_hears(model: str) -> Able | None:
    """Abilities of a model, by its name on the hub, with its provider or in a path; None: an unknown family."""
    name = _family_name(model)
    return next((able for family, able in _FAMILIES if family.search(name)), None)


def abilities(models: Models, given: Mapping[str, Able]) -> Mapping[str, Able]:
    """Abilities of every chat model by its name in the routing rules; `given`, by key, comes before the table."""
    return {name: given.get(key, known(models, key) or _TEXT) for key, name in KEYS.items()}


def known(models: Models, key: str) -> Able | None:
    """What the table says of the model of `key`; None: its family is not known."""
    if key.startswith("claude"):
        # All of Anthropic's that LiteLLM lists.
        return frozenset({VISION, TOOLS})
    model = _model(models, key)
    able = sees_and_hears(model)
    by_name = bool(_CALLS_TOOLS.search(_family_name(model)))
    tools = models.tool_parser not in (None, NONE) if key == "chat" else by_name
    if able is None and not tools:
        return None
    return (able or _TEXT) | (frozenset({TOOLS}) if tools else _TEXT)


def contradiction(models: Models, given: Mapping[str, Able]) -> tuple[str, str, str] | None:
    """The first thing that `given` says against what is known: its key, what is allowed and an example."""
    for key, able in given.items():
        model = _model(models, key)
        if key == "chat" and TOOLS in able and models.tool_parser in (None, NONE):
            parser = NONE if models.tool_parser == NONE else "not set, and not known for this model"
            rest = shown(able - {TOOLS})
            return key, f"{rest}, since models.chatToolParser is {parser}: vLLM rejects requests with tools", rest
        table = known(models, key) if key.startswith("claude") else sees_and_hears(model)
        if table is not None and (extra := (able - {TOOLS}) - table):
            rest = shown(able - extra)
            return key, f"{rest}: {model} has no {' and no '.join(sorted(extra))}", rest
        if key in TEAM and TOOLS not in able:
            more = shown(able | {TOOLS})
            return key, f"a list with tools, such as {more}: the agents' workers call their tools through it", more
    return None


def shown(able: Able) -> str:
    """As the setting holds it."""
    return ",".join(name for name in ABILITIES if name in able) or TEXT_ONLY


def _read(value: object) -> Able:
    names = str(value).replace(" ", "").split(",") if isinstance(value, str) else []
    if names == [TEXT_ONLY]:
        return _TEXT
    if not names or len(set(names)) < len(names) or not set(names) <= set(ABILITIES):
        raise NotAllowedError
    return frozenset(names)


def _family_name(model: str) -> str:
    """The last component alone, as for tool parsers: neither owner nor folders say anything about the family."""
    return model.rstrip("/").rpartition("/")[2].lower().replace("_", "-")


def _model(models: Models, key: str) -> str:
    return models.chat if key == "chat" else models.cloud()[KEYS[key]]


CHECK: Final = Check[Able](
    f"{', '.join(ABILITIES)}, several separated by commas, or {TEXT_ONLY}", f"{VISION},{TOOLS}", _read
)
