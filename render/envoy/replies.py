"""What a proxy says itself on the way of a client's request, in the words of OpenAI's and Anthropic's APIs.

A service may pass these words on, as LiteLLM does with those about a model server that is away: so not only the
proxies that a client's request meets first have them.
"""

from collections.abc import Iterable
from typing import Final

from render.client_errors import (
    ANTHROPIC_HEADER,
    ANTHROPIC_PATHS,
    BAD_REQUEST,
    FROM_ENVOY,
    NOT_SERVED,
    ClientError,
    text,
)
from render.envoy.parts import Config

_IDENTITY: Final = "x-forwarded-client-cert"
_RETRY_SECONDS: Final = 5
_LIKELY_SOON: Final = (502, 503, 504)
"""Statuses after which it is worth trying again."""


def local_replies(doors: Iterable[str] = ()) -> Config:
    """`local_reply_config` of a connection manager.

    `doors`: services through which clients come. They may call this one, and ask on behalf of whoever it is: what the
    graph does not allow them is a path that is not served, 404; for other callers it stays a 403.
    """
    mappers: list[Config] = []
    for door in doors:
        came = _header(_IDENTITY, suffix=f"/{door}")
        mappers += _mappers(NOT_SERVED, _status(403), came, status=NOT_SERVED.status)
    for status, error in sorted(FROM_ENVOY.items()):
        if error is not BAD_REQUEST:
            # The one for 500 is also for those above that have none of their own, and so is the last.
            mappers += _mappers(error, _status(status)) if status != 500 else []
    mappers += _mappers(FROM_ENVOY[500], _status(500, "GE"))
    mappers += _mappers(BAD_REQUEST, _status(400, "GE"))
    return {"mappers": mappers}


def _mappers(error: ClientError, *conditions: Config, status: int | None = None) -> list[Config]:
    """First for clients of Anthropic's API, then for all others."""
    more: Config = {"status_code": status} if status else {}
    if error.status in _LIKELY_SOON:
        header = {"key": "retry-after", "value": str(_RETRY_SECONDS)}
        more["headers_to_add"] = [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    return [
        {"filter": _all(*conditions, _ANTHROPIC), **more, "body_format_override": _json(text(error.anthropic()))},
        {"filter": _all(*conditions), **more, "body_format_override": _json(text(error.openai()))},
    ]


def _json(body: str) -> Config:
    # A percent sign would begin one of Envoy's own words.
    return {"text_format_source": {"inline_string": body.replace("%", "%%")}, "content_type": "application/json"}


def _status(status: int, op: str = "EQ") -> Config:
    # The key is one that no runtime sets: Envoy asks for one.
    value = {"default_value": status, "runtime_key": "agentic-mesh.no-runtime"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def _header(name: str, **match: object) -> Config:
    return {
        "header_filter": {"header": {"name": name, **({"string_match": match} if match else {"present_match": True})}}
    }


def _all(*filters: Config) -> Config:
    return filters[0] if len(filters) == 1 else {"and_filter": {"filters": list(filters)}}


_ANTHROPIC: Final[Config] = {
    "or_filter": {"filters": [_header(ANTHROPIC_HEADER), *(_header(":path", prefix=path) for path in ANTHROPIC_PATHS)]}
}
