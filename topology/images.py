"""The one table of images: everything that is pulled and not built here, each with tag and digest.

Renovate updates it with a custom regex manager, so each reference is one string literal on one line:
`reference="(?<depName>[^:@"]+):(?<currentValue>[^@"]+)(?:@(?<currentDigest>sha256:[a-f0-9]{64}))?"`, docker
datasource. Digests are those of the index, so that one reference serves all platforms. A missing digest means that it
could not be resolved from any source at hand; it is never filled in by hand. `n8n` and `n8n-runners` move together,
and so do `victorialogs` and `vlagent`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

AMD64: Final = "linux/amd64"
ARM64: Final = "linux/arm64"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image by registry, repository, tag and (index) digest: `registry/repository:tag[@sha256:digest]`."""

    reference: str
    """What Docker is asked to pull."""
    platforms: tuple[str, ...] = (AMD64, ARM64)
    """The platforms among ours that its publisher builds it for."""

    @property
    def repository(self) -> str:
        """Registry and repository, without tag and digest."""
        return self.reference.partition("@")[0].rpartition(":")[0]

    @property
    def tag(self) -> str:
        """The tag; people read it, the digest decides."""
        return self.reference.partition("@")[0].rpartition(":")[2]

    @property
    def digest(self) -> str | None:
        """`sha256:...`; None where it could not be resolved."""
        return self.reference.partition("@")[2] or None

    @property
    def pinned(self) -> bool:
        """Whether a digest fixes its content."""
        return self.digest is not None


