"""Grafana's provisioned data sources: metrics and alerts. Logs have a web UI of their own (docs/adr/0020)."""

from typing import Any

import yaml


def grafana_datasources() -> str:
    """`provisioning/datasources/mesh.yaml`."""
    sources: list[dict[str, Any]] = [
        {"name": "Prometheus", "type": "prometheus", "url": "http://prometheus:9090", "isDefault": True},
        {
            "name": "Alertmanager",
            "type": "alertmanager",
            "url": "http://alertmanager:9093",
            "jsonData": {"implementation": "prometheus"},
        },
    ]
    config = {
        "apiVersion": 1,
        "prune": True,
        # Set from the start: Grafana fails to start if a data source that it has stored gets another uid.
        "datasources": [
            {"uid": str(source["name"]).lower(), **source, "access": "proxy", "editable": False} for source in sources
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)
