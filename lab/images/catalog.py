"""What stands behind each image of the program in the lab: real software, or a stand-in, and why.

An entry names the large layers that its image is built on and adds the few files that make the image answer to the
names, users and folders that the program's containers expect of the real one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
_NO_IMAGE: Final = "only its maker's image has it, and no registry of images is reached"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """How one image is made."""

    real: bool
    reason: str
    """What runs and, where it is not all real, what is missing and why."""
    layers: tuple[str, ...] = ("debian",)
    """Names of `layers.RECIPES`, lowest first."""
    programs: Mapping[str, str] = field(default_factory=dict)
    """Path in the image -> shell command that it becomes; arguments go along."""
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Path in the image -> file below this folder."""
    stand_ins: tuple[str, ...] = ()
    """Modules of `standins` that go in."""
    folders: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    """Path -> uid, gid, mode."""
    users: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)
    """Name -> uid, gid, home: users whose number Debian gives to nobody or to another."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_dir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    trusts_lab: bool = False
    """It calls the world outside: the lab's own authority is among those that it trusts."""


def _stand_in(
    key: str, module: str, *programs: str, more: tuple[str, ...] = (), reason: str = "", **fields: object
) -> Entry:
    """A stand-in that starts by any of these paths, by the first one where the program names none."""
    paths = programs or (f"/usr/local/bin/{key}",)
    command = f'PYTHONPATH=/opt exec python3 -B -m lab.images.standins.{module} "$@"'
    return Entry(
        real=False,
        reason=reason or _NO_IMAGE,
        programs=dict.fromkeys(paths, command),
        stand_ins=("common", module, *more),
        entrypoint=(paths[0],),
        **fields,  # type: ignore[arg-type] - names and types are `Entry`'s
    )


def _debian(reason: str, program: str, path: str, **fields: object) -> Entry:
    """Debian's program under the name that the real image has for it."""
    return Entry(
        real=True,
        reason=reason,
        links={path: program},
        entrypoint=(path,),
        **fields,  # type: ignore[arg-type] - names and types are `Entry`'s
    )


def _embeddings(path: str) -> Entry:
    entry = _stand_in(
        "embeddings",
        "embeddings",
        path,
        more=("openai",),
        reason=f"{_NO_IMAGE}; vectors come from a real small model, all-MiniLM-L6-v2, filled up to the size asked for",
        layers=("debian", "minilm"),
        folders={"/data": (1000, 1000, 0o755)},
    )
    command = 'PYTHONPATH=/opt:/opt/minilm exec python3 -B -m lab.images.standins.embeddings "$@"'
    return _with(entry, programs={path: command})


def _with(entry: Entry, **fields: object) -> Entry:
    return Entry(**{**entry.__dict__, **fields})


def _qdrant() -> Entry:
    return _stand_in(
        "qdrant",
        "qdrant",
        "/qdrant/qdrant",
        more=("vectors", "peers", "http2"),
        reason=f"{_NO_IMAGE}; exact search in Python, a simple cluster, snapshots in the volume instead of S3",
        working_dir="/qdrant",
        folders={"/qdrant/storage": (1000, 1000, 0o755), "/qdrant/snapshots": (1000, 1000, 0o755)},
    )


def _n8n(*, real: bool) -> Entry:
    if not real:
        return _stand_in(
            "n8n",
            "n8n",
            reason="the real one is 1.2 GB and 3 minutes to install: LAB_N8N=real brings it",
            users={"node": (1000, 1000, "/home/node")},
            folders={"/home/node/.n8n": (1000, 1000, 0o700), "/home/node/.cache": (1000, 1000, 0o755)},
        )
    return Entry(
        real=True,
        reason="n8n 1.123.5 from npm: 2.x is not to be had",
        layers=("debian", "n8n"),
        programs={
            # 2.x has runners always; 1.x has to be told.
            "/docker-entrypoint.sh": 'N8N_RUNNERS_ENABLED=true exec node /opt/n8n/node_modules/n8n/bin/n8n "$@"',
        },
        users={"node": (1000, 1000, "/home/node")},
        folders={"/home/node/.n8n": (1000, 1000, 0o700), "/home/node/.cache": (1000, 1000, 0o755)},
        entrypoint=("/docker-entrypoint.sh",),
        working_dir="/home/node",
        env={"NODE_ENV": "production", "HOME": "/home/node"},
        trusts_lab=True,
    )


