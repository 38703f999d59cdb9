"""Prometheus' targets are the graph's, its alerts the architecture's, and alerts go where the settings say."""

import re
from typing import Any

import pytest
import yaml

from render.monitoring import alert_rules, alertmanager_config, blackbox_config, prometheus_config
from tests.unit.samples import DOMAIN, FOUR, graph_of, settings
from topology.catalog import SERVICES
from topology.graph import GATEWAY, METRICS, Graph
from topology.model import Instance
from topology.network import METRICS_PORT
from topology.routes import route

GRAPHS = {"two nodes": graph_of("oracle1"), "four nodes": Graph(SERVICES, FOUR)}


@pytest.fixture(params=list(GRAPHS))
def graph(request: pytest.FixtureRequest) -> Graph:
    return GRAPHS[request.param]


def jobs(graph: Graph) -> dict[str, dict[str, Any]]:
    config = yaml.safe_load(prometheus_config(graph, "oracle1"))
    return {job["job_name"]: job for job in config["scrape_configs"]}


def targets(job: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Target -> its labels."""
    return {target: config["labels"] for config in job["static_configs"] for target in config["targets"]}


def test_every_pod_and_gateway_is_scraped_by_the_name_that_its_proxy_knows(graph: Graph) -> None:
    scraped = {e.callee for e in graph.outbound(Instance("prometheus", "oracle1")) if e.port == METRICS}
    assert targets(jobs(graph)["proxies"]) == {
        f"{instance.host}:{METRICS_PORT}": {"service": instance.service, "node": instance.node} for instance in scraped
    }
    assert {i.service for i in scraped} == {s.name for s in SERVICES} | {GATEWAY}
    assert jobs(graph)["proxies"]["metrics_path"] == "/stats/prometheus"


def test_every_app_with_metrics_is_scraped_at_its_own_path(graph: Graph) -> None:
    found = {
        target: job["metrics_path"]
        for name, job in jobs(graph).items()
        if name.startswith("apps")
        for target in targets(job)
    }
    assert found == {
        f"{instance.host}:{METRICS_PORT}": service.metrics.path
        for service in SERVICES
        if service.metrics is not None
        for instance in graph.instances(service.name)
    }


def test_prometheus_asks_for_no_path_that_a_proxy_refuses(graph: Graph) -> None:
    allowed = {
        f"{e.callee.host}:{METRICS_PORT}": [route(entry).path for entry in e.routes]
        for e in graph.outbound(Instance("prometheus", "oracle1"))
        if e.port == METRICS
    }
    for name, job in jobs(graph).items():
        if not name.startswith("probes"):
            for target in targets(job):
                assert job["metrics_path"] in allowed[target], (name, target)


def test_the_architecture_s_targets_are_among_them() -> None:
    scraped = {
        (labels["node"], labels["service"])
        for name, job in jobs(GRAPHS["two nodes"]).items()
        if name.startswith("apps")
        for labels in targets(job).values()
    }
    assert {("thanos", "node-exporter"), ("thanos", "gpu-exporter"), ("thanos", "vllm")} <= scraped
    assert {("oracle1", "node-exporter"), ("oracle1", "agents"), ("oracle1", "n8n")} <= scraped


def test_each_node_probes_what_its_blackbox_exporter_may_call(graph: Graph) -> None:
    found = {name: job for name, job in jobs(graph).items() if name.startswith("probes")}
    assert set(found) == {f"probes-{node.name}" for node in graph.nodes}
    for node in graph.nodes:
        job = found[f"probes-{node.name}"]
        service = graph.service("blackbox-exporter")
        urls = {url for config in job["static_configs"] for url in config["targets"]}
        expected = {
            f"http://{c.to}:{graph.service(c.to).port(c.port).number}{route(entry).path}"
            for c in service.calls
            for entry in c.routes
        }
        assert urls == expected | {f"https://{host}/healthz" for host in service.egress}
        assert job["params"] == {"module": ["http_2xx"]}
        replaced = {rule.get("target_label"): rule.get("replacement") for rule in job["relabel_configs"]}
        assert replaced["__address__"] == f"blackbox-exporter.{node.name}:{METRICS_PORT}"


def test_the_public_edge_is_probed_from_outside() -> None:
    job = jobs(GRAPHS["two nodes"])["probes-oracle1"]
    assert f"https://{DOMAIN}/healthz" in {url for config in job["static_configs"] for url in config["targets"]}


def test_rules_and_alertmanager_are_where_prometheus_finds_them() -> None:
    config = yaml.safe_load(prometheus_config(GRAPHS["two nodes"], "oracle1"))
    assert config["rule_files"] == ["/config/alerts.yml"]
    assert config["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]}


def rules() -> dict[str, dict[str, Any]]:
    [group] = yaml.safe_load(alert_rules())["groups"]
    found = {rule["alert"]: rule for rule in group["rules"]}
    assert len(found) == len(group["rules"])
    return found


@pytest.mark.parametrize(
    ("alert", "metric", "threshold"),
    [
        ("GpuHot", "DCGM_FI_DEV_GPU_TEMP", "> 85"),
        ("MemoryHigh", "node_memory_MemAvailable_bytes", "> 0.9"),
        ("ApiErrors", "envoy_http_downstream_rq_xx", "> 0.05"),
        ("InferenceSlow", "vllm:e2e_request_latency_seconds_bucket", "> 10"),
        ("CertificateExpires", "envoy_server_days_until_first_cert_expiring", "< 10"),
    ],
)
def test_the_architecture_s_alerts_have_its_thresholds(alert: str, metric: str, threshold: str) -> None:
    rule = rules()[alert]
    assert metric in rule["expr"]
    assert rule["expr"].endswith(threshold)


def test_dead_vectors_and_dead_apps_raise_an_alert() -> None:
    assert "collection_dead_replicas" in rules()["VectorReplicaDead"]["expr"]
    assert rules()["TargetDown"]["expr"] == "up == 0"
    assert 'envoy_cluster_name="probe"' in rules()["AppUnhealthy"]["expr"]


def test_each_alert_says_what_where_and_how_bad() -> None:
    for name, rule in rules().items():
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert re.fullmatch(r"\d+[mh]", rule["for"]), name
        assert "{{ $" in rule["annotations"]["summary"], name


def receiver(**config: Any) -> dict[str, Any]:
    loaded = yaml.safe_load(alertmanager_config(settings("oracle1", **config)))
    [found] = loaded["receivers"]
    assert loaded["route"]["receiver"] == found["name"]
    return dict(found)


def test_without_a_target_alerts_stay_in_alertmanager() -> None:
    assert receiver() == {"name": "owner"}
    assert receiver(alerts={"email": "you@example.com"}) == {"name": "owner"}


def test_mail_goes_to_the_owner_and_its_password_stays_in_a_file() -> None:
    alerts = {"email": "you@example.com", "smtpHost": "mail.example.com", "sender": "mesh@example.com"}
    [mail] = receiver(alerts=alerts, smtpPassword="of-the-mail")["email_configs"]
    assert (mail["to"], mail["from"]) == ("you@example.com", "mesh@example.com")
    assert mail["smarthost"] == "mail.example.com:465"
    assert (mail["auth_username"], mail["auth_password_file"]) == ("you@example.com", "/config/smtp-password")
    assert "of-the-mail" not in alertmanager_config(settings(alerts=alerts, smtpPassword="of-the-mail"))
    [open_] = receiver(alerts=alerts)["email_configs"]
    assert not any(key.startswith("auth_") for key in open_)


def test_a_webhook_is_told_of_recovery_too() -> None:
    assert receiver(alertWebhook="https://hooks.example.com/x")["webhook_configs"] == [
        {"url_file": "/config/webhook-url", "send_resolved": True}
    ]


def test_the_probe_is_the_one_that_prometheus_names() -> None:
    modules = yaml.safe_load(blackbox_config())["modules"]
    assert modules["http_2xx"]["prober"] == "http"
    assert list(modules) == ["http_2xx"]
