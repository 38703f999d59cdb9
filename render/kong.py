"""Kong's declarative configuration: routes to the services, keys, rights and limits."""

from typing import Any, Final

import yaml

ROUTES: Final = (
    # name, upstream, path, strip the path, groups that may use it; None: no key (webhooks bring their own).
    ("agents", "http://agents:8080", "/v1", False, ("users",)),
    ("models", "http://litellm:8081", "/models", True, ("users",)),
    ("speech", "http://whisper:8002", "/speech", True, ("users",)),
    ("images", "http://comfyui:8003", "/images", True, ("users",)),
    ("ocr", "http://ocr:8005", "/ocr", True, ("users",)),
    ("webhooks", "http://n8n:5678", "/webhook", False, None),
    ("forms", "http://n8n:5678", "/form", False, None),
    ("workflow-tools", "http://n8n:5678", "/mcp", False, None),
)
REQUESTS_PER_MINUTE: Final = 120
REQUEST_MIB: Final = 64

KEY_NAMES: Final = ("apikey", "x-api-key", "authorization")
"""Headers in which a client may send its key."""
_UPSTREAM_KEYS: Final = {
    # route -> the header by which Kong authenticates itself upstream
    "agents": ("Authorization", "Bearer ", "langgraph"),
    "models": ("Authorization", "Bearer ", "litellm"),
    "speech": ("Authorization", "Bearer ", "whisper"),
    "ocr": ("X-Api-Key", "", "ocr"),
}


def kong_config(*, owner_key: str, upstream_keys: dict[str, str], redis_password: str) -> str:
    """YAML for `KONG_DECLARATIVE_CONFIG`; holds secrets.

    `upstream_keys`: API keys of the services behind, by the names in `_UPSTREAM_KEYS`. Clients bring their own key in
    `apikey` or as a bearer token to Kong, which hides it and uses the service's.
    """
    limits: list[dict[str, Any]] = [
        {
            "name": "correlation-id",
            "config": {"header_name": "x-request-id", "generator": "uuid", "echo_downstream": True},
        },
        {"name": "prometheus", "config": {"per_consumer": True, "status_code_metrics": True, "latency_metrics": True}},
        {
            "name": "request-size-limiting",
            "config": {"allowed_payload_size": REQUEST_MIB, "size_unit": "megabytes"},
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
    ]
    config = {
        "_format_version": "3.0",
        "plugins": limits,
        "services": [
            _service(name, url, path, strip=strip, groups=groups, keys=upstream_keys)
            for name, url, path, strip, groups in ROUTES
        ],
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


def _service(
    name: str,
    url: str,
    path: str,
    *,
    strip: bool,
    groups: tuple[str, ...] | None,
    keys: dict[str, str],
) -> dict[str, Any]:
    plugins: list[dict[str, Any]] = []
    if groups is not None:
        plugins = [
            {
                "name": "key-auth",
                "config": {
                    "key_names": list(KEY_NAMES),
                    "key_in_header": True,
                    "key_in_query": False,
                    "key_in_body": False,
                    "hide_credentials": True,
                },
            },
            {"name": "acl", "config": {"allow": list(groups), "hide_groups_header": True}},
        ]
    if groups is not None:
        # Key-auth removes only the header that it took the key from: a second one would reach the service.
        transform: dict[str, Any] = {"remove": {"headers": list(KEY_NAMES)}}
        if name in _UPSTREAM_KEYS:
            header, scheme, key = _UPSTREAM_KEYS[name]
            transform["add"] = {"headers": [f"{header}:{scheme}{keys[key]}"]}
        plugins.append({"name": "request-transformer", "config": transform})
    return {
        "name": name,
        "url": url,
        "connect_timeout": 5000,
        # Models stream for minutes.
        "read_timeout": 3_600_000,
        "write_timeout": 3_600_000,
        "retries": 0,
        "routes": [
            {
                "name": name,
                "paths": [path],
                "strip_path": strip,
                # The edge has buffered the whole body; here each large one would be buffered in a tmpfs, in memory.
                "request_buffering": False,
                "response_buffering": False,
            }
        ],
        "plugins": plugins,
    }
