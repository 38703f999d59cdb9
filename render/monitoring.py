"""Prometheus, its alerts, Alertmanager and the blackbox probes, all derived from the graph."""

from typing import Any, Final

import yaml

from render.gpu_counters import gpu_error, gpu_program_error
from settings import Settings
from topology.graph import GATEWAY, METRICS, PROMETHEUS, Graph
from topology.model import Instance
from topology.network import METRICS_PORT
from topology.routes import route

BLACKBOX: Final = "blackbox-exporter"


def prometheus_config(graph: Graph, node: str) -> str:
    """`prometheus.yml`: each pod's proxy and app, each gateway, and the blackbox probes of each node."""
    me = Instance(PROMETHEUS, node)
    targets = [edge.callee for edge in graph.outbound(me) if edge.port == METRICS]
    apps = [t for t in targets if t.service != GATEWAY and graph.service(t.service).metrics]
    by_path: dict[str, list[Instance]] = {}
    for target in apps:
        metrics = graph.service(target.service).metrics
        if metrics is not None:
            by_path.setdefault(metrics.path, []).append(target)
    jobs = [_job("proxies", "/stats/prometheus", targets)]
    jobs += [
        _job("apps" if path == "/metrics" else f"apps{path.replace('/', '-').rstrip('-')}-", path, found)
        for path, found in sorted(by_path.items())
    ]
    jobs += [_probes(graph, target) for target in targets if target.service == BLACKBOX]
    config = {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["/config/alerts.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": jobs,
    }
    return yaml.safe_dump(config, sort_keys=False)


def _job(name: str, path: str, targets: list[Instance]) -> dict[str, Any]:
    return {
        "job_name": name,
        "metrics_path": path,
        "static_configs": [
            {
                "targets": [f"{target.host}:{METRICS_PORT}"],
                "labels": {"service": target.service, "node": target.node},
            }
            for target in targets
        ],
    }


def _probes(graph: Graph, blackbox: Instance) -> dict[str, Any]:
    """What the blackbox exporter of one node asks, by the paths that it may call."""
    calls = graph.service(BLACKBOX).calls
    urls = [
        f"http://{call.to}:{graph.service(call.to).port(call.port).number}{route(call.routes[0]).path}"
        for call in calls
    ]
    urls += [f"https://{host}/healthz" for host in graph.service(BLACKBOX).egress]
    return {
        "job_name": f"probes-{blackbox.node}",
        "metrics_path": "/probe",
        "params": {"module": ["http_2xx"]},
        "static_configs": [{"targets": urls, "labels": {"node": blackbox.node}}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"{blackbox.host}:{METRICS_PORT}"},
        ],
    }


def _alert(name: str, expr: str, for_: str, severity: str, summary: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        "for": for_,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }


