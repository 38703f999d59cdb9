"""Loki's configuration and the shipper that feeds it."""

from typing import Final

import yaml

RETENTION: Final = "744h"
"""31 days."""


def loki_config() -> str:
    """`loki.yaml`: one process, files on the data volume."""
    config = {
        "auth_enabled": False,
        "analytics": {"reporting_enabled": False},
        "server": {
            "http_listen_address": "0.0.0.0",
            "http_listen_port": 3100,
            "grpc_listen_address": "127.0.0.1",
            "log_level": "warn",
        },
        "common": {
            "path_prefix": "/loki",
            "replication_factor": 1,
            "ring": {"kvstore": {"store": "inmemory"}, "instance_addr": "127.0.0.1"},
            "storage": {"filesystem": {"chunks_directory": "/loki/chunks", "rules_directory": "/loki/rules"}},
        },
        "schema_config": {
            "configs": [
                {
                    "from": "2026-01-01",
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "compactor": {
            "working_directory": "/loki/compactor",
            "retention_enabled": True,
            "delete_request_store": "filesystem",
        },
        "limits_config": {"retention_period": RETENTION, "ingestion_rate_mb": 8},
    }
    return yaml.safe_dump(config, sort_keys=False)


def alloy_config(node: str) -> str:
    """`config.alloy`: reads Docker's json-file logs and pushes them to Loki."""
    return f"""\
local.file_match "containers" {{
  path_targets = [{{"__path__" = "/var/lib/docker/containers/*/*-json.log", "node" = "{node}"}}]
}}

loki.source.file "containers" {{
  targets    = local.file_match.containers.targets
  forward_to = [loki.process.docker.receiver]
}}

loki.process "docker" {{
  stage.docker {{ }}
  // The proxies' access logs are the audit trail: found by `log`, kept as they are.
  stage.json {{ expressions = {{log = "log", caller = "caller"}} }}
  stage.labels {{ values = {{log = ""}} }}
  forward_to = [loki.write.loki.receiver]
}}

loki.write "loki" {{
  endpoint {{ url = "http://loki:3100/loki/api/v1/push" }}
}}
"""