def _runners(*, real: bool) -> Entry:
    entry = _stand_in(
        "n8n-runners",
        "runners",
        "/usr/local/bin/task-runner-launcher",
        reason="the launcher is no package"
        + ("; it starts n8n's real JavaScript runner, none for Python" if real else ""),
    )
    return _with(entry, layers=("debian", "n8n")) if real else entry


def catalog(*, n8n: bool | None = None) -> Mapping[str, Entry]:
    """Every key of `topology.images`; `n8n` says whether the real one is wanted (default: `LAB_N8N=real`)."""
    real_n8n = os.environ.get("LAB_N8N") == "real" if n8n is None else n8n
    return {
        **_models(),
        **_data(),
        **_gateways(),
        "n8n": _n8n(real=real_n8n),
        "n8n-runners": _runners(real=real_n8n),
        **_observability(),
        **_builds(),
        "envoy": Entry(
            real=True,
            reason="Envoy 1.40 from PyPI",
            layers=("debian", "envoy"),
            entrypoint=("/usr/local/bin/envoy",),
        ),
        "busybox": Entry(real=True, reason="Debian's static busybox, alone", layers=()),
    }


def _models() -> Mapping[str, Entry]:
    return {
        "vllm": _stand_in(
            "vllm",
            "vllm",
            "/usr/local/bin/vllm",
            more=("openai", "faults"),
            reason=f"{_NO_IMAGE}, and there is no GPU; OpenAI's API with faults to switch on",
            folders={"/home/vllm/.cache": (2000, 0, 0o775), "/models": (2000, 0, 0o775)},
        ),
        "embeddings": _embeddings("/entrypoint.sh"),
        "embeddings-cpu": _embeddings("/usr/local/bin/text-embeddings-router"),
        "whisper": _stand_in(
            "whisper",
            "speech",
            "/usr/local/bin/uvicorn",
            reason=f"{_NO_IMAGE}, and there is no GPU; it hears nothing and speaks silence",
            folders={
                "/home/ubuntu/.cache/huggingface/hub": (1000, 1000, 0o755),
                "/home/ubuntu/.config": (1000, 1000, 0o755),
            },
        ),
        "comfyui": _stand_in(
            "comfyui", "images", reason=f"{_NO_IMAGE}, and there is no GPU; pictures of one colour, no WebSocket"
        ),
        "ocr": _stand_in(
            "ocr", "ocr", "/usr/local/bin/docling-serve", reason=f"{_NO_IMAGE}; it reads text files alone"
        ),
    }


