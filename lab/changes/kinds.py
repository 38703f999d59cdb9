"""The kinds of change that are counted: settings, edits of the topology's tables, and certificates that expire.

The topology is only imported by the edits, before the program's own modules read its tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
EDIT_VARIABLE: Final = "AGENTIC_MESH_EDIT"
_OTHER_DIGEST: Final = "sha256:" + "0" * 64


def _services(change: Callable[[Any], Any], *more: Any) -> None:
    import topology.catalog

    topology.catalog.SERVICES = (*map(change, topology.catalog.SERVICES), *more)  # type: ignore[misc]


def _image(key: str) -> None:
    import topology.images

    images: dict[str, Any] = topology.images.IMAGES  # type: ignore[assignment]
    images[key] = replace(images[key], reference=f"{images[key].reference.partition('@')[0]}@{_OTHER_DIGEST}")


def _new_call() -> None:
    from topology.model import Call

    call = Call(to="ocr", routes=("POST /v1/convert/",))
    _services(lambda s: replace(s, calls=(*s.calls, call)) if s.name == "n8n" else s)


def _new_service() -> None:
    import components.services.catalog as components
    import topology.catalog

    model = next(s for s in topology.catalog.SERVICES if s.name == "node-exporter")
    added = replace(model, name="second-exporter", slot=99, role="gpu")
    table: dict[str, Any] = components.COMPONENTS  # type: ignore[assignment]
    table[added.name] = table[model.name]
    _services(lambda service: service, added)


def _processors() -> None:
    _services(lambda s: replace(s, cpus=1.5) if s.name == "ocr" else s)


EDITS: Final[Mapping[str, Callable[[], None]]] = {
    "image": lambda: _image("redis"),
    "proxy-image": lambda: _image("envoy"),
    "call": _new_call,
    "service": _new_service,
    "processors": _processors,
}
"""Edits by name; the environment variable `EDIT_VARIABLE` selects one."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of change."""

    name: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Stack -> settings to set."""
    edit: str | None = None
    renewed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Stack -> services whose certificates are due for renewal; `*`: all of the stack."""


_MAIL: Final = {"alerts": {"email": "you@example.com", "smtpHost": "smtp.example.com"}}
KINDS: Final = (
    Kind(name="nothing"),
    Kind(name="one setting of one app: the agents' off-peak window", settings={"oracle1": {"offPeak": "23:00-05:00"}}),
    Kind(name="an outside host for one app: Alertmanager's mail server", settings={"oracle1": _MAIL}),
    Kind(name="a memory limit: ocr", settings={"thanos": {"memoryMib": {"ocr": 3500}}}),
    Kind(name="a limit of processors: ocr", edit="processors"),
    Kind(name="an image: Redis", edit="image"),
    Kind(name="the image of all proxies", edit="proxy-image"),
    Kind(name="a new call in the graph: n8n calls ocr", edit="call"),
    Kind(name="a new service on thanos, with metrics", edit="service"),
    Kind(
        name="a published port that moves: whisper",
        settings={"thanos": {"ports": {"whisper": 8444}}, "oracle1": {"ports": {"whisper": 8444}}},
    ),
    Kind(
        name="a new epoch of the secrets, on both stacks",
        settings={"thanos": {"secretsEpoch": 9001}, "oracle1": {"secretsEpoch": 9001}},
    ),
    Kind(name="one certificate is due: whisper", renewed={"thanos": ("whisper",)}),
    Kind(name="every certificate is due", renewed={"thanos": ("*",), "oracle1": ("*",)}),
)
