"""Who may call: RBAC filters from the graph's edges."""

from collections.abc import Iterable
from typing import Any

from render.envoy.parts import Config, typed
from topology.model import OPERATOR, TRUST_DOMAIN, Edge, Port

ANY: Config = {"any": True}


def path_permission(paths: Iterable[str]) -> list[Config]:
    """Prefixes end in a slash, others are exact; none at all: any path."""
    rules = [{"url_path": {"path": {"prefix" if path.endswith("/") else "exact": path}}} for path in paths]
    return rules or [ANY]


def _principal(identity: str) -> Config:
    return {"authenticated": {"principal_name": {"exact": identity}}}


def _operators() -> Config:
    return {"authenticated": {"principal_name": {"prefix": f"spiffe://{TRUST_DOMAIN}/{OPERATOR}/"}}}


def policies(edges: Iterable[Edge], port: Port | None, *, paths: bool) -> dict[str, Any]:
    """One RBAC policy for each caller, named after it; `paths` is False where there are none (TCP)."""
    found = {
        edge.caller.host: {
            "permissions": path_permission(edge.paths) if paths else [ANY],
            "principals": [_principal(edge.caller.identity)],
        }
        for edge in edges
    }
    if port is not None and port.direct:
        found[OPERATOR] = {
            "permissions": path_permission(port.paths) if paths else [ANY],
            "principals": [_operators()],
        }
    return found


def http_rbac(rules: dict[str, Any]) -> Config:
    """Refuses a request, with 403, unless a policy allows its caller and path."""
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
