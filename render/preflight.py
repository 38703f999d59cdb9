"""The script of the preflight's `host` probe, for busybox sh."""

import shlex
from collections.abc import Iterable

LEAST_FREE_GIB = 10


def preflight_script(
    *,
    data_root: str,
    folders: Iterable[tuple[str, int, int]],
    cpus: float = 1,
    encrypted: bool = True,
    stack: str = "STACK",
) -> str:
    """Checks the data root, makes the folders of the data volumes, then idles.

    A failed check is printed with its mend and keeps the container from getting healthy, so that the deploy stops
    and `docker logs agentic-mesh-preflight-host` says why. `folders` are (path, uid, gid), `cpus` how
    many the services count on; `encrypted` is False in the lab alone.
    """
    root = shlex.quote(data_root)
    lines = [
        "failed=0",
        'miss() { echo "MISSING: $1"; echo "  mend: $2"; failed=1; }',
        # What Docker stores is on the device behind /etc/hostname, the data root on the device mounted there.
        "device_of() { awk -v at=\"$1\" '$5 == at { print $3 }' /proc/self/mountinfo | tail -n 1; }",
        "encrypted() {",
        '  case "$(cat "/sys/dev/block/$1/dm/uuid" 2>/dev/null)" in CRYPT-*) return 0;; esac',
        '  for below in "/sys/dev/block/$1"/slaves/*; do',
        '    [ -e "$below" ] || continue',
        '    case "$(cat "$below/dm/uuid" 2>/dev/null)" in CRYPT-*) return 0;; esac',
        "  done",
        "  return 1",
        "}",
        *(_encryption(root, data_root) if encrypted else ()),
        "has=$(grep -c '^processor' /proc/cpuinfo)",
        f'[ "$has" -ge {int(cpus)} ] || miss "the host has $has CPUs, the services count on {cpus:g}" '
        f'"pulumi config set agentic-mesh:hostCpus $has --stack {stack}"',
        f"free=$(df -P -k {root} | awk 'NR == 2 {{ print int($4 / 1048576) }}')",
        f'[ "$free" -ge {LEAST_FREE_GIB} ] || miss "only $free GiB free in {data_root}" '
        f"'free space: {LEAST_FREE_GIB} GiB at least'",
    ]
    for path, uid, gid in folders:
        quoted = shlex.quote(path)
        lines.append(
            f"[ -d {quoted} ] || {{ mkdir -p {quoted} && chown {uid}:{gid} {quoted} && chmod 0700 {quoted}; }} "
            f"|| miss 'cannot make {path}' 'create it on the host, owned by {uid}:{gid}'"
        )
    lines += ['[ "$failed" = 0 ] && touch /tmp/ok', "exec sleep 2147483647"]
    return "\n".join(lines)


def _encryption(root: str, data_root: str) -> tuple[str, ...]:
    """The data root, and what Docker stores, must lie on LUKS."""
    return (
        f"encrypted \"$(device_of {root})\" || miss 'the data root {data_root} is not on a LUKS volume' "
        "'scripts/prepare-node.sh --data-device DEVICE'",
        "encrypted \"$(device_of /etc/hostname)\" || miss 'Docker keeps its data outside the encrypted volume' "
        f"'set data-root to {data_root}/docker in /etc/docker/daemon.json (scripts/prepare-node.sh does)'",
    )
