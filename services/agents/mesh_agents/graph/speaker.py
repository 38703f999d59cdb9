"""What the team's models say: to the graph, and the answer itself also to a caller who listens."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from mesh_agents.errors import ApiError
from mesh_agents.graph.said import Said
from mesh_agents.llm.client import ModelClient
from mesh_agents.llm.events import BrokenError


class Listener(Protocol):
    """Takes the answer's words as they come."""

    def __call__(self, words: str, /) -> None:
        """Hear them."""


@dataclass(frozen=True)
class Spoken:
    """What a model said."""

    said: Said
    usage: dict[str, Any]
    """Tokens, in OpenAI's names."""
    usd: float
    finish: str
    """Why it ended: `stop`, or `length`."""


class Speaker:
    """Calls models for the graph."""

    def __init__(self, models: ModelClient, listener: Listener | None = None) -> None:
        """`listener` hears the answer word by word; without one it is asked for as a whole."""
        self._models = models
        self._listener = listener

    async def answer(self, payload: dict[str, Any], tenant: str, *, aloud: bool) -> Spoken:
        """What a model says; `aloud`: to the listener too, if there is one.

        Raises:
            ApiError: no answer came. `BrokenError`, which nobody tries again, if the caller has heard a part of it.

        """
        if self._listener and aloud:
            text, usage, reason = await self._aloud(payload, tenant, self._listener)
            said = Said.of({"content": text})
        else:
            done = await self._models.complete(payload, tenant)
            said, usage = Said.of(done.message), done.usage
            reason = done.body["choices"][0].get("finish_reason")
        usd = self._models.usd(payload["model"], usage)
        return Spoken(said, usage, usd, "length" if reason == "length" else "stop")

    async def _aloud(self, payload: dict[str, Any], tenant: str, listener: Listener) -> tuple[str, dict[str, Any], Any]:
        said: list[str] = []
        reason: Any = None
        answer = await self._models.stream(payload, tenant)
        try:
            async with aclosing(answer):
                async for portion in answer:
                    for choice in (choice for one in portion for choice in one.chunk.get("choices") or ()):
                        reason = choice.get("finish_reason") or reason
                        words = (choice.get("delta") or {}).get("content")
                        if isinstance(words, str) and words:
                            said.append(words)
                            listener(words)
        except ApiError as error:
            if not said or isinstance(error, BrokenError):
                raise
            raise BrokenError(str(error), str(error.body.code)) from error
        return "".join(said), answer.usage, reason