def alert_rules() -> str:
    """`alerts.yml`: the architecture's alerting rules and what keeps the mesh alive."""
    rules = [
        _alert("GpuHot", "DCGM_FI_DEV_GPU_TEMP > 85", "2m", "critical", "GPU {{ $labels.gpu }} is at {{ $value }} °C"),
        _alert(
            "GpuError",
            gpu_error(),
            "0m",
            "critical",
            "GPU {{ $labels.gpu }} of {{ $labels.node }} reported XID {{ $labels.err_code }}; see dmesg",
        ),
        _alert(
            "GpuProgramError",
            gpu_program_error(),
            "0m",
            "warning",
            "a program on GPU {{ $labels.gpu }} of {{ $labels.node }} failed with XID {{ $labels.err_code }}",
        ),
        _alert(
            "GpuLost",
            'up{service="gpu-exporter", job!="proxies"} == 1 unless on (node) DCGM_FI_DEV_GPU_TEMP',
            "2m",
            "critical",
            "{{ $labels.node }}: the GPU is gone from the exporter; see nvidia-smi on the host",
        ),
        _alert(
            "MemoryHigh",
            "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 0.9",
            "5m",
            "warning",
            "{{ $labels.node }} uses {{ $value | humanizePercentage }} of its memory",
        ),
        _alert(
            "ApiErrors",
            'sum by (service, node) (rate(envoy_http_downstream_rq_xx{job="proxies",'
            'envoy_response_code_class="5",envoy_http_conn_manager_prefix=~"in-.*"}[5m]))'
            ' / sum by (service, node) (rate(envoy_http_downstream_rq_completed{job="proxies",'
            'envoy_http_conn_manager_prefix=~"in-.*"}[5m])) > 0.05',
            "5m",
            "critical",
            "{{ $labels.service }} on {{ $labels.node }}: {{ $value | humanizePercentage }} of requests fail",
        ),
        _alert(
            "InferenceSlow",
            "histogram_quantile(0.95, sum by (le) (rate(vllm:e2e_request_latency_seconds_bucket[5m]))) > 10",
            "5m",
            "warning",
            "95 % of local inference takes up to {{ $value }} s",
        ),
        _alert(
            "LocalModelRefuses",
            'increase(mesh_paid_fallbacks_total{reason="refused"}[30m]) > 0',
            "0m",
            "warning",
            'The local model rejected {{ $value | printf "%.0f" }} requests in 30 minutes, and a paid model answered '
            "them. See vLLM's log; mostly tools without a parser (models.chatToolParser), a picture, a key",
        ),
        _alert(
            "VectorReplicaDead",
            "max by (service, node) (collection_dead_replicas) > 0",
            "5m",
            "critical",
            "{{ $labels.service }} on {{ $labels.node }} counts {{ $value }} dead replicas",
        ),
        _alert(
            "CertificateExpires",
            'min by (service, node) (envoy_server_days_until_first_cert_expiring{job="proxies"}) < 10',
            "1h",
            "critical",
            "{{ $labels.service }} on {{ $labels.node }}: certificate ends in {{ $value }} days; run pulumi up",
        ),
        _alert(
            "AppUnhealthy",
            'envoy_cluster_membership_healthy{envoy_cluster_name="probe"} < 1',
            "2m",
            "critical",
            "{{ $labels.service }} on {{ $labels.node }} does not answer its probe",
        ),
        _alert("TargetDown", "up == 0", "3m", "critical", "{{ $labels.service }} on {{ $labels.node }} is not scraped"),
        _alert(
            "BackupOld",
            "time() - backup_last_success_timestamp_seconds > 36 * 3600",
            "15m",
            "critical",
            "{{ $labels.part }} on {{ $labels.node }} was last backed up {{ $value | humanizeDuration }} ago",
        ),
        _alert(
            "BackupUnverified",
            "time() - backup_last_verified_timestamp_seconds > 10 * 86400",
            "1h",
            "warning",
            "backups of {{ $labels.node }} were last verified {{ $value | humanizeDuration }} ago",
        ),
        _alert(
            "DiskFilling",
            "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1",
            "15m",
            "warning",
            "{{ $labels.node }} {{ $labels.mountpoint }}: {{ $value | humanizePercentage }} free",
        ),
    ]
    return yaml.safe_dump({"groups": [{"name": "agentic-mesh", "rules": rules}]}, sort_keys=False, allow_unicode=True)


def alertmanager_config(settings: Settings) -> str:
    """`alertmanager.yml`; password and webhook are read from files beside it."""
    alerts = settings.alerts
    receiver: dict[str, Any] = {"name": "owner"}
    if alerts.email and alerts.smtp_host:
        email: dict[str, Any] = {
            "to": alerts.email,
            "from": alerts.sender or alerts.email,
            "smarthost": f"{alerts.smtp_host}:{alerts.smtp_port}",
            # TLS from the first byte on this port; `require_tls` would mean STARTTLS.
            "require_tls": False,
        }
        if settings.smtp_password is not None:
            email["auth_username"] = alerts.smtp_user or alerts.email
            email["auth_password_file"] = "/config/smtp-password"
        receiver["email_configs"] = [email]
    if settings.alert_webhook is not None:
        receiver["webhook_configs"] = [{"url_file": "/config/webhook-url", "send_resolved": True}]
    config = {
        "route": {
            "receiver": "owner",
            "group_by": ["alertname", "node"],
            "group_wait": "30s",
            "repeat_interval": "12h",
        },
        "receivers": [receiver],
        "inhibit_rules": [
            {
                "source_matchers": ["alertname = TargetDown"],
                "target_matchers": ["severity = warning"],
                "equal": ["node"],
            }
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)


def blackbox_config() -> str:
    """`blackbox.yml`: one HTTP probe."""
    probe = {"prober": "http", "timeout": "5s", "http": {"preferred_ip_protocol": "ip4"}}
    return yaml.safe_dump({"modules": {"http_2xx": probe}}, sort_keys=False)
