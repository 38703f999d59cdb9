"""Text Embeddings Inference with a small real model (all-MiniLM-L6-v2, int8), or hashed words where that is missing.

Vectors have the size of the model that is asked for: MiniLM's 384 numbers, then zeros, which change no angle.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import math
import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, metric, same, say, secret, wait
from lab.images.standins.openai import histogram

MODEL: Final = Path(os.environ.get("STAND_IN_MODEL", "/opt/minilm"))
SIZES: Final = {"bge-m3": 1024, "large": 1024, "base": 768, "small": 384}
OPEN: Final = ("/health", "/ping", "/metrics", "/docs")
MOST: Final = 256
"""Tokens that the model reads of a text."""


class Words:
    """Vectors of hashed words: texts with words in common are near each other, and nothing more."""

    name = "hashed words"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of 384 numbers for each text."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> list[float]:
        vector = [0.0] * 384
        for word in re.findall(r"\w+", text.lower()) or [""]:
            digest = hashlib.sha256(word.encode()).digest()
            vector[int.from_bytes(digest[:2], "big") % 384] += 1.0 if digest[2] & 1 else -1.0
        return vector


class MiniLM:
    """The real model."""

    name = "all-MiniLM-L6-v2 (int8)"

    def __init__(self) -> None:
        # From the layer of the model; without it they are not there.
        self._numpy: Any = importlib.import_module("numpy")
        onnxruntime: Any = importlib.import_module("onnxruntime")
        tokenizers: Any = importlib.import_module("tokenizers")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(MODEL / "model.onnx"), options)
        self._tokenizer = tokenizers.Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_length=MOST)
        self._tokenizer.enable_padding()
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of 384 numbers for each text."""
        numpy = self._numpy
        with self._lock:
            encoded = self._tokenizer.encode_batch(list(texts))
        mask = numpy.array([e.attention_mask for e in encoded], dtype=numpy.int64)
        inputs = {
            "input_ids": numpy.array([e.ids for e in encoded], dtype=numpy.int64),
            "attention_mask": mask,
            "token_type_ids": numpy.zeros_like(mask),
        }
        wanted = {i.name for i in self._session.get_inputs()}
        out = self._session.run(None, {k: v for k, v in inputs.items() if k in wanted})[0]
        if out.ndim == 3:  # a vector for each token: their mean
            out = (out * mask[..., None]).sum(axis=1) / mask.sum(axis=1)[:, None]
        vectors: list[list[float]] = out.tolist()
        return vectors


def unit(vector: Sequence[float], size: int) -> list[float]:
    """Of length one, filled up with zeros."""
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector[:size]] + [0.0] * (size - len(vector))


def size_of(model: str) -> int:
    """Dimensions of the model that this stands in for."""
    return next((size for part, size in SIZES.items() if part in model.lower()), 1024)


def make(model: str, key: str, most: int = 32) -> Service:
    """The server for a model's name."""
    service = Service("embeddings")
    engine: MiniLM | Words = MiniLM() if (MODEL / "model.onnx").exists() else Words()
    say(f"{model} is stood in for by {engine.name}")
    size = size_of(model)
    seconds: list[float] = []

    def guard(request: Request) -> None:
        if request.path not in OPEN and not same(request.bearer(), key):
            raise Refused(401, "", {"error": "Unauthorized", "error_type": "unauthorized"})

    def texts(given: Any) -> list[str]:
        found = [given] if isinstance(given, str) else given
        if not isinstance(found, list) or not all(isinstance(t, str) and t for t in found) or not found:
            raise Refused(413, "", {"error": "`inputs` cannot be empty", "error_type": "validation"})
        if len(found) > most:
            message = f"batch size {len(found)} > maximum allowed batch size {most}"
            raise Refused(422, "", {"error": message, "error_type": "validation"})
        return found

    def embed(given: Any) -> list[list[float]]:
        started = time.monotonic()
        vectors = [unit(v, size) for v in engine.embed(texts(given))]
        seconds.append(time.monotonic() - started)
        return vectors

    service.guard = guard
    service.route("GET", "/health")(lambda _: b"")
    service.route("GET", "/ping")(lambda _: b"")
    service.route("GET", "/info")(
        lambda _: {"model_id": model, "max_client_batch_size": most, "model_type": {"embedding": {"pooling": "cls"}}}
    )
    service.route("POST", "/embed")(lambda r: embed(r.json().get("inputs")))

    @service.route("POST", "/v1/embeddings")
    def _(request: Request) -> Any:
        asked = request.json()
        vectors = embed(asked.get("input"))
        rows = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
        used = sum(len(t) for t in texts(asked.get("input"))) // 4
        usage = {"prompt_tokens": used, "total_tokens": used}
        return {"object": "list", "data": rows, "model": asked.get("model", model), "usage": usage}

    @service.route("POST", "/rerank")
    def _(request: Request) -> Any:
        asked = request.json()
        query, *rest = engine.embed(texts([asked.get("query", ""), *asked.get("texts", [])]))
        wanted = unit(query, 384)
        scores = [sum(a * b for a, b in zip(wanted, unit(v, 384), strict=True)) for v in rest]
        return sorted(({"index": i, "score": s} for i, s in enumerate(scores)), key=lambda x: -x["score"])

    @service.route("GET", "/metrics")
    def _(_request: Request) -> Answer:
        text = metric("te_request_count", "counter", {"": sum(service.served.values())})
        text += metric("te_queue_size", "gauge", {"": 0})
        return Answer(text + histogram("te_request_duration", 'method="single"', seconds), type=TEXT)

    return service


def main() -> None:
    """`text-embeddings-router`."""
    parser = argparse.ArgumentParser(prog="text-embeddings-router")
    parser.add_argument("--hostname", default=os.environ.get("HOSTNAME", "0.0.0.0"))  # noqa: S104 - as the real one
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "3000")))
    parser.add_argument("--model-id", required=True)
    parser.add_argument("--max-client-batch-size", type=int, default=32)
    parser.add_argument("--max-batch-tokens", type=int)
    parser.add_argument("--max-concurrent-requests", type=int)
    args = parser.parse_args()
    if not os.access(os.environ.get("HUGGINGFACE_HUB_CACHE", "/data"), os.W_OK):
        sys.exit("the folder for models cannot be written")
    make(args.model_id, secret("API_KEY"), args.max_client_batch_size).start(args.port, args.hostname)
    wait()


if __name__ == "__main__":
    main()
