"""Kong's declarative configuration: routes to the services, keys, rights, limits, CORS and errors.

Which route takes a request (`kong/router/transform.lua` of 3.9.3): one by a regular expression before one by the
beginning of a path, and of these the longest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from render.kong_lua import ERROR_BODY_FILTER, error_header_filter, no_cors_of_services
from render.kong_lua import voices as voices_function
from render.limits import BODY_MIB, REQUESTS_PER_MINUTE


@dataclass(frozen=True, kw_only=True)
class Way:
    """One service of Kong and the paths that lead to it."""

    name: str
    url: str
    paths: tuple[str, ...]
    """Beginnings of paths; with `~`, regular expressions."""
    strip: bool = False
    """Whether the service sees the path without that beginning."""
    groups: tuple[str, ...] | None = ("users",)
    """Groups that may use it; None: no key, since webhooks bring their own."""


AGENTS: Final = "http://agents:8080"
LITELLM: Final = "http://litellm:8081"
WHISPER: Final = "http://whisper:8002"
N8N: Final = "http://n8n:5678"
WAYS: Final = (
    # All of /v1 that is none of the others: the agents say what they do not serve.
    Way(name="agents", url=AGENTS, paths=("/v1",)),
    Way(
        name="model-api",
        url=LITELLM,
        paths=(
            "~/v1/embeddings$",
            "~/v1/messages$",
            "~/v1/messages/count_tokens$",
            "~/v1/responses(?:/[^/]+(?:/input_items)?)?$",
        ),
    ),
    Way(name="audio", url=WHISPER, paths=("~/v1/audio/(?:transcriptions|translations|speech)$",)),
    Way(name="models", url=LITELLM, paths=("/models",), strip=True),
    Way(name="speech", url=WHISPER, paths=("/speech",), strip=True),
    Way(name="images", url="http://comfyui:8003", paths=("/images",), strip=True),
    Way(name="ocr", url="http://ocr:8005", paths=("/ocr",), strip=True),
    Way(name="webhooks", url=N8N, paths=("/webhook",), groups=None),
    Way(name="forms", url=N8N, paths=("/form",), groups=None),
    Way(name="workflow-tools", url=N8N, paths=("/mcp",), groups=None),
)

KEY_NAMES: Final = ("apikey", "x-api-key", "authorization")
"""Headers in which a client may send its key."""
_UPSTREAM_KEYS: Final = {
    # service's address -> the header by which Kong authenticates itself there
    AGENTS: ("Authorization", "Bearer ", "langgraph"),
    LITELLM: ("Authorization", "Bearer ", "litellm"),
    WHISPER: ("Authorization", "Bearer ", "whisper"),
    "http://ocr:8005": ("X-Api-Key", "", "ocr"),
}
_CORS_SECONDS: Final = 3600
"""How long a browser may remember what is allowed."""
_CORS_EXPOSED: Final = ("x-request-id", "retry-after", "x-ratelimit-limit-minute", "x-ratelimit-remaining-minute")


def kong_config(
    *,
    owner_key: str,
    upstream_keys: dict[str, str],
    redis_password: str,
    cors_origins: Sequence[str] = (),
    voices: Mapping[str, str] | None = None,
) -> str:
    """YAML for `KONG_DECLARATIVE_CONFIG`; holds secrets.

    `upstream_keys`: API keys of the services behind, by the names in `_UPSTREAM_KEYS`. Clients bring their own key in
    one of `KEY_NAMES` to Kong, which hides it and uses the service's. `cors_origins`: web pages whose scripts may call
    the API. `voices`: OpenAI's names of voices, and those of the model that speaks.
    """
    limits: list[dict[str, Any]] = [
        {
            "name": "correlation-id",
            "config": {"header_name": "x-request-id", "generator": "uuid", "echo_downstream": True},
        },
        {"name": "prometheus", "config": {"per_consumer": True, "status_code_metrics": True, "latency_metrics": True}},
        {
            "name": "request-size-limiting",
            "config": {"allowed_payload_size": BODY_MIB, "size_unit": "megabytes"},
        },
        {
            "name": "rate-limiting",
            "config": {
                "minute": REQUESTS_PER_MINUTE,
                "limit_by": "consumer",
                "policy": "redis",
                # While Redis is down Kong lets all requests in unlimited instead of rejecting them; the edge's rate
                # limits and the budgets still apply.
                "fault_tolerant": True,
                "redis": {
                    "host": "redis",
                    "port": 6379,
                    "username": "kong",
                    "password": redis_password,
                },
            },
        },
        {"name": "post-function", "config": _errors()},
    ]
    config = {
        "_format_version": "3.0",
        "plugins": limits,
        "services": [_service(way, upstream_keys, cors_origins, voices or {}) for way in WAYS],
        "consumers": [
            {
                "username": "owner",
                # OpenAI clients send it as a bearer token; Kong compares the whole header.
                "keyauth_credentials": [{"key": owner_key}, {"key": f"Bearer {owner_key}"}],
                "acls": [{"group": "users"}],
            }
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _errors() -> dict[str, list[str]]:
    return {"header_filter": [error_header_filter()], "body_filter": [ERROR_BODY_FILTER]}


def _service(way: Way, keys: dict[str, str], cors_origins: Sequence[str], voices: Mapping[str, str]) -> dict[str, Any]:
    plugins = list(_plugins(way, keys, cors_origins)) if way.groups is not None else []
    if way.url == WHISPER and voices:
        # After the key is checked. It takes the place of the one for everything, and so has the errors too.
        plugins.append({"name": "post-function", "config": {"access": [voices_function(voices)], **_errors()}})
    return {
        "name": way.name,
        "url": way.url,
        "connect_timeout": 5000,
        # Models stream for minutes.
        "read_timeout": 3_600_000,
        "write_timeout": 3_600_000,
        "retries": 0,
        "routes": [
            {
                "name": way.name,
                "paths": list(way.paths),
                "strip_path": way.strip,
                # The edge has buffered the whole body; here each large one would be buffered in a tmpfs, in memory.
                "request_buffering": False,
                "response_buffering": False,
            }
        ],
        "plugins": plugins,
    }


def _plugins(way: Way, keys: dict[str, str], cors_origins: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What a way with a key has besides the plugins of all."""
    yield {"name": "pre-function", "config": {"header_filter": [no_cors_of_services()]}}
    if cors_origins:
        yield {
            "name": "cors",
            "config": {
                "origins": list(cors_origins),
                "methods": ["GET", "POST", "DELETE"],
                # No `headers`: a preflight request is allowed those that it asks for.
                "exposed_headers": list(_CORS_EXPOSED),
                # Keys come in headers; there are no cookies.
                "credentials": False,
                "max_age": _CORS_SECONDS,
                "preflight_continue": False,
            },
        }
    yield {
        "name": "key-auth",
        "config": {
            "key_names": list(KEY_NAMES),
            "key_in_header": True,
            "key_in_query": False,
            "key_in_body": False,
            "hide_credentials": True,
        },
    }
    yield {"name": "acl", "config": {"allow": list(way.groups or ()), "hide_groups_header": True}}
    # Key-auth removes only the header that it took the key from: a second one would reach the service.
    transform: dict[str, Any] = {"remove": {"headers": list(KEY_NAMES)}}
    if way.url in _UPSTREAM_KEYS:
        header, scheme, key = _UPSTREAM_KEYS[way.url]
        transform["add"] = {"headers": [f"{header}:{scheme}{keys[key]}"]}
    yield {"name": "request-transformer", "config": transform}
