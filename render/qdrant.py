"""Qdrant's configuration: one for each peer of the vector cluster."""

from typing import Any, Literal

import yaml

PEERS = 3


def qdrant_config(
    *,
    api_key: str,
    read_only_api_key: str,
    node_type: Literal["Normal", "Listener"] = "Normal",
    http_port: int,
) -> str:
    """YAML for `--config-path`. A `Listener` takes updates, votes and answers no reads.

    `http_port` must be the port by which the other peers reach this one in the mesh: a peer that transfers a shard
    announces its own REST port, and the receiver fetches a snapshot from there (Qdrant 1.19.0,
    `lib/collection/src/shards/`: `channel_service.rs` and `transfer/snapshot.rs`).
    Snapshots stay on the volume: the backup service fetches them, and so the database needs no way out.
    """
    storage: dict[str, Any] = {
        "storage_path": "/qdrant/storage",
        "snapshots_path": "/qdrant/snapshots",
        "node_type": node_type,
        "on_disk_payload": True,
        # A replica on every peer, and one acknowledgement is enough: either node writes on without the other.
        "collection": {"replication_factor": PEERS, "write_consistency_factor": 1},
    }
    config: dict[str, Any] = {
        "log_level": "INFO",
        "telemetry_disabled": True,
        "storage": storage,
        "service": {
            "host": "0.0.0.0",
            "http_port": http_port,
            # Off: the image's default 6334 is the replica's REST port, and nothing here uses gRPC.
            "grpc_port": None,
            "metrics_port": 6340,
            "api_key": api_key,
            "read_only_api_key": read_only_api_key,
            "enable_cors": False,
            # A snapshot from a URL would let a caller make the server fetch what it likes.
            "enable_snapshot_url_recovery": False,
        },
        "cluster": {"enabled": True, "p2p": {"port": 6335}},
    }
    return yaml.safe_dump(config, sort_keys=True)
