"""The two images that everything else is built on: a small Debian with Python, and busybox."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any, Final

from lab.machine import STATIC_BUSYBOX, LabError, run
from lab.places import PREFIX

_SUITE: Final = "bookworm"
_PACKAGES: Final = "python3,ca-certificates"
_ONCE: Final = threading.Lock()

# A laboratory has no encrypted disk: nothing on it is worth one, and a virtual kernel often lacks dm-crypt. The
# preflight looks for one; here the kernel's answer is put into its mouth. A stated exception of the lab, until the
# program has a setting for it.
_SHELL: Final = r"""#!/bin/busybox sh
[ "$1" = -c ] || exec /bin/busybox sh "$@"
script="$2"
shift 2
exec /bin/busybox sh -c "
cat() {
  case \"\$1\" in
    /sys/dev/block/*/dm/uuid) echo CRYPT-LUKS2-none-this-is-the-lab;;
    *) busybox cat \"\$@\";;
  esac
}
$script" "$@"
"""


DEFAULT_COMMAND: Final = 'CMD ["sh"]'
"""As the images that these stand for have it: a container without a command is refused."""


def base_tag() -> str:
    """Changes with the recipe, not with Debian's updates: a lab is rebuilt when somebody wants it to be."""
    return f"{PREFIX}/base:{hashlib.sha256(f'{_SUITE} {_PACKAGES} {DEFAULT_COMMAND}'.encode()).hexdigest()[:16]}"


def base_archive(cache: Path, say: Any) -> Path:
    """The root file system as one file, made once."""
    archive = cache / f"{base_tag().rpartition(':')[2]}.tar"
    with _ONCE:
        if archive.exists():
            return archive
        say("base image: debootstrap, about 1 minute the first time")
        cache.mkdir(parents=True, exist_ok=True)
        root = cache / "rootfs"
        shutil.rmtree(root, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root)]
        result = subprocess.run(
            [*command, *_mirror()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if result.returncode != 0:
            raise LabError(f"debootstrap failed:\n{result.stdout[-2000:]}")
        shutil.rmtree(root / "var" / "cache" / "apt", ignore_errors=True)
        unfinished = archive.with_suffix(".part")
        run("tar", "--numeric-owner", "-C", str(root), "-cf", str(unfinished), ".", timeout=300)
        unfinished.rename(archive)
        shutil.rmtree(root)
    return archive


def busybox_tag() -> str:
    """Changes with the program and with what the lab adds to it."""
    digest = hashlib.sha256(STATIC_BUSYBOX.read_bytes() + (_SHELL + DEFAULT_COMMAND).encode())
    return f"{PREFIX}/busybox:{digest.hexdigest()[:16]}"


def busybox_archive(cache: Path) -> Path:
    """Busybox, its names, and the folders that a container mounts over."""
    archive = cache / f"{busybox_tag().replace('/', '-').replace(':', '-')}.tar"
    with _ONCE:
        if archive.exists():
            return archive
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = archive.with_suffix(".part")
        with tarfile.open(unfinished, "w") as tar:
            for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "var"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
                tar.addfile(entry)
            tar.add(STATIC_BUSYBOX, "bin/busybox")
            for name in run(str(STATIC_BUSYBOX), "--list").split():
                if name not in ("busybox", "sh"):
                    entry = tarfile.TarInfo(f"bin/{name}")
                    entry.type, entry.linkname = tarfile.SYMTYPE, "/bin/busybox"
                    tar.addfile(entry)
            _add(tar, "bin/sh", _SHELL, 0o755)
            _add(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)
            _add(tar, "etc/group", "root:x:0:\n", 0o644)
        unfinished.rename(archive)
    return archive


def _add(tar: tarfile.TarFile, name: str, text: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text.encode()), mode
    tar.addfile(entry, io.BytesIO(text.encode()))


def _mirror() -> list[str]:
    """The mirror that the machine's own apt uses; none: debootstrap's default."""
    for source in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")):
        for line in source.read_text().splitlines() if source.exists() else ():
            words = line.split()
            if words[:1] in (["deb"], ["URIs:"]):
                return [next(word for word in words if "://" in word)]
    return []
