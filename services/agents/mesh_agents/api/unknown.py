"""Paths and methods that are not served: what the caller is told of what is there, in the API's own shape."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Match, Route

from mesh_agents.errors import ApiError

_API: Final = "/v1/"
_ANTHROPIC: Final = ("/v1/messages", "/v1/complete", "/v1/skills", "/v1/organizations")
_THERE: Final = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/models",
    "/v1/images/generations",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/audio/speech",
    "/v1/files",
    "/v1/vector_stores",
    "/v1/documents",
    "/v1/search",
    "/v1/runs",
    "/v1/messages",
)
"""What the base URL serves; some of it by other services than this one."""
_ELSEWHERE: Final = ("/v1/responses", "/v1/embeddings", "/v1/audio/", "/v1/messages")
"""Served by others behind the gateway. A request for one that arrives here came past it, or with another method."""
_JOBS: Final = "batches are not served; queue jobs at /v1/runs, with heavy=true for the night"
_LEFT_OUT: Final = {
    "/v1/chat/completions/.*": "completions are not stored; a run at /v1/runs keeps its result",
    "/v1/completions": "the old completions are not served; use /v1/chat/completions",
    "/v1/images/(edits|variations)": "pictures are only made from words: /v1/images/generations",
    "/v1/(assistants|threads)(/.*)?": "assistants are not served; use /v1/chat/completions or /v1/runs",
    "/v1/(messages/)?batches(/.*)?": _JOBS,
    "/v1/uploads(/.*)?": "uploads in parts are not served; send a file whole to /v1/files",
    "/v1/(fine_tuning|fine-tunes)(/.*)?": "models are not trained here",
    "/v1/evals(/.*)?": "evals are not served",
    "/v1/moderations": "moderation is not served",
    "/v1/realtime(/.*)?": "realtime is not served; use /v1/audio/transcriptions and /v1/audio/speech",
    "/v1/videos(/.*)?": "videos are not made here; pictures are: /v1/images/generations",
    "/v1/conversations(/.*)?": "conversations are not stored; send the whole one to /v1/chat/completions",
    "/v1/containers(/.*)?": "containers are not served; a run at /v1/runs can execute Python",
    "/v1/(organization|organizations|projects|usage)(/.*)?": "keys and budgets are settings of the platform",
    "/v1/vector_stores/[^/]+/files/[^/]+/content": (
        "a file's parsed text is not given out; /v1/files/{file_id}/content has the file"
    ),
    "/v1/(chatkit|skills|complete|engines|edits|answers)(/.*)?": "this part of the API is not served",
}
"""Patterns of the paths that the APIs have and this platform has not, and what a caller is told."""
_ANTHROPIC_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}
"""`type` by status, of Anthropic's errors."""


@dataclass(frozen=True)
class Served:
    """The routes that there are."""

    routes: Sequence[BaseRoute]

    def refusal(self, method: str, path: str) -> tuple[ApiError, dict[str, str]]:
        """The error for a path or method that no route takes, and the headers that go with it."""
        if allowed := self._methods(path):
            told = f"{path} does not take {method}; it takes {allowed}"
            return ApiError(405, told, code="method_not_allowed"), {"Allow": allowed}
        plain = path.rstrip("/")
        for pattern, told in _LEFT_OUT.items():
            if re.fullmatch(pattern, plain):
                return ApiError(501, told, code="not_served"), {}
        if path.startswith(f"{_API}v1/"):
            told = "the path begins with /v1 twice: take one off the client's base URL"
        elif plain.startswith(_ELSEWHERE):
            told = f"{method} {plain} is not served here: check the method, and use the platform's public address"
        else:
            told = f"there is no {path[:200]}; this base URL serves {', '.join(_THERE)}"
        return ApiError(404, told, code="not_found"), {}

    def _methods(self, path: str) -> str:
        asked = {"type": "http", "method": "", "path": path, "root_path": "", "headers": []}
        fitting = (one for one in self.routes if isinstance(one, Route) and one.matches(asked)[0] != Match.NONE)
        return ", ".join(sorted({method for one in fitting for method in one.methods or ()}))


def shaped(request: Request, error: ApiError, headers: Mapping[str, str]) -> JSONResponse:
    """The error's response: in Anthropic's shape for its paths and its clients, else in OpenAI's.

    Its SDKs name the version with every request, which tells them apart on the paths that both APIs have.
    """
    if not request.url.path.startswith(_ANTHROPIC) and "anthropic-version" not in request.headers:
        return JSONResponse(error.envelope(), error.status, headers)
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": str(error)}}
    return JSONResponse(body, error.status, headers)


def is_api(path: str) -> bool:
    """Whether a key is wanted before anything is said about a path."""
    return path.startswith(_API) or path == _API.rstrip("/")
