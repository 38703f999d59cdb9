"""The pieces that sidecars and gateways share: addresses, TLS, access logs, clusters."""

from collections.abc import Sequence
from typing import Any, Final

from topology.model import Instance

Config = dict[str, Any]

CONFIG_DIR: Final = "/etc/agentic-mesh"
ADMIN_PORT: Final = 9901
HEALTH_PORT: Final = 9902
LOOPBACK: Final = "127.0.0.1"
HANDSHAKE_SECONDS: Final = 10
"""Who connects and does not finish the TLS handshake by then is let go: it would hold a connection without a name."""
_EARLY_BYTES: Final = 16 * 1024
MESH_HEALTH_PATH: Final = "/.well-known/agentic-mesh/health"
"""Answered by a callee's sidecar to any member of the mesh: is the app behind you well?"""

_TYPE: Final = "type.googleapis.com/envoy"


def typed(name: str, kind: str, **fields: Any) -> Config:
    """An extension by name, with its typed configuration."""
    return {"name": name, "typed_config": {"@type": f"{_TYPE}.{kind}", **fields}}


def address(host: str, port: int) -> Config:
    """A socket address."""
    return {"socket_address": {"address": host, "port_value": port}}


def _tls_context() -> Config:
    return {
        # Both ends: as a client, Envoy offers TLS 1.2 at most unless it is told.
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [
            {
                "certificate_chain": {"filename": f"{CONFIG_DIR}/tls/certificate.pem"},
                "private_key": {"filename": f"{CONFIG_DIR}/tls/key.pem"},
            }
        ],
    }


def server_tls(*alpn: str, callers: Sequence[Config] = ()) -> Config:
    """The side that answers: its own certificate, and one of our authority from the caller.

    `callers`: matchers of the identities that may come in at all; none: any of our authority, whom RBAC then judges.
    """
    trusted: Config = {"trusted_ca": {"filename": f"{CONFIG_DIR}/tls/ca.pem"}}
    if callers:
        trusted["match_typed_subject_alt_names"] = [{"san_type": "URI", "matcher": matcher} for matcher in callers]
    return typed(
        "envoy.transport_sockets.tls",
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        require_client_certificate=True,
        common_tls_context={
            **_tls_context(),
            "validation_context": trusted,
            "alpn_protocols": list(alpn),
        },
    )


def server_chain(filters: list[Config], *alpn: str, callers: Sequence[Config] = ()) -> Config:
    """The filters behind the mesh's TLS."""
    return {
        "transport_socket": server_tls(*alpn, callers=callers),
        "transport_socket_connect_timeout": f"{HANDSHAKE_SECONDS}s",
        "filters": filters,
    }


def client_tls(identity: str, sni: str, *alpn: str) -> Config:
    """The side that asks: presents its certificate and accepts one identity only."""
    return typed(
        "envoy.transport_sockets.tls",
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni=sni,
        common_tls_context={
            **_tls_context(),
            "alpn_protocols": list(alpn),
            "validation_context": {
                "trusted_ca": {"filename": f"{CONFIG_DIR}/tls/ca.pem"},
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": identity}}],
            },
        },
    )


def proxy_protocol(inner: Config) -> Config:
    """Tells the next hop the client's address, ahead of whatever `inner` sends."""
    return typed(
        "envoy.transport_sockets.upstream_proxy_protocol",
        "extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        config={"version": "V2"},
        transport_socket=inner,
    )


RAW_BUFFER: Final = typed("envoy.transport_sockets.raw_buffer", "extensions.transport_sockets.raw_buffer.v3.RawBuffer")
TLS_INSPECTOR: Final = typed(
    "envoy.filters.listener.tls_inspector",
    "extensions.filters.listener.tls_inspector.v3.TlsInspector",
)
PROXY_PROTOCOL_FILTER: Final = typed(
    "envoy.filters.listener.proxy_protocol",
    "extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
)

