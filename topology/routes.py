"""What callers may ask an HTTP port for, as the service table writes it: `/path`, or `GET,POST /path`."""

import re
from dataclasses import dataclass
from typing import Final

EMBEDDINGS: Final = ("POST /embed", "POST /rerank", "POST /v1/embeddings", "GET /info", "GET /health")
"""Of the embedding server, on a GPU and on CPUs."""
EMBEDDINGS_READS: Final = ("/embed", "/rerank", "/v1/embeddings")
COMFYUI_USERS: Final = (
    "POST /prompt",
    "GET /history/",
    "GET /view",
    "GET /ws",
    "GET /object_info",
    "GET /object_info/",
    "GET /system_stats",
    "POST /upload/image",
    "POST /upload/mask",
)
"""What a program needs to generate pictures. Left out: the queue and the full history, which show everybody's prompts;
interrupting, clearing and unloading, which affect everybody's work; settings, files and models of the web UI."""
COMFYUI_JOBS: Final = ("POST /prompt", "GET /history/", "GET /view", "POST /queue")
"""What the agents need: queue a workflow, fetch its result and pictures, cancel their own job."""
QDRANT_READS: Final = (
    "/collections/[^/]+/points/(search|query)(/batch|/groups)?",
    "/collections/[^/]+/points/(scroll|count)",
)
"""How Qdrant takes searches."""
QDRANT_SHARDS: Final = ("GET /collections/",)
"""What a Qdrant peer requests from another's REST API: a shard's snapshot, when its own copy is too old."""
MODELS: Final = (
    "POST /v1/chat/completions",
    "POST /v1/embeddings",
    "POST /v1/messages",
    "POST /v1/messages/count_tokens",
    "POST /v1/responses",
    "GET,DELETE /v1/responses/",
    "GET /v1/models",
    "GET /v1/models/",
)
"""Of the model proxy: nobody here needs its other APIs, files, batches, agents and more, and many of them fail."""
N8N_PUBLIC: Final = ("/webhook/", "/webhook-waiting/", "/form/", "/form-waiting/", "/mcp/")
"""What workflows offer to the public, each with its own authentication; test URLs and the editor are for operators."""
_ENTRY: Final = re.compile(r"(?:(?P<methods>[A-Z]+(?:,[A-Z]+)*) )?(?P<path>/[^\s?#]*)")


@dataclass(frozen=True, order=True)
class Route:
    """A path and the methods for it."""

    path: str
    """A prefix where it ends in a slash, else exact."""
    methods: tuple[str, ...] = ()
    """None at all: any."""

    @property
    def example(self) -> tuple[str, str]:
        """A method and a path that it lets through."""
        return (self.methods or ("GET",))[0], self.path


def route(entry: str) -> Route:
    """Read an entry of `Port.routes` or `Call.routes`.

    Raises:
        ValueError: it is none.

    """
    found = _ENTRY.fullmatch(entry)
    if not found:
        raise ValueError(f"{entry!r} is no route; write it like '/v1/' or 'GET,POST /v1/'")
    return Route(found["path"], tuple(found["methods"].split(",")) if found["methods"] else ())
