"""The script of the preflight's `host` probe, for busybox sh."""

import shlex
from collections.abc import Iterable

LEAST_FREE_GIB = 10
USABLE = 0.94
"""The least part of a host's memory that `MemTotal` reports: firmware and the kernel take the rest."""
LISTENS = 8080
"""The port of the container."""


def preflight_script(
    *,
    data_root: str,
    folders: Iterable[tuple[str, int, int]],
    address: str,
    port: int,
    cpus: float = 1,
    memory_gib: float | None = None,
    encrypted: bool = True,
    stack: str = "STACK",
) -> str:
    """Checks the host, makes the folders of the data volumes, then idles.

    What is missing is printed with its fix and checked again until it is there. The container is unhealthy until
    then, so that the deploy stops and `docker logs agentic-mesh-preflight-host` says why. `folders` are
    (path, uid, gid), `address` and `port` where the container's own port 8080 is published; `cpus` and `memory_gib`
    are what the services need (None: not checked); `encrypted` is False in the lab only.
    """
    root = shlex.quote(data_root)
    lines = [
        'miss() { echo "MISSING: $1"; echo "  fix: $2"; }',
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
        # Not by wget: one that is linked statically may fail at the look-up of a name, which an address is to it.
        "ask() { printf 'GET /name HTTP/1.0\\r\\n\\r\\n'; }",
        "check() {",
        *(_encryption(root, data_root) if encrypted else ()),
        "has=$(grep -c '^processor' /proc/cpuinfo)",
        f'[ "$has" -ge {int(cpus)} ] || miss "the host has $has CPUs, the services count on {cpus:g}" '
        f'"pulumi config set agentic-mesh:hostCpus $has --stack {stack}"',
        *(_memory(memory_gib, stack) if memory_gib is not None else ()),
        f"free=$(df -P -k {root} | awk 'NR == 2 {{ print int($4 / 1048576) }}')",
        f'[ "$free" -ge {LEAST_FREE_GIB} ] || miss "only $free GiB free in {data_root}" '
        f"'free space: {LEAST_FREE_GIB} GiB at least'",
        # Docker publishes on an address that the host does not have, too: only a call that comes back here tells.
        f'[ "$(ask | timeout 5 nc -w 2 {address} {port} 2>/dev/null | tail -n 1)" = "$(hostname)" ] || '
        f"miss 'the host does not answer at its tailnet address {address}' "
        f"'give it this address (docs/runbooks/first-day.md, step 4): on the node, tailscale ip -4 says {address}; "
        f"a firewall must let containers reach port {port} of the host'",
    ]
    for path, uid, gid in folders:
        quoted = shlex.quote(path)
        lines.append(
            f"[ -d {quoted} ] || {{ mkdir -p {quoted} && chown {uid}:{gid} {quoted} && chmod 0700 {quoted}; }} "
            f"|| miss 'cannot make {path}' 'create it on the host, owned by {uid}:{gid}'"
        )
    lines += [
        "}",
        "mkdir -p /tmp/www && hostname >/tmp/www/name",
        f"httpd -p {LISTENS} -h /tmp/www",
        "said=",
        'while now=$(check 2>&1); [ -n "$now" ]; do',
        '  [ "$now" = "$said" ] || echo "$now"',
        "  said=$now",
        "  sleep 2",
        "done",
        '[ -z "$said" ] || echo "nothing is missing any more"',
        "killall httpd",
        "touch /tmp/ok",
        "exec sleep 2147483647",
    ]
    return "\n".join(lines)


def _memory(gib: float, stack: str) -> tuple[str, ...]:
    """The host has the memory that the plan assumes."""
    return (
        "has=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)",
        f'[ "$has" -ge {int(gib * 1024 * USABLE)} ] || miss "the host has $has MiB of memory, '
        f'the plan counts on {gib:g} GiB" "pulumi config set agentic-mesh:hostMemoryGib '
        f'$((has / 1024)) --stack {stack}; the plan then says which limits must be lowered"',
    )


def _encryption(root: str, data_root: str) -> tuple[str, ...]:
    """The data root, and what Docker stores, must lie on LUKS."""
    return (
        f"encrypted \"$(device_of {root})\" || miss 'the data root {data_root} is not on a LUKS volume' "
        "'scripts/prepare-node.sh --data-device DEVICE'",
        "encrypted \"$(device_of /etc/hostname)\" || miss 'Docker keeps its data outside the encrypted volume' "
        f"'set data-root to {data_root}/docker in /etc/docker/daemon.json (scripts/prepare-node.sh does)'",
    )
