"""Envoy configurations: a sidecar for each pod and a gateway for each node.

Field names are those of Envoy's v3 API; every configuration that is rendered passes `envoy --mode validate` in
`tests/contracts`.
"""

from render.envoy.gateway import gateway_config
from render.envoy.sidecar import sidecar_config

__all__ = ["gateway_config", "sidecar_config"]
