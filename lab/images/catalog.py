"""What stands behind each image of the program in the lab: real software, or a stand-in, and why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from lab.images.compose import with_imports
from lab.images.entry import NO_IMAGE, Entry, debian_program, stand_in
from lab.images.recipes import LITELLM
from lab.images.services import own_entry
from lab.images.switch import CHOICE, chosen
from lab.images.torch_layers import PATH as TORCH_PATH
from lab.images.torch_layers import VLLM
from render.docs import table
from topology.catalog import SERVICES
from topology.images import BUILDS, IMAGES

_NOBODY: Final = 65534
_NO_GPU: Final = f"{NO_IMAGE}, and there is no GPU"


def catalog(*, n8n: bool | None = None, real: frozenset[str] | None = None) -> Mapping[str, Entry]:
    """Every key of `topology.images`.

    `n8n` says whether the real one is wanted (default: not `LAB_N8N=stand-in`), `real` which of the large programs of
    `switch.CHOICE` are (default: those of `LAB_REAL`).
    """
    real = chosen() if real is None else real
    real_n8n = os.environ.get("LAB_N8N") != "stand-in" if n8n is None else n8n
    return {**_models(real), **_data(), **_gateways(), **_workflows(real=real_n8n), **_observability(), **_own()}


def markdown() -> str:
    """The catalog as a table for the documents."""
    used: dict[str, list[str]] = {}
    for service in SERVICES:
        used.setdefault(service.image, []).append(service.name)
    entries = {key: entry for key, entry in catalog(n8n=True, real=CHOICE).items() if key in used or key == "envoy"}
    rows = [
        (
            ", ".join(used.get(key, ["every proxy"])),
            _ran(key, entry),
            entry.reason,
            entry.version or "-",
            IMAGES[key].tag if key in IMAGES else "built here",
            entry.not_covered or "-",
        )
        for key, entry in entries.items()
    ]
    names = [name for key, entry in entries.items() if not entry.real for name in used.get(key, [])]
    total = sum(len(used.get(key, [])) for key in entries)
    heading = ("services", "in the lab", "what runs", "version in the lab", "in production", "not covered")
    return f"{table(heading, rows)}\n{stand_ins(names, total)}.\n"


def stand_ins(names: Iterable[str], total: int) -> str:
    """How many services are stand-ins, and which."""
    found = sorted(set(names))
    return f"{len(found)} of {total} services are stand-ins: {', '.join(found) or 'none'}"


def _ran(key: str, entry: Entry) -> str:
    if key in CHOICE:
        return "real with `LAB_REAL`, else a **stand-in**"
    return "real" if entry.real else "**stand-in**"


def _models(real: frozenset[str]) -> Mapping[str, Entry]:
    home = "/home/ubuntu"
    return {
        "vllm": _vllm(real="vllm" in real),
        "embeddings": _embeddings("/entrypoint.sh"),
        "embeddings-cpu": _embeddings("/usr/local/bin/text-embeddings-router"),
        "embeddings-cpu-arm64": _embeddings("/usr/local/bin/text-embeddings-router"),
        "whisper": replace(
            stand_in("speech", "/usr/local/bin/uvicorn", reason=f"{_NO_GPU}; it hears nothing and speaks silence"),
            folders={f"{home}/.cache/huggingface/hub": (1000, 1000, 0o755)},
        ),
        "comfyui": stand_in(
            "images", "/usr/local/bin/comfyui", reason=f"{_NO_GPU}; pictures of one colour, and no WebSocket"
        ),
        "ocr": stand_in("ocr", "/usr/local/bin/docling-serve", reason=f"{NO_IMAGE}; it reads text files alone"),
    }


def _vllm(*, real: bool) -> Entry:
    path = "/usr/local/bin/vllm"
    folders = {"/home/vllm/.cache": (2000, 0, 0o775), "/models": (2000, 0, 0o775)}
    if not real:
        reason = "large, so that LAB_REAL has to name it; OpenAI's API with vLLM's refusals and faults to switch on"
        found = stand_in("vllm", path, reason=reason, version=VLLM, not_covered="models, tool parsers, memory")
        return replace(found, folders=folders)
    modules = ("__init__", *sorted(with_imports("vllm_front") - {"__init__"}))
    return Entry(
        real=True,
        reason="vLLM's build for CPUs from PyPI, with a tiny model of random weights that answers noise; answers "
        "that a test chooses come from a front before it",
        version=VLLM,
        not_covered="CUDA: kernels, shares of the card, quantized weights",
        layers=("debian", "torch", "vllm"),
        files={f"/opt/lab/images/standins/{name}.py": f"standins/{name}.py" for name in modules},
        programs={path: 'exec python3 -B -m lab.images.standins.vllm_front "$@"'},
        folders=folders,
        env={
            "PYTHONPATH": f"/opt:/opt/vllm:{TORCH_PATH}",
            "LD_LIBRARY_PATH": "/opt/vllm/lib",
            # The sampler would be compiled with a compiler of C++, which is not there.
            "TORCH_COMPILE_DISABLE": "1",
            "OMP_NUM_THREADS": "1",
        },
    )


def _embeddings(path: str) -> Entry:
    reason = f"{NO_IMAGE}; vectors of a real small model, all-MiniLM-L6-v2, filled up to the size asked for"
    entry = stand_in("embeddings", path, reason=reason, layers=("debian", "minilm"))
    return replace(entry, folders={"/data": (1000, 1000, 0o755)})


def _data() -> Mapping[str, Entry]:
    return {
        "qdrant": _qdrant(),
        "qdrant-gpu": _qdrant(),
        "redis": Entry(
            real=True,
            reason="Redis from Debian",
            version="8.0.2",
            not_covered="the image's entry point, and the modules that it would load",
            users={"redis": (999, 999, "/data")},
            folders={"/data": (999, 999, 0o755)},
            working_dir="/data",
        ),
        "postgres": Entry(
            real=True,
            reason="Postgres from Debian, with an entrypoint of ours",
            version="17.12",
            not_covered="the image's own entry point",
            files={"/usr/local/bin/docker-entrypoint.sh": "shims/postgres.sh"},
            users={"postgres": (999, 999, "/var/lib/postgresql")},
            folders={"/var/lib/postgresql/data": (999, 999, 0o1777)},
            entrypoint=("docker-entrypoint.sh",),
            command=("postgres",),
            env={"PATH": "/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
        ),
        "redis-exporter": debian_program(
            "/usr/bin/prometheus-redis-exporter",
            "/redis_exporter",
            "from Debian",
            version="1.69.0",
            not_covered="metrics that came later",
        ),
        "postgres-exporter": debian_program(
            "/usr/bin/prometheus-postgres-exporter",
            "/bin/postgres_exporter",
            "from Debian",
            version="0.17.1",
            not_covered="metrics that came later",
        ),
    }


def _qdrant() -> Entry:
    not_covered = "its index and quantization, speed, Raft, resharding; the search is exact, in Python"
    return replace(
        stand_in("qdrant", "/qdrant/qdrant", version="rules of 1.19.0", not_covered=not_covered),
        working_dir="/qdrant",
        folders={"/qdrant/storage": (1000, 1000, 0o755), "/qdrant/snapshots": (1000, 1000, 0o755)},
    )


def _gateways() -> Mapping[str, Entry]:
    templates = "/etc/nginx/templates"
    return {
        "kong": replace(
            stand_in(
                "kong",
                "/docker-entrypoint.sh",
                version="rules of 3.9.3",
                not_covered="WebSockets, plugins that we do not use, its own Lua and nginx",
            ),
            command=("kong", "docker-start"),
        ),
        "litellm": Entry(
            real=True,
            reason="LiteLLM from PyPI; its database client with the engine in WebAssembly",
            version=LITELLM,
            not_covered="the native query and schema engines of its database client",
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
            reason="nginx 1.26, ModSecurity 3.0 and CRS 3.3 from Debian, with an entrypoint and templates of ours",
            files={
                "/docker-entrypoint.sh": "shims/waf.sh",
                "/etc/nginx/nginx.conf": "shims/waf/nginx.conf",
                f"{templates}/conf.d/logging.conf.template": "shims/waf/logging.conf.template",
                f"{templates}/conf.d/modsecurity.conf.template": "shims/waf/modsecurity.conf.template",
                f"{templates}/modsecurity.d/setup.conf.template": "shims/waf/setup.conf.template",
            },
            users={"nginx": (101, 101, "/nonexistent")},
            folders={
                "/etc/nginx/conf.d": (101, 101, 0o775),
                "/etc/nginx/modsecurity.d": (101, 101, 0o775),
                # In the real image root owns it, and the program's start script cannot copy into it.
                f"{templates}/conf.d": (101, 101, 0o775),
                "/var/log/nginx": (101, 101, 0o755),
            },
            entrypoint=("/docker-entrypoint.sh",),
            command=("nginx", "-g", "daemon off;"),
        ),
        "crowdsec": Entry(
            real=True,
            reason="CrowdSec 1.4 from Debian (the program's is 1.7) with its hub, by a start script of ours",
            files={"/docker_start.sh": "shims/crowdsec.sh", "/opt/lab/crowdsec_hub.py": "shims/crowdsec_hub.py"},
            entrypoint=("/bin/bash", "/docker_start.sh"),
        ),
    }


def _workflows(*, real: bool) -> Mapping[str, Entry]:
    home = "/home/node"
    folders = {f"{home}/.n8n": (1000, 1000, 0o700)}
    users = {"node": (1000, 1000, home)}
    if not real:
        reason = "chosen by LAB_N8N=stand-in: the real one takes 2 minutes to install and 1 GB on each disk"
        return {
            "n8n": replace(stand_in("n8n", "/docker-entrypoint.sh", reason=reason), folders=folders, users=users),
            "n8n-runners": stand_in(
                "runners",
                "/usr/local/bin/task-runner-launcher",
                reason="the launcher is no package; it starts no runner",
            ),
        }
    return {
        "n8n": Entry(
            real=True,
            reason="n8n 1.123.5 from npm: 2.x is not to be had",
            layers=("debian", "n8n"),
            # 2.x has runners always; 1.x has to be told.
            programs={
                "/docker-entrypoint.sh": "export N8N_RUNNERS_ENABLED=true\n"
                'exec node /opt/n8n/node_modules/n8n/bin/n8n "$@"'
            },
            users=users,
            folders=folders,
            entrypoint=("/docker-entrypoint.sh",),
            working_dir=home,
            env={"NODE_ENV": "production", "HOME": home},
            trusts_lab=True,
        ),
        "n8n-runners": stand_in(
            "runners",
            "/usr/local/bin/task-runner-launcher",
            reason="the launcher is no package; it starts n8n's real JavaScript runner, and none for Python",
            layers=("debian", "n8n"),
        ),
    }


def _observability() -> Mapping[str, Entry]:
    return {
        "prometheus": replace(
            debian_program(
                "/usr/bin/prometheus",
                "/bin/prometheus",
                "from Debian",
                version="2.53.3",
                not_covered="what 3 changed: name validation, stricter content types, `.` in regular expressions",
            ),
            # Its name in Debian is the real image's: there is nothing to link.
            links={},
            folders={"/prometheus": (_NOBODY, _NOBODY, 0o755)},
        ),
        "alertmanager": replace(
            debian_program(
                "/usr/bin/prometheus-alertmanager",
                "/bin/alertmanager",
                "from Debian",
                version="0.28.1",
                not_covered="receivers that came later",
            ),
            folders={"/alertmanager": (_NOBODY, _NOBODY, 0o755)},
        ),
        "grafana": replace(
            stand_in(
                "grafana",
                "/run.sh",
                "/usr/local/bin/grafana",
                version="rules of 13",
                not_covered="its pages, its database, plugins; queries are run against the real sources by tests",
            ),
            folders={"/var/lib/grafana": (472, 0, 0o755)},
            users={"grafana": (472, 472, "/usr/share/grafana")},
        ),
        "loki": replace(stand_in("loki", "/usr/bin/loki"), folders={"/loki": (10001, 10001, 0o755)}),
        "alloy": stand_in("alloy", "/bin/alloy"),
        "node-exporter": debian_program(
            "/usr/bin/prometheus-node-exporter", "/bin/node_exporter", "Debian's node exporter"
        ),
        "gpu-exporter": stand_in(
            "gpu_exporter", "/usr/local/bin/dcgm-exporter", reason="there is no GPU; numbers of a card at rest"
        ),
        "blackbox-exporter": replace(
            debian_program(
                "/usr/bin/prometheus-blackbox-exporter",
                "/bin/blackbox_exporter",
                "from Debian",
                version="0.26.0",
                not_covered="nothing known",
            ),
            trusts_lab=True,
        ),
    }


def _own() -> Mapping[str, Entry]:
    """The proxy, busybox, and what the program builds itself."""
    return {
        "envoy": Entry(
            real=True,
            reason="Envoy from PyPI",
            version="1.40.0",
            not_covered="the image's shell and its entry point",
            layers=("debian", "envoy"),
            entrypoint=("/usr/local/bin/envoy",),
        ),
        "busybox": Entry(
            real=True,
            reason="the machine's static busybox, alone",
            version="the machine's",
            not_covered="nothing known",
            layers=("busybox",),
        ),
        **{key: own_entry(key) for key in BUILDS},
    }
