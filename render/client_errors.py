"""Errors that a client gets from the way in: from nginx at the edge, from Kong, and from Envoy in between.

They have the shape of the API that the client speaks, OpenAI's or Anthropic's, so that its SDK raises the exception
that it has for the case, and a sentence that says what to do.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from render.limits import (
    BODY_MIB,
    CONNECTIONS,
    JSON_DEPTH,
    JSON_MIB,
    JSON_VALUES,
    REQUESTS_PER_MINUTE,
    REQUESTS_PER_SECOND,
)

ANTHROPIC_PATHS: Final = ("/v1/messages", "/v1/complete")
"""What only Anthropic's API has."""
ANTHROPIC_HEADER: Final = "anthropic-version"
"""Its SDKs send it with every request; on paths that both APIs have it tells them apart."""
SERVED: Final = (
    "Below /v1 of this host there are chat/completions, responses, embeddings, models, images/generations, "
    "audio/transcriptions, audio/translations, audio/speech, files, vector_stores, documents, search and runs, and of "
    "Anthropic's API messages and messages/count_tokens. The base URL of an OpenAI client ends in /v1, that of an "
    "Anthropic client is the host alone."
)
"""What there is, for whoever asks for something else."""


@dataclass(frozen=True)
class ClientError:
    """One error, in the words of both APIs."""

    status: int
    message: str
    type: str
    """OpenAI's type."""
    code: str
    anthropic_type: str

    def openai(self) -> dict[str, Any]:
        """The body of OpenAI's API."""
        return {"error": {"message": self.message, "type": self.type, "param": None, "code": self.code}}

    def anthropic(self) -> dict[str, Any]:
        """The body of Anthropic's API."""
        return {"type": "error", "error": {"type": self.anthropic_type, "message": self.message}}


_INVALID: Final = "invalid_request_error"
_SERVER: Final = "server_error"
NOT_SERVED: Final = ClientError(
    404, f"Nothing is served at this path by this method. {SERVED}", _INVALID, "not_found", "not_found_error"
)
BAD_REQUEST: Final = ClientError(
    400,
    "The gateway could not read this request. Check that the body is complete and is what its Content-Type says, JSON "
    "or a multipart form, and that path and headers are well-formed.",
    _INVALID,
    "bad_request",
    _INVALID,
)
"""Of every status from 400 on that has no sentence of its own."""
FAILED: Final = ClientError(
    500,
    "The gateway failed to handle this request. Retry it once; if it fails again, tell the operator the time and the "
    "x-request-id of the answer, if it has one.",
    _SERVER,
    "gateway_error",
    "api_error",
)
"""Of every status from 500 on that has no sentence of its own."""
_AWAY: Final = (
    "The service behind this path {what}. Retry in a few seconds, as SDKs do by themselves; if it lasts, the operator "
    "sees the service's state in the dashboards."
)
TOO_LARGE: Final = ClientError(
    413,
    f"The request is too large: at most {JSON_MIB} MiB of JSON, or {BODY_MIB} MiB with files. Send less at once: "
    "fewer or shorter inputs, or a document in parts.",
    _INVALID,
    "request_too_large",
    "request_too_large",
)
_COMMON: Final = (
    NOT_SERVED,
    TOO_LARGE,
    ClientError(502, _AWAY.format(what="gave no answer that could be read"), _SERVER, "bad_gateway", "api_error"),
    ClientError(
        503, _AWAY.format(what="cannot be reached at the moment"), _SERVER, "service_unavailable", "overloaded_error"
    ),
    ClientError(504, _AWAY.format(what="did not answer in time"), _SERVER, "timeout", "timeout_error"),
)


def _table(*own: ClientError) -> Mapping[int, ClientError]:
    return {error.status: error for error in (BAD_REQUEST, FAILED, *_COMMON, *own)}


FROM_EDGE: Final = _table(
    replace(
        BAD_REQUEST,
        message=f"The gateway could not read this request. Check that its body is complete and is valid JSON or a "
        f"multipart form, as its Content-Type says. JSON may be {JSON_MIB} MiB long, have {JSON_VALUES} values "
        f"and be nested {JSON_DEPTH} deep: send an embedding request with more texts in parts.",
    ),
    ClientError(
        403,
        "The web application firewall takes this request for an attack. Send prompts and documents by POST to the "
        "paths of the API, not in the URL; if this was ordinary use, tell the operator the time of the request.",
        _INVALID,
        "blocked_by_firewall",
        "permission_error",
    ),
    ClientError(
        429,
        f"More than {REQUESTS_PER_SECOND} requests a second or {CONNECTIONS} connections from your address. Wait a "
        "second and send fewer at once.",
        "requests",
        "rate_limit_exceeded",
        "rate_limit_error",
    ),
)
FROM_KONG: Final = _table(
    # To a client that asks before it sends the body (Expect: 100-continue).
    replace(TOO_LARGE, status=417),
    # OpenAI's own first words: LiteLLM knows a wrong key by them (`exception_mapping_utils.py`), and aider through it.
    ClientError(
        401,
        "Incorrect API key provided, or none. Send a key that this gateway knows as 'Authorization: Bearer KEY', or in "
        "the header x-api-key or apikey.",
        _INVALID,
        "invalid_api_key",
        "authentication_error",
    ),
    ClientError(
        403,
        "Your key is valid, but none of its groups may use this path. Ask the operator for the group, or use another "
        f"path. {SERVED}",
        _INVALID,
        "not_allowed",
        "permission_error",
    ),
    ClientError(
        429,
        f"More than {REQUESTS_PER_MINUTE} requests with this key in a minute. Wait for the seconds in the header "
        "Retry-After.",
        "requests",
        "rate_limit_exceeded",
        "rate_limit_error",
    ),
)
FROM_ENVOY: Final = _table(
    ClientError(
        403,
        "The mesh does not let this caller ask for this path by this method.",
        _INVALID,
        "not_allowed_by_mesh",
        "permission_error",
    ),
)


def text(body: Mapping[str, Any]) -> str:
    """A body as it is sent."""
    return json.dumps(body, separators=(",", ":"))
