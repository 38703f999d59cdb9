"""The queue of runs: a Redis stream with a consumer group, through taskiq.

A message is acknowledged after the run, so that one whose worker died is delivered to another. It carries the run's id
alone: what is to be done stands in Postgres, from where the sweep also brings back what Redis has lost.
"""

import uuid
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from taskiq.exceptions import SendTaskError
from taskiq_redis import RedisStreamBroker

from mesh_agents.config import Settings

STREAM: Final = "agents:runs"
GROUP: Final = "agents:workers"
TASK: Final = "execute_run"


def idle_milliseconds(settings: Settings) -> int:
    """After what time an unacknowledged message goes to another worker.

    When its run is still being worked on, the other finds the lease and leaves it alone.
    """
    return int(settings.lease_seconds * 2000)


def make_broker(settings: Settings) -> RedisStreamBroker:
    """The broker; its keys are `agents:*` and `autoclaim:agents:*`."""
    return RedisStreamBroker(
        url=f"redis://{settings.redis_host}:{settings.redis_port}/0",
        username=settings.redis_user,
        password=settings.secret("redis-password").get_secret_value(),
        queue_name=STREAM,
        consumer_group_name=GROUP,
        # From the beginning: what was queued before the first worker started counts too.
        consumer_id="0",
        xread_block=1000,
        # One by one: a prefetched message would wait behind a long run while other workers are idle.
        xread_count=1,
        unacknowledged_batch_size=10,
        idle_timeout=idle_milliseconds(settings),
        unacknowledged_lock_timeout=5,
        # Acknowledged messages stay in a stream; the oldest go, far beyond what may wait.
        maxlen=settings.max_waiting_runs * 4 + 1000,
        socket_connect_timeout=5,
        health_check_interval=15,
    )


class RunQueue:
    """The sending side."""

    def __init__(self, broker: RedisStreamBroker) -> None:
        """Use `broker`, which its owner starts and stops."""
        self._broker = broker
        self._send = broker.register_task(_declared, task_name=TASK)

    async def put(self, run: uuid.UUID) -> bool:
        """Queue a run; False: Redis is away, and the sweep will queue it."""
        try:
            await self._send.kiq(str(run))
        except (RedisError, OSError, SendTaskError):
            return False
        return True

    async def nudge(self, idle: int) -> None:
        """Have messages taken over that nobody has acknowledged for `idle` milliseconds.

        The broker looks for them only behind a new message: on a quiet day what a dead worker had fetched and not begun
        would wait for the next job. A message about no run is new and does nothing.

        Raises:
            RedisError: Redis is away.

        """
        async with Redis(connection_pool=self._broker.connection_pool) as redis:
            pending = await redis.xpending_range(STREAM, GROUP, min="-", max="+", count=1, idle=idle)
        if pending:
            await self.put(uuid.UUID(int=0))


async def _declared(_run: str) -> None:
    """What the sender knows of the task; workers register the one that works."""