IMAGES: Final[Mapping[str, Image]] = {
    # The sidecar of every pod: the full image, since Docker's health check needs a shell.
    "envoy": Image(
        reference="docker.io/envoyproxy/envoy:v1.39.3@sha256:dd85940439de19a0b6ae8419610363ea0ad351d9a994ea007161c206ec1e1865",
    ),
    # Models.
    "vllm": Image(
        reference="docker.io/vllm/vllm-openai:v0.30.0@sha256:8a69ffad015f138d7170c4ddc429e230a3bc1c1719f67e14324749df200a4b90",
    ),
    "embeddings": Image(
        reference="ghcr.io/huggingface/text-embeddings-inference:cuda-1.9.3@sha256:249a0bc87522bfe2f1012b4d194f0225878f47079115ada3aeb0b1ef257b402a",
        platforms=(AMD64,),
    ),
    "embeddings-cpu": Image(
        reference="ghcr.io/huggingface/text-embeddings-inference:cpu-1.9.3@sha256:ad950d30878eceb72aaf32024d26fa2b1d04a75304fa0b4776b49aa1941fea07",
        platforms=(AMD64,),
    ),
    # The same program for ARM: its publisher has a tag of its own for it.
    "embeddings-cpu-arm64": Image(
        reference="ghcr.io/huggingface/text-embeddings-inference:cpu-arm64-1.9.4@sha256:798cd7615e060a72ccbdf19aa0ada52289c6a0147490195bafaece6ce04d70f1",
        platforms=(ARM64,),
    ),
    "whisper": Image(
        reference="ghcr.io/speaches-ai/speaches:0.9.0-rc.3-cuda-12.6.3@sha256:5c6206a349e90b9a6782342917e72f84fc7cb60e8afd540f6aa625831ac1fd0f",
    ),
    "comfyui": Image(
        # The last build of a tag that its publisher has archived. No newer tag's digest could be resolved.
        reference="docker.io/yanwk/comfyui-boot:cu128-slim@sha256:7b75f98c317b42490529502c781bb0a699c7ca2a909a0e9df6106de853cf8fb4",
        platforms=(AMD64,),
    ),
    "ocr": Image(
        # The newest tag whose digest could be resolved; it is the platform's digest, not the index'.
        reference="ghcr.io/docling-project/docling-serve-cu128:v1.32.0@sha256:c57b384ba305ab70f4f8cd02582a0aa9effbc529b7838ddc324a5d299449e8d2",
        platforms=(AMD64,),
    ),
    # Data.
    "qdrant": Image(
        reference="docker.io/qdrant/qdrant:v1.19.1-unprivileged@sha256:801777072776dc81b2a9dd2007b2ed487571f21ecd30efffd15ddb1671f2193d",
    ),
    "redis": Image(
        reference="docker.io/library/redis:8.10.2@sha256:d5ac52db24d4e70566fe9944f22cf5bdc2bc739b05c0f426335161ea6c23f3b3",
    ),
    "postgres": Image(
        reference="docker.io/library/postgres:17.11-bookworm@sha256:639ab7ceb90e13123085b741fb31ef493fba25463002f6da665352e7b534b652",
    ),
    # Gateways and workflows.
    "kong": Image(
        reference="docker.io/library/kong:3.9.3@sha256:ca71c5591eabaf18de96d26b7eed5e2fdb590dac141e467a779c38017e5bdf81",
    ),
    # Never 1.82.7 or 1.82.8: they carried malware.
    "litellm": Image(
        reference="ghcr.io/berriai/litellm:v1.103.2@sha256:f63fb81b831b170ec16851e23c36ac5bf52ef106b271406429524a2ed730bbfd",
    ),
    "n8n": Image(
        reference="docker.io/n8nio/n8n:2.41.6@sha256:87e0bab2c93192e8dd885ff7b0697c22a1bd97489568a8c67cc140fd7dbb342d",
    ),
    "n8n-runners": Image(
        reference="docker.io/n8nio/runners:2.41.6@sha256:443eaee69319997627e2129ed8d512c4f4ea2418a744393cf26e843237399299",
    ),
    # The edge.
    "waf": Image(
        reference="docker.io/owasp/modsecurity-crs:4.29.0-nginx-202609301109@sha256:ac057618e2c42e8192c000cb918ae1dff11446cf12beb6b23d4fa0065b0fe5be",
    ),
    "crowdsec": Image(
        reference="docker.io/crowdsecurity/crowdsec:v1.7.8@sha256:2f527c9bb8b367120eb08b82890aa912ce96bfa1ada93dda0721700e4b4e0dde",
    ),
    # Observability.
    "prometheus": Image(
        reference="docker.io/prom/prometheus:v3.14.0@sha256:5ce7540c3c00ef4ab0c9d2c995c6a5b9c421f44b4a115d97a2c7af3b1c21cbb0",
    ),
    "alertmanager": Image(
        reference="docker.io/prom/alertmanager:v0.34.1@sha256:e9733bafb1bdef9b00e25a21f8f99dc26a22224bf16641ad754d1649f4c3357a",
    ),
    "grafana": Image(
        reference="docker.io/grafana/grafana:13.2.2@sha256:ac461fb352abc50da10a51c7d02462e9c05488f11f53f14b3ad79a8145f638a0",
    ),
    "victorialogs": Image(
        reference="docker.io/victoriametrics/victoria-logs:v1.52.0@sha256:47b820890d64c4575a2a0a46415dcd8a4fd59a0f1fcd6a377693d7aea639442e",
    ),
    "vlagent": Image(
        reference="docker.io/victoriametrics/vlagent:v1.52.0",
    ),
    "node-exporter": Image(
        reference="docker.io/prom/node-exporter:v1.12.1@sha256:1b4e4438faca4dd7e001dd445d161a4a2091b0fededa84093b3a8dfeae1f1be0",
    ),
    "gpu-exporter": Image(
        reference="nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless@sha256:60d3b00ac80b4ae77f94dae2f943685605585ad9e92fdccda3154d009ae317cc",
    ),
    "blackbox-exporter": Image(
        reference="docker.io/prom/blackbox-exporter:v0.28.0@sha256:e753ff9f3fc458d02cca5eddab5a77e1c175eee484a8925ac7d524f04366c2fc",
    ),
    "redis-exporter": Image(
        reference="docker.io/oliver006/redis_exporter:v1.93.0-alpine@sha256:93831cd4d5d67687de67c9d5221b14312fea580af8d157583ed9d4459bf2dd70",
    ),
    "postgres-exporter": Image(
        reference="quay.io/prometheuscommunity/postgres-exporter:v0.20.1@sha256:ac5ec343104fae0e2d84a27bb8d69b38430a11910c5382cad85d478d2bab713e",
    ),
    # One-shots: the preflight and the loaders of configuration, which are never started.
    "busybox": Image(
        reference="docker.io/library/busybox:1.38.0@sha256:dc2d74b28e4cf8984fa52af1f39bc7c3d9c73760b41a74d629f5d11b1ab28616",
    ),
}

BUILDS: Final[Mapping[str, str]] = {
    "agents": "services/agents",
    "interpreter": "services/interpreter",
    "backup": "services/backup",
}
"""Images that we build ourselves: key -> folder of the build context, from the project's root."""


def for_architecture(key: str, architecture: str) -> str:
    """The key of the image to use: `KEY-ARCHITECTURE` where a publisher has a tag of its own for it, else `KEY`."""
    own = f"{key}-{architecture}"
    return own if own in IMAGES else key
