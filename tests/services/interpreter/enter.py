"""Becomes a small container, in namespaces that `unshare` made, and starts the server in it.

The container is as the deployment's: root without capabilities but SETUID and SETGID, a read-only root file system,
/tmp and /dev/shm of limited size, processes of its own. What the server needs from places that only root can reach
(an interpreter in root's home, a checkout in /tmp) is mounted where it was, with open ways to it.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

RDONLY, NOSUID, NODEV, REMOUNT, BIND, REC = 1, 2, 4, 32, 4096, 16384
libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    if libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def tmpfs(target: str, options: str) -> None:
    mount("tmpfs", target, "tmpfs", NOSUID | NODEV, options)


def closed_ancestor(path: Path) -> Path | None:
    """The first folder on the way to `path` that only its owner may pass."""
    return next((at for at in reversed(path.parents) if not at.stat().st_mode & 0o001), None)


def build(needed: list[Path], key: str) -> None:
    mount("proc", "/proc", "proc", NOSUID | NODEV)
    kept = {path: os.open(path, os.O_PATH) for path in needed}
    covers = {ancestor for path in needed if (ancestor := closed_ancestor(path)) is not None}
    mount("/", "/", "", REMOUNT | BIND | RDONLY)
    for cover in sorted(covers):
        tmpfs(str(cover), "mode=0755")
    tmpfs("/tmp", "mode=1777,size=512m")
    tmpfs("/dev/shm", "mode=1777,size=64m")
    for path, descriptor in kept.items():
        if not path.exists():
            path.mkdir(parents=True)
        mount(f"/proc/self/fd/{descriptor}", str(path), "", BIND | REC)
        mount("", str(path), "", REMOUNT | BIND | RDONLY)
        os.close(descriptor)
    config = Path("/tmp/config")
    config.mkdir(mode=0o755)
    (config / "api-key").write_text(key)
    (config / "api-key").chmod(0o400)


def main() -> None:
    given = json.loads(sys.argv[1])
    build([Path(path) for path in given["needed"]], given["key"])
    caps = ["--bounding-set=-all,+setuid,+setgid", "--inh-caps=-all"]
    command = ["setpriv", *caps, "--no-new-privs", *given["command"]]
    os.chdir("/")
    os.execvpe(command[0], command, given["environment"])  # noqa: S606 - no shell around it


if __name__ == "__main__":
    main()
