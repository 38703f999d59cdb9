"""A worker process: takes runs from the queue, and sweeps up what the queue has lost."""

import asyncio
import logging
import os
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from redis.exceptions import RedisError
from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq.receiver import Receiver

from mesh_agents import metrics
from mesh_agents.config import Settings
from mesh_agents.db import migrate_when_there
from mesh_agents.errors import ApiError
from mesh_agents.graph.build import build
from mesh_agents.graph.effects import Journal
from mesh_agents.graph.nodes import Nodes
from mesh_agents.graph.speaker import Speaker
from mesh_agents.parts import Parts, make_parts
from mesh_agents.rag.jobs import DocumentJobs
from mesh_agents.runs.execute import Executor
from mesh_agents.runs.queue import TASK, idle_milliseconds
from mesh_agents.runs.retention import forget
from mesh_agents.runs.window import opens

_LOG: Final = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 3.0
_STOP_SECONDS: Final = 5.0
_QUEUED_AGAIN_SECONDS: Final = 300.0
"""A run that has been in the queue for so long is queued again, in case Redis lost it."""


async def work(settings: Settings) -> None:
    """Work until a termination signal; runs in hand are given back then."""
    async with make_parts(settings) as parts:
        await migrate_when_there(parts.pool)
        owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        speaker = Speaker(parts.models)
        nodes = Nodes(parts.router, speaker, parts.toolbox, Journal(parts.pool), settings.conversation_tokens)
        graph = build(nodes, AsyncPostgresSaver(parts.pool))
        documents = DocumentJobs(parts.ingester, parts.registry).all()
        executor = Executor(parts.runs, graph, owner, settings.lease_seconds, documents)
        parts.broker.register_task(_task(executor), task_name=TASK)
        jobs = [
            asyncio.create_task(
                run_receiver_task(
                    parts.broker,
                    receiver_cls=_Patient,
                    run_startup=True,
                    max_async_tasks=settings.runs_per_worker,
                    ack_time=AcknowledgeType.WHEN_EXECUTED,
                )
            ),
            asyncio.create_task(_sweep(parts, settings.lease_seconds / 3)),
        ]
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        _LOG.info("worker ready", extra={"owner": owner})
        ended = asyncio.create_task(stop.wait())
        await asyncio.wait([*jobs, ended], return_when=asyncio.FIRST_COMPLETED)
        # While the database can still be told; what the broker has begun outlives the broker's own end.
        await executor.stop()
        for job in (*jobs, ended):
            job.cancel()
        # A broker that waits for a queue that is away holds nobody up.
        await asyncio.wait([*jobs, ended], timeout=_STOP_SECONDS)


class _Patient(Receiver):
    """Waits before it is tried again: taskiq does so at once, a thousand times a second while the queue is away."""

    async def listen(self, finish_event: asyncio.Event) -> None:
        """Take messages until the queue goes away."""
        try:
            await super().listen(finish_event)
        except Exception:
            await asyncio.sleep(_RETRY_SECONDS)
            raise


def _task(executor: Executor) -> Callable[[str], Awaitable[None]]:
    async def execute_run(run: str) -> None:
        await executor.execute(uuid.UUID(run))

    return execute_run


async def _sweep(parts: Parts, every: float) -> None:
    """Queue what is due and forget what is old, again and again."""
    while True:
        try:
            open_now = opens(datetime.now().astimezone(), *parts.settings.off_peak_window()) is None
            for run in await parts.runs.due(_QUEUED_AGAIN_SECONDS, heavy=open_now):
                if not await parts.queue.put(run):
                    await parts.runs.unqueued(run)
            await parts.queue.nudge(idle_milliseconds(parts.settings))
            metrics.WAITING.set(await parts.runs.waiting())
            if gone := await forget(parts.pool, parts.settings.keep_runs_days):
                _LOG.info("old runs forgotten", extra={"count": gone})
            parts.filing.kick()
            await parts.filing.forget_expired()
            await parts.ingester.tidy()
        except (ApiError, RedisError, OSError):
            _LOG.warning("the sweep failed; it is tried again", exc_info=True)
        await asyncio.sleep(every)
