"""`python -m mesh_agents [serve | api | worker | openapi | reindex]`.

`serve`, the default, is what the container runs: the API in `AGENTS_API_PROCESSES` and `AGENTS_WORKERS` workers, each a
process of its own. One that dies is started again; its runs go on elsewhere from their checkpoints.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import ValidationError

from mesh_agents import logs
from mesh_agents.config import ConfigError, Settings

# What a role needs is imported in it: the process that watches over the others stays at a fifth of their memory.

_RESTART_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 20.0


def _api(settings: Settings) -> None:
    import uvicorn

    from mesh_agents.api.app import make_app

    config = uvicorn.Config(
        make_app(settings),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(_GRACE_SECONDS) - 5,
        # The proxy in front keeps connections; it must not find them closed just when it sends.
        timeout_keep_alive=75,
    )
    # Each process has a socket of its own on the one port: the kernel deals out connections, to those that live.
    with socket.create_server((settings.host, settings.port), reuse_port=True) as listening:
        uvicorn.Server(config).run([listening])


def _worker(settings: Settings) -> None:
    import uvloop

    from mesh_agents.runs.worker import work

    uvloop.run(work(settings))


def _serve(settings: Settings) -> None:
    settings.check_secrets()
    asyncio.run(_keep(["api"] * settings.api_processes + ["worker"] * settings.workers))


async def _keep(roles: list[str]) -> None:
    """Run a process for each role until a termination signal, and start those again that end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="agents-metrics-") as folder:
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder}
        async with asyncio.TaskGroup() as group:
            for role in roles:
                group.create_task(_one(role, environment, stop))


async def _one(role: str, environment: Mapping[str, str], stop: asyncio.Event) -> None:
    stopped = asyncio.create_task(stop.wait())
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "mesh_agents", role, env=environment)
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            try:
                await asyncio.wait_for(ended, _GRACE_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
            return
        await asyncio.wait({stopped}, timeout=_RESTART_SECONDS)


def _reindex(settings: Settings) -> None:
    """Have the chunks of all tenants' documents made anew that are not all there; for operators, after a restore."""
    from mesh_agents.parts import make_parts
    from mesh_agents.rag.jobs import REINDEX

    async def start() -> None:
        async with make_parts(settings) as parts:
            for tenant in await parts.registry.tenants():
                run = await parts.runs.open_job(tenant, REINDEX)
                # The workers' sweep queues it.
                run = run or await parts.runs.start_job(tenant, REINDEX, {"only_missing": True}, settings)
                await parts.runs.unqueued(run.id)
                print(f"{tenant}: run {run.id}")

    asyncio.run(start())


def _openapi(settings: Settings) -> None:
    from mesh_agents.api.app import make_app

    print(json.dumps(make_app(settings).openapi(), indent=2, sort_keys=True))


_ROLES: Final[Mapping[str, Callable[[Settings], None]]] = {
    "serve": _serve,
    "api": _api,
    "worker": _worker,
    "openapi": _openapi,
    "reindex": _reindex,
}


def main() -> int:
    """Run the role that the command line names."""
    role = sys.argv[1] if len(sys.argv) > 1 else "serve"
    if role not in _ROLES:
        print(f"usage: python -m mesh_agents [{' | '.join(_ROLES)}]", file=sys.stderr)
        return 2
    logs.configure()
    try:
        _ROLES[role](Settings())
    except (ConfigError, ValidationError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 78  # EX_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main())
