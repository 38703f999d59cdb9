"""Who may call: RBAC filters from the graph's edges."""

from collections.abc import Iterable
from typing import Any, Final

from render.envoy.parts import Config, typed
from topology.model import OPERATOR, TRUST_DOMAIN, Edge, Port
from topology.routes import route

ANY: Config = {"any": True}


def _permissions(routes: Iterable[str]) -> list[Config]:
    """One for each route; none at all: any path by any method."""
    return [_permission(entry) for entry in routes] or [ANY]


def _permission(entry: str) -> Config:
    """A path ending in a slash is a prefix, others are exact."""
    asked = route(entry)
    path: Config = {"url_path": {"path": {"prefix" if asked.path.endswith("/") else "exact": asked.path}}}
    if not asked.methods:
        return path
    methods = {"name": ":method", "string_match": {"safe_regex": {"regex": "|".join(asked.methods)}}}
    return {"and_rules": {"rules": [path, {"header": methods}]}}


_OPERATORS: Final[Config] = {"prefix": f"spiffe://{TRUST_DOMAIN}/{OPERATOR}/"}


def callers(edges: Iterable[Edge], port: Port | None) -> list[Config]:
    """Matchers of the identities that may come in."""
    found: list[Config] = [{"exact": identity} for identity in sorted({edge.caller.identity for edge in edges})]
    return [*found, _OPERATORS] if port is not None and port.direct else found


def _principal(matcher: Config) -> Config:
    return {"authenticated": {"principal_name": matcher}}


def policies(edges: Iterable[Edge], port: Port | None, *, http: bool) -> dict[str, Any]:
    """One RBAC policy for each caller, named after it; only HTTP has routes to tell apart."""
    found = {
        edge.caller.host: {
            "permissions": _permissions(edge.routes) if http else [ANY],
            "principals": [_principal({"exact": edge.caller.identity})],
        }
        for edge in edges
    }
    if port is not None and port.direct:
        found[OPERATOR] = {
            "permissions": _permissions(port.routes) if http else [ANY],
            "principals": [_principal(_OPERATORS)],
        }
    return found


def http_rbac(rules: dict[str, Any]) -> Config:
    """Refuses a request, with 403, unless a policy allows its caller, path and method."""
    return typed(
        "envoy.filters.http.rbac",
        "extensions.filters.http.rbac.v3.RBAC",
        rules={"action": "ALLOW", "policies": rules},
    )


def network_rbac(rules: dict[str, Any], prefix: str) -> Config:
    """Closes a connection unless a policy allows its caller."""
    return typed(
        "envoy.filters.network.rbac",
        "extensions.filters.network.rbac.v3.RBAC",
        stat_prefix=prefix,
        rules={"action": "ALLOW", "policies": rules},
    )
