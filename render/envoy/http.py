"""HTTP connection managers: limits, identity headers, request ids, routes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from render.envoy.parts import LOOPBACK, MESH_HEALTH_PATH, Config, access_log, address, typed

ROUTER: Final = typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")
H2: Final[Config] = {
    "allow_connect": True,
    "max_concurrent_streams": 1024,
    "connection_keepalive": {"interval": "15s", "timeout": "5s"},
}


_NEXT_PRIORITY: Final = typed(
    "envoy.retry_priorities.previous_priorities",
    "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
    update_frequency=1,
)


def connection_manager(
    listener: str,
    virtual_hosts: list[Config],
    *filters: Config,
    inbound: bool,
    strict_paths: bool = False,
    upgrades: Sequence[str] = ("websocket",),
    log_fields: Mapping[str, str] | None = None,
    replies: Config | None = None,
) -> Config:
    """An HTTP connection manager.

    Inbound ones set the caller's identity anew in `x-forwarded-client-cert`, so that a forged one never arrives. There
    is no idle timeout on streams: it would cut model streams and WebSockets. `strict_paths` refuses escaped slashes,
    with which a path could look allowed to the proxy and be another to the app. `log_fields` are added to each line
    of its access log. `replies`: what it says itself (`local_reply_config`); None: Envoy's own words.
    """
    return typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=listener,
        codec_type="AUTO",
        route_config={"name": listener, "virtual_hosts": virtual_hosts},
        http_filters=[*filters, ROUTER],
        access_log=access_log(listener, http=True, **(log_fields or {})),
        forward_client_cert_details="SANITIZE_SET" if inbound else "SANITIZE",
        **({"set_current_client_cert_details": {"uri": True}} if inbound else {}),
        use_remote_address=True,
        skip_xff_append=True,
        generate_request_id=True,
        preserve_external_request_id=True,
        always_set_request_id_in_response=True,
        http2_protocol_options=H2,
        common_http_protocol_options={"idle_timeout": "3600s", "max_headers_count": 100},
        max_request_headers_kb=32,
        request_headers_timeout="10s",
        stream_idle_timeout="0s",
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST" if strict_paths else "KEEP_UNCHANGED",
        upgrade_configs=[{"upgrade_type": upgrade} for upgrade in upgrades],
        **({"local_reply_config": replies} if replies else {}),
    )


def virtual_host(name: str, domains: Sequence[str], routes: list[Config]) -> Config:
    """Host names and where their requests go."""
    return {"name": name, "domains": list(domains), "routes": routes}


def route(cluster: str, *, match: Config | None = None, retry_on: str = "", fallback: bool = False) -> Config:
    """All paths, or those of `match`, to a cluster; no time limit, since models stream for minutes.

    Retries last for the seconds in which a proxy is replaced. With a `fallback` the second try asks it at once.
    """
    action: dict[str, Any] = {"cluster": cluster, "timeout": "0s"}
    if retry_on:
        action["retry_policy"] = {
            "retry_on": retry_on,
            "num_retries": 6,
            "retry_back_off": {"base_interval": "0.2s", "max_interval": "1s"},
            **({"retry_priority": _NEXT_PRIORITY} if fallback else {}),
        }
    return {"match": match or {"prefix": "/"}, "route": action}


def mesh_health(probe_cluster: str) -> Config:
    """Answers callers' health checks from what the sidecar knows of its app."""
    return _health_filter(MESH_HEALTH_PATH, probe_cluster)


def health_listener(port: int, probe_cluster: str | None) -> Config:
    """200 on the proxy's loopback while the app is healthy; what Docker's health check asks."""
    manager = typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="health",
        route_config={"name": "health", "virtual_hosts": []},
        http_filters=[_health_filter("/", probe_cluster), ROUTER],
    )
    return {
        "name": "health",
        "address": address(LOOPBACK, port),
        "filter_chains": [{"filters": [manager]}],
    }


def _health_filter(path: str, probe_cluster: str | None) -> Config:
    least = {probe_cluster: {"value": 100}} if probe_cluster else {}
    return typed(
        "envoy.filters.http.health_check",
        "extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[{"name": ":path", "string_match": {"exact": path}}],
        **({"cluster_min_healthy_percentages": least} if least else {}),
    )
