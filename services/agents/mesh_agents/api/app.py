"""The application."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from qdrant_client import AsyncQdrantClient

from mesh_agents.api import (
    chat,
    documents,
    files,
    handlers,
    health,
    images,
    links,
    models,
    runs,
    vector_store_files,
    vector_stores,
)
from mesh_agents.api.middleware import Edge
from mesh_agents.auth import Keys
from mesh_agents.config import Settings
from mesh_agents.db import migrate_when_there
from mesh_agents.parts import make_parts


def make_app(settings: Settings, vectors: tuple[AsyncQdrantClient, AsyncQdrantClient] | None = None) -> FastAPI:
    """The API. It starts although database, queue and models are away, and uses them when they are there."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with make_parts(settings, vectors) as parts:
            app.state.parts = parts
            tables = asyncio.create_task(migrate_when_there(parts.pool))
            # What is there by now stays. Else the collector looks through it again and again: each time 170 ms in which
            # nobody is answered.
            gc.collect()
            gc.freeze()
            try:
                yield
            finally:
                tables.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await tables

    app = FastAPI(
        title="agentic-mesh agents",
        version="1",
        summary="OpenAI-compatible chat with model routing, agent runs and answers from documents.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.links = links.Links.load(settings)
    app.state.keys = Keys.load(settings)
    # Looked through in this order: what is asked most is first.
    routers = (
        *(chat.straight, models.router, runs.router, documents.router, images.router),
        *(files.router, vector_stores.router, vector_store_files.router, health.router),
    )
    for router in routers:
        app.include_router(router)
    handlers.install(app, [route for router in routers for route in router.routes])
    app.add_middleware(Edge, max_body=settings.max_body_mib * 1024 * 1024)
    return app
