"""The services of each node: exporters, log shipping and backup."""

from typing import Final

from topology.model import Call, HostMount, Metrics, Probe, Rule, Service, Volume, Waiver

SERVICES: Final = (
    Service(
        name="node-exporter",
        slot=50,
        role=None,
        purpose="System metrics",
        resource="CPU",
        image="node-exporter",
        user="65534:65534",
        probe=Probe(port=9100, path="/"),
        metrics=Metrics(port=9100),
        memory_mib=128,
        cpus=0.5,
        host_mounts=(
            HostMount(
                source="/", target="/host", reason="CPU, memory, network and free space of every disk are the host's"
            ),
        ),
        waivers=(
            Waiver(
                rule=Rule.HOST_MOUNT,
                reason="measures the host; read-only, as nobody and without capabilities: what any user may read",
            ),
        ),
        # The second hides the sockets of the host that are open to every user: Tailscale's, D-Bus', the resolver's.
        tmpfs=("/tmp", "/host/run"),
    ),
    Service(
        name="blackbox-exporter",
        slot=51,
        role=None,
        purpose="Probes the main services as a caller would",
        resource="CPU",
        image="blackbox-exporter",
        user="65534:65534",
        calls=(
            Call(to="vllm", routes=("GET /health",)),
            Call(to="embeddings", routes=("GET /health",)),
            Call(to="agents", routes=("GET /health",)),
            Call(to="litellm", routes=("GET /health/liveliness",)),
        ),
        egress=("@public-edge",),
        probe=Probe(port=9115, path="/-/healthy"),
        metrics=Metrics(port=9115, also=("/probe",)),
        memory_mib=128,
        cpus=0.5,
    ),
    Service(
        name="log-shipper",
        slot=52,
        role=None,
        purpose="Sends container logs to VictoriaLogs",
        resource="CPU",
        image="vlagent",
        user="0:0",
        calls=(Call(to="victorialogs", port="ingest", routes=("POST /insert/native",)),),
        probe=Probe(port=9429, path="/health"),
        metrics=Metrics(port=9429),
        memory_mib=128,
        cpus=0.5,
        volumes=(Volume(name="queue", path="/vlagent-data", owner=(0, 0), backup=False),),
        host_mounts=(
            HostMount(
                source="@docker-root/containers",
                target="/var/lib/docker/containers",
                reason="the json-file logs of the node's containers",
            ),
        ),
        waivers=(
            Waiver(rule=Rule.HOST_MOUNT, reason="reads logs from files instead of Docker's socket"),
            Waiver(rule=Rule.NON_ROOT, reason="Docker's log files belong to root"),
            Waiver(
                rule=Rule.CAPABILITY,
                value="DAC_READ_SEARCH",
                reason="root without capabilities could not read the log folders",
            ),
        ),
    ),
    Service(
        name="backup",
        slot=53,
        role=None,
        purpose="Encrypted backups to the node's own bucket",
        resource="CPU",
        image="backup",
        user="0:0",
        calls=(
            Call(to="qdrant", local=True),
            Call(to="postgres", local=True),
        ),
        egress=("@backup-store",),
        probe=Probe(port=8060, path="/health"),
        metrics=Metrics(port=8060),
        memory_mib=896,
        cpus=1,
        volumes=(Volume(name="cache", path="/var/cache/restic", owner=(0, 0), backup=False),),
        reads_backups=True,
        waivers=(
            Waiver(rule=Rule.NON_ROOT, reason="reads the volumes of services of several users"),
            Waiver(
                rule=Rule.CAPABILITY,
                value="DAC_READ_SEARCH",
                reason="root without capabilities could not read other users' files",
            ),
        ),
        stop_seconds=45,
    ),
)
