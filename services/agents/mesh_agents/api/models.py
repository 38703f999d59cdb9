"""`/v1/models`: what `model` may hold, in chats and elsewhere."""

from datetime import UTC, datetime
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
Kind = Literal["chat", "embedding", "speech_to_text", "text_to_speech", "image"]
EMBEDDING: Final = "local_bge"
"""The model proxy's name of the embedding model."""


class Model(BaseModel):
    """A model, as OpenAI's clients and Anthropic's know it; `kind` is ours."""

    id: str
    object: Literal["model"] = "model"
    created: int = _CREATED
    owned_by: str = "agentic-mesh"
    type: Literal["model"] = "model"
    display_name: str
    created_at: datetime = datetime.fromtimestamp(_CREATED, UTC)
    kind: Kind


class ModelList(BaseModel):
    """All models; the last fields are Anthropic's."""

    object: Literal["list"] = "list"
    data: list[Model]
    has_more: Literal[False] = False
    first_id: str
    last_id: str


def served(settings: Settings) -> list[Model]:
    """Every model of the platform, those for chats first."""
    others: tuple[tuple[str, Kind], ...] = (
        (EMBEDDING, "embedding"),
        ("whisper-1", "speech_to_text"),
        ("tts-1", "text_to_speech"),
        (settings.image_checkpoint, "image"),
    )
    chat: list[tuple[str, Kind]] = [(str(name), "chat") for name in OFFERED]
    return [Model(id=name, display_name=name, kind=kind) for name, kind in (*chat, *others)]


@router.get("/models", responses=refusals())
async def models(parts: PartsDep, _tenant: Tenant) -> ModelList:
    """What `model` may hold: for chats `auto`, the routes, and the models behind them; and for the other routes."""
    found = served(parts.settings)
    return ModelList(data=found, first_id=found[0].id, last_id=found[-1].id)


@router.get("/models/{name:path}", responses=refusals(404))
async def model(name: str, parts: PartsDep, _tenant: Tenant) -> Model:
    """One of them."""
    for one in served(parts.settings):
        if one.id == name:
            return one
    raise ApiError(
        404, f"there is no model {name[:100]!r}; /v1/models lists them", code="model_not_found", param="model"
    )
