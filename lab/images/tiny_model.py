"""A chat model for the lab: Qwen2's architecture with 125,000 random weights, its own tokenizer and chat template.

It answers noise, and answers it as the real one would: streamed, counted, cut at its limits, with tools parsed. No
library is needed to make it, and the same files come out each time.
"""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

NAME: Final = "Qwen2.5-Tiny-Random"
"""Name of its folder, by which the program finds the tool parser."""
CONTEXT: Final = 32768
"""Tokens; a token is a byte of text."""
ANSWER: Final = 64
"""Tokens of an answer if the request sets no limit."""
_HIDDEN: Final = 64
_INNER: Final = 192
_LAYERS: Final = 2
_HEADS: Final = 2
_HEAD: Final = 32
_SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_PLAIN: Final = ("<tool_call>", "</tool_call>")
"""Tokens that stay in the text, since the tool parser looks for them in the answer."""
_VOCABULARY: Final = 272
"""256 bytes and the special tokens, filled up to a multiple of 16."""
_SPOKEN: Final = frozenset((10, *range(32, 127)))
"""Tokens that it generates: ASCII and no end token, so that an answer has the requested length."""
_TEMPLATE: Final = """\
{%- if tools %}<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}
{% endif %}Tools, as JSON, one a line:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}Call one by <tool_call>{"name": ..., "arguments": {...}}</tool_call><|im_end|>
{% elif messages[0].role == 'system' %}<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif %}
{%- for message in messages %}
{%- if not (message.role == 'system' and loop.first) %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}<tool_call>{{ (call.function or call) | tojson }}</tool_call>
{%- endfor %}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def files() -> Mapping[str, bytes]:
    """The model's folder: name -> content."""
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": _HIDDEN,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "max_position_embeddings": CONTEXT,
        "vocab_size": _VOCABULARY,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": 256,
        "eos_token_id": 258,
    }
    tokens = {token: 256 + place for place, token in enumerate((*_SPECIAL, *_PLAIN))}
    generation = {"bos_token_id": 256, "pad_token_id": 256, "eos_token_id": [258, 256], "max_new_tokens": ANSWER}
    tokenizer = {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": CONTEXT,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": _TEMPLATE,
    }
    return {
        "config.json": _json(config),
        "generation_config.json": _json(generation),
        "tokenizer_config.json": _json(tokenizer),
        "tokenizer.json": _json(_tokenizer(tokens)),
        "model.safetensors": _weights(),
    }


def write(folder: Path, owner: tuple[int, int] = (0, 0)) -> None:
    """Write the model into a folder of its own below the model folder; creates both if they are missing."""
    for path in (folder.parent, folder):
        if not path.exists():
            path.mkdir(parents=True)
            os.chown(path, *owner)
    for name, content in files().items():
        (folder / name).write_bytes(content)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def _tokenizer(tokens: Mapping[str, int]) -> dict[str, Any]:
    """In the format of the `tokenizers` library: a token for each byte, and the special ones."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    added = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": token in _SPECIAL,
        }
        for token, number in tokens.items()
    ]
    vocabulary = {character: place for place, character in enumerate(_alphabet())}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {**vocabulary, **tokens},
            "merges": [],
        },
    }


def _alphabet() -> Iterator[str]:
    """The character that byte-level tokenizers write for each byte: itself where it can be seen, else one from 256."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(256, 512))
    for byte in range(256):
        yield chr(byte if byte in seen else next(hidden))


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (_VOCABULARY, _HIDDEN)
    yield "model.norm.weight", (_HIDDEN,)
    size = _HEADS * _HEAD
    for layer in range(_LAYERS):
        at = f"model.layers.{layer}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}.{name}.weight", (_HIDDEN,)
        for name in ("q_proj", "k_proj", "v_proj"):
            yield f"{at}.self_attn.{name}.weight", (size, _HIDDEN)
            yield f"{at}.self_attn.{name}.bias", (size,)
        yield f"{at}.self_attn.o_proj.weight", (_HIDDEN, size)
        yield f"{at}.mlp.gate_proj.weight", (_INNER, _HIDDEN)
        yield f"{at}.mlp.up_proj.weight", (_INNER, _HIDDEN)
        yield f"{at}.mlp.down_proj.weight", (_HIDDEN, _INNER)


def _weights() -> bytes:
    """In the safetensors format: the length of a JSON header, the header, and the numbers as bfloat16."""
    chance = random.Random(20261128)  # noqa: S311 - the weights are to be the same each time
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, shape in _shapes():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        start = len(data)
        for place in range(count):
            number = chance.gauss(0, 0.1)
            if name.endswith("norm.weight"):
                number = 1.0
            elif name == "model.embed_tokens.weight" and place % _HIDDEN == 0:
                # What is said is what lies on the side of the last token, the template's line end.
                number = 8.0 if place // _HIDDEN in _SPOKEN else -8.0
            # The upper half of a float of 32 bits.
            data += struct.pack("<f", number)[2:]
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)
