"""The chat protocol's request, as far as it is understood, and what is passed on to models."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mesh_agents.api import chat_fields

MAX_MESSAGES: Final = 2000


class Part(BaseModel):
    """A part of a message: text, image or audio; its fields are the model's affair."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(max_length=40)]
    text: str | None = None


class ChatMessage(BaseModel):
    """A message of the conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class StreamOptions(BaseModel):
    """How an answer is streamed."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """OpenAI's chat request. `model` may be `auto`, a route or a model; see `/v1/models`."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(max_length=100, examples=["auto"])]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    metadata: Annotated[
        dict[str, Any] | None, Field(description="`route` forces a route; the rest is ignored.", max_length=16)
    ] = None
    n: Annotated[int, Field(ge=1, le=8)] | None = None
    tools: list[dict[str, Any]] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    def plain_messages(self) -> list[dict[str, Any]]:
        """The messages as JSON, with exactly the fields that were given."""
        return [message.model_dump(exclude_unset=True) for message in self.messages]

    def parameters(self) -> dict[str, Any]:
        """What is passed on to a model."""
        return chat_fields.parameters(self._given())

    def fits(self, model: str) -> None:
        """Check that the model that was chosen can do what is asked.

        Raises:
            ApiError: 400, it cannot.

        """
        chat_fields.fit(model, self._given())

    def _given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set if name != "messages"}

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse by name, with an `ApiError` that goes through to the caller, what has no place here."""
        chat_fields.refuse(self._given())
        return self
