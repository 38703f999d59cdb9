"""The forward proxy: egress to hosts that are too many to list and that their owner changes without notice.

An app sends CONNECT to its own sidecar, which passes the request to the node's gateway unchanged. The gateway
identifies the caller by its certificate, allows the names on its list, requires TLS for such a name inside the tunnel,
and resolves the name itself. Everything else gets a 403 and is logged with the setting that would allow it
(docs/adr/0025).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from render.envoy.access import http_rbac
from render.envoy.http import H2, connection_manager, virtual_host
from render.envoy.parts import (
    TLS_INSPECTOR,
    Config,
    access_log,
    address,
    client_tls,
    cluster,
    endpoint,
    server_chain,
    tcp_proxy,
    typed,
)
from topology.egress import Outside
from topology.graph import GATEWAY
from topology.model import Instance
from topology.network import EGRESS_PORT, FORWARD_PORT, NodeNetworks

LISTENER: Final = "forward-proxy"
SETTING: Final = "agentic-mesh:modelHub"
"""The setting that allows further names."""
_CONNECT: Final = "CONNECT"
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_LOOKED_UP: Final = "outside-by-name"
_DNS: Final[Config] = {"name": _LOOKED_UP, "dns_lookup_family": "V4_PREFERRED", "max_hosts": 1024}
INTERNAL_LISTENERS: Final = typed(
    "envoy.bootstrap.internal_listener", "extensions.bootstrap.internal_listener.v3.InternalListener"
)


def sidecar_forward(networks: NodeNetworks, node: str, sidecar: str) -> tuple[Config, Config]:
    """Listener and cluster of the sidecar: CONNECT and nothing else, to the gateway over the mesh's TLS."""
    gateway = Instance(GATEWAY, node)
    to_gateway = {"match": {"connect_matcher": {}}, "route": {"cluster": LISTENER, "timeout": "0s"}}
    manager = connection_manager(
        LISTENER, [virtual_host(LISTENER, ["*"], [to_gateway])], inbound=False, upgrades=(_CONNECT,)
    )
    listener = {
        "name": LISTENER,
        "address": address(sidecar, FORWARD_PORT),
        "filter_chains": [{"filters": [manager]}],
    }
    options = {"@type": f"type.googleapis.com/{_HTTP_OPTIONS}"}
    out = cluster(
        LISTENER,
        [endpoint(networks.gateway_mesh, EGRESS_PORT)],
        transport_socket=client_tls(gateway.identity, gateway.sni, "h2"),
        typed_extension_protocol_options={
            _HTTP_OPTIONS: {**options, "explicit_http_config": {"http2_protocol_options": H2}}
        },
    )
    return listener, out


def gateway_forward(node: str, names: Mapping[Outside, Sequence[str]]) -> tuple[Config, list[Config], list[Config]]:
    """The gateway's side: a filter chain of its egress listener, and the listeners and clusters behind it."""
    gateway = Instance(GATEWAY, node)
    allowed: dict[Instance, list[Outside]] = {}
    for host, services in names.items():
        for service in services:
            allowed.setdefault(Instance(service, node), []).append(host)
    rules = {
        caller.host: {
            "permissions": [_authority(host) for host in hosts],
            "principals": [{"authenticated": {"principal_name": {"exact": caller.identity}}}],
        }
        for caller, hosts in sorted(allowed.items())
    }
    manager = connection_manager(
        LISTENER,
        [virtual_host(host.name, [host.authority], [_route(host)]) for host in names],
        http_rbac(rules),
        inbound=True,
        upgrades=(_CONNECT,),
        log_fields={"setting": SETTING},
    )
    chain = {
        "filter_chain_match": {"server_names": [gateway.sni]},
        **server_chain([manager], "h2", callers=[{"exact": caller.identity} for caller in sorted(allowed)]),
    }
    return chain, [_tls_only(host) for host in names], [*(_inner(host) for host in names), _by_name()]


def _authority(host: Outside) -> Config:
    """Matches the authority of a CONNECT request: one name, or any name below the suffix, on port 443."""
    if host.is_suffix:
        return _header({"suffix": host.authority.removeprefix("*"), "ignore_case": True})
    return _header({"exact": host.authority, "ignore_case": True})


def _header(match: Mapping[str, Any]) -> Config:
    return {"header": {"name": ":authority", "string_match": dict(match)}}


def _route(host: Outside) -> Config:
    """Terminates the CONNECT; what is inside the tunnel is inspected before anything is dialled."""
    return {
        "match": {"connect_matcher": {}},
        "route": {
            "cluster": _inner_name(host),
            "timeout": "0s",
            "upgrade_configs": [{"upgrade_type": _CONNECT, "connect_config": {}}],
        },
    }


def _inner_name(host: Outside) -> str:
    return f"{LISTENER}-{host.name}"


def _inner(host: Outside) -> Config:
    """Leads from the terminated CONNECT to the internal listener that inspects the TLS inside."""
    name = _inner_name(host)
    inside = {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": name}}}}
    return cluster(name, [{"priority": 0, "lb_endpoints": [inside]}])


def _tls_only(host: Outside) -> Config:
    """Accepts TLS for a name of the entry and dials its server name."""
    name = _inner_name(host)
    by_sni = typed(
        "envoy.filters.network.sni_dynamic_forward_proxy",
        "extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
        port_value=host.port,
        dns_cache_config=_DNS,
    )
    [refused] = access_log(name, http=False, setting=SETTING)
    return {
        "name": name,
        "internal_listener": {},
        "listener_filters": [TLS_INSPECTOR],
        "filter_chains": [
            {
                "filter_chain_match": {"server_names": [host.host]},
                "filters": [by_sni, tcp_proxy(_LOOKED_UP, name)],
            }
        ],
        # A connection without TLS, or with TLS for another name, matches no filter chain (NR).
        "access_log": [{**refused, "filter": {"response_flag_filter": {"flags": ["NR"]}}}],
    }


def _by_name() -> Config:
    return {
        "name": _LOOKED_UP,
        "connect_timeout": "5s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": typed(
            "envoy.clusters.dynamic_forward_proxy",
            "extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
            dns_cache_config=_DNS,
        ),
    }
