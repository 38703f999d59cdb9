"""`/v1/models`: what `model` may hold, in chats and elsewhere."""

from collections.abc import Iterator
from typing import Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from mesh_agents.api.depends import Keyed, PartsDep, Tenant
from mesh_agents.api.handlers import refusals
from mesh_agents.config import Settings
from mesh_agents.errors import ApiError
from mesh_agents.routing.choice import OFFERED

router = APIRouter(prefix="/v1", tags=["models"], route_class=Keyed)
_CREATED: Final = 1767225600
"""2026-01-01: clients want a time, and those of the models behind the names are not known."""
EMBEDDING: Final = "local_bge"
"""The model proxy's name of the embedding model."""


class Model(BaseModel):
    """A model; `kind` is ours, the rest is OpenAI's."""

    id: str
    object: Literal["model"] = "model"
    created: int = _CREATED
    owned_by: str = "agentic-mesh"
    kind: Literal["chat", "embedding", "speech_to_text", "text_to_speech", "image"]


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


def served(settings: Settings) -> Iterator[Model]:
    """Every model of the platform, those for chats first."""
    for name in OFFERED:
        yield Model(id=str(name), kind="chat")
    yield Model(id=EMBEDDING, kind="embedding")
    yield Model(id="whisper-1", kind="speech_to_text")
    yield Model(id="tts-1", kind="text_to_speech")
    yield Model(id=settings.image_checkpoint, kind="image")


@router.get("/models", responses=refusals())
async def models(parts: PartsDep, _tenant: Tenant) -> ModelList:
    """What `model` may hold: for chats `auto`, the routes, and the models behind them; and for the other routes."""
    return ModelList(data=list(served(parts.settings)))


@router.get("/models/{name:path}", responses=refusals(404))
async def model(name: str, parts: PartsDep, _tenant: Tenant) -> Model:
    """One of them."""
    for one in served(parts.settings):
        if one.id == name:
            return one
    raise ApiError(
        404, f"there is no model {name[:100]!r}; /v1/models lists them", code="model_not_found", param="model"
    )
