"""What the team's models say: to the graph, and the answer itself also to a caller who listens."""

from contextlib import aclosing
from typing import Any, Final, Protocol

from mesh_agents.errors import ApiError
from mesh_agents.graph.said import Said
from mesh_agents.llm.client import ModelClient
from mesh_agents.llm.events import BrokenError

_TEXT: Final = "content"


class Listener(Protocol):
    """Takes the answer's words as they come."""

    def __call__(self, words: str, /) -> None:
        """Hear them."""


class Speaker:
    """Calls models for the graph."""

    def __init__(self, models: ModelClient, listener: Listener | None = None) -> None:
        """`listener` hears the answer word by word; without one it is asked for as a whole."""
        self._models = models
        self._listener = listener

    async def answer(self, payload: dict[str, Any], tenant: str, *, aloud: bool) -> tuple[Said, dict[str, Any], float]:
        """What a model says, the tokens that it used, and what these cost in US dollars.

        Raises:
            ApiError: no answer came. `BrokenError`, which nobody tries again, if the caller has heard a part of it.

        """
        if self._listener and aloud:
            text, usage = await self._aloud(payload, tenant, self._listener)
            said = Said.of({"content": text})
        else:
            done = await self._models.complete(payload, tenant)
            said, usage = Said.of(done.message), done.usage
        return said, usage, self._models.usd(payload["model"], usage)

    async def _aloud(self, payload: dict[str, Any], tenant: str, listener: Listener) -> tuple[str, dict[str, Any]]:
        said: list[str] = []
        answer = await self._models.stream(payload, tenant)
        try:
            async with aclosing(answer):
                async for portion in answer:
                    for one in portion:
                        for choice in one.chunk.get("choices") or ():
                            words = (choice.get("delta") or {}).get(_TEXT)
                            if isinstance(words, str) and words:
                                said.append(words)
                                listener(words)
        except ApiError as error:
            if not said or isinstance(error, BrokenError):
                raise
            raise BrokenError(str(error), str(error.body.code)) from error
        return "".join(said), answer.usage
