"""Grafana's provisioned data sources: metrics and alerts. Logs have a web page of their own (docs/adr, 0020)."""

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
        # With an id from the first day: Grafana does not start where one is given to a source that it knows without.
        "datasources": [
            {"uid": str(source["name"]).lower(), **source, "access": "proxy", "editable": False} for source in sources
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)
