"""The chat protocol's request, as far as it is understood, and what is passed on to models."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

PASSED_ON: Final = frozenset(
    {
        "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "n", "presence_penalty",
        "frequency_penalty", "seed", "tools", "tool_choice", "parallel_tool_calls", "response_format", "logprobs",
        "top_logprobs", "logit_bias", "reasoning_effort",
    }
)  # fmt: skip
"""Parameters of the model. Others are left out: the proxy has some of its own, like another address or key for a model,
that are not for callers."""
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
        dict[str, str] | None, Field(description="`route` forces a route; the rest is ignored.", max_length=16)
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
        given = self.model_dump(include=set(PASSED_ON), exclude_unset=True)
        return {name: value for name, value in given.items() if value is not None}
