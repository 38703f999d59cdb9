"""Which of vLLM's tool parsers fits a chat model.

Without a parser vLLM rejects every request with tools, and the request falls back to a paid model. Each model family
writes tool calls in its own format, so the family decides the parser. Read from vLLM v0.30.0,
`vllm/tool_parsers/__init__.py` and `docs/features/tool_calling.md`. Families whose chat template does not support tools
are left out: they would need another template too.
"""

import re
from typing import Final

NONE: Final = "none"
"""The setting's value for no parser: requests with tools are rejected."""

PARSERS: Final = frozenset(
    {
        "apertus", "cohere_command3", "cohere_command4", "deepseek_v3", "deepseek_v31", "deepseek_v32", "deepseek_v4",
        "deepseek_v41", "dots", "ernie45", "functiongemma", "gemma4", "gigachat3", "glm45", "glm47", "granite",
        "granite-20b-fc", "granite4", "hermes", "hunyuan_a13b", "hy_v3", "hy_v4", "inkling", "internlm", "jamba",
        "k2_horizon", "kimi_k2", "kimi_k3", "lfm2", "ling3", "llama3_json", "llama4_json", "llama4_pythonic",
        "longcat", "mimo", "minicpm5", "minimax_m2", "minimax_m3", "mistral", "muse_glimmer", "olmo3", "openai",
        "phi4_mini_json", "poolside_v1", "pythonic", "qwen3_coder", "qwen3_xml", "seed_oss", "step3", "step3p5",
        "xlam",
    }
)  # fmt: skip
"""The values of `--tool-call-parser`."""

_FAMILIES: Final = tuple(
    (re.compile(pattern), parser)
    for pattern, parser in (
        # Fine-tunes with a format of their own come before the family of their base model.
        (r"hermes-[2-4]", "hermes"),
        (r"xlam", "xlam"),
        (r"qwen3-coder", "qwen3_xml"),
        (r"qwen3[.-]5", "qwen3_xml"),
        (r"qwen2[.-]5-coder", ""),
        (r"qwen2[.-]5|qwen3|qwq", "hermes"),
        (r"llama-?4", "llama4_pythonic"),
        (r"llama-?3[.-][123]", "llama3_json"),
        (r"ministral|magistral|mistral-(7b-instruct-v0[.-]3|nemo|small|medium|large)|devstral", "mistral"),
        (r"granite-4", "granite4"),
        (r"granite-3[.-][1-9]", "granite"),
        (r"gpt-oss", "openai"),
        (r"glm-4[.-][56]", "glm45"),
        (r"glm-4[.-]7", "glm47"),
        (r"kimi-k2", "kimi_k2"),
        (r"hunyuan-a13b", "hunyuan_a13b"),
        (r"jamba", "jamba"),
        (r"longcat", "longcat"),
        (r"minimax-m2", "minimax_m2"),
        (r"olmo-3", "olmo3"),
        (r"seed-oss", "seed_oss"),
        (r"gigachat3", "gigachat3"),
        (r"gemma-4", "gemma4"),
        (r"lfm2", "lfm2"),
    )
)


def tool_parser(model: str) -> str | None:
    """The parser for a model, by its hub name or path; None: unknown family."""
    # The last component only: neither the owner on the hub nor parent folders say anything about the format.
    name = model.rstrip("/").rpartition("/")[2].lower().replace("_", "-")
    return next((parser or None for family, parser in _FAMILIES if family.search(name)), None)
