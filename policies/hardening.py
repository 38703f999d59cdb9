"""What a container may do to itself: write its root, be root, run what it wrote, use up the node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.subject import CONTAINER, GATEWAY_PART, LOADER, PREFLIGHT, PROXY, subject
from policies.values import Props, Unknown, finding, listed, show, whole
from topology.model import Rule

_RESTARTS: Final = ("unless-stopped", "always")
_ROTATED: Final = ("json-file", "local")


def read_only_root(type_: str, props: Props) -> Iterator[str]:
    """A root file system that stays as the image has it."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    if it.runs and props.get("readOnly") is not True and not it.waived(Rule.READ_ONLY_ROOT):
        yield finding(
            it.name,
            f"its root file system can be written (read_only is {show(props.get('readOnly'))})",
            "set read_only=True and give what it writes a tmpfs or a volume, or waive Rule.READ_ONLY_ROOT in topology/",
        )


def non_root(type_: str, props: Props) -> Iterator[str]:
    """A user by number that is not root, stated here, since an image's own user may change with its next tag."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    if not it.runs or it.waived(Rule.NON_ROOT):
        return
    user = props.get("user")
    uid = user.partition(":")[0] if isinstance(user, str) else ""
    if not uid.isdigit() or int(uid) == 0:
        yield finding(
            it.name,
            f"user is {show(user)}",
            'set user to a uid other than 0, such as "1000:1000", or waive Rule.NON_ROOT in topology/',
        )


def no_exec_tmpfs(type_: str, props: Props) -> Iterator[str]:
    """What is written to a tmpfs cannot be run."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    tmpfs = props.get("tmpfs") or {}
    if isinstance(tmpfs, Unknown):
        yield finding(it.name, f"tmpfs is {show(tmpfs)}", "state paths and options as plain text")
    for path, options in tmpfs.items():
        closed = isinstance(options, str) and "exec" not in options.split(",")
        if not closed and path not in it.waived(Rule.WRITABLE_EXEC):
            yield finding(
                it.name,
                f"programs can be written to {path} and run there",
                "take exec out of its tmpfs options, or waive Rule.WRITABLE_EXEC for that path in topology/",
            )


def limits(type_: str, props: Props) -> Iterator[str]:
    """One container cannot take the node's memory, processors and process table."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    if not it.runs:
        return
    if (whole(props.get("memory")) or 0) <= 0:
        yield finding(it.name, f"memory is {show(props.get('memory'))}: no limit", "set memory to a number of MiB")
    if not _is_positive(props.get("cpus")):
        yield finding(it.name, f"cpus is {show(props.get('cpus'))}: no limit", 'set cpus, such as "0.5"')
    # The Docker provider has no pids_limit.
    hard = [whole(ulimit.get("hard")) for ulimit in listed(props, "ulimits") if ulimit.get("name") == "nproc"]
    if not hard or (hard[0] or 0) <= 0:
        yield finding(it.name, "it has no limit of processes", 'set an ulimit of name "nproc"')


def _is_positive(value: object) -> bool:
    try:
        return isinstance(value, str) and float(value) > 0
    except ValueError:
        return False


def restarts(type_: str, props: Props) -> Iterator[str]:
    """It comes back after a crash and a reboot; a loader never starts at all."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    if it.part == LOADER:
        for key in ("start", "mustRun"):
            if props.get(key) is not False:
                yield finding(it.name, f"a loader, but {key} is {show(props.get(key))}", f"set {key} to false")
        if props.get("networkMode") != "none":
            yield finding(it.name, "a loader with a network", 'set network_mode="none"')
    elif props.get("restart") not in _RESTARTS and it.part != PREFLIGHT:
        yield finding(it.name, f"restart is {show(props.get('restart'))}", 'set restart="unless-stopped"')


def log_rotation(type_: str, props: Props) -> Iterator[str]:
    """Logs cannot fill the disk."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    if not it.runs:
        return
    options = props.get("logOpts") or {}
    if props.get("logDriver") not in _ROTATED:
        yield finding(
            it.name, f"log_driver is {show(props.get('logDriver'))}", f"set it to one of {', '.join(_ROTATED)}"
        )
    for key in ("max-size", "max-file"):
        if not isinstance(options.get(key), str):
            yield finding(it.name, f"its logs grow without end: no {key}", f"set {key} in log_opts")


def health(type_: str, props: Props) -> Iterator[str]:
    """Proxies and gateways report health, and a deploy waits for it; a preflight probe is nothing else."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    if it.part not in (PROXY, GATEWAY_PART, PREFLIGHT):
        return
    tests = listed(props.get("healthcheck") or {}, "tests")
    if not tests or tests[0] not in ("CMD", "CMD-SHELL") or len(tests) < 2:
        yield finding(it.name, "it has no health check", "give it one that asks its health listener")
    if props.get("wait") is not True or (whole(props.get("waitTimeout")) or 0) <= 0:
        yield finding(it.name, "no deploy waits for its health", "set wait=True and wait_timeout in seconds")
