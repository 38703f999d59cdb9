"""The service table: every row of the architecture. A new service is one entry here and one component file."""

from typing import Final

from topology import control_node, every_node, gpu_node
from topology.model import Service

SERVICES: Final[tuple[Service, ...]] = (
    *gpu_node.SERVICES,
    *control_node.SERVICES,
    *every_node.SERVICES,
)
