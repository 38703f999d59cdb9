"""How the log store and the shippers that feed it are started."""

import json
from typing import Final

from settings.model import LogStore

CONTAINER_LABELS: Final = ("agentic-mesh.service", "agentic-mesh.part")
"""Labels of a container that Docker writes beside each line of its log, where no app can forge them."""
STREAM_FIELDS: Final = ("node", *(f"attrs.{label}" for label in CONTAINER_LABELS), "stream")
"""What tells one stream of logs from another in the store."""
FILES: Final = "/var/lib/docker/containers/*/*-json.log"
QUEUE_GIB: Final = 1
"""Compressed lines that a shipper holds on its disk while the store is away: a week and more of a quiet node."""
_MIN_FREE_GIB: Final = 1


def store_command(logs: LogStore) -> list[str]:
    """Flags of VictoriaLogs: it has no configuration file."""
    return [
        "-storageDataPath=/victoria-logs-data",
        "-httpListenAddr=0.0.0.0:9428",
        f"-retentionPeriod={logs.retention_days}d",
        f"-retention.maxDiskSpaceUsageBytes={logs.max_disk_gib}GiB",
        # It stops taking logs before the databases beside it run out of disk; shippers hold theirs back.
        f"-storage.minFreeDiskSpaceBytes={_MIN_FREE_GIB}GiB",
        "-search.maxQueryDuration=60s",
        # Any web page that an operator has open could read logs through the operator's tunnel.
        "-http.disableCORS",
        # Of clusters, which this is none of.
        "-internalinsert.disable",
        "-internalselect.disable",
        "-loggerFormat=json",
    ]


def shipper_command(node: str, url: str, *, files: str = FILES, data: str = "/vlagent-data") -> list[str]:
    """Flags of vlagent: Docker's log files of `node` to the store at `url`.

    A line's own text stays as it is in `_msg`; what it holds is parsed by queries (docs/runbooks/reading-logs.md).
    """
    return [
        "-httpListenAddr=0.0.0.0:9429",
        f"-tmpDataPath={data}",
        f"-remoteWrite.url={url}/insert/native",
        f"-remoteWrite.maxDiskUsagePerURL={QUEUE_GIB}GiB",
        # A store that is back has the logs of its absence within seconds.
        "-remoteWrite.retryMaxTime=10s",
        f"-fileCollector.glob={files}",
        # The log of a container that fails at once must be found before Docker removes it.
        "-fileCollector.refreshInterval=2s",
        "-fileCollector.msgField=log",
        "-fileCollector.timeField=time",
        f"-fileCollector.extraFields={json.dumps({'node': node}, separators=(',', ':'))}",
        f"-fileCollector.streamFields={','.join(STREAM_FIELDS)}",
        "-fileCollector.decolorizeFields=_msg",
        # A container's id and this one's host name would make a stream of each replaced container.
        "-fileCollector.fileField=",
        "-fileCollector.hostnameField=",
        # It takes logs from files alone.
        "-insert.disable",
        "-loggerFormat=json",
    ]
