"""The GPU for the services that need it, and the sandbox for the one that runs strangers' code."""

from __future__ import annotations

from collections.abc import Iterator

from policies.subject import CONTAINER, PREFLIGHT, subject
from policies.values import Props, finding, listed, show


def gpu_for_gpu_services(type_: str, props: Props) -> Iterator[str]:
    """A GPU request only where the topology gives the service a GPU, on a GPU node."""
    if type_ != CONTAINER or not _asks_for_gpu(props):
        return
    it = subject(props)
    if it.part == PREFLIGHT:
        return  # one probe asks for the card, so that a deploy without one fails early
    if it.row is None or it.row.gpu is None:
        yield finding(
            it.name, "it asks for a GPU", "take the request out, or give the service a Gpu(...) in topology/gpu_node.py"
        )
    elif it.row.role != "gpu":
        yield finding(it.name, f"it asks for a GPU on a {it.row.role} node", "move the service to the gpu role")


def _asks_for_gpu(props: Props) -> bool:
    return bool(
        listed(props, "deviceRequests")
        or props.get("gpus")
        or props.get("runtime") == "nvidia"
        or any(_shows_devices(env) for env in listed(props, "envs") if isinstance(env, str))
    )


def _shows_devices(env: str) -> bool:
    name, _, value = env.partition("=")
    return name == "NVIDIA_VISIBLE_DEVICES" and value not in ("", "void", "none")


def sandboxed(type_: str, props: Props) -> Iterator[str]:
    """The runtime is the topology's; the code interpreter's is gVisor."""
    if type_ != CONTAINER:
        return
    it = subject(props)
    wanted = it.row.runtime if it.row else None
    runtime = props.get("runtime")
    if wanted is not None and runtime != wanted:
        yield finding(it.name, f"its runtime is {show(runtime)}", f'set runtime="{wanted}", as the topology has it')
