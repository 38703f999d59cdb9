"""Text Embeddings Inference with a small real model (all-MiniLM-L6-v2, int8), or hashed words where that is missing.

Vectors have the size of the model that is asked for: MiniLM's 384 numbers, then zeros, which change no angle. What it
refuses, and with which words, is from huggingface/text-embeddings-inference v1.9.3: `router/src/main.rs` (arguments),
`router/src/http/server.rs` (status codes, batch size, permits, size of a body, key), `router/src/lib.rs` (longest text)
and `core/src/tokenization.rs` (empty and long texts, ids of tokens). A token is taken to have four characters.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib
import math
import os
import re
import struct
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, metric, same, say, secret, wait
from lab.images.standins.openai import histogram

MODEL: Final = Path(os.environ.get("STAND_IN_MODEL", "/opt/minilm"))
SIZES: Final = {"bge-m3": 1024, "large": 1024, "base": 768, "small": 384}
OPEN: Final = ("/health", "/ping", "/metrics", "/docs")
LONGEST: Final = {"BAAI/bge-m3": 8192}
"""Longest text, in tokens, of the models that this imitates; others: 512."""
MOST: Final = 256
"""Tokens that the model reads of a text."""


def refused(status: int, kind: str, words: str) -> Refused:
    """An error as the program's own routes have it."""
    return Refused(status, "", {"error": words, "error_type": kind})


def plain(status: int, words: str) -> Refused:
    """An error of the HTTP layer, which is no JSON."""
    error = Refused(status, words, words)
    error.answer.type = "text/plain; charset=utf-8"
    return error


def openai_shape(error: Refused) -> Refused:
    """The same in the form of the OpenAI routes."""
    said = error.answer.body
    if not isinstance(said, dict):
        return error
    body = {"message": said["error"], "code": error.answer.status, "type": said["error_type"]}
    return Refused(error.answer.status, "", body)


def base64_of(vector: Sequence[float]) -> str:
    """Base64 as in OpenAI's API: 32-bit floats, little-endian."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


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


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The arguments that decide what is refused, with the program's own defaults."""

    inputs: int = 32
    """`--max-client-batch-size`."""
    permits: int = 512
    """`--max-concurrent-requests`: each text of a request takes one."""
    tokens: int = 16384
    """`--max-batch-tokens`: no text is longer, whatever the model could read."""
    truncate: bool = True
    """`--auto-truncate`."""
    bytes: int = 2_000_000
    """`--payload-limit`."""


class Inputs:
    """What may be embedded."""

    def __init__(self, limits: Limits, longest: int) -> None:
        self._limits, self._longest = limits, longest

    def texts(self, given: Any, truncate: bool | None = None) -> list[str]:
        """One text, ids of one text's tokens, or several of either; cut to what the model reads."""
        several = isinstance(given, list) and not all(isinstance(part, int) for part in given)
        found = given if several else [given]
        if given == []:
            raise refused(400, "Empty", "`inputs` cannot be empty")
        most = self._limits.inputs
        if len(found) > most:
            raise refused(422, "Validation", f"batch size {len(found)} > maximum allowed batch size {most}")
        if len(found) > self._limits.permits:
            raise refused(429, "Overloaded", "Model is overloaded")
        return [self._text(part, self._limits.truncate if truncate is None else truncate) for part in found]

    def _text(self, given: Any, truncate: bool) -> str:
        if isinstance(given, list) and given and all(isinstance(part, int) and part >= 0 for part in given):
            # Taken as ids of the model's own vocabulary, whichever the client meant.
            given = " ".join(f"token{part}" for part in given)
        if not isinstance(given, str):
            raise plain(422, "Failed to deserialize the JSON body into the target type")
        if not given:
            raise refused(400, "Empty", "`inputs` cannot be empty")
        if len(given) // 4 > self._longest and not truncate:
            words = f"`inputs` must have less than {self._longest} tokens. Given: {len(given) // 4}"
            raise refused(422, "Validation", words)
        return given[: 4 * self._longest]


def make(model: str, key: str, limits: Limits = Limits()) -> Service:
    """The server for a model's name."""
    service = Service("embeddings")
    engine: MiniLM | Words = MiniLM() if (MODEL / "model.onnx").exists() else Words()
    say(f"{model} is stood in for by {engine.name}")
    size = size_of(model)
    inputs = Inputs(limits, min(limits.tokens, LONGEST.get(model, 512)))
    seconds: list[float] = []

    def guard(request: Request) -> None:
        if request.path not in OPEN and not same(request.bearer(), key):
            raise plain(401, "")
        if len(request.body) > limits.bytes:
            raise plain(413, "Failed to buffer the request body: length limit exceeded")

    def embed(given: Any, **how: bool) -> list[list[float]]:
        started = time.monotonic()
        vectors = [unit(v, size) for v in engine.embed(inputs.texts(given, **how))]
        seconds.append(time.monotonic() - started)
        return vectors

    service.guard = guard
    service.route("GET", "/health")(lambda _: b"")
    service.route("GET", "/ping")(lambda _: b"")
    service.route("GET", "/info")(
        lambda _: {
            "model_id": model,
            "max_client_batch_size": limits.inputs,
            "max_batch_tokens": limits.tokens,
            "auto_truncate": limits.truncate,
            "model_type": {"embedding": {"pooling": "cls"}},
        }
    )
    service.route("POST", "/embed")(
        lambda r: embed(r.json().get("inputs"), truncate=bool(r.json().get("truncate", limits.truncate)))
    )

    @service.route("POST", "/v1/embeddings")
    def _(request: Request) -> Any:
        asked = request.json()
        try:
            vectors = embed(asked.get("input"))
        except Refused as error:
            raise openai_shape(error) from None
        coded = base64_of if asked.get("encoding_format") == "base64" else list
        rows = [{"object": "embedding", "index": i, "embedding": coded(v)} for i, v in enumerate(vectors)]
        used = sum(len(t) for t in inputs.texts(asked.get("input"))) // 4
        usage = {"prompt_tokens": used, "total_tokens": used}
        return {"object": "list", "data": rows, "model": asked.get("model", model), "usage": usage}

    @service.route("POST", "/rerank")
    def _(request: Request) -> Any:
        asked = request.json()
        query, *rest = engine.embed(inputs.texts([asked.get("query", ""), *asked.get("texts", [])]))
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
    parser.add_argument("--max-client-batch-size", type=int, default=Limits.inputs)
    parser.add_argument("--max-batch-tokens", type=int, default=Limits.tokens)
    parser.add_argument("--max-concurrent-requests", type=int, default=Limits.permits)
    parser.add_argument("--auto-truncate", nargs="?", const="true", default="true", choices=("true", "false"))
    parser.add_argument("--payload-limit", type=int, default=Limits.bytes)
    parser.add_argument("--tokenization-workers", type=int)
    args = parser.parse_args()
    truncate, longest = args.auto_truncate == "true", LONGEST.get(args.model_id, 512)
    if longest > args.max_batch_tokens and not truncate:
        sys.exit(f"The maximum input length is `{longest}` which exceeds `--max-batch-tokens={args.max_batch_tokens}`")
    limits = Limits(
        inputs=args.max_client_batch_size,
        permits=args.max_concurrent_requests,
        tokens=args.max_batch_tokens,
        truncate=truncate,
        bytes=args.payload_limit,
    )
    if not os.access(os.environ.get("HUGGINGFACE_HUB_CACHE", "/data"), os.W_OK):
        sys.exit("the folder for models cannot be written")
    make(args.model_id, secret("API_KEY"), limits).start(args.port, args.hostname)
    wait()


if __name__ == "__main__":
    main()
