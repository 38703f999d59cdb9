"""The declarative file of the Kong stand-in, read as strictly as the real one reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from lab.images.standins.kong_schema import problems
from lab.images.standins.redis_counter import RedisCounter

Plugins = Mapping[str, Mapping[str, Any]]


class ConfigError(ValueError):
    """The declarative file is wrong."""


@dataclass(frozen=True)
class Route:
    """One path and the service behind it."""

    name: str
    path: str
    strip: bool
    url: str
    timeout: float
    plugins: Plugins


@dataclass
class Gateway:
    """What the file says."""

    routes: tuple[Route, ...]
    keys: Mapping[str, str]
    """Key -> consumer."""
    groups: Mapping[str, frozenset[str]]
    """Consumer -> its groups."""
    counter: RedisCounter | None = None
    local: Counter[tuple[str, int]] = field(default_factory=Counter)
    counts: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """(route, status, consumer) -> requests."""


def load(text: str) -> Gateway:
    """Read the declarative file."""
    config = yaml.safe_load(text)
    if found := problems(config):
        raise ConfigError("; ".join(found))
    everywhere = _plugins(config.get("plugins") or [])
    routes = [
        Route(
            name=route["name"],
            path=path,
            strip=route.get("strip_path", True),
            url=service["url"],
            timeout=service.get("read_timeout", 60000) / 1000,
            plugins={**everywhere, **_plugins(service.get("plugins") or []), **_plugins(route.get("plugins") or [])},
        )
        for service in config.get("services") or []
        for route in service.get("routes") or []
        for path in route["paths"]
    ]
    consumers = config.get("consumers") or []
    limit = everywhere.get("rate-limiting", {})
    redis = limit.get("redis") if limit.get("policy") == "redis" else None
    return Gateway(
        # The longest path wins, as in Kong's traditional router.
        routes=tuple(sorted(routes, key=lambda route: -len(route.path))),
        keys={c["key"]: who["username"] for who in consumers for c in who.get("keyauth_credentials") or []},
        groups={who["username"]: frozenset(a["group"] for a in who.get("acls") or []) for who in consumers},
        counter=RedisCounter(**redis) if redis else None,
    )


def _plugins(found: Iterable[Mapping[str, Any]]) -> Plugins:
    return {plugin["name"]: plugin.get("config") or {} for plugin in found if plugin.get("enabled", True)}
