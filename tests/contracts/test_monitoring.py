"""Prometheus, Alertmanager and the blackbox exporter take what is rendered for them, and the alerts fire in time."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from render.monitoring import alert_rules, alertmanager_config, blackbox_config, prometheus_config
from tests.contracts.conftest import Tool
from tests.unit.samples import FOUR, graph_of, settings
from topology.catalog import SERVICES
from topology.graph import Graph

pytestmark = pytest.mark.contract


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "alerts.yml"
    file.write_text(alert_rules())
    return file


@pytest.mark.parametrize("graph", [graph_of("oracle1"), Graph(SERVICES, FOUR)], ids=["two nodes", "four nodes"])
def test_prometheus_takes_its_configuration_and_finds_its_rules(
    tool: Tool, tmp_path: Path, rules: Path, graph: Graph
) -> None:
    config = prometheus_config(graph, "oracle1")
    assert "/config/alerts.yml" in config
    file = tmp_path / "prometheus.yml"
    file.write_text(config.replace("/config/alerts.yml", str(rules)))
    done = run(tool("promtool"), "check", "config", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    count = sum(len(group["rules"]) for group in yaml.safe_load(rules.read_text())["groups"])
    assert f"{count} rules found" in done.stdout


def test_prometheus_takes_the_rules(tool: Tool, rules: Path) -> None:
    done = run(tool("promtool"), "check", "rules", str(rules))
    assert done.returncode == 0, done.stdout + done.stderr


def xid(code: int) -> str:
    """The series of a last XID: its code is a label too, so that each code has a series of its own."""
    return f'DCGM_FI_DEV_XID_ERRORS{{gpu="0",node="thanos",err_code="{code}",err_msg="x"}}'


def counted(code: int) -> str:
    """The series of the exporter's own count of an XID."""
    return f'DCGM_EXP_XID_ERRORS_COUNT{{gpu="0",node="thanos",window_size_in_ms="300000",xid="{code}"}}'


# alert, series with the value that fires and the one that does not, labels of the alert, minutes until it fires
FIRING: tuple[tuple[str, dict[str, tuple[str, str]], dict[str, str], int], ...] = (
    ("GpuHot", {'DCGM_FI_DEV_GPU_TEMP{gpu="0"}': ("86", "85")}, {"gpu": "0"}, 2),
    ("GpuError", {xid(79): ("79", "_"), xid(0): ("_", "0")}, {"gpu": "0", "node": "thanos", "err_code": "79"}, 0),
    ("GpuError", {xid(79): ("79", "_"), xid(31): ("_", "31")}, {"gpu": "0", "node": "thanos", "err_code": "79"}, 0),
    (
        "GpuProgramError",
        {xid(31): ("31", "_"), xid(79): ("_", "79")},
        {"gpu": "0", "node": "thanos", "err_code": "31"},
        0,
    ),
    # DCGM keeps the last code: the alert fires after it came, and ends by itself half an hour later.
    ("GpuError", {xid(79): ("_x9 79x90", "79x90")}, {"gpu": "0", "node": "thanos", "err_code": "79"}, 35),
    ("GpuError", {xid(79): ("_x21 79x90", "_x1 79x90")}, {"gpu": "0", "node": "thanos", "err_code": "79"}, 49),
    (
        # A second error after a first one of another kind.
        "GpuError",
        {xid(48): ("48x40", "48x90"), xid(79): ("_x40 79x50", "_x90")},
        {"gpu": "0", "node": "thanos", "err_code": "79"},
        45,
    ),
    (
        # The same code again, long after the first: the exporter's own count sees it, for five minutes.
        "GpuError",
        {xid(79): ("79x90", "79x90"), counted(79): ("_x59 1x5", "1x5 _x80")},
        {"gpu": "0", "node": "thanos", "err_code": "79"},
        61,
    ),
    (
        "GpuProgramError",
        {counted(31): ("1x90", "_"), counted(79): ("_", "1x90")},
        {"gpu": "0", "node": "thanos", "err_code": "31"},
        0,
    ),
    (
        "GpuLost",
        {
            'up{job="apps",service="gpu-exporter",node="thanos"}': ("1", "1"),
            'DCGM_FI_DEV_GPU_TEMP{gpu="0",node="thanos"}': ("_", "60"),
        },
        {"job": "apps", "service": "gpu-exporter", "node": "thanos"},
        2,
    ),
    (
        "MemoryHigh",
        {
            'node_memory_MemAvailable_bytes{node="thanos"}': ("9", "10"),
            'node_memory_MemTotal_bytes{node="thanos"}': ("100", "100"),
        },
        {"node": "thanos"},
        5,
    ),
    (
        "ApiErrors",
        {
            'envoy_http_downstream_rq_xx{job="proxies",service="kong",node="oracle1",'
            'envoy_response_code_class="5",envoy_http_conn_manager_prefix="in-api"}': ("0+6x30", "0+5x30"),
            'envoy_http_downstream_rq_completed{job="proxies",service="kong",node="oracle1",'
            'envoy_http_conn_manager_prefix="in-api"}': ("0+100x30", "0+100x30"),
        },
        {"service": "kong", "node": "oracle1"},
        7,
    ),
    (
        "InferenceSlow",
        {
            'vllm:e2e_request_latency_seconds_bucket{le="10"}': ("0+90x30", "0+96x30"),
            'vllm:e2e_request_latency_seconds_bucket{le="20"}': ("0+100x30", "0+100x30"),
            'vllm:e2e_request_latency_seconds_bucket{le="+Inf"}': ("0+100x30", "0+100x30"),
        },
        {},
        7,
    ),
    (
        # From nothing to the first one: the counter is there before its first event.
        "LocalModelRefuses",
        {
            'mesh_paid_fallbacks_total{reason="refused",service="litellm",node="oracle1"}': ("0x10 1x20", "0x30"),
            'mesh_paid_fallbacks_total{reason="away",service="litellm",node="oracle1"}': ("0+1x30", "0+1x30"),
            'mesh_paid_fallbacks_total{reason="too_long",service="litellm",node="oracle1"}': ("0+1x30", "0+1x30"),
        },
        {"reason": "refused", "service": "litellm", "node": "oracle1"},
        20,
    ),
    (
        "CertificateExpires",
        {
            'envoy_server_days_until_first_cert_expiring{job="proxies",service="kong",node="oracle1"}': ("9", "10"),
        },
        {"service": "kong", "node": "oracle1"},
        60,
    ),
)


