"""The OWASP Core Rule Set laid out as in the ModSecurity image, from the only package registry that has version 4.

Go's module proxy has it as `corazawaf/coraza-coreruleset`, pinned by `go.mod` and `go.sum` beside this file. The module
holds the upstream rules of a release with their comments taken out; none is Coraza's own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from engine.toolchain import BuildError, Tool, find_go, pinned_version
from lab.images.layers import LayerError

HERE: Final = Path(__file__).parent
MODULE: Final = "github.com/corazawaf/coraza-coreruleset/v4"
_TOOL: Final = Tool(name="rules", package=MODULE, module=MODULE, folder=HERE, minutes="a second")
NGINX: Final = 101
"""The image's user, which owns the rules and writes the set-up file at start."""


def version() -> str:
    """The release that `go.mod` pins, without the `v`."""
    return pinned_version(_TOOL)


def content() -> str:
    """A hash of everything here that determines the result."""
    files = [HERE / name for name in ("__init__.py", "go.mod", "go.sum")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def fill(root: Path) -> None:
    """Put the rules where the image has them: `/opt/owasp-crs`, linked from `/etc/modsecurity.d`.

    With them goes what else its user owns and writes at start.
    """
    install(root / "opt/owasp-crs")
    for name in ("etc/modsecurity.d", "etc/nginx"):
        (root / name).mkdir(parents=True)
    (root / "etc/nginx/nginx.conf").touch()
    owned = ("opt/owasp-crs", "etc/modsecurity.d", "etc/nginx")
    for path in (path for name in owned for path in (root / name, *(root / name).rglob("*"))):
        os.chown(path, NGINX, NGINX)
    (root / "etc/modsecurity.d/owasp-crs").symlink_to("/opt/owasp-crs")


def install(target: Path) -> None:
    """Write `crs-setup.conf` and `rules/` as a release has them.

    The module's folders begin with `@`, which libmodsecurity takes for an operator, hence the copy.
    """
    source = download() / "rules"
    rules = target / "rules"
    rules.mkdir(parents=True)
    shutil.copyfile(source / "@crs-setup.conf.example", target / "crs-setup.conf")
    for path in sorted((source / "@owasp_crs").iterdir()):
        if path.suffix == ".conf":
            (rules / path.name).write_text(separated(path.read_text()))
        elif path.suffix == ".data":
            shutil.copyfile(path, rules / path.name)


def separated(text: str) -> str:
    """Rules with an empty line before each, as upstream has them.

    Without it libmodsecurity reads on past the end of a chained rule that has no actions of its own.
    """
    return re.sub(r"(?m)^Sec", r"\nSec", text)


def download() -> Path:
    """The module's folder in Go's cache; `go` compares it with the sum in `go.sum`.

    Raises:
        LayerError: no Go, no network, or another content.

    """
    try:
        go = find_go(_TOOL)
    except BuildError as error:
        raise LayerError(f"the Core Rule Set is a Go module: {error}") from error
    result = subprocess.run(
        [str(go), "mod", "download", "-json", MODULE],
        cwd=HERE,
        env=os.environ | {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise LayerError(f"go mod download {MODULE} failed:\n{(result.stdout + result.stderr)[-2000:]}")
    return Path(json.loads(result.stdout)["Dir"])
