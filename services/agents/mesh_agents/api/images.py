"""`/v1/images/generations`: OpenAI's request, a picture by ComfyUI."""

import base64
import re
import time
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from mesh_agents.api import fields
from mesh_agents.api.depends import Keyed, PartsDep, Tenant
from mesh_agents.api.fields import answered, refused
from mesh_agents.api.handlers import refusals
from mesh_agents.api.leaving import while_there
from mesh_agents.api.links import base_url
from mesh_agents.errors import ApiError
from mesh_agents.tools.images import Wanted

router = APIRouter(prefix="/v1/images", tags=["images"], route_class=Keyed)
MAX_PROMPT: Final = 4000
_SIDES: Final = range(256, 2049, 8)
"""ComfyUI works on blocks of 8 x 8 pixels; below 256 the usual models make noise, and above 2048 nothing good."""
_PIXELS: Final = 1536 * 2048
_STEPS: Final = {"low": 12, "medium": 20, "standard": 20, "auto": 20, "high": 30, "hd": 30, "xhigh": 40, "max": 50}
_KINDS: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_OFFICIAL: Final = re.compile(r"(gpt-image|chatgpt-image|dall-e)[a-z0-9.-]*")
"""OpenAI's names of models, which clients send by themselves: the one checkpoint answers to all of them."""
_NO_MOTION: Final = "pictures do not move and are made of pixels: leave it out"

FIELDS: Final[Mapping[str, fields.Field]] = {
    "background": refused(
        "pictures are opaque: leave background out or send 'auto' or 'opaque'",
        lambda value: value in (None, "auto", "opaque"),
    ),
    "complexity": answered("a hint that the checkpoint cannot use"),
    "frame_count": refused(_NO_MOTION),
    "frame_duration_ms": refused(_NO_MOTION),
    "model": answered("the configured checkpoint, by its own name or by any of OpenAI's"),
    "moderation": answered("nothing is moderated; neither value asks for more"),
    "n": answered("1 to 10"),
    "output_compression": answered("quality of JPEG and WebP"),
    "output_format": answered("PNG, JPEG or WebP"),
    "partial_images": refused("pictures are not streamed: leave partial_images out", lambda value: not value),
    "prompt": answered("the positive prompt"),
    "quality": answered("the number of steps"),
    "response_format": answered("`url`, or `b64_json`, which is the default of OpenAI's newer models"),
    "safety_identifier": answered("the tenant comes from the key"),
    "size": answered("any that the model can make"),
    "stream": refused("pictures are not streamed: leave stream out", lambda value: not value),
    "style": answered("a hint that the checkpoint cannot use: say it in the prompt"),
    "svg": refused(_NO_MOTION),
    "user": answered("the tenant comes from the key"),
}
"""Every field of OpenAI's request."""


class ImageRequest(BaseModel):
    """What is to be seen, and how it is sent."""

    model_config = ConfigDict(extra="allow")

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)]
    model: Annotated[str, Field(max_length=200)] | None = None
    n: Annotated[int, Field(ge=1, le=10)] | None = None
    size: Annotated[str, Field(max_length=20, examples=["1024x1024"])] | None = None
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None

    @property
    def official(self) -> bool:
        """Whether it names one of OpenAI's models."""
        return _OFFICIAL.fullmatch(self.model or "") is not None

    @property
    def as_text(self) -> bool:
        """Whether pictures are sent as base64. OpenAI's newer models know no other way; the old ones send URLs."""
        if self.response_format is None:
            return self.official and not (self.model or "").startswith("dall-e")
        return self.response_format == "b64_json"

    @property
    def preview(self) -> str | None:
        """How ComfyUI is asked to convert the picture; it knows qualities from 0 to 100."""
        if self.output_format in (None, "png"):
            return None
        return f"{self.output_format};{100 if self.output_compression is None else self.output_compression}"

    def wanted(self) -> Wanted:
        """What ComfyUI is to make.

        Raises:
            ApiError: 400, the size is none that can be made.

        """
        width, height = _sides(self.size)
        return Wanted(self.prompt, width, height, _STEPS[self.quality or "auto"])

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse by name what has no place here, with an `ApiError` that goes through to the caller."""
        fields.refuse_fields(FIELDS, {name: getattr(self, name) for name in self.model_fields_set})
        if not self.prompt.strip() or "\0" in self.prompt:
            raise ApiError(400, "the picture needs a description", code="invalid_value", param="prompt")
        return self


class Picture(BaseModel):
    """A picture, in one of the two ways."""

    url: str | None = None
    b64_json: str | None = None


class Pictures(BaseModel):
    """Pictures in order."""

    created: int
    data: list[Picture]
    output_format: Literal["png", "jpeg", "webp"]
    size: str
    background: Literal["opaque"] = "opaque"


@router.post("/generations", responses=refusals(404, 502, 503, 504))
async def generate(asked: ImageRequest, request: Request, parts: PartsDep, tenant: Tenant) -> Pictures:
    """Have pictures made. A `url` is at this base URL, wants the same key, and lasts while ComfyUI keeps the file."""
    checkpoint = parts.settings.image_checkpoint
    if asked.model and not asked.official and asked.model not in (checkpoint, checkpoint.rpartition(".")[0]):
        told = f"there is no model {asked.model!r} for pictures; there is {checkpoint!r}, also known as gpt-image-1"
        raise ApiError(404, told, code="model_not_found", param="model")
    wanted = asked.wanted()
    images = parts.toolbox.images
    async with while_there(request.receive):
        made = await images.pictures(wanted, asked.n or 1)
        if asked.as_text:
            contents = [(await images.view(image, asked.preview))[0] for image in made]
            data = [Picture(b64_json=base64.b64encode(content).decode()) for content in contents]
        else:
            links = [request.app.state.links.make(tenant, image, asked.preview) for image in made]
            data = [Picture(url=f"{base_url(request)}/v1/images/generations/{link}") for link in links]
    return Pictures(
        created=int(time.time()),
        data=data,
        output_format=asked.output_format or "png",
        size=f"{wanted.width}x{wanted.height}",
    )


@router.get(
    "/generations/{link}",
    response_class=Response,
    responses={200: {"content": {media: {} for media in _KINDS.values()}}, **refusals(404, 502, 503)},
)
async def picture(
    link: Annotated[str, Path(max_length=4000)], request: Request, parts: PartsDep, tenant: Tenant
) -> Response:
    """A picture, by the `url` that it was made with."""
    image, preview = request.app.state.links.read(tenant, link)
    content, media = await parts.toolbox.images.view(image, preview)
    return Response(content, media_type=media, headers={"cache-control": "private, max-age=86400"})


def _sides(size: str | None) -> tuple[int, int]:
    if size in (None, "", "auto"):
        return 1024, 1024
    found = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", str(size))
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if width not in _SIDES or height not in _SIDES or width * height > _PIXELS:
        raise ApiError(
            400,
            f"size is WIDTHxHEIGHT like 1024x1024 or 1536x1024, each a multiple of 8 from {_SIDES[0]} to {_SIDES[-1]},"
            f" with at most {_PIXELS} pixels; or auto",
            code="invalid_value",
            param="size",
        )
    return width, height