def _data() -> Mapping[str, Entry]:
    return {
        "qdrant": _qdrant(),
        "qdrant-gpu": _qdrant(),
        "redis": Entry(
            real=True,
            reason="Redis 7.0 from Debian (the program's is 8.10)",
            users={"redis": (999, 999, "/data")},
            folders={"/data": (999, 999, 0o755)},
            working_dir="/data",
        ),
        "postgres": Entry(
            real=True,
            reason="Postgres 15 from Debian (the program's is 17), with an entrypoint of ours",
            files={"/usr/local/bin/docker-entrypoint.sh": "shims/postgres.sh"},
            users={"postgres": (999, 999, "/var/lib/postgresql")},
            folders={
                "/var/lib/postgresql/data": (999, 999, 0o1777),
                "/var/run/postgresql": (999, 999, 0o3777),
            },
            entrypoint=("docker-entrypoint.sh",),
            command=("postgres",),
            env={"PATH": "/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
        ),
        "redis-exporter": _debian("Debian's Redis exporter", "/usr/bin/prometheus-redis-exporter", "/redis_exporter"),
        "postgres-exporter": _debian(
            "Debian's Postgres exporter", "/usr/bin/prometheus-postgres-exporter", "/bin/postgres_exporter"
        ),
    }


def _gateways() -> Mapping[str, Entry]:
    return {
        "kong": _stand_in(
            "kong",
            "kong",
            "/docker-entrypoint.sh",
            more=("redis_counter",),
            reason=f"{_NO_IMAGE}; it serves the generated file, without WebSockets",
            folders={"/kong": (1000, 1000, 0o755)},
            command=("kong", "docker-start"),
        ),
        "litellm": Entry(
            real=True,
            reason="LiteLLM 1.103 from PyPI; without its database, whose client program is on no registry",
            layers=("debian", "litellm"),
            files={"/opt/lab/litellm.py": "shims/litellm.py"},
            programs={"/usr/local/bin/litellm": 'exec python3 -B /opt/lab/litellm.py "$@"'},
            folders={"/app": (0, 0, 0o755)},
            working_dir="/app",
            entrypoint=("litellm",),
            trusts_lab=True,
        ),
        "waf": Entry(
            real=True,
            reason="nginx 1.22, ModSecurity 3.0 and CRS 3.3 from Debian, with an entrypoint and templates of ours",
            files={
                "/docker-entrypoint.sh": "shims/waf.sh",
                "/etc/nginx/nginx.conf": "shims/waf/nginx.conf",
                "/etc/nginx/templates/conf.d/logging.conf.template": "shims/waf/logging.conf.template",
                "/etc/nginx/templates/conf.d/modsecurity.conf.template": "shims/waf/modsecurity.conf.template",
                "/etc/nginx/templates/modsecurity.d/setup.conf.template": "shims/waf/setup.conf.template",
            },
            users={"nginx": (101, 101, "/nonexistent")},
            folders={
                "/etc/nginx/conf.d": (101, 101, 0o775),
                "/etc/nginx/modsecurity.d": (101, 101, 0o775),
                "/etc/nginx/templates/conf.d": (101, 101, 0o775),
                "/var/log/nginx": (101, 101, 0o755),
                "/var/cache/nginx": (101, 101, 0o755),
            },
            entrypoint=("/docker-entrypoint.sh",),
            command=("nginx", "-g", "daemon off;"),
        ),
        "crowdsec": Entry(
            real=True,
            reason="CrowdSec 1.4 from Debian with the hub that it brings along, and a start script of ours",
            files={"/docker_start.sh": "shims/crowdsec.sh"},
            entrypoint=("/bin/bash", "/docker_start.sh"),
        ),
    }


def _observability() -> Mapping[str, Entry]:
    return {
        "prometheus": _debian(
            "Prometheus 2.42 from Debian (the program's is 3.14)",
            "/usr/bin/prometheus",
            "/bin/prometheus",
            folders={"/prometheus": (65534, 65534, 0o755)},
        ),
        "alertmanager": _debian(
            "Alertmanager 0.25 from Debian",
            "/usr/bin/prometheus-alertmanager",
            "/bin/alertmanager",
            folders={"/alertmanager": (65534, 65534, 0o755)},
        ),
        "grafana": _stand_in(
            "grafana",
            "grafana",
            "/run.sh",
            "/usr/local/bin/grafana",
            folders={"/var/lib/grafana": (472, 0, 0o755)},
            users={"grafana": (472, 472, "/usr/share/grafana")},
        ),
        "loki": _stand_in("loki", "loki", "/usr/bin/loki", folders={"/loki": (10001, 10001, 0o755)}),
        "alloy": _stand_in("alloy", "alloy", "/bin/alloy"),
        "node-exporter": _debian("Debian's node exporter", "/usr/bin/prometheus-node-exporter", "/bin/node_exporter"),
        "gpu-exporter": _stand_in("gpu-exporter", "gpu_exporter", reason="there is no GPU; numbers of a card at rest"),
        "blackbox-exporter": _debian(
            "Debian's blackbox exporter",
            "/usr/bin/prometheus-blackbox-exporter",
            "/bin/blackbox_exporter",
            trusts_lab=True,
        ),
    }


def _builds() -> Mapping[str, Entry]:
    """Placeholders of the images that the program builds itself, for as long as their folders cannot be built."""
    return {
        key: _stand_in(
            key,
            "service",
            reason="a placeholder: in the lab nothing can be installed while an image is built",
            env={"STAND_IN_FOR": key, "STAND_IN_PORT": str(port)},
        )
        for key, port in (("agents", 8080), ("interpreter", 8004), ("backup", 8060))
    }