_COMMON_LOG: Final = {
    "time": "%START_TIME%",
    "caller": "%DOWNSTREAM_PEER_URI_SAN%",
    "from": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "sni": "%REQUESTED_SERVER_NAME%",
    "duration_ms": "%DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "upstream": "%UPSTREAM_CLUSTER%",
    "to": "%UPSTREAM_HOST%",
    "flags": "%RESPONSE_FLAGS%",
    "refused": "%CONNECTION_TERMINATION_DETAILS%",
    "tls": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
}
_HTTP_LOG: Final = {
    **_COMMON_LOG,
    "host": "%REQ(:AUTHORITY)%",
    "method": "%REQ(:METHOD)%",
    # The path alone: a query may hold what is nobody's business.
    "path": "%PATH(NQ)%",
    "status": "%RESPONSE_CODE%",
    "why": "%RESPONSE_CODE_DETAILS%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}


def access_log(listener: str, *, http: bool, **more: str) -> list[Config]:
    """One line of JSON for each request or connection: the audit trail, without bodies and credentials."""
    fields = {"log": "access", "listener": listener, **more, **(_HTTP_LOG if http else _COMMON_LOG)}
    log = typed(
        "envoy.access_loggers.stdout",
        "extensions.access_loggers.stream.v3.StdoutAccessLog",
        log_format={"json_format": fields},
    )
    # The proxies' checks of each other come every two seconds and tell nothing.
    return [{**log, "filter": {"not_health_check_filter": {}}}] if http else [log]


def tcp_proxy(cluster: str, listener: str, *, guarded: bool = False) -> Config:
    """Hands a connection on. Without an idle timeout: it would cut pools of database connections.

    `guarded`: behind TLS that lets in the callers alone. Until it has, nothing is connected, or whoever may not call
    would still take up the callee's connections. Not until the first bytes: who leaves without any is never let go.
    """
    mode = {"upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE", "max_early_data_bytes": _EARLY_BYTES}
    return typed(
        "envoy.filters.network.tcp_proxy",
        "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix=listener,
        cluster=cluster,
        idle_timeout="0s",
        access_log=access_log(listener, http=False),
        **(mode if guarded else {}),
    )


def endpoint(host: str, port: int, priority: int = 0, instance: Instance | None = None) -> Config:
    """A group of one endpoint; `instance` chooses its TLS context in the cluster."""
    lb_endpoint: Config = {"endpoint": {"address": address(host, port)}}
    if instance is not None:
        lb_endpoint["metadata"] = {"filter_metadata": {"envoy.transport_socket_match": {"instance": instance.host}}}
    return {"priority": priority, "lb_endpoints": [lb_endpoint]}


def cluster(name: str, endpoints: list[Config], **fields: Any) -> Config:
    """A cluster of fixed addresses, with the limits that keep one callee from taking a caller down."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": 1024,
                    "max_pending_requests": 1024,
                    "max_requests": 4096,
                    # A hundred requests a second wait some seconds for a proxy that is replaced.
                    "max_retries": 512,
                }
            ]
        },
        **fields,
    }


def bootstrap(node: str, service: str, listeners: list[Config], clusters: list[Config], **more: Any) -> Config:
    """The whole file: admin on the proxy's own loopback, a bound on connections, no remote control plane."""
    return {
        **more,
        "node": {"id": f"{service}.{node}", "cluster": service},
        "admin": {"address": address(LOOPBACK, ADMIN_PORT)},
        "static_resources": {"listeners": listeners, "clusters": clusters},
        "overload_manager": {
            "resource_monitors": [
                typed(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=4096,
                )
            ]
        },
        "stats_config": {
            # Prometheus keeps what operators look at; the rest only costs memory.
            "stats_matcher": {
                "inclusion_list": {
                    "patterns": [
                        {"contains": part}
                        for part in (
                            "downstream_cx",
                            "downstream_rq",
                            "upstream_cx",
                            "upstream_rq",
                            "membership",
                            "health_check",
                            "rbac",
                            "ssl",
                            "server.",
                            "certificate",
                        )
                    ]
                }
            }
        },
    }


ADMIN_CLUSTER: Final = cluster("admin", [endpoint(LOOPBACK, ADMIN_PORT)])
