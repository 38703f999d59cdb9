"""The declarative file of the Kong stand-in, read as strictly as the real one reads it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from lab.images.standins.kong_lua import RUN, Functions
from lab.images.standins.kong_schema import SERVERLESS, problems
from lab.images.standins.redis_counter import RedisCounter

Plugins = Mapping[str, Mapping[str, Any]]


class ConfigError(ValueError):
    """The declarative file is wrong."""


@dataclass(frozen=True)
class Route:
    """One path and the service behind it."""

    name: str
    path: str
    """The beginning of a path, or after `~` a regular expression."""
    strip: bool
    url: str
    timeout: float
    plugins: Plugins

    def matched(self, path: str) -> str | None:
        """How a path begins that this route takes; None: it does not. `/v1` is also the beginning of `/v10`."""
        if self.path.startswith("~"):
            found = re.match(self.path[1:], path)
            return found[0] if found else None
        return self.path if path.startswith(self.path) else None


@dataclass
class Gateway:
    """What the file says."""

    routes: tuple[Route, ...]
    keys: Mapping[str, str]
    """Key -> consumer."""
    groups: Mapping[str, frozenset[str]]
    """Consumer -> its groups."""
    everywhere: Plugins = field(default_factory=dict)
    """Plugins of no service, which also see a request that no route takes."""
    functions: Functions | None = None
    """Of the serverless plugins; None: there are none."""
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
    functions = None
    if any(name in plugins for plugins in (everywhere, *(r.plugins for r in routes)) for name in SERVERLESS):
        functions = Functions()
        for plugins in (everywhere, *(route.plugins for route in routes)):
            for name in SERVERLESS:
                for code in (code for phase in RUN for code in plugins.get(name, {}).get(phase) or []):
                    # By its own text: the same function stands in several services.
                    functions.load(code, code)
    limit = everywhere.get("rate-limiting", {})
    redis = limit.get("redis") if limit.get("policy") == "redis" else None
    return Gateway(
        # `kong/router/transform.lua`, get_priority: a regular expression before a beginning, then the longest.
        routes=tuple(sorted(routes, key=lambda route: (not route.path.startswith("~"), -len(route.path)))),
        keys={c["key"]: who["username"] for who in consumers for c in who.get("keyauth_credentials") or []},
        groups={who["username"]: frozenset(a["group"] for a in who.get("acls") or []) for who in consumers},
        everywhere=everywhere,
        functions=functions,
        counter=RedisCounter(**redis) if redis else None,
    )


def _plugins(found: Iterable[Mapping[str, Any]]) -> Plugins:
    return {plugin["name"]: plugin.get("config") or {} for plugin in found if plugin.get("enabled", True)}
