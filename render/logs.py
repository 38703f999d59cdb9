"""Command lines of the log store and of the shippers that feed it."""

import json
from typing import Final

from settings.model import LogStore

CONTAINER_LABELS: Final = ("agentic-mesh.service", "agentic-mesh.part")
"""Container labels that Docker writes with each log line, where no app can forge them."""
STREAM_FIELDS: Final = ("node", *(f"attrs.{label}" for label in CONTAINER_LABELS), "stream")
"""The fields that identify a log stream in the store."""
FILES: Final = "/var/lib/docker/containers/*/*-json.log"
QUEUE_GIB: Final = 1
"""Compressed lines that a shipper buffers on disk while the store is down: more than a week of a quiet node."""
_MIN_FREE_GIB: Final = 1


def store_command(logs: LogStore) -> list[str]:
    """Flags of VictoriaLogs, which has no configuration file."""
    return [
        "-storageDataPath=/victoria-logs-data",
        "-httpListenAddr=0.0.0.0:9428",
        f"-retentionPeriod={logs.retention_days}d",
        f"-retention.maxDiskSpaceUsageBytes={logs.max_disk_gib}GiB",
        # It stops ingesting before the databases on the same disk run out of space; shippers buffer meanwhile.
        f"-storage.minFreeDiskSpaceBytes={_MIN_FREE_GIB}GiB",
        "-search.maxQueryDuration=60s",
        # With CORS any web page open in the operator's browser could read logs through the operator's tunnel.
        "-http.disableCORS",
        # For clusters only.
        "-internalinsert.disable",
        "-internalselect.disable",
        "-loggerFormat=json",
    ]


def shipper_command(node: str, url: str, *, files: str = FILES, data: str = "/vlagent-data") -> list[str]:
    """Flags of vlagent: Docker's log files of `node` to the store at `url`.

    A line's text is stored unchanged in `_msg`; queries parse it (docs/runbooks/reading-logs.md).
    """
    return [
        "-httpListenAddr=0.0.0.0:9429",
        f"-tmpDataPath={data}",
        f"-remoteWrite.url={url}/insert/native",
        f"-remoteWrite.maxDiskUsagePerURL={QUEUE_GIB}GiB",
        # The backlog arrives within seconds after the store is up again.
        "-remoteWrite.retryMaxTime=10s",
        f"-fileCollector.glob={files}",
        # Short, to find the log of a container that fails at once before Docker removes it.
        "-fileCollector.refreshInterval=2s",
        "-fileCollector.msgField=log",
        "-fileCollector.timeField=time",
        f"-fileCollector.extraFields={json.dumps({'node': node}, separators=(',', ':'))}",
        f"-fileCollector.streamFields={','.join(STREAM_FIELDS)}",
        "-fileCollector.decolorizeFields=_msg",
        # The container's id and the shipper's host name would make each replaced container a new stream.
        "-fileCollector.fileField=",
        "-fileCollector.hostnameField=",
        # It reads files only.
        "-insert.disable",
        "-loggerFormat=json",
    ]
