"""The service graph with a stack's settings applied."""

from settings.model import Settings
from topology.catalog import SERVICES
from topology.graph import Graph, with_backups, with_egress, with_ports
from topology.memory import with_memory


def planned_graph(settings: Settings) -> Graph:
    """The service table with the settings' ports, memory, backups and outside hosts, over the settings' nodes."""
    services = with_memory(with_ports(SERVICES, settings.ports), settings.memory_mib)
    services = with_backups(services, telemetry=settings.backup.telemetry)
    return Graph(with_egress(services, settings.egress()), settings.nodes)
