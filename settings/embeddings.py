"""How much memory an embedding model needs in Text Embeddings Inference, and so how many tokens a batch may have.

Read from TEI 1.9.3 (`router/src/lib.rs`, `backends/src/lib.rs`, `core/src/queue.rs`, `backends/candle/src/models/`):

- `--max-batch-tokens` is also the longest text: longer ones are truncated to it (`--auto-truncate`).
- The CPU backends pad: a batch of M tokens whose longest text has L tokens needs heads x M x L attention scores, and
  the warm-up is such a batch of one text. ONNX Runtime holds 2.2 of these tables at its peak (measured on attention
  layers of 8 and 16 heads, 2048 to 4096 tokens), candle three where it pads (`bert.rs`).
- On a GPU flash attention needs none of them, and weights take two bytes instead of four.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from settings.checks import Check, NotAllowedError, text
from topology.model import Service

_MIB: Final = 2**20
_SCORE_TABLES: Final = 3
_WEIGHTS_ON_CPU: Final = 4 * 1.2
"""Bytes per parameter: float32, and a fifth more for copies that the runtime makes in its own layout."""
_PROCESS_MIB: Final = 600
"""The program, two tokenizers with a large vocabulary, queued requests."""
_WEIGHTS_ON_GPU: Final = 2
_CONTEXT_MIB: Final = 512
"""GPU memory that CUDA itself takes, with its kernels."""
LEAST: Final = 512
"""Tokens; the smallest batch that is accepted."""
_MOST: Final = 16384
_STEP: Final = 256
TOKENIZERS: Final = 2
"""Each holds its own vocabulary, about 100 MiB; TEI's default is one per CPU."""


@dataclass(frozen=True)
class Shape:
    """The numbers of a model's `config.json` that its memory depends on."""

    millions: float
    """Parameters."""
    hidden: int
    """Width of a layer; for these models also the size of the vectors."""
    heads: int
    tokens: int
    """The longest text."""

    def cpu_mib(self, batch_tokens: int) -> int:
        """Memory of the process on a CPU while it processes a batch."""
        longest = min(self.tokens, batch_tokens)
        scores = _SCORE_TABLES * self.heads * batch_tokens * longest * 4
        layers = batch_tokens * 10 * self.hidden * 4
        return round((self.millions * 1e6 * _WEIGHTS_ON_CPU + scores + layers) / _MIB + _PROCESS_MIB)

    def gpu_mib(self, batch_tokens: int) -> int:
        """GPU memory."""
        layers = batch_tokens * 12 * self.hidden * 2
        return round((self.millions * 1e6 * _WEIGHTS_ON_GPU + layers) / _MIB + _CONTEXT_MIB)


KNOWN: Final[Mapping[str, Shape]] = {
    "Alibaba-NLP/gte-multilingual-base": Shape(305, 768, 12, 8192),
    "BAAI/bge-base-en-v1.5": Shape(109, 768, 12, 512),
    "BAAI/bge-large-en-v1.5": Shape(335, 1024, 16, 512),
    "BAAI/bge-m3": Shape(568, 1024, 16, 8192),
    "BAAI/bge-small-en-v1.5": Shape(33, 384, 12, 512),
    "Snowflake/snowflake-arctic-embed-l-v2.0": Shape(568, 1024, 16, 8192),
    "intfloat/multilingual-e5-base": Shape(278, 768, 12, 512),
    "intfloat/multilingual-e5-large": Shape(560, 1024, 16, 512),
    "intfloat/multilingual-e5-large-instruct": Shape(560, 1024, 16, 512),
    "intfloat/multilingual-e5-small": Shape(118, 384, 12, 512),
    "nomic-ai/nomic-embed-text-v1.5": Shape(137, 768, 12, 8192),
    "sentence-transformers/all-MiniLM-L6-v2": Shape(23, 384, 12, 256),
}
"""From the models' pages on the hub."""

_WORDS: Final = re.compile(r"millions=(\d+(?:\.\d+)?) hidden=(\d+) heads=(\d+) tokens=(\d+)")


def _shape(value: object) -> Shape:
    found = _WORDS.fullmatch(text(value))
    if found is None or not all(float(number) > 0 for number in found.groups()):
        raise NotAllowedError
    return Shape(float(found[1]), int(found[2]), int(found[3]), int(found[4]))


SHAPE: Final = Check[Shape](
    "the numbers of the model's config.json: parameters in millions, hidden_size, num_attention_heads and the longest "
    "text in tokens",
    "millions=568 hidden=1024 heads=16 tokens=8192",
    _shape,
)


SERVICES: Final = ("embeddings", "embeddings-cpu")


def batch_tokens(shape: Shape, service: Service, shares: Mapping[str, float]) -> int:
    """The largest batch, in tokens, that fits the service's share of the GPU, or its memory limit on a CPU.

    Raises:
        NotAllowedError: not even the smallest batch fits.

    """
    if service.gpu is not None:
        return _largest(shape.gpu_mib, int(shares[service.name] * 1024), "MiB of GPU memory")
    return _largest(shape.cpu_mib, service.memory_mib, "MiB of memory")


def _largest(needed: Callable[[int], int], has_mib: int, unit: str) -> int:
    for tokens in range(_MOST, LEAST - 1, -_STEP):
        if needed(tokens) <= has_mib:
            return tokens
    raise NotAllowedError(f"a model that fits {has_mib} {unit}; this one needs {needed(LEAST)}")