@pytest.mark.parametrize("case", FIRING, ids=lambda case: case[0])
@pytest.mark.parametrize("fires", [True, False], ids=["fires", "stays quiet"])
def test_an_alert_of_the_architecture(
    tool: Tool,
    tmp_path: Path,
    rules: Path,
    case: tuple[str, dict[str, tuple[str, str]], dict[str, str], int],
    fires: bool,
) -> None:
    """Judged by Prometheus' own evaluation: above the threshold it fires, at it it does not."""
    alert, series, labels, minutes = case
    [severity] = [
        r["labels"]["severity"]
        for g in yaml.safe_load(rules.read_text())["groups"]
        for r in g["rules"]
        if r["alert"] == alert
    ]
    chosen = [{"series": name, "values": _long(pair[0 if fires else 1])} for name, pair in series.items()]
    expected = [{"exp_labels": {**labels, "severity": severity}}] if fires else []
    test: dict[str, Any] = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": chosen,
                "alert_rule_test": [{"eval_time": f"{minutes}m", "alertname": alert, "exp_alerts": expected}],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test))
    done = run(tool("promtool"), "test", "rules", str(file))
    said = done.stdout + done.stderr
    if not fires:
        assert done.returncode == 0, said
        return
    # promtool compares annotations too, whose numbers are not the point here: it says what fired instead.
    wanted = sorted({"alertname": alert, "severity": severity, **labels}.items())
    assert "{" + ", ".join(f'{name}="{value}"' for name, value in wanted) + "}" in said.partition("got:")[2], said


def _long(values: str) -> str:
    return values if "x" in values else f"{values}x90"


ALERTS: tuple[dict[str, Any], ...] = (
    {},
    {"alerts": {"email": "you@example.com", "smtpHost": "mail.example.com"}, "smtpPassword": "x"},
    {"alertWebhook": "https://hooks.example.com/x"},
)


@pytest.mark.parametrize("config", ALERTS, ids=["none", "mail", "webhook"])
def test_alertmanager_takes_its_configuration(tool: Tool, tmp_path: Path, config: dict[str, Any]) -> None:
    file = tmp_path / "alertmanager.yml"
    # Debian's is older than the image's and knows no `url_file` yet.
    text = alertmanager_config(settings(**config))
    file.write_text(text.replace("url_file: /config/webhook-url", "url: https://hooks.example.com/x"))
    done = run(tool("amtool"), "check-config", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 receivers" in done.stdout + done.stderr


def test_the_blackbox_exporter_takes_its_configuration(tool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "blackbox.yml"
    file.write_text(blackbox_config())
    done = run(tool("prometheus-blackbox-exporter"), "--config.check", f"--config.file={file}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("program", ["promtool", "amtool", "prometheus-blackbox-exporter"])
def test_a_wrong_file_is_refused(tool: Tool, tmp_path: Path, program: str) -> None:
    """So that the tests above mean something."""
    file = tmp_path / "wrong.yml"
    file.write_text("no_such_field: 1\n")
    check = {
        "promtool": ["check", "config", str(file)],
        "amtool": ["check-config", str(file)],
        "prometheus-blackbox-exporter": ["--config.check", f"--config.file={file}"],
    }
    assert run(tool(program), *check[program]).returncode != 0
