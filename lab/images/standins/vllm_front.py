"""A front for the lab's real vLLM: it answers with what a test has chosen, and passes everything else through.

The lab's model answers noise. A question that holds `[[...]]`, or a request that meets a fault (`faults.py`), is
answered by the stand-in's script; all else, refusals, limits, tools and metrics included, is vLLM's own.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any, Final

import yaml

from lab.images.standins import faults
from lab.images.standins.common import Answer, Refused, Request, Service, readable, say
from lab.images.standins.openai import Chat, content
from lab.images.standins.vllm import guard_of

INNER: Final = int(os.environ.get("LAB_VLLM_PORT", "18000"))
"""Where the real one listens, on loopback."""
_LIMITS: Final = (
    # No compiler is in the image, four requests at a time are enough, and the cache of a real card is not there.
    *("--enforce-eager", "--max-num-seqs", "4", "--kv-cache-memory-bytes", str(64 * 1024 * 1024)),
    *("--host", "127.0.0.1", "--port", str(INNER)),
)
_DROPPED: Final = frozenset({"transfer-encoding", "connection", "keep-alive", "content-length", "content-type"})


def make(config: dict[str, Any], inner: int = INNER) -> Service:
    """The server of a configuration file, before a vLLM on a port of loopback."""
    service = Service("vllm")
    chat = Chat([str(config["served-model-name"])], pause=0.01)
    guard = guard_of(str(config["api-key"]))

    def route(request: Request) -> Any:
        if request.path == "/v1/chat/completions" and (_chosen(request) or faults.fault(request)[0]):
            guard(request)
            return chat.complete(request)
        return _passed_on(request, inner)

    service.fallback = route
    return service


def _chosen(request: Request) -> bool:
    try:
        messages = request.json().get("messages") or []
        return "[[" in content(messages[-1])
    except (Refused, AttributeError, IndexError, KeyError, TypeError):
        return False


def _passed_on(request: Request, port: int) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3600)
    path = request.path + (f"?{urllib.parse.urlencode(request.query)}" if request.query else "")
    headers = {name: value for name, value in request.headers.items() if name not in _DROPPED}
    if kind := request.header("content-type"):
        headers["content-type"] = kind
    try:
        connection.request(request.method, path, request.body or None, headers)
        response = connection.getresponse()
    except OSError as error:
        connection.close()
        raise Refused(502, f"vLLM does not answer: {error}") from error
    told = {name: value for name, value in response.getheaders() if name.lower() not in _DROPPED}
    kind = response.getheader("content-type") or ""
    if response.getheader("content-length") is not None or request.method == "HEAD":
        body: Any = response.read()
        connection.close()
    else:
        body = _blocks(response, connection)
    return Answer(body, response.status, kind, told)


def _blocks(response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> Iterator[bytes]:
    try:
        while block := response.read1(1 << 16):
            yield block
    finally:
        # A client that disconnects cancels its request in vLLM too.
        connection.close()


def main() -> None:
    """`vllm serve`."""
    parser = argparse.ArgumentParser(prog="vllm")
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--config", required=True)
    path = parser.parse_args().config
    config = yaml.safe_load(readable(path))
    command = [sys.executable, "-B", "-m", "vllm.entrypoints.cli.main", "serve", "--config", path, *_LIMITS]
    with subprocess.Popen(command) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while process.poll() is None and not _ready():
            time.sleep(0.5)
        if process.poll() is None:
            # As the real one: the port is closed until the model is loaded.
            make(config).start(int(config["port"]), str(config["host"]))
            say("a front for chosen answers stands before it")
        # The container exits with vLLM.
        sys.exit(process.wait())


def _ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", INNER, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
