"""What stands behind each image of the program in the lab: real software, or a stand-in, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.toolchain import VICTORIA_LOGS, pinned_version
from lab.images.compose import with_imports
from lab.images.docling_models import PATH as DOCLING_MODELS
from lab.images.entry import NO_IMAGE, Entry, Folder, debian_program, stand_in
from lab.images.recipes import LITELLM, N8N
from lab.images.services import own_entry
from lab.images.switch import CHOICE, chosen
from lab.images.torch_layers import DOCLING, DOCLING_PATH, VLLM
from lab.images.torch_layers import PATH as TORCH_PATH
from lab.images.waf import waf
from render.docs import table
from topology.catalog import SERVICES
from topology.images import BUILDS, IMAGES

HERE: Final = Path(__file__).parent
_NOBODY: Final = 65534
_NO_GPU: Final = f"{NO_IMAGE}, and there is no GPU"


def catalog(real: frozenset[str] | None = None) -> Mapping[str, Entry]:
    """Every key of `topology.images`; `real`: which of the large programs of `switch.CHOICE` run, else `LAB_REAL`."""
    real = chosen() if real is None else real
    return {**_models(real), **_data(), **_gateways(), **_workflows(), **_observability(), **_own()}


def markdown() -> str:
    """The catalog as a table for the documents."""
    used: dict[str, list[str]] = {}
    for service in SERVICES:
        used.setdefault(service.image, []).append(service.name)
    entries = {key: entry for key, entry in catalog(CHOICE).items() if key in used or key == "envoy"}
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
            stand_in(
                "speech",
                "/usr/local/bin/uvicorn",
                reason=f"{_NO_GPU}; it hears nothing and speaks silence",
                version="refuses as 0.9.0-rc.3",
                not_covered="speech, the card, what models need of memory",
            ),
            folders={f"{home}/.cache/huggingface/hub": (1000, 1000, 0o755)},
        ),
        "comfyui": replace(
            stand_in(
                "images",
                "/usr/local/bin/comfyui",
                reason=f"{_NO_GPU}; pictures of one colour",
                version="refuses as in autumn 2026",
                not_covered="nodes, models, the card; the image without its entry point",
            ),
            files={"/default-comfyui-bundle/ComfyUI/main.py": "shims/comfyui.py"},
            folders={"/data": (1000, 1000, 0o755)},
        ),
        "ocr": _ocr(real="ocr" in real),
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


def _ocr(*, real: bool) -> Entry:
    path, home, version = "/usr/local/bin/docling-serve", "/opt/app-root/src", DOCLING["docling-serve"]
    if not real:
        reason = "large, so that LAB_REAL has to name it; it reads text files, and of others tells name and size"
        return stand_in("ocr", path, reason=reason, version=version, not_covered="PDF, Word, pictures; models, memory")
    return Entry(
        real=True,
        reason="docling-serve from PyPI with RapidOCR; its layout and table models are the lab's and know nothing: "
        "each page is one paragraph",
        version=f"{version} with docling {DOCLING['docling-slim']}",
        not_covered="layout, reading order, headings of PDFs, tables, what is in pictures, EasyOCR, the card; the "
        "libraries of its image",
        layers=("debian", "torch", "docling"),
        # The program sets PYTHONPATH where the service has a share of the card.
        programs={
            path: f"export PYTHONPATH=${{PYTHONPATH:+$PYTHONPATH:}}{DOCLING_PATH}:{TORCH_PATH}\n"
            'exec python3 -B -c "from docling_serve.__main__ import main; main()" "$@"'
        },
        folders={home: (1001, 0, 0o775)},
        command=("docling-serve", "run"),
        working_dir=home,
        env={
            "HOME": home,
            "DOCLING_SERVE_ARTIFACTS_PATH": DOCLING_MODELS,
            "OMP_NUM_THREADS": "1",
            # The layout model's file holds what decides its answer; the rest would be listed as missing.
            "TRANSFORMERS_VERBOSITY": "error",
        },
    )


def _embeddings(path: str) -> Entry:
    reason = f"{NO_IMAGE}; vectors of a real small model, all-MiniLM-L6-v2, filled up to the size asked for"
    entry = stand_in(
        "embeddings",
        path,
        reason=reason,
        version="refuses as 1.9.3",
        not_covered="the configured model, its warm-up and memory, the card",
        layers=("debian", "minilm"),
    )
    return replace(entry, folders={"/data": (1000, 1000, 0o755)})


def _data() -> Mapping[str, Entry]:
    return {
        "qdrant": _qdrant(),
        "redis": Entry(
            real=True,
            reason="Redis from Debian",
            version="8.0",
            not_covered="the image's entry point, and the modules that it would load",
            users={"redis": (999, 999, "/data")},
            folders={"/data": (999, 999, 0o755)},
            working_dir="/data",
        ),
        "postgres": Entry(
            real=True,
            reason="Postgres from Debian, with an entrypoint of ours",
            version="17",
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
            version="1.69",
            not_covered="metrics that came later",
        ),
        "postgres-exporter": debian_program(
            "/usr/bin/prometheus-postgres-exporter",
            "/bin/postgres_exporter",
            "from Debian",
            version="0.17",
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
            layers=("debian", "node", "litellm"),
            files={"/opt/lab/litellm.py": "shims/litellm.py"},
            programs={"/usr/local/bin/litellm": 'exec python3 -B /opt/lab/litellm.py "$@"'},
            folders={"/app": (0, 0, 0o755)},
            working_dir="/app",
            entrypoint=("litellm",),
            trusts_lab=True,
        ),
        "waf": waf(),
        "crowdsec": Entry(
            real=True,
            reason="CrowdSec from Debian with its hub, by a start script of ours",
            version="1.4",
            not_covered="the image's start script, what 1.5 to 1.7 changed, and the hub's newer parsers and scenarios",
            files={"/docker_start.sh": "shims/crowdsec.sh", "/opt/lab/crowdsec_hub.py": "shims/crowdsec_hub.py"},
            entrypoint=("/bin/bash", "/docker_start.sh"),
        ),
    }


def _workflows() -> Mapping[str, Entry]:
    modules, layers = "/opt/n8n/node_modules", ("debian", "node", "n8n")
    home, runner = "/home/node", "/home/runner"
    return {
        "n8n": Entry(
            real=True,
            reason="n8n from npm, the nearest whose packages are all served, on Node 24",
            version=N8N,
            not_covered="SQLite, the browser of its assistant, certificates that a person mounts; the image's Alpine",
            layers=layers,
            # The image's own has one more branch, for certificates that a person mounts.
            programs={"/docker-entrypoint.sh": f'exec node {modules}/n8n/bin/n8n "$@"'},
            users={"node": (1000, 1000, home)},
            folders={f"{home}/.n8n": (1000, 1000, 0o700)},
            entrypoint=("/docker-entrypoint.sh",),
            working_dir=home,
            env={"NODE_ENV": "production", "HOME": home},
            trusts_lab=True,
        ),
        "n8n-runners": Entry(
            real=True,
            reason="n8n's own JavaScript runner, started by a stand-in for its launcher 1.4.7",
            version=N8N,
            not_covered="code in Python, whose runner is on no registry; the launcher's own program",
            layers=layers,
            programs={"/usr/local/bin/task-runner-launcher": 'exec python3 -B -m lab.images.launcher.launch "$@"'},
            trees={"/opt/lab/images/launcher": HERE / "launcher"},
            files={"/etc/n8n-task-runners.json": "launcher/n8n-task-runners.json"},
            links={"/opt/runners/task-runner-javascript": f"{modules}/@n8n/task-runner"},
            users={"runner": (1000, 1000, runner)},
            folders={runner: (1000, 1000, 0o755)},
            entrypoint=("/usr/local/bin/task-runner-launcher",),
            command=("javascript", "python"),
            working_dir=runner,
            env={"NODE_ENV": "production", "HOME": runner, "PYTHONPATH": "/opt"},
        ),
    }


def _observability() -> Mapping[str, Entry]:
    return {
        "prometheus": replace(
            debian_program(
                "/usr/bin/prometheus",
                "/bin/prometheus",
                "from Debian",
                version="2.53",
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
                version="0.28",
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
        "victorialogs": _victorialogs("victoria-logs", {"/victoria-logs-data": (10001, 10001, 0o755)}),
        "vlagent": _victorialogs("vlagent", {"/vlagent-data": (0, 0, 0o755)}),
        "node-exporter": debian_program(
            "/usr/bin/prometheus-node-exporter",
            "/bin/node_exporter",
            "from Debian",
            version="1.9.0",
            not_covered="the image's busybox",
        ),
        "gpu-exporter": stand_in(
            "gpu_exporter",
            "/usr/bin/dcgm-exporter-entrypoint.sh",
            reason="there is no GPU; numbers of a card at rest",
            version="arguments of 4.5.3-4.8.2",
            not_covered="DCGM and the driver; whether counters are read without root",
        ),
        "blackbox-exporter": replace(
            debian_program(
                "/usr/bin/prometheus-blackbox-exporter",
                "/bin/blackbox_exporter",
                "from Debian",
                version="0.26",
                not_covered="nothing known",
            ),
            trusts_lab=True,
        ),
    }


def _victorialogs(program: str, folders: Mapping[str, Folder]) -> Entry:
    """As its maker's image: a static program at the root, and no shell."""
    return Entry(
        real=True,
        reason="built from its Go module",
        version=pinned_version(VICTORIA_LOGS),
        not_covered="the C library that its maker's build compresses with: the lab's is pure Go",
        layers=("victorialogs",),
        folders=folders,
        entrypoint=(f"/{program}-prod",),
    )


def _own() -> Mapping[str, Entry]:
    """The proxy, busybox, and what the program builds itself."""
    return {
        "envoy": Entry(
            real=True,
            reason="Envoy from PyPI",
            version="1.40",
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
