"""Reads from a proxy's Envoy configuration who may come in.

Apart from the code that renders it, on purpose: what this cannot read counts as open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Config = Mapping[str, Any]

_MANAGER: Final = "envoy.filters.network.http_connection_manager"
_HTTP_RBAC: Final = "envoy.filters.http.rbac"
_NETWORK_RBAC: Final = "envoy.filters.network.rbac"
_TCP_PROXY: Final = "envoy.filters.network.tcp_proxy"
_BY_SERVER_NAME: Final = "envoy.filters.network.sni_dynamic_forward_proxy"
_TLS: Final = "extensions.transport_sockets.tls.v3.DownstreamTlsContext"

AUTHORITY: Final = "authority"
"""Prefix of a route that is the `host:port` of a CONNECT request."""
ANYONE: Final = "anyone"
"""Stands for a principal or path that names nobody in particular."""


@dataclass(frozen=True, order=True)
class Caller:
    """Whom an authorization lets in, and to which routes."""

    identity: str
    """A SPIFFE ID; a prefix of such ends in `*`."""
    routes: tuple[str, ...] = ()
    """`/path`, or `GET,POST /path`; a prefix ends in `*`; none at all: any path by any method."""

    def __str__(self) -> str:
        """As it reads in a message."""
        return f"{self.identity} ({', '.join(self.routes)})" if self.routes else self.identity


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One way into a proxy: a filter chain of a listener."""

    address: str
    port: int
    names: tuple[str, ...]
    """Server names that it takes connections for; none: all."""
    tls: bool
    """It ends TLS, and is not only passing it on."""
    client_certificate: bool
    callers: frozenset[Caller] | None
    """None: nothing decides who may come in."""
    only_passes: bool
    """It hands connections on as they are."""
    internal: bool = False
    """Its listener is internal: only the proxy itself connects to it."""
    dials_by_name: bool = False
    """It dials the server name of the connection's TLS."""


def read(text: str) -> Config | None:
    """A configuration file; None where it is none."""
    try:
        config = json.loads(text)
    except ValueError:
        return None
    return config if isinstance(config, dict) and _listeners(config) else None


def admin_address(config: Config) -> str | None:
    """Where the proxy can be commanded; None: nowhere."""
    if "admin" not in config:
        return None
    return str(_at(config["admin"], "address", "socket_address", "address"))


def chains(config: Config) -> Iterator[Chain]:
    """Every way in."""
    for listener in _listeners(config):
        socket = _at(listener, "address", "socket_address") or {}
        default = listener.get("default_filter_chain")
        for chain in (*listener.get("filter_chains", ()), *([default] if default else ())):
            tls = chain.get("transport_socket")
            context = _at(tls, "typed_config") or {}
            filters = chain.get("filters", ())
            yield Chain(
                address=str(socket.get("address", "")),
                port=int(socket.get("port_value", 0)),
                names=tuple(_at(chain, "filter_chain_match", "server_names") or ()),
                tls=tls is not None,
                client_certificate=(
                    str(context.get("@type", "")).endswith(_TLS)
                    and context.get("require_client_certificate") is True
                    and _verifies(context)
                ),
                callers=_callers(filters),
                only_passes=tls is None and [f.get("name") for f in filters] == [_TCP_PROXY],
                internal="internal_listener" in listener and not socket,
                dials_by_name=tls is None and [f.get("name") for f in filters] == [_BY_SERVER_NAME, _TCP_PROXY],
            )


def _listeners(config: Config) -> list[Config]:
    listeners = _at(config, "static_resources", "listeners")
    return [entry for entry in listeners if isinstance(entry, dict)] if isinstance(listeners, list) else []


def _verifies(context: Config) -> bool:
    validation = _at(context, "common_tls_context", "validation_context") or {}
    return "trusted_ca" in validation and "trust_chain_verification" not in validation


def _callers(filters: Any) -> frozenset[Caller] | None:
    """What the first authorization in the way says; none, if it can be overridden further down."""
    if "typed_per_filter_config" in json.dumps(filters):
        return None
    for entry in filters:
        if entry.get("disabled"):
            continue
        match entry.get("name"):
            case name if name == _NETWORK_RBAC:
                return _allowed(entry)
            case name if name == _MANAGER:
                inner = _at(entry, "typed_config", "http_filters") or ()
                found = next((f for f in inner if f.get("name") == _HTTP_RBAC and not f.get("disabled")), None)
                return _allowed(found) if found else None
            case _:
                return None  # a filter that answers or hands on before anyone was asked
    return None


def _allowed(rbac: Config) -> frozenset[Caller] | None:
    rules = _at(rbac, "typed_config", "rules")
    if not isinstance(rules, dict) or rules.get("action", "ALLOW") != "ALLOW":
        return None
    return frozenset(
        Caller(identity, _routes(policy.get("permissions", ())))
        for policy in rules.get("policies", {}).values()
        for identity in map(_identity, policy.get("principals", ()))
    )


def _identity(principal: Config) -> str:
    name = _at(principal, "authenticated", "principal_name")
    if isinstance(name, dict) and len(principal) == len(name) == 1:
        if isinstance(name.get("exact"), str):
            return str(name["exact"])
        if isinstance(name.get("prefix"), str):
            return f"{name['prefix']}*"
    return ANYONE


def _routes(permissions: Any) -> tuple[str, ...]:
    """Routes of a policy; what is not read as one counts as any."""
    found = [_route(permission) for permission in permissions]
    return tuple(sorted(found)) if all(found) else ()


def _route(permission: Config) -> str:
    both = _at(permission, "and_rules", "rules")
    if isinstance(both, list):
        path, methods = (_path(both[0]), _methods(both[1])) if len(both) == 2 and len(permission) == 1 else ("", "")
        return f"{methods} {path}" if path and methods else ""
    return _path(permission) or _authority(permission)


def _authority(permission: Config) -> str:
    """The `host:port` of a CONNECT request; a suffix begins with `*`."""
    header = _at(permission, "header")
    if not isinstance(header, dict) or len(permission) != 1 or header.keys() != {"name", "string_match"}:
        return ""
    match = {key: value for key, value in header["string_match"].items() if key != "ignore_case"}
    if header["name"] != ":authority" or len(match) != 1:
        return ""
    for kind, start in (("exact", ""), ("suffix", "*")):
        if isinstance(match.get(kind), str):
            return f"{AUTHORITY} {start}{match[kind]}"
    return ""


def _path(permission: Config) -> str:
    path = _at(permission, "url_path", "path")
    if isinstance(path, dict) and len(path) == len(permission) == 1:
        for kind, end in (("exact", ""), ("prefix", "*")):
            if isinstance(path.get(kind), str):
                return str(path[kind]) + end
    return ""


def _methods(permission: Config) -> str:
    header = _at(permission, "header")
    regex = _at(header, "string_match", "safe_regex", "regex")
    plain = isinstance(regex, str) and re.fullmatch(r"[A-Z]+(\|[A-Z]+)*", regex)
    exact = plain and len(permission) == 1 and header.keys() == {"name", "string_match"} and header["name"] == ":method"
    return regex.replace("|", ",") if exact else ""


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
