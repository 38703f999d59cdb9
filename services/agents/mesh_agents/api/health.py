"""Health, readiness and metrics: the only routes without a key."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from mesh_agents import metrics
from mesh_agents.api.depends import PartsDep
from mesh_agents.parts import Parts

router = APIRouter(tags=["operation"])
_SECONDS = 3.0


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether everything can be served, and what cannot: `/v1/chat/completions` needs neither database nor queue."""

    status: Literal["ready", "degraded"]
    database: bool
    queue: bool


@router.get("/health")
async def health() -> Health:
    """Whether the process lives; looks at nothing else, so that nobody restarts it for another's fault."""
    return Health()


@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(parts: PartsDep, response: Response) -> Readiness:
    """Whether the database, with its tables, and the queue can be reached."""
    database, queue = await asyncio.gather(_database(parts), _queue(parts))
    if not (database and queue):
        response.status_code = 503
    return Readiness(status="ready" if database and queue else "degraded", database=database, queue=queue)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def prometheus() -> Response:
    """Metrics of the API and all workers, in Prometheus' text format."""
    return Response(await asyncio.to_thread(metrics.render), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _database(parts: Parts) -> bool:
    try:
        async with asyncio.timeout(_SECONDS), parts.pool.connection() as held:
            await held.execute("SELECT FROM runs LIMIT 1")
    except (TimeoutError, PoolTimeout, DatabaseError):
        return False
    return True


async def _queue(parts: Parts) -> bool:
    try:
        async with asyncio.timeout(_SECONDS), Redis(connection_pool=parts.broker.connection_pool) as redis:
            await redis.ping()
    except (TimeoutError, RedisError, OSError):
        return False
    return True
